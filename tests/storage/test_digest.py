"""Bytes are taken only if they are those that were asked for."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbot.errors import NotEvaluatedError
from mlbot.storage.digest import OtherBytesError, checked, chunks_of, digest_of, take


def named(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@given(st.lists(st.binary(max_size=20), max_size=5))
def test_the_right_bytes_pass_however_they_are_cut(chunks: list[bytes]) -> None:
    whole = b"".join(chunks)
    for size in (None, len(whole)):
        assert b"".join(checked(chunks, named(whole), size=size, where="x")) == whole


@given(st.binary(max_size=20), st.binary(max_size=20), st.booleans())
def test_other_bytes_do_not(asked: bytes, given: bytes, sized: bool) -> None:  # noqa: FBT001 - hypothesis draws it
    size = len(asked) if sized else None
    if asked == given:
        return
    with pytest.raises(OtherBytesError, match="changed or damaged"):
        list(checked([given], named(asked), size=size, where="x"))


def test_too_many_bytes_are_not_read_to_their_end() -> None:
    given: list[int] = []

    def endless() -> "list[bytes]":
        given.append(1)
        return [b"x" * 10]

    chunks = (chunk for _ in range(1000) for chunk in endless())
    with pytest.raises(OtherBytesError, match="more than 25 bytes"):
        list(checked(chunks, named(b""), size=25, where="x"))
    assert len(given) == 3


def test_a_file_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NotEvaluatedError, match="cannot be written"):
        take([b"a"], tmp_path / "file" / "inside", named(b"a"), size=1, where="x")


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "new" / "file"
    with pytest.raises(NotEvaluatedError):
        take([b"a", b"b"], target, named(b"other"), size=None, where="x")
    assert list(target.parent.iterdir()) == []
    take([b"a", b"b"], target, named(b"ab"), size=2, where="x")
    with pytest.raises(NotEvaluatedError):
        take([b"c"], target, named(b"other"), size=None, where="x")
    assert (target.read_bytes(), digest_of(target)) == (b"ab", named(b"ab"))
    assert b"".join(chunks_of(target)) == b"ab"
    assert list(target.parent.iterdir()) == [target]
