"""The canonical JSON and the digest, beside what hashlib and sha256sum say."""

from pathlib import Path

import pytest

from mlbot.lib.record import canonical, digest, digest_of_stream, document

ABC = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, appendix B.1


def test_keys_are_sorted_and_text_is_ascii() -> None:
    assert canonical({"b": [1, 1.0, True, None], "a": "é"}) == '{"a":"\\u00e9","b":[1,1.0,true,null]}'
    assert document({"a": 1}) == b'{"a":1}\n'


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_what_is_no_number_has_no_form(number: float) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical({"a": number})


def test_the_digest_of_text_bytes_and_files(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    with (tmp_path / "abc").open("rb") as stream:
        assert digest("abc") == digest(b"abc") == digest_of_stream(stream) == ABC
    assert digest("\udcff") == digest(b"\xff")
