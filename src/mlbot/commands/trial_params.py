"""May a trial change these parameters? The allow-list is the policy's config; a pull request's own does not count."""

import math
from collections.abc import Mapping

from mlbot.config.document import Params
from mlbot.config.errors import INVISIBLE, quote
from mlbot.config.reader import nearest, one_of
from mlbot.config.schema import MAX_CHOICE, Model, Tunable
from mlbot.lib.scalar import Scalar, resolve

_BOOLEANS = {"true": True, "false": False}


def checked(model: Model, given: Mapping[str, str]) -> Params | tuple[str, ...]:
    """The parameters of a trial by name, each of its type.

    Args:
        model: As the policy's config has it.
        given: What the command says, a text a name.

    Returns:
        The values; or a sentence for each that is not allowed, with what is.
    """
    known = {each.name: each for each in model.train.tunable}
    params: Params = {}
    problems: list[str] = []
    for name, text in given.items():
        tunable = known.get(name)
        value = _value(tunable, text) if tunable else None
        if tunable is None:
            problems.append(_unknown(model, name, known))
        elif value is None:
            problems.append(f"{name} cannot be {quote(text)}: it takes {allowed(tunable)}.")
        else:
            params[name] = value
    return tuple(problems) or params


def allowed(tunable: Tunable) -> str:
    """The values that a parameter takes, in words: `a whole number from 1 to 20`, `15, 31 or 63`."""
    match tunable.type:
        case "int":
            return f"a whole number from {tunable.min} to {tunable.max}"
        case "float":
            return f"a number from {_plain(tunable.min)} to {_plain(tunable.max)}"
        case "bool":
            return "true or false"
        case "str":
            return f"a text of at most {MAX_CHOICE} characters"
        case None:
            return one_of(_plain(choice) for choice in tunable.choices)


def _unknown(model: Model, name: str, known: Mapping[str, Tunable]) -> str:
    said = f"{quote(name)} is no parameter that a trial of {model.name} may change"
    if not known:
        return f"{said}: its config lists none under train.tunable."
    close = nearest(name, known)
    hint = f"Did you mean {close}?" if close else f"It may change {_and(known)}."
    return f"{said}. {hint}"


def _and(names: Mapping[str, Tunable]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _value(tunable: Tunable, text: str) -> bool | int | float | str | None:
    match tunable.type:
        case "bool":
            return _BOOLEANS.get(text.lower())
        case "str":
            return text if _is_word(text) else None
        case "int" | "float":
            return _number(tunable, resolve(text))
        case None:
            return next((choice for choice in tunable.choices if _is(choice, text)), None)


def _number(tunable: Tunable, value: Scalar) -> int | float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    if tunable.type == "int" and not isinstance(value, int):
        return None
    if tunable.min is None or tunable.max is None or not tunable.min <= value <= tunable.max:
        return None
    return value if tunable.type == "int" else float(value)


def _is(choice: Scalar, text: str) -> bool:
    """Whether a text means a choice: word for word, or the same number or truth written another way."""
    if isinstance(choice, str) or text == _plain(choice):
        return text == choice or text == _plain(choice)
    meant = resolve(text)
    return meant == choice and isinstance(meant, bool) == isinstance(choice, bool)


def _is_word(text: str) -> bool:
    return bool(text.strip()) and len(text) <= MAX_CHOICE and "\n" not in text and not INVISIBLE.search(text)


def _plain(value: Scalar) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.10g}" if isinstance(value, float) else str(value)
