"""The answer to a comment: whole for every reason, and safe whatever was written."""

from typing import Any

import pytest
from hypothesis import given
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode
from tests.support import command_samples as samples
from tests.support import forge_samples
from tests.support.hostile_samples import LINKS, NASTY, TEXTS, as_github, skeleton

from mlbot.commands import retrain, waive
from mlbot.commands.dispatch import Reply
from mlbot.commands.facts import Decision, Facts, Progress, Reason
from mlbot.commands.parser import Fault, ParseError, parse_comment
from mlbot.commands.status import StatusView, status_view
from mlbot.commands.trial_params import ParamProblem
from mlbot.config.errors import Problem
from mlbot.events.github import Attempt, Comment, Conclusion, State, Status
from mlbot.protocol.answer import RetrainRequest, WaiverRequest, answer_marker
from mlbot.protocol.marker import Stamp, carries, marker, stamped, with_attempt

RUN = samples.RUN
PAGE = "https://github.com/acme/income/pull/42"
REPORT = marker(forge_samples.TRAIN, "mlbot.yaml")
MAINTAINED = samples.facts(role="admin", pull=samples.pull(author="bob"))
DONE = (
    ("/retrain", samples.facts()),
    ("/retrain churn income", samples.facts()),
    ("/retrain income depth=3 rate=0.2", samples.facts()),
    ("/judge", samples.facts()),
    (
        '/waive income:roc_auc.min reason="Agreed with @boss."',
        samples.facts(role="admin", pull=samples.pull(author="b")),
    ),
    ('/waive income:deleted reason="Unused."', samples.facts(role="admin", pull=samples.pull(author="b"))),
    ("/mlbot cancel", samples.facts(runs=samples.ours(completed=False, conclusion=None))),
    ("/release income minor", samples.facts()),
)


class MarkdownFile(SingleFileSnapshotExtension):
    file_extension = "md"
    _write_mode = WriteMode.TEXT


def shown(body: str) -> str:
    """Without the last line."""
    return body.rpartition("\n\n")[0].rpartition("\n\n")[0]


def test_every_refusal(snapshot: SnapshotAssertion) -> None:
    texts = [
        shown(samples.written(reply)) for body, known, _, _ in samples.REFUSED for reply in samples.answers(body, known)
    ]
    assert "\n\n---\n\n".join(dict.fromkeys(texts)) == snapshot(extension_class=MarkdownFile)


def test_everything_that_is_done(snapshot: SnapshotAssertion) -> None:
    texts = [shown(samples.written(reply)) for body, known in DONE for reply in samples.answers(body, known)]
    assert "\n\n---\n\n".join(texts) == snapshot(extension_class=MarkdownFile)


def test_several_commands_while_the_effects_are_to_come(snapshot: SnapshotAssertion) -> None:
    found = samples.answers("/retrain\n/judge\n/retrian", samples.facts())
    body = samples.written(*found, working=True)
    assert body == snapshot(extension_class=MarkdownFile)
    assert carries(body, answer_marker(500))


def full() -> Facts:
    report = Comment(id=77, author="b", body=f"x\n\n{stamped(REPORT, _stamp(1))}")
    progress = Progress(
        status=Status(context="mlbot", state=State.FAILURE, description="f1 fell | <b>", url=with_attempt(RUN, _at(1))),
        jobs=(
            ("train / Plan", "success"),
            ("train / Train income", "success"),
            ("train / Train churn+2", "failure"),
            ("train / Train slow+s1", "in_progress"),
            ("train / Train @boss (seed 0)", "success"),
            ("Train x (seed 0) and more", "success"),
        ),
        report=report,
    )
    waiver = WaiverRequest(
        comment=4, actor="mia", number=42, sha=samples.HEAD, model="income", gate="f1.min", reason="Agreed with @boss"
    )
    return samples.facts(runs=samples.ours(attempt=2), records=(waiver,), progress=progress, page=PAGE)


def view(**changes: object) -> StatusView:
    return status_view(samples.facts(**changes))


def _at(number: int) -> Attempt:
    return Attempt(run=7, number=number)


def _stamp(number: int) -> Stamp:
    return Stamp(attempt=_at(number), head=samples.HEAD)


def test_the_status(snapshot: SnapshotAssertion) -> None:
    empty = samples.facts(runs=(), pull=samples.pull(draft=True))
    planned = Progress(jobs=(("train / Plan", "success"),))
    known = (full(), empty, samples.facts(pull=samples.pull(base_ref="side"), progress=planned))
    texts = [shown(samples.written(*samples.answers("/mlbot status", each))) for each in known]
    assert "\n\n---\n\n".join(texts) == snapshot(extension_class=MarkdownFile)


def test_a_report_of_another_head_is_not_this_ones() -> None:
    other = Stamp(attempt=_at(1), head=samples.OTHER)
    report = Comment(id=77, author="b", body=f"x\n\n{stamped(REPORT, other)}")
    assert view(progress=Progress(report=report)).report is None


def test_a_trial_is_shown_as_one() -> None:
    (trial,) = samples.decided("/retrain income depth=3", samples.facts()).records
    found = view(runs=samples.ours(attempt=2, completed=False, conclusion=None), records=(trial,))
    assert [(each.state, each.trial) for each in found.trainings] == [("under way", True)]
    assert not found.behind


@pytest.mark.parametrize("conclusion", list(Conclusion))
def test_every_conclusion_has_a_word(conclusion: Conclusion) -> None:
    (training,) = view(runs=samples.ours(conclusion=conclusion)).trainings
    assert training.state == conclusion.value.replace("_", " ")


def test_no_answer_is_a_command_itself() -> None:
    """With a token of a person's account the answers raise the event that the commands do."""
    every = [reply for body, known, _, _ in samples.REFUSED for reply in samples.answers(body, known)]
    every += [reply for body, known in DONE for reply in samples.answers(body, known)]
    every += samples.answers("/mlbot status", full())
    for reply in every:
        assert parse_comment(samples.written(reply)) == ()


FAILED = ("what", "hint", "run", "recorded", "workflow")


def poisoned(text: str) -> list[Reply]:
    """Answers with a text in every value that can have one."""
    error = ParseError(fault=Fault.UNKNOWN, values={"name": text, "near": "retrain"}, usage="/retrain")
    failed = dict.fromkeys(FAILED, text) | {"run": "https://github.com/acme/income"}
    request = RetrainRequest(
        comment=1, actor="a", number=1, sha=samples.HEAD, attempt=_at(2), models=("m",), params={"p": text}
    )
    problem = ParamProblem(name=text, value=text, near=text)
    near = {"name": text, "near": None, "models": (text, "b"), "gate": text, "model": text, "gates": (text,)}
    decisions: tuple[tuple[str, Any, dict[str, Any]], ...] = (
        ("shared", Reason.MISUNDERSTOOD, {"error": error}),
        ("shared", Reason.CONFIG_BROKEN, {"problem": Problem(text, text, (text,)), "place": text, "more": 0}),
        ("shared", Reason.NOT_GUARDED, {"branch": text}),
        ("retrain", retrain.Refusal.BRANCH, near),
        ("retrain", Reason.DONE, {"request": request, "run": RUN}),
        ("retrain", retrain.Refusal.PARAMETERS, {"model": text, "problems": (problem,), "known": (text,)}),
        ("retrain", Reason.UNKNOWN_MODEL, near),
        ("waive", waive.Refusal.UNKNOWN_GATE, near),
        *(("shared", reason, failed) for reason in (Reason.NOT_RERUN, Reason.NOT_STARTED, Reason.NO_WORKFLOW)),
    )
    return [
        Reply(text=text, template=f"commands/{name}.md.j2", decision=Decision(reason=reason, values=values))
        for name, reason, values in decisions
    ]


def check(text: str) -> None:
    body = samples.written(*poisoned(text))
    tags, words = skeleton(as_github(shown(body)))
    plain, _ = skeleton(as_github(shown(samples.written(*poisoned("plain")))))
    assert set(map(str, tags)) <= set(map(str, plain)) | {"('code', ())"}
    assert not LINKS.search(words.replace("https://github.com", ""))
    assert parse_comment(body) == ()


@pytest.mark.parametrize("text", NASTY)
def test_no_text_changes_the_answer(text: str) -> None:
    check(text)


@given(TEXTS)
def test_whatever_is_written_stays_text(text: str) -> None:
    body = samples.written(*poisoned(text))
    assert parse_comment(body) == ()
    assert carries(body, answer_marker(500))
