"""What one version was made from, who let it pass, and where it went."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from mlbot.events.github import Attempt
from mlbot.gates.outcome import Outcome, Reason
from mlbot.ledger.entries import ApprovalEntry, DeploymentEntry, Entry, Environment, ReleaseEntry, Time, VerdictEntry
from mlbot.ledger.queries import latest_of_commit, release_of, verdicts, waivers
from mlbot.lib.record import Digest, Record, Sha
from mlbot.lib.scalar import Params
from mlbot.lib.version import Version
from mlbot.registry.history import Event, event, history
from mlbot.registry.versions import Registry, VersionTag


class Judged(Record):
    """The verdict that a version rests on."""

    outcome: Outcome
    reason: Reason
    provisional: bool
    commit: Sha
    branch: str
    holdout: Digest | None
    attempt: Attempt
    judge: Attempt
    time: Time
    metrics: dict[str, float]
    """What the file that ships came to: `metric` or `metric@slice`."""


class Lineage(Record):
    """What a version was made from, who let it pass, and where it went."""

    schema_version: Literal["mlbot/lineage@1"] = "mlbot/lineage@1"
    model: str
    version: str
    tag: str | None
    commit: Sha
    digest: Digest | None = None
    key: Digest | None = None
    data: dict[str, Digest] | None = None
    """Digest of each data file by its path; None where no release says it."""
    params: Params | None = None
    seed: int | None = None
    environment: Environment | None = None
    """Where it was trained."""
    training: Digest | None = None
    golden: Digest | None = None
    attempt: Attempt | None = None
    released: Event | None = None
    """None for a tag that was not released by mlbot."""
    verdict: Judged | None = None
    waivers: tuple[Event, ...] = ()
    approvals: tuple[Event, ...] = ()
    deployments: tuple[Event, ...] = ()
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    """Files of the ledger that are not believed."""


def lineage(registry: Registry, entries: Sequence[Entry], model: str, version: Version) -> Lineage | None:
    """Everything known of a version; None where neither ledger nor tags know it.

    Args:
        registry: the tags.
        entries: of the ledger, at least this model's.
        model: its name.
        version: which.
    """
    tag = registry.of_model(model).find(version)
    entry = release_of(entries, model, version.text)
    if entry:
        return _released(entries, entry, tag)
    return _only_tagged(entries, model, tag) if tag else None


def _released(entries: Sequence[Entry], entry: ReleaseEntry, tag: VersionTag | None) -> Lineage:
    verdict = _verdict_of(entries, entry)
    since = [each for each in verdicts(entries) if (each.model, each.key) == (entry.model, entry.key)]
    notes = []
    if verdict is None:
        notes.append("The ledger does not hold the verdict that the release names.")
    elif since and since[-1] != verdict and since[-1].outcome is not Outcome.PASS:
        notes.append(f"The content was judged again since: {since[-1].outcome}, at commit {since[-1].commit[:10]}.")
    return Lineage(
        model=entry.model,
        version=f"v{entry.version}",
        tag=tag.tag if tag else None,
        commit=entry.commit,
        digest=entry.digest,
        key=entry.key,
        data=entry.data,
        params=entry.params,
        seed=entry.seed,
        environment=entry.environment,
        training=entry.training,
        golden=entry.golden,
        attempt=entry.attempt,
        released=event(entry),
        verdict=_judged(verdict, entry.seed) if verdict else None,
        waivers=tuple(map(event, waivers(entries, entry.model, entry.key))),
        approvals=tuple(_approvals(entries, entry.model, entry.version)),
        deployments=tuple(_deployments(entries, entry.model, entry.version)),
        notes=tuple(notes),
    )


def _only_tagged(entries: Sequence[Entry], model: str, tag: VersionTag) -> Lineage:
    verdict = latest_of_commit(entries, tag.commit).get(model)
    note = tag.note
    return Lineage(
        model=model,
        version=str(tag.version),
        tag=tag.tag,
        commit=tag.commit,
        digest=note.digest if note else None,
        key=note.key if note else verdict.key if verdict else None,
        attempt=note.attempt if note else None,
        verdict=_judged(verdict, 0) if verdict else None,
        notes=("It is tagged, but was not released: the ledger has no entry of it.",),
    )


def _verdict_of(entries: Sequence[Entry], entry: ReleaseEntry) -> VerdictEntry | None:
    of = (entry.model, entry.key, entry.attempt, entry.judge)
    return next((each for each in verdicts(entries) if (each.model, each.key, each.attempt, each.judge) == of), None)


def _judged(verdict: VerdictEntry, seed: int) -> Judged:
    place = next((index for index, file in enumerate(verdict.files) if file.seed == seed), 0)
    values = ((each.metric, each.slice, each.values[place]) for each in verdict.values if place < len(each.values))
    return Judged(
        outcome=verdict.outcome,
        reason=verdict.reason,
        provisional=verdict.provisional,
        commit=verdict.commit,
        branch=verdict.branch,
        holdout=verdict.holdout,
        attempt=verdict.attempt,
        judge=verdict.judge,
        time=verdict.time,
        metrics={f"{m}@{part}" if part else m: value for m, part, value in values if value is not None},
    )


def _deployments(entries: Iterable[Entry], model: str, version: str) -> Iterator[Event]:
    of = [each for each in entries if isinstance(each, DeploymentEntry)]
    return (each for each in history(of, model) if each.version == f"v{version}")


def _approvals(entries: Iterable[Entry], model: str, version: str) -> Iterator[Event]:
    found = [each for each in entries if isinstance(each, ApprovalEntry)]
    mine = [each for each in found if (each.model, each.version) == (model, version)]
    return map(event, sorted(mine, key=lambda each: (each.order, each.model_dump_json())))
