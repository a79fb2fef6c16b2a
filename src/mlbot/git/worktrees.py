"""Checkouts of commits in folders of their own, for training: never beside the user's files, never left behind."""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mlbot.core.patterns import normalise
from mlbot.core.record import Sha
from mlbot.core.tree import SUBMODULE
from mlbot.errors import UsageError
from mlbot.git.command import git, try_git, words
from mlbot.git.leases import exclusive, heal, lease, remove_tree

if TYPE_CHECKING:
    from mlbot.git.repository import Repository

_ATTEMPTS = 5
_PAUSE_S = 0.1


@contextmanager
def worktree(repository: "Repository", sha: Sha, links: Mapping[str, Path]) -> Iterator[Path]:
    """Check a commit out, detached, and take it away at the end: after an exception, Ctrl-C and SIGTERM too.

    Git's filters run as the user has set them up, Git LFS among them; hooks do not. The whole commit is there also
    where the user's checkout is sparse, and a submodule's files if the user's checkout has their commit.

    Args:
        repository: the repository.
        sha: the commit.
        links: data that git does not track, by its path: a symbolic link to the user's own file is made there, unless
            the commit has something at that path.

    Raises:
        UsageError: if git fails, or a link leads out of the worktree.
    """
    with lease(_folder(repository), partial(_remove, repository)) as path:
        _add(repository, sha, path)
        git(["-c", "core.sparseCheckout=false", "reset", "--hard", "--quiet", sha], path)
        _fill_submodules(repository, sha, path, _notes(repository, path) / "submodule-index")
        for name, target in links.items():
            _link(path, name, target)
        yield path


def clean_up(repository: "Repository") -> tuple[Path, ...]:
    """Remove the worktrees of killed runs."""
    return heal(_folder(repository), partial(_remove, repository))


def _folder(repository: "Repository") -> Path:
    return repository.state_dir / "worktrees"


def _add(repository: "Repository", sha: Sha, path: Path) -> None:
    """Register a worktree without files.

    One at a time: git reads all other worktrees while it adds one and stumbles over those that are half made. Somebody
    else's git may still be at it, so a failure is tried again.
    """
    arguments = ["worktree", "add", "--detach", "--no-checkout", "--force", str(path), sha]
    for attempt in range(1, _ATTEMPTS + 1):
        with exclusive(path.parent):
            done = try_git(arguments, repository.root)
        if done.returncode == 0:
            return
        _remove(repository, path)
        if attempt == _ATTEMPTS:
            raise UsageError(f"git worktree add failed: {words(done)}", where=str(repository.root))
        time.sleep(_PAUSE_S * attempt)


def _remove(repository: "Repository", path: Path) -> None:
    """Remove a worktree and git's notes on it, in whatever state it is.

    Not `git worktree prune`: it would also forget worktrees of the user whose disk is not mounted right now.
    """
    remove_tree(path)
    remove_tree(_notes(repository, path))


def _notes(repository: "Repository", path: Path) -> Path:
    """Where git keeps a worktree's HEAD and index: under the name of its folder, which is unique."""
    return repository.common_dir / "worktrees" / path.name


def _fill_submodules(repository: "Repository", sha: Sha, path: Path, index: Path) -> None:
    """Check submodules out from the user's own copies of them; one that is not there stays an empty folder."""
    entries = repository.tree(sha).entries
    for name, commit in ((name, oid) for name, (mode, oid) in entries.items() if mode == SUBMODULE):
        own = repository.root / name
        if not (own / ".git").exists() or not _is_inside(path, path / name):
            continue
        submodule = type(repository).discover(own)
        if submodule.find(commit) is not None:
            extra = {"GIT_WORK_TREE": str(path / name), "GIT_INDEX_FILE": str(index)}
            git(["read-tree", "--reset", "-u", commit], own, extra=extra)
            index.unlink()
            _fill_submodules(submodule, commit, path / name, index)


def _link(worktree_: Path, name: str, target: Path) -> None:
    link = worktree_ / normalise(name)
    if os.path.lexists(link):
        return
    if not _is_inside(worktree_, link.parent):
        raise UsageError(f"the data {name!r} leads out of the checkout through a symbolic link")
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(target.absolute())


def _is_inside(worktree_: Path, path: Path) -> bool:
    return path.resolve().is_relative_to(worktree_.resolve())
