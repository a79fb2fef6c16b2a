"""How mlbot names the artifacts of a run, what a name says when it is read back, and the records of a training in them.

A run's artifacts are one list over all its attempts, so a name carries the attempt. Numbers stand at the end and a
model's name has no length of its own to hide in, so each name has one reading (and a model called `a-s0-a1` does no
harm).
"""

import re
from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from mlbot.events.github import Artifact
from mlbot.gates.outcome import Reason
from mlbot.ledger.entries import Environment
from mlbot.lib.record import Count, Digest, Name, Params, Record, Seconds, Sha
from mlbot.verdict.verdict import Problem

MODEL_FILE = "model.onnx"

LINEAGE_FILE = "training.json"

FAILURE_FILE = "failure.json"

AttemptNumber = Annotated[int, Field(ge=1, le=10_000)]

Seed = Annotated[int, Field(ge=0, le=99_999)]


class Side(StrEnum):
    """Which commit an artifact was trained from."""

    CANDIDATE = "candidate"
    BASELINE = "baseline"


class _OfTraining(Record):
    side: Side = Side.CANDIDATE
    model: Name
    seed: Seed
    attempt: AttemptNumber


class TrainedArtifact(_OfTraining):
    """What one training left: `model.onnx` and `training.json`."""

    @property
    def name(self) -> str:
        """`mlbot-candidate-adult-income-s0-a1`."""
        return f"mlbot-{self.side}-{self.model}-s{self.seed}-a{self.attempt}"


TRAINED = re.compile(r"mlbot-candidate-(?P<model>.+)-s[0-9]{1,5}-a[0-9]{1,5}")
"""How the name of a candidate's artifact reads back: its numbers stand at the end."""


class FailedArtifact(_OfTraining):
    """Why one training left no model: `failure.json`."""

    @property
    def name(self) -> str:
        """`mlbot-failed-candidate-adult-income-s0-a1`."""
        return f"mlbot-failed-{self.side}-{self.model}-s{self.seed}-a{self.attempt}"


class AcceptedArtifact(Record):
    """The model files that a judge accepted, each named by its digest (`accepted_file`)."""

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


ArtifactName = TrainedArtifact | FailedArtifact | AcceptedArtifact | ReportArtifact


def accepted_file(digest: Digest) -> str:
    """What a file is called among the accepted ones: `<64 hexadecimal digits>.onnx`."""
    return f"{digest.removeprefix('sha256:')}.onnx"


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
    """The lineage of one trained model file (`training.json`)."""

    schema_version: Literal["mlbot/training@1"] = "mlbot/training@1"
    model: Name
    key: Digest  # the content key: digest of everything the training depends on
    seed: Count
    digest: Digest  # sha256 of the ONNX file
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
    message: Annotated[str, Field(max_length=MESSAGE)]
    log_tail: Annotated[tuple[Annotated[str, Field(max_length=MESSAGE)], ...], Field(max_length=40)] = ()
    """The last lines of the log, shown to the author; hostile text, escaped where rendered."""

    @property
    def reason(self) -> Reason:
        """The code for it."""
        if self.timed_out:
            return Reason.TRAINING_TIMEOUT
        return Reason.MODEL_MISSING if self.exit_code == 0 else Reason.TRAINING_FAILED

    @property
    def problem(self) -> Problem:
        """What happened, in mlbot's own words: the message may be a stranger's."""
        match self.reason:
            case Reason.TRAINING_TIMEOUT:
                return Problem.of(self.reason, "seed", seed=self.seed)
            case Reason.MODEL_MISSING:
                return Problem.of(self.reason, "left-none", seed=self.seed)
            case _ if self.exit_code is None:
                return Problem.of(self.reason, "not-started", seed=self.seed)
            case _:
                return Problem.of(self.reason, "exit-code", seed=self.seed, exit_code=self.exit_code)
