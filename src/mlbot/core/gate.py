"""Gates: rules from the config, and what each comes to."""

from enum import StrEnum

from mlbot.core.ledger_records import WaiverEntry
from mlbot.core.outcome import Outcome, Reason
from mlbot.core.record import Record


class Bound(StrEnum):
    """What kind of limit a gate sets."""

    MIN = "min"
    MAX = "max"
    MAX_REGRESSION = "max_regression"


class Gate(Record):
    """One rule: a bound on one metric, on all rows or a slice."""

    metric: str
    slice: str | None = None
    bound: Bound
    limit: float
    confident: bool = False
    """Whether `min` and `max` judge the confidence bound instead of the point estimate."""
    blocking: bool = True

    @property
    def subject(self) -> str:
        """The metric as a gate names it: `metric` or `metric@slice`."""
        return f"{self.metric}@{self.slice}" if self.slice else self.metric

    @property
    def name(self) -> str:
        """What tells it from every other gate of its model: `subject.bound`."""
        return f"{self.subject}.{self.bound}"


class Waived(Record):
    """A gate that a person answered for, and what it came to without their word."""

    waiver: WaiverEntry
    """Who, why, since when, and for which content and rules."""
    outcome: Outcome
    reason: Reason


class GateResult(Record):
    """What a gate came to on this candidate."""

    gate: Gate
    outcome: Outcome
    reason: Reason
    value: float | None = None
    """The figure that was judged: the shipped file's metric, or the recipe's change."""
    baseline: float | None = None
    detail: str = ""
    """One sentence for people: what was found, and for inconclusive what would settle it."""
    counts: bool = True
    """False for a gate that only warns and for a slice with too few rows: shown, and nothing rests on it."""
    judgeable: bool = True
    """False when the margin is too small for this holdout and these seeds, whatever the model."""
    waived: Waived | None = None
    """Set exactly when the reason is `waived`."""

    @property
    def standing(self) -> str:
        """What people are told it comes to: its outcome, or `waived`, which must not look like a pass."""
        return Reason.WAIVED if self.waived else self.outcome
