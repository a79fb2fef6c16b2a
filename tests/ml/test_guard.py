"""The first look: other formats are told by content, whatever the file is called, and nothing is loaded."""

import bz2
import gzip
import hashlib
import io
import lzma
import os
import pickle
import pickletools
import tarfile
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import joblib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from tests.support.onnx_samples import columns

from mlbot.gates.outcome import Reason
from mlbot.ml.guard import ModelFile, format_of, open_model
from mlbot.verdict.verdict import Problem

LIMIT = 1 << 20


class Payload:
    """Unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.mkdir, (str(self.path),)


def zipped() -> bytes:
    """As torch.save writes it: a zip archive with a pickle inside."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({}))
    return file.getvalue()


def joblib_dump(compress: int | tuple[str, int]) -> bytes:
    file = io.BytesIO()
    joblib.dump(LogisticRegression(), file, compress=compress)
    return file.getvalue()


def tarred() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("model"))
    return file.getvalue()


def numpy_array() -> bytes:
    file = io.BytesIO()
    np.save(file, np.zeros(3))
    return file.getvalue()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("what", [LogisticRegression(), {}, {"a": [1]}, [1, 2], OrderedDict(a=1), os.mkdir])
def test_a_pickle_of_any_protocol_is_never_taken_for_onnx(what: object, protocol: int) -> None:
    content = pickle.dumps(what, protocol)
    found = format_of(content[:512])
    assert found is not None
    if protocol > 1:
        assert "a Python pickle" in found
        assert "runs code" in found or "run code" in found


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_called_onnx_is_named_and_not_loaded(tmp_path: Path, protocol: int) -> None:
    trap = tmp_path / "made-by-unpickling"
    (tmp_path / "model.onnx").write_bytes(pickletools.optimize(pickle.dumps(Payload(trap), protocol)))
    problem = open_model(tmp_path / "model.onnx", LIMIT)
    assert isinstance(problem, Problem)
    assert problem.reason is Reason.MODEL_REFUSED
    assert "a Python pickle" in problem.detail
    assert "it was not loaded" in problem.detail
    assert not trap.exists()


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (joblib_dump(0), "pickle"),
        (joblib_dump(3), "zlib"),
        (joblib_dump(("gzip", 3)), "gzip"),
        (joblib_dump(("bz2", 3)), "bzip2"),
        (joblib_dump(("xz", 3)), "xz"),
        (joblib_dump(("lzma", 3)), "lzma"),
        (zipped(), "zip archive"),
        (gzip.compress(b"x"), "gzip"),
        (bz2.compress(b"x"), "bzip2"),
        (lzma.compress(b"x"), "xz"),
        (zlib.compress(b"x"), "zlib"),
        (tarred(), "tar archive"),
        (numpy_array(), "NumPy"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "HDF5"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "Git LFS pointer"),
        (b"\x1c\x00\x00\x00TFL3" + bytes(20), "TensorFlow Lite"),
        (b"\x10\x00\x00\x00\x00\x00\x00\x00" + b'{"weight":{}}', "safetensors"),
        (b"\x7fELF" + bytes(60), "a program"),
        (b"#!/bin/sh\ntouch x\n", "a script"),
        (b'{"learner": {}}', "JSON"),
        (b"<PMML/>", "XML"),
        (b"tree\nversion=v4\n", "LightGBM"),
        (b"import os\n", "no ONNX file"),
        (b"\x00" * 20, "no ONNX file"),
    ],
    ids=lambda value: value if isinstance(value, str) else "bytes",  # some hold the time, and ids have to stay
)
def test_other_formats_are_named(tmp_path: Path, content: bytes, name: str) -> None:
    (tmp_path / "model.onnx").write_bytes(content)
    problem = open_model(tmp_path / "model.onnx", LIMIT)
    assert isinstance(problem, Problem)
    assert problem.reason is Reason.MODEL_REFUSED
    assert name in problem.detail


def opened(path: Path) -> ModelFile:
    file = open_model(path, LIMIT)
    assert isinstance(file, ModelFile)
    return file


def test_an_onnx_file_is_given_out_with_the_digest_of_what_was_given(tmp_path: Path) -> None:
    content = columns({"a": 1.0}).SerializeToString()
    (tmp_path / "m").write_bytes(content)
    file = opened(tmp_path / "m")
    assert b"".join(file.chunks()) == content
    assert file.digest == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert file.size == len(content)
    file.close()


@settings(deadline=None)
@given(length=st.sampled_from([1, 511, 512, 513, (1 << 20) - 1, 1 << 20, (1 << 20) + 513]))
def test_every_length_is_read_to_its_end(tmp_path_factory: pytest.TempPathFactory, length: int) -> None:
    path = tmp_path_factory.mktemp("models") / "m"
    content = b"\x08" * length
    path.write_bytes(content)
    file = open_model(path, 2 * LIMIT)
    assert isinstance(file, ModelFile)
    assert b"".join(file.chunks()) == content
    file.close()


@pytest.mark.parametrize("change", [b"", b"\x08", b"\x08" * 4000, b"\x08" * 6000])
def test_a_file_that_changes_while_it_is_read_has_no_digest(tmp_path: Path, change: bytes) -> None:
    (tmp_path / "m").write_bytes(b"\x08" * 5000)
    file = opened(tmp_path / "m")
    with (tmp_path / "m").open("r+b") as writer:
        writer.truncate(len(change))
        writer.write(change)
    with pytest.raises(OSError, match="changed"):
        list(file.chunks())
    with pytest.raises(ValueError, match="has not been read"):
        assert file.digest
    file.close()


def test_a_missing_file_is_a_missing_model(tmp_path: Path) -> None:
    problem = open_model(tmp_path / "none.onnx", LIMIT)
    assert isinstance(problem, Problem)
    assert problem.reason is Reason.MODEL_MISSING


def refused(path: Path) -> str:
    problem = open_model(path, LIMIT)
    assert isinstance(problem, Problem)
    assert problem.reason is Reason.MODEL_REFUSED
    return f"{problem.detail} {problem.hint}"


def test_only_a_regular_file_of_reasonable_size_is_opened(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"\x08\x08")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty").touch()
    (tmp_path / "large").write_bytes(b"\x08" * (LIMIT + 1))
    assert "regular file" in refused(tmp_path / "link")
    assert "no regular file" in refused(tmp_path / "pipe")
    assert "a folder with 0 .onnx files" in refused(tmp_path)
    assert "empty" in refused(tmp_path / "empty")
    assert "at most 1 MB" in refused(tmp_path / "large")


@settings(deadline=None)
@given(st.binary(max_size=600))
def test_no_bytes_make_the_first_look_fail(content: bytes) -> None:
    found = format_of(content)
    assert found is None or found
