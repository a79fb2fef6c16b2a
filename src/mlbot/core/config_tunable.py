"""The parameters that a trial may change, as mlbot.yaml writes them: a type with its bounds, or a list of choices."""

import math
import re
from collections.abc import Mapping

from mlbot.core.config import Tunable
from mlbot.core.config_error import INVISIBLE, quote
from mlbot.core.config_reader import Reader
from mlbot.core.scalar import Scalar

TYPES = ("int", "float", "bool", "str")
TUNABLE_KEYS = ("type", "min", "max")
MAX_TUNABLE = 64
"""Parameters that a model may offer."""
MAX_CHOICES = 64
MAX_CHOICE = 200
"""Characters of a text that a parameter may be."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
"""What a command can write before its `=`."""


def read_tunable(reader: Reader) -> tuple[Tunable, ...]:
    """The tunable parameters in the file's order, without those that cannot be read."""
    if not isinstance(reader.value, dict) or not reader.value:
        reader.refuse("a mapping from the name of each parameter, such as `depth: {type: int, min: 1, max: 20}`")
        return ()
    if len(reader.value) > MAX_TUNABLE:
        reader.refuse(f"at most {MAX_TUNABLE} parameters", found=f"{len(reader.value)} parameters")
        return ()
    made = {name: reader.child(name, value) for name, value in reader.value.items()}
    return tuple(tunable for name, field in made.items() if (tunable := _tunable(field, name)) is not None)


def _tunable(reader: Reader, name: str) -> Tunable | None:
    before = len(reader.notes.problems)
    if not _NAME.fullmatch(name):
        write = "a name of letters, digits, `_`, `-` and `.` (between levels), of at most 100"
        reader.refuse(write, found=f"the parameter {quote(name)}")
    if isinstance(reader.value, list):
        choices = _choices(reader)
        return Tunable(name=name, choices=choices) if len(reader.notes.problems) == before else None
    if not isinstance(reader.value, dict):
        reader.refuse("{type: float, min: 0, max: 1}, or a list of choices")
        return None
    fields = reader.fields(TUNABLE_KEYS, required=("type",))
    kind = fields["type"].choice(TYPES) if "type" in fields else None
    bounds = _bounds(reader, fields, kind) if kind else {}
    if len(reader.notes.problems) > before:
        return None
    return Tunable.model_validate({"name": name, "type": kind, **bounds})


def _bounds(reader: Reader, fields: Mapping[str, Reader], kind: str) -> dict[str, int | float | None]:
    """A number's least and most; without them a trial could ask for a training of days."""
    given = {key: fields[key] for key in ("min", "max") if key in fields}
    if kind not in {"int", "float"}:
        for field in given.values():
            field.refuse(f"no bounds; a {kind} has none")
        return {}
    if len(given) < 2:
        missing = " and ".join(key for key in ("min", "max") if key not in given)
        reader.refuse(f"both bounds: {{type: {kind}, min: 1, max: 10}}", found=f"no {missing}")
    read = {key: _bound(field, kind) for key, field in given.items()}
    low, high = read.get("min"), read.get("max")
    if low is not None and high is not None and low > high:
        fields["max"].refuse(f"at least {low}, the min")
    return read


def _bound(reader: Reader, kind: str) -> int | float | None:
    value = reader.value
    if kind == "int":
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53:
            return value
        reader.refuse("a whole number, for the type is int")
        return None
    return reader.number("a number", math.isfinite)


def _choices(reader: Reader) -> tuple[bool | int | float | str, ...]:
    items = reader.items("values")
    if len(items) > MAX_CHOICES:
        reader.refuse(f"at most {MAX_CHOICES} choices", found=f"{len(items)} choices")
        return ()
    made: dict[str, bool | int | float | str] = {}
    for item in items:
        value = _choice(item)
        label = _label(value)
        if value is not None and label in made:
            item.refuse("each once", found=f"{quote(label)} again")
        elif value is not None:
            made[label] = value
    return tuple(made.values())


def _choice(reader: Reader) -> bool | int | float | str | None:
    value = reader.value
    if isinstance(value, int | float):
        finite = isinstance(value, bool) or reader.number("a number, a word, true or false", math.isfinite) is not None
        return value if finite else None
    if isinstance(value, str) and _is_word(value):
        return value
    reader.refuse(f"a number, true, false, or a word of at most {MAX_CHOICE} characters")
    return None


def _is_word(text: str) -> bool:
    shown = text.strip() == text and "\n" not in text and "\t" not in text and not INVISIBLE.search(text)
    return shown and 0 < len(text) <= MAX_CHOICE


def _label(value: Scalar) -> str:
    """How a choice is written in a command."""
    return str(value).lower() if isinstance(value, bool) else str(value)
