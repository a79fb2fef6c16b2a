"""The working tree as a commit object, made without touching the user's index, HEAD, refs, files or stash."""

import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mlbot.errors import UsageError
from mlbot.git.command import git, try_git, words
from mlbot.git.leases import scratch
from mlbot.lib.record import Sha
from mlbot.lib.tree import shown

_IDENTITY = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "mlbot"), ("EMAIL", "mlbot@localhost"), ("DATE", "2000-01-01T00:00:00+0000"))
}
"""Always the same, so that the same files on the same HEAD give the same commit."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """The working tree as a commit.

    Attributes:
        sha: the commit: HEAD itself when nothing differs from it.
        uncommitted: the changed, added and deleted files, as a person can read them, sorted.
        head: the commit that HEAD names; None before the first.
    """

    sha: Sha
    uncommitted: tuple[str, ...]
    head: Sha | None


def take(root: Path, git_dir: Path, state_dir: Path) -> Snapshot:
    """Write the working tree's files, untracked ones included and ignored ones not, as objects and commit them.

    The objects are in the repository and no ref names them; git's own garbage collection takes them after its grace
    time. A submodule counts with the commit it has checked out; what is changed inside it does not.

    Raises:
        UsageError: with git's words, if a file cannot be read.
    """
    head, head_tree = _head(root)
    tree = _written(root, git_dir, state_dir)
    if head is not None and tree == head_tree:
        return Snapshot(sha=head, uncommitted=(), head=head)
    parent = ("-p", head) if head else ()
    sha = git(["commit-tree", tree, *parent, "-m", "Uncommitted changes"], root, extra=_IDENTITY).decode().strip()
    return Snapshot(sha=sha, uncommitted=_changed(root, head_tree, tree), head=head)


def _head(root: Path) -> tuple[Sha | None, Sha | None]:
    """HEAD's commit and tree; nothing before the first commit."""
    done = try_git(["rev-parse", "HEAD^{commit}", "HEAD^{tree}"], root)
    if done.returncode != 0:
        return None, None
    head, tree = done.stdout.decode().split()
    return head, tree


def _written(root: Path, git_dir: Path, state_dir: Path) -> Sha:
    with scratch(state_dir) as folder:
        index = folder / "index"
        with suppress(FileNotFoundError):
            # With its times: git tells by them which entries may have changed in the moment the index was written.
            shutil.copy2(git_dir / "index", index)
        extra = {"GIT_INDEX_FILE": str(index)}
        done = try_git(["add", "--all", "."], root, extra=extra)
        if done.returncode != 0 and b"sparse" in done.stderr:
            # A file where a sparse checkout wants none. Only a git that refuses such files (2.34) has the option.
            done = try_git(["add", "--all", "--sparse", "."], root, extra=extra)
        if done.returncode != 0:
            raise UsageError(f"git cannot read all files: {words(done)}", where=str(root))
        return git(["write-tree"], root, extra=extra).decode().strip()


def _changed(root: Path, before: Sha | None, after: Sha) -> tuple[str, ...]:
    if before is None:
        out = git(["ls-tree", "-r", "-z", "--name-only", after], root)
    else:
        out = git(["diff-tree", "-r", "-z", "--name-only", "--no-renames", before, after], root)
    return tuple(shown(path.decode("utf-8", "surrogateescape")) for path in sorted(out.split(b"\0")) if path)
