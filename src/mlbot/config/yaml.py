"""YAML as plain data with positions: the only importer of PyYAML.

A plain scalar means what YAML 1.2's core schema says (see lib/record.py), so `on`, `yes`, `no` and dates stay text.
Nothing is ever constructed but plain data: tags are refused, aliases are counted, and depth, size and the number of
values are limited.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import yaml

from mlbot.config.errors import ConfigError, Document, KeyPath, Plain, Position, Problem, quote
from mlbot.lib.record import resolve

MAX_BYTES = 2 * 1024 * 1024
MAX_DEPTH = 64  # levels of mappings and lists inside each other
_MAX_VALUES = 200_000
"""Values after aliases are followed, so that a few lines cannot stand for billions (the billion laughs)."""
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_WORD_END = re.compile(r"[\s,{}\[\]]")
_PLAIN_TAG, _QUOTED_TAG = "plain", "quoted"


def refusal(found: str, hint: str, source: str, at: Position | None = None, path: KeyPath = ()) -> ConfigError:
    """One problem that ends the reading."""
    return ConfigError([Problem(found, hint, path, position=at)], source=source)


def load(text: bytes | str, source: str) -> Document:
    """Read one YAML document as plain data with the place of every key and value.

    Raises `ConfigError` for tags, several documents, lists as keys, duplicate keys, and what is too deep or too large.
    """
    decoded = decode(text, source)
    composer = _Composer(decoded, source)
    try:
        root = composer.get_single_node()
    except yaml.MarkedYAMLError as error:
        found, hint, mark = _explained(error, decoded, composer.innermost())
        raise refusal(found, hint, source, _position(mark) if mark else None) from error
    except yaml.YAMLError as error:
        raise refusal("text that is no YAML", "check it with a YAML linter", source) from error
    finally:
        composer.dispose()
    builder = _Builder(source)
    data = None if root is None else builder.plain(root, (), root)
    if builder.duplicates:
        raise ConfigError(builder.duplicates.values(), source=source)
    return Document(source=source, data=data, values=builder.values, keys=builder.keys)


def plain_top(text: bytes) -> Mapping[str, Sequence[str]]:
    """The keys at the top of a mapping, each with the words of its value: one, or those of a list.

    For who needs nothing else of a file. Empty where the top is not that plain, or no YAML: `load` says what is wrong.
    """
    words: dict[str, list[str]] = {}
    key, depth = None, 0
    try:
        # Events, for they need no stack: what is below is neither made nor limited.
        for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            starts, ends = isinstance(event, yaml.CollectionStartEvent), isinstance(event, yaml.CollectionEndEvent)
            word = event.value if isinstance(event, yaml.ScalarEvent) and event.tag is None else None
            depth -= ends
            if depth <= 2 and isinstance(event, yaml.AliasEvent):
                return {}
            if depth == 0 and isinstance(event, yaml.SequenceStartEvent):
                return {}
            if depth == 1 and key is None and not ends:
                if word is None or word in {"<<", *words}:
                    return {}
                key, words[word] = word, []
            else:
                if key is not None and word is not None and depth <= 2:
                    words[key].append(word)
                key = None if depth == 1 and not starts else key
            depth += starts
    except yaml.YAMLError:
        return {}
    return words


def decode(text: bytes | str, source: str) -> str:
    """A file's content as text: UTF-8, not too long, without control characters."""
    if len(text) > MAX_BYTES:
        raise refusal(f"a file of {len(text):,} bytes", f"keep it below {MAX_BYTES:,} bytes", source)
    try:
        decoded = text.decode("utf-8-sig") if isinstance(text, bytes) else text.removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        at = Position(error.object.count(b"\n", 0, error.start) + 1, 1)
        raise refusal("bytes that are no UTF-8", "save the file as UTF-8", source, at) from error
    if bad := _UNPRINTABLE.search(decoded):
        at = Position(decoded.count("\n", 0, bad.start()) + 1, bad.start() - decoded.rfind("\n", 0, bad.start()))
        hint = "delete it, or write it as an escape in quotes"
        raise refusal(f"the control character U+{ord(bad[0]):04X}", hint, source, at)
    return decoded


_UNFINISHED = (
    ("a quote or bracket that is never closed", "close it"),
    ("a line without `: `", "write `key: value`, and check the quotes above"),
)
# Own words for the parser's: libyaml's and PyYAML's differ, and neither says what to do.
_MISTAKES: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (("end of stream", "stream end"), *_UNFINISHED[0]),
    (("expected ':'",), *_UNFINISHED[1]),
    (("another document",), "a second document", "keep one document: delete the `---` and what follows"),
    (("second occurrence",), "an anchor's name a second time", "give each anchor a name of its own"),
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


def _explained(error: yaml.MarkedYAMLError, text: str, innermost: Any) -> tuple[str, str, Any]:
    found, hint = _explain(str(error.problem), text[error.problem_mark.index :] if error.problem_mark else "")
    if (found, hint) == _UNFINISHED[0] and "quoted" not in str(error.context) and innermost:
        return found, hint, innermost
    # what was never finished is to be looked for where it starts, not where the file ends
    mark = (error.context_mark if (found, hint) in _UNFINISHED else None) or error.problem_mark
    return found, hint, mark


def _explain(problem: str, rest: str) -> tuple[str, str]:
    if "cannot start any token" in problem:
        if rest.startswith("\t"):
            return "a tab", "indent with spaces"
        return f"text that starts with {rest[:1]}", "put the text in quotes"
    if "undefined alias" in problem:
        return f"the alias {quote(_WORD_END.split(rest)[0])}", "define its anchor before it"
    for fragments, found, hint in _MISTAKES:
        if any(fragment in problem for fragment in fragments):
            return found, hint
    if not rest.strip():
        return _UNFINISHED[0]
    return "a mistake in the YAML", "check the indentation, quotes and brackets here and in the line above"


def _position(mark: Any) -> Position:
    return Position(mark.line + 1, mark.column + 1)


_DEEP = f"more than {MAX_DEPTH} levels", "make it flatter"
_NO_MAPPING = "`<<` without a mapping", "give it the alias of a mapping: `<<: *defaults`"
_MANY = f"more than {_MAX_VALUES:,} values", "make the file smaller, or use fewer aliases"


class _Limits:
    """What a loader keeps to while it composes nodes: a file of a few bytes can nest deeper than any stack."""

    def __init__(self, text: str, source: str) -> None:
        super().__init__(text)  # type: ignore[call-arg] # of the loader that this is mixed into
        self._source = source
        self._trail: list[tuple[yaml.Node | None, Any]] = []
        """Of each node that is being composed: what it is in, and its index or key there."""
        self._nodes = 0

    def resolve(self, kind: type, value: object, implicit: bool | tuple[bool, bool]) -> str:  # noqa: FBT001 - PyYAML's
        """The tag of a node that has none of its own, by whether it is quoted; so a written tag can be seen."""
        del kind, value
        return _PLAIN_TAG if implicit is True or (isinstance(implicit, tuple) and implicit[0]) else _QUOTED_TAG

    def descend_resolver(self, parent: yaml.Node | None, index: Any) -> None:
        """Take note of a node that is about to be composed."""
        self._trail.append((parent, index))
        self._nodes += 1
        if len(self._trail) > MAX_DEPTH + 1 or self._nodes > _MAX_VALUES:
            indices = [index.value if isinstance(index, yaml.ScalarNode) else index for _, index in self._trail]
            path = tuple(index for index in indices if isinstance(index, str | int))
            limit = _MANY if self._nodes > _MAX_VALUES else _DEEP
            raise refusal(*limit, self._source, _position(self.innermost()), path[:MAX_DEPTH])

    def ascend_resolver(self) -> None:
        """Take note that it is done."""
        self._trail.pop()

    def innermost(self) -> Any:
        """The mark of the key or collection in which the parser is."""
        parent, index = self._trail[-1] if self._trail else (None, None)
        node = index if isinstance(index, yaml.Node) else parent
        return node.start_mark if node else None


# libyaml's parser where PyYAML was built with it: ten times as fast
_Composer: Any = type("_Composer", (_Limits, getattr(yaml, "CSafeLoader", yaml.SafeLoader)), {})


class _Builder:
    """Makes plain data of nodes, and notes where each value is. What an alias repeats is made and counted again."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._open: list[yaml.Node] = []
        """The collections that are being made."""
        self._count = 0
        self._seen: set[yaml.Node] = set()
        self.values: dict[KeyPath, Position] = {}
        self.keys: dict[KeyPath, Position] = {}
        self.duplicates: dict[Position, Problem] = {}

    def plain(self, node: yaml.Node, path: KeyPath, near: yaml.Node) -> Plain:
        """The data of a node.

        `near` is the key or list before it: where an alias to it is, when it is refused.
        """
        place = near if node in self._seen else node
        self._seen.add(node)
        self._check(node, path, place)
        self.values[path] = _at(node)
        if isinstance(node, yaml.ScalarNode):
            return resolve(node.value) if node.tag == _PLAIN_TAG else str(node.value)
        with self._inside(node, place, path):
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, path, place)
            return [self.plain(item, (*path, index), place) for index, item in enumerate(node.value)]

    def _mapping(self, node: yaml.Node, path: KeyPath, place: yaml.Node) -> Plain:
        made: dict[str, Plain] = {}
        for name, key, value in self._pairs(node, path):
            if name not in made:
                inside = (*path, name)
                self.keys[inside] = _at(key)
                made[name] = self.plain(value, inside, key if place is node else place)
        return made

    def _pairs(
        self, node: yaml.Node, path: KeyPath, outermost: yaml.Node | None = None
    ) -> Iterator[tuple[str, yaml.Node, yaml.Node]]:
        """Keys with values, then those that `<<` adds; earlier ones win (https://yaml.org/type/merge.html)."""
        own: dict[str, yaml.Node] = {}
        merged: list[tuple[yaml.Node, yaml.Node]] = []
        for key, value in node.value:
            name = self._name(key, path)
            if name == "<<" and key.tag == _PLAIN_TAG:
                at = outermost or key
                self._check(value, (*path, name), at)
                merged.extend(
                    (at, source) for source in (value.value if isinstance(value, yaml.SequenceNode) else [value])
                )
            elif name in own:
                found = f"the key {quote(name)} a second time; the first is in line {_at(own[name]).line}"
                self.duplicates[_at(key)] = Problem(found, "keep one of them", (*path, name), position=_at(key))
            else:
                own[name] = key
                yield name, key, value
        for at, source in merged:
            if not isinstance(source, yaml.MappingNode):
                raise self._refusal(_NO_MAPPING, at, (*path, "<<"))
            self._check(source, (*path, "<<"), at)
            with self._inside(source, at, (*path, "<<")):
                yield from self._pairs(source, path, at)

    def _name(self, node: yaml.Node, path: KeyPath) -> str:
        """The text of a key. It stays text whatever it looks like: `on`, `1`, `true`."""
        self._check(node, path, node)
        if not isinstance(node, yaml.ScalarNode):
            raise self._refusal(("a key that is no plain text", "write a name as the key"), node, path)
        return str(node.value)

    @contextmanager
    def _inside(self, node: yaml.Node, place: yaml.Node, path: KeyPath) -> Iterator[None]:
        """While a collection is made: an alias inside of it to itself would have no end."""
        if node in self._open:
            raise self._refusal(("an alias inside of its own anchor", "define its anchor outside of it"), place, path)
        if len(self._open) >= MAX_DEPTH:
            raise self._refusal(_DEEP, place, path)
        self._open.append(node)
        yield
        self._open.pop()

    def _check(self, node: yaml.Node, path: KeyPath, place: yaml.Node) -> None:
        self._count += 1
        if self._count > _MAX_VALUES:
            raise self._refusal(_MANY, place, path)
        if node.tag not in {_PLAIN_TAG, _QUOTED_TAG}:
            raise self._refusal((f"the tag {quote(node.tag)}", "write plain YAML without tags"), node, path)

    def _refusal(self, limit: tuple[str, str], node: yaml.Node, path: KeyPath) -> ConfigError:
        return refusal(*limit, self._source, _at(node), path)


def _at(node: yaml.Node) -> Position:
    return _position(node.start_mark)
