"""How mlbot names the artifacts of a run, what a name says when it is read back, and the records of a training in them.

A run's artifacts are one list over all its attempts, so a name carries the attempt. It stands at the end, so each name
has one reading (and a model called `a-a1` does no harm).
"""

import re
from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints

from mlbot.events.github import Artifact
from mlbot.gates.outcome import Reason
from mlbot.ledger.entries import Environment, Origin
from mlbot.lib.record import Count, Digest, Name, Params, Record, Seconds, Sha
from mlbot.verdict.verdict import Problem

FOLDER_FILE = "model.folder"  # a folder as one file: its listing, and each of its files

LINEAGE_FILE = "training.json"

FAILURE_FILE = "failure.json"

AttemptNumber = Annotated[int, Field(ge=1, le=9_999)]

_PACK = r"[A-Za-z0-9][A-Za-z0-9._+-]{0,79}"
_PACKED = re.compile(rf"mlbot-(?P<side>candidate|baseline)-(?P<pack>{_PACK})-a(?P<attempt>[1-9][0-9]{{0,3}})")
"""How a name reads back: its number stands at the end."""


class Side(StrEnum):
    """Which commit an artifact was trained from."""

    CANDIDATE = "candidate"
    BASELINE = "baseline"


class PackArtifact(Record):
    """What one job of trainings left: `<model>/<seed>/` with a model file and its lineage, or why there is none."""

    side: Side = Side.CANDIDATE
    pack: Annotated[str, StringConstraints(pattern=rf"^{_PACK}$")]
    attempt: AttemptNumber

    @property
    def name(self) -> str:
        """`mlbot-candidate-adult-income-a1`."""
        return f"mlbot-{self.side}-{self.pack}-a{self.attempt}"

    @classmethod
    def of(cls, name: str) -> Self | None:
        """What a name says; None where it is none of these."""
        found = _PACKED.fullmatch(name)
        return cls(side=Side(found["side"]), pack=found["pack"], attempt=int(found["attempt"])) if found else None

    def is_of(self, model: Name) -> bool:
        """Whether it is called after a model, so that it is looked into first."""
        return self.pack == model or self.pack.startswith(f"{model}+")


def is_older(name: str, model: Name) -> bool:
    """Whether an artifact is a training's of a model as an mlbot before 1.0 wrote it: one of each seed."""
    return re.fullmatch(rf"mlbot-candidate-{re.escape(model)}-s[0-9]{{1,5}}-a[0-9]{{1,5}}", name) is not None


class AcceptedArtifact(Record):
    """The models that a judge accepted, each named by its digest (`accepted_file`, `accepted_folder`)."""

    attempt: AttemptNumber

    @property
    def name(self) -> str:
        """`mlbot-accepted-a1`."""
        return f"mlbot-accepted-a{self.attempt}"


class ReportArtifact(Record):
    """The judge's verdict and report."""

    attempt: AttemptNumber

    @property
    def name(self) -> str:
        """`mlbot-report-a1`."""
        return f"mlbot-report-a{self.attempt}"


ArtifactName = PackArtifact | AcceptedArtifact | ReportArtifact


def accepted_file(digest: Digest) -> str:
    """What a file is called among the accepted ones: `<64 hexadecimal digits>.onnx`."""
    return f"{digest.removeprefix('sha256:')}.onnx"


def accepted_folder(digest: Digest) -> str:
    """What a folder is called among the accepted ones, packed: `<64 hexadecimal digits>.folder`."""
    return f"{digest.removeprefix('sha256:')}.folder"


def accepted_lineage(digest: Digest) -> str:
    """What the lineage of an accepted file is called beside it, by its own digest."""
    return f"{digest.removeprefix('sha256:')}.json"


class Found(Record):
    """The artifact that a name was looked for by, or why there is none to use."""

    artifact: Artifact | None = None
    problem: str = ""  # a clause: `is missing`, `has expired`, `is there twice`
    expired: bool = False


def find(wanted: ArtifactName, artifacts: Iterable[Artifact], run: Count) -> Found:
    """The one artifact of this exact name in this run.

    Names are unique in a run by GitHub's rule; two of one name are refused rather than chosen from.
    """
    named = [each for each in artifacts if each.name == wanted.name and each.run in {None, run}]
    if not named:
        return Found(problem="is missing")
    if len(named) > 1:
        return Found(problem="is there twice")
    return Found(problem="has expired", expired=True) if named[0].expired else Found(artifact=named[0])


MESSAGE = 1_000  # the most characters of a failed training's message, and of a line of its log


class Parity(Record):
    """How far the exported ONNX file is from the fitted estimator on the same rows, in units of the prediction."""

    rows: Count
    max_difference: Annotated[float, Field(ge=0)]
    mean_difference: Annotated[float, Field(ge=0)]
    label_disagreements: Count = 0


class Training(Record):
    """The lineage of one model (`training.json`): how it was trained, or where it is from."""

    schema_version: Literal["mlbot/training@1"] = "mlbot/training@1"
    model: Name
    key: Digest  # the content key: digest of everything the training depends on
    seed: Count
    digest: Digest  # of the file or folder
    size_bytes: Count
    commit: Sha
    data: dict[str, Digest] = Field(default_factory=dict)  # digest of each declared data file by its path
    params: Params = Field(default_factory=dict)
    environment: Environment
    duration_s: Seconds
    peak_memory_bytes: Count
    claims: dict[str, float] = Field(default_factory=dict)
    """Metrics that the training itself printed. Shown as unverified, never gating."""
    parity: Parity | None = None  # None when the training wrote its own ONNX file
    origin: Origin | None = None  # None when it was trained


class TrainingFailure(Record):
    """A training that left no model (`failure.json`)."""

    schema_version: Literal["mlbot/failure@1"] = "mlbot/failure@1"
    model: Name
    key: Digest
    seed: Count
    commit: Sha
    timed_out: bool
    exit_code: Annotated[int, Field(ge=-(2**31), lt=2**32)] | None = None
    """None: it was not started, or never seen to end."""
    brought: bool = False  # whether it is of no training: `artifact` names what could not be taken
    message: Annotated[str, Field(max_length=MESSAGE)]
    log_tail: Annotated[tuple[Annotated[str, Field(max_length=MESSAGE)], ...], Field(max_length=40)] = ()
    """The last lines of the log, shown to the author; hostile text, escaped where rendered."""

    @property
    def reason(self) -> Reason:
        """The code for it."""
        if self.timed_out:
            return Reason.TRAINING_TIMEOUT
        return Reason.MODEL_MISSING if self.exit_code == 0 or self.brought else Reason.TRAINING_FAILED

    @property
    def problem(self) -> Problem:
        """What happened, in mlbot's own words: the message may be a stranger's."""
        match self.reason:
            case Reason.TRAINING_TIMEOUT:
                return Problem.of(self.reason, "seed", seed=self.seed)
            case Reason.MODEL_MISSING if self.brought:
                return Problem.of(self.reason, "not-taken")
            case Reason.MODEL_MISSING:
                return Problem.of(self.reason, "left-none", seed=self.seed)
            case _ if self.exit_code is None:
                return Problem.of(self.reason, "not-started", seed=self.seed)
            case _:
                return Problem.of(self.reason, "exit-code", seed=self.seed, exit_code=self.exit_code)
