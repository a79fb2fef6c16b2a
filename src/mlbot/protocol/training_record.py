"""What a training leaves behind: the lineage of one model file. Written in the sandbox, so unverified when read."""

from typing import Annotated, Literal

from pydantic import Field

from mlbot.config.document import Params
from mlbot.gates.outcome import Reason
from mlbot.ledger.entries import Environment
from mlbot.lib.record import Count, Digest, Name, Record, Seconds, Sha

MESSAGE = 1_000
"""The most characters of a failed training's message, and of a line of its log."""


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
    key: Digest
    """The content key: digest of everything the training depends on."""
    seed: Count
    digest: Digest
    """sha256 of the ONNX file."""
    size_bytes: Count
    commit: Sha
    data: dict[str, Digest] = Field(default_factory=dict)
    """Digest of each declared data file by its path."""
    params: Params = Field(default_factory=dict)
    environment: Environment
    duration_s: Seconds
    peak_memory_bytes: Count
    claims: dict[str, float] = Field(default_factory=dict)
    """Metrics that the training itself printed. Shown as unverified, never gating."""
    parity: Parity | None = None
    """None when the training wrote its own ONNX file."""


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
    def sentence(self) -> str:
        """What happened, in mlbot's own words: the message may be a stranger's."""
        training = f"The training with seed {self.seed}"
        if self.timed_out:
            return f"{training} was stopped at its time limit."
        if self.exit_code is None:
            return f"{training} could not be run."
        return f"{training} ended with exit code {self.exit_code}" + (
            " and left no model." if not self.exit_code else "."
        )
