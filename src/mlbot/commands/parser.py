"""The arguments of a command, read by the forms that the table gives it, and written again."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from mlbot.commands.table import COMMANDS, MAX_REASON, MAX_VALUE, CommandSpec, Form, named
from mlbot.config.errors import INVISIBLE, quote
from mlbot.config.reader import is_name, nearest

# What can be wrong with a line that was meant as a command.


class Fault(StrEnum):
    """A closed list."""

    UNKNOWN = "unknown"
    """No command, but close to one."""
    MISSING = "missing"
    UNEXPECTED = "unexpected"
    BAD_VALUE = "bad-value"
    SHORT_SHA = "short-sha"
    TWICE = "twice"
    QUOTES = "quotes"
    INVISIBLE = "invisible"
    TOO_LONG = "too-long"
    TOO_MANY = "too-many"


class MisreadError(Exception):
    """A line cannot be read; never leaves the reader of comments.

    Args:
        fault: What kind it is.
        sentence: What is wrong and how to fix it, for people.
        usage: How the command is written, when it is known.
    """

    def __init__(self, fault: Fault, sentence: str, usage: str = "") -> None:
        super().__init__(sentence)
        self.fault = fault
        self.sentence = sentence
        self.usage = usage


# Which command a line begins with; one that is nearly right is a mistake, anything else is nobody's business.

PREFIX = "mlbot"
"""May stand before every command, for repositories in which another bot listens to the short one."""

_FIRST = re.compile(r"/(\S*+)\s*+")

_SECOND = re.compile(r"(\S*+)\s*+")

_LONGEST = 24

_PUNCTUATION = ".,:;!?"

_LAST_WORDS = MappingProxyType(
    {name.rpartition(" ")[2]: spec for spec in COMMANDS for name in (spec.name, *spec.aliases)}
)
"""Every command by its last word: `status` is what people say who mean `/mlbot status`."""


def find(line: str) -> tuple[CommandSpec, str] | None:
    """The command that a line begins with, and the rest of the line; None when the line is not for mlbot.

    Raises:
        MisreadError: It is nearly a command, or names one that `/mlbot` does not have.
    """
    first = _FIRST.match(line)
    if first is None:
        return None
    name, rest = first[1], line[first.end() :]
    if name.lower() == PREFIX:
        return _prefixed(rest)
    spec = named(name.lower())
    if spec is None:
        _refuse_if_near(name)
        return None
    return spec, rest


def _prefixed(rest: str) -> tuple[CommandSpec, str]:
    second = _SECOND.match(rest)
    name = second[1].lower() if second else ""
    spec = named(f"{PREFIX} {name}") or named(name)
    if spec is not None and second is not None:
        return spec, rest[second.end() :]
    usage = f"/{PREFIX} status|help|cancel"
    if not name:
        raise MisreadError(Fault.MISSING, "Say what: status, help or cancel.", usage)
    _refuse_if_near(name, before=f"{PREFIX} ")
    raise MisreadError(Fault.UNKNOWN, f"mlbot has no command {quote(name)}; /mlbot help lists those it has.", usage)


def _refuse_if_near(name: str, before: str = "") -> None:
    plain = INVISIBLE.sub("", name[: 4 * _LONGEST]).lower()
    folded = plain.rstrip(_PUNCTUATION).replace("-", "").replace("_", "")
    if not (folded.isascii() and folded.isalpha() and len(folded) <= _LONGEST):
        return  # a path, a fraction, another alphabet: anybody's
    spec = _near(folded)
    if spec is None:
        return
    if plain != name.lower() and plain in _LAST_WORDS:
        sentence = "There are invisible characters in the command; type it again."
        raise MisreadError(Fault.INVISIBLE, sentence, spec.usage)
    said = quote(f"/{before}{name}")
    raise MisreadError(Fault.UNKNOWN, f"There is no command {said}. Did you mean /{spec.name}?", spec.usage)


def _near(name: str) -> CommandSpec | None:
    """The command that was probably meant."""
    near = [known for known in _LAST_WORDS if abs(len(known) - len(name)) <= 1]
    slips = {known: distance(name, known) for known in near}
    best = min(near, key=lambda known: slips[known], default="")
    return _LAST_WORDS[best] if best and slips[best] <= _forgiven(name, best) else None


def _forgiven(name: str, known: str) -> int:
    """One slip; two where so much else is right that no other bot's command is meant: `/rebase` is not `/release`."""
    return 2 if len(known) > 5 and len(name) == len(known) and name[0] == known[0] else 1


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


# The words of a command: plain, quoted as a keyboard or a phone does it, or `key=value`.

_STYLES = (
    ('"', "\u201c\u201d\u201e\u201f\u2033"),
    ("'", "\u2018\u2019\u201a\u201b\u2032"),
    ("\u00ab\u00bb", "\u2039\u203a"),
)
"""Straight and typographic marks of one kind: a phone may open with the one and close with the other."""

_MARKS = "".join(first + second for first, second in _STYLES)

_SPACE = re.compile(r"\s*+")

_PLAIN = re.compile(r"\S*+")

_KEY = re.compile(r"([A-Za-z0-9_][A-Za-z0-9_.-]*+)=")

_ESCAPE = re.compile(rf"\\([\\{_MARKS}])")


@dataclass(frozen=True, kw_only=True, slots=True)
class Word:
    """One argument as it was written.

    Attributes:
        text: Without its quotation marks.
        key: What stands before its `=`; None for none.
        quoted: Whether it stood in quotation marks.
    """

    text: str
    key: str | None = None
    quoted: bool = False


def _closing(marks: str) -> re.Pattern[str]:
    """Everything up to a mark that ends a word; a mark inside a word (an apostrophe) ends nothing."""
    return re.compile(rf"((?:[^{marks}\\]++|\\[\\{_MARKS}]|\\|[{marks}](?!\s|$))*+)[{marks}]")


_CLOSING = {marks: _closing(marks) for pair in _STYLES for marks in pair}


class _Words:
    """One line, read from left to right."""

    def __init__(self, line: str) -> None:
        self._line = line
        self._place = 0
        self._missing: set[str] = set()
        """Marks that are known to end nothing any more: looked for once, however often they open."""

    def read(self) -> list[Word]:
        words: list[Word] = []
        self._place = self._end(_SPACE)
        while self._place < len(self._line):
            words.append(self._word())
            self._place = self._end(_SPACE)
        return words

    def _end(self, pattern: re.Pattern[str]) -> int:
        found = pattern.match(self._line, self._place)
        return found.end() if found else self._place

    def _word(self) -> Word:
        key = _KEY.match(self._line, self._place)
        self._place = key.end() if key else self._place
        opening = self._line[self._place : self._place + 1]
        name = key[1] if key else None
        if opening and opening in _MARKS:
            return Word(key=name, text=self._quoted(opening), quoted=True)
        start, self._place = self._place, self._end(_PLAIN)
        return Word(key=name, text=self._line[start : self._place])

    def _quoted(self, opening: str) -> str:
        styles = next(pair for pair in _STYLES if opening in "".join(pair))
        for marks in sorted(styles, key=lambda marks: opening not in marks):
            found = None if marks in self._missing else _CLOSING[marks].match(self._line, self._place + 1)
            if found:
                self._place = found.end()
                return _ESCAPE.sub(r"\1", found[1])
            self._missing.add(marks)
        raise MisreadError(Fault.QUOTES, f"The quotation mark {opening} is never closed.")


def split(line: str) -> list[Word]:
    r"""The words of a line.

    A word may stand in quotation marks, straight or typographic; within them `\` before a mark or before another `\`
    takes its meaning away, and only a mark with a space or nothing behind it ends the word.

    Raises:
        MisreadError: A quotation mark is never closed.
    """
    return _Words(line).read()


def quoted(text: str) -> str:
    """A text in quotation marks, so that it is read as one word again."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


Fields = dict[str, object]

_BY_KEY = frozenset({Form.REASON, Form.PARAMETER})

_BUMPS = ("patch", "minor", "major")

_VERSION = re.compile(r"[vV]?+((?:0|[1-9][0-9]{0,8})(?:\.(?:0|[1-9][0-9]{0,8})){2})")

_GATE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,78}(?:@[A-Za-z0-9][A-Za-z0-9._-]{0,78})?")

_HEXADECIMAL = re.compile(r"[0-9a-fA-F]{7,}+")

_MAX_KEY = 100

_SHA_LENGTHS = (40, 64)

_WHOLE = "write all 40 digits of the head's SHA"


def read(spec: CommandSpec, words: Sequence[Word]) -> Fields:
    """The fields of the command's record, without its kind.

    Raises:
        MisreadError: The words are not what the command takes.
    """
    fields = _keyed(spec, [word for word in words if word.key is not None])
    fields |= _positional(spec, [word for word in words if word.key is None])
    _check_trial(fields)
    for argument in spec.arguments:
        if argument.required and not _FIELDS[argument.form] <= fields.keys():
            raise MisreadError(Fault.MISSING, f"{argument.form} is missing.")
    return fields


def _check_trial(fields: Fields) -> None:
    models = fields.get("models", ())
    if fields.get("params") and isinstance(models, tuple) and len(models) != 1:
        fault = Fault.UNEXPECTED if models else Fault.MISSING
        raise MisreadError(fault, "A trial with other parameters is of one model: name it, and no other.")


# What stands behind `key=`


def _keyed(spec: CommandSpec, words: Sequence[Word]) -> Fields:
    forms = {argument.form for argument in spec.arguments}
    found: dict[str, str] = {}
    for word in words:
        key = (word.key or "").lower() if Form.REASON in forms else word.key or ""
        if Form.PARAMETER not in forms and not (Form.REASON in forms and key == "reason"):
            raise MisreadError(Fault.UNEXPECTED, _no_key(spec, key, forms))
        if key in found:
            raise MisreadError(Fault.TWICE, f"{key}= is there twice.")
        found[key] = _value(key, word)
    if Form.PARAMETER in forms:
        return {"params": found} if found else {}
    return {**found}


def _no_key(spec: CommandSpec, key: str, forms: set[Form]) -> str:
    hint = " Did you mean reason=?" if Form.REASON in forms and nearest(key, ("reason",)) else ""
    return f"/{spec.name} takes no {key[:_MAX_KEY]}=.{hint}"


def _value(key: str, word: Word) -> str:
    text, longest = " ".join(word.text.split()), MAX_REASON if key == "reason" else MAX_VALUE
    if len(key) > _MAX_KEY:
        raise MisreadError(Fault.TOO_LONG, f"The name before = has more than {_MAX_KEY} characters.")
    if not text:
        raise MisreadError(Fault.MISSING, f"There is nothing behind {key}=.")
    if len(text) > longest:
        raise MisreadError(Fault.TOO_LONG, f"What stands behind {key}= has more than {longest} characters.")
    return text


# What stands in a place


def _positional(spec: CommandSpec, words: Sequence[Word]) -> Fields:
    slots = [argument for argument in spec.arguments if argument.form not in _BY_KEY | {Form.SHA}]
    commit = any(argument.form is Form.SHA for argument in spec.arguments)
    fields: Fields = {}
    for word in words:
        if commit and _like_sha(word):
            made = _sha(word)
        elif slots:
            slot = slots[0] if slots[0].many else slots.pop(0)
            made = {"models": _more(fields, word)} if slot.many else _READERS[slot.form](word.text)
        else:
            raise _superfluous(spec, word, commit=commit)
        if "sha" in made and "sha" in fields:
            raise MisreadError(Fault.TWICE, "There are two SHAs; only one commit can be head.")
        fields |= made
    return fields


def _more(fields: Fields, word: Word) -> tuple[str, ...]:
    models = fields.get("models", ())
    before = models if isinstance(models, tuple) else ()
    if not is_name(word.text):
        sentence = f"{quote(word.text)} is neither a model's name nor a whole SHA; {_WHOLE}, or a name of mlbot.yaml."
        raise MisreadError(Fault.BAD_VALUE, sentence)
    if word.text in before:
        raise MisreadError(Fault.TWICE, f"The model {word.text} is there twice.")
    return (*before, word.text)


def _superfluous(spec: CommandSpec, word: Word, *, commit: bool) -> MisreadError:
    if commit:
        return MisreadError(Fault.BAD_VALUE, f"{quote(word.text)} is no whole SHA; {_WHOLE}.")
    if any(argument.form is Form.REASON for argument in spec.arguments):
        sentence = f'{quote(word.text)} is one word too many; a reason is written reason="in quotes".'
    else:
        sentence = f"{quote(word.text)} is one word too many."
    return MisreadError(Fault.UNEXPECTED, sentence)


def _like_sha(word: Word) -> bool:
    """Whether a commit is meant. A model whose name looks like one is written in quotation marks."""
    text = word.text
    if word.quoted or not _HEXADECIMAL.fullmatch(text):
        return False
    return len(text) in _SHA_LENGTHS or any(letter.isdigit() for letter in text)


def _sha(word: Word) -> Fields:
    if len(word.text) not in _SHA_LENGTHS:
        sentence = f"{quote(word.text)} is no whole SHA; {_WHOLE}. A model of that name needs quotation marks."
        raise MisreadError(Fault.SHORT_SHA, sentence)
    return {"sha": word.text.lower()}


def _name(what: str, text: str) -> str:
    if is_name(text):
        return text
    raise MisreadError(Fault.BAD_VALUE, f"{quote(text)} is no {what}'s name as mlbot.yaml has them.")


def _version(text: str) -> str:
    if found := _VERSION.fullmatch(text):
        return found[1]
    raise MisreadError(Fault.BAD_VALUE, f"{quote(text)} is no version; write one such as v1.2.0.")


def _step(text: str) -> Fields:
    if text.lower() in _BUMPS:
        return {"bump": text.lower()}
    if found := _VERSION.fullmatch(text):
        return {"version": found[1]}
    sentence = f"{quote(text)} is neither patch, minor or major nor a version such as v1.2.0."
    raise MisreadError(Fault.BAD_VALUE, sentence)


def _versioned(text: str) -> Fields:
    model, at, version = text.partition("@")
    if not at:
        sentence = f"{quote(text)} names no version; write MODEL@VERSION, such as adult-income@v1.2.0."
        raise MisreadError(Fault.BAD_VALUE, sentence)
    return {"model": _name("model", model), "version": _version(version)}


def _gate(text: str) -> Fields:
    model, colon, gate = text.partition(":")
    if not colon:
        sentence = f"{quote(text)} names no gate of a model; write MODEL:GATE, such as adult-income:roc_auc."
        raise MisreadError(Fault.BAD_VALUE, sentence)
    if not _GATE.fullmatch(gate):
        raise MisreadError(Fault.BAD_VALUE, f"{quote(gate)} is no gate; write it as the report's table does.")
    return {"model": _name("model", model), "gate": gate}


_READERS: Mapping[Form, Callable[[str], Fields]] = MappingProxyType(
    {
        Form.MODEL: lambda text: {"model": _name("model", text)},
        Form.ENVIRONMENT: lambda text: {"environment": _name("environment", text)},
        Form.VERSION: lambda text: {"to": _version(text)},
        Form.STEP: _step,
        Form.VERSIONED: _versioned,
        Form.GATE: _gate,
    }
)

_FIELDS: Mapping[Form, frozenset[str]] = MappingProxyType(
    {
        Form.MODEL: frozenset({"model"}),
        Form.ENVIRONMENT: frozenset({"environment"}),
        Form.VERSIONED: frozenset({"model", "version"}),
        Form.GATE: frozenset({"model", "gate"}),
        Form.REASON: frozenset({"reason"}),
    }
)
"""What an argument that has to be there leaves behind."""

# And back


def written(spec: CommandSpec, fields: Mapping[str, object]) -> Iterator[str]:
    """The words that are read into these fields of a command's record."""
    for argument in spec.arguments:
        yield from _WRITERS[argument.form](fields)


def _models(fields: Mapping[str, object]) -> Iterator[str]:
    models = fields.get("models", (fields.get("model"),))
    for name in models if isinstance(models, tuple) else ():
        yield quoted(name) if _like_sha(Word(text=name)) else name


def _params(fields: Mapping[str, object]) -> Iterator[str]:
    params = fields.get("params")
    for key, value in params.items() if isinstance(params, dict) else ():
        yield f"{key}={quoted(value)}"


def _one(template: str, *names: str) -> Callable[[Mapping[str, object]], Iterator[str]]:
    def write(fields: Mapping[str, object]) -> Iterator[str]:
        if all(fields.get(name) for name in names):
            yield template.format(**fields)

    return write


def _steps(fields: Mapping[str, object]) -> Iterator[str]:
    yield from _one("v{version}", "version")(fields)
    yield from _one("{bump}", "bump")(fields)


def _reason(fields: Mapping[str, object]) -> Iterator[str]:
    if reason := fields.get("reason"):
        yield f"reason={quoted(str(reason))}"


_WRITERS: Mapping[Form, Callable[[Mapping[str, object]], Iterator[str]]] = MappingProxyType(
    {
        Form.MODEL: _models,
        Form.SHA: _one("{sha}", "sha"),
        Form.PARAMETER: _params,
        Form.GATE: _one("{model}:{gate}", "model", "gate"),
        Form.REASON: _reason,
        Form.VERSIONED: _one("{model}@v{version}", "model", "version"),
        Form.VERSION: _one("v{to}", "to"),
        Form.STEP: _steps,
        Form.ENVIRONMENT: _one("{environment}", "environment"),
    }
)
