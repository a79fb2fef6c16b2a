"""The ledger's entries: what happened on the guarded branch, one small file each, never changed again.

    v1/<kind>/<subject>/<shard>/<id>.json

`subject` is what is looked for (the model; of a lock the environment), `shard` what is looked up within it (two
hexadecimal digits of a content key, a version, an environment; locks have none), `id` the digest of all that identifies
the entry. So one model is one folder, one key of it is one shard of some eighty files at 20,000 entries, and a retry
names the same file and adds nothing.
"""

import hashlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, TypeAdapter, ValidationError

from mlbot.data.sketch import Counts, Profile, Sketch
from mlbot.events.github import Attempt, Id, RefName, RunnerTime, Text
from mlbot.gates.metric import Bound
from mlbot.gates.outcome import Outcome, Reason
from mlbot.lib.record import Count, Digest, FileDigest, Name, Params, Record, Seconds, Sha, document
from mlbot.lib.untrusted_json import HostileJsonError, load
from mlbot.lib.version import Served, Version, VersionText


class Environment(Record):
    """Where a model was trained."""

    lock: Digest | None = None  # digest of the environment lock file, if the repository has one
    python: str
    platform: str
    packages: Digest  # digest of the names and versions of all installed packages


class Origin(Record):
    """Where a model is from that was made elsewhere, and what it is bound to there."""

    url: str
    pin: str


Time = Annotated[str, StringConstraints(pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$")]
"""UTC, whole seconds: `2026-11-20T16:00:00Z`. For people; nothing is ordered by it."""


def time_of(moment: datetime) -> Time:
    """A moment as the ledger writes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


Actor = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
"""Who did it: a login on GitHub, or on a laptop whom git says the user is. Escaped where it is shown."""

Gate = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
"""`subject` or `subject.bound`; or `deleted`, for a model that is to be gone."""

Sequence = Annotated[int, Field(gt=0)]

Schema = Literal["mlbot/ledger@1", "mlbot/ledger@2"]

_NEWEST = 2  # the version of the schema, of those that this mlbot knows


class Source(StrEnum):
    """Whose model a candidate is compared with, and why not the tip's. A closed list."""

    TIP = "tip"  # the tip's model, judged
    UNJUDGED = "tip-unjudged"  # the tip's model, trained now; and the last usable one, if there is any
    FAILED = "tip-failed"  # the last usable one, for the tip's failed
    BROKEN = "tip-broken"  # the last usable one, for the tip's could not be trained or evaluated
    BEFORE = "before"  # of a push: the last usable one before it
    RESTORED = "restored"  # the candidate is the last usable one
    # there is none
    NEW = "new"  # the guarded branch has no such model yet
    NEVER = "never"  # the branch has the model, and it was never usable
    LOST = "lost"  # the branch had the model before this push, and the ledger knows nothing of it


class Compared(Record):
    """What a verdict compares the candidate with."""

    source: Source
    commit: Sha | None = None  # of the guarded branch: whose model it is
    key: Digest | None = None
    digest: Digest | None = None  # of the file that shipped
    judged: Time | None = None


class Since(StrEnum):
    """Why a model is a gate's anchor. A closed list."""

    FIRST = "first"  # the baseline of the first verdict that asked
    BETTER = "better"  # than the anchor before it, beyond noise
    RELEASED = "released"
    WAIVED = "waived"  # somebody with the right to answered for what it loses
    LOST = "lost"  # the anchor before it could not be had or asked any more, so that the baseline is it


class AnchorModel(Record):
    """The earlier model of the guarded branch that a gate holds candidates up against, besides the baseline."""

    since: Since
    version: VersionText | None = None  # it was released as
    commit: Sha | None = None
    key: Digest | None = None
    digest: Digest | None = None  # of the file that shipped
    judged: Time | None = None


class AnchorAsked(Record):
    """What a verdict says of a gate's anchor: which one it asked, and whether another model is it from now on."""

    gate: Gate  # the subject
    key: Digest  # of the model that was asked
    moved: Literal[Since.BETTER, Since.WAIVED] | None = None  # to the model of this verdict
    lost: Digest | None = None  # the key of the anchor in whose place it was asked, because that one is gone


class StoredFile(FileDigest):
    """One seed's model file and where its bytes are."""

    seed: Count
    run: Id | None = None  # the run that holds its artifact; None where only a digest is known
    artifact: Annotated[str, StringConstraints(max_length=200)] | None = None


class SeedValues(Record):
    """What one metric came to for each seed, in the order of `files`; None where it has no value."""

    metric: str
    slice: str | None = None
    values: tuple[float | None, ...]


class GateAsked(Record):
    """What a gate asked of a model, and what came of it. For looking back: nothing is decided by it."""

    gate: Gate  # the subject
    bound: Bound
    limit: float
    outcome: Outcome
    low: float | None = None
    high: float | None = None  # the two-sided 90 % interval over rows of the metric, for the file that ships


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
    digest: Digest | None  # sha256 of the file that was judged and may ship; None when there was none
    holdout: Digest | None
    commit: Sha
    branch: RefName
    outcome: Outcome
    reason: Reason
    provisional: bool = False
    attempt: Attempt  # the training that was judged
    judge: Attempt  # the run that judged it
    files: tuple[StoredFile, ...] = ()  # one a seed; the first is the one that ships
    values: tuple[SeedValues, ...] = ()
    training: Digest | None = None  # digest of the stored lineage of the file that ships (`mlbot.report.report`)
    duration_s: Seconds | None = None  # of one seed's training, as the trainings say: for planning alone
    report: Digest | None = None
    policy: Digest | None = None  # of the rules that it was judged by (`mlbot.verdict.decide.rules_digest`)
    tip: Sha | None = None  # whose rules they were
    compared: Compared | None = None
    deterministic: bool | None = None  # whether its seeds all gave the same predictions; None where nobody knows
    recipe: Digest | None = None  # of all that decides that: the content without the training data
    anchors: tuple[AnchorAsked, ...] | None = None  # of each gate that has one; None where none was asked
    gates: tuple[GateAsked, ...] | None = None  # None in what an earlier mlbot wrote
    data: dict[str, Digest] | None = None
    """Digest of each data file that the file which ships was trained on, by its path, as its lineage has it; None where
    an earlier mlbot wrote it, or there is no lineage."""
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
    key: Digest  # the content key it was given for: other content needs its own
    policy: Digest  # digest of the rules it was given under: it ends when they change
    gate: Gate
    reason: Text
    actor: Actor
    pull_request: Id | None = None
    comment: Id | None = None
    commit: Sha
    branch: RefName | None = None
    """The guarded branch that it was given for: whose rules say who may. None in what an earlier mlbot wrote."""
    time: Time

    @property
    def shard(self) -> str:
        """Which part of the subject's folder it is in."""
        return shard_of(self.key)

    @property
    def order(self) -> tuple[int, ...]:
        """By the comment that asked for it; GitHub counts comments up."""
        return (self.comment or 0,)


class ReleaseEntry(_OfModel, Served):
    """A version of a model: which bytes it is, and all that they were made from."""

    kind: Literal["release"] = "release"
    commit: Sha
    key: Digest
    attempt: Attempt  # the training that made it
    judge: Attempt  # the run whose verdict lets it be released
    tag_object: Sha | None = None  # the annotated tag that asked for it, so that a moved tag is seen
    golden: Digest | None = None
    training: Digest | None = None
    data: dict[str, Digest] = Field(default_factory=dict)  # digest of each declared data file by its path
    params: Params = Field(default_factory=dict)
    seed: Count
    environment: Environment | None = None
    origin: Origin | None = None  # where it is from that was made elsewhere; None: it was trained
    file: Literal["artifact"] | None = None  # what it is called where it is put; None: it is an ONNX model
    sealed: Literal["pass", "same", "waived"] | None = None
    """What sealed rows say of it: they show it, or it is what is live already, or a person answered for it; None: there
    were none, so nothing bounds how often such a release is wrong."""
    actor: Actor
    run: Attempt | None = None
    time: Time

    @property
    def shard(self) -> str:
        """Which part of the subject's folder it is in."""
        return self.version

    @property
    def order(self) -> tuple[Any, ...]:
        """By version; of one version what was judged and released first is first."""
        return *Version.parse(self.version).order, *self.attempt.order, *self.judge.order, *_order(self.run)


Action = Literal["promotion", "rollback"]

DeploymentState = Literal["started", "failed", "succeeded", "rolled-back"]

_STATES: tuple[DeploymentState, ...] = ("started", "failed", "succeeded", "rolled-back")
"""Where one deployment's entries contradict each other, the later in this row is believed."""


class DeploymentIntent(Served):
    """Which version is to be in which environment, and for whom: what the lock of an environment holds."""

    model: Name
    id: Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9._:/@#-]+$")]
    """Follows from model, environment and sequence: a second run of the same deployment has the same."""
    sequence: Sequence  # counts a model's deployments in an environment
    environment: Name
    action: Action
    actor: Actor
    reason: Text = ""
    run: Attempt | None = None
    time: Time

    def is_of(self, model: str, version: str, environment: str, action: Action) -> bool:
        """Whether it does just this."""
        return (self.model, self.version, self.environment, self.action) == (model, version, environment, action)


class DeploymentEntry(_OfModel, DeploymentIntent):
    """One step of a version into an environment, or of the version before back into it."""

    kind: Literal["deployment"] = "deployment"
    state: DeploymentState
    previous: VersionText | None = None
    detail: Text = ""  # what came of it: the smoke test's findings, or what failed

    @property
    def intent(self) -> DeploymentIntent:
        """What was begun, without what came of it."""
        return DeploymentIntent(**{name: getattr(self, name) for name in DeploymentIntent.model_fields})

    @property
    def shard(self) -> str:
        """Which part of the subject's folder it is in."""
        return self.environment

    @property
    def order(self) -> tuple[int, ...]:
        """By the counter, then by how far it had come."""
        return self.sequence, _STATES.index(self.state), *_order(self.run)


class ApprovalEntry(_OfModel, Served):
    """Somebody's word that these very bytes may enter an environment."""

    kind: Literal["approval"] = "approval"
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
    sequence: Sequence  # counts an environment's locks and unlocks
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


SealedState = Literal["asked", "void", "spent", "pass", "not-shown"]

_SEALED: tuple[SealedState, ...] = ("asked", "void", "spent", "pass", "not-shown")
"""Where one look's entries contradict each other, the later in this row is believed."""

MOST_SKETCH = 16_384
MOST_VIEWS = 65_536


class SealedEntry(_OfModel):
    """One step of a release's look at sealed rows: that it asks, then what they answer. Nothing else of the rows."""

    schema_version: Schema = "mlbot/ledger@2"
    kind: Literal["sealed"] = "sealed"
    id: Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9.-]+$")]  # of the look
    sequence: Sequence  # counts a model's looks; two at once may have the same, and each counts the other
    state: SealedState
    version: VersionText  # that is to be released
    digest: Digest  # of its artifact
    baseline: Digest | None  # of what is live in production; None: a first release
    rules: Digest  # of the gates that are asked and the code of their metrics
    policy: Sha  # the commit of the guarded branch that has them
    content: Digest | None = None  # of the rows, made with the key of the sealed data's environment
    key: Digest | None = None  # which key that was
    sketch: Annotated[str, StringConstraints(max_length=MOST_SKETCH, pattern=r"^[A-Za-z0-9+/=]*$")] = ""
    """A sample of the rows' digests, encrypted with that key, so that other rows can be compared with these."""
    views: Annotated[str, StringConstraints(max_length=MOST_VIEWS, pattern=r"^[A-Za-z0-9+/=]*$")] | None = None
    """The same over parts of their columns, so that rows with a column more, or another one, are known again."""
    replays: Annotated[str, StringConstraints(max_length=100, pattern=r"^[A-Za-z0-9.-]+$")] | None = None
    """The earlier look that asked the very same, whose answer it is: nothing was looked at."""
    actor: Actor
    run: Attempt | None = None
    time: Time

    @property
    def shard(self) -> str:
        """Which part of the subject's folder it is in: there are too few of them for parts."""
        return ""

    @property
    def order(self) -> tuple[Any, ...]:
        """By the counter, then by how far it had come."""
        return self.sequence, self.id, _SEALED.index(self.state), *_order(self.run)


class EarlierSeed(Record):
    """A seed that is trained already: its file and its lineage, among what the judge accepted."""

    seed: Count
    file: FileDigest
    lineage: FileDigest


class SeedCount(Record):
    """How many seeds each side has, or should have, counted from seed 0."""

    candidate: Count
    baseline: Count


class SeedsAsked(Record):
    """How many seeds of a model there are to be, and those that are there."""

    model: Name
    key: Digest
    had: SeedCount
    wanted: SeedCount
    undecided: tuple[Gate, ...] = ()
    earlier: tuple[EarlierSeed, ...] = ()

    @property
    def missing(self) -> tuple[int, ...]:
        """The candidate's seeds to train."""
        return tuple(range(self.had.candidate, self.wanted.candidate))


class RequestEntry(Record):
    """The judge's own request: one more attempt of a training, with the seeds that a verdict lacks.

    It is merged onto the tip that the judge saw, and judged there.
    """

    schema_version: Schema = "mlbot/ledger@2"
    kind: Literal["request"] = "request"
    attempt: Attempt  # the attempt that it asks for
    commit: Sha  # the head of the run
    branch: RefName
    pull_request: Id | None = None
    tip: Sha | None = None  # None: nothing is merged
    judge: Attempt  # the run that asks, which holds the accepted files
    models: tuple[SeedsAsked, ...]
    time: Time

    @property
    def subject(self) -> Name:
        """What it is filed under: the training run."""
        return str(self.attempt.run)

    @property
    def shard(self) -> str:
        """Which part of the subject's folder it is in: a run has a few at most."""
        return ""

    @property
    def order(self) -> tuple[int, ...]:
        """By the attempt, then by who asked."""
        return *self.attempt.order, *self.judge.order

    def of(self, model: Name, key: Digest) -> SeedsAsked | None:
        """What is asked of this very content of a model."""
        return next((each for each in self.models if (each.model, each.key) == (model, key)), None)


class LookEntry(Record):
    """A look at the open holdout: figures of an artifact on these rows were reported, here or in a pull request.

    What counts is in its path, so that looks are counted without a file being read: rows, pull request and artifact.
    The first report of an artifact there is the look; what reports it again adds nothing.
    """

    schema_version: Schema = "mlbot/ledger@2"
    kind: Literal["look"] = "look"
    content: Digest  # of the holdout's rows, however they are written (`mlbot.ml.content`)
    artifact: Digest  # of the candidate's file; of several seeds whose files differ, of all their digests
    repository: Id | None = None  # GitHub's number of the repository; None on a laptop
    pull_request: Id | None = None  # None: of the guarded branch itself, or of a merge queue
    head_repository: Id | None = None  # where the pull request is from; None: not of one, or the fork is gone
    actor: Actor | None = None  # who asked: the pull request's author, of a trial who asked for it; None: a push did
    trial: bool = False
    model: Name
    commit: Sha
    branch: RefName  # the guarded branch
    attempt: Attempt  # the training that was judged
    report: Digest  # of the model's report that was shown
    metrics: tuple[Gate, ...] = ()  # whose figures were shown
    time: Time

    @property
    def subject(self) -> Name:
        """What it is filed under: the rows."""
        return rows_of(self.content)

    @property
    def shard(self) -> str:
        """Which part of the subject's folder it is in: its pull request's, by numbers that are no other's."""
        return pull_request_shard(self.pull_request, self.repository)

    @property
    def order(self) -> tuple[int, ...]:
        """By the training."""
        return self.attempt.order


Date = Annotated[str, StringConstraints(pattern=r"^\d{4}-\d{2}-\d{2}$")]
"""A day in UTC."""


class LiveValue(Record):
    """What a metric came to on the requests of a day whose labels are known."""

    metric: str
    value: float
    error: Annotated[float, Field(ge=0)]  # standard error by the rows alone
    rows: Count


class DayEntry(_OfModel):
    """What a day of production shows of the version that was live. Written once, when the day is over.

    Labels that come later make an entry of their own, with `labelled` and what they tell alone.
    """

    schema_version: Schema = "mlbot/ledger@2"
    kind: Literal["day"] = "day"
    environment: Name
    version: VersionText
    date: Date
    requests: Count | None = None  # rows that were asked; None: the entry is of labels alone
    errors: Count | None = None  # of them without an answer; None: answers are not logged
    counts: Counts | None = None  # of all these rows, in the bins of the version's reference
    labelled: Count | None = None  # rows whose label is known; None: nobody looked for labels
    labels: Counts | None = None  # of the rows whose label is known: of their targets alone
    live: tuple[LiveValue, ...] = ()
    time: Time

    @property
    def shard(self) -> str:
        """Which part of the subject's folder it is in."""
        return self.environment

    @property
    def order(self) -> tuple[Any, ...]:
        """By the day, then by how many labels were known."""
        return self.date, self.version, self.labelled or 0


def rows_of(content: Digest) -> Name:
    """What looks at a holdout are filed under."""
    return content.removeprefix("sha256:")[:32]


def pull_request_shard(number: int | None, repository: int | None) -> str:
    """Where the looks of a pull request are; those of none are under 0."""
    return f"{number or 0}.{repository or 0}"


def artifact_of_look(artifact: Digest) -> str:
    """What a look is called: so short that a hundred thousand names are read as quickly as a few large files."""
    return artifact.removeprefix("sha256:")[:16]


class ReferenceEntry(_OfModel, Served):
    """What a version's holdout looked like, and what the version answered to it, for what watches it in production.

    There is one of a version's bytes: the first that was written.
    """

    schema_version: Schema = "mlbot/ledger@2"
    kind: Literal["reference"] = "reference"
    sketch: Sketch
    time: Time

    @property
    def shard(self) -> str:
        """Which part of the subject's folder it is in."""
        return self.version

    @property
    def order(self) -> tuple[Any, ...]:
        """By version."""
        return Version.parse(self.version).order


class ProfileEntry(Record):
    """What a data file holds, by the digest that lineages have of it. There is one for each model that reads it."""

    schema_version: Schema = "mlbot/ledger@2"
    kind: Literal["profile"] = "profile"
    model: Name
    profile: Profile
    commit: Sha  # of the guarded branch, whose verdict it was made with
    branch: RefName
    time: Time

    @property
    def subject(self) -> Name:
        """What it is filed under: the file."""
        return rows_of(self.profile.digest)

    @property
    def shard(self) -> str:
        """Which part of the subject's folder it is in: a file has few of them."""
        return ""

    @property
    def order(self) -> tuple[str, ...]:
        """By whose it is; there is no other order among them."""
        return self.model, self.profile.part


class CostEntry(Record):
    """What an attempt took of runners, of a pull request too: GitHub's own times, up to the verdict."""

    schema_version: Schema = "mlbot/ledger@2"
    kind: Literal["cost"] = "cost"
    attempt: Attempt  # the training
    judge: Attempt
    models: tuple[Name, ...]  # that were judged
    branch: RefName
    pull_request: Id | None = None
    trial: bool = False
    training: tuple[RunnerTime, ...] = ()
    judging: tuple[RunnerTime, ...] = ()  # baselines that the judge trained among it
    time: Time

    @property
    def subject(self) -> Name:
        """What it is filed under: all of them together, for a run has one or two."""
        return "attempts"

    @property
    def shard(self) -> str:
        """Which part of the subject's folder it is in."""
        return f"{self.attempt.run % 256:02x}"

    @property
    def order(self) -> tuple[int, ...]:
        """By the training, then by who judged it."""
        return *self.attempt.order, *self.judge.order


Entry = Annotated[
    VerdictEntry
    | WaiverEntry
    | ReleaseEntry
    | DeploymentEntry
    | ApprovalEntry
    | LockEntry
    | RequestEntry
    | SealedEntry
    | LookEntry
    | ReferenceEntry
    | ProfileEntry
    | DayEntry
    | CostEntry,
    Field(discriminator="kind"),
]

Kind = Literal[
    "verdict",
    "waiver",
    "release",
    "deployment",
    "approval",
    "lock",
    "request",
    "sealed",
    "look",
    "reference",
    "profile",
    "day",
    "cost",
]

KINDS: tuple[Kind, ...] = (
    "verdict",
    "waiver",
    "release",
    "deployment",
    "approval",
    "lock",
    "request",
    "sealed",
    "look",
    "reference",
    "profile",
    "day",
    "cost",
)

_OF_JUDGED = frozenset(
    {
        *("training", "duration_s", "report", "policy", "tip", "compared", "deterministic", "recipe", "branch"),
        *("anchors", "gates", "data"),
    }
)

LATER: Mapping[Kind, frozenset[str]] = MappingProxyType(
    {
        "verdict": _OF_JUDGED,
        "waiver": _OF_JUDGED,
        "release": frozenset({"origin", "file", "sealed"}),
        "sealed": frozenset({"views"}),
    }
)
"""Fields that a kind got when ledgers were in use already. Left out of the JSON where they are None, so that what was
written before is still what would be written now; a field that joins a kind later joins its set too."""

KEYED: frozenset[Kind] = frozenset({"verdict", "waiver"})  # the kinds whose shard is that of a content key


def shard_of(digest: Digest) -> str:
    """Two hexadecimal digits of a digest."""
    return digest.removeprefix("sha256:")[:2]


def _order(run: Attempt | None) -> tuple[int, int]:
    return run.order if run else (0, 0)


BRANCH = "mlbot-ledger"  # the orphan branch that holds it
FORMER_BRANCH = "mlbot/ledger"  # where it was before; git cannot hold it beside a branch `mlbot`
_ROOT = "v1"

_WHEN = "time"  # the one field that does not identify an entry: a retry a minute later is no second entry
_MOST_BYTES = 262_144

_ENTRY: TypeAdapter[Entry] = TypeAdapter(Entry)


class Ledger(Record):
    """What could be read."""

    entries: tuple[Entry, ...] = ()
    problems: tuple[str, ...] = ()
    """Files that are no entries, or of a kind this version does not know: left out, and said."""


def canonical(entry: Entry) -> bytes:
    """An entry's only JSON form: sorted keys, no spaces, ASCII, a newline at the end."""
    return document(_facts(entry))


def path_of(entry: Entry) -> str:
    """Where an entry is on the ledger branch; the same for the same facts, whenever they are written."""
    return _path(entry, canonical(entry))


def _facts(entry: Entry) -> dict[str, Any]:
    facts: dict[str, Any] = entry.model_dump(mode="json")
    for name in LATER.get(entry.kind, frozenset()) & facts.keys():
        if facts[name] is None:
            del facts[name]
    return facts


def _path(entry: Entry, raw: bytes) -> str:
    """The path of an entry by its canonical form without the time.

    The last such field is the entry's own: keys are sorted, nothing that stands after it has one, and quotes within a
    text are escaped. Of a look only the artifact: the first report of it is the look.
    """
    if (name := _first_alone(entry)) is not None:
        return "/".join(filter(None, (_ROOT, entry.kind, entry.subject, entry.shard, f"{name}.json")))
    before, _, after = raw.removesuffix(b"\n").rpartition(f',"{_WHEN}":"{entry.time}"'.encode())
    identity = hashlib.sha256(before + after).hexdigest()
    parts = (_ROOT, entry.kind, entry.subject, entry.shard, f"{identity}.json")
    return "/".join(part for part in parts if part)


def _first_alone(entry: Entry) -> str | None:
    """The name of an entry of which only the first counts; None where every other content is another entry."""
    match entry:
        case LookEntry():
            return artifact_of_look(entry.artifact)
        case ReferenceEntry():
            return entry.digest.removeprefix("sha256:")
        case ProfileEntry():
            return f"{entry.model}.{entry.profile.part}"
        case _:
            return None


def profile_path(digest: Digest, model: Name, part: str) -> str:
    """Where the profile of a data file is, whatever it says."""
    return "/".join((_ROOT, "profile", rows_of(digest), f"{model}.{part}.json"))


def folders_of(kind: Kind | None = None, subject: Name | None = None, key: Digest | None = None) -> tuple[str, ...]:
    """The folders to read for a lookup: everything, a kind, one subject of it, one key of that; each ends in `/`.

    Only verdicts and waivers are parted by their key.
    """
    if kind is None:
        return (f"{_ROOT}/",) if subject is None else tuple(_folder(each, subject, key) for each in KINDS)
    return (_folder(kind, subject, key),)


def _folder(kind: Kind, subject: Name | None, key: Digest | None) -> str:
    parts = [_ROOT, kind, *([subject] if subject else [])]
    return "/".join([*parts, *([shard_of(key)] if subject and key and kind in KEYED else [])]) + "/"


def files_of(entries: Iterable[Entry]) -> dict[str, bytes]:
    """What to add to the branch: content by path."""
    return {path_of(entry): canonical(entry) for entry in entries}


def read_files(files: Mapping[str, bytes]) -> Ledger:
    """The entries in files of the ledger branch.

    One bad file costs itself and no other: whoever may push could write anything there.
    """
    found = {path: _read(path, raw) for path, raw in files.items()}
    entries = [(each.kind, each.order, path, each) for path, each in found.items() if not isinstance(each, str)]
    return Ledger(
        entries=tuple(entry for *_, entry in sorted(entries, key=lambda row: row[:3])),
        problems=tuple(each for each in found.values() if isinstance(each, str)),
    )


def _read(path: str, raw: bytes) -> Entry | str:
    """An entry, or what is wrong with its file.

    A file is taken in its canonical form only. Equal bytes cannot hold a duplicate key or a NaN, so the slower look
    that finds those is kept for files that are refused.
    """
    where = f"The ledger's file {path[:120]!r}"
    if len(raw) > _MOST_BYTES:
        return f"{where} has more than {_MOST_BYTES:,} bytes."
    try:
        entry = _ENTRY.validate_json(raw, strict=True)
    except ValidationError:
        return _problem(where, raw)
    if canonical(entry) != raw:
        return _problem(where, raw)
    return entry if _path(entry, raw) == path else f"{where} is not where its content belongs."


def _problem(where: str, raw: bytes) -> str:
    try:
        value = load(raw, where, most_bytes=_MOST_BYTES)
    except HostileJsonError as error:
        return f"{error.what}."
    kind = value.get("kind") if isinstance(value, dict) else None
    version = str(value.get("schema_version", "")) if isinstance(value, dict) else ""
    number = version.removeprefix("mlbot/ledger@")
    if number != version and number.isdecimal() and int(number[:9]) > _NEWEST:
        return f"{where} was written by a newer mlbot: upgrade mlbot to read it."
    if not isinstance(kind, str) or kind not in KINDS:
        return f"{where} is of a kind that this version of mlbot does not know."
    return f"{where} is no entry of its kind in the canonical form."
