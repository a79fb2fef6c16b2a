"""The working tree: as a commit object, and digests of what git does not track in it."""

import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from mlbot.errors import UsageError
from mlbot.git.command import git, try_git, words
from mlbot.git.leases import scratch
from mlbot.lib.record import Digest, Record, Sha, digest, digest_of_stream
from mlbot.lib.tree import shown

IDENTITY = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "mlbot"), ("EMAIL", "mlbot@localhost"), ("DATE", "2000-01-01T00:00:00+0000"))
}
"""Always the same, so that the same files on the same HEAD give the same commit."""


# Taken without touching the user's index, HEAD, refs, files or stash.


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """The working tree as a commit: HEAD itself when nothing differs from it. `head` is None before the first one."""

    sha: Sha
    uncommitted: tuple[str, ...]
    head: Sha | None


def take(root: Path, git_dir: Path, state_dir: Path) -> Snapshot:
    """Write the working tree's files, untracked ones included and ignored ones not, as objects and commit them.

    The objects are in the repository and no ref names them; git's own garbage collection takes them after its grace
    time. A submodule counts with the commit it has checked out; what is changed inside it does not.
    """
    head, head_tree = _head(root)
    tree = _written(root, git_dir, state_dir)
    if head is not None and tree == head_tree:
        return Snapshot(sha=head, uncommitted=(), head=head)
    parent = ("-p", head) if head else ()
    sha = git(["commit-tree", tree, *parent, "-m", "Uncommitted changes"], root, extra=IDENTITY).decode().strip()
    return Snapshot(sha=sha, uncommitted=_changed(root, head_tree, tree), head=head)


def _head(root: Path) -> tuple[Sha | None, Sha | None]:
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
        if made := outputs(root, state_dir):
            # As HEAD has them, which mostly is not at all; before the first commit there is nothing to go back to.
            back = ["reset", "--quiet"] if _head(root)[0] else ["rm", "--cached", "--quiet", "--ignore-unmatch", "-r"]
            git([*back, "--", *made], root, extra=extra)
        return git(["write-tree"], root, extra=extra).decode().strip()


_OUTPUTS = "outputs"
_MOST_OUTPUTS = 500


def leave_out(root: Path, state_dir: Path, paths: Iterable[Path]) -> None:
    """Remember what mlbot writes into the working tree: a report is no input of what it reports on."""
    there = root.resolve()
    inside = [path.absolute().resolve() for path in paths if path.absolute().resolve().is_relative_to(there)]
    names = [path.relative_to(there).as_posix() for path in inside if path != there]
    before = _remembered(state_dir)
    if all(name in before for name in names):
        return
    state_dir.mkdir(parents=True, exist_ok=True)
    known = list(dict.fromkeys([*before, *names]))[-_MOST_OUTPUTS:]
    (state_dir / _OUTPUTS).write_bytes(b"\0".join(name.encode("utf-8", "surrogateescape") for name in known))


def outputs(root: Path, state_dir: Path) -> tuple[str, ...]:
    """What mlbot has written into the working tree, or writes now: also where its own output was sent to a file."""
    leave_out(root, state_dir, _redirected())
    return tuple(name for name in _remembered(state_dir) if (root / name).exists())


def _remembered(state_dir: Path) -> list[str]:
    try:
        raw = (state_dir / _OUTPUTS).read_bytes()
    except OSError:
        return []
    return [name.decode("utf-8", "surrogateescape") for name in raw.split(b"\0") if name]


def _redirected() -> Iterator[Path]:
    """The files that standard output and error go to, as Linux says it."""
    for descriptor in (1, 2):
        with suppress(OSError):
            path = Path(f"/proc/self/fd/{descriptor}").readlink()
            if path.is_file():
                yield path


def _changed(root: Path, before: Sha | None, after: Sha) -> tuple[str, ...]:
    if before is None:
        out = git(["ls-tree", "-r", "-z", "--name-only", after], root)
    else:
        out = git(["diff-tree", "-r", "-z", "--name-only", "--no-renames", before, after], root)
    return tuple(shown(path.decode("utf-8", "surrogateescape")) for path in sorted(out.split(b"\0")) if path)


# Digests of the content of files that git does not track, each read once as long as it does not change.

_SETTLED_NS = 2_000_000_000
"""A file must have rested this long before its digest is stored: a change within one tick of the file system's clock
(two seconds on FAT, the coarsest) leaves no other trace."""


class _Known(Record):
    facts: tuple[int, ...]
    digest: Digest


class _Cache(Record):
    files: dict[str, _Known] = Field(default_factory=dict)


def digests(root: Path, state_dir: Path, paths: Iterable[str]) -> Mapping[str, Digest]:
    """sha256 of each file's content by its path; of a folder: over its files' paths and digests.

    A path where nothing is has no entry. What is known of files is stored in `state_dir`.
    """
    wanted = [path for path in paths if (root / path).exists()]
    if not wanted:
        return {}
    cache = state_dir / "digests.json"
    before = _load(cache)
    known = dict(before.files)
    found = {path: _any_digest(root / path, known) for path in wanted}
    if known != before.files:
        with scratch(state_dir) as folder:
            (folder / "digests").write_text(_Cache(files=known).model_dump_json())
            (folder / "digests").replace(cache)
    return found


@contextmanager
def watched(state_dir: Path) -> Iterator[None]:
    """Hold this while trainings run: they could write a digest here that is not a file's, so what they change goes."""
    cache = state_dir / "digests.json"
    before = _bytes(cache)
    try:
        yield
    finally:
        if _bytes(cache) != before:
            cache.unlink(missing_ok=True)


def _bytes(path: Path) -> bytes | None:
    with suppress(OSError):
        return path.read_bytes()
    return None


def _load(cache: Path) -> _Cache:
    with suppress(OSError, ValueError):  # absent or damaged: the files are read again
        return _Cache.model_validate_json(cache.read_bytes())
    return _Cache()


def _any_digest(path: Path, known: dict[str, _Known]) -> Digest:
    if not path.is_dir():
        return _file_digest(path, known)
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return digest("".join(f"{file.relative_to(path)}\0{_file_digest(file, known)}\0" for file in files))


def _file_digest(path: Path, known: dict[str, _Known]) -> Digest:
    name, facts = str(path.resolve()), _facts(path)
    if name in known and known[name].facts == facts:
        return known[name].digest
    started = time.time_ns()
    with path.open("rb") as file:
        found = digest_of_stream(file)
    known.pop(name, None)
    if _facts(path) == facts and max(facts[1:3]) < started - _SETTLED_NS:
        known[name] = _Known(facts=facts, digest=found)
    return found


def _facts(path: Path) -> tuple[int, ...]:
    """Size, the times of the last change of content and of inode in ns, inode and device."""
    status = path.stat()
    return (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev)
