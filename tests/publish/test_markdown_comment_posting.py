"""Where a comment goes, how it is found again, and how it is cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbot.errors import UsageError
from mlbot.events.github import Attempt
from mlbot.protocol.marker import carries, read_stamp
from mlbot.protocol.operations import COMMENT_LIMIT, UpsertComment
from mlbot.publish.run_comment import Kind, Target, body_of, cml_arguments, label_marker, parse_target

HEAD = "a" * 40


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("auto", Target()),
        ("pr", Target(kind=Kind.PULL_REQUEST)),
        ("pr/12", Target(kind=Kind.PULL_REQUEST, number=12)),
        ("issue/7", Target(kind=Kind.ISSUE, number=7)),
        ("issue", Target(kind=Kind.ISSUE)),
        ("commit", Target(kind=Kind.COMMIT)),
        ("commit/f00bar", Target(kind=Kind.COMMIT, commit="f00bar")),
        ("commit/feature/x", Target(kind=Kind.COMMIT, commit="feature/x")),
    ],
)
def test_a_target(text: str, target: Target) -> None:
    assert parse_target(text) == target


@pytest.mark.parametrize(
    "text", ["", "pull", "pr/", "pr/x", "pr/0", "pr/-1", "issue/1e3", "auto/1", "pr/1 2", "commit/"]
)
def test_what_is_no_target(text: str) -> None:
    with pytest.raises(UsageError, match="there is no target"):
        parse_target(text)


def test_two_titles_keep_a_comment_each() -> None:
    one, other = body_of("Hello.", "plots"), body_of("Hello.", "data --> x")
    assert carries(one, label_marker("plots"))
    assert not carries(other, label_marker("plots"))
    assert carries(other, label_marker("data --> x"))
    assert label_marker("") != label_marker("plots")
    assert body_of("Hello.", "").startswith("Hello.\n\n<!-- mlbot:comment ")


def test_a_text_that_quotes_a_marker_does_not_take_over_its_comment() -> None:
    stolen = body_of(f"See:\n\n{label_marker('plots')}", "mine")
    assert not carries(stolen, label_marker("plots"))


def test_in_a_job_the_attempt_is_hidden_in_it() -> None:
    body = body_of("Hello.", "", attempt=Attempt(run=7, number=2), head=HEAD)
    stamp = read_stamp(body, label_marker(""))
    assert stamp
    assert (stamp.attempt, stamp.head) == (Attempt(run=7, number=2), HEAD)
    assert UpsertComment(number=1, marker=label_marker(""), body=body, stamp=stamp).stamp == stamp


def test_a_long_text_is_cut_between_blocks() -> None:
    table = "| a | b |\n|---|---|\n" + "| 1 | 2 |\n" * 2_000
    fence = "```\n" + "line\n\n" * 5_000 + "```"
    body = body_of(f"# Title\n\n{table}\n\n{fence}\n\n{table}", "", more="[the run](https://x)")
    assert len(body) <= COMMENT_LIMIT
    assert body.startswith("# Title\n\n| a | b |")
    assert body.count("```") in {0, 2}
    assert body.count("| a | b |") * table.count("| 1 |") == body.count("| 1 | 2 |"), "no table is cut in its middle"
    assert "_The rest is left out: a comment holds 65,536 characters. The whole is in [the run](https://x)._" in body


def test_one_huge_block_is_cut_at_a_line_and_its_fence_closed() -> None:
    body = body_of("```text\n" + "0123456789\n" * 20_000 + "```", "")
    assert 60_000 < len(body) <= COMMENT_LIMIT
    assert body.count("```") == 2
    assert "\n0123456789\n```\n\n_The rest" in body


@given(st.text(alphabet="ab\n`~| 😀", max_size=3_000), st.integers(1, 60), st.text(max_size=40))
def test_no_body_is_too_long_for_github(text: str, times: int, title: str) -> None:
    body = body_of(text * times, title)
    assert len(body.encode("utf-16-le")) // 2 <= COMMENT_LIMIT
    assert carries(body, label_marker(title))


@pytest.mark.parametrize(
    ("target", "title", "images", "given"),
    [
        ("auto", "", False, ["--no-publish"]),
        ("pr/3", "plots", True, ["--publish-native", "--target=pr/3", "--watermark-title=plots"]),
    ],
)
def test_what_cml_is_given(target: str, title: str, images: bool, given: list[str]) -> None:  # noqa: FBT001 - a case's
    assert cml_arguments("r.md", target, title, images=images) == ["comment", "update", *given, "r.md"]


def test_a_file_whose_name_looks_like_an_option() -> None:
    assert cml_arguments("-r.md", "auto", "", images=False)[-1] == "./-r.md"
