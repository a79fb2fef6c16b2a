"""The sentences of a report: what each gate found, what would settle it, and the headline over all of it.

Everything here is plain text: names from outside are in it as they are, and the renderer escapes the whole.
"""

from mlbot.core import figures
from mlbot.core.comparison import Comparison
from mlbot.core.gate import Bound, Gate, GateResult
from mlbot.core.ledger_records import WaiverEntry
from mlbot.core.metric import Direction
from mlbot.core.outcome import Outcome, Reason
from mlbot.core.reasons import meaning
from mlbot.core.report import ModelReport
from mlbot.core.waiver import DELETED

_OPENS, _CLOSES = "\N{LEFT DOUBLE QUOTATION MARK}", "\N{RIGHT DOUBLE QUOTATION MARK}"
_TOO_CLOSE = 50
"""Times the data beyond which asking for more of it is no advice."""


def subject(gate: Gate) -> str:
    """What a gate is about: `recall on women`."""
    return f"{gate.metric} on {gate.slice}" if gate.slice else gate.metric


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
    sign = "\N{GREATER-THAN OR EQUAL TO}" if gate.bound is Bound.MIN else "\N{LESS-THAN OR EQUAL TO}"
    text = f"{sign} {limit_figure(gate)}"
    if gate.bound is Bound.MAX_REGRESSION:
        return f"{'rise' if direction is Direction.LOWER else 'drop'} {text}"
    return f"{text}, confidently" if gate.confident else text


def limit_figure(gate: Gate) -> str:
    """The limit alone, with its unit."""
    if gate.metric == "negative_flips":
        return f"{figures.limit(gate.limit * 100)} %"
    unit = {"latency_p50_ms": " ms", "latency_p95_ms": " ms", "size_mb": " MB"}.get(gate.metric, "")
    return figures.limit(gate.limit) + unit


def waived_what(waiver: WaiverEntry) -> str:
    """What somebody let pass: `roc_auc of adult-income`, `removal of adult-income`."""
    if waiver.gate == DELETED:
        return f"removal of {waiver.model}"
    subject, _, _ = waiver.gate.rpartition(".")
    return f"{subject.replace('@', ' on ')} of {waiver.model}"


def waived_by(waiver: WaiverEntry) -> str:
    """Who let it pass, since when and why: `Waived by boss on 2026-11-20: “Agreed with the data owners.”`."""
    day, _, _ = waiver.time.partition("T")
    return f"Waived by {waiver.actor} on {day}: {_OPENS}{waiver.reason.strip()}{_CLOSES}"


def as_sentence(text: str) -> str:
    """A person's words with an end."""
    stripped = text.strip()
    return stripped if stripped.endswith((".", "!", "?", "\N{HORIZONTAL ELLIPSIS}")) else f"{stripped}."


def finding(result: GateResult, model: ModelReport) -> str:
    """What a gate found, as a clause without a full stop: `roc_auc fell by 0.021, more than the 0.005 allowed`."""
    gate = result.gate
    if result.outcome is Outcome.ERROR:
        return f"{subject(gate)} could not be evaluated"
    if result.reason in {Reason.NO_BASELINE, Reason.SLICE_TOO_SMALL}:
        return f"{subject(gate)}: {_clause(result.reason)}"
    if gate.bound is Bound.MAX_REGRESSION:
        return _margin_finding(result, model.comparison(gate.metric, gate.slice))
    return _bound_finding(result, model)


def _clause(reason: Reason) -> str:
    sentence = meaning(reason).sentence.rstrip(".")
    return sentence[:1].lower() + sentence[1:]


def _margin_finding(result: GateResult, comparison: Comparison | None) -> str:
    allowed = limit_figure(result.gate)
    moved = f"{subject(result.gate)} {movement(comparison, with_interval=result.outcome is Outcome.INCONCLUSIVE)}"
    match result.reason:
        case Reason.REGRESSION:
            return f"{moved}, more than the {allowed} allowed"
        case Reason.MARGIN_INSIDE_INTERVAL:
            return f"{moved}: that may be more than the {allowed} allowed, or less"
        case Reason.SEED_VARIANCE_UNKNOWN:
            return f"{moved}, and with one seed that may be luck"
        case Reason.NOT_KEPT_BY_HOLM:
            return f"{moved}, but among so many gates that may be chance"
        case Reason.IDENTICAL:
            return f"{subject(result.gate)} did not change: both models predict the same"
        case _:
            return f"{moved}, within the {allowed} allowed"


def movement(comparison: Comparison | None, *, with_interval: bool = False) -> str:
    """`fell by 0.021`, `rose by 0.004`, `did not move`, with the interval of the change if asked for."""
    if comparison is None or comparison.change is None:
        return "moved"
    digits = places(comparison)
    size = figures.brief(comparison.change, digits)
    moved = "did not move" if size == "0" else f"{'rose' if comparison.change > 0 else 'fell'} by {size}"
    bounds = figures.interval(comparison.low, comparison.high, digits)
    return f"{moved} {bounds}" if with_interval and bounds else moved


def _bound_finding(result: GateResult, model: ModelReport) -> str:
    gate = result.gate
    side = "minimum" if gate.bound is Bound.MIN else "maximum"
    digits = figures.decimals(None, result.value)
    is_value = f"{subject(gate)} is {value(gate.metric, result.value, digits)}"
    match result.reason:
        case Reason.BELOW_MINIMUM:
            return f"{is_value}, below the minimum of {limit_figure(gate)}"
        case Reason.ABOVE_MAXIMUM:
            return f"{is_value}, above the maximum of {limit_figure(gate)}"
        case Reason.LIMIT_INSIDE_INTERVAL:
            return f"{is_value}{_reach(gate, model)}, so it may break the {side} of {limit_figure(gate)}, or keep it"
        case _:
            return f"{is_value}, within the {side} of {limit_figure(gate)}"


def _reach(gate: Gate, model: ModelReport) -> str:
    score = model.shipped.score(gate.metric, gate.slice) if model.shipped else None
    if score is None or score.low is None or score.high is None:
        return ""
    digits = figures.decimals((score.high - score.low) / 2, score.value)
    return f" (between {figures.number(score.low, digits)} and {figures.number(score.high, digits)})"


def settle(result: GateResult, model: ModelReport) -> str:
    """What would settle an inconclusive gate or mend an error, as sentences; a failure speaks for itself."""
    if result.outcome in {Outcome.PASS, Outcome.FAIL}:
        return ""
    comparison = model.comparison(result.gate.metric, result.gate.slice)
    if result.gate.bound is Bound.MAX_REGRESSION and comparison is not None:
        if not result.judgeable and comparison.standard_error:
            return _smallest_margin(result.gate, comparison.standard_error)
        if result.reason is Reason.MARGIN_INSIDE_INTERVAL:
            return _more_data(result.gate, comparison) or meaning(result.reason).mend
    return meaning(result.reason).mend


def _smallest_margin(gate: Gate, standard_error: float) -> str:
    least = figures.brief(2 * standard_error, figures.decimals(standard_error))
    return (
        f"A margin of {limit_figure(gate)} is too small for this holdout and these seeds, whatever the model: "
        f"they can judge one of about {least}. Raise max_regression to that, or add rows or seeds."
    )


def _more_data(gate: Gate, comparison: Comparison) -> str:
    """How much narrower the interval has to become, if the change stays what it is."""
    if comparison.change is None or comparison.low is None or comparison.high is None:
        return ""
    half = (comparison.high - comparison.low) / 2
    gap = abs(comparison.direction.worse * comparison.change - gate.limit)
    if not gap > 0 or (half / gap) ** 2 > _TOO_CLOSE:
        return "The change is so close to the margin that more data will hardly settle it: decide by judgement."
    times = max(1.5, (half / gap) ** 2)
    return (
        f"About {figures.brief(times, 0 if times >= 3 else 1)} times the holdout rows would settle it if the change "
        "stays the same; so do more seeds (train.seeds), where the seeds are the noise."
    )


def detectable(comparison: Comparison | None) -> str:
    """The minimum detectable effect as a sentence; empty where it is unknown."""
    if comparison is None or comparison.mde is None:
        return ""
    worse = "rise" if comparison.direction is Direction.LOWER else "drop"
    size = figures.brief(comparison.mde, places(comparison))
    return f"A true {worse} of {size} would fail here 19 times out of 20."
