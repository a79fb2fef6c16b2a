"""What is where: tags and ledger side by side. Where they disagree the ledger decides, and it is said."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from mlbot.core.ledger_records import Action, DeploymentEntry, Entry, ReleaseEntry, Time
from mlbot.core.ledger_state import deployments, live, locked, locks, releases, unfinished
from mlbot.core.record import Digest, Record, Sha
from mlbot.core.registry import Assignment, ModelTags, Quarantined, Registry, Version, VersionTag
from mlbot.core.tag import version_tag

Source = Literal["ledger", "tag"]


class Standing(Record):
    """What is in an environment."""

    model: str
    environment: str
    version: str | None
    """With its `v`; None where a tag's commit has no version."""
    digest: Digest | None = None
    commit: Sha | None = None
    """Where only a tag says so."""
    since: Time | None = None
    actor: str | None = None
    reason: str = ""
    action: Action | None = None
    sequence: int
    """The deployment's counter, or the tag's."""
    source: Source


class VersionView(Record):
    """A version."""

    version: str
    commit: Sha
    digest: Digest | None = None
    tag: str | None = None
    """None where it is not in this clone."""
    released: Time | None = None
    """None for a tag that was not released by mlbot."""
    actor: str | None = None
    withdrawn: str | None = None
    """The tag that took it back."""
    live: tuple[str, ...] = ()
    """The environments it is in."""
    source: Source


class ModelView(Record):
    """A model."""

    model: str
    latest: str | None = None
    """The highest version that is not withdrawn."""
    deprecated: str | None = None
    """The tag that says so."""
    versions: tuple[VersionView, ...] = ()
    """Oldest first."""
    environments: tuple[Standing, ...] = ()


class Closed(Record):
    """A locked environment."""

    environment: str
    actor: str
    reason: str
    since: Time


class Unfinished(Record):
    """A deployment that did not say how it ended."""

    model: str
    environment: str
    version: str
    action: Action
    actor: str
    since: Time
    sequence: int


class RegistryView(Record):
    """All models."""

    schema_version: Literal["mlbot/registry@1"] = "mlbot/registry@1"
    environments: tuple[str, ...] = ()
    """In the order in which something first came into them."""
    models: tuple[ModelView, ...] = ()
    locks: tuple[Closed, ...] = ()
    unfinished: tuple[Unfinished, ...] = ()
    notes: tuple[str, ...] = ()
    """Where tags and ledger disagree."""
    quarantined: tuple[Quarantined, ...] = ()
    """Tags that are not believed."""
    problems: tuple[str, ...] = ()
    """Files of the ledger that are not believed."""

    def model(self, name: str) -> ModelView | None:
        """A model by its name."""
        return next((each for each in self.models if each.model == name), None)


def view(registry: Registry, entries: Sequence[Entry], problems: Sequence[str] = ()) -> RegistryView:
    """Everything that tags and ledger say of versions and environments.

    Args:
        registry: the tags.
        entries: of the ledger, of whatever kinds.
        problems: what the ledger's reader left out.
    """
    by_model = _by_model(entries)
    environments = _environments(registry, entries)
    names = sorted({*registry.models, *by_model})
    notes: list[str] = []
    models = tuple(_model(registry.of_model(name), by_model.get(name, []), environments, notes) for name in names)
    return RegistryView(
        environments=environments,
        models=models,
        locks=tuple(_locks(entries)),
        unfinished=tuple(_unfinished(entries, environments)),
        notes=tuple(notes),
        quarantined=registry.quarantined,
        problems=tuple(problems),
    )


def standing(entry: DeploymentEntry) -> Standing:
    """What a deployment left in its environment."""
    return Standing(
        model=entry.model,
        environment=entry.environment,
        version=f"v{entry.version}",
        digest=entry.digest,
        since=entry.time,
        actor=entry.actor,
        reason=entry.reason,
        action=entry.action,
        sequence=entry.sequence,
        source="ledger",
    )


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


def _model(tags: ModelTags, entries: Sequence[Entry], environments: Sequence[str], notes: list[str]) -> ModelView:
    standings = tuple(_standings(tags, entries, environments, notes))
    versions = tuple(_versions(tags, entries, standings, notes))
    return ModelView(
        model=tags.model,
        latest=next((each.version for each in reversed(versions) if each.withdrawn is None), None),
        deprecated=tags.deprecated,
        versions=versions,
        environments=standings,
    )


def _standings(
    tags: ModelTags, entries: Sequence[Entry], environments: Sequence[str], notes: list[str]
) -> Iterator[Standing]:
    known = {each.environment for each in deployments(entries)}
    for environment in environments:
        tagged = tags.current(environment)
        if environment not in known:
            if tagged:
                yield _tagged(tags.model, tagged)
            continue
        entry = live(entries, environment, tags.model)
        notes += _disagreement(tags, environment, tagged, entry)
        if entry:
            yield standing(entry)


def _tagged(model: str, said: Assignment) -> Standing:
    return Standing(
        model=model,
        environment=said.environment,
        version=str(said.version) if said.version else None,
        digest=said.note.digest if said.note else None,
        commit=said.commit,
        actor=said.note.actor if said.note else None,
        sequence=said.counter,
        source="tag",
    )


def _disagreement(
    tags: ModelTags, environment: str, tagged: Assignment | None, entry: DeploymentEntry | None
) -> Iterator[str]:
    """What is to be said where a tag names another version than the ledger; no tag at all says nothing."""
    if tagged is None or (entry and tagged.version and tagged.version.text == entry.version):
        return
    held = f"v{entry.version}" if entry else "nothing"
    said = str(tagged.version) if tagged.version else f"commit {tagged.commit[:10]}"
    yield f"{tags.model}: the tag {tagged.tag} says {said} is in {environment}, the ledger says {held}."


def _versions(
    tags: ModelTags, entries: Sequence[Entry], standings: Sequence[Standing], notes: list[str]
) -> Iterator[VersionView]:
    tagged = {each.version.text: each for each in tags.versions}
    released = {each.version: each for each in releases(entries, tags.model)}
    places: dict[str, list[str]] = {}
    for each in standings:
        places.setdefault(each.version or "", []).append(each.environment)
    for text in sorted({*tagged, *released}, key=lambda text: Version.parse(text).order):
        tag, entry = tagged.get(text), released.get(text)
        if entry:
            notes += _contradiction(entry, tag)
        yield VersionView(
            version=f"v{text}",
            commit=entry.commit if entry else tag.commit if tag else "",
            digest=entry.digest if entry else tag.note.digest if tag and tag.note else None,
            tag=tag.tag if tag else None,
            released=entry.time if entry else None,
            actor=entry.actor if entry else tag.note.actor if tag and tag.note else None,
            withdrawn=tag.withdrawn if tag else None,
            live=tuple(places.get(f"v{text}", ())),
            source="ledger" if entry else "tag",
        )


def _contradiction(entry: ReleaseEntry, tag: VersionTag | None) -> Iterator[str]:
    name = version_tag(entry.model, Version.parse(entry.version))
    if tag is None:
        yield f"{name} was released, but no such tag is to be believed here: fetch it, or somebody removed it."
    elif tag.commit != entry.commit:
        yield f"The tag {name} is at commit {tag.commit[:10]}, but the ledger released commit {entry.commit[:10]}."
    elif tag.note and tag.note.digest != entry.digest:
        yield f"The tag {name} names the bytes {tag.note.digest[:19]}…, but the ledger released {entry.digest[:19]}…."
    elif entry.tag_object and tag.object_sha != entry.tag_object:
        yield f"The tag {name} was made anew since it was released, at the same commit."


def _locks(entries: Sequence[Entry]) -> Iterator[Closed]:
    for environment in dict.fromkeys(each.environment for each in locks(entries)):
        lock = locked(entries, environment)
        if lock:
            yield Closed(environment=environment, actor=lock.actor, reason=lock.reason, since=lock.time)


def _unfinished(entries: Sequence[Entry], environments: Sequence[str]) -> Iterator[Unfinished]:
    for environment in environments:
        for each in unfinished(entries, environment):
            yield Unfinished(
                model=each.model,
                environment=environment,
                version=f"v{each.version}",
                action=each.action,
                actor=each.actor,
                since=each.time,
                sequence=each.sequence,
            )
