"""The grammar of registry tags, which is GTO's, and the note in the tags that mlbot makes.

| tag | says |
|---|---|
| `model@v1.2.0` | this commit is version 1.2.0 of the model |
| `model@v1.2.0-rc.1` | it is a pre-release of version 1.2.0 |
| `model@v1.2.0!` | that version is withdrawn |
| `model#production#4` | the version at this commit is in production; of several the highest counter holds |
| `model#production!#5` | none is in production any more |
| `model@deprecated` | the model is not to be used any more |
| `folder=model@v1.2.0` | any of these for the model of a folder of a monorepo |

Source: iterative/gto 1.10, `gto/constants.py` and `gto/tag.py`. Three differences: names as mlbot.yaml allows them are
taken too (GTO passes over those with a dot, or with a `-` or `_` at the end); so are lightweight tags of versions,
which GitHub's own page makes; build metadata is not.

What the tags say together is folded without a clock. GTO orders by the tagger's clock, so a tag dated in the future
wins for ever. Here versions order themselves and environments go by their counter. A tag that cannot be believed is put
aside with its reason, and no other suffers.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from pydantic import ValidationError

from mlbot.events.github import Attempt
from mlbot.ledger.entries import Actor, DeploymentEntry, ReleaseEntry
from mlbot.lib.record import Digest, Name, Record, Sha, canonical
from mlbot.lib.tree import TagRef
from mlbot.lib.version import (
    MOST_CHARACTERS,
    MOST_DIGITS,
    NUMBER,
    PRE,
    Bump,
    Served,
    Version,
    is_short,
    order_of,
    text_of,
)

TagKind = Literal["version", "stage", "deprecation"]

_NAME = "[A-Za-z0-9](?:[A-Za-z0-9/_-]*[A-Za-z0-9])?"

_MODEL = f"(?:{_NAME}|[A-Za-z0-9][A-Za-z0-9._-]{{0,62}})"

_TAG = re.compile(
    rf"(?P<folder>[A-Za-z0-9._/-]+=)?(?P<model>{_MODEL})"
    rf"(?:(?:\#(?P<stage>{_MODEL})|@v(?P<version>{NUMBER}\.{NUMBER}\.{NUMBER})(?:-(?P<pre>{PRE}))?(?P<more>[-+][0-9A-Za-z.+-]+)?)"
    r"(?P<cancel>!)?|@(?P<deprecated>deprecated))(?:\#(?P<counter>[0-9]+))?"
)

_LONGEST_NOTE = 8192


class RegistryTag(NamedTuple):
    """What a tag's name says."""

    kind: TagKind
    model: str  # the model's name; of a monorepo's folder `folder:model`, as GTO shows it
    numbers: tuple[int, int, int] | None = None  # the version's
    pre: str = ""  # what makes the version a pre-release
    stage: str | None = None  # the environment
    cancels: bool = False  # whether it takes back what the tag without its `!` said
    counter: int = 0  # 0 for a tag that has none

    @property
    def version(self) -> str:
        """The version's text without its `v`; empty for a tag of none."""
        return text_of(self.numbers, self.pre) if self.numbers else ""

    @property
    def age(self) -> tuple[Any, ...]:
        """Sorts older versions before newer ones."""
        return order_of(self.numbers or (0, 0, 0), self.pre)


class TagNote(Served):
    """What mlbot writes into its own tags beside a sentence for people."""

    schema_version: Literal["mlbot/tag@1"] = "mlbot/tag@1"
    commit: Sha
    key: Digest | None = None  # the content key
    attempt: Attempt | None = None  # the training that made the file
    judge: Attempt | None = None  # the run that judged it
    actor: Actor
    run: Attempt | None = None  # the run that made the tag; None on a laptop

    @classmethod
    def of(cls, release: ReleaseEntry, by: ReleaseEntry | DeploymentEntry) -> "TagNote":
        """The note on a version, in the tag that a release or a deployment makes."""
        shared = {name: getattr(release, name) for name in ("version", "commit", "digest", "key", "attempt", "judge")}
        return cls(**shared, actor=by.actor, run=by.run)


def parse_tag(name: str) -> RegistryTag | str | None:
    """What a tag's name says; why it says nothing that counts; None for a tag that is none of the registry's.

    Tags without `@` and `#` belong to other tools.
    """
    if "@" not in name and "#" not in name:
        return None
    found = _TAG.fullmatch(name) if len(name) <= MOST_CHARACTERS else None
    if found is None:
        return "its name is not of the form model@v1.2.0, model#environment#1 or model@deprecated"
    folder, model, stage, version, pre, more, cancel, _, counter = found.groups()
    numbers = version.split(".") if version else []
    if len(counter or "") > MOST_DIGITS or (numbers and not is_short(*numbers, pre=pre or "")):
        return "a number in its name has too many digits"
    if more:
        return "build numbers are not versions here, nor is a pre-release that semver does not allow"
    if counter and counter.startswith("0"):
        return "its counter has a zero in front, which would make two tags of one"
    return RegistryTag(
        kind="version" if version else "stage" if stage else "deprecation",
        model=folder.replace("=", ":") + model if folder else model,
        numbers=(int(numbers[0]), int(numbers[1]), int(numbers[2])) if numbers else None,
        pre=pre or "",
        stage=stage,
        cancels=cancel is not None,
        counter=int(counter or 0),
    )


def version_tag(model: Name, version: Version, folder: str | None = None) -> str:
    """`model@v1.2.0`, or for a folder of a monorepo `folder=model@v1.2.0`."""
    return f"{_full(model, folder)}@{version}"


def stage_tag(model: Name, environment: Name, counter: int, folder: str | None = None) -> str:
    """`model#production#4`: the version at the tagged commit is in that environment."""
    return f"{_full(model, folder)}#{environment}#{counter}"


def tag_message(sentence: str, note: TagNote) -> str:
    """The message of a tag of mlbot's own: a sentence, then the note in its only JSON form."""
    return f"{sentence}\n\n{_canonical(note)}\n"


def agrees(message: str | None, commit: Sha, version: str) -> bool:
    """Whether a note in this message can name no other commit and version: told at a glance, without reading it.

    Quotes within a value are escaped, so what is looked for can only be a field; and a note in the canonical form has
    each field once.
    """
    last = (message or "").rstrip().rpartition("\n")[2]
    if not last.startswith("{"):
        return True
    named = f'"version":"{version}"' if version else ""
    return f'"commit":"{commit}"' in last and named in last


def read_note(message: str | None) -> TagNote | None:
    """The note in a tag's message; None where there is none in the canonical form: people may write what they like.

    Equal text cannot hold a key twice or a number that is none, so whoever reads the note sees the same.
    """
    last = (message or "").rstrip().rpartition("\n")[2]
    if not last.startswith("{") or len(last) > _LONGEST_NOTE:
        return None
    try:
        note = TagNote.model_validate_json(last, strict=True)
    except ValidationError:
        return None
    return note if _canonical(note) == last else None


def _canonical(note: TagNote) -> str:
    return canonical(note.model_dump(mode="json"))


def _full(model: Name, folder: str | None) -> str:
    return f"{folder}={model}" if folder else model


# What the tags of one model come to. No `Record`s: a repository has tens of thousands, and all are made here.


@dataclass(frozen=True, kw_only=True, slots=True)
class VersionTag:
    """A version of a model by its tag; `withdrawn` is the tag that took it back."""

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
    """A version put into an environment, or the environment emptied, by a tag."""

    environment: str
    counter: int  # orders a model's assignments; 0 for a tag without one
    tag: str
    commit: Sha
    version: Version | None  # None when it empties the environment, or no version is at its commit
    empties: bool = False
    message: str | None = field(default=None, repr=False)

    @property
    def note(self) -> TagNote | None:
        """What mlbot wrote into it; None in a tag that a person made."""
        return read_note(self.message)


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelTags:
    """All that the tags say of one model."""

    model: str  # its name; of a monorepo's folder `folder:model`
    versions: tuple[VersionTag, ...] = ()  # oldest first
    assignments: tuple[Assignment, ...] = ()  # by environment, then by counter
    deprecated: str | None = None  # the tag that says so

    @property
    def latest(self) -> VersionTag | None:
        """The highest version that is not withdrawn; a pre-release only where there is no other."""
        good = [each for each in reversed(self.versions) if each.withdrawn is None]
        return next((each for each in good if not each.version.pre), good[0] if good else None)

    @property
    def environments(self) -> tuple[str, ...]:
        """Every environment it was ever in, in the order of the alphabet."""
        return tuple(dict.fromkeys(each.environment for each in self.assignments))

    def find(self, version: Version) -> VersionTag | None:
        """A version's tag, withdrawn or not."""
        return next((each for each in self.versions if each.version == version), None)

    def current(self, environment: str) -> Assignment | None:
        """The last word on an environment; None before the first and when that word is that it is empty."""
        there = [each for each in self.assignments if each.environment == environment]
        return there[-1] if there and not there[-1].empties else None


class Quarantined(Record):
    """A tag that is not believed."""

    tag: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """Numbers of a model that are in a tag's name, so that no other tag can have them."""

    version: Version | None = None  # the highest; None before the first
    counter: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Registry:
    """All models of a repository's tags."""

    models: Mapping[str, ModelTags]
    quarantined: tuple[Quarantined, ...] = ()  # what is not believed, by the tags' names
    taken: Mapping[str, Taken]  # what the tags of each model have used up, whatever became of them

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
        taken = self.taken.get(model, Taken()).version
        known = [*recorded, *([taken] if taken else [])]
        if first is not None and not known:
            return first
        return max(known, key=lambda each: each.order, default=Version.of((0, 0, 0))).bump(part)

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


def _taken(tags: Sequence[RegistryTag]) -> Taken:
    last = max((each for each in tags if each.numbers), key=lambda each: each.age, default=None)
    version = Version.of(last.numbers, last.pre) if last and last.numbers else None
    return Taken(version=version, counter=max(each.counter for each in tags))


def _sound(ref: TagRef, says: RegistryTag) -> _Tag | str:
    # GitHub's own page makes lightweight tags of versions: who released one is in the ledger, and it decides.
    if not ref.annotated and (says.kind != "version" or says.cancels):
        return "it is lightweight, so it does not say who made it; make it with git tag --annotate"
    if ref.commit_sha is None:
        return "it points to no commit"
    if not agrees(ref.message, ref.commit_sha, says.version):
        note = read_note(ref.message)
        if note and note.commit != ref.commit_sha:
            return f"it is at commit {ref.commit_sha[:10]}, but was made for {note.commit[:10]}"
        if note and says.numbers:
            return f"it names v{says.version}, but was made for v{note.version}"
    return _Tag(ref, says, ref.commit_sha)


def _fold(model: str, tags: Sequence[_Tag], aside: list[Quarantined]) -> ModelTags:
    versions = _versions([tag for tag in tags if tag.says.kind == "version"], aside)
    at = _by_commit(versions)
    stages = [tag for tag in tags if tag.says.kind == "stage"]
    return ModelTags(
        model=model, versions=versions, assignments=tuple(_assignments(stages, at, aside)), deprecated=_deprecated(tags)
    )


def _versions(tags: Iterable[_Tag], aside: list[Quarantined]) -> tuple[VersionTag, ...]:
    groups: dict[tuple[Any, ...], list[_Tag]] = defaultdict(list)
    for tag in tags:
        groups[tag.says.age].append(tag)
    found = (_version(groups[age], aside) for age in sorted(groups))
    return tuple(each for each in found if each)


def _version(tags: list[_Tag], aside: list[Quarantined]) -> VersionTag | None:
    """One version from all tags that name it: the first holds, and those at another commit do not."""
    ordered = sorted(tags, key=lambda tag: tag.order)
    first = next((tag for tag in ordered if not tag.says.cancels), None)
    if first is None:
        aside += (Quarantined(tag=tag.ref.name, reason="it withdraws a version that is not there") for tag in ordered)
        return None
    reason = f"{first.ref.name} is at another commit, and a version never moves"
    aside += (Quarantined(tag=tag.ref.name, reason=reason) for tag in ordered if tag.commit != first.commit)
    last = [tag for tag in ordered if tag.commit == first.commit][-1]
    return VersionTag(
        version=Version.of(first.says.numbers or (0, 0, 0), first.says.pre),
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
    if len(there) == 1 and agrees(tag.ref.message, tag.commit, there[0].text):
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
    mine = [tag for tag in tags if tag.says.kind == "deprecation"]
    if not mine:
        return None
    highest = max(tag.says.counter for tag in tags)
    holds = [tag for tag in mine if tag.says.counter in {0, highest}]
    return min(holds, key=lambda tag: tag.says.counter).ref.name if holds else None
