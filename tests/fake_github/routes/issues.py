"""Issues, comments, reactions, labels."""

from typing import Any

from tests.fake_github import events, facts, facts_issues, ops_issues
from tests.fake_github.errors import Refusal, invalid, not_found
from tests.fake_github.messages import Call, Reply, Route, paged, route
from tests.fake_github.state import Comment, Issue, Reaction


def _issue(call: Call) -> Issue:
    found = call.repo.issues.get(call.number("issue_number"))
    if found is None:
        raise not_found()
    if found.pull is None:
        _issues_on(call)
    return found


def _issues_on(call: Call) -> None:
    if call.repo.settings.get("has_issues") is False:
        raise Refusal(410, "Issues are disabled for this repo")


def _comment(call: Call) -> Comment:
    found = call.repo.comments.get(call.number("comment_id"))
    if found is None:
        raise not_found()
    return found


def list_issues(call: Call) -> Reply:
    """GET issues: pull requests are issues too; newest first."""
    state, labels = call.query.get("state", "open"), set(filter(None, call.query.get("labels", "").split(",")))
    found = [
        one
        for one in reversed(call.repo.issues.values())
        if state in {"all", one.state} and labels <= set(one.labels) and _by(call, one) and _shown(call, one)
    ]
    return paged(found, lambda one: facts_issues.issue(call.world, call.repo, one))


def _shown(call: Call, one: Issue) -> bool:
    return one.pull is not None or call.repo.settings.get("has_issues") is not False


def _by(call: Call, one: Issue) -> bool:
    return call.query.get("creator", one.user.login).lower() == one.user.login.lower()


def get_issue(call: Call) -> Reply:
    """GET an issue."""
    return Reply(facts=facts_issues.issue(call.world, call.repo, _issue(call)))


def create_issue(call: Call) -> Reply:
    """POST an issue."""
    _issues_on(call)
    issue = ops_issues.open_issue(call.world, call.repo, call.holder, str(call.body["title"]), call.body.get("body"))
    if call.body.get("labels"):
        ops_issues.set_labels(call.world, call.repo, call.holder, issue, _names(call.body["labels"]))
    return Reply(status=201, facts=facts_issues.issue(call.world, call.repo, issue))


def edit_issue(call: Call) -> Reply:
    """PATCH an issue."""
    issue, body = _issue(call), call.body
    ops_issues.own_or_maintained(call.repo, call.holder, issue.user)
    issue.title, issue.body = str(body.get("title", issue.title)), body.get("body", issue.body)
    if "labels" in body:
        ops_issues.set_labels(call.world, call.repo, call.holder, issue, _names(body["labels"]))
    state = body.get("state", issue.state)
    if state != issue.state:
        issue.state, issue.state_reason = state, body.get("state_reason")
        issue.closed_at = call.world.now() if state == "closed" else None
        tell = events.pull_request if issue.pull else events.issues
        tell(call.world, call.repo, call.holder, "closed" if state == "closed" else "reopened", issue)
    return get_issue(call)


def _names(labels: list[Any]) -> list[str]:
    return [one if isinstance(one, str) else one["name"] for one in labels]


def list_comments(call: Call) -> Reply:
    """GET an issue's comments, oldest first."""
    number = _issue(call).number
    return _comments(call, [one for one in call.repo.comments.values() if one.number == number])


def list_all_comments(call: Call) -> Reply:
    """GET all comments of the repository."""
    found = list(call.repo.comments.values())
    key = "updated_at" if call.query.get("sort") == "updated" else "created_at"
    found.sort(key=lambda one: (getattr(one, key), one.id), reverse=call.query.get("direction") == "desc")
    return _comments(call, found)


def _comments(call: Call, found: list[Comment]) -> Reply:
    since = call.query.get("since", "")
    return paged(
        [one for one in found if one.updated_at >= since],
        lambda one: facts_issues.comment(call.world, call.repo, one),
    )


def get_comment(call: Call) -> Reply:
    """GET a comment."""
    return Reply(facts=facts_issues.comment(call.world, call.repo, _comment(call)))


def create_comment(call: Call) -> Reply:
    """POST a comment."""
    made = ops_issues.comment(call.world, call.repo, call.holder, _issue(call), call.body["body"])
    return Reply(status=201, facts=facts_issues.comment(call.world, call.repo, made))


def edit_comment(call: Call) -> Reply:
    """PATCH a comment."""
    one = _comment(call)
    ops_issues.own_or_maintained(call.repo, call.holder, one.user)
    ops_issues.edit_comment(call.world, call.repo, call.holder, one, call.body["body"])
    return get_comment(call)


def delete_comment(call: Call) -> Reply:
    """DELETE a comment."""
    one = _comment(call)
    ops_issues.own_or_maintained(call.repo, call.holder, one.user)
    ops_issues.delete_comment(call.world, call.repo, call.holder, one)
    return Reply(status=204)


def _reactions(call: Call) -> list[Reaction]:
    return _comment(call).reactions if "comment_id" in call.params else _issue(call).reactions


def list_reactions(call: Call) -> Reply:
    """GET the reactions of a comment or an issue."""
    content = call.query.get("content")
    found = [one for one in _reactions(call) if content in (None, one.content)]
    return paged(found, lambda one: facts.reaction(call.world, one))


def react(call: Call) -> Reply:
    """POST a reaction; 200 when it was there already."""
    made, new = ops_issues.react(call.world, _reactions(call), call.holder.user, call.body["content"])
    return Reply(status=201 if new else 200, facts=facts.reaction(call.world, made))


def delete_reaction(call: Call) -> Reply:
    """DELETE one's reaction."""
    reactions, number = _reactions(call), call.number("reaction_id")
    if not any(one.id == number for one in reactions):
        raise not_found()
    reactions[:] = [one for one in reactions if one.id != number]
    return Reply(status=204)


def list_labels(call: Call) -> Reply:
    """GET an issue's labels."""
    found = [call.repo.labels[name] for name in _issue(call).labels]
    return paged(found, lambda one: facts.label(call.world, call.repo, one))


def change_labels(call: Call) -> Reply:
    """POST adds labels, PUT replaces them, DELETE takes them all."""
    issue, method = _issue(call), call.request.method
    given = call.body.get("labels", []) if isinstance(call.body, dict) else call.body or []
    names = _names(given)
    wanted = [*issue.labels, *names] if method == "POST" else names
    ops_issues.set_labels(call.world, call.repo, call.holder, issue, wanted)
    return Reply(status=204) if method == "DELETE" else list_labels(call)


def create_label(call: Call) -> Reply:
    """POST a label."""
    name = call.body["name"]
    if name in call.repo.labels:
        raise invalid("Label", "name", "already_exists")
    color, about = call.body.get("color", "ededed"), call.body.get("description")
    made = ops_issues.add_label(call.world, call.repo, name, color, about)
    return Reply(status=201, facts=facts.label(call.world, call.repo, made))


R = "/repos/{owner}/{repo}"
READ, SAY, SORT = "issues|pull_requests:read", "issues|pull_requests:write@read", "issues|pull_requests:write@triage"
COMMENT, ISSUE = f"{R}/issues/comments/{{comment_id}}", f"{R}/issues/{{issue_number}}"
ROUTES: tuple[Route, ...] = (
    route(f"GET {R}/issues", list_issues, READ),
    route(f"POST {R}/issues", create_issue, "issues:write@read"),
    route(f"GET {ISSUE}", get_issue, READ),
    route(f"PATCH {ISSUE}", edit_issue, SAY),
    route(f"GET {ISSUE}/comments", list_comments, READ),
    route(f"POST {ISSUE}/comments", create_comment, SAY),
    route(f"GET {R}/issues/comments", list_all_comments, READ),
    route(f"GET {COMMENT}", get_comment, READ),
    route(f"PATCH {COMMENT}", edit_comment, SAY),
    route(f"DELETE {COMMENT}", delete_comment, SAY),
    route(f"GET {COMMENT}/reactions", list_reactions, READ),
    route(f"POST {COMMENT}/reactions", react, SAY),
    route(f"DELETE {COMMENT}/reactions/{{reaction_id}}", delete_reaction, SAY),
    route(f"GET {ISSUE}/reactions", list_reactions, READ),
    route(f"POST {ISSUE}/reactions", react, SAY),
    route(f"GET {ISSUE}/labels", list_labels, READ),
    route(f"POST {ISSUE}/labels", change_labels, SORT),
    route(f"PUT {ISSUE}/labels", change_labels, SORT),
    route(f"DELETE {ISSUE}/labels", change_labels, SORT),
    route(f"POST {R}/labels", create_label, "issues|pull_requests:write@write"),
)
