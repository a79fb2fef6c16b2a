"""Payloads become events, or a reason."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbot.events.event import (
    CommentEvent,
    DispatchEvent,
    MergeGroupEvent,
    NoEvent,
    NotAnEvent,
    PullRequestEvent,
    PushEvent,
    TagPushEvent,
    WorkflowRunEvent,
    parse_event,
)
from mlbot.events.github import Conclusion

HEAD, BASE = "a" * 40, "b" * 40
ZERO = "0" * 40
REPOSITORY = {"id": 1, "full_name": "acme/income", "default_branch": "main"}


def pull_request(**changes: Any) -> dict[str, Any]:
    pull = {
        "number": 42,
        "draft": False,
        "head": {"sha": HEAD, "ref": "deeper", "repo": {"id": 2, "full_name": "eve/income"}},
        "base": {"sha": BASE, "ref": "main", "repo": {"id": 1}},
        "user": {"login": "eve"},
        "title": "<!-- mlbot:report -->",
    }
    return {"action": "synchronize", "repository": REPOSITORY, "pull_request": pull | changes}


def run(**changes: Any) -> dict[str, Any]:
    fields = {
        "id": 7,
        "run_attempt": 2,
        "path": ".github/workflows/mlbot-train.yml@main",
        "name": "whatever a fork calls it",
        "event": "pull_request",
        "head_sha": HEAD,
        "head_branch": "deeper",
        "head_repository": {"id": 2, "owner": {"login": "eve"}},
        "repository": {"id": 1},
        "status": "completed",
        "conclusion": "success",
        "html_url": "https://github.com/acme/income/actions/runs/7",
        "pull_requests": [],
    }
    return fields | changes


def test_a_pull_request() -> None:
    event = parse_event("pull_request", pull_request())
    assert isinstance(event, PullRequestEvent)
    assert (event.number, event.head_sha, event.base_ref, event.author) == (42, HEAD, "main", "eve")
    assert event.fork
    assert not event.base_changed


def test_a_pull_request_whose_fork_is_gone() -> None:
    event = parse_event("pull_request", pull_request(head={"sha": HEAD, "ref": "deeper", "repo": None}))
    assert isinstance(event, PullRequestEvent)
    assert event.head_repository_id is None
    assert event.fork


def test_a_pull_request_that_goes_elsewhere_now() -> None:
    payload = {**pull_request(), "action": "edited", "changes": {"base": {"ref": {"from": "dev"}}}}
    event = parse_event("pull_request", payload)
    assert isinstance(event, PullRequestEvent)
    assert event.base_changed


def test_a_merge_group() -> None:
    group = {
        "head_sha": HEAD,
        "head_ref": f"refs/heads/gh-readonly-queue/main/pr-42-{BASE}",
        "base_ref": "refs/heads/main",
        "base_sha": BASE,
    }
    event = parse_event("merge_group", {"action": "checks_requested", "merge_group": group, "repository": REPOSITORY})
    assert isinstance(event, MergeGroupEvent)
    assert (event.base_ref, event.head_ref) == ("main", f"gh-readonly-queue/main/pr-42-{BASE}")


def push(**changes: Any) -> dict[str, Any]:
    return {
        "ref": "refs/heads/main",
        "before": BASE,
        "after": HEAD,
        "deleted": False,
        "repository": REPOSITORY,
    } | changes


def test_a_push() -> None:
    event = parse_event("push", push())
    assert isinstance(event, PushEvent)
    assert (event.branch, event.sha, event.before) == ("main", HEAD, BASE)


def test_a_new_branch_has_nothing_before() -> None:
    event = parse_event("push", push(before=ZERO))
    assert isinstance(event, PushEvent)
    assert event.before is None


def test_a_tag() -> None:
    event = parse_event("push", push(ref="refs/tags/adult-income@v1.2.0"))
    assert isinstance(event, TagPushEvent)
    assert event.tag == "adult-income@v1.2.0"


def test_a_workflow_run() -> None:
    event = parse_event("workflow_run", completed())
    assert isinstance(event, WorkflowRunEvent)
    assert event.run.path == ".github/workflows/mlbot-train.yml"
    assert (event.run.attempt, event.run.conclusion, event.run.head_owner) == (2, Conclusion.SUCCESS, "eve")


def dispatch(inputs: object) -> dict[str, Any]:
    return {"ref": "refs/heads/main", "inputs": inputs, "repository": REPOSITORY}


def completed(**changes: Any) -> dict[str, Any]:
    return {"action": "completed", "workflow_run": run(**changes), "repository": REPOSITORY}


def test_a_dispatch() -> None:
    payload = {
        "ref": "refs/heads/main",
        "inputs": {"run-id": "7", "run-attempt": "", "x": None},
        "repository": REPOSITORY,
    }
    event = parse_event("workflow_dispatch", payload)
    assert isinstance(event, DispatchEvent)
    assert event.inputs == {"run-id": "7"}
    assert (event.number("run-id"), event.number("run-attempt")) == (7, None)


@pytest.mark.parametrize("text", ["-1", "0", "1e3", "7; rm", "\u0667", "9" * 30, "7.0", " 7"])
def test_a_number_from_a_dispatch_is_a_number(text: str) -> None:
    event = parse_event("workflow_dispatch", dispatch({"run-id": text}))
    assert isinstance(event, DispatchEvent)
    assert event.number("run-id") is None


def comment(**changes: Any) -> dict[str, Any]:
    made = {"id": 5, "body": "/retrain", "user": {"login": "ada", "type": "User"}}
    issue = {"number": 42, "state": "open", "pull_request": {"url": "x"}}
    return {"action": "created", "comment": made | changes, "issue": issue, "repository": REPOSITORY}


def test_a_comment() -> None:
    event = parse_event("issue_comment", comment())
    assert isinstance(event, CommentEvent)
    assert (event.body, event.author, event.author_is_bot, event.is_pull_request) == ("/retrain", "ada", False, True)


def test_whoever_is_not_a_user_is_a_bot() -> None:
    for user in ({"login": "dependabot[bot]", "type": "Bot"}, {"login": "x"}, {"login": "y", "type": "Organization"}):
        event = parse_event("issue_comment", comment(user=user))
        assert isinstance(event, CommentEvent)
        assert event.author_is_bot


REFUSALS: list[tuple[str, str, dict[str, Any], NoEvent]] = [
    ("an event nobody acts on", "fork", {}, NoEvent.UNKNOWN_EVENT),
    ("a closed pull request", "pull_request", {**pull_request(), "action": "closed"}, NoEvent.UNKNOWN_ACTION),
    ("no action", "pull_request", {}, NoEvent.UNKNOWN_ACTION),
    ("an edited comment", "issue_comment", {**comment(), "action": "edited"}, NoEvent.UNKNOWN_ACTION),
    ("a run in progress", "workflow_run", {"action": "in_progress"}, NoEvent.UNKNOWN_ACTION),
    ("a destroyed merge group", "merge_group", {"action": "destroyed"}, NoEvent.UNKNOWN_ACTION),
    ("a deleted branch", "push", push(deleted=True), NoEvent.REF_DELETED),
    ("a deleted branch by its id", "push", push(after=ZERO), NoEvent.REF_DELETED),
    ("another ref", "push", push(ref="refs/notes/x"), NoEvent.NEITHER_BRANCH_NOR_TAG),
    ("a bool as number", "pull_request", pull_request(number=True), NoEvent.MALFORMED),
    ("a text as number", "pull_request", pull_request(number="42"), NoEvent.MALFORMED),
    ("a short sha", "push", push(after="abc"), NoEvent.MALFORMED),
    ("a sha with a newline", "push", push(after=HEAD + "\n"), NoEvent.MALFORMED),
    ("a branch with a space", "push", push(ref="refs/heads/a b"), NoEvent.MALFORMED),
    ("a branch with a bell", "push", push(ref="refs/heads/a\x07"), NoEvent.MALFORMED),
    ("no repository", "push", push(repository=None), NoEvent.MALFORMED),
    ("a repository's name", "push", push(repository={"id": 1, "full_name": "a/b/c"}), NoEvent.MALFORMED),
    (
        "an unknown conclusion",
        "workflow_run",
        completed(conclusion="fine"),
        NoEvent.MALFORMED,
    ),
    (
        "a run's address",
        "workflow_run",
        completed(html_url="javascript:alert(1)"),
        NoEvent.MALFORMED,
    ),
    ("no run", "workflow_run", {"action": "completed", "repository": REPOSITORY}, NoEvent.MALFORMED),
    (
        "an input that is no text",
        "workflow_dispatch",
        dispatch({"a": [1]}),
        NoEvent.MALFORMED,
    ),
    ("a comment too long", "issue_comment", comment(body="x" * 65_537), NoEvent.MALFORMED),
]


@pytest.mark.parametrize(("name", "payload", "reason"), [case[1:] for case in REFUSALS], ids=[c[0] for c in REFUSALS])
def test_what_is_no_event(name: str, payload: dict[str, Any], reason: NoEvent) -> None:
    event = parse_event(name, payload)
    assert isinstance(event, NotAnEvent)
    assert event.reason is reason


def test_a_refusal_does_not_repeat_what_it_refuses() -> None:
    event = parse_event("push", push(after="::error::<script>"))
    assert isinstance(event, NotAnEvent)
    assert "script" not in event.detail
    assert "sha" in event.detail


leaves = (
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from([HEAD, ZERO, "refs/heads/x", "completed"])
)
keys = st.text() | st.sampled_from(["id", "sha", "repo", "head"])
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=20
)
NAMES = ["pull_request", "merge_group", "push", "workflow_run", "workflow_dispatch", "issue_comment", "other"]
KEYS = ["action", "repository", "pull_request", "workflow_run", "comment", "issue", "inputs", "ref", "after", "changes"]


@given(st.sampled_from(NAMES), st.dictionaries(st.sampled_from(KEYS), values))
def test_nothing_raises(name: str, payload: dict[str, Any]) -> None:
    parse_event(name, payload)


@given(
    st.sampled_from(
        [
            ("pull_request", pull_request()),
            ("push", push()),
            ("issue_comment", comment()),
            ("workflow_run", completed()),
        ]
    ),
    st.data(),
)
def test_one_hostile_field_never_raises_and_what_passes_has_a_json_form(
    sample: tuple[str, dict[str, Any]], data: st.DataObject
) -> None:
    name, payload = sample[0], json.loads(json.dumps(sample[1]))
    at = payload
    while True:
        key = data.draw(st.sampled_from(sorted(at)))
        if isinstance(at[key], dict) and at[key] and data.draw(st.booleans()):
            at = at[key]
            continue
        at[key] = data.draw(values)
        break
    event = parse_event(name, payload)
    assert json.loads(event.model_dump_json())
