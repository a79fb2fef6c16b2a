"""GitHub's own JSON Schemas: loaded once a process, compiled when first used."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

from jsonschema import Draft7Validator, Draft202012Validator, FormatChecker
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend
from referencing import Registry
from referencing.jsonschema import DRAFT7, DRAFT202012

Json: TypeAlias = Any
Schema: TypeAlias = Mapping[str, Any]

FOLDER = Path(__file__).parent / "schemas"
DATE_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})")
URI = re.compile(r"[a-z][a-z0-9+.-]*:\S+", re.IGNORECASE)
# What differs from one test to the next and matters to no schema: the fake's port, times, ids of commits.
_PASSING = (
    (re.compile(r"//(127\.0\.0\.1|localhost):\d+"), r"//\1"),
    (re.compile(rf'"{DATE_TIME.pattern}"'), '"2026-01-01T00:00:00Z"'),
    (re.compile(r"\b[0-9a-f]{40}\b"), "c" * 40),
)


def _formats() -> FormatChecker:
    checker = FormatChecker(formats=())
    checker.checks("date-time")(lambda value: not isinstance(value, str) or bool(DATE_TIME.fullmatch(value)))
    checker.checks("uri")(lambda value: not isinstance(value, str) or bool(URI.fullmatch(value)))
    return checker


def _remembering(plain: Any) -> Any:
    """A class of validators that checks by a named schema what it has not found valid by it before."""
    valid: set[tuple[str, bytes]] = set()
    check = plain.VALIDATORS["$ref"]

    def ref(validator: Any, name: str, value: Json, schema: Schema) -> Iterator[ValidationError]:
        seen = (name, _digest(value))
        if seen in valid:
            return
        errors = list(check(validator, name, value, schema) or ())
        if not errors:
            valid.add(seen)
        yield from errors

    return extend(plain, {"$ref": ref})


class Document:
    """One file of schemas whose references resolve from anywhere inside it."""

    def __init__(self, name: str, content: Json, *, openapi: bool) -> None:
        self._name = f"urn:{name}"
        self.content = _absolute(content, self._name)
        if openapi:
            self.content = _without_nullable(self.content)
        self._class = _remembering(Draft202012Validator if openapi else Draft7Validator)
        dialect = DRAFT202012 if openapi else DRAFT7
        self._registry = Registry().with_resource(self._name, dialect.create_resource(self.content))
        self._formats = _formats()
        self._compiled: dict[int, Any] = {}

    def resolve(self, schema: Schema) -> Schema:
        """Follow references until there is a schema proper."""
        while "$ref" in schema:
            found = self.content
            for part in schema["$ref"].split("#", 1)[1].strip("/").split("/"):
                found = found[part.replace("~1", "/").replace("~0", "~")]
            schema = found
        return schema

    def accepts(self, schema: Schema, value: Json) -> bool:
        """Whether the value is valid by a schema of this document."""
        return bool(self._validator(schema).is_valid(value))

    def violations(self, schema: Schema, value: Json) -> list[str]:
        """What is wrong with a value, one readable line each; the most telling alternative of a choice only."""
        return [_say(leaf) for error in self._validator(schema).iter_errors(value) for leaf in _leaves(error)]

    def _validator(self, schema: Schema) -> Any:
        compiled = self._compiled.get(id(schema))
        if compiled is None:
            compiled = self._class(schema, registry=self._registry, format_checker=self._formats)
            self._compiled[id(schema)] = compiled
        return compiled


def _digest(value: Json) -> bytes:
    """The same for values that differ in passing things alone."""
    text = json.dumps(value)
    for pattern, instead in _PASSING:
        text = pattern.sub(instead, text)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _leaves(error: ValidationError) -> Iterator[ValidationError]:
    if not error.context:
        yield error
        return
    branches: dict[Any, list[ValidationError]] = {}
    for inner in error.context:
        branches.setdefault(inner.schema_path[0], []).append(inner)
    best = min(branches.values(), key=lambda errors: (errors[0].validator == "type", len(errors)))
    for inner in best:
        yield from _leaves(inner)


def _say(error: ValidationError) -> str:
    message = error.message if len(error.message) < 200 else f"{error.message[:90]} ... {error.message[-90:]}"
    return f"{error.json_path}: {message}"


def _absolute(node: Json, name: str) -> Json:
    if isinstance(node, dict):
        return {
            key: name + value if key == "$ref" and isinstance(value, str) else _absolute(value, name)
            for key, value in node.items()
            if key != "$schema"
        }
    return [_absolute(item, name) for item in node] if isinstance(node, list) else node


def _without_nullable(node: Json) -> Json:
    """OpenAPI 3.0 says ``nullable: true`` where JSON Schema has a type null."""
    if isinstance(node, list):
        return [_without_nullable(item) for item in node]
    if not isinstance(node, dict):
        return node
    plain = {key: _without_nullable(value) for key, value in node.items() if key not in {"nullable", "discriminator"}}
    if node.get("nullable") is not True:
        return plain
    if not isinstance(node.get("type"), str):
        return {"anyOf": [plain, {"type": "null"}]}
    plain["type"] = [node["type"], "null"]
    if "enum" in plain and None not in plain["enum"]:
        plain["enum"] = [*plain["enum"], None]
    return plain


def _read(name: str) -> Json:
    return json.loads((FOLDER / name).read_text())


@cache
def openapi() -> Document:
    """GitHub's description of its REST API, with what it leaves out: pull requests and runs outlive their fork."""
    content = _read("openapi.json")
    for name in ("pull-request", "pull-request-simple"):
        head = content["components"]["schemas"][name]["properties"]["head"]["properties"]
        head["repo"] = {"allOf": [head["repo"]], "nullable": True}
    run = content["components"]["schemas"]["workflow-run"]["properties"]
    for name in ("head_repository", "head_repository_id"):
        run[name] = {"allOf": [run[name]], "nullable": True}
    return Document("openapi", content, openapi=True)


@cache
def webhooks() -> Document:
    """GitHub's description of its webhook payloads, with what it leaves out: a run outlives the fork it came from."""
    content = _read("webhooks.schema.json")
    run = content["definitions"]["workflow-run"]["properties"]
    run["head_repository"] = {"anyOf": [run["head_repository"], {"type": "null"}]}
    return Document("webhooks", content, openapi=False)
