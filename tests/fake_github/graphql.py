"""GraphQL: a few fields of GitHub's schema, answered in the shape that the query selects.

A query is parsed and checked against `TYPES` before it is answered: a field that GitHub does not have, a selection
where there is nothing to select, or none where there has to be one, is a breach of the contract. Errors are told in the
body with status 200, as on GitHub.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tests.fake_github import facts_issues
from tests.fake_github.errors import Refusal
from tests.fake_github.facts import node_id
from tests.fake_github.messages import Request, Response
from tests.fake_github.state import Comment, Issue, Repository, User
from tests.fake_github.tokens import Need, Token, authorize
from tests.fake_github.world import World

JSON: Final = {"Content-Type": "application/json; charset=utf-8"}
REASONS: Final = {"SPAM", "ABUSE", "OFF_TOPIC", "OUTDATED", "DUPLICATE", "RESOLVED"}
MAX_NODES: Final = 100

# The type of each field; None: a scalar. As docs.github.com/graphql/reference has them.
TYPES: Final[Mapping[str, Mapping[str, str | None]]] = {
    "Query": {"node": "Node", "nodes": "Node", "repository": "Repository"},
    "Repository": {"pullRequests": "PullRequestConnection"},
    "PullRequestConnection": {"nodes": "PullRequest", "totalCount": None},
    "PullRequest": {
        "number": None, "baseRefName": None, "headRefName": None, "headRefOid": None, "isDraft": None,
        "isCrossRepository": None, "commits": "PullRequestCommitConnection",
    },
    "PullRequestCommitConnection": {"nodes": "PullRequestCommit"},
    "PullRequestCommit": {"commit": "Commit"},
    "Commit": {"oid": None, "status": "Status"},
    "Status": {"state": None, "contexts": "StatusContext"},
    "StatusContext": {"context": None, "state": None, "description": None, "targetUrl": None},
    "Mutation": {"minimizeComment": "Minimized", "unminimizeComment": "Unminimized"},
    "Node": {"id": None},
    "IssueComment": {
        "id": None, "databaseId": None, "fullDatabaseId": None, "url": None, "body": None, "author": "Actor",
        "editor": "Actor", "lastEditedAt": None, "includesCreatedEdit": None, "createdAt": None, "updatedAt": None,
        "isMinimized": None, "minimizedReason": None,
    },
    "Actor": {"login": None, "url": None},
    "Minimized": {"minimizedComment": "Minimizable", "clientMutationId": None},
    "Unminimized": {"unminimizedComment": "Minimizable", "clientMutationId": None},
    "Minimizable": {"isMinimized": None, "minimizedReason": None},
}  # fmt: skip


class QueryError(Exception):
    """A query that GitHub's schema refuses."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """One field of a selection; `on` is the type of the fragment that it stands in."""

    name: str
    on: str
    arguments: Mapping[str, Any]
    fields: Sequence["Field"] = ()


class _Reader:
    """Reads one operation with its selections; fragments are inline only."""

    def __init__(self, text: str, variables: Mapping[str, Any]) -> None:
        self._words = re.findall(r'"(?:[^"\\]|\\.)*"|\.\.\.|\$?\w+|[^\s,]', text)
        self._variables = variables

    def operation(self) -> Sequence[Field]:
        """The fields at the root."""
        kind = "Query" if self._words[:1] == ["{"] else self._take().capitalize()
        while self._words and self._words[0] != "{":  # its name, and the types of its variables
            self._take()
        return self._selection(kind)

    def _take(self, wanted: str = "") -> str:
        if not self._words or (wanted and self._words[0] != wanted):
            raise QueryError(f"expected {wanted or 'more'} before {' '.join(self._words[:5])!r}")
        word: str = self._words.pop(0)
        return word

    def _selection(self, on: str) -> list[Field]:
        found: list[Field] = []
        self._take("{")
        while self._words[:1] != ["}"]:
            if self._words[:1] == ["..."]:
                self._words[:2] = []
                found += self._selection(self._take())
            else:
                found.append(self._field(on))
        self._take("}")
        return found

    def _field(self, on: str) -> Field:
        name = self._take()
        known = TYPES.get(on, {})
        if name not in known and name != "__typename":
            raise QueryError(f"Field '{name}' doesn't exist on type '{on}'")
        arguments = self._arguments() if self._words[:1] == ["("] else {}
        kind = known.get(name)
        if (kind is not None) != (self._words[:1] == ["{"]):
            raise QueryError(f"Field '{name}' of type '{kind}' is selected wrongly")
        return Field(name=name, on=on, arguments=arguments, fields=self._selection(kind) if kind else ())

    def _arguments(self, end: str = ")") -> dict[str, Any]:
        self._take()
        found = {}
        while self._words[:1] != [end]:
            name = self._take()
            self._take(":")
            found[name] = self._arguments("}") if self._words[:1] == ["{"] else self._value(self._take())
        self._take(end)
        return found

    def _value(self, word: str) -> Any:
        if word.startswith("$"):
            return self._variables.get(word[1:])
        return json.loads(word) if word.startswith('"') else word


def graphql(world: World, request: Request, token: Token | None) -> Response:
    """Answer one request."""
    if token is None:
        raise Refusal(401, "This endpoint requires you to be authenticated.")
    body = request.json()
    query, variables = str(body.get("query", "")), body.get("variables") or {}
    try:
        fields = _Reader(query, variables).operation()
        answer = _Answer(world, token)
        data = {field.name: answer.root(field) for field in fields}
    except QueryError as error:
        world.violate(f"GraphQL: {error} in {query[:200]!r}")
        return _response({"errors": [{"message": str(error)}]})
    return _response({"data": data} | ({"errors": answer.errors} if answer.errors else {}))


class _Answer:
    """The values of one answer, and what went wrong on the way."""

    def __init__(self, world: World, token: Token) -> None:
        self.errors: list[dict[str, Any]] = []
        self._world, self._token = world, token

    def root(self, field: Field) -> Any:
        """A field at the root."""
        match field.name:
            case "node":
                return self._node(field, field.arguments.get("id"), [field.name])
            case "nodes":
                ids = field.arguments.get("ids")
                if not isinstance(ids, list) or len(ids) > MAX_NODES:
                    raise QueryError(f"nodes takes a list of {MAX_NODES} ids at most")
                return [self._node(field, one, [field.name, place]) for place, one in enumerate(ids)]
            case "repository":
                return self._repository(field)
            case _:
                return self._minimize(field)

    def _repository(self, field: Field) -> Any:
        """A repository with its open pull requests, the ones that changed last first."""
        name = f"{field.arguments.get('owner')}/{field.arguments.get('name')}"
        found = self._world.repositories.get(name.lower())
        if found is None:
            self._error("NOT_FOUND", f"Could not resolve to a Repository with the name '{name}'.", [field.name])
            return None
        try:
            for need in ("pull_requests:read", "statuses:read"):
                authorize(self._token, found, Need.parse(need))
        except Refusal as refusal:
            kind = "NOT_FOUND" if refusal.status == 404 else "FORBIDDEN"
            self._error(kind, refusal.body["message"], [field.name])
            return None
        (wanted,) = field.fields
        if wanted.arguments.get("states") != "OPEN" or int(wanted.arguments.get("first", 0)) > MAX_NODES:
            raise QueryError("the fake answers with open pull requests, at most 100 of them")
        pulls = [each for each in found.issues.values() if each.pull and each.state == "open"]
        newest = sorted(pulls, key=lambda each: (each.updated_at, each.number), reverse=True)
        shown = [_pull(found, each) for each in newest[: int(wanted.arguments["first"])]]
        return _select({"pullRequests": {"nodes": shown, "totalCount": len(pulls)}}, field.fields)

    def _node(self, field: Field, wanted: object, path: list[Any]) -> Any:
        found = self._comment(wanted, "issues|pull_requests:read", path)
        return _select(_facts(self._world, *found), field.fields) if found else None

    def _comment(self, wanted: object, need: str, path: list[Any]) -> tuple[Repository, Comment] | None:
        """A comment that the token may see (or change); None with an error where there is none."""
        for repository in self._world.repositories.values():
            for one in repository.comments.values():
                if node_id("IC", one.id) == wanted:
                    try:
                        authorize(self._token, repository, Need.parse(need))
                    except Refusal as refusal:
                        kind = "NOT_FOUND" if refusal.status == 404 else "FORBIDDEN"
                        self._error(kind, refusal.body["message"], path)
                        return None
                    return repository, one
        self._error("NOT_FOUND", f"Could not resolve to a node with the global id of '{wanted}'", path)
        return None

    def _error(self, kind: str, message: str, path: list[Any]) -> None:
        self.errors.append({"type": kind, "path": path, "message": message})

    def _minimize(self, field: Field) -> Any:
        given = field.arguments.get("input") or {}
        reason = given.get("classifier")
        if field.name == "minimizeComment" and reason not in REASONS:
            self._error("INVALID", f"classifier {reason!r} is invalid", [field.name])
            return None
        found = self._comment(given.get("subjectId"), "issues|pull_requests:write", [field.name])
        if found is None:
            return None
        found[1].minimized = str(reason).lower() if field.name == "minimizeComment" else None
        shown = _facts(self._world, *found)
        known = {"minimizedComment": shown, "unminimizedComment": shown}
        return _select(known | {"clientMutationId": given.get("clientMutationId")}, field.fields)


def _pull(repository: Repository, one: Issue) -> dict[str, Any]:
    assert one.pull
    newest = {each.context: each for each in repository.statuses if each.sha == one.pull.head_sha}
    contexts = [
        {"context": each.context, "state": each.state.upper(), "description": each.description, "targetUrl": None}
        for each in newest.values()
    ]
    status = {"state": "PENDING", "contexts": contexts} if contexts else None
    return {
        "number": one.number,
        "baseRefName": one.pull.base_ref,
        "headRefName": one.pull.head_ref,
        "headRefOid": one.pull.head_sha,
        "isDraft": one.pull.draft,
        "isCrossRepository": one.pull.head_repo is not repository,
        "commits": {"nodes": [{"commit": {"oid": one.pull.head_sha, "status": status}}]},
    }


def _facts(world: World, repository: Repository, one: Comment) -> dict[str, Any]:
    last = one.edits[-1] if one.edits else None
    return {
        "__typename": "IssueComment",
        "id": node_id("IC", one.id),
        "databaseId": one.id,
        "fullDatabaseId": str(one.id),
        "url": facts_issues.comment(world, repository, one)["html_url"],
        "body": one.body,
        "author": _actor(world, one.user),
        "editor": _actor(world, last[0]) if last else None,
        "lastEditedAt": last[1] if last else None,
        "includesCreatedEdit": last is not None,
        "createdAt": one.created_at,
        "updatedAt": one.updated_at,
        "isMinimized": one.minimized is not None,
        "minimizedReason": one.minimized,
    }


def _actor(world: World, one: User) -> dict[str, Any]:
    """A bot's login has no `[bot]` here."""
    kind, login = one.kind, one.login.removesuffix("[bot]")
    return {"__typename": kind, "login": login, "url": f"{world.url}/{login}"}


def _select(known: Mapping[str, Any], fields: Sequence[Field]) -> dict[str, Any]:
    """Of a node of another type than a fragment is on, nothing of the fragment is answered."""
    kind = known.get("__typename")
    found: dict[str, Any] = {}
    for field in fields:
        if field.on == "IssueComment" and kind != "IssueComment":
            continue
        value = known[field.name]
        if isinstance(value, list):
            found[field.name] = [_select(each, field.fields) for each in value]
        else:
            found[field.name] = _select(value, field.fields) if isinstance(value, Mapping) else value
    return found


def _response(body: dict[str, Any]) -> Response:
    return Response(status=200, headers=JSON, body=json.dumps(body).encode())
