"""Models that were made elsewhere: what is brought is what the pin says, or it is a fault."""

import hashlib
import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import fsspec
import pytest
from tests.support.git_samples import Sandbox, make
from tests.support.places import made, made_folder

from mlbot.config.schema import parse_config
from mlbot.config.yaml import load
from mlbot.errors import MissingDriverError, UsageError
from mlbot.git.repository import Repository
from mlbot.ledger.entries import Origin
from mlbot.lib.artifact import UnfitError
from mlbot.lib.record import FileDigest, digest
from mlbot.lib.tree import Tree
from mlbot.plan.content_key import Side
from mlbot.storage import oci
from mlbot.storage.artifact import listing_of, measured
from mlbot.storage.store import OciStore
from mlbot.training.run_bring import Bringing, UnreachableError

pytestmark = pytest.mark.usefixtures("git_settings")
CONFIG = """
models:
  churn:
    task: binary
    artifact: {artifact}
    limits: {{size: 100kB}}
    data: {{holdout: h.csv, target: y}}
    gates: {{roc_auc: {{min: 0.5}}}}
"""


@pytest.fixture
def repository(tmp_path: Path, git_settings: None) -> Sandbox:
    del git_settings
    return make(tmp_path / "repository")


def bringing(sandbox: Sandbox, artifact: str) -> Bringing:
    """What a commit of all that is there brings."""
    sha = sandbox.commit({"mlbot.yaml": CONFIG.format(artifact=artifact), "h.csv": "y\n"})
    repository = Repository.discover(sandbox.path)
    config = parse_config(load(CONFIG.format(artifact=artifact), "mlbot.yaml"))
    model = config.models[0]
    assert model.artifact is not None
    side = Side(config=config, tree=repository.tree(sha))
    return Bringing(model=model, artifact=model.artifact, side=side, repository=repository)


def bring(sandbox: Sandbox, artifact: str, target: Path) -> tuple[FileDigest, Origin]:
    return bringing(sandbox, artifact).bring(target)


def key(sandbox: Sandbox, artifact: str) -> str:
    found = bringing(sandbox, artifact)
    return found.side.inputs(found.model).key


def test_a_file_of_git_is_its_blob_whatever_filters_say(repository: Sandbox, tmp_path: Path) -> None:
    repository.write({".gitattributes": "*.onnx text eol=crlf\n"})
    (repository.path / "model.onnx").write_bytes(b"one\ntwo\n")
    found, origin = bring(repository, "model.onnx", tmp_path / "out")
    assert (found.digest, (tmp_path / "out").read_bytes()) == (digest(b"one\ntwo\n"), b"one\ntwo\n")
    assert origin.url == "model.onnx"
    assert origin.pin.startswith("git sha256:")
    assert bringing(repository, "model.onnx").pinned() == found.digest


def test_a_folder_of_git_has_its_modes_and_its_commits_content(repository: Sandbox, tmp_path: Path) -> None:
    wanted, _ = made_folder(repository.path / "models")
    what = bringing(repository, "models/artifact/")
    shutil.rmtree(repository.path / "models")
    found, _ = what.bring(tmp_path / "out")
    assert found.digest == wanted == measured(tmp_path / "out").digest == what.pinned()


def test_the_key_is_the_pin(repository: Sandbox) -> None:
    made(repository.path, b"one")
    first = key(repository, "model.onnx")
    repository.write({"README": "other"})
    assert key(repository, "model.onnx") == first
    made(repository.path, b"two")
    assert key(repository, "model.onnx") != first
    urls = [f"oci://host/a@sha256:{letter * 64}" for letter in "ab"]
    assert len({key(repository, url) for url in (*urls, f"{{url: gs://b/a, sha256: {'a' * 64}}}")}) == 3


def test_links_and_large_ones_are_no_artifact(repository: Sandbox, tmp_path: Path) -> None:
    made_folder(repository.path / "models")
    (repository.path / "models" / "artifact" / "link").symlink_to("/etc/passwd")
    with pytest.raises(UnfitError, match="symbolic link"):
        bring(repository, "models/artifact", tmp_path / "out")
    made(repository.path, b"x" * 100_001)
    with pytest.raises(UnfitError, match="larger than allowed"):
        bring(repository, "model.onnx", tmp_path / "out")
    with pytest.raises(UsageError, match="which git does not have"):
        key(repository, "models/other")
    assert not (tmp_path / "out").exists()


def test_what_a_link_or_the_root_leads_to_is_itself_or_refused(repository: Sandbox, tmp_path: Path) -> None:
    """Never a folder around it, and nothing is written beside the artifact, wherever the config is."""
    inner = Sandbox(repository.path / "a" / "b")
    made(repository.path / "models", b"one")
    (inner.path).mkdir(parents=True)
    (inner.path / "current").symlink_to("../../models")
    (inner.path / "whole").mkdir()
    (inner.path / "whole" / "link").symlink_to("../../../models")
    sha = inner.commit({"mlbot.yaml": CONFIG.format(artifact="x"), "h.csv": "y\n"})
    found = Repository.discover(inner.path)
    for url in ("current/model.onnx", "current", "whole"):
        config = parse_config(load(CONFIG.format(artifact=url), "mlbot.yaml"))
        side = Side(config=config, tree=found.tree(sha))
        artifact = config.models[0].artifact
        assert artifact
        what = Bringing(model=config.models[0], artifact=artifact, side=side, repository=found)
        place = tmp_path / url.replace("/", "-")
        (place / "deep").mkdir(parents=True)
        with pytest.raises(UnfitError, match="symbolic link"):
            what.bring(place / "deep" / "out")
        with pytest.raises(UnfitError, match="symbolic link"):
            what.pinned()
        assert [each.name for each in place.rglob("*")] == ["deep"]
    config = parse_config(load(CONFIG.format(artifact="':/models/model.onnx'"), "mlbot.yaml"))
    artifact = config.models[0].artifact
    assert artifact
    side = Side(config=config, tree=found.tree(sha))
    what = Bringing(model=config.models[0], artifact=artifact, side=side, repository=found)
    assert what.bring(tmp_path / "out")[0].digest == digest(b"one") == what.pinned()
    assert (tmp_path / "out").read_bytes() == b"one"


def test_names_are_those_of_artifacts_before_anything_is_written(repository: Sandbox, tmp_path: Path) -> None:
    repository.write({"models/e\u0301": "1"})
    what = bringing(repository, "models")
    assert what.bring(tmp_path / "out")[0].digest == what.pinned()
    entry = what.side.tree.entries["models/e\u0301"]
    tree = Tree({"models/deep/../../../beside": entry})  # git writes none such, and a stranger may
    hostile = replace(what, side=Side(config=what.side.config, tree=tree))
    for take in (lambda: hostile.bring(tmp_path / "other" / "out"), hostile.pinned):
        (tmp_path / "other").mkdir(exist_ok=True)
        with pytest.raises(UnfitError, match="no path inside the folder"):
            take()
    assert not [*tmp_path.rglob("beside")]


def pointer(content: bytes) -> str:
    """As Git LFS writes it."""
    oid = hashlib.sha256(content).hexdigest()
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {len(content)}\n"


def test_a_pointer_of_lfs_is_its_file(repository: Sandbox, tmp_path: Path) -> None:
    content = b"the weights"
    repository.write({"models/weights": pointer(content), "models/notes": "plain"})
    what = bringing(repository, "models")
    with pytest.raises(UnreachableError, match="models/weights is a pointer of Git LFS"):
        what.bring(tmp_path / "out")
    (repository.path / "models" / "weights").write_bytes(b"other bytes")  # of the same length
    with pytest.raises(UnreachableError, match="pointer of Git LFS"):
        what.bring(tmp_path / "out")
    (repository.path / "models" / "weights").write_bytes(content)
    found, _ = what.bring(tmp_path / "out")
    assert (tmp_path / "out" / "weights").read_bytes() == content
    (repository.path / "models" / "weights").unlink()
    oid = hashlib.sha256(content).hexdigest()
    place = repository.path / ".git" / "lfs" / "objects" / oid[:2] / oid[2:4] / oid
    place.parent.mkdir(parents=True)
    place.write_bytes(content)
    assert what.bring(tmp_path / "again")[0] == found
    assert what.pinned() == found.digest


def test_a_file_of_dvc_is_what_its_pointer_says(repository: Sandbox, tmp_path: Path) -> None:
    made(repository.path, b"one")
    md5 = hashlib.md5(b"one", usedforsecurity=False).hexdigest()
    repository.write(
        {"model.onnx.dvc": f"outs:\n- md5: {md5}\n  size: 3\n  path: model.onnx\n", ".gitignore": "*.onnx\n"}
    )
    what = bringing(repository, "model.onnx")
    found, origin = what.bring(tmp_path / "out")
    assert (found.digest, origin.pin) == (digest(b"one"), f"dvc md5 {md5}")
    made(repository.path, b"two")
    with pytest.raises(UnreachableError, match=r"is not what model\.onnx\.dvc says"):
        what.bring(tmp_path / "other")
    (repository.path / "model.onnx").unlink()
    with pytest.raises(UnreachableError, match="stored by DVC and is not here"):
        what.bring(tmp_path / "other")


def test_a_folder_of_dvc(repository: Sandbox, tmp_path: Path) -> None:
    made_folder(repository.path / "models")
    folder = repository.path / "models" / "artifact"
    paths = sorted(each.relative_to(folder).as_posix() for each in folder.rglob("*") if each.is_file())
    rows = [
        {"md5": hashlib.md5((folder / path).read_bytes(), usedforsecurity=False).hexdigest(), "relpath": path}
        for path in paths
    ]
    md5 = hashlib.md5(json.dumps(rows).encode(), usedforsecurity=False).hexdigest()
    dvc = f"outs:\n- md5: {md5}.dir\n  nfiles: 4\n  path: artifact\n  hash: md5\n"
    repository.write({"models/artifact.dvc": dvc, ".gitignore": "artifact\n"})
    what = bringing(repository, "models/artifact")
    assert what.bring(tmp_path / "out")[0] == measured(folder)
    (folder / "run").write_text("#!/bin/bash")
    with pytest.raises(UnreachableError, match=r"its md5 is [0-9a-f]{32}\.dir, not"):
        what.bring(tmp_path / "other")


@pytest.mark.parametrize("where", ["memory", "file"])
@pytest.mark.parametrize("is_folder", [False, True])
def test_an_url_has_the_digest_that_the_config_says(
    repository: Sandbox, tmp_path: Path, where: str, *, is_folder: bool
) -> None:
    wanted, source = made_folder(tmp_path / "made") if is_folder else made(tmp_path / "made")
    url = source.as_uri()
    if where == "memory":
        url = f"memory://{tmp_path.name}/{source.name}"
        fsspec.filesystem("memory").put(str(source), f"/{tmp_path.name}/{source.name}", recursive=True)
        if is_folder:  # an object store has no modes
            (source / "run").chmod(0o644)
            wanted = measured(source).digest
    if is_folder and where == "file":
        (source / "run").chmod(0o644)
        wanted = measured(source).digest
    found, origin = bring(repository, f"{{url: '{url}', sha256: '{wanted}'}}", tmp_path / "out")
    assert (found.digest, origin) == (wanted, Origin(url=url, pin=wanted))
    assert listing_of(tmp_path / "out") == listing_of(source)
    with pytest.raises(UnreachableError, match="its digest is sha256:"):
        bring(repository, f"{{url: '{url}', sha256: {'0' * 64}}}", tmp_path / "other")
    with pytest.raises(UnreachableError, match="cannot be read"):
        bring(repository, f"{{url: '{url}-gone', sha256: {'0' * 64}}}", tmp_path / "other")


def test_what_is_missing_to_fetch_is_named(
    repository: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    what = bringing(repository, f"{{url: 's3://bucket/a', sha256: {'0' * 64}}}")
    with pytest.raises(MissingDriverError, match="'s3'"):
        what.bring(tmp_path / "out")


@pytest.mark.parametrize("is_folder", [False, True])
def test_a_registry_is_asked_by_the_manifests_digest(
    repository: Sandbox, tmp_path: Path, registry: str, *, is_folder: bool
) -> None:
    wanted, source = made_folder(tmp_path / "made") if is_folder else made(tmp_path / "made")
    OciStore.of(registry).put(wanted, source)
    content = oci.Registry(oci.Place.of(registry), None).manifest(wanted.replace(":", "-"))
    assert content is not None
    pin = digest(content)
    found, origin = bring(repository, f"'{registry}@{pin}'", tmp_path / "out")
    assert (found.digest, origin.pin) == (wanted, f"manifest {pin}")
    assert wanted != pin
    assert bringing(repository, f"'{registry}@{pin}'").pinned() is None
    with pytest.raises(UnreachableError, match="no such manifest"):
        bring(repository, f"'{registry}@sha256:{'0' * 64}'", tmp_path / "other")
    assert listing_of(tmp_path / "out") == listing_of(source)
