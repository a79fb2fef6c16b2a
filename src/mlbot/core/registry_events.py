"""One thing that somebody did, told from its entry in the ledger."""

from typing import Any, Literal

from mlbot.core.forge import Attempt
from mlbot.core.ledger_records import (
    ApprovalEntry,
    DeploymentEntry,
    DeploymentState,
    LockEntry,
    ReleaseEntry,
    Time,
    WaiverEntry,
)
from mlbot.core.record import Digest, Record, Sha

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
