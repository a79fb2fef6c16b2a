"""What the ledger says of versions and environments: pure folds over its entries.

The order of the entries given never matters, and neither does a clock: counters decide. Only the question what was live
on a date needs times, and there a time that contradicts the counters is not believed.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import TypeVar

from mlbot.core.ledger_records import (
    ApprovalEntry,
    DeploymentEntry,
    Entry,
    LockEntry,
    ReleaseEntry,
    Time,
    VerdictEntry,
    WaiverEntry,
)
from mlbot.core.record import Digest, Name

_E = TypeVar("_E", VerdictEntry, WaiverEntry, ReleaseEntry, DeploymentEntry, ApprovalEntry, LockEntry)


def releases(entries: Iterable[Entry], model: Name | None = None) -> tuple[ReleaseEntry, ...]:
    """The versions of a model (None: of all), oldest first; of a version only what was released first.

    A version is never released again with other bytes; where somebody wrote such an entry all the same, it is not
    believed.
    """
    first: dict[tuple[Name, str], ReleaseEntry] = {}
    for entry in _sorted(entries, ReleaseEntry):
        if model in {None, entry.model}:
            first.setdefault((entry.model, entry.version), entry)
    return tuple(first.values())


def release_of(entries: Iterable[Entry], model: Name, version: str) -> ReleaseEntry | None:
    """A version of a model, if it was released."""
    return next((each for each in releases(entries, model) if each.version == version), None)


def deployments(
    entries: Iterable[Entry], model: Name | None = None, environment: Name | None = None
) -> tuple[DeploymentEntry, ...]:
    """Each deployment once, with what came of it, oldest first: by model and environment, then by their counter.

    Args:
        entries: of the ledger.
        model: None: of all models.
        environment: None: into all environments.
    """
    last = {
        (entry.model, entry.environment, entry.sequence): entry
        for entry in _sorted(entries, DeploymentEntry)
        if model in {None, entry.model} and environment in {None, entry.environment}
    }
    return tuple(last[place] for place in sorted(last))


def live(entries: Iterable[Entry], environment: Name, model: Name) -> DeploymentEntry | None:
    """What is in an environment: the last deployment that succeeded; None before the first."""
    found = [each for each in deployments(entries, model, environment) if each.state == "succeeded"]
    return found[-1] if found else None


def unfinished(entries: Iterable[Entry], environment: Name, model: Name | None = None) -> tuple[DeploymentEntry, ...]:
    """The deployments into an environment that started and did not say how they ended."""
    return tuple(each for each in deployments(entries, model, environment) if each.state == "started")


def live_on(entries: Iterable[Entry], moment: Time) -> tuple[DeploymentEntry, ...]:
    """What was live in each environment at a moment, by model and environment.

    Args:
        entries: of the ledger.
        moment: UTC, as entries say it.
    """
    places: dict[tuple[Name, Name], list[DeploymentEntry]] = {}
    for entry in deployments(entries):
        if entry.state == "succeeded":
            places.setdefault((entry.model, entry.environment), []).append(entry)
    found = []
    for row in places.values():
        until = sum(time <= moment for time in believable([each.time for each in row]))
        found += row[until - 1 : until] if until else []
    return tuple(found)


def believable(times: Sequence[Time]) -> tuple[Time, ...]:
    """Times in the order of their counters, those of clocks that went wrong replaced.

    The longest row of times that never goes back is believed; any other becomes that of the believed one before it, or
    after it where there is none. So one machine that lives in 2099 or 1970 changes no other's history.
    """
    tails: list[Time] = []
    lengths = []
    for time in times:
        at = bisect_right(tails, time)
        tails[at : at + 1] = [time]
        lengths.append(at + 1)
    wanted = len(tails)
    kept: set[int] = set()
    upper: Time | None = None
    for index in reversed(range(len(times))):
        if lengths[index] == wanted and (upper is None or times[index] <= upper):
            kept.add(index)
            wanted, upper = wanted - 1, times[index]
    mended: list[Time] = []
    for index, time in enumerate(times):
        mended.append(time if index in kept else mended[-1] if mended else times[min(kept)])
    return tuple(mended)


def approvals(entries: Iterable[Entry], model: Name, version: str, environment: Name) -> tuple[ApprovalEntry, ...]:
    """Who approved a version for an environment: each person once for the same bytes, by their first word."""
    first: dict[tuple[str, Digest], ApprovalEntry] = {}
    for entry in _sorted(entries, ApprovalEntry):
        if (entry.model, entry.version, entry.environment) == (model, version, environment):
            first.setdefault((entry.actor.lower(), entry.digest), entry)
    return tuple(first.values())


def waivers(
    entries: Iterable[Entry], model: Name, key: Digest, policy: Digest | None = None
) -> tuple[WaiverEntry, ...]:
    """The waivers for a content of a model; with `policy`, only those given under these very rules."""
    return tuple(
        entry
        for entry in _sorted(entries, WaiverEntry)
        if (entry.model, entry.key) == (model, key) and policy in {None, entry.policy}
    )


def locks(entries: Iterable[Entry], environment: Name | None = None) -> tuple[LockEntry, ...]:
    """Every lock and unlock, oldest first: by environment, then by its counter."""
    found = [each for each in _sorted(entries, LockEntry) if environment in {None, each.environment}]
    return tuple(sorted(found, key=lambda each: each.environment))


def locked(entries: Iterable[Entry], environment: Name) -> LockEntry | None:
    """The lock that closes an environment; None when it is open."""
    found = locks(entries, environment)
    return found[-1] if found and found[-1].locked else None


def _sorted(entries: Iterable[Entry], kind: type[_E]) -> list[_E]:
    """The entries of a kind, oldest first; where counters are equal, whatever order they came in, always the same."""
    found = [each for each in entries if isinstance(each, kind)]
    return sorted(found, key=lambda each: (each.order, each.model_dump_json()))
