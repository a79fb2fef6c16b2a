"""Packs: which trainings one job of GitHub Actions runs, one after the other.

A job costs its checkout, its set-up and the training's own install, so what is known to be quick shares one. What is
not known has a job a model; what takes long is split by its seeds.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Annotated, Any, TypeVar

from pydantic import Field

from mlbot.errors import UsageError
from mlbot.lib.record import Name, Params, Record, Seconds, Sha
from mlbot.plan.plan import PlannedModel

MATRIX_LIMIT = 256  # jobs that GitHub Actions allows in one matrix (docs.github.com, "Usage limits")
_QUICK_S = 600.0  # what a job is filled to
_LONG_S = 1800.0  # what is split by its seeds
_LIMIT_S = 340 * 60.0  # of GitHub's six hours for a job on its own runners, less what it does beside training
_SETUP_MINUTES = 10  # what a job may take beside the training: checkout, installing, uploading

_Item = TypeVar("_Item")

HOSTED = ("ubuntu-latest",)
"""Where the planning job itself runs, if nothing else is said."""


class Pack(Record):
    """What one job trains."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,79}$")]
    """Of one model, its name; `churn+s2` from its seed 2 on; `churn+4` with four models more; `churn+trial`."""
    trainings: Mapping[Name, tuple[int, ...]]  # each model's seeds
    runs_on: tuple[str, ...]
    timeout_s: Seconds  # of all trainings together
    expected_s: Seconds | None = None  # None: the ledger does not know
    commit: Sha | None = None  # the commit to train from; None: the one that is planned
    overrides: Params = Field(default_factory=dict)  # the parameters of a trial
    label: str = ""  # what tells it from other packs of its models

    @property
    def job(self) -> dict[str, Any]:
        """The leg of a matrix."""
        leg: dict[str, Any] = {
            "pack": self.name,
            "trainings": json.dumps({name: list(seeds) for name, seeds in self.trainings.items()}),
            "runs-on": self.runs_on[0] if len(self.runs_on) == 1 else list(self.runs_on),
            "timeout-minutes": math.ceil(self.timeout_s / 60) + _SETUP_MINUTES,
        }
        leg |= {"ref": self.commit} if self.commit else {}
        return leg | ({"overrides": json.dumps(self.overrides, sort_keys=True)} if self.overrides else {})

    @property
    def place(self) -> tuple[object, ...]:
        """What trainings in one job have to share."""
        return self.runs_on, self.commit or "", self.label, json.dumps(self.overrides, sort_keys=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """A model to train with its seeds."""

    model: PlannedModel
    commit: Sha | None = None
    overrides: Params | None = None
    seeds: tuple[int, ...] | None = None  # those that lack; None: all that are trained at first
    label: str = ""  # what tells it from another commit of the same model that is trained too
    known_s: float | None = None  # what one seed took when the guarded branch's was trained; None: nobody knows

    def pack(self, seeds: Sequence[int], suffix: str = "") -> Pack:
        """Some of its seeds in one job."""
        return Pack(
            name=f"{self.model.name}{'+trial' if self.overrides else ''}{self.label}{suffix}",
            label=self.label,
            trainings={self.model.name: tuple(seeds)},
            runs_on=self.model.runs_on,
            timeout_s=self.model.timeout_s * len(seeds),
            commit=self.commit,
            overrides=self.overrides or {},
        )


def packs(wanted: Iterable[Wanted]) -> tuple[Pack, ...]:
    """The jobs for what is wanted: never more than a matrix holds, and nothing is left out."""
    units = [pack for each in wanted for pack in _split(each)]
    filled = [pack for place in _by_place(units) for pack in _filled(place)]
    for size in range(2, len(filled) + 1):
        if len(filled) <= MATRIX_LIMIT:
            break
        filled = [_together(group) for place in _by_place(units) for group in _batched(place, size)]
    if len(filled) > MATRIX_LIMIT:
        raise UsageError(
            f"the stale models have {len(filled)} different runners, "
            f"and a matrix of GitHub Actions holds {MATRIX_LIMIT} jobs",
            hint="Give models that train alike the same `train.runs-on`.",
        )
    return tuple(filled)


def without_quick(durations: Mapping[Name, float]) -> dict[Name, float]:
    """Durations for trainings that run again: what was quick once may be so no more, and has a job of its own.

    Else a change that makes trainings long would end at the limit of the one job that they share, however often.
    """
    return {name: seconds for name, seconds in durations.items() if seconds > _QUICK_S}


def is_quick(found: Sequence[Pack], runs_on: tuple[str, ...] = HOSTED) -> bool:
    """Whether the planning job trains it all itself: one quick pack, on the planning job's own kind of runner."""
    if len(found) != 1:
        return False
    (pack,) = found
    return pack.expected_s is not None and pack.runs_on == runs_on


def _batched(items: Sequence[_Item], size: int) -> Iterator[Sequence[_Item]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _split(wanted: Wanted) -> Iterator[Pack]:
    """A model's packs: all its seeds in one where that takes no longer than a job should."""
    seeds = range(wanted.model.seeds) if wanted.seeds is None else wanted.seeds
    duration = wanted.known_s
    if not seeds:
        return
    if duration is not None and duration * len(seeds) > _LONG_S:
        size = 1
    else:
        size = min(max(1, int(_LIMIT_S // wanted.model.timeout_s)), len(seeds))
    for group in _batched(seeds, size):
        pack = wanted.pack(group, f"+s{group[0]}" if size < len(seeds) else "")
        expected = duration * len(group) if duration is not None else None
        yield pack.model_copy(update={"expected_s": expected if expected and expected <= _QUICK_S else None})


def _by_place(found: Iterable[Pack]) -> Iterator[list[Pack]]:
    """Packs that may be one job, in groups; their order stays."""
    for _, group in groupby(sorted(found, key=lambda each: repr(each.place)), key=lambda each: each.place):
        yield list(group)


def _filled(place: Sequence[Pack]) -> list[Pack]:
    """Quick packs put together as long as they are quick; the others as they are."""
    found: list[Pack] = []
    room = 0.0
    for pack in place:
        if pack.expected_s is None:
            continue
        if pack.expected_s <= room:
            found[-1] = _together((found[-1], pack))
            room -= pack.expected_s
        else:
            found.append(pack)
            room = _QUICK_S - pack.expected_s
    return [*found, *(pack for pack in place if pack.expected_s is None)]


def _together(group: Sequence[Pack]) -> Pack:
    first, *others = group
    if not others:
        return first
    trainings: dict[Name, tuple[int, ...]] = {}
    for pack in group:
        for name, seeds in pack.trainings.items():
            trainings[name] = (*trainings.get(name, ()), *seeds)
    times = [pack.expected_s for pack in group]
    more = len(trainings) - 1
    name = next(iter(first.trainings))
    return first.model_copy(
        update={
            "name": f"{name}{first.label}+{more}" if more else first.name,
            "trainings": trainings,
            "timeout_s": sum(pack.timeout_s for pack in group),
            "expected_s": None if None in times else sum(time for time in times if time is not None),
        }
    )
