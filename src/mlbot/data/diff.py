"""Which rows of one table another one lacks, by hashes of eight bytes a row: nothing else of a row is held."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]
Mask = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True)
class RowDiff:
    """Which rows differ."""

    added: Mask  # of the rows after
    removed: Mask  # of the rows before
    changed: Indices  # of the rows after that have another content than before, by their key
    was: Indices  # where each of these was before

    @classmethod
    def of_new(cls, rows: int) -> "RowDiff":
        """Of a file that was not there."""
        return cls(added=np.ones(rows, dtype=bool), removed=np.empty(0, dtype=bool), changed=_NONE, was=_NONE)

    @property
    def new(self) -> Mask:
        """The rows after that were not there before as they are: added, or changed."""
        found = self.added.copy()
        found[self.changed] = True
        return found


_NONE = np.empty(0, dtype=np.int64)


def by_content(before: Hashes, after: Hashes) -> RowDiff:
    """The difference of two multisets of rows: a row that is there twice and was there once was added once."""
    return RowDiff(added=surplus(after, before), removed=surplus(before, after), changed=_NONE, was=_NONE)


def by_key(before: Hashes, after: Hashes, keys_before: Hashes, keys_after: Hashes) -> RowDiff | int:
    """The difference of rows that a unique key tells apart; the first two are hashes of all that a row holds.

    Where rows share a key it is how many do, at most, in one of the two.
    """
    order_before, order_after = np.argsort(keys_before), np.argsort(keys_after)
    known, asked = keys_before[order_before], keys_after[order_after]
    if repeated := max(_alike(known)[0], _alike(asked)[0]):
        return repeated
    at = np.searchsorted(known, asked)
    at[at == known.size] = 0  # any row: its key is another one
    there = known[at] == asked if known.size else np.zeros(asked.size, dtype=bool)
    now, was = order_after[there], order_before[at[there]]
    added, removed = np.ones(after.size, dtype=bool), np.ones(before.size, dtype=bool)
    added[now], removed[was] = False, False
    other = after[now] != before[was]
    now, was = now[other], was[other]
    by_place = np.argsort(now)
    return RowDiff(added=added, removed=removed, changed=now[by_place], was=was[by_place])


def surplus(rows: Hashes, others: Hashes) -> Mask:
    """Which rows are more often here than there: of equal ones the last."""
    order = np.argsort(rows, kind="stable")
    here = rows[order]
    starts = _starts(here)
    counts = np.diff(starts, append=here.size)
    place = np.arange(here.size) - np.repeat(starts, counts)
    found = np.empty(rows.size, dtype=bool)
    found[order] = place >= np.repeat(occurrences(here[starts], np.sort(others)), counts)
    return found


def occurrences(asked: Hashes, ordered: Hashes) -> Indices:
    """How often each hash is in others that are sorted."""
    return np.searchsorted(ordered, asked, side="right") - np.searchsorted(ordered, asked, side="left")


def members(rows: Hashes, others: Hashes) -> Mask:
    """Which rows are among others."""
    if not others.size:
        return np.zeros(rows.size, dtype=bool)
    known = np.unique(others)
    if known.size > _FITS:
        return np.isin(rows, known, kind="sort")
    at = np.searchsorted(known, rows)
    at[at == known.size] = 0  # any of them: it is another one
    return np.asarray(known[at] == rows)


_FITS = 1 << 20  # hashes that are looked up faster than all rows are sorted


def repeated(rows: Hashes) -> Mask:
    """Which rows there are twice or more."""
    order = np.argsort(rows, kind="stable")
    here = rows[order]
    starts = _starts(here)
    counts = np.diff(starts, append=here.size)
    found = np.empty(rows.size, dtype=bool)
    found[order] = np.repeat(counts > 1, counts)
    return found


def multiplied(rows: Hashes) -> tuple[int, int]:
    """How many rows share their hash with another one, and how many of these are not the first of their kind."""
    return _alike(np.sort(rows))


def _alike(ordered: Hashes) -> tuple[int, int]:
    same = ordered[1:] == ordered[:-1]
    if not same.any():
        return 0, 0
    return int((np.append(same, False) | np.append(False, same)).sum()), int(same.sum())


def copies(new: Mask, after: Hashes, before: Hashes) -> tuple[Indices, Indices]:
    """Which of the new rows are rows of before once more, and which are another new row once more."""
    at = np.flatnonzero(new)
    own = after[at]
    there = before[members(before, own)]
    old = members(own, there)
    # A row that has another key now, and is there no more under the old one, is no copy.
    here = after[members(after, there)]
    more = int(surplus(here, there).sum())
    first = np.unique(own[~old], return_index=True)[1]
    return at[old][:more], np.delete(at[~old], first)


def _starts(ordered: Hashes) -> Indices:
    """Where each value begins."""
    if not ordered.size:
        return _NONE
    return np.concatenate(([0], np.flatnonzero(ordered[1:] != ordered[:-1]) + 1))
