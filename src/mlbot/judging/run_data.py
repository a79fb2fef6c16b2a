"""The data of a folder's models, checked before anything is trained, by `config check --data` and by `mlbot run`."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from mlbot.config.csv_form import PARQUET, no_table, read_head
from mlbot.config.errors import KeyPath
from mlbot.config.errors import Problem as Wrong
from mlbot.config.run_check import Folder, idle_lines, warned
from mlbot.config.schema import Model
from mlbot.config.train import SeedRange
from mlbot.console import Console
from mlbot.errors import MlbotError, require
from mlbot.gates.metric import Bound, Gate, Task
from mlbot.git.repository import configs_of
from mlbot.lib.constants import LFS_POINTER
from mlbot.lib.templates import sentence
from mlbot.lib.tree import is_url
from mlbot.training.run_train import unfetched
from mlbot.verdict.verdict import Problem

if TYPE_CHECKING:
    from mlbot.ml.frames import Table
    from mlbot.ml.holdout import HoldoutData
    from mlbot.ml.holdout import LabelArray as Labels

_TABLES = (".csv", ".parquet")


@dataclass(frozen=True, kw_only=True, slots=True)
class Checked:
    """What was found in the data of some models."""

    problems: tuple[Wrong, ...] = ()
    notes: tuple[str, ...] = ()  # what there is
    idle: tuple[str, ...] = ()  # which gates can never block, or never pass, and why
    holdouts: Mapping[str, "HoldoutData"] = field(default_factory=dict)


def report_data(root: Path, console: Console, *, as_json: bool) -> None:
    """Check a folder's config with the data that it names, and say what there is; raises with every problem at once."""
    require("judge", needed_for="Checking the data")
    folder = Folder.of(root, configs_of(root))
    checked = check_data(folder, folder.findings())
    folder.refuse(checked.problems)
    console.result(
        folder.config.model_dump_json(indent=2)
        if as_json
        else "\n".join(
            (
                f"{folder.document.source} and its data are valid.",
                *checked.notes,
                *warned(folder.config),
                *idle_lines(folder.config),
                *checked.idle,
                *_far(folder, checked.holdouts),
            )
        )
    )


def _far(folder: Folder, holdouts: "Mapping[str, HoldoutData]") -> Iterator[str]:
    """The margins that can hardly be judged."""
    from mlbot.judging.run_power import far_from_judgeable

    for model in folder.config.models:
        if model.name in holdouts and (gates := far_from_judgeable(folder.root, model, holdouts[model.name])):
            yield sentence("power", "far", model=model.name, gates=gates)


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
    idle: list[str] = []
    holdouts: dict[str, HoldoutData] = {}
    for model in folder.config.models:
        if (models is not None and model.name not in models) or model.evaluate is not None:
            continue
        found = _Model(root=folder.root, model=model, known={each.at for each in problems}, read=read.get(model.name))
        wrong = (each.under("models", model.name) for each in found.problems())
        problems += (folder.document.located(each) for each in wrong)
        if found.holdout is not None:
            holdouts[model.name] = found.holdout
            notes += found.notes()
            idle += idle_gates(model, found.holdout)
    return Checked(problems=tuple(problems), notes=tuple(notes), idle=tuple(idle), holdouts=holdouts)


def training_data(model: Model, folder: Path) -> Path | str | None:
    """Where the training data are that say how far a forecast's series move by themselves, if they are there."""
    place = model.data.train
    if place is None or model.task is not Task.FORECAST:
        return None
    found = place if is_url(place) else folder / place
    return None if unfetched(found) else found


@dataclass(kw_only=True)
class _Model:
    """One model's data."""

    root: Path
    model: Model
    known: Collection[KeyPath]  # where a problem is known already
    read: "HoldoutData | Problem | None" = None
    holdout: "HoldoutData | None" = None
    of_training: list[str] = field(default_factory=list)  # what should be known of the training data

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
        given = source, model.data, model.task, model.slices
        train = training_data(model, self.root)
        found = self.read or unfetched(source) or check_holdout(*given, train=train, any_kind=not model.is_onnx)
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
        if self.model.artifact is not None or not file.exists():
            return
        if (why := _nothing_in(file)) is not None:
            yield _unreadable(path, *why)
            return
        if self.model.train.entrypoint is None or not path.endswith(_TABLES):
            return
        from mlbot.ml import frames

        data = self.model.data
        try:
            table = frames.open_table(file, data.reads(self.model.task), data.csv, apart=data.targets)
            schema = table.frame.collect_schema()
            with table.reading():
                rows = table.census(())[0]
            self._look_for_labels(table, path)
        except frames.UnreadableError as error:
            yield _unreadable(path, error.why, error.hint)
            return
        except MlbotError as error:
            yield Wrong(error.what, error.hint, ("data", "train"), whole=True)
            return
        if not rows:  # types that nothing shows are no problem of their own
            yield _unreadable(path, *_NO_ROWS)
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

    def _look_for_labels(self, table: "Table", path: str) -> None:
        """Rows without a label are noted, not refused: a training may well leave them out."""
        from mlbot.ml.frames import is_number
        from mlbot.ml.holdout import unlabelled

        data, task = self.model.data, self.model.task
        schema = table.frame.collect_schema()
        for target in data.targets:
            dtype = schema.get(target)
            if dtype is None or not (task.has_classes or is_number(dtype)):
                continue
            with table.reading():
                rows, first = unlabelled(table, data, task, target)
            if rows:
                words = {"file": path, "rows": rows, "column": target, "first": first}
                self.of_training.append(sentence("data", "unlabelled", **words))

    def notes(self) -> Iterator[str]:
        """What there is: rows, classes, slices."""
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
            positives=record.positives,
            task=str(record.task),
        )
        yield from _of_rows(self.holdout)
        if self.holdout.asked:
            yield sentence("data", "asked", columns=self.holdout.asked)
        if record.inexact:
            yield sentence("data", "inexact", columns=record.inexact)
        yield from self.of_training
        for part in self.model.slices:
            positives = record.slice_positives.get(part.name)
            yield sentence("data", "slice", name=part.name, rows=record.slices[part.name], positives=positives)


def _of_rows(holdout: "HoldoutData") -> Iterator[str]:
    """What labels, queries or times the rows have."""
    import numpy as np

    from mlbot.stats.forecast import FEWEST_TIMES

    labels, groups, series = holdout.labels, holdout.groups, holdout.series
    match holdout.record.task:
        case Task.MULTILABEL:
            counts, rows = labels.sum(axis=0, dtype=int), labels.sum(axis=1, dtype=int)
            names, none = holdout.record.classes, int((rows == 0).sum())
            rare = {"rarest": names[int(counts.argmin())], "fewest": int(counts.min()), "bare": none}
            yield sentence("data", "labels", count=len(names), mean=float(rows.mean()), **rare)
        case Task.RANKING if groups is not None:
            sizes = np.bincount(groups)
            empty = int((np.bincount(groups, labels > 0) == 0).sum())
            facts = {"least": int(sizes.min()), "most": int(sizes.max()), "single": int((sizes == 1).sum())}
            yield sentence("data", "queries", queries=sizes.size, empty=empty, **facts)
        case Task.FORECAST if series is not None and series.horizon is not None:
            scale = np.ones(1) if series.scale is None else series.scale
            yield sentence(
                "data",
                "times",
                times=int(series.times.max()) + 1,
                series=series.count,
                steps=int(series.horizon.max()),
                fewest=FEWEST_TIMES,
                unscaled=int((~(scale > 0)).sum()),
            )


_ONE_SEED, _OF_SEEDS = SeedRange(start=1, most=1), frozenset({Bound.MAX_REGRESSION, Bound.MAX_EXCESS})


def idle_gates(model: Model, holdout: "HoldoutData") -> Iterator[str]:
    """The gates that hardly ever block or can never pass on a holdout, whatever the model, each with its reason."""
    blocking = [gate for gate in model.gates if gate.blocking and not gate.only_warns]
    least = {part.name: part.min_rows for part in model.slices}
    few: dict[str, list[str]] = {}
    able = 0
    for gate in blocking:
        rows = holdout.record.slices[gate.slice] if gate.slice else holdout.rows
        if why := _undefined(gate, model, holdout):
            yield sentence("data", "never-passes", model=model.name, gate=gate.subject, why=why)
            continue
        able += 1
        if gate.slice and rows < least[gate.slice]:
            few.setdefault(gate.slice, []).append(gate.subject)
    for name, gates in few.items():
        facts = {"name": name, "rows": holdout.record.slices[name], "least": least[name]}
        yield sentence("data", "few-rows", model=model.name, gates=list(dict.fromkeys(gates)), **facts)
    compared = [each.subject for each in blocking if each.bound in _OF_SEEDS]
    if compared and model.train.seeds == _ONE_SEED and model.artifact is None:
        yield sentence("data", "one-seed", model=model.name, gates=list(dict.fromkeys(compared)))
    if model.gates and not able:
        yield sentence("data", "none-blocks", model=model.name, blocking=len(blocking))


_OF_EACH = 50  # rows of each class that are enough to try whether a metric exists on them


def _undefined(gate: Gate, model: Model, holdout: "HoldoutData") -> str:
    """Why a metric has no value on a gate's rows, even for a model that is nearly right; empty where it has one."""
    from mlbot.stats.estimation import estimate
    from mlbot.stats.types import UndefinedMetricError

    metric = next((each for each in model.metrics if each.name == gate.metric), None)
    if metric is None or metric.function is not None or model.task in {Task.RANKING, Task.FORECAST}:
        return ""
    classes = len(holdout.record.classes)
    for part in metric.slices or (gate.slice,):
        labels = _sample(holdout.labels[holdout.masks[part]] if part else holdout.labels, model.task)
        if not len(labels):
            return sentence("data", "no-rows", part=part if metric.slices else "")
        answers = [_nearly_right(labels, model.task, classes)]
        try:
            estimate(metric.formula, model.task, labels, answers, settings=metric.settings)
        except UndefinedMetricError as error:
            return f"{part}: {error}." if metric.slices else f"{error}."
    return ""


def _sample(labels: "Labels", task: Task) -> "Labels":
    """A few rows with every label that there is; of numbers the least, the largest and some between."""
    import numpy as np

    if task.has_targets:
        return labels
    if not task.has_classes:
        some = np.unique(np.linspace(0, labels.size - 1, min(labels.size, _OF_EACH)).astype(int))
        return np.asarray(np.sort(labels)[some])
    return np.concatenate([labels[:0], *(labels[labels == each][:_OF_EACH] for each in np.unique(labels))])


def _nearly_right(labels: "Labels", task: Task, classes: int) -> "Labels":
    import numpy as np

    match task:
        case Task.BINARY | Task.MULTILABEL:
            return np.where(labels == 1, 0.9, 0.1)
        case Task.MULTICLASS:
            return np.asarray(np.eye(classes)[labels] * 0.8 + 0.2 / classes)
        case Task.REGRESSION | Task.MULTIOUTPUT | Task.RANKING | Task.FORECAST:
            return np.asarray(labels + 0.1)
        case Task.SCORES:
            raise LookupError("an evaluator has no labels")


_NO_ROWS = ("it has no rows", "Write it again, with a header and rows.")


def _nothing_in(file: Path) -> tuple[str, str] | None:
    """Why no training finds rows in a file, whatever it makes of one, and what to do; None where it may."""
    if not file.is_file():
        return None
    with file.open("rb") as stream:
        head, whole = read_head(stream)
    found = no_table(head)
    if found is not None:
        return (found.what, found.hint) if head.startswith(LFS_POINTER) or not head.strip() else None
    lines = sum(bool(line.strip()) for line in head.splitlines())
    is_text = file.suffix.lower() == ".csv" and not head.startswith(PARQUET)
    return _NO_ROWS if whole and is_text and lines == 1 else None


def _unreadable(path: str, why: str, hint: str) -> Wrong:
    return Wrong(sentence("data", "no-table", file=path, why=why), hint, ("data", "train"), whole=True)


_PLACES: Mapping[str, tuple[str, ...]] = {
    "labels-missing": ("data", "target"),
    "labels-infinite": ("data", "target"),
    "target-not-number": ("data", "target"),
    "label-not-01": ("data", "target"),
    "label-not-numeric": ("data", "target"),
    "relevance-negative": ("data", "target"),
    "time-missing": ("data", "time"),
    "time-not-ordered": ("data", "time"),
    "time-twice": ("data", "time"),
    "horizon-wrong": ("data", "horizon"),
    "no-relevant": ("data", "target"),
    "queries-single": ("data", "group"),
    "weight-in-query": ("data", "weight"),
    "target-not-numeric": ("data", "target"),
    "not-binary": ("task",),
    "one-class": ("data", "target"),
    "no-positive": ("data", "positive"),
    "unknown-labels": ("data", "classes"),
    "too-many-names": ("data", "classes"),
    "too-many-classes": ("data", "target"),
    "target-as-feature": ("data", "features"),
    "no-group": ("data", "group"),
    "weight-not-number": ("data", "weight"),
    "weight-wrong": ("data", "weight"),
    "weight-nothing": ("data", "weight"),
    "mixed-column": ("data", "types"),
}


def _place(problem: Problem, model: Model) -> KeyPath:
    """Where in a model's section a problem of its holdout is."""
    if problem.cause == "lacks-columns":
        absent = str(problem.values["absent"])
        names = [("target", name) for name in model.data.targets]
        keys = ("group", "weight", "time", "series", "horizon")
        names += [(key, getattr(model.data, key) or "") for key in keys]
        return ("data", next((key for key, name in names if name and f"'{name}'" in absent), "holdout"))
    if "slice" in problem.values:
        return ("slices", str(problem.values["slice"]).strip("'"))
    return _PLACES.get(problem.cause, ("data", "holdout"))
