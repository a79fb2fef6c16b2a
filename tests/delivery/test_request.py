"""Who asks the release workflow for what: every reason not to follow, and whose word counts."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import tiny

from mlbot.commands.forward import Approve, Lock, Promote, Release, Rollback
from mlbot.commands.parser import parse_comment
from mlbot.config.schema import Config, EnvironmentConfig, parse_config
from mlbot.config.yaml import load
from mlbot.delivery.messages import words
from mlbot.delivery.request import (
    REQUEST,
    DeliveryRequest,
    RejectedRequest,
    RequestFacts,
    RequestReason,
    asks_for,
    authorize_request,
    runs_on,
)
from mlbot.events.github import Comment, CommentFacts, Edits

BOT = "github-actions[bot]"
PROMOTE = "/promote tiny@v1.2.0 staging"


def config() -> Config:
    environments = (
        EnvironmentConfig(name="staging", target="file:///srv/staging"),
        EnvironmentConfig(name="production", target="file:///srv/p", after="staging", runs_on=("self-hosted", "gpu")),
    )
    parsed = parse_config(load(tiny.CONFIG, "mlbot.yaml"))
    return parsed.model_copy(update={"environments": environments})


def comment(body: str = PROMOTE, **changes: Any) -> CommentFacts:
    fields: dict[str, Any] = {"id": 500, "number": 7, "author": "alice", "person": True, "body": body}
    fields["edits"] = Edits.NONE
    return CommentFacts(**(fields | changes))


def facts(*, said: CommentFacts | None = None, **changes: Any) -> RequestFacts:
    """A comment that the command job handed on, or what `inputs` says."""
    fields: dict[str, Any] = {
        "inputs": {"comment": "500"},
        "on_default": True,
        "sender": BOT,
        "comment": said,
        "role": "write",
        "config": config(),
    }
    return RequestFacts(**(fields | changes))


def by_hand(sender: str = "boss", **inputs: str) -> RequestFacts:
    return facts(inputs=inputs, sender=sender)


def refused(given: RequestFacts) -> RejectedRequest:
    found = authorize_request(given)
    assert isinstance(found, RejectedRequest)
    assert words(found.reason, found.values, github=True).sentence.endswith(".")
    assert REQUEST.validate_json(found.model_dump_json(exclude_none=True)) == found
    return found


def asked(given: RequestFacts) -> DeliveryRequest:
    found = authorize_request(given)
    assert isinstance(found, DeliveryRequest)
    assert REQUEST.validate_json(found.model_dump_json(exclude_none=True)) == found
    return found


def test_a_mistyped_command_is_asked_about() -> None:
    found = authorize_request(by_hand(do="promte"))
    assert isinstance(found, RejectedRequest)
    assert words(found.reason, found.values, github=True).hint.startswith("Did you mean promote? One of ")


def test_a_comment_is_its_authors_word() -> None:
    found = asked(facts(said=comment()))
    assert found.command == Promote(model="tiny", version="1.2.0", environment="staging")
    assert (found.actor, found.comment, found.number, found.deploys) == ("alice", 500, 7, True)


def test_a_tag_is_the_word_of_who_pushed_it_whatever_their_role() -> None:
    found = asked(facts(inputs={"tag": "tiny@v1.2.0"}, pusher="carol", role="none"))
    assert found.command == Release(model="tiny", version="1.2.0")
    assert (found.actor, found.tag, found.deploys) == ("carol", "tiny@v1.2.0", False)


def test_a_tag_by_hand_is_the_word_of_who_started_it() -> None:
    found = asked(by_hand(tag="tiny@v1.2.0"))
    assert found.actor == "boss"
    assert refused(facts(inputs={"tag": "tiny@v1.2.0"}, sender="rita", role="read")).reason == "not-permitted"


@pytest.mark.parametrize(
    ("inputs", "command"),
    [
        ({"do": "release", "model": "tiny", "bump": "minor"}, Release(model="tiny", bump="minor")),
        ({"do": "release", "model": "tiny", "version": "v2.0.0"}, Release(model="tiny", version="2.0.0")),
        (
            {"do": "promote", "model": "tiny", "version": "1.0.0", "environment": "staging", "reason": "Because"},
            Promote(model="tiny", version="1.0.0", environment="staging", reason="Because"),
        ),
        (
            {"do": "rollback", "model": "tiny", "environment": "staging", "to": "v1.0.0", "reason": "Slow"},
            Rollback(model="tiny", environment="staging", to="1.0.0", reason="Slow"),
        ),
        ({"do": "lock", "environment": "staging", "reason": "Audit"}, Lock(environment="staging", reason="Audit")),
    ],
)
def test_by_hand(inputs: dict[str, str], command: object) -> None:
    found = asked(by_hand(**inputs))
    assert (found.command, found.actor, found.comment) == (command, "boss", None)
    (said,) = parse_comment(found.text)
    assert said.command == command


def test_a_workflow_promotes_in_the_name_of_whoever_released() -> None:
    found = asked(by_hand(BOT, do="promote", model="tiny", version="1.0.0", environment="production"))
    assert found.actor is None


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (facts(on_default=False), RequestReason.NOT_DEFAULT_BRANCH),
        (facts(inputs={}), RequestReason.NOTHING_ASKED),
        (facts(said=comment("Looks good.")), RequestReason.NO_COMMAND),
        (facts(said=comment("/retrain")), RequestReason.NO_COMMAND),
        (facts(said=comment(f"> {PROMOTE}")), RequestReason.NO_COMMAND),
        (facts(inputs={"comment": "500", "do": "release"}), RequestReason.CONTRADICTION),
        (by_hand(do="lock", environment="staging", reason="x", model="tiny"), RequestReason.NEEDLESS_INPUT),
        (facts(), RequestReason.COMMENT_GONE),
        (facts(said=comment(author="other[bot]", person=False)), RequestReason.BOT),
        (facts(said=comment(author=None)), RequestReason.BOT),
        (facts(said=comment(edits=Edits.SOME)), RequestReason.EDITED),
        (facts(said=comment(edits=Edits.UNKNOWN)), RequestReason.EDITS_UNKNOWN),
        (facts(said=comment(f"{PROMOTE}\n{PROMOTE}")), RequestReason.SEVERAL),
        (facts(said=comment(f"/retrain\n{PROMOTE}")), RequestReason.SEVERAL),
        (by_hand(do="explode"), RequestReason.UNKNOWN_COMMAND),
        (by_hand(BOT, do="release", model="tiny"), RequestReason.MACHINE),
        (by_hand(do="promote", model="tiny", environment="staging"), RequestReason.MISUNDERSTOOD),
        (by_hand(do="release", model="tiny", version="1.0"), RequestReason.MISUNDERSTOOD),
        (by_hand(do="rollback", model="tiny", environment="staging"), RequestReason.MISUNDERSTOOD),
        (facts(said=comment(), role="read"), RequestReason.NOT_PERMITTED),
        (by_hand(tag="tiny#staging#3"), RequestReason.NO_VERSION_TAG),
        (facts(inputs={"tag": "tiny@v1.0.0!"}, pusher="carol"), RequestReason.NO_VERSION_TAG),
        (facts(inputs={"tag": "tiny@v1.0.0-rc.01"}, pusher="carol"), RequestReason.NO_VERSION_TAG),
        (by_hand(tag="v1.0.0"), RequestReason.NO_VERSION_TAG),
        (by_hand(tag="folder=tiny@v1.0.0"), RequestReason.MISUNDERSTOOD),
        (facts(inputs={"tag": "tiny#staging#3"}, pusher="carol"), RequestReason.FOREIGN_TAG),
        (facts(inputs={"tag": "webpack@v5.0.0"}, pusher="carol"), RequestReason.FOREIGN_TAG),
        (facts(inputs={"tag": "webpack@v5.0.0-rc.1"}, pusher="carol"), RequestReason.FOREIGN_TAG),
        (facts(inputs={"tag": "tiny@v1.0.0"}), RequestReason.PUSHER_UNKNOWN),
        (facts(said=comment(), config=None, config_problem="line 3"), RequestReason.CONFIG),
        (facts(said=comment("/promote tiny@v1.0.0 stagin")), RequestReason.UNKNOWN_ENVIRONMENT),
    ],
)
def test_refused(given: RequestFacts, reason: RequestReason) -> None:
    assert refused(given).reason is reason


def test_every_reason_is_tried() -> None:
    tried = {reason for _, reason in test_refused.pytestmark[0].args[1]}  # type: ignore[attr-defined] # pytest's own
    assert tried == set(RequestReason)


@pytest.mark.parametrize("do", ["release", "approve", "rollback", "lock", "unlock"])
@pytest.mark.parametrize("sender", [BOT, "an-app[bot]", None])
def test_a_machine_may_not_do_what_takes_a_person(do: str, sender: str | None) -> None:
    inputs = {"model": "tiny", "version": "1.0.0", "environment": "production", "reason": "x"}
    assert refused(facts(inputs={"do": do} | inputs, sender=sender, role="admin")).reason is RequestReason.MACHINE


def test_a_refusal_of_a_mixed_comment_leaves_its_answer_alone() -> None:
    found = refused(facts(said=comment(f"/retrain\n{PROMOTE}")))
    assert (found.comment, found.number, found.alone) == (500, 7, False)
    assert refused(facts(said=comment(edits=Edits.SOME))).alone


def test_a_near_miss_is_named() -> None:
    found = refused(facts(said=comment("/promote tiny@v1.0.0 stagin")))
    assert words(found.reason, found.values).hint == "Did you mean staging?"


def test_the_runner_is_the_environments() -> None:
    there = asked(facts(said=comment("/promote tiny@v1.0.0 production")))
    assert runs_on(there, config()) == ("self-hosted", "gpu")
    assert runs_on(asked(facts(said=comment("/release tiny"))), config()) == ("ubuntu-latest",)


@pytest.mark.parametrize(
    ("body", "changes", "asks"),
    [
        ("/promote tiny@v1.2.0 production", {}, True),
        ('/promote tiny@v1.2.0 production reason="Now"', {}, True),
        ("/promote tiny@v1.2.1 production", {}, False),
        ("/promote tiny@v1.2.0 staging", {}, False),
        ("/promote tiny@v1.2.0 production", {"author": BOT}, False),
        ("/promote tiny@v1.2.0 production\n/retrain", {}, False),
        ("/approve tiny@v1.2.0 production", {}, False),
    ],
)
def test_which_comment_an_approval_answers(body: str, changes: dict[str, Any], *, asks: bool) -> None:
    approved = Approve(model="tiny", version="1.2.0", environment="production")
    said = Comment.model_validate({"id": 1, "author": "alice", "body": body} | changes)
    assert asks_for(said, approved) is asks


NAMES = st.sampled_from(["comment", "tag", "do", "model", "version", "bump", "environment", "to", "reason", "x"])
VALUES = st.one_of(st.text(max_size=30), st.sampled_from(["release", "promote", "approve", "tiny", "1.0.0", "staging"]))


@given(st.dictionaries(NAMES, VALUES), st.text(max_size=200), st.sampled_from(["boss", BOT, None]))
def test_whatever_is_given_is_understood_or_refused(inputs: dict[str, str], body: str, sender: str | None) -> None:
    found = authorize_request(facts(inputs=inputs, sender=sender, said=comment(body), pusher="carol"))
    if isinstance(found, DeliveryRequest) and sender != "boss" and not {"comment", "tag"} & inputs.keys():
        assert found.actor is None
        assert isinstance(found.command, Promote)
