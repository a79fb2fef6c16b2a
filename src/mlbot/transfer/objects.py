"""Files by name in a folder or an object store.

An object appears whole or not at all, and replaces the former one in one step: by a rename in a folder, by the
store's own rule elsewhere (S3, GCS and Azure give no half objects to anybody).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from mlbot.errors import NotEvaluatedError


class Objects(Protocol):
    """A place of files. Names are relative, with forward slashes.

    Every method raises `NotEvaluatedError` when the place does not answer as it has to.
    """

    @property
    def url(self) -> str:
        """Where it is; holds no credentials."""

    def size(self, name: str) -> int | None:
        """Bytes of an object; None where there is none."""

    def read(self, name: str, most_bytes: int) -> bytes | None:
        """A small object; None where there is none. Raises `NotEvaluatedError` when it has more bytes."""

    def chunks(self, name: str) -> Iterator[bytes]:
        """An object's bytes. Raises `FileNotFoundError` where there is none."""

    def upload(self, file: Path, name: str) -> None:
        """Put a file there, whole or not at all."""

    def write(self, name: str, content: bytes) -> None:
        """Put a small object there, in one step."""

    def folders(self, name: str) -> tuple[str, ...]:
        """The names of the folders inside one; empty where there is none."""

    def remove(self, name: str) -> None:
        """Take an object away, in one step; nothing happens where there is none."""

    def remove_folder(self, name: str) -> None:
        """Take a folder away with all that is in it; nothing happens where there is none."""


def relative(name: str) -> str:
    """A name that stays inside.

    Raises:
        ValueError: it does not.
    """
    if not name or name.startswith("/") or "\\" in name or any(part in {"", ".", ".."} for part in name.split("/")):
        raise ValueError(f"{name!r} is no name of an object")
    return name


def bounded(content: bytes, most_bytes: int, where: str) -> bytes:
    """The content, if it is not too long.

    Raises:
        NotEvaluatedError: it is.
    """
    if len(content) > most_bytes:
        raise NotEvaluatedError(f"it has more than {most_bytes:,} bytes, so mlbot did not write it", where=where)
    return content


class Told:
    """Any failure of a place as one sentence: the errors of fsspec's protocols share no base class."""

    def __init__(self, where: str, failure: type[Exception], *, missing_is_said: bool = False) -> None:
        self._where = where
        self._failure = failure
        self._missing_is_said = missing_is_said

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        expected = (NotEvaluatedError, FileNotFoundError) if self._missing_is_said else (NotEvaluatedError,)
        if not isinstance(error, self._failure) or isinstance(error, expected):
            return
        why = " ".join(str(error).split())[:300] or type(error).__name__
        raise NotEvaluatedError(
            f"it cannot be read or written: {why}",
            where=self._where,
            mend="Check that the place is there and that the credentials in the environment may use it.",
        ) from error
