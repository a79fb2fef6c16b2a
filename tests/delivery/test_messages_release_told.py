"""What people are told, and what they may copy."""

import pytest
from tests.support.history_samples import deployment, release

from mlbot.commands.parser import ParseError, parse_comment
from mlbot.delivery.approval import ApprovalDecision, ApprovalReason
from mlbot.delivery.messages import (
    Stands,
    as_comment,
    told_approval,
    told_begun,
    told_deployment,
    told_error,
    told_promotion,
    told_release,
)
from mlbot.delivery.promotion import PromotionFacts, decide_promotion
from mlbot.delivery.release import ReleaseDecision, ReleaseReason
from mlbot.errors import NotEvaluatedError

ENVIRONMENTS = ("staging", "production")


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("Release it: mlbot release tiny", "Release it: /release tiny"),
        ("mlbot release tiny --bump patch", "/release tiny patch"),
        ("mlbot release tiny --version 1.2.0", "/release tiny v1.2.0"),
        ("mlbot release tiny --version v1.2.0", "/release tiny v1.2.0"),
        ('mlbot rollback tiny production --to v1.0.0 --reason "…"', '/rollback tiny production v1.0.0 reason="…"'),
        (
            "Somebody else says: mlbot approve tiny@v1.0.0 production (on GitHub: /approve)",
            "Somebody else says: /approve tiny@v1.0.0 production",
        ),
        ("mlbot run --record", "mlbot run --record"),
    ],
)
def test_the_command_lines_words_become_a_comments(said: str, read: str) -> None:
    assert as_comment(said) == read


def test_a_missing_approval_waits_and_says_what_to_say() -> None:
    facts = PromotionFacts(
        model="tiny", version="1.0.0", environment="staging", requester="ada", environments=ENVIRONMENTS,
        released=release().digest, needed=1,
    )  # fmt: skip
    told = told_promotion(facts, decide_promotion(facts), None)
    assert told.stands is Stands.WAITING
    assert told.copy_lines == ("/approve tiny@v1.0.0 staging",)


@pytest.mark.parametrize(
    ("state", "stands", "said"),
    [
        ("succeeded", Stands.DONE, "adult-income@v1.1.0 is live in staging, instead of v1.0.0. Fine."),
        ("rolled-back", Stands.FAILED, "adult-income@v1.1.0 failed in staging, and v1.0.0 is back. Fine."),
        ("failed", Stands.FAILED, "adult-income@v1.1.0 failed in staging. Fine."),
    ],
)
def test_how_a_deployment_ended(state: str, stands: Stands, said: str) -> None:
    told = told_deployment(deployment(2, "1.1.0", state=state, previous="1.0.0", detail="Fine."))
    assert (told.stands, told.sentence) == (stands, said)
    for line in told.copy_lines:
        (found,) = parse_comment(line)
        assert not isinstance(found.command, ParseError)
    assert bool(told.copy_lines) is (stands is Stands.FAILED)


def test_a_release_names_its_version_and_a_refusal_its_hint() -> None:
    made = told_release(ReleaseDecision(reason=ReleaseReason.RELEASABLE, sentence="It may."), release())
    assert (made.stands, made.sentence) == (Stands.DONE, "adult-income@v1.0.0 is released.")
    assert made.version == ("adult-income", "1.0.0")
    no = ReleaseDecision(reason=ReleaseReason.TAG_LIGHTWEIGHT, sentence="No.", hint="mlbot release x --version 1.0.0")
    assert told_release(no, None).hint == "/release x v1.0.0"
    again = ReleaseDecision(reason=ReleaseReason.ALREADY_RELEASED, sentence="It is released already.")
    assert told_release(again, release()).sentence == "It is released already."


def test_an_approval_says_what_is_still_in_the_way() -> None:
    yes = ApprovalDecision(reason=ApprovalReason.APPROVED, sentence="Bob approves it. Their own request it would not.")
    assert told_approval(yes, None).sentence == "Bob approves it. The promotion is started."
    facts = PromotionFacts(
        model="tiny", version="1.0.0", environment="staging", requester="bob", environments=ENVIRONMENTS,
        released=release().digest, needed=1, approvers=("bob",),
    )  # fmt: skip
    own = told_approval(yes, told_promotion(facts, decide_promotion(facts), None))
    assert own.stands is Stands.DONE
    assert "bob asks for it, so their own approval does not count" in own.sentence
    assert own.copy_lines == ("/approve tiny@v1.0.0 staging",)
    none = ApprovalDecision(reason=ApprovalReason.NOT_NEEDED, sentence="It asks for none.")
    assert told_approval(none, told_error(NotEvaluatedError("x"))).sentence == "It asks for none."
    no = ApprovalDecision(
        reason=ApprovalReason.UNKNOWN_VERSION, sentence="It was never released.", hint="There are none."
    )
    assert told_approval(no, None).stands is Stands.REFUSED


def test_what_does_not_begin_is_not_told() -> None:
    assert told_begun("It may.", go=False) is None
    begun = told_begun("It may.", go=True)
    assert begun is not None
    assert begun.stands is Stands.WORKING


def test_an_error_is_one_sentence_with_its_hint() -> None:
    told = told_error(NotEvaluatedError("the store does not answer", hint="Then: mlbot promote a@v1.0.0 staging"))
    assert (told.sentence, told.hint) == ("the store does not answer.", "Then: /promote a@v1.0.0 staging")
