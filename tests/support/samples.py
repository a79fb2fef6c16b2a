"""Reports of every kind, made up but consistent: their verdicts come from the real rules."""

from collections.abc import Callable, Mapping
from itertools import product
from typing import Any

from tests.support.report_parts import (
    COMMITS,
    GATES,
    HEAD,
    SLICES,
    adult,
    comparison,
    curves,
    digest,
    holdout,
    judged,
    training,
    waiver,
)

from mlbot.gates.metric import CATALOGUE, Bound, Gate, Task
from mlbot.gates.outcome import Reason
from mlbot.protocol.artifacts import TrainingFailure
from mlbot.report import notices
from mlbot.report.report import (
    CalibrationBin,
    Curves,
    MetricInfo,
    Notice,
    NoticeCode,
    Production,
    Report,
    Side,
    SliceInfo,
)
from mlbot.verdict.decide import Evidence
from mlbot.verdict.verdict import Method, Problem

OPERATIONAL: dict[str, Any] = {"flips": None, "latency": None}


def passing() -> Report:
    return judged(adult(0.0043))


def failing() -> Report:
    """With a claim that the judge could not confirm, and one thing to look up."""
    claims = {"roc_auc": 0.9411}
    trainings = tuple(training(seed, HEAD, claims=claims) for seed in range(3))
    notice = Notice(
        code=NoticeCode.UNVERIFIED_CLAIM,
        text="The training printed roc_auc 0.9411; the judge measured 0.9056.",
        warning=True,
    )
    inside = Notice(
        code=NoticeCode.HOLDOUT_IN_REPOSITORY,
        text="The holdout is in the repository, where a training can read it.",
    )
    return judged(adult(-0.0206, candidate_training=trainings, notices=(inside, notice)))


def slipped() -> Report:
    """Fine beside the baseline, but together with what was allowed before it lost too much beside production."""
    beside = (
        comparison("roc_auc", -0.0092, method=Method.PAIRED),
        comparison("log_loss", -0.0011, method=Method.PAIRED),
        comparison("f1", 0.0121, method=Method.PAIRED),
        comparison("f1", -0.0003, SLICES[0], method=Method.PAIRED),
    )
    there = Production(environment="production", version="v1.2.0", digest=digest(90), comparisons=beside)
    evidence, rest = adult(-0.0021, production=there)
    found = notices.model_notices(judged((evidence, rest)).models[0], evidence, None)
    return judged((evidence, rest | {"notices": found}))


def not_compared() -> Report:
    """Production's bytes are gone, and the baseline is not what is there."""
    problem = Problem.of(Reason.MODEL_MISSING, "not-in-store", why="mlbot.yaml names no store")
    there = Production(environment="production", version="v1.2.0", digest=digest(90), problem=problem)
    return judged(adult(0.0043, production=there))


def inconclusive() -> Report:
    return judged(adult(-0.0044))


def unjudgeable() -> Report:
    gates = (Gate(metric="roc_auc", bound=Bound.MAX_REGRESSION, limit=0.001),)
    return judged(adult(-0.0002, gates=gates), report={"inconclusive_blocks": True})


def refused() -> Report:
    problem = Problem.of(
        Reason.MODEL_REFUSED, "other-format", format="a Python pickle, which runs code when it is opened"
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
    problem = Problem.of(Reason.TRAINING_FAILED, "exit-code", seed=0, exit_code=1)
    empty: dict[str, Any] = {"candidate": (), "candidate_training": (), "comparisons": (), "curves": {}} | OPERATIONAL
    return judged(adult(0.0, problem=problem, failures=(failure,), **empty))


def no_baseline() -> Report:
    problem = Problem.of(Reason.NO_BASELINE, detail="No model of main was judged yet, and base does not train.")
    empty: dict[str, Any] = {"baseline": (), "baseline_training": (), "comparisons": (), "history": ()} | OPERATIONAL
    return judged(adult(0.0, baseline_problem=problem, curves={Side.CANDIDATE: curves(1.0)}, **empty))


def provisional() -> Report:
    gates = tuple(gate for gate in GATES if not gate.bound.is_relative)
    empty: dict[str, Any] = {"baseline": (), "baseline_training": (), "comparisons": (), "history": ()} | OPERATIONAL
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


def waived() -> Report:
    """One failed gate that a maintainer answered for."""
    return judged(adult(-0.0206), waivers=[waiver()])


def waived_beside_others() -> Report:
    """Several models: one passes by somebody's word, one is removed by it, and one passes; and a waiver for nothing."""
    gone = Evidence(model="old", gates=(), deleted=True, key=digest(8), policy=digest(9))
    notice = Notice(
        code=NoticeCode.WAIVER_UNUSED,
        text="The waiver of size_mb of churn that lea asked for was not used: the gate passes without it.",
        warning=True,
    )
    given = [
        waiver(),
        waiver("log_loss.max", actor="lea", comment=9002, reason="A known drift of the scale."),
        waiver("deleted", model="old", key=digest(8), policy=digest(9), comment=9003, reason="Nobody asks it."),
    ]
    return judged(
        adult(-0.0206),
        adult(0.0043, "churn"),
        (gone, {"task": Task.BINARY}),
        waivers=given,
        report={"notices": (notice,)},
    )


def waiver_ended() -> Report:
    notice = Notice(
        code=NoticeCode.WAIVER_ENDED,
        text="The waiver of roc_auc.max_regression of adult-income that boss gave has ended, because the rules it is "
        "judged by changed.",
        warning=True,
    )
    old = waiver(policy=digest(4))
    return judged(adult(-0.0206), waivers=[old], report={"notices": (notice,)})


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
        slipped,
        not_compared,
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
        waived,
        waived_beside_others,
        waiver_ended,
        local,
        regression,
        wide,
    )
}


def differing(text: str, whole: str, between: str = "\n\n") -> str:
    """The sections of a text that another lacks; `[…]` is one or more that both have."""
    common = set(whole.split(between))
    parts = ["[…]" if part in common else part for part in text.split(between)]
    return between.join(part for n, part in enumerate(parts) if part != "[…]" or parts[n - 1 : n] != ["[…]"])
