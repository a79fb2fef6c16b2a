"""Judge one model: by which rules, what its files score, and what is reported of it."""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlbot import __version__
from mlbot.config.schema import Config, Model
from mlbot.data.findings import DataReport
from mlbot.data.sketch import Sketch
from mlbot.errors import MlbotError, UsageError
from mlbot.gates.metric import Bound
from mlbot.gates.outcome import Reason, worst
from mlbot.judging.run_data import training_data
from mlbot.ledger.entries import (
    AnchorModel,
    Compared,
    DeploymentEntry,
    Entry,
    ReleaseEntry,
    SeedCount,
    Since,
    Source,
    VerdictEntry,
)
from mlbot.ledger.queries import metric_history, seed_history
from mlbot.lib import figures
from mlbot.lib.record import Digest, Name, Params, Sha
from mlbot.lib.tree import is_url
from mlbot.plan.anchor import Anchor
from mlbot.plan.comparison_point import Point
from mlbot.plan.content_key import Side as PlannedSide
from mlbot.plan.plan import PlannedModel, Subject
from mlbot.plan.policy_diff import changed_rule_files
from mlbot.plan.run_plan import Planning, Sides
from mlbot.report.notices import (
    changed_files,
    deleted_report,
    metric_infos,
    model_notices,
    param_changes,
    production,
    renamed_notices,
    run_notices,
)
from mlbot.report.report import Curves, History, ModelReport, Notice, Report, Side, SliceInfo
from mlbot.report.words import open_gates
from mlbot.training.run_predict import Asking, RuleSource
from mlbot.training.run_train import SeedRuns, links_to, unfetched
from mlbot.training.trial import trial_key
from mlbot.verdict.decide import (
    NO_HOLDOUT,
    Evidence,
    anchor_gates,
    decide,
    policy_digest,
    removal_digest,
    rules_digest,
)
from mlbot.verdict.seeds import Determinism, SeedDesign, Seeds, Wave, determinism
from mlbot.verdict.verdict import (
    AnchorSide,
    Commits,
    Comparison,
    Evaluation,
    Flips,
    Holdout,
    Items,
    LatencyRatio,
    ModelVerdict,
    Problem,
    Score,
    Verdict,
)

if TYPE_CHECKING:
    from mlbot.judging.rows import Rows as EvaluatorRows
    from mlbot.judging.run_evaluations import HandedOver
    from mlbot.judging.run_measure import Measured, MetricPlan, Rows
    from mlbot.ml.holdout import HoldoutData
    from mlbot.ml.holdout import Source as HoldoutSource
    from mlbot.ml.scoring import Limits, Scored
    from mlbot.stats.recipe import SeedHistory


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """What one model is judged by."""

    model: Model  # as policy has it; as head has it where policy lacks it
    folder: Path
    family: int = 0  # how many margins of all models Holm adjusts for; 0: this model's are all
    provisional: bool = False
    problem: Problem | None = None
    results: "dict[tuple[Name, Digest], EvaluatorRows]" = field(default_factory=dict)
    """What the evaluator gave a model's artifacts, so that none is evaluated again beside another baseline, or for more
    seeds."""
    handed_over: "HandedOver | None" = None  # what the job with the evaluators' secrets gave, where this one has none
    copies: "dict[str, HoldoutSource] | None" = None
    """The last holdout that was fetched from a URL, for the next model that has the same; None: none is held."""
    source: RuleSource | None = None  # where its predictor is, if it has one


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """Finds the rules of models."""

    planning: Planning
    checkouts: ExitStack
    trusts_head: bool
    """True on a laptop, where head is the user's own. Elsewhere head is a stranger's: of it only a holdout is read, as
    bytes; it is not checked out, none of its code runs and none of its URLs is opened."""
    folders: dict[Sha, Path] = field(default_factory=dict)
    results: "dict[tuple[Name, Digest], EvaluatorRows]" = field(default_factory=dict)
    copies: "dict[str, HoldoutSource]" = field(default_factory=dict)
    handed_over: "HandedOver | None" = None  # what the job with the evaluators' secrets gave

    def of(self, name: str) -> Rule:
        """The rules of a model."""
        # On a laptop the next model's training could find what is held.
        copies = None if self.trusts_head else self.copies
        rule = replace(self._of(name), family=self.margins(), copies=copies, results=self.results)
        return replace(rule, handed_over=self.handed_over)

    def _of(self, name: str) -> Rule:
        commits, configs = self.planning.commits, self.planning.configs
        known = configs.policy.model(name) if configs.policy else None
        if known is not None and configs.policy is not None and commits.policy is not None:
            folder = self._checkout(commits.policy, configs.policy)
            source = self._source(known, commits.policy, configs.policy)
            return Rule(model=known, folder=folder, source=source)
        model = configs.head.model(name)
        if model is None:
            raise LookupError(f"{name} was planned and is not in the config of head")
        source = self._source(model, commits.candidate, configs.head)
        if self.trusts_head:
            folder = self._checkout(commits.candidate, configs.head)
            return Rule(model=model, folder=folder, provisional=True, source=source)
        folder = Path(self.checkouts.enter_context(tempfile.TemporaryDirectory(prefix="mlbot-holdout-")))
        holdout = model.data.holdout
        problem = _out_of_bounds(model) or (self._extract(holdout, folder) if holdout else None)
        return Rule(model=model, folder=folder, provisional=True, problem=problem, source=source)

    def _source(self, model: Model, commit: Sha, config: Config) -> RuleSource | None:
        """Where the command is that asks a model; None where mlbot asks it itself."""
        if model.is_onnx:
            return None
        return RuleSource(
            repository=self.planning.repository,
            commit=commit,
            config=config,
            is_judge=not self.trusts_head,
            is_landed=config is self.planning.configs.policy,
        )

    def margins(self) -> int:
        """How many margins Holm adjusts for over all models that are judged."""
        policy, head = self.planning.configs.policy, self.planning.configs.head
        names = (planned.name for planned in self.planning.plan.stale)
        models = ((policy.model(name) if policy else None) or head.model(name) for name in names)
        return sum(gate.is_margin for model in models if model is not None for gate in model.gates)

    def _checkout(self, commit: Sha, config: Config) -> Path:
        if commit not in self.folders:
            links = self._lent(config) if self.trusts_head else self._fetched(commit, config)
            worktree = self.planning.repository.worktree(commit, links=links)
            self.folders[commit] = self.checkouts.enter_context(worktree)
        return self.folders[commit]

    def _lent(self, config: Config) -> dict[str, Path]:
        paths = {model.data.holdout for model in config.models if model.data.holdout}
        holdouts = {path for path in paths if not is_url(path)}
        return {path: own for path in holdouts if (own := self.planning.repository.project / path).exists()}

    def _fetched(self, commit: Sha, config: Config) -> Mapping[str, Path]:
        """The holdouts that a step before this one has fetched into the job's checkout, in that commit's version."""
        repository = self.planning.repository
        head = repository.find("HEAD")
        paths = [model.data.holdout for model in config.models if model.data.holdout]
        return links_to(repository, commit, head, paths) if head else {}

    def _extract(self, path: str, folder: Path) -> Problem | None:
        try:
            content = self.planning.repository.read(self.planning.commits.candidate, path)
        except MlbotError as error:
            return Problem.of(Reason.HOLDOUT_UNREADABLE, "not-in-commit", why=error.what)
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        return None


def _out_of_bounds(model: Model) -> Problem | None:
    """What is never done for a model that the guarded branch does not know, because a stranger may have written it."""
    own = next((metric.function for metric in model.metrics if metric.function is not None), None)
    if own is not None:
        return Problem.of(Reason.METRIC_FAILED, "not-landed", metric=own)
    if model.evaluate is not None and model.evaluate.network:
        return Problem.of(Reason.EVALUATOR_FAILED, "not-landed")
    if is_url(model.data.holdout):
        return Problem.of(Reason.HOLDOUT_UNREADABLE, "new-url")
    return None


@dataclass(frozen=True, kw_only=True, slots=True)
class Live:
    """What is in production."""

    entry: DeploymentEntry
    file: Path | Problem | None
    """Its bytes; a problem where they cannot be had; None where they need not be, for they are a side's own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Against:
    """One baseline: its files, or why there are none, and whose they are."""

    files: SeedRuns | Problem
    compared: Compared | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class AnchorFiles:
    """An anchor with its files, or why they cannot be had."""

    anchor: Anchor
    files: SeedRuns | Problem

    def is_baseline(self, compared: Compared | None) -> bool:
        """Whether the baseline is this very model."""
        return compared is not None and compared.key == self.anchor.entry.key


def with_files(
    anchors: Iterable[Anchor],
    baselines: Iterable[Against],
    had: Callable[[Anchor, int], SeedRuns | Problem],
) -> tuple[AnchorFiles, ...]:
    """The anchors with their files: those of a baseline that is the same model, else what is had of the n-th."""
    known = {each.compared.key: each.files for each in baselines if each.compared and isinstance(each.files, SeedRuns)}
    return tuple(
        AnchorFiles(anchor=each, files=known.get(each.entry.key) or had(each, number))
        for number, each in enumerate(anchors)
    )


def against(point: Point, trained: SeedRuns | Problem, judged: SeedRuns | Problem | None) -> Iterator[Against]:
    """The baselines of a tip that nobody has judged: what was trained of it, and the last usable model.

    Where the tip's training fails the last usable model is compared with alone; without one there is no bar at all. A
    training that nobody has seen fail is a fault.
    """
    if isinstance(trained, Problem) and trained.cause != "not-trained":
        yield Against(files=trained, compared=Compared(source=point.source, commit=point.train))
        return
    if isinstance(trained, SeedRuns):
        yield Against(files=trained, compared=Compared(source=point.source, commit=point.train))
    if judged is not None:
        source = point.source if isinstance(trained, SeedRuns) else Source.BROKEN
        yield Against(files=judged, compared=point.compared.model_copy(update={"source": source}))
    elif isinstance(trained, Problem):
        problem = Problem.of(Reason.NO_USABLE_BASELINE, "not-trained", why=trained.inner)
        yield Against(files=problem, compared=Compared(source=Source.NEVER, commit=point.train))


@dataclass(frozen=True, kw_only=True)
class JudgeRequest:
    """What is to be judged, and by which rules."""

    rule: Rule
    candidate: SeedRuns
    baseline: SeedRuns | Problem
    compared: Compared | None = None  # whose model the baseline is
    rules: Digest | None = None  # of the guarded branch, as git has them
    planned: PlannedModel | None = None  # why it is judged, with its content keys; None for files that no plan is about
    overrides: Params = field(default_factory=dict)
    past: tuple[VerdictEntry, ...] = ()
    """The model's verdicts in the ledger; their seeds tell how much a seed moves a metric."""
    live: Live | None = None
    anchors: tuple[AnchorFiles, ...] = ()
    releases: tuple[ReleaseEntry, ...] = ()
    """The model's versions; the best of them is a second anchor, which is shown and never gates."""
    head: Model | None = None
    holdout: "HoldoutData | Problem | None" = None  # as it was read before; None: not yet
    waves: tuple[Wave, ...] = ()  # the seeds that were trained because fewer did not decide
    recorded: bool = False  # whether the verdict is one of the guarded branch's own, which a release may rest on

    @property
    def model(self) -> Model:
        """As it is judged."""
        return self.rule.model

    @property
    def key(self) -> Digest | None:
        """The candidate's content key."""
        return trial_key(self.planned.key, self.overrides) if self.planned else None

    @property
    def base_key(self) -> Digest | None:
        """The baseline's content key; neither it nor `key` is history."""
        if self.planned is None:
            return None
        return self.planned.key if self.overrides else self.planned.base_key

    @cached_property
    def evidence(self) -> Evidence:
        """What is known before anything is scored."""
        return Evidence(
            model=self.model.name,
            gates=self.model.gates,
            baseline_problem=self.baseline if isinstance(self.baseline, Problem) else None,
            seeds=Seeds(
                design=self.design,
                count=self.count,
                recipe=self.recipe,
                likely=self.known is Determinism.LIKELY,
            ),
            key=self.key,
            provisional=self.rule.provisional,
        )

    @property
    def design(self) -> SeedDesign:
        """After how many seeds there is a look; of files that no plan is about, one at what is given."""
        return self.planned.design if self.planned else SeedDesign(looks=(max(1, self.count.candidate),))

    @property
    def recipe(self) -> Digest | None:
        """Of all that decides whether the candidate's seed matters; None where a trial changes that."""
        return self.planned.recipe if self.planned and not self.overrides else None

    @property
    def known(self) -> Determinism:
        """What is known of the candidate's seed: by the ledger; a model that is brought has none."""
        if self.planned is not None and self.planned.brought:
            return Determinism.KNOWN
        return determinism(self.past, self.model.name, self.key, self.recipe)

    @property
    def base_known(self) -> Determinism:
        """What is known of the baseline's seed: by the ledger; a model that is brought has none."""
        if self.others.trainings and all(each.origin for each in self.others.trainings):
            return Determinism.KNOWN
        return determinism(self.past, self.model.name, self.compared.key if self.compared else None, None)

    @property
    def count(self) -> SeedCount:
        """How many seeds each side has."""
        return SeedCount(candidate=len(self.candidate.runs), baseline=len(self.others.runs))

    @property
    def apart(self) -> tuple[SeedRuns, ...]:
        """The files of the anchors that have to be scored, because they are not the baseline's."""
        return tuple(each.files for each in self.anchors if isinstance(each.files, SeedRuns) and not self.has(each))

    def has(self, anchor: AnchorFiles) -> bool:
        """Whether an anchor is the baseline, so that its files are there."""
        return isinstance(self.baseline, SeedRuns) and anchor.is_baseline(self.compared)

    @property
    def others(self) -> SeedRuns:
        """The baseline's files; none where there is no baseline."""
        return SeedRuns(runs=()) if isinstance(self.baseline, Problem) else self.baseline

    def with_problem(self, problem: Problem) -> "JudgeResult":
        """The result where nothing could be evaluated."""
        return JudgeResult(request=self, evidence=self.evidence.model_copy(update={"problem": problem}))


@dataclass(frozen=True, kw_only=True, slots=True)
class JudgeResult:
    """What was found about one model."""

    request: JudgeRequest
    evidence: Evidence
    holdout: Holdout | None = None
    baseline: tuple[Evaluation, ...] = ()
    slices: tuple[SliceInfo, ...] = ()
    curves: dict[Side, Curves] = field(default_factory=dict)
    items: Items | None = None  # of an evaluation
    versus: tuple[Comparison, ...] | Problem = ()
    """The candidate's file beside the one in production, or why nobody knows."""
    reference: Sketch | None = None  # of the holdout and of what the file that ships answered


@dataclass(frozen=True, kw_only=True, slots=True)
class _Scored:
    seeds: tuple[int, ...]
    results: "tuple[Scored | Problem, ...]"

    @property
    def problem(self) -> Problem | None:
        return next((result for result in self.results if isinstance(result, Problem)), None)

    @property
    def files(self) -> "tuple[Scored, ...]":
        return tuple(result for result in self.results if not isinstance(result, Problem))

    def evaluations(self, scores: Sequence[tuple[Score, ...]] = ()) -> tuple[Evaluation, ...]:
        """One a seed, with its scores where there are any."""
        padded = [*scores, *((),) * (len(self.seeds) - len(scores))]
        return tuple(map(_evaluation, self.seeds, self.results, padded))


def _evaluation(seed: int, result: "Scored | Problem", scores: tuple[Score, ...]) -> Evaluation:
    if isinstance(result, Problem):
        return Evaluation(digest=None, seed=seed, problem=result)
    return Evaluation(
        digest=result.digest,
        seed=seed,
        size_bytes=result.size_bytes,
        scores=scores,
        latency=result.latency,
        asked=result.asked,
        own_labels=result.own_labels,
        rounding=result.rounding,
    )


def judge(request: JudgeRequest, *, progress: Callable[[str], None], limits: "Limits | None" = None) -> JudgeResult:
    """Score and measure all of a model's files.

    A problem is a part of the result, never an exception.
    """
    model = request.model
    if model.evaluate is not None:
        from mlbot.judging.run_evaluate import judge_scores

        return judge_scores(request, progress=progress)
    holdout = _read(request, progress)
    if isinstance(holdout, Problem):
        return request.with_problem(holdout)
    found = _score(request, holdout, progress, limits)
    changed = _changed(request, found)
    if changed is not None:
        return request.with_problem(changed)
    result = _measure(request, holdout, found.candidate, found.baseline)
    result = replace(result, holdout=holdout.record, slices=_slices(model, holdout.record))
    if found.candidate.problem is not None:
        return result
    result = replace(result, reference=_reference(request, holdout, found.candidate.files[0]))
    result = with_anchors(result, _Beside(request=request, holdout=holdout, scored=found))
    return (
        result if found.live is None else replace(result, versus=_versus(request, holdout, found.candidate, found.live))
    )


def _reference(request: JudgeRequest, holdout: "HoldoutData", shipped: "Scored") -> Sketch | None:
    """What a release of this verdict is watched beside: made here, where the rows and the answers are in hand.

    A verdict is the same without it, so nothing that a column holds may cost more than the sketch.
    """
    from polars.exceptions import PanicException, PolarsError

    from mlbot.ml.sketches import sketch_of_holdout

    if not (request.recorded and request.model.data.sketches_holdout):
        return None
    try:
        return sketch_of_holdout(holdout, request.model.data.targets, shipped)
    except (MlbotError, PolarsError, PanicException, ValueError, MemoryError):
        return None


def opened(rule: Rule) -> "HoldoutData | Problem":
    """The holdout that judges a model, or why nothing can be judged on it."""
    from mlbot.ml.holdout import open_holdout

    model = rule.model
    source = model.data.holdout if is_url(model.data.holdout) else rule.folder / model.data.holdout
    given = source, model.data, model.task, model.slices
    train = training_data(model, rule.folder)
    return unfetched(source) or open_holdout(*given, copies=rule.copies, train=train, any_kind=not model.is_onnx)


def rules_of(policy: PlannedSide | None) -> dict[Name, Digest]:
    """What each model is judged by, as the guarded branch has it now."""
    if policy is None:
        return {}
    inconclusive = policy.config.inconclusive
    return {model.name: rules_digest(model, inconclusive, policy.tree) for model in policy.config.models}


def judge_against(
    request: JudgeRequest, baselines: Iterable[Against], *, progress: Callable[[str], None]
) -> JudgeResult:
    """Judge a candidate against each of several baselines on one reading of the holdout; the worst result counts."""
    read = request if request.model.evaluate else replace(request, holdout=_read(request, progress))
    requests = [replace(read, baseline=each.files, compared=each.compared) for each in baselines]
    results = [judge(each, progress=progress) for each in requests]
    outcomes = [decide(_ALONE, [each.evidence]).outcome for each in results]
    result = results[outcomes.index(worst(outcomes))]
    # What was not held before is not held after: a training may come next.
    return replace(result, request=replace(result.request, holdout=request.holdout))


def _read(request: JudgeRequest, progress: Callable[[str], None]) -> "HoldoutData | Problem":
    if request.holdout is not None:
        return request.holdout
    progress(f"{request.model.name}: reading the holdout {request.model.data.holdout}")
    return opened(request.rule)


_ALONE = Commits(head="0" * 40, base=None, policy=None, guarded="")


@dataclass(frozen=True, kw_only=True, slots=True)
class _ScoredAll:
    """The files of every side."""

    candidate: _Scored
    baseline: _Scored | None
    anchors: tuple[_Scored, ...]  # in the order of the request's that are scored for themselves
    live: "Scored | Problem | None"


def _score(
    request: JudgeRequest, holdout: "HoldoutData", progress: Callable[[str], None], limits: "Limits | None"
) -> _ScoredAll:
    """Score the files of both sides, of the anchors and the one in production, in one reading of the holdout."""
    ours = [run.file if request.rule.problem is None else request.rule.problem for run in request.candidate.runs]
    others, live = request.others.runs, request.live.file if request.live else None
    sides = [ours, [run.file for run in others], *([run.file for run in each.runs] for each in request.apart)]
    files = [*chain.from_iterable(sides), *([live] if live else [])]
    paths = [file for file in files if isinstance(file, Path)]
    progress(f"{request.model.name}: scoring {figures.plural(len(paths), 'model file')} on {holdout.rows:,} rows")
    first = sum(isinstance(file, Path) for file in ours)
    # The two files that ship are timed in turn.
    shipped = [0] * isinstance(ours[0], Path) + [first] * (bool(others) and isinstance(others[0].file, Path))
    scored = iter(ask(request.rule, paths, holdout, progress=progress, limits=limits, shipped=shipped))
    results = iter([file if isinstance(file, Problem) else next(scored) for file in files])
    candidate, baseline, *anchors = (
        _Scored(seeds=tuple(run.seed for run in side.runs), results=tuple(islice(results, len(side.runs))))
        for side in (request.candidate, request.others, *request.apart)
    )
    return _ScoredAll(
        candidate=candidate,
        baseline=baseline if others else None,
        anchors=tuple(anchors),
        live=next(results, None),
    )


def ask(
    rule: Rule,
    paths: Sequence[Path],
    holdout: "HoldoutData",
    *,
    progress: Callable[[str], None],
    limits: "Limits | None" = None,
    shipped: Sequence[int] = (),
) -> "tuple[Scored | Problem, ...]":
    """What models answer to a holdout, in order, or why there is none: asked by mlbot itself, or by a predictor."""
    from mlbot.ml.scoring import score_many

    if rule.model.is_onnx or rule.source is None:
        return score_many(paths, holdout, limits=limits or limits_of(rule.model), in_turn=shipped)
    asking = Asking(model=rule.model, source=rule.source, folder=rule.folder, progress=progress)
    return asking.many(paths, holdout, shipped)


_GATED_S = 20.0  # seconds that timing two slow models in turn may take where a gate is on it


def limits_of(model: Model) -> "Limits":
    """What a model may be and use while mlbot asks it."""
    from mlbot.ml.scoring import Limits

    usual, gated = Limits(), any(gate.metric == "latency_p50_ms" for gate in model.gates)
    return replace(
        usual,
        size_bytes=model.most_bytes,
        memory_bytes=model.limits.memory_bytes or usual.memory_bytes,
        wall_s=model.limits.score_time_s or usual.wall_s,
        rounds_s=_GATED_S if gated else usual.rounds_s,
    )


def _changed(request: JudgeRequest, found: _ScoredAll) -> Problem | None:
    """The first file that is not what its training left: a later training on this machine could have written it."""
    sides = (found.candidate, *([found.baseline] if found.baseline else []), *found.anchors)
    runs = chain(request.candidate.runs, request.others.runs, *(side.runs for side in request.apart))
    for run, result in zip(runs, chain.from_iterable(side.results for side in sides), strict=True):
        if run.digest and not isinstance(result, Problem) and result.digest != run.digest:
            return Problem.of(Reason.MODEL_REFUSED, "changed", seed=run.seed)
    return None


def _measure(
    request: JudgeRequest, holdout: "HoldoutData", candidate: _Scored, baseline: _Scored | None
) -> JudgeResult:
    from mlbot.judging.run_measure import measure

    evidence = request.evidence
    if baseline is not None and baseline.problem is not None:
        evidence = evidence.model_copy(update={"baseline_problem": _unusable(baseline.problem)})
        baseline = None
    if candidate.problem is not None:
        evidence = evidence.model_copy(update={"candidate": candidate.evaluations()})
        return JudgeResult(request=request, evidence=evidence)
    plan = _metric_plan(request, candidate, holdout)
    if isinstance(plan, Problem):
        return request.with_problem(plan)
    rows = _rows(holdout, candidate, baseline)
    found = measure(plan, rows, holdout.masks)
    small = frozenset(each.name for each in _slices(request.model, holdout.record) if each.small)
    shipped, *others = candidate.evaluations(found.scores[: plan.candidates])
    measured = {
        "candidate": (_shipped(shipped, plan, rows), *others),
        "comparisons": found.comparisons,
        "flips": _flips(request, plan, rows, found, hidden=holdout.record.hidden) if baseline else None,
        "latency": _in_turn(candidate.files[0], baseline.files[0]) if baseline else None,
        "small_slices": small,
        "small_gaps": frozenset(metric.name for metric in request.model.metrics if small & {*metric.slices}),
        "seeds": _seeds(evidence.seeds, plan, found.matters),
    }
    return JudgeResult(
        request=request,
        evidence=evidence.model_copy(update=measured),
        baseline=baseline.evaluations(found.scores[plan.candidates :]) if baseline else (),
        curves=_curves(request, rows, plan),
    )


def _shipped(evaluation: Evaluation, plan: "MetricPlan", rows: "Rows") -> Evaluation:
    """The evaluation of the file that ships, with the rows that it is wrongly certain of."""
    from mlbot.judging.run_measure import wrongly_certain

    if not plan.task.is_classification:
        return evaluation
    return evaluation.model_copy(update={"wrongly_certain": wrongly_certain(plan, rows, 0)})


def _flips(request: JudgeRequest, plan: "MetricPlan", rows: "Rows", found: "Measured", *, hidden: bool) -> Flips | None:
    from mlbot.judging.run_measure import looks, negative_flips

    if not plan.task.is_classification:
        return None
    limit = next((gate.limit for gate in request.model.gates if gate.bound is Bound.MAX_EXCESS), None)
    _, level = looks(plan, len(rows.predictions), found.matters)[-1]
    return negative_flips(rows, plan.candidates, examples=not hidden, limit=limit, level=level, matters=found.matters)


def _in_turn(ours: "Scored", theirs: "Scored") -> LatencyRatio | None:
    from mlbot.judging.run_measure import latency_ratio

    return latency_ratio(ours.rounds, theirs.rounds, identical=ours.digest == theirs.digest)


def _seeds(seeds: Seeds, plan: "MetricPlan", matters: tuple[bool, bool]) -> Seeds:
    """The seeds of both sides with what two of them, or the ledger, say of their effect."""
    sure = [
        None if count < 2 and not known else not of_seed  # two files tell whether they are alike
        for count, known, of_seed in zip(
            (seeds.count.candidate, seeds.count.baseline), plan.deterministic, matters, strict=True
        )
    ]
    return seeds.model_copy(update={"candidate_deterministic": sure[0], "baseline_deterministic": sure[1]})


_FAULTS = {Reason.SCORING_FAILED, Reason.SCORING_TIMEOUT, Reason.SCORING_MEMORY}


def _unusable(problem: Problem) -> Problem:
    """What a baseline is that cannot be evaluated: trying again may help after a fault, and nothing else does."""
    if problem.reason in _FAULTS:
        return Problem.of(Reason.BASELINE_UNREACHABLE, "not-evaluated", why=problem.detail)
    return Problem.of(Reason.NO_USABLE_BASELINE, "cannot-score", why=problem.detail)


def _metric_plan(request: JudgeRequest, candidate: _Scored, holdout: "HoldoutData") -> "MetricPlan | Problem":
    from mlbot.judging.run_measure import MetricPlan
    from mlbot.ml.custom_metrics import load_metrics

    model = request.model
    custom = load_metrics(model.metrics, request.rule.folder, holdout.values, weighted=holdout.weights is not None)
    if isinstance(custom, Problem):
        return custom
    return MetricPlan(
        task=model.task,
        metrics=model.metrics,
        candidates=len(candidate.results),
        margins={(g.metric, g.slice): g.limit for g in model.gates if g.bound is Bound.MAX_REGRESSION},
        custom=custom,
        history=partial(_seed_history, request, holdout.record.digest),
        design=request.design,
        family=max(request.rule.family, sum(gate.is_margin for gate in model.gates)),
        deterministic=(request.known is Determinism.KNOWN, request.base_known is Determinism.KNOWN),
    )


def _seed_history(
    request: JudgeRequest, holdout: Digest, metric: str, slice_: str | None, *, but: Digest | None = None
) -> "SeedHistory | None":
    """What past recipes say of the seeds; not those that are judged, nor the anchor that is asked."""
    own = [key for key in (request.key, request.base_key, but) if key is not None]
    return known_history(request.past, request.model.name, metric, slice_, holdout, own)


def known_history(
    past: Sequence[VerdictEntry], model: Name, metric: str, part: str | None, holdout: Digest, but: Sequence[Digest]
) -> "SeedHistory | None":
    """What a model's past recipes say of the seeds, as the rule takes it; not those of the keys in `but`."""
    from mlbot.stats.recipe import SeedHistory

    found = seed_history(past, model, metric, part, holdout, but)
    return SeedHistory(variance=found.variance, df=found.df) if found else None


def _rows(holdout: "HoldoutData", candidate: _Scored, baseline: _Scored | None) -> "Rows":
    rows = rows_of(holdout, (*candidate.files, *(baseline.files if baseline else ())))
    return replace(rows, seeds=(*candidate.seeds, *(baseline.seeds if baseline else ())))


def rows_of(holdout: "HoldoutData", files: "Sequence[Scored]") -> "Rows":
    """The holdout's rows with what files say of them."""
    from mlbot.judging.run_measure import Rows

    return Rows(
        slice=None,
        labels=holdout.labels,
        predictions=tuple(each.predictions for each in files),
        decided=tuple(each.decided for each in files if each.decided is not None),
        groups=holdout.groups,
        weights=holdout.weights,
        series=holdout.series,
        classes=tuple(map(str, holdout.values)) or holdout.record.classes,
    )


def _curves(request: JudgeRequest, rows: "Rows", plan: "MetricPlan") -> dict[Side, Curves]:
    from mlbot.ml.curves import curves

    drawn = {Side.CANDIDATE: rows.of(0)}
    if len(rows.predictions) > plan.candidates:
        drawn[Side.BASELINE] = rows.of(plan.candidates)
    task = request.model.task
    return {
        side: curves(
            task,
            each.labels,
            each.predictions[0],
            next(iter(each.decided), None),
            each.weights,
            groups=each.groups,
            series=each.series,
            names=each.classes,
        )
        for side, each in drawn.items()
    }


def _slices(model: Model, holdout: Holdout) -> tuple[SliceInfo, ...]:
    return tuple(
        SliceInfo(name=each.name, where=each.where, rows=holdout.slices[each.name], min_rows=each.min_rows)
        for each in model.slices
    )


def _versus(
    request: JudgeRequest, holdout: "HoldoutData", candidate: _Scored, live: "Scored | Problem"
) -> tuple[Comparison, ...] | Problem:
    """The file that would ship beside the file that is live, on today's holdout: shown, and never gating.

    Every metric on all rows first, then what is gated on slices; nothing where both are the same file.
    """
    from mlbot.judging.run_measure import measure

    plan = _metric_plan(request, candidate, holdout)
    if isinstance(plan, Problem):
        return plan
    if isinstance(live, Problem):
        return live
    shipped = candidate.files[0]
    if live.digest == shipped.digest:
        return ()
    gated = {(gate.metric, gate.slice) for gate in request.model.gates}
    masks = {name: mask for name, mask in holdout.masks.items() if name in {slice_ for _, slice_ in gated}}
    rows = rows_of(holdout, (shipped, live))
    # Of two given files the seeds' variance is no question, so its absence is no lack: only rows vary.
    pair = replace(
        plan,
        candidates=1,
        margins={},
        history=lambda _metric, _slice: None,
        design=SeedDesign(),
        deterministic=(True, True),
    )
    found = measure(pair, rows, masks).comparisons
    return tuple(each for each in found if each.slice is None or (each.metric, each.slice) in gated)


Beside = Callable[["AnchorFiles | None"], "Sequence[Comparison] | Problem"]
"""The candidate's seeds beside those of an anchor (None: of the baseline, in the place of one that is gone), all at
once: an anchor is asked by one look, with 90 % intervals."""


def with_anchors(result: JudgeResult, beside: Beside) -> JudgeResult:
    """The result with what the candidate is beside each anchor, and the gates that ask it."""
    if result.evidence.problem is not None:
        return result
    sides = tuple(_anchor_side(result.request, each, beside) for each in result.request.anchors)
    asked = anchor_gates(result.request.model.gates, chain.from_iterable(each.gates for each in sides))
    gates = (*result.evidence.gates, *asked)
    return replace(result, evidence=result.evidence.model_copy(update={"anchors": sides, "gates": gates}))


def _anchor_side(request: JudgeRequest, each: AnchorFiles, beside: Beside) -> AnchorSide:
    anchor, own = each.anchor, request.has(each)
    found = each.files if isinstance(each.files, Problem) else beside(each)
    if isinstance(found, Problem) and is_lost(found):
        return _replaced(request, anchor, found, beside)
    if isinstance(found, Problem):
        return AnchorSide(model=anchor.model, gates=() if found.cause == NOT_HERE else anchor.gates, problem=found)
    return AnchorSide(model=anchor.model, gates=anchor.gates, baseline=own, comparisons=_asked(request, anchor, found))


def _replaced(request: JudgeRequest, anchor: Anchor, why: Problem, beside: Beside) -> AnchorSide:
    """The baseline in the place of an anchor that is gone; where there is none, nothing is asked."""
    there = isinstance(request.baseline, SeedRuns) and request.compared is not None
    found = beside(None) if there else why
    if request.compared is None or isinstance(found, Problem):
        return AnchorSide(model=AnchorModel(since=Since.LOST), lost=anchor.model, problem=why)
    facts = request.compared.model_dump(include={"commit", "key", "digest", "judged"})
    return AnchorSide(
        model=AnchorModel(since=Since.LOST, **facts),
        gates=anchor.gates,
        baseline=True,
        comparisons=_asked(request, anchor, found),
        lost=anchor.model,
        problem=why,
    )


def _asked(request: JudgeRequest, anchor: Anchor, found: Sequence[Comparison]) -> tuple[Comparison, ...]:
    wanted = {(gate.metric, gate.slice) for gate in request.model.gates if gate.subject in anchor.gates}
    return tuple(each for each in found if (each.metric, each.slice) in wanted)


NOT_HERE, _GONE = "not-here", frozenset({"gone", "not-trained", "cannot-score"})


def is_lost(why: Problem) -> bool:
    """Whether an anchor is gone, so that the baseline is asked in its place; a fault may be over the next time."""
    return why.reason is Reason.ANCHOR_UNREACHABLE and why.cause in _GONE


def as_anchor(why: Problem) -> Problem:
    """Why a baseline could not be had, said of an anchor."""
    cause = "not-trained" if why.cause == "not-trained" else "fault"
    return Problem.of(Reason.ANCHOR_UNREACHABLE, cause, why=why.inner)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Beside:
    """Compares the scored files of a candidate with those of its anchors."""

    request: JudgeRequest
    holdout: "HoldoutData"
    scored: _ScoredAll

    def __call__(self, anchor: AnchorFiles | None) -> Sequence[Comparison] | Problem:
        side = self._side(anchor)
        if side is None or side.problem is not None:
            return _unaskable(side)
        key = anchor.anchor.entry.key if anchor else self.request.compared.key if self.request.compared else None
        return self._compared(side, key)

    def _side(self, anchor: AnchorFiles | None) -> _Scored | None:
        if anchor is None or self.request.has(anchor):
            return self.scored.baseline
        apart = [
            each for each in self.request.anchors if not self.request.has(each) and isinstance(each.files, SeedRuns)
        ]
        return self.scored.anchors[apart.index(anchor)]

    def _compared(self, side: _Scored, key: Digest | None) -> Sequence[Comparison] | Problem:
        from mlbot.judging.run_measure import measure

        request, candidate = self.request, self.scored.candidate
        plan = _metric_plan(request, candidate, self.holdout)
        if isinstance(plan, Problem):
            return plan
        gated = {(gate.metric, gate.slice) for gate in request.model.gates if gate.bound is Bound.MAX_REGRESSION}
        metrics = tuple(each for each in plan.metrics if each.name in {metric for metric, _ in gated})
        parts = {*chain.from_iterable(each.slices for each in metrics), *(slice_ for _, slice_ in gated)}
        known = determinism(request.past, request.model.name, key, None) is Determinism.KNOWN
        pair = replace(
            plan,
            metrics=metrics,
            history=partial(_seed_history, request, self.holdout.record.digest, but=key),
            design=SeedDesign(),
            family=1,
            deterministic=(plan.deterministic[0], known),
        )
        masks = {name: mask for name, mask in self.holdout.masks.items() if name in parts}
        return measure(pair, _rows(self.holdout, candidate, side), masks).comparisons


def _unaskable(scored: _Scored | None) -> Problem:
    """Why an anchor's files cannot be scored today: where it is no fault, none of them will ever be again."""
    problem = scored.problem if scored else None
    if problem is None:
        return Problem.of(Reason.ANCHOR_UNREACHABLE)
    cause = "not-evaluated" if problem.reason in _FAULTS else "cannot-score"
    return Problem.of(Reason.ANCHOR_UNREACHABLE, cause, why=problem.detail)


def evidence_of(
    planning: Planning, results: Iterable[JudgeResult], data: Sequence[DataReport] = ()
) -> tuple[Evidence, ...]:
    """The evidence on the judged models, then on those that head removes, each with what it is bound to.

    `data` is what was found in the models' data, where a change has other data.
    """
    changes = {each.model: each for each in data}
    judged = (
        bound if change is None else bound.model_copy(update={"data": change})
        for bound in (_bound(each, planning) for each in results)
        for change in (changes.get(bound.model),)
    )
    return (*judged, *(_removed(name, planning.sides) for name in planning.plan.deleted))


def _bound(result: JudgeResult, planning: Planning) -> Evidence:
    """What was found; inputs that the holdout lacks are columns to land first where head changes the holdout."""
    sides, holdout = planning.sides, result.request.model.data.holdout
    evidence = result.evidence.model_copy(update={"policy": _rule_digest(result, planning)})
    if result.request.rule.provisional or sides.policy is None or is_url(holdout) or not holdout:
        return evidence
    changed = changed_rule_files(sides.policy, sides.head.tree, sides.base.tree if sides.base else None)
    if sides.policy.tree.match(holdout).isdisjoint(changed):
        return evidence
    return evidence.model_copy(update={"candidate": tuple(map(_to_land, evidence.candidate))})


def _to_land(evaluation: Evaluation) -> Evaluation:
    problem = evaluation.problem
    if problem is None or problem.reason is not Reason.MODEL_INPUTS:
        return evaluation
    return evaluation.model_copy(update={"problem": Problem.of(Reason.HOLDOUT_SCHEMA, "to-land", why=problem.detail)})


def _rule_digest(result: JudgeResult, planning: Planning) -> Digest | None:
    configs, sides = planning.configs, planning.sides
    own = result.request.rule.provisional or configs.policy is None or sides.policy is None
    config, side = (configs.head, sides.head) if own else (configs.policy, sides.policy)
    if result.holdout is None or config is None or side is None:
        return None
    holdout = result.holdout.digest if result.request.model.evaluate is None else NO_HOLDOUT
    return policy_digest(result.request.model, config.inconclusive, side.tree, holdout)


def _removed(name: str, sides: Sides) -> Evidence:
    before = sides.base or sides.policy
    key = None
    with suppress(UsageError):  # base names a file that is not there: nobody can say what would be waived
        key = Subject.of(before.models[name], before).key if before and name in before.models else None
    return Evidence(model=name, gates=(), deleted=True, key=key, policy=removal_digest())


def model_report(result: JudgeResult, verdict: ModelVerdict) -> ModelReport:
    """The report on one model, notices included."""
    request = result.request
    ours = request.candidate.trainings
    others = request.others.trainings
    both = ours and others
    report = ModelReport(
        model=request.model.name,
        task=request.model.task,
        verdict=verdict,
        metrics=metric_infos(request.model),
        slices=result.slices,
        holdout=result.holdout,
        candidate=result.evidence.candidate,
        baseline=result.baseline,
        compared=request.compared,
        rules=request.rules,
        comparisons=result.evidence.comparisons,
        anchors=result.evidence.anchors,
        flips=result.evidence.flips,
        latency=result.evidence.latency,
        items=result.items,
        waves=request.waves,
        curves=result.curves,
        reference=result.reference,
        candidate_training=ours,
        baseline_training=others,
        failures=request.candidate.failures,
        param_changes=param_changes(others[0].params, ours[0].params) if both else (),
        data_changes=changed_files(others[0].data, ours[0].data) if both else (),
        stale_reasons=tuple(reason.text for reason in request.planned.reasons) if request.planned else (),
        production=production(request.live.entry, result.versus) if request.live else None,
        history=_history(result),
    )
    known: tuple[Entry, ...] = (*request.past, *request.releases)
    notices = model_notices(report, result.evidence, request.head, known)
    return report.model_copy(update={"notices": notices, "open": open_gates(report)})


def _history(result: JudgeResult) -> tuple[History, ...]:
    request, holdout = result.request, result.holdout
    if holdout is None:
        return ()
    pasts = (
        (metric.name, metric_history(request.past, request.model.name, metric.name, holdout.digest))
        for metric in request.model.metrics
    )
    return tuple(History(metric=name, values=values) for name, values in pasts if values)


def report_of(
    planning: Planning, results: Sequence[JudgeResult], verdict: Verdict, *, notices: Sequence[Notice] = (), **more: Any
) -> Report:
    """The report on a commit.

    The verdict is on the judged models, then on those that are gone.
    """
    configs = planning.configs
    judged = map(model_report, results, verdict.models)
    without = (deleted_report(decided, configs.base or configs.policy) for decided in verdict.models[len(results) :])
    return Report(
        mlbot_version=__version__,
        verdict=verdict,
        models=(*judged, *without),
        unchanged=planning.plan.unchanged,
        notices=(*notices, *run_notices(planning.plan), *renamed_notices(configs.base or configs.policy, configs.head)),
        **more,
    )
