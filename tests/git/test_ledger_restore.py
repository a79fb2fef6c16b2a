"""A ledger that was deleted, set back or replaced: it is noticed wherever it is read, and put back."""

import subprocess
from functools import partial
from pathlib import Path

import pytest
from tests.fake_github.server import FakeGitHub
from tests.support.git_samples import Sandbox, make
from tests.support.ledger_samples import entry

from mlbot.errors import NotEvaluatedError, UsageError
from mlbot.git.ledger import (
    COPY,
    LedgerBranch,
    LedgerLostError,
    Loss,
    OrphanBranch,
    fetch_history,
    fetch_ledger,
    read_local,
)
from mlbot.git.ledger_restore import Clone, Restoration
from mlbot.git.remote import Remote
from mlbot.ledger.entries import BRANCH, canonical, path_of

NOW = 1_763_654_400
REF = f"refs/heads/{BRANCH}"
TRACKED = f"refs/remotes/origin/{BRANCH}"
FIRST, SECOND, THIRD, OTHER = (entry(run=run) for run in range(1, 5))

pytestmark = pytest.mark.usefixtures("git_settings")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OrphanBranch, "_wait", lambda _branch, _attempt: None)


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A remote whose ledger has two entries, one a commit."""
    path = tmp_path / "remote.git"
    subprocess.run(["git", "init", "--quiet", "--bare", str(path)], check=True)
    subprocess.run(["git", "config", "uploadpack.allowFilter", "true"], cwd=path, check=True)
    for each in (FIRST, SECOND):
        LedgerBranch.at(Remote(url=str(path))).append([each], NOW)
    return path


@pytest.fixture
def clone(bare: Path, tmp_path: Path) -> Sandbox:
    sandbox = make(tmp_path / "clone")
    sandbox.commit({"a": "b"})
    sandbox.git("remote", "add", "origin", str(bare))
    sandbox.git("fetch", "--quiet", "origin")
    return sandbox


def at(bare: Path, ref: str = REF) -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--verify", "--quiet", ref], cwd=bare, capture_output=True, text=True, check=False
    )
    return done.stdout.strip()


def update(bare: Path, *arguments: str) -> None:
    subprocess.run(["git", "update-ref", *arguments], cwd=bare, check=True)


def delete(bare: Path) -> None:
    update(bare, "-d", REF)


def set_back(bare: Path) -> None:
    update(bare, REF, f"{REF}~1")


def replace(bare: Path) -> None:
    update(bare, "-d", REF)
    OrphanBranch(remote=Remote(url=str(bare)), name=BRANCH).append({"v1/other": b"x"}, "another", NOW)


def on_top(bare: Path, tree: str) -> None:
    command = ["git", "commit-tree", "-p", REF, "-m", "Tidy up", tree]
    made = subprocess.run(command, cwd=bare, capture_output=True, text=True, check=True)
    update(bare, REF, made.stdout.strip())


def take(bare: Path) -> None:
    """A person's commit on top deletes an entry."""
    on_top(bare, at(bare, f"{REF}~1^{{tree}}"))


def forge(bare: Path) -> None:
    """A person's commit on top says something else in an entry's file."""
    run = partial(subprocess.run, cwd=bare, capture_output=True, text=True, check=True)
    run(["git", "read-tree", REF])
    raw = canonical(SECOND).decode().replace('"outcome":"pass"', '"outcome":"fail"')
    blob = run(["git", "hash-object", "-w", "--stdin"], input=raw).stdout.strip()
    run(["git", "update-index", "--cacheinfo", f"100644,{blob},{path_of(SECOND)}"])
    on_top(bare, run(["git", "write-tree"]).stdout.strip())


LOSSES = [
    (delete, Loss.GONE),
    (set_back, Loss.SET_BACK),
    (replace, Loss.REPLACED),
    (take, Loss.EDITED),
    (forge, Loss.EDITED),
]


def restored(clone: Sandbox, *revs: str, dry_run: bool = False) -> Restoration:
    remote = Remote(url=clone.git("remote", "get-url", "origin"))
    return Clone(root=clone.path, remote=remote, origin=True).restore(revs, NOW, dry_run=dry_run)


def entries(bare: Path) -> tuple[object, ...]:
    return LedgerBranch.at(Remote(url=str(bare))).read().entries


@pytest.mark.parametrize("scheme", ["folder", "file"])
@pytest.mark.parametrize(("lose", "loss"), LOSSES)
def test_nothing_is_read_from_it_or_added_to_it(bare: Path, lose: object, loss: Loss, scheme: str) -> None:
    lose(bare)  # type: ignore[operator]  # a table's function
    before = at(bare), at(bare, COPY)
    branch = LedgerBranch.at(Remote(url=str(bare) if scheme == "folder" else bare.as_uri()))
    for ask in (branch.read, lambda: branch.read(subject="adult-income"), lambda: branch.append([THIRD], NOW)):
        with pytest.raises(LedgerLostError) as caught:
            ask()
        assert caught.value.what == f"{loss.of(BRANCH)}; put it back: mlbot registry restore"
        assert f"git push origin :{COPY}" in caught.value.hint
    assert (at(bare), at(bare, COPY)) == before


@pytest.mark.parametrize("known", ["the clone", "the remote's copy"])
@pytest.mark.parametrize(("lose", "loss"), LOSSES)
def test_it_is_put_back(bare: Path, clone: Sandbox, lose: object, loss: Loss, known: str) -> None:
    if known == "the clone":
        assert fetch_ledger(clone.path, Remote(url=str(bare))) is None
        update(bare, "-d", COPY)
    else:
        clone.git("update-ref", "-d", TRACKED)
    lose(bare)  # type: ignore[operator]  # a table's function
    was = at(bare)
    assert fetch_ledger(clone.path, Remote(url=str(bare))) is loss
    assert set(read_local(clone.path).entries) == {FIRST, SECOND}
    assert read_local(clone.path).problems[0].endswith("Put it back: mlbot registry restore")
    planned = restored(clone, dry_run=True)
    assert (at(bare), planned.changed) == (was, True)
    done = restored(clone)
    assert (done.files, at(bare), at(bare, COPY)) == (planned.files, done.after, done.after)
    assert set(entries(bare)) == {FIRST, SECOND}
    assert "v1/other" in LedgerBranch.at(Remote(url=str(bare))).branch.read() or loss is not Loss.REPLACED
    assert fetch_ledger(clone.path, Remote(url=str(bare))) is None
    assert not [each for each in read_local(clone.path).problems if "restore" in each]
    assert restored(clone).changed is False
    LedgerBranch.at(Remote(url=str(bare))).append([THIRD], NOW)
    assert THIRD in entries(bare)


def test_the_copy_is_in_nobodys_way(bare: Path, clone: Sandbox) -> None:
    """A ref `refs/mlbot-ledger` would be what `mlbot-ledger` means, before the branch."""
    fetch_history(clone.path, Remote(url=str(bare)))
    clone.git("branch", "--quiet", "--track", BRANCH, f"origin/{BRANCH}")
    assert clone.git("rev-parse", "--symbolic-full-name", BRANCH) == REF
    clone.git("push", "--quiet", "origin", f":{BRANCH}")
    assert fetch_ledger(clone.path, Remote(url=str(bare))) is Loss.GONE


def test_a_plain_fetch_that_prunes_loses_nothing(bare: Path, clone: Sandbox) -> None:
    fetch_history(clone.path, Remote(url=str(bare)))
    update(bare, "-d", COPY)
    delete(bare)
    clone.git("fetch", "--quiet", "--prune", "origin")
    assert set(read_local(clone.path).entries) == {FIRST, SECOND}
    restored(clone)
    assert set(entries(bare)) == {FIRST, SECOND}


def test_what_others_wrote_since_stays(bare: Path, clone: Sandbox) -> None:
    fetch_history(clone.path, Remote(url=str(bare)))
    for ref in (REF, COPY):
        update(bare, "-d", ref)
    later = FIRST.model_copy(update={"time": "2030-01-01T00:00:00Z"})
    LedgerBranch.at(Remote(url=str(bare))).append([OTHER, later], NOW)
    tip = at(bare)
    done = restored(clone)
    assert {each.attempt.run for each in entries(bare)} == {1, 2, 4}  # type: ignore[attr-defined]  # verdicts
    assert (done.before, len(done.files)) == (tip, 1)
    assert at(bare, f"{REF}^1") == tip
    again = {each.time for each in entries(bare) if each.attempt.run == 1}  # type: ignore[attr-defined]  # verdicts
    assert again == {"2030-01-01T00:00:00Z"}, "what is there stays as it is"


def test_a_commit_may_be_named(bare: Path, tmp_path: Path) -> None:
    sha = at(bare)
    keeper = make(tmp_path / "keeper")
    keeper.commit({"a": "b"})
    keeper.git("remote", "add", "origin", str(bare))
    update(bare, "-d", COPY)
    delete(bare)
    with pytest.raises(UsageError, match="no copy of the ledger is known here"):
        restored(keeper)
    with pytest.raises(UsageError, match="has a commit 'nothing'"):
        restored(keeper, "nothing")
    with pytest.raises(UsageError, match="HEAD is no ledger"):
        restored(keeper, "HEAD")
    subprocess.run(["git", "config", "uploadpack.allowAnySHA1InWant", "true"], cwd=bare, check=True)
    assert restored(keeper, sha).after == sha
    assert set(entries(bare)) == {FIRST, SECOND}


def test_two_clones_that_know_different_things_are_joined(bare: Path, clone: Sandbox) -> None:
    fetch_history(clone.path, Remote(url=str(bare)))
    for ref in (REF, COPY):
        update(bare, "-d", ref)
    LedgerBranch.at(Remote(url=str(bare))).append([THIRD], NOW)
    update(bare, "-d", REF)
    assert restored(clone).before is None
    assert set(entries(bare)) == {FIRST, SECOND, THIRD}


def test_somebody_faster_is_not_overwritten(bare: Path, clone: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    delete(bare)
    made = Clone._made

    def and_meanwhile(self: Clone, *arguments: object) -> Restoration:
        found = made(self, *arguments)  # type: ignore[arg-type]  # passed on
        replace(bare)
        return found

    monkeypatch.setattr(Clone, "_made", and_meanwhile)
    with pytest.raises(NotEvaluatedError, match="written to meanwhile"):
        restored(clone)
    monkeypatch.undo()
    restored(clone)
    assert set(entries(bare)) == {FIRST, SECOND}


def test_a_repository_of_its_own_is_put_back_as_well(sandbox: Sandbox) -> None:
    sandbox.commit({"a": "b"})
    own = Clone(root=sandbox.path, remote=Remote(url=str(sandbox.path / ".git")), origin=False)
    for each in (FIRST, SECOND):
        LedgerBranch.at(own.remote).append([each], NOW)
    delete(sandbox.path)
    assert set(read_local(sandbox.path).entries) == {FIRST, SECOND}
    assert "is gone" in read_local(sandbox.path).problems[0]
    with pytest.raises(LedgerLostError):
        LedgerBranch.at(own.remote).read()
    own.restore((), NOW, dry_run=False)
    assert (set(LedgerBranch.at(own.remote).read().entries), read_local(sandbox.path).problems) == ({FIRST, SECOND}, ())


def test_one_without_a_copy_is_read_as_before_and_gets_one(bare: Path) -> None:
    update(bare, "-d", COPY)
    assert set(entries(bare)) == {FIRST, SECOND}
    LedgerBranch.at(Remote(url=bare.as_uri())).append([THIRD], NOW)
    assert at(bare, COPY) == at(bare)


def test_a_branch_that_was_squashed_lacks_nothing(bare: Path, clone: Sandbox) -> None:
    command = ["git", "commit-tree", "-m", "Squashed", f"{REF}^{{tree}}"]
    made = subprocess.run(command, cwd=bare, capture_output=True, text=True, check=True).stdout.strip()
    update(bare, REF, made)
    for url in (str(bare), bare.as_uri()):
        assert set(LedgerBranch.at(Remote(url=url)).read().entries) == {FIRST, SECOND}
    assert fetch_ledger(clone.path, Remote(url=str(bare))) is None
    assert restored(clone).changed is False
    LedgerBranch.at(Remote(url=bare.as_uri())).append([THIRD], NOW)
    assert at(bare, COPY) == at(bare)


def test_an_older_mlbot_may_write_without_moving_the_copy(bare: Path, clone: Sandbox) -> None:
    OrphanBranch(remote=Remote(url=str(bare)), name=BRANCH).append({"v1/other": b"x"}, "older", NOW)
    assert at(bare, COPY) != at(bare)
    assert set(LedgerBranch.at(Remote(url=bare.as_uri())).read().entries) == {FIRST, SECOND}
    assert fetch_ledger(clone.path, Remote(url=str(bare))) is None
    LedgerBranch.at(Remote(url=bare.as_uri())).append([THIRD], NOW)
    assert at(bare, COPY) == at(bare)


def test_through_githubs_own_door(tmp_path: Path) -> None:
    with FakeGitHub(tmp_path / "github") as github:
        repository = github.repository("acme/income", private=True)
        token = github.job_token(repository, {"contents": "write"})
        remote = Remote(url=f"{github.url}/acme/income.git", token=token)
        LedgerBranch.at(remote).append([FIRST], NOW)
        repository.git.git("update-ref", "-d", REF)
        with pytest.raises(LedgerLostError):
            LedgerBranch.at(remote).read()
        keeper = make(tmp_path / "keeper")
        keeper.commit({"a": "b"})
        Clone(root=keeper.path, remote=remote, origin=True).restore((), NOW, dry_run=False)
        assert LedgerBranch.at(remote).read().entries == (FIRST,)
        github.check()
