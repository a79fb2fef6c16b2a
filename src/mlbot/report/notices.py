"""What a reader should know besides the gates, and how the candidate compares with what is in production."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from mlbot.config.schema import Config, EnvironmentConfig, Model
from mlbot.gates.gate import Bound, Gate
from mlbot.gates.metric import Task
from mlbot.gates.outcome import Outcome
from mlbot.ledger.entries import DeploymentEntry, Entry
from mlbot.ledger.queries import live
from mlbot.lib.record import Name
from mlbot.lib.scalar import Params
from mlbot.plan.plan import Plan
from mlbot.protocol.artifacts import Training
from mlbot.report import words
from mlbot.report.report import MetricInfo, ModelReport, Notice, NoticeCode, ParamChange, Production, SliceInfo
from mlbot.report.words import clear_change
from mlbot.verdict.decide import Evidence, decide
from mlbot.verdict.evidence import Comparison, Evaluation, Method, Problem, Score
from mlbot.verdict.verdict import Commits, ModelVerdict

_PARITY_WORTH_SAYING = 0.01
"""A label that differs between estimator and ONNX file on more than this share of rows is no rounding."""

_FILES_NAMED = 5


def run_notices(plan: Plan) -> tuple[Notice, ...]:
    """What a reader should know of the whole verdict."""
    return (*_commit_notices(plan.commits), *_policy_notices(plan))


def model_notices(report: ModelReport, evidence: Evidence, head: Model | None) -> tuple[Notice, ...]:
    """What a reader should know of one model besides its gates.

    Args:
        report: the model's report, without notices yet.
        evidence: what it was judged by.
        head: the model as head's config has it; None when head has none.
    """
    return (
        *_baseline_notices(evidence),
        *_claim_notices(report.candidate_training, evidence.candidate),
        *_seed_notices(evidence),
        *_slice_notices(report.slices),
        *_gate_notices(report.verdict),
        *_preview_notices(evidence, head, report.verdict),
        *_production_notices(report.production, evidence),
        *_parity_notices(report.candidate_training),
        *_holdout_notices(report),
    )


def deleted_report(verdict: ModelVerdict, before: Config | None) -> ModelReport:
    """What is told of a model that head no longer has.

    Args:
        verdict: on it.
        before: the config that still has it.
    """
    model = before.model(verdict.model) if before else None
    return ModelReport(model=verdict.model, task=model.task if model else Task.BINARY, verdict=verdict)


def metric_infos(model: Model) -> tuple[MetricInfo, ...]:
    """How the model's metrics are to be read."""
    return tuple(MetricInfo(name=metric.name, direction=metric.direction) for metric in model.metrics)


def param_changes(before: Params, after: Params) -> tuple[ParamChange, ...]:
    """The parameters that differ, in the order of their names."""
    names = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    return tuple(ParamChange(name=name, before=before.get(name), after=after.get(name)) for name in names)


def data_changes(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[str, ...]:
    """The data files whose bytes differ."""
    return tuple(sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path)))


def _commit_notices(commits: Commits) -> Iterator[Notice]:
    if commits.uncommitted:
        yield Notice(
            code=NoticeCode.UNCOMMITTED,
            text=f"Uncommitted changes are included: {_listed(commits.uncommitted)}.",
        )
    if commits.behind:
        plural = "s" if commits.behind > 1 else ""
        yield Notice(
            code=NoticeCode.BEHIND,
            text=f"The change is {commits.behind} commit{plural} behind {commits.guarded}; the baseline is from "
            f"where it left, the gates and the holdout are today's.",
        )


def _policy_notices(plan: Plan) -> Iterator[Notice]:
    if plan.policy_changes:
        changes = "; ".join(plan.policy_changes)
        yield Notice(
            code=NoticeCode.POLICY_DIFFERS,
            text=f"The change {changes}. It was judged by {plan.commits.guarded}'s own rules.",
            warning=True,
        )


def _baseline_notices(evidence: Evidence) -> Iterator[Notice]:
    if evidence.provisional:
        yield Notice(
            code=NoticeCode.PROVISIONAL,
            text="The guarded branch does not know this model yet: it was judged by its own gates.",
            warning=True,
        )
    if evidence.baseline_problem is not None:
        yield Notice(code=NoticeCode.NO_BASELINE, text=evidence.baseline_problem.detail)


def _claim_notices(trainings: Sequence[Training], evaluations: Sequence[Evaluation]) -> Iterator[Notice]:
    """What the shipped file's training said of itself, beside what the judge measured."""
    if not (trainings and evaluations):
        return
    for metric, claimed in sorted(trainings[0].claims.items()):
        score = evaluations[0].score(metric)
        value = score.value if score else None
        said = "could not measure it" if value is None else f"measured {value:.4f}"
        believable = score is not None and _within(claimed, score)
        yield Notice(
            code=NoticeCode.UNVERIFIED_CLAIM,
            text=f"The training printed {metric} = {claimed:.4f} (unverified); the judge {said}.",
            warning=not believable,
        )


def _seed_notices(evidence: Evidence) -> Iterator[Notice]:
    methods = {comparison.method for comparison in evidence.comparisons}
    if Method.PAIRED in methods:
        yield Notice(
            code=NoticeCode.SEED_NO_EFFECT,
            text="The seeds give identical predictions, so the files themselves were compared. A hard-coded random "
            "state looks the same: pass the seed on, or set `seeds: 1`.",
        )
    if Method.SEED_VARIANCE_UNKNOWN in methods:
        yield Notice(
            code=NoticeCode.SEED_VARIANCE_UNKNOWN,
            text="One seed tells nothing of the variance between seeds, so no margin can be judged. Set `seeds: 3`.",
            warning=True,
        )


def _slice_notices(slices: Sequence[SliceInfo]) -> Iterator[Notice]:
    for each in slices:
        if each.small:
            yield Notice(
                code=NoticeCode.SLICE_TOO_SMALL,
                text=f"The slice {each.name} has {each.rows} rows, fewer than {each.min_rows}: it is shown and does "
                "not block.",
            )


def _gate_notices(verdict: ModelVerdict) -> Iterator[Notice]:
    for result in verdict.gates:
        if result.outcome is Outcome.INCONCLUSIVE and not result.judgeable:
            yield Notice(
                code=NoticeCode.NOT_JUDGEABLE,
                text=f"A margin of {result.gate.limit:g} for {result.gate.subject} is not judgeable with this holdout "
                "and these seeds: noise alone moves it as far.",
            )


def _preview_notices(evidence: Evidence, head: Model | None, verdict: ModelVerdict) -> Iterator[Notice]:
    """What the change's own new bounds would come to, from the figures that are there; nothing is run for it."""
    if head is None or evidence.provisional or not evidence.candidate:
        return
    known = {gate.subject for gate in evidence.gates} | {
        Gate(metric=s.metric, slice=s.slice, bound=Bound.MIN, limit=0.0).subject for s in evidence.candidate[0].scores
    }
    new = tuple(gate for gate in head.gates if gate not in evidence.gates and gate.subject in known)
    if not new:
        return
    preview = decide(_NOWHERE, [evidence.model_copy(update={"gates": new})]).models[0]
    said = "; ".join(
        f"{each.gate.subject} {each.gate.bound} {each.gate.limit:g}: {each.outcome}" for each in preview.gates
    )
    yield Notice(
        code=NoticeCode.GATE_PREVIEW,
        text=f"By the change's own new bounds, which did not count for this {verdict.outcome}, it would be: {said}.",
    )


def _production_notices(production: Production | None, evidence: Evidence) -> Iterator[Notice]:
    """What earlier changes were each allowed to lose may be too much together; nothing rests on a small slice."""
    if production is None:
        return
    judgeable = [gate for gate in evidence.gates if gate.slice not in evidence.small_slices]
    for comparison, gate in beyond_margins(production.comparisons, judgeable):
        moved = f"{words.subject(gate)} {words.movement(comparison)}"
        yield Notice(
            code=NoticeCode.WORSE_THAN_PRODUCTION,
            text=f"Since {production.version}, which is in production, {moved}: more than the "
            f"{words.limit_figure(gate)} that one change may lose. This is shown and does not block.",
            warning=True,
        )


def _within(claimed: float, score: Score) -> bool:
    return score.low is not None and score.high is not None and score.low <= claimed <= score.high


_NOWHERE = Commits(head="0" * 40, base=None, policy=None, guarded="")


def _parity_notices(trainings: Sequence[Training]) -> Iterator[Notice]:
    if not trainings or (parity := trainings[0].parity) is None or not parity.rows:
        return
    if parity.label_disagreements / parity.rows > _PARITY_WORTH_SAYING:
        yield Notice(
            code=NoticeCode.PARITY,
            text=f"The ONNX file and the estimator it was exported from decide differently on "
            f"{parity.label_disagreements} of {parity.rows} rows. The ONNX file is what was judged.",
            warning=True,
        )


def _holdout_notices(report: ModelReport) -> Iterator[Notice]:
    if report.data_changes:
        yield Notice(code=NoticeCode.DATA_CHANGED, text=f"Trained on changed data: {_listed(report.data_changes)}.")
    if report.holdout is not None and not report.holdout.hidden:
        yield Notice(
            code=NoticeCode.HOLDOUT_IN_REPOSITORY,
            text="The holdout lies in the repository, where a training could read it. An URL that only the judge can "
            "read is safer.",
        )


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_FILES_NAMED])
    more = len(names) - _FILES_NAMED
    return f"{shown} and {more} more" if more > 0 else shown


def in_production(
    environments: Sequence[EnvironmentConfig], entries: Iterable[Entry], model: Name
) -> DeploymentEntry | None:
    """What is live in the environment that no other comes after; of several the first where something is.

    Args:
        environments: of the guarded branch's config.
        entries: of the ledger.
        model: whose.
    """
    known = tuple(entries)
    followed = {each.after for each in environments}
    found = (live(known, each.name, model) for each in environments if each.name not in followed)
    return next((each for each in found if each is not None), None)


def production(there: DeploymentEntry, found: tuple[Comparison, ...] | Problem) -> Production:
    """What a report tells of it.

    Args:
        there: what is live.
        found: how the candidate compares, or why nobody knows.
    """
    return Production(
        environment=there.environment,
        version=f"v{there.version}",
        digest=there.digest,
        comparisons=() if isinstance(found, Problem) else found,
        problem=found if isinstance(found, Problem) else None,
    )


def beyond_margins(found: Sequence[Comparison], gates: Sequence[Gate]) -> tuple[tuple[Comparison, Gate], ...]:
    """What is worse than in production by more than one change may lose, clear of noise; with the gate that says so."""
    margins = {(gate.metric, gate.slice): gate for gate in gates if gate.bound is Bound.MAX_REGRESSION}
    return tuple(
        (each, gate)
        for each in found
        if (gate := margins.get((each.metric, each.slice))) is not None
        and each.change is not None
        and each.direction.worse * each.change > gate.limit
        and clear_change(each)
    )
