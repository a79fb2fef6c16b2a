"""Gates: rules from the config, and what each comes to."""

from enum import StrEnum

from mlbot.lib.record import Record


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
