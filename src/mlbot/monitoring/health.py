"""How a model in production does, as the command line, the issue and the dashboard say it. Needs no heavy package."""

from enum import StrEnum
from typing import Literal

from mlbot.ledger.entries import Date
from mlbot.lib.record import Count, Name, Record
from mlbot.lib.version import VersionText
from mlbot.protocol.inference import ControlSamples


class State(StrEnum):
    """How a model does, as of a day. A closed list."""

    WELL = "well"
    ALARM = "alarm"
    LEARNING = "learning"  # too few days, or requests, to tell
    UNKNOWN = "unknown"  # the day could not be looked at


class Why(StrEnum):
    """Why nothing can be told; the words are in templates/words/monitoring.yaml. A closed list."""

    NOTHING_LIVE = "nothing-live"
    CHANGED_OVER = "changed-over"  # another version went live on this day
    NO_REFERENCE = "no-reference"
    NOT_LOOKED_AT = "not-looked-at"  # the ledger has no entry of the day
    NOT_LOGGED = "not-logged"  # no feature of the reference is in the logs
    TOO_FEW_DAYS = "too-few-days"
    TOO_FEW_REQUESTS = "too-few-requests"


class Code(StrEnum):
    """What alarms. A closed list."""

    LOCATION = "location"  # the numbers of a column are greater or smaller
    SPREAD = "spread"  # they are further apart, or closer together
    SHARE = "share"  # a category, or a range of numbers, is more or less frequent
    MISSING = "missing"
    UNSEEN = "unseen"  # values that the reference does not know, or that are of another kind
    VOLUME = "volume"
    ERRORS = "errors"
    METRIC = "metric"  # a live metric is worse
    CONTROL = "control"  # the endpoint answers golden requests otherwise than judged
    ABSENT = "absent"  # or not at all


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
    value: str = ""  # of shares: the category, or which range of numbers; of requests without an answer why
    effect: float  # how far it is off, in standard deviations, as Cohen's h, or in the metric's unit
    limit: float  # how far it may be
    before: float | None = None  # a share, a metric, a number of requests: on the days before, or of the reference
    now: float | None = None
    since: Date  # the day that the change is dated to
    noticed: Date
    against: Literal["before", "reference"]  # the weeks before, or what the model was judged on


Unsteady = Literal["alike", "far-off"]
"""Days that resemble each other beyond what the promised rate of alarms was simulated for; or one that was far off."""


class Health(Record):
    """How a model in an environment does, as of a day that is over."""

    schema_version: Literal["mlbot/health@1"] = "mlbot/health@1"
    model: Name
    environment: Name
    version: VersionText | None  # that was live; None: none was, or more than one
    day: Date
    state: State
    why: Why | None = None  # why nothing can be told
    detail: str = ""  # what could not be looked at, for people
    findings: tuple[Finding, ...] = ()  # what alarmed on the last day that was looked at; the furthest off first
    days: Count = 0  # of this version that were looked at
    alarm_days: Count = 0  # of them in a row, up to the last one, with an alarm
    requests: Count | None = None  # of this day
    figures: Count = 0  # that are looked at, and share the rate of false alarms
    unlogged: tuple[str, ...] = ()  # features that no request has
    unsteady: tuple[Unsteady, ...] = ()  # why its alarms may be more often wrong than promised
    began: Date | None = None  # when the version went live, where its first days were not looked at
    first: Date | None = None  # the first day that was

    def unknown(self, detail: str) -> "Health":
        """The same where the day could not be looked at."""
        return self.model_copy(update={"state": State.UNKNOWN, "why": Why.NOT_LOOKED_AT, "detail": detail})

    def controlled(self, found: ControlSamples, today: Date) -> "Health":
        """The same with what the live endpoint answers now; any golden request that is not answered as judged alarms.

        It counts for no day of alarm: training again would change nothing about it.
        """
        counted = ((Code.CONTROL, found.different, ""), (Code.ABSENT, found.missing, found.why))
        findings = tuple(
            Finding(
                code=code,
                part=Part.SERVICE,
                column="",
                value=why,
                effect=count / found.asked,
                limit=0.0,
                before=0.0,
                now=count / found.asked,
                since=today,
                noticed=today,
                against="reference",
            )
            for code, count, why in counted
            if count
        )
        if not findings:
            return self
        return self.model_copy(update={"state": State.ALARM, "findings": (*findings, *self.findings)})

    @property
    def is_of_endpoint_alone(self) -> bool:
        """Whether it alarms by what its endpoint answers, and its requests do not, or were not looked at."""
        return self.state is State.ALARM and (self.why is not None or not self.alarm_days)
