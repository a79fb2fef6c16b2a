"""Digests of files that git does not track."""

import json
import os
from hashlib import sha256
from pathlib import Path

import pytest

from mlbot.git.contents import digests

LONG_AGO = 10**18


def write(path: Path, text: str, *, rested: bool = True) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    if rested:
        os.utime(path, ns=(LONG_AGO, LONG_AGO))


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def test_a_file_has_the_sha256_of_its_bytes(tmp_path: Path, state: Path) -> None:
    write(tmp_path / "data.csv", "1,2\n")
    found = digests(tmp_path, state, ["data.csv", "missing.csv"])
    assert found == {"data.csv": f"sha256:{sha256(b'1,2' + bytes([10])).hexdigest()}"}


def test_a_folder_sees_names_and_contents(tmp_path: Path, state: Path) -> None:
    seen = set()
    for name, text in (("a", "1"), ("b", "1"), ("b", "2")):
        folder = tmp_path / f"{name}{text}"
        write(folder / "data" / name, text)
        seen.add(digests(folder, state, ["data"])["data"])
    assert len(seen) == 3


def test_what_is_known_is_not_read_again(tmp_path: Path, state: Path) -> None:
    write(tmp_path / "data.csv", "1")
    first = digests(tmp_path, state, ["data.csv"])
    cache = state / "digests.json"
    # Young files are not kept: only then can a second change within one tick of the clock go unseen.
    assert not cache.exists()
    status = (tmp_path / "data.csv").stat()
    facts = [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev]
    state.mkdir()
    known = {"facts": facts, "digest": "sha256:" + "0" * 64}
    cache.write_text(json.dumps({"files": {str(tmp_path / "data.csv"): known}}))
    assert digests(tmp_path, state, ["data.csv"])["data.csv"] == "sha256:" + "0" * 64
    write(tmp_path / "data.csv", "2")
    assert digests(tmp_path, state, ["data.csv"])["data.csv"] not in {"sha256:" + "0" * 64, first["data.csv"]}


def test_a_rested_file_is_kept(tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "data.csv", "1")
    monkeypatch.setattr("mlbot.git.contents._SETTLED_NS", -(10**18))
    found = digests(tmp_path, state, ["data.csv"])
    known = json.loads((state / "digests.json").read_text())["files"]
    assert known[str(tmp_path / "data.csv")]["digest"] == found["data.csv"]
    assert list((state / "scratch").iterdir()) == []


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"files": {"x": 1}}', "null"])
def test_a_damaged_cache_is_as_none(tmp_path: Path, state: Path, damage: str) -> None:
    write(tmp_path / "data.csv", "1")
    expected = digests(tmp_path, tmp_path / "other", ["data.csv"])
    state.mkdir(exist_ok=True)
    (state / "digests.json").write_text(damage.replace("x", str(tmp_path / "data.csv")))
    assert digests(tmp_path, state, ["data.csv"]) == expected
