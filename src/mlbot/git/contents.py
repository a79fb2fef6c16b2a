"""Digests of the content of files that git does not track, each read once as long as it does not change."""

import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from pydantic import Field

from mlbot.git.leases import scratch
from mlbot.lib.canonical import digest, digest_of_stream
from mlbot.lib.record import Digest, Record

_SETTLED_NS = 2_000_000_000
"""A file must have rested this long before its digest is kept: a change within one tick of the file system's clock
(two seconds on FAT, the coarsest) leaves no other trace."""


class _Known(Record):
    """A file's digest, and what must still be so for it to hold."""

    facts: tuple[int, ...]
    digest: Digest


class _Cache(Record):
    """What is known of files by their absolute paths."""

    files: dict[str, _Known] = Field(default_factory=dict)


def digests(root: Path, state_dir: Path, paths: Iterable[str]) -> Mapping[str, Digest]:
    """sha256 of each file's content by its path; of a folder: over its files' paths and digests.

    A path where nothing is has no entry.

    Args:
        root: what the paths are relative to.
        state_dir: where known digests are kept.
        paths: files and folders.
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
