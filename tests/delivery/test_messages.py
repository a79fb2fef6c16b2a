"""What people read: a version's issue, the answers, what they may copy; safe whatever was written."""

from enum import StrEnum
from typing import Any

import pytest
from hypothesis import given
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode
from tests.support import tiny
from tests.support.history_samples import MODEL, approval, deployment, lock, release
from tests.support.hostile_samples import TEXTS, as_github, skeleton
from tests.support.ledger_samples import digest
from tests.support.ledger_samples import entry as verdict_entry

from mlbot.commands.parser import ParseError, parse_comment
from mlbot.config.schema import Config, EnvironmentConfig, parse_config
from mlbot.config.yaml import load
from mlbot.delivery.deployment import (
    ApprovalFacts,
    ApprovalReason,
    ApprovalResult,
    DeploymentResult,
    LockReason,
    PromotionFacts,
    PromotionReason,
    RollbackReason,
    decide_approval,
    decide_promotion,
)
from mlbot.delivery.messages import (
    TEMPLATES,
    RequestState,
    StatusMessage,
    VersionIssue,
    first_environments,
    issue_body,
    issue_of,
    marker_of,
    message_approval,
    message_deployment,
    message_error,
    message_release,
    message_started,
    message_waiting,
    release_answer,
    words,
)
from mlbot.delivery.release import ReleaseFacts, ReleaseReason, ReleaseResult, TagFacts, decide_release
from mlbot.errors import NotEvaluatedError
from mlbot.events.github import Attempt, Comment
from mlbot.ledger.entries import DeploymentIntent, Entry, ReleaseEntry
from mlbot.lib.templates import environment
from mlbot.protocol.answer import CarriedOut, last_line, recorded
from mlbot.protocol.marker import carries


def small(approvals: int = 1) -> Config:
    environments = (
        EnvironmentConfig(name="staging", target="file:///s"),
        EnvironmentConfig(name="production", target="file:///p", after="staging", approvals=approvals),
    )
    return parse_config(load(tiny.CONFIG, "mlbot.yaml")).model_copy(update={"environments": environments})


def view(*entries: Entry, version: str = "1.0.0", **changes: Any) -> VersionIssue:
    own = release(version, **changes)
    return issue_of((own, *entries), small(), own)


def states(found: VersionIssue) -> list[tuple[str, str]]:
    return [(row.environment, row.state) for row in found.rows]


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ((), ["next", "waits"]),
        ((deployment(state="started"),), ["under way", "waits"]),
        ((deployment(),), ["live", "next"]),
        ((deployment(state="failed"),), ["failed", "waits"]),
        ((deployment(state="rolled-back"),), ["rolled back", "waits"]),
        ((deployment(), deployment(2, "1.1.0", digest=digest(101))), ["replaced", "waits"]),
        ((deployment(), deployment(2, state="failed")), ["live", "next"]),
        ((deployment(), lock()), ["live", "locked"]),
        ((deployment(), deployment(environment="production"), lock()), ["live", "live"]),
        ((deployment(), lock(), lock(2, locked=False)), ["live", "next"]),
    ],
)
def test_how_it_is_there(entries: tuple[Entry, ...], expected: list[str]) -> None:
    assert [state for _, state in states(view(*entries))] == expected


def test_approvals_count_for_these_bytes_only() -> None:
    def shown(found: VersionIssue) -> str:
        (line,) = [each for each in issue_body(found, repository=REPOSITORY).splitlines() if "| production |" in each]
        return line

    assert "| 1 of 1 approvals (grace) |" in shown(view(deployment(), approval()))
    assert "| 0 of 1 approvals |" in shown(view(deployment(), approval(digest=digest(7))))
    assert "| comes after staging; 0 of 1 approvals |" in shown(view())


def test_what_may_be_written_next_is_understood() -> None:
    found = view(deployment())
    assert found.copy_lines == (
        f"/promote {MODEL}@v1.0.0 production",
        f"/approve {MODEL}@v1.0.0 production",
        f'/rollback {MODEL} staging reason="…"',
    )
    every = (*found.copy_lines, *view(lock(environment="staging")).copy_lines)
    assert "/unlock staging" in every
    for line in every:
        (found_line,) = parse_comment(line)
        assert not isinstance(found_line.command, ParseError)


def test_an_old_version_is_closed_when_it_is_nowhere() -> None:
    newer = release("1.1.0", digest=digest(101))
    assert view().open
    assert not view(newer).open
    assert view(newer, deployment()).open
    assert not view(newer, deployment(), deployment(2, "1.1.0", digest=digest(101))).open


def test_it_goes_by_itself_where_nothing_comes_before_and_once() -> None:
    assert first_environments((release(),), small(), release()) == ("staging",)
    assert first_environments((release(), deployment(state="failed")), small(), release()) == ()


def test_the_marker_names_the_version() -> None:
    assert view().marker == marker_of(MODEL, "1.0.0") == f"<!-- mlbot:version {MODEL}@v1.0.0 -->"


REPOSITORY = "https://github.com/acme/income"
RUN = f"{REPOSITORY}/actions/runs/99"


class MarkdownFile(SingleFileSnapshotExtension):
    file_extension = "md"
    _write_mode = WriteMode.TEXT


def config() -> Config:
    environments = (
        EnvironmentConfig(name="staging", target="file:///s"),
        EnvironmentConfig(name="canary", target="file:///c", after="staging"),
        EnvironmentConfig(name="production", target="file:///p", after="staging", approvals=2),
    )
    return parse_config(load(tiny.CONFIG, "mlbot.yaml")).model_copy(update={"environments": environments})


def body(*entries: Entry) -> str:
    view = issue_of((release(), *entries), config(), release())
    return issue_body(view, repository=REPOSITORY, page=f"{REPOSITORY}/releases/tag/x")


STORY = (
    deployment(detail="20 golden requests are answered as judged.", run=Attempt(run=4)),
    deployment(2, "0.9.0", digest=digest(99)),
    deployment(3, action="rollback", reason="v0.9.0 | was <b>wrong</b>, says @grace", run=Attempt(run=5)),
    deployment(1, environment="canary", state="rolled-back", detail="The smoke test failed (p95)."),
    approval(),
)


def test_a_new_version(snapshot: SnapshotAssertion) -> None:
    assert body() == snapshot(extension_class=MarkdownFile)


def test_a_version_that_has_been_places(snapshot: SnapshotAssertion) -> None:
    assert body(*STORY) == snapshot(extension_class=MarkdownFile)


def test_a_closed_environment(snapshot: SnapshotAssertion) -> None:
    assert body(*STORY, lock()) == snapshot(extension_class=MarkdownFile)


def test_where_there_are_no_environments() -> None:
    bare = parse_config(load(tiny.CONFIG, "mlbot.yaml"))
    text = issue_body(issue_of((release(),), bare, release()), repository=REPOSITORY)
    assert "names no environments" in text
    assert "Write what comes next" not in text


def answer(message: StatusMessage, **more: str) -> str:
    known = {"text": "/promote tiny@v1.0.0 staging", "marker": "<!-- m -->", "run_url": RUN}
    return release_answer(message, **known | more)


@pytest.mark.parametrize("state", RequestState)
def test_an_answer(state: RequestState, snapshot: SnapshotAssertion) -> None:
    message = StatusMessage(
        state=state, reason="x", sentence="It is so, says @ada.", hint="Then say:", copy_lines=("/unlock staging",)
    )
    text = answer(message, name="tiny@v1.0.0", issue=f"{REPOSITORY}/issues/4")
    assert text == snapshot(extension_class=MarkdownFile)


def skeletons(said: str) -> list[object]:
    message = StatusMessage(state=RequestState.DONE, reason="x", sentence=said, hint=said)
    return skeleton(as_github(answer(message, text=said)))[0]


@given(TEXTS.filter(bool))
def test_whatever_was_written_is_shown_as_it_was_written(text: str) -> None:
    assert skeletons(text) == skeletons("a")
    assert carries(answer(StatusMessage(state=RequestState.DONE, reason="x", sentence=text)), "<!-- m -->")


def test_what_is_carried_out_is_read_back() -> None:
    body = answer(
        StatusMessage(state=RequestState.DONE, reason="x", sentence="Done."),
        marker=last_line(5, [CarriedOut(comment=5)]),
    )
    (found,) = recorded([Comment(id=9, author="bot", body=body)], "bot")
    assert found == CarriedOut(comment=5)


ENVIRONMENTS = ("staging", "production")


def facts(**changes: Any) -> PromotionFacts:
    known: dict[str, Any] = {
        "model": "tiny",
        "version": "1.0.0",
        "environment": "staging",
        "requester": "bob",
        "environments": ("staging", "production"),
        "released": release().digest,
        "needed": 1,
    }
    return PromotionFacts(**known | changes)


def result_of(known: PromotionFacts) -> DeploymentResult:
    return DeploymentResult(facts=known, decision=decide_promotion(known), goal=known.goal)


def approval_result(**changes: Any) -> ApprovalResult:
    known: dict[str, Any] = {
        "model": "tiny",
        "version": "1.0.0",
        "environment": "staging",
        "actor": "bob",
        "environments": ("staging", "production"),
        "released": release().digest,
        "needed": 1,
    }
    found = ApprovalFacts(**known | changes)
    return ApprovalResult(facts=found, decision=decide_approval(found))


def holder(**changes: Any) -> DeploymentIntent:
    return deployment(2, "1.0.5", environment="staging").intent.model_copy(update=changes)


@pytest.mark.parametrize("github", [True, False])
def test_a_hint_writes_commands_as_they_are_written_there(*, github: bool) -> None:
    hint = words(PromotionReason.UNDER_WAY, facts(under_way=holder()), github=github).hint
    wanted = [f"promote {MODEL}@v1.0.5 staging", f"rollback {MODEL} staging"]
    start = "/" if github else "mlbot "
    assert all(f"{start}{each}" in hint for each in wanted)
    back = words(PromotionReason.UNDER_WAY, facts(under_way=holder(action="rollback")), github=github).hint
    assert f"{start}rollback {MODEL} staging {'v1.0.5 reason' if github else '--to v1.0.5 --reason'}=" in back.replace(
        '--reason "', "--reason="
    )


@pytest.mark.parametrize("reason", [*ReleaseReason, *PromotionReason, *RollbackReason, *ApprovalReason, *LockReason])
def test_every_reason_has_words(reason: StrEnum) -> None:
    """The words themselves are looked at where each reason is decided."""
    name = reason.replace("-", "_")
    (template,) = [each for kind, each in TEMPLATES.items() if isinstance(reason, kind)]
    modules = [environment().get_template(each).module for each in (template, "release/environments.j2")]
    assert any(hasattr(each, name) for each in modules)


def test_a_missing_approval_waits_and_says_what_to_write() -> None:
    message = message_deployment(result_of(facts()))
    assert message.state is RequestState.WAITING
    assert message.copy_lines == ("/approve tiny@v1.0.0 staging",)


@pytest.mark.parametrize(
    ("state", "ends", "sentence"),
    [
        ("succeeded", RequestState.DONE, "adult-income@v1.1.0 is live in staging, instead of v1.0.0. Fine."),
        ("rolled-back", RequestState.FAILED, "adult-income@v1.1.0 failed in staging, and v1.0.0 is back. Fine."),
        ("failed", RequestState.FAILED, "adult-income@v1.1.0 failed in staging. Fine."),
    ],
)
def test_how_a_deployment_ended(state: str, ends: RequestState, sentence: str) -> None:
    ended = deployment(2, "1.1.0", state=state, previous="1.0.0", detail="Fine.")
    message = message_deployment(result_of(facts()).model_copy(update={"deployment": ended}))
    assert (message.state, message.sentence) == (ends, sentence)
    for line in message.copy_lines:
        (found,) = parse_comment(line)
        assert not isinstance(found.command, ParseError)
    assert bool(message.copy_lines) is (ends is RequestState.FAILED)


def release_result(entry: ReleaseEntry | None = None, **changes: Any) -> ReleaseResult:
    known: dict[str, Any] = {"model": "tiny", "version": "1.0.0", "commit": "a" * 40, "branch": "main", "merged": True}
    found = ReleaseFacts(**known | {"verdicts": (verdict_entry(),)} | changes)
    return ReleaseResult(facts=found, decision=decide_release(found), tag="tiny@v1.0.0", entry=entry)


def test_a_release_names_its_version_and_a_refusal_its_hint() -> None:
    made = message_release(release_result(release()), ("staging",))
    assert (made.state, made.sentence) == (RequestState.DONE, "adult-income@v1.0.0 is released.")
    assert made.version == ("adult-income", "1.0.0")
    assert made.copy_lines == ("/promote adult-income@v1.0.0 staging",)
    tag = TagFacts(name="tiny@v1.0.0", object_sha="1" * 40, commit="a" * 40, annotated=True)
    refused = message_release(release_result(tag=tag, released=release()))
    assert refused.state is RequestState.REFUSED
    assert "/release tiny v1.0.0. Release what is new" in refused.hint
    again = release_result(release(), released=release(), verdicts=())
    same = again.model_copy(
        update={"decision": decide_release(again.facts.model_copy(update={"commit": release().commit}))}
    )
    assert message_release(same).sentence == "tiny@v1.0.0 is released already, with the same bytes."
    assert "so the release waits for it" in message_waiting(release_result(verdicts=())).sentence


def test_an_approval_says_what_is_still_in_the_way() -> None:
    assert message_approval(approval_result(), None).sentence == (
        "bob approves tiny@v1.0.0 for staging. The promotion is started."
    )
    own = message_approval(approval_result(), message_deployment(result_of(facts(approvers=("bob",)))))
    assert own.state is RequestState.DONE
    assert "bob asks for it, so their own approval does not count" in own.sentence
    assert own.copy_lines == ("/approve tiny@v1.0.0 staging",)
    none = message_approval(approval_result(needed=0), message_error(NotEvaluatedError("x")))
    assert none.sentence == "staging asks for no approvals."
    assert message_approval(approval_result(released=None), None).state is RequestState.REFUSED


def test_what_does_not_begin_is_no_message() -> None:
    assert message_started(result_of(facts())) is None
    begun = message_started(result_of(facts(needed=0)))
    assert begun is not None
    assert begun.state is RequestState.WORKING


def test_an_error_is_one_sentence_with_its_hint() -> None:
    message = message_error(NotEvaluatedError("the store does not answer", hint="Ask who runs it."))
    assert (message.sentence, message.hint) == ("the store does not answer.", "Ask who runs it.")
