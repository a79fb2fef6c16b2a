"""What every environment's target can do."""

from pathlib import Path
from typing import Protocol

from mlbot.lib.record import Digest, Name
from mlbot.lib.version import Served, Version


class Target(Protocol):
    """Where an environment's models are. One deployment at a time: the environment's lock sees to it.

    Every call may be repeated. A process that dies between any two writes leaves the former version served, or the
    new one, never something between. Every method raises `NotEvaluatedError` when the target does not answer.
    """

    @property
    def url(self) -> str:
        """Where it is; holds no credentials."""

    def live(self, model: Name) -> Served | None:
        """What is served now; None: nothing that mlbot put there."""

    def stage(self, model: Name, version: Version, digest: Digest, file: Path) -> None:
        """Bring a version's bytes there and verify them; what is served stays as it is.

        Raises:
            RefusedError: This version is there with other bytes.
            NotEvaluatedError: The bytes are not those of the digest, before or after.
        """

    def switch(self, model: Name, version: Version) -> None:
        """Serve a staged version, in one step.

        Raises:
            NotEvaluatedError: It is not staged, or its bytes are no longer those that were.
        """

    def withdraw(self, model: Name) -> bool:
        """Serve nothing of the model any more, in one step: its first deployment failed, so nothing came before it.

        Returns:
            Whether nothing is served now; False where this kind of target cannot, and all stays as it is.
        """

    def fetch(self, model: Name, target: Path) -> Served:
        """Read back what is served, for the smoke test.

        Raises:
            NotEvaluatedError: Nothing is served, or its bytes are not those that its digest names.
        """
