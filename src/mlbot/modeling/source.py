"""Where a holdout's bytes come from, and their digest."""

import hashlib
import os
import tempfile
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

_CHUNK = 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A file that can be read several times.

    Attributes:
        path: where to read it.
        digest: `sha256:` and the hexadecimal digest of its bytes.
        hidden: whether it came from an URL.
        kept: what keeps the file behind `path` when it has no name: its bytes are gone with it.
    """

    path: Path
    digest: str
    hidden: bool
    kept: "_Nameless | None" = None


def open_source(source: Path | str, storage_options: Mapping[str, Any]) -> Source:
    """Read a file once to its end for its digest; one from an URL is kept where only this process can read it.

    The copy has no name on the disk, so a child process that is let into no file of its parent cannot open it: the
    labels of a hidden holdout stay hidden from the model that is judged on them.

    Raises:
        OSError: It cannot be read.
    """
    hasher = hashlib.sha256()
    if not is_url(source):
        with Path(source).open("rb") as stream:
            for chunk in _chunks(stream):
                hasher.update(chunk)
        return Source(path=Path(source), digest=f"sha256:{hasher.hexdigest()}", hidden=False)
    import fsspec

    kept = _Nameless()
    with fsspec.open(str(source), "rb", **storage_options) as stream:
        for chunk in _chunks(stream):
            hasher.update(chunk)
            kept.append(chunk)
    return Source(path=kept.path, digest=f"sha256:{hasher.hexdigest()}", hidden=True, kept=kept)


def is_url(source: Path | str) -> bool:
    """Whether it is an URL rather than a path."""
    return isinstance(source, str) and "://" in source


class _Nameless:
    """A file without a name, that ends with this object."""

    def __init__(self) -> None:
        with tempfile.TemporaryFile() as file:
            self._descriptor = os.dup(file.fileno())
        weakref.finalize(self, os.close, self._descriptor)

    @property
    def path(self) -> Path:
        """Where this process, and no other, can open it."""
        return Path(f"/dev/fd/{self._descriptor}")

    def append(self, chunk: bytes) -> None:
        """Write at the end."""
        left = memoryview(chunk)
        while left:
            left = left[os.write(self._descriptor, left) :]


def _chunks(stream: IO[bytes]) -> Iterator[bytes]:
    while chunk := stream.read(_CHUNK):
        yield chunk
