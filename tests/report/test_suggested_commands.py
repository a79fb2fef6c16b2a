"""What the report offers to be said next is understood when it is."""

import pytest
from tests.support import samples
from tests.support.hostile_samples import poisoned

from mlbot.commands.parser import parse_comment
from mlbot.commands.retrain import Retrain
from mlbot.commands.waive import Waive
from mlbot.gates.outcome import Outcome
from mlbot.report.markdown import Offers, offers
from mlbot.report.report import Report


def offered(report: Report) -> Offers:
    found = offers(report)
    assert found is not None
    return found


@pytest.mark.parametrize("name", samples.SAMPLES)
def test_every_offer_is_understood(name: str) -> None:
    report = samples.SAMPLES[name]()
    found = offers(report)
    if report.pull_request is None:
        assert found is None
        return
    assert found is not None
    sha = report.verdict.commits.head if report.fork else None
    (retrain,) = parse_comment(found.retrain)
    assert retrain.command == Retrain(sha=sha)
    if found.trial is not None:
        (trial,) = parse_comment(found.trial)
        assert isinstance(trial.command, Retrain)
        assert trial.command.sha == sha
        assert trial.command.models[0] in {model.model for model in report.models}
    if found.waive is not None:
        (waive,) = parse_comment(found.waive)
        assert isinstance(waive.command, Waive)


@pytest.mark.parametrize("name", samples.SAMPLES)
def test_a_waiver_is_offered_where_a_gate_can_be_waived(name: str) -> None:
    report = samples.SAMPLES[name]()
    found = offers(report)
    waivable = [
        f"/waive {model.model}:{gate.gate.name} "
        for model in report.verdict.models
        for gate in model.gates
        if gate.counts and gate.outcome in {Outcome.FAIL, Outcome.INCONCLUSIVE}
    ]
    if found is not None and found.waive is not None:
        assert any(found.waive.startswith(said) for said in waivable)
    elif found is not None:
        assert report.trial or not waivable


def test_the_samples_have_both() -> None:
    assert offered(samples.failing()).waive is not None
    assert offered(samples.passing()).waive is None


def test_a_gate_that_no_config_has_is_not_written() -> None:
    found = offered(poisoned(samples.failing(), "a`b\n/approve x@v1.0.0 production"))
    assert found.waive == '/waive MODEL:GATE reason="…"'
    assert found.trial == "/retrain adult-income PARAMETER=VALUE"


def test_a_model_that_looks_like_a_commit_is_written_in_quotation_marks() -> None:
    report = samples.passing()
    model = report.models[0].model_copy(update={"model": "4f1c2a9"})
    found = offered(report.model_copy(update={"models": (model,)}))
    assert found.trial == '/retrain "4f1c2a9" PARAMETER=VALUE'
