"""The model repository's layout, read and written."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.places import made, version

from mlbot.errors import NotEvaluatedError, RefusedError, UsageError
from mlbot.lib.version import Served, Version
from mlbot.storage.objects import LocalObjects
from mlbot.storage.target_files import (
    MOST_VERSIONS,
    Config,
    FilesTarget,
    config_text,
    number_of,
    read_config,
    read_staged,
)

DIGEST = f"sha256:{'a' * 64}"
PARTS = st.integers(0, 999)
VERSIONS = st.tuples(PARTS, PARTS, PARTS).filter(any).map(lambda parts: ".".join(map(str, parts)))


def config(version: str = "1.2.3", kept: tuple[str, ...] = ("1.2.3", "1.0.0"), extra: str = "") -> Config:
    return Config(served=Served(version=version, digest=DIGEST), versions=kept, extra=extra)


@given(VERSIONS, VERSIONS)
def test_numbers_sort_as_versions_do(one: str, other: str) -> None:
    parts = [tuple(map(int, text.split("."))) for text in (one, other)]
    assert (number_of(one) < number_of(other)) == (parts[0] < parts[1])
    assert 0 < number_of(one) < 1 << 63


def test_a_pre_release_has_a_number_of_its_own_above_all() -> None:
    found = {number_of(version) for version in ("1.0.0-rc.1", "1.0.0-rc.2", "1.0.0-0", "2.0.0-rc.1")}
    assert len(found) == 4
    assert number_of("999.999.999") < min(found) <= max(found) < 1 << 63
    assert read_config(config_text("churn", config("1.0.0-rc.1", ("1.0.0-rc.1", "1.0.0"))).encode(), "churn") == config(
        "1.0.0-rc.1", ("1.0.0-rc.1", "1.0.0")
    )


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


# A model repository in a folder: what is kept, what is verified, what is left alone.


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "served"


@pytest.fixture
def target(root: Path) -> FilesTarget:
    return FilesTarget(LocalObjects(root))


def deploy(target: FilesTarget, text: str, folder: Path) -> Served:
    digest, file = made(folder / "made", text.encode())
    target.stage("m", version(text), digest, file)
    target.switch("m", version(text))
    return Served(version=text, digest=digest)


def numbers(root: Path) -> set[str]:
    return {path.name for path in (root / "m").iterdir() if path.name.isdigit()}


def test_the_layout_of_triton_and_kserve(target: FilesTarget, root: Path, tmp_path: Path) -> None:
    deploy(target, "1.2.0", tmp_path)
    files = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    assert files == {"m/config.pbtxt", "m/1002000/model.onnx", "m/1002000/mlbot.json"}
    assert (root / "m" / "1002000" / "model.onnx").read_bytes() == b"1.2.0"
    assert {path.name for path in root.iterdir()} == {"m"}


def test_the_last_good_versions_are_kept(target: FilesTarget, root: Path, tmp_path: Path) -> None:
    for minor in range(6):
        deploy(target, f"1.{minor}.0", tmp_path)
    assert numbers(root) == {"1005000", "1004000", "1003000"}
    assert len(numbers(root)) == MOST_VERSIONS
    deploy(target, "1.3.0", tmp_path)
    deploy(target, "2.0.0", tmp_path)
    assert numbers(root) == {"2000000", "1003000", "1005000"}


def test_what_was_staged_and_never_switched_goes_with_the_next_switch(
    target: FilesTarget, root: Path, tmp_path: Path
) -> None:
    digest, file = made(tmp_path, b"abandoned")
    target.stage("m", version("9.0.0"), digest, file)
    deploy(target, "1.0.0", tmp_path)
    assert numbers(root) == {"1000000"}


def test_settings_of_ones_own_stay(target: FilesTarget, root: Path, tmp_path: Path) -> None:
    deploy(target, "1.0.0", tmp_path)
    config = root / "m" / "config.pbtxt"
    own = "instance_group [{ kind: KIND_CPU, count: 2 }]\n"
    config.write_text(config.read_text() + own)
    served = deploy(target, "1.1.0", tmp_path)
    assert config.read_text().endswith(own)
    assert target.live("m") == served


def test_somebody_elses_config_is_not_overwritten(target: FilesTarget, root: Path, tmp_path: Path) -> None:
    (root / "m").mkdir(parents=True)
    (root / "m" / "config.pbtxt").write_text('name: "m"\n')
    with pytest.raises(RefusedError, match="not written by mlbot"):
        deploy(target, "1.0.0", tmp_path)
    assert (root / "m" / "config.pbtxt").read_text() == 'name: "m"\n'


@pytest.mark.parametrize("content", [b"", b"1.1.1", b"1.1.0 and more"])
def test_bytes_that_changed_after_staging_are_not_served(
    target: FilesTarget, root: Path, tmp_path: Path, content: bytes
) -> None:
    served = deploy(target, "1.0.0", tmp_path)
    digest, file = made(tmp_path, b"1.1.0")
    target.stage("m", version("1.1.0"), digest, file)
    (root / "m" / "1001000" / "model.onnx").write_bytes(content)
    with pytest.raises(NotEvaluatedError, match="changed or damaged"):
        target.switch("m", version("1.1.0"))
    assert target.live("m") == served
    target.stage("m", version("1.1.0"), digest, file)
    target.switch("m", version("1.1.0"))
    assert target.fetch("m", tmp_path / "got") == Served(version="1.1.0", digest=digest)


def test_bytes_that_changed_while_served_are_not_given(target: FilesTarget, root: Path, tmp_path: Path) -> None:
    deploy(target, "1.0.0", tmp_path)
    (root / "m" / "1000000" / "model.onnx").write_bytes(b"other")
    with pytest.raises(NotEvaluatedError, match="changed or damaged"):
        target.fetch("m", tmp_path / "got")
    (root / "m" / "1000000" / "model.onnx").unlink()
    with pytest.raises(NotEvaluatedError, match="not there"):
        target.fetch("m", tmp_path / "got")
    assert not (tmp_path / "got").exists()
