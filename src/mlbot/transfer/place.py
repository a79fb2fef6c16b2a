"""A place by its URL."""

from pathlib import Path
from urllib.parse import unquote

from mlbot.errors import UsageError
from mlbot.transfer.local import LocalObjects
from mlbot.transfer.objects import Objects
from mlbot.transfer.remote import RemoteObjects


def open_objects(url: str, folder: Path) -> Objects:
    """The objects of a folder (`models`, `file:///srv/models`) or of any fsspec URL.

    Args:
        url: The place.
        folder: What a relative folder is relative to.

    Raises:
        ModuleNotFoundError: the URL needs fsspec, and it is not installed.
        UsageError: the URL cannot be opened.
    """
    scheme, found, rest = url.partition("://")
    if not found:
        return LocalObjects(folder / url)
    if scheme.lower() in {"file", "local"}:
        if not rest.startswith("/"):
            raise UsageError(
                "it names a machine, not a folder", where=url, mend="Write three slashes: file:///srv/models."
            )
        return LocalObjects(Path(unquote(rest)))
    return RemoteObjects(url)
