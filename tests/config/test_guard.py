"""Patterns in `guard:`, which entry a branch belongs to, and the status that it has."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbot.config.guard import context_to_require, entry_of, matches, own_context, sample_of
from mlbot.protocol.decision import Policy


def policy(*guard: str) -> Policy:
    return Policy(
        repository_id=1, repository="acme/m", default_branch="main", guard=guard, train_path=".github/workflows/m.yml"
    )


@pytest.mark.parametrize(
    ("entry", "branch", "expected"),
    [
        ("release/*", "release/1.0", True),
        ("release/*", "release/1/hotfix", False),
        ("release/*", "release", False),
        ("release/*", "xrelease/1", False),
        ("release/*", "Release/1", False),
        ("release/**", "release/1/hotfix", True),
        ("release/**", "release", False),
        ("**", "a/b/c", True),
        ("*", "main", True),
        ("*", "a/b", False),
        ("*-stable", "v1-stable", True),
        ("*-stable", "-stable", True),
        ("v*.*", "v1.2", True),
        ("v*.*", "v12", False),
        ("**/stable", "stable", True),
        ("**/stable", "a/b/stable", True),
        ("**/stable", "unstable", False),
        ("main", "main", True),
        ("main", "main2", False),
        ("a.c", "abc", False),
        ("c++", "c++", True),
    ],
)
def test_a_pattern_is_for_the_branches_that_githubs_filter_is_for(entry: str, branch: str, *, expected: bool) -> None:
    assert matches(entry, branch) is expected


@given(st.text("ab/*", min_size=1, max_size=8), st.text("ab/", min_size=1, max_size=8))
def test_a_pattern_is_a_regular_expression_in_other_words(entry: str, branch: str) -> None:
    known = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*"}
    pieces = re.findall(r"\*\*/|\*\*|\*|[^*]+", entry)
    pattern = "".join(known.get(piece) or re.escape(piece) for piece in pieces)
    assert matches(entry, branch) is bool(re.fullmatch(pattern, branch))


def test_many_wildcards_take_no_time() -> None:
    assert not matches("*a" * 200 + "b", "a" * 250)


@given(st.text("ab/*", min_size=1, max_size=8))
def test_a_sample_is_of_its_entry(entry: str) -> None:
    assert matches(entry, sample_of(entry))


def test_a_branchs_own_name_comes_before_a_pattern_and_then_the_first() -> None:
    entries = ("release/*", "release/1", "release/**")
    assert [entry_of(branch, entries) for branch in ("release/1", "release/2", "release/2/x", "main")] == [
        "release/1", "release/*", "release/**", None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("entry", "context"),
    [
        ("main", "mlbot/main"),
        ("release/*", "mlbot/release"),
        ("release/**", "mlbot/release"),
        ("v*", "mlbot/v"),
        ("**/stable", "mlbot/stable"),
    ],
)
def test_an_entrys_status_is_its_text_without_the_wildcard(entry: str, context: str) -> None:
    assert own_context(entry) == context
    assert context_to_require(entry, [entry]) == "mlbot"
    assert context_to_require(entry, [entry, "other"]) == context


def test_of_one_entry_no_branch_has_a_status_of_its_own() -> None:
    assert policy("release/*").guards("release/7")
    assert policy("release/*").own_context("release/7") is None
    assert not policy("release/*").guards("main")
    assert policy().guards("main")


def test_of_several_entries_each_branch_has_the_status_of_its_entry() -> None:
    several = policy("main", "release/*")
    assert several.own_context("release/7") == "mlbot/release"
    assert several.own_context("dev") is None
