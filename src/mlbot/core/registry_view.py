"""What is where: tags and ledger side by side. Where they disagree the ledger decides, and it is said."""

from collections.abc import Iterable, Iterator, Sequence

from mlbot.core.ledger_records import DeploymentEntry, Entry, ReleaseEntry
from mlbot.core.ledger_state import deployments, live, locked, locks, releases, unfinished
from mlbot.core.registry import Assignment, ModelTags, Registry, Version, VersionTag
from mlbot.core.registry_shape import (
    Closed,
    ModelDetail,
    ModelView,
    RegistryView,
    Standing,
    Unfinished,
    VersionView,
)
from mlbot.core.tag import version_tag


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
