"""What a repository holds, read by the real git."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.git_samples import Sandbox, make

from mlbot.errors import UsageError
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
