"""The ledger's entries: what happened on the guarded branch, one small file each, never changed again.

    v1/<kind>/<subject>/<shard>/<id>.json

`subject` is what is looked for (the model; of a lock the environment), `shard` what is looked up within it (two
hexadecimal digits of a content key, a version, an environment; locks have none), `id` the digest of all that identifies
the entry. So one model is one folder, one key of it is one shard of some eighty files at 20,000 entries, and a retry
names the same file and adds nothing.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from mlbot.core.hostile_json import HostileJsonError, load
from mlbot.core.ledger_records import (
    KEYED,
    KINDS,
    LATER,
    ApprovalEntry,
    DeploymentEntry,
    Entry,
    Kind,
    LockEntry,
    ReleaseEntry,
    SeedValues,
    StoredFile,
    Time,
    VerdictEntry,
    WaiverEntry,
    shard_of,
)
from mlbot.core.record import Digest, Name, Record

__all__ = [
    "BRANCH",
    "ApprovalEntry",
    "DeploymentEntry",
    "Entry",
    "Kind",
    "Ledger",
    "LockEntry",
    "ReleaseEntry",
    "SeedValues",
    "StoredFile",
    "Time",
    "VerdictEntry",
    "WaiverEntry",
    "canonical",
    "files_of",
    "folders_of",
    "path_of",
    "read_files",
]

BRANCH = "mlbot/ledger"
"""The orphan branch that holds it."""

_ROOT = "v1"
_WHEN = "time"
"""The one field that does not identify an entry: a retry a minute later is no second entry."""
_MOST_BYTES = 262_144

_ENTRY: TypeAdapter[Entry] = TypeAdapter(Entry)
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


class Ledger(Record):
    """What could be read."""

    entries: tuple[Entry, ...] = ()
    problems: tuple[str, ...] = ()
    """Files that are no entries, or of a kind this version does not know: left out, and said."""


def canonical(entry: Entry) -> bytes:
    """An entry's only JSON form: sorted keys, no spaces, ASCII, a newline at the end."""
    return _ENCODER.encode(_facts(entry)).encode() + b"\n"


def path_of(entry: Entry) -> str:
    """Where an entry is on the ledger branch; the same for the same facts, whenever they are written."""
    return _path(entry, canonical(entry))


def _facts(entry: Entry) -> dict[str, Any]:
    facts: dict[str, Any] = entry.model_dump(mode="json")
    if isinstance(entry, VerdictEntry):
        for name in LATER:
            if facts[name] is None:
                del facts[name]
    return facts


def _path(entry: Entry, raw: bytes) -> str:
    """The path of an entry by its canonical form without the time.

    The last such field is the entry's own: keys are sorted, nothing that stands after it has one, and quotes within a
    text are escaped.
    """
    before, _, after = raw.removesuffix(b"\n").rpartition(f',"{_WHEN}":"{entry.time}"'.encode())
    identity = hashlib.sha256(before + after).hexdigest()
    parts = (_ROOT, entry.kind, entry.subject, entry.shard, f"{identity}.json")
    return "/".join(part for part in parts if part)


def folders_of(kind: Kind | None = None, subject: Name | None = None, key: Digest | None = None) -> tuple[str, ...]:
    """The folders to read for a lookup: everything, a kind, one subject of it, one key of that; each ends in `/`.

    Args:
        kind: None: all kinds.
        subject: the model, or for locks the environment; None: all.
        key: what verdicts and waivers are wanted for; other kinds are not parted by it.
    """
    if kind is None:
        return (f"{_ROOT}/",) if subject is None else tuple(_folder(each, subject, key) for each in KINDS)
    return (_folder(kind, subject, key),)


def _folder(kind: Kind, subject: Name | None, key: Digest | None) -> str:
    parts = [_ROOT, kind, *([subject] if subject else [])]
    return "/".join([*parts, *([shard_of(key)] if subject and key and kind in KEYED else [])]) + "/"


def files_of(entries: Iterable[Entry]) -> dict[str, bytes]:
    """What to add to the branch: content by path."""
    return {path_of(entry): canonical(entry) for entry in entries}


def read_files(files: Mapping[str, bytes]) -> Ledger:
    """The entries in files of the ledger branch.

    One bad file costs itself and no other: whoever may push could write anything there.
    """
    found = {path: _read(path, raw) for path, raw in files.items()}
    entries = [(each.kind, each.order, path, each) for path, each in found.items() if not isinstance(each, str)]
    return Ledger(
        entries=tuple(entry for *_, entry in sorted(entries, key=lambda row: row[:3])),
        problems=tuple(each for each in found.values() if isinstance(each, str)),
    )


def _read(path: str, raw: bytes) -> Entry | str:
    """An entry, or what is wrong with its file.

    A file is taken in its canonical form only. Equal bytes cannot hold a duplicate key or a NaN, so the slower look
    that finds those is kept for files that are refused.
    """
    where = f"The ledger's file {path[:120]!r}"
    if len(raw) > _MOST_BYTES:
        return f"{where} has more than {_MOST_BYTES:,} bytes."
    try:
        entry = _ENTRY.validate_json(raw, strict=True)
    except ValidationError:
        return _problem(where, raw)
    if canonical(entry) != raw:
        return _problem(where, raw)
    return entry if _path(entry, raw) == path else f"{where} is not where its content belongs."


def _problem(where: str, raw: bytes) -> str:
    try:
        value = load(raw, where, most_bytes=_MOST_BYTES)
    except HostileJsonError as error:
        return f"{error.what}."
    kind = value.get("kind") if isinstance(value, dict) else None
    if not isinstance(kind, str) or kind not in KINDS:
        return f"{where} is of a kind that this version of mlbot does not know."
    return f"{where} is no entry of its kind in the canonical form."
