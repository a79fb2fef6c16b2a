"""Reports of every kind, made up but consistent: their verdicts come from the real rules."""

from collections.abc import Callable, Mapping
from hashlib import sha256
from itertools import product
from typing import Any

from mlbot.core.comparison import Comparison, Flips, Method
from mlbot.core.evaluation import Evaluation, Holdout, Latency, Problem, Score
from mlbot.core.gate import Bound, Gate
from mlbot.core.judging import Evidence, decide
from mlbot.core.metric import CATALOGUE, Direction, Task
from mlbot.core.outcome import Reason
from mlbot.core.report import (
    CalibrationBin,
    Curves,
    History,
    MetricInfo,
    ModelReport,
    Notice,
    NoticeCode,
    ParamChange,
    Report,
    Side,
    SliceInfo,
)
from mlbot.core.training import Environment, Parity, Training, TrainingFailure
from mlbot.core.verdict import Commits

HEAD, BASE, POLICY = "4f1c2a9" + "d" * 33, "b07e5d3" + "1" * 33, "91ac3e8" + "5" * 33
ROWS = 16_281
VALUES: Mapping[str, float] = {
    "roc_auc": 0.9262,
    "log_loss": 0.2792,
    "f1": 0.7131,
    "accuracy": 0.8717,
    "average_precision": 0.8281,
    "brier_score_loss": 0.0887,
}
SLICES = (
    SliceInfo(name="women", where="sex = 'Female'", rows=5_421, min_rows=500),
    SliceInfo(name="under-25", where="age < 25", rows=2_744, min_rows=500),
    SliceInfo(name="self-employed", where="workclass LIKE 'Self-emp%'", rows=1_834, min_rows=500),
    SliceInfo(name="doctorate", where="education = 'Doctorate'", rows=181, min_rows=500),
)
GATES = (
    Gate(metric="roc_auc", bound=Bound.MIN, limit=0.9),
    Gate(metric="roc_auc", bound=Bound.MAX_REGRESSION, limit=0.005),
    Gate(metric="log_loss", bound=Bound.MAX, limit=0.35),
    Gate(metric="f1", slice="women", bound=Bound.MIN, limit=0.5),
    Gate(metric="negative_flips", bound=Bound.MAX, limit=0.03),
    Gate(metric="latency_p95_ms", bound=Bound.MAX, limit=20.0),
    Gate(metric="size_mb", bound=Bound.MAX, limit=50.0),
)
COMMITS = Commits(head=HEAD, base=BASE, policy=POLICY, guarded="main", behind=2)


def digest(seed: int) -> str:
    return f"sha256:{sha256(str(seed).encode()).hexdigest()}"


def evaluation(seed: int, shift: float = 0.0, slices: tuple[SliceInfo, ...] = SLICES, **changes: Any) -> Evaluation:
    fields: dict[str, Any] = {
        "digest": digest(seed + (100 if shift else 200)),
        "seed": seed,
        "size_bytes": 1_912_400 if shift else 1_804_220,
        "scores": tuple(_score(name, where, shift, seed) for where, name in product((None, *slices), VALUES)),
        "latency": Latency(
            requests=200, p50_ms=0.413, p95_ms=0.612 if shift else 0.587, batch_rows=ROWS, rows_per_s=61_200.0
        ),
    }
    return Evaluation(**(fields | changes))


def _score(metric: str, where: SliceInfo | None, shift: float, seed: int) -> Score:
    sign = -CATALOGUE[metric].direction.worse
    offset = 0.0 if where is None else -0.02 * sign * (1 + len(where.name) % 3)
    value = VALUES[metric] + sign * shift + offset + 0.0004 * ((seed * 7) % 3 - 1)
    half = 0.35 / (where.rows if where else ROWS) ** 0.5
    return Score(
        metric=metric,
        slice=where.name if where else None,
        rows=where.rows if where else ROWS,
        value=round(value, 6),
        low=round(value - half, 6),
        high=round(value + half, 6),
    )


def comparison(metric: str, gain: float, where: SliceInfo | None = None, **changes: Any) -> Comparison:
    """A comparison whose metric got better by `gain`."""
    rows = where.rows if where else ROWS
    direction = CATALOGUE[metric].direction if metric in CATALOGUE else Direction.HIGHER
    moved = -direction.worse * gain
    error = round(0.0009 * (ROWS / rows) ** 0.5, 6)
    base = VALUES.get(metric, 0.8) - (0.02 * -direction.worse * (1 + len(where.name) % 3) if where else 0.0)
    fields: dict[str, Any] = {
        "metric": metric,
        "slice": where.name if where else None,
        "direction": direction,
        "rows": rows,
        "candidate": round(base + moved, 6),
        "baseline": round(base, 6),
        "change": round(moved, 6),
        "low": round(moved - 2.02 * error, 6),
        "high": round(moved + 2.02 * error, 6),
        "standard_error": error,
        "df": 6.4,
        "method": Method.RECIPE,
        "margin": 0.005 if metric == "roc_auc" and where is None else None,
        "p_value": 0.0001 if gain < -0.007 else 0.6,
        "mde": round(0.005 + 4.04 * error, 6) if metric == "roc_auc" and where is None else None,
        "q_value": 0.001 if abs(gain) > 3 * error else 0.62,
    }
    return Comparison(**(fields | changes))


def curves(lift: float) -> Curves:
    """Smooth curves of a classifier whose ROC is the higher, the higher `lift` is."""
    grid = [round((step / 40) ** 2, 4) for step in range(41)]
    return Curves(
        roc=tuple((fpr, round(fpr ** (1 / (6 + lift)), 4)) for fpr in grid),
        precision_recall=tuple((recall, round(1 - (0.62 - lift / 40) * recall**3, 4)) for recall in grid),
        calibration=tuple(
            CalibrationBin(
                predicted=round((k + 0.5) / 10, 3),
                observed=round((k + 0.5) / 10 + (0.02 if k % 2 else -0.015) / (1 + lift), 3),
                rows=1628,
            )
            for k in range(10)
        ),
        expected_calibration_error=round(0.018 / (1 + lift), 4),
        confusion=(
            (11_710 + round(40 * lift), 725 - round(40 * lift)),
            (1_364 - round(30 * lift), 2_482 + round(30 * lift)),
        ),
    )


def training(seed: int, commit: str, **changes: Any) -> Training:
    fields: dict[str, Any] = {
        "model": "adult-income",
        "key": digest(1),
        "seed": seed,
        "digest": digest(seed + 100),
        "size_bytes": 1_912_400,
        "commit": commit,
        "data": {"data/train.csv": digest(7)},
        "params": {"learning_rate": 0.1, "max_iter": 200},
        "environment": Environment(python="3.11.9", platform="linux-x86_64", packages=digest(9)),
        "duration_s": 14.2 + seed,
        "peak_memory_bytes": 412_000_000,
        "parity": Parity(rows=ROWS, max_difference=0.00021, mean_difference=0.0000004),
    }
    return Training(**(fields | changes))


def holdout(**changes: Any) -> Holdout:
    fields: dict[str, Any] = {
        "source": "data/holdout.csv",
        "digest": digest(5),
        "rows": ROWS,
        "task": Task.BINARY,
        "classes": ("<=50K", ">50K"),
        "positive": ">50K",
        "slices": {each.name: each.rows for each in SLICES},
    }
    return Holdout(**(fields | changes))


def judged(
    *models: tuple[Evidence, dict[str, Any]], commits: Commits = COMMITS, report: Mapping[str, Any] | None = None
) -> Report:
    """The report over what was found about each model, with the verdict of the real rules."""
    verdict = decide(commits, [evidence for evidence, _ in models])
    fields: dict[str, Any] = {
        "mlbot_version": "0.1.0",
        "repository": "acme/income",
        "repository_url": "https://github.com/acme/income",
        "head_ref": "deeper-trees",
        "pull_request": 42,
        "run_url": "https://github.com/acme/income/actions/runs/7412",
        "artifact_url": "https://github.com/acme/income/actions/runs/7412/artifacts/311",
        "duration_s": 94.0,
        "verdict": verdict,
        "models": tuple(
            ModelReport(model=evidence.model, verdict=each, **rest)
            for (evidence, rest), each in zip(models, verdict.models, strict=True)
        ),
    }
    return Report(**(fields | dict(report or {})))


def adult(change: float, name: str = "adult-income", **changes: Any) -> tuple[Evidence, dict[str, Any]]:
    """Evidence on one model whose metrics all changed by `change` for the better, and the rest of its report."""
    gates = changes.pop("gates", GATES)
    candidate = tuple(evaluation(seed, change or 1e-9) for seed in range(3))
    baseline = tuple(evaluation(seed) for seed in range(3))
    comparisons = changes.pop("comparisons", _comparisons(change))
    flips = Flips(rows=ROWS, count=214, rate=214 / ROWS, low=0.01163, high=0.01478, examples=(17, 402, 911, 1530, 2044))
    evidence = Evidence(
        model=name,
        gates=gates,
        candidate=candidate,
        comparisons=comparisons,
        flips=flips,
        small_slices=frozenset(each.name for each in SLICES if each.small),
        key=digest(1),
        **{key: changes.pop(key) for key in ("provisional", "problem", "baseline_problem") if key in changes},
    )
    rest: dict[str, Any] = {
        "task": Task.BINARY,
        "metrics": tuple(MetricInfo(name=metric, direction=CATALOGUE[metric].direction) for metric in VALUES),
        "slices": SLICES,
        "holdout": holdout(),
        "candidate": candidate,
        "baseline": baseline,
        "comparisons": comparisons,
        "flips": flips,
        "curves": {Side.CANDIDATE: curves(1 + 60 * change), Side.BASELINE: curves(1.0)},
        "candidate_training": tuple(training(seed, HEAD) for seed in range(3)),
        "baseline_training": tuple(training(seed, BASE, duration_s=12.0) for seed in range(3)),
        "param_changes": (ParamChange(name="max_depth", before=6, after=12),),
        "stale_reasons": ("params.yaml changed",),
        "production": "v1.2.0",
        "history": (History(metric="roc_auc", values=(0.9221, 0.9235, 0.9231, 0.9248, 0.9244, 0.9259, 0.9262)),),
    }
    return evidence, rest | changes


def _comparisons(change: float) -> tuple[Comparison, ...]:
    return tuple(
        comparison(metric, change * (1 + 0.15 * (len(where.name) % 4) if where else 1.0), where)
        for where, metric in product((None, *SLICES), VALUES)
    )


def passing() -> Report:
    return judged(adult(0.0043))


def failing() -> Report:
    claims = {"roc_auc": 0.9411}
    trainings = tuple(training(seed, HEAD, claims=claims) for seed in range(3))
    notice = Notice(
        code=NoticeCode.UNVERIFIED_CLAIM,
        text="The training printed roc_auc 0.9411; the judge measured 0.9056.",
        warning=True,
    )
    return judged(adult(-0.0206, candidate_training=trainings, notices=(notice,)))


def inconclusive() -> Report:
    return judged(adult(-0.0044))


def unjudgeable() -> Report:
    gates = (Gate(metric="roc_auc", bound=Bound.MAX_REGRESSION, limit=0.001),)
    return judged(adult(-0.0002, gates=gates), report={"inconclusive_blocks": True})


def refused() -> Report:
    problem = Problem(
        reason=Reason.MODEL_REFUSED,
        detail="The model file is a Python pickle, which runs code when it is opened.",
    )
    return judged(
        adult(
            0.0,
            problem=problem,
            comparisons=(),
            candidate=(),
            flips=None,
            curves={},
            param_changes=(),
            slices=SLICES[:1],
        )
    )


def crashed() -> Report:
    failure = TrainingFailure(
        model="adult-income",
        key=digest(1),
        seed=0,
        commit=HEAD,
        timed_out=False,
        exit_code=1,
        message="The training ended with exit code 1.",
        log_tail=(
            "Traceback (most recent call last):",
            '  File "train.py", line 31, in <module>',
            "    model.fit(x, y)",
            "ValueError: Input X contains NaN.",
        ),
    )
    problem = Problem(reason=Reason.TRAINING_FAILED, detail="The training with seed 0 ended with exit code 1.")
    empty: dict[str, Any] = {"candidate": (), "candidate_training": (), "comparisons": (), "curves": {}, "flips": None}
    return judged(adult(0.0, problem=problem, failures=(failure,), **empty))


def no_baseline() -> Report:
    problem = Problem(reason=Reason.NO_BASELINE, detail="No model of main was judged yet, and base does not train.")
    empty: dict[str, Any] = {"baseline": (), "baseline_training": (), "comparisons": (), "flips": None, "history": ()}
    notice = Notice(code=NoticeCode.NO_BASELINE, text="There is no baseline: the training of base failed.")
    return judged(
        adult(0.0, baseline_problem=problem, notices=(notice,), curves={Side.CANDIDATE: curves(1.0)}, **empty)
    )


def provisional() -> Report:
    gates = tuple(gate for gate in GATES if gate.bound is not Bound.MAX_REGRESSION and gate.metric != "negative_flips")
    empty: dict[str, Any] = {"baseline": (), "baseline_training": (), "comparisons": (), "flips": None, "history": ()}
    notice = Notice(
        code=NoticeCode.PROVISIONAL,
        text="main has no such model yet, so it is judged by the gates that this change brings itself.",
        warning=True,
    )
    return judged(
        adult(
            0.0,
            gates=gates,
            provisional=True,
            production=None,
            notices=(notice,),
            param_changes=(),
            curves={Side.CANDIDATE: curves(1.0)},
            **empty,
        )
    )


def many() -> Report:
    return judged(
        adult(0.0043, "churn"),
        adult(-0.0206, "adult-income"),
        adult(-0.0044, "credit-risk"),
        adult(0.0, "fraud"),
        report={"unchanged": ("ranking", "spam")},
    )


def policy_differs() -> Report:
    notices = (
        Notice(
            code=NoticeCode.POLICY_DIFFERS,
            text="This change edits mlbot.yaml (gates of adult-income). It is judged by the gates of main.",
            warning=True,
        ),
        Notice(code=NoticeCode.GATE_PREVIEW, text="By the new gates roc_auc >= 0.93 would fail: it is 0.9305."),
        Notice(code=NoticeCode.BEHIND, text="main is 2 commits ahead of the merge base."),
    )
    claim = Notice(
        code=NoticeCode.UNVERIFIED_CLAIM, text="The training printed roc_auc 0.9900, unverified.", warning=True
    )
    return judged(adult(0.0043, notices=(claim,)), report={"notices": notices})


def nothing_stale() -> Report:
    return judged(report={"unchanged": ("adult-income", "churn")})


def trial() -> Report:
    return judged(adult(0.0043), report={"trial": True, "fork": True})


def local() -> Report:
    here: dict[str, Any] = dict.fromkeys(("repository_url", "pull_request", "run_url", "artifact_url"))
    commits = COMMITS.model_copy(update={"uncommitted": ("train.py", "params.yaml")})
    notice = Notice(
        code=NoticeCode.UNCOMMITTED, text="Judged with 2 uncommitted files: train.py, params.yaml.", warning=True
    )
    return judged(adult(-0.0044), commits=commits, report={**here, "notices": (notice,)})


def regression() -> Report:
    names = ("root_mean_squared_error", "mean_absolute_error", "r2")
    levels = {"root_mean_squared_error": 48_211.0, "mean_absolute_error": 31_802.0, "r2": 0.8127}
    sizes = {"root_mean_squared_error": 310.0, "mean_absolute_error": 205.0, "r2": 0.0021}
    signs = {name: -CATALOGUE[name].direction.worse for name in names}
    comparisons = tuple(
        comparison(
            name,
            0.0,
            candidate=levels[name] + signs[name] * 2 * sizes[name],
            baseline=levels[name],
            change=signs[name] * 2 * sizes[name],
            low=signs[name] * 2 * sizes[name] - 0.9 * sizes[name],
            high=signs[name] * 2 * sizes[name] + 0.9 * sizes[name],
            q_value=0.002,
            method=Method.PAIRED,
        )
        for name in names
    )
    bins = tuple(CalibrationBin(predicted=40_000.0 * k, observed=300.0 * (k % 3 - 1), rows=160) for k in range(1, 11))
    shape = tuple(
        (-30_000.0 + 5_000 * k, -25_000.0 + 5_000 * k, (10, 40, 120, 260, 340, 360, 250, 130, 60, 22, 8, 0)[k])
        for k in range(12)
    )
    plots = Curves(residuals=bins, residual_histogram=shape)
    return judged(
        adult(
            0.0,
            "house-prices",
            task=Task.REGRESSION,
            gates=(Gate(metric="root_mean_squared_error", bound=Bound.MAX_REGRESSION, limit=500.0),),
            comparisons=comparisons,
            metrics=tuple(MetricInfo(name=name, direction=CATALOGUE[name].direction) for name in names),
            slices=(),
            flips=None,
            holdout=holdout(task=Task.REGRESSION, classes=(), positive=None, slices={}, rows=1_600, hidden=True),
            curves={Side.CANDIDATE: plots, Side.BASELINE: plots},
        )
    )


def wide() -> Report:
    """40 slices by 10 metrics."""
    slices = tuple(
        SliceInfo(name=f"region-{k:02d}", where=f"region = {k}", rows=120 * (k + 1), min_rows=500) for k in range(40)
    )
    names = [name for name in CATALOGUE if Task.BINARY in CATALOGUE[name].tasks][:10]
    comparisons = tuple(comparison(name, 0.0021, where) for where, name in product((None, *slices), names))
    return judged(
        adult(
            0.0021,
            slices=slices,
            comparisons=comparisons,
            metrics=tuple(MetricInfo(name=name, direction=CATALOGUE[name].direction) for name in names),
        )
    )


SAMPLES: Mapping[str, Callable[[], Report]] = {
    make.__name__: make
    for make in (
        passing,
        failing,
        inconclusive,
        unjudgeable,
        refused,
        crashed,
        no_baseline,
        provisional,
        many,
        policy_differs,
        nothing_stale,
        trial,
        local,
        regression,
        wide,
    )
}
