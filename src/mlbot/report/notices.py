"""What a reader should know besides the gates, and how the candidate compares with what is in production."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from mlbot.config.schema import Config, EnvironmentConfig, Model
from mlbot.gates.metric import Bound, Gate, Task
from mlbot.gates.outcome import Outcome, Reason
from mlbot.ledger.entries import DeploymentEntry, Entry
from mlbot.ledger.queries import Looks, best_release, count_looks, live, look_folder
from mlbot.lib import figures
from mlbot.lib.record import Name, Params
from mlbot.lib.templates import has_sentence, sentence
from mlbot.plan.plan import Plan
from mlbot.protocol.artifacts import Training
from mlbot.report import words
from mlbot.report.report import (
    AnotherLook,
    MetricInfo,
    ModelReport,
    Notice,
    NoticeCode,
    ParamChange,
    Production,
    Report,
)
from mlbot.report.words import clear_change
from mlbot.stats.anchor import TOLERANCE
from mlbot.verdict.decide import Evidence, decide
from mlbot.verdict.verdict import AnchorSide, Commits, Comparison, Evaluation, Method, ModelVerdict, Problem, Score

_PARITY_WORTH_SAYING = 0.01
"""Labels that differ on more than this share of rows, between estimator and ONNX file or within it, are no rounding."""

_FILES_NAMED = 5

_FEW = 100
_FEW_GROUPS = 10
"""Rows of a class below which an interval of what rests on them is too short or too long by several points."""


def run_notices(plan: Plan) -> tuple[Notice, ...]:
    """What a reader should know of the whole verdict."""
    return tuple(_run_notices(plan))


def renamed_notices(before: Config | None, head: Config) -> Iterator[Notice]:
    """The models that are new and may be ones that are gone: nothing compares them with these."""
    known = {model.name: model for model in before.models} if before else {}
    gone = [model for name, model in known.items() if head.model(name) is None]
    pairs = [
        f"{new.name} ({old.name})"
        for new in head.models
        if new.name not in known
        for old in gone
        if _answers(new) == _answers(old)
    ]
    if pairs:
        yield notice(NoticeCode.RENAMED, warning=True, models=pairs)


def _answers(model: Model) -> tuple[Task, str, tuple[str, ...]]:
    """What a model is to answer; another one that does is probably the same under another name."""
    return model.task, model.data.holdout, model.data.targets


def model_notices(
    report: ModelReport, evidence: Evidence, head: Model | None, known: Sequence[Entry] = ()
) -> tuple[Notice, ...]:
    """What a reader should know of one model besides its gates.

    `head` is the model as head's config has it, `known` its verdicts and releases in the ledger.
    """
    return (
        *_baseline_notices(evidence, report.verdict),
        *_claim_notices(report.candidate_training, evidence.candidate),
        *_seed_notices(evidence, report),
        *(notice(NoticeCode.MORE_SEEDS, wave=wave) for wave in report.waves),
        *_preview_notices(evidence, head, report.verdict),
        *_production_notices(report.production, evidence),
        *_anchor_notices(evidence.anchors),
        *_release_notices(report, evidence, known),
        *_parity_notices(report.candidate_training),
        *_asked_notices(report),
        *_label_notices(report),
        *_log_loss_notices(report),
        *_rounding_notices(report),
        *_holdout_notices(report),
    )


MANY_LOOKS = 10
"""Looks of one pull request from which on its figures are too optimistic to be shown without a word. Chosen, not tuned:
after 50 looks of an author who keeps what rose, the 90 % interval holds the truth in one case of five."""


def with_looks(
    report: Report,
    paths: Collection[str],
    pull_request: tuple[int, int] | None = None,
    *,
    config: Config | None = None,
    counts: bool = True,
) -> Report:
    """The report with how often each holdout was looked at, by the paths of the ledger's looks.

    `pull_request`: its number and the repository's; `config`: the guarded branch's, which names sealed rows; `counts`:
    whether this report is a look itself.
    """
    now = [each.shown for each in report.models if each.shown is not None] if counts else []
    models = []
    for each in report.models:
        own = [artifact for rows, artifact in now if each.shown and rows == each.shown[0]]
        looks = count_looks(paths, each.shown[0], own, pull_request) if each.shown else None
        rule = config.model(each.model) if config else None
        sealed = rule is not None and rule.data.sealed is not None
        models.append(_looked(each, looks, sealed=sealed) if looks else each)
    return report.model_copy(update={"models": tuple(models)})


def look_folders(report: Report) -> tuple[str, ...]:
    """The ledger's folders that have the looks at a report's holdouts."""
    return tuple(sorted({look_folder(each.shown[0]) for each in report.models if each.shown is not None}))


def _looked(model: ModelReport, looks: Looks, *, sealed: bool) -> ModelReport:
    many = (looks.pull_request or 0) >= MANY_LOOKS
    # An author who opens ten pull requests learns what one who trains ten times in one does; so does a team, slowly.
    spread = looks.of_pull_requests >= MANY_LOOKS and looks.pull_requests > 1
    worth = AnotherLook.STOP if many else _ANOTHER[model.verdict.outcome]
    found = (notice(NoticeCode.MANY_LOOKS, warning=many, looks=looks, sealed=sealed),) if many or spread else ()
    return model.model_copy(update={"looks": looks, "another_look": worth, "notices": (*found, *model.notices)})


_ANOTHER: Mapping[Outcome, AnotherLook] = MappingProxyType(
    {
        Outcome.PASS: AnotherLook.NOT_NEEDED,
        Outcome.INCONCLUSIVE: AnotherLook.MORE_DATA,
        Outcome.FAIL: AnotherLook.INFORMED,
        Outcome.ERROR: AnotherLook.FIX,
    }
)


def deleted_report(verdict: ModelVerdict, before: Config | None) -> ModelReport:
    """What is told of a model that head no longer has; the config before still has it."""
    model = before.model(verdict.model) if before else None
    return ModelReport(model=verdict.model, task=model.task if model else Task.BINARY, verdict=verdict)


def metric_infos(model: Model) -> tuple[MetricInfo, ...]:
    """How the model's metrics are to be read."""
    return tuple(
        MetricInfo(
            name=each.name, direction=each.direction, of=each.of, clip=None if each.slices else each.settings.clip
        )
        for each in model.metrics
    )


def param_changes(before: Params, after: Params) -> tuple[ParamChange, ...]:
    """The parameters that differ, in the order of their names."""
    names = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    return tuple(ParamChange(name=name, before=before.get(name), after=after.get(name)) for name in names)


def changed_files(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[str, ...]:
    """The data files whose bytes differ."""
    return tuple(sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path)))


def label(code: NoticeCode) -> str:
    """What a notice is called in front of its sentence; empty where the sentence needs no name."""
    return sentence("notices", f"{code}/label") if has_sentence("notices", f"{code}/label") else ""


def notice(code: NoticeCode, *, warning: bool = False, **values: Any) -> Notice:
    """A notice with its sentence."""
    return Notice(code=code, text=sentence("notices", f"{code}/text", **values), warning=warning)


def _run_notices(plan: Plan) -> Iterator[Notice]:
    commits = plan.commits
    if commits.uncommitted:
        yield notice(NoticeCode.UNCOMMITTED, files=_listed(commits.uncommitted))
    if commits.behind:
        yield notice(NoticeCode.BEHIND, commits=commits.behind, guarded=commits.guarded)
    if changes := plan.policy_changes:
        yield notice(NoticeCode.POLICY_DIFFERS, warning=True, changes=changes, guarded=commits.guarded)


def _baseline_notices(evidence: Evidence, verdict: ModelVerdict) -> Iterator[Notice]:
    """Why there is no baseline, unless a gate says it, or the line about what was compared (a new model)."""
    if evidence.provisional:
        yield notice(NoticeCode.PROVISIONAL, warning=True)
    problem = evidence.baseline_problem
    by_gate = any(gate.problem == problem for gate in verdict.gates)
    if problem is not None and problem.reason is not Reason.NEW_MODEL and not by_gate:
        yield notice(NoticeCode.NO_BASELINE, problem=problem)


def _claim_notices(trainings: Sequence[Training], evaluations: Sequence[Evaluation]) -> Iterator[Notice]:
    """What the shipped file's training said of itself, beside what the judge measured."""
    if not (trainings and evaluations):
        return
    for metric, claimed in sorted(trainings[0].claims.items()):
        score = evaluations[0].score(metric)
        measured = score.value if score else None
        doubtful = score is None or not _within(claimed, score)
        yield notice(NoticeCode.UNVERIFIED_CLAIM, warning=doubtful, metric=metric, claimed=claimed, measured=measured)


def _seed_notices(evidence: Evidence, report: ModelReport) -> Iterator[Notice]:
    verdict, methods = report.verdict, {comparison.method for comparison in evidence.comparisons}
    if Method.PAIRED in methods and not report.brought:
        yield notice(NoticeCode.SEED_NO_EFFECT, once=evidence.seeds.count.candidate == 1)
    by_gate = any(gate.reason is Reason.SEED_VARIANCE_UNKNOWN for gate in verdict.gates)
    if Method.SEED_VARIANCE_UNKNOWN in methods and not by_gate:
        yield notice(NoticeCode.SEED_VARIANCE_UNKNOWN, warning=True, side=evidence.seeds.lone)


def _preview_notices(evidence: Evidence, head: Model | None, verdict: ModelVerdict) -> Iterator[Notice]:
    """What the change's own new bounds would come to, from the figures that are there; nothing is run for it."""
    if head is None or evidence.provisional or not evidence.candidate:
        return
    known = {gate.subject for gate in evidence.gates} | {
        Gate(metric=s.metric, slice=s.slice, bound=Bound.MIN, limit=0.0).subject for s in evidence.candidate[0].scores
    }
    new = tuple(gate for gate in head.gates if gate not in evidence.gates and gate.subject in known)
    if new:
        preview = decide(_NOWHERE, [evidence.model_copy(update={"gates": new})]).models[0]
        yield notice(NoticeCode.GATE_PREVIEW, outcome=verdict.outcome, gates=preview.gates)


def _production_notices(production: Production | None, evidence: Evidence) -> Iterator[Notice]:
    """What earlier changes were each allowed to lose may be too much together; nothing rests on a small slice."""
    if production is None:
        return
    judgeable = [gate for gate in evidence.gates if not evidence.is_small(gate)]
    for comparison, gate in beyond_margins(production.comparisons, judgeable):
        yield notice(
            NoticeCode.WORSE_THAN_PRODUCTION,
            warning=True,
            version=production.version,
            moved=f"{words.subject(gate)} {words.movement(comparison)}",
            limit=words.limit_figure(gate),
        )


def _anchor_notices(anchors: Iterable[AnchorSide]) -> Iterator[Notice]:
    """An anchor that the baseline was asked in the place of, or that nobody asked here."""
    for side in anchors:
        if side.lost is not None:
            since = words.since(side.lost)
            yield notice(NoticeCode.ANCHOR_REPLACED, warning=True, why=side.problem, since=since, asked=side.gates)
        elif side.problem is not None and not side.gates:
            yield notice(NoticeCode.ANCHOR_NOT_ASKED, why=side.problem, since=words.since(side.model))


def _release_notices(report: ModelReport, evidence: Evidence, known: Sequence[Entry]) -> Iterator[Notice]:
    """Each release moves the anchor, so what several of them lost is said by the best one; it asks no gate."""
    for gate in evidence.gates:
        found = report.comparison(gate.metric, gate.slice)
        if gate.bound is not Bound.MAX_REGRESSION or found is None or found.candidate is None or not report.holdout:
            continue
        worse, side = found.direction.worse, report.anchor(gate.subject)
        best = best_release(known, report.model, (gate.metric, gate.slice), report.holdout.digest, worse=worse)
        if best is None or evidence.is_small(gate) or (side is not None and side.model.digest == best.digest):
            continue
        lost = worse * (found.candidate - best.value)
        if lost > max(TOLERANCE * gate.limit, _half_width(found)):
            since = found.model_copy(update={"change": found.candidate - best.value})
            yield notice(
                NoticeCode.BELOW_BEST_RELEASE,
                warning=True,
                version=best.version,
                moved=f"{words.subject(gate)} {words.movement(since)}",
                limit=figures.limit(TOLERANCE * gate.limit),
            )


def _half_width(found: Comparison) -> float:
    return 0.0 if found.low is None or found.high is None else (found.high - found.low) / 2


def _within(claimed: float, score: Score) -> bool:
    return score.low is not None and score.high is not None and score.low <= claimed <= score.high


_NOWHERE = Commits(head="0" * 40, base=None, policy=None, guarded="")


def _parity_notices(trainings: Sequence[Training]) -> Iterator[Notice]:
    if not trainings or (parity := trainings[0].parity) is None or not parity.rows:
        return
    if parity.label_disagreements / parity.rows > _PARITY_WORTH_SAYING:
        yield notice(NoticeCode.PARITY, warning=True, differ=parity.label_disagreements, rows=parity.rows)


def _log_loss_notices(report: ModelReport) -> Iterator[Notice]:
    for metric in report.metrics:
        if metric.clip is not None:
            yield notice(NoticeCode.CLIPPED, metric=metric)
    if report.shipped is not None and (rows := report.shipped.wrongly_certain):
        yield notice(NoticeCode.WRONGLY_CERTAIN, warning=True, rows=rows, several=report.task is Task.MULTILABEL)


def _asked_notices(report: ModelReport) -> Iterator[Notice]:
    """How a predictor was asked: a warning where nothing held it."""
    asked = report.shipped.asked if report.shipped else None
    if asked is not None:
        yield notice(NoticeCode.ASKED, warning=asked.isolation == "none", asked=asked)


def _label_notices(report: ModelReport) -> Iterator[Notice]:
    """Labels that whoever asks the file would get, and that were not judged."""
    own, holdout = report.shipped.own_labels if report.shipped else None, report.holdout
    if own is None or holdout is None or holdout.label or not own.differ:
        return
    many = own.differ / own.rows > _PARITY_WORTH_SAYING
    yield notice(NoticeCode.OWN_LABELS, warning=many, own=own, threshold=holdout.threshold)


def _rounding_notices(report: ModelReport) -> Iterator[Notice]:
    if report.shipped is not None and report.shipped.rounding is not None:
        yield notice(NoticeCode.ROUNDING, warning=True, rounding=report.shipped.rounding)


def _holdout_notices(report: ModelReport) -> Iterator[Notice]:
    if few := _few_of_a_class(report):
        yield notice(NoticeCode.FEW_OF_A_CLASS, warning=True, few=few)
    if report.holdout is not None and report.holdout.inexact:
        yield notice(NoticeCode.INEXACT, columns=report.holdout.inexact)
    if report.items is not None and 0 < (report.items.groups or 0) < _FEW_GROUPS:
        yield notice(NoticeCode.FEW_GROUPS, warning=True, groups=report.items.groups)
    if report.holdout is not None and not report.holdout.hidden and report.items is None:
        yield notice(NoticeCode.HOLDOUT_IN_REPOSITORY)


def _few_of_a_class(report: ModelReport) -> list[dict[str, Any]]:
    """Where a class has few rows: among all, and on the slices that gates are about."""
    holdout = report.holdout
    if holdout is None or holdout.positives is None or len(holdout.classes) != 2:
        return []
    counts: dict[str | None, tuple[int, int]] = {None: (holdout.positives, holdout.rows)}
    counts |= {name: (count, holdout.slices[name]) for name, count in holdout.slice_positives.items()}
    gated = {None, *(result.gate.slice for result in report.verdict.gates)}
    return [
        {"slice": name, "label": label, "count": count, "rows": rows}
        for name, (positives, rows) in counts.items()
        if name in gated
        for label, count in zip(holdout.classes, (rows - positives, positives), strict=True)
        if count < _FEW
    ]


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_FILES_NAMED])
    more = len(names) - _FILES_NAMED
    return f"{shown} and {more} more" if more > 0 else shown


def in_production(
    environments: Sequence[EnvironmentConfig], entries: Iterable[Entry], model: Name
) -> DeploymentEntry | None:
    """What is live in the environment that no other comes after; of several the first where something is."""
    known = tuple(entries)
    followed = {each.after for each in environments}
    found = (live(known, each.name, model) for each in environments if each.name not in followed)
    return next((each for each in found if each is not None), None)


def production(there: DeploymentEntry, found: tuple[Comparison, ...] | Problem) -> Production:
    """What a report tells of what is live: how the candidate compares, or why nobody knows."""
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
