"""Parameters of a training: nested data flattened to names with dots."""

import json
import math
from collections import Counter
from collections.abc import Iterator
from typing import NoReturn

from mlbot.config.errors import ConfigError, Document, KeyPath, Plain, Position, Problem, quote
from mlbot.config.yaml import MAX_DEPTH, decode, load, refusal
from mlbot.lib.record import Params, Scalar


def load_params(text: bytes | str, source: str) -> Params:
    """Read the parameters of a training: `{tree: {depth: 3}, layers: [64]}` gives `tree.depth` and `layers.0`.

    An empty file has no parameters; an empty mapping or list inside gives none. JSON when `source` ends in `.json`.
    Raises `ConfigError` also for two parameters of one name, NaN, infinity and what is no text of Unicode.
    """
    document = _json_document(decode(text, source), source) if source.endswith(".json") else load(text, source)
    if not isinstance(document.data, dict | None):
        raise refusal("no mapping", "write each as `name: value`", source)
    params: Params = {}
    problems: list[Problem] = []
    for path, value in _leaves(document.data or {}, source):
        name = _name(path)
        if name in params:
            wrong: Problem | None = Problem(f"{quote(name)} a second time", "give each parameter one name")
        else:
            params[name], wrong = value, _wrong(name, value)
        if wrong:
            problems.append(document.located(wrong._replace(at=path)))
    if problems:
        raise ConfigError(problems, source=source)
    return params


def positions(document: Document) -> dict[str, Position]:
    """Where the value of each parameter is, by the name that `load_params` gives it."""
    return {_name(path): document.values[path] for path, _ in _leaves(document.data, document.source)}


def _json_document(text: str, source: str) -> Document:
    """Read JSON as plain data, more strictly than Python does: no key twice, no NaN, infinity or giant number."""

    def pairs(items: list[tuple[str, Plain]]) -> dict[str, Plain]:
        made = dict(items)
        if len(made) != len(items):
            twice, _ = Counter(key for key, _ in items).most_common(1)[0]
            raise refusal(f"the key {quote(twice)} a second time", "keep one of them", source)
        return made

    def constant(name: str) -> NoReturn:
        raise refusal(name, "write a finite number, or null for none", source)

    try:
        return Document(source=source, data=json.loads(text, object_pairs_hook=pairs, parse_constant=constant))
    except json.JSONDecodeError as error:
        place = Position(error.lineno, error.colno)
        raise refusal(f"text that is no JSON ({error.msg})", "fix the JSON", source, place) from error
    except (RecursionError, ValueError) as error:
        raise refusal("JSON that is too deep, or a number of too many digits", "make it smaller", source) from error


def _name(path: KeyPath) -> str:
    return ".".join(map(str, path))


def _leaves(value: Plain, source: str, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Scalar]]:
    if not isinstance(value, dict | list):
        yield path, value
        return
    if len(path) >= MAX_DEPTH:
        raise refusal(f"more than {MAX_DEPTH} levels", "make it flatter", source)
    for key, inside in value.items() if isinstance(value, dict) else enumerate(value):
        yield from _leaves(inside, source, (*path, key))


def _wrong(name: str, value: Scalar) -> Problem | None:
    if isinstance(value, float) and not math.isfinite(value):
        return Problem("a number that is not finite", "write a finite number, or null for none")
    text = f"{name}{value}" if isinstance(value, str) else name
    if any("\ud800" <= char <= "\udfff" for char in text):
        return Problem("half of a surrogate pair", "write the character itself")
    return None
