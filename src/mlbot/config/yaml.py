"""YAML as plain data with positions: the only importer of PyYAML.

Reads what YAML 1.2's core schema says a plain scalar means, so `on`, `yes`, `no` and dates stay text (YAML 1.1 reads
them as booleans and dates: https://yaml.org/spec/1.2.2/#103-core-schema). Nothing is ever constructed but plain data:
tags are refused, aliases are counted, and depth, size and the number of values are limited.
"""

from typing import NamedTuple, NoReturn

import yaml

from mlbot.config.document import Document, Params, Place, Plain, Position
from mlbot.config.errors import MAX_DEPTH, ConfigError, ConfigProblem, decode, quote, refusal, show_path
from mlbot.config.params import flatten, json_document
from mlbot.lib.scalar import resolve

_MAX_VALUES = 200_000
"""Values after aliases are followed, so that a few lines cannot stand for billions (the billion laughs)."""

# libyaml's parser where PyYAML was built with it: ten times as fast
_LOADER: type[yaml.SafeLoader] | type[yaml.CSafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load(text: bytes | str, source: str) -> Document:
    """Read one YAML document as plain data with the place of every key and value.

    Args:
        text: The file's content; UTF-8 when bytes.
        source: The file's name, as errors show it.

    Raises:
        ConfigError: It is no YAML, or uses what is not read: tags, several documents, lists as keys, duplicate keys,
            too many aliases, too deep or too large.
    """
    decoded = decode(text, source)
    builder = _Builder(decoded, source)
    try:
        data, root = builder.document()
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(error, decoded, source, builder.opened) from error
    except yaml.YAMLError as error:
        raise refusal("text that is no YAML", "check it with a YAML linter", source) from error
    finally:
        builder.close()
    if builder.duplicates:
        raise ConfigError(builder.duplicates, source=source)
    return Document(source=source, data=data, root=root)


def load_params(text: bytes | str, source: str) -> Params:
    """Read the parameters of a training, flattened with dots: `{a: {b: [1, 2]}}` gives `a.b.0` and `a.b.1`.

    Args:
        text: The file's content: YAML, or JSON when `source` ends in `.json`.
        source: The file's name, as errors show it.

    Raises:
        ConfigError: It cannot be read, is no mapping, names a parameter twice, or holds NaN or infinity.
    """
    document = json_document(decode(text, source), source) if source.endswith(".json") else load(text, source)
    return flatten(document)


_UNFINISHED = (
    ("a quote or bracket that is never closed", "close it"),
    ("a line without `: `", "write `key: value`, and check the quotes above"),
)

# Own words for the parser's: libyaml's and PyYAML's differ, and neither says what to do.
_MISTAKES: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (("end of stream", "stream end"), *_UNFINISHED[0]),
    (("expected ':'",), *_UNFINISHED[1]),
    (
        ("mapping values are not allowed",),
        "a `:` that cannot stand here",
        "put text that contains `: ` in quotes, or fix the indentation",
    ),
    (
        ("indentation indicators", "expected comment", "expected a comment"),
        "text that starts with > or |",
        "put the text in quotes",
    ),
    (("escape",), "a backslash escape that YAML does not know", "put the text in single quotes"),
)


def _syntax_error(error: yaml.MarkedYAMLError, text: str, source: str, opened: list[Position]) -> ConfigError:
    found, hint = _explain(str(error.problem), text[error.problem_mark.index :] if error.problem_mark else "")
    # what was never finished is to be looked for where it starts, not where the file ends
    mark = (error.context_mark if (found, hint) in _UNFINISHED else None) or error.problem_mark
    place = Position(mark.line + 1, mark.column + 1) if mark else None
    if (found, hint) == _UNFINISHED[0] and "quoted" not in str(error.context) and opened:
        place = opened[-1]
    return refusal(found, hint, source, place)


def _explain(problem: str, rest: str) -> tuple[str, str]:
    if "cannot start any token" in problem:
        if rest.startswith("\t"):
            return "a tab", "indent with spaces"
        return f"text that starts with {rest[:1]}", "put the text in quotes"
    for fragments, found, hint in _MISTAKES:
        if any(fragment in problem for fragment in fragments):
            return found, hint
    if not rest.strip():
        return _UNFINISHED[0]
    return "a mistake in the YAML", "check the indentation, quotes and brackets here and in the line above"


class _Anchored(NamedTuple):
    """A value that aliases can repeat, with the values and levels inside it."""

    value: Plain
    place: Place
    values: int
    height: int


class _Mapping:
    """A mapping being read."""

    def __init__(self) -> None:
        self.data: dict[str, Plain] = {}
        self.keys: dict[str, Position] = {}
        self.children: dict[str, Place] = {}
        self.merged: list[tuple[Plain, Place]] = []

    def add(self, key: str, value: Plain, at: Position, place: Place) -> None:
        """Take a key that is not there yet."""
        self.data[key], self.keys[key], self.children[key] = value, at, place

    def finished(self, start: Position) -> tuple[Plain, Place]:
        """The mapping with what `<<` adds to its own keys."""
        for value, place in self.merged:
            for key, inside in value.items() if isinstance(value, dict) else ():
                child = place.child(key)
                if key not in self.data and child is not None:
                    self.add(key, inside, place.keys[key], child)
        return self.data, Place(value=start, keys=self.keys, children=self.children)


class _Builder:
    """Builds data and places from the parser's events in one walk."""

    def __init__(self, text: str, source: str) -> None:
        self._source = source
        self._parser = _LOADER(text)
        self._anchors: dict[str, _Anchored] = {}
        self._values = 0
        self._height = 0
        """Levels below the value that was built last."""
        self._path: list[str | int] = []
        self.duplicates: list[ConfigProblem] = []
        self.opened: list[Position] = []
        """Where the collections start that are not finished yet, the innermost last."""

    def close(self) -> None:
        """Let the parser's memory go."""
        self._parser.dispose()

    def document(self) -> tuple[Plain, Place | None]:
        """The only document of the stream."""
        while not isinstance(event := self._next(), yaml.StreamEndEvent):
            if isinstance(event, yaml.DocumentStartEvent):
                built = self._build(self._next())
                self._next()
                self._refuse_more(self._next())
                return built
        return None, None

    def _next(self) -> yaml.Event:
        event = self._parser.get_event()
        if not isinstance(event, yaml.Event):
            raise yaml.YAMLError("the stream ended early")
        return event

    def _refuse_more(self, event: yaml.Event) -> None:
        if not isinstance(event, yaml.StreamEndEvent):
            self._refuse(event, "a second document", "keep one document: delete the `---` and what follows")

    def _refuse(self, event: yaml.Event, found: str, hint: str) -> NoReturn:
        raise refusal(found, hint, self._source, _start(event), tuple(self._path))

    def _build(self, event: yaml.Event) -> tuple[Plain, Place]:
        before = self._values
        self._count(event, 1)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        self._refuse_tag(event)
        if isinstance(event, yaml.ScalarEvent):
            self._height = 0
            value: Plain = resolve(event.value) if event.implicit[0] else event.value
            built = value, Place(value=_start(event))
        else:
            built = self._collection(event)
        if isinstance(event, yaml.NodeEvent) and event.anchor:
            self._anchors[event.anchor] = _Anchored(*built, self._values - before, self._height)
        return built

    def _collection(self, event: yaml.Event) -> tuple[Plain, Place]:
        self._limit_depth(event, 1)
        self.opened.append(_start(event))
        built = self._mapping(event) if isinstance(event, yaml.MappingStartEvent) else self._sequence(event)
        self.opened.pop()
        return built

    def _refuse_tag(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent) and event.tag is not None:
            self._refuse(event, f"the tag {quote(event.tag)}", "write plain YAML without tags")

    def _limit_depth(self, event: yaml.Event, height: int) -> None:
        if len(self._path) + height > MAX_DEPTH:
            self._refuse(event, f"more than {MAX_DEPTH} levels", "make it flatter")

    def _count(self, event: yaml.Event, values: int) -> None:
        self._values += values
        if self._values > _MAX_VALUES:
            self._refuse(event, f"more than {_MAX_VALUES:,} values", "make the file smaller, or use fewer aliases")

    def _alias(self, event: yaml.AliasEvent) -> tuple[Plain, Place]:
        anchored = self._anchors.get(event.anchor or "")
        if anchored is None:
            self._refuse(event, f"the alias {quote(f'*{event.anchor}')}", "define its anchor before it, outside of it")
        self._count(event, anchored.values)
        self._limit_depth(event, anchored.height)
        self._height = anchored.height
        place = anchored.place
        return anchored.value, Place(value=_start(event), keys=place.keys, children=place.children)

    def _sequence(self, start: yaml.Event) -> tuple[Plain, Place]:
        items: list[Plain] = []
        places: list[Place] = []
        height = 0
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            self._path.append(len(items))
            value, place = self._build(event)
            self._path.pop()
            height = max(height, self._height)
            items.append(value)
            places.append(place)
        self._height = height + 1
        return items, Place(value=_start(start), children=tuple(places))

    def _mapping(self, start: yaml.Event) -> tuple[Plain, Place]:
        made = _Mapping()
        height = 0
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            key, plain = self._key(event)
            self._path.append(key)
            value, place = self._build(self._next())
            height = max(height, self._height)
            if plain and key == "<<":
                made.merged.extend(self._sources(event, value, place))
            elif key in made.data:
                self._duplicate(key, _start(event), made.keys[key])
            else:
                made.add(key, value, _start(event), place)
            self._path.pop()
        self._height = height + 1
        return made.finished(_start(start))

    def _key(self, event: yaml.Event) -> tuple[str, bool]:
        """The text of a key, and whether it is unquoted. It stays text whatever it looks like: `on`, `1`, `true`."""
        self._count(event, 1)
        if not isinstance(event, yaml.ScalarEvent):
            self._refuse(event, "a key that is no plain text", "write a name as the key")
        self._refuse_tag(event)
        return event.value, event.implicit[0]

    def _sources(self, event: yaml.Event, value: Plain, place: Place) -> list[tuple[Plain, Place]]:
        """What `<<` merges: a mapping, or a list of them; earlier ones win (https://yaml.org/type/merge.html)."""
        pairs = [(value, place)]
        if isinstance(value, list) and isinstance(place.children, tuple):
            pairs = list(zip(value, place.children, strict=True))
        if not all(isinstance(inside, dict) for inside, _ in pairs):
            self._refuse(event, "`<<` without a mapping", "give it the alias of a mapping: `<<: *defaults`")
        return pairs

    def _duplicate(self, key: str, here: Position, first: Position) -> None:
        self.duplicates.append(
            ConfigProblem(
                line=here.line,
                column=here.column,
                path=show_path(tuple(self._path)),
                found=f"the key {quote(key)} a second time; the first is in line {first.line}",
                hint="keep one of them",
            )
        )


def _start(event: yaml.Event) -> Position:
    mark = event.start_mark
    return Position(mark.line + 1, mark.column + 1) if mark else Position(1, 1)
