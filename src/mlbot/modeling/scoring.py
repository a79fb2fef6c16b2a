"""Scoring untrusted model files: each in a child process of its own, all of them in one reading of the holdout.

    holdout = open_holdout(path, model.data, model.task, model.slices)
    scored = score_many(paths, holdout, limits=Limits(wall_s=300))   # Scored | Problem for each path, in order

Nothing of a model file is parsed in this process. What its child answers is checked like anything from outside.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from mlbot.core.evaluation import Problem
from mlbot.core.metric import Task
from mlbot.core.outcome import Reason
from mlbot.errors import MlbotError
from mlbot.modeling.data import HoldoutData
from mlbot.modeling.packing import pack
from mlbot.modeling.protocol import Expected, ModelFacts
from mlbot.modeling.sandbox import hidden_from_children
from mlbot.modeling.scored import Limits, Protection, Scored
from mlbot.modeling.scoring_run import Run
from mlbot.modeling.text import printable, quoted

__all__ = ["Limits", "Protection", "Scored", "inspect", "score", "score_many"]

_MOST_CELLS = 1 << 20
"""Rows times features of a batch: about 8 MB."""
_TIMED_ROWS = 4096


def score(path: Path, holdout: HoldoutData, *, limits: Limits | None = None) -> Scored | Problem:
    """Score one model file. See `score_many`."""
    return score_many((path,), holdout, limits=limits)[0]


def score_many(
    paths: Sequence[Path], holdout: HoldoutData, *, limits: Limits | None = None
) -> tuple[Scored | Problem, ...]:
    """Score model files on one holdout, which is read once for all of them.

    Args:
        paths: The files; nothing is assumed of them.
        holdout: What to score on.
        limits: What each model may use.

    Returns:
        For each path, in order, its predictions or why there are none. One model's problem is not the others'.
    """
    limits = limits or Limits()
    with hidden_from_children() as hidden, ExitStack() as stack:
        runs = [Run(path, limits, parent_hidden=hidden) for path in paths]
        _load(runs, holdout.expected, stack)
        classes = _shared_classes(holdout, runs)
        for run in _live(runs):
            run.begin(holdout, classes)
        _feed(runs, holdout, limits)
        return tuple(run.result(classes) for run in runs)


def inspect(path: Path, expected: Expected, *, limits: Limits | None = None) -> ModelFacts | Problem:
    """Check that a file is a model that fits, and that it loads, without scoring it."""
    with hidden_from_children() as hidden, ExitStack() as stack:
        run = Run(path, limits or Limits(), parent_hidden=hidden)
        _load([run], expected, stack)
        return run.problem or run.facts


def _load(runs: Sequence[Run], expected: Expected, stack: ExitStack) -> None:
    """Each file in a child of its own; the children start side by side."""
    for run in runs:
        run.start(expected, stack)
    for run in _live(runs):
        run.load()


def _live(runs: Sequence[Run]) -> Iterator[Run]:
    return (run for run in runs if run.problem is None)


def _shared_classes(holdout: HoldoutData, runs: Sequence[Run]) -> tuple[str, ...]:
    """The holdout's classes, and after them those that only models know, so that all predictions have one form."""
    known = holdout.record.classes
    if holdout.record.task is not Task.MULTICLASS:
        return known
    beside = {label for run in _live(runs) for label in run.facts.classes} - set(known)
    return (*known, *sorted(beside))


def _feed(runs: Sequence[Run], holdout: HoldoutData, limits: Limits) -> None:
    """Time each model while the others rest, then give every batch to all of them."""
    from polars.exceptions import PanicException, PolarsError

    features = holdout.expected.features
    rows = max(1, min(limits.batch_rows, _MOST_CELLS // len(features)))
    try:
        sample = pack(holdout.head(min(rows, _TIMED_ROWS)), features)
        for run in _live(runs):
            run.measure(sample)
        for batch in holdout.batches(rows):
            live = list(_live(runs))
            if not live:
                return
            packed = pack(batch, features)
            for run in live:
                run.send(packed)
            for run in live:
                run.receive()
    except (MlbotError, PolarsError, PanicException, OSError) as error:
        what = printable((str(error).strip() or type(error).__name__).splitlines()[0], 300)
        detail = f"The holdout {quoted(holdout.record.source)} can no longer be read: {what}"
        for run in _live(runs):
            run.problem = Problem(reason=Reason.HOLDOUT_UNREADABLE, detail=detail)
