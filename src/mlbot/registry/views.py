"""What tags and ledger say together: what is where, what happened, what a version was made from.

Where they disagree the ledger decides, and the disagreement is shown.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, Literal, TypeVar

from mlbot.events.github import Attempt
from mlbot.gates.outcome import Outcome, Reason
from mlbot.ledger.entries import (
    Action,
    ApprovalEntry,
    DeploymentEntry,
    DeploymentState,
    Entry,
    Environment,
    LockEntry,
    Origin,
    ReleaseEntry,
    Time,
    VerdictEntry,
    WaiverEntry,
)
from mlbot.ledger.queries import (
    believable,
    deployments,
    latest_of_commit,
    live,
    live_on,
    locked,
    locks,
    release_of,
    releases,
    unfinished,
    verdicts,
    waivers,
)
from mlbot.lib.record import Count, Digest, Params, Record, Sha
from mlbot.lib.version import Version
from mlbot.registry.tags import Assignment, ModelTags, Quarantined, Registry, VersionTag, version_tag

# What `mlbot registry` answers, for tables and as JSON. A field may join; none is renamed or taken away.

Source = Literal["ledger", "tag"]

_V = TypeVar("_V", bound=Record)


class _OfBytes(Record):
    """What is said of a model's bytes."""

    model: str | None = None
    digest: Digest | None = None
    commit: Sha | None = None


class EnvironmentView(_OfBytes):
    """What is in an environment."""

    model: str
    environment: str
    version: str | None  # with its `v`; None where a tag's commit has no version
    since: Time | None = None
    actor: str | None = None
    reason: str = ""
    action: Action | None = None
    sequence: int  # the deployment's counter, or the tag's
    source: Source


class UnfinishedView(Record):
    """A deployment that did not say how it ended."""

    model: str
    environment: str
    version: str
    action: Action
    actor: str
    since: Time
    sequence: int
    finish: str = ""  # the command that finishes it


class VersionView(_OfBytes):
    """A version."""

    schema_version: Literal["mlbot/version@1"] = "mlbot/version@1"
    model: str
    version: str
    commit: Sha
    tag: str | None = None  # None where it is not in this clone
    released: Time | None = None  # None for a tag that was not released by mlbot
    actor: str | None = None
    withdrawn: str | None = None  # the tag that took it back
    live: tuple[str, ...] = ()  # the environments it is in
    unfinished: tuple[UnfinishedView, ...] = ()  # its deployments that did not say how they ended
    source: Source


class LockView(Record):
    """A locked environment."""

    environment: str
    actor: str
    reason: str
    since: Time


class ModelView(Record):
    """A model."""

    model: str
    latest: str | None = None  # the highest version that is not withdrawn
    deprecated: str | None = None  # the tag that says so
    versions: Count  # how many there are, withdrawn ones included
    environments: tuple[EnvironmentView, ...] = ()


class ModelDetail(Record):
    """A model with all of its versions."""

    schema_version: Literal["mlbot/model@1"] = "mlbot/model@1"
    model: str
    latest: str | None = None
    deprecated: str | None = None
    environments: tuple[EnvironmentView, ...] = ()
    versions: tuple[VersionView, ...] = ()  # oldest first
    locks: tuple[LockView, ...] = ()  # of all environments
    unfinished: tuple[UnfinishedView, ...] = ()
    notes: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    quarantined: tuple[Quarantined, ...] = ()
    problems: tuple[str, ...] = ()


class RegistryView(Record):
    """All models."""

    schema_version: Literal["mlbot/registry@1"] = "mlbot/registry@1"
    environments: tuple[str, ...] = ()  # in the order in which something first came into them
    models: tuple[ModelView, ...] = ()
    locks: tuple[LockView, ...] = ()
    unfinished: tuple[UnfinishedView, ...] = ()
    notes: tuple[str, ...] = ()  # where tags and ledger disagree
    lost: tuple[str, ...] = ()  # what the ledger lacks, though a tag of mlbot's says that it was recorded
    quarantined: tuple[Quarantined, ...] = ()  # tags that are not believed
    problems: tuple[str, ...] = ()  # files of the ledger that are not believed

    def model(self, name: str) -> ModelView | None:
        """A model by its name."""
        return next((each for each in self.models if each.model == name), None)


def view(
    registry: Registry, entries: Sequence[Entry], problems: Sequence[str] = (), *, whole: bool = True
) -> RegistryView:
    """Everything that tags and ledger say of versions and environments.

    Args:
        registry: the tags.
        entries: the ledger's.
        problems: what the ledger's reader left out.
        whole: whether the ledger was there to be read, so that what it has nothing of is lost.
    """
    by_model = _by_model(entries)
    environments = _environments(registry, entries)
    names = sorted({*registry.models, *by_model})
    rows = [(registry.of_model(name), by_model.get(name, [])) for name in names]
    return RegistryView(
        environments=environments,
        models=tuple(_model(tags, of_it, environments) for tags, of_it in rows),
        locks=tuple(_locks(entries)),
        unfinished=tuple(_unfinished(entries, environments)),
        notes=tuple(note for tags, of_it in rows for note in _notes(tags, of_it, environments)),
        lost=tuple(each for tags, of_it in rows for each in _lost(tags, of_it)) if whole else (),
        quarantined=registry.quarantined,
        problems=tuple(problems),
    )


def detail(registry: Registry, entries: Sequence[Entry], found: RegistryView, model: ModelView) -> ModelDetail:
    """One model of a view with its versions, and what is to be remarked of it."""
    name = model.model
    unfinished = tuple(each for each in found.unfinished if each.model == name)
    return ModelDetail(
        model=name,
        latest=model.latest,
        deprecated=model.deprecated,
        environments=model.environments,
        versions=tuple(_versions(registry.of_model(name), _of(entries, name), model.environments, unfinished)),
        locks=found.locks,
        unfinished=unfinished,
        notes=tuple(_notes(registry.of_model(name), _of(entries, name), found.environments)),
        lost=tuple(_lost(registry.of_model(name), _of(entries, name))) if found.lost else (),
        quarantined=tuple(each for each in found.quarantined if _is_about(each.tag, name)),
        problems=found.problems,
    )


def _is_about(tag: str, model: str) -> bool:
    return tag.replace("=", ":").startswith((f"{model}@", f"{model}#"))


def _of(entries: Iterable[Entry], model: str) -> list[Entry]:
    return [each for each in entries if isinstance(each, ReleaseEntry | DeploymentEntry) and each.model == model]


def environment_view(entry: DeploymentEntry) -> EnvironmentView:
    """What a deployment left in its environment."""
    return _view(EnvironmentView, entry, version=f"v{entry.version}", since=entry.time, source="ledger")


def _view(kind: type[_V], entry: Record, /, **more: Any) -> _V:
    """A view with the fields that it shares with an entry; `more`: those that the entry has not, or otherwise."""
    names = (kind.model_fields.keys() & type(entry).model_fields.keys()) - more.keys() - {"schema_version", "kind"}
    return kind(**{name: getattr(entry, name) for name in names} | more)


def _by_model(entries: Iterable[Entry]) -> dict[str, list[Entry]]:
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        if isinstance(entry, ReleaseEntry | DeploymentEntry):
            found.setdefault(entry.model, []).append(entry)
    return found


def _environments(registry: Registry, entries: Sequence[Entry]) -> tuple[str, ...]:
    first: dict[str, tuple[str, int]] = {}
    for entry in deployments(entries):
        first[entry.environment] = min((entry.time, 0), first.get(entry.environment, (entry.time, 0)))
    for model in registry.models.values():
        for each in model.assignments:
            if each.environment not in first or first[each.environment][0] == "~":
                first[each.environment] = min(("~", each.counter), first.get(each.environment, ("~", each.counter)))
    for lock in locks(entries):
        first.setdefault(lock.environment, ("~~", 0))
    return tuple(sorted(first, key=lambda name: (first[name], name)))


def _model(tags: ModelTags, entries: Sequence[Entry], environments: Sequence[str]) -> ModelView:
    withdrawn = {each.version.text for each in tags.versions if each.withdrawn}
    known = {each.version.text: each.version for each in tags.versions}
    known |= {each.version: Version.parse(each.version) for each in releases(entries, tags.model)}
    return ModelView(
        model=tags.model,
        latest=_latest([known[text] for text in known.keys() - withdrawn]),
        deprecated=tags.deprecated,
        versions=len(known),
        environments=tuple(_environment_views(tags, entries, environments)),
    )


def _latest(versions: Sequence[Version]) -> str | None:
    """The highest; a pre-release only where there is no other."""
    best = max(versions, key=lambda each: (not each.pre, each.order), default=None)
    return str(best) if best else None


def _environment_views(
    tags: ModelTags, entries: Sequence[Entry], environments: Sequence[str]
) -> Iterator[EnvironmentView]:
    known = {each.environment for each in deployments(entries)}
    for environment in environments:
        entry, tagged = live(entries, environment, tags.model), tags.current(environment)
        if entry:
            yield environment_view(entry)
        elif tagged and environment not in known:
            yield _tagged(tags.model, tagged)


def _notes(tags: ModelTags, entries: Sequence[Entry], environments: Sequence[str]) -> Iterator[str]:
    """Where tags and ledger disagree about a model."""
    known = {each.environment for each in deployments(entries)}
    for environment in environments:
        if environment in known:
            yield from _disagreement(tags, environment, live(entries, environment, tags.model))
    tagged = {each.version.text: each for each in tags.versions}
    for entry in releases(entries, tags.model):
        yield from _contradiction(entry, tagged.get(entry.version))


_REPAIR = "Write what is missing: mlbot registry repair."

_RESTORE = "put the ledger back (mlbot registry restore)"


def _lost(tags: ModelTags, entries: Sequence[Entry]) -> Iterator[str]:
    """What mlbot's own tags say was recorded, and the ledger lacks. A tag by hand says nothing of the ledger."""
    released = {each.version for each in releases(entries, tags.model)}
    for each in tags.versions:
        if each.note and each.version.text not in released:
            yield _lost_release(tags.model, each)
    known = {each.environment for each in deployments(entries, tags.model)}
    for environment in tags.environments:
        now = tags.current(environment)
        if now and now.note and environment not in known:
            yield (
                f"The tag {now.tag} says that v{now.note.version} is in {environment}, "
                f"and the ledger has no deployment of {tags.model} there: {_RESTORE}."
            )


def _lost_release(model: str, tag: VersionTag) -> str:
    again = f"mlbot release {model} --version {tag.version}"
    return (
        f"The tag {tag.tag} says that it was released, and the ledger has no such release: "
        f"{_RESTORE}, or say it again: {again}."
    )


def _tagged(model: str, by_tag: Assignment) -> EnvironmentView:
    return EnvironmentView(
        model=model,
        environment=by_tag.environment,
        version=str(by_tag.version) if by_tag.version else None,
        digest=by_tag.note.digest if by_tag.note else None,
        commit=by_tag.commit,
        actor=by_tag.note.actor if by_tag.note else None,
        sequence=by_tag.counter,
        source="tag",
    )


def _disagreement(tags: ModelTags, environment: str, entry: DeploymentEntry | None) -> Iterator[str]:
    """What is to be said where a tag names another version than the ledger, or none names what is live."""
    tagged = tags.current(environment)
    if tagged is None and entry and any(each.version.text == entry.version for each in tags.versions):
        yield f"{tags.model}: no tag says that v{entry.version} is in {environment}. {_REPAIR}"
    if tagged is None or (entry and tagged.version and tagged.version.text == entry.version):
        return
    held = f"v{entry.version}" if entry else "nothing"
    named = str(tagged.version) if tagged.version else f"commit {tagged.commit[:10]}"
    right = f" {_REPAIR}" if entry else ""
    yield f"{tags.model}: the tag {tagged.tag} says {named} is in {environment}, the ledger says {held}.{right}"


def _versions(
    tags: ModelTags,
    entries: Sequence[Entry],
    environments: Sequence[EnvironmentView],
    unfinished: Sequence[UnfinishedView],
) -> Iterator[VersionView]:
    tagged = {each.version.text: each for each in tags.versions}
    released = {each.version: each for each in releases(entries, tags.model)}
    for text in sorted({*tagged, *released}, key=lambda text: Version.parse(text).order):
        live_in = tuple(each.environment for each in environments if each.version == f"v{text}")
        found = _version(tags.model, text, released.get(text), tagged.get(text), live_in)
        yield found.model_copy(update={"unfinished": tuple(e for e in unfinished if e.version == f"v{text}")})


def _version(
    model: str, text: str, entry: ReleaseEntry | None, tag: VersionTag | None, live_in: tuple[str, ...]
) -> VersionView:
    note = tag.note if tag else None
    return VersionView(
        model=model,
        version=f"v{text}",
        commit=entry.commit if entry else tag.commit if tag else "",
        digest=entry.digest if entry else note.digest if note else None,
        tag=tag.tag if tag else None,
        released=entry.time if entry else None,
        actor=entry.actor if entry else note.actor if note else None,
        withdrawn=tag.withdrawn if tag else None,
        live=live_in,
        source="ledger" if entry else "tag",
    )


def _contradiction(entry: ReleaseEntry, tag: VersionTag | None) -> Iterator[str]:
    name = version_tag(entry.model, Version.parse(entry.version))
    if tag is None:
        yield f"{name} was released, but no such tag is to be believed here: fetch it. {_REPAIR}"
    elif tag.commit != entry.commit:
        yield f"The tag {name} is at commit {tag.commit[:10]}, but the ledger released commit {entry.commit[:10]}."
    elif tag.note and tag.note.digest != entry.digest:
        yield f"The tag {name} names the bytes {tag.note.digest[:19]}…, but the ledger released {entry.digest[:19]}…."
    elif entry.tag_object and tag.object_sha != entry.tag_object and tag.note is None:
        yield f"The tag {name} was made anew since it was released, at the same commit."


def _locks(entries: Sequence[Entry]) -> Iterator[LockView]:
    for environment in dict.fromkeys(each.environment for each in locks(entries)):
        lock = locked(entries, environment)
        if lock:
            yield _view(LockView, lock, since=lock.time)


def _unfinished(entries: Sequence[Entry], environments: Sequence[str]) -> Iterator[UnfinishedView]:
    for environment in environments:
        for each in unfinished(entries, environment):
            yield _view(UnfinishedView, each, version=f"v{each.version}", since=each.time, finish=_finish(each))


def _finish(entry: DeploymentEntry) -> str:
    """What finishes a deployment: the same again."""
    if entry.action == "promotion":
        return f"mlbot promote {entry.model}@v{entry.version} {entry.environment}"
    return f'mlbot rollback {entry.model} {entry.environment} --to v{entry.version} --reason "…"'


# What happened, in order, and what was live at a moment.

Act = ReleaseEntry | DeploymentEntry | ApprovalEntry | WaiverEntry | LockEntry
"""What people and their commands do; verdicts are what the judge finds."""

EventKind = Literal["release", "promotion", "rollback", "approval", "waiver", "lock", "unlock"]


class RegistryEvent(_OfBytes):
    """One thing that somebody did."""

    time: Time
    kind: EventKind
    version: str | None = None  # with its `v`
    environment: str | None = None
    state: DeploymentState | None = None  # how a promotion or rollback ended; `started` where it did not say
    previous: str | None = None  # the version that was live before
    gate: str | None = None  # what a waiver is for
    actor: str
    reason: str = ""
    detail: str = ""
    sequence: int | None = None
    run: Attempt | None = None


def event(entry: Act) -> RegistryEvent:
    """What an entry says."""
    more: dict[str, Any] = {"kind": _kind(entry)}
    if isinstance(entry, ReleaseEntry):
        more["environment"] = None  # the entry's own is where it was trained
    for name in ("version", "previous"):
        if getattr(entry, name, None):
            more[name] = f"v{getattr(entry, name)}"
    return _view(RegistryEvent, entry, **more)


def _kind(entry: Act) -> EventKind:
    match entry:
        case DeploymentEntry():
            return entry.action
        case LockEntry():
            return "lock" if entry.locked else "unlock"
        case _:
            return entry.kind


class History(Record):
    """What happened, oldest first."""

    schema_version: Literal["mlbot/history@1"] = "mlbot/history@1"
    events: tuple[RegistryEvent, ...]
    problems: tuple[str, ...] = ()


class Moment(Record):
    """What was live at a moment."""

    schema_version: Literal["mlbot/live@1"] = "mlbot/live@1"
    moment: Time
    live: tuple[EnvironmentView, ...]
    problems: tuple[str, ...] = ()


def history(
    entries: Sequence[Entry], model: str | None = None, environment: str | None = None
) -> tuple[RegistryEvent, ...]:
    """What happened, oldest first: in each environment by its counter, between them by time.

    Without a model that is of all, and of the environments' locks; without an environment releases and waivers too.
    """
    rows = [*deployments(entries), *releases(entries), *locks(entries), *_answers(entries)]
    found = [each for each in rows if _about(each, model, environment)]
    timed: list[tuple[Time, Act]] = []
    for _, group in groupby(sorted(found, key=_stream), key=_stream):
        row = list(group)
        timed += zip(believable([each.time for each in row]), row, strict=True)
    return tuple(event(entry) for _, entry in sorted(timed, key=lambda pair: pair[0]))


def moment(entries: Sequence[Entry], when: Time, model: str | None = None, environment: str | None = None) -> Moment:
    """What was live at a moment."""
    found = (each for each in live_on(entries, when) if _about(each, model, environment))
    return Moment(moment=when, live=tuple(map(environment_view, found)))


def _answers(entries: Iterable[Entry]) -> list[ApprovalEntry | WaiverEntry]:
    """Approvals and waivers, by the comments that gave them."""
    found = [each for each in entries if isinstance(each, ApprovalEntry | WaiverEntry)]
    return sorted(found, key=lambda each: (each.kind, each.order, each.model_dump_json()))


def _about(entry: Act, model: str | None, environment: str | None) -> bool:
    """Whether an entry is asked for; a lock is of its environment, whatever model is asked for with it."""
    at = None if isinstance(entry, ReleaseEntry | WaiverEntry) else entry.environment
    if environment is not None and at != environment:
        return False
    if isinstance(entry, LockEntry):
        return model is None or environment is not None
    return model in {None, entry.model}


def _stream(entry: Act) -> tuple[int, str, str]:
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


# What one version was made from, who let it pass, and where it went.


class VerdictView(Record):
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
    metrics: dict[str, float]  # what the file that ships came to: `metric` or `metric@slice`


class Lineage(_OfBytes):
    """What a version was made from, who let it pass, and where it went."""

    schema_version: Literal["mlbot/lineage@1"] = "mlbot/lineage@1"
    model: str
    version: str
    tag: str | None
    commit: Sha
    key: Digest | None = None
    data: dict[str, Digest] | None = None  # digest of each data file by its path; None where no release says it
    params: Params | None = None
    seed: int | None = None
    environment: Environment | None = None  # where it was trained
    origin: Origin | None = None  # where it is from that was made elsewhere
    training: Digest | None = None
    golden: Digest | None = None
    attempt: Attempt | None = None
    released: RegistryEvent | None = None  # None for a tag that was not released by mlbot
    verdict: VerdictView | None = None
    waivers: tuple[RegistryEvent, ...] = ()
    approvals: tuple[RegistryEvent, ...] = ()
    deployments: tuple[RegistryEvent, ...] = ()
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()  # files of the ledger that are not believed


def lineage(registry: Registry, entries: Sequence[Entry], model: str, version: Version) -> Lineage | None:
    """Everything known of a version; None where neither ledger nor tags know it."""
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
    return _view(
        Lineage,
        entry,
        version=f"v{entry.version}",
        tag=tag.tag if tag else None,
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
        notes=(
            _lost_release(model, tag)
            if note
            else "It is tagged, but was not released: the ledger has no entry of it. Release it: "
            f"mlbot release {model} --version {tag.version}.",
        ),
    )


def _verdict_of(entries: Sequence[Entry], entry: ReleaseEntry) -> VerdictEntry | None:
    of = (entry.model, entry.key, entry.attempt, entry.judge)
    return next((each for each in verdicts(entries) if (each.model, each.key, each.attempt, each.judge) == of), None)


def _judged(verdict: VerdictEntry, seed: int) -> VerdictView:
    place = next((index for index, file in enumerate(verdict.files) if file.seed == seed), 0)
    values = ((each.metric, each.slice, each.values[place]) for each in verdict.values if place < len(each.values))
    metrics = {f"{m}@{part}" if part else m: value for m, part, value in values if value is not None}
    return _view(VerdictView, verdict, metrics=metrics)


def _deployments(entries: Iterable[Entry], model: str, version: str) -> Iterator[RegistryEvent]:
    of = [each for each in entries if isinstance(each, DeploymentEntry)]
    return (each for each in history(of, model) if each.version == f"v{version}")


def _approvals(entries: Iterable[Entry], model: str, version: str) -> Iterator[RegistryEvent]:
    found = [each for each in entries if isinstance(each, ApprovalEntry)]
    mine = [each for each in found if (each.model, each.version) == (model, version)]
    return map(event, sorted(mine, key=lambda each: (each.order, each.model_dump_json())))
