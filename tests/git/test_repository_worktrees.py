"""Worktrees: a commit's files for a while, and nothing left behind however the run ends."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest
from tests.support.git_samples import Sandbox, make

from mlbot.errors import UsageError
from mlbot.git.repository import Repository

HOLDER = """
import sys
from pathlib import Path
from mlbot.git.repository import Repository
repository = Repository.discover(Path(sys.argv[1]))
with repository.worktree(repository.resolve("HEAD")) as folder:
    print(folder, flush=True)
    sys.stdin.read()
"""
ADDER = """
import sys
from pathlib import Path
from mlbot.git.repository import Repository
repository = Repository.discover(Path(sys.argv[1]))
repository.clean_up()
for _ in range(3):
    with repository.worktree(repository.resolve("HEAD")) as folder:
        assert (folder / "a").read_text() == "1"
"""


def left(sandbox: Sandbox) -> list[str]:
    """What is still there of any worktree: folders, locks, git's own notes."""
    places = (sandbox.path / ".git" / "mlbot" / "worktrees", sandbox.path / ".git" / "worktrees")
    return [str(path) for place in places if place.is_dir() for path in place.iterdir()]


@contextmanager
def holder(sandbox: Sandbox) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Another process that holds a worktree until its stdin ends."""
    command = [sys.executable, "-c", HOLDER, str(sandbox.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process, Path(_of(process.stdout).readline().strip())
        finally:
            process.kill()


def _of(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream


def test_it_has_the_commit_and_goes(sandbox: Sandbox) -> None:
    sha = sandbox.commit({"a": "1", "deep/b": "2"})
    sandbox.commit({"a": "newer"})
    repository = Repository.discover(sandbox.path)
    with repository.worktree(sha) as folder:
        assert (folder / "a").read_text() == "1"
        assert (folder / "deep" / "b").read_text() == "2"
        assert Sandbox(folder).git("rev-parse", "HEAD") == sha
        assert Sandbox(folder).git("status", "--porcelain") == ""
        assert repository.is_clean
    assert left(sandbox) == []
    assert sandbox.git("worktree", "list").count("\n") == 0
    assert sandbox.git("fsck") == ""


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_it_goes_after_any_exception(sandbox: Sandbox, error: type[BaseException]) -> None:
    sandbox.commit({"a": "1"})
    repository = Repository.discover(sandbox.path)
    with pytest.raises(error), repository.worktree(repository.resolve("HEAD")):
        raise error
    assert left(sandbox) == []


def test_a_training_that_locks_itself_in_is_removed(sandbox: Sandbox) -> None:
    sandbox.commit({"a": "1"})
    repository = Repository.discover(sandbox.path)
    with repository.worktree(repository.resolve("HEAD")) as folder:
        (folder / "locked" / "inner").mkdir(parents=True)
        (folder / "locked" / "inner" / "file").write_text("x")
        (folder / "locked" / "inner").chmod(0)
        (folder / "locked").chmod(0)
    assert left(sandbox) == []


def test_an_unknown_commit_leaves_nothing(sandbox: Sandbox) -> None:
    sandbox.commit({"a": "1"})
    repository = Repository.discover(sandbox.path)
    with pytest.raises(UsageError, match="git worktree add failed"), repository.worktree("0" * 40):
        pass
    assert left(sandbox) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_takes_it_away(sandbox: Sandbox, number: signal.Signals) -> None:
    sandbox.commit({"a": "1"})
    with holder(sandbox) as (process, folder):
        assert (folder / "a").read_text() == "1"
        process.send_signal(number)
        assert process.wait(30) != 0
    assert left(sandbox) == []


def test_sigterm_keeps_its_meaning_afterwards(sandbox: Sandbox) -> None:
    sandbox.commit({"a": "1"})
    repository = Repository.discover(sandbox.path)
    with repository.worktree(repository.resolve("HEAD")):
        assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
        with repository.worktree(repository.resolve("HEAD")):
            pass
        assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_the_next_run_heals_a_killed_one_and_spares_the_living(sandbox: Sandbox) -> None:
    sandbox.commit({"a": "1"})
    repository = Repository.discover(sandbox.path)
    with holder(sandbox) as (_, alive), holder(sandbox) as (killed, dead):
        killed.kill()
        killed.wait(30)
        assert dead.is_dir()
        assert repository.clean_up() == (dead,)
        assert not dead.exists()
        assert (alive / "a").read_text() == "1"
        assert Sandbox(alive).git("status", "--porcelain") == ""
        assert repository.clean_up() == ()
    assert repository.clean_up() == (alive,)
    assert left(sandbox) == []


def test_half_made_leftovers_are_healed(sandbox: Sandbox) -> None:
    sandbox.commit({"a": "1"})
    state = sandbox.path / ".git" / "mlbot"
    (state / "worktrees" / "without-lock").mkdir(parents=True)
    (state / "worktrees" / "without-folder.lock").touch()
    notes = sandbox.path / ".git" / "worktrees" / "without-folder"
    notes.mkdir(parents=True)
    (notes / "locked").write_text("initializing")  # as `git worktree add` leaves it when it is killed
    (state / "scratch" / "left").mkdir(parents=True)
    (state / "scratch" / "left" / "index.lock").touch()
    Repository.discover(sandbox.path).clean_up()
    assert left(sandbox) == []
    assert list((state / "scratch").iterdir()) == []


def test_worktrees_of_the_user_are_spared(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.commit({"a": "1"})
    sandbox.git("worktree", "add", "--quiet", str(tmp_path / "disk"))
    (tmp_path / "disk").rename(tmp_path / "unplugged")
    Repository.discover(sandbox.path).clean_up()
    (tmp_path / "unplugged").rename(tmp_path / "disk")
    assert Sandbox(tmp_path / "disk").git("status", "--porcelain") == ""


def test_many_processes_at_once(sandbox: Sandbox) -> None:
    sandbox.commit({"a": "1"} | {f"file-{number}": "x" for number in range(50)})
    command = [sys.executable, "-c", ADDER, str(sandbox.path)]
    running = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(6)]
    said = [process.communicate(timeout=120)[1] for process in running]
    assert [process.returncode for process in running] == [0] * 6, said
    assert left(sandbox) == []


def test_links_bring_data_that_git_does_not_track(sandbox: Sandbox) -> None:
    sha = sandbox.commit({"tracked.csv": "git's", ".gitignore": "data/\n"})
    sandbox.write({"data/big.csv": "1,2", "tracked.csv": "edited"})
    own = {name: sandbox.path / name for name in ("data/big.csv", "tracked.csv")}
    with Repository.discover(sandbox.path).worktree(sha, links=own) as folder:
        assert (folder / "data" / "big.csv").read_text() == "1,2"
        assert (folder / "data" / "big.csv").is_symlink()
        assert (folder / "tracked.csv").read_text() == "git's"
    assert (sandbox.path / "data" / "big.csv").read_text() == "1,2"


@pytest.mark.parametrize("name", ["../outside.csv", "/etc/outside.csv", "way-out/outside.csv"])
def test_a_link_does_not_lead_out(sandbox: Sandbox, tmp_path: Path, name: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    (sandbox.path / "way-out").symlink_to(tmp_path / "elsewhere")
    sha = sandbox.commit({"a": "1"})
    repository = Repository.discover(sandbox.path)
    with pytest.raises(UsageError, match="out of the"), repository.worktree(sha, links={name: sandbox.path / "a"}):
        pass
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert left(sandbox) == []


def test_a_sparse_checkout_gets_all_files(sandbox: Sandbox) -> None:
    sha = sandbox.commit({"kept/a": "1", "left-out/b": "2"})
    sandbox.git("sparse-checkout", "set", "kept")
    with Repository.discover(sandbox.path).worktree(sha) as folder:
        assert (folder / "left-out" / "b").read_text() == "2"


def test_submodules_come_from_the_users_copies(sandbox: Sandbox, tmp_path: Path) -> None:
    inner = make(tmp_path / "inner")
    inner.commit({"deep.py": "deep"})
    library = make(tmp_path / "library")
    library.git("submodule", "--quiet", "add", str(inner.path), "inner")
    library.commit({"lib.py": "1"})
    sandbox.git("submodule", "--quiet", "add", str(library.path), "libs/lib")
    sandbox.git("submodule", "--quiet", "update", "--init", "--recursive")
    old = sandbox.commit()
    Sandbox(sandbox.path / "libs" / "lib").commit({"lib.py": "2"})
    new = sandbox.commit()
    repository = Repository.discover(sandbox.path)
    for sha, text in ((old, "1"), (new, "2")):
        with repository.worktree(sha) as folder:
            assert (folder / "libs" / "lib" / "lib.py").read_text() == text
            assert (folder / "libs" / "lib" / "inner" / "deep.py").read_text() == "deep"
            assert not (folder / "libs" / "lib" / ".git").exists()
    assert Sandbox(sandbox.path / "libs" / "lib").git("status", "--porcelain") == ""
    assert left(sandbox) == []


def test_a_submodule_that_is_not_there_is_an_empty_folder(sandbox: Sandbox, tmp_path: Path) -> None:
    library = make(tmp_path / "library")
    library.commit({"lib.py": "1"})
    sandbox.git("submodule", "--quiet", "add", str(library.path), "lib")
    sha = sandbox.commit()
    subprocess.run(["git", "clone", "--quiet", str(sandbox.path), str(tmp_path / "clone")], check=True)
    with Repository.discover(tmp_path / "clone").worktree(sha) as folder:
        assert list((folder / "lib").iterdir()) == []


def test_from_a_linked_worktree(sandbox: Sandbox, tmp_path: Path) -> None:
    sha = sandbox.commit({"a": "1"})
    sandbox.git("worktree", "add", "--quiet", str(tmp_path / "linked"))
    with Repository.discover(tmp_path / "linked").worktree(sha) as folder:
        assert folder.is_relative_to(sandbox.path / ".git" / "mlbot")
        assert (folder / "a").read_text() == "1"
