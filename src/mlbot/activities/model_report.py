"""Put together all that is told of one model."""

from dataclasses import dataclass

from mlbot.activities.judge import Case, Judged
from mlbot.core.composition import data_changes, metric_infos, model_notices, param_changes
from mlbot.core.config import Model
from mlbot.core.report import ModelReport
from mlbot.core.training import Training, TrainingFailure
from mlbot.core.verdict import ModelVerdict


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
    )
    return report.model_copy(update={"notices": model_notices(report, judged.evidence, provenance.head)})
