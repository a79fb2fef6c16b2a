"""Where a holdout's bytes come from, and their digest."""

import hashlib
import tempfile
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
        kept: the open file behind `path` when the file has no name; it is gone once this is closed.
    """

    path: Path
    digest: str
    hidden: bool
    kept: IO[bytes] | None = None


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

    kept = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the holdout
    with fsspec.open(str(source), "rb", **storage_options) as stream:
        for chunk in _chunks(stream):
            hasher.update(chunk)
            kept.write(chunk)
    kept.flush()
    path = Path(f"/dev/fd/{kept.fileno()}")
    return Source(path=path, digest=f"sha256:{hasher.hexdigest()}", hidden=True, kept=kept)


def is_url(source: Path | str) -> bool:
    """Whether it is an URL rather than a path."""
    return isinstance(source, str) and "://" in source


def _chunks(stream: IO[bytes]) -> Iterator[bytes]:
    while chunk := stream.read(_CHUNK):
        yield chunk
