"""What is where: tags and ledger side by side. Where they disagree the ledger decides, and it is said."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from mlbot.ledger.entries import Action, DeploymentEntry, Entry, ReleaseEntry, Time
from mlbot.ledger.queries import deployments, live, locked, locks, releases, unfinished
from mlbot.lib.record import Count, Digest, Record, Sha
from mlbot.lib.version import Version
from mlbot.registry.tag import version_tag
from mlbot.registry.versions import Assignment, ModelTags, Quarantined, Registry, VersionTag

# What `mlbot registry` answers, for tables and as JSON. A field may join; none is renamed or taken away.

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

    schema_version: Literal["mlbot/version@1"] = "mlbot/version@1"
    model: str
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


class ModelView(Record):
    """A model."""

    model: str
    latest: str | None = None
    """The highest version that is not withdrawn."""
    deprecated: str | None = None
    """The tag that says so."""
    versions: Count
    """How many there are, withdrawn ones included."""
    environments: tuple[Standing, ...] = ()


class ModelDetail(Record):
    """A model with all of its versions."""

    schema_version: Literal["mlbot/model@1"] = "mlbot/model@1"
    model: str
    latest: str | None = None
    deprecated: str | None = None
    environments: tuple[Standing, ...] = ()
    versions: tuple[VersionView, ...] = ()
    """Oldest first."""
    locks: tuple[Closed, ...] = ()
    """Of all environments."""
    unfinished: tuple[Unfinished, ...] = ()
    notes: tuple[str, ...] = ()
    quarantined: tuple[Quarantined, ...] = ()
    problems: tuple[str, ...] = ()


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
    rows = [(registry.of_model(name), by_model.get(name, [])) for name in names]
    return RegistryView(
        environments=environments,
        models=tuple(_model(tags, said, environments) for tags, said in rows),
        locks=tuple(_locks(entries)),
        unfinished=tuple(_unfinished(entries, environments)),
        notes=tuple(note for tags, said in rows for note in _notes(tags, said, environments)),
        quarantined=registry.quarantined,
        problems=tuple(problems),
    )


def detail(registry: Registry, entries: Sequence[Entry], found: RegistryView, model: ModelView) -> ModelDetail:
    """One model of a view with its versions, and what is to be remarked of it.

    Args:
        registry: the tags.
        entries: of the ledger, at least this model's.
        found: the view.
        model: of it.
    """
    name = model.model
    return ModelDetail(
        model=name,
        latest=model.latest,
        deprecated=model.deprecated,
        environments=model.environments,
        versions=tuple(_versions(registry.of_model(name), _of(entries, name), model.environments)),
        locks=found.locks,
        unfinished=tuple(each for each in found.unfinished if each.model == name),
        notes=tuple(_notes(registry.of_model(name), _of(entries, name), found.environments)),
        quarantined=tuple(each for each in found.quarantined if _is_about(each.tag, name)),
        problems=found.problems,
    )


def _is_about(tag: str, model: str) -> bool:
    return tag.replace("=", ":").startswith((f"{model}@", f"{model}#"))


def _of(entries: Iterable[Entry], model: str) -> list[Entry]:
    return [each for each in entries if isinstance(each, ReleaseEntry | DeploymentEntry) and each.model == model]


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


def _model(tags: ModelTags, entries: Sequence[Entry], environments: Sequence[str]) -> ModelView:
    withdrawn = {each.version.text for each in tags.versions if each.withdrawn}
    known = {each.version.text: each.version for each in tags.versions}
    known |= {each.version: Version.parse(each.version) for each in releases(entries, tags.model)}
    return ModelView(
        model=tags.model,
        latest=str(max(good)) if (good := [known[text] for text in known.keys() - withdrawn]) else None,
        deprecated=tags.deprecated,
        versions=len(known),
        environments=tuple(_standings(tags, entries, environments)),
    )


def _standings(tags: ModelTags, entries: Sequence[Entry], environments: Sequence[str]) -> Iterator[Standing]:
    known = {each.environment for each in deployments(entries)}
    for environment in environments:
        entry, tagged = live(entries, environment, tags.model), tags.current(environment)
        if entry:
            yield standing(entry)
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


def _disagreement(tags: ModelTags, environment: str, entry: DeploymentEntry | None) -> Iterator[str]:
    """What is to be said where a tag names another version than the ledger; no tag at all says nothing."""
    tagged = tags.current(environment)
    if tagged is None or (entry and tagged.version and tagged.version.text == entry.version):
        return
    held = f"v{entry.version}" if entry else "nothing"
    said = str(tagged.version) if tagged.version else f"commit {tagged.commit[:10]}"
    yield f"{tags.model}: the tag {tagged.tag} says {said} is in {environment}, the ledger says {held}."


def _versions(tags: ModelTags, entries: Sequence[Entry], standings: Sequence[Standing]) -> Iterator[VersionView]:
    tagged = {each.version.text: each for each in tags.versions}
    released = {each.version: each for each in releases(entries, tags.model)}
    for text in sorted({*tagged, *released}, key=lambda text: Version.parse(text).order):
        live_in = tuple(each.environment for each in standings if each.version == f"v{text}")
        yield _version(tags.model, text, released.get(text), tagged.get(text), live_in)


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
