"""Shadow replay: whose answers change, by class and beyond what numbers may differ, and when nothing can be said."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import polars as pl
import pytest
from tests.support import config_samples
from tests.support.onnx_samples import columns, matrix
from tests.support.predicting import ask as predict_by

from mlbot.config.predict import Predict
from mlbot.errors import NotEvaluatedError
from mlbot.gates.metric import Task
from mlbot.ml.golden import make_golden
from mlbot.ml.holdout import HoldoutData
from mlbot.ml.requests import Recorded, Request
from mlbot.ml.scoring import Limits, Scored
from mlbot.ml.shadow import Version, replay
from mlbot.protocol.golden import Flip, Replay
from mlbot.verdict.verdict import Problem

RNG = np.random.default_rng(0)
ROWS = 200
B, C = RNG.normal(size=ROWS).tolist(), RNG.integers(0, 9, ROWS).tolist()
QUICK = Limits(latency_requests=5, latency_s=0.1, wall_s=60, asked_rows=0, gaps=True)
LOG = Recorded(requests=tuple(Request(line=str(at + 1), values={"b": B[at], "c": C[at]}) for at in range(ROWS)))


def version(folder: Path, model: onnx.ModelProto, task: Task = Task.BINARY, **more: Any) -> Version:
    """A version with golden requests of its own."""
    folder.mkdir()
    labels: list[Any] = B if task is Task.REGRESSION else ["yes" if at % 3 else "no" for at in range(ROWS)]
    pl.DataFrame({"b": B, "c": C, "y": labels}).write_parquet(folder / "holdout.parquet")
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    data = {"train": None, "holdout": "holdout.parquet", "target": "y"}
    config = config_samples.model("m", data=data).model_copy(update={"task": task})
    golden = make_golden(folder / "model.onnx", config, folder, 20)
    return Version(name=folder.name, file=folder / "model.onnx", golden=golden, **more)


def positive(weight: float, bias: float = 0.0) -> set[int]:
    return {at + 1 for at in range(ROWS) if weight * B[at] + bias > 0}


def asked(live: Version, new: Version, recorded: Recorded = LOG) -> Replay:
    return replay(live, new, recorded, limits=QUICK)


def test_changed_classes_are_counted_by_line_and_flip(tmp_path: Path) -> None:
    live = version(tmp_path / "live", columns({"b": 1.0}))
    found = asked(live, version(tmp_path / "new", columns({"b": 1.0, "c": 0.2})))
    after = {at + 1 for at in range(ROWS) if B[at] + 0.2 * C[at] > 0}
    flipped = sorted(positive(1.0) ^ after)
    assert (found.requests, found.unfit, found.changed) == (ROWS, 0, len(flipped))
    assert found.lines == tuple(map(str, flipped[:20]))
    assert found.flips == (Flip(before="no", after="yes", rows=len(flipped)),)
    assert found.share == len(flipped) / ROWS
    assert all(each is not None and each.p50_ms > 0 for each in found.latency)


def test_probabilities_may_move_while_the_class_stays(tmp_path: Path) -> None:
    live = version(tmp_path / "live", columns({"b": 1.0}))
    assert asked(live, version(tmp_path / "new", columns({"b": 2.0}))).changed == 0
    other = version(tmp_path / "other", columns({"b": 1.0}), threshold=0.9)
    found = asked(live, other)
    assert 0 < found.changed < ROWS
    assert found.flips == (Flip(before="yes", after="no", rows=found.changed),)


def test_classes_are_compared_by_their_names(tmp_path: Path) -> None:
    weights = RNG.normal(size=(2, 2))
    live = version(tmp_path / "live", matrix(weights, metadata={"classes": '["no", "yes"]'}), Task.MULTICLASS)
    turned = matrix(weights[:, ::-1], metadata={"mlbot.classes": '["yes", "no"]'})
    found = asked(live, version(tmp_path / "new", turned, Task.MULTICLASS))
    assert (found.changed, found.flips) == (0, ())


@pytest.mark.parametrize(("factor", "changed"), [(1.0 + 1e-7, 0), (1.01, 0), (3.0, 1)])
def test_numbers_change_beyond_tolerance_and_spread(tmp_path: Path, factor: float, changed: int) -> None:
    live = version(tmp_path / "live", columns({"b": 7.0}, last="Identity"), Task.REGRESSION)
    found = asked(live, version(tmp_path / "new", columns({"b": 7.0 * factor}, last="Identity"), Task.REGRESSION))
    wanted = np.quantile(np.array(live.golden.predictions), (0.75, 0.25))
    assert found.spread == pytest.approx(float(wanted[0] - wanted[1]))
    assert bool(found.changed) is bool(changed)


def test_strangers_extreme_requests_do_not_widen_the_spread(tmp_path: Path) -> None:
    live = version(tmp_path / "live", columns({"b": 7.0}, last="Identity"), Task.REGRESSION)
    new = version(tmp_path / "new", columns({"b": 21.0}, last="Identity"), Task.REGRESSION)
    extreme = tuple(Request(line=str(ROWS + at), values={"b": 1e30 * at, "c": 1}) for at in range(1, ROWS))
    found = asked(live, new, Recorded(requests=(*LOG.requests, *extreme)))
    assert found.changed == asked(live, new).changed + len(extreme)


def test_requests_without_an_answer_are_changed_where_only_one_has_none(tmp_path: Path) -> None:
    live = version(tmp_path / "live", columns({"b": 1.0}))
    new = version(tmp_path / "new", columns({"b": 1.0, "c": 0.0}))
    odd = tuple(Request(line=str(900 + at), values={"b": None, "c": 1}) for at in range(3))
    found = asked(live, new, Recorded(requests=(*LOG.requests, *odd)))
    assert (found.requests, found.changed, found.unanswered) == (ROWS + 3, 0, (3, 3))
    gone = version(tmp_path / "gone", columns({"c": 1.0}))
    found = asked(live, gone, Recorded(requests=(*LOG.requests, *odd)))
    assert found.unanswered == (3, 0)
    assert asked(live, gone).changed + 3 == found.changed


def test_what_does_not_fit_is_left_out_up_to_a_half(tmp_path: Path) -> None:
    live, new = (version(tmp_path / name, columns({"b": 1.0, "c": 0.1})) for name in ("live", "new"))
    junk = tuple(Request(line=str(900 + at), values={"b": "secret words", "c": 1}) for at in range(ROWS))
    found = asked(live, new, Recorded(requests=(*LOG.requests, *junk)))
    assert (found.requests, found.unfit, found.changed) == (ROWS, ROWS, 0)
    with pytest.raises(NotEvaluatedError, match="201 of 401") as raised:
        asked(live, new, Recorded(requests=(*LOG.requests, *junk), unreadable=1))
    assert "secret" not in str(raised.value)


def test_a_column_that_only_one_model_needs_may_be_missing_in_the_log(tmp_path: Path) -> None:
    live, new = (version(tmp_path / name, columns({"b": 1.0})) for name in ("live", "new"))
    only = Recorded(requests=tuple(Request(line=each.line, values={"b": each.values["b"]}) for each in LOG.requests))
    assert asked(live, new, only).changed == 0
    needs = version(tmp_path / "needs", columns({"b": 1.0, "c": 0.1}))
    with pytest.raises(NotEvaluatedError, match=r"needs does not answer the recorded requests \(model-inputs\)"):
        asked(live, needs, only)
    nothing = Recorded(requests=(Request(line="1", values={"x": 1}),))
    with pytest.raises(NotEvaluatedError, match="do not fit"):
        asked(live, new, nothing)


def test_other_bytes_than_the_released_ones_are_not_compared(tmp_path: Path) -> None:
    live, new = (version(tmp_path / name, columns({"b": 1.0})) for name in ("live", "new"))
    new.file.write_bytes(columns({"b": 2.0}).SerializeToString())
    with pytest.raises(NotEvaluatedError, match="other ones than were released"):
        asked(live, new)


def test_a_class_and_a_number_are_not_compared(tmp_path: Path) -> None:
    live = version(tmp_path / "live", columns({"b": 1.0}))
    new = version(tmp_path / "new", columns({"b": 1.0}, last="Identity"), Task.REGRESSION)
    with pytest.raises(NotEvaluatedError, match="in other forms"):
        asked(live, new)


def test_no_value_of_a_request_is_in_what_is_reported(tmp_path: Path) -> None:
    live = version(tmp_path / "live", columns({"b": 1.0}))
    found = asked(live, version(tmp_path / "new", columns({"c": 1.0})))
    assert set(json.loads(found.model_dump_json())) == set(Replay.model_fields)
    assert not any(str(value)[:6] in found.model_dump_json() for value in B)


def test_a_predictor_answers_recorded_requests_too(tmp_path: Path) -> None:
    frame = pl.DataFrame({"b": B, "c": C, "y": ["yes" if at % 3 else "no" for at in range(ROWS)]})
    frame.write_parquet(tmp_path / "holdout.parquet")
    config = config_samples.model("m", data={"train": None, "holdout": "holdout.parquet", "target": "y"})
    config = config.model_copy(update={"predict": Predict(run="make")})

    def made(name: str, weight: float) -> Version:
        def answers(rows: pl.DataFrame) -> pl.DataFrame:
            return rows.select("row_id", (1 / (1 + (-pl.col("b") - weight * pl.col("c")).exp())).alias("p:yes"))

        def asking(_path: Path, holdout: HoldoutData) -> Scored | Problem:
            return predict_by(answers, holdout, tmp_path)[0]

        return Version(name=name, file=tmp_path, golden=make_golden(tmp_path, config, tmp_path, 20, asking), ask=asking)

    found = asked(made("live", 0.0), made("new", 0.2))
    flipped = positive(1.0) ^ {at + 1 for at in range(ROWS) if B[at] + 0.2 * C[at] > 0}
    assert (found.requests, found.changed, found.latency) == (ROWS, len(flipped), (None, None))
