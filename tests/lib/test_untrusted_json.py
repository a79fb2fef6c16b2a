"""JSON from strangers."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from mlbot.lib.record import Count, Record
from mlbot.lib.untrusted_json import HostileJsonError, load, read


class Sample(Record):
    name: str
    size: Count = 0
    values: dict[str, float] = Field(default_factory=dict)


CASES: list[tuple[str, bytes, str]] = [
    ("NaN", b'{"a": NaN}', "NaN or Infinity"),
    ("minus Infinity", b"[-Infinity]", "NaN or Infinity"),
    ("a float over the top", b"[1e999]", "too large"),
    ("a long integer", b"1" * 50, "too large"),
    ("a long float", b"0." + b"1" * 50, "too large"),
    ("equal keys", b'{"a": 1, "a": 2}', "a field twice"),
    ("equal keys, one escaped", b'{"a": 1, "\\u0061": 2}', "a field twice"),
    ("equal keys far down", b'[[{"x": {"a": 1, "a": 1}}]]', "a field twice"),
    ("too deep", b"[" * 33 + b"]" * 33, "more than 32 deep"),
    ("unclosed and deep", b'{"a":' * 100_000, "more than 32 deep"),
    ("no UTF-8", b'"\xff"', "not JSON in UTF-8"),
    ("UTF-16", '{"a": 1}'.encode("utf-16"), "not JSON in UTF-8"),
    ("a byte order mark", b"\xef\xbb\xbf{}", "not JSON in UTF-8"),
    ("half a surrogate pair", b'"\\ud800"', "not JSON in UTF-8"),
    ("two documents", b"{} {}", "not JSON in UTF-8"),
    ("nothing", b"", "not JSON in UTF-8"),
    ("a comment", b"{} // x", "not JSON in UTF-8"),
    ("a trailing comma", b"[1,]", "not JSON in UTF-8"),
    ("a raw newline in a string", b'"\n"', "not JSON in UTF-8"),
]


@pytest.mark.parametrize(("raw", "said"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_what_is_refused(raw: bytes, said: str) -> None:
    with pytest.raises(HostileJsonError, match=said) as caught:
        load(raw, "training.json")
    assert str(caught.value).startswith("training.json ")


def test_size() -> None:
    load(b'"' + b"x" * 98 + b'"', "x", most_bytes=100)
    with pytest.raises(HostileJsonError, match="more than 100 bytes"):
        load(b'"' + b"x" * 99 + b'"', "x", most_bytes=100)


def test_depth_counts_brackets_outside_strings_only() -> None:
    assert load(b'{"[[[[": "\\"[[[[{{"}', "x", most_depth=1) == {"[[[[": '"[[[[{{'}
    assert load(b"[[1]]", "x", most_depth=2) == [[1]]


@pytest.mark.parametrize("raw", [b'"' + b'\\"' * 450_000, b'"a' * 450_000, b"\\" * 900_000, b'"\\' * 450_000])
def test_strings_that_never_end_take_no_longer_than_others(raw: bytes) -> None:
    began = time.process_time()
    with pytest.raises(HostileJsonError):
        load(raw, "x")
    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b'{"name": "a", "evil<script>": 1}', "x has a field that does not belong there"),
        (b"{}", "x has no name"),
        (b'{"name": 1}', "x has an unusable name"),
        (b'{"name": "a", "size": true}', "x has an unusable size"),
        (b'{"name": "a", "size": -1}', "x has an unusable size"),
        (b'{"name": "a", "size": 1.0}', "x has an unusable size"),
        (b'{"name": "a", "values": {"<b>": "x"}}', "x has an unusable values"),
        (b"[]", "x has an unusable value"),
    ],
)
def test_a_closed_schema(raw: bytes, said: str) -> None:
    with pytest.raises(HostileJsonError) as caught:
        read(raw, Sample, "x")
    assert str(caught.value) == said


def test_a_record_is_read() -> None:
    expected = Sample(name="a", size=3, values={"b": 0.5})
    assert read(expected.model_dump_json().encode(), Sample, "x") == expected


@given(st.binary(max_size=300))
def test_any_bytes_are_a_value_or_a_refusal(raw: bytes) -> None:
    try:
        value = load(raw, "x")
    except HostileJsonError:
        return
    assert json.loads(raw) == value


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
numbers = st.integers(-(10**30), 10**30) | st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=15,
)


@given(json_values)
def test_ordinary_json_is_read_as_everybody_reads_it(value: Any) -> None:
    assert load(json.dumps(value).encode(), "x") == value
