"""Every store keeps files by digest, gives back exactly those, and says so when it cannot."""

import json
import time
from pathlib import Path

import pytest
from tests.support.places import hashed, made, made_folder

from mlbot.errors import MissingDriverError, NotEvaluatedError, UsageError
from mlbot.lib.artifact import LISTING
from mlbot.storage import oci
from mlbot.storage.artifact import listing_of, measured
from mlbot.storage.digest import digest_of
from mlbot.storage.objects import LocalObjects
from mlbot.storage.store import ModelStore, NotStoredError, OciStore, open_store

KINDS = ("folder", "object store", "registry")


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "registry":
        return str(request.getfixturevalue("registry"))
    return "kept" if request.param == "folder" else f"memory://{tmp_path.name}{time.time()}/kept"


@pytest.fixture
def store(url: str, tmp_path: Path) -> ModelStore:
    return open_store(url, tmp_path)


@pytest.mark.parametrize("name", ["model.onnx", "golden.json"])
@pytest.mark.parametrize("size", [0, 1, 3 << 20])
def test_what_is_put_is_got(store: ModelStore, tmp_path: Path, name: str, size: int) -> None:
    digest, file = made(tmp_path / "made", b"x" * size, name)
    assert not store.has(digest)
    assert store.put(digest, file)
    assert store.has(digest)
    store.get(digest, tmp_path / "new" / "got", size=size)
    store.get(digest, tmp_path / "new" / "got")
    assert (tmp_path / "new" / "got").read_bytes() == file.read_bytes()


def test_a_second_put_does_nothing(store: ModelStore, url: str, tmp_path: Path) -> None:
    digest, file = made(tmp_path)
    assert [store.put(digest, file), store.put(digest, file)] == [True, False]
    assert not open_store(url, tmp_path).put(digest, file)


def test_many_digests_beside_each_other(store: ModelStore, tmp_path: Path) -> None:
    kept = [made(tmp_path / str(n), str(n).encode()) for n in range(5)]
    assert all(store.put(digest, file) for digest, file in kept)
    for digest, file in kept:
        store.get(digest, tmp_path / "got")
        assert (tmp_path / "got").read_bytes() == file.read_bytes()


def test_what_is_not_there(store: ModelStore, tmp_path: Path) -> None:
    digest, _ = made(tmp_path)
    with pytest.raises(NotStoredError, match="nothing is stored as sha256:") as caught:
        store.get(digest, tmp_path / "got")
    assert caught.value.where == store.url
    assert not (tmp_path / "got").exists()


def test_a_file_under_anothers_digest_is_not_kept(store: ModelStore, tmp_path: Path) -> None:
    digest, _ = made(tmp_path / "a", b"a")
    _, other = made(tmp_path / "b", b"b")
    with pytest.raises(NotEvaluatedError, match="has the digest"):
        store.put(digest, other)
    with pytest.raises(NotEvaluatedError, match="no such file"):
        store.put(digest, tmp_path / "absent")
    assert not store.has(digest)


def test_another_size_than_expected(store: ModelStore, tmp_path: Path) -> None:
    digest, file = made(tmp_path, b"12345")
    store.put(digest, file)
    for size in (4, 6):
        with pytest.raises(NotEvaluatedError, match="bytes"):
            store.get(digest, tmp_path / "got", size=size)
    assert not (tmp_path / "got").exists()


def test_the_url_is_what_was_asked_for(url: str, tmp_path: Path) -> None:
    expected = (tmp_path / "kept").as_uri() if url == "kept" else url
    assert open_store(url, tmp_path).url == expected


@pytest.mark.parametrize("content", [b"", b"the modek", b"the model and more"])
def test_changed_bytes_are_never_given(tmp_path: Path, content: bytes) -> None:
    store = open_store("kept", tmp_path)
    digest, file = made(tmp_path)
    store.put(digest, file)
    (kept,) = (path for path in (tmp_path / "kept").rglob("*") if path.is_file())
    kept.write_bytes(content)
    with pytest.raises(NotEvaluatedError, match="changed or damaged"):
        store.get(digest, tmp_path / "got")
    assert not (tmp_path / "got").exists()


def test_a_put_fixes_what_an_interrupted_upload_left(tmp_path: Path) -> None:
    store = open_store("kept", tmp_path)
    digest, file = made(tmp_path)
    store.put(digest, file)
    (kept,) = (path for path in (tmp_path / "kept").rglob("*") if path.is_file())
    kept.write_bytes(b"the")
    assert store.put(digest, file)
    store.get(digest, tmp_path / "got")


def test_a_folder_needs_no_extra_and_an_object_store_says_which(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "fsspec", None)
    digest, file = made(tmp_path)
    assert open_store("kept", tmp_path).put(digest, file)
    for protocol, extra in (
        ("s3", "s3"),
        ("gs", "gcs"),
        ("az", "azure"),
        ("https", "http"),
        ("hf", "hf"),
        ("sftp", "deploy"),
    ):
        with pytest.raises(MissingDriverError, match=f"{protocol}:// needs the optional part '{extra}'"):
            open_store(f"{protocol}://bucket/models", tmp_path)


@pytest.mark.parametrize(
    "url", ["oci://", "oci://ghcr.io", "oci://ghcr.io/", "oci:///a/b", "oci://a b/c", "oci://h/a//b"]
)
def test_no_registry(url: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no registry and repository"):
        open_store(url, tmp_path)


def test_a_folder_is_got_as_it_was_put(store: ModelStore, url: str, tmp_path: Path) -> None:
    digest, folder = made_folder(tmp_path / "made")
    assert not store.has(digest)
    assert [store.put(digest, folder), store.put(digest, folder)] == [True, False]
    assert store.has(digest)
    size = measured(folder).size_bytes
    open_store(url, tmp_path).get(digest, tmp_path / "got", size=size)
    assert listing_of(tmp_path / "got") == listing_of(folder)
    with pytest.raises(NotEvaluatedError, match="bytes"):
        store.get(digest, tmp_path / "other", size=size + 1)
    with pytest.raises(NotEvaluatedError, match="has the digest"):
        store.put(digest.replace(digest[-1], "0" if digest[-1] != "0" else "1"), folder)
    assert not (tmp_path / "other").exists()


def test_a_folder_that_is_put_is_hashed_once(
    store: ModelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest, folder = made_folder(tmp_path / "made")
    files = hashed(monkeypatch)
    store.put(digest, folder)
    assert sorted(files) == [".empty", "a/again", "a/weights", "run"]


@pytest.mark.parametrize("change", ["weights", "listing", "gone"])
def test_a_folder_that_was_damaged_is_never_given(tmp_path: Path, change: str) -> None:
    store = open_store("kept", tmp_path)
    digest, folder = made_folder(tmp_path / "made")
    store.put(digest, folder)
    weights = digest_of(folder / "a" / "weights")
    place = tmp_path / "kept" / "sha256"
    listing, file = (place / hexed[:2] / hexed for hexed in (digest[7:], weights[7:]))
    if change == "gone":
        file.unlink()
    else:
        (file if change == "weights" else listing).write_bytes(LISTING + b"[]")
    with pytest.raises(NotEvaluatedError):
        store.get(digest, tmp_path / "got")
    assert not (tmp_path / "got").exists()
    assert store.put(digest, folder)
    store.get(digest, tmp_path / "got")


def test_a_folder_half_put_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store("kept", tmp_path)
    digest, folder = made_folder(tmp_path / "made")
    monkeypatch.setattr(LocalObjects, "write", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        store.put(digest, folder)
    assert not store.has(digest)
    monkeypatch.undo()
    assert store.put(digest, folder)
    assert store.has(digest)


def test_a_registry_says_what_kind_of_file_it_is(registry: str, tmp_path: Path) -> None:
    """A pickle is no ONNX file, whatever it is called on this machine."""
    digest, file = made(tmp_path, b"pickle")
    OciStore.of(registry).put(digest, file, name="artifact")
    place = oci.Registry(oci.Place.of(registry), None)
    content = place.manifest(digest.replace(":", "-"))
    assert content is not None
    manifest = json.loads(content)
    assert manifest["layers"][0]["annotations"]["org.cncf.model.filepath"] == "artifact"
    assert manifest["layers"][0]["mediaType"] == oci.WEIGHT_TYPE
    place.fetch_blob(manifest["config"]["digest"], manifest["config"]["size"], tmp_path / "config")
    assert json.loads((tmp_path / "config").read_text())["config"] == {}
