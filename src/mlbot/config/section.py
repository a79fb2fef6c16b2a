"""A section of mlbot.yaml: a record whose fields say how they are written; their docstrings are the documentation."""

import ast
import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from itertools import pairwise
from typing import Any, ClassVar, NamedTuple, Self, TypeVar

from mlbot.config.errors import NAME_FORM, Plain, Problem, Refused, one_of, quote, refused, show_value
from mlbot.config.kinds import Context, Kind, Schema, collect
from mlbot.lib.record import Record


class Section(Record):
    """A mapping of mlbot.yaml: its fields are its parser, its JSON Schema and its table in the documentation."""

    short: ClassVar[str] = ""
    """The setting that a value which is no mapping stands for."""
    constraints: ClassVar[Schema] = {}
    """What its JSON Schema says beyond its settings."""
    name_form: ClassVar[str] = NAME_FORM
    """What it can be called in the file, where it has a name."""
    name_words: ClassVar[str] = "letters, digits, `.`, `_` and `-`, starting with a letter or digit, of at most 63"

    @classmethod
    def read(cls, value: Plain, around: Context, name: str | None = None) -> Self:
        """The record of a value.

        Raises `Refused` with everything that is wrong.
        """
        wrong = None if name is None else wrong_name(cls, name)
        problems = [wrong] if wrong else []
        given = value if isinstance(value, dict) else {cls.short: value}
        bare = given is not value
        if bare and not cls.short:
            raise Refused(*problems, Problem(show_value(value), f"write {cls.instead(value, name or '')}"))
        context = around.opened(given, name)
        problems += [] if bare else _check_keys(cls, context)
        for key, setting in settings_of(cls, bare=bare).items():
            try:
                if key in context.given:
                    context.made[setting.field] = setting.kind.read(context.given[key], context)
            except Refused as error:
                problems += error.problems if bare else error.under(key)
        problems += cls.rules(context)
        if problems:
            raise Refused(*problems)
        return cls(**cls.completed(context))

    @classmethod
    def instead(cls, value: Plain, name: str) -> str:
        """What to write instead of a value that is no mapping."""
        del value, name
        return f"a mapping with {one_of(settings_of(cls))}"

    @classmethod
    def rules(cls, context: Context) -> Iterable[Problem]:
        """What is wrong between its settings; those that are wrong themselves are not made."""
        del context
        return ()

    @classmethod
    def completed(cls, context: Context) -> dict[str, Any]:
        """The values of all fields, those included that follow from others."""
        return ({"name": context.name} if context.name else {}) | context.made

    @classmethod
    def json_schema(cls) -> Schema:
        """What an editor may know of it."""
        settings = settings_of(cls)
        made: Schema = {
            "type": "object",
            "description": (cls.__doc__ or "").partition("\n")[0],
            "properties": {key: _property(cls, setting) for key, setting in settings.items()},
            "additionalProperties": False,
            "required": [key for key, setting in settings.items() if setting.required],
            **cls.constraints,
        }
        short = settings_of(cls, bare=True).get(cls.short)
        return {"anyOf": [short.kind.schema(), made]} if short else made


class Setting(NamedTuple):
    """A field of a section as the file has it."""

    field: str
    kind: Kind
    required: bool
    default: Plain
    """As it would be written; None where there is none, or none that is one value."""


@cache
def settings_of(section: type[Section], *, bare: bool = False) -> Mapping[str, Setting]:
    """The settings of a section by key, in the order of its fields."""
    found: dict[str, Setting] = {}
    for field, info in section.model_fields.items():
        for kind in info.metadata:
            if isinstance(kind, Kind) and (bare or not kind.bare):
                plain = isinstance(info.default, bool | int | str) and info.default != ""
                default = info.default if plain else kind.default
                found[kind.key or field] = Setting(field, kind, info.is_required(), default)
    return found


@cache
def words_of(section: type[Section]) -> Mapping[str, str]:
    """The docstring of each field of a section on one line, in Markdown: what it is for, and what if it is left out."""
    (definition,) = ast.parse(inspect.getsource(section)).body
    return {
        field.target.id: " ".join(words.value.value.split())
        for field, words in pairwise(definition.body if isinstance(definition, ast.ClassDef) else ())
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(words, ast.Expr) and isinstance(words.value, ast.Constant) and isinstance(words.value.value, str)
    }


def wrong_name(section: type[Section], name: str) -> Problem | None:
    """What is wrong with a name of such a section."""
    if re.fullmatch(section.name_form, name):
        return None
    return Problem(f"the name {quote(name)}", f"write a name of {section.name_words}")


def inside(section: type[Section]) -> Kind:
    """A section in a section."""
    return Kind(section.read, section.json_schema)


_S = TypeVar("_S", bound=Section)


def named(section: type[_S], write: str, *, none: tuple[str, str] | None = None, most: int = 0) -> Kind:
    """A mapping from names to a section each, in the file's order.

    `none` is what is found where there is none, and what to write; without it there may be none.
    """

    def read(value: Plain, context: Context) -> tuple[_S, ...]:
        if not isinstance(value, dict):
            raise refused(value, write)
        if none and not value:
            raise refused(value, none[1], found=none[0])
        if most and len(value) > most:
            raise refused(value, f"at most {most}", found=f"{len(value)} of them")
        return collect(value.items(), lambda name, each: section.read(each, context, str(name)))

    def schema() -> Schema:
        limits = ({"minProperties": 1} if none else {}) | ({"maxProperties": most} if most else {})
        names = {"pattern": f"^{section.name_form}$"}
        return {"type": "object", "propertyNames": names, "additionalProperties": section.json_schema(), **limits}

    return Kind(read, schema)


def _property(section: type[Section], setting: Setting) -> Schema:
    shown = {} if setting.default is None else {"default": setting.default}
    return {**setting.kind.schema(), "description": words_of(section).get(setting.field, ""), **shown}


def _check_keys(section: type[Section], context: Context) -> Iterator[Problem]:
    settings = settings_of(section)
    for key in context.given:
        if key not in settings:
            yield Problem(f"the unknown key {quote(key)}", f"write {context.guess(key, settings)}", (key,))
    for key, setting in settings.items():
        if setting.required and key not in context.given:
            yield Problem(f"no {key}", f"write `{key}:`")
