"""Globs over paths."""

import re
import time
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbot.errors import UsageError
from mlbot.lib.globs import fits, fixed_folder, normalise

CASES = [
    ("*.py", "train.py", True),
    ("*.py", "src/train.py", False),
    ("src/*.py", "src/train.py", True),
    ("src/*.py", "src/deep/train.py", False),
    ("src/**/*.py", "src/train.py", True),
    ("src/**/*.py", "src/a/b/train.py", True),
    ("src/**/*.py", "src/a/b/train.txt", False),
    ("**/train.py", "train.py", True),
    ("**/train.py", "a/b/train.py", True),
    ("**/data/**/x", "a/data/b/c/x", True),
    ("src/**", "src/a/b", True),
    ("src/**", "src", False),
    ("**", "anything", True),
    ("src/*", "src/folder/inside", True),
    ("s*c/?.py", "src/a.py", True),
    ("s*c/?.py", "src/ab.py", False),
    ("[ab].py", "a.py", True),
    ("[!ab].py", "a.py", False),
    ("?", "/", False),
    ("*", ".hidden", True),
    ("a*b*c", "a/b/c", False),
    ("new*", "new\nline", True),
    ("data/[old", "data/[old", True),
]


@pytest.mark.parametrize(("pattern", "path", "expected"), CASES)
def test_which_paths_fit(pattern: str, path: str, *, expected: bool) -> None:
    assert fits(pattern, path) is expected


def naive(pattern: str, path: str) -> bool:
    """The same by one regular expression that may try everything."""
    parts = {"**": "(?:[^/]+/)*", "*": "[^/]*", "?": "[^/]"}
    regex = "".join(
        parts["**"] if part == "**" else "".join(parts.get(letter, re.escape(letter)) for letter in part) + "/"
        for part in pattern.split("/")
    )
    if pattern.endswith("**"):
        return re.fullmatch(regex + "[^/]+/(?:[^/]+/)*", path + "/") is not None
    return re.fullmatch(regex + "(?:[^/]+/)*", path + "/") is not None


parts = st.sampled_from(["a", "b", "*", "**", "a*", "*b", "?", "a*b"])


@given(st.lists(parts, min_size=1, max_size=5), st.lists(st.sampled_from(["a", "b", "ab", "aab"]), min_size=1))
def test_fits_as_the_naive_matcher(pattern: list[str], path: list[str]) -> None:
    assert fits("/".join(pattern), "/".join(path)) == naive("/".join(pattern), "/".join(path))


def test_no_pattern_takes_exponential_time() -> None:
    started = time.process_time()
    for segment, depth in product(("*a" * 30 + "b", "a" + "*" * 60), ("", "**/" * 30)):
        fits(depth + segment, "/".join(["a" * 200] * 30))
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    ("written", "meant"), [("./a/b/", "a/b"), ("a//b", "a/b"), (".", ""), ("./", ""), ("**/", "**")]
)
def test_spellings(written: str, meant: str) -> None:
    assert normalise(written) == meant


@pytest.mark.parametrize("pattern", ["/etc/passwd", "../up", "a/../../b"])
def test_out_of_the_repository(pattern: str) -> None:
    with pytest.raises(UsageError, match="leads out"):
        normalise(pattern)


@given(st.lists(parts, min_size=1, max_size=5), st.lists(st.sampled_from(["a", "b", "ab"]), min_size=1))
def test_what_fits_is_in_the_fixed_folder(pattern: list[str], path: list[str]) -> None:
    joined, name = "/".join(pattern), "/".join(path)
    if fits(joined, name) and any(letter in joined for letter in "*?["):
        assert name.startswith(fixed_folder(joined))
