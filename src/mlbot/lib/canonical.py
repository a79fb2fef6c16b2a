"""The one canonical JSON and the one digest: what keys, ledger entries, tags and stored documents are known by."""

import hashlib
import json
from io import BufferedReader

from mlbot.lib.record import Digest

_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def canonical(value: object) -> str:
    """JSON with sorted keys, no spaces, ASCII alone.

    Raises:
        ValueError: A number is NaN or infinite.
    """
    return _ENCODER.encode(value)


def document(value: object) -> bytes:
    """Canonical JSON as the content of a file: with a newline at the end."""
    return canonical(value).encode() + b"\n"


def digest(text: str | bytes) -> Digest:
    """sha256 of a text (names that are no UTF-8 go in as the bytes they are) or of bytes."""
    raw = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
    return f"sha256:{hashlib.sha256(raw).hexdigest()}"


def digest_of_stream(stream: BufferedReader) -> Digest:
    """sha256 of what is left in a file."""
    return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"
