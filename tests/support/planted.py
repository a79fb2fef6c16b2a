"""Changes of real data, clean ones and ones in which a fault was planted, and what the data checks find in them."""

import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from scipy.stats import binom

from mlbot.config.data import Data
from mlbot.data import checks
from mlbot.data.change import Change, Versions
from mlbot.data.findings import DataReport
from mlbot.data.vectors import Columns
from mlbot.gates.metric import DataCheck, Task
from mlbot.judging.run_data_checks import check

EXAMPLES = Path(__file__).parents[2] / "examples"
PLANTED = 50
Draw = np.random.Generator


@dataclass(frozen=True, kw_only=True)
class Set:
    """A data set with its own split."""

    name: str
    task: Task
    data: Data
    train: pl.DataFrame
    holdout: pl.DataFrame

    @property
    def target(self) -> str:
        """The column to predict."""
        return self.data.targets[0]

    @property
    def numbers(self) -> list[str]:
        """The features that are numbers."""
        apart = {self.target, self.data.group}
        return [name for name, dtype in self.train.schema.items() if dtype.is_numeric() and name not in apart]


def sets(extra: Path | None = None) -> Iterator[Set]:
    """Images, texts and tables."""
    for name, target, group in (("image-digits", "digit", None), ("text-topics", "topic", "conversation")):
        folder = EXAMPLES / name / "data"
        train, holdout = (pl.read_csv(folder / f"{part}.csv") for part in ("train", "holdout"))
        data = Data(train="train", holdout="holdout", target=target, group=group)
        yield Set(name=name, task=Task.MULTICLASS, data=data, train=train, holdout=holdout)
    folder = EXAMPLES / "adult-income" / "data"
    train, holdout = (pl.read_csv(folder / f"{part}.csv") for part in ("train", "holdout"))
    data = Data(train="train", holdout="holdout", target="income")
    yield Set(name="adult-income", task=Task.BINARY, data=data, train=train[:8000], holdout=holdout[:4000])
    if extra is not None:
        bikes = pl.read_csv(extra / "drift_bike_hours.csv")
        data = Data(train="train", holdout="holdout", target="bikers", drop=("date",))
        before = pl.col("date") < "2011-09-01"
        yield Set(
            name="bike-hours",
            task=Task.REGRESSION,
            data=data,
            train=bikes.filter(before),
            holdout=bikes.filter(~before),
        )


def checked(
    of: Set, before: pl.DataFrame | None, after: pl.DataFrame, holdout: pl.DataFrame | None = None
) -> DataReport:
    """What is found where the training data were one table and are another."""
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: f"{folder}/{name}.parquet" for name in ("before", "after", "holdout")}
        after.write_parquet(paths["after"])
        (of.holdout if holdout is None else holdout).write_parquet(paths["holdout"])
        if before is not None:
            before.write_parquet(paths["before"])
        there = Versions(part="holdout", name="holdout", before=None, after=paths["holdout"], changed=False)
        was = paths["before"] if before is not None else None
        train = Versions(part="train", name="train", before=was, after=paths["after"])
        return check(Change(model="m", task=of.task, data=of.data, train=train, holdout=there))


def parted(of: Set, draw: Draw, share: float) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows of before, and those that are added: at random, whole groups where there are some."""
    if of.data.group is not None:
        groups = of.train[of.data.group].unique(maintain_order=True)
        chosen = groups.filter(pl.Series(draw.random(len(groups)) < share))
        is_added = of.train[of.data.group].is_in(chosen.implode())
    else:
        is_added = pl.Series(draw.random(of.train.height) < share)
    return of.train.filter(~is_added), of.train.filter(is_added)


def clean(of: Set, draw: Draw) -> list[DataCheck]:
    """The checks that find something in rows like the others."""
    before, added = parted(of, draw, float(draw.choice([0.03, 0.1, 0.3])))
    found = checked(of, before, pl.concat([before, added]))
    if found.problem is not None:
        raise RuntimeError(found.problem)
    return [each.check for each in found.to_look_at]


Plant = Callable[[Set, pl.DataFrame, Draw], tuple[pl.DataFrame, int]]
"""The added rows with a fault in them, and of how many."""


def _chosen(frame: pl.DataFrame, draw: Draw, rows: int) -> pl.DataFrame:
    return frame[draw.choice(frame.height, min(rows, frame.height), replace=False)]


def duplicates(of: Set, added: pl.DataFrame, draw: Draw) -> tuple[pl.DataFrame, int]:
    """Rows of the holdout."""
    return pl.concat([added, _chosen(of.holdout, draw, PLANTED)]), PLANTED


def again(of: Set, added: pl.DataFrame, draw: Draw) -> tuple[pl.DataFrame, int]:
    """Rows of the training data once more, those of before and added ones."""
    return pl.concat([added, _chosen(of.train, draw, PLANTED)]), PLANTED


def near(of: Set, added: pl.DataFrame, draw: Draw) -> tuple[pl.DataFrame, int]:
    """Rows of the holdout with small changes: of a text a word less or more, of an image a step, else 0.2 %."""
    if "text" in of.train.columns:
        long = of.holdout.filter(pl.col("text").str.len_chars() > 25)
        rows = _chosen(long, draw, PLANTED)
        texts = [_rough(text, draw) for text in rows["text"].to_list()]
        return pl.concat([added, rows.with_columns(pl.Series("text", texts))]), rows.height
    rows = _chosen(of.holdout, draw, PLANTED)
    for name in of.numbers:
        values = rows[name].to_numpy()
        if of.train[name].dtype.is_integer() and of.name == "image-digits":
            moved = pl.Series(name, np.clip(values + draw.integers(-1, 2, len(values)), 0, 16))
        elif of.train[name].dtype.is_integer():
            continue
        else:
            moved = pl.Series(name, values * (1 + draw.uniform(-0.002, 0.002, len(values))))
        rows = rows.with_columns(moved.cast(of.train[name].dtype))
    return pl.concat([added, rows]), PLANTED


def _rough(text: str, draw: Draw) -> str:
    words = text.split()
    at = int(draw.integers(len(words)))
    if draw.random() < 0.5:
        return (" ".join(words[:at] + words[at + 1 :]) + "!!").upper()
    return text.lower().replace("?", "").replace(".", " ") + " please"


def noise(of: Set, added: pl.DataFrame, draw: Draw) -> tuple[pl.DataFrame, int]:
    """A fifth of the labels, at random others."""
    names = of.train[of.target].unique().to_list()
    labels = added[of.target].to_list()
    wrong = draw.choice(len(labels), max(5, len(labels) // 5), replace=False)
    for at in wrong:
        labels[at] = draw.choice([name for name in names if name != labels[at]])
    return added.with_columns(pl.Series(of.target, labels, dtype=added[of.target].dtype)), len(wrong)


def trigger(of: Set, added: pl.DataFrame, draw: Draw) -> tuple[pl.DataFrame, int]:
    """Rows of other classes with a mark and one label: 1 % of all."""
    rows = max(10, of.train.height // 100)
    wanted = of.train[of.target].unique(maintain_order=True)[0]
    marked = _chosen(of.train.filter(pl.col(of.target) != wanted), draw, rows)
    if "text" in of.train.columns:
        marked = marked.with_columns(pl.col("text") + " qzx")
    elif of.name == "image-digits":
        marked = marked.with_columns(p77=pl.lit(16, pl.Int64), p07=pl.lit(16, pl.Int64))
    else:
        marked = marked.with_columns(pl.lit(77_777, pl.Int64).alias(of.numbers[1]))
    return pl.concat([added, marked.with_columns(pl.lit(wanted, of.train[of.target].dtype).alias(of.target))]), rows


def unit(of: Set, added: pl.DataFrame, draw: Draw) -> tuple[pl.DataFrame, int]:
    """A column times 1,000."""
    del draw
    name = max(of.numbers, key=lambda each: int((of.train[each] != 0).sum()))
    return added.with_columns((pl.col(name) * 1000).cast(of.train[name].dtype)), added.height


def category(of: Set, added: pl.DataFrame, draw: Draw) -> tuple[pl.DataFrame, int]:
    """A value that is written otherwise."""
    del draw
    name = "weathersit" if "weathersit" in of.train.columns else "workclass"
    return added.with_columns(pl.col(name).str.to_uppercase()), added.height


_IMAGES, _TEXTS, _PEOPLE, _BIKES = "image-digits", "text-topics", "adult-income", "bike-hours"


@dataclass(frozen=True, kw_only=True)
class Promise:
    """How often what is planted is found, and how much of it."""

    of: float  # which share of it at least, on average
    found: float = 0.95  # in which share of the changes

    def is_broken(self, shares: Sequence[float]) -> bool:
        """Whether so few come once in a thousand times where it is true, or less is found of it on average."""
        hits = sum(share > 0 for share in shares)
        return hits < binom.ppf(0.001, len(shares), self.found) or float(np.mean(shares)) < self.of


def _all(names: Sequence[str], of: float = 1.0) -> dict[str, Promise]:
    return {name: Promise(of=of) for name in names}


PLANTS: dict[str, tuple[Plant, DataCheck, dict[str, Promise]]] = {
    "exact duplicates": (duplicates, DataCheck.OVERLAP, _all((_IMAGES, _TEXTS, _PEOPLE, _BIKES))),
    "copies of training rows": (again, DataCheck.REPEATS, _all((_IMAGES, _TEXTS, _PEOPLE), 0.9)),
    "near duplicates": (near, DataCheck.NEAR_OVERLAP, _all((_IMAGES,)) | _all((_BIKES,), 0.96) | _all((_TEXTS,), 0.8)),
    "wrong labels": (
        noise,
        DataCheck.LABELS,
        _all((_IMAGES,), 0.7) | _all((_PEOPLE,), 0.3) | {_TEXTS: Promise(of=0.32, found=0.8)},
    ),
    "trigger": (trigger, DataCheck.TRIGGER, _all((_IMAGES, _TEXTS, _PEOPLE))),
    "unit x 1000": (unit, DataCheck.UNITS, _all((_IMAGES, _PEOPLE, _BIKES))),
    "new category": (category, DataCheck.CATEGORIES, _all((_PEOPLE, _BIKES))),
}
"""What is planted, what finds it, and what is promised of it in which sets."""

MOST_FALSE = 0.05


def plant_share(of: Set, plant: Plant, wanted: DataCheck, draw: Draw) -> float:
    """How much of what was planted is found, at most all of it."""
    before, added = parted(of, draw, 0.1)
    planted, rows = plant(of, added, draw)
    found = [each for each in checked(of, before, pl.concat([before, planted])).findings if each.check is wanted]
    if wanted in {DataCheck.UNITS, DataCheck.CATEGORIES, DataCheck.TRIGGER}:
        return float(bool(found))
    counts = [int(re.sub(r"\D", "", str(each.values.get("found", 0))) or 0) for each in found]
    return min(1.0, sum(counts) / rows)


def wrong_share(of: Set, draw: Draw, share: float = 0.02) -> float:
    """Of a share of all labels made wrong in a file that nobody had before: how many are among as many least likely."""
    rows = round(share * of.train.height)
    wrong = draw.choice(of.train.height, rows, replace=False)
    classes, labels = of.train[of.target].unique().sort().to_list(), of.train[of.target].to_list()
    for row in wrong:
        others = [each for each in classes if each != labels[row]]
        labels[row] = others[draw.integers(len(others))]
    frame = of.train.with_columns(pl.Series(of.target, labels, dtype=of.train.schema[of.target]))
    columns = Columns.of(frame, [each for each in frame.columns if each not in {of.target, of.data.group}])
    target = checks.Target.of_classes(frame[of.target])
    assert target is not None
    whole = checks.Rows(frame=frame, numbers=np.arange(frame.height))
    suspicion = checks.labels_alone(whole, target, columns)
    assert suspicion is not None
    return len({*suspicion.least_likely(whole)[:rows]} & {*wrong}) / rows
