"""A store by its URL."""

from pathlib import Path

from mlbot.errors import MissingExtraError
from mlbot.stores.base import ModelStore
from mlbot.stores.objects import ObjectStore
from mlbot.transfer.place import open_objects


def open_store(url: str, folder: Path, *, token: str | None = None) -> ModelStore:
    """The store of a URL. Talks to nobody yet.

    Args:
        url: A folder (`models`, `file:///srv/models`), any fsspec URL, or `oci://registry/repository`.
        folder: What a relative folder is relative to: the repository's root.
        token: For `ghcr.io`: a token that may read or write packages. Other places find their own credentials.

    Raises:
        UsageError: The URL is none that can be a store.
        MissingExtraError: It needs the extra `deploy`.
    """
    if url.lower().startswith("oci://"):
        from mlbot.stores.oci import OciStore  # noqa: PLC0415 - requests takes 0.1 s to import

        return OciStore.of(url, token=token)
    try:
        return ObjectStore(open_objects(url, folder))
    except ModuleNotFoundError:
        raise MissingExtraError("deploy", needed_for=f"The store {url}") from None
