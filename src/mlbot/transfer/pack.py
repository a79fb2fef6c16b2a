"""One file with its manifest, to and from a registry: what the store and the target have in common."""

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from mlbot.core.record import Digest
from mlbot.transfer.digest import chunks_of
from mlbot.transfer.modelpack import Packed, Told, config_of, manifest_of, read_manifest
from mlbot.transfer.oci import Registry


def push(registry: Registry, file: Path, packed: Packed, tag: str, annotations: Mapping[str, str]) -> Digest:
    """Upload a file, and its manifest last: until then the tag stays as it is.

    Returns:
        The manifest's digest.
    """
    config = config_of(packed, annotations)
    config_digest = f"sha256:{sha256(config).hexdigest()}"
    registry.put_blob(packed.digest, packed.size_bytes, lambda: chunks_of(file))
    registry.put_blob(config_digest, len(config), lambda: iter((config,)))
    registry.verify_blob(packed.digest, packed.size_bytes)
    return registry.put_manifest(tag, manifest_of(packed, config, config_digest, annotations))


def told(registry: Registry, tag: str) -> tuple[bytes, Told] | None:
    """The manifest behind a tag, and what it says; None where there is none."""
    content = registry.manifest(tag)
    return None if content is None else (content, read_manifest(content, f"{registry.place.url}:{tag}"))
