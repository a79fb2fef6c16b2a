"""The target of an environment."""

from pathlib import Path

from mlbot.core.config import EnvironmentConfig
from mlbot.errors import MissingExtraError
from mlbot.targets.base import Target
from mlbot.targets.files import FilesTarget
from mlbot.transfer.place import open_objects


def open_target(environment: EnvironmentConfig, folder: Path, *, token: str | None = None) -> Target:
    """Where an environment of mlbot.yaml is. Talks to nobody yet.

    Args:
        environment: Of the config.
        folder: What relative folders are relative to, and where a command runs: the repository's root.
        token: For `ghcr.io`: a token that may write packages. Other places find their own credentials; a command of
            the user's never gets it.

    Raises:
        UsageError: The URL is none that can be a target.
        MissingExtraError: It needs the extra `deploy`.
    """
    url = environment.target
    if url.lower().startswith("oci://"):
        from mlbot.targets.oci import OciTarget  # noqa: PLC0415 - requests takes 0.1 s to import

        return OciTarget.of(url, environment.name, token=token)
    if url.startswith("command:"):
        from mlbot.targets.command import CommandTarget  # noqa: PLC0415

        return CommandTarget.of(environment, folder)
    try:
        return FilesTarget(open_objects(url, folder))
    except ModuleNotFoundError:
        raise MissingExtraError("deploy", needed_for=f"The environment {environment.name} ({url})") from None
