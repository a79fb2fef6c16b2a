"""The verdict in one line, and what to do now."""

import re
from collections.abc import Iterable, Sequence

from mlbot.gates.outcome import Outcome, Reason
from mlbot.lib import figures
from mlbot.lib.record import Record
from mlbot.report import wording
from mlbot.report.report import ModelReport, Report
from mlbot.report.wording import meaning
from mlbot.verdict.evidence import Comparison
from mlbot.verdict.verdict import GateResult, ModelVerdict
from mlbot.verdict.waiver import DELETED

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
    what = ", ".join(dict.fromkeys(wording.waived_what(each) for each in waivers))
    who = " and ".join(dict.fromkeys(each.actor for each in waivers))
    why = " ".join(dict.fromkeys(wording.as_sentence(each.reason) for each in waivers))
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
    return f"{text}, and {gained.metric} {wording.movement(gained)}" if gained else text


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
    return wording.finding(decisive[0], model) + more


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
    waived = [wording.subject(each.gate) for each in verdict.gates if each.waived]
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
