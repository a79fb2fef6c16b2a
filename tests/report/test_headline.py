"""The verdict in one line."""

from html import unescape

import pytest
from tests.support import report_parts as parts
from tests.support import samples

from mlbot.gates.metric import Bound, Gate
from mlbot.gates.outcome import Outcome, Reason
from mlbot.report.markdown import markdown
from mlbot.report.terminal import terminal
from mlbot.report.words import by_severity, headline, model_line
from mlbot.verdict.verdict import Problem

EXPECTED = {
    "passing": "Ready to merge: all 7 gates pass, and roc_auc rose by 0.0043.",
    "failing": "Do not merge: roc_auc fell by 0.0206, more than the 0.005 allowed.",
    "inconclusive": "Cannot tell: roc_auc fell by 0.0044 [−0.0062, −0.0026]: "
    "that may be more than the 0.005 allowed, or less.",
    "refused": "Could not be judged: The model file is a Python pickle, which runs code when it is opened.",
    "crashed": "Could not be judged: The training with seed 0 ended with exit code 1.",
    "no_baseline": "Cannot tell: No model of main was judged yet, and base does not train.",
    "provisional": "Ready to merge, provisionally: all 4 gates pass.",
    "many": "Do not merge: adult-income: roc_auc fell by 0.0206, more than the 0.005 allowed.",
    "waived": "Passes with 1 waived gate (roc_auc of adult-income, by boss): "
    "The labels were cleaned; agreed with the data owners.",
    "waived_beside_others": "Passes with 1 waived gate and 1 waived removal "
    "(roc_auc of adult-income, removal of old, by boss): "
    "The labels were cleaned; agreed with the data owners. Nobody asks it.",
    "waiver_ended": "Do not merge: roc_auc fell by 0.0206, more than the 0.005 allowed.",
    "nothing_stale": "Nothing to judge: No model is affected by this change.",
    "trial": "Trial, it would pass: all 7 gates pass, and roc_auc rose by 0.0043.",
    "regression": "Ready to merge: the one gate passes, and root_mean_squared_error fell by 620.",
}


@pytest.mark.parametrize(("name", "text"), EXPECTED.items())
def test_headline(name: str, text: str) -> None:
    assert headline(samples.SAMPLES[name]()).text == text


def test_two_waived_gates_of_a_provisional_model() -> None:
    evidence, rest = parts.adult(-0.0206, gates=(*parts.GATES, Gate(metric="f1", bound=Bound.MIN, limit=0.99)))
    given = [parts.waiver(), parts.waiver("f1.min", actor="lea", comment=9002, reason="Known!")]
    report = parts.judged((evidence.model_copy(update={"provisional": True}), rest), waivers=given)
    assert headline(report).lead == (
        "Passes, provisionally, with 2 waived gates (roc_auc of adult-income, f1 of adult-income, by boss and lea)"
    )
    assert model_line(report.models[0]) == "roc_auc, f1 were waived by boss and lea; 6 other gates pass."


def test_an_inconclusive_verdict_says_whether_it_blocks() -> None:
    assert "does not block" in headline(samples.inconclusive()).action
    assert "This blocks here" in headline(samples.unjudgeable()).action


def test_what_to_do_about_a_model_that_was_removed() -> None:
    evidence, rest = parts.adult(0.0)
    report = parts.judged((evidence.model_copy(update={"deleted": True}), rest))
    assert report.verdict.reason is Reason.MODEL_DELETED
    assert "waive" in headline(report).action


def test_several_failing_gates_are_counted() -> None:
    gates = tuple(gate.model_copy(update={"limit": 0.99}) if gate.bound == "min" else gate for gate in parts.GATES)
    report = parts.judged(parts.adult(-0.0206, gates=gates))
    assert headline(report).text.endswith("; 2 more gates fail.")


def test_several_failing_models_are_counted() -> None:
    report = parts.judged(parts.adult(-0.0206, "a"), parts.adult(-0.03, "b"), parts.adult(-0.03, "c"))
    assert headline(report).text.endswith(" allowed. 2 more models have the same outcome.")


def test_what_decides_comes_first() -> None:
    models = by_severity(samples.many().models)
    assert [model.verdict.outcome for model in models] == [
        Outcome.FAIL,
        Outcome.INCONCLUSIVE,
        Outcome.PASS,
        Outcome.PASS,
    ]
    assert [model.model for model in models[2:]] == ["churn", "fraud"]


def test_gates_that_do_not_count_are_not_counted() -> None:
    aside = Gate(metric="f1", slice="doctorate", bound=Bound.MIN, limit=0.7)
    several = parts.judged(parts.adult(0.0, gates=(*parts.GATES, aside)))
    assert headline(several).text == "Ready to merge: all 7 gates that count pass."
    one = parts.judged(parts.adult(0.0, gates=(parts.GATES[0], aside)))
    assert headline(one).text == "Ready to merge: the one gate that counts passes."


def test_a_problem_of_the_model_is_the_headline_and_its_hint_the_action() -> None:
    evidence, rest = parts.adult(0.0)
    problem = Problem.of(Reason.HOLDOUT_SCHEMA, "not-binary", target="'y'", count=3, labels="'a', 'b', 'c'")
    report = parts.judged((evidence.model_copy(update={"problem": problem}), rest))
    said = headline(report)
    assert said.text == "Could not be judged: The holdout's target 'y' has 3 classes, not two: 'a', 'b', 'c'."
    assert said.action == "Set `task: multiclass`."
    assert "Set `task: multiclass`." in markdown(report)
    assert "Set `task: multiclass`." in terminal(report, color=False, width=200)


def test_of_several_models_each_says_what_to_do() -> None:
    evidence, rest = parts.adult(0.0)
    slow = evidence.model_copy(update={"problem": Problem.of(Reason.SCORING_TIMEOUT, "wall", seconds="60")})
    gone = Problem.of(Reason.MODEL_MISSING, "left-none", seed=0)
    none = evidence.model_copy(update={"problem": gone, "model": "other"})
    report = parts.judged((slow, rest), (none, rest))
    for text in (unescape(markdown(report)).replace("\\", ""), terminal(report, color=False, width=300)):
        assert "Scoring took longer than the 60 seconds that the judge allows." in text
        assert text.count("Make the model file smaller, or of fewer operators.") == 1
        assert text.count(gone.hint) == 1


@pytest.mark.parametrize(("drop", "lead"), [(0.0043, "Passes"), (-0.0206, "Fails")])
def test_what_is_merged_already_is_not_ready_to_be(drop: float, lead: str) -> None:
    report = parts.judged(parts.adult(drop)).model_copy(update={"pull_request": None})
    commits = report.verdict.commits
    merged = report.verdict.model_copy(update={"commits": commits.model_copy(update={"policy": commits.head})})
    assert headline(report.model_copy(update={"verdict": merged})).lead == lead
    assert headline(report).lead != lead


def test_what_another_program_says_ends_before_the_hint() -> None:
    found = Problem.of(Reason.HOLDOUT_UNREADABLE, "no-table", holdout="'h.csv'", why="[Errno 28] No space left")
    assert found.detail == "The holdout 'h.csv' cannot be read: [Errno 28] No space left."
    assert Problem.of(Reason.HOLDOUT_UNREADABLE, "no-table", holdout="x", why="Why?").detail.endswith("Why?")
