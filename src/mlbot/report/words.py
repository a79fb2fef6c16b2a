"""What a report says of each gate, of each model and over all of it, as plain text for the renderers to escape."""

import re
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from mlbot.gates.gate import Bound, Gate
from mlbot.gates.metric import Direction
from mlbot.gates.outcome import Outcome, Reason
from mlbot.ledger.entries import WaiverEntry
from mlbot.lib import figures
from mlbot.lib.record import Record
from mlbot.report.report import ModelReport, Report
from mlbot.verdict.evidence import Comparison
from mlbot.verdict.verdict import GateResult, ModelVerdict
from mlbot.verdict.waiver import DELETED

# One plain sentence for every reason code, and what to do about it.


class Meaning(Record):
    """What a reason code says to a person."""

    sentence: str
    hint: str = ""
    """What to do; empty where there is nothing to do."""


def meaning(reason: Reason) -> Meaning:
    """The sentence for a reason, and what to do about it."""
    return _MEANINGS[reason]


_PUSH = "Fix it and push again."

_ROWS_OR_SEEDS = "More holdout rows or more seeds (train.seeds) make the interval narrower."

_PASSES: dict[Reason, tuple[str, str]] = {
    Reason.WITHIN_LIMIT: ("The figure keeps its limit.", ""),
    Reason.WITHIN_MARGIN: ("Any loss is smaller than the margin, beyond noise.", ""),
    Reason.IDENTICAL: ("Candidate and baseline predict the same, so nothing changed.", ""),
    Reason.WAIVED: ("Somebody with the right to it let it pass, and said why.", ""),
    Reason.ALL_GATES_PASS: ("All gates pass.", ""),
    Reason.NOTHING_STALE: ("No model is affected by this change.", ""),
}

_FAILS: dict[Reason, tuple[str, str]] = {
    Reason.BELOW_MINIMUM: ("The figure is below its minimum.", _PUSH),
    Reason.ABOVE_MAXIMUM: ("The figure is above its maximum.", _PUSH),
    Reason.REGRESSION: ("The loss is larger than the margin, beyond noise.", _PUSH),
    Reason.MODEL_DELETED: (
        "The change removes this model, and with it its gates.",
        "If that is meant, a maintainer has to waive it, with a comment such as /waive MODEL:deleted and a reason.",
    ),
}

_INCONCLUSIVES: dict[Reason, tuple[str, str]] = {
    Reason.NO_BASELINE: (
        "There is no baseline to compare with.",
        "The comparison starts once the guarded branch has a judged model.",
    ),
    Reason.MARGIN_INSIDE_INTERVAL: (
        "The margin lies inside the interval, so the loss may be smaller or larger than allowed.",
        _ROWS_OR_SEEDS,
    ),
    Reason.LIMIT_INSIDE_INTERVAL: (
        "The limit lies inside the interval, so the figure may keep it or not.",
        "More holdout rows make the interval narrower.",
    ),
    Reason.SEED_VARIANCE_UNKNOWN: (
        "With one seed nobody can tell a change of the recipe from the luck of the seed.",
        "Set train.seeds to 3 or more, or let the guarded branch gather a history of seeds.",
    ),
    Reason.NOT_KEPT_BY_HOLM: (
        "On its own this would fail, but among all the gates tested at once it may be chance.",
        f"{_ROWS_OR_SEEDS} Fewer blocking gates sharpen each of them.",
    ),
    Reason.SLICE_TOO_SMALL: (
        "The slice has too few rows to judge, so it is shown and does not block.",
        "Label more rows of it, or lower its min_rows and accept the noise.",
    ),
    Reason.NOTHING_COUNTS: (
        "No gate counts: each only warns, or is on a slice with too few rows.",
        "Give the model a blocking gate on all rows.",
    ),
}

_TRAINING_ERRORS: dict[Reason, tuple[str, str]] = {
    Reason.TRAINING_FAILED: ("The training ended with an error.", "Its last lines are below; fix it and push again."),
    Reason.TRAINING_TIMEOUT: (
        "The training was stopped at its time limit.",
        "Make it faster, or raise train.timeout in a pull request of its own.",
    ),
    Reason.MODEL_MISSING: (
        "The training left no model file.",
        "Write the ONNX file to the path in $MLBOT_MODEL.",
    ),
}

_FILE_ERRORS: dict[Reason, tuple[str, str]] = {
    Reason.MODEL_REFUSED: (
        "The model file was refused: it is no plain ONNX file that can be scored safely.",
        "Export to ONNX, with standard operators and no external data. Pickle and joblib files are never opened.",
    ),
    Reason.MODEL_INPUTS: (
        "The model's inputs do not fit the holdout.",
        "Give it one input a column, named as the column, or one numeric [N, F] input.",
    ),
    Reason.MODEL_OUTPUTS: (
        "The model's outputs do not fit the task.",
        "Classification gives probabilities [N, C]; regression gives [N] or [N, 1].",
    ),
    Reason.FEATURE_ORDER: (
        "The order of the model's features is not that of the holdout's columns.",
        "Name the columns in data.features in the order the model expects.",
    ),
}

_SCORING_ERRORS: dict[Reason, tuple[str, str]] = {
    Reason.SCORING_FAILED: ("The model file crashed while it was scored.", _PUSH),
    Reason.SCORING_TIMEOUT: ("Scoring the model file took too long.", "Make the model smaller or faster."),
    Reason.SCORING_MEMORY: ("Scoring the model file took too much memory.", "Make the model smaller."),
    Reason.NOT_FINITE: ("The model predicts NaN or infinity on some rows.", "Handle missing and extreme values."),
    Reason.NOT_PROBABILITIES: (
        "The model's output is no set of probabilities.",
        "Each row has to be between 0 and 1 and to sum to 1.",
    ),
}

_DATA_ERRORS: dict[Reason, tuple[str, str]] = {
    Reason.EMPTY_HOLDOUT: ("The holdout has no rows.", "Check data.holdout on the guarded branch."),
    Reason.HOLDOUT_SCHEMA: (
        "The holdout lacks a column that is needed.",
        "Land the new columns of the holdout first, then the model that reads them.",
    ),
    Reason.HOLDOUT_UNREADABLE: ("The holdout could not be read.", "Check data.holdout and the judge's access to it."),
    Reason.METRIC_UNDEFINED: (
        "The metric has no value on these rows.",
        "Check that the rows hold every class, or take another metric.",
    ),
    Reason.METRIC_FAILED: ("The metric's own code failed.", "Fix the function on the guarded branch."),
    Reason.EMPTY_SLICE: ("The slice has no rows.", "Check its condition against the holdout."),
    Reason.NO_GATES: ("The model has no gates, so nothing was shown.", "Add at least one gate to mlbot.yaml."),
}

_MEANINGS: Mapping[Reason, Meaning] = MappingProxyType(
    {
        reason: Meaning(sentence=sentence, hint=hint)
        for group in (
            _PASSES,
            _FAILS,
            _INCONCLUSIVES,
            _TRAINING_ERRORS,
            _FILE_ERRORS,
            _SCORING_ERRORS,
            _DATA_ERRORS,
        )
        for reason, (sentence, hint) in group.items()
    }
)

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
    """What would settle an inconclusive gate or fix an error, as sentences; a failure speaks for itself."""
    if result.outcome in {Outcome.PASS, Outcome.FAIL}:
        return ""
    comparison = model.comparison(result.gate.metric, result.gate.slice)
    if result.gate.bound is Bound.MAX_REGRESSION and comparison is not None:
        if not result.judgeable and comparison.standard_error:
            return _smallest_margin(result.gate, comparison.standard_error)
        if result.reason is Reason.MARGIN_INSIDE_INTERVAL:
            return _more_data(result.gate, comparison) or meaning(result.reason).hint
    return meaning(result.reason).hint


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


_CLEAR = 0.05
"""The adjusted p below which a change is called one."""

_SENTENCE_END = re.compile(r"(?<=[.!?]) +(?=[A-Z])")


class Headline(Record):
    """What people read first."""

    lead: str
    """The verdict: `Do not merge`."""
    finding: str
    """Why, as a sentence."""
    action: str
    """What to do now, as sentences."""

    @property
    def text(self) -> str:
        """Verdict and finding in one line, without markup."""
        return f"{self.lead}: {self.finding}"


_LEADS = {
    Outcome.PASS: "Ready to merge",
    Outcome.FAIL: "Do not merge",
    Outcome.INCONCLUSIVE: "Cannot tell",
    Outcome.ERROR: "Could not be judged",
}


def headline(report: Report) -> Headline:
    """The headline over a report."""
    if report.verdict.reason is Reason.NOTHING_STALE:
        return Headline(lead="Nothing to judge", finding=_lower(meaning(Reason.NOTHING_STALE).sentence), action="")
    if report.verdict.reason is Reason.WAIVED:
        return _waived(report)
    finding = f"{_finding(report)}."
    if report.trial:
        return Headline(
            lead=f"Trial, {_TRIALS[report.verdict.outcome]}",
            finding=finding,
            action="A trial has parameters that nobody committed: it is shown, and it never sets the status. "
            "To keep them, commit them.",
        )
    return Headline(lead=_lead(report), finding=finding, action=_action(report))


def _waived(report: Report) -> Headline:
    """Who let what pass, and why: `Passes with 1 waived gate (roc_auc of adult-income, by boss)`."""
    waivers = report.verdict.waivers
    gates = sum(each.gate != DELETED for each in waivers)
    removals = len(waivers) - gates
    counted = [
        *([figures.plural(gates, "waived gate")] if gates else []),
        *([figures.plural(removals, "waived removal")] if removals else []),
    ]
    what = ", ".join(dict.fromkeys(waived_what(each) for each in waivers))
    who = " and ".join(dict.fromkeys(each.actor for each in waivers))
    why = " ".join(dict.fromkeys(as_sentence(each.reason) for each in waivers))
    return Headline(
        lead=f"{_passes(report)} with {' and '.join(counted)} ({what}, by {who})",
        finding=why,
        action="A waiver ends when the model changes, or the rules that it is judged by.",
    )


def _passes(report: Report) -> str:
    return "Passes, provisionally," if any(model.verdict.provisional for model in report.models) else "Passes"


_TRIALS = {
    Outcome.PASS: "it would pass",
    Outcome.FAIL: "it would fail",
    Outcome.INCONCLUSIVE: "it would be inconclusive",
    Outcome.ERROR: "it could not be judged",
}


def model_line(model: ModelReport) -> str:
    """One model's finding, as a clause."""
    return _model_finding(model)


def by_severity(models: Iterable[ModelReport]) -> list[ModelReport]:
    """The models that decide first: error, fail, inconclusive, waived, pass; else as they come."""
    order = (Outcome.ERROR, Outcome.FAIL, Outcome.INCONCLUSIVE, Reason.WAIVED, Outcome.PASS)
    return sorted(models, key=lambda model: order.index(model.verdict.standing))


def _lead(report: Report) -> str:
    lead = _LEADS[report.verdict.outcome]
    provisional = any(model.verdict.provisional for model in report.models)
    return f"{lead}, provisionally" if provisional and report.verdict.outcome is Outcome.PASS else lead


def _action(report: Report) -> str:
    match report.verdict.outcome:
        case Outcome.PASS:
            return "No action needed."
        case Outcome.FAIL if report.verdict.reason is Reason.MODEL_DELETED:
            return meaning(Reason.MODEL_DELETED).hint
        case Outcome.FAIL:
            return "Fix it and push again; if the loss is meant, change the gate in a pull request of its own."
        case Outcome.INCONCLUSIVE if report.inconclusive_blocks:
            return "This blocks here, as the config asks. What would settle it is below."
        case Outcome.INCONCLUSIVE:
            return "This warns and does not block. What would settle it is below."
        case Outcome.ERROR:
            return meaning(report.verdict.reason).hint or "Fix it and push again."


def _finding(report: Report) -> str:
    decisive = [model for model in report.models if model.verdict.outcome is report.verdict.outcome]
    if report.verdict.outcome is Outcome.PASS:
        return _all_pass(report.models)
    if not decisive:
        return meaning(report.verdict.reason).sentence.rstrip(".")
    text = _model_finding(decisive[0])
    if len(report.models) > 1:
        text = f"{decisive[0].model}: {text}"
    rest = len(decisive) - 1
    return f"{text}; and {figures.plural(rest, 'more model')}" if rest else text


def _all_pass(models: Sequence[ModelReport]) -> str:
    gates = [gate for model in models for gate in model.verdict.gates]
    counted = sum(gate.counts for gate in gates)
    of = f" of {figures.plural(len(models), 'model')}" if len(models) > 1 else ""
    that_count = " that count" if counted < len(gates) else ""
    text = f"{'both' if counted == 2 else f'all {counted}'} gates{of}{that_count} pass"
    if counted == 1:
        text = f"the one gate{of}{that_count.replace('count', 'counts')} passes"
    gained = _gain(models[0]) if len(models) == 1 else None
    return f"{text}, and {gained.metric} {movement(gained)}" if gained else text


def _gain(model: ModelReport) -> Comparison | None:
    """The first gated metric on all rows that got better, clear of noise."""
    gated = {result.gate.metric for result in model.verdict.gates}
    return next(
        (
            each
            for each in model.comparisons
            if each.slice is None and each.metric in gated and clear_change(each) and _is_better(each)
        ),
        None,
    )


def clear_change(comparison: Comparison) -> bool:
    """Whether a change is clear of noise, after adjusting for all that is displayed."""
    return comparison.q_value is not None and comparison.q_value < _CLEAR


def _is_better(comparison: Comparison) -> bool:
    return comparison.change is not None and comparison.direction.worse * comparison.change < 0


def _model_finding(model: ModelReport) -> str:
    verdict = model.verdict
    if verdict.reason is Reason.WAIVED:
        return _lets_pass(verdict)
    if verdict.outcome is Outcome.PASS:
        return _all_pass([model])
    decisive = decisive_gates(verdict.gates, verdict.outcome)
    if verdict.reason is Reason.NO_BASELINE:
        return _lower(meaning(verdict.reason).sentence.rstrip("."))
    if not decisive or _is_of_the_model(model):
        return _lower((_first_sentence(verdict.detail) or meaning(verdict.reason).sentence).rstrip("."))
    rest = len(decisive) - 1
    verb = "fails" if verdict.outcome is Outcome.FAIL else "is undecided"
    verbs = "fail" if verdict.outcome is Outcome.FAIL else "are undecided"
    more = f"; {rest} more {'gate ' + verb if rest == 1 else 'gates ' + verbs}" if rest else ""
    return finding(decisive[0], model) + more


def whole_problem(model: ModelReport) -> str:
    """Why a model as a whole could not be evaluated, where the finding's one sentence does not say all of it."""
    detail = model.verdict.detail.strip()
    return detail if _is_of_the_model(model) and detail != _first_sentence(detail) else ""


def _first_sentence(detail: str) -> str:
    """Without code's marks: a status shows them as they are."""
    return _SENTENCE_END.split(detail.strip(), maxsplit=1)[0].replace("`", "")


def _lets_pass(verdict: ModelVerdict) -> str:
    """A model that passes by somebody's word, as a clause."""
    who = " and ".join(dict.fromkeys(each.actor for each in verdict.waivers))
    if verdict.waived is not None:
        return f"its removal was waived by {who}"
    waived = [subject(each.gate) for each in verdict.gates if each.waived]
    rest = sum(each.counts for each in verdict.gates) - len(waived)
    others = f"; {rest} other {'gate passes' if rest == 1 else 'gates pass'}" if rest else ""
    return f"{', '.join(dict.fromkeys(waived))} {'was' if len(waived) == 1 else 'were'} waived by {who}{others}"


def decisive_gates(gates: Sequence[GateResult], outcome: Outcome) -> list[GateResult]:
    """The gates that count and have this outcome, in the config's order."""
    return [gate for gate in gates if gate.counts and gate.outcome is outcome]


def _is_of_the_model(model: ModelReport) -> bool:
    """Whether the whole model could not be evaluated, so that naming one gate would mislead."""
    return model.verdict.outcome is Outcome.ERROR and all(
        gate.reason is model.verdict.reason for gate in model.verdict.gates
    )


def _lower(sentence: str) -> str:
    """As a clause after a colon; a sentence that starts with a name in capitals keeps them."""
    return sentence[:1].lower() + sentence[1:] if sentence[1:2].islower() else sentence
