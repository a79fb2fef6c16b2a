"""A training by `entrypoint`: calls the user's function, and makes an ONNX file of the estimator that it returns.

The training's own Python runs this file: `python export.py SPEC`, with the checkout as working folder. So it imports
nothing of mlbot, asks for Python 3.9 and for packages of any age, and whatever it writes is a training's word.

Trained on a data frame (of polars or pandas), the file has one input a column, `[N, 1]`, named as the column: text for
text, float for numbers and booleans. Trained on an array, it has one float input `X`, `[N, F]`. A classifier gives
`label` `[N]` and `probabilities` `[N, C]`, a regressor `variable` `[N, 1]`.

ONNX text cannot be missing: **missing text is the empty string**, so training has to see `""` too. Missing numbers are
NaN.
"""

from __future__ import annotations

import contextlib
import copy
import csv
import importlib
import importlib.util
import io
import json
import math
import os
import re
import sys
import warnings
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from types import TracebackType

    import onnx
    from numpy.typing import NDArray

_SAMPLE_ROWS = 2_000
_NOTABLE_LABELS = 0.01
NEEDED = "skl2onnx onnxruntime 'protobuf<7'"
"""What has to be in the training's environment beside its own packages. The converter is tested up to protobuf 6."""


class ExportError(Exception):
    """The training cannot be made an ONNX file that predicts as it does: what is wrong, and what to do about it."""

    def __init__(self, what: str, *, hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint

    def __str__(self) -> str:
        """Both parts, a line each."""
        return f"{self.what}\n  {self.hint}" if self.hint else self.what


class NotRunError(ExportError):
    """The ONNX file does not run in the training's own runtime."""


def main(spec_path: str) -> None:
    """Train, export, and leave the ONNX file and the parity report where the spec says; or why there is none."""
    spec: dict[str, Any] = json.loads(Path(spec_path).read_text(encoding="utf-8"))
    try:
        _train(spec)
    except ExportError as error:
        Path(spec["problem"]).write_text(" ".join(str(error).split()), encoding="utf-8")
        sys.exit(f"mlbot: {error}")


def _train(spec: dict[str, Any]) -> None:
    """The user's function takes (params: dict, seed: int) and returns the fitted estimator, or (estimator, rows).

    The rows are what it was fitted on; without them the training data of the config tells the columns' types.
    """
    _require_converter()  # before hours of training, not after
    function = find(spec["entrypoint"], str(Path.cwd()))
    result = function(json.loads(Path(spec["params"]).read_text(encoding="utf-8")), spec["seed"])
    estimator, rows = result if isinstance(result, tuple) and len(result) == 2 else (result, None)
    features = spec["features"]
    if rows is None:
        rows, features = _training_rows(spec, estimator)
    exported = export(estimator, rows, features=features)
    refuse_operators(exported.model, spec["operators"])  # now, not when all seeds are trained
    _write(spec, exported)


def _require_converter() -> None:
    if importlib.util.find_spec("skl2onnx") is None:
        raise ExportError(
            f"The training's Python ({sys.executable}) has no skl2onnx, which makes the ONNX file of an entrypoint.",
            hint=f"Add it to what installs the training's packages: pip install {NEEDED}",
        )


def find(entrypoint: str, folder: str) -> Callable[[dict[str, Any], int], Any]:
    """Import `module:function` with the folder, then its `src/`, first on the path."""
    # Before what is installed: that may be the package itself, of another commit.
    sys.path[:0] = [folder, str(Path(folder, "src"))]
    module_name, _, name = entrypoint.partition(":")
    function = getattr(importlib.import_module(module_name), name, None)
    if not callable(function):
        raise ExportError(
            f"Module '{module_name}' has no function '{name}'.",
            hint="`train.entrypoint` in mlbot.yaml is `module:function`; the function takes (params, seed).",
        )
    found: Callable[[dict[str, Any], int], Any] = function
    return found


def _training_rows(spec: dict[str, Any], estimator: Any) -> tuple[Any, list[str] | None]:
    """Rows of the config's training data in the form the estimator was fitted on, and the columns of an array."""
    if spec["data"] is None:
        raise ExportError(
            "The columns' types are unknown: the config names no training data.",
            hint="Set `data.train` in mlbot.yaml, or return (estimator, the rows it was fitted on).",
        )
    table = read_table(spec)
    if hasattr(estimator, "feature_names_in_"):
        return _frame(table), None
    left_out = {spec["target"], spec["group"], *spec["drop"]}
    features = spec["features"] or [name for name in table if name not in left_out]
    missing = [name for name in features if name not in table]
    if missing:
        raise ExportError(f"{spec['data']} has no column '{missing[0]}', which `data.features` names.")
    import numpy as np

    return np.column_stack([np.asarray(table[name]) for name in features]), list(features)


def read_table(spec: dict[str, Any]) -> dict[str, list[Any]]:
    """Evenly spaced rows of a CSV or Parquet file: a column is text (missing is `""`), numbers (NaN) or booleans.

    The convention is that of `mlbot.ml.frames`, by which the judge reads, in what Python brings. `spec` says what file
    (`data`), how a CSV is written (`form`), and what columns are (`types`).
    """
    source = spec["data"]
    try:
        with _opened(source) as stream:
            parquet = stream.read(4) == b"PAR1"
            stream.seek(0)
            return _parquet_table(stream) if parquet else _csv_table(stream, spec)
    except (OSError, ValueError, csv.Error) as error:
        raise ExportError(
            f"The training data cannot be read here to tell the columns' types: {source}: {error}",
            hint="Return (estimator, the rows it was fitted on).",
        ) from error


def _opened(source: str) -> Any:
    if "://" not in source:
        return Path(source).open("rb")
    if importlib.util.find_spec("fsspec") is None:
        raise ExportError(
            f"{source} cannot be read: the training's Python has no fsspec.",
            hint="Return (estimator, the rows it was fitted on), or install fsspec and the package of its protocol.",
        )
    try:
        opened = importlib.import_module("fsspec").open(source, "rb")
    except ImportError as error:
        raise ExportError(
            f"{source} cannot be read by the training's Python: {error}",
            hint="Return (estimator, the rows it was fitted on), or install the package of its protocol there.",
        ) from error
    with opened as stream:
        return io.BytesIO(stream.read())


_INT = re.compile(r"[-+]?(\d{1,18}|[1-8]\d{18})")  # what fits into 64 bits, but for the last 2 % of 19 digits
_FLOAT = re.compile(r"[-+]?(?!\d{19,}$)((\d+\.?\d*|\.\d+)(e[-+]?\d+)?|inf|infinity)", re.IGNORECASE)
_COMMA = re.compile(r"[-+]?(\d{1,18}|\d{1,3}(\.\d{3}){1,5})(,\d+)?")
_BOOL = re.compile(r"true|false", re.IGNORECASE)
_TYPES = {"text": [], "number": [_INT, _FLOAT, _COMMA], "boolean": [_BOOL]}


class _Column:
    """What a column of a CSV can be, value by value."""

    def __init__(self, spec: dict[str, Any], name: str) -> None:
        form, kind = spec["form"], spec["types"].get(name)
        numbers = [_COMMA] if form["decimal"] == "," else [_INT, _FLOAT]
        numbers += [_COMMA] if form["decimal"] is None and form["separator"] != "," else []
        self.kinds = [*numbers, _BOOL] if kind is None else [each for each in _TYPES[kind] if each in [*numbers, _BOOL]]
        self.missing = frozenset(form["missing"])
        self.gaps, self.empty = False, True

    def add(self, value: str) -> None:
        """Take the value of one more row."""
        if value.casefold() in self.missing:
            self.gaps = True
        elif self.kinds:
            self.kinds = [kind for kind in self.kinds if kind.fullmatch(value)]
            self.empty = False

    def read(self, values: list[str]) -> list[Any]:
        """Some of the values, as what the column is."""
        kind = None if self.empty or not self.kinds else self.kinds[0]
        return values if kind is None else [self._value(value, kind) for value in values]

    def _value(self, value: str, kind: re.Pattern[str]) -> Any:
        if value.casefold() in self.missing:
            return math.nan
        if kind is _BOOL:
            return float(value.lower() == "true") if self.gaps else value.lower() == "true"
        if kind is _COMMA:
            return float(value.replace(".", "").replace(",", "."))
        return int(value) if kind is _INT and not self.gaps else float(value)


def _csv_table(stream: Any, spec: dict[str, Any]) -> dict[str, list[Any]]:
    form = spec["form"]
    quoted = {"quoting": csv.QUOTE_NONE} if form["quote"] is None else {"quotechar": form["quote"]}
    text = io.TextIOWrapper(stream, encoding=form["encoding"], newline="")
    rows: Iterator[list[str]] = csv.reader(text, delimiter=form["separator"], skipinitialspace=True, **quoted)
    names = [name.strip().lstrip("\ufeff") for name in next(rows, [])]
    columns = [_Column(spec, name) for name in names]
    picked: list[list[str]] = []
    step, at = 1, 0
    for row in rows:
        values = ["" if value.strip() in form["empty"] else value.strip() for value in row][: len(names)]
        if not any(values) and len(names) > 1:
            continue
        values += [""] * (len(names) - len(values))
        for column, value in zip(columns, values):
            column.add(value)
        if at % step == 0:
            picked.append(values)
        if len(picked) > 2 * _SAMPLE_ROWS:
            picked, step = picked[::2], 2 * step
        at += 1
    text.detach()  # whoever opened the file closes it
    return {name: columns[i].read([values[i] for values in picked]) for i, name in enumerate(names)}


def _parquet_table(stream: Any) -> dict[str, list[Any]]:
    why = "it has neither polars nor pandas"
    for library in _libraries():
        try:
            table = importlib.import_module(library).read_parquet(stream)
        except ImportError as error:
            why = f"{library}: {error}"
            continue
        step = max(1, len(table) // _SAMPLE_ROWS)
        columns = {str(name): table[name] for name in table.columns}
        lists = {name: each.tolist() if hasattr(each, "tolist") else each.to_list() for name, each in columns.items()}
        return {name: _filled(values, values[::step]) for name, values in lists.items()}
    raise ExportError(
        f"The training's Python cannot read Parquet: {why}.",
        hint="Return (estimator, the rows it was fitted on), or install pyarrow.",
    )


def _filled(every: list[Any], picked: list[Any]) -> list[Any]:
    """Values of a column without a gap: missing text is empty, a missing number NaN, as are booleans with gaps."""
    if any(isinstance(value, Decimal) for value in every):
        every, picked = _of_decimals(every, every), _of_decimals(picked, every)
    kinds = {type(value) for value in every if not _missing(value)}
    if kinds == {str}:
        return ["" if _missing(value) else value.strip() for value in picked]
    if kinds <= {bool, int} and any(map(_missing, every)):
        return [math.nan if _missing(value) else float(value) for value in picked]
    return [math.nan if _missing(value) else value for value in picked]


def _of_decimals(values: list[Any], every: Sequence[Any]) -> list[Any]:
    """Decimals without a fraction as integers, or as text where one of them has more than 64 bits; others as floats."""
    known = [value for value in every if isinstance(value, Decimal)]
    whole = all(value.as_tuple().exponent == 0 for value in known)
    kind: Any = (int if all(abs(value) < 1 << 63 for value in known) else str) if whole else float
    return [kind(value) if isinstance(value, Decimal) else value for value in values]


def _libraries() -> list[str]:
    """The data frames that this Python has, first the one that the training itself has used."""
    known = [name for name in ("pandas", "polars") if importlib.util.find_spec(name) is not None]
    return sorted(known, key=lambda name: name not in sys.modules)


def _frame(table: dict[str, list[Any]]) -> Any:
    for library in _libraries():
        return importlib.import_module(library).DataFrame(table)
    raise ExportError(
        "The estimator was fitted on named columns, and the training's Python has neither pandas nor polars.",
        hint="Return (estimator, the rows it was fitted on).",
    )


def _write(spec: dict[str, Any], exported: Exported) -> None:
    Path(spec["model"]).write_bytes(exported.model)
    parity = exported.parity
    if parity is None:
        return
    Path(spec["parity"]).write_text(json.dumps(parity._asdict()), encoding="utf-8")
    if parity.label_disagreements > parity.rows * _NOTABLE_LABELS:
        print(  # noqa: T201 - the training's log
            f"The ONNX file gives another label than the estimator for {parity.label_disagreements} of {parity.rows} "
            "rows. Forests fitted on missing numbers do (impute them first), and splits finer than float32."
        )


def name_inputs(model: onnx.ModelProto, names: Sequence[str]) -> None:
    """Rename the inputs in place, by position; any other value that has one of these (distinct) names makes way."""
    old = [value.name for value in model.graph.input]
    if len(old) != len(names):
        raise ValueError(f"{len(names)} names for {len(old)} inputs")
    mapping = {name: new for name, new in zip(old, names) if name != new}
    wanted = set(names)
    taken = wanted | set(_values(model.graph))
    for name in dict.fromkeys(_values(model.graph)):
        if name in wanted and name not in old:
            mapping[name] = _free(name, taken)
            taken.add(mapping[name])
    if mapping:
        _rename(model.graph, mapping)


def _free(name: str, taken: set[str]) -> str:
    number = 1
    while f"{name}_{number}" in taken:
        number += 1
    return f"{name}_{number}"


def _values(graph: onnx.GraphProto) -> Iterator[str]:
    for value in (*graph.input, *graph.output, *graph.initializer, *graph.value_info):
        yield value.name
    for node in graph.node:
        yield from (name for name in (*node.input, *node.output) if name)
        for inner in _inner(node):
            yield from _values(inner)


def _inner(node: Any) -> Iterator[onnx.GraphProto]:
    return (attribute.g for attribute in node.attribute if attribute.HasField("g"))


def _rename(graph: onnx.GraphProto, mapping: Mapping[str, str]) -> None:
    for value in (*graph.input, *graph.output, *graph.initializer, *graph.value_info):
        value.name = mapping.get(value.name, value.name)
    for node in graph.node:
        for ends in (node.input, node.output):
            ends[:] = [mapping.get(name, name) for name in ends]
        for inner in _inner(node):
            _rename(inner, mapping)


MATRIX_INPUT = "X"  # the name of the one input of a file that was trained on an array
_ROWS = 2_000


class Frame(Protocol):
    """What polars' and pandas' data frames have in common."""

    @property
    def columns(self) -> Any:
        """The column names in order."""

    def __getitem__(self, name: Any) -> Any:
        """One column."""


class Sample(NamedTuple):
    """Rows twice: as the estimator takes them, and as the judge feeds them to the ONNX file."""

    rows: Any  # a data frame or an array `[N, F]`
    feed: dict[str, NDArray[Any]]
    """By input: `[N, 1]` float32 or object (text) for each column, or one float32 `[N, F]`."""
    columns: tuple[str, ...] | None  # the data frame's columns; None: an array

    @property
    def text(self) -> frozenset[str]:
        """The columns that hold text."""
        return frozenset(name for name, values in self.feed.items() if values.dtype == object)


def sample_of(rows: Any, *, limit: int = _ROWS) -> Sample:
    """Evenly spaced rows of a training set: a polars or pandas frame, or an array `[N, F]` of numbers.

    Raises `ExportError` when a column is neither text nor numbers.
    """
    import numpy as np

    count = len(rows)
    picks = np.unique(np.linspace(0, count - 1, min(count, limit)).astype(np.int64)) if count else np.arange(0)
    if not hasattr(rows, "columns"):
        matrix = np.asarray(rows)[picks]
        return Sample(rows=matrix, feed={MATRIX_INPUT: matrix.astype(np.float32)}, columns=None)
    picked = rows.iloc[picks] if hasattr(rows, "iloc") else rows[picks]
    columns = tuple(str(name) for name in rows.columns)
    return Sample(rows=picked, feed=dict(_fed(picked)), columns=columns)


def _fed(rows: Frame) -> Iterator[tuple[str, NDArray[Any]]]:
    import numpy as np

    for name in rows.columns:
        values = np.asarray(rows[name])
        if values.dtype.kind in "biuf":
            yield str(name), values.astype(np.float32).reshape(-1, 1)
        elif values.dtype.kind in "OUT":
            yield str(name), _objects(str(name), values).reshape(-1, 1)
        else:
            raise _no_type(str(name), str(values.dtype))


def _objects(name: str, values: NDArray[Any]) -> NDArray[Any]:
    """A column of Python objects: text with gaps, or numbers with gaps."""
    import numpy as np

    present = [value for value in values.tolist() if not _missing(value)]
    if all(isinstance(value, str) for value in present):
        return np.array(["" if _missing(value) else value for value in values.tolist()], dtype=object)
    if any(isinstance(value, str) for value in present):
        raise _no_type(name, "text and other things")
    try:
        return np.array([math.nan if _missing(v) else float(v) for v in values.tolist()], dtype=np.float32)
    except (TypeError, ValueError):
        raise _no_type(name, type(present[0]).__name__) from None


def _missing(value: Any) -> bool:
    return value is None or type(value).__name__ == "NAType" or (isinstance(value, float) and math.isnan(value))


def _no_type(name: str, kind: str) -> ExportError:
    return ExportError(
        f"Column '{name}' holds {kind}: a model can be fed numbers, booleans and text only.",
        hint="Turn it into a number or text before fitting, or drop it.",
    )


_PROTOBUF_LIMIT = 7
_OLDEST_OPSET = 15  # what every onnxruntime since 1.10 runs
_DEEP = 12
_FIRST_LINE = 300


def convert(estimator: Any, sample: Sample, *, opset: int | None = None) -> onnx.ModelProto:
    """The estimator as an ONNX model; the same estimator always gives the same bytes."""
    from sklearn.base import is_classifier

    estimator = _with_empty_text(estimator)
    _refuse_unfaithful(estimator)
    whole = estimator if sample.columns is None or _selects_columns(estimator) else _joined(estimator, sample)
    try:
        model = _to_onnx(whole, sample, _options(whole, classifies=is_classifier(estimator)), opset)
    except ImportError as error:
        raise ExportError(f"The export to ONNX cannot start: {error}", hint=f"pip install {NEEDED}") from error
    except Exception as error:  # skl2onnx raises whatever its converters do, down to bare RuntimeError
        raise _explained(error, estimator) from error
    _without_locale(model.graph)
    name_inputs(model, list(sample.feed))
    return model


_WORDS = r"(?u)\b\w\w+\b"  # scikit-learn's own; the converter's takes single letters too
_WORDS_IN_ONNX = r"[\p{L}\p{N}_][\p{L}\p{N}_]+"


def _text_steps(estimator: Any) -> list[tuple[tuple[str, ...], Any]]:
    return [
        (path, part) for path, part in parts(estimator) if hasattr(part, "vocabulary_") and hasattr(part, "analyzer")
    ]


def _options(estimator: Any, *, classifies: bool) -> dict[Any, Any] | None:
    """What the converter is told: a tensor of probabilities, and what a word is."""
    words = [part for _, part in _text_steps(estimator) if part.analyzer == "word" and part.token_pattern == _WORDS]
    if not words:
        return {"zipmap": False} if classifies else None
    options: dict[Any, Any] = {id(part): {"tokenexp": _WORDS_IN_ONNX} for part in words}
    return {**options, id(estimator): {"zipmap": False}} if classifies else options


def _without_locale(graph: onnx.GraphProto) -> None:
    """Lower letters by no language's rules: those of a language are not on every machine, and a file has to load."""
    import onnx

    for node in graph.node:
        if node.op_type == "StringNormalizer":
            others = [each for each in node.attribute if each.name != "locale"]
            del node.attribute[:]
            node.attribute.extend([*others, onnx.helper.make_attribute("locale", "C")])
        for inner in _inner(node):
            _without_locale(inner)


def _to_onnx(estimator: Any, sample: Sample, options: dict[Any, Any] | None, opset: int | None) -> onnx.ModelProto:
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType

    types = [
        (name, StringTensorType([None, 1]) if name in sample.text else FloatTensorType([None, values.shape[1]]))
        for name, values in sample.feed.items()
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations between scikit-learn and skl2onnx are not the user's to fix
        return to_onnx(estimator, initial_types=types, options=options, name="mlbot", target_opset=opset)


def _selects_columns(estimator: Any) -> bool:
    """Whether the first thing done is to pick columns by name; skl2onnx then takes one input a column."""
    from sklearn.compose import ColumnTransformer

    if isinstance(estimator, ColumnTransformer):
        return True
    if hasattr(estimator, "best_estimator_"):
        return _selects_columns(estimator.best_estimator_)
    steps: Any = getattr(estimator, "steps", None)
    return bool(steps) and _selects_columns(steps[0][1])


def _joined(estimator: Any, sample: Sample) -> Any:
    """The estimator behind a step that joins the columns: most converters take one input only."""
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline

    if 0 < len(sample.text) < len(sample.feed):
        raise ExportError(
            f"{type(estimator).__name__} was fitted on text and numbers at once.",
            hint="Begin its pipeline with a ColumnTransformer that encodes the text columns "
            "(calibrate or stack inside that pipeline, not around it).",
        )
    join = ColumnTransformer([("columns", "passthrough", list(sample.columns or ()))]).fit(sample.rows)
    return Pipeline([("join", join), ("model", estimator)])


def parts(estimator: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The estimator and all fitted ones inside it, each with the names of the steps that lead to it."""
    known = hasattr(estimator, "get_params") or hasattr(estimator, "estimator")
    if not known or len(path) > _DEEP:
        return
    yield path, estimator
    named = [*getattr(estimator, "steps", ()), *getattr(estimator, "transformers_", ())]
    named += getattr(estimator, "transformer_list", ())
    for name, part, *_ in named:
        yield from parts(part, (*path, name))
    for attribute in ("best_estimator_", "estimator_", "final_estimator_", "regressor_", "estimator"):
        yield from parts(getattr(estimator, attribute, None), path)
    for attribute in ("estimators_", "calibrated_classifiers_"):
        several = getattr(estimator, attribute, ())
        for part in several if isinstance(several, list) else ():
            yield from parts(part, path)


def _with_empty_text(estimator: Any) -> Any:
    """The estimator as it sees the judge's rows: missing text is the empty string there, and was NaN in pandas.

    Imputers and encoders of text take the one for the other; those of numbers stay as they are.
    """
    if not any(_imputes_text(part) or _gaps(part) for _, part in parts(estimator)):
        return estimator
    marker = "" if _fills_text(estimator) else "\0"
    changed = copy.deepcopy(estimator)
    for _, part in parts(changed):
        if _imputes_text(part):
            part.missing_values = marker
        for at in _gaps(part):
            values = part.categories_[at].tolist()
            part.categories_[at] = _texts("" if _missing(value) else value for value in values)
            # what an encoder remembers of a missing category, which has a place of its own
            if isinstance(getattr(part, "_missing_indices", None), dict):
                part._missing_indices.pop(at, None)  # noqa: SLF001
    return changed


def _fills_text(estimator: Any) -> bool:
    """Whether its imputers of text fill the gaps: not where it was fitted on empty strings, which they let through."""
    everything = [part for _, part in parts(estimator)]
    known = (values.tolist() for part in everything for values in getattr(part, "categories_", ()))
    return any(map(_imputes_text, everything)) and not any("" in values for values in known)


def _as_fitted(estimator: Any, rows: Any) -> Any:
    """The rows with NaN for missing text, where the estimator knows that; only pandas has it."""
    gaps = _fills_text(estimator) or any(_gaps(part) for _, part in parts(estimator))
    if not gaps or not hasattr(rows, "columns"):
        return rows
    if not hasattr(rows, "with_columns"):
        return rows.where(rows.ne(""))
    try:
        import pandas as pd  # type: ignore[import-untyped]  # the training's own, if it has it
    except ImportError:
        return rows
    columns = {str(name): rows[name].to_list() for name in rows.columns}
    return pd.DataFrame({name: [math.nan if each == "" else each for each in found] for name, found in columns.items()})


def _imputes_text(part: Any) -> bool:
    fill = getattr(part, "statistics_", None)
    return fill is not None and hasattr(part, "missing_values") and _is_text(fill) and _missing(part.missing_values)


def _gaps(part: Any) -> list[int]:
    """The columns of a one-hot encoder that have a missing one among their categories of text.

    An ordinal encoder gives a missing one no place, so it stays refused.
    """
    columns = enumerate(getattr(part, "categories_", ())) if hasattr(part, "sparse_output") else ()
    listed = ((at, categories.tolist()) for at, categories in columns)
    return [at for at, values in listed if any(map(_missing, values)) and _is_text(values) and "" not in values]


def _is_text(values: Any) -> bool:
    """Whether all values that are not missing are text, and there are some."""
    present = [value for value in values if not _missing(value)]
    return bool(present) and all(isinstance(value, str) for value in present)


def _texts(values: Iterable[str]) -> NDArray[Any]:
    import numpy as np

    return np.array(list(values), dtype=object)


def _refuse_unfaithful(estimator: Any) -> None:
    """Refuse what skl2onnx 1.20 converts without a word into something that predicts otherwise.

    Seen with native categories of histogram gradient boosting (probabilities off by up to 0.99) and with encoders that
    were fitted on missing values (0.92).
    """
    for path, part in parts(estimator):
        if _fills_both(part):
            raise ExportError(
                f"{_step(path, part)} fills text and booleans or numbers at once, which no step in ONNX can.",
                hint="In the ColumnTransformer give the columns of text a step of their own, and the others another.",
            )
        if _has_native_categories(part):
            raise ExportError(
                f"{_step(path, part)} splits on native categories, which the converter to ONNX gets wrong.",
                hint="Set categorical_features=None; an OrdinalEncoder or OneHotEncoder before it is enough.",
            )
        for categories in getattr(part, "categories_", ()):
            if any(value is None or value != value for value in categories.tolist()):  # noqa: PLR0124 - NaN
                raise ExportError(
                    f"{_step(path, part)} was fitted on missing values, which an encoder in ONNX cannot tell.",
                    hint="Fill them in a step before it, SimpleImputer(strategy='most_frequent'); or fill text before "
                    "fitting, with the empty string (fill_null('') or fillna('')).",
                )


def _fills_both(part: Any) -> bool:
    """Whether an imputer was fitted on columns of text and on others."""
    if not hasattr(part, "missing_values"):
        return False
    kinds = {isinstance(value, str) for value in getattr(part, "statistics_", ()) if not _missing(value)}
    return len(kinds) > 1


def _has_native_categories(part: Any) -> bool:
    predictors = getattr(part, "_predictors", None)
    if not isinstance(predictors, list):
        return False
    trees = (tree for iteration in predictors for tree in iteration if hasattr(tree, "nodes"))
    return any(bool(tree.nodes["is_categorical"].any()) for tree in trees)


def _step(path: tuple[str, ...], part: Any) -> str:
    name = type(part).__name__
    return f"Step '{'.'.join(path)}' ({name})" if path else name


def _explained(error: Exception, estimator: Any) -> ExportError:
    culprit = _culprit(error.__traceback__)
    path = next((path for path, part in parts(estimator) if part is culprit), ())
    subject = type(estimator).__name__ if culprit is None else _step(path, culprit)
    reason = (str(error) or type(error).__name__).splitlines()[0][:_FIRST_LINE]
    hint = _TEXT_HINT if hasattr(culprit, "analyzer") else _hint()
    return ExportError(f"{subject} cannot be converted to ONNX: {reason}", hint=hint)


_TEXT_HINT = (
    "Of text, ONNX knows words and letters: TfidfVectorizer or CountVectorizer with analyzer='word' or 'char', and no "
    "functions of one's own."
)


def _culprit(trace: TracebackType | None) -> Any:
    """The estimator that skl2onnx was at: the innermost frame that holds one of its operators knows."""
    culprit = None
    while trace is not None:
        for name in ("operator", "self"):
            culprit = getattr(trace.tb_frame.f_locals.get(name), "raw_operator", None) or culprit
        trace = trace.tb_next
    return culprit


def _hint() -> str:
    protobuf = "0"
    with contextlib.suppress(Exception):  # whatever is wrong with a package, it is not what went wrong
        protobuf = str(importlib.import_module("google.protobuf").__version__)
    if int(protobuf.split(".", 1)[0]) >= _PROTOBUF_LIMIT:
        return f"protobuf {protobuf} is too new for skl2onnx: pip install 'protobuf<7'"
    return (
        "Use a step that skl2onnx knows (https://onnx.ai/sklearn-onnx/supported.html), or write the ONNX file "
        "yourself with `run:` in mlbot.yaml."
    )


FEATURES_KEY, CLASSES_KEY = "mlbot.features", "mlbot.classes"  # metadata: JSON lists, which the judge reads
FORMAT_KEY = "mlbot.format"  # metadata: `columns@1` (one input a column) or `matrix@1` (one input for all)


class Parity(NamedTuple):
    """How far float32 ONNX is from the estimator; `mlbot.protocol.artifacts.Parity` reads it."""

    rows: int
    max_difference: float
    mean_difference: float
    label_disagreements: int


class Exported(NamedTuple):
    """An ONNX file and how far it is from the estimator it was made of."""

    model: bytes
    parity: Parity | None  # None without rows or a runtime to compare on, or when a prediction was not finite


def export(estimator: Any, rows: Any, *, features: Sequence[str] | None = None) -> Exported:
    """Turn a fitted classifier or regressor into ONNX and compare the two; the same estimator gives the same bytes.

    `rows`: what it was fitted on, or rows of that form. `features`: of an array, the columns' names to record. Raises
    `ExportError` when it is not fitted, gives no probabilities, or a step of it cannot be converted faithfully.
    """
    _refuse_unusable(estimator)
    sample = sample_of(_as_fitted(estimator, _in_order(estimator, rows)))
    try:
        return _exported(estimator, sample, features, opset=None)
    except NotRunError:
        # An older runtime than the converter: the judge's would take the file, but it could not be compared here.
        return _exported(estimator, sample, features, opset=_OLDEST_OPSET)


def _exported(estimator: Any, sample: Sample, features: Sequence[str] | None, *, opset: int | None) -> Exported:
    model = convert(estimator, sample, opset=opset)
    names = sample.columns if sample.columns is not None else features
    _describe(model, estimator, names=names, form="matrix@1" if sample.columns is None else "columns@1")
    content: bytes = model.SerializeToString()
    parity = _parity(content, estimator, sample)
    if parity is not None:
        _refuse_other_words(estimator, parity)
    return Exported(model=content, parity=parity)


_SAME_WORDS = 1e-3


def _refuse_other_words(estimator: Any, parity: Parity) -> None:
    """Refuse what ONNX parts into other words: where numbers differ, rounding explains it; where words do, nothing."""
    steps = _text_steps(estimator)
    if steps and parity.max_difference > _SAME_WORDS:
        raise ExportError(
            f"{_step(*steps[0])} reads text otherwise in ONNX, and predictions differ by {parity.max_difference:.2g}.",
            hint="ONNX leaves no stop words out of n-grams, lowers only A to Z, and has simpler patterns: set "
            "stop_words=None, lowercase=False or token_pattern='[a-zA-Z0-9_]+'.",
        )


def refuse_operators(content: bytes, known: Mapping[str, Sequence[str] | None]) -> None:
    """Refuse a file with an operator that the judge does not load; `known`: by domain, None is all of it."""
    import onnx

    model = onnx.load_from_string(content)
    own = {(function.domain, function.name) for function in model.functions}
    for node in (*_nodes(model.graph), *(node for function in model.functions for node in function.node)):
        names = known.get(node.domain, ())
        if names is not None and node.op_type not in names and (node.domain, node.op_type) not in own:
            raise ExportError(
                f"The export needs the operator '{node.op_type}' of '{node.domain}', which the judge does not load.",
                hint=_hint(),
            )


def _nodes(graph: onnx.GraphProto) -> Iterator[Any]:
    for node in graph.node:
        yield node
        for inner in _inner(node):
            yield from _nodes(inner)


def _refuse_unusable(estimator: Any) -> None:
    from sklearn.base import is_classifier, is_regressor
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    kind = type(estimator).__name__
    if not hasattr(estimator, "fit") or not hasattr(estimator, "predict"):
        raise ExportError(
            f"The training returned {kind}, which is no scikit-learn estimator.",
            hint="Return the fitted estimator or Pipeline, or (estimator, the rows it was fitted on).",
        )
    try:
        check_is_fitted(estimator)
    except NotFittedError:
        raise ExportError(f"{kind} is not fitted.", hint="Call fit() before returning it.") from None
    if is_classifier(estimator) and not hasattr(estimator, "predict_proba"):
        raise ExportError(
            f"{kind} gives no probabilities.",
            hint="Wrap the classifier in CalibratedClassifierCV, or choose one that has predict_proba.",
        )
    if not is_classifier(estimator) and not is_regressor(estimator):
        raise ExportError(f"{kind} is neither a classifier nor a regressor.", hint="Return one of these.")


def _in_order(estimator: Any, rows: Any) -> Any:
    """The rows with just the estimator's columns, in its order; an array stays as it is."""
    names = getattr(estimator, "feature_names_in_", None)
    if names is None:
        return _matrix(estimator, rows)
    if not hasattr(rows, "columns"):
        raise ExportError("The estimator was fitted on named columns, but there are none in the rows.")
    missing = [name for name in names if name not in list(rows.columns)]
    if missing:
        raise ExportError(
            f"The estimator was fitted on a column '{missing[0]}' that the data does not have.",
            hint="Make features inside the pipeline: the judge gives the model the columns of the holdout.",
        )
    return rows[list(names)]


def _matrix(estimator: Any, rows: Any) -> Any:
    import numpy as np

    matrix = np.asarray(rows)
    width = getattr(estimator, "n_features_in_", matrix.shape[-1])
    if matrix.ndim != 2 or matrix.shape[1] != width or matrix.dtype.kind not in "biuf":
        raise ExportError(
            f"The estimator was fitted on an array of {width} numeric columns, and the rows are "
            f"{matrix.dtype} of shape {list(matrix.shape)}.",
            hint="Fit on a data frame, set `data.features`, or return (estimator, the rows it was fitted on).",
        )
    return matrix


def _describe(model: onnx.ModelProto, estimator: Any, *, names: Sequence[str] | None, form: str) -> None:
    import onnx

    facts = {FORMAT_KEY: form}
    if names is not None:
        facts[FEATURES_KEY] = json.dumps(list(names), ensure_ascii=False)
    if hasattr(estimator, "classes_") and not isinstance(estimator.classes_, list):  # a list: of several labels
        facts[CLASSES_KEY] = json.dumps([str(label) for label in estimator.classes_.tolist()], ensure_ascii=False)
    onnx.helper.set_model_props(model, facts)


def _parity(content: bytes, estimator: Any, sample: Sample) -> Parity | None:
    """How far float32 ONNX is from the estimator; single rows of tree models can differ by 0.05."""
    import numpy as np
    from sklearn.base import is_classifier

    if not len(sample.rows) or importlib.util.find_spec("onnxruntime") is None:
        return None
    outputs = _run(content, sample)
    if is_classifier(estimator):
        expected, got = _stacked(estimator.predict_proba(sample.rows), estimator), outputs[1]
        differ = _labels(estimator.predict(sample.rows)) != _labels(outputs[0])
        disagreements = int(differ.reshape(len(sample.rows), -1).any(axis=1).sum())
    else:
        expected, got, disagreements = np.asarray(estimator.predict(sample.rows)), outputs[0], 0
        if expected.ndim == 2 and expected.shape[1] > 1 and np.shape(got) != expected.shape:
            raise ExportError(
                f"The converter to ONNX makes one column of the {expected.shape[1]} of {type(estimator).__name__}.",
                hint="Give each target a model of its own: MultiOutputRegressor(...).",
            )
    difference = np.abs(np.asarray(got, dtype=np.float64).reshape(expected.shape) - expected)
    largest, mean = float(difference.max()), float(difference.mean())
    if not math.isfinite(largest):
        return None
    if expected.ndim == 3 and mean > _SAME_PROBABILITIES:
        raise ExportError(
            f"The converter to ONNX gets {type(estimator).__name__} for several labels wrong: its probabilities differ "
            f"by {mean:.2g} on average.",
            hint="Give each label a model of its own: MultiOutputClassifier(...); or use a forest.",
        )
    return Parity(
        rows=len(sample.rows), max_difference=largest, mean_difference=mean, label_disagreements=disagreements
    )


_SAME_PROBABILITIES = 0.02  # rows at the splits of trees differ by much, but they are few


def _stacked(probabilities: Any, estimator: Any) -> NDArray[Any]:
    """Probabilities as one array: (N, C), or (L, N, 2) where a row has several labels."""
    import numpy as np

    if not isinstance(probabilities, list):
        return np.asarray(probabilities)
    single = [at for at, each in enumerate(probabilities) if each.shape[1] != 2]
    if single:
        raise ExportError(
            f"Label {single[0] + 1} of {len(probabilities)} does not have both 0 and 1 in the training data, so "
            f"{type(estimator).__name__} gives no probability of it.",
            hint="Train on rows that have the label and on rows that do not, or leave the label out.",
        )
    return np.stack(probabilities)


def _run(content: bytes, sample: Sample) -> list[NDArray[Any]]:
    # It would report to its maker (`mlbot.ml.disable_telemetry`).
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only: its warnings are about the converter's leftovers
    options.intra_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        outputs: list[NDArray[Any]] = session.run(None, sample.feed)
    except Exception as error:  # onnxruntime's own exceptions have no public base
        raise NotRunError(f"The exported file does not run: {str(error).splitlines()[0]}") from error
    return outputs


def _labels(labels: Any) -> NDArray[Any]:
    """Booleans as the numbers that ONNX makes of them."""
    import numpy as np

    array = np.asarray(labels).ravel()
    return np.array([str(int(x) if isinstance(x, bool) else x) for x in array.tolist()], dtype=object)


if __name__ == "__main__":
    # The folder of this file has modules of mlbot's, which are nothing for the training to import.
    sys.path[:] = [path for path in sys.path if Path(path).absolute() != Path(__file__).absolute().parent]
    main(sys.argv[1])
