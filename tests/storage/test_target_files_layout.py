"""The model repository's layout, read and written."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbot.errors import UsageError
from mlbot.lib.version import Served, Version
from mlbot.storage.target_files import Config, config_text, number_of, read_config, read_staged

DIGEST = f"sha256:{'a' * 64}"
PARTS = st.integers(0, 999)
VERSIONS = st.tuples(PARTS, PARTS, PARTS).filter(any).map(lambda parts: ".".join(map(str, parts)))


def config(version: str = "1.2.3", kept: tuple[str, ...] = ("1.2.3", "1.0.0"), extra: str = "") -> Config:
    return Config(served=Served(version=version, digest=DIGEST), kept=kept, extra=extra)


@given(VERSIONS, VERSIONS)
def test_numbers_sort_as_versions_do(one: str, other: str) -> None:
    parts = [tuple(map(int, text.split("."))) for text in (one, other)]
    assert (number_of(one) < number_of(other)) == (parts[0] < parts[1])
    assert 0 < number_of(one) < 1 << 63


@pytest.mark.parametrize(
    "version", ["0.0.0", "1000.0.0", "1.1000.0", "1.0.1000", "1.0", "v1.0.0", "01.0.0", "1.0.0\n", ""]
)
def test_versions_without_a_number(version: str) -> None:
    with pytest.raises(UsageError, match="has no folder number"):
        number_of(version)


def test_a_version_as_text() -> None:
    assert Version.parse("1.20.300").text == "1.20.300"


@given(VERSIONS, st.lists(VERSIONS, max_size=3).map(tuple), st.text('abc {}\n"#', max_size=40))
def test_a_config_is_read_as_it_was_written(version: str, kept: tuple[str, ...], extra: str) -> None:
    written = config(version, kept, extra)
    assert read_config(config_text("m", written).encode(), "m") == written


def test_triton_serves_this_version_alone() -> None:
    text = config_text("adult-income", config())
    assert 'name: "adult-income"\n' in text
    assert re.search(r"^version_policy \{ specific \{ versions: \[1002003\] \} \}$", text, re.MULTILINE)


@pytest.mark.parametrize(
    "change",
    [
        ("1002003", "1002004"),
        ("1.2.3", "1.2.4"),
        ('name: "m"', 'name: "n"'),
        ("backend", "platform"),
        (DIGEST, "sha256:x"),
        ("# Written", "#"),
        ("1.0.0", "1.0.0\\n"),
    ],
)
def test_a_config_that_was_changed_is_not_believed(change: tuple[str, str]) -> None:
    text = config_text("m", config())
    assert read_config(text.replace(*change, 1).encode(), "m") is None


@given(st.binary(max_size=200))
def test_any_other_file_is_none(content: bytes) -> None:
    assert read_config(content, "m") is None
    assert read_staged(content) is None
