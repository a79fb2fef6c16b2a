"""Golden requests and the smoke test.

    golden = make_golden(file, model, folder, rows=50)       # at the release, where the data is
    result = smoke(fetched, golden, Smoke(requests=50, p95_ms=20))   # at each deployment, on what was read back

The file runs in the scorer's sandbox, at the deployment as at the judge, and is asked in the same ways: all requests in
one batch, in another order, in small batches and one by one; an answer that differs fails the test. Where runtime and
processor are known to be those that computed the golden predictions, the new ones have to be the same bit for bit;
elsewhere they may differ by as much as the order of float32 sums does (`TOLERANCE`).
"""

import base64
import io
import math
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl

from mlbot.config.schema import Model, Smoke
from mlbot.errors import NotEvaluatedError
from mlbot.gates.metric import Task
from mlbot.lib.record import Digest
from mlbot.lib.record import digest as digest_text
from mlbot.lib.templates import sentence
from mlbot.ml import disable_telemetry, frames, holdout
from mlbot.ml.answers import Floats
from mlbot.ml.independence import DEPENDENCES
from mlbot.ml.protocol import Expected, Feature, Kind
from mlbot.ml.scoring import Limits, Scored, score
from mlbot.protocol.golden import (
    INFINITE,
    Golden,
    GoldenColumn,
    SmokeReason,
    SmokeResult,
    Value,
    allowed_elsewhere,
    digest_of,
)
from mlbot.verdict.verdict import Holdout, Problem

_FEWEST_TIMED = 100


Ask = Callable[[Path, holdout.HoldoutData], Scored | Problem]
"""Asks a model by its predictor."""


def make_golden(file: Path, model: Model, folder: Path, rows: int, ask: Ask | None = None) -> Golden:
    """Golden requests with this file's predictions; fewer than `rows` when the data has fewer.

    The rows are evenly spaced over the holdout; over the training data where the holdout is an URL, which only the
    judge may read. Raises `NotEvaluatedError` when the data cannot be read, or none may be kept, or the file cannot be
    scored.
    """
    source, data = _open(model, folder)
    rows_of = _sample(data, rows, raw=model.predict is not None)
    made: dict[str, Any] = {}
    if model.predict is not None:
        made = {"columns": (), "table": _packed(rows_of), "tolerance": model.predict.tolerance}
    else:
        made = {"columns": tuple(_column(feature, rows_of[feature.name]) for feature in data.expected.features)}
    golden = Golden(
        model=model.name,
        digest="sha256:" + "0" * 64,
        task=model.task,
        order=data.expected.classes,
        declared=data.expected.declared,
        classes=data.record.classes,
        source=source,
        **made,
        predictions=((0.0,),) * rows_of.height,
        platform=platform_name() if ask is None else _machine(),
    )
    scored = ask(file, _requests(golden)) if ask else score(file, _requests(golden))
    if isinstance(scored, Problem):
        raise NotEvaluatedError(scored.detail, where=str(file), hint=scored.hint)
    predictions = tuple(tuple(float(value) for value in row) for row in _rows(scored.predictions))
    found: dict[str, Any] = {"digest": scored.digest, "predictions": predictions, "classes": scored.classes}
    if golden.task.has_classes and len(scored.facts.classes) > 1 and scored.facts.classes != golden.order:
        found["labels"] = scored.facts.classes
    if scored.asked is not None:
        found["platform"] = f"{scored.asked.environment}, {golden.platform}"[:_LONGEST]
    return Golden.model_validate(golden.model_copy(update=found))


def smoke(
    file: Path, golden: Golden, settings: Smoke, *, limits: Limits | None = None, ask: Ask | None = None
) -> SmokeResult:
    """Whether a file read back from a target is the judged one, loads, predicts what was judged, and fast enough."""
    if golden.table is not None and ask is None:
        return _failed(golden, SmokeReason.NOT_LOADED, sentence("deployment", "smoke/no-predictor"))
    if golden.table is not None and settings.p95_ms is not None:
        return _failed(golden, SmokeReason.NOT_MEASURED, sentence("deployment", "smoke/not-measured"))
    limits = limits or Limits(latency_requests=max(settings.requests, _FEWEST_TIMED))
    scored = ask(file, _requests(golden)) if ask else score(file, _requests(golden), limits=limits)
    if isinstance(scored, Problem):
        varies = scored.cause in DEPENDENCES
        return _failed(golden, SmokeReason.ANSWERS_VARY if varies else SmokeReason.NOT_LOADED, scored.detail)
    if scored.digest != golden.digest:
        words = sentence("deployment", "smoke/not-the-bytes", golden=golden, found=scored.digest)
        return _failed(golden, SmokeReason.NOT_THE_BYTES, words)
    return _compared(golden, scored, settings)


def platform_name() -> str:
    """The runtime and the processor, on which predictions repeat bit for bit where the processor is known."""
    disable_telemetry()
    import onnxruntime

    return f"onnxruntime {onnxruntime.__version__}, {_machine()}"[:_LONGEST]


def _machine() -> str:
    try:
        processor = processor_of(Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace"))
    except OSError:
        processor = None
    return f"{platform.system()} {platform.machine()}, {processor or _UNKNOWN}"


_LONGEST = 300
_UNKNOWN = "an unknown processor"
_NAMED = ("model name",)  # x86
_NUMBERED = ("CPU implementer", "CPU variant", "CPU part", "CPU revision")  # ARM has numbers and no name
_ABLE = ("flags", "Features")  # a hypervisor may hide some from a processor of the same name


def processor_of(cpuinfo: str) -> str | None:
    """Which processor the text of /proc/cpuinfo names, and what it can; None where it does not tell it from others.

    Several kinds of cores in one machine are none that is known: a process runs on any of them.
    """
    found: dict[str, set[str]] = {}
    for line in cpuinfo.splitlines():
        name, value = (" ".join(part.split()) for part in line.partition(":")[::2])
        found.setdefault(name, set()).add(" ".join(sorted(value.split())) if name in _ABLE else value)
    keys = _NAMED if _NAMED[0] in found else _NUMBERED
    if not all(len(found.get(key, ())) == 1 for key in keys) or any(len(found.get(key, ())) > 1 for key in _ABLE):
        return None
    able = digest_text(" ".join(value for key in _ABLE for value in found.get(key, ())))
    return f"{' '.join(value for key in keys for value in found[key])} ({able.removeprefix('sha256:')[:12]})"


def _compared(golden: Golden, scored: Scored, settings: Smoke) -> SmokeResult:
    judged, found = np.array(golden.predictions), _rows(scored.predictions)
    allowed = _allowed(golden, judged)
    apart = np.abs(judged - found) if judged.shape == found.shape else None
    difference, tolerance = None if apart is None else float(apart.max()), float(allowed.max())
    p95 = scored.latency.p95_ms if scored.latency else None
    if apart is None or not (apart <= allowed).all():
        reason, words = SmokeReason.PREDICTIONS_DIFFER, "differs"
    elif settings.p95_ms is not None and p95 is not None and p95 > settings.p95_ms:
        reason, words = SmokeReason.TOO_SLOW, "too-slow"
    else:
        reason, words = SmokeReason.AS_JUDGED, "as-judged"
    result = SmokeResult(
        passed=reason is SmokeReason.AS_JUDGED,
        reason=reason,
        detail="",
        rows=golden.rows,
        max_difference=difference,
        tolerance=tolerance,
        p95_ms=p95,
        limit_ms=settings.p95_ms,
    )
    detail = sentence("deployment", f"smoke/{words}", golden=golden, it=result)
    return result.model_copy(update={"detail": detail})


def _allowed(golden: Golden, judged: Floats) -> Floats:
    """How far each prediction may be away from the judged one."""
    here = golden.platform == platform_name() and not golden.platform.endswith(_UNKNOWN)
    if golden.tolerance is None and here:
        return np.zeros((1, 1))
    allowed = allowed_elsewhere(golden)
    return np.array([[allowed(float(value)) for value in row] for row in judged])


def _failed(golden: Golden, reason: SmokeReason, detail: str) -> SmokeResult:
    return SmokeResult(passed=False, reason=reason, detail=detail, rows=golden.rows)


def _open(model: Model, folder: Path) -> tuple[Literal["holdout", "train"], holdout.HoldoutData]:
    source: Literal["holdout", "train"] = "train" if holdout.is_url(model.data.holdout) else "holdout"
    place = model.data.holdout if source == "holdout" else model.data.train
    if place is None:
        raise NotEvaluatedError(
            f"{model.name} has no rows that may be kept as golden requests: its holdout is hidden",
            where="mlbot.yaml",
            hint="Name the training data under data.train.",
        )
    data = model.data.model_copy(update={"holdout": place})
    where = place if holdout.is_url(place) else folder / place
    opened = holdout.open_holdout(where, data, model.task, any_kind=not model.is_onnx)
    if isinstance(opened, Problem):
        raise NotEvaluatedError(opened.detail, hint=opened.hint)
    return source, opened


def _sample(data: holdout.HoldoutData, rows: int, *, raw: bool) -> pl.DataFrame:
    """Evenly spaced rows, the first and the last among them, without holding the rest."""
    wanted = np.unique(np.linspace(0, data.rows - 1, min(rows, data.rows)).round().astype(np.int64))
    if raw:
        return data.whole()[wanted]
    parts: list[pl.DataFrame] = []
    start = 0
    for batch in data.batches():
        here = wanted[(wanted >= start) & (wanted < start + batch.height)] - start
        if here.size:
            parts.append(batch[here])
        start += batch.height
    return pl.concat(parts)


def _column(feature: Feature, series: pl.Series) -> GoldenColumn:
    if feature.kind is Kind.TEXT:
        values: tuple[Value, ...] = tuple(series.cast(pl.String).fill_null("").to_list())
    elif feature.kind is Kind.OTHER:  # only of a table: mlbot asks no such model itself
        return GoldenColumn(name=feature.name, kind="float", values=(None,) * len(series))
    else:
        values = tuple(_number(value) for value in series.to_list())
    kind: Any = feature.kind.value
    return GoldenColumn(name=feature.name, kind=kind, values=values)


def columns_of(golden: Golden) -> tuple[GoldenColumn, ...]:
    """The features of golden requests as columns, also where a predictor gets them as a table.

    Values of kinds that a column has no word for (lists, dates) are missing.
    """
    if golden.table is None:
        return golden.columns
    frame = _frame(golden)
    return tuple(_column(each, frame[each.name]) for each in _features(frame))


def _packed(rows: pl.DataFrame) -> str:
    """Features as a Parquet file in base64: a predictor gets lists and missing texts as they are."""
    stream = io.BytesIO()
    rows.write_parquet(stream, compression="zstd")
    return base64.b64encode(stream.getvalue()).decode()


def _number(value: float | None) -> Value:
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else next(word for word, number in INFINITE.items() if number == value)
    return value


def _requests(golden: Golden) -> holdout.HoldoutData:
    return unlabelled(golden, _frame(golden), source="golden requests", digest=digest_of(golden))


def features_of(golden: Golden) -> tuple[tuple[Feature, ...], frozenset[str]]:
    """The features that a version is asked with, and those of them that it is known to take missing."""
    frame = _frame(golden)
    return _features(frame), frozenset(name for name in frame.columns if frame[name].null_count())


def _features(frame: pl.DataFrame) -> tuple[Feature, ...]:
    return tuple(Feature(name=name, kind=holdout.kind_of(dtype)) for name, dtype in frame.schema.items())


def unlabelled(
    golden: Golden, frame: pl.DataFrame, *, source: str, digest: Digest, **decided: Any
) -> holdout.HoldoutData:
    """Rows as the scorer takes them, for the model of golden requests; their labels are all the same.

    `decided` is how labels are: `threshold` and `label` of the config.
    """
    order, rows = golden.order, frame.height
    record = Holdout(
        source=source,
        digest=digest,
        rows=rows,
        task=golden.task,
        classes=golden.classes,
        positive=golden.classes[1] if golden.task is Task.BINARY else None,
        **decided,
    )
    return holdout.HoldoutData(
        record=record,
        labels=np.zeros((rows, len(golden.classes)) if golden.task.has_targets else rows),
        values=(),
        expected=Expected(
            task=golden.task,
            features=_features(frame),
            classes=order,
            declared=golden.declared,
            positive=record.positive if golden.table is not None else None,  # which a predictor's column is named after
        ),
        masks={},
        groups=None,
        weights=None,
        _table=frames.Table(frame=frame.lazy(), where=record.source, content=b"", as_written=frame.lazy()),
        _source=holdout.Source(path=Path(), digest=record.digest, hidden=False),
    )


def _frame(golden: Golden) -> pl.DataFrame:
    if golden.table is not None:
        return pl.read_parquet(base64.b64decode(golden.table))
    types: dict[str, Any] = {"float": pl.Float64, "boolean": pl.Boolean, "text": pl.String}
    series = []
    for column in golden.columns:
        values = [INFINITE.get(value, value) if isinstance(value, str) else value for value in column.values]
        if column.kind == "integer":
            wide = any(isinstance(value, int) and value >= 1 << 63 for value in values)
            dtype: Any = pl.UInt64 if wide else pl.Int64
        else:
            dtype = types[column.kind]
        series.append(pl.Series(column.name, list(column.values) if column.kind == "text" else values, dtype=dtype))
    return pl.DataFrame(series)


def _rows(predictions: Floats) -> Floats:
    return predictions.reshape(len(predictions), -1)
