"""What the tags of a repository say together: versions and environments, folded without a clock.

GTO orders by the tagger's clock, so a tag dated in the future wins for ever. Here versions order themselves and
environments go by their counter. A tag that cannot be believed is put aside with its reason, and no other suffers.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from mlbot.core.record import Sha
from mlbot.core.registry_tags import Assignment, ModelTags, Quarantined, Taken, VersionTag
from mlbot.core.tag import (
    Bump,
    RegistryTag,
    TagNote,
    TagRef,
    Version,
    agrees,
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Registry:
    """All models of a repository's tags.

    Attributes:
        models: by their names, in the order of the alphabet.
        quarantined: what is not believed, by the tags' names.
        taken: what the tags of each model have used up, whatever became of them.
    """

    models: Mapping[str, ModelTags]
    quarantined: tuple[Quarantined, ...] = ()
    taken: Mapping[str, Taken]

    @classmethod
    def of(cls, tags: Iterable[TagRef]) -> "Registry":
        """Fold tags, in whatever order they come."""
        aside: list[Quarantined] = []
        named: dict[str, list[RegistryTag]] = defaultdict(list)
        sound: dict[str, list[_Tag]] = defaultdict(list)
        for ref in tags:
            says = parse_tag(ref.name)
            if isinstance(says, RegistryTag):
                named[says.model].append(says)
            found = _sound(ref, says) if isinstance(says, RegistryTag) else says
            if isinstance(found, str):
                aside.append(Quarantined(tag=ref.name, reason=found))
            elif found:
                sound[found.says.model].append(found)
        models = {model: _fold(model, sound[model], aside) for model in sorted(sound)}
        return cls(
            models={name: model for name, model in models.items() if model != ModelTags(model=name)},
            quarantined=tuple(sorted(aside, key=lambda each: each.tag)),
            taken={model: _taken(named[model]) for model in sorted(named)},
        )

    def of_model(self, model: str) -> ModelTags:
        """What the tags say of a model; nothing at all is a possible answer."""
        return self.models.get(model) or ModelTags(model=model)

    def next_version(
        self, model: str, part: Bump, *, recorded: Iterable[Version] = (), first: Version | None = None
    ) -> Version:
        """The version after the highest, withdrawn and quarantined ones included: a version is never given twice.

        Args:
            model: its name.
            part: what to count up.
            recorded: versions in the ledger, whose tags may be gone.
            first: of a model that has none yet; None: counted up from v0.0.0.
        """
        numbers = [each.order for each in recorded]
        taken = self.taken.get(model, Taken()).numbers
        if taken is not None:
            numbers.append(taken)
        if first is not None and not numbers:
            return first
        return Version.of(max(numbers, default=(0, 0, 0))).bump(part)

    def next_counter(self, model: str) -> int:
        """The next counter of a model's tags: GTO counts over all of its environments, and so does this."""
        return self.taken.get(model, Taken()).counter + 1


class _Tag(NamedTuple):
    """A sound tag of the registry."""

    ref: TagRef
    says: RegistryTag
    commit: Sha

    @property
    def order(self) -> tuple[int, bool]:
        """By counter; of two without one, the tag that takes back is the later."""
        return self.says.counter, self.says.cancels


def _taken(said: Sequence[RegistryTag]) -> Taken:
    numbers = max((each.numbers for each in said if each.numbers), default=None)
    return Taken(numbers=numbers, counter=max(each.counter for each in said))


def _sound(ref: TagRef, says: RegistryTag) -> _Tag | str:
    if not ref.annotated:
        return "it is lightweight, so it does not say who made it; make it with git tag --annotate"
    if ref.commit_sha is None:
        return "it points to no commit"
    if not agrees(ref.message, ref.commit_sha, says.numbers):
        note = read_note(ref.message)
        if note and note.commit != ref.commit_sha:
            return f"it is at commit {ref.commit_sha[:10]}, but was made for {note.commit[:10]}"
        if note and says.numbers:
            return f"it names {Version.of(says.numbers)}, but was made for v{note.version}"
    return _Tag(ref, says, ref.commit_sha)


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
        groups[tag.says.numbers or (0, 0, 0)].append(tag)
    found = (_version(numbers, groups[numbers], aside) for numbers in sorted(groups))
    return tuple(each for each in found if each)


def _version(numbers: tuple[int, int, int], tags: list[_Tag], aside: list[Quarantined]) -> VersionTag | None:
    """One version from all tags that name it: the first holds, and those at another commit do not."""
    said = sorted(tags, key=lambda tag: tag.order)
    first = next((tag for tag in said if not tag.says.cancels), None)
    if first is None:
        aside += (Quarantined(tag=tag.ref.name, reason="it withdraws a version that is not there") for tag in said)
        return None
    reason = f"{first.ref.name} is at another commit, and a version never moves"
    aside += (Quarantined(tag=tag.ref.name, reason=reason) for tag in said if tag.commit != first.commit)
    last = [tag for tag in said if tag.commit == first.commit][-1]
    return VersionTag(
        version=Version.of(numbers),
        tag=first.ref.name,
        commit=first.commit,
        object_sha=first.ref.object_sha,
        message=first.ref.message,
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
                message=tag.ref.message,
            )


def _version_of(tag: _Tag, there: Sequence[Version]) -> Version | str | None:
    """Which version a stage's tag means: the one at its commit; of several the one that its note names."""
    if len(there) == 1 and agrees(tag.ref.message, tag.commit, there[0].order):
        return there[0]
    note = read_note(tag.ref.message)
    if note:
        named = next((version for version in there if version.text == note.version), None)
        return named or f"it was made for v{note.version}, which is not at its commit"
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
