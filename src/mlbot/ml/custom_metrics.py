"""A user's own metric: `module:function`, read from the guarded branch's files.

    def profit(y_true, y_pred): ...
    def profit(y_true, y_pred, sample_weight=None): ...     # faster intervals: rows are weighted, not copied

`y_true` (n,) holds the labels as the data has them: text, whole numbers, booleans, floats. `y_pred` holds float64: of a
binary task P(positive), (n,); of a multiclass task the probabilities (n, C) in the order of `data.classes`, else of the
sorted labels; of a regression the predicted numbers, (n,). The answer is one finite number.

The code is the guarded branch's own, so it is trusted to run, but not to be right: whatever it raises or returns
instead of a number becomes the metric's error, never a pass.
"""

import importlib
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from numbers import Real
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from mlbot.gates.metric import Metric
from mlbot.gates.outcome import Reason
from mlbot.ml.holdout import LabelValue
from mlbot.ml.protocol import printable, quoted
from mlbot.stats.estimation import takes_weights
from mlbot.verdict.verdict import Problem

Array = npt.NDArray[Any]
Function = Callable[..., float]


class MetricError(Exception):
    """A user's own metric gave no finite number."""


def load_metrics(
    metrics: Sequence[Metric], folder: Path, values: Sequence[LabelValue] = (), *, weighted: bool = False
) -> Mapping[str, Function] | Problem:
    """By name the functions `(codes, predictions)` that are not the catalogue's, or why one cannot be loaded.

    A function takes `sample_weight` where the user's does, and raises `MetricError`. Modules are looked for in
    `folder`, the guarded branch's files, first. `values`: what each label code stands for; empty for numbers.
    `weighted`: rows have weights, which a function has to take.
    """
    loaded: dict[str, Function] = {}
    for metric in metrics:
        if metric.function is not None:
            function = _load(metric.function, folder)
            if isinstance(function, Problem):
                return function
            if weighted and not takes_weights(function):
                return Problem.of(Reason.METRIC_FAILED, "no-weights", metric=quoted(metric.name))
            within = partial(_importing_from, folder, metric.function.partition(":")[0])
            loaded[metric.name] = _careful(function, metric.name, within, _decoder(values))
    return loaded


def _load(spec: str, folder: Path) -> Callable[..., Any] | Problem:
    module_name, _, name = spec.partition(":")
    try:
        importlib.invalidate_caches()
        with _importing_from(folder, module_name):
            module = importlib.import_module(module_name)
            function = getattr(module, name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            return _failed(spec, f"cannot be imported: {_message(error)}.")
        return _failed(spec, f"cannot be found: the guarded branch has no module {quoted(module_name)}.")
    except AttributeError:
        return _failed(spec, f"cannot be found: {quoted(module_name)} has no function {quoted(name)}.")
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a module may raise anything while it is imported
        return _failed(spec, f"cannot be imported: {_message(error)}.")
    return function if callable(function) else _failed(spec, "is no function.")


@contextmanager
def _importing_from(folder: Path, module: str) -> Iterator[None]:
    """The folder's modules, then those of its `src/`, come first while it lasts, and are forgotten afterwards.

    Another commit's folder may have a module of the same name, and a loaded one must not stand in for it.
    """
    root, top = folder.resolve(), module.partition(".")[0]
    roots = (root, root / "src")
    own = any((each / top).is_dir() or (each / f"{top}.py").is_file() for each in roots)
    before = dict(sys.modules)
    for name in [name for name in before if name.partition(".")[0] == top] if own else ():
        del sys.modules[name]
    sys.path[:0] = map(str, roots)
    try:
        yield
    finally:
        for each in roots:
            sys.path.remove(str(each))
        for name in sys.modules.keys() - before.keys():
            if any(_is_from(each, name, sys.modules[name]) for each in roots):
                del sys.modules[name]
        sys.modules.update(before)


def _is_from(root: Path, name: str, module: ModuleType) -> bool:
    """Whether a module was found in the folder itself, rather than in an environment that lies inside the folder."""
    place = getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", ())), "")
    stem = root.joinpath(*name.split("."))
    return Path(place) in {stem.with_suffix(".py"), stem / "__init__.py", stem}


def _decoder(values: Sequence[LabelValue]) -> Callable[[Array], Array]:
    if not values:
        return lambda codes: codes
    table = np.array(values, dtype=np.object_ if isinstance(values[0], str) else None)
    return lambda codes: table[codes]


def _careful(
    function: Callable[..., Any],
    name: str,
    within: Callable[[], AbstractContextManager[None]],
    labels: Callable[[Array], Array],
) -> Function:
    """The user's function, called with real labels; all that is not a finite number becomes a `MetricError`."""

    def call(y_true: Array, y_pred: Array, **weights: Array) -> float:
        try:
            with within():  # a function may import more when it is called
                value = function(labels(y_true), y_pred, **weights)
        except (Exception, SystemExit) as error:
            raise MetricError(f"The metric {quoted(name)} failed: {_message(error)}.") from error
        return _number(value, name)

    def weighted(y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> float:
        return call(y_true, y_pred) if sample_weight is None else call(y_true, y_pred, sample_weight=sample_weight)

    def plain(y_true: Array, y_pred: Array) -> float:
        return call(y_true, y_pred)

    return weighted if takes_weights(function) else plain


def _number(value: Any, name: str) -> float:
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value.item()
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Real):
        kind = printable(type(value).__name__, 60)
        raise MetricError(f"The metric {quoted(name)} gave {kind}, not a number.")
    if not math.isfinite(value):
        raise MetricError(f"The metric {quoted(name)} gave {float(value)}, not a finite number.")
    return float(value)


def _message(error: BaseException) -> str:
    return printable(f"{type(error).__name__}: {' '.join(str(error).split())}", 300)


def _failed(spec: str, what: str) -> Problem:
    return Problem.of(Reason.METRIC_FAILED, detail=f"The metric {quoted(spec)} {what}")
