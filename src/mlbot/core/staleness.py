"""Why a model is stale: the reasons behind two different content keys."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Self

from mlbot.core.config import Model
from mlbot.core.inputs import COLUMNS, Inputs, Side
from mlbot.core.record import Digest, Record
from mlbot.core.tree import Tree, changed, shown

_NAMED = 3
"""How many files a sentence names before it counts the rest."""


class StaleCode(StrEnum):
    """Why a model has to be trained. A closed list."""

    NEW = "new-model"
    CODE = "code-changed"
    DATA = "data-changed"
    PARAMS = "params-changed"
    ENVIRONMENT = "environment-changed"
    SETTINGS = "settings-changed"
    NO_BASELINE = "no-baseline"
    """Base has no config, or one that says nothing usable about this model."""
    REQUESTED = "requested"
    """Nothing changed; somebody asked for it."""


class StaleReason(Record):
    """One reason: a code for programs, a sentence for people."""

    code: StaleCode
    text: str


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One model at one commit."""

    model: Model
    side: Side
    inputs: Inputs

    @classmethod
    def of(cls, model: Model, side: Side) -> Self:
        """The model with what its training depends on at that commit.

        Raises:
            UsageError: if something the config names is not there.
        """
        return cls(model=model, side=side, inputs=side.inputs(model))

    @cached_property
    def key(self) -> Digest:
        """Its content key."""
        return self.inputs.key

    @property
    def lock(self) -> str | None:
        """The path of its environment lock."""
        return self.side.lock_path(self.model)


def reasons(now: Subject, before: Subject) -> Iterator[StaleReason]:
    """Why a model's inputs at head are not those at base; nothing when they are the same."""
    new, old = now.inputs, before.inputs
    if new.depends != old.depends:
        yield _code(now, before)
    yield from _settings(new, old)
    for path in sorted(new.data.keys() | old.data.keys()):
        if new.data.get(path) != old.data.get(path):
            yield StaleReason(code=StaleCode.DATA, text=_data_text(path, new, old))
    if new.params != old.params:
        yield StaleReason(code=StaleCode.PARAMS, text=_file_used(now.model.train.params, before.model.train.params))
    if new.lock != old.lock:
        yield StaleReason(code=StaleCode.ENVIRONMENT, text=_file_used(now.lock, before.lock))


def _code(now: Subject, before: Subject) -> StaleReason:
    new, old = (
        Tree({path: one.side.tree.entries[path] for path in one.side.files(one.model)}) for one in (now, before)
    )
    texts = _file_texts(changed(old, new), old, new, now.side.tree, before.side.tree)
    return StaleReason(code=StaleCode.CODE, text=_listed(texts))


def _file_texts(paths: list[str], old: Tree, new: Tree, head: Tree, base: Tree) -> list[str]:
    gone = {old.entries[path]: path for path in paths if path not in new.entries and path not in head.entries}
    origins = {path: gone[new.entries[path]] for path in paths if path not in old.entries and new.entries[path] in gone}
    renamed = set(origins.values())
    return [_file_text(path, origins.get(path), old, new, head, base) for path in paths if path not in renamed]


def _file_text(path: str, origin: str | None, old: Tree, new: Tree, head: Tree, base: Tree) -> str:
    name = shown(path)
    if origin is not None:
        return f"{shown(origin)} was renamed to {name}"
    if path not in old.entries:
        return f"{name} was {'added to `depends`' if path in base.entries else 'added'}"
    if path not in new.entries:
        return f"{name} was {'taken out of `depends`' if path in head.entries else 'deleted'}"
    return f"{name} changed" if old.entries[path][1] != new.entries[path][1] else f"{name} changed its mode"


def _listed(texts: list[str]) -> str:
    rest = len(texts) - _NAMED
    more = f", and {rest} more file{'s' if rest > 1 else ''}" if rest > 0 else ""
    return ", ".join(texts[:_NAMED]) + more


def _settings(inputs: Inputs, before: Inputs) -> Iterator[StaleReason]:
    names = {"task": "task", "run": "train.run", "entrypoint": "train.entrypoint", "params_path": "train.params"}
    names |= {column: f"data.{column}" for column in COLUMNS}
    different = [name for field, name in names.items() if getattr(inputs, field) != getattr(before, field)]
    if different:
        yield StaleReason(code=StaleCode.SETTINGS, text=f"{', '.join(different)} changed in mlbot.yaml")


def _data_text(path: str, inputs: Inputs, before: Inputs) -> str:
    if path not in before.data:
        return f"now trains on {shown(path)}"
    return f"{shown(path)} changed" if path in inputs.data else f"no longer trains on {shown(path)}"


def _file_used(after: str | None, before: str | None) -> str:
    if after is None or before is None:
        return f"{shown(after or before or '')} is {'no longer used' if after is None else 'used now'}"
    return f"{shown(after)} changed" if after == before else f"{shown(after)} is used instead of {shown(before)}"
