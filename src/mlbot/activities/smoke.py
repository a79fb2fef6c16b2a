"""The user's own part of a smoke test."""

from pathlib import Path

from mlbot.core.config import Smoke
from mlbot.core.golden import SmokeResult
from mlbot.core.ledger import ReleaseEntry
from mlbot.core.record import Name
from mlbot.targets.base import Served
from mlbot.targets.smoke import smoke_command


def check_endpoint(settings: Smoke, folder: Path, release: ReleaseEntry, environment: Name) -> SmokeResult | None:
    """Let the environment's `smoke.command` look at the endpoint.

    Args:
        settings: Of the environment.
        folder: The repository's root.
        release: What was deployed.
        environment: Where.

    Returns:
        What it came to; None when there is no command.
    """
    if settings.command is None:
        return None
    served = Served(version=release.version, digest=release.digest)
    return smoke_command(settings.command, release.model, environment, served, folder)
