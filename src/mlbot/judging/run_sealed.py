"""Score a release on sealed rows: whether its gates are shown, and not a word besides."""

import os
import sys
import warnings
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mlbot.config.schema import Model
from mlbot.errors import MissingDriverError
from mlbot.gates.metric import Gate, Metric
from mlbot.judging.run_data import training_data
from mlbot.judging.run_judge import Rule, ask, rows_of
from mlbot.lib.record import Digest
from mlbot.verdict.verdict import Problem

if TYPE_CHECKING:
    import numpy as np

    from mlbot.judging.run_measure import MetricPlan, Rows
    from mlbot.ml.holdout import HoldoutData, Source
    from mlbot.ml.scoring import Scored
    from mlbot.stats.types import Estimate, UndefinedMetricError


@dataclass(frozen=True, kw_only=True)
class SealedRows:
    """Sealed rows that were read, and that no model was asked yet."""

    holdout: "HoldoutData"
    whole: Digest  # of all rows, whatever the file's form
    rows: frozenset[bytes]  # their digests

    @property
    def columns(self) -> tuple[str, ...]:
        """What makes up a row."""
        return self.holdout.columns

    def over(self, views: Sequence[Collection[str]]) -> list[frozenset[bytes]]:
        """The rows' digests over some of their columns alone."""
        return [_as_bytes(rows) for rows in self.holdout.partial_digests(views)]


class NoDriverError(Exception):
    """Nothing that is installed reaches the address of sealed rows."""


class NoAddressError(Exception):
    """The address of sealed rows does not answer, or not to these credentials."""


class NoFormError(Exception):
    """Sealed rows are not as mlbot.yaml says."""


def open_rows(rule: Rule, address: str) -> SealedRows:
    """Read sealed rows as the holdout is read.

    Raises:
        NoDriverError: the package of their protocol is not installed.
        NoAddressError: they cannot be fetched.
        NoFormError: they are no such rows.
    """
    from mlbot.ml.content import content_digest
    from mlbot.ml.holdout import open_holdout, open_source

    copies: dict[str, Source] = {}
    model = rule.model
    try:
        open_source(address, copies)
    except MissingDriverError:
        raise NoDriverError from None
    except Exception:  # noqa: BLE001 - fsspec's back ends raise errors of many libraries, and none is repeated
        raise NoAddressError from None
    data = model.data.model_copy(update={"holdout": address})
    train = training_data(model, rule.folder)
    found = open_holdout(address, data, model.task, (), copies=copies, train=train, any_kind=not model.is_onnx)
    if isinstance(found, Problem):
        raise NoFormError
    rows = found.row_digests()
    return SealedRows(
        holdout=found,
        whole=content_digest(rows),
        rows=_as_bytes(rows),
    )


def _as_bytes(rows: "Iterable[np.uint64]") -> frozenset[bytes]:
    return frozenset(int(row).to_bytes(8, "big") for row in rows)


def is_passed(
    rule: Rule, files: Sequence[Path], rows: SealedRows, gates: Sequence[tuple[Gate, Metric]], refused: int
) -> bool:
    """Whether every gate is shown: of the candidate's file, then the baseline's if there is one.

    All is scored and measured in the order of mlbot.yaml whatever comes out, so that time does not tell what did. A
    file that cannot be scored shows nothing.
    """
    from mlbot.judging.run_measure import MetricPlan
    from mlbot.ml.custom_metrics import load_metrics
    from mlbot.stats.sealed import Question, is_shown

    scored = ask(rule, files, rows.holdout, progress=lambda _text: None)
    metrics = tuple(dict.fromkeys(metric for _, metric in gates))
    custom = load_metrics(metrics, rule.folder, rows.holdout.values, weighted=rows.holdout.weights is not None)
    if isinstance(custom, Problem):  # of the guarded branch's code, whatever the files are
        return False
    plan = MetricPlan(task=rule.model.task, metrics=metrics, candidates=1, margins={}, custom=custom)
    both = _answered(rule.model, rows.holdout, scored)
    questions = [
        Question(gate=gate, metric=metric, found=_found(plan, metric, both if gate.bound.is_relative else both.of(0)))
        for gate, metric in gates
    ]
    shown = is_shown(questions, refused=refused)
    return shown and not any(isinstance(each, Problem) for each in scored)


def _found(plan: "MetricPlan", metric: Metric, rows: "Rows") -> "Estimate | UndefinedMetricError":
    """A metric; whatever goes wrong in it is its own, so that the ones after it are measured too."""
    from mlbot.judging.run_measure import estimated
    from mlbot.stats.types import Undefined, UndefinedMetricError

    try:
        return estimated(plan, metric, rows)
    except (Exception, SystemExit):  # noqa: BLE001 - what it says may name rows
        return UndefinedMetricError(Undefined.METRIC_RAISED, "")


def _answered(model: Model, holdout: "HoldoutData", scored: "Sequence[Scored | Problem]") -> "Rows":
    """The rows with answers to measure: in the place of a file's that has none, the other's, or made-up ones."""
    from mlbot.stats import standins

    there = [each for each in scored if not isinstance(each, Problem)]
    if there:
        return rows_of(holdout, [there[0] if isinstance(each, Problem) else each for each in scored])
    rows = rows_of(holdout, [])
    labelled = standins.Rows(
        task=model.task,
        labels=rows.labels,
        classes=len(rows.classes),
        quantiles=() if rows.series is None else rows.series.quantiles,
    )
    made = standins.answers(labelled, standins.Assumed(skill=1.0, of_seed=0.1, of_recipe=0.1), 1)[: len(scored)]
    decided = tuple(standins.decided(labelled, each) for each in made) if model.task.is_classification else ()
    return replace(rows, predictions=made, decided=decided)


@contextmanager
def silenced() -> Iterator[None]:
    """Nothing is written to this process's output while it lasts, by no library and no metric of one's own."""
    _flush()
    outputs = [os.dup(number) for number in (1, 2)]
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        try:
            for number in (1, 2):
                os.dup2(nowhere.fileno(), number)
            with redirect_stdout(nowhere), redirect_stderr(nowhere), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        finally:
            _flush()  # what was written behind the redirection goes nowhere too
            for number, old in zip((1, 2), outputs, strict=True):
                os.dup2(old, number)
                os.close(old)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        if stream is not None and not stream.closed:
            stream.flush()


def rule_on(rule: Rule, gates: Sequence[tuple[Gate, Metric]]) -> Rule:
    """The rule without what is not asked of sealed rows: no slice is read."""
    metrics = tuple(dict.fromkeys(metric for _, metric in gates))
    return replace(rule, model=rule.model.model_copy(update={"metrics": metrics, "slices": ()}))
