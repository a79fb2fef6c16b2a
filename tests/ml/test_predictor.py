"""Predictors, good and hostile: right figures for honest ones, and for each other its own cause."""

import contextlib
import io
import re
import struct
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from tests.support.predicting import Function, ask, holdout_of

from mlbot.gates.metric import Task
from mlbot.gates.outcome import Reason
from mlbot.ml import predictor
from mlbot.ml.holdout import HoldoutData
from mlbot.ml.isolation import UNHELD, Isolation, Limits, Ran
from mlbot.ml.predictions import decode, new_ids, unfit_columns
from mlbot.ml.protocol import Refused, Wanted
from mlbot.ml.scoring import Scored
from mlbot.verdict.verdict import Problem

RNG = np.random.default_rng(0)
ROWS = 300
NUMBERS = pl.DataFrame({"a": RNG.normal(size=ROWS), "b": RNG.normal(size=ROWS), "c": RNG.integers(0, 9, ROWS)})
ZONE = pl.when(pl.col("a") > 0.5).then(pl.lit("x")).when(pl.col("b") > 0).then(pl.lit("y")).otherwise(pl.lit("z"))
WORDS = pl.when(pl.col("a") + pl.col("b") > 0).then(pl.lit("yes")).otherwise(pl.lit("no"))
LOGISTIC = LogisticRegression().fit(NUMBERS.to_numpy(), NUMBERS.select(WORDS).to_series().to_numpy())
ZONES = LogisticRegression().fit(NUMBERS.to_numpy(), NUMBERS.select(ZONE).to_series().to_numpy())
LINE = Ridge().fit(NUMBERS.to_numpy(), NUMBERS["a"].to_numpy() * 3 + 100)
X = ["a", "b", "c"]


@pytest.fixture
def binary(tmp_path: Path) -> HoldoutData:
    return holdout_of(NUMBERS.with_columns(y=WORDS, who=pl.lit("g")), tmp_path, Task.BINARY, group="who")


def good(frame: pl.DataFrame) -> pl.DataFrame:
    chances = LOGISTIC.predict_proba(frame.select(X).to_numpy())[:, 1]
    return frame.select("row_id").with_columns(pl.Series("p:yes", chances))


def but(change: Callable[[pl.DataFrame], pl.DataFrame]) -> Function:
    """The good predictor's answer, changed."""
    return lambda frame: change(good(frame))


def p(make: Callable[[pl.DataFrame, np.ndarray], np.ndarray]) -> Function:
    """The good predictor's answer with other probabilities."""
    return lambda frame: (found := good(frame)).with_columns(
        pl.Series("p:yes", np.clip(make(frame, found["p:yes"].to_numpy()), 0, 1))
    )


# --- honest ones


@pytest.mark.parametrize("form", ["parquet", "csv"])
@pytest.mark.parametrize(("ships", "rows"), [("ships", [300, 330, 150, *[1] * 8]), ("", [300, 33, 1])])
def test_gives_what_the_model_says_of_each_row(
    binary: HoldoutData, tmp_path: Path, form: str, ships: str, rows: list[int]
) -> None:
    found, calls = ask(good, binary, tmp_path, whole=bool(ships), form=form)
    assert isinstance(found, Scored)
    np.testing.assert_allclose(found.predictions, LOGISTIC.predict_proba(NUMBERS.to_numpy())[:, 1], rtol=1e-15)
    assert found.decided is not None
    assert (np.where(found.decided, "yes", "no") == LOGISTIC.predict(NUMBERS.to_numpy())).all()
    assert (found.digest, found.size_bytes, found.latency, found.own_labels) == ("sha256:" + "1" * 64, 7, None, None)
    assert [table.height for table in calls.tables] == rows


def test_several_classes_and_labels_of_its_own(tmp_path: Path) -> None:
    holdout = holdout_of(NUMBERS.with_columns(y=ZONE), tmp_path, Task.MULTICLASS, label="model")

    def zones(frame: pl.DataFrame) -> pl.DataFrame:
        chances = ZONES.predict_proba(frame.select(X).to_numpy())
        columns = {f"p:{name}": chances[:, at] for at, name in reversed([*enumerate(ZONES.classes_)])}
        return pl.DataFrame({"label": ["x"] * frame.height, **columns, "row_id": frame["row_id"]})

    found, _ = ask(zones, holdout, tmp_path)
    assert isinstance(found, Scored)
    np.testing.assert_allclose(found.predictions, ZONES.predict_proba(NUMBERS.to_numpy()), rtol=1e-12)
    assert found.decided is not None
    assert set(found.decided) == {0}
    assert found.own_labels is not None
    assert found.own_labels.differ > 100


def test_a_regression(tmp_path: Path) -> None:
    holdout = holdout_of(NUMBERS.with_columns(y=pl.col("a") * 3 + 100), tmp_path, Task.REGRESSION)
    found, _ = ask(
        lambda frame: frame.select("row_id", y=pl.Series(LINE.predict(frame.select(X).to_numpy()))), holdout, tmp_path
    )
    assert isinstance(found, Scored)
    np.testing.assert_allclose(found.predictions, LINE.predict(NUMBERS.to_numpy()))
    assert found.decided is None


@pytest.mark.parametrize(
    ("task", "setting", "columns"),
    [
        (Task.MULTILABEL, {"target": ("u", "v")}, ("p:u", "p:v")),
        (Task.MULTIOUTPUT, {"target": ("u", "v")}, ("y:u", "y:v")),
        (Task.RANKING, {"group": "who"}, ("score",)),
        (Task.FORECAST, {"time": "when"}, ("y",)),
        (Task.FORECAST, {"time": "when", "quantiles": (0.1, 0.9)}, ("y", "q:0.1", "q:0.9")),
    ],
)
def test_every_task_has_its_columns(
    tmp_path: Path, task: Task, setting: dict[str, object], columns: tuple[str, ...]
) -> None:
    flags = {name: (pl.col("a") > at).cast(pl.Int64) for at, name in enumerate("uvy")}
    rows = NUMBERS.with_columns(**flags, who=pl.col("c").cast(pl.String), when=pl.int_range(ROWS))
    holdout = holdout_of(rows, tmp_path, task, **setting)

    def answer(frame: pl.DataFrame) -> pl.DataFrame:
        squashed = 1 / (1 + (-pl.col("a")).exp())
        return frame.select("row_id", *((squashed / (at + 1)).alias(name) for at, name in enumerate(columns)))

    found, _ = ask(answer, holdout, tmp_path)
    assert isinstance(found, Scored), found
    each = (1 / (1 + np.exp(-NUMBERS["a"].to_numpy())))[:, None] / np.arange(1, len(columns) + 1)
    np.testing.assert_allclose(found.predictions.reshape(ROWS, -1), each, rtol=1e-9)
    assert (found.decided is not None) is (task is Task.MULTILABEL)


def test_labels_are_compared_as_labels(tmp_path: Path) -> None:
    holdout = holdout_of(NUMBERS.with_columns(y=(pl.col("a") > 0).cast(pl.Float64)), tmp_path, Task.BINARY)
    found, _ = ask(lambda frame: frame.select("row_id", pl.lit(0.5).alias("p:1.0")), holdout, tmp_path)
    assert isinstance(found, Scored)


def both(chances: Callable[[pl.Expr], pl.Expr]) -> Function:
    """The good predictor's answer, and beside it the other label's probability."""
    return lambda frame: good(frame).with_columns(chances(pl.col("p:yes")).alias("p:no"))


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_of_two_labels_both_may_be_there(form: str, binary: HoldoutData, tmp_path: Path) -> None:
    (alone, _), (beside, _) = (ask(each, binary, tmp_path, form=form) for each in (good, both(lambda yes: 1 - yes)))
    assert isinstance(alone, Scored)
    assert isinstance(beside, Scored)
    np.testing.assert_allclose(beside.predictions, alone.predictions)


@pytest.mark.parametrize("other", [pl.lit(0.5), pl.lit(float("nan")), pl.lit(2.0)])
def test_both_have_to_be_one_together(other: pl.Expr, binary: HoldoutData, tmp_path: Path) -> None:
    found, _ = ask(both(lambda _: other), binary, tmp_path)
    assert isinstance(found, Problem)
    assert (found.reason, found.cause) == (Reason.NOT_PROBABILITIES, "sum")


def test_float32_is_compared_as_float32_is(tmp_path: Path) -> None:
    holdout = holdout_of(NUMBERS.with_columns(y=WORDS), tmp_path, Task.BINARY, threshold=0.7)
    answer = pl.lit(0.7, dtype=pl.Float32).alias("p:yes")
    found, _ = ask(lambda frame: frame.select("row_id", answer), holdout, tmp_path)
    assert isinstance(found, Scored)
    assert found.decided is not None
    assert found.decided.all()


def test_sees_features_alone_in_their_order_and_types(tmp_path: Path) -> None:
    rows = NUMBERS.with_columns(
        y=WORDS, who=pl.lit("g"), weight=pl.lit(1.0), zip=pl.lit("007"), gap=pl.lit(None, pl.Int64)
    )
    names = ("gap", "c", "a", "zip")
    holdout = holdout_of(rows, tmp_path, Task.BINARY, group="who", weight="weight", features=names)
    _, calls = ask(lambda frame: frame.select("row_id", pl.lit(0.5).alias("p:yes")), holdout, tmp_path)
    assert all(tuple(table.columns) == ("row_id", *names) for table in calls.tables)
    assert calls.tables[0].dtypes[1:] == [pl.Int64, pl.Int64, pl.Float64, pl.String]
    assert calls.tables[0]["gap"].null_count() == ROWS


def test_ids_are_new_for_each_call_and_say_nothing_of_the_row(binary: HoldoutData, tmp_path: Path) -> None:
    _, calls = ask(good, binary, tmp_path)
    ids = [name for table in calls.tables for name in table["row_id"]]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch("[b-v]{16}", name) for name in ids)
    first, second = calls.tables[:2]
    assert first["a"].to_list() != NUMBERS["a"].to_list() != second["a"].to_list()
    assert sorted(first["a"]) == sorted(NUMBERS["a"])
    known = set(zip(*(NUMBERS[name].to_list() for name in X), strict=True))
    decoys = [row for row in second.select(X).iter_rows() if row not in known]
    assert 20 < len(decoys) <= 30


# --- hostile ones


def twice(frame: pl.DataFrame) -> pl.DataFrame:
    return pl.concat([frame[:-1], frame[:1]])


def swapped(frame: pl.DataFrame) -> pl.DataFrame:
    ids = frame["row_id"].to_list()
    return frame.with_columns(row_id=pl.Series([*ids[1:], ids[0]]))


def previous(_frame: pl.DataFrame, chances: np.ndarray) -> np.ndarray:
    """Peeks at the row before."""
    return 0.5 * chances + 0.5 * np.roll(chances, 1)


def by_id(frame: pl.DataFrame, _chances: np.ndarray) -> np.ndarray:
    return np.array([ord(name[0]) % 2 for name in frame["row_id"]], dtype=float)


def at_random(_frame: pl.DataFrame, chances: np.ndarray) -> np.ndarray:
    return chances + np.random.default_rng().normal(0, 1e-3, chances.size)


HOSTILE: dict[str, tuple[Function, Reason, str]] = {
    "fewer rows": (but(lambda f: f[:-1]), Reason.MODEL_OUTPUTS, "predictor-row-count"),
    "more rows": (but(lambda f: pl.concat([f, f[:1]])), Reason.MODEL_OUTPUTS, "predictor-row-count"),
    "no row": (but(lambda f: f[:0]), Reason.MODEL_OUTPUTS, "predictor-row-count"),
    "a row twice": (but(twice), Reason.MODEL_OUTPUTS, "predictor-ids-doubled"),
    "an id of its own": (
        but(lambda f: f.with_columns(row_id=pl.lit("b" * 16))),
        Reason.MODEL_OUTPUTS,
        "predictor-ids-unknown",
    ),
    "a long id": (
        but(lambda f: f.with_columns(row_id=pl.col("row_id") + "x")),
        Reason.MODEL_OUTPUTS,
        "predictor-ids-unknown",
    ),
    "no text as id": (
        but(lambda f: f.with_row_index("n").select(row_id="n", **{"p:yes": "p:yes"})),
        *(Reason.MODEL_OUTPUTS, "predictor-ids-no-text"),
    ),
    "no id": (but(lambda f: f.drop("row_id")), Reason.MODEL_OUTPUTS, "predictor-columns-missing"),
    "swapped ids": (but(swapped), Reason.MODEL_REFUSED, "depends-on-order"),
    "other classes": (but(lambda f: f.rename({"p:yes": "p:ja"})), Reason.MODEL_OUTPUTS, "predictor-columns-missing"),
    "one more column": (
        but(lambda f: f.with_columns(pl.lit(0).alias("__index_level_0__"))),
        Reason.MODEL_OUTPUTS,
        "predictor-columns-unknown",
    ),
    "a label's name twice": (
        but(lambda f: f.with_columns(pl.col("p:yes").alias("p: yes"))),
        Reason.MODEL_OUTPUTS,
        "predictor-columns-unknown",
    ),
    "lists": (but(lambda f: f.with_columns(pl.concat_list("p:yes"))), Reason.MODEL_OUTPUTS, "predictor-nested"),
    "structures": (
        but(lambda f: f.with_columns(pl.struct("row_id").alias("p:yes"))),
        *(Reason.MODEL_OUTPUTS, "predictor-nested"),
    ),
    "words": (
        but(lambda f: f.with_columns(pl.lit("high").alias("p:yes"))),
        *(Reason.MODEL_OUTPUTS, "predictor-not-numbers"),
    ),
    "dates": (
        but(lambda f: f.with_columns(pl.lit("2026-01-01").str.to_date().alias("p:yes"))),
        *(Reason.MODEL_OUTPUTS, "predictor-not-numbers"),
    ),
    "nulls": (
        but(lambda f: f.with_columns(pl.when(pl.col("p:yes") > 0.9).then(None).otherwise(0.5).alias("p:yes"))),
        *(Reason.MODEL_OUTPUTS, "predictor-nulls"),
    ),
    "NaN": (but(lambda f: f.with_columns(pl.lit(np.nan).alias("p:yes"))), Reason.NOT_FINITE, "rows"),
    "infinite": (but(lambda f: f.with_columns(pl.lit(np.inf).alias("p:yes"))), Reason.NOT_FINITE, "rows"),
    "logits": (but(lambda f: f.with_columns(pl.col("p:yes") * 6 - 3)), Reason.NOT_PROBABILITIES, "outside"),
    "above 1 by little": (
        but(lambda f: f.with_columns(pl.col("p:yes") * 0 + 1.00001)),
        *(Reason.NOT_PROBABILITIES, "above"),
    ),
    "the batch's mean": (p(lambda _, c: c - c.mean() + 0.5), Reason.MODEL_REFUSED, "depends-on-batch"),
    "ranks over the batch": (p(lambda _, c: c.argsort().argsort() / c.size), Reason.MODEL_REFUSED, "depends-on-batch"),
    "the batch's size": (p(lambda f, c: c if f.height == ROWS else c * 0), Reason.MODEL_REFUSED, "depends-on-batch"),
    "worse alone": (p(lambda f, c: c if f.height > 1 else 1 - c), Reason.MODEL_REFUSED, "depends-on-batch"),
    "NaN alone": (
        lambda f: good(f) if f.height > 1 else good(f).with_columns(pl.lit(np.nan).alias("p:yes")),
        Reason.MODEL_REFUSED,
        "not-finite-alone",
    ),
    "the row before": (p(previous), Reason.MODEL_REFUSED, "depends-on-order"),
    "the place": (p(lambda _, c: np.arange(c.size) / c.size), Reason.MODEL_REFUSED, "depends-on-order"),
    "the id": (p(by_id), Reason.MODEL_REFUSED, "depends-on-ids"),
    "chance": (p(at_random), Reason.MODEL_REFUSED, "answers-at-random"),
    "an order in the last digits": (
        p(lambda f, _: 0.5 + 1e-7 * np.sign(f["a"].to_numpy() - f["a"].mean())),
        Reason.MODEL_REFUSED,
        "depends-on-batch",
    ),
    "a decision in the last digits": (
        but(lambda f: f.with_columns(pl.lit(0.5 + (4e-7 if f.height == ROWS else -4e-7)).alias("p:yes"))),
        *(Reason.MODEL_REFUSED, "depends-on-batch"),
    ),
    "nothing": (lambda _: b"", Reason.MODEL_OUTPUTS, "predictor-no-answer"),
    "no table": (lambda _: b"PAR1 and more", Reason.MODEL_OUTPUTS, "predictor-no-table"),
    "a pickle": (lambda _: b"\x80\x04]\x94.", Reason.MODEL_OUTPUTS, "predictor-no-table"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_refuses(name: str, binary: HoldoutData, tmp_path: Path) -> None:
    function, reason, cause = HOSTILE[name]
    found, _ = ask(function, binary, tmp_path)
    assert isinstance(found, Problem), found
    assert (found.reason, found.cause) == (reason, cause), found.detail
    assert found.hint


def test_a_column_without_its_prefix_is_named_first_and_not_proposed(binary: HoldoutData, tmp_path: Path) -> None:
    found, _ = ask(but(lambda f: f.rename({"p:yes": "yes"})), binary, tmp_path)
    assert isinstance(found, Problem)
    assert found.detail == "predict.run did not write 'p:yes'; it wrote 'yes', 'row_id'."


@pytest.mark.parametrize("task", [Task.RANKING, Task.REGRESSION])
@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_numbers_are_compared_in_their_own_units(tmp_path: Path, task: Task, scale: float) -> None:
    rows = NUMBERS.with_columns(y=pl.col("c") if task is Task.RANKING else pl.col("a") * scale, q=pl.col("c") % 3)
    holdout = holdout_of(rows, tmp_path, task, group="q")

    def asked(sign: Callable[[pl.DataFrame], float]) -> Scored | Problem:
        def answer(frame: pl.DataFrame) -> pl.DataFrame:
            noise = np.random.default_rng().normal(0, 1e-7, frame.height)  # as float32's sums have
            values = pl.Series((frame["a"].to_numpy() * sign(frame) + noise) * scale)
            return frame.select("row_id", values.alias("score" if task is Task.RANKING else "y"))

        return ask(answer, holdout, tmp_path)[0]

    assert isinstance(asked(lambda _: 1.0), Scored)
    found = asked(lambda frame: 1.0 if frame.height == ROWS else -1.0)
    assert isinstance(found, Problem)
    assert found.cause == "depends-on-batch"


def test_of_a_ranking_the_order_is_compared_however_close_the_scores(tmp_path: Path) -> None:
    holdout = holdout_of(NUMBERS.with_columns(y=pl.col("c"), q=pl.col("c") % 3), tmp_path, Task.RANKING, group="q")
    order = (pl.col("a") - pl.col("a").mean()).sign()
    found, _ = ask(lambda frame: frame.select("row_id", score=1 + 1e-7 * order), holdout, tmp_path)
    assert isinstance(found, Problem)
    assert found.cause == "depends-on-batch"


@pytest.mark.parametrize(("task", "rounds"), [(Task.REGRESSION, True), (Task.RANKING, False)])
def test_scores_of_a_ranking_are_for_an_order_so_float32_is_fine_enough(
    tmp_path: Path, task: Task, *, rounds: bool
) -> None:
    rows = NUMBERS.with_columns(y=pl.col("c") + 1000, q=pl.col("c") % 3)
    holdout = holdout_of(rows, tmp_path, task, group="q", features=("c",))
    answer = (pl.col("c") + 1000).cast(pl.Float32).alias("score" if task is Task.RANKING else "y")
    found, _ = ask(lambda frame: frame.select("row_id", answer), holdout, tmp_path)
    assert isinstance(found, Scored), found
    assert (found.rounding is not None) is rounds


@pytest.mark.parametrize("name", ["the batch's mean", "the row before", "the id", "chance", "worse alone"])
def test_refuses_other_seeds_files_too(name: str, binary: HoldoutData, tmp_path: Path) -> None:
    function, reason, _ = HOSTILE[name]
    found, _ = ask(function, binary, tmp_path, whole=False)
    assert isinstance(found, Problem)
    assert found.reason is reason


def test_probabilities_of_a_row_sum_to_one(tmp_path: Path) -> None:
    holdout = holdout_of(NUMBERS.with_columns(y=ZONE), tmp_path, Task.MULTICLASS)
    found, _ = ask(lambda f: f.select("row_id", **{f"p:{name}": pl.lit(0.4) for name in "xyz"}), holdout, tmp_path)
    assert isinstance(found, Problem)
    assert (found.reason, found.cause) == (Reason.NOT_PROBABILITIES, "sum")


def test_labels_that_depend_on_the_batch(tmp_path: Path) -> None:
    holdout = holdout_of(NUMBERS.with_columns(y=WORDS), tmp_path, Task.BINARY, label="model")

    def labelled(frame: pl.DataFrame) -> pl.DataFrame:
        found = good(frame)
        return found.with_columns(
            label=pl.when(pl.col("p:yes") > found["p:yes"].median()).then(pl.lit("yes")).otherwise(pl.lit("no"))
        )

    found, _ = ask(labelled, holdout, tmp_path)
    assert isinstance(found, Problem)
    assert found.cause == "labels-depend-on-batch"
    unlabelled, _ = ask(good, holdout, tmp_path)
    assert isinstance(unlabelled, Problem)
    assert unlabelled.cause == "no-labels"


def test_a_feature_that_is_called_like_the_id(tmp_path: Path) -> None:
    holdout = holdout_of(NUMBERS.with_columns(y=WORDS, row_id=pl.lit(1)), tmp_path, Task.BINARY)
    found = unfit_columns(pl.concat(holdout.batches()), "parquet")
    assert found is not None
    assert found.cause == "row-id"


@pytest.mark.parametrize(
    ("in_all", "bounds", "cause"),
    [(np.inf, [60.0, 60.0, 60.0], "command"), (150.0, [60.0, 60.0, 50.0], "command-in-all"), (40.0, [40.0], None)],
)
def test_all_calls_together_have_a_bound(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, in_all: float, bounds: list[float], cause: str | None
) -> None:
    seen, now = list[float](), iter(range(0, 1000, 50))

    def ran(_call: object, *, limits: Limits, isolation: Isolation) -> Ran:
        seen.append(limits.wall_s)
        late = Problem.of(Reason.SCORING_TIMEOUT, "command", seconds=f"{limits.wall_s:g}")
        return Ran(isolation=isolation, problem=late if len(seen) == len(bounds) else None)

    monkeypatch.setattr(predictor, "run_isolated", ran)
    monkeypatch.setattr(predictor, "time", SimpleNamespace(monotonic=lambda: next(now)))
    told = list[int]()
    asking = predictor.Asking(
        predictor=predictor.Predictor(run="", code=tmp_path, limits=Limits(wall_s=60), in_all_s=in_all),
        isolation=UNHELD,
        before=lambda facts: told.append(facts.calls),
    )
    *_, found = [asking(tmp_path, tmp_path, WANTED) for _ in bounds]
    assert isinstance(found, Problem)
    assert (seen, found.cause, told) == (bounds, cause or "command-in-all", [*range(len(bounds))])
    key, seconds = ("predict.timeout", 60) if cause == "command" else ("limits.score_time", in_all)
    assert f"{seconds:g} seconds" in found.detail
    assert key in found.hint


NO_PARQUET = "ImportError: Unable to find a usable engine; tried using: 'pyarrow', 'fastparquet'."
ENDED = (Reason.SCORING_FAILED, "ended with status 1")


@pytest.mark.parametrize(
    ("reads", "log", "ended", "cause"),
    [
        ("parquet", NO_PARQUET, ENDED, "command-no-parquet"),
        ("csv", NO_PARQUET, ENDED, "command-log"),
        ("parquet", "KeyError: 'age'", ENDED, "command-log"),
        ("parquet", "Traceback", (Reason.SCORING_TIMEOUT, "took longer than the 60 seconds"), "command"),
        ("parquet", "Traceback", (Reason.SCORING_MEMORY, "needs more memory than the 4 GB"), "command"),
    ],
)
def test_the_hint_is_of_what_the_command_prints(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, reads: str, log: str, ended: tuple[Reason, str], cause: str
) -> None:
    reason, says = ended
    problem = Problem.of(reason, "command", status=1, seconds="60", memory="4 GB")
    monkeypatch.setattr(predictor, "run_isolated", lambda *_, **__: Ran(isolation=UNHELD, problem=problem, log=(log,)))
    how = predictor.Predictor(run="", code=tmp_path, format=reads)  # type: ignore[arg-type]
    for rows, asked in ((1, "asked about one row alone"), (3, "asked about 3 rows")):
        wanted = WANTED.model_copy(update={"rows": rows})
        found = predictor.Asking(predictor=how, isolation=UNHELD)(tmp_path, tmp_path, wanted)
        assert isinstance(found, Problem)
        assert found.cause == cause
        assert says in found.detail
        assert ("format: csv" in found.hint) == (cause == "command-no-parquet")
        assert (log in found.detail and asked in found.detail) == (reason is Reason.SCORING_FAILED)


# --- files that claim more than they hold

WANTED = Wanted(format="parquet", rows=3, columns=("y",))


def packed(frame: pl.DataFrame, **how: object) -> bytes:
    stream = io.BytesIO()
    frame.write_parquet(stream, **how)  # type: ignore[arg-type]
    return stream.getvalue()


PLAIN = pl.DataFrame({"row_id": new_ids(3).astype("U16"), "y": [1.0, 2.0, 3.0]})


def footed(footer: bytes) -> bytes:
    return b"PAR1" + footer + struct.pack("<I", len(footer)) + b"PAR1"


CLAIMS = {
    "a bomb": (packed(pl.DataFrame({"row_id": ["b" * 16] * 3, "y": ["0" * 3_000_000] * 3})), "predictor-claims"),
    "rows": (packed(pl.concat([PLAIN] * 9)), "predictor-row-count"),
    "columns": (packed(PLAIN.with_columns(**{f"x{at}": pl.lit(1) for at in range(80)})), "predictor-claims"),
    "a list": (packed(PLAIN.with_columns(pl.concat_list("y"))), "predictor-nested"),
    "no footer": (b"PAR1" + b"\0" * 40, "predictor-no-table"),
    "half a file": (packed(PLAIN)[: len(packed(PLAIN)) // 2], "predictor-no-table"),
    "a list without end": (footed(b"\x29\xfc" + b"\xff" * 8 + b"\x7f"), "predictor-no-table"),
    "structures in each other": (footed(b"\x1c" * 1000), "predictor-no-table"),
    "an empty footer": (footed(b"\0"), "predictor-no-table"),
    "a length beyond the file": (b"PAR1" + struct.pack("<I", 1 << 31) + b"PAR1", "predictor-no-table"),
    "a number without end": (footed(b"\x15" + b"\xff" * 30), "predictor-no-table"),
}


@pytest.mark.parametrize("name", CLAIMS)
def test_looks_at_what_a_file_claims_before_it_is_unpacked(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    content, cause = CLAIMS[name]
    monkeypatch.setattr(pl, "read_parquet", lambda *_, **__: pytest.fail("it was unpacked"))
    with pytest.raises(Refused) as caught:
        decode(content, WANTED)
    assert caught.value.cause == cause, caught.value


@pytest.mark.parametrize("how", [{}, {"compression": "snappy"}, {"row_group_size": 1}, {"statistics": False}])
def test_reads_what_libraries_write(how: dict[str, object]) -> None:
    found = decode(packed(PLAIN, **how), WANTED)
    assert found.values.ravel().tolist() == [1.0, 2.0, 3.0]
    assert found.ids.astype("U16").tolist() == PLAIN["row_id"].to_list()


def test_a_damaged_file_never_ends_in_anything_but_a_refusal() -> None:
    content, chance = bytearray(packed(PLAIN)), np.random.default_rng(1)
    for _ in range(300):
        damaged = bytearray(content)
        for at in chance.integers(0, len(content), 3):
            damaged[at] = chance.integers(256)
        with contextlib.suppress(Refused):
            decode(bytes(damaged), WANTED)
