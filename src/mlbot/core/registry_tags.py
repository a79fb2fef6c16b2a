"""What the tags of one model come to. No `Record`s: a repository has tens of thousands, and all are made here."""

from dataclasses import dataclass, field

from mlbot.core.record import Record, Sha
from mlbot.core.tag import TagNote, Version, read_note


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
