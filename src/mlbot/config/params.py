"""Parameters of a training: nested data flattened to names with dots."""

import json
import math
from collections import Counter
from collections.abc import Iterator
from typing import NoReturn

from mlbot.config.document import Document, KeyPath, Params, Plain, Position
from mlbot.config.errors import MAX_DEPTH, ConfigError, ConfigProblem, problem_at, quote, refusal
from mlbot.lib.scalar import Scalar


def flatten(document: Document) -> Params:
    """The parameters by name: `{tree: {depth: 3}, layers: [64, 32]}` gives `tree.depth`, `layers.0` and `layers.1`.

    An empty file has no parameters; an empty mapping or list inside gives none.

    Raises:
        ConfigError: It is no mapping, two parameters have one name, or one is NaN, infinite or no text of Unicode.
    """
    if document.data is None:
        return {}
    if not isinstance(document.data, dict):
        raise refusal("no mapping", "write each as `name: value`", document.source)
    params: Params = {}
    problems: list[ConfigProblem] = []
    for path, value in _leaves(document.data):
        name = ".".join(str(key) for key in path)
        if name in params:
            problems.append(problem_at(document, path, f"{quote(name)} a second time", "give each parameter one name"))
        elif wrong := _wrong(name, value):
            problems.append(problem_at(document, path, *wrong))
        else:
            params[name] = value
    if problems:
        raise ConfigError(problems, source=document.source)
    return params


def paths(document: Document) -> dict[str, KeyPath]:
    """Where each parameter stands in the document, by the name that `flatten` gives it."""
    return {".".join(map(str, path)): path for path, _ in _leaves(document.data)}


def json_document(text: str, source: str) -> Document:
    """Read JSON as plain data, more strictly than Python does.

    Raises:
        ConfigError: It is no JSON, is too deep, names a key twice, or holds NaN, infinity or a giant number.
    """

    def pairs(items: list[tuple[str, Plain]]) -> dict[str, Plain]:
        made = dict(items)
        if len(made) != len(items):
            twice, _ = Counter(key for key, _ in items).most_common(1)[0]
            raise refusal(f"the key {quote(twice)} a second time", "keep one of them", source)
        return made

    def constant(name: str) -> NoReturn:
        raise refusal(name, "write a finite number, or null for none", source)

    try:
        data: Plain = json.loads(text, object_pairs_hook=pairs, parse_constant=constant)
    except json.JSONDecodeError as error:
        place = Position(error.lineno, error.colno)
        raise refusal(f"text that is no JSON ({error.msg})", "fix the JSON", source, place) from error
    except (RecursionError, ValueError) as error:
        raise refusal("JSON that is too deep, or a number of too many digits", "make it smaller", source) from error
    if _depth_exceeds(data, MAX_DEPTH):
        raise refusal(f"more than {MAX_DEPTH} levels", "make it flatter", source)
    return Document(source=source, data=data)


def _leaves(value: Plain, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Scalar]]:
    match value:
        case dict():
            for key, inside in value.items():
                yield from _leaves(inside, (*path, key))
        case list():
            for index, inside in enumerate(value):
                yield from _leaves(inside, (*path, index))
        case _:
            yield path, value


def _wrong(name: str, value: Scalar) -> tuple[str, str] | None:
    if isinstance(value, float) and not math.isfinite(value):
        return "a number that is not finite", "write a finite number, or null for none"
    text = f"{name}{value}" if isinstance(value, str) else name
    if any("\ud800" <= char <= "\udfff" for char in text):
        return "half of a surrogate pair", "write the character itself"
    return None


def _depth_exceeds(value: Plain, limit: int) -> bool:
    level: list[Plain] = [value]
    for _ in range(limit + 1):
        level = [
            inside
            for outer in level
            if isinstance(outer, dict | list)
            for inside in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return bool(level)
