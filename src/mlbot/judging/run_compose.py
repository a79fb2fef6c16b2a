"""Put together all that is told of the judged models."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mlbot import __version__
from mlbot.config.schema import Model
from mlbot.judging.run_judge import Case, Judged
from mlbot.ledger.queries import metric_history
from mlbot.plan.plan import Plan
from mlbot.plan.run_plan import Configs
from mlbot.protocol.artifacts import Training, TrainingFailure
from mlbot.report.notices import (
    data_changes,
    deleted_report,
    metric_infos,
    model_notices,
    param_changes,
    production,
    run_notices,
)
from mlbot.report.report import History, ModelReport, Notice, Report
from mlbot.verdict.verdict import ModelVerdict, Verdict


@dataclass(frozen=True, kw_only=True, slots=True)
class Provenance:
    """How the files came to be, where that is known.

    Attributes:
        candidate: lineage of the candidate's files, a seed each.
        baseline: the same of the baseline's.
        failures: trainings that left no file.
        stale_reasons: why the model was trained.
        head: the model as head's config has it.
    """

    candidate: tuple[Training, ...] = ()
    baseline: tuple[Training, ...] = ()
    failures: tuple[TrainingFailure, ...] = ()
    stale_reasons: tuple[str, ...] = ()
    head: Model | None = None


def model_report(case: Case, judged: Judged, verdict: ModelVerdict, provenance: Provenance) -> ModelReport:
    """The report on one model, notices included."""
    both = provenance.candidate and provenance.baseline
    report = ModelReport(
        model=case.model.name,
        task=case.model.task,
        verdict=verdict,
        metrics=metric_infos(case.model),
        slices=judged.slices,
        holdout=judged.holdout,
        candidate=judged.evidence.candidate,
        baseline=judged.baseline,
        comparisons=judged.evidence.comparisons,
        flips=judged.evidence.flips,
        curves=judged.curves,
        candidate_training=provenance.candidate,
        baseline_training=provenance.baseline,
        failures=provenance.failures,
        param_changes=param_changes(provenance.baseline[0].params, provenance.candidate[0].params) if both else (),
        data_changes=data_changes(provenance.baseline[0].data, provenance.candidate[0].data) if both else (),
        stale_reasons=provenance.stale_reasons,
        production=production(case.live.entry, judged.versus) if case.live else None,
        history=_history(case, judged),
    )
    return report.model_copy(update={"notices": model_notices(report, judged.evidence, provenance.head)})


def _history(case: Case, judged: Judged) -> tuple[History, ...]:
    """What each metric came to on the guarded branch, on the same holdout."""
    if judged.holdout is None:
        return ()
    pasts = (
        (metric.name, metric_history(case.past, case.model.name, metric.name, judged.holdout.digest))
        for metric in case.model.metrics
    )
    return tuple(History(metric=name, values=values) for name, values in pasts if values)


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """One model, judged."""

    case: Case
    judged: Judged
    provenance: Provenance


def report_of(
    repository: str,
    plan: Plan,
    configs: Configs,
    found: Sequence[Found],
    verdict: Verdict,
    *,
    notices: Sequence[Notice] = (),
    **more: Any,
) -> Report:
    """Put together what is told.

    Args:
        repository: its name.
        plan: what was planned; its deleted models need a person's word.
        configs: of the three commits.
        found: the judged models.
        verdict: on them, and then on those that are gone.
        notices: what a reader should know besides.
        more: further fields of the report.
    """
    judged = (
        model_report(each.case, each.judged, decided, each.provenance)
        for each, decided in zip(found, verdict.models, strict=False)
    )
    without = (deleted_report(decided, configs.base or configs.policy) for decided in verdict.models[len(found) :])
    return Report(
        mlbot_version=__version__,
        repository=repository,
        verdict=verdict,
        models=(*judged, *without),
        unchanged=plan.unchanged,
        notices=(*notices, *run_notices(plan)),
        **more,
    )
