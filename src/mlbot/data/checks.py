"""The checks of rows that a change adds, beside those that were there before and those of the holdout.

Each compares the added rows with what rows do by nature: with the rows of before, never with a fixed share. What is
counted is counted again on them, and a finding is what a change that adds rows of the same kind shows at most once in
200 times (`LEVEL`), however few or many they are. docs/data.md has how often each finds what was planted.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import special

from mlbot.data import diff, vectors
from mlbot.data.findings import MOST_ROWS, Finding, LabelCount
from mlbot.data.vectors import Array, Codes, Columns
from mlbot.gates.metric import DataCheck

LEVEL = 0.005
"""How often a check may find something in added rows that are like the others."""

FEWEST = {DataCheck.UNITS: 20, DataCheck.LABEL_SHIFT: 50, DataCheck.LEAK: 200, DataCheck.DRIFT: 500}
"""How many rows a check looks at at least."""

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, slots=True)
class Rows:
    """Some rows of a table, and which of it they are."""

    frame: pl.DataFrame
    numbers: Codes  # counted from 1

    def __len__(self) -> int:
        return self.frame.height

    def where(self, mask: Mask) -> "Rows":
        """Those of them where something holds."""
        return Rows(frame=self.frame.filter(pl.Series(mask)), numbers=self.numbers[mask])

    def spread(self, most: int) -> "Rows":
        """At most so many of them, evenly spaced."""
        if len(self) <= most:
            return self
        at = spaced(len(self), most)
        return Rows(frame=self.frame[at], numbers=self.numbers[at])


def spaced(size: int, most: int) -> Codes:
    """The places of at most so many of some rows, evenly spaced and in order."""
    return np.linspace(0, size - 1, min(most, size)).astype(np.int64)


def named(rows: Codes) -> dict[str, Any]:
    """The row numbers that a finding names, in order, and how many it does not."""
    return {"rows": tuple(sorted(map(int, rows[:MOST_ROWS]))), "more_rows": max(0, len(rows) - MOST_ROWS)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Natural:
    """How many of some rows would show a thing that others show too."""

    expected: float
    chance: float  # of as many as were found, or more, if the rows are like the others

    @classmethod
    def of(cls, found: int, rows: int, found_before: float, before: int) -> "Natural":
        """Of rows of which so many show it, beside those of before, as often as these do."""
        rate = (found_before + 0.5) / (before + 1)
        expected = rows * found_before / before if before else 0.0
        if not found:
            return cls(expected=expected, chance=1.0)
        if rate > _OFTEN:  # a count out of rows, by the normal distribution
            spread = np.sqrt(rows * rate * (1 - min(rate, 1 - 0.5 / (before + 1))) * (1 + rows / max(1, before)))
            chance = float(special.ndtr(-(found - 0.5 - rows * rate) / spread))
        else:  # a rare thing: Poisson, whose rate is known from the rows of before alone
            chance = float(special.betainc(found, found_before + 0.5, rows / (before + rows)))
        return cls(expected=expected, chance=chance)

    @property
    def unusual(self) -> bool:
        """Whether this is more than rows like the others show."""
        return self.chance < LEVEL


_OFTEN = 0.1


def beyond(found: int, expected: float) -> float:
    """How many more were found than rows like the others show; a part of a row counts as one."""
    return max(0.0, float(math.ceil(round(found - expected, 1))))


def repeats(check: DataCheck, hits: Codes, rows: int, hits_before: float, before: int, cause: str) -> Finding | None:
    """A finding where more of the added rows than usual do what `hits` lists the row numbers of."""
    natural = Natural.of(len(hits), rows, hits_before, before)
    if not natural.unusual:
        return None
    return Finding(
        check=check,
        cause=cause,
        effect=beyond(len(hits), natural.expected),
        expected=round(natural.expected, 1),
        n=rows,
        **named(hits),
        values={"found": len(hits)},
    )


def copied(new: Mask, after: diff.Hashes, before: diff.Hashes) -> Iterator[Finding]:
    """Added rows that were there already, and those that are another added row; both by features and labels."""
    rows = int(new.sum())
    old, again = diff.copies(new, after, before)
    if not (old.size or again.size):
        return
    shared, more = diff.multiplied(before)
    # Twice as many rows have two alike twice as often.
    twice = more * max(1.0, rows / max(1, before.size))
    for hits, usual, cause in ((old, shared, "before"), (again, twice, "each-other")):
        found = repeats(DataCheck.REPEATS, hits + 1, rows, min(usual, before.size), before.size, cause)
        if found is not None:
            yield found


MOST_NEAR, MOST_OTHERS = 2_000, 20_000
_NEAR_SHARE = 0.005
ALIKE, _LONG_TEXT = 0.75, 25


def near(added: Rows, before: Rows, holdout: Rows, columns: Columns) -> Finding | None:
    """Added rows that are nearly rows of the holdout; what is exactly one of it is no more among them."""
    asked, known, others = added.spread(MOST_NEAR), before.spread(MOST_NEAR), holdout.spread(MOST_OTHERS)
    if not (len(asked) and len(known) and len(others)):
        return None
    if columns.texts:
        return _near_texts(asked, known, others, columns.texts)
    return _near_numbers(asked, known, others, columns)


def _near_numbers(asked: Rows, known: Rows, others: Rows, columns: Columns) -> Finding | None:
    frames = [asked.frame, known.frame, others.frame]
    ours, theirs, holdout = vectors.table(frames, columns, known.frame)
    if ours.shape[1] < _FEWEST_COLUMNS:
        return None
    usual = vectors.nearest(theirs, holdout)
    limit = float(np.quantile(usual, _NEAR_SHARE))
    if limit <= 0:  # rows repeat by nature, so nearness says nothing
        return None
    distances = vectors.nearest(ours, holdout)
    order = np.argsort(distances)
    close = order[: int((distances <= limit).sum())]
    return repeats(
        DataCheck.NEAR_OVERLAP, asked.numbers[close], len(asked), float((usual <= limit).sum()), len(known), "numbers"
    )


_FEWEST_COLUMNS = 2


def _near_texts(asked: Rows, known: Rows, others: Rows, names: Sequence[str]) -> Finding | None:
    parts = [_joined(each, names) for each in (asked, known, others)]
    long = [np.array([len(text) > _LONG_TEXT for text in part]) for part in parts[:2]]
    ours, theirs, holdout = vectors.tf_idf(parts, vectors.fours)
    alike, usual = vectors.most_alike(ours, holdout), vectors.most_alike(theirs, holdout)
    order = np.argsort(-np.where(long[0], alike, 0.0))
    close = order[: int((long[0] & (alike > ALIKE)).sum())]
    before = float((long[1] & (usual > ALIKE)).sum())
    return repeats(
        DataCheck.NEAR_OVERLAP, asked.numbers[close], int(long[0].sum()), before, int(long[1].sum()), "texts"
    )


def _joined(rows: Rows, names: Sequence[str]) -> list[str]:
    most = max(200, vectors.MOST_CHARACTERS // max(1, len(rows) * len(names)))
    texts = (rows.frame[name].fill_null("").str.slice(0, most).to_list() for name in names)
    return [" ".join(each) for each in zip(*texts, strict=True)]


LEAKS, _ALMOST, _FAR = 0.95, 0.9, 0.25


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """What is to be predicted of some rows."""

    values: Array  # codes of classes, or numbers
    classes: tuple[str, ...] = ()  # empty for numbers

    @classmethod
    def of_numbers(cls, column: pl.Series) -> "Target | None":
        """The numbers, NaN where there is none; None where the column has no numbers."""
        return cls(values=vectors.numbers_of(column)) if vectors.kind_of(column) == "numbers" else None

    @classmethod
    def of_classes(cls, column: pl.Series, known: Sequence[str] = ()) -> "Target | None":
        """The codes of known classes, or of its own; NaN where a label is missing, or of an unknown class.

        None where no row has a label.
        """
        texts = column.cast(pl.String)
        classes = tuple(known) or tuple(sorted(filter(None, texts.unique().to_list())))
        if not classes:
            return None
        codes = {name: at for at, name in enumerate(classes)}
        values = np.array([codes.get(text, np.nan) for text in texts.to_list()], dtype=np.float64)
        return cls(values=values, classes=classes)

    @property
    def known(self) -> Mask:
        """Which rows have a label, or a number."""
        return np.isfinite(self.values)

    def where(self, mask: Mask) -> "Target":
        """Of those rows where something holds."""
        return Target(values=self.values[mask], classes=self.classes)

    @property
    def codes(self) -> Codes:
        """The classes' codes."""
        return self.values.astype(np.int64)


def alone(frame: pl.DataFrame, target: Target, features: Sequence[str]) -> dict[str, float]:
    """How well each column tells the target by itself: R2 of numbers, the balanced accuracy of classes."""
    known = target.known
    found: dict[str, float] = {}
    for name in features if known.any() else ():
        bins = _bins(frame[name].filter(pl.Series(known)))
        if bins is not None:
            found[name] = _foretold(bins, target.where(known))
    return found


_MOST_BINS, _LEAST_IN_BIN, _FOLDS = 64, 5, 3


def _bins(column: pl.Series) -> Codes | None:
    """Each row's bin: a value, or for many numbers one of 64 ranges; None where values hardly repeat."""
    if vectors.kind_of(column) == "numbers":
        values = vectors.numbers_of(column)
        values = np.where(np.isfinite(values), values, np.inf)
        distinct = np.unique(values)
        if distinct.size > _MOST_BINS:
            edges = np.unique(np.quantile(values[np.isfinite(values)], np.linspace(0, 1, _MOST_BINS + 1)[1:-1]))
            return np.asarray(np.searchsorted(edges, values, side="right"))
        return np.asarray(np.searchsorted(distinct, values))
    if column.n_unique() * _LEAST_IN_BIN > len(column):
        return None
    return column.cast(pl.String).fill_null("").rank("dense").to_numpy().astype(np.int64)


def _foretold(bins: Codes, target: Target) -> float:
    """How well bins tell the target of rows that were not looked at."""
    fold = np.random.default_rng(0).permutation(bins.size) % _FOLDS
    size = int(bins.max()) + 1
    guess = np.empty(bins.size)
    for each in range(_FOLDS):
        out = fold == each
        guess[out] = _means(bins[~out], target.where(~out), size)[bins[out]]
    if not target.classes:
        spread = float(((target.values - target.values.mean()) ** 2).sum())
        return 1 - float(((target.values - guess) ** 2).sum()) / spread if spread > 0 else 0.0
    right = guess == target.values
    return float(np.mean([right[target.codes == code].mean() for code in np.unique(target.codes)]))


def _means(bins: Codes, target: Target, size: int) -> Array:
    """What each bin says: its mean, or the class that is most over-represented in it; where it is small, the usual."""
    counts = np.bincount(bins, minlength=size)
    if not target.classes:
        sums = np.bincount(bins, weights=target.values, minlength=size)
        return np.where(counts >= _LEAST_IN_BIN, sums / np.maximum(counts, 1), target.values.mean())
    classes = len(target.classes)
    grid = np.bincount(bins * classes + target.codes, minlength=size * classes).reshape(size, classes)
    return np.asarray((grid / np.maximum(grid.sum(axis=0), 1)).argmax(axis=1), dtype=np.float64)


def leak(now: Mapping[str, float], then: Mapping[str, float] | None, target: Target) -> Iterator[Finding]:
    """The columns that give the label away, and did not before."""
    ordered = sorted(now.values(), reverse=True)
    second = ordered[1] if len(ordered) > 1 else 0.0
    for name, score in sorted(now.items(), key=lambda each: -each[1]):
        clear = score > LEAKS or (score > _ALMOST and score == ordered[0] and score - second > _FAR)
        before = (then or {}).get(name)
        if clear and (before is None or before < score - _NEW_LEAK):
            yield Finding(
                check=DataCheck.LEAK,
                cause="classes" if target.classes else "numbers",
                columns=(name,),
                effect=round(score, 4),
                expected=None if before is None else round(before, 4),
                n=int(target.known.sum()),
                values={"second": round(second, 4)},
            )


_NEW_LEAK = 0.05
_FEWEST_LABELLED, _FEWEST_OF_CLASS = 100, 5
MOST_LABELLED = 4_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Suspicion:
    """What a classifier of the other rows thinks of labels."""

    suspicious: Mask  # another class is likely, as such rows go, and the label is not the likeliest of these
    own: Array  # the probability of the label that a row has

    def worst(self, rows: Rows) -> Codes:
        """The row numbers of the suspicious ones, the least likely label first."""
        return self._first(rows, np.where(self.suspicious, self.own, np.inf))

    def least_likely(self, rows: Rows) -> Codes:
        """As many row numbers by the probability of the label alone: of a whole file's wrong ones these are more."""
        return self._first(rows, self.own)

    def _first(self, rows: Rows, by: Array) -> Codes:
        return rows.numbers[np.argsort(by, kind="stable")[: int(self.suspicious.sum())]]


def _strength(columns: Columns) -> float:
    return 10.0 if columns.texts else 1.0


def features_of(frames: Sequence[Rows], columns: Columns) -> list[vectors.Matrix]:
    """Rows as a classifier takes them: scaled numbers, categories, and the words of texts."""
    reference = frames[-1].frame
    tables = vectors.table([each.frame for each in frames], columns, reference)
    if not columns.texts:
        return list(tables)
    from scipy import sparse

    texts = vectors.tf_idf([_joined(each, columns.texts) for each in frames], vectors.words_and_pairs)
    return [sparse.hstack([sparse.csr_matrix(one), other]).tocsr() for one, other in zip(tables, texts, strict=True)]


def thresholds(shares: Array, labels: Codes) -> Array:
    """How sure a classifier is of each class where it is the label; 2 for a class without rows."""
    classes = range(shares.shape[1])
    return np.array([shares[labels == k, k].mean() if (labels == k).any() else 2.0 for k in classes])


def suspected(shares: Array, labels: Codes, limits: Array) -> Suspicion:
    """Confident learning (Northcutt, Jiang and Chuang, J. Artif. Intell. Res. 70 (2021) 1373): the off-diagonal."""
    likely = np.where(shares >= limits, shares, -1.0)
    best = likely.argmax(axis=1)
    suspicious = (likely.max(axis=1) > 0) & (best != labels)
    return Suspicion(suspicious=suspicious, own=shares[np.arange(len(labels)), labels])


def labels_alone(rows: Rows, target: Target, columns: Columns) -> Suspicion | None:
    """Which labels of a whole file are suspicious, by classifiers of the other rows; None where there are too few."""
    if not _learnable(target):
        return None
    (x,) = features_of([rows], columns)
    shares = vectors.cross_validated(x, target.codes, len(target.classes), _strength(columns))
    return suspected(shares, target.codes, thresholds(shares, target.codes))


def _learnable(target: Target) -> bool:
    counts = np.bincount(target.codes, minlength=len(target.classes))
    return len(target.values) >= _FEWEST_LABELLED and int((counts >= _FEWEST_OF_CLASS).sum()) > 1


def labels(added: Rows, ours: Target, before: Rows, theirs: Target, columns: Columns) -> Finding | None:
    """Added rows whose label a classifier of the rows of before finds unlikely; of classes that it knows."""
    if not _learnable(theirs) or not len(added):
        return None
    asked, known = features_of([added, before], columns)
    classes, strength = len(theirs.classes), _strength(columns)
    usual = vectors.cross_validated(known, theirs.codes, classes, strength)
    limits = thresholds(usual, theirs.codes)
    fitted = vectors.Softmax.fit(known, theirs.codes, classes, strength)
    of_added = suspected(fitted.shares(asked), ours.codes, limits)
    of_before = suspected(usual, theirs.codes, limits)
    count = int(of_before.suspicious.sum())
    return repeats(DataCheck.LABELS, of_added.worst(added), len(added), count, len(before), "added")


_LEAST_OF_TRIGGER = 3


Value = str | float | bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A value, or a word of a text, that several of the added rows have, all of them with one label."""

    column: str
    value: Value
    is_word: bool
    label: str
    rows: tuple[int, ...]  # row numbers
    times: int  # in how many groups, or rows where there are no groups


def candidates(
    added: Rows, names: Sequence[str | None], columns: Columns, groups: Sequence[str] | None
) -> tuple[tuple[Candidate, ...], int]:
    """What may be a trigger, by the label of each added row; and how many values and words were looked at."""
    found: list[Candidate] = []
    looked = 0
    for column in (*columns.numbers, *columns.categories, *columns.names, *columns.texts):
        values = added.frame[column].to_list()
        is_word = column in columns.texts
        places: dict[Value, list[int]] = defaultdict(list)
        for at, value in enumerate(values):
            for each in set(vectors.words(value or "")) if is_word else {value}:
                if each is not None and each != "":
                    places[each].append(at)
        often = {value: at for value, at in places.items() if len(at) >= _LEAST_OF_TRIGGER}
        looked += len(often)
        for value, own in often.items():
            labels_ = {names[each] for each in own}
            times = len({groups[each] for each in own}) if groups is not None else len(own)
            label = next(iter(labels_))
            if len(labels_) == 1 and label is not None and times >= _LEAST_OF_TRIGGER:
                rows = tuple(int(added.numbers[each]) for each in own)
                found.append(
                    Candidate(column=column, value=value, is_word=is_word, label=label, rows=rows, times=times)
                )
    return tuple(found), looked


def triggers(
    found: Collection[Candidate],
    looked: int,
    added: int,
    before: int,
    share_of: Mapping[str, float],
    moved: Collection[str] = (),
) -> Iterator[Finding]:
    """Of candidates that no row of before has, those that rows of the same kind would hardly show.

    If rows were added as they come, all `times` of them would be among the added ones by (share added)^times; and all
    of one label by (its share)^(times - 1), of which the square root is taken, for words go with topics.
    In `moved` columns every added value is another one than before, so there the label alone says something.
    """
    among = added / max(1, added + before)
    for each in sorted(found, key=lambda one: -one.times):
        share = 1.0 if each.column in moved else among
        of_label = share_of.get(each.label, 0.5 / max(1, before))
        chance = looked * share**each.times * of_label ** ((each.times - 1) / 2)
        if chance < LEVEL:
            yield Finding(
                check=DataCheck.TRIGGER,
                cause="word" if each.is_word else "value",
                columns=(each.column,),
                effect=float(len(each.rows)),
                expected=0.0,
                n=added,
                **named(np.asarray(each.rows)),
                values={"value": str(each.value)[:_LONGEST_VALUE], "label": each.label[:_LONGEST_VALUE]},
            )


_LONGEST_VALUE = 40
_UNIT, _BEYOND, _DRAWS, _QUANTILES = 0.7, 30.0, 40, (0.25, 0.5, 0.75, 0.95)
_MOST_MEASURED = 5_000


def units(added: Rows, before: Rows, numbers: Sequence[str]) -> Iterator[Finding]:
    """Columns of numbers that are as if they were in another unit: in all of the added rows, or in some."""
    if len(added) < FEWEST[DataCheck.UNITS] or len(before) < FEWEST[DataCheck.UNITS]:
        return
    for name in numbers:
        now, then = (_sizes(each.frame[name]) for each in (added, before))
        if min(now.size, then.size) < FEWEST[DataCheck.UNITS]:
            continue
        ratios, limit = _ratios(now, then), max(_UNIT, 1.5 * _usual_ratio(then, now.size))
        sizes = np.abs(vectors.numbers_of(added.frame[name]))
        beyond = sizes > _BEYOND * np.quantile(then, 0.999)
        most = int(np.abs(ratios).argmax())
        if abs(ratios[most]) > limit:
            order = np.argsort(-sizes if ratios[most] > 0 else sizes, kind="stable")
            order = order[sizes[order] > 0]  # 0 is 0 in every unit
            whole = bool((ratios * np.sign(ratios[most]) > limit).all())
            found = _unit(name, "all" if whole else "part", ratios[most], len(added), added.numbers[order])
            part = {"values": {"quantile": 100 * _QUANTILES[most]}, "more_rows": 0}  # how many it is of nobody knows
            yield found if whole else found.model_copy(update=part)
        elif beyond.sum() >= _LEAST_BEYOND:
            yield _unit(name, "some", float(beyond.sum()), len(added), added.numbers[np.flatnonzero(beyond)])


_LEAST_BEYOND = 3


def _unit(name: str, cause: str, effect: float, rows: int, numbers: Codes) -> Finding:
    # Of a log10 the factor is shown; how many rows are beyond is a count.
    factor = effect if cause == "some" else 10.0**effect
    return Finding(
        check=DataCheck.UNITS,
        cause=cause,
        columns=(name,),
        effect=float(f"{factor:.3g}"),
        n=rows,
        **named(numbers),
    )


def _sizes(column: pl.Series) -> Array:
    values = np.abs(vectors.numbers_of(column))
    return values[np.isfinite(values) & (values > 0)]


def _ratios(now: Array, then: Array) -> Array:
    """The change of each quantile, in powers of ten."""
    return np.asarray(np.log10(np.quantile(now, _QUANTILES) / np.quantile(then, _QUANTILES)))


def _usual_ratio(then: Array, size: int) -> float:
    """The largest change that so many rows of before show among all of them, in a few draws."""
    draw = np.random.default_rng(0)
    size = min(size, _MOST_MEASURED)
    return max(float(np.abs(_ratios(draw.choice(then, size), then)).max()) for _ in range(_DRAWS))


def categories(
    added: Rows,
    before: Rows,
    names: Sequence[str],
    known: Callable[[Mapping[str, list[str]]], Mapping[str, set[Value]]],
) -> Iterator[Finding]:
    """Values of columns of categories that no row of before has, and that are too many to be merely rare ones.

    `known` gives those of some values, by column, that the whole file of before has, of which `before` are some rows.
    """
    counts = {name: vectors.counts_of(before.frame[name]) for name in names}
    values = {name: filter(None, added.frame[name].unique().to_list()) for name in names}
    unseen = {name: [each for each in own if each not in counts[name]] for name, own in values.items()}
    there = known({name: own for name, own in unseen.items() if own})
    for name, seen in there.items():
        new = [value for value in unseen[name] if value not in seen]
        is_new = added.frame[name].is_in(new).fill_null(value=False).to_numpy()
        # How often a value comes that was not there yet, by Good and Turing: as often as one was there just once.
        once = sum(count == 1 for count in counts[name].values())
        if new and Natural.of(int(is_new.sum()), len(added), once, len(before)).unusual:
            often = Counter(added.frame[name].filter(pl.Series(is_new)).to_list())
            shown = ", ".join(str(value)[:_LONGEST_VALUE] for value, _ in often.most_common(3))
            yield Finding(
                check=DataCheck.CATEGORIES,
                columns=(name,),
                effect=float(len(new)),
                expected=0.0,
                n=len(added),
                **named(added.numbers[is_new]),
                values={"values": shown, "found": int(is_new.sum()), "more": max(0, len(often) - 3)},
            )


_SHIFT = 0.1


def label_shift(counts: Sequence[LabelCount], independent: float) -> tuple[float, Finding | None]:
    """How far the labels of the added rows are distributed otherwise, as a share of rows; and whether that is much.

    `counts` are of the added rows and of those of before, some of each; `independent` is which share of the rows
    counts, where rows of a group belong together.
    """
    now, then = np.array([each.after for each in counts]), np.array([each.before for each in counts])
    added, before = int(now.sum()), int(then.sum())
    distance = 0.5 * float(np.abs(now / added - then / before).sum())
    together = (now + then) / (added + before)
    expected = np.stack((together * added, together * before))
    there = together > 0
    statistic = float((((np.stack((now, then)) - expected) ** 2)[:, there] / expected[:, there]).sum()) * independent
    chance = float(special.chdtrc(max(1, int(there.sum()) - 1), statistic))
    if distance < _SHIFT or chance >= LEVEL:
        return distance, None
    change = now / added - then / before
    at = int(np.abs(change).argmax())
    values: dict[str, str | int | float] = {
        "label": counts[at].label[:_LONGEST_VALUE],
        "before": round(float(then[at] / before), 4),
        "after": round(float(now[at] / added), 4),
    }
    effect = round(distance, 4)
    return distance, Finding(check=DataCheck.LABEL_SHIFT, cause="classes", effect=effect, n=added, values=values)


def number_shift(now: Array, then: Array, independent: float) -> tuple[float, Finding | None]:
    """The same of numbers: how far their distributions are apart at most (Kolmogorov and Smirnov)."""
    distance = ks(now, then)
    size = now.size * then.size / (now.size + then.size) * independent
    if distance < _SHIFT or special.kolmogorov(np.sqrt(size) * distance) >= LEVEL:
        return distance, None
    values: dict[str, str | int | float] = {
        "before": float(f"{np.median(then):.4g}"),
        "after": float(f"{np.median(now):.4g}"),
    }
    effect = round(distance, 4)
    return distance, Finding(check=DataCheck.LABEL_SHIFT, cause="numbers", effect=effect, n=now.size, values=values)


def ks(now: Array, then: Array) -> float:
    """The largest difference of two empirical distributions."""
    now, then = np.sort(now), np.sort(then)
    every = np.concatenate((now, then))
    shares = (np.searchsorted(each, every, side="right") / each.size for each in (now, then))
    one, other = shares
    return float(np.abs(one - other).max())


def psi(now: Array, then: Array, bins: int = 10) -> float:
    """The population stability index, over the tenths of the rows of before."""
    edges = np.unique(np.quantile(then, np.linspace(0, 1, bins + 1)[1:-1]))
    shares = [
        np.bincount(np.searchsorted(edges, each, side="right"), minlength=edges.size + 1) / each.size + _FLOOR
        for each in (now, then)
    ]
    return float(((shares[0] - shares[1]) * np.log(shares[0] / shares[1])).sum())


_FLOOR = 1e-4
_DRIFTS, _MOST_DRIFTS = 0.25, 5


def drift(added: Rows, before: Rows, numbers: Sequence[str]) -> tuple[Finding, ...]:
    """The columns whose numbers moved most. Shown, and nothing rests on it: other seasons are no fault."""
    if min(len(added), len(before)) < FEWEST[DataCheck.DRIFT]:
        return ()
    found: list[Finding] = []
    for name in numbers:
        now, then = (vectors.numbers_of(each.frame[name]) for each in (added, before))
        now, then = now[np.isfinite(now)], then[np.isfinite(then)]
        if min(now.size, then.size) >= FEWEST[DataCheck.DRIFT] and (moved := psi(now, then)) > _DRIFTS:
            values: dict[str, str | int | float] = {
                "ks": round(ks(now, then), 3),
                "before": float(f"{np.median(then):.4g}"),
                "after": float(f"{np.median(now):.4g}"),
            }
            found.append(
                Finding(
                    check=DataCheck.DRIFT,
                    columns=(name,),
                    effect=round(moved, 3),
                    n=now.size,
                    values=values,
                    shown=True,
                )
            )
    return tuple(sorted(found, key=lambda each: -each.effect)[:_MOST_DRIFTS])
