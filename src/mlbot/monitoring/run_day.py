"""Read one day's logs, in a process of its own.

Whoever may ask the model writes them: files that exhaust or crash what reads them cost the day, and nothing else.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from mlbot.config.data import Data
from mlbot.config.monitor import Monitor
from mlbot.config.schema import Model
from mlbot.data.sketch import FEWEST, Counts, Sketch
from mlbot.errors import MlbotError, NotEvaluatedError
from mlbot.gates.metric import Metric, Task
from mlbot.ledger.entries import LiveValue
from mlbot.lib.escape import one_line
from mlbot.lib.record import Count, Record
from mlbot.monitoring.day import at_least_five

if TYPE_CHECKING:
    from mlbot.ml.production import Joined, LogForm, RequestLog

_WALL_S = 3600


class Wanted(Record):
    """What is to be read of a day."""

    requests: tuple[str, ...]  # files on this machine
    labels: tuple[str, ...] = ()
    sketch: Sketch
    task: Task
    data: Data
    monitor: Monitor
    metrics: tuple[Metric, ...] = ()


class DayRead(Record):
    """What the logs of a day come to."""

    requests: Count = 0
    errors: Count | None = None
    counts: Counts | None = None
    labelled: Count | None = None
    labels: Counts | None = None
    live: tuple[LiveValue, ...] = ()
    unread: Count = 0  # lines that are no request
    fault: str = ""  # why it could not be read


def wanted(model: Model, sketch: Sketch, requests: Sequence[Path], labels: Sequence[Path]) -> Wanted:
    """What is to be read of a model's day."""
    if model.monitor is None:
        raise ValueError("a model without a monitor has no logs")
    metrics = tuple({each.name: each for each in model.metrics if each.function is None and not each.slices}.values())
    return Wanted(
        requests=tuple(map(str, requests)),
        labels=tuple(map(str, labels)),
        sketch=sketch,
        task=model.task,
        data=model.data,
        monitor=model.monitor,
        metrics=metrics,
    )


def read_apart(asked: Wanted) -> DayRead:
    """What `read_day` says, by a process of its own. Raises `NotEvaluatedError` where the day cannot be read."""
    command = [sys.executable, "-P", "-m", "mlbot.monitoring.run_day"]
    threads = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "2"}
    env = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "PYTHONPATH", "LANG") if name in os.environ}
    try:
        done = subprocess.run(
            command,
            input=asked.model_dump_json().encode(),
            capture_output=True,
            env=env | threads,
            timeout=_WALL_S,
            check=True,
        )
        found = DayRead.model_validate_json(done.stdout)
    except subprocess.TimeoutExpired:
        raise NotEvaluatedError(f"reading the logs took more than {_WALL_S // 60} minutes") from None
    except subprocess.CalledProcessError:
        raise NotEvaluatedError("the process that reads the logs crashed or ran out of memory") from None
    except ValidationError:
        raise NotEvaluatedError("the process that reads the logs gave no answer") from None
    if found.fault:
        raise NotEvaluatedError(found.fault)
    return found


def _main() -> None:
    """Read the day that comes in, and write what it comes to; the kernel ends this process before any other."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    asked = Wanted.model_validate_json(sys.stdin.buffer.read())
    try:
        found = read_day(asked)
    except MlbotError as error:
        found = DayRead(fault=one_line(error.what, 300))
    sys.stdout.write(found.model_dump_json())


def read_day(asked: Wanted) -> DayRead:
    """What the logs of a day come to. Raises `NotEvaluatedError` where they cannot be read."""
    from mlbot.ml.production import read_labels, read_requests

    form = _form(asked)
    log = read_requests([Path(each) for each in asked.requests], form)
    facts = {"requests": log.rows, "errors": log.errors, "counts": at_least_five(log.counts), "unread": log.unread}
    found = DayRead.model_validate(facts)
    if not asked.labels:
        return found
    joined = read_labels([Path(each) for each in asked.labels], form, asked.data.targets[0], log.answers)
    if not joined.truth.len():
        return found
    labels = at_least_five(joined.counts(asked.sketch, asked.data.targets[0]))
    live = tuple(_live(asked, form, log, joined)) if log.answers.ids else ()
    return found.model_copy(update={"labelled": joined.truth.len(), "labels": labels, "live": live})


def _form(asked: Wanted) -> "LogForm":
    from mlbot.ml.production import LogForm

    return LogForm(
        task=asked.task,
        sketch=asked.sketch,
        id=asked.monitor.id,
        prediction=asked.monitor.prediction,
        classes=_classes(asked),
        threshold=asked.data.threshold or 0.5,
        joined=bool(asked.labels),
    )


def _classes(asked: Wanted) -> tuple[str, ...]:
    """The labels in the order of the probabilities; of two the positive one is the last."""
    targets = asked.sketch.targets
    found = asked.data.classes or tuple(sorted(targets[0].values if targets else ()))
    if asked.task is Task.BINARY and asked.data.positive in found:
        return (*(each for each in found if each != asked.data.positive), asked.data.positive)
    return found


_WITH_METRICS = {Task.BINARY, Task.MULTICLASS, Task.REGRESSION}


def _live(asked: Wanted, form: "LogForm", log: "RequestLog", joined: "Joined") -> Iterator[LiveValue]:
    """The metrics of the answers whose label is known, those that have a value and an interval."""
    from mlbot.stats.estimation import estimate
    from mlbot.stats.types import UndefinedMetricError

    if asked.task not in _WITH_METRICS:
        return
    y, answers, decided = _arrays(asked.task, form, joined, labels_alone=bool(log.labels_alone))
    for metric in asked.metrics:
        try:
            found = estimate(metric.formula, asked.task, y, [answers], decided=decided, settings=metric.settings)
        except UndefinedMetricError:
            continue
        if not log.labels_alone or found.reach is not None:  # what needs a probability has no value by labels
            error = float(np.sqrt(found.covariance[0, 0]))
            if found.rows >= FEWEST and np.isfinite([found.values[0], error]).all():  # fewer would show single labels
                yield LiveValue(metric=metric.name, value=float(found.values[0]), error=error, rows=found.rows)


Arrays = tuple[npt.NDArray[Any], npt.NDArray[np.float64], "list[npt.NDArray[np.int64]] | None"]


def _arrays(task: Task, form: "LogForm", joined: "Joined", *, labels_alone: bool) -> Arrays:
    """Labels, answers and decided labels of the rows that have all of them, as the statistics take them."""
    from mlbot.ml.production import places_of

    values = joined.values
    if task is Task.REGRESSION:
        y = joined.truth.cast(float, strict=False).to_numpy().astype(np.float64)
        fits = np.isfinite(y) & np.isfinite(values[:, 0])
        return y[fits], values[fits, 0], None
    truth = places_of(joined.truth, form.classes)
    wide = max(2, len(form.classes))
    if labels_alone:
        own = values[:, 0].astype(np.int64)
        fits = (truth >= 0) & (own >= 0)
        answers = np.eye(wide)[own[fits]]
        return truth[fits], answers[:, 1] if task is Task.BINARY else answers, [own[fits]]
    fits = (truth >= 0) & np.isfinite(values).all(axis=1)
    if task is Task.BINARY:
        decided = (values[fits, 0] >= form.threshold).astype(np.int64)
        return truth[fits], values[fits, 0], [decided]
    return truth[fits], values[fits], [values[fits].argmax(axis=1)]


if __name__ == "__main__":
    _main()
