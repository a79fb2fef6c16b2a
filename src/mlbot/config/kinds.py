"""Sections of mlbot.yaml and the kinds of their values: how each is read, what is wrong with it, its JSON Schema.

A section is a record whose fields say how they are written; their docstrings are the documentation.
"""

import ast
import codecs
import inspect
import itertools
import math
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar, NamedTuple, Self, TypeVar

from mlbot.config.errors import (
    INVISIBLE,
    NAME_FORM,
    Plain,
    Problem,
    Refused,
    nearest,
    one_of,
    quote,
    refused,
    show_value,
)
from mlbot.lib.record import Record

Schema = dict[str, Any]
"""A JSON Schema, draft 2020-12."""

_MAX_TEXT = 1024
"""Characters of a text that means one thing: a path, a column, a label."""
_MAX_SCRIPT = 10_000
"""Characters of a shell command."""
_LONGEST_S = 5 * 24 * 3600.0
"""The longest job that GitHub lets run, on a self-hosted runner."""
_MOST_GUESSES = 100
_MOST_KNOWN = 200
"""Looking for the word that was meant costs time: not for thousands of unknown ones, nor among thousands."""
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(s|m|h)?")
_UNITS = {None: 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}

T = TypeVar("T")
_S = TypeVar("_S", bound="Section")


@dataclass(frozen=True, kw_only=True, slots=True)
class Context:
    """The section that a value is in, as far as it is read."""

    name: str = ""
    """What the file calls the section, where it has a name."""
    given: Mapping[str, Plain] = field(default_factory=dict)
    """Its settings as they are written."""
    made: dict[str, Any] = field(default_factory=dict)
    """The values of those that could be read so far."""
    around: "Context | None" = None
    """The section that it is in."""
    guesses: Iterator[int] = field(default_factory=itertools.count)
    found: dict[str, Any] = field(default_factory=dict)
    """What was worked out of its settings, so that it is not for each of thousands of entries."""

    def opened(self, given: Mapping[str, Plain], name: str | None) -> "Context":
        """The context of a section in this one."""
        return Context(name=name or "", given=given, around=self, guesses=self.guesses)

    def guess(self, word: str, known: Collection[str], short: Collection[str] = ()) -> str:
        """What to write instead of an unknown word: the known or short one that is near, else which there are."""
        every = (*known, *short)
        near = nearest(word, every) if len(every) <= _MOST_KNOWN and next(self.guesses) < _MOST_GUESSES else None
        return near or one_of(known)

    def inside(self, key: str) -> dict[str, Plain]:
        """The mapping that is written under a key; empty for anything else."""
        value = self.given.get(key)
        return value if isinstance(value, dict) else {}


class Kind(NamedTuple):
    """How the value of a setting is written."""

    read: Callable[[Plain, Context], Any]
    """Gives the value, or raises `Refused`."""
    schema: Callable[[], Schema]
    """What an editor may know of it."""
    key: str = ""
    """The setting's key, where that is not the name of the record's field."""
    default: Plain = None
    """The setting's default as it would be written, where the field's is no plain value."""
    bare: bool = False
    """Whether it has no key: it is written instead of the whole section."""


def kind(read: Callable[[Plain], object], **schema: Any) -> Kind:
    """A kind whose values mean the same wherever they are."""
    return Kind(lambda value, _: read(value), lambda: schema)


def collect(items: Iterable[tuple[str | int, Plain]], read: Callable[[str | int, Plain], T]) -> tuple[T, ...]:
    """What is read of each item; raises the problems of all at once."""
    made: list[T] = []
    problems: list[Problem] = []
    for key, value in items:
        try:
            made.append(read(key, value))
        except Refused as error:
            problems += error.under(key)
    if problems:
        raise Refused(*problems)
    return tuple(made)


def read_text(value: Plain, what: str, *, limit: int = _MAX_TEXT, lines: bool = False) -> str:
    """A text with something in it and nothing hidden, on one line or several."""
    if isinstance(value, bool | int | float):
        raise refused(value, f"{what} as text, in quotes")
    if not isinstance(value, str) or not value.strip():
        raise refused(value, what)
    if hidden := INVISIBLE.search(value):
        found = f"the invisible character U+{ord(hidden[0]):04X} in {quote(value)}"
        raise refused(value, f"{what} without it", found=found)
    if not lines and ("\n" in value or "\t" in value):
        raise refused(value, f"{what} on one line, without tabs")
    if len(value) > limit:
        raise refused(value, f"{what} of at most {limit:,} characters", found=f"{len(value):,} characters")
    return value


_Bad = tuple[str, str] | tuple[str, str, str]
"""What a text must not have, as JSON Schema knows patterns; what to write instead; and what to say is found."""


def text(what: str, *bad: _Bad) -> Kind:
    """A text on one line; in what to write, `{value}` is what was written."""
    patterns = [(re.compile(pattern), write, "".join(found)) for pattern, write, *found in bad]

    def read(value: Plain) -> str:
        written = read_text(value, what)
        for pattern, write, found in patterns:
            if pattern.search(written):
                raise refused(value, write.replace("{value}", written[:200]), found=found)
        return written

    refusals = {"allOf": [{"not": {"pattern": pattern}} for pattern, *_ in bad]} if bad else {}
    return kind(read, type="string", maxLength=_MAX_TEXT, pattern=r"^[^\t\n]*[^\t\n ][^\t\n]*$", **refusals)


def braces(*names: str) -> _Bad:
    """What a text must not have between braces: anything but names that are filled in."""
    known = "|".join(names)
    one = one_of([f"{{{name}}}" for name in names])
    return rf"\{{(?!(?:{known})\}})|^(?:[^{{}}]|\{{(?:{known})\}})*\}}", f"no braces but {one}"


def form(what: str, pattern: str, write: str) -> Kind:
    """A text of one form."""
    return text(what, (f"^(?!{pattern}$)", write))


def either(pattern: str, fitting: Kind, other: Kind) -> Kind:
    """A text of one kind if it has something in it, and of another if not."""

    def read(value: Plain, context: Context) -> Any:
        return (fitting if isinstance(value, str) and re.search(pattern, value) else other).read(value, context)

    return Kind(read, lambda: {"if": {"pattern": pattern}, "then": fitting.schema(), "else": other.schema()})


def _itself(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def list_of(
    what: str, item: Kind, *, name: Callable[[Any], str] = _itself, again: str = "each once", most: int = 0
) -> Kind:
    """A list of at least one, without repetition.

    `name` tells two items apart, `again` is what to write instead of a second one.
    """

    def read(value: Plain, context: Context) -> tuple[Any, ...]:
        seen: dict[str, str | int] = {}

        def once(key: str | int, inside: Plain) -> Any:
            made = item.read(inside, context)
            if seen.setdefault(name(made), key) != key:
                raise refused(inside, again, found=f"{quote(name(made))} again, after [{seen[name(made)]}]")
            return made

        if not isinstance(value, list) or not value:
            raise refused(value, f"a list of {what}", found="an empty list" if value == [] else "")
        if most and len(value) > most:
            raise refused(value, f"a list of at most {most}", found=f"a list of {len(value)}")
        return collect(enumerate(value), once)

    def schema() -> Schema:
        items = item.schema()
        limits = {"minItems": 1, **({"maxItems": most} if most else {})}
        # to JSON Schema 1 and 1.0 are the same
        return {"type": "array", "items": items, **limits, "uniqueItems": items.get("type") == "string"}

    return Kind(read, schema)


def choice(options: Sequence[str]) -> Kind:
    """One of a few words."""

    def read(value: Plain) -> str:
        if isinstance(value, str) and value in options:
            return options[options.index(value)]
        raise refused(value, nearest(value, options) or one_of(options) if isinstance(value, str) else one_of(options))

    return kind(read, enum=list(options))


def whole(low: int, high: int | None = None) -> Kind:
    """A whole number in a range."""
    wanted = f"a whole number from {low} to {high}" if high else f"a whole number, {low} or more"

    def read(value: Plain) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= (high or 2**31):
            return value
        raise refused(value, wanted)

    return kind(read, type="integer", minimum=low, **({"maximum": high} if high else {}))


def read_number(value: Plain, what: str, low: float = -math.inf, high: float = math.inf) -> float:
    """A finite number in a range."""
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300 and low <= value <= high:
        return float(value)
    raise refused(value, what)


def _flag(value: Plain) -> bool:
    if isinstance(value, bool):
        return value
    raise refused(value, "true or false")


def _label(value: Plain) -> str:
    match value:
        case bool():
            return str(value).lower()
        case int() if value.bit_length() <= 64:
            return str(value)
        case float() if math.isfinite(value):
            return repr(value)
        case _:
            return read_text(value, "a label")


def _duration(value: Plain) -> float:
    short = isinstance(value, str | float) or (isinstance(value, int) and value.bit_length() < 64)
    match = _DURATION.fullmatch(str(value)) if short and not isinstance(value, bool) else None
    seconds = float(match[1]) * _UNITS[match[2]] if match else 0.0
    if 0 < seconds <= _LONGEST_S:
        return seconds
    raise refused(value, f"a duration such as 90s, 30m or 2h, of at most {_LONGEST_S / 3600:g}h")


_SCHEME = "[A-Za-z][A-Za-z0-9+.-]*://"
# looked for first, so that no other refusal shows it
_PASSWORD = (
    "://[^/?#]*:[^/?#]*@",
    "the URL without a password; credentials belong in the environment",
    "a URL with a password",
)
_CHAIN = ("::", "one URL, without `::`")
"""fsspec's chains of protocols hide where they lead."""


def _url(what: str, *bad: _Bad) -> Kind:
    return text(what, _PASSWORD, *bad, (rf"^(?!{_SCHEME})|\s", what), _CHAIN)


_UP = r"(^|/)\.\.(/|$)"


def _path(what: str, *bad: _Bad) -> Kind:
    """A path inside the repository with forward slashes; a slash at the end (a folder) stays."""
    written = text(
        what,
        *bad,
        (f"^{_SCHEME}", "a path inside the repository; only data can have a URL"),
        (r"\\", "the path with forward slashes"),
        ("^([/~]|[A-Za-z]:)", "a path relative to the repository's root"),
        (_UP, "a path without `..`, in the folder of mlbot.yaml or below"),
        (r"^[./]*$|^(\./+)*\.git(/|$)", "a file or folder of the repository"),
    )

    def read(value: Plain, context: Context) -> str:
        path: str = written.read(value, context)
        parts = "/".join(part for part in path.split("/") if part not in {"", "."})
        return f"{parts}/" if path.endswith("/") else parts

    return Kind(read, written.schema)


_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])(?::[0-9]{1,5})?"
_REPOSITORY_PART = r"[A-Za-z0-9]+(?:(?:\.|__?|-+)[A-Za-z0-9]+)*"
_MODELS = "a URL such as s3://bucket/models or oci://ghcr.io/owner/repo/models"
_MODELS_URL = _url(
    _MODELS,
    ("^[hH][tT][tT][pP][sS]?://", "a URL that can be written to: a web server's cannot"),
    (
        rf"^[oO][cC][iI]://(?!{_HOST}/{_REPOSITORY_PART}(?:/{_REPOSITORY_PART})*/*$)",
        "a registry and a repository, such as oci://ghcr.io/owner/repo/models",
    ),
    (r"^[oO][cC][iI]://[^/]*/.{201}", "a repository of at most 200 characters"),
    ("^[fF][iI][lL][eE]://(?!/)", "three slashes, such as file:///srv/models"),
)
_COMMAND = text(_MODELS, ("^command: *$", "a shell command after `command:`, such as command:./deploy.sh"))
_BAD_BRANCH = r"[\s~^:?\[\\]|\.\.|@\{|//|^[-/.]|[/.]$|\.lock(/|$)|/\.|^@$"
_LOGIN = "[A-Za-z0-9][A-Za-z0-9_-]{0,99}"
_WORD = "[A-Za-z_][A-Za-z0-9_]*"
_RUNNER = text(
    "a runner label such as ubuntu-latest",
    (r"\$\{\{", "a runner label; expressions are not evaluated here"),
    (r"^[Ww][Ii][Nn][Dd][Oo][Ww][Ss](-|$)", "a label of Linux or macOS: mlbot runs on those; on Windows use WSL"),
)
_RUNNERS = list_of("runner labels", _RUNNER)

FLAG = kind(_flag, type="boolean")
SCRIPT = kind(
    lambda value: read_text(value, "a shell command", limit=_MAX_SCRIPT, lines=True),
    type="string",
    pattern=r"\S",
    maxLength=_MAX_SCRIPT,
)
COLUMN = text("a column name")
LABEL = kind(_label, anyOf=[COLUMN.schema(), {"type": ["number", "boolean"]}])
PATH = _path("a path inside the repository")
NOTEBOOK = _path("a notebook", (r"^(?!.*\.ipynb$)", "the path of a Jupyter notebook, such as train.ipynb"))
SHARED = _path(
    "a path inside the repository", (_UP, "a path without `..`; `:/common` is common in the repository's root")
)
"""What may be beside the folder of mlbot.yaml too."""
PATH_OR_URL = either("://", _url("a URL such as s3://bucket/file.csv"), PATH)
_HERE = "|".join(
    "".join(f"[{letter}{letter.upper()}]" for letter in name)
    for name in ("file", "local", "memory", "data", "git", "dir", "zip", "tar", "libarchive", "reference", "generic")
)
"""Protocols of fsspec's that lead to this machine's own disk or memory."""
_OUTSIDE = "a URL such as s3://bucket/sealed.parquet: what lies in the repository is no secret to a pull request"
SEALED = _url(
    _OUTSIDE,
    (
        f"^(?:{_HERE}):",
        "a URL of another machine, such as s3://bucket/sealed.parquet: this one is where pull requests train",
    ),
    (
        "^(?:[hH][tT][tT][pP]|[fF][tT][pP]):",
        "a URL that is encrypted on its way, such as https:// or s3://: by this one, rows and secrets travel in clear",
    ),
    (
        rf"^(?![hH][dD][fF][sS]:///+[^/]){_SCHEME}(?:/|[^/?#]*/*$)",  # of hdfs, the host may be left out
        "a URL with a bucket or host and a name in it, such as s3://bucket/sealed.parquet",
    ),
)
PLACE = either("://", _MODELS_URL, _path(_MODELS, ("^/", "file://{value}")))
TARGET = either("^command:", _COMMAND, PLACE)
_SERVER = "a URL such as https://models.example.org"
SERVER = _url(
    _SERVER,
    (
        "^(?![hH][tT][tT][pP][sS]?://[^/])",
        "a URL that begins with https:// (or http://), such as https://models.example.org",
    ),
    ("[?#]", "the URL without `?` and `#`: what stands before /v2"),
)
GUARDED = text(
    "a branch name or a pattern such as release/*",
    (_BAD_BRANCH, "a branch name as git accepts it, or one with `*`, such as release/*"),
    (r"\*\*\*", "`*` for any text without a slash, or `**` for any text"),
    (r"\$\{\{", "a branch name without an expression: it becomes part of workflow files"),
    ("^!", "the branches to guard; none can be taken out again"),
)
LOGIN = form("a login", _LOGIN, "a login on GitHub, without `@`")
PYTHON = form(
    'a Python version in quotes, such as "3.10"',
    r"3\.[0-9]{1,2}(\.[0-9]{1,3})?",
    'a version such as "3.10" or "3.10.4"',
)
FUNCTION = form("module:function", rf"{_WORD}(\.{_WORD})*:{_WORD}", "module:function, such as income.train:train")
TIMEOUT = kind(
    _duration,
    anyOf=[
        {"type": "string", "pattern": r"^(?=.*[1-9])[0-9]{1,9}(\.[0-9]{1,9})?[smh]?$"},
        {"type": "number", "exclusiveMinimum": 0, "maximum": _LONGEST_S},
    ],
)._replace(key="timeout", default="30m")


_TAB = ("tab", "\t")


def _mark(what: str, *words: str) -> Callable[[Plain], str]:
    def read(value: Plain) -> str:
        if isinstance(value, str) and value in {*words, *_TAB}:
            return "\t" if value in _TAB else value
        if isinstance(value, str) and len(value) == 1 and value.isascii() and value.isprintable() and _is_sign(value):
            return value
        raise refused(value, what)

    return read


def _is_sign(character: str) -> bool:
    return not character.isalnum() and character not in " .+-\\"


_ENCODINGS = re.compile(
    r"ascii|utf-8|utf-(16|32)(-[lb]e)?|latin-1|iso-8859-[0-9]{1,2}|cp[0-9]{3,4}|windows-[0-9]{3,4}|mac-roman|koi8-[ru]"
    r"|shift_jis|euc-jp|euc-kr|gb2312|gbk|gb18030|big5"
)


def _encoding(value: Plain) -> str:
    name = value.lower().replace("_", "-").replace("shift-jis", "shift_jis") if isinstance(value, str) else ""
    name = {"utf8": "utf-8", "utf16": "utf-16", "latin1": "latin-1", "us-ascii": "ascii"}.get(name, name)
    try:
        known = bool(_ENCODINGS.fullmatch(name)) and bool(codecs.lookup(name))
    except LookupError:
        known = False
    if not known:
        raise refused(value, "an encoding such as utf-8, utf-16, latin-1 or cp1252")
    return name


def _missing(value: Plain) -> tuple[str, ...]:
    items = value if isinstance(value, list) else [value]
    if len(items) > _MOST_MARKERS or not all(isinstance(each, str | int | float) for each in items):
        raise refused(value, f'a list of at most {_MOST_MARKERS} texts, such as ["?", "-999"]')
    return tuple(dict.fromkeys(_label(each).strip() if each != "" else "" for each in items))


_MOST_MARKERS = 50
SEPARATOR = kind(_mark('one character, such as ";", or tab'), type="string", pattern=r"^(tab|[^A-Za-z0-9 .+\\-])$")
QUOTE = kind(
    _mark('one character, such as "\'", or none', "none"), type="string", pattern=r"^(none|[^A-Za-z0-9 .+\\-])$"
)
ENCODING = kind(_encoding, type="string", pattern="^[A-Za-z0-9_-]{3,20}$")
MISSING = kind(_missing, type=["array", "string", "number"], maxItems=_MOST_MARKERS)


def _runs_on(value: Plain, context: Context) -> tuple[str, ...]:
    many: tuple[str, ...] = _RUNNERS.read(value, context) if isinstance(value, list) else ()
    return many or (_RUNNER.read(value, context),)


_ONE_OR_MANY = {"anyOf": [_RUNNER.schema(), _RUNNERS.schema()]}
RUNS_ON = Kind(_runs_on, lambda: _ONE_OR_MANY, key="runs-on", default="ubuntu-latest")


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
    for name, info in section.model_fields.items():
        for kind in info.metadata:
            if isinstance(kind, Kind) and (bare or not kind.bare):
                plain = isinstance(info.default, bool | int | str) and info.default != ""
                default = info.default if plain else kind.default
                found[kind.key or name] = Setting(name, kind, info.is_required(), default)
    return found


@cache
def words_of(section: type[Section]) -> Mapping[str, str]:
    """The docstring of each field of a section on one line, in Markdown: what it is for, and what if it is left out."""
    (definition,) = ast.parse(inspect.getsource(section)).body
    return {
        stated.target.id: " ".join(words.value.value.split())
        for stated, words in itertools.pairwise(definition.body if isinstance(definition, ast.ClassDef) else ())
        if isinstance(stated, ast.AnnAssign) and isinstance(stated.target, ast.Name)
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
