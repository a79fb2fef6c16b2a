"""Why a model is stale: the reasons behind two different content keys."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Self

from mlbot.core.config import Model
from mlbot.core.difference import Difference
from mlbot.core.inputs import COLUMNS, Inputs, Side
from mlbot.core.record import Digest, Record
from mlbot.core.tree import shown


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
    UNJUDGED = "unjudged"
    """The guarded branch has no verdict on it."""
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
    def files(self) -> frozenset[str]:
        """The files it depends on."""
        return self.side.files(self.model)

    @property
    def apart(self) -> frozenset[str]:
        """The files that have a reason of their own."""
        return self.side.apart(self.model)

    @property
    def lock(self) -> str | None:
        """The path of its environment lock."""
        return self.side.lock_path(self.model)


def reasons(now: Subject, before: Subject, difference: Difference) -> Iterator[StaleReason]:
    """Why a model's inputs at head are not those at base; nothing when they are the same."""
    new, old = now.inputs, before.inputs
    if new.depends != old.depends:
        text = difference.text((now.files, before.files), now.apart | before.apart)
        if text:
            yield StaleReason(code=StaleCode.CODE, text=text)
    yield from _settings(now, before)
    for path in sorted(new.data.keys() | old.data.keys()):
        if new.data.get(path) != old.data.get(path):
            yield StaleReason(code=StaleCode.DATA, text=_data_text(path, new, old))
    if new.params != old.params:
        yield StaleReason(code=StaleCode.PARAMS, text=_file_used(now.model.train.params, before.model.train.params))
    if new.lock != old.lock:
        yield StaleReason(code=StaleCode.ENVIRONMENT, text=_file_used(now.lock, before.lock))


def _settings(now: Subject, before: Subject) -> Iterator[StaleReason]:
    names = {"task": "task", "run": "train.run", "entrypoint": "train.entrypoint", "params_path": "train.params"}
    names |= {column: f"data.{column}" for column in COLUMNS}
    different = [name for key, name in names.items() if getattr(now.inputs, key) != getattr(before.inputs, key)]
    if (now.model.train.depends is None) != (before.model.train.depends is None):
        different.append("train.depends")
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
