"""The working tree as a commit: everything in it, nothing of the user's touched."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import pytest
from tests.support.git_samples import Sandbox, make

from mlbot.errors import UsageError
from mlbot.git.repository import Repository
from mlbot.git.snapshot import Snapshot, digests


def take(sandbox: Sandbox) -> Snapshot:
    return Repository.discover(sandbox.path).snapshot()


def fingerprint(sandbox: Sandbox) -> dict[str, str]:
    """Everything of the user's: index, HEAD, refs, logs, files.

    Objects may be added, so they do not count; nor does the time of a shared index, which git renews as it reads.
    """
    files = (path for path in sandbox.path.rglob("*") if path.is_file() and not path.is_symlink())
    ours = (sandbox.path / ".git" / "objects", sandbox.path / ".git" / "mlbot")
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        + ("" if path.name.startswith("sharedindex") else str(path.stat().st_mtime_ns))
        for path in files
        if not any(path.is_relative_to(folder) for folder in ours)
    }


def _edit(sandbox: Sandbox) -> None:
    sandbox.write({"a.py": "2"})


def _stage(sandbox: Sandbox) -> None:
    sandbox.write({"a.py": "2"})
    sandbox.git("add", "a.py")


def _stage_then_edit(sandbox: Sandbox) -> None:
    _stage(sandbox)
    sandbox.write({"a.py": "3"})


def _untracked(sandbox: Sandbox) -> None:
    sandbox.write({"new/file with\nnewline": "1", "ignored.txt": "never"})


def _intent_to_add(sandbox: Sandbox) -> None:
    sandbox.write({"new": "1"})
    sandbox.git("add", "--intent-to-add", "new")


def _delete(sandbox: Sandbox) -> None:
    (sandbox.path / "a.py").unlink()


def _staged_deletion_of_what_is_still_there(sandbox: Sandbox) -> None:
    sandbox.git("rm", "--quiet", "--cached", "b.py")
    (sandbox.path / "b.py").unlink()


def _rename(sandbox: Sandbox) -> None:
    sandbox.git("mv", "a.py", "c.py")


def _mode(sandbox: Sandbox) -> None:
    (sandbox.path / "a.py").chmod(0o755)


def _symlink(sandbox: Sandbox) -> None:
    (sandbox.path / "link").symlink_to("a.py")


def _file_becomes_folder(sandbox: Sandbox) -> None:
    (sandbox.path / "a.py").unlink()
    sandbox.write({"a.py/inside": "1"})


def _merge_conflict(sandbox: Sandbox) -> None:
    sandbox.git("checkout", "--quiet", "-b", "other")
    sandbox.commit({"a.py": "theirs"})
    sandbox.git("checkout", "--quiet", "main")
    sandbox.commit({"a.py": "ours"})
    with pytest.raises(Exception, match="merge"):
        sandbox.git("merge", "other")


CHANGES: dict[str, tuple[Callable[[Sandbox], None], tuple[str, ...]]] = {
    "edit": (_edit, ("a.py",)),
    "stage": (_stage, ("a.py",)),
    "stage then edit": (_stage_then_edit, ("a.py",)),
    "untracked": (_untracked, ("new/file with\\nnewline",)),
    "intent to add": (_intent_to_add, ("new",)),
    "delete": (_delete, ("a.py",)),
    "staged deletion": (_staged_deletion_of_what_is_still_there, ("b.py",)),
    "rename": (_rename, ("a.py", "c.py")),
    "mode": (_mode, ("a.py",)),
    "symlink": (_symlink, ("link",)),
    "file becomes folder": (_file_becomes_folder, ("a.py", "a.py/inside")),
    "merge conflict": (_merge_conflict, ("a.py",)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_snapshot_is_what_a_commit_would_be(sandbox: Sandbox, change: str) -> None:
    sandbox.commit({"a.py": "1", "b.py": "1", ".gitignore": "ignored.txt\n"})
    arrange, uncommitted = CHANGES[change]
    arrange(sandbox)
    before = fingerprint(sandbox)
    head = sandbox.git("rev-parse", "HEAD")
    snapshot = take(sandbox)
    assert fingerprint(sandbox) == before
    assert snapshot.uncommitted == uncommitted
    assert snapshot.head == head
    assert sandbox.git("rev-parse", f"{snapshot.sha}^") == head
    sandbox.commit()
    assert sandbox.git("rev-parse", "HEAD^{tree}") == sandbox.git("rev-parse", f"{snapshot.sha}^{{tree}}")


def test_a_clean_tree_is_head_itself(sandbox: Sandbox) -> None:
    head = sandbox.commit({"a": "1"})
    assert take(sandbox) == Snapshot(sha=head, uncommitted=(), head=head)


def test_the_same_files_give_the_same_commit(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox.commit({"a": "1"})
    sandbox.write({"a": "2"})
    first = take(sandbox)
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Somebody else")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "i18n.commitEncoding")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "ISO-8859-1")
    sandbox.git("add", "a")
    assert take(sandbox) == first
    sandbox.write({"a": "3"})
    assert take(sandbox).sha != first.sha


def test_before_the_first_commit(sandbox: Sandbox) -> None:
    sandbox.write({"a": "1"})
    snapshot = take(sandbox)
    assert snapshot.head is None
    assert snapshot.uncommitted == ("a",)
    assert sandbox.git("ls-tree", "--name-only", snapshot.sha) == "a"


def test_a_change_that_keeps_size_and_time_is_seen(sandbox: Sandbox) -> None:
    sandbox.write({"a": "1"})
    os.utime(sandbox.path / "a", ns=(10**18, 10**18))
    sandbox.commit()
    index = sandbox.path / ".git" / "index"
    os.utime(index, ns=(10**18, 10**18))  # as if all of it happened within one tick of the clock
    file = sandbox.path / "a"
    with file.open("r+") as open_file:
        open_file.write("2")
    os.utime(file, ns=(10**18, 10**18))
    assert take(sandbox).uncommitted == ("a",)


def test_hooks_signing_and_watchers_do_not_run(sandbox: Sandbox) -> None:
    sandbox.commit({"a": "1"})
    ran = sandbox.path.parent / "ran"
    hook = f"#!/bin/sh\necho x >> {ran}\nexit 1\n"
    for name in ("pre-commit", "post-commit", "post-index-change", "post-checkout", "watch"):
        file = sandbox.path / ".git" / "hooks" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(hook)
        file.chmod(0o755)
    sandbox.git("config", "core.fsmonitor", str(sandbox.path / ".git" / "hooks" / "watch"))
    sandbox.git("config", "commit.gpgSign", "true")
    sandbox.git("config", "gpg.program", str(sandbox.path / ".git" / "hooks" / "watch"))
    sandbox.write({"a": "2"})
    repository = Repository.discover(sandbox.path)
    snapshot = repository.snapshot()
    assert not repository.is_clean
    with repository.worktree(snapshot.sha) as folder:
        assert (folder / "a").read_text() == "2"
    assert not ran.exists()


def test_a_submodule_counts_with_its_commit(sandbox: Sandbox, tmp_path: Path) -> None:
    library = make(tmp_path / "library")
    library.commit({"lib.py": "1"})
    sandbox.git("submodule", "--quiet", "add", str(library.path), "lib")
    sandbox.commit()
    assert take(sandbox).uncommitted == ()
    Sandbox(sandbox.path / "lib").commit({"lib.py": "2"})
    snapshot = take(sandbox)
    assert snapshot.uncommitted == ("lib",)
    assert Repository.discover(sandbox.path).tree(snapshot.sha).entries["lib"][0] == "160000"


def test_a_sparse_checkout_loses_nothing(sandbox: Sandbox) -> None:
    sandbox.commit({"kept/a": "1", "left-out/b": "1", "top": "1"})
    sandbox.git("sparse-checkout", "set", "kept")
    sandbox.write({"kept/a": "2"})
    assert not (sandbox.path / "left-out").exists()
    snapshot = take(sandbox)
    assert snapshot.uncommitted == ("kept/a",)
    assert "left-out/b" in Repository.discover(sandbox.path).tree(snapshot.sha).entries


def test_a_sparse_checkout_with_new_files_beside_it(sandbox: Sandbox) -> None:
    sandbox.commit({"kept/a": "1", "left-out/b": "1"})
    sandbox.git("sparse-checkout", "set", "kept")
    sandbox.write({"left-out/b": "changed", "left-out/c": "new"})
    assert take(sandbox).uncommitted == ("left-out/b", "left-out/c")


def test_a_split_index(sandbox: Sandbox) -> None:
    sandbox.commit({"a": "1", "b": "1"})
    sandbox.git("update-index", "--split-index")
    sandbox.write({"a": "2"})
    before = fingerprint(sandbox)
    assert take(sandbox).uncommitted == ("a",)
    assert fingerprint(sandbox) == before


def test_in_a_linked_worktree(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.commit({"a": "1"})
    sandbox.write({"a": "changed in the main one only"})
    sandbox.git("worktree", "add", "--quiet", str(tmp_path / "linked"))
    linked = Sandbox(tmp_path / "linked")
    assert take(linked).uncommitted == ()
    linked.write({"b": "1"})
    assert take(linked).uncommitted == ("b",)


def test_a_detached_head(sandbox: Sandbox) -> None:
    first = sandbox.commit({"a": "1"})
    sandbox.commit({"a": "2"})
    sandbox.git("checkout", "--quiet", first)
    assert take(sandbox).sha == first


def test_nothing_is_left_behind(sandbox: Sandbox) -> None:
    sandbox.commit({"a": "1"})
    sandbox.write({"a": "2"})
    take(sandbox)
    assert list((sandbox.path / ".git" / "mlbot" / "scratch").iterdir()) == []


def test_a_nested_repository_without_a_commit_is_said(sandbox: Sandbox) -> None:
    sandbox.commit({"a": "1"})
    make(sandbox.path / "nested")
    with pytest.raises(UsageError, match="nested"):
        take(sandbox)
    assert list((sandbox.path / ".git" / "mlbot" / "scratch").iterdir()) == []


# Digests of files that git does not track.

LONG_AGO = 10**18


def write(path: Path, text: str, *, rested: bool = True) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    if rested:
        os.utime(path, ns=(LONG_AGO, LONG_AGO))


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def test_a_file_has_the_sha256_of_its_bytes(tmp_path: Path, state: Path) -> None:
    write(tmp_path / "data.csv", "1,2\n")
    found = digests(tmp_path, state, ["data.csv", "missing.csv"])
    assert found == {"data.csv": f"sha256:{sha256(b'1,2' + bytes([10])).hexdigest()}"}


def test_a_folder_sees_names_and_contents(tmp_path: Path, state: Path) -> None:
    seen = set()
    for name, text in (("a", "1"), ("b", "1"), ("b", "2")):
        folder = tmp_path / f"{name}{text}"
        write(folder / "data" / name, text)
        seen.add(digests(folder, state, ["data"])["data"])
    assert len(seen) == 3


def test_what_is_known_is_not_read_again(tmp_path: Path, state: Path) -> None:
    write(tmp_path / "data.csv", "1")
    first = digests(tmp_path, state, ["data.csv"])
    cache = state / "digests.json"
    # Young files are not kept: only then can a second change within one tick of the clock go unseen.
    assert not cache.exists()
    status = (tmp_path / "data.csv").stat()
    facts = [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev]
    state.mkdir()
    known = {"facts": facts, "digest": "sha256:" + "0" * 64}
    cache.write_text(json.dumps({"files": {str(tmp_path / "data.csv"): known}}))
    assert digests(tmp_path, state, ["data.csv"])["data.csv"] == "sha256:" + "0" * 64
    write(tmp_path / "data.csv", "2")
    assert digests(tmp_path, state, ["data.csv"])["data.csv"] not in {"sha256:" + "0" * 64, first["data.csv"]}


def test_a_rested_file_is_kept(tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "data.csv", "1")
    monkeypatch.setattr("mlbot.git.snapshot._SETTLED_NS", -(10**18))
    found = digests(tmp_path, state, ["data.csv"])
    known = json.loads((state / "digests.json").read_text())["files"]
    assert known[str(tmp_path / "data.csv")]["digest"] == found["data.csv"]
    assert list((state / "scratch").iterdir()) == []


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"files": {"x": 1}}', "null"])
def test_a_damaged_cache_is_as_none(tmp_path: Path, state: Path, damage: str) -> None:
    write(tmp_path / "data.csv", "1")
    expected = digests(tmp_path, tmp_path / "other", ["data.csv"])
    state.mkdir(exist_ok=True)
    (state / "digests.json").write_text(damage.replace("x", str(tmp_path / "data.csv")))
    assert digests(tmp_path, state, ["data.csv"]) == expected


def test_digests_that_a_training_wrote_are_forgotten(sandbox: Sandbox) -> None:
    repository = Repository.discover(sandbox.path)
    cache = repository.state_dir / "digests.json"
    with repository.watched_digests():
        pass
    assert not cache.exists()
    cache.parent.mkdir(parents=True, exist_ok=True)
    cache.write_text('{"files": {}}')
    with repository.watched_digests():
        assert cache.exists()
    assert cache.exists()
    with suppress(ZeroDivisionError), repository.watched_digests():
        cache.write_text('{"files": {"data.csv": {"facts": [], "digest": "sha256:%s"}}}' % ("0" * 64))
        raise ZeroDivisionError
    assert not cache.exists()


def test_what_mlbot_writes_is_no_part_of_the_working_tree(sandbox: Sandbox) -> None:
    sandbox.commit({"a.txt": "1\n"})
    repository = Repository.discover(sandbox.path)
    repository.leave_out([sandbox.path / "report.html", sandbox.path / "trained", Path("/elsewhere/x.md")])
    sandbox.write({"report.html": "<p>\n", "trained/m/0/model.onnx": "x\n"})
    assert repository.snapshot().uncommitted == ()
    assert repository.is_clean
    sandbox.write({"report.html.txt": "2\n"})
    assert repository.snapshot().uncommitted == ("report.html.txt",)
    assert not Repository.discover(sandbox.path).is_clean
    sandbox.commit({"report.html": "<p>\n"})
    sandbox.write({"report.html": "<b>\n"})
    assert Repository.discover(sandbox.path).snapshot().uncommitted == ()


def test_a_file_that_the_output_goes_to_is_no_part_of_the_working_tree(sandbox: Sandbox) -> None:
    sandbox.commit({"a.txt": "1\n"})
    code = "import pathlib, mlbot.git.repository as r; print(r.Repository.discover(pathlib.Path()).snapshot())"
    for _ in range(2):
        with (sandbox.path / "report.json").open("w") as out:
            subprocess.run([sys.executable, "-c", code], cwd=sandbox.path, stdout=out, check=True)
        assert "uncommitted=()" in (sandbox.path / "report.json").read_text()
    assert Repository.discover(sandbox.path).snapshot().uncommitted == ()
