"""Judge one model: score its files on the holdout and measure them. The core decides what it comes to."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mlbot.config.schema import Config, Model
from mlbot.errors import MlbotError, UsageError
from mlbot.gates.gate import Bound, Gate
from mlbot.gates.outcome import Reason
from mlbot.git.ledger import read_local
from mlbot.ledger.entries import DeploymentEntry, VerdictEntry
from mlbot.ledger.queries import seed_history
from mlbot.lib.record import Digest, Name
from mlbot.lib.tree import is_url
from mlbot.protocol.artifacts import accepted_file
from mlbot.report.notices import in_production
from mlbot.report.report import Curves, Side, SliceInfo
from mlbot.storage.store import open_store
from mlbot.training.run_train import unfetched
from mlbot.verdict.decide import Evidence
from mlbot.verdict.evidence import Comparison, Evaluation, Flips, Holdout, Method, Problem, Score

if TYPE_CHECKING:
    from mlbot.judging.run_measure import Contest, Rows
    from mlbot.ml.holdout import HoldoutData
    from mlbot.ml.scoring import Limits, Scored
    from mlbot.stats.recipe import SeedHistory


# The candidate beside what is in production: one file against the other, shown and never gating.


@dataclass(frozen=True, kw_only=True, slots=True)
class Live:
    """What is in production.

    Attributes:
        entry: the deployment that put it there.
        file: its bytes; a problem where they cannot be had; None where they need not be, for they are a side's own.
    """

    entry: DeploymentEntry
    file: Path | Problem | None


def local_live(config: Config | None, root: Path, model: Name, folder: Path) -> Live | None:
    """What is in production by a clone's own ledger; its file from the store.

    Args:
        config: the guarded branch's; None where it has none.
        root: of the repository.
        model: whose.
        folder: where the file is put.
    """
    if config is None or not config.environments:
        return None
    entry = in_production(config.environments, read_local(root, "deployment", model).entries, model)
    if entry is None:
        return None
    target = folder / accepted_file(entry.digest)
    try:
        if config.store is None:
            raise UsageError("mlbot.yaml names no store")
        open_store(config.store, root).get(entry.digest, target)
    except MlbotError as error:
        return Live(
            entry=entry,
            file=Problem(reason=Reason.MODEL_MISSING, detail=f"its file cannot be had: {error.what}."),
        )
    return Live(entry=entry, file=target)


def versus(
    shipped: "Scored",
    live: "Scored | Problem | None",
    contest: "Contest",
    holdout: "HoldoutData",
    gates: tuple[Gate, ...],
) -> tuple[Comparison, ...] | Problem:
    """Compare the file that would ship with the file that is live, on today's holdout.

    Args:
        shipped: the candidate's first seed.
        live: the file in production.
        contest: what is measured of the candidate and the baseline.
        holdout: the rows.
        gates: of the model; of the slices only what they name is compared.

    Returns:
        Every metric on all rows first, then what is gated on slices; nothing where both are the same file.
    """
    from mlbot.judging.run_measure import Rows, measure

    if isinstance(live, Problem):
        return live
    if live is None or live.digest == shipped.digest:
        return ()
    gated = {(gate.metric, gate.slice) for gate in gates}
    masks = {name: mask for name, mask in holdout.masks.items() if name in {slice_ for _, slice_ in gated}}
    rows = Rows(
        slice=None,
        labels=holdout.labels,
        predictions=(shipped.predictions, live.predictions),
        groups=holdout.groups,
    )
    pair = replace(contest, candidates=1, margins={}, history=lambda _metric, _slice: None)
    found = measure(pair, rows, masks).comparisons
    return tuple(_of_files(each) for each in found if each.slice is None or (each.metric, each.slice) in gated)


def _of_files(comparison: Comparison) -> Comparison:
    """Of two given files the seeds' variance is no question, so its absence is no lack: only rows vary."""
    if comparison.method is not Method.SEED_VARIANCE_UNKNOWN:
        return comparison
    return comparison.model_copy(update={"method": Method.PAIRED})


Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One seed's model file, or why there is none."""

    seed: int
    file: Path | Problem


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """What is to be judged, and by which rules.

    Attributes:
        model: as the policy commit has it (or head, for a model that policy does not know).
        rules: the folder with the policy commit's files: holdout and metric code.
        candidate: one entry a seed; the first is the file that ships.
        baseline: the same of the other side, or why there is nothing to compare with.
        key: the candidate's content key.
        provisional: whether `model` and `rules` are head's own.
        past: the model's verdicts in the ledger; their seeds tell how much a seed moves a metric.
        base_key: the baseline's content key; neither it nor `key` is history.
        live: what is in production, to be compared with as well.
    """

    model: Model
    rules: Path
    candidate: tuple[Entry, ...]
    baseline: tuple[Entry, ...] | Problem
    key: Digest | None = None
    provisional: bool = False
    past: tuple[VerdictEntry, ...] = ()
    base_key: Digest | None = None
    live: Live | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """What was found about one model.

    Attributes:
        evidence: what the core decides by.
        holdout: what it was judged on; None when that could not be opened.
        baseline: evaluations of the other side's files.
        slices: of the holdout, with their rows.
        curves: of the shipped files.
        versus: the candidate's file beside the one in production, or why nobody knows.
    """

    evidence: Evidence
    holdout: Holdout | None = None
    baseline: tuple[Evaluation, ...] = ()
    slices: tuple[SliceInfo, ...] = ()
    curves: dict[Side, Curves]
    versus: tuple[Comparison, ...] | Problem = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Team:
    """One side's files, scored."""

    seeds: tuple[int, ...]
    results: "tuple[Scored | Problem, ...]"

    @property
    def problem(self) -> Problem | None:
        return next((result for result in self.results if isinstance(result, Problem)), None)

    @property
    def scored(self) -> "tuple[Scored, ...]":
        return tuple(result for result in self.results if not isinstance(result, Problem))

    def evaluations(self, scores: Sequence[tuple[Score, ...]] = ()) -> tuple[Evaluation, ...]:
        """One a seed, with its scores where there are any."""
        padded = [*scores, *((),) * (len(self.seeds) - len(scores))]
        return tuple(map(_evaluation, self.seeds, self.results, padded))


def judge(case: Case, *, say: Say, limits: "Limits | None" = None) -> Judged:
    """Score and measure all of a model's files.

    Args:
        case: what is to be judged.
        say: told of each step.
        limits: what a model file may use while it is scored.

    Returns:
        What was found; a problem is a part of it, never an exception.
    """
    from mlbot.ml.holdout import open_holdout

    model = case.model
    say(f"{model.name}: reading the holdout {model.data.holdout}")
    source = model.data.holdout if is_url(model.data.holdout) else case.rules / model.data.holdout
    pointer = unfetched(source)
    holdout = pointer or open_holdout(source, model.data, model.task, model.slices)
    if isinstance(holdout, Problem):
        return Judged(evidence=_evidence(case, problem=holdout), curves={})
    slices = _slices(model, holdout.record)
    candidate, baseline, live = _score_sides(case, holdout, say, limits)
    without = baseline if isinstance(baseline, Problem) else baseline.problem
    if candidate.problem is not None:
        evidence = _evidence(case, candidate=candidate.evaluations(), baseline_problem=without)
        return Judged(evidence=evidence, holdout=holdout.record, slices=slices, curves={})
    other = None if without or isinstance(baseline, Problem) else baseline
    judged = _measured(case, holdout, slices, candidate, other, without)
    return judged if live is None else replace(judged, versus=_versus(case, holdout, candidate, live))


def _measured(
    case: Case,
    holdout: "HoldoutData",
    slices: tuple[SliceInfo, ...],
    candidate: _Team,
    baseline: _Team | None,
    without: Problem | None,
) -> Judged:
    from mlbot.judging.run_measure import measure, negative_flips

    contest = _contest(case, candidate, holdout)
    if isinstance(contest, Problem):
        return Judged(evidence=_evidence(case, problem=contest), holdout=holdout.record, slices=slices, curves={})
    rows = _rows(holdout, candidate, baseline)
    found = measure(contest, rows, holdout.masks)
    flips = None
    if baseline and case.model.task.is_classification:
        flips = negative_flips(rows, contest.candidates, examples=not holdout.record.hidden)
    evidence = _evidence(
        case,
        candidate=candidate.evaluations(found.scores[: contest.candidates]),
        comparisons=found.comparisons,
        flips=flips,
        small_slices=frozenset(each.name for each in slices if each.small),
        baseline_problem=without,
    )
    return Judged(
        evidence=evidence,
        holdout=holdout.record,
        baseline=baseline.evaluations(found.scores[contest.candidates :]) if baseline else (),
        slices=slices,
        curves=_curves(case, rows, contest),
    )


def _versus(
    case: Case, holdout: "HoldoutData", candidate: _Team, live: "Scored | Problem"
) -> tuple[Comparison, ...] | Problem:
    contest = _contest(case, candidate, holdout)
    return (
        contest
        if isinstance(contest, Problem)
        else versus(candidate.scored[0], live, contest, holdout, case.model.gates)
    )


def _score_sides(
    case: Case, holdout: "HoldoutData", say: Say, limits: "Limits | None"
) -> "tuple[_Team, _Team | Problem, Scored | Problem | None]":
    """Score the files of both sides, and the one in production, in one reading of the holdout."""
    from mlbot.ml.scoring import score_many

    live = case.live.file if case.live else None
    entries = [
        *case.candidate,
        *(() if isinstance(case.baseline, Problem) else case.baseline),
        *([Entry(seed=0, file=live)] if live else []),
    ]
    paths = [entry.file for entry in entries if isinstance(entry.file, Path)]
    say(f"{case.model.name}: scoring {len(paths)} model files on {holdout.rows:,} rows")
    scored = iter(score_many(paths, holdout, limits=limits))
    results = tuple(entry.file if isinstance(entry.file, Problem) else next(scored) for entry in entries)
    seeds = tuple(entry.seed for entry in entries)
    split, end = len(case.candidate), len(results) - bool(live)
    candidate = _Team(seeds=seeds[:split], results=results[:split])
    shown = results[end] if live else None
    if isinstance(case.baseline, Problem):
        return candidate, case.baseline, shown
    return candidate, _Team(seeds=seeds[split:end], results=results[split:end]), shown


def _contest(case: Case, candidate: _Team, holdout: "HoldoutData") -> "Contest | Problem":
    from mlbot.judging.run_measure import Contest
    from mlbot.ml.custom_metrics import load_metrics

    custom = load_metrics(case.model.metrics, case.rules, holdout.values)
    if isinstance(custom, Problem):
        return custom
    margins = {(g.metric, g.slice): g.limit for g in case.model.gates if g.bound is Bound.MAX_REGRESSION}
    return Contest(
        task=case.model.task,
        metrics=case.model.metrics,
        candidates=len(candidate.results),
        margins=margins,
        custom=custom,
        history=partial(_seed_history, case, holdout.record.digest),
    )


def _seed_history(case: Case, holdout: Digest, metric: str, slice_: str | None) -> "SeedHistory | None":
    from mlbot.stats.recipe import SeedHistory

    own = [key for key in (case.key, case.base_key) if key is not None]
    found = seed_history(case.past, case.model.name, metric, slice_, holdout, own)
    return SeedHistory(variance=found.variance, df=found.df) if found else None


def _rows(holdout: "HoldoutData", candidate: _Team, baseline: _Team | None) -> "Rows":
    from mlbot.judging.run_measure import Rows

    scored = (*candidate.scored, *(baseline.scored if baseline else ()))
    return Rows(
        slice=None,
        labels=holdout.labels,
        predictions=tuple(each.predictions for each in scored),
        groups=holdout.groups,
    )


def _curves(case: Case, rows: "Rows", contest: "Contest") -> dict[Side, Curves]:
    from mlbot.ml.curves import curves

    drawn = {Side.CANDIDATE: rows.predictions[0]}
    if len(rows.predictions) > contest.candidates:
        drawn[Side.BASELINE] = rows.predictions[contest.candidates]
    return {side: curves(case.model.task, rows.labels, predictions) for side, predictions in drawn.items()}


def _slices(model: Model, holdout: Holdout) -> tuple[SliceInfo, ...]:
    return tuple(
        SliceInfo(name=each.name, where=each.where, rows=holdout.slices[each.name], min_rows=each.min_rows)
        for each in model.slices
    )


def _evidence(  # noqa: PLR0913 - one keyword for each thing found
    case: Case,
    *,
    candidate: tuple[Evaluation, ...] = (),
    comparisons: tuple[Comparison, ...] = (),
    flips: Flips | None = None,
    small_slices: frozenset[str] = frozenset(),
    problem: Problem | None = None,
    baseline_problem: Problem | None = None,
) -> Evidence:
    if baseline_problem is None and isinstance(case.baseline, Problem):
        baseline_problem = case.baseline
    return Evidence(
        model=case.model.name,
        gates=case.model.gates,
        candidate=candidate,
        comparisons=comparisons,
        flips=flips,
        small_slices=small_slices,
        problem=problem,
        baseline_problem=baseline_problem,
        key=case.key,
        provisional=case.provisional,
    )


def _evaluation(seed: int, result: "Scored | Problem", scores: tuple[Score, ...]) -> Evaluation:
    if isinstance(result, Problem):
        return Evaluation(digest=None, seed=seed, problem=result)
    return Evaluation(
        digest=result.digest, seed=seed, size_bytes=result.size_bytes, scores=scores, latency=result.latency
    )
