"""What the ledger remembers: one record a kind, each filed under what it is looked up by.

Counters order what happened, never clocks: GitHub's numbers of runs and attempts, versions, the sequence of a model's
deployments in an environment and of an environment's locks. `time` is for people.
"""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from mlbot.core.forge import Attempt, Id, RefName, Text
from mlbot.core.outcome import Outcome, Reason
from mlbot.core.record import Count, Digest, Name, Record, Sha
from mlbot.core.training import Environment, Params

Time = Annotated[str, StringConstraints(pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$")]
"""UTC, whole seconds: `2026-11-20T16:00:00Z`. For people; nothing is ordered by it."""

VersionText = Annotated[
    str, StringConstraints(max_length=60, pattern=r"^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)$")
]
"""A version without its `v`: `1.2.0`."""

Actor = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
"""Who did it: a login on GitHub, or on a laptop whom git says the user is. Escaped where it is shown."""

Gate = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
"""`subject` or `subject.bound`; or `deleted`, for a model that is to be gone."""

Sequence = Annotated[int, Field(gt=0)]
"""A counter from 1."""

Schema = Literal["mlbot/ledger@1"]


class StoredFile(Record):
    """One seed's model file and where its bytes are."""

    seed: Count
    digest: Digest
    size_bytes: Count
    run: Id | None = None
    """The run that holds its artifact; None where only a digest is known."""
    artifact: Annotated[str, StringConstraints(max_length=200)] | None = None
    """The artifact's name in that run (`mlbot.core.artifact`)."""


class SeedValues(Record):
    """What one metric came to for each seed, in the order of `files`; None where it has no value."""

    metric: str
    slice: str | None = None
    values: tuple[float | None, ...]


class _OfModel(Record):
    """An entry that is filed under its model."""

    schema_version: Schema = "mlbot/ledger@1"
    model: Name

    @property
    def subject(self) -> Name:
        """What it is filed under."""
        return self.model


class VerdictEntry(_OfModel):
    """The verdict on one model of a commit of the guarded branch."""

    kind: Literal["verdict"] = "verdict"
    key: Digest
    """The content key."""
    digest: Digest | None
    """sha256 of the file that was judged and may ship; None when there was none."""
    holdout: Digest | None
    commit: Sha
    branch: RefName
    outcome: Outcome
    reason: Reason
    provisional: bool = False
    attempt: Attempt
    """The training that was judged."""
    judge: Attempt
    """The run that judged it."""
    files: tuple[StoredFile, ...] = ()
    """One a seed; the first is the one that ships."""
    values: tuple[SeedValues, ...] = ()
    training: Digest | None = None
    """Digest of the stored lineage of the file that ships (`mlbot.core.kept`)."""
    report: Digest | None = None
    """Digest of the stored report on the model."""
    time: Time

    @property
    def shard(self) -> str:
        """Which part of the subject's folder it is in."""
        return shard_of(self.key)

    @property
    def order(self) -> tuple[int, ...]:
        """Sorts older before newer by GitHub's own counting, for clocks can be set."""
        return *self.attempt.order, *self.judge.order


class WaiverEntry(_OfModel):
    """A failed gate that somebody with the right to answered for, on this very content and under these very rules."""

    kind: Literal["waiver"] = "waiver"
    key: Digest
    """The content key it was given for: other content needs its own."""
    policy: Digest
    """Digest of the rules it was given under: it ends when they change."""
    gate: Gate
    reason: Text
    actor: Actor
    pull_request: Id | None = None
    comment: Id | None = None
    commit: Sha
    time: Time

    @property
    def shard(self) -> str:
        """Which part of the subject's folder it is in."""
        return shard_of(self.key)

    @property
    def order(self) -> tuple[int, ...]:
        """By the comment that asked for it; GitHub counts comments up."""
        return (self.comment or 0,)


class ReleaseEntry(_OfModel):
    """A version of a model: which bytes it is, and all that they were made from."""

    kind: Literal["release"] = "release"
    version: VersionText
    commit: Sha
    key: Digest
    digest: Digest
    attempt: Attempt
    """The training that made it."""
    judge: Attempt
    """The run whose verdict lets it be released."""
    tag_object: Sha | None = None
    """The annotated tag that asked for it, so that a moved tag is seen."""
    golden: Digest | None = None
    """Digest of the golden requests kept with it."""
    training: Digest | None = None
    """Digest of the stored `training.json`."""
    data: dict[str, Digest] = Field(default_factory=dict)
    """Digest of each declared data file by its path."""
    params: Params = Field(default_factory=dict)
    seed: Count
    environment: Environment | None = None
    """Where it was trained."""
    actor: Actor
    run: Attempt | None = None
    time: Time

    @property
    def shard(self) -> str:
        """Which part of the subject's folder it is in."""
        return self.version

    @property
    def order(self) -> tuple[int, ...]:
        """By version; of one version what was judged and released first is first."""
        numbers = (int(part) for part in self.version.split("."))
        return *numbers, *self.attempt.order, *self.judge.order, *_order(self.run)


Action = Literal["promotion", "rollback"]
DeploymentState = Literal["started", "failed", "succeeded", "rolled-back"]
_STATES: tuple[DeploymentState, ...] = ("started", "failed", "succeeded", "rolled-back")
"""Where one deployment's entries contradict each other, the later in this row is believed."""


class DeploymentEntry(_OfModel):
    """One step of a version into an environment, or of the version before back into it."""

    kind: Literal["deployment"] = "deployment"
    id: Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9._:/@#-]+$")]
    """Follows from model, environment and sequence: a second run of the same deployment has the same."""
    sequence: Sequence
    """Counts a model's deployments in an environment."""
    version: VersionText
    digest: Digest
    environment: Name
    action: Action
    state: DeploymentState
    previous: VersionText | None = None
    """The version that was live before."""
    actor: Actor
    reason: Text = ""
    run: Attempt | None = None
    detail: Text = ""
    """What came of it: the smoke test's findings, or what failed."""
    time: Time

    @property
    def shard(self) -> str:
        """Which part of the subject's folder it is in."""
        return self.environment

    @property
    def order(self) -> tuple[int, ...]:
        """By the counter, then by how far it had come."""
        return self.sequence, _STATES.index(self.state), *_order(self.run)


class ApprovalEntry(_OfModel):
    """Somebody's word that these very bytes may enter an environment."""

    kind: Literal["approval"] = "approval"
    version: VersionText
    digest: Digest
    environment: Name
    actor: Actor
    comment: Id | None = None
    run: Attempt | None = None
    time: Time

    @property
    def shard(self) -> str:
        """Which part of the subject's folder it is in."""
        return self.environment

    @property
    def order(self) -> tuple[int, ...]:
        """By the comment that said it; GitHub counts comments up."""
        return self.comment or 0, *_order(self.run)


class LockEntry(Record):
    """An environment that people closed to changes, or opened again."""

    schema_version: Schema = "mlbot/ledger@1"
    kind: Literal["lock"] = "lock"
    environment: Name
    locked: bool
    sequence: Sequence
    """Counts an environment's locks and unlocks."""
    actor: Actor
    reason: Text = ""
    run: Attempt | None = None
    time: Time

    @property
    def subject(self) -> Name:
        """What it is filed under."""
        return self.environment

    @property
    def shard(self) -> str:
        """Which part of the subject's folder it is in: there are too few of them for parts."""
        return ""

    @property
    def order(self) -> tuple[int, ...]:
        """By the counter; where two have the same, the lock is believed."""
        return self.sequence, int(self.locked), *_order(self.run)


Entry = Annotated[
    VerdictEntry | WaiverEntry | ReleaseEntry | DeploymentEntry | ApprovalEntry | LockEntry,
    Field(discriminator="kind"),
]
"""The closed union of all kinds."""

Kind = Literal["verdict", "waiver", "release", "deployment", "approval", "lock"]
KINDS: tuple[Kind, ...] = ("verdict", "waiver", "release", "deployment", "approval", "lock")
LATER: frozenset[str] = frozenset({"training", "report"})
"""Fields that verdicts got when ledgers were in use already. Left out of the JSON where they are None, so that what was
written before is still what would be written now; a field that joins a kind later joins this set too."""
KEYED: frozenset[Kind] = frozenset({"verdict", "waiver"})
"""The kinds whose shard is that of a content key."""


def shard_of(digest: Digest) -> str:
    """Two hexadecimal digits of a digest."""
    return digest.removeprefix("sha256:")[:2]


def _order(run: Attempt | None) -> tuple[int, int]:
    return run.order if run else (0, 0)
