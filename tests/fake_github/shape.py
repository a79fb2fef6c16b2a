"""Facts into the shape that a schema prescribes.

An entity's facts are written once, richly. GitHub shows them in many shapes: full, minimal, in webhooks, nested. So
each answer is projected onto its schema: what the schema does not name is left out, and a required property
that no test relies on gets a neutral value (null, empty, zero, an ``.invalid`` address).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.fake_github.schema import Document, Json, Schema

EPOCH = "1970-01-01T00:00:00Z"


class Shaper:
    """Projects facts onto the schemas of one document."""

    def __init__(self, document: Document) -> None:
        self._document = document

    def project(self, schema: Schema, facts: Json) -> Json:
        """The facts as the schema would have them."""
        if not isinstance(facts, Mapping | list | tuple):
            return facts
        schema = self._merged(schema)
        branches = schema.get("oneOf") or schema.get("anyOf")
        if branches:
            return self._choose(branches, facts)
        if isinstance(facts, Mapping):
            return self._object(schema, facts)
        items = schema.get("items")
        return [self.project(items, fact) for fact in facts] if isinstance(items, Mapping) else list(facts)

    def _choose(self, branches: Sequence[Schema], facts: Json) -> Json:
        shaped = [(branch, self.project(branch, facts)) for branch in branches if not self._scalar_for(branch, facts)]
        fitting = [value for branch, value in shaped if self._document.accepts(branch, value)]
        candidates = fitting or [value for _, value in shaped]
        return max(candidates, key=_size, default=facts)

    def _scalar_for(self, branch: Schema, facts: Json) -> bool:
        kind = self._document.resolve(branch).get("type")
        return isinstance(facts, Mapping | list) and kind in {"null", "string", "integer", "boolean"}

    def _object(self, schema: Schema, facts: Mapping[str, Json]) -> Json:
        properties: Mapping[str, Schema] = schema.get("properties", {})
        extra = schema.get("additionalProperties")
        if not properties:
            sub = extra if isinstance(extra, Mapping) else {}
            return {key: self.project(sub, value) for key, value in facts.items()}
        required = set(schema.get("required", ()))
        shaped = {
            key: self.project(sub, facts[key]) if key in facts else self._neutral(sub, key)
            for key, sub in properties.items()
            if key in facts or key in required
        }
        if isinstance(extra, Mapping) or extra is True:
            shaped |= {key: value for key, value in facts.items() if key not in shaped}
        return shaped

    def _neutral(self, schema: Schema, key: str) -> Json:
        schema = self._merged(schema)
        kinds = set(_kinds(schema))
        branches = schema.get("oneOf") or schema.get("anyOf")
        if branches:
            neutrals = [self._neutral(branch, key) for branch in branches]
            return None if None in neutrals else neutrals[0]
        if "null" in kinds:
            return None
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return schema["enum"][0]
        if "object" in kinds or "properties" in schema:
            return self._object(schema, {})
        return _neutral_scalar(kinds, str(schema.get("format", "")), key)

    def _merged(self, schema: Schema) -> Schema:
        schema = self._document.resolve(schema)
        if "allOf" not in schema:
            return schema
        merged: dict[str, Any] = {key: value for key, value in schema.items() if key != "allOf"}
        merged["properties"] = dict(merged.get("properties", {}))
        merged["required"] = list(merged.get("required", ()))
        for part in map(self._merged, schema["allOf"]):
            merged["properties"] |= part.get("properties", {})
            merged["required"] += part.get("required", ())
            merged |= {key: value for key, value in part.items() if key not in {"properties", "required"}}
        return merged


def _kinds(schema: Schema) -> Iterator[str]:
    kind = schema.get("type", ())
    yield from (kind,) if isinstance(kind, str) else kind


def _neutral_scalar(kinds: set[str], form: str, key: str) -> Json:
    if "array" in kinds:
        return []
    if "boolean" in kinds:
        return False
    if kinds & {"integer", "number"}:
        return 0
    texts = {
        "date-time": EPOCH,
        "uri": f"https://neutral.invalid/{key}",
        "uri-template": f"https://neutral.invalid/{key}",
    }
    return texts.get(form, "")


def _size(value: Json) -> int:
    if isinstance(value, Mapping):
        return sum(1 + _size(item) for item in value.values())
    return sum(map(_size, value)) if isinstance(value, list) else 0
