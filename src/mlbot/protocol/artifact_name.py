"""How mlbot names the artifacts of a run, and what a name says when it is read back.

A run's artifacts are one list over all its attempts, so a name carries the attempt. Numbers stand at the end and a
model's name has no length of its own to hide in, so each name has one reading (and a model called `a-s0-a1` does no
harm).
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from mlbot.events.github import Artifact
from mlbot.lib.record import Count, Digest, Name, Record

MODEL_FILE = "model.onnx"

LINEAGE_FILE = "training.json"

FAILURE_FILE = "failure.json"
"""What the artifact of a training that left no model holds."""

AttemptNumber = Annotated[int, Field(ge=1, le=10_000)]

Seed = Annotated[int, Field(ge=0, le=99_999)]


class Side(StrEnum):
    """Which commit an artifact was trained from."""

    CANDIDATE = "candidate"
    BASELINE = "baseline"


class TrainedArtifact(Record):
    """What one training left: `model.onnx` and `training.json`."""

    kind: Literal["trained"] = "trained"
    side: Side = Side.CANDIDATE
    model: Name
    seed: Seed
    attempt: AttemptNumber

    @property
    def name(self) -> str:
        """`mlbot-candidate-adult-income-s0-a1`."""
        return f"mlbot-{self.side}-{self.model}-s{self.seed}-a{self.attempt}"


class FailedArtifact(Record):
    """Why one training left no model: `failure.json`."""

    kind: Literal["failed"] = "failed"
    side: Side = Side.CANDIDATE
    model: Name
    seed: Seed
    attempt: AttemptNumber

    @property
    def name(self) -> str:
        """`mlbot-failed-candidate-adult-income-s0-a1`."""
        return f"mlbot-failed-{self.side}-{self.model}-s{self.seed}-a{self.attempt}"


class AcceptedArtifact(Record):
    """The model files that a judge accepted, each named by its digest (`accepted_file`)."""

    kind: Literal["accepted"] = "accepted"
    attempt: AttemptNumber

    @property
    def name(self) -> str:
        """`mlbot-accepted-a1`."""
        return f"mlbot-accepted-a{self.attempt}"


class ReportArtifact(Record):
    """The judge's verdict and report."""

    kind: Literal["report"] = "report"
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
    problem: str = ""
    """A clause: `is missing`, `has expired`, `is there twice`."""


def find(wanted: ArtifactName, artifacts: Iterable[Artifact], run: Count) -> Found:
    """The one artifact of this exact name in this run.

    Names are unique in a run by GitHub's rule; two of one name are refused rather than chosen from.
    """
    named = [each for each in artifacts if each.name == wanted.name and each.run in {None, run}]
    if not named:
        return Found(problem="is missing")
    if len(named) > 1:
        return Found(problem="is there twice")
    return Found(problem="has expired") if named[0].expired else Found(artifact=named[0])
