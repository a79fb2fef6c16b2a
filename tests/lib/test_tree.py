"""Which files of a commit a path, folder or glob names."""

import re
import time
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbot.errors import UsageError
from mlbot.lib.record import digest
from mlbot.lib.tree import SUBMODULE, SYMLINK, Tree, changed, fits, fixed_folder, module_files, normalise, shown

FILE = "100644"


def tree(*paths: str, links: dict[str, str] | None = None, submodules: tuple[str, ...] = ()) -> Tree:
    entries = {path: (FILE, f"{number:040x}") for number, path in enumerate(paths)}
    entries |= {path: (SYMLINK, digest(text)[-40:]) for path, text in (links or {}).items()}
    return Tree(entries | dict.fromkeys(submodules, (SUBMODULE, "5" * 40)), links or {})


PLAIN = tree("a.py", "pkg/__init__.py", "pkg/deep/b.py", "pkg-other/c.py", "pkg.py", "data/[old].csv", "with space")


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("a.py", {"a.py"}),
        ("./a.py", {"a.py"}),
        ("pkg", {"pkg/__init__.py", "pkg/deep/b.py"}),
        ("pkg/", {"pkg/__init__.py", "pkg/deep/b.py"}),
        ("pkg/**", {"pkg/__init__.py", "pkg/deep/b.py"}),
        ("**/*.py", {path for path in PLAIN.paths if path.endswith(".py")}),
        ("pkg*", {path for path in PLAIN.paths if path.startswith("pkg")}),
        ("data/[old].csv", {"data/[old].csv"}),
        (".", set(PLAIN.paths)),
        ("with space", {"with space"}),
        ("missing", set()),
        ("a.py/inside", set()),
        ("pk", set()),
    ],
)
def test_names(pattern: str, found: set[str]) -> None:
    assert PLAIN.match(pattern) == found


@pytest.mark.parametrize(
    ("links", "pattern", "found"),
    [
        ({"now": "store/v2"}, "now", {"now", "store/v2/x"}),
        ({"now": "store/v2"}, "now/x", {"store/v2/x"}),
        ({"in/now": "../store/v2"}, "in", {"in/now", "store/v2/x"}),
        ({"one": "two", "two": "store"}, "one", {"one", "two", "store/v1/x", "store/v2/x"}),
        ({"one": "two", "two": "store"}, "one/v1/x", {"store/v1/x"}),
        ({"out": "../elsewhere"}, "out", {"out"}),
        ({"out": "/elsewhere"}, "out/x", set()),
        ({"loop": "loop"}, "loop/x", set()),
        ({"a": "b", "b": "a"}, "a", {"a", "b"}),
        ({"self": "."}, "self/store/v1/x", {"store/v1/x"}),
    ],
)
def test_symbolic_links_bring_what_they_lead_to(links: dict[str, str], pattern: str, found: set[str]) -> None:
    assert tree("store/v1/x", "store/v2/x", links=links).match(pattern) == found


def test_links_that_lead_out() -> None:
    files = tree("x", links={"in": "x", "out": "/x", "broken": "nothing"})
    assert not files.leads_out(["in", "x"])
    assert files.leads_out(["in", "out"])
    assert files.leads_out(["broken"])


def test_a_path_in_a_submodule_is_the_submodule() -> None:
    files = tree("a", submodules=("libs/lib",))
    assert files.match("libs/lib") == files.match("libs/lib/deep/x.py") == files.match("libs") == {"libs/lib"}


@given(st.lists(st.text("ab/", min_size=1, max_size=4).filter(lambda text: "//" not in text), unique=True))
def test_a_folder_is_what_starts_with_it(names: list[str]) -> None:
    files = tree(*(name.strip("/") for name in names if name.strip("/")))
    for folder in ("a", "b", "a/b"):
        inside = {path for path in files.paths if path.startswith(f"{folder}/")}
        assert files.match(folder) == ({folder} if folder in files.entries else inside)


def test_the_digest_sees_content_mode_and_name() -> None:
    def of(path: str, mode: str, oid: str) -> str:
        return Tree({path: (mode, oid)}).digest(frozenset({path}))

    same = of("a", FILE, "1" * 40)
    assert same == of("a", FILE, "1" * 40)
    assert len({same, of("b", FILE, "1" * 40), of("a", "100755", "1" * 40), of("a", FILE, "2" * 40)}) == 4


def test_names_that_are_no_utf8() -> None:
    assert tree("\udcff.csv").digest(frozenset({"\udcff.csv"})).startswith("sha256:")
    assert shown("\udcff.csv\n\u202ex") == "\\xff.csv\\n\\u202ex"


def test_what_changed() -> None:
    before, after = tree("same", "gone"), Tree({"same": (FILE, f"{0:040x}"), "new": (FILE, "7" * 40)})
    assert changed(before, after) == ["gone", "new"]
    assert changed(before, after, ["same", "new", "never"]) == ["new"]


def test_the_file_of_a_function() -> None:
    files = tree("pkg/a.py", "src/pkg/b.py", "lib/__init__.py")
    assert module_files("pkg.a:f", files) == {"pkg/a.py"}
    assert module_files("pkg.b:f", files) == {"src/pkg/b.py"}
    assert module_files("lib:f", files) == {"lib/__init__.py"}
    assert module_files("numpy:mean", files) == frozenset()


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


def test_many_links_to_the_same_folder_cost_one_look() -> None:
    links = {f"links/{number}": ".." for number in range(3_000)}
    many = tree(*(f"data/{number}" for number in range(30_000)), links=links)
    started = time.process_time()
    assert len(many.match("links")) == 33_000
    assert time.process_time() - started < 1
