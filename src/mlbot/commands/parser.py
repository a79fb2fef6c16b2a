"""What a comment says to the bot.

A comment is anybody's text: reading it never raises, and takes time linear in its length. Whether a model, a parameter
or an environment exists is decided where the config is.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from mlbot.commands.command import (
    MAX_REASON,
    MAX_VALUE,
    MODELS,
    PARAMETERS,
    REASON,
    SHA,
    WHOLE_SHA,
    Command,
    Form,
    is_sha_like,
)
from mlbot.commands.forward import Approve, Lock, Promote, Release, Rollback, Unlock
from mlbot.commands.help import Help
from mlbot.commands.markdown import author_lines
from mlbot.commands.retrain import Cancel, JudgeAgain, Retrain
from mlbot.commands.status import Status
from mlbot.commands.waive import Waive
from mlbot.config.errors import INVISIBLE, nearest
from mlbot.lib.record import Record

COMMANDS: tuple[type[Command], ...] = (
    Retrain,
    JudgeAgain,
    Waive,
    Status,
    Help,
    Cancel,
    Release,
    Promote,
    Approve,
    Rollback,
    Lock,
    Unlock,
)
"""Every command, in the order of the help. What is not here is not understood."""

MAX_COMMANDS = 10  # so many commands of one comment are answered
MAX_LINE = 4_096  # characters of a line that is read as a command
PREFIX = "mlbot"  # may stand before every command, for repositories in which another bot listens to the short one
_SHOWN = 200  # characters of a line that is too long
_MAX_KEY = 100
_LONGEST_NAME = 24
_PUNCTUATION = ".,:;!?"
_FIRST_WORD = re.compile(r"(\S*+)\s*+")
_KEY = re.compile(r"([A-Za-z0-9_][A-Za-z0-9_.-]*+)=")
_STYLES = (
    ('"', "\u201c\u201d\u201e\u201f\u2033"),
    ("'", "\u2018\u2019\u201a\u201b\u2032"),
    ("\u00ab\u00bb", "\u2039\u203a"),
)
"""Straight and typographic marks of one kind: a phone may open with the one and close with the other."""
_MARKS = "".join(first + second for first, second in _STYLES)
_ESCAPE = re.compile(rf"\\([\\{_MARKS}])")
_CLOSING = {
    # Everything up to a mark that ends a word; a mark inside a word (an apostrophe) ends nothing.
    marks: re.compile(rf"((?:[^{marks}\\]++|\\[\\{_MARKS}]|\\|[{marks}](?!\s|$))*+)[{marks}]")
    for pair in _STYLES
    for marks in pair
}
_NAMES = MappingProxyType({name: each for each in COMMANDS for name in (each.name, *each.aliases)})
_LAST_WORDS = MappingProxyType({name.rpartition(" ")[2]: command for name, command in _NAMES.items()})
"""Every command by its last word: `status` is what people say who mean `/mlbot status`."""


class Fault(StrEnum):
    """What is wrong with a line that was meant as a command: the name of its words in the templates. A closed list."""

    UNKNOWN = "unknown"  # no command, but close to one
    UNKNOWN_AFTER_PREFIX = "unknown_after_prefix"
    NO_COMMAND = "no_command"
    INVISIBLE_NAME = "invisible_name"
    INVISIBLE = "invisible"
    LINE_TOO_LONG = "line_too_long"
    TOO_MANY = "too_many"
    QUOTES = "quotes"
    NO_SUCH_KEY = "no_such_key"
    KEY_TWICE = "key_twice"
    KEY_TOO_LONG = "key_too_long"
    NO_VALUE = "no_value"
    VALUE_TOO_LONG = "value_too_long"
    VALUE_TOO_SHORT = "value_too_short"
    MISSING = "missing"
    SUPERFLUOUS = "superfluous"
    BAD_WORD = "bad_word"
    SHORT_SHA = "short_sha"
    NO_SHA = "no_sha"
    SHA_TWICE = "sha_twice"
    MODEL_TWICE = "model_twice"


class ParseError(Record):
    """A line that was meant as a command and is none."""

    kind: Literal["error"] = "error"
    template: ClassVar = "commands/shared.md.j2"
    fault: Fault
    values: dict[str, Any] = Field(default_factory=dict)
    """What its words name; from the comment, so the template escapes them."""
    usage: str = ""  # how the command is written, when it is known which was meant


class CommandLine(Record):
    """One line of a comment that is answered."""

    line: Annotated[int, Field(gt=0)]  # from 1
    text: str  # the line as it was written, without the space around it; shortened when it is too long
    command: Command | ParseError


class _MisreadError(Exception):
    """A line cannot be read; never leaves this file."""

    def __init__(self, fault: Fault, *, usage: str = "", **values: object) -> None:
        super().__init__(fault)
        self.fault, self.usage, self.values = fault, usage, values


def parse_comment(body: str) -> tuple[CommandLine, ...]:
    """What a comment says to the bot, in order; empty when it says nothing.

    Args:
        body: The comment's Markdown, as GitHub gives it.

    Returns:
        At most `MAX_COMMANDS` lines and one error more when there would be others. Nothing in `body` raises.
    """
    found: list[CommandLine] = []
    for number, line in author_lines(body):
        command = _read(line)
        if command is None:
            continue
        text = line.strip() if len(line) <= MAX_LINE else f"{line[:_SHOWN]}…"
        if len(found) == MAX_COMMANDS:
            command = ParseError(fault=Fault.TOO_MANY, values={"most": MAX_COMMANDS})
        found.append(CommandLine(line=number, text=text, command=command))
        if len(found) > MAX_COMMANDS:
            break
    return tuple(found)


def _read(line: str) -> Command | ParseError | None:
    """What a line says; None when it is not for mlbot."""
    command = None
    try:
        found = _find(line[: MAX_LINE + 1])
        if found is None:
            return None
        command, rest = found
        return command.model_validate(_fields(command, line, rest))
    except _MisreadError as error:
        usage = error.usage or (command.usage() if command else "")
        return ParseError(fault=error.fault, values=error.values, usage=usage)


# Which command


def _find(line: str) -> tuple[type[Command], str] | None:
    """The command that a line begins with, and the rest of the line; None when the line is not for mlbot."""
    before, (name, rest) = "", _cut(line[1:])
    if name.lower() == PREFIX:
        before, (name, rest) = f"{PREFIX} ", _cut(rest)
    command = _NAMES.get(before + name.lower()) or _NAMES.get(name.lower())
    if command is not None:
        return command, rest
    usage = "|".join(known.name.removeprefix(before) for known in COMMANDS if before and known.name.startswith(before))
    if before and not name:
        raise _MisreadError(Fault.NO_COMMAND, usage=f"/{before}{usage}")
    _refuse_if_near(name, before)
    if before:
        raise _MisreadError(Fault.UNKNOWN_AFTER_PREFIX, usage=f"/{before}{usage}", name=name)
    return None


def _cut(text: str) -> tuple[str, str]:
    """What is before the first space, and what is behind it."""
    found = _FIRST_WORD.match(text)
    return (found[1], text[found.end() :]) if found else ("", text)


def _refuse_if_near(name: str, before: str) -> None:
    plain = INVISIBLE.sub("", name[: 4 * _LONGEST_NAME]).lower()
    folded = plain.rstrip(_PUNCTUATION).replace("-", "").replace("_", "")
    if not (folded.isascii() and folded.isalpha() and len(folded) <= _LONGEST_NAME):
        return  # a path, a fraction, another alphabet: anybody's
    near = _near(folded)
    if near is None:
        return
    if plain != name.lower() and plain in _LAST_WORDS:
        raise _MisreadError(Fault.INVISIBLE_NAME, usage=near.usage())
    raise _MisreadError(Fault.UNKNOWN, usage=near.usage(), name=before + name, near=near.name)


def _near(name: str) -> type[Command] | None:
    """The command that was probably meant."""
    slips = {known: distance(name, known) for known in _LAST_WORDS if abs(len(known) - len(name)) <= 1}
    best = min(slips, key=lambda known: slips[known], default="")
    # One slip; two where so much else is right that no other bot's command is meant: `/rebase` is not `/release`.
    forgiven = 2 if len(best) > 5 and len(name) == len(best) and name[0] == best[0] else 1
    return _LAST_WORDS[best] if best and slips[best] <= forgiven else None


def distance(one: str, other: str) -> int:
    """How many letters to add, drop, change or swap with their neighbour make one word the other.

    The optimal string alignment distance: https://en.wikipedia.org/wiki/Damerau-Levenshtein_distance.
    """
    before: list[int] = []
    last = list(range(len(other) + 1))
    for row, letter in enumerate(one, 1):
        now = [row]
        for column, wanted in enumerate(other, 1):
            swapped = row > 1 and column > 1 and (letter, one[row - 2]) == (other[column - 2], wanted)
            now.append(
                min(
                    last[column] + 1,
                    now[column - 1] + 1,
                    last[column - 1] + (letter != wanted),
                    before[column - 2] + 1 if swapped else row + column,
                )
            )
        before, last = last, now
    return last[-1]


# Its words


@dataclass(frozen=True, kw_only=True, slots=True)
class Word:
    """One argument as it was written."""

    text: str  # without its quotation marks
    key: str | None = None  # what is before its `=`; None for none
    quoted: bool = False  # whether it stood in quotation marks


def words(line: str) -> list[Word]:
    r"""The words of a line: plain, quoted as a keyboard or a phone does it, or `key=value`.

    Within quotation marks `\` before a mark or before another `\` takes its meaning away, and only a mark with a space
    or nothing behind it ends the word.
    """
    found: list[Word] = []
    place = len(line) - len(line.lstrip())
    while place < len(line):
        key = _KEY.match(line, place)
        start = key.end() if key else place
        quotation = _quotation(line, start)
        text = _ESCAPE.sub(r"\1", quotation[1]) if quotation else _cut(line[start:])[0]
        found.append(Word(text=text, key=key[1] if key else None, quoted=quotation is not None))
        end = quotation.end() if quotation else start + len(text)
        place = len(line) - len(line[end:].lstrip())
    return found


def _quotation(line: str, start: int) -> re.Match[str] | None:
    """The word in quotation marks that starts at a place; None where none does."""
    opening = line[start : start + 1]
    styles = next((pair for pair in _STYLES if opening and opening in "".join(pair)), None)
    if styles is None:
        return None
    for marks in sorted(styles, key=lambda marks: opening not in marks):
        if found := _CLOSING[marks].match(line, start + 1):
            return found
    raise _MisreadError(Fault.QUOTES, mark=opening)


# Its fields


def _fields(command: type[Command], line: str, rest: str) -> dict[str, Any]:
    """The fields of the command's record, without its kind."""
    if len(line) > MAX_LINE:
        raise _MisreadError(Fault.LINE_TOO_LONG, most=MAX_LINE)
    if hidden := INVISIBLE.search(line):
        raise _MisreadError(Fault.INVISIBLE, code=f"U+{ord(hidden[0]):04X}")
    fields: dict[str, Any] = {}
    places = [form for form in command.arguments if form.pattern]
    for word in words(rest):
        if word.key is not None:
            _add_value(fields, command, word, word.key)
        elif SHA in command.arguments and not word.quoted and is_sha_like(word.text):
            _add_sha(fields, word.text)
        elif places:
            _add_word(fields, places[0] if places[0] is MODELS else places.pop(0), word.text)
        elif SHA in command.arguments:
            raise _MisreadError(Fault.NO_SHA, word=word.text)
        else:
            raise _MisreadError(Fault.SUPERFLUOUS, word=word.text, reason=REASON in command.arguments)
    absent = {name for name, field in command.model_fields.items() if field.is_required()} - fields.keys()
    for form in command.arguments:
        if form.fields & absent:
            raise _MisreadError(Fault.MISSING, what=form.usage)
    return fields


def _add_value(fields: dict[str, Any], command: type[Command], word: Word, key: str) -> None:
    """Add what is behind `key=`: a reason, or a parameter."""
    form = next((each for each in command.arguments if each.key == key.lower()), None)
    if form is None and PARAMETERS not in command.arguments:
        near = REASON in command.arguments and nearest(key, ("reason",)) is not None
        raise _MisreadError(Fault.NO_SUCH_KEY, name=command.name, key=key, near=near)
    values: dict[str, Any] = fields if form else fields.setdefault("params", {})
    key = next(iter(form.fields)) if form else key
    text, longest = " ".join(word.text.split()), MAX_REASON if form else MAX_VALUE
    if key in values:
        raise _MisreadError(Fault.KEY_TWICE, key=key)
    if len(key) > _MAX_KEY:
        raise _MisreadError(Fault.KEY_TOO_LONG, most=_MAX_KEY)
    if not text:
        raise _MisreadError(Fault.NO_VALUE, key=key)
    if len(text) > longest:
        raise _MisreadError(Fault.VALUE_TOO_LONG, key=key, most=longest)
    if form and len(text) < form.least:
        raise _MisreadError(Fault.VALUE_TOO_SHORT, key=form.key, least=form.least)
    values[key] = text


def _add_sha(fields: dict[str, Any], text: str) -> None:
    if len(text) not in WHOLE_SHA:
        raise _MisreadError(Fault.SHORT_SHA, word=text)
    if "sha" in fields:
        raise _MisreadError(Fault.SHA_TWICE)
    fields["sha"] = text.lower()


def _add_word(fields: dict[str, Any], form: Form, text: str) -> None:
    """Add what is read by its place."""
    found = form.pattern.fullmatch(text) if form.pattern else None
    if found is None:
        raise _MisreadError(Fault.BAD_WORD, word=text, form=form.usage)
    if form is MODELS:
        if text in fields.get("models", ()):
            raise _MisreadError(Fault.MODEL_TWICE, model=text)
        fields["models"] = (*fields.get("models", ()), text)
    else:
        fields |= {name: value for name, value in found.groupdict().items() if value is not None}
