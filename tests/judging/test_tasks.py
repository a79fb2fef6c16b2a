"""Tasks beside classes and numbers, from a config, a holdout and ONNX files to figures."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import polars as pl
import pytest
from onnx import numpy_helper
from sklearn import metrics
from tests.support.onnx_samples import matrix

from mlbot.config.run_check import Folder, read
from mlbot.judging.run_data import check_data
from mlbot.judging.run_judge import JudgeRequest, JudgeResult, Rule, judge, model_report
from mlbot.ml.plots import chart_specs
from mlbot.report.markdown import parts
from mlbot.report.page import chart_title
from mlbot.report.report import Breakdown, Side
from mlbot.report.tables import part_table
from mlbot.training.run_train import SeedRun, SeedRuns
from mlbot.verdict.decide import decide
from mlbot.verdict.verdict import Commits

Floats = npt.NDArray[np.float64]
FEATURES = ["a", "b", "c"]


def judged(folder: Path, config: str, frame: pl.DataFrame, *sides: list[onnx.ModelProto]) -> JudgeResult:
    """The candidate's seeds and the baseline's on the rows of a frame; `config` is the model's, from its task on."""
    frame.write_parquet(folder / "holdout.parquet")
    text = f"version: 1\nmodels:\n  m:\n    train: {{run: make}}\n{config}"
    (model,) = read(text.replace("data: {", "data: {holdout: holdout.parquet, features: [a, b, c], ")).models
    runs = [SeedRuns(runs=tuple(_written(folder, at, side))) for at, side in enumerate(sides)]
    request = JudgeRequest(rule=Rule(model=model, folder=folder), candidate=runs[0], baseline=runs[1])
    return judge(request, progress=lambda _: None)


def _written(folder: Path, side: int, models: list[onnx.ModelProto]) -> Iterator[SeedRun]:
    for seed, model in enumerate(models):
        file = folder / f"{side}-{seed}.onnx"
        file.write_bytes(model.SerializeToString())
        yield SeedRun(seed=seed, file=file)


def rows(count: int, seed: int = 0) -> tuple[pl.DataFrame, Floats]:
    x = np.random.default_rng(seed).normal(size=(count, 3)).astype(np.float32)
    return pl.DataFrame(dict(zip(FEATURES, x.T, strict=True))), x.astype(np.float64)


def shown(result: JudgeResult) -> Breakdown:
    """The candidate's figures part by part, which a report shows as a table and as a chart."""
    breakdown = result.curves[Side.CANDIDATE].breakdown
    assert breakdown is not None
    sha = "0" * 40
    verdict = decide(Commits(head=sha, base=sha, policy=sha, guarded="main"), [result.evidence])
    report = model_report(result, verdict.models[0])
    assert "parts" in chart_specs(report)
    assert all(f"| `{part.name}` |" in parts(report) for part in breakdown.parts)
    table = part_table(report)
    assert table is not None
    assert chart_title("parts", table) == table.title
    # A change has the places of its value.
    cells = [cell for _, _, row in table.rows for cell in row if cell.change]
    assert all(len(cell.value.partition(".")[2]) == len(cell.change.partition(".")[2]) for cell in cells)
    return breakdown


def figures(result: JudgeResult, seed: int = 0) -> dict[str, float | None]:
    """The candidate's metrics on all rows."""
    return {score.metric: score.value for score in result.evidence.candidate[seed].scores if score.slice is None}


LABELS = """
    task: multilabel
    data: {target: [spam, urgent, rare]%s}
    slices: {high: a > 0}
    metrics: [f1_micro, f1_macro, f1_samples, accuracy, hamming_loss, roc_auc_macro, average_precision_micro, log_loss]
    gates:
      f1_micro: {min: 0.5, max_regression: 0.02}
      recall_weighted@high: {min: 0.1}
      negative_flips: {max: 0.5}
"""


@pytest.mark.parametrize(("setting", "threshold"), [("", 0.5), (", threshold: 0.3", 0.3)])
def test_several_labels_are_judged_row_by_row(tmp_path: Path, setting: str, threshold: float) -> None:
    frame, x = rows(400)
    truth = np.array([[2.0, 0, 0], [0, 2, 0], [0, -1, 2]]).T
    p = 1 / (1 + np.exp(-x @ truth + [0, 0, 2]))
    y = (np.random.default_rng(1).random(p.shape) < p).astype(int)
    frame = frame.with_columns(
        pl.Series("spam", y[:, 0]), pl.Series("urgent", y[:, 1] == 1), pl.Series("rare", y[:, 2] * 1.0)
    )
    noise = np.random.default_rng(2).normal(size=(4, 3, 3))
    ours, theirs = ([matrix(truth + size * each, last="Sigmoid") for each in noise] for size in (0.9, 0.1))
    result = judged(tmp_path, LABELS % setting, frame, ours[:2], theirs[2:])
    mine, base = (1 / (1 + np.exp(-x.astype(np.float32) @ weights(model))) for model in (ours[0], theirs[2]))
    found, labels = figures(result), mine >= threshold
    assert found["f1_micro"] == pytest.approx(metrics.f1_score(y, labels, average="micro"))
    assert found["f1_samples"] == pytest.approx(metrics.f1_score(y, labels, average="samples", zero_division=0))
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(y, labels))
    assert found["roc_auc_macro"] == pytest.approx(metrics.roc_auc_score(y, mine, average="macro"))
    flips = result.evidence.flips
    assert flips is not None
    assert flips.count == int(((labels != y).any(axis=1) & ((base >= threshold) == y).all(axis=1)).sum())
    change = next(each for each in result.evidence.comparisons if (each.metric, each.slice) == ("f1_micro", None))
    assert change.low is not None
    assert change.high is not None
    assert change.change is not None
    assert change.low < change.change < 0
    assert change.high - change.low < 0.2
    found_parts = shown(result)
    assert (found_parts.by, [part.rows for part in found_parts.parts]) == ("label", y.sum(axis=0).tolist())
    assert found_parts.parts[0].values[0] == pytest.approx(metrics.f1_score(y[:, 0], labels[:, 0]), rel=1e-4)


def weights(model: onnx.ModelProto) -> Floats:
    return np.asarray(numpy_helper.to_array(model.graph.initializer[0]), np.float64)


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ([0, 1, 2, 1], "label 'urgent' is 0 or 1 in each row of a multilabel task: row 3 has 2."),
        (["no", "yes", "no", "no"], "label 'urgent' is String, not 0 or 1."),
        ([0, None, 1, 1], "target 'urgent' has no value in 1 of its rows: row 2."),
    ],
)
def test_a_label_that_is_none_is_named(tmp_path: Path, column: list[object], said: str) -> None:
    frame = rows(4)[0].with_columns(
        pl.Series("spam", [0, 1, 0, 1]), pl.Series("urgent", column), pl.Series("rare", [1, 0, 0, 0])
    )
    model = matrix(np.eye(3), last="Sigmoid")
    problem = judged(tmp_path, LABELS % "", frame, [model], [model]).evidence.problem
    assert problem is not None
    assert said in problem.detail
    assert problem.hint


NUMBERS = """
    task: multioutput
    data: {target: [width, height]}
    metrics: [rmse, r2, r2_variance_weighted, mae]
    gates: {rmse: {max: 900, max_regression: 5}}
"""


def test_several_numbers_are_judged_together(tmp_path: Path) -> None:
    frame, x = rows(300)
    truth = np.array([[1.0, 1000], [0, -500], [2, 0]])
    y = x @ truth + np.random.default_rng(1).normal(size=(300, 2)) * [0.1, 100]
    frame = frame.with_columns(pl.Series("width", y[:, 0]), pl.Series("height", y[:, 1]))
    ours, theirs = (matrix(truth * size, last="Identity") for size in (0.9, 1.0))
    result = judged(tmp_path, NUMBERS, frame, [ours], [theirs])
    found, mine = figures(result), x @ weights(ours)
    assert found["root_mean_squared_error"] == pytest.approx(metrics.root_mean_squared_error(y, mine), rel=1e-5)
    assert found["r2"] == pytest.approx(metrics.r2_score(y, mine), rel=1e-5)
    weighted = metrics.r2_score(y, mine, multioutput="variance_weighted")
    assert found["r2_variance_weighted"] == pytest.approx(weighted, rel=1e-5)
    assert [part.name for part in shown(result).parts] == ["width", "height"]
    wrong = judged(tmp_path, NUMBERS, frame, [matrix(np.eye(3), last="Identity")], [theirs]).evidence.candidate[0]
    assert wrong.problem is not None
    assert "has 3 columns, but `data.target` names 2: 'width', 'height'." in wrong.problem.detail


QUERIES = """
    task: ranking
    data: {target: relevance, group: query%s}
    slices: {high: q > 0}
    metrics: [ndcg, map, mrr, {metric: ndcg, k: 2}, recall_at_1]
    gates: {ndcg_at_3: {min: 0.2, max_regression: 0.05}, ndcg_at_2@high: {min: 0.1}}
"""


def test_the_rows_of_a_query_are_judged_together(tmp_path: Path) -> None:
    frame, x = rows(600)
    query = np.arange(600) // 4
    relevance = np.clip(np.round(x[:, 0] + np.random.default_rng(1).normal(size=600)), 0, 3)
    frame = frame.with_columns(
        pl.Series("relevance", relevance),
        pl.Series("query", query),
        pl.Series("q", query % 2),
        pl.Series("w", query % 3),
    )
    good, bad = (matrix(np.array([[1.0], [noise], [0]]), last="Identity") for noise in (0.0, 2.0))
    result = judged(tmp_path, QUERIES % "", frame, [bad, good], [good, good])
    found = figures(result, 1)
    each = np.array([metrics.ndcg_score([relevance[query == q]], [x[query == q, 0]]) for q in range(150)])
    assert found["ndcg"] == pytest.approx(each.mean(), abs=1e-6)
    assert set(found) == {"ndcg", "map", "mrr", "ndcg_at_2", "recall_at_1", "ndcg_at_3"}
    assert result.holdout is not None
    assert (result.holdout.rows, result.holdout.queries) == (600, 150)
    change = next(each for each in result.evidence.comparisons if (each.metric, each.slice) == ("ndcg_at_2", "high"))
    assert (change.support, change.rows) == (75, 300)
    assert result.evidence.flips is None
    assert [(part.name, part.rows) for part in shown(result).parts] == [("4", 150)]
    weighed = figures(judged(tmp_path, QUERIES % ", weight: w", frame, [good], [good]))
    assert weighed["ndcg"] == pytest.approx(np.average(each, weights=np.arange(150) % 3), abs=1e-6)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"relevance": [1, -1, 0, 1]}, "row 2 has -1."),
        ({"query": [1, 2, 3, 4]}, "Each query of the holdout has one row"),
        ({"relevance": [0, 0, 0, 0]}, "no row of any query is relevant"),
        ({"w": [1, 2, 1, 1]}, "weight column 'w' differs among the rows of a query ('query')"),
        ({"query": [1, None, 2, 2]}, "group column 'query' has no value in 1 of its rows"),
    ],
)
def test_what_cannot_be_ranked_is_named(tmp_path: Path, columns: dict[str, list[float]], said: str) -> None:
    plain = {"relevance": [1, 0, 0, 1], "query": [1, 1, 2, 2], "w": [1, 1, 1, 1], "q": [0, 0, 1, 1]}
    frame = rows(4)[0].with_columns(pl.Series(name, column) for name, column in (plain | columns).items())
    model = matrix(np.ones((3, 1)), last="Identity")
    problem = judged(tmp_path, QUERIES % ", weight: w", frame, [model], [model]).evidence.problem
    assert problem is not None
    assert said in problem.detail
    assert problem.hint


SERIES = """
    task: forecast
    data: {train: train.parquet, target: sales, time: month, series: shop%s}
    slices: {north: shop = 'n'}
    metrics: [mae, mase, smape, wape, rmse]
    gates: {mase: {max: 2, max_regression: 0.3}, wape@north: {max: 1}}
"""


def months(count: int) -> list[str]:
    return [f"{2000 + at // 12}-{at % 12 + 1:02d}" for at in range(count)]


def shops(folder: Path) -> tuple[pl.DataFrame, Floats]:
    """Thirty months of three shops, and twenty before them."""
    rng = np.random.default_rng(5)
    sales = 100 + rng.normal(size=(50, 3)).cumsum(axis=0) * [1, 5, 2]
    long = {"month": np.repeat(months(50), 3), "shop": np.tile(["n", "s", "w"], 50), "sales": sales.ravel()}
    whole = pl.DataFrame(long)
    whole.head(60).write_parquet(folder / "train.parquet")
    frame, x = rows(90)
    noise = x[:, 2] * 3
    held = whole.tail(90).with_columns(pl.Series("a", whole["sales"].tail(90) + noise), frame["b"], frame["c"])
    return held, np.diff(sales[:20], axis=0)


def test_a_forecast_is_judged_over_time(tmp_path: Path) -> None:
    frame, steps = shops(tmp_path)
    y, a, b = (frame[name].to_numpy().astype(np.float32).astype(float) for name in ("sales", "a", "b"))
    good, bad = (matrix(np.array([[1.0], [noise], [0]]), last="Identity") for noise in (0.0, 9.0))
    result = judged(tmp_path, SERIES % "", frame, [bad], [good])
    found, error = figures(result), np.abs(y - a - 9 * b)
    scale = np.tile(np.abs(steps).mean(axis=0), 30)
    assert found["mean_absolute_error"] == pytest.approx(error.mean(), rel=1e-5)
    assert found["mase"] == pytest.approx((error / scale).mean(), rel=1e-5)
    assert found["wape"] == pytest.approx(error.sum() / np.abs(y).sum(), rel=1e-5)
    assert found["smape"] == pytest.approx((2 * error / (np.abs(y) + np.abs(a + 9 * b))).mean(), rel=1e-5)
    change = next(each for each in result.evidence.comparisons if (each.metric, each.slice) == ("mase", None))
    assert change.change is not None
    assert change.change > 0
    assert result.evidence.problem is None
    steps_ahead = shown(result)
    assert (steps_ahead.by, len(steps_ahead.parts)) == ("horizon", 30)
    assert steps_ahead.parts[2].values[0] == pytest.approx(error[6:9].mean(), rel=1e-4)


def test_quantiles_follow_the_forecast(tmp_path: Path) -> None:
    frame, _ = shops(tmp_path)
    config = SERIES.replace("metrics: [", "metrics: [pinball_loss, wql, coverage, ") % ", quantiles: [0.1, 0.9]"
    model = matrix(np.array([[1.0, 0.97, 1.03], [0, 0, 0], [0, 0, 0]]), last="Identity")
    found = figures(judged(tmp_path, config, frame, [model], [model]))
    y, a = (frame[name].to_numpy() for name in ("sales", "a"))
    each = [metrics.mean_pinball_loss(y, a * by, alpha=level) for by, level in ((0.97, 0.1), (1.03, 0.9))]
    assert found["mean_pinball_loss"] == pytest.approx(np.mean(each), rel=1e-5)
    assert found["weighted_quantile_loss"] == pytest.approx(2 * np.mean(each) / np.abs(y).mean(), rel=1e-5)
    assert found["interval_coverage"] == pytest.approx(((a * 0.97 <= y) & (y <= a * 1.03)).mean())
    narrow = matrix(np.array([[1.0], [0], [0]]), last="Identity")
    problem = judged(tmp_path, config, frame, [narrow], [narrow]).evidence.candidate[0].problem
    assert problem is not None
    assert "has 1 column" in problem.detail


@pytest.mark.parametrize(
    ("setting", "columns", "said"),
    [
        ("", {"month": ["3/2000", "4/2000"] * 45}, "times 'month' have no order that can be read: '3/2000'"),
        ("", {"month": ["2001-01", None] * 45}, "column 'month' has no value in 45 of its rows"),
        ("", {"shop": ["n"] * 90}, "two rows of the time 2001-09 in the series n."),
        (", horizon: h", {"h": [1.5, 1.0] * 45}, "horizon 'h' is no whole number of 1 or more in 45 of its rows"),
        (", horizon: g", {"h": [1] * 90}, "lacks these columns: 'g'"),
    ],
)
def test_what_is_no_series_is_named(tmp_path: Path, setting: str, columns: dict[str, list[object]], said: str) -> None:
    frame = shops(tmp_path)[0].with_columns(pl.Series(name, column) for name, column in columns.items())
    model = matrix(np.ones((3, 1)), last="Identity")
    problem = judged(tmp_path, SERIES % setting, frame, [model], [model]).evidence.problem
    assert problem is not None
    assert said in problem.detail
    assert problem.hint


def test_a_time_may_be_forecast_from_several_origins(tmp_path: Path) -> None:
    frame, _ = shops(tmp_path)
    twice = pl.concat([frame.with_columns(h=pl.lit(1)), frame.with_columns(h=pl.lit(2))])
    model = matrix(np.array([[1.0], [0], [0]]), last="Identity")
    result = judged(tmp_path, SERIES % ", horizon: h", twice, [model], [model])
    assert result.evidence.problem is None
    scaled = figures(result)["mase"]
    assert scaled is not None
    train = pl.read_parquet(tmp_path / "train.parquet")
    pl.concat([train.with_columns(h=pl.lit(1)), train.with_columns(h=pl.lit(2))]).write_parquet(
        tmp_path / "train.parquet"
    )
    again = judged(tmp_path, SERIES % ", horizon: h", twice, [model], [model])
    assert figures(again)["mase"] == pytest.approx(scaled, rel=1e-12)


def test_a_scale_that_there_is_not_is_no_figure(tmp_path: Path) -> None:
    frame, _ = shops(tmp_path)
    model = matrix(np.array([[1.0], [0], [0]]), last="Identity")
    (tmp_path / "train.parquet").unlink()
    result = judged(tmp_path, SERIES % "", frame, [model], [model])
    score = next(each for each in result.evidence.candidate[0].scores if each.metric == "mase")
    assert score.problem is not None
    assert "give no scale" in score.problem.detail
    assert figures(result)["mean_absolute_error"] is not None


@pytest.mark.parametrize(
    ("config", "columns", "said"),
    [
        (
            LABELS % "",
            {"spam": [1, 1, 0, 0], "urgent": [1, 0, 0, 0], "rare": [0, 1, 0, 0]},
            "3 labels, 1.00 a row; urgent is the rarest, on 1 row; 2 rows have none.",
        ),
        (
            QUERIES % "",
            {"relevance": [1, 0, 0, 0], "query": [1, 1, 2, 3], "q": [1, 1, 1, 1]},
            "3 queries of 1 to 2 rows; 2 have one row, so nothing to rank; 2 have no relevant row and count 0.",
        ),
        (
            QUERIES % "",
            {"relevance": [1, 0, 0, 1], "query": [1, 1, 2, 2], "q": [1, 1, 1, 1]},
            "2 queries of 2 rows.",
        ),
        (
            SERIES % "",
            {"sales": [1, 2, 3, 4], "month": ["2024-01", "2024-02"] * 2, "shop": ["n", "n", "s", "s"]},
            "2 times, 2 series, 2 steps ahead at most; below 8 times there is no interval.",
        ),
    ],
)
def test_what_the_rows_are_is_said_before_a_training(
    tmp_path: Path, config: str, columns: dict[str, list[object]], said: str
) -> None:
    frame = rows(4)[0].with_columns(pl.Series(name, column) for name, column in columns.items())
    frame.write_parquet(tmp_path / "holdout.parquet")
    text = f"version: 1\nmodels:\n  m:\n    train: {{run: make}}\n{config}".replace("train: train.parquet, ", "")
    text = text.replace("mase, ", "").replace("mase: {max: 2, ", "wape: {max: 2, ")
    (tmp_path / "mlbot.yaml").write_text(
        text.replace("data: {", "data: {holdout: holdout.parquet, features: [a, b, c], ")
    )
    checked = check_data(Folder.of(tmp_path), ())
    assert not checked.problems
    assert f"  {said}" in checked.notes
