"""Shadow replay: recorded requests answered by the live version and by the new one, and what changed.

Both files run in the scorer's sandbox, as at a deployment. What is reported names lines, classes and counts, never a
value of a request: also of an error only its reason, for its words may quote one.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from mlbot.errors import NotEvaluatedError
from mlbot.gates.metric import Task
from mlbot.lib.record import digest
from mlbot.ml.answers import Floats
from mlbot.ml.golden import Ask, features_of, unlabelled
from mlbot.ml.protocol import Feature
from mlbot.ml.requests import Recorded, Request, columns_there, fitted, frame_of
from mlbot.ml.scoring import Limits, Scored, score
from mlbot.protocol.golden import Flip, Golden, Replay, allowed_elsewhere
from mlbot.verdict.verdict import Problem

MOST_UNFIT = 0.5
"""The largest share of requests that may be left out; beyond it nobody could tell what is answered."""

SPREAD = 0.1
"""A number has changed where it is further away than the golden requests' tolerance and than this share of how far the
live version's answers to its golden requests lie apart, between their quartiles: those of the log are strangers'."""

_LIMITS = Limits(asked_rows=0, gaps=True)
_MOST_LINES = 20
_MOST_FLIPS = 10

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, slots=True)
class Version:
    """A version that answers: its bytes, its golden requests, and how its config decides a label."""

    name: str
    file: Path
    golden: Golden
    threshold: float | None = None
    label: Literal["model"] | None = None
    ask: Ask | None = None


def replay(live: Version, new: Version, recorded: Recorded, *, limits: Limits = _LIMITS) -> Replay:
    """What changes in the answers to recorded requests.

    Raises:
        NotEvaluatedError: too few requests fit, or a version does not answer them.
    """
    sides = [_Side.of(version, recorded.requests) for version in (live, new)]
    rows = [(each.line, [side.fitted(each) for side in sides]) for each in recorded.requests]
    fit = [(line, [row for row in both if row is not None]) for line, both in rows if None not in both]
    unfit = recorded.unreadable + len(rows) - len(fit)
    every = unfit + len(fit)
    if not fit or not all(side.features for side in sides) or unfit > MOST_UNFIT * every:
        raise NotEvaluatedError(
            f"{unfit} of {every} recorded requests are unreadable, or do not fit the columns of both versions",
            hint="A line of the log is a body of the protocol, or an object with a value a column.",
        )
    before, after = (side.answers([both[at] for _, both in fit], limits) for at, side in enumerate(sides))
    return _compared(live.golden, before, after, [line for line, _ in fit], unfit)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Side:
    """A version, the features that the log has for it, and which of them may be missing."""

    version: Version
    features: tuple[Feature, ...]
    gaps: frozenset[str]

    @classmethod
    def of(cls, version: Version, requests: Sequence[Request]) -> "_Side":
        features, gaps = features_of(version.golden)
        return cls(version=version, features=columns_there(requests, features), gaps=gaps)

    def fitted(self, request: Request) -> tuple[Any, ...] | None:
        return fitted(request, self.features, self.gaps)

    def answers(self, rows: Sequence[tuple[Any, ...]], limits: Limits) -> Scored:
        """The version's answers; what is wrong with them only by its reason."""
        version, frame = self.version, frame_of(rows, self.features)
        decided = {"threshold": version.threshold, "label": version.label}
        data = unlabelled(version.golden, frame, source="recorded requests", digest=digest(""), **decided)
        found = version.ask(version.file, data) if version.ask else score(version.file, data, limits=limits)
        if isinstance(found, Problem):
            raise NotEvaluatedError(f"{version.name} does not answer the recorded requests ({found.reason})")
        if found.digest != version.golden.digest:
            raise NotEvaluatedError(f"the bytes of {version.name} are other ones than were released")
        return found


def _compared(golden: Golden, before: Scored, after: Scored, lines: Sequence[str], unfit: int) -> Replay:
    one, two = (each.predictions.reshape(len(lines), -1) for each in (before, after))
    if (before.decided is None) is not (after.decided is None) or (before.decided is None and one.shape != two.shape):
        raise NotEvaluatedError("the two versions answer in other forms, so their answers cannot be compared")
    answered: list[Bools] = [np.asarray(np.isfinite(each).all(axis=1)) for each in (one, two)]
    if not answered[0].any():
        raise NotEvaluatedError("the live version gives no finite answer to any of the recorded requests")
    both = answered[0] & answered[1]
    flips: Counter[tuple[str, str]] = Counter()
    if before.decided is not None and after.decided is not None:
        names = [_names(golden.task, each) for each in (before, after)]
        differ, spread = (names[0] != names[1]).any(axis=1), None
        for was, now in zip(names[0][both], names[1][both], strict=True):
            flips.update((old, new) for old, new in zip(was, now, strict=True) if old != new)
    else:
        differ, spread = _apart(golden, one, two)
    changed = np.where(both, differ, answered[0] != answered[1])
    return Replay(
        requests=len(lines),
        unfit=unfit,
        changed=int(changed.sum()),
        lines=tuple(dict.fromkeys(np.array(lines)[changed].tolist()))[:_MOST_LINES],
        flips=tuple(Flip(before=old, after=new, rows=rows) for (old, new), rows in flips.most_common(_MOST_FLIPS)),
        unanswered=(int((~answered[0]).sum()), int((~answered[1]).sum())),
        spread=spread,
        latency=(before.latency, after.latency),
    )


def _names(task: Task, scored: Scored) -> npt.NDArray[np.str_]:
    """The decided class of each row by its name, (rows, 1); of several labels each with whether the row has it."""
    decided, classes = np.asarray(scored.decided), scored.classes
    if task is Task.MULTILABEL:
        pairs = np.array([[f"not {name}" for name in classes], list(classes)])
        return np.asarray(pairs[decided, np.arange(len(classes))])
    return np.asarray(np.array(classes)[decided]).reshape(-1, 1)


def _apart(golden: Golden, one: Floats, two: Floats) -> tuple[Bools, float]:
    """Which numbers have changed, and how far the live version's golden ones lie apart (the widest column's)."""
    low, high = np.quantile(np.array(golden.predictions), (0.25, 0.75), axis=0)
    within = np.vectorize(allowed_elsewhere(golden), otypes=[float])(np.nan_to_num(one, posinf=0.0, neginf=0.0))
    with np.errstate(invalid="ignore"):  # what is not finite is looked at apart
        apart = np.abs(one - two)
    beyond = (apart > within) & (apart > SPREAD * (high - low))
    return beyond.any(axis=1), float((high - low).max())
