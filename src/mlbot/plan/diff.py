"""What changed between two commits in the files that models depend on, in words."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from mlbot.lib.tree import Entry, shown

_NAMED = 3
"""How many files a sentence names before it counts the rest."""

Sets = tuple[frozenset[str], frozenset[str]]
"""A model's files at head and at base."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """What changed in sets of files; models with the same sets share the work.

    Attributes:
        new: the entries of head's tree.
        old: the entries of base's tree.
    """

    new: Mapping[str, Entry]
    old: Mapping[str, Entry]
    _paths: dict[Sets, frozenset[str]] = field(default_factory=dict)
    _texts: dict[tuple[Sets, frozenset[str]], str] = field(default_factory=dict)

    def text(self, sets: Sets, apart: frozenset[str]) -> str:
        """What changed in a model's files, those in `apart` aside; empty for nothing."""
        if sets not in self._paths:
            self._paths[sets] = self._changed(sets)
        paths = self._paths[sets] - apart
        if (sets, paths) not in self._texts:
            self._texts[sets, paths] = _listed(self._sentences(sorted(paths), sets))
        return self._texts[sets, paths]

    def _changed(self, sets: Sets) -> frozenset[str]:
        now, before = sets
        both = frozenset(path for path in now & before if self.new[path] != self.old[path])
        return both | (now ^ before)

    def _sentences(self, paths: list[str], sets: Sets) -> list[str]:
        now, before = sets
        gone = {self.old[path]: path for path in paths if path in before and path not in self.new}
        origins = {path: gone[self.new[path]] for path in paths if path not in self.old and self.new[path] in gone}
        renamed = set(origins.values())
        return [
            f"{shown(origins[path])} was renamed to {shown(path)}"
            if path in origins
            else f"{shown(path)} {self._happened(path, now, before)}"
            for path in paths
            if path not in renamed
        ]

    def _happened(self, path: str, now: frozenset[str], before: frozenset[str]) -> str:
        if path not in before:
            return "was added to `depends`" if path in self.old else "was added"
        if path not in now:
            return "was taken out of `depends`" if path in self.new else "was deleted"
        return "changed" if self.new[path][1] != self.old[path][1] else "changed its mode"


def _listed(texts: list[str]) -> str:
    rest = len(texts) - _NAMED
    more = f", and {rest} more file{'s' if rest > 1 else ''}" if rest > 0 else ""
    return ", ".join(texts[:_NAMED]) + more
