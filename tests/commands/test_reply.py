"""The answer to a comment: whole for every reason, and safe whatever was written."""

import pytest
from hypothesis import given
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode
from tests.support import command_samples as samples
from tests.support import forge_samples
from tests.support.hostile_samples import LINKS, NASTY, TEXTS, as_github, skeleton

from mlbot.commands import reply as replies
from mlbot.commands.command import parse_comment
from mlbot.commands.reply import Decision, Reason, Reply
from mlbot.commands.status import Evidence, StatusView, status_view
from mlbot.events.github import Attempt, Comment, Conclusion, State, Status
from mlbot.protocol.answer import WaiverRequest, answer_marker, last_line
from mlbot.protocol.marker import Stamp, carries, marker, stamped, with_attempt

RUN = "https://github.com/acme/income/actions/runs/99"
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


def written(reply: Reply, section: str = "", *, working: bool = False) -> str:
    return replies.answer([reply], [section], marker=last_line(500), run_url=RUN, working=working)


def shown(body: str) -> str:
    """Without the last line."""
    return body.rpartition("\n\n")[0].rpartition("\n\n")[0]


def test_every_refusal(snapshot: SnapshotAssertion) -> None:
    texts = [shown(written(reply)) for body, known, _, _ in samples.REFUSED for reply in samples.answers(body, known)]
    assert "\n\n---\n\n".join(dict.fromkeys(texts)) == snapshot(extension_class=MarkdownFile)


def test_everything_that_is_done(snapshot: SnapshotAssertion) -> None:
    texts = [shown(written(reply)) for body, known in DONE for reply in samples.answers(body, known)]
    assert "\n\n---\n\n".join(texts) == snapshot(extension_class=MarkdownFile)


def test_several_commands_while_the_effects_are_to_come(snapshot: SnapshotAssertion) -> None:
    found = samples.answers("/retrain\n/judge\n/retrian", samples.facts())
    body = replies.answer(found, ["", "", ""], marker=last_line(500), run_url=RUN, working=True)
    assert body == snapshot(extension_class=MarkdownFile)
    assert carries(body, answer_marker(500))


def view(**changes: object) -> StatusView:
    trained = samples.ours(attempt=2)
    report = Comment(id=77, author="b", body=f"x\n\n{stamped(REPORT, _stamp(1))}")
    evidence = Evidence(
        status=Status(context="mlbot", state=State.FAILURE, description="f1 fell | <b>", url=with_attempt(RUN, _at(1))),
        jobs=(
            ("train / Plan", "success"),
            ("train / Train income (seed 0)", "success"),
            ("train / Train income (seed 1)", "failure"),
            ("train / Train churn (seed 0)", "in_progress"),
            ("train / Train @boss (seed 0)", "success"),
            ("Train x (seed 0) and more", "success"),
        ),
        report=report,
    )
    waiver = WaiverRequest(
        comment=4, actor="mia", number=42, sha=samples.HEAD, model="income", gate="f1.min", reason="Agreed with @boss"
    )
    known = samples.facts(runs=trained, records=(waiver,), **changes)
    assert known.pull
    return status_view(known, known.pull, evidence, REPORT)


def _at(number: int) -> Attempt:
    return Attempt(run=7, number=number)


def _stamp(number: int) -> Stamp:
    return Stamp(attempt=_at(number), head=samples.HEAD)


def test_a_full_status(snapshot: SnapshotAssertion) -> None:
    assert replies.status(view(), page=PAGE) == snapshot(extension_class=MarkdownFile)


def test_an_empty_status(snapshot: SnapshotAssertion) -> None:
    known = samples.facts(runs=(), pull=samples.pull(draft=True))
    assert known.pull
    empty = status_view(known, known.pull, Evidence(), REPORT)
    assert replies.status(empty, page=PAGE) == snapshot(extension_class=MarkdownFile)


def test_a_status_where_nothing_is_guarded_or_stale(snapshot: SnapshotAssertion) -> None:
    known = samples.facts(pull=samples.pull(base_ref="side"))
    assert known.pull
    found = status_view(known, known.pull, Evidence(jobs=(("train / Plan", "success"),)), REPORT)
    assert replies.status(found, page=PAGE) == snapshot(extension_class=MarkdownFile)


def test_a_report_of_another_head_is_not_this_ones() -> None:
    other = Stamp(attempt=_at(1), head=samples.OTHER)
    known = samples.facts()
    assert known.pull
    report = Comment(id=77, author="b", body=f"x\n\n{stamped(REPORT, other)}")
    assert status_view(known, known.pull, Evidence(report=report), REPORT).report is None


def test_a_trial_is_told_as_one() -> None:
    (trial,) = samples.decided("/retrain income depth=3", samples.facts()).records
    running = samples.facts(runs=samples.ours(attempt=2, completed=False, conclusion=None), records=(trial,))
    assert running.pull
    found = status_view(running, running.pull, Evidence(), REPORT)
    assert [(each.state, each.trial) for each in found.trainings] == [("under way", True)]
    assert not found.behind


@pytest.mark.parametrize("conclusion", list(Conclusion))
def test_every_conclusion_has_a_word(conclusion: Conclusion) -> None:
    known = samples.facts(runs=samples.ours(conclusion=conclusion))
    assert known.pull
    (training,) = status_view(known, known.pull, Evidence(), REPORT).trainings
    assert training.state == conclusion.value.replace("_", " ")


def test_no_answer_is_a_command_itself() -> None:
    """With a token of a person's account the answers raise the event that the commands do."""
    every = [reply for body, known, _, _ in samples.REFUSED for reply in samples.answers(body, known)]
    every += [reply for body, known in DONE for reply in samples.answers(body, known)]
    for reply in every:
        assert parse_comment(written(reply)) == ()
    assert parse_comment(replies.status(view(), page=PAGE)) == ()


def poisoned(text: str) -> Reply:
    decision = Decision(
        reason=Reason.MISUNDERSTOOD, sentence=text or "-", hint=text, usage=text, link="https://github.com/acme/income"
    )
    return Reply(text=text, decision=decision)


def check(text: str) -> None:
    page = as_github(shown(written(poisoned(text))))
    tags, words = skeleton(page)
    plain, _ = skeleton(as_github(shown(written(poisoned("plain")))))
    assert set(map(str, tags)) <= set(map(str, plain))
    assert not LINKS.search(words.replace("https://github.com", ""))


@pytest.mark.parametrize("text", NASTY)
def test_no_text_changes_the_answer(text: str) -> None:
    check(text)
    assert parse_comment(written(poisoned(text))) == ()


@given(TEXTS)
def test_whatever_is_written_stays_text(text: str) -> None:
    assert parse_comment(written(poisoned(text))) == ()
    assert carries(written(poisoned(text)), answer_marker(500))
