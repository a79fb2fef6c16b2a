"""The data of a folder's models, checked before anything is trained, by `config check --data` and by `mlbot run`."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from mlbot.config.errors import KeyPath
from mlbot.config.errors import Problem as Wrong
from mlbot.config.run_check import Folder
from mlbot.config.schema import Model
from mlbot.console import Console
from mlbot.errors import MlbotError, require
from mlbot.lib.templates import sentence
from mlbot.lib.tree import is_url
from mlbot.training.run_train import unfetched
from mlbot.verdict.verdict import Problem

if TYPE_CHECKING:
    from mlbot.ml.holdout import HoldoutData

_TABLES = (".csv", ".parquet")


@dataclass(frozen=True, kw_only=True, slots=True)
class Checked:
    """What was found in the data of some models."""

    problems: tuple[Wrong, ...] = ()
    notes: tuple[str, ...] = ()
    holdouts: Mapping[str, "HoldoutData"] = field(default_factory=dict)


def report_data(root: Path, console: Console, *, as_json: bool) -> None:
    """Check a folder's config with the data that it names, and say what there is; raises with every problem at once."""
    require("judge", needed_for="Checking the data")
    folder = Folder.of(root)
    checked = check_data(folder, folder.findings())
    folder.refuse(checked.problems)
    console.result(
        folder.config.model_dump_json(indent=2)
        if as_json
        else "\n".join((f"{folder.document.source} and its data are valid.", *checked.notes))
    )


def check_data(
    folder: Folder,
    known: Sequence[Wrong],
    models: Collection[str] | None = None,
    read: "Mapping[str, HoldoutData | Problem]" = MappingProxyType({}),
) -> Checked:
    """What is wrong with the files, columns, labels, slices and groups of models, all of it; None: of every model.

    What the folder's `findings` are is `known`, and part of what is wrong. The holdouts in `read` are not read again,
    and what is wrong with them is known too.
    """
    problems = list(known)
    notes: list[str] = []
    holdouts: dict[str, HoldoutData] = {}
    for model in folder.config.models:
        if models is not None and model.name not in models:
            continue
        found = _Model(root=folder.root, model=model, known={each.at for each in problems}, read=read.get(model.name))
        wrong = (each.under("models", model.name) for each in found.problems())
        problems += (folder.document.located(each) for each in wrong)
        if found.holdout is not None:
            holdouts[model.name] = found.holdout
            notes += found.notes()
    return Checked(problems=tuple(problems), notes=tuple(notes), holdouts=holdouts)


@dataclass(kw_only=True)
class _Model:
    """One model's data."""

    root: Path
    model: Model
    known: Collection[KeyPath]  # where a problem is known already
    read: "HoldoutData | Problem | None" = None
    holdout: "HoldoutData | None" = None

    def problems(self) -> Iterator[Wrong]:
        data = self.model.data
        if not self._is_known("data", "holdout"):
            yield from self._of_holdout()
        if data.train and not is_url(data.train) and not self._is_known("data", "train"):
            yield from self._of_training(data.train)

    def _is_known(self, *at: str) -> bool:
        return ("models", self.model.name, *at) in self.known

    def _of_holdout(self) -> Iterator[Wrong]:
        from mlbot.ml.holdout import HoldoutData, check_holdout

        model = self.model
        source = model.data.holdout if is_url(model.data.holdout) else self.root / model.data.holdout
        found = self.read or unfetched(source) or check_holdout(source, model.data, model.task, model.slices)
        if not isinstance(found, HoldoutData):
            for problem in () if self.read else (found,) if isinstance(found, Problem) else found:
                at = _place(problem, model)
                if not self._is_known(*map(str, at)):
                    yield Wrong(problem.detail, problem.hint, at, whole=True)
            return
        self.holdout = found
        yield from (Wrong(each.detail, each.hint, ("data", "types"), whole=True) for each in found.mixed)

    def _of_training(self, path: str) -> Iterator[Wrong]:
        """What is known to be wrong with a table that mlbot reads itself; a script may read what it likes."""
        file = self.root / path
        if self.model.train.entrypoint is None or not path.endswith(_TABLES) or not file.is_file() or unfetched(file):
            return
        from mlbot.ml import frames

        data = self.model.data
        try:
            schema = frames.open_table(
                file, data.reads(self.model.task), data.csv, apart=[data.target]
            ).frame.collect_schema()
        except MlbotError as error:
            yield Wrong(error.what, error.hint, ("data", "train"), whole=True)
            return
        for feature in self.holdout.expected.features if self.holdout else ():
            here = schema.get(feature.name)
            if here is not None and frames.is_text(here) != (feature.kind.value == "text"):
                words = {"file": path, "column": feature.name, "holdout": data.holdout}
                words |= {"here": "text" if frames.is_text(here) else "a number", "there": feature.kind.value}
                yield Wrong(
                    sentence("data", "other-type/sentence", **words),
                    sentence("data", "other-type/hint", **words),
                    ("data", "types"),
                    whole=True,
                )

    def notes(self) -> Iterator[str]:
        """What there is, and which slices have too few rows to block."""
        assert self.holdout is not None  # noqa: S101
        record, expected = self.holdout.record, self.holdout.expected
        yield sentence(
            "data",
            "read",
            model=self.model.name,
            file=record.source,
            rows=record.rows,
            features=len(expected.features),
            classes=record.classes,
            positive=record.positive,
        )
        if self.holdout.asked:
            yield sentence("data", "asked", columns=self.holdout.asked)
        for part in self.model.slices:
            rows = record.slices[part.name]
            few = rows < part.min_rows and any(gate.slice == part.name for gate in self.model.gates)
            yield sentence("data", "few-rows" if few else "slice", name=part.name, rows=rows, least=part.min_rows)


_PLACES: Mapping[str, tuple[str, ...]] = {
    "labels-missing": ("data", "target"),
    "labels-infinite": ("data", "target"),
    "target-not-number": ("data", "target"),
    "target-not-numeric": ("data", "target"),
    "not-binary": ("task",),
    "one-class": ("data", "target"),
    "no-positive": ("data", "positive"),
    "unknown-labels": ("data", "classes"),
    "too-many-names": ("data", "classes"),
    "too-many-classes": ("data", "target"),
    "target-as-feature": ("data", "features"),
    "no-group": ("data", "group"),
    "mixed-column": ("data", "types"),
}


def _place(problem: Problem, model: Model) -> KeyPath:
    """Where in a model's section a problem of its holdout is."""
    if problem.cause == "lacks-columns":
        absent = str(problem.values["absent"])
        names = {"target": model.data.target, "group": model.data.group}
        return ("data", next((key for key, name in names.items() if name and f"'{name}'" in absent), "holdout"))
    if "slice" in problem.values:
        return ("slices", str(problem.values["slice"]).strip("'"))
    return _PLACES.get(problem.cause, ("data", "holdout"))
