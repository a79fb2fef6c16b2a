"""One file with its manifest, to and from a registry: what the store and the target have in common."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mlbot.errors import NotEvaluatedError
from mlbot.lib.canonical import canonical, digest
from mlbot.lib.record import Count, Digest, Record
from mlbot.lib.untrusted_json import HostileJsonError, load
from mlbot.storage.digest import chunks_of
from mlbot.storage.oci import MANIFEST_TYPE, MOST_MANIFEST, Registry

# The manifest of a model in a registry.

ARTIFACT_TYPE = "application/vnd.cncf.model.manifest.v1+json"

CONFIG_TYPE = "application/vnd.cncf.model.config.v1+json"

WEIGHT_TYPE = "application/vnd.cncf.model.weight.v1.raw"

DOCUMENT_TYPE = "application/vnd.cncf.model.doc.v1.raw"

FILE_PATH = "org.cncf.model.filepath"

TITLE = "org.opencontainers.image.title"
"""What `oras pull` calls the file."""

MODEL, VERSION = "dev.mlbot.model", "org.opencontainers.image.version"


class Packed(Record):
    """One file as a manifest names it."""

    name: str
    digest: Digest
    size_bytes: Count


class Told(Record):
    """What a manifest says of its file."""

    file: Packed
    model: str = ""
    version: str = ""


def config_of(file: Packed, annotations: Mapping[str, str]) -> bytes:
    """The manifest's config: what is known of the model."""
    descriptor = {
        key: annotations[said] for key, said in (("name", MODEL), ("version", VERSION)) if annotations.get(said)
    }
    about = {"format": "onnx"} if is_model(file.name) else {}
    return _json(
        {
            "descriptor": descriptor,
            "modelfs": {"type": "layers", "diffIds": [file.digest]},
            "config": about,
        }
    )


def manifest_of(file: Packed, config: bytes, config_digest: Digest, annotations: Mapping[str, str]) -> bytes:
    """The manifest of one file."""
    layer = {
        "mediaType": WEIGHT_TYPE if is_model(file.name) else DOCUMENT_TYPE,
        "digest": file.digest,
        "size": file.size_bytes,
        "annotations": {FILE_PATH: file.name, TITLE: file.name},
    }
    return _json(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "artifactType": ARTIFACT_TYPE,
            "config": {"mediaType": CONFIG_TYPE, "digest": config_digest, "size": len(config)},
            "layers": [layer],
            "annotations": dict(annotations),
        }
    )


def read_manifest(content: bytes, where: str) -> Told:
    """What a manifest says; nothing of it is believed beyond its form.

    Raises:
        NotEvaluatedError: It is none of a model with one file.
    """
    try:
        load(content, "the manifest", most_bytes=MOST_MANIFEST)
        manifest = _Manifest.model_validate_json(content)
        (layer,) = manifest.layers
        name = layer.annotations.get(FILE_PATH, "")
        file = Packed(name=name, digest=layer.digest, size_bytes=layer.size)
        said = manifest.annotations
        return Told(file=file, model=said.get(MODEL, ""), version=said.get(VERSION, ""))
    except (HostileJsonError, ValidationError, ValueError):
        raise NotEvaluatedError("the manifest is none that mlbot wrote", where=where) from None


def is_model(name: str) -> bool:
    """Whether a file is a model rather than a document about one."""
    return name.endswith(".onnx")


class _Open(BaseModel):
    """Others may add to it."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


class _Layer(_Open):
    digest: Digest
    size: Annotated[int, Field(ge=0, le=1 << 40)]
    annotations: dict[str, str] = {}


class _Manifest(_Open):
    layers: tuple[_Layer, ...]
    annotations: dict[str, str] = {}


def _json(value: Any) -> bytes:
    return canonical(value).encode()


def push(registry: Registry, file: Path, packed: Packed, tag: str, annotations: Mapping[str, str]) -> Digest:
    """Upload a file, and its manifest last: until then the tag stays as it is.

    Returns:
        The manifest's digest.
    """
    config = config_of(packed, annotations)
    config_digest = digest(config)
    registry.put_blob(packed.digest, packed.size_bytes, lambda: chunks_of(file))
    registry.put_blob(config_digest, len(config), lambda: iter((config,)))
    registry.verify_blob(packed.digest, packed.size_bytes)
    return registry.put_manifest(tag, manifest_of(packed, config, config_digest, annotations))


def told(registry: Registry, tag: str) -> tuple[bytes, Told] | None:
    """The manifest behind a tag, and what it says; None where there is none."""
    content = registry.manifest(tag)
    return None if content is None else (content, read_manifest(content, f"{registry.place.url}:{tag}"))
