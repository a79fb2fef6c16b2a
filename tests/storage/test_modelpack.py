"""Manifests as CNCF ModelPack wants them, the same each time, read back with nothing believed."""

import json
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbot.errors import NotEvaluatedError
from mlbot.storage.modelpack import MODEL, VERSION, Packed, config_of, manifest_of, read_manifest

DIGEST = f"sha256:{'a' * 64}"
FILE = Packed(name="model.onnx", digest=DIGEST, size_bytes=7)
SAID = {MODEL: "churn", VERSION: "1.2.0"}


def manifest(file: Packed = FILE) -> bytes:
    config = config_of(file, SAID)
    return manifest_of(file, config, f"sha256:{sha256(config).hexdigest()}", SAID)


def test_a_models_manifest() -> None:
    config = config_of(FILE, SAID)
    assert json.loads(config) == {
        "descriptor": {"name": "churn", "version": "1.2.0"},
        "modelfs": {"type": "layers", "diffIds": [DIGEST]},
        "config": {"format": "onnx"},
    }
    assert json.loads(manifest()) == {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "artifactType": "application/vnd.cncf.model.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.cncf.model.config.v1+json",
            "digest": f"sha256:{sha256(config).hexdigest()}",
            "size": len(config),
        },
        "layers": [
            {
                "mediaType": "application/vnd.cncf.model.weight.v1.raw",
                "digest": DIGEST,
                "size": 7,
                "annotations": {
                    "org.cncf.model.filepath": "model.onnx",
                    "org.opencontainers.image.title": "model.onnx",
                },
            }
        ],
        "annotations": SAID,
    }


def test_a_documents_layer_is_one() -> None:
    (layer,) = json.loads(manifest(FILE.model_copy(update={"name": "golden.json"})))["layers"]
    assert layer["mediaType"] == "application/vnd.cncf.model.doc.v1.raw"


def test_it_is_the_same_each_time_and_reads_back() -> None:
    assert manifest() == manifest()
    told = read_manifest(manifest(), "x")
    assert (told.file, told.model, told.version) == (FILE, "churn", "1.2.0")


def test_what_another_tool_adds_does_not_matter() -> None:
    value = json.loads(manifest())
    value["subject"] = {"digest": DIGEST}
    value["layers"][0]["urls"] = []
    assert read_manifest(json.dumps(value).encode(), "x").file == FILE


CHANGES = {
    "two layers": lambda value: value["layers"].append(value["layers"][0]),
    "no layer": lambda value: value["layers"].clear(),
    "a size below 0": lambda value: value["layers"][0].update(size=-1),
    "a size that is none": lambda value: value["layers"][0].update(size="7"),
    "a size beyond all": lambda value: value["layers"][0].update(size=1 << 60),
    "another hash": lambda value: value["layers"][0].update(digest=f"sha512:{'a' * 128}"),
    "annotations of numbers": lambda value: value.update(annotations={"a": 1}),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_is_no_manifest_of_one_file(name: str) -> None:
    value = json.loads(manifest())
    CHANGES[name](value)
    with pytest.raises(NotEvaluatedError, match="none that mlbot wrote"):
        read_manifest(json.dumps(value).encode(), "x")


@given(st.binary(max_size=300))
def test_any_bytes(content: bytes) -> None:
    with pytest.raises(NotEvaluatedError):
        read_manifest(content, "x")
