"""What a verdict publishes, and where."""

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import samples
from tests.support.forge_samples import ASKED, HEAD, OURS, PLACE, POLICY, judge, subject
from tests.support.ledger_samples import entry
from tests.support.report_parts import waiver

from mlbot.config.errors import Document, KeyPath, Position
from mlbot.events.github import State
from mlbot.judging.admission import _FINISHED
from mlbot.lib.escape import one_line
from mlbot.protocol.decision import Cause, FinishWithoutJudging, MergeGroupSubject, PullRequestSubject, PushSubject
from mlbot.protocol.marker import attempt_of, carries, marker_of, read_stamp
from mlbot.protocol.operations import (
    AppendLedger,
    Level,
    Log,
    Operation,
    PushCharts,
    SetStatus,
    UpsertComment,
    WriteSummary,
    describe,
)
from mlbot.publish.plan_operations import (
    Rendered,
    annotations,
    broken,
    charts_of,
    finish,
    pending,
    pictures_of,
    publish,
    signature,
    status_of,
    together,
    why_unjudged,
)
from mlbot.report.report import Report

if TYPE_CHECKING:
    from mlbot.ledger.entries import Entry

WORDS = Rendered(comment=f"text\n{signature(PLACE, subject(), ASKED)}", summary="summary")
MUTE = PLACE.model_copy(update={"may_write": False})
PUSH = judge(subject=PushSubject(sha=HEAD, branch="main"))
QUEUE = judge(subject=MergeGroupSubject(sha=HEAD, branch="main"))
URL = "https://github.com/acme/income/actions/runs/7"


def kinds(operations: tuple[Operation, ...]) -> list[str]:
    return [each.kind for each in operations if each.kind != "annotate"]


def status(operations: tuple[Operation, ...]) -> SetStatus:
    (found,) = [each for each in operations if isinstance(each, SetStatus)]
    return found


def test_a_pull_request_gets_a_comment_and_last_a_status() -> None:
    operations = publish(judge(), samples.passing(), PLACE, WORDS, [entry()])
    assert kinds(operations) == ["summary", "comment", "status"]


def test_what_people_waived_on_a_pull_request_is_remembered_before_its_status() -> None:
    given_: list[Entry] = [entry(), waiver()]
    operations = publish(judge(), samples.waived(), PLACE, WORDS, given_)
    assert kinds(operations) == ["summary", "ledger", "comment", "status"]
    assert AppendLedger(entries=(waiver(),)) in operations
    assert kinds(publish(QUEUE, samples.waived(), PLACE, WORDS, given_)) == ["summary", "status"]


def test_the_merge_queue_gets_the_status_only() -> None:
    assert kinds(publish(QUEUE, samples.passing(), PLACE, WORDS, [entry()])) == ["summary", "status"]


def test_a_push_gets_the_ledger_and_last_a_status() -> None:
    operations = publish(PUSH, samples.failing(), PLACE, WORDS, [entry()])
    assert kinds(operations) == ["summary", "ledger", "status"]
    assert AppendLedger(entries=(entry(),)) in operations


def test_nothing_stale_leaves_nothing_to_remember() -> None:
    assert kinds(publish(PUSH, samples.nothing_stale(), PLACE, WORDS)) == ["summary", "status"]


@pytest.mark.parametrize("decision", [judge(), PUSH])
def test_a_trial_sets_no_status_and_is_not_remembered(decision: Any) -> None:
    operations = publish(decision, samples.trial(), PLACE, WORDS, [entry()])
    assert {"status", "ledger"}.isdisjoint(kinds(operations))


def test_a_trials_comment_is_another_than_the_verdicts() -> None:
    assert marker_of(PLACE) != marker_of(PLACE, trial=True)
    (comment,) = [each for each in publish(judge(), samples.trial(), PLACE, WORDS) if isinstance(each, UpsertComment)]
    assert comment.marker == marker_of(PLACE, trial=True)
    assert not carries(WORDS.comment, comment.marker)


def test_without_the_right_to_write_the_summary_has_it_and_the_log_says_why() -> None:
    operations = publish(judge(), samples.passing(), MUTE, WORDS)
    assert kinds(operations) == ["summary", "log"]
    assert kinds(pending(subject(), ASKED, MUTE, URL)) == ["log"]
    (said,) = [each for each in operations if isinstance(each, Log)]
    assert said.sentence.count(".") == 1


def test_the_comment_is_stamped_with_the_attempt_and_the_head() -> None:
    (comment,) = [each for each in publish(judge(), samples.passing(), PLACE, WORDS) if isinstance(each, UpsertComment)]
    assert (comment.number, comment.subject) == (42, subject())
    assert read_stamp(comment.body, comment.marker) == comment.stamp


STATES: list[tuple[str, Report, State]] = [
    ("pass", samples.passing(), State.SUCCESS),
    ("fail", samples.failing(), State.FAILURE),
    ("error", samples.crashed(), State.ERROR),
    ("refused", samples.refused(), State.ERROR),
    ("inconclusive, warn", samples.inconclusive(), State.SUCCESS),
    ("inconclusive, block", samples.unjudgeable(), State.FAILURE),
    ("no baseline", samples.no_baseline(), State.SUCCESS),
    ("nothing stale", samples.nothing_stale(), State.SUCCESS),
    ("waived", samples.waived(), State.SUCCESS),
    ("many", samples.many(), State.FAILURE),
]


@pytest.mark.parametrize(("report", "state"), [case[1:] for case in STATES], ids=[case[0] for case in STATES])
def test_a_verdicts_state(report: Report, state: State) -> None:
    found = status(publish(judge(), report, PLACE, WORDS))
    assert found.state is state
    assert len(found.description) <= 140
    assert attempt_of(found.url) == ASKED
    assert found.url.startswith(PLACE.run_url)
    assert ("inconclusive" in found.description) is (report.verdict.outcome.value == "inconclusive")


def test_the_description_says_what_was_found() -> None:
    assert status_of(samples.failing())[1].startswith("Do not merge: ")
    assert status_of(samples.nothing_stale())[1] == "Nothing to judge: No model is affected by this change."


def test_a_training_that_starts() -> None:
    (found,) = pending(subject(), ASKED, PLACE, URL)
    assert isinstance(found, SetStatus)
    assert (found.state, found.url, found.subject.sha) == (State.PENDING, f"{URL}#mlbot-7.2", HEAD)


def test_a_run_that_leaves_nothing_to_judge_ends_the_status() -> None:
    decision = FinishWithoutJudging(subject=subject(), attempt=ASKED, cause=Cause.CANCELLED, state=State.ERROR)
    operations = finish(decision, PLACE, URL)
    sentence = "The training was cancelled; comment /retrain for a verdict."
    assert (status(operations).state, status(operations).description) == (State.ERROR, sentence)
    assert kinds(finish(decision, MUTE, URL)) == ["summary", "log"]


@pytest.mark.parametrize("cause", sorted({cause for cause, _ in _FINISHED.values()} | {Cause.DRAFT}))
def test_every_cause_has_words_that_fit_a_status(cause: Cause) -> None:
    decision = FinishWithoutJudging(subject=subject(), attempt=ASKED, cause=cause, state=State.ERROR)
    assert 20 < len(why_unjudged(decision)) <= 140


def test_a_judge_that_broke_is_an_error() -> None:
    operations = broken(judge(), PLACE, "the holdout\x00 cannot be read\n" + "x" * 200)
    found = status(operations)
    assert found.state is State.ERROR
    assert found.description.startswith("Could not be judged: the holdout cannot be read")
    assert kinds(broken(judge(), MUTE, "x")) == ["summary", "log"]


@given(st.text(), st.integers(5, 60))
def test_a_line_is_one_visible_line_of_that_length(text: str, longest: int) -> None:
    line = one_line(text, longest)
    assert len(line.encode("utf-16-le", "surrogatepass")) // 2 <= longest
    assert line == " ".join(line.split())
    assert line.isprintable()


def test_a_line_is_cut_at_a_word() -> None:
    assert one_line("one two three", 11) == "one two…"
    assert one_line("onetwothree", 5) == "onet…"


def test_annotations_stand_at_the_gates_lines() -> None:
    gate: KeyPath = ("models", "adult-income", "gates", "roc_auc")
    document = Document(source="mlbot.yaml", data={}, keys={gate: Position(30, 7)})
    found = annotations(samples.failing(), document)
    assert found
    assert {each.file for each in found} == {"mlbot.yaml"}
    margin = next(each for each in found if each.title.startswith("adult-income: roc_auc"))
    assert (margin.level, margin.line) == (Level.ERROR, 30)
    assert "roc_auc fell by" in margin.message


def test_what_was_waived_is_annotated_as_such() -> None:
    (found,) = annotations(samples.waived())
    assert (found.level, found.title) == (Level.NOTICE, "adult-income: roc_auc 0.005 is waived")
    assert "more than the 0.005 allowed. Waived by boss on 2026-11-20:" in found.message


def test_only_what_decides_is_annotated() -> None:
    assert annotations(samples.passing()) == ()
    assert {each.level for each in annotations(samples.inconclusive())} == {Level.WARNING}
    assert [each.line for each in annotations(samples.inconclusive())] == [None]


def test_pictures_are_named_by_what_they_show() -> None:
    drawn = {"churn": ("<svg>l</svg>", "<svg>d</svg>"), "adult": ("<svg>l</svg>", "<svg>x</svg>")}
    pushed = charts_of(drawn)
    assert len(pushed.files) == 3
    pictures = pictures_of(drawn, PLACE, HEAD)
    start, end = f"https://github.com/acme/income/blob/{HEAD}/", "?raw=true"
    for model, (light, dark) in drawn.items():
        for svg, address in ((light, pictures[model].light), (dark, pictures[model].dark)):
            assert pushed.files[address.removeprefix(start).removesuffix(end)] == svg


@pytest.mark.parametrize("report", [samples.many(), samples.unjudgeable(), samples.nothing_stale()])
def test_a_dry_run_says_each_operation_in_a_line(report: Report) -> None:
    operations: tuple[Operation, ...] = (
        *publish(judge(), report, PLACE, WORDS),
        *publish(PUSH, report, PLACE, WORDS, [entry()]),
        PushCharts(files={"a.svg": "x"}),
        Log(sentence="Hello."),
        WriteSummary(text="x"),
    )
    said = [describe(each) for each in operations]
    assert all("\n" not in each for each in said)
    assert f"set the status mlbot of {HEAD[:10]}" in " ".join(said)
    assert {"push 1 chart", "add 1 entry to the ledger"} <= set(said)


def test_a_repositorys_own_pull_request_is_published_alike() -> None:
    own = judge(subject=subject(fork=False, head_repository_id=OURS))
    assert kinds(publish(own, samples.passing(), PLACE, WORDS)) == ["summary", "comment", "status"]


TWO = POLICY.model_copy(update={"guard": ("main", "release/*")})


def of(state: State, number: int = 42, branch: str = "main") -> list[Operation]:
    """What is done about one pull request of a head."""
    found = finish(
        FinishWithoutJudging(
            subject=subject(number=number, branch=branch), attempt=ASKED, cause=Cause.CANCELLED, state=state
        ),
        PLACE,
        URL,
    )
    return list(found)


def set_by(operations: tuple[Operation, ...]) -> dict[str, State]:
    return {each.context: each.state for each in operations if isinstance(each, SetStatus)}


def test_one_guarded_entry_has_one_status_and_the_words_of_its_verdict() -> None:
    operations = publish(judge(), samples.passing(), PLACE, WORDS)
    assert together([operations], POLICY) == operations


@pytest.mark.parametrize(
    ("states", "worst"),
    [
        ([State.SUCCESS, State.SUCCESS], State.SUCCESS),
        ([State.SUCCESS, State.PENDING], State.PENDING),
        ([State.PENDING, State.FAILURE], State.FAILURE),
        ([State.ERROR, State.FAILURE], State.ERROR),
        ([State.SUCCESS, State.PENDING, State.FAILURE, State.ERROR], State.ERROR),
    ],
)
def test_the_status_of_a_head_is_the_worst_of_its_pull_requests(states: list[State], worst: State) -> None:
    for order in (states, states[::-1]):
        found = together([of(state, number) for number, state in enumerate(order, 1)], POLICY)
        assert set_by(found) == {"mlbot": worst}
        last = status(found)
        assert isinstance(last.subject, PullRequestSubject)
        assert {last.subject.number, *(each.number for each in last.beside)} == set(range(1, len(order) + 1))
        assert last.description.startswith(f"#{last.subject.number}: ")
        assert len(last.description) <= 140


def test_each_guarded_entry_has_the_worst_of_its_own_branches_and_the_head_that_of_all() -> None:
    operations = [of(State.FAILURE), of(State.SUCCESS, 2, "release/1"), of(State.PENDING, 3, "release/2")]
    assert set_by(together(operations, TWO)) == {
        "mlbot/main": State.FAILURE,
        "mlbot/release": State.PENDING,
        "mlbot": State.FAILURE,
    }
    assert set_by(together(operations[1:2], TWO)) == {"mlbot/release": State.SUCCESS, "mlbot": State.SUCCESS}
    assert [each.kind for each in together(operations, TWO)][-3:] == ["status"] * 3
    (back,) = [each for each in together(operations[1:2], TWO) if each.kind == "end-pending"]
    assert (back.contexts, back.description) == (("mlbot/main",), None), "it stays pending, or what it was before"


@pytest.mark.parametrize("decision", [PUSH, QUEUE])
def test_pushes_and_merge_groups_have_their_entrys_status_too(decision: Any) -> None:
    operations = publish(decision, samples.passing(), PLACE, WORDS, [entry()])
    assert set_by(together([operations], TWO)) == {"mlbot/main": State.SUCCESS, "mlbot": State.SUCCESS}


def test_a_head_into_an_unguarded_branch_has_no_guarded_entrys_status() -> None:
    """A success of it there would be on the commit before it is proposed for the guarded branch."""
    assert set_by(together([of(State.SUCCESS, branch="side")], TWO)) == {"mlbot": State.SUCCESS}


def test_what_may_not_be_written_is_not_joined() -> None:
    operations = publish(judge(), samples.passing(), MUTE, WORDS)
    assert together([operations], TWO) == operations
