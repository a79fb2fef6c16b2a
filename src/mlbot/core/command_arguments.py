"""The arguments of a command, read by the forms that the table gives it, and written again."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType

from mlbot.core.command_fault import Fault, MisreadError
from mlbot.core.command_table import MAX_REASON, MAX_VALUE, CommandSpec, Form
from mlbot.core.command_words import Word, quoted
from mlbot.core.config_error import quote
from mlbot.core.config_reader import is_name, nearest

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
