"""What the tags of a repository say together: versions and environments, folded without a clock.

GTO orders by the tagger's clock, so a tag dated in the future wins for ever. Here versions order themselves and
environments go by their counter. A tag that cannot be believed is put aside with its reason, and no other suffers.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from mlbot.lib.record import Record, Sha
from mlbot.lib.tree import TagRef
from mlbot.lib.version import Bump, Version
from mlbot.registry.tag import RegistryTag, TagNote, agrees, parse_tag, read_note

# What the tags of one model come to. No `Record`s: a repository has tens of thousands, and all are made here.


@dataclass(frozen=True, kw_only=True, slots=True)
class VersionTag:
    """A version of a model by its tag.

    Attributes:
        version: which.
        tag: its name.
        commit: what it stands for.
        object_sha: the tag object.
        message: of the tag object.
        withdrawn: the tag that took it back.
    """

    version: Version
    tag: str
    commit: Sha
    object_sha: Sha
    message: str | None = field(default=None, repr=False)
    withdrawn: str | None = None

    @property
    def note(self) -> TagNote | None:
        """What mlbot wrote into it; None in a tag that a person made."""
        return read_note(self.message)


@dataclass(frozen=True, kw_only=True, slots=True)
class Assignment:
    """A version put into an environment, or the environment emptied, by a tag.

    Attributes:
        environment: which.
        counter: orders a model's assignments; 0 for a tag without one.
        tag: its name.
        commit: what it stands for.
        version: None when it empties the environment, or no version is at its commit.
        empties: whether it takes away what is there.
        message: of the tag object.
    """

    environment: str
    counter: int
    tag: str
    commit: Sha
    version: Version | None
    empties: bool = False
    message: str | None = field(default=None, repr=False)

    @property
    def note(self) -> TagNote | None:
        """What mlbot wrote into it; None in a tag that a person made."""
        return read_note(self.message)


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelTags:
    """All that the tags say of one model.

    Attributes:
        model: its name; of a monorepo's folder `folder:model`.
        versions: oldest first.
        assignments: by environment, then by counter.
        deprecated: the tag that says so.
    """

    model: str
    versions: tuple[VersionTag, ...] = ()
    assignments: tuple[Assignment, ...] = ()
    deprecated: str | None = None

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


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """Numbers of a model that are in a tag's name, so that no other tag can have them.

    Attributes:
        numbers: of the highest version; None before the first.
        counter: the highest.
    """

    numbers: tuple[int, int, int] | None = None
    counter: int = 0


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
