"""From evidence to a verdict: the rules of the gates, and a person's word that lets one gate pass.

The margin's rule is that of a non-inferiority test with three outcomes. With D the change for the worse, h the half
width of its two-sided 90 % interval and m the margin: fail when D - h > m, pass when D + h < m, else inconclusive
(E. Lesaffre, "Superiority, equivalence, and non-inferiority trials", Bull. NYU Hosp. Jt. Dis. 66 (2008) 150-154, for
the geometry; docs/statistics.md for what the interval contains). Every comparison is written so that a figure that is
not there cannot pass.

A waiver binds to the model, its content key, a digest of the rules it is judged by, and one gate. So it follows content
that does not change onto the guarded branch, and it ends when the content or the rules change. What could not be
evaluated is never waived: there is nothing there that anybody could answer for.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from mlbot.config.schema import Model, OnInconclusive, Waivers
from mlbot.data.findings import DataReport, Why
from mlbot.events.github import Role
from mlbot.gates.metric import OPERATIONAL, Bound, Direction, Gate, Metric, catalogued, data_check
from mlbot.gates.outcome import ALPHA, JUDGEABLE, Outcome, Reason, worst
from mlbot.ledger.entries import WaiverEntry
from mlbot.lib.record import Digest, Name, Record, canonical, digest
from mlbot.lib.templates import sentence
from mlbot.lib.tree import Tree, is_url, module_files
from mlbot.stats.anchor import TOLERANCE, Anchored, anchored
from mlbot.verdict.seeds import Seeds
from mlbot.verdict.verdict import (
    AnchorSide,
    Commits,
    Comparison,
    Evaluation,
    Flips,
    GateResult,
    LatencyRatio,
    Look,
    Method,
    ModelVerdict,
    Problem,
    Verdict,
    Waived,
)

DELETED = "deleted"  # what stands for the gate where a model is to be gone
WAIVABLE = frozenset({Outcome.FAIL, Outcome.INCONCLUSIVE})  # the outcomes that a person may answer for
_FORM = "mlbot/policy@1"

_JUDGED_BY = ("target", "positive", "drop", "features", "classes", "group")
"""The settings under `data` that decide how a model is scored; the holdout counts by its content."""

_NOT_EVALUATED = frozenset({"", "not-computed", "not-measured"})
"""The causes of an undefined metric that say nothing of the models: it was not looked for."""

_MAINTAINERS: frozenset[Role] = frozenset({"maintain", "admin"})

_BYTES_PER_MB = 1_000_000


class Evidence(Record):
    """All that was found about one model, before anybody decides."""

    model: Name
    gates: tuple[Gate, ...]
    candidate: tuple[Evaluation, ...] = ()  # one a seed; the first is the file that ships
    comparisons: tuple[Comparison, ...] = ()
    anchors: tuple[AnchorSide, ...] = ()
    flips: Flips | None = None
    latency: LatencyRatio | None = None
    seeds: Seeds = Seeds()
    small_slices: frozenset[str] = frozenset()
    small_gaps: frozenset[str] = frozenset()  # the metrics that are gaps to one of these
    problem: Problem | None = None  # why nothing could be evaluated at all (training failed, the holdout is unreadable)
    baseline_problem: Problem | None = None  # why there is nothing to compare with
    key: Digest | None = None  # the candidate's content key; of a model that is to be gone, base's
    policy: Digest | None = None
    """Of the rules that it is judged by; None where that is unknown, so that nothing can be waived."""
    provisional: bool = False
    deleted: bool = False
    data: DataReport | None = None  # of the change of its training data; None where none of it changed

    def comparison(self, gate: Gate) -> Comparison | None:
        """What a margin is about, if there is something to compare with."""
        match gate.bound:
            case Bound.MAX_EXCESS:
                return self.flips.excess if self.flips else None
            case Bound.MAX_REGRESSION:
                meant = gate.metric, gate.slice
                return next((each for each in self.comparisons if (each.metric, each.slice) == meant), None)
            case _:
                return None

    def anchor(self, gate: Gate) -> AnchorSide | None:
        """The earlier model that a gate asks besides the baseline."""
        return next((each for each in self.anchors if gate.subject in each.gates), None)

    def is_small(self, gate: Gate) -> bool:
        """Whether it is on a slice with few rows, or on a gap to one."""
        return gate.slice in self.small_slices or gate.metric in self.small_gaps


def decide(commits: Commits, evidence: Sequence[Evidence], waivers: Sequence[WaiverEntry] = ()) -> Verdict:
    """The verdict on a commit from what was found about each stale model.

    A waiver counts for its own model, content, rules and gate alone, and its gate stays in the family that Holm adjusts
    for.
    """
    waivers = [each for each in waivers if each.branch in {None, commits.guarded}]
    results = _after_looks(evidence)
    models = tuple(_model_verdict(each, gates, waivers) for each, gates in zip(evidence, results, strict=True))
    if not models:
        return Verdict(commits=commits, outcome=Outcome.PASS, reason=Reason.NOTHING_STALE, models=())
    outcome = worst(model.outcome for model in models)
    reasons = [model.reason for model in models if model.outcome is outcome]
    reason = Reason.WAIVED if Reason.WAIVED in reasons else reasons[0]
    return Verdict(commits=commits, outcome=outcome, reason=reason, models=models)


def _model_verdict(evidence: Evidence, results: tuple[GateResult, ...], waivers: Sequence[WaiverEntry]) -> ModelVerdict:
    held = standing(waivers, evidence.model, evidence.key, evidence.policy)
    gates = tuple(waived(result, held) for result in _asked_once(results, evidence))
    gone = removal(held) if evidence.deleted else None
    outcome, reason, problem = _summary(evidence, gates, gone)
    return ModelVerdict(
        model=evidence.model,
        outcome=outcome,
        reason=reason,
        problem=problem,
        gates=gates,
        key=None if evidence.deleted else evidence.key,
        seeds=evidence.seeds,
        digest=evidence.candidate[0].digest if evidence.candidate else None,
        provisional=evidence.provisional,
        waived=gone,
    )


def _asked_once(results: Sequence[GateResult], evidence: Evidence) -> Iterator[GateResult]:
    """The results without those of an anchor that is the baseline where the loss against it fails already."""
    failed = {
        each.gate.subject
        for each in results
        if each.gate.bound is Bound.MAX_REGRESSION and each.outcome is Outcome.FAIL
    }
    for each in results:
        side = evidence.anchor(each.gate) if each.gate.bound is Bound.ANCHOR else None
        if side is None or not side.baseline or each.gate.subject not in failed:
            yield each


def _summary(
    evidence: Evidence, gates: Sequence[GateResult], gone: Waived | None
) -> tuple[Outcome, Reason, Problem | None]:
    if evidence.deleted:
        return (Outcome.PASS, Reason.WAIVED, None) if gone else (Outcome.FAIL, Reason.MODEL_DELETED, None)
    if problem := _model_problem(evidence):
        return Outcome.ERROR, problem.reason, problem
    if not gates:
        return Outcome.ERROR, Reason.NO_GATES, None
    counted = [gate for gate in gates if gate.counts]
    if not counted:
        new = any(gate.reason is Reason.NEW_MODEL for gate in gates)
        return Outcome.INCONCLUSIVE, Reason.NEW_MODEL if new else Reason.NOTHING_COUNTS, None
    outcome = worst(gate.outcome for gate in counted)
    if outcome is Outcome.PASS:
        return outcome, Reason.WAIVED if any(gate.waived for gate in counted) else Reason.ALL_GATES_PASS, None
    decisive = next(gate for gate in counted if gate.outcome is outcome)
    return outcome, decisive.reason, decisive.problem


def _model_problem(evidence: Evidence) -> Problem | None:
    """Why the model as a whole could not be evaluated. A seed that crashed is not left out: none of them is a pass."""
    if evidence.problem is not None:
        return evidence.problem
    if not evidence.candidate:
        return Problem.of(Reason.MODEL_MISSING, "no-file")
    return next((each.problem for each in evidence.candidate if each.problem), None)


def _after_looks(evidence: Sequence[Evidence]) -> list[tuple[GateResult, ...]]:
    """What every gate comes to, look by look, as if nobody had trained more seeds than were needed.

    A pass is kept. A `fail` has to survive Holm over all blocking margins of the verdict, each at the level of its own
    look, and ends the looks of its model. That errs at most `ALPHA` over all looks by the union bound, in whatever
    order models reach theirs.
    """
    models = [_Margins.of(each) for each in evidence]
    for number in range(max((each.looks for each in models), default=0)):
        models = _keep_by_holm([each.look(number) for each in models])
    return [tuple(_weigh(_one_sided(r, each.evidence), each.evidence) for r in each.results) for each in models]


@dataclass(frozen=True, slots=True)
class _Margins:
    """One model's gates after some looks at its margins."""

    evidence: Evidence
    results: tuple[GateResult, ...]
    found: tuple[Comparison | None, ...]  # what each gate's margin is about; None where there is nothing to look at
    at: tuple[Look | None, ...]  # the look that each result rests on
    ended: bool = False

    @classmethod
    def of(cls, evidence: Evidence) -> "_Margins":
        results = _gate_results(evidence)
        found = tuple(_tested(result, evidence) for result in results)
        return cls(evidence, results, found, (None,) * len(results))

    @property
    def looks(self) -> int:
        return max((len(each.looks) for each in self.found if each is not None), default=0)

    def look(self, number: int) -> "_Margins":
        """After one more look at each margin that is open; one that was looked at often enough stays as it is."""
        if self.ended:
            return self
        seen = tuple(map(partial(self._seen, number), self.results, self.found, self.at))
        results = tuple(
            _margin_result(result.gate, comparison, look) if comparison and look and look is not before else result
            for result, comparison, look, before in zip(self.results, self.found, seen, self.at, strict=True)
        )
        return replace(self, results=results, at=seen)

    def after_holm(self, dropped: AbstractSet[int], family: int) -> "_Margins":
        """After Holm has dropped some results; `family` is how many margins it adjusted for."""
        results = tuple(
            result
            if look is None
            else _of_family(
                _dropped(result) if index in dropped else result,
                found if look is found else None,
                family if result.gate.blocking else 1,
            )
            for index, (result, found, look) in enumerate(zip(self.results, self.found, self.at, strict=True))
        )
        failed = any(result.gate.blocking and result.reason is Reason.REGRESSION for result in results)
        return replace(self, results=results, ended=self.ended or failed)

    @staticmethod
    def _seen(number: int, result: GateResult, found: Comparison | None, at: Look | None) -> Look | None:
        if found is None or number >= len(found.looks) or (at is not None and result.outcome is Outcome.PASS):
            return at
        return found.looks[number]


def _gate_results(evidence: Evidence) -> tuple[GateResult, ...]:
    if evidence.deleted:
        return ()
    problem = _model_problem(evidence)
    return tuple(_error(gate, problem) if problem else _gate_result(gate, evidence) for gate in evidence.gates)


def _gate_result(gate: Gate, evidence: Evidence) -> GateResult:
    match gate.bound:
        case Bound.MIN | Bound.MAX if gate.metric in OPERATIONAL:
            return _operational_result(gate, evidence)
        case Bound.MIN | Bound.MAX if data_check(gate.metric) is not None:
            return _data_result(gate, evidence.data)
        case Bound.MIN | Bound.MAX:
            return _score_result(gate, evidence)
        case _:
            return _relative_result(gate, evidence)


def _relative_result(gate: Gate, evidence: Evidence) -> GateResult:
    match gate.bound:
        case Bound.MAX_EXCESS:
            return _excess_result(gate, evidence)
        case Bound.MAX_RATIO:
            return _ratio_result(gate, evidence)
        case Bound.ANCHOR:
            return _anchor_result(gate, evidence)
        case _:
            return _compared(gate, evidence, evidence.comparison(gate))


def _one_sided(result: GateResult, evidence: Evidence) -> GateResult:
    """A result for which only one side lacks seeds, with which: what the other is like is known from two equal ones."""
    if result.reason is not Reason.SEED_VARIANCE_UNKNOWN or (side := evidence.seeds.lone) is None:
        return result
    return result.model_copy(update={"problem": Problem.of(result.reason, "one-side", side=side)})


def _weigh(result: GateResult, evidence: Evidence) -> GateResult:
    """What only warns is shown, and nothing rests on it; nor on a slice with few rows, unless it decides."""
    gate = result.gate
    open_ = result.outcome in {Outcome.INCONCLUSIVE, Outcome.ERROR} and result.reason is not Reason.EMPTY_SLICE
    if evidence.is_small(gate) and open_:
        return result.model_copy(
            update={"outcome": Outcome.INCONCLUSIVE, "reason": Reason.SLICE_TOO_SMALL, "counts": False}
        )
    counts = result.counts and gate.blocking and not gate.only_warns
    return result.model_copy(update={"counts": counts})


def _error(gate: Gate, problem: Problem) -> GateResult:
    return GateResult(gate=gate, outcome=Outcome.ERROR, reason=problem.reason, problem=problem)


def _no_baseline(gate: Gate, evidence: Evidence) -> GateResult:
    """What a relative gate comes to without a baseline: what could not be had is no lack of evidence, and blocks."""
    why = evidence.baseline_problem or Problem.of(Reason.NO_BASELINE)
    match why.reason:
        case Reason.NEW_MODEL:
            outcome, counts = Outcome.INCONCLUSIVE, False
        case Reason.NO_BASELINE:
            outcome, counts = Outcome.INCONCLUSIVE, True
        case Reason.NO_USABLE_BASELINE:
            outcome, counts = Outcome.FAIL, True
        case _:
            outcome, counts = Outcome.ERROR, True
    return GateResult(gate=gate, outcome=outcome, reason=why.reason, problem=why, counts=counts)


def _compared(gate: Gate, evidence: Evidence, comparison: Comparison | None) -> GateResult:
    if evidence.baseline_problem is not None or comparison is None:
        return _no_baseline(gate, evidence)
    if comparison.problem is not None and comparison.problem.reason in {Reason.NO_BASELINE_FIGURE, Reason.NO_INTERVAL}:
        why = comparison.problem  # the candidate has a value, so it is no error of its; and nothing is shown either
        return GateResult(gate=gate, outcome=Outcome.INCONCLUSIVE, reason=why.reason, problem=why)
    if comparison.problem is not None:
        return _error(gate, comparison.problem)
    return _margin_result(gate, comparison, comparison.looks[0])


def _margin_result(gate: Gate, comparison: Comparison, look: Look) -> GateResult:
    outcome, reason = _margin_outcome(comparison.direction, look, gate.limit)
    ends = [_margin_outcome(comparison.direction, each, gate.limit) for each in comparison.bounds]
    if outcome is Outcome.INCONCLUSIVE and len({end for end, _ in ends}) > 1:
        reason = Reason.ERRORS_DECIDE
    return GateResult(
        gate=gate,
        outcome=outcome,
        reason=reason,
        value=look.change,
        baseline=comparison.baseline,
        seeds=look.seeds,
        level=look.level,
    )


def _margin_outcome(direction: Direction, look: Look, margin: float) -> tuple[Outcome, Reason]:
    if look.method is Method.IDENTICAL:
        return Outcome.PASS, Reason.IDENTICAL
    if look.method is Method.SEED_VARIANCE_UNKNOWN:
        return Outcome.INCONCLUSIVE, Reason.SEED_VARIANCE_UNKNOWN
    if look.low is None or look.high is None:
        return Outcome.ERROR, Reason.METRIC_UNDEFINED
    least, most = sorted((direction.worse * look.low, direction.worse * look.high))
    if least > margin:
        return Outcome.FAIL, Reason.REGRESSION
    if not most < margin:
        return Outcome.INCONCLUSIVE, Reason.MARGIN_INSIDE_INTERVAL
    return (Outcome.INCONCLUSIVE, Reason.FEW_ROWS_DECIDE) if look.thin else (Outcome.PASS, Reason.WITHIN_MARGIN)


def _score_result(gate: Gate, evidence: Evidence) -> GateResult:
    """`min` and `max` judge the shipped file: the first seed's."""
    score = evidence.candidate[0].score(gate.metric, gate.slice)
    if score is None:
        return _error(gate, Problem.of(Reason.METRIC_UNDEFINED, "not-computed", subject=gate.subject))
    if score.problem is not None:
        return _error(gate, score.problem)
    if score.best is not None and not gate.confident and not evidence.is_small(gate) and score.value is not None:
        found = _bounded(gate, score.value, (min(score.value, score.best), max(score.value, score.best)))
        undecided = found.outcome is Outcome.INCONCLUSIVE
        return found.model_copy(update={"reason": Reason.ERRORS_DECIDE}) if undecided else found
    # Of a slice with few rows only what its interval shows counts, not where its figure happens to lie.
    by_interval = gate.confident or evidence.is_small(gate)
    if by_interval and score.value is not None and score.low is None:
        why = Problem.of(Reason.NO_INTERVAL)
        return GateResult(gate=gate, outcome=Outcome.INCONCLUSIVE, reason=why.reason, problem=why, value=score.value)
    return _bounded(gate, score.value, (score.low, score.high) if by_interval else (score.value, score.value))


def _excess_result(gate: Gate, evidence: Evidence) -> GateResult:
    flips = evidence.flips
    if evidence.baseline_problem is not None or flips is None:
        return _no_baseline(gate, evidence)
    if flips.excess is None:
        ours, theirs = flips.seeds or (1, 1)
        cause = {"candidate": "flips-candidate", "baseline": "flips-baseline", None: "flips"}[evidence.seeds.lone]
        few = Problem.of(Reason.TOO_FEW_SEEDS, cause, candidate=ours, baseline=theirs)
        return GateResult(gate=gate, outcome=Outcome.INCONCLUSIVE, reason=few.reason, problem=few)
    return _compared(gate, evidence, flips.excess)


def _ratio_result(gate: Gate, evidence: Evidence) -> GateResult:
    found = evidence.latency
    if evidence.baseline_problem is not None:
        return _no_baseline(gate, evidence)
    if found is None:
        return _error(gate, Problem.of(Reason.METRIC_UNDEFINED, "not-measured", subject=gate.subject))
    if found.identical:
        return GateResult(gate=gate, outcome=Outcome.PASS, reason=Reason.IDENTICAL, value=found.ratio)
    return _timed(gate, found.ratio, (found.low, found.high), found.rounds)


def anchor_gates(gates: Iterable[Gate], subjects: Iterable[str]) -> tuple[Gate, ...]:
    """What asks the anchors of these subjects: `subject.anchor`, which a person may let pass by that name."""
    asked = frozenset(subjects)
    return tuple(
        gate.model_copy(update={"bound": Bound.ANCHOR, "limit": TOLERANCE * gate.limit})
        for gate in gates
        if gate.bound is Bound.MAX_REGRESSION and gate.subject in asked
    )


def _anchor_result(gate: Gate, evidence: Evidence) -> GateResult:
    """What a gate comes to beside its anchor.

    It is no test of the margin, so it is not in the family that Holm adjusts for, and takes nothing from the gates that
    are: its error was simulated, for a row of neutral changes and for one of small losses (docs/statistics.md). A
    slice with few rows is only shown, for its figure may lie anywhere.
    """
    side = evidence.anchor(gate)
    if side is None or (side.problem is not None and side.lost is None):
        return _error(gate, (side.problem if side else None) or Problem.of(Reason.ANCHOR_UNREACHABLE))
    found = side.comparison(gate.metric, gate.slice)
    if found is None:
        return _error(gate, Problem.of(Reason.METRIC_UNDEFINED, "not-computed", subject=gate.subject))
    if found.problem is not None and found.problem.reason in {Reason.NO_BASELINE_FIGURE, Reason.NO_INTERVAL}:
        why = found.problem  # no change can give an older model a figure, so nothing rests on it
        return GateResult(gate=gate, outcome=Outcome.INCONCLUSIVE, reason=why.reason, problem=why, counts=False)
    if found.problem is not None:
        return _error(gate, found.problem)
    outcome, reason = _anchor_outcome(found)
    return GateResult(
        gate=gate,
        outcome=outcome,
        reason=reason,
        value=found.change,
        baseline=found.baseline,
        counts=not evidence.is_small(gate),
        seeds=found.seeds,
    )


def _anchor_outcome(found: Comparison) -> tuple[Outcome, Reason]:
    if found.method is Method.IDENTICAL:
        return Outcome.PASS, Reason.IDENTICAL
    if found.method is Method.SEED_VARIANCE_UNKNOWN:
        return Outcome.INCONCLUSIVE, Reason.SEED_VARIANCE_UNKNOWN
    if found.change is None or found.low is None or found.high is None or found.margin is None:
        return Outcome.ERROR, Reason.METRIC_UNDEFINED
    worse = found.direction.worse
    low, high = sorted((worse * found.low, worse * found.high))
    match anchored(drop=worse * found.change, low=low, high=high, margin=found.margin):
        case Anchored.FAILS:
            return Outcome.FAIL, Reason.BELOW_ANCHOR
        case Anchored.MOVES_UP:
            return Outcome.PASS, Reason.ABOVE_ANCHOR
        case Anchored.STAYS:
            return Outcome.PASS, Reason.WITHIN_ANCHOR


def _operational_result(gate: Gate, evidence: Evidence) -> GateResult:
    latency = evidence.candidate[0].latency
    match gate.metric:
        case "negative_flips":
            return _flips_result(gate, evidence)
        case "size_mb":
            value = evidence.candidate[0].size_bytes / _BYTES_PER_MB
            return _bounded(gate, value, (value, value))
        case "latency_p50_ms" if latency is not None:
            return _timed(gate, latency.p50_ms, (latency.p50_low, latency.p50_high), latency.rounds)
        case "latency_p95_ms" if latency is not None:
            return _bounded(gate, latency.p95_ms, (latency.p95_ms, latency.p95_ms))
        case _:
            return _bounded(gate, None, (None, None))


def _data_result(gate: Gate, data: DataReport | None) -> GateResult:
    """What a check of the added rows came to; where the data are as they were, nothing was added."""
    check = data_check(gate.metric)
    if data is None or check is None or not data.trains_otherwise:
        return _bounded(gate, 0.0, (0.0, 0.0))
    figure = data.figure(check)
    if figure is not None and figure.value is not None:
        return _bounded(gate, figure.value, (figure.value, figure.value))
    why = data.problem or (figure.problem if figure else None) or Why(cause="not-made")
    detail = sentence("checks", f"why/{why.cause}", **why.values)
    if why.cause in _UNDECIDED:
        few = Problem.of(Reason.TOO_FEW_ADDED, detail=detail)
        counts = why.cause != "nothing-before"  # as a relative gate of a new model
        return GateResult(gate=gate, outcome=Outcome.INCONCLUSIVE, reason=few.reason, problem=few, counts=counts)
    return _error(gate, Problem.of(Reason.DATA_NOT_CHECKED, detail=detail))


_UNDECIDED = frozenset({"few-rows", "nothing-before"})


def _flips_result(gate: Gate, evidence: Evidence) -> GateResult:
    flips = evidence.flips
    if flips is None:
        return _no_baseline(gate, evidence)
    return _bounded(gate, flips.rate, (flips.low, flips.high) if gate.confident else (flips.rate, flips.rate))


def _timed(gate: Gate, value: float, interval: tuple[float | None, float | None], rounds: int) -> GateResult:
    """What was measured in rounds; a model too slow for enough of them is undecided, and so is a limit among them."""
    if None in interval:
        few = Problem.of(Reason.TOO_FEW_ROUNDS, "latency", rounds=rounds)
        return GateResult(gate=gate, outcome=Outcome.INCONCLUSIVE, reason=few.reason, value=value, problem=few)
    result = _bounded(gate, value, interval)
    if result.outcome is not Outcome.INCONCLUSIVE:
        return result
    unclear = Problem.of(Reason.LIMIT_INSIDE_INTERVAL, "latency", subject=gate.subject)
    return result.model_copy(update={"problem": unclear})


def _bounded(gate: Gate, value: float | None, interval: tuple[float | None, float | None]) -> GateResult:
    """Pass when the whole interval keeps the bound, fail when none of it does, else inconclusive."""
    low, high = interval
    if value is None or low is None or high is None:
        return _error(gate, Problem.of(Reason.METRIC_UNDEFINED, "not-measured", subject=gate.subject))
    minimum = gate.bound is Bound.MIN
    inside, broken = (low >= gate.limit, high < gate.limit) if minimum else (high <= gate.limit, low > gate.limit)
    if inside:
        outcome, reason = Outcome.PASS, Reason.WITHIN_LIMIT
    elif broken:
        outcome, reason = Outcome.FAIL, Reason.BELOW_MINIMUM if minimum else Reason.ABOVE_MAXIMUM
    else:
        outcome, reason = Outcome.INCONCLUSIVE, Reason.LIMIT_INSIDE_INTERVAL
    return GateResult(gate=gate, outcome=outcome, reason=reason, value=value)


def _keep_by_holm(models: Sequence[_Margins]) -> list[_Margins]:
    """Turn a `fail` on a margin into inconclusive where Holm, over all blocking margins of the verdict, drops it.

    A margin that has passed cannot fail any more, and stays in the family. A model is looked at until a gate fails.
    """
    tested = {
        (model, index): 1.0 if result.outcome is Outcome.PASS else look.p_value * ALPHA / look.level
        for model, each in enumerate(models)
        for index, (result, look) in enumerate(zip(each.results, each.at, strict=True))
        if result.gate.blocking and look is not None and look.p_value is not None
    }
    dropped = {key for key, keep in zip(tested, holm_rejects(tested.values()), strict=True) if not keep}
    return [
        each.after_holm({index for key, index in dropped if key == model}, len(tested))
        for model, each in enumerate(models)
    ]


def _tested(result: GateResult, evidence: Evidence) -> Comparison | None:
    """The comparison behind a margin that was tested, if this result is of one."""
    found = evidence.comparison(result.gate)
    untested = evidence.baseline_problem is not None or result.outcome is Outcome.ERROR
    return None if untested or found is None or found.problem is not None else found


def _dropped(result: GateResult) -> GateResult:
    if result.reason is not Reason.REGRESSION:
        return result
    return result.model_copy(update={"outcome": Outcome.INCONCLUSIVE, "reason": Reason.DROPPED_BY_HOLM})


def _of_family(result: GateResult, found: Comparison | None, family: int) -> GateResult:
    """A margin's result with what it can notice: known at the last look, for as many margins at least."""
    mde = found.mde if found is not None and found.family >= family else None
    judgeable = mde is None or mde <= JUDGEABLE * result.gate.limit
    return result.model_copy(update={"family": family, "mde": mde, "judgeable": judgeable})


def holm_rejects(p_values: Iterable[float], alpha: float = ALPHA) -> list[bool]:
    """Which hypotheses Holm's step-down procedure rejects at family-wise error rate `alpha`.

    Source: S. Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Statist. 6 (1979) 65-70.
    """
    p = list(p_values)
    rejected = [False] * len(p)
    for rank, index in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        if not p[index] <= alpha / (len(p) - rank):
            break
        rejected[index] = True
    return rejected


def policy_digest(model: Model, inconclusive: OnInconclusive, tree: Tree, holdout: Digest) -> Digest:
    """The digest of all that a model is judged by; the same before and after a merge that changes none of it.

    Model, inconclusive and tree are of the config that judges: the guarded branch's, or head's where that one lacks the
    model. Of the metrics' own code only the file with the function counts.
    """
    code = frozenset[str]().union(*(module_files(each.function, tree) for each in model.metrics if each.function))
    if model.evaluate is not None:
        code |= model.evaluate.rule_files(tree)
    facts: dict[str, object] = {
        "form": _FORM,
        "task": model.task,
        "data": {name: getattr(model.data, name) for name in _JUDGED_BY} | _where_given(model),
        "holdout": holdout,
        "slices": sorted(each.model_dump_json() for each in model.slices),
        "metrics": sorted(map(_computed_by, model.metrics)),
        "gates": sorted(each.model_dump_json() for each in model.gates),
        "code": tree.digest(code),
        "inconclusive": inconclusive.model_dump(mode="json"),
    }
    if model.predict is not None:
        asked = model.predict.model_dump(mode="json", exclude={"depends", "timeout_s"})
        facts["predict"] = asked | {"files": tree.digest(model.predict.rule_files(tree))}
    if limits := model.limits.model_dump(mode="json", exclude_none=True):
        facts["limits"] = limits
    if not model.anchor:
        facts["anchor"] = False
    return digest(canonical(facts))


def _computed_by(metric: Metric) -> str:
    """A metric as JSON: what came later is not in older digests, so it is not in those of metrics without it."""
    unset = {
        name
        for name in ("of", "settings", "slices", "range")
        if getattr(metric, name) == Metric.model_fields[name].default
    }
    later: dict[str, Any] = dict.fromkeys(("tasks", *unset), True)
    if "settings" not in unset and metric.settings.gain is None:
        later["settings"] = {"gain"}
    return metric.model_dump_json(exclude=later)


def _where_given(model: Model) -> dict[str, object]:
    """How the holdout is read and labels are decided, where the config says it: nothing of it is in older digests."""
    causes = {
        "threshold": model.data.threshold,
        "label": model.data.label,
        "weight": model.data.weight,
        "timing": model.data.timing,
        "season": model.data.season,
        "quantiles": model.data.quantiles,
        "types": {each.name: each.type for each in model.data.types},
        "csv": model.data.csv.model_dump(mode="json", exclude_none=True),
        "evaluate": model.evaluate.model_dump(mode="json", exclude={"depends", "timeout_s"})
        if model.evaluate
        else None,
    }
    return {key: value for key, value in causes.items() if value}


def rules_digest(model: Model, inconclusive: OnInconclusive, tree: Tree) -> Digest:
    """The digest of all that a model is judged by as git has it: the same as `policy_digest`, and no file is read.

    A holdout that git does not have counts by its name.
    """
    path = model.data.holdout
    if not path:
        return policy_digest(model, inconclusive, tree, NO_HOLDOUT)
    holdout = digest(f"url {path}") if is_url(path) else tree.digest(tree.match(path))
    return policy_digest(model, inconclusive, tree, holdout)


NO_HOLDOUT = digest(b"no holdout")
"""What stands for the holdout where an evaluator has the items: its files count."""


def removal_digest() -> Digest:
    """What stands for the rules where a model is to be gone: that this needs a person's word, whatever its gates."""
    return digest(canonical({"form": _FORM, "removal": True}))


def may_waive(rules: Waivers, actor: str, role: Role, author: str | None) -> bool:
    """Whether somebody with this role, by the API, may let a gate pass under the guarded branch's rules.

    `author` is the pull request's; None for an account that is gone.
    """
    own = author is not None and actor.lower() == author.lower()
    listed = actor.lower() in {login.lower() for login in rules.by}
    return (role in _MAINTAINERS or listed) and (rules.author or not own)


def named(gates: Iterable[Gate], name: str) -> list[Gate]:
    """The gates that a name means: `subject.bound` one, `subject` all bounds of it; the metric by any name."""
    every = list(gates)
    for meant in (name, re.sub(r"^\w+", lambda metric: catalogued(metric[0]), name)):
        if found := [gate for gate in every if gate.name == meant] or [gate for gate in every if gate.subject == meant]:
            return found
    return []


def standing(
    waivers: Sequence[WaiverEntry], model: Name, key: Digest | None, policy: Digest | None
) -> dict[str, WaiverEntry]:
    """The waivers that hold for a content of a model under these rules, by gate; the oldest of several.

    Without key or rules none holds: what they bind to is unknown.
    """
    if key is None or policy is None:
        return {}
    held = [each for each in waivers if (each.model, each.key, each.policy) == (model, key, policy)]
    return {each.gate: each for each in sorted(held, key=lambda each: each.order, reverse=True)}


def may_be_waived(result: GateResult) -> bool:
    """Whether a person may answer for it: a gate that counts and failed, is undecided, or whose figure has no value.

    Never what could not be evaluated: a figure without a value was looked for, and there is none.
    """
    undefined = result.problem is not None and result.problem.reason is Reason.METRIC_UNDEFINED
    looked_for = undefined and result.problem is not None and result.problem.cause not in _NOT_EVALUATED
    return result.counts and (result.outcome in WAIVABLE or (result.outcome is Outcome.ERROR and looked_for))


def waived(result: GateResult, held: Mapping[str, WaiverEntry]) -> GateResult:
    """What a gate comes to with the waivers that hold."""
    waiver = held.get(result.gate.name)
    if waiver is None or not may_be_waived(result):
        return result
    was = Waived(waiver=waiver, outcome=result.outcome, reason=result.reason)
    return result.model_copy(update={"outcome": Outcome.PASS, "reason": Reason.WAIVED, "waived": was})


def removal(held: Mapping[str, WaiverEntry]) -> Waived | None:
    """The waiver that lets a model be gone, if there is one."""
    waiver = held.get(DELETED)
    return Waived(waiver=waiver, outcome=Outcome.FAIL, reason=Reason.MODEL_DELETED) if waiver else None


def unwaived(result: GateResult) -> GateResult:
    """What a gate came to before somebody answered for it."""
    if result.waived is None:
        return result
    return result.model_copy(update={"outcome": result.waived.outcome, "reason": result.waived.reason, "waived": None})
