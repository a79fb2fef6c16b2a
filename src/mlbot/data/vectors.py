"""Rows as numbers: tables and texts as matrices, nearest neighbours, and a classifier that says how sure it is.

What scikit-learn would do in a line each; the judge's installation has only numpy and scipy.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import optimize, sparse

Array = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]
Matrix = Any
"""A dense array or a scipy.sparse CSR matrix, (rows, features)."""

MOST_CATEGORIES = 50
_FEW_VALUES = 0.05  # of the rows: a column of text with so few values is one of categories
_LONG = 12  # characters in the mean, from which text is text rather than a name
MOST_CHARACTERS = 6_000_000  # of texts that are taken apart, in all


@dataclass(frozen=True, kw_only=True, slots=True)
class Columns:
    """What the features of a table are."""

    numbers: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    names: tuple[str, ...] = ()  # text of many short values: ids and the like

    @classmethod
    def of(cls, frame: pl.DataFrame, features: Sequence[str]) -> "Columns":
        """As the rows show it."""
        found: dict[str, list[str]] = {"numbers": [], "categories": [], "texts": [], "names": []}
        for name in features:
            found[kind_of(frame[name])].append(name)
        return cls(**{kind: tuple(names) for kind, names in found.items()})


def kind_of(column: pl.Series) -> str:
    """`numbers`, `categories`, `texts` or `names`, as the values show it."""
    if column.dtype.is_numeric() or column.dtype == pl.Boolean():
        return "numbers"
    if column.dtype != pl.String():
        return "names"
    distinct = column.n_unique()
    if distinct <= min(MOST_CATEGORIES, max(2, len(column) // 2)) or distinct <= _FEW_VALUES * len(column):
        return "categories"
    return "texts" if column.str.len_chars().sum() >= _LONG * len(column) else "names"


def numbers_of(column: pl.Series) -> Array:
    """A column of numbers; NaN where there is none."""
    return column.cast(pl.Float64).fill_null(float("nan")).to_numpy().astype(np.float64)


def counts_of(column: pl.Series) -> dict[Any, int]:
    """How often each value is there, the most frequent first."""
    return dict(column.rename("value").value_counts(sort=True, name="rows").iter_rows())


def table(frames: Sequence[pl.DataFrame], columns: Columns, reference: pl.DataFrame) -> list[Array]:
    """Numbers as standard deviations of a reference, and each of its common categories as a column of 0 and 1."""
    blocks: list[list[Array]] = [[] for _ in frames]
    common = _common_scale([numbers_of(reference[name]) for name in columns.numbers])
    for name in columns.numbers:
        known = numbers_of(reference[name])
        finite = known[np.isfinite(known)]
        own = float(finite.std()) if finite.size else 0.0
        scale = common or own
        if own > 0:
            for at, frame in enumerate(frames):
                values = (numbers_of(frame[name]) - finite.mean()) / scale
                blocks[at].append(np.where(np.isfinite(values), values, 0.0)[:, None])
    for name in columns.categories:
        usual = [*counts_of(reference[name])][:MOST_CATEGORIES]
        for at, frame in enumerate(frames):
            blocks[at] += [(frame[name] == value).fill_null(value=False).to_numpy()[:, None] * 1.0 for value in usual]
    return [
        np.hstack(block) if block else np.empty((frame.height, 0)) for block, frame in zip(blocks, frames, strict=True)
    ]


_MANY, _MOST_OF_THEM = 8, 0.6


def _common_scale(columns: Sequence[Array]) -> float:
    """The standard deviation of many columns of one unit, such as the pixels of an image; 0 for others.

    A pixel at the edge hardly varies, and is no more telling for it.
    """
    if len(columns) < _MANY:
        return 0.0
    values = np.where(np.isfinite(columns), columns, 0.0)
    largest = np.abs(values).max(axis=1)
    alike = (largest >= largest.max() / 2).mean() >= _MOST_OF_THEM
    return float(np.sqrt(values.var(axis=1).mean())) if alike else 0.0


_BLOCK = 1 << 22  # distances that are held at once


def nearest(rows: Array, others: Array) -> Array:
    """The distance of each row to the nearest of the others."""
    squares = (others**2).sum(axis=1)
    found = np.empty(len(rows))
    step = max(1, _BLOCK // max(1, len(others)))
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        distances = squares - 2 * part @ others.T
        found[start : start + step] = distances.min(axis=1) + (part**2).sum(axis=1)
    return np.sqrt(np.maximum(found, 0.0))


_WORD = re.compile(r"\b\w\w+\b")


def words(text: str) -> list[str]:
    """A text's words, lower case."""
    return _WORD.findall(text.lower())


def words_and_pairs(text: str) -> Iterator[str]:
    """Words, and pairs of words that follow each other."""
    found = words(text)
    yield from found
    yield from (f"{one} {other}" for one, other in pairwise(found))


def fours(text: str) -> Iterator[str]:
    """The four characters at each place of each word, with a space around it."""
    for word in text.lower().split():
        padded = f" {word} "
        yield from (padded[at : at + 4] for at in range(max(1, len(padded) - 3)))


def tf_idf(parts: Sequence[Sequence[str]], split: Callable[[str], Iterator[str]]) -> list[Matrix]:
    """Texts as rows of length 1: 1 + log of how often a token is there, times how rare it is over all parts."""
    known: dict[str, int] = {}
    counted = [[Counter(split(text)) for text in part] for part in parts]
    rows_with = Counter(token for part in counted for counts in part for token in counts)
    known = {token: at for at, token in enumerate(rows_with)}
    total = sum(map(len, parts))
    rare = np.array([np.log((1 + total) / (1 + count)) + 1 for count in rows_with.values()])
    return [_sparse(part, known, rare) for part in counted]


def _sparse(part: Sequence[Mapping[str, int]], known: Mapping[str, int], rare: Array) -> Matrix:
    ends = np.cumsum([0, *map(len, part)])
    columns = np.fromiter((known[token] for counts in part for token in counts), dtype=np.int64, count=ends[-1])
    often = np.fromiter((n for counts in part for n in counts.values()), dtype=np.float64, count=ends[-1])
    made = sparse.csr_matrix(((1 + np.log(often)) * rare[columns], columns, ends), shape=(len(part), len(known)))
    lengths = np.sqrt(np.asarray(made.multiply(made).sum(axis=1)).ravel())
    return sparse.diags_array(1 / np.where(lengths > 0, lengths, 1.0)).tocsr() @ made


def most_alike(rows: Matrix, others: Matrix) -> Array:
    """The cosine of each row with the most similar of the others."""
    found = np.zeros(rows.shape[0])
    for start in range(0, rows.shape[0], 512):
        found[start : start + 512] = (rows[start : start + 512] @ others.T).max(axis=1).toarray().ravel()
    return found


@dataclass(frozen=True, kw_only=True, slots=True)
class Softmax:
    """A multinomial logistic regression."""

    weights: Array  # (features, classes)
    intercept: Array  # (classes,)

    @classmethod
    def fit(cls, x: Matrix, labels: Codes, classes: int, strength: float) -> "Softmax":
        """The weights that fit best, kept small: `strength` is scikit-learn's C."""
        wanted = np.eye(classes)[labels]
        shape = x.shape[1] + 1, classes

        def loss(flat: Array) -> tuple[float, Array]:
            both = flat.reshape(shape)
            weights, intercept = both[:-1], both[-1]
            shares, logs = _softmax(x @ weights + intercept)
            miss = shares - wanted
            value = -strength * float((wanted * logs).sum()) + 0.5 * float((weights**2).sum())
            gradient = np.vstack((strength * (x.T @ miss) + weights, strength * miss.sum(axis=0)))
            return value / len(labels), gradient.ravel() / len(labels)

        found = optimize.minimize(loss, np.zeros(shape).ravel(), jac=True, method="L-BFGS-B", options={"maxiter": 150})
        both = found.x.reshape(shape)
        return cls(weights=both[:-1], intercept=both[-1])

    def shares(self, x: Matrix) -> Array:
        """The probability of each class, (rows, classes)."""
        return _softmax(x @ self.weights + self.intercept)[0]


def _softmax(scores: Array) -> tuple[Array, Array]:
    shifted = scores - scores.max(axis=1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return np.exp(logs), logs


def cross_validated(x: Matrix, labels: Codes, classes: int, strength: float, folds: int = 5) -> Array:
    """The probability of each class for every row, by classifiers that have not seen the row."""
    shuffled = np.random.default_rng(0).permutation(len(labels))
    found = np.zeros((len(labels), classes))
    for fold in range(folds):
        out = np.zeros(len(labels), dtype=bool)
        out[shuffled[fold::folds]] = True
        found[out] = Softmax.fit(x[~out], labels[~out], classes, strength).shares(x[out])
    return found
