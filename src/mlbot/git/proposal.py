"""A branch of mlbot's own with one commit on the guarded branch: made without a checkout, pushed over nobody's work."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

from mlbot.errors import NotEvaluatedError, RefusedError
from mlbot.git.command import git, signed, try_git
from mlbot.git.remote import Remote, conflict_with, failure, list_refs
from mlbot.lib.record import Sha

_MODE = "100644"
_ROUNDS = 3
_AUTHOR = signed(0)["GIT_AUTHOR_EMAIL"]


def commit_files(repository: Path, tip: Sha, files: Mapping[str, Path], message: str, when: int) -> Sha | None:
    """A commit on `tip` with files replaced or added; None where it has them so. The same again is the same commit."""
    with tempfile.TemporaryDirectory(prefix="mlbot-proposal-") as scratch:
        extra = {"GIT_INDEX_FILE": str(Path(scratch) / "index")}
        git(["read-tree", tip], repository, extra=extra)
        git(["update-index", "-z", "--index-info"], repository, stdin=_entries(repository, tip, files), extra=extra)
        tree = git(["write-tree"], repository, extra=extra).decode().strip()
    if tree == git(["rev-parse", f"{tip}^{{tree}}"], repository).decode().strip():
        return None
    return git(["commit-tree", tree, "-p", tip, "-m", message], repository, extra=signed(when)).decode().strip()


def _entries(repository: Path, tip: Sha, files: Mapping[str, Path]) -> bytes:
    """The files as lines of an index, their bytes among git's objects.

    A file's mode stays; a link or a submodule in its place is refused by whoever says which files may change.
    """
    # As they are: a filter of the checkout's attributes could be a program.
    names = "".join(f"{file}\n" for file in files.values()).encode()
    blobs = git(["hash-object", "-w", "--no-filters", "--stdin-paths"], repository, stdin=names).decode().split()
    there = git(["ls-tree", "-z", tip, "--", *files], repository).decode("utf-8", "replace").split("\0")
    modes = {path: line.partition(" ")[0] for line, _, path in (each.partition("\t") for each in there)}
    lines = ((_plain(modes.get(path, _MODE)), blob, path) for path, blob in zip(files, blobs, strict=True))
    return "".join(f"{mode} {blob}\t{path}\0" for mode, blob, path in lines).encode()


def _plain(mode: str) -> str:
    return mode if mode.startswith("100") else _MODE


def push_branch(repository: Path, remote: Remote, branch: str, commit: Sha) -> None:
    """Push a commit as a branch that is not there, or that holds nothing but an earlier commit of mlbot's.

    Raises:
        RefusedError: it has somebody else's commits, or the token or a rule forbids it; else as `failure` says.
    """
    ref = f"refs/heads/{branch}"
    for _ in range(_ROUNDS):
        there = list_refs(remote, repository, ref).get(ref)
        if there == commit:
            return
        if there is not None and not _is_own(repository, remote, ref, there, commit):
            raise RefusedError(
                f"the branch {branch} has commits that are not mlbot's",
                hint=f"Merge or rename it; mlbot writes to it again once it is gone: git push origin :{branch}",
            )
        # Somebody may push in this very moment: then the remote refuses.
        lease = f"--force-with-lease={ref}:{there or ''}"
        done = remote.run(["push", "--porcelain", "--no-follow-tags", lease, remote.url, f"{commit}:{ref}"], repository)
        if done.returncode == 0:
            return
        if list_refs(remote, repository, ref).get(ref) == there:  # nobody was quicker
            raise conflict_with(remote, repository, ref) or failure(done, "writing", branch)
    raise NotEvaluatedError(f"the branch {branch} changed each time it was to be written", hint="Run the job again.")


def _is_own(repository: Path, remote: Remote, ref: str, there: Sha, commit: Sha) -> bool:
    """Whether what a branch has beyond the guarded one is mlbot's alone: who amends a commit is its committer."""
    # Into no ref of this repository: two runs at once would write the same one.
    done = remote.run(["fetch", "--quiet", "--no-tags", remote.url, ref], repository)
    if done.returncode != 0:
        raise failure(done, "reading", ref.removeprefix("refs/heads/"))
    listed = try_git(["log", "--format=%ae%n%ce", there, f"^{commit}"], repository)
    return listed.returncode == 0 and set(listed.stdout.decode("utf-8", "replace").splitlines()) <= {_AUTHOR}
