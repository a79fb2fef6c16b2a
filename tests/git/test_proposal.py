"""A branch of mlbot's own: made without a checkout, pushed over nobody's work."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from tests.support.git_samples import Sandbox, make

from mlbot.errors import RefusedError
from mlbot.git.proposal import commit_files, push_branch
from mlbot.git.remote import Remote, list_refs

WHEN = 1_763_654_400
BRANCH = "mlbot-refresh-churn"


@pytest.fixture
def here(tmp_path: Path, git_settings: None) -> Sandbox:
    del git_settings
    sandbox = make(tmp_path / "here")
    sandbox.commit({"train.py": "1", "data/train.csv": "a\n", ".gitattributes": "*.csv filter=evil\n"})
    return sandbox


@pytest.fixture
def origin(tmp_path: Path, here: Sandbox) -> Remote:
    path = tmp_path / "origin.git"
    subprocess.run(["git", "init", "--quiet", "--bare", str(path)], check=True)
    here.git("push", "--quiet", str(path), "HEAD:refs/heads/main")
    return Remote(url=str(path))


def tip(sandbox: Sandbox) -> str:
    return sandbox.git("rev-parse", "HEAD").strip()


def made(here: Sandbox, text: str, folder: Path, path: str = "data/train.csv") -> str | None:
    file = folder / "given"
    file.write_text(text)
    return commit_files(here.path, tip(here), {path: file}, "Refresh", WHEN)


def test_it_is_one_commit_on_the_tip_that_touches_no_checkout(here: Sandbox, tmp_path: Path) -> None:
    here.write({"data/train.csv": "somebody's own work\n"})
    commit = made(here, "b\n", tmp_path)
    assert commit is not None
    assert made(here, "b\n", tmp_path) == commit, "the same again is the same commit"
    assert here.git("rev-parse", f"{commit}^").strip() == tip(here)
    assert here.git("diff", "--name-only", tip(here), commit).split() == ["data/train.csv"]
    assert here.git("show", f"{commit}:data/train.csv").strip() == "b"
    assert here.git("status", "--short").split() == ["M", "data/train.csv"]
    assert here.git("log", "-1", "--format=%an %ae", commit).split() == ["mlbot", "mlbot@users.noreply.github.com"]


def test_nothing_changed_is_no_commit(here: Sandbox, tmp_path: Path) -> None:
    assert made(here, "a\n", tmp_path) is None
    assert made(here, "new\n", tmp_path, "data/more.csv") is not None


def test_many_files_of_any_name_keep_their_mode(here: Sandbox, tmp_path: Path) -> None:
    names = ["data/train.csv", "-x", "data/ä b.csv", "data/one\nline", ":(glob)*"]
    here.git("update-index", "--chmod=+x", "data/train.csv")
    here.git("commit", "--quiet", "-m", "run it")
    given = {name: tmp_path / str(at) for at, name in enumerate(names)}
    for name, file in given.items():
        file.write_text(name)
    commit = commit_files(here.path, tip(here), given, "Refresh", WHEN)
    assert commit is not None
    listed = here.git("ls-tree", "-r", "-z", commit).split("\0")
    modes = {path: line[:6] for line, _, path in (each.partition("\t") for each in listed)}
    assert {name: modes[name] for name in names} == {**dict.fromkeys(names, "100644"), names[0]: "100755"}
    assert [here.git("show", f"{commit}:{name}") for name in names] == names


def test_the_branch_is_replaced_while_it_holds_mlbots_commit_alone(
    here: Sandbox, origin: Remote, tmp_path: Path
) -> None:
    first = made(here, "b\n", tmp_path)
    assert first
    push_branch(here.path, origin, BRANCH, first)
    push_branch(here.path, origin, BRANCH, first)
    here.commit({"train.py": "2"})
    second = made(here, "c\n", tmp_path)
    assert second
    push_branch(here.path, origin, BRANCH, second)
    assert list_refs(origin, here.path, f"refs/heads/{BRANCH}") == {f"refs/heads/{BRANCH}": second}


def test_a_persons_commit_is_never_pushed_over(here: Sandbox, origin: Remote, tmp_path: Path) -> None:
    first, other = made(here, "b\n", tmp_path), made(here, "c\n", tmp_path)
    assert first
    assert other
    push_branch(here.path, origin, BRANCH, first)
    here.git("checkout", "--quiet", first)
    theirs = here.commit({"train.py": "theirs"})
    here.git("push", "--quiet", origin.url, f"HEAD:refs/heads/{BRANCH}")
    here.git("checkout", "--quiet", "-")
    with pytest.raises(RefusedError, match="has commits that are not mlbot's"):
        push_branch(here.path, origin, BRANCH, other)
    assert list_refs(origin, here.path, f"refs/heads/{BRANCH}") == {f"refs/heads/{BRANCH}": theirs}


def test_what_a_person_amended_is_theirs(here: Sandbox, origin: Remote, tmp_path: Path) -> None:
    first, other = made(here, "b\n", tmp_path), made(here, "c\n", tmp_path)
    assert first
    assert other
    push_branch(here.path, origin, BRANCH, first)
    here.git("checkout", "--quiet", first)
    here.write({"data/train.csv": "theirs\n"})
    here.git("-c", "filter.evil.clean=cat", "commit", "--quiet", "--amend", "--all", "--no-edit")
    here.git("push", "--quiet", "--force", origin.url, f"HEAD:refs/heads/{BRANCH}")
    with pytest.raises(RefusedError, match="has commits that are not mlbot's"):
        push_branch(here.path, origin, BRANCH, other)


@dataclass(frozen=True, kw_only=True)
class Raced(Remote):
    """A remote that somebody else pushes to just before each push."""

    first: list[str]  # what they push, one after the other

    def run(self, arguments: Sequence[str], cwd: Path, stdin: bytes = b"") -> CompletedProcess[bytes]:
        if arguments[0] == "push" and self.first:
            subprocess.run(["git", "-C", self.url, "update-ref", f"refs/heads/{BRANCH}", self.first.pop(0)], check=True)
        return super().run(arguments, cwd, stdin)


@pytest.mark.parametrize("same", [True, False])
def test_a_run_that_is_quicker_is_no_fault(here: Sandbox, origin: Remote, tmp_path: Path, *, same: bool) -> None:
    mine, other = made(here, "b\n", tmp_path), made(here, "c\n", tmp_path)
    assert mine
    assert other
    here.git("push", "--quiet", origin.url, f"{mine}:refs/heads/a", f"{other}:refs/heads/b")  # so that it has both
    push_branch(here.path, Raced(url=origin.url, first=[mine if same else other]), BRANCH, mine)
    assert list_refs(origin, here.path, f"refs/heads/{BRANCH}") == {f"refs/heads/{BRANCH}": mine}


def test_a_branch_below_its_name_is_named(here: Sandbox, origin: Remote, tmp_path: Path) -> None:
    here.git("push", "--quiet", origin.url, f"HEAD:refs/heads/{BRANCH}/other")
    mine = made(here, "b\n", tmp_path)
    assert mine
    with pytest.raises(RefusedError, match=f"beside refs/heads/{BRANCH}/other"):
        push_branch(here.path, origin, BRANCH, mine)
