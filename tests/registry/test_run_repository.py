"""Where things are recorded: the remote where there is one, else the repository itself."""

import subprocess
from pathlib import Path

import pytest
from tests.support.git_samples import Sandbox
from tests.support.releases import World

from mlbot.errors import NotEvaluatedError, UsageError
from mlbot.git.repository import Repository
from mlbot.lib.version import Stored
from mlbot.registry.run_repository import RepositoryContext, actor_of

pytestmark = pytest.mark.usefixtures("git_settings")


def test_the_remote_decides_what_is_merged(world: World) -> None:
    mine = world.sandbox.commit({"a": "b"}, "Not pushed")
    assert not world.context().is_merged(mine)
    world.sandbox.git("push", "--quiet", "origin", "main")
    assert world.context().is_merged(mine)
    assert world.context().has_remote


def test_a_repository_without_a_remote_records_in_itself(sandbox: Sandbox) -> None:
    commit = sandbox.commit({"mlbot.yaml": "version: 1"})
    context = RepositoryContext.of_laptop(sandbox.path, {"GIT_COMMITTER_NAME": "Ada"}, lambda _text: None)
    assert not context.has_remote
    assert (context.tip, context.branch) == (commit, "main")


def test_a_shallow_clone_cannot_tell(world: World, tmp_path: Path) -> None:
    context = (world.folder / "remote.git").as_uri()
    subprocess.run(["git", "clone", "--quiet", "--depth=1", context, str(tmp_path / "shallow")], check=True)
    with pytest.raises(UsageError, match="shallow") as error:
        RepositoryContext.of_laptop(tmp_path / "shallow", {"GIT_COMMITTER_NAME": "Ada"}, lambda _text: None)
    assert "git fetch --unshallow" in error.value.hint


def test_who_acts(sandbox: Sandbox) -> None:
    repository = Repository.discover(sandbox.path)
    with pytest.raises(UsageError, match="git does not know who you are"):
        actor_of(repository, {})
    sandbox.git("config", "user.email", "ada@example.com")
    assert actor_of(repository, {}) == "ada@example.com"
    sandbox.git("config", "user.name", "Ada Lovelace")
    assert actor_of(repository, {}) == "Ada Lovelace"
    assert actor_of(repository, {"GIT_AUTHOR_NAME": " ", "GIT_COMMITTER_NAME": "Grace"}) == "Grace"


def test_bytes_are_told_apart(world: World, tmp_path: Path) -> None:
    context, digest = world.context(), world.digests[0]
    file = tmp_path / "model.onnx"
    assert context.fetch(digest, file) is Stored.VERIFIED
    assert file.read_bytes() == world.models[1000]
    file.unlink()
    stored = world.stored(digest)
    stored.chmod(0o644)
    stored.write_bytes(b"other")
    assert context.fetch(digest, file) is Stored.DIFFERS
    stored.unlink()
    assert context.fetch(digest, file) is Stored.MISSING
    assert not file.exists()


def test_a_remote_that_does_not_answer_is_said(world: World) -> None:
    (world.folder / "remote.git").rename(world.folder / "gone.git")
    with pytest.raises(NotEvaluatedError, match="reading the branch main failed"):
        world.context()


def test_a_config_without_a_store_says_what_to_do(world: World) -> None:
    text = (world.sandbox.path / "mlbot.yaml").read_text().replace("store: deploy/store\n", "")
    world.commit({"mlbot.yaml": text})
    with pytest.raises(UsageError, match="names no store"):
        _ = world.context().store
