"""The ledger's entries: what happened on the guarded branch, one small file each, never changed again.

    v1/<kind>/<subject>/<shard>/<id>.json

`subject` is what is looked for (the model), `shard` two hexadecimal digits of what is looked up within it (the content
key), `id` the digest of all that identifies the entry. So one model is one folder, one key of it is one shard of some
eighty files at 20,000 entries, and a retry names the same file and adds nothing.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, TypeAdapter, ValidationError

from mlbot.core.forge import Attempt, Id, RefName
from mlbot.core.hostile_json import HostileJsonError, load
from mlbot.core.outcome import Outcome, Reason
from mlbot.core.record import Count, Digest, Name, Record, Sha

BRANCH = "mlbot/ledger"
"""The orphan branch that holds it."""

_ROOT = "v1"
_WHEN = "time"
"""The one field that does not identify an entry: a retry a minute later is no second entry."""
_MOST_BYTES = 262_144

Time = Annotated[str, StringConstraints(pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$")]
"""UTC, whole seconds: `2026-11-20T16:00:00Z`. For people; nothing is ordered by it."""


class StoredFile(Record):
    """One seed's model file and where its bytes are."""

    seed: Count
    digest: Digest
    size_bytes: Count
    run: Id | None = None
    """The run that holds its artifact; None where only a digest is known."""
    artifact: Annotated[str, StringConstraints(max_length=200)] | None = None
    """The artifact's name in that run (`mlbot.core.artifact`)."""


class SeedValues(Record):
    """What one metric came to for each seed, in the order of `files`; None where it has no value."""

    metric: str
    slice: str | None = None
    values: tuple[float | None, ...]


class VerdictEntry(Record):
    """The verdict on one model of a commit of the guarded branch."""

    schema_version: Literal["mlbot/ledger@1"] = "mlbot/ledger@1"
    kind: Literal["verdict"] = "verdict"
    model: Name
    key: Digest
    """The content key."""
    digest: Digest | None
    """sha256 of the file that was judged and may ship; None when there was none."""
    holdout: Digest | None
    commit: Sha
    branch: RefName
    outcome: Outcome
    reason: Reason
    provisional: bool = False
    attempt: Attempt
    """The training that was judged."""
    judge: Attempt
    """The run that judged it."""
    files: tuple[StoredFile, ...] = ()
    """One a seed; the first is the one that ships."""
    values: tuple[SeedValues, ...] = ()
    time: Time

    @property
    def subject(self) -> str:
        """What it is filed under."""
        return self.model

    @property
    def shard(self) -> str:
        """Which part of the subject's folder it is in."""
        return shard_of(self.key)

    @property
    def order(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Sorts older before newer by GitHub's own counting, for clocks can be set."""
        return self.attempt.order, self.judge.order


Entry = VerdictEntry
"""The closed union of all kinds; a further kind joins by `Annotated[... | ..., Field(discriminator="kind")]`."""

_ENTRY: TypeAdapter[Entry] = TypeAdapter(Annotated[Entry, Field()])
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
_KINDS = frozenset({"verdict"})


class Ledger(Record):
    """What could be read."""

    entries: tuple[Entry, ...] = ()
    problems: tuple[str, ...] = ()
    """Files that are no entries, or of a kind this version does not know: left out, and said."""


def canonical(entry: Entry) -> bytes:
    """An entry's only JSON form: sorted keys, no spaces, ASCII, a newline at the end."""
    return _canonical(entry.model_dump(mode="json")) + b"\n"


def path_of(entry: Entry) -> str:
    """Where an entry is on the ledger branch; the same for the same facts, whenever they are written."""
    return _path(entry, entry.model_dump(mode="json"))


def _path(entry: Entry, facts: Mapping[str, Any]) -> str:
    identity = _canonical({name: value for name, value in facts.items() if name != _WHEN})
    return f"{folder_of(entry.kind, entry.subject)}{entry.shard}/{hashlib.sha256(identity).hexdigest()}.json"


def folder_of(kind: Literal["verdict"] = "verdict", subject: Name | None = None, key: Digest | None = None) -> str:
    """The folder to read for a lookup: all of a kind, one subject, or one key of it; ends in `/`."""
    parts = [_ROOT, kind, *([subject] if subject else []), *([shard_of(key)] if subject and key else [])]
    return "/".join(parts) + "/"


def shard_of(digest: Digest) -> str:
    """Two hexadecimal digits of a digest."""
    return digest.removeprefix("sha256:")[:2]


def files_of(entries: Iterable[Entry]) -> dict[str, bytes]:
    """What to add to the branch: content by path."""
    return {path_of(entry): canonical(entry) for entry in entries}


def read_files(files: Mapping[str, bytes]) -> Ledger:
    """The entries in files of the ledger branch.

    One bad file costs itself and no other: whoever may push could write anything there.
    """
    found = {path: _read(path, raw) for path, raw in files.items()}
    entries = [(each.order, path, each) for path, each in found.items() if not isinstance(each, str)]
    return Ledger(
        entries=tuple(entry for _, _, entry in sorted(entries, key=lambda row: row[:2])),
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
    facts = entry.model_dump(mode="json")
    if _canonical(facts) + b"\n" != raw:
        return _problem(where, raw)
    return entry if _path(entry, facts) == path else f"{where} is not where its content belongs."


def _problem(where: str, raw: bytes) -> str:
    try:
        value = load(raw, where, most_bytes=_MOST_BYTES)
    except HostileJsonError as error:
        return f"{error.what}."
    kind = value.get("kind") if isinstance(value, dict) else None
    if not isinstance(kind, str) or kind not in _KINDS:
        return f"{where} is of a kind that this version of mlbot does not know."
    return f"{where} is no entry of its kind in the canonical form."


def _canonical(value: Any) -> bytes:
    return _ENCODER.encode(value).encode()
