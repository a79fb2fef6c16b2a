"""The target of an environment."""

from pathlib import Path

from mlbot.config.schema import EnvironmentConfig
from mlbot.errors import MissingExtraError
from mlbot.storage.objects import open_objects
from mlbot.storage.target import Target
from mlbot.storage.target_files import FilesTarget


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
        from mlbot.storage.target_oci import OciTarget

        return OciTarget.of(url, environment.name, token=token)
    if url.startswith("command:"):
        from mlbot.storage.target_command import CommandTarget

        return CommandTarget.of(environment, folder)
    try:
        return FilesTarget(open_objects(url, folder))
    except ModuleNotFoundError:
        raise MissingExtraError("deploy", needed_for=f"The environment {environment.name} ({url})") from None
