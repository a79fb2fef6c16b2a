"""The first look at a model file: what it is, by its first bytes. Nothing is parsed and nothing is loaded here."""

import hashlib
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mlbot.gates.outcome import Reason
from mlbot.lib.artifact import MOST_FILES, Listing, Member
from mlbot.lib.constants import LFS_POINTER
from mlbot.verdict.verdict import Problem

_CHUNK = 1 << 20
_HEAD = 512
_RUNS_CODE = ", which can run code when it is loaded; it was not loaded"

_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"PK\x03\x04", f"a zip archive (as PyTorch's .pt and Keras' .keras are){_RUNS_CODE}"),
    (0, b"PK\x05\x06", "an empty zip archive"),
    (0, b"\x89HDF\r\n\x1a\n", f"an HDF5 file (as Keras' .h5 is){_RUNS_CODE}"),
    (0, b"\x1f\x8b", f"a gzip file (as compressed joblib is){_RUNS_CODE}"),
    (0, b"BZh", f"a bzip2 file (as compressed joblib is){_RUNS_CODE}"),
    (0, b"\xfd7zXZ\x00", f"an xz file (as compressed joblib is){_RUNS_CODE}"),
    (0, b"\x5d\x00\x00", f"an lzma file (as compressed joblib is){_RUNS_CODE}"),
    (0, b"\x04\x22\x4d\x18", f"an lz4 file (as compressed joblib is){_RUNS_CODE}"),
    (0, b"\x28\xb5\x2f\xfd", "a zstandard file"),
    (0, b"\x93NUMPY", f"a NumPy array{_RUNS_CODE}"),
    (0, b"\x7fELF", "a program"),
    (0, b"#!", "a script"),
    (0, LFS_POINTER, "a Git LFS pointer, not the file itself: check out with LFS"),
    (0, b"GGUF", "a GGUF file"),
    (0, b"CBM1", "a CatBoost file; CatBoost can save as ONNX"),
    (0, b"tree\n", "a LightGBM text file; onnxmltools converts it to ONNX"),
    (0, b"binf", "an XGBoost file; onnxmltools converts it to ONNX"),
    (0, b"{", "a JSON file"),
    (0, b"<", "an XML file (as PMML is)"),
    (4, b"TFL3", "a TensorFlow Lite file; tf2onnx converts it to ONNX"),
    (4, b"ORTM", "a file in onnxruntime's own format; keep the ONNX file it was made of"),
    (8, b'{"', "a safetensors file, which holds weights without a model"),
    (257, b"ustar", "a tar archive"),
)

_PICKLE = re.compile(
    rb"\x80[\x02-\x05]|c[A-Za-z_][\w.]*\n[A-Za-z_]\w*\n|\((?:[dl]p0\n|i[A-Za-z_][\w.]*\n|c[a-z_]+\n)|[\]}]q\x00|\]p0\n"
)

_ZLIB = re.compile(rb"x[\x01\x5e\x9c\xda]")

# The keys that a ModelProto's fields can begin with: field 1 to 8, 14, 20, 25 and 26 with their wire types.
_FIRST_BYTES = frozenset(b"\x08\x12\x1a\x22\x28\x32\x3a\x42\x72\xa2\xca\xd2")


@dataclass(kw_only=True, slots=True)
class ModelFile:
    """An open file of `size` bytes that may be an ONNX model."""

    size: int
    _descriptor: int = field(repr=False)
    _head: bytes = field(repr=False)
    _hash: str | None = None

    @property
    def digest(self) -> str:
        """`sha256:` and the hexadecimal digest of what `chunks` gave, to its end."""
        if self._hash is None:
            raise ValueError("the file has not been read to its end")
        return self._hash

    def chunks(self) -> Iterator[bytes]:
        """The bytes, once; raises `OSError` when the file changed meanwhile.

        What is hashed is what is given out, so no other bytes can be scored than those named.
        """
        hasher, left, chunk = hashlib.sha256(), self.size, self._head
        while chunk:
            left -= len(chunk)
            hasher.update(chunk)
            yield chunk
            chunk = os.read(self._descriptor, min(_CHUNK, max(left, 1)))
            if len(chunk) > left:
                break
        if left or chunk:
            raise OSError("the file changed while it was read")
        self._hash = f"sha256:{hasher.hexdigest()}"

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)


@dataclass(kw_only=True, slots=True)
class ModelFolder:
    """A folder with one ONNX file and the files of its tensors, each opened when it is read."""

    size: int
    parts: tuple[tuple[str, int], ...]  # path and bytes of each file, the ONNX file first
    _path: Path = field(repr=False)
    _members: list[Member] = field(default_factory=list, repr=False)

    @property
    def digest(self) -> str:
        """The folder's digest, of what `chunks` gave to its end."""
        if len(self._members) != len(self.parts):
            raise ValueError("the folder has not been read to its end")
        return Listing.of(self._members).digest

    def chunks(self) -> Iterator[bytes]:
        """The bytes of all files, once, in the order of `parts`; raises `OSError` when one changed meanwhile."""
        for path, size in self.parts:
            descriptor = os.open(self._path / path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                mode = os.fstat(descriptor).st_mode
                file = ModelFile(size=size, _descriptor=descriptor, _head=os.read(descriptor, min(_CHUNK, size)))
                yield from file.chunks()
            finally:
                os.close(descriptor)
            executable = bool(mode & stat.S_IXUSR)
            self._members.append(Member(path=path, digest=file.digest, size_bytes=size, executable=executable))

    def close(self) -> None:
        """Nothing is open between two files."""


def _open_folder(path: Path, size_limit: int) -> ModelFolder | Problem:
    """A folder that can be an ONNX model with external data: one .onnx file in it, and nothing but files."""
    files = [each for each in sorted(path.rglob("*")) if not each.is_dir() or each.is_symlink()][: MOST_FILES + 1]
    names = [each.relative_to(path).as_posix() for each in files]
    models = [name for name in names if name.endswith(".onnx")]
    if len(models) != 1 or len(files) > MOST_FILES:
        return Problem.of(Reason.MODEL_REFUSED, "folder", models=len(models))
    try:
        facts = [os.lstat(each) for each in files]
        opened = open_model(path / models[0], size_limit)
    except OSError as error:
        return Problem.of(Reason.MODEL_REFUSED, "cannot-read", why=str(error.strerror))
    if isinstance(opened, Problem):
        return opened
    opened.close()
    size = sum(each.st_size for each in facts)
    if not all(stat.S_ISREG(each.st_mode) for each in facts):
        return Problem.of(Reason.MODEL_REFUSED, "no-regular-file")
    if size > size_limit:
        return _too_large(size, size_limit)
    parts = sorted(zip(names, (each.st_size for each in facts), strict=True), key=lambda each: each[0] != models[0])
    return ModelFolder(size=size, parts=tuple(parts), _path=path)


def open_model(path: Path, size_limit: int) -> ModelFile | ModelFolder | Problem:
    """Open a file, for the caller to close, if it can be a model: regular, no link, not too large, no other format.

    A folder can be one too: an ONNX file with the files of its tensors.
    """
    if path.is_dir() and not path.is_symlink():
        return _open_folder(path, size_limit)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return Problem.of(Reason.MODEL_MISSING, "no-file")
    except OSError as error:
        return Problem.of(Reason.MODEL_REFUSED, "cannot-open", why=str(error.strerror))
    try:
        head, size = _first_look(descriptor)
    except OSError as error:
        os.close(descriptor)
        return Problem.of(Reason.MODEL_REFUSED, "cannot-read", why=str(error.strerror))
    wrong = _wrong(head, size, size_limit)
    if wrong is None:
        return ModelFile(size=size or 0, _descriptor=descriptor, _head=head)
    os.close(descriptor)
    return wrong


def _first_look(descriptor: int) -> tuple[bytes, int | None]:
    """The first bytes and the size; None when it is no regular file, whose bytes are left alone."""
    facts = os.fstat(descriptor)
    if not stat.S_ISREG(facts.st_mode):
        return b"", None
    return os.read(descriptor, _HEAD), facts.st_size


def _wrong(head: bytes, size: int | None, limit: int) -> Problem | None:
    if size is None:
        return Problem.of(Reason.MODEL_REFUSED, "no-regular-file")
    if not size:
        return Problem.of(Reason.MODEL_REFUSED, "empty")
    if size > limit:
        return _too_large(size, limit)
    found = format_of(head)
    return None if found is None else Problem.of(Reason.MODEL_REFUSED, "other-format", format=found)


def _too_large(size: int, limit: int) -> Problem:
    sizes = {"size": f"{size / 1e6:.1f} MB", "limit": f"{limit / 1e6:.0f} MB"}
    return Problem.of(Reason.MODEL_REFUSED, "too-large", **sizes)


def format_of(head: bytes) -> str | None:
    """What a file is, by its first bytes (512 of them are enough), or None when it may be ONNX."""
    if _PICKLE.match(head):
        return f"a Python pickle (as joblib writes them){_RUNS_CODE}"
    if _ZLIB.match(head):
        return f"a zlib file (as compressed joblib is){_RUNS_CODE}"
    for offset, magic, name in _SIGNATURES:
        if head[offset:].startswith(magic):
            return name
    return None if head[:1] and head[0] in _FIRST_BYTES else "no ONNX file"
