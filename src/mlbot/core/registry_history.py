"""What happened, in order, and what was live at a moment."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Literal

from mlbot.core.ledger_records import ApprovalEntry, DeploymentEntry, Entry, LockEntry, ReleaseEntry, Time, WaiverEntry
from mlbot.core.ledger_state import believable, deployments, live_on, locks, releases
from mlbot.core.record import Record
from mlbot.core.registry_events import Event, Told, event
from mlbot.core.registry_shape import Standing
from mlbot.core.registry_view import standing


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
