"""Rows that one table has and another lacks, against counting them."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbot.data.diff import Hashes, RowDiff, by_content, by_key, copies, members, multiplied, repeated

ROWS = st.lists(st.integers(0, 8), max_size=30)


def hashes(rows: list[int]) -> Hashes:
    return np.array(rows, dtype=np.uint64)


@given(ROWS, ROWS)
def test_rows_are_added_and_removed_as_in_multisets(before: list[int], after: list[int]) -> None:
    found = by_content(hashes(before), hashes(after))
    added = [row for row, new in zip(after, found.added, strict=True) if new]
    removed = [row for row, gone in zip(before, found.removed, strict=True) if gone]
    assert Counter(added) == Counter(after) - Counter(before)
    assert Counter(removed) == Counter(before) - Counter(after)
    assert found.changed.size == 0


@given(st.dictionaries(st.integers(0, 20), st.integers(0, 3)), st.dictionaries(st.integers(0, 20), st.integers(0, 3)))
def test_a_key_tells_rows_apart(before: dict[int, int], after: dict[int, int]) -> None:
    keys = list(before), list(after)
    then, now = (hashes([key * 100 + value for key, value in each.items()]) for each in (before, after))
    found = by_key(then, now, hashes(keys[0]), hashes(keys[1]))
    assert isinstance(found, RowDiff)
    assert {keys[1][at] for at in np.flatnonzero(found.added)} == after.keys() - before.keys()
    assert {keys[0][at] for at in np.flatnonzero(found.removed)} == before.keys() - after.keys()
    changed = {key for key in before.keys() & after.keys() if before[key] != after[key]}
    assert {keys[1][at] for at in found.changed} == changed
    assert [keys[0][at] for at in found.was] == [keys[1][at] for at in found.changed]
    assert set(np.flatnonzero(found.new)) == {*np.flatnonzero(found.added), *found.changed}


@given(ROWS, ROWS)
def test_members_and_repeated_rows(rows: list[int], others: list[int]) -> None:
    assert members(hashes(rows), hashes(others)).tolist() == [row in others for row in rows]
    assert repeated(hashes(rows)).tolist() == [rows.count(row) > 1 for row in rows]
    shared, more = multiplied(hashes(rows))
    assert (shared, more) == (sum(rows.count(row) > 1 for row in rows), len(rows) - len(set(rows)))
    keyed = by_key(hashes(others), hashes(rows), hashes(others), hashes(rows))
    if isinstance(keyed, int):
        assert keyed == max(multiplied(hashes(each))[0] for each in (rows, others))
    else:
        assert max(Counter(rows).values(), default=0) < 2


@given(ROWS, ROWS)
def test_copies_are_what_comes_once_more(before: list[int], more: list[int]) -> None:
    after = [*before, *more]
    new = np.arange(len(after)) >= len(before)
    old, again = copies(new, hashes(after), hashes(before))
    assert [after[at] for at in old] == [row for row in more if row in before]
    assert len(again) == sum(count - 1 for row, count in Counter(more).items() if row not in before)
    assert new[old].all()
    assert new[again].all()


@pytest.mark.parametrize(("after", "new"), [([5, 6, 5, 7], [2, 3]), ([7, 5, 5, 6], [0, 2])])
def test_of_equal_rows_the_last_is_new(after: list[int], new: list[int]) -> None:
    assert np.flatnonzero(by_content(hashes([5, 6]), hashes(after)).added).tolist() == new
