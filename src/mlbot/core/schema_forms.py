"""Pieces that the JSON Schema of mlbot.yaml is made of."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from mlbot.core.config_model import LONGEST_S
from mlbot.core.config_reader import MAX_TEXT

Schema = dict[str, Any]
"""A JSON Schema, draft 2020-12."""

NAME = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"
_FUNCTION = "^[A-Za-z_][A-Za-z0-9_]*(\\.[A-Za-z_][A-Za-z0-9_]*)*:[A-Za-z_][A-Za-z0-9_]*$"
_LOGIN = "^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$"
_DURATION = "^(?=.*[1-9])[0-9]{1,9}(\\.[0-9]{1,9})?[smh]?$"
_INSIDE = "^(?![/~]|[A-Za-z]:)(?!(.*/)?\\.\\.(/|$))[^\\\\]+$"
_URL = "^[A-Za-z][A-Za-z0-9+.-]*://\\S+$"


def mapping(properties: Mapping[str, Schema], required: list[str] | None = None, description: str = "") -> Schema:
    """A mapping with these settings and no others."""
    made: Schema = {"type": "object", "properties": dict(properties), "additionalProperties": False}
    if required:
        made["required"] = required
    return {"description": description, **made} if description else made


def named(description: str, definition: str, least: int = 0) -> Schema:
    """A mapping from names to one definition each."""
    made: Schema = {
        "type": "object",
        "description": description,
        "propertyNames": {"pattern": NAME},
        "additionalProperties": {"$ref": f"#/$defs/{definition}"},
    }
    return {**made, "minProperties": least} if least else made


def said(description: str, made: Schema, default: object = None) -> Schema:
    """A schema with what an editor shows beside it."""
    return {"description": description, **made, **({} if default is None else {"default": default})}


def defaults(record: type[BaseModel]) -> dict[str, Any]:
    """The defaults of a record's settings."""
    return {name: field.default for name, field in record.model_fields.items()}


def text(limit: int = MAX_TEXT) -> Schema:
    """A text with something in it."""
    return {"type": "string", "pattern": "\\S", "maxLength": limit}


def line() -> Schema:
    """A text on one line."""
    return {"type": "string", "pattern": "^[^\\t\\n]*[^\\t\\n ][^\\t\\n]*$", "maxLength": MAX_TEXT}


def label() -> Schema:
    """A label, quoted or not."""
    return {"anyOf": [line(), {"type": ["number", "boolean"]}]}


def texts(item: Schema) -> Schema:
    """A list without repetition."""
    return {"type": "array", "items": item, "minItems": 1, "uniqueItems": True}


def path() -> Schema:
    """A path inside the repository."""
    return {"type": "string", "allOf": [{"pattern": _INSIDE}, {"not": {"pattern": "://"}}], "maxLength": MAX_TEXT}


def path_or_url() -> Schema:
    """A path inside the repository, or an fsspec URL."""
    return {"anyOf": [path(), {"type": "string", "pattern": _URL, "maxLength": MAX_TEXT}]}


def place() -> Schema:
    """Where models are kept or deployed."""
    return path_or_url()


def target() -> Schema:
    """Where models are deployed, by mlbot or by a command."""
    command = {"type": "string", "pattern": "^command:[ ]*[^\\s]", "maxLength": MAX_TEXT}
    return {"anyOf": [*place()["anyOf"], command]}


def branch() -> Schema:
    """A branch's name."""
    return {"type": "string", "pattern": "^[^\\s~^:?*\\[\\\\]+$", "maxLength": MAX_TEXT}


def login() -> Schema:
    """A person's name on GitHub."""
    return {"type": "string", "pattern": _LOGIN}


def function() -> Schema:
    """`module:function`."""
    return {"type": "string", "pattern": _FUNCTION, "maxLength": MAX_TEXT}


def duration() -> Schema:
    """`30m`, or seconds."""
    return {
        "anyOf": [
            {"type": "string", "pattern": _DURATION},
            {"type": "number", "exclusiveMinimum": 0, "maximum": LONGEST_S},
        ]
    }


def runs_on() -> Schema:
    """Runner labels."""
    return {"anyOf": [line(), texts(line())]}
