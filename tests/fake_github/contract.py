"""GitHub's contract: what a request must look like, and what an answer or an event is made of.

A violation is a defect of the client or of the fake itself. It is kept for the fixture to raise.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import unquote

from tests.fake_github.schema import Json, Schema, openapi, webhooks
from tests.fake_github.shape import Shaper


class ContractError(Exception):
    """A request, an answer or an event that GitHub's own schemas refuse."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Operation:
    """One method of one path of the REST API."""

    method: str
    template: str
    pattern: re.Pattern[str]
    parameters: tuple[Schema, ...]
    body: Schema | None
    responses: Mapping[str, Schema]

    @property
    def key(self) -> str:
        """Method and path template, as in the description: ``GET /repos/{owner}/{repo}``."""
        return f"{self.method} {self.template}"

    def match(self, path: str) -> dict[str, str] | None:
        """The parameters in a raw (still quoted) path."""
        found = self.pattern.fullmatch(path)
        return {name: unquote(value) for name, value in found.groupdict().items()} if found else None


@cache
def operations() -> tuple[Operation, ...]:
    """All that the description names; the more literal of two paths that match comes first."""
    document = openapi()
    found = [
        _operation(template, method, description)
        for template, methods in document.content["paths"].items()
        for method, description in methods.items()
    ]
    return tuple(sorted(found, key=lambda one: (one.template.count("{"), -len(one.template), one.template)))


def _operation(template: str, method: str, description: Mapping[str, Any]) -> Operation:
    document = openapi()
    parameters = tuple(document.resolve(one) for one in description.get("parameters", ()))
    body = description.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    return Operation(
        method=method.upper(),
        template=template,
        pattern=_pattern(template, {one["name"] for one in parameters if one.get("x-multi-segment")}),
        parameters=parameters,
        body=document.resolve(body) if body else None,
        responses={status: document.resolve(one) for status, one in description["responses"].items()},
    )


def _pattern(template: str, spanning: set[str]) -> re.Pattern[str]:
    """Parameters in ``spanning`` may hold slashes: branches, refs and paths of files."""

    def group(found: re.Match[str]) -> str:
        return f"(?P<{found[1]}>{'.+' if found[1] in spanning else '[^/]+'})"

    return re.compile(re.sub(r"\{(\w+)\}", group, template.replace(".", r"\.")))


ALIASES = ((re.compile(r"(/repos/[^/]+/[^/]+)/statuses/([^/]+)"), r"\1/commits/\2/statuses"),)  # undocumented, alive


def find(method: str, path: str) -> tuple[Operation, dict[str, str]] | None:
    """The operation that a request means, with its path parameters."""
    for pattern, target in ALIASES if method == "GET" else ():
        path = pattern.sub(target, path)
    for operation in operations():
        if operation.method == method and (parameters := operation.match(path)) is not None:
            return operation, parameters
    return None


def check_request(operation: Operation, query: Mapping[str, str], body: Json) -> None:
    """Refuse unknown or ill-typed query parameters and body fields.

    Raises:
        ContractError: GitHub's description does not have the request like this.
    """
    known = {one["name"]: one["schema"] for one in operation.parameters if one["in"] == "query"}
    problems = [f"unknown query parameter {name!r}" for name in query if name not in known]
    for name in known.keys() & query.keys():
        problems += [f"query {name}: {one}" for one in _query_violations(known[name], query[name])]
    problems += _body_violations(operation, body)
    if problems:
        raise ContractError(f"request {operation.key}: " + "; ".join(problems))


def _query_violations(schema: Schema, text: str) -> list[str]:
    document = openapi()
    values: list[Json] = [text]
    values += [text == "true"] if text in {"true", "false"} else []
    values += [int(text)] if text.isascii() and text.isdecimal() else []
    return [] if any(document.accepts(schema, value) for value in values) else document.violations(schema, text)


def _body_violations(operation: Operation, body: Json) -> list[str]:
    if operation.body is None or body is None:
        return [] if body in (None, {}) else [f"a body where there is none: {body!r}"]
    if operation.template.endswith("/labels") and isinstance(body, list):
        body = {"labels": body}  # the older form: no more described, still sent by PyGithub and taken by GitHub
    problems = [f"body {one}" for one in openapi().violations(operation.body, body)]
    properties = operation.body.get("properties")
    if properties and isinstance(body, dict) and not operation.body.get("additionalProperties"):
        problems += [f"unknown body field {name!r}" for name in body if name not in properties]
    return problems


def answer(operation: Operation, status: int, facts: Json) -> Json:
    """The facts in the shape that the description gives for a status.

    Raises:
        ContractError: the description has no such status, or the facts do not fit.
    """
    if status >= 400:  # one simple shape, and 401 and some 403 are described for no path
        return facts
    described = operation.responses.get(str(status))
    if described is None:
        raise ContractError(f"answer {operation.key}: no status {status} in {sorted(operation.responses)}")
    schema = described.get("content", {}).get("application/json", {}).get("schema")
    if schema is None:
        return facts
    shaped = Shaper(openapi()).project(schema, facts)
    if problems := openapi().violations(schema, shaped):
        raise ContractError(f"answer {operation.key} {status}: " + "; ".join(problems))
    return shaped


def event_schema(event: str, action: str | None) -> Schema:
    """The schema of a webhook's payload.

    Raises:
        ContractError: GitHub sends no such event.
    """
    definitions = webhooks().content["definitions"]
    for name in (f"{event}${action}", f"{event}$event"):
        if name in definitions:
            found: Schema = definitions[name]
            return found
    raise ContractError(f"GitHub sends no event {event!r} with action {action!r}")


def payload(event: str, facts: Mapping[str, Json]) -> Json:
    """The facts as the payload of a webhook.

    Raises:
        ContractError: the schema of the event refuses them.
    """
    schema = event_schema(event, facts.get("action"))
    shaped = Shaper(webhooks()).project(schema, facts)
    if problems := webhooks().violations(schema, shaped):
        raise ContractError(f"event {event}: " + "; ".join(problems))
    return shaped
