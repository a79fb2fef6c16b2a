"""The listing of a folder, and its digest."""

import hashlib
import json
import unicodedata
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbot.lib.artifact import LISTING, MOST_DEPTH, MOST_FILES, Listing, Member, Unfit, UnfitError
from mlbot.lib.record import digest

NAMES = st.text("abcxyzAB.-_ é", min_size=1, max_size=6).filter(lambda name: name not in {".", ".."})
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)


def member(path: str, content: bytes = b"x", *, executable: bool = False) -> Member:
    return Member(path=path, digest=digest(content), size_bytes=len(content), executable=executable)


def test_the_digest_is_sha256_of_prefix_and_canonical_json() -> None:
    found = Listing.of([member("b/c", b"22", executable=True), member("a")])
    rows = [["a", digest(b"x"), 1, False], ["b/c", digest(b"22"), 2, True]]
    text = b"mlbot-tree-v1\n" + json.dumps(rows, separators=(",", ":")).encode()
    assert found.digest == f"sha256:{hashlib.sha256(text).hexdigest()}"
    assert (found.size_bytes, found.blobs) == (3, {digest(b"x"): 1, digest(b"22"): 2})


def test_paths_are_in_the_order_of_their_bytes() -> None:
    paths = ["z", "é", "a/b", "a-", "\N{MATHEMATICAL BOLD SMALL A}", "\uff5e"]
    found = [each.path for each in Listing.of(map(member, paths)).members]
    assert found == sorted(paths, key=str.encode)


@given(st.lists(PATHS, unique=True, min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_a_listing_reads_back_whatever_the_order(paths: list[str], random: Random) -> None:
    members = [member(unicodedata.normalize("NFC", path), path.encode()) for path in paths]
    try:
        listing = Listing.of(members)
    except UnfitError as error:
        assert error.why is Unfit.TWINS  # noqa: PT017 - most draws are fit
        return
    random.shuffle(members)
    assert Listing.of(members) == listing == Listing.read(listing.document)


@pytest.mark.parametrize(
    ("paths", "why"),
    [
        ([], Unfit.EMPTY),
        (["/a"], Unfit.NAME),
        (["../a"], Unfit.NAME),
        (["a/../b"], Unfit.NAME),
        (["a//b"], Unfit.NAME),
        (["a/"], Unfit.NAME),
        (["./a"], Unfit.NAME),
        (["a\\b"], Unfit.NAME),
        (["a\nb"], Unfit.NAME),
        (["a\0"], Unfit.NAME),
        (["a\N{RIGHT-TO-LEFT OVERRIDE}b"], Unfit.NAME),
        (["a\N{ZERO WIDTH SPACE}"], Unfit.NAME),
        (["\udcff"], Unfit.NAME),
        ([unicodedata.normalize("NFD", "é")], Unfit.NAME),
        (["x" * 256], Unfit.NAME),
        (["/".join(["x" * 200] * 6)], Unfit.NAME),
        (["/".join("x" * (MOST_DEPTH + 1))], Unfit.TOO_DEEP),
        (["a", "a"], Unfit.TWINS),
        (["a", "A"], Unfit.TWINS),
        (["a/x", "A/y"], Unfit.TWINS),
        (["a", "a/b"], Unfit.TWINS),
        (["a", "A/b"], Unfit.TWINS),
        (["straße", "STRASSE"], Unfit.TWINS),
        ([f"{number}" for number in range(MOST_FILES + 1)], Unfit.TOO_MANY),
    ],
)
def test_what_is_no_folder_of_an_artifact(paths: list[str], why: Unfit) -> None:
    with pytest.raises(UnfitError) as error:
        Listing.of(map(member, paths))
    assert error.value.why is why


@pytest.mark.parametrize("paths", [["a/b", "a/c", "ab", "A b"], ["/".join("x" * MOST_DEPTH)], ["..."], [".hidden"]])
def test_what_is_one(paths: list[str]) -> None:
    assert len(Listing.of(map(member, paths)).members) == len(paths)


GOOD = Listing.of([member("a"), member("b")]).document


@pytest.mark.parametrize(
    "content",
    [
        b"",
        LISTING,
        LISTING + b"{}",
        LISTING + b"[]",
        GOOD + b"\n",
        GOOD.replace(b",", b", "),
        GOOD.replace(b'"a"', b'"../a"'),
        GOOD.replace(b'"b"', b'"A"'),
        GOOD.replace(b",1,", b",true,"),
        GOOD.replace(b",1,", b",-1,"),
        GOOD.replace(b"false", b"0"),
        LISTING + GOOD,
        GOOD.replace(b'["a"', b'["c"'),  # not in order
        LISTING + b"[" * 1000,
        LISTING + b"\xff",
    ],
)
def test_what_reads_as_no_listing(content: bytes) -> None:
    with pytest.raises(UnfitError):
        Listing.read(content)
