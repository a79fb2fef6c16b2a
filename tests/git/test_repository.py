"""What a repository holds, read by the real git."""

import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest
from tests.support.git_samples import Sandbox, make

from mlbot.errors import NotEvaluatedError, UsageError
from mlbot.git.command import git
from mlbot.git.repository import Repository


def clone(origin: Sandbox, path: Path, *options: str) -> Sandbox:
    subprocess.run(["git", "clone", "--quiet", *options, f"file://{origin.path}", str(path)], check=True)
    return Sandbox(path)


def test_a_folder_inside_finds_the_top(sandbox: Sandbox) -> None:
    sandbox.commit({"a/b/c.py": "1"})
    found = Repository.discover(sandbox.path / "a" / "b")
    assert found.root == sandbox.path
    assert found.state_dir == sandbox.path / ".git" / "mlbot"


def test_a_linked_worktree_shares_the_state(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.commit({"a": "1"})
    sandbox.git("worktree", "add", "--quiet", str(tmp_path / "linked"))
    found = Repository.discover(tmp_path / "linked")
    assert found.root == tmp_path / "linked"
    assert found.state_dir == Repository.discover(sandbox.path).state_dir
    assert found.git_dir != found.common_dir


@pytest.mark.usefixtures("git_settings")
def test_what_is_no_checkout_is_said(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    with pytest.raises(UsageError, match="not in a git repository"):
        Repository.discover(tmp_path / "plain")
    with pytest.raises(UsageError, match="there is no folder"):
        Repository.discover(tmp_path / "missing")
    subprocess.run(["git", "init", "--quiet", "--bare", str(tmp_path / "bare")], check=True)
    with pytest.raises(UsageError, match="bare repository"):
        Repository.discover(tmp_path / "bare")
    with pytest.raises(UsageError, match="git's own folder"):
        Repository.discover(make(tmp_path / "ours").path / ".git")


def test_without_git_it_says_so(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="git is not installed"):
        Repository.discover(sandbox.path)


def test_variables_that_lead_elsewhere_are_ignored(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha = sandbox.commit({"a": "1"})
    other = make(tmp_path / "other")
    monkeypatch.setenv("GIT_DIR", str(other.path / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other.path))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "elsewhere"))
    repository = Repository.discover(sandbox.path)
    assert repository.root == sandbox.path
    assert repository.resolve("HEAD") == sha
    assert repository.snapshot().sha == sha


def test_revisions(sandbox: Sandbox) -> None:
    sha = sandbox.commit({"a": "1"})
    sandbox.git("tag", "-a", "v1", "-m", "annotated")
    repository = Repository.discover(sandbox.path)
    assert {repository.resolve(rev) for rev in ("HEAD", "main", "v1", sha, sha[:8])} == {sha}
    for unknown in ("nowhere", "--help", "", "main:a"):
        with pytest.raises(UsageError, match="git knows no commit"):
            repository.resolve(unknown)


def test_an_empty_repository_is_said_to_be_empty(sandbox: Sandbox) -> None:
    with pytest.raises(UsageError, match="no commit yet"):
        Repository.discover(sandbox.path).resolve("HEAD")


def _local_only(sandbox: Sandbox) -> tuple[str, str]:
    return "main", sandbox.git("rev-parse", "main")


def _master(sandbox: Sandbox) -> tuple[str, str]:
    sandbox.git("branch", "-m", "main", "master")
    return "master", sandbox.git("rev-parse", "master")


def _remote_only(sandbox: Sandbox) -> tuple[str, str]:
    sandbox.git("update-ref", "refs/remotes/origin/main", "main")
    sandbox.git("checkout", "--quiet", "-b", "work")
    sandbox.git("branch", "-D", "main")
    return "main", sandbox.git("rev-parse", "work")


def _remote_head(sandbox: Sandbox) -> tuple[str, str]:
    sandbox.git("update-ref", "refs/remotes/origin/develop", "main")
    sandbox.git("symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/develop")
    return "develop", sandbox.git("rev-parse", "main")


def _other_remote(sandbox: Sandbox) -> tuple[str, str]:
    sandbox.git("update-ref", "refs/remotes/upstream/next", "main")
    sandbox.git("symbolic-ref", "refs/remotes/upstream/HEAD", "refs/remotes/upstream/next")
    return "next", sandbox.git("rev-parse", "main")


def _local_is_behind(sandbox: Sandbox) -> tuple[str, str]:
    sandbox.git("checkout", "--quiet", "-b", "work")
    newer = sandbox.commit({"a": "2"})
    sandbox.git("update-ref", "refs/remotes/origin/main", newer)
    sandbox.commit({"a": "3"})
    return "main", newer


def _local_is_ahead(sandbox: Sandbox) -> tuple[str, str]:
    sandbox.git("update-ref", "refs/remotes/origin/main", "main")
    local = sandbox.commit({"a": "2"})
    sandbox.git("checkout", "--quiet", "-b", "work")
    sandbox.commit({"a": "3"})
    return "main", local


def _on_it_and_ahead(sandbox: Sandbox) -> tuple[str, str]:
    remote = sandbox.git("rev-parse", "main")
    sandbox.git("update-ref", "refs/remotes/origin/main", "main")
    sandbox.commit({"a": "2"})
    return "main", remote


CASES = [
    _local_only,
    _master,
    _remote_only,
    _remote_head,
    _other_remote,
    _local_is_behind,
    _local_is_ahead,
    _on_it_and_ahead,
]


@pytest.mark.parametrize("arrange", CASES)
def test_the_default_branch(sandbox: Sandbox, arrange: Callable[[Sandbox], tuple[str, str]]) -> None:
    sandbox.commit({"a": "1"})
    name, sha = arrange(sandbox)
    found = Repository.discover(sandbox.path).default_branch()
    assert (found.name, found.sha) == (name, sha)


def test_a_configured_default_branch(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    sha = sandbox.commit({"a": "1"})
    sandbox.git("branch", "-m", "main", "trunk")
    with pytest.raises(UsageError, match="--base BRANCH"):
        Repository.discover(sandbox.path).default_branch()
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "trunk")
    assert Repository.discover(sandbox.path).default_branch().sha == sha


def test_histories(sandbox: Sandbox) -> None:
    first = sandbox.commit({"a": "1"})
    second = sandbox.commit({"a": "2"})
    sandbox.git("checkout", "--quiet", "-b", "work", first)
    work = sandbox.commit({"b": "1"})
    sandbox.git("checkout", "--quiet", "--orphan", "alone")
    alone = sandbox.commit({"c": "1"})
    repository = Repository.discover(sandbox.path)
    assert repository.merge_base(work, second) == first
    assert repository.merge_base(alone, second) is None
    assert repository.merge_base(work, work) == work
    assert (repository.count_between(first, second), repository.count_between(second, first)) == (1, 0)


def test_a_shallow_clone_without_the_merge_base(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.commit({"a": "1"})
    main = sandbox.commit({"a": "2"})
    sandbox.git("checkout", "--quiet", "-b", "work", "HEAD~1")
    work = sandbox.commit({"b": "1"})
    repository = Repository.discover(clone(sandbox, tmp_path / "clone", "--depth=1", "--no-single-branch").path)
    with pytest.raises(UsageError, match="git fetch --unshallow"):
        repository.merge_base(main, work)
    with pytest.raises(UsageError, match="git fetch --unshallow"):
        repository.resolve("0" * 40)


def test_the_files_of_a_commit(sandbox: Sandbox) -> None:
    names = ["plain.py", "with space.txt", "new\nline", "tab\t\"quote'", "grüße/日本.csv", "deep/er/file"]
    sandbox.write(dict.fromkeys(names, "1"))
    (sandbox.path / "run.sh").write_text("exit")
    (sandbox.path / "run.sh").chmod(0o755)
    (sandbox.path / "link").symlink_to("deep/er")
    (sandbox.path / bytes([0xFF, 0x2E]).decode("utf-8", "surrogateescape")).write_text("not UTF-8")
    repository = Repository.discover(sandbox.path)
    sha = sandbox.commit()
    tree = repository.tree(sha)
    assert set(tree.entries) == {*names, "run.sh", "link", "\udcff."}
    assert tree.entries["run.sh"][0] == "100755"
    assert tree.links == {"link": "deep/er"}
    assert repository.tree(sha) is tree
    assert repository.read(sha, "new\nline") == b"1"
    assert repository.read(sha, "\udcff.") == b"not UTF-8"


def test_many_files_are_read_at_once(sandbox: Sandbox) -> None:
    (sandbox.path / "binary").write_bytes(bytes(range(256)) * 1000)
    sha = sandbox.commit({"empty": "", "same": "x\n", "again": "x\n"})
    repository = Repository.discover(sandbox.path)
    contents = repository.read_many(sha, ["binary", "empty", "same", "again"])
    assert contents == {
        "binary": bytes(range(256)) * 1000,
        "empty": b"",
        "same": b"x\n",
        "again": b"x\n",
    }
    with pytest.raises(UsageError, match="no file gone"):
        repository.read(sha, "gone")
    with pytest.raises(UsageError, match="not in the repository"):
        repository.blobs(["1" * 40])


def test_a_file_behind_links_is_read(sandbox: Sandbox) -> None:
    sandbox.write({"store/v1/params.yaml": "depth: 3", "store/v1/other": ""})
    (sandbox.path / "now").symlink_to("store/v1")
    (sandbox.path / "params.yaml").symlink_to("now/params.yaml")
    (sandbox.path / "out.yaml").symlink_to("/etc/hostname")
    sha = sandbox.commit()
    repository = Repository.discover(sandbox.path)
    for path in ("params.yaml", "now/params.yaml", "./store/v1/params.yaml"):
        assert repository.read(sha, path) == b"depth: 3"
    for path in ("store", "now", "out.yaml"):
        with pytest.raises(UsageError, match=f"no file {path}"):
            repository.read(sha, path)


def test_whether_it_is_clean(sandbox: Sandbox) -> None:
    sandbox.commit({"a": "1", ".gitignore": "ignored\n"})
    sandbox.write({"ignored": "x"})
    repository = Repository.discover(sandbox.path)
    assert repository.is_clean
    sandbox.write({"untracked": "x"})
    assert not repository.is_clean


# Worktrees: a commit's files for a while, and nothing left behind however the run ends.

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


# --- a tree that a few objects make too big


def nested(sandbox: Sandbox, oid: str, *, kind: str = "blob", wide: int = 100, deep: int = 3) -> str:
    """A commit whose tree holds the same object `wide ** deep` times."""
    mode = "100644" if kind == "blob" else "040000"
    for _ in range(deep):
        lines = "".join(f"{mode} {kind} {oid}\t{name:03}\n" for name in range(wide))
        oid = git(["mktree"], sandbox.path, stdin=lines.encode()).decode().strip()
        mode, kind = "040000", "tree"
    return sandbox.git("commit-tree", oid, "-m", "A bomb")


def blob(sandbox: Sandbox, content: bytes = b"x") -> str:
    return git(["hash-object", "-w", "--stdin"], sandbox.path, stdin=content).decode().strip()


def too_big(sandbox: Sandbox, sha: str, words: str) -> None:
    with pytest.raises(NotEvaluatedError, match=f"too big: it .*{words}") as caught:
        Repository.discover(sandbox.path).tree(sha)
    assert caught.value.where == f"commit {sha[:10]}"
    assert "out of git" in caught.value.hint


def test_a_tree_bomb_is_counted_before_it_is_held(sandbox: Sandbox) -> None:
    sha = nested(sandbox, blob(sandbox))  # 10^6 files of four objects
    tracemalloc.start()
    try:
        too_big(sandbox, sha, "300,000 files and folders")
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()


def test_folders_without_a_file_are_counted_too(sandbox: Sandbox) -> None:
    empty = git(["mktree"], sandbox.path).decode().strip()
    too_big(sandbox, nested(sandbox, empty, kind="tree", deep=5), "300,000 files and folders")  # 10^10 folders


def test_a_tree_of_the_largest_size_is_read(sandbox: Sandbox) -> None:
    sha = nested(sandbox, blob(sandbox), wide=66, deep=3)
    assert len(Repository.discover(sandbox.path).tree(sha).entries) == 66**3


def in_folders(sandbox: Sandbox, name: str, deep: int) -> str:
    oid, kind, mode = blob(sandbox), "blob", "100644"
    for _ in range(deep):
        oid = git(["mktree"], sandbox.path, stdin=f"{mode} {kind} {oid}\t{name}\n".encode()).decode().strip()
        kind, mode = "tree", "040000"
    return sandbox.git("commit-tree", oid, "-m", "Deep")


@pytest.mark.parametrize(("name", "deep"), [("d", 300), ("d" * 250, 20)])
def test_a_path_that_no_disk_takes_is_refused(sandbox: Sandbox, name: str, deep: int) -> None:
    too_big(sandbox, in_folders(sandbox, name, deep), "a path of more than 4,096 bytes or 256 folders")


def test_long_paths_are_counted_by_their_bytes(sandbox: Sandbox) -> None:
    oid = blob(sandbox)
    for wide, kind, mode in ((200, "blob", "100644"), *[(1, "tree", "040000")] * 14, *[(100, "tree", "040000")] * 1):
        lines = "".join(f"{mode} {kind} {oid}\t{str(each) + 'n' * 240}\n" for each in range(wide))
        oid = git(["mktree"], sandbox.path, stdin=lines.encode()).decode().strip()
    too_big(sandbox, sandbox.git("commit-tree", oid, "-m", "Long"), "64 MiB of paths")


def test_a_link_of_many_bytes_is_not_read(sandbox: Sandbox) -> None:
    lines = f"120000 blob {blob(sandbox, b'x' * 10_000)}\tlink\n"
    tree = git(["mktree"], sandbox.path, stdin=lines.encode()).decode().strip()
    with pytest.raises(NotEvaluatedError, match="too big: it has 10,000 bytes"):
        Repository.discover(sandbox.path).tree(sandbox.git("commit-tree", tree, "-m", "A link"))


def test_a_file_that_fills_the_memory_is_not_read(sandbox: Sandbox) -> None:
    oid = blob(sandbox, bytes(129 << 20))
    tree = git(["mktree"], sandbox.path, stdin=f"100644 blob {oid}\tmlbot.yaml\n".encode()).decode().strip()
    with pytest.raises(NotEvaluatedError, match="reads at most 134,217,728"):
        Repository.discover(sandbox.path).read(sandbox.git("commit-tree", tree, "-m", "Large"), "mlbot.yaml")


def test_history_is_what_the_commits_say(sandbox: Sandbox) -> None:
    first, second = sandbox.commit({"a": "1"}), sandbox.commit({"a": "2"})
    grafts = sandbox.path / ".git" / "info" / "grafts"
    grafts.parent.mkdir(exist_ok=True)
    grafts.write_text(f"{second}\n")
    assert Repository.discover(sandbox.path).merge_base(first, second) == first
