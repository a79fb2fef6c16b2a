"""A folder and an object store behave alike."""

import os
import time
from pathlib import Path

import fsspec
import pytest
from tests.support.places import made

from mlbot.errors import NotEvaluatedError, UsageError
from mlbot.storage.objects import Objects, open_objects, relative


@pytest.fixture(params=["folder", "file", "memory"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> Objects:
    urls = {"folder": "models", "file": (tmp_path / "a b").as_uri(), "memory": f"memory://{tmp_path.name}{time.time()}"}
    return open_objects(urls[request.param], tmp_path)


def test_what_is_written_is_read(objects: Objects, tmp_path: Path) -> None:
    _, file = made(tmp_path, b"x" * 3_000_000)
    assert objects.size("a/b/c") is None
    assert objects.read("a/b/c", 10) is None
    assert objects.folders("a") == ()
    objects.upload(file, "a/b/c")
    objects.write("a/small", b"one")
    objects.write("a/small", b"two")
    assert (objects.size("a/b/c"), objects.read("a/small", 3)) == (3_000_000, b"two")
    assert b"".join(objects.chunks("a/b/c")) == file.read_bytes()
    assert [name for name in objects.folders("a") if not name.startswith(".")] == ["b"]
    with pytest.raises(NotEvaluatedError, match="more than 2 bytes"):
        objects.read("a/small", 2)


def test_an_object_is_taken_away_alone(objects: Objects) -> None:
    objects.write("m/x", b"1")
    objects.write("m/y", b"1")
    for name in ("m/x", "m/x", "m/x/z", "n/z"):
        objects.remove(name)
    assert (objects.size("m/x"), objects.size("m/y")) == (None, 1)


def test_a_folder_goes_with_all_that_is_in_it(objects: Objects) -> None:
    objects.write("m/1/x", b"1")
    objects.write("m/1/y/z", b"1")
    objects.write("m/2/x", b"2")
    objects.remove_folder("m/1")
    objects.remove_folder("m/1")
    assert objects.size("m/1/x") is None
    assert objects.read("m/2/x", 9) == b"2"


def test_what_is_not_there_is_told_from_what_fails(objects: Objects) -> None:
    with pytest.raises(FileNotFoundError):
        list(objects.chunks("no/such"))


def test_an_object_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "models" / "a").mkdir(parents=True)
    with pytest.raises(NotEvaluatedError, match="cannot be read or written"):
        list(open_objects("models", tmp_path).chunks("a"))


@pytest.mark.parametrize("name", ["", "/etc/passwd", "../x", "a/../b", "a//b", "a/", "a\\b", "."])
def test_no_name_leads_out(name: str, objects: Objects) -> None:
    with pytest.raises(ValueError, match="no name of an object"):
        relative(name)
    with pytest.raises((ValueError, NotEvaluatedError)):
        objects.write(name, b"")


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file")
    with pytest.raises(NotEvaluatedError, match="cannot be read or written") as caught:
        open_objects("models", tmp_path).write("a/b", b"")
    assert "models/a/b" in caught.value.where


def test_a_failing_object_store_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("AccessDenied:\n  <xml>")

    monkeypatch.setattr(fsspec.get_filesystem_class("memory"), "info", fails)
    with pytest.raises(NotEvaluatedError, match="cannot be read or written: AccessDenied: <xml>"):
        open_objects("memory://bucket", Path()).size("a")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nosuch://x", "nothing that is installed reaches nosuch://: Protocol not known: nosuch"),
        ("file://srv/models", "Write three slashes"),
    ],
)
def test_an_url_that_is_none(url: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_objects(url, Path())
    assert said in str(caught.value)


def test_parts_of_the_dead_are_swept_after_a_day_and_no_sooner(tmp_path: Path) -> None:
    objects = open_objects("models", tmp_path)
    objects.write("a/b", b"")
    parts = tmp_path / "models" / "a" / ".mlbot-parts"
    old, new = parts / "old", parts / "new"
    old.write_text("")
    new.write_text("")
    os.utime(old, (0, 0))
    objects.write("a/b", b"")
    assert sorted(parts.iterdir()) == [new]


def test_files_can_be_read_by_a_server_of_another_user(tmp_path: Path) -> None:
    open_objects("models", tmp_path).write("a/b", b"")
    assert (tmp_path / "models" / "a" / "b").stat().st_mode & 0o777 == 0o644
