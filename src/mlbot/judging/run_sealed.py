"""Score a release on sealed rows: whether its gates are shown, and not a word besides."""

import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mlbot.gates.metric import Gate, Metric
from mlbot.judging.run_data import training_data
from mlbot.judging.run_judge import Rule, ask, rows_of
from mlbot.lib.record import Digest
from mlbot.verdict.verdict import Problem

if TYPE_CHECKING:
    from mlbot.ml.holdout import HoldoutData, Source


@dataclass(frozen=True, kw_only=True)
class SealedRows:
    """Sealed rows that were read, and that no model was asked yet."""

    holdout: "HoldoutData"
    whole: Digest  # of all rows, whatever the file's form
    rows: frozenset[bytes]  # their digests


class NoAddressError(Exception):
    """The address of sealed rows does not answer, or not to these credentials."""


class NoFormError(Exception):
    """Sealed rows are not as mlbot.yaml says."""


def open_rows(rule: Rule, address: str) -> SealedRows:
    """Read sealed rows as the holdout is read.

    Raises:
        NoAddressError: they cannot be fetched.
        NoFormError: they are no such rows.
    """
    from mlbot.ml.content import content_digest
    from mlbot.ml.holdout import open_holdout, open_source

    copies: dict[str, Source] = {}
    model = rule.model
    try:
        open_source(address, copies)
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
        rows=frozenset(int(row).to_bytes(8, "big") for row in rows),
    )


def is_passed(
    rule: Rule, files: Sequence[Path], rows: SealedRows, gates: Sequence[tuple[Gate, Metric]], refused: int
) -> bool:
    """Whether every gate is shown: of the candidate's file, then the baseline's if there is one.

    All is scored in the order of mlbot.yaml whatever comes out, so that time does not tell what did. A file that cannot
    be scored shows nothing.
    """
    from mlbot.judging.run_measure import MetricPlan, estimated
    from mlbot.ml.custom_metrics import load_metrics
    from mlbot.stats.sealed import Question, is_shown

    scored = ask(rule, files, rows.holdout, progress=lambda _text: None)
    if any(isinstance(each, Problem) for each in scored):
        return False
    metrics = tuple(dict.fromkeys(metric for _, metric in gates))
    custom = load_metrics(metrics, rule.folder, rows.holdout.values, weighted=rows.holdout.weights is not None)
    if isinstance(custom, Problem):
        return False
    plan = MetricPlan(task=rule.model.task, metrics=metrics, candidates=1, margins={}, custom=custom)
    both = rows_of(rows.holdout, [each for each in scored if not isinstance(each, Problem)])
    questions = [
        Question(
            gate=gate, metric=metric, found=estimated(plan, metric, both if gate.bound.is_relative else both.of(0))
        )
        for gate, metric in gates
    ]
    return is_shown(questions, refused=refused)


@contextmanager
def silenced() -> Iterator[None]:
    """Nothing is written to this process's output while it lasts, by no library and no metric of one's own."""
    _flush()
    kept = [os.dup(number) for number in (1, 2)]
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        try:
            for number in (1, 2):
                os.dup2(nowhere.fileno(), number)
            with redirect_stdout(nowhere), redirect_stderr(nowhere), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        finally:
            _flush()  # what was written behind the redirection goes nowhere too
            for number, old in zip((1, 2), kept, strict=True):
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
