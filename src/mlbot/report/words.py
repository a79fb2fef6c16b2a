"""What a report says of a gate, of a model and over all of it: the figures and choices; the words are templates."""

import math
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any

from mlbot.config.train import MOST_SEEDS
from mlbot.errors import ended
from mlbot.gates.metric import Bound, Direction, Gate, data_check
from mlbot.gates.outcome import Outcome, Reason
from mlbot.ledger.entries import AnchorModel, WaiverEntry
from mlbot.lib import figures
from mlbot.lib.record import Record
from mlbot.lib.templates import has_sentence, sentence
from mlbot.report.report import ModelReport, NoticeCode, OpenGate, Report
from mlbot.verdict.decide import DELETED, unwaived
from mlbot.verdict.settling import TOO_CLOSE, Cure, Settling, settling, too_wide, too_wide_for_holm
from mlbot.verdict.verdict import Comparison, GateResult, Look, Method, ModelVerdict, Noise, Problem, reason_hint

# Plain text throughout: names from outside are in it as they are, and the renderer escapes the whole.

_DASH = "\N{EN DASH}"
_CLEAR = 0.05  # the adjusted p below which a change is called one


def of_gate(path: str, **values: Any) -> str:
    """A sentence about a gate."""
    return sentence("gates", path, **values)


def subject(gate: Gate, kind: str = "") -> str:
    """What a gate is about: `recall on women`, with its kind `recall on women (minimum)`."""
    return of_gate("subject", metric=gate.metric, slice=gate.slice or "", kind=kind)


def kind(gate: Gate, direction: Direction | None) -> str:
    """Which of several gates on one metric it is: `minimum`, `drop`."""
    return of_gate(f"kind/{gate.bound}", lower=direction is Direction.LOWER)


def arrow(direction: Direction | None) -> str:
    """`↑` where higher is better, `↓` where lower is."""
    match direction:
        case Direction.HIGHER:
            return "\N{UPWARDS ARROW}"
        case Direction.LOWER:
            return "\N{DOWNWARDS ARROW}"
        case None:
            return ""


def value(metric: str, figure: float | None, places: int | None = None) -> str:
    """A figure of a metric with its unit."""
    match metric:
        case "negative_flips":
            return figures.percent(figure)
        case "latency_p50_ms" | "latency_p95_ms":
            return figures.milliseconds(figure)
        case "size_mb":
            return figures.megabytes(None if figure is None else figure * 1e6)
        case _ if figure is not None and data_check(metric):
            return figures.brief(figure)  # a count, mostly
        case _:
            return figures.number(figure, places)


def places(comparison: Comparison | None, figure: float | None = None) -> int:
    """The decimals that a comparison's interval supports; without one, those of four significant digits."""
    if comparison is None or comparison.low is None or comparison.high is None:
        return figures.decimals(None, figure)
    largest = max(abs(comparison.candidate or 0.0), abs(comparison.baseline or 0.0))
    return figures.decimals((comparison.high - comparison.low) / 2, largest)


def limit(gate: Gate, direction: Direction | None) -> str:
    """`≥ 0.9`, `≤ 20 ms`, `drop ≤ 0.005`."""
    lower = direction is Direction.LOWER
    return of_gate(f"limit/{gate.bound}", limit=limit_figure(gate), confident=gate.confident, lower=lower)


def limit_figure(gate: Gate) -> str:
    """The limit alone, with its unit."""
    if gate.metric == "negative_flips":
        return f"{figures.limit(gate.limit * 100)} %"
    if gate.bound is Bound.MAX_RATIO:
        return figures.limit(gate.limit)
    unit = {"latency_p50_ms": " ms", "latency_p95_ms": " ms", "size_mb": " MB"}.get(gate.metric, "")
    return figures.limit(gate.limit) + unit


def waived_what(waiver: WaiverEntry) -> str:
    """What somebody let pass: `roc_auc of adult-income`, `removal of adult-income`."""
    if waiver.gate == DELETED:
        return of_gate("waived/removal", model=waiver.model)
    metric, _, part = waiver.gate.rpartition(".")[0].partition("@")
    return of_gate("waived/gate", model=waiver.model, metric=metric, slice=part)


def waived_by(waiver: WaiverEntry) -> str:
    """Who let it pass, since when and why: `Waived by boss on 2026-11-20: “Agreed with the data owners.”`."""
    return of_gate("waived/by", actor=waiver.actor, day=waiver.time[:10], reason=waiver.reason.strip())


def as_sentence(text: str) -> str:
    """A person's words with an end."""
    return ended(text.strip())


def finding(result: GateResult, model: ModelReport) -> str:
    """What a gate found, as a clause without a full stop: `roc_auc fell by 0.021, more than the 0.005 allowed`."""
    return subject(result.gate) + remark(result, model)


def remark(result: GateResult, model: ModelReport) -> str:
    """What a gate found, to be read after its subject."""
    gate = result.gate
    key = "error" if result.outcome is Outcome.ERROR else result.reason
    match gate.bound:
        case Bound.MAX_REGRESSION:
            facts = _margin_facts(result, model.comparison(gate.metric, gate.slice))
            return of_gate(_known(f"remark/{key}", "remark/within-margin"), **facts)
        case Bound.MAX_EXCESS:
            path = _known(f"excess/{key}", _known(f"remark/{key}", "excess/within-margin"))
            return of_gate(path, limit=limit_figure(gate), **excess_facts(model))
        case Bound.MAX_RATIO:
            path = _known(f"ratio/{key}", _known(f"remark/{key}", "ratio/within-limit"))
            return of_gate(path, limit=limit_figure(gate), **ratio_facts(model))
        case Bound.ANCHOR:
            side = model.anchor(gate.subject)
            facts = _margin_facts(result, side.comparison(gate.metric, gate.slice) if side else None)
            path = _known(f"anchor/remark/{key}", _known(f"remark/{key}", "anchor/remark/within-anchor"))
            return of_gate(path, **facts, since=since(side.model) if side else "")
        case _:
            return of_gate(_known(f"remark/{key}", "remark/within-limit"), **_bound_facts(result, model))


def since(anchor: AnchorModel) -> str:
    """What an anchor is called after `since`: its version, else its commit."""
    return of_gate("anchor/name", version=anchor.version or "", commit=figures.short(anchor.commit or ""))


def why(result: GateResult, model: ModelReport) -> str:
    """Why a gate did not pass, as a sentence, where its row of figures does not say it."""
    if result.waived:
        return of_gate("waived/was", remark=remark(unwaived(result), model))
    if result.why:
        return result.why.detail
    if result.reason in _SAYS_WHY:
        return Problem.of(result.reason).detail
    path = f"why/{result.reason}"
    return of_gate(path, **_bound_facts(result, model)) if has_sentence("gates", path) else ""


_SAYS_WHY = frozenset({Reason.DROPPED_BY_HOLM, Reason.SLICE_TOO_SMALL, Reason.FEW_ROWS_DECIDE})


def _known(path: str, otherwise: str) -> str:
    return path if has_sentence("gates", path) else otherwise


def _margin_facts(result: GateResult, comparison: Comparison | None) -> dict[str, str]:
    moved = movement(comparison, with_interval=result.outcome is Outcome.INCONCLUSIVE)
    return {"movement": moved, "limit": limit_figure(result.gate)}


def _bound_facts(result: GateResult, model: ModelReport) -> dict[str, str]:
    gate = result.gate
    score = model.shipped.score(gate.metric, gate.slice) if model.shipped else None
    low = high = ""
    if score is not None and score.low is not None and score.high is not None:
        digits = figures.decimals((score.high - score.low) / 2, score.value)
        low, high = figures.number(score.low, digits), figures.number(score.high, digits)
    timed = model.shipped.latency if model.shipped else None
    if gate.metric == "latency_p50_ms" and timed is not None and timed.p50_low is not None:
        low, high = figures.milliseconds(timed.p50_low), figures.milliseconds(timed.p50_high)
    written = value(gate.metric, result.value, figures.decimals(None, result.value))
    side = "minimum" if gate.bound is Bound.MIN else "maximum"
    return {"value": written, "side": side, "limit": limit_figure(gate), "low": low, "high": high}


def excess_facts(model: ModelReport) -> dict[str, str | bool]:
    """The negative flips of all seeds: `rate`, the baseline's `own`, and the `excess` in percent of the rows."""
    found = model.flips.excess if model.flips else None
    if found is None or found.change is None:
        return {"rate": _DASH, "own": _DASH, "size": _DASH, "excess": _DASH, "fewer": False, "interval": ""}
    half = None if found.low is None or found.high is None else 50 * (found.high - found.low)
    digits = min(2, figures.decimals(half, 100 * found.change))
    low, high = (None if each is None else 100 * each for each in (found.low, found.high))
    return {
        "rate": figures.percent(found.candidate),
        "own": figures.percent(found.baseline),
        "size": figures.brief(100 * found.change, digits),
        "fewer": found.change < 0,
        "excess": f"{figures.signed(100 * found.change, digits)} %",
        "interval": figures.interval(low, high, digits),
    }


def ratio_facts(model: ModelReport) -> dict[str, str]:
    """The ratio of the two sides' latency, with its interval where there is one."""
    found = model.latency
    if found is None:
        return {"ratio": _DASH, "interval": ""}
    low, high = found.low, found.high
    digits = max(2, figures.decimals(None if low is None or high is None else (high - low) / 2, found.ratio))
    interval = "" if low is None else f"[{figures.number(low, digits)}, {figures.number(high, digits)}]"
    return {"ratio": figures.number(found.ratio, digits), "interval": interval}


def movement(comparison: Comparison | None, *, with_interval: bool = False) -> str:
    """`fell by 0.021`, `rose by 0.004`, `did not move`, with the interval of the change if asked for."""
    if comparison is None or comparison.change is None:
        return of_gate("movement/unknown")
    digits = places(comparison)
    size = figures.brief(comparison.change, digits)
    interval = figures.interval(comparison.low, comparison.high, digits) if with_interval else ""
    way = "none" if size == "0" else "up" if comparison.change > 0 else "down"
    return of_gate(f"movement/{way}", size=size, interval=interval)


def advice(result: GateResult, model: ModelReport, tested: int) -> tuple[str, str]:
    """How sharp an inconclusive gate is, and what would settle it."""
    gate = result.gate
    margin = result.outcome is Outcome.INCONCLUSIVE and gate.bound is Bound.MAX_REGRESSION and result.counts
    if not margin:
        return "", settle(result, model)
    found = model.comparison(gate.metric, gate.slice)
    if found is not None and result.level is not None:  # at the level that was used, over the gates that were tested
        return _sharpness(found, result.mde), settle(result, model)
    return detectable(found, tested), settle(result, model)


def settle(result: GateResult, model: ModelReport) -> str:
    """What would settle an inconclusive gate or fix an error, as sentences; a failure says it itself."""
    if result.outcome in {Outcome.PASS, Outcome.FAIL}:
        return ""
    if result.reason is Reason.NEW_MODEL and model.verdict.reason is not Reason.NEW_MODEL:
        return ""  # a minimum or a maximum counts already
    comparison = model.comparison(result.gate.metric, result.gate.slice)
    if result.gate.bound is Bound.MAX_REGRESSION and comparison is not None:
        if not result.judgeable and comparison.standard_error and comparison.noise is None:
            error = comparison.standard_error
            least = figures.brief(2 * error, figures.decimals(error))
            return of_gate("settle/margin-too-small", limit=limit_figure(result.gate), least=least)
        if (lack := _lack(result, comparison)) is not None:
            return _more_data(model, result.gate, *lack)
    return _hint(result)


def open_gates(model: ModelReport) -> tuple[OpenGate, ...]:
    """The gates that the data left undecided, each with what would settle it."""
    undecided = (each for each in model.verdict.gates if each.counts and each.outcome is Outcome.INCONCLUSIVE)
    return tuple(_open_gate(each, model) for each in undecided)


def _open_gate(result: GateResult, model: ModelReport) -> OpenGate:
    comparison, gate = model.comparison(result.gate.metric, result.gate.slice), result.gate
    lack = _lack(result, comparison) if comparison is not None and gate.bound is Bound.MAX_REGRESSION else None
    open_ = OpenGate(gate=gate.subject, bound=gate.bound, text=settle(result, model))
    look, times = (lack[0], lack[2]) if lack is not None else (None, None)
    if look is None or look.noise is None:
        return open_
    if times is None or times > TOO_CLOSE:
        return open_.model_copy(update={"cure": Cure.NEITHER})
    found, seeds = _settling(look.noise, times, look.seeds or 0)
    return open_.model_copy(update={"cure": found.cure, "rows": found.rows, "seeds": seeds})


def _lack(result: GateResult, comparison: Comparison) -> tuple[Look, Comparison, float | None] | None:
    """The look that left a margin open, and how many times too large its variance is; None where that is no question.

    The number is None where the change lies too close to the margin.
    """
    look = next((each for each in comparison.looks if each.seeds == result.seeds), comparison)
    if result.reason is Reason.MARGIN_INSIDE_INTERVAL and look.change is not None:
        return look, comparison, too_wide(result.gate.limit, look, comparison)
    if result.reason is Reason.DROPPED_BY_HOLM and look.noise is not None:
        return look, comparison, too_wide_for_holm(result.family, look)
    return None


def _settling(noise: Noise, times: float, number: int) -> tuple[Settling, int | None]:
    """What would settle a margin, and how many seeds a side that are; None where seeds are none of it, or differ."""
    found = settling(noise, max(_FEWEST_TIMES, times), MOST_SEEDS / number if number else math.inf)
    return found, None if found.seeds is None or not number else math.ceil(round(found.seeds * number, 6))


def _hint(result: GateResult | ModelVerdict) -> str:
    why = result.why
    return why.hint if why else reason_hint(result.reason)


_FEWEST_TIMES = 1.5  # what is less is not worth a sentence of its own


def _more_data(model: ModelReport, gate: Gate, look: Look, comparison: Comparison, times: float | None) -> str:
    """What would settle a margin at which so many times the variance is too much; None: it lies too close."""
    if times is None or times > TOO_CLOSE:
        return of_gate("settle/too-close")
    times = max(_FEWEST_TIMES, times)
    if look.noise is None:
        asked: dict[str, Any] = {"items": model.items is not None, "brought": model.brought}
        return of_gate("settle/more-data", times=figures.brief(times, 0 if times >= 3 else 1), **asked)
    number = look.seeds or 0
    found, seeds = _settling(look.noise, times, number)
    written = "" if found.rows is None else figures.brief(max(found.rows, 1.1), 0 if found.rows >= 3 else 1)
    fails = look.change is not None and comparison.direction.worse * look.change > gate.limit
    facts: dict[str, Any] = {"rows": written, "seeds": seeds or 0, "fails": fails}
    if found.seeds is not None and not number:  # the sides have not the same number
        facts["seeds"] = f"{figures.brief(found.seeds, 1)} times as many"
    return of_gate(f"settle/{found.cure}", **facts)


def detectable(comparison: Comparison | None, tested: int = 1) -> str:
    """The minimum detectable effect as a sentence; empty where it is unknown.

    It is that of a gate which is tested alone: beside others Holm asks for more, and with a borrowed or unknown
    variance of the seeds the share is another.
    """
    if comparison is None or comparison.mde is None or tested > 1:
        return ""
    return _sharpness(comparison, comparison.mde)


def _sharpness(comparison: Comparison, effect: float | None) -> str:
    if effect is None or comparison.method not in {Method.RECIPE, Method.PAIRED}:
        return ""
    size = figures.brief(effect, places(comparison))
    return of_gate("detectable", size=size, lower=comparison.direction is Direction.LOWER)


class Headline(Record):
    """What people read first."""

    lead: str  # the verdict: `Do not merge`
    finding: str  # why, as sentences
    action: str  # what to do now, as sentences

    @property
    def text(self) -> str:
        """Verdict and finding in one line, without markup."""
        return f"{self.lead}: {self.finding}"


def _say(path: str, **values: Any) -> str:
    return sentence("headline", path, **values)


def headline(report: Report) -> Headline:
    """The headline over a report."""
    outcome, reason = report.verdict.outcome, report.verdict.reason
    if reason is Reason.NOTHING_STALE:
        finding = sentence("reasons", f"{reason}/sentence")
        return Headline(lead=_say("lead/nothing-stale", never=is_never_judged(report)), finding=finding, action="")
    if reason is Reason.WAIVED:
        return _waived(report)
    if report.trial:
        return Headline(lead=_say(f"lead/trial/{outcome}"), finding=_finding(report), action=_say("action/trial"))
    lead = _say(f"lead/{outcome}", provisional=_is_provisional(report), merged=_is_merged(report))
    return Headline(lead=lead, finding=_finding(report), action=_action(report))


def is_never_judged(report: Report) -> bool:
    """Whether nothing was judged, and nothing of a model ever was: no pass."""
    unjudged = any(each.code is NoticeCode.NEVER_JUDGED for each in report.notices)
    return unjudged and report.verdict.reason is Reason.NOTHING_STALE


def _is_merged(report: Report) -> bool:
    """Whether what is judged is on the guarded branch already, or is a file alone: there is nothing to merge."""
    commits = report.verdict.commits
    return report.pull_request is None and commits.policy is not None and commits.head == commits.policy


def _is_provisional(report: Report) -> bool:
    return any(model.verdict.provisional for model in report.models)


def _waived(report: Report) -> Headline:
    """Who let what pass, and why: `Passes with 1 waived gate (roc_auc of adult-income, by boss)`."""
    waivers = report.verdict.waivers
    gates = sum(each.gate != DELETED for each in waivers)
    lead = _say(
        "lead/waived",
        provisional=_is_provisional(report),
        gates=gates,
        removals=len(waivers) - gates,
        what=list(dict.fromkeys(waived_what(each) for each in waivers)),
        who=_who(waivers),
    )
    why = " ".join(dict.fromkeys(as_sentence(each.reason) for each in waivers))
    return Headline(lead=lead, finding=why, action=_say("action/waived"))


def _who(waivers: Iterable[WaiverEntry]) -> list[str]:
    return list(dict.fromkeys(each.actor for each in waivers))


def by_severity(models: Iterable[ModelReport]) -> list[ModelReport]:
    """The models that decide first: error, fail, inconclusive, waived, pass; else as they come."""
    order = (Outcome.ERROR, Outcome.FAIL, Outcome.INCONCLUSIVE, Reason.WAIVED, Outcome.PASS)
    return sorted(models, key=lambda model: order.index(model.verdict.standing))


def _decisive(report: Report) -> list[ModelReport]:
    return [model for model in report.models if model.verdict.outcome is report.verdict.outcome]


def _action(report: Report) -> str:
    outcome, reason = report.verdict.outcome, report.verdict.reason
    hint = ""
    if outcome is Outcome.ERROR or reason is Reason.MODEL_DELETED:
        decisive = next((model.verdict for model in _decisive(report) if model.verdict.reason is reason), None)
        hint = _hint(decisive) if decisive else reason_hint(reason)
    return hint or _say(f"action/{outcome}", blocks=report.inconclusive_blocks)


def _finding(report: Report) -> str:
    if report.verdict.outcome is Outcome.PASS:
        return _all_pass(report.models)
    decisive = _decisive(report)
    if not decisive:
        return sentence("reasons", f"{report.verdict.reason}/sentence")
    name = decisive[0].model if len(report.models) > 1 else ""
    return _say("finding/several", model=name, finding=model_line(decisive[0]), rest=len(decisive) - 1)


def _all_pass(models: Sequence[ModelReport]) -> str:
    every = (gate for model in models for gate in model.verdict.gates)
    gates = [gate for gate in every if gate.gate.bound is not Bound.ANCHOR]  # it asks again what another gate asks
    counted = sum(gate.counts for gate in gates)
    gained = _gain(models[0]) if len(models) == 1 else None
    return _say(
        "finding/all-pass",
        counted=counted,
        models=len(models),
        aside=counted < len(gates),
        gained=gained.metric if gained else "",
        movement=movement(gained) if gained else "",
    )


def _gain(model: ModelReport) -> Comparison | None:
    """The first gated metric on all rows that got better, clear of noise."""
    gated = {result.gate.metric for result in model.verdict.gates}
    return next(
        (
            each
            for each in model.comparisons
            if each.slice is None and each.metric in gated and reading(each) is Reading.BETTER
        ),
        None,
    )


class Reading(StrEnum):
    """What a change comes to for a reader. Never gates."""

    BETTER = "better"
    WORSE = "worse"
    MAYBE_BETTER = "maybe-better"  # its own interval excludes zero, and among all that is displayed it may be chance
    MAYBE_WORSE = "maybe-worse"
    UNCLEAR = "unclear"
    IDENTICAL = "identical"
    ONE_SEED = "one-seed"  # nobody knows what another seed would have given


def reading(comparison: Comparison) -> Reading:
    """How a change is to be read, beside all the others that are displayed."""
    change, low, high = comparison.change, comparison.low, comparison.high
    if comparison.method is Method.IDENTICAL:
        return Reading.IDENTICAL
    if comparison.method is Method.SEED_VARIANCE_UNKNOWN:
        return Reading.ONE_SEED
    if change is None or low is None or high is None or low <= 0 <= high:
        return Reading.UNCLEAR
    worse = comparison.direction.worse * change > 0
    if comparison.q_value is not None and comparison.q_value < _CLEAR:
        return Reading.WORSE if worse else Reading.BETTER
    return Reading.MAYBE_WORSE if worse else Reading.MAYBE_BETTER


def written(found: Reading) -> str:
    """A reading in words."""
    return of_gate(f"reading/{found}")


def clear_change(comparison: Comparison) -> bool:
    """Whether a change is clear of noise, after adjusting for all that is displayed."""
    return reading(comparison) in {Reading.BETTER, Reading.WORSE}


def model_line(model: ModelReport) -> str:
    """One model's finding, as a sentence."""
    verdict = model.verdict
    if verdict.reason is Reason.WAIVED:
        return _lets_pass(verdict)
    if verdict.outcome is Outcome.PASS:
        return _all_pass([model])
    decisive = decisive_gates(verdict.gates, verdict.outcome)
    if verdict.reason is Reason.NO_BASELINE or not decisive or is_of_the_model(model):
        return (verdict.why or Problem.of(verdict.reason)).detail
    first, failed = decisive[0], verdict.outcome is Outcome.FAIL
    return _say(
        "finding/gates", subject=subject(first.gate), remark=remark(first, model), rest=len(decisive) - 1, failed=failed
    )


def _lets_pass(verdict: ModelVerdict) -> str:
    """A model that passes by somebody's word."""
    who = _who(verdict.waivers)
    if verdict.waived is not None:
        return _say("finding/removal-waived", who=who)
    waived = [subject(each.gate) for each in verdict.gates if each.waived]
    rest = sum(each.counts and not each.waived and each.gate.bound is not Bound.ANCHOR for each in verdict.gates)
    return _say("finding/gates-waived", waived=list(dict.fromkeys(waived)), who=who, rest=rest)


def decisive_gates(gates: Sequence[GateResult], outcome: Outcome) -> list[GateResult]:
    """The gates that count and have this outcome, in the config's order."""
    return [gate for gate in gates if gate.counts and gate.outcome is outcome]


def is_of_the_model(model: ModelReport) -> bool:
    """Whether the whole model could not be evaluated, so that naming one gate would mislead."""
    return model.verdict.outcome is Outcome.ERROR and all(
        gate.reason is model.verdict.reason for gate in model.verdict.gates
    )
