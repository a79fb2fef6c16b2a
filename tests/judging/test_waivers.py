"""Requests for waivers: which bind, to what, and what is said of those that do not."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import report_parts as parts
from tests.support.waiver_samples import KEY, MARGIN, MAX, MIN, POLICY, evidence, judged

from mlbot.events.github import Attempt, Comment, Edits
from mlbot.gates.metric import Bound, Gate
from mlbot.gates.outcome import Outcome, Reason
from mlbot.judging.waivers import doubt, ended, fresh, is_open, resolve
from mlbot.ledger.entries import WaiverEntry
from mlbot.protocol.answer import Recorded, RetrainRequest, WaiverRequest
from mlbot.report.report import NoticeCode
from mlbot.verdict.decide import Evidence
from mlbot.verdict.verdict import Problem

NOW = "2026-11-20T18:00:00Z"
SAID_AT = "2026-11-20T17:00:00Z"
WHY = "Agreed with the data owners."


def request(gate: str = "roc_auc.min", **changes: Any) -> WaiverRequest:
    fields: dict[str, Any] = {
        "comment": 9001,
        "actor": "boss",
        "number": 42,
        "sha": parts.HEAD,
        "model": "adult-income",
        "gate": gate,
        "reason": WHY,
    }
    return WaiverRequest(**(fields | changes))


def comment(of: WaiverRequest, **changes: Any) -> Comment:
    """What the person wrote."""
    body = f'Fine by me.\n\n/waive {of.model}:{of.gate} reason="{of.reason}"\n'
    fields: dict[str, Any] = {"id": of.comment, "author": of.actor, "body": body, "created": SAID_AT}
    fields["edits"] = Edits.NONE
    return Comment(**(fields | changes))


def resolved(
    asked: WaiverRequest, found: Evidence | None = None, *held: WaiverEntry, speakers: frozenset[str] | None = None
) -> tuple[tuple[WaiverEntry, ...], str]:
    """The waivers, and all that is said."""
    there = found or evidence()
    may = frozenset({asked.actor}) if speakers is None else speakers
    came = resolve([asked], [comment(asked)], judged(there, *held), [there], may, NOW)
    assert all(each.code is NoticeCode.WAIVER_UNUSED and each.warning for each in came.notices)
    return came.waivers, " ".join(each.text for each in came.notices)


def test_a_request_binds_to_the_gate_the_content_the_rules_and_the_moment_it_was_said() -> None:
    (waiver,), said = resolved(request())
    assert said == ""
    wanted = parts.waiver("roc_auc.min", reason=WHY, comment=9001, pull_request=42, time=SAID_AT, branch="main")
    assert waiver == wanted
    assert judged(evidence(), waiver).reason is Reason.WAIVED


def test_a_subject_binds_to_those_of_its_bounds_that_block() -> None:
    loose = MIN.model_copy(update={"limit": 0.1})
    both, _ = resolved(request("roc_auc"), evidence(MIN, MARGIN))
    one, _ = resolved(request("roc_auc"), evidence(loose, MARGIN))
    assert [each.gate for each in both] == ["roc_auc.min", "roc_auc.max_regression"]
    assert [each.gate for each in one] == ["roc_auc.max_regression"]


def test_a_removal_is_waived_by_its_own_word() -> None:
    gone = evidence(deleted=True, gates=())
    (waiver,), said = resolved(request("deleted"), gone)
    assert (waiver.gate, said) == ("deleted", "")
    assert judged(gone, waiver).outcome is Outcome.PASS


PROBLEM = Problem.of(Reason.NOT_FINITE, detail="NaN.")
MISSING = Gate(metric="f1", bound=Bound.MIN, limit=0.0)

REFUSED: list[tuple[str, WaiverRequest, Evidence, str]] = [
    ("no such gate", request("recall"), evidence(), "has no such gate; it has roc_auc.min, log_loss.max."),
    ("no such gate, of one", request("recall"), evidence(MIN), "has no such gate; it has roc_auc.min."),
    ("no gates at all", request(), evidence().model_copy(update={"gates": ()}), "has no such gate; it has none."),
    ("another bound", request("roc_auc.max"), evidence(), "has no such gate"),
    ("not removed", request("deleted"), evidence(), "has no such gate"),
    ("passes", request("log_loss"), evidence(), "was not used: the gate passes without it."),
    ("error", request("f1"), evidence(MISSING, MAX), "what could not be evaluated is never waived."),
    ("model error", request(), evidence(problem=PROBLEM), "what could not be evaluated is never waived."),
    ("no key", request(), evidence(key=None), "what could not be evaluated is never waived."),
    ("no rules", request(), evidence(policy=None), "what could not be evaluated is never waived."),
    ("warns", request(), evidence(MIN.model_copy(update={"blocking": False}), MAX), "only shown and does not block."),
    ("a gate of what is gone", request(), evidence(deleted=True, gates=()), "what can be waived is deleted."),
    ("another model", request(model="churn"), evidence(), "nothing that churn depends on changed here"),
    ("another head", request(sha="e" * 40), evidence(), "for the commit eeeeeee, which is not the head any more"),
    (
        "another head, removal",
        request("deleted", sha="e" * 40),
        evidence(deleted=True, gates=()),
        "which is not the head any more; say it again.",
    ),
]


@pytest.mark.parametrize(("asked", "found", "said"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_a_request_that_changes_nothing_is_said(asked: WaiverRequest, found: Evidence, said: str) -> None:
    waivers, text = resolved(asked, found)
    assert waivers == ()
    assert said in text
    assert text.startswith(f"The waiver of {'the removal' if asked.gate == 'deleted' else asked.gate} of {asked.model}")


def test_whose_right_is_gone_is_not_heard() -> None:
    waivers, text = resolved(request(), speakers=frozenset({"lea"}))
    assert waivers == ()
    assert "boss has no right to it by now" in text


def test_a_gate_that_is_waived_already_says_so() -> None:
    assert "is waived already" in resolved(request(), evidence(), parts.waiver("roc_auc.min", comment=5))[1]


@pytest.mark.parametrize("asked", [request("log_loss", sha="e" * 40), request(sha="e" * 40, model="churn")])
def test_an_old_request_about_what_does_not_block_is_forgotten(asked: WaiverRequest) -> None:
    assert resolved(asked) == ((), "")


ASKED = request()


@pytest.mark.parametrize(
    "there",
    [
        comment(ASKED, author="mallory"),
        comment(ASKED, author=None),
        comment(ASKED, id=5),
        comment(ASKED, edits=Edits.SOME),
        comment(ASKED, body="/waive adult-income:roc_auc.min reason=Other"),
        comment(ASKED, body=f'/waive adult-income:log_loss reason="{WHY}"'),
        comment(ASKED, body=f'> /waive adult-income:roc_auc.min reason="{WHY}"'),
        comment(ASKED, body=f'```\n/waive adult-income:roc_auc.min reason="{WHY}"\n```'),
        comment(ASKED, body="/retrain"),
        comment(ASKED, body=""),
    ],
    ids=range(10),
)
def test_a_record_without_the_persons_own_unedited_words_is_not_heard(there: Comment) -> None:
    assert doubt(ASKED, [there])
    found = evidence()
    came = resolve([ASKED], [there], judged(found), [found], {"boss"}, NOW)
    assert came.waivers == ()
    assert "is gone, was edited, or says something else" in came.notices[0].text


def test_a_comment_of_which_nobody_knows_whether_it_was_edited_is_not_heard() -> None:
    found = evidence()
    there = comment(ASKED, edits=Edits.UNKNOWN)
    came = resolve([ASKED], [there], judged(found), [found], {"boss"}, NOW)
    assert came.waivers == ()
    assert "GitHub does not say whether the comment that asked for it was edited" in came.notices[0].text


def test_the_persons_own_words_are_found_among_others() -> None:
    assert doubt(ASKED, [comment(ASKED, id=5, author="mallory"), comment(ASKED)]) is None


def test_what_the_ledger_knows_is_not_bound_again() -> None:
    retrain = RetrainRequest(comment=8, actor="lea", number=42, sha=parts.HEAD, attempt=Attempt(run=7))
    records: list[Recorded] = [retrain, ASKED, request(comment=9002)]
    assert fresh(records, [parts.waiver(comment=9001)]) == (records[2],)
    assert fresh(records, []) == (ASKED, records[2])


def test_a_comment_without_a_time_counts_from_now() -> None:
    found = evidence()
    came = resolve([ASKED], [comment(ASKED, created=None)], judged(found), [found], {"boss"}, NOW)
    assert came.waivers[0].time == NOW


@pytest.mark.parametrize(
    ("found", "open_"),
    [
        (evidence(MAX), False),
        (evidence(), True),
        (evidence(MISSING), False),
        (evidence(MIN.model_copy(update={"blocking": False}), MAX), False),
        (evidence(deleted=True), True),
    ],
    ids=["passes", "fails", "error", "shown only", "gone"],
)
def test_when_a_waiver_could_change_anything(found: Evidence, open_: bool) -> None:  # noqa: FBT001 - a table's column
    assert is_open(judged(found)) is open_


def test_a_waived_verdict_is_not_open() -> None:
    assert not is_open(judged(evidence(), parts.waiver("roc_auc.min")))
    assert not is_open(judged(evidence(deleted=True), parts.waiver("deleted")))


def over(found: Evidence, *known: WaiverEntry, number: int | None = 42) -> list[str]:
    notices = ended(known, judged(found, *known), [found], number)
    assert {each.code for each in notices} <= {NoticeCode.WAIVER_ENDED}
    return [each.text for each in notices]


def test_an_end_is_said_with_what_changed() -> None:
    start = "The waiver of roc_auc.min of adult-income that boss gave has ended, because"
    other_rules = parts.waiver("roc_auc.min", policy=parts.digest(4))
    other_content = parts.waiver("roc_auc.min", key=parts.digest(2))
    assert over(evidence(), other_rules) == [f"{start} the rules it is judged by changed."]
    assert over(evidence(), other_content) == [f"{start} what the model is trained from changed."]
    assert over(evidence(), other_rules, number=None) == [f"{start} the rules it is judged by changed."]
    assert over(evidence(), other_content, number=None) == [], "another content on the guarded branch is no end"


def test_the_latest_of_several_is_named() -> None:
    first = parts.waiver("roc_auc.min", comment=5, policy=parts.digest(4), actor="lea")
    (text,) = over(evidence(), parts.waiver("roc_auc.min", comment=6, policy=parts.digest(4)), first)
    assert "boss" in text


def test_the_end_of_a_removal_is_said() -> None:
    (text,) = over(evidence(deleted=True, gates=()), parts.waiver("deleted", key=parts.digest(2)))
    assert text.startswith("The waiver of the removal of adult-income that boss gave has ended")


def test_no_end_is_said_of_what_holds_or_does_not_block() -> None:
    assert over(evidence(), parts.waiver("roc_auc.min")) == []
    assert over(evidence(MAX), parts.waiver("log_loss.max", policy=parts.digest(4))) == []
    assert over(evidence(), parts.waiver("roc_auc.min", model="churn", policy=parts.digest(4))) == []
    assert over(evidence(), parts.waiver("roc_auc.min", key=parts.digest(2), pull_request=7)) == []


NAMES = st.sampled_from(
    ["roc_auc", "roc_auc.min", "roc_auc.max_regression", "log_loss", "f1", "deleted", "recall", "x"]
)


@given(
    names=st.lists(NAMES, max_size=4),
    gates=st.lists(st.sampled_from([MIN, MAX, MARGIN, MISSING]), unique=True, max_size=4),
    model=st.sampled_from(["adult-income", "churn"]),
    sha=st.sampled_from([parts.HEAD, "e" * 40]),
    speakers=st.sampled_from([frozenset({"boss"}), frozenset()]),
)
def test_a_new_waiver_names_a_gate_that_blocks_of_this_content_and_these_rules(
    names: list[str], gates: list[Gate], model: str, sha: str, speakers: frozenset[str]
) -> None:
    found = evidence().model_copy(update={"gates": tuple(gates)})
    asked = [request(name, comment=9001 + index, model=model, sha=sha) for index, name in enumerate(names)]
    verdict = judged(found)
    came = resolve(asked, [comment(each) for each in asked], verdict, [found], speakers, NOW)
    blocking = {each.gate.name for each in verdict.models[0].gates if each.outcome is Outcome.FAIL}
    assert {each.gate for each in came.waivers} <= blocking
    assert {(each.model, each.key, each.policy, each.commit) for each in came.waivers} <= {
        ("adult-income", KEY, POLICY, parts.HEAD)
    }
    assert not came.waivers or (speakers and sha == parts.HEAD)
    if verdict.outcome is Outcome.ERROR:
        assert judged(found, *came.waivers).outcome is Outcome.ERROR
