"""May a trial change these parameters? The allow-list is the policy's config; a pull request's own does not count."""

import math
from collections.abc import Mapping

from mlbot.config.errors import INVISIBLE, nearest
from mlbot.config.schema import Model
from mlbot.config.train import MAX_CHOICE, Tunable
from mlbot.lib.record import Params, Record, Scalar, resolve

_BOOLEANS = {"true": True, "false": False}


class ParamProblem(Record):
    """A parameter that a trial may not have."""

    name: str
    value: str
    tunable: Tunable | None = None  # what it may be; None where it may not be changed at all
    near: str | None = None  # the parameter that was probably meant


def checked(model: Model, given: Mapping[str, str]) -> Params | tuple[ParamProblem, ...]:
    """The parameters of a trial by name, each of its type; or what is wrong with each that is not allowed.

    Args:
        model: As the policy's config has it.
        given: What the command says, a text a name.
    """
    known = {each.name: each for each in model.train.tunable}
    params: Params = {}
    problems: list[ParamProblem] = []
    for name, text in given.items():
        tunable = known.get(name)
        value = _value(tunable, text) if tunable else None
        if value is None:
            near = None if tunable else nearest(name, known)
            problems.append(ParamProblem(name=name, value=text, tunable=tunable, near=near))
        else:
            params[name] = value
    return tuple(problems) or params


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
