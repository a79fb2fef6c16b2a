"""What every store of model bytes can do."""

from pathlib import Path
from typing import Protocol

from mlbot.core.record import Digest
from mlbot.errors import NotEvaluatedError


class NotStoredError(NotEvaluatedError):
    """A store has no bytes of that digest."""

    def __init__(self, digest: Digest, url: str) -> None:
        super().__init__(
            f"nothing is stored as {digest}",
            where=url,
            mend="Store it: run the judge of the commit that made it again (`mlbot run --record` on a laptop).",
        )


class ModelStore(Protocol):
    """Files by the sha256 of their bytes: models, and what is kept beside them.

    Every call may be repeated. Every method raises `NotEvaluatedError` when the store does not answer as it has to.
    """

    @property
    def url(self) -> str:
        """Where it is; holds no credentials."""

    def put(self, digest: Digest, file: Path) -> bool:
        """Keep a file.

        Args:
            digest: What its bytes hash to; they are hashed again.
            file: The file. Its suffix says what it is: `.onnx` a model, anything else a document.

        Returns:
            Whether it was written; False when it was there already.

        Raises:
            NotEvaluatedError: The file has another digest, or the store does not take it.
        """

    def get(self, digest: Digest, target: Path, *, size: int | None = None) -> None:
        """Fetch a file; it appears whole and verified, or not at all.

        Args:
            digest: Which.
            target: Where to write it.
            size: How many bytes it has to have; None: not known.

        Raises:
            NotStoredError: There is none.
            NotEvaluatedError: What is there are not those bytes.
        """

    def has(self, digest: Digest) -> bool:
        """Whether there is a file of that digest."""
