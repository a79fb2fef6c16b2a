"""A parsed text as plain data, with the place of each of its keys and values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

Params = dict[str, bool | int | float | str | None]
"""Parameters of a training by name; nested tables are flattened with dots."""

Plain: TypeAlias = "dict[str, Plain] | list[Plain] | str | int | float | bool | None"
"""What a YAML or JSON file can hold; keys are text, as they are written."""

KeyPath: TypeAlias = tuple[str | int, ...]
"""Keys and indices from the top of a document down to one value."""


class Position(NamedTuple):
    """A place in a text, counted from 1."""

    line: int
    column: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a value stands, with the places of what it holds."""

    value: Position
    keys: Mapping[str, Position] = field(default_factory=dict)
    """Where each key of a mapping stands."""
    children: "Mapping[str, Place] | tuple[Place, ...]" = ()
    """The places of a mapping's values by key, or of a list's items."""

    def child(self, key: str | int) -> "Place | None":
        """The place of one value inside, if there is such a value."""
        if isinstance(key, str):
            return self.children.get(key) if isinstance(self.children, Mapping) else None
        return self.children[key] if isinstance(self.children, tuple) and key < len(self.children) else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """Plain data and where it was written; `root` is None when nobody knows."""

    source: str
    """The file's name, as errors show it."""
    data: Plain
    root: Place | None = None

    def value(self, path: KeyPath) -> Position | None:
        """Where the value at a path starts, or None when there is none."""
        place = self._place(path)
        return place.value if place else None

    def key(self, path: KeyPath) -> Position | None:
        """Where the key of a value stands; the value's own place for a list item and for the whole document."""
        parent = self._place(path[:-1]) if path else None
        if parent is not None and isinstance(path[-1], str) and path[-1] in parent.keys:
            return parent.keys[path[-1]]
        return self.value(path)

    def nearest(self, path: KeyPath) -> Position | None:
        """Where the deepest written part of a path stands: the place to look at when the rest is missing."""
        for end in range(len(path), -1, -1):
            if found := self.key(path[:end]):
                return found
        return None

    def _place(self, path: KeyPath) -> Place | None:
        place = self.root
        for key in path:
            place = place.child(key) if place else None
        return place
