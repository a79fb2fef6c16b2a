"""How a model in production does: a fold over the days that the ledger has."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Literal

from mlbot.ledger.entries import Date, Entry
from mlbot.lib.record import Count, Name, Record
from mlbot.lib.version import VersionText


class State(StrEnum):
    """How a model does, as of a day. A closed list."""

    WELL = "well"
    ALARM = "alarm"
    LEARNING = "learning"  # too few days, or requests, to tell
    UNKNOWN = "unknown"  # the day could not be looked at


class Code(StrEnum):
    """What alarms. A closed list."""

    LOCATION = "location"  # the numbers of a column are greater or smaller
    SPREAD = "spread"  # they are further apart, or closer together
    SHARE = "share"  # a category, or a range of numbers, is more or less frequent
    MISSING = "missing"
    UNSEEN = "unseen"  # values that the reference does not know
    VOLUME = "volume"
    ERRORS = "errors"
    METRIC = "metric"  # a live metric is worse


class Part(StrEnum):
    """What a finding is of. A closed list."""

    FEATURE = "feature"
    ANSWER = "answer"  # the model's own
    LABEL = "label"
    SERVICE = "service"  # volume and errors
    METRIC = "metric"


class Finding(Record):
    """One thing that alarms."""

    code: Code
    part: Part
    column: str  # or the metric; empty for volume and errors
    value: str = ""  # of `share`: the category, or which range of numbers
    effect: float  # how far it is off, in standard deviations, as Cohen's h, or in the metric's unit
    limit: float  # how far it may be
    before: float | None = None  # a share, a metric, a number of requests: on the days before, or of the reference
    now: float | None = None
    since: Date  # the day that the change is dated to
    noticed: Date
    against: Literal["before", "reference"]  # the weeks before, or what the model was judged on


class Health(Record):
    """How a model in an environment does, as of the last day that was over."""

    schema_version: Literal["mlbot/health@1"] = "mlbot/health@1"
    model: Name
    environment: Name
    version: VersionText | None  # that was live; None: none was
    day: Date
    state: State
    why: str = ""  # a key of templates/words/monitoring.yaml: why nothing can be told
    detail: str = ""  # what could not be looked at, for people
    findings: tuple[Finding, ...] = ()
    days: Count = 0  # of this version that were looked at
    alarm_days: Count = 0  # days of alarm in a row, up to this one
    requests: Count | None = None


def health_of(entries: Iterable[Entry], model: Name, environment: Name, day: Date) -> Health:
    """How a model does as of a day, by the days that the ledger has."""
    del entries
    return Health(model=model, environment=environment, version=None, day=day, state=State.UNKNOWN, why="nothing-live")
