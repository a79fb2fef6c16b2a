"""What sample reports are made of: consistent figures, and verdicts of the real rules."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from itertools import product
from typing import Any

from mlbot.gates.metric import CATALOGUE, Bound, Direction, Gate, Task
from mlbot.ledger.entries import Compared, Environment, Source, WaiverEntry
from mlbot.protocol.artifacts import Parity, Training
from mlbot.report.report import (
    CalibrationBin,
    Curves,
    History,
    MetricInfo,
    ModelReport,
    ParamChange,
    Production,
    Report,
    Side,
    SliceInfo,
)
from mlbot.verdict.decide import Evidence, decide
from mlbot.verdict.verdict import (
    Commits,
    Comparison,
    Evaluation,
    Flips,
    Holdout,
    Latency,
    LatencyRatio,
    Method,
    Score,
)

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
SCALES: Mapping[str, float] = {
    "roc_auc": 1.0,
    "log_loss": 1.9,
    "f1": 1.6,
    "accuracy": 0.7,
    "average_precision": 1.3,
    "brier_score_loss": 0.4,
}
"""How much of a change each metric shows."""
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
    Gate(metric="negative_flips", bound=Bound.MAX_EXCESS, limit=0.01),
    Gate(metric="latency_p50_ms", bound=Bound.MAX_RATIO, limit=1.2),
    Gate(metric="size_mb", bound=Bound.MAX, limit=50.0),
)
COMMITS = Commits(head=HEAD, merged="5e" * 20, base=BASE, policy=POLICY, guarded="main")
COMPARED = Compared(source=Source.TIP, commit=BASE, judged="2026-11-20T16:00:00Z")


def digest(seed: int) -> str:
    return f"sha256:{sha256(str(seed).encode()).hexdigest()}"


def evaluation(seed: int, shift: float = 0.0, slices: tuple[SliceInfo, ...] = SLICES, **changes: Any) -> Evaluation:
    fields: dict[str, Any] = {
        "digest": digest(seed + (100 if shift else 200)),
        "seed": seed,
        "size_bytes": 1_912_400 if shift else 1_804_220,
        "scores": tuple(_score(name, where, shift, seed) for where, name in product((None, *slices), VALUES)),
        "latency": Latency(
            requests=400,
            p50_ms=0.413,
            p95_ms=0.612 if shift else 0.587,
            batch_rows=ROWS,
            rows_per_s=61_200.0,
            rounds=20,
            p50_low=0.402,
            p50_high=0.421,
        ),
    }
    return Evaluation(**(fields | changes))


def _score(metric: str, where: SliceInfo | None, shift: float, seed: int) -> Score:
    sign = -CATALOGUE[metric].direction.worse
    offset = 0.0 if where is None else -0.02 * sign * (1 + len(where.name) % 3)
    value = VALUES[metric] + sign * SCALES[metric] * shift + offset + 0.0004 * ((seed * 7) % 3 - 1)
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
        "positives": 3_846,
        "slice_positives": {"women": 590, "under-25": 131, "self-employed": 524, "doctorate": 134},
    }
    return Holdout(**(fields | changes))


def judged(
    *models: tuple[Evidence, dict[str, Any]],
    commits: Commits = COMMITS,
    waivers: Sequence[WaiverEntry] = (),
    report: Mapping[str, Any] | None = None,
) -> Report:
    """The report over what was found about each model, with the verdict of the real rules."""
    verdict = decide(commits, [evidence for evidence, _ in models], waivers)
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
            ModelReport(model=evidence.model, verdict=each, **{"compared": COMPARED} | dict(rest))
            for (evidence, rest), each in zip(models, verdict.models, strict=True)
        ),
    }
    return Report(**(fields | dict(report or {})))


def waiver(gate: str = "roc_auc.max_regression", **changes: Any) -> WaiverEntry:
    """Somebody's word on a gate of `adult`."""
    fields: dict[str, Any] = {
        "model": "adult-income",
        "key": digest(1),
        "policy": digest(3),
        "gate": gate,
        "reason": "The labels were cleaned; agreed with the data owners",
        "actor": "boss",
        "pull_request": 42,
        "comment": 9001,
        "commit": HEAD,
        "time": "2026-11-20T16:00:00Z",
    }
    return WaiverEntry(**(fields | changes))


FLIPS = Flips(
    rows=ROWS,
    count=214,
    rate=214 / ROWS,
    low=0.01163,
    high=0.01478,
    examples=(17, 402, 911, 1530, 2044),
    seeds=(3, 3),
    excess=Comparison(
        metric="negative_flips",
        direction=Direction.LOWER,
        rows=ROWS,
        candidate=0.0135,
        baseline=0.0118,
        change=0.0017,
        low=-0.0008,
        high=0.0042,
        standard_error=0.0014,
        df=12.0,
        method=Method.RECIPE,
        margin=0.01,
        p_value=1.0,
    ),
)
RATIO = LatencyRatio(rounds=20, ratio=1.013, low=0.998, high=1.026)


def adult(change: float, name: str = "adult-income", **changes: Any) -> tuple[Evidence, dict[str, Any]]:
    """Evidence on one model whose metrics all changed by `change` for the better, and the rest of its report."""
    gates = changes.pop("gates", GATES)
    candidate = tuple(evaluation(seed, change or 1e-9) for seed in range(3))
    baseline = tuple(evaluation(seed) for seed in range(3))
    comparisons = changes.pop("comparisons", _comparisons(change))
    flips = FLIPS
    evidence = Evidence(
        model=name,
        gates=gates,
        candidate=candidate,
        comparisons=comparisons,
        flips=flips,
        latency=RATIO,
        small_slices=frozenset(each.name for each in SLICES if each.small),
        key=digest(1),
        policy=digest(3),
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
        "latency": RATIO,
        "curves": {Side.CANDIDATE: curves(1 + 60 * change), Side.BASELINE: curves(1.0)},
        "candidate_training": tuple(training(seed, HEAD) for seed in range(3)),
        "baseline_training": tuple(training(seed, BASE, duration_s=12.0) for seed in range(3)),
        "param_changes": (ParamChange(name="max_depth", before=6, after=12),),
        "stale_reasons": ("params.yaml changed",),
        "production": Production(environment="production", version="v1.2.0", digest=digest(90)),
        "history": (History(metric="roc_auc", values=(0.9221, 0.9235, 0.9231, 0.9248, 0.9244, 0.9259, 0.9262)),),
    }
    return evidence, rest | changes


def _comparisons(change: float) -> tuple[Comparison, ...]:
    return tuple(
        comparison(metric, change * SCALES[metric] * (1 + 0.15 * (len(where.name) % 4) if where else 1.0), where)
        for where, metric in product((None, *SLICES), VALUES)
    )
