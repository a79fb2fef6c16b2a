"""The ledger under the name that it had before, moved to the one that it has, and what stands in its way for good."""

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.fake_github.server import FakeGitHub
from tests.support.git_samples import Sandbox, make
from tests.support.ledger_samples import entry

from mlbot.errors import NotEvaluatedError, RefusedError
from mlbot.git.ledger import (
    COPY,
    FORMER_CHARTS,
    LedgerBranch,
    LedgerLostError,
    Loss,
    OrphanBranch,
    fetch_history,
    fetch_ledger,
    push_charts,
    read_local,
)
from mlbot.git.ledger_restore import Clone
from mlbot.git.remote import Refusal, Remote, failure, refusal_of
from mlbot.ledger.entries import BRANCH, FORMER_BRANCH, Entry, files_of
from mlbot.ledger.queries import verdicts
from mlbot.lib.constants import CHARTS

NOW = 1_763_654_400
NEW, OLD = f"refs/heads/{BRANCH}", f"refs/heads/{FORMER_BRANCH}"
FIRST, SECOND, THIRD, FOURTH = (entry(run=run) for run in range(1, 5))

pytestmark = pytest.mark.usefixtures("git_settings")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OrphanBranch, "_wait", lambda _branch, _attempt: None)


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    path = tmp_path / "remote.git"
    subprocess.run(["git", "init", "--quiet", "--bare", str(path)], check=True)
    subprocess.run(["git", "config", "uploadpack.allowFilter", "true"], cwd=path, check=True)
    return path


def run(bare: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=bare, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def at(bare: Path, ref: str) -> str:
    return run(bare, "rev-parse", "--verify", "--quiet", ref)


def ledger(bare: Path) -> LedgerBranch:
    return LedgerBranch.at(Remote(url=bare.as_uri()))


def write_old(bare: Path, *entries: Entry, copy: str | None = COPY) -> None:
    """What an mlbot of before the move does; one without `copy` is older still."""
    OrphanBranch(remote=Remote(url=bare.as_uri()), name=FORMER_BRANCH, copy=copy).append(files_of(entries), "old", NOW)


def runs(bare: Path) -> list[int]:
    found = ledger(bare).read()
    assert found.problems == ()
    assert LedgerBranch.at(Remote(url=str(bare))).read() == found, "a folder is read as an address is"
    return [each.attempt.run for each in verdicts(found.entries)]


def commit_on(bare: Path, ref: str) -> None:
    tree = run(bare, "hash-object", "-t", "tree", "-w", "/dev/null")
    run(bare, "update-ref", ref, run(bare, "-c", "user.name=a", "-c", "user.email=a@b", "commit-tree", tree, "-m", "x"))


def test_it_is_read_under_its_old_name_and_moves_with_the_first_write(bare: Path) -> None:
    write_old(bare, FIRST)
    write_old(bare, SECOND)
    tip = at(bare, OLD)
    assert (runs(bare), at(bare, NEW)) == ([1, 2], "")
    ledger(bare).append([THIRD], NOW)
    assert (at(bare, OLD), at(bare, f"{NEW}^"), at(bare, COPY)) == ("", tip, at(bare, NEW))
    assert runs(bare) == [1, 2, 3]


def test_a_write_with_nothing_new_moves_the_same_commit(bare: Path) -> None:
    write_old(bare, FIRST)
    tip = at(bare, OLD)
    assert ledger(bare).append([FIRST], NOW).added == ()
    assert (at(bare, OLD), at(bare, NEW), at(bare, COPY)) == ("", tip, tip)


@pytest.mark.parametrize("killed", [True, False])
def test_one_that_is_killed_before_the_old_name_is_gone_loses_nothing(
    bare: Path, monkeypatch: pytest.MonkeyPatch, *, killed: bool
) -> None:
    """Or a rule forbids to delete it."""
    write_old(bare, FIRST)
    with monkeypatch.context() as patch:
        patch.setattr(OrphanBranch, "_retire", lambda *_: None)
        ledger(bare).append([SECOND], NOW)
    assert (bool(at(bare, OLD)), runs(bare)) == (True, [1, 2])
    if killed:
        ledger(bare).append([SECOND], NOW)
        assert (at(bare, OLD), runs(bare)) == ("", [1, 2])
        return
    run(bare, "config", "receive.denyDeletes", "true")
    ledger(bare).append([THIRD], NOW)
    assert (bool(at(bare, OLD)), runs(bare)) == (True, [1, 2, 3])


def test_what_an_old_mlbot_writes_late_is_read_and_taken_over(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_old(bare, FIRST)
    with monkeypatch.context() as patch:
        patch.setattr(OrphanBranch, "_retire", lambda *_: None)
        ledger(bare).append([SECOND], NOW)
    write_old(bare, THIRD, copy=None)
    late = at(bare, OLD)
    assert runs(bare) == [1, 2, 3]
    before = at(bare, NEW)
    ledger(bare).append([FOURTH], NOW)
    assert (runs(bare), at(bare, OLD)) == ([1, 2, 3, 4], "")
    assert run(bare, "rev-list", "--parents", "-1", f"{NEW}^").split()[1:] == [before, late]


def test_an_old_name_that_is_made_anew_is_taken_over_too(bare: Path) -> None:
    ledger(bare).append([FIRST], NOW)
    write_old(bare, SECOND, FIRST.model_copy(update={"time": "2030-01-01T00:00:00Z"}), copy=None)
    assert runs(bare) == [1, 2]
    ledger(bare).append([THIRD], NOW)
    assert (runs(bare), at(bare, OLD), at(bare, COPY)) == ([1, 2, 3], "", at(bare, NEW))
    assert {each.time for each in ledger(bare).read().entries} == {FIRST.time}, "an entry is never changed"


def test_an_old_mlbot_that_knows_the_copy_is_stopped(bare: Path) -> None:
    write_old(bare, FIRST)
    ledger(bare).append([SECOND], NOW)
    with pytest.raises(LedgerLostError):
        write_old(bare, THIRD)
    assert runs(bare) == [1, 2]


def test_one_that_wrote_between_a_look_and_the_deletion_loses_nothing(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_old(bare, FIRST)
    push = OrphanBranch._push

    def and_meanwhile(self: OrphanBranch, *arguments: object) -> object:
        done = push(self, *arguments)  # type: ignore[arg-type]  # passed on
        if self.name == BRANCH:
            write_old(bare, THIRD, copy=None)
        return done

    monkeypatch.setattr(OrphanBranch, "_push", and_meanwhile)
    ledger(bare).append([SECOND], NOW)
    monkeypatch.undo()
    assert (bool(at(bare, OLD)), runs(bare)) == (True, [1, 2, 3])
    ledger(bare).append([FOURTH], NOW)
    assert (at(bare, OLD), runs(bare)) == ("", [1, 2, 3, 4])


def test_writers_under_both_names_at_once_lose_nothing(bare: Path) -> None:
    write_old(bare, entry(run=1))

    def write(number: int) -> None:
        if number % 2:
            write_old(bare, entry(run=number), copy=None)
        else:
            ledger(bare).append([entry(run=number)], NOW)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(write, range(2, 10)))
    assert runs(bare) == list(range(1, 10))
    ledger(bare).append([entry(run=10)], NOW)
    assert (runs(bare), at(bare, OLD), at(bare, COPY)) == (list(range(1, 11)), "", at(bare, NEW))


def test_a_loss_is_one_of_both_names_together(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_old(bare, FIRST)
    with monkeypatch.context() as patch:
        patch.setattr(OrphanBranch, "_retire", lambda *_: None)
        ledger(bare).append([SECOND], NOW)
    copy = at(bare, COPY)
    run(bare, "update-ref", "-d", NEW)
    with pytest.raises(LedgerLostError, match="was set back"):
        ledger(bare).read()
    run(bare, "update-ref", "-d", OLD)
    with pytest.raises(LedgerLostError, match=f"the branch {BRANCH} is gone"):
        ledger(bare).read()
    assert at(bare, COPY) == copy


def test_pictures_move_too_and_stay_under_their_commits(bare: Path) -> None:
    remote = Remote(url=bare.as_uri())
    old = OrphanBranch(remote=remote, name=FORMER_CHARTS).append({"a.svg": b"<svg/>"}, "old", NOW).sha
    sha = push_charts(remote, {"b.svg": b"<svg/>"}, NOW)
    assert (at(bare, f"refs/heads/{CHARTS}"), at(bare, f"refs/heads/{FORMER_CHARTS}")) == (sha, "")
    assert run(bare, "merge-base", "--is-ancestor", old, sha) == ""
    assert run(bare, "ls-tree", "--name-only", sha).split() == ["a.svg", "b.svg"]


@pytest.fixture
def clone(bare: Path, tmp_path: Path) -> Sandbox:
    sandbox = make(tmp_path / "clone")
    sandbox.commit({"a": "b"})
    sandbox.git("remote", "add", "origin", bare.as_uri())
    return sandbox


def local_runs(clone: Sandbox) -> list[int]:
    found = read_local(clone.path)
    assert found.problems == ()
    return [each.attempt.run for each in verdicts(found.entries)]


def test_a_clone_knows_both_and_forgets_the_old_name(bare: Path, clone: Sandbox) -> None:
    remote = Remote(url=bare.as_uri())
    write_old(bare, FIRST)
    clone.git("fetch", "--quiet", "origin")
    assert local_runs(clone) == [1]
    ledger(bare).append([SECOND], NOW)
    clone.git("fetch", "--quiet", "origin")
    assert local_runs(clone) == [1, 2], "a plain fetch leaves the old one there"
    write_old(bare, THIRD, copy=None)
    assert fetch_ledger(clone.path, remote) is None
    assert local_runs(clone) == [1, 2, 3]
    run(bare, "update-ref", "-d", OLD)
    assert fetch_ledger(clone.path, remote) is Loss.SET_BACK
    assert Clone(root=clone.path, remote=remote, origin=True).restore((), NOW, dry_run=False).changed
    assert (runs(bare), fetch_ledger(clone.path, remote), local_runs(clone)) == ([1, 2, 3], None, [1, 2, 3])
    assert FORMER_BRANCH not in clone.git("branch", "--remotes")


def test_a_ledger_is_put_back_whose_old_name_alone_is_known(bare: Path, clone: Sandbox) -> None:
    write_old(bare, FIRST)
    fetch_history(clone.path, Remote(url=bare.as_uri()))
    for ref in (OLD, COPY):
        run(bare, "update-ref", "-d", ref)
    Clone(root=clone.path, remote=Remote(url=bare.as_uri()), origin=True).restore((), NOW, dry_run=False)
    assert (runs(bare), bool(at(bare, NEW))) == ([1], True)


def test_the_quick_start_may_push_a_branch_of_the_bots_name(bare: Path, clone: Sandbox) -> None:
    clone.git("push", "--quiet", "origin", "HEAD:refs/heads/mlbot")
    ledger(bare).append([FIRST], NOW)
    push_charts(Remote(url=bare.as_uri()), {"a.svg": b"<svg/>"}, NOW)
    assert runs(bare) == [1]
    clone.git("fetch", "--quiet", "origin")
    assert local_runs(clone) == [1]


@pytest.mark.parametrize(
    ("ours", "taken"),
    [
        (BRANCH, f"refs/heads/{BRANCH}/mine"),
        (BRANCH, f"refs/heads/{BRANCH}/deep/er"),
        (BRANCH, "refs/mlbot/copies"),
        (BRANCH, f"{COPY}/x"),
        (FORMER_BRANCH, "refs/heads/mlbot"),
    ],
)
@pytest.mark.parametrize("scheme", ["folder", "file"])
def test_a_name_that_git_cannot_hold_beside_another_is_named_at_once(
    bare: Path, ours: str, taken: str, scheme: str
) -> None:
    commit_on(bare, taken)
    asked: list[str] = []
    remote = Remote(url=str(bare) if scheme == "folder" else bare.as_uri())
    branch = OrphanBranch(remote=remote, name=ours, copy=COPY, sleep=lambda _: asked.append("slept"))
    with pytest.raises(RefusedError, match=f"beside {taken}, which the remote has") as caught:
        branch.append({"v1/a": b"1"}, "one", NOW)
    assert f"git push origin :{taken}" in caught.value.hint
    assert asked == []
    assert branch.read() == {}
    for other in (f"refs/heads/{ours}-other", f"refs/tags/{ours}/x", f"refs/heads/x/{ours}"):
        commit_on(bare, other)
    run(bare, "update-ref", "-d", taken)
    branch.append({"v1/a": b"1"}, "one", NOW)
    assert branch.read() == {"v1/a": b"1"}


def test_a_refusal_that_nobody_else_caused_is_a_fault_and_not_a_race(bare: Path) -> None:
    """Whatever words git has for it: the remote's refs are where they were."""
    hook = bare / "hooks" / "update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho x >> tried\necho 'cannot lock ref, fetch first, non-fast-forward' >&2\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises((NotEvaluatedError, RefusedError), match=r"writing|hook"):
        ledger(bare).append([FIRST], NOW)
    assert len((bare / "tried").read_text().split()) <= 10


# The words of GitHub's refusals, as people report them.
WORDS = [
    (
        (
            "remote: error: GH013: Repository rule violations found for refs/heads/mlbot-ledger.\nremote: \n"
            "remote: - Changes must be made through a pull request.\nremote: \n"
            "remote: - Commits must have verified signatures.\nremote:   Found 1 violation:\n"
            " ! [remote rejected] a -> mlbot-ledger (push declined due to repository rule violations)"
        ),
        Refusal.RULE,
        "forbids writing the branch mlbot-ledger: Changes must be made through a pull request. Commits must have ver",
    ),
    (
        (
            "remote: error: GH006: Protected branch update failed for refs/heads/mlbot-ledger.\nremote: \n"
            "remote: - Cannot force-push to this branch\n ! [remote rejected] a -> b (protected branch hook declined)"
        ),
        Refusal.PROTECTED,
        "a branch protection forbids writing the branch mlbot-ledger: Cannot force-push to this branch",
    ),
    (
        (
            " ! [remote rejected] x -> x (refusing to allow a GitHub App to create or update workflow "
            "`.github/workflows/ci.yml` without `workflows` permission)"
        ),
        Refusal.WORKFLOWS,
        "no branch has the workflow files of its commit",
    ),
    (
        (
            "remote: Permission to acme/income.git denied to bot.\nfatal: unable to access 'https://x/': "
            "The requested URL returned error: 403"
        ),
        Refusal.RIGHTS,
        "the token may not be used for writing",
    ),
    (
        (
            "remote: Write access to repository not granted.\nfatal: unable to access 'https://x/': The requested URL "
            "returned error: 403"
        ),
        Refusal.RIGHTS,
        "the token may not be used for writing",
    ),
    (
        (
            "remote: This repository was archived so it is read-only.\nfatal: unable to access 'x': The requested "
            "URL returned error: 403"
        ),
        Refusal.ARCHIVED,
        "the repository is archived",
    ),
    (
        "remote: error: your push was rejected: repository size is over its quota.\n ! [remote rejected] a -> b",
        Refusal.QUOTA,
        "so writing the branch mlbot-ledger is refused: your push was rejected: repository size is over",
    ),
    ("remote: fatal: write error: No space left on device", Refusal.QUOTA, "has no room"),
    ("fatal: unable to access 'https://x/': The requested URL returned error: 502", None, "failed: fatal: unable"),
    ("fatal: unable to access 'https://x/': Could not resolve host: x", None, "failed: fatal: unable"),
    ("error: RPC failed; curl 56 Recv failure: Connection reset by peer", None, "failed: error: RPC"),
    (" ! [rejected] 403401a -> mlbot-ledger (fetch first)", None, "failed"),
]


@pytest.mark.parametrize(("said", "kind", "sentence"), WORDS)
def test_a_refusal_is_named_and_a_fault_of_the_network_is_none(said: str, kind: Refusal | None, sentence: str) -> None:
    done = subprocess.CompletedProcess(["git"], 1, stdout=b"", stderr=said.encode())
    assert refusal_of(done) is kind
    error = failure(done, "writing", BRANCH)
    assert isinstance(error, RefusedError) is (kind is not None)
    assert sentence in error.what
    assert bool(error.hint) is (kind is not None)


def test_a_ruleset_on_all_branches_is_named_at_once(tmp_path: Path) -> None:
    with FakeGitHub(tmp_path / "github") as github:
        repository = github.repository("acme/income")
        repository.rulesets[1] = {
            "id": 1,
            "name": "everything",
            "target": "branch",
            "enforcement": "active",
            "conditions": {"ref_name": {"include": ["~ALL"], "exclude": []}},
            "rules": [{"type": "required_signatures"}],
        }
        token = github.job_token(repository, {"contents": "write"})
        branch = LedgerBranch.at(Remote(url=f"{github.url}/acme/income.git", token=token))
        with pytest.raises(RefusedError, match="Commits must have verified signatures") as caught:
            branch.append([FIRST], NOW)
        assert "mlbot doctor" in caught.value.hint
        assert len([each for each in github.requests.all if each.path.endswith("/git-receive-pack")]) == 1
