"""The few commands that a reader of the report may want next, ready to be copied."""

from pydantic import ValidationError

from mlbot.commands.command import MODEL
from mlbot.commands.retrain import Retrain
from mlbot.commands.waive import Waive
from mlbot.gates.outcome import Reason
from mlbot.lib.record import Record, Sha
from mlbot.report.headline import by_severity
from mlbot.report.report import ModelReport, Report
from mlbot.verdict.waiver import DELETED, WAIVABLE

_ANY_REASON = "…"


class Offers(Record):
    """Commands as a person would write them: nothing but letters, digits and `/.:@=_"…-` is in them."""

    retrain: str
    trial: str | None = None
    """With the name of a parameter and its value left to the reader."""
    waive: str | None = None
    """For the first gate that a person may answer for, with the reason left to the reader."""


def offers(report: Report) -> Offers | None:
    """What may be said about a verdict; None where there is nowhere to say it.

    A fork's head can be replaced while a person writes, so there every command about it names the commit.
    """
    if report.pull_request is None:
        return None
    sha = report.verdict.commits.head if report.fork else None
    models = by_severity(report.models)
    return Offers(
        retrain=Retrain(sha=sha).text,
        trial=_trial(models[0], sha) if models else None,
        waive=None if report.trial else next((said for model in models if (said := _waive(model))), None),
    )


def _trial(model: ModelReport, sha: Sha | None) -> str:
    return " ".join(filter(None, (f"/retrain {_name(model)} PARAMETER=VALUE", sha)))


def _name(model: ModelReport) -> str:
    """A model's name as a command has it; the usage's word for one that no config could have."""
    try:
        return Retrain(models=(model.model,)).text.partition(" ")[2]
    except ValidationError:
        return MODEL.usage


def _waive(model: ModelReport) -> str | None:
    verdict = model.verdict
    found = next((each for each in verdict.gates if each.counts and each.outcome in WAIVABLE), None)
    gate = DELETED if verdict.reason is Reason.MODEL_DELETED else found.gate.name if found else None
    if gate is None:
        return None
    try:
        return Waive(model=model.model, gate=gate, reason=_ANY_REASON).text
    except ValidationError:
        return Waive.usage()
