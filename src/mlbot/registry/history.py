"""What happened, in order, and what was live at a moment."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any, Literal

from mlbot.events.github import Attempt
from mlbot.ledger.entries import (
    ApprovalEntry,
    DeploymentEntry,
    DeploymentState,
    Entry,
    LockEntry,
    ReleaseEntry,
    Time,
    WaiverEntry,
)
from mlbot.ledger.queries import believable, deployments, live_on, locks, releases
from mlbot.lib.record import Digest, Record, Sha
from mlbot.registry.views import Standing, standing

# One thing that somebody did, told from its entry in the ledger.

Told = ReleaseEntry | DeploymentEntry | ApprovalEntry | WaiverEntry | LockEntry
"""What people and their commands do; verdicts are what the judge finds."""

EventKind = Literal["release", "promotion", "rollback", "approval", "waiver", "lock", "unlock"]


class Event(Record):
    """One thing that somebody did."""

    time: Time
    kind: EventKind
    model: str | None = None
    version: str | None = None
    """With its `v`."""
    environment: str | None = None
    state: DeploymentState | None = None
    """How a promotion or rollback ended; `started` where it did not say."""
    previous: str | None = None
    """The version that was live before."""
    gate: str | None = None
    """What a waiver is for."""
    actor: str
    reason: str = ""
    detail: str = ""
    digest: Digest | None = None
    commit: Sha | None = None
    sequence: int | None = None
    run: Attempt | None = None


def event(entry: Told) -> Event:
    """What an entry tells."""
    facts: dict[str, Any] = {"time": entry.time, "actor": entry.actor, **_facts(entry)}
    return Event(**facts)


def _facts(entry: Told) -> dict[str, Any]:
    match entry:
        case ReleaseEntry():
            return {"kind": "release", **_of(entry), "commit": entry.commit}
        case DeploymentEntry():
            return {"kind": entry.action, **_of(entry), **_deployed(entry)}
        case ApprovalEntry():
            return {"kind": "approval", **_of(entry), "environment": entry.environment}
        case WaiverEntry():
            gate = {"gate": entry.gate, "reason": entry.reason, "commit": entry.commit}
            return {"kind": "waiver", "model": entry.model, **gate}
        case LockEntry():
            place = {"environment": entry.environment, "sequence": entry.sequence}
            return {"kind": "lock" if entry.locked else "unlock", "reason": entry.reason, "run": entry.run, **place}


def _of(entry: ReleaseEntry | DeploymentEntry | ApprovalEntry) -> dict[str, Any]:
    return {"model": entry.model, "version": f"v{entry.version}", "digest": entry.digest, "run": entry.run}


def _deployed(entry: DeploymentEntry) -> dict[str, Any]:
    return {
        "environment": entry.environment,
        "state": entry.state,
        "previous": f"v{entry.previous}" if entry.previous else None,
        "reason": entry.reason,
        "detail": entry.detail,
        "sequence": entry.sequence,
    }


class History(Record):
    """What happened, oldest first."""

    schema_version: Literal["mlbot/history@1"] = "mlbot/history@1"
    events: tuple[Event, ...]
    problems: tuple[str, ...] = ()


class Moment(Record):
    """What was live at a moment."""

    schema_version: Literal["mlbot/live@1"] = "mlbot/live@1"
    moment: Time
    live: tuple[Standing, ...]
    problems: tuple[str, ...] = ()


def history(entries: Sequence[Entry], model: str | None = None, environment: str | None = None) -> tuple[Event, ...]:
    """What happened, oldest first: in each environment by its counter, between them by time.

    Args:
        entries: of the ledger.
        model: None: all of them, and the environments' locks.
        environment: None: all of them, releases and waivers too.
    """
    rows = [*deployments(entries), *releases(entries), *locks(entries), *_said(entries)]
    kept = [each for each in rows if _about(each, model, environment)]
    timed: list[tuple[Time, Told]] = []
    for _, group in groupby(sorted(kept, key=_stream), key=_stream):
        row = list(group)
        timed += zip(believable([each.time for each in row]), row, strict=True)
    return tuple(event(entry) for _, entry in sorted(timed, key=lambda pair: pair[0]))


def moment(entries: Sequence[Entry], when: Time, model: str | None = None, environment: str | None = None) -> Moment:
    """What was live at a moment."""
    found = (each for each in live_on(entries, when) if _about(each, model, environment))
    return Moment(moment=when, live=tuple(map(standing, found)))


def _said(entries: Iterable[Entry]) -> list[ApprovalEntry | WaiverEntry]:
    """Approvals and waivers, by the comments that said them."""
    found = [each for each in entries if isinstance(each, ApprovalEntry | WaiverEntry)]
    return sorted(found, key=lambda each: (each.kind, each.order, each.model_dump_json()))


def _about(entry: Told, model: str | None, environment: str | None) -> bool:
    """Whether an entry is asked for; a lock is of its environment, whatever model is asked for with it."""
    at = None if isinstance(entry, ReleaseEntry | WaiverEntry) else entry.environment
    if environment is not None and at != environment:
        return False
    if isinstance(entry, LockEntry):
        return model is None or environment is not None
    return model in {None, entry.model}


def _stream(entry: Told) -> tuple[int, str, str]:
    """What one counter orders. Versions may be released in any order, so each is a row of its own.

    The number decides what stands first of what happened in the same second.
    """
    match entry:
        case WaiverEntry():
            return 0, entry.model, ""
        case ReleaseEntry():
            return 1, entry.model, entry.version
        case ApprovalEntry():
            return 2, entry.model, entry.environment
        case DeploymentEntry():
            return 3, entry.model, entry.environment
        case LockEntry():
            return 4, entry.environment, ""
