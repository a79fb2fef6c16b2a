"""What the tags of a repository say together: versions and environments, folded without a clock.

GTO orders by the tagger's clock, so a tag dated in the future wins for ever. Here versions order themselves and
environments go by their counter. A tag that cannot be believed is put aside with its reason, and no other suffers.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from mlbot.core.record import Record, Sha
from mlbot.core.tag import (
    Bump,
    RegistryTag,
    TagNote,
    TagRef,
    Version,
    deprecation_tag,
    parse_tag,
    read_note,
    stage_tag,
    tag_message,
    unstage_tag,
    version_tag,
)

__all__ = [
    "Assignment",
    "Bump",
    "ModelTags",
    "Quarantined",
    "Registry",
    "TagNote",
    "TagRef",
    "Version",
    "VersionTag",
    "deprecation_tag",
    "parse_tag",
    "read_note",
    "stage_tag",
    "tag_message",
    "unstage_tag",
    "version_tag",
]


class VersionTag(Record):
    """A version of a model by its tag."""

    version: Version
    tag: str
    commit: Sha
    object_sha: Sha
    note: TagNote | None = None
    """None in a tag that a person made."""
    withdrawn: str | None = None
    """The tag that took it back."""


class Assignment(Record):
    """A version put into an environment, or the environment emptied, by a tag."""

    environment: str
    counter: int
    tag: str
    commit: Sha
    version: Version | None
    """None when it empties the environment, or no version is at its commit."""
    empties: bool = False
    note: TagNote | None = None


class ModelTags(Record):
    """All that the tags say of one model."""

    model: str
    versions: tuple[VersionTag, ...] = ()
    """Oldest first."""
    assignments: tuple[Assignment, ...] = ()
    """By environment, then by counter."""
    deprecated: str | None = None
    """The tag that says so."""

    @property
    def latest(self) -> VersionTag | None:
        """The highest version that is not withdrawn."""
        return next((each for each in reversed(self.versions) if each.withdrawn is None), None)

    @property
    def environments(self) -> tuple[str, ...]:
        """Every environment it was ever in, in the order of the alphabet."""
        return tuple(dict.fromkeys(each.environment for each in self.assignments))

    def find(self, version: Version) -> VersionTag | None:
        """A version's tag, withdrawn or not."""
        return next((each for each in self.versions if each.version == version), None)

    def current(self, environment: str) -> Assignment | None:
        """The last word on an environment; None before the first and when that word is that it is empty."""
        said = [each for each in self.assignments if each.environment == environment]
        return said[-1] if said and not said[-1].empties else None


class Quarantined(Record):
    """A tag that is not believed."""

    tag: str
    reason: str


class Taken(Record):
    """Numbers of a model that are in a tag's name, so that no other tag can have them."""

    version: Version = Version(major=0, minor=0, patch=0)
    """The highest."""
    counter: int = 0
    """The highest."""

    def and_also(self, says: RegistryTag) -> "Taken":
        """This and what one more tag uses up."""
        return Taken(version=max(self.version, says.version or self.version), counter=max(self.counter, says.counter))


class Registry(Record):
    """All models of a repository's tags."""

    models: dict[str, ModelTags]
    """In the order of their names."""
    quarantined: tuple[Quarantined, ...] = ()
    taken: dict[str, Taken]
    """What the tags of each model have used up, whatever became of them."""

    @classmethod
    def of(cls, tags: Iterable[TagRef]) -> "Registry":
        """Fold tags, in whatever order they come."""
        aside: list[Quarantined] = []
        by_model: dict[str, list[_Tag]] = defaultdict(list)
        taken: dict[str, Taken] = defaultdict(Taken)
        for ref in tags:
            says = parse_tag(ref.name)
            if isinstance(says, RegistryTag):
                taken[says.model] = taken[says.model].and_also(says)
            found = _sound(ref, says) if isinstance(says, RegistryTag) else says
            if isinstance(found, str):
                aside.append(Quarantined(tag=ref.name, reason=found))
            elif found:
                by_model[found.says.model].append(found)
        models = {model: _fold(model, by_model[model], aside) for model in sorted(by_model)}
        return cls(
            models={name: model for name, model in models.items() if model != ModelTags(model=name)},
            quarantined=tuple(sorted(aside, key=lambda each: each.tag)),
            taken=dict(sorted(taken.items())),
        )

    def of_model(self, model: str) -> ModelTags:
        """What the tags say of a model; nothing at all is a possible answer."""
        return self.models.get(model) or ModelTags(model=model)

    def next_version(self, model: str, part: Bump) -> Version:
        """The version after the highest, withdrawn ones included: a version is never given twice."""
        return self.taken.get(model, Taken()).version.bump(part)

    def next_counter(self, model: str) -> int:
        """The next counter of a model's tags: GTO counts over all of its environments, and so does this."""
        return self.taken.get(model, Taken()).counter + 1


@dataclass(frozen=True, kw_only=True, slots=True)
class _Tag:
    """A sound tag of the registry."""

    ref: TagRef
    says: RegistryTag
    commit: Sha
    note: TagNote | None

    @property
    def order(self) -> tuple[int, bool]:
        """By counter; of two without one, the tag that takes back is the later."""
        return self.says.counter, self.says.cancels


def _sound(ref: TagRef, says: RegistryTag) -> _Tag | str:
    if not ref.annotated:
        return "it is lightweight, so it does not say who made it; make it with git tag --annotate"
    if ref.commit_sha is None:
        return "it points to no commit"
    note = read_note(ref.message)
    if note and note.commit != ref.commit_sha:
        return f"it is at commit {ref.commit_sha[:10]}, but was made for {note.commit[:10]}"
    if note and says.version and note.version != says.version.text:
        return f"it names {says.version}, but was made for v{note.version}"
    return _Tag(ref=ref, says=says, commit=ref.commit_sha, note=note)


def _fold(model: str, tags: Sequence[_Tag], aside: list[Quarantined]) -> ModelTags:
    versions = _versions([tag for tag in tags if tag.says.kind == "version"], aside)
    at = _by_commit(versions)
    stages = [tag for tag in tags if tag.says.kind == "stage"]
    return ModelTags(
        model=model,
        versions=versions,
        assignments=tuple(_assignments(stages, at, aside)),
        deprecated=_deprecated(tags),
    )


def _versions(tags: Iterable[_Tag], aside: list[Quarantined]) -> tuple[VersionTag, ...]:
    groups: dict[tuple[int, int, int], list[_Tag]] = defaultdict(list)
    for tag in tags:
        if tag.says.version:
            groups[tag.says.version.order].append(tag)
    found = (_version(groups[order], aside) for order in sorted(groups))
    return tuple(each for each in found if each)


def _version(tags: list[_Tag], aside: list[Quarantined]) -> VersionTag | None:
    """One version from all tags that name it: the first holds, and those at another commit do not."""
    said = sorted(tags, key=lambda tag: tag.order)
    made = [tag for tag in said if not tag.says.cancels]
    if not made:
        aside += (Quarantined(tag=tag.ref.name, reason="it withdraws a version that is not there") for tag in said)
        return None
    first = made[0]
    reason = f"{first.ref.name} is at another commit, and a version never moves"
    aside += (Quarantined(tag=tag.ref.name, reason=reason) for tag in said if tag.commit != first.commit)
    last = [tag for tag in said if tag.commit == first.commit][-1]
    return VersionTag(
        version=first.says.version or Version.parse("0.0.0"),
        tag=first.ref.name,
        commit=first.commit,
        object_sha=first.ref.object_sha,
        note=first.note,
        withdrawn=last.ref.name if last.says.cancels else None,
    )


def _by_commit(versions: Iterable[VersionTag]) -> Mapping[Sha, Sequence[Version]]:
    found: dict[Sha, list[Version]] = defaultdict(list)
    for each in versions:
        found[each.commit].append(each.version)
    return found


def _assignments(
    tags: Iterable[_Tag], at: Mapping[Sha, Sequence[Version]], aside: list[Quarantined]
) -> Iterator[Assignment]:
    places: dict[tuple[str, int], list[_Tag]] = defaultdict(list)
    for tag in tags:
        places[tag.says.stage or "", tag.says.counter].append(tag)
    for (environment, counter), rivals in sorted(places.items()):
        if len(rivals) > 1 and counter:
            reason = f"two tags have the counter {counter} of {environment}, and contradict each other"
            aside += (Quarantined(tag=tag.ref.name, reason=reason) for tag in rivals)
            continue
        for tag in sorted(rivals, key=lambda tag: tag.order):
            version = _version_of(tag, at.get(tag.commit, ()))
            if isinstance(version, str):
                aside.append(Quarantined(tag=tag.ref.name, reason=version))
                continue
            yield Assignment(
                environment=environment,
                counter=counter,
                tag=tag.ref.name,
                commit=tag.commit,
                version=None if tag.says.cancels else version,
                empties=tag.says.cancels,
                note=tag.note,
            )


def _version_of(tag: _Tag, there: Sequence[Version]) -> Version | str | None:
    """Which version a stage's tag means: the one at its commit; of several the one that its note names."""
    if tag.note:
        named = next((version for version in there if version.text == tag.note.version), None)
        return named or f"it was made for v{tag.note.version}, which is not at its commit"
    if len(there) > 1:
        return f"{' and '.join(map(str, there[:3]))} are at its commit, and it does not say which is meant"
    return there[0] if there else None


def _deprecated(tags: Sequence[_Tag]) -> str | None:
    """The tag that deprecates a model; one with a counter holds until a tag with a higher one."""
    said = [tag for tag in tags if tag.says.kind == "deprecation"]
    if not said:
        return None
    highest = max(tag.says.counter for tag in tags)
    holds = [tag for tag in said if tag.says.counter in {0, highest}]
    return min(holds, key=lambda tag: tag.says.counter).ref.name if holds else None
