"""Which looks at sealed rows count, what is asked again, and what the ledger holds of the rows."""

import base64
import json
from collections.abc import Collection, Iterable, Sequence
from hashlib import sha256
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.ledger_samples import digest

from mlbot.delivery.sealed import Fingerprint, SealedAnswer, answered, refused
from mlbot.ledger.entries import SealedEntry, canonical, files_of, read_files
from mlbot.ledger.queries import not_passed, sealed_looks


def prints(numbers: Iterable[int], secret: bytes = b"k" * 40) -> Fingerprint:
    """Rows, each a number."""
    rows = frozenset(number.to_bytes(8, "big") for number in numbers)
    whole = sha256(b"".join(sorted(rows))).hexdigest()
    return Fingerprint(secret=secret, whole=f"sha256:{whole}", rows=rows)


def table(columns: dict[str, list[int]], secret: bytes = b"k" * 40) -> Fingerprint:
    """Rows of columns."""

    def over(views: Sequence[Collection[str]]) -> list[frozenset[bytes]]:
        rows = [
            zip(*([f"{name}={each}" for each in columns[name]] for name in sorted(view)), strict=True) for view in views
        ]
        return [frozenset(sha256("|".join(row).encode()).digest()[:8] for row in view) for view in rows]

    (rows,) = over([columns])
    whole = sha256(b"".join(sorted(rows))).hexdigest()
    return Fingerprint(secret=secret, whole=f"sha256:{whole}", rows=rows, columns=tuple(columns), over=over)


def drawn(seed: int, rows: int = 1000) -> dict[str, list[int]]:
    draw = Random(seed)  # noqa: S311 - rows of a test
    return {name: [draw.randrange(most) for _ in range(rows)] for name, most in SIZES.items()} | {"id": [*range(rows)]}


SIZES = {"a": 10**6, "b": 10**6, "c": 10**6, "town": 5, "y": 2}
ROWS = drawn(1)
SHUFFLED = Random(5).sample(ROWS["a"], len(ROWS["a"]))  # noqa: S311
LIKE = {
    "a constant column more": ROWS | {"z": [0] * 1000},
    "twenty columns more": ROWS | {f"z{at}": [at] * 1000 for at in range(20)},
    "a shuffled column more": ROWS | {"z": SHUFFLED},
    "another column in the place of one": ROWS | {"a": SHUFFLED},
    "a column less": {name: values for name, values in ROWS.items() if name != "b"},
    "a column called otherwise": {name.replace("b", "q"): values for name, values in ROWS.items()},
    "another order": {name: ROWS[name][::-1] for name in reversed(ROWS)},
    "a third of the rows, a column more": {n: v[:333] for n, v in ROWS.items()} | {"z": [0] * 333},
}


@pytest.mark.parametrize("name", LIKE)
def test_rows_are_known_by_what_is_left_of_their_columns(name: str) -> None:
    old = look(1, "not-shown", table(ROWS))
    assert table(LIKE[name]).is_like(old)
    assert refused([old, MINE], MINE, table(LIKE[name])) == 1


@pytest.mark.parametrize("more", [{}, {"z": [0] * 1000}])
def test_other_rows_are_others_though_they_are_counted_alike(more: dict[str, list[int]]) -> None:
    assert not table(drawn(2) | more).is_like(look(1, "not-shown", table(ROWS)))
    assert not table(drawn(2)).is_like(look(1, "not-shown", table(ROWS | more)))


def test_few_values_make_no_rows_alike_over_a_part_of_their_columns() -> None:
    few = {name: [each % 3 for each in values] for name, values in drawn(3, 200).items()}
    others = {name: [each % 3 + 3 for each in values] for name, values in drawn(4, 200).items()}
    assert not table(others | {"id": few["id"]}).is_like(look(1, "not-shown", table(few)))


def test_views_of_the_ledger_tell_nothing_without_the_key_and_whoever_spoils_them_gains_nothing() -> None:
    entry = look(1, "not-shown", table(ROWS))
    assert entry.views is not None
    raw = base64.b64decode(entry.views)
    sketched = base64.b64decode(entry.sketch)
    assert len(set(raw)) == 256
    assert raw[:64] != sketched[:64]
    again = look(2, "not-shown", table(ROWS))
    assert again.views is not None
    assert raw[:64] != base64.b64decode(again.views)[:64]  # no two have one stream
    for spoilt in ("", "AAAA", entry.views[:400]):
        assert table(drawn(2)).is_like(entry.model_copy(update={"views": spoilt}))
    assert not table(drawn(2)).is_like(entry.model_copy(update={"views": None}))  # as looks of before are
    assert read_files(files_of([entry])).entries == (entry,)


OLD, NEW, OTHER = prints(range(5000)), prints(range(5000, 10_000)), prints(range(5000), b"o" * 40)


def look(sequence: int, state: Any = "asked", of: Fingerprint | None = None, **changes: Any) -> SealedEntry:
    fields: dict[str, Any] = {
        "model": "tiny",
        "id": f"{sequence}",
        "sequence": sequence,
        "state": state,
        "version": "1.0.0",
        "digest": digest(1),
        "baseline": digest(2),
        "rules": digest(3),
        "policy": "4" * 40,
        "actor": "Ada",
        "time": "2026-11-20T16:00:00Z",
    }
    entry = SealedEntry(**(fields | changes))
    if of is None:
        return entry
    known = of.known(entry)
    return entry.model_copy(update={name: value for name, value in known.items() if name not in changes})


MINE = look(9)


@pytest.mark.parametrize(
    ("before", "count"),
    [
        ([], 0),
        ([look(1, "pass", OLD)], 0),
        ([look(1, "not-shown", OLD), look(2, "not-shown", OLD)], 2),
        ([look(1, "not-shown", NEW)], 0),
        ([look(1, "not-shown", NEW, sketch="")], 1),  # whoever may write to the ledger may write anything
        ([look(1, "not-shown", NEW, sketch="A===")], 1),
        ([look(1, "not-shown", OTHER)], 1),  # with another key nobody can tell which rows they were
        ([look(1, "void"), look(2, "spent", OLD)], 0),
        ([look(1, "not-shown", OLD), look(2, "not-shown", OLD, replays="1")], 1),
        # without an answer: of the rows that were asked before and after it
        ([look(1)], 1),
        ([look(1), look(2, "pass", NEW)], 0),
        ([look(1, "pass", OLD), look(2), look(3, "pass", NEW)], 1),
        ([look(1, "pass", NEW), look(2)], 1),
        ([look(1, "pass", NEW), look(2), look(3, "pass", NEW), look(4)], 1),
        # at once: whichever was first, each is earlier than the other
        ([look(9, id="x")], 1),
        ([look(10, id="x")], 0),
    ],
)
def test_what_counts(before: list[SealedEntry], count: int) -> None:
    assert refused([*before, MINE], MINE, OLD) == count


@pytest.mark.parametrize(
    ("before", "elsewhere", "count"),
    [
        ([look(1, "not-shown", OLD), look(50, "not-shown", OLD)], {"former"}, 2),  # two models may have the same rows
        ([look(1, "not-shown", OLD)], set(), 1),  # it was called otherwise
        ([look(1, "not-shown", NEW)], set(), 0),
        ([look(1, "pass", OLD)], set(), 0),
        # where nobody can tell: a model whose rows have another address looked at others
        ([look(1)], set(), 1),
        ([look(1)], {"former"}, 0),
        ([look(1, "pass", OLD), look(2)], {"former"}, 1),
        ([look(1, "not-shown", OTHER)], set(), 1),
        ([look(1, "not-shown", OTHER)], {"former"}, 0),
    ],
)
def test_looks_count_whatever_their_model_is_called(before: list[SealedEntry], elsewhere: set[str], count: int) -> None:
    other = [_called("former", each) for each in before]
    assert refused([*other, MINE], MINE, OLD, elsewhere) == count


def _called(model: str, of: SealedEntry) -> SealedEntry:
    """A look of another model; its sketch is encrypted for that one."""
    entry = of.model_copy(update={"model": model})
    rows = next((each for each in (OLD, NEW, OTHER) if each.content == of.content), None)
    return entry if rows is None else entry.model_copy(update={"sketch": rows.sketch(entry)})


@pytest.mark.parametrize(("shared", "inherits"), [(0, False), (300, False), (700, True), (2500, True), (5000, True)])
def test_rows_in_common_inherit_from_a_tenth_on(shared: int, *, inherits: bool) -> None:
    rows = prints(range(5000 - shared, 10_000 - shared))
    assert (refused([look(1, "not-shown", OLD), MINE], MINE, rows) == 1) is inherits


def test_a_part_of_old_rows_is_old_and_old_rows_among_many_new_ones_are_not() -> None:
    before = [look(1, "not-shown", OLD), MINE]
    assert refused(before, MINE, prints(range(50))) == 1
    assert refused(before, MINE, prints(range(100_000))) == 0
    few = [look(1, "not-shown", prints(range(20))), MINE]
    assert refused(few, MINE, prints(range(18, 38))) == 0
    assert refused(few, MINE, prints(range(17, 37))) == 1


def test_the_same_question_has_the_same_answer() -> None:
    passed, shown = look(1, "pass", OLD), look(2, "not-shown", OLD, digest=digest(8))
    looks = [passed, shown, look(3, "not-shown", NEW), look(4), MINE]
    assert answered(looks, MINE, OLD) == passed
    assert answered(looks, look(9, digest=digest(8)), OLD) == shown
    for changes in ({"baseline": None}, {"rules": digest(9)}, {"digest": digest(9)}):
        assert answered(looks, look(9, **changes), OLD) is None
    assert answered(looks, MINE, OTHER) is None
    assert answered([look(5, "not-shown", OLD), *looks], MINE, OLD).state == "not-shown"  # type: ignore[union-attr]


def test_of_one_look_the_strictest_entry_is_believed() -> None:
    asked = look(1)
    entries = [asked.model_copy(update={"state": state}) for state in ("not-shown", "pass", "void", "asked")]
    for at, state in enumerate(("not-shown", "pass", "void", "asked")):
        assert [each.state for each in sealed_looks(reversed(entries[at:]), "tiny")] == [state]


MARCH = {"time": "2026-03-01T10:00:00Z"}


@pytest.mark.parametrize(
    ("own", "former", "elsewhere", "count"),
    [
        ([], [], set(), 0),
        ([look(1, "not-shown", NEW), look(2, "not-shown", OLD), look(3), look(4, "pass", OLD)], [], set(), 2),
        # it was called otherwise, or two models have the same rows
        ([], [look(1, "not-shown", OLD), look(2)], set(), 2),
        ([look(1, "not-shown", OLD)], [look(1, "not-shown", OLD), look(2)], set(), 3),
        ([look(1, "not-shown", OLD)], [look(1, "not-shown", OLD), look(2)], {"former"}, 2),
        ([look(1, "pass", OLD)], [look(7, "not-shown", NEW)], set(), 0),
        # the newest rows, by time where nobody counted both
        ([], [look(7, "not-shown", OLD, **MARCH), look(8, "not-shown", NEW)], set(), 1),
        ([], [look(1, "not-shown", OLD)], {"former"}, 0),
    ],
)
def test_what_counts_without_the_key(
    own: list[SealedEntry], former: list[SealedEntry], elsewhere: set[str], count: int
) -> None:
    looks = sealed_looks([*own, *(_called("former", each) for each in former)])
    assert len(looks) == len(own) + len(former)
    assert not_passed(looks, "tiny", elsewhere) == count


@given(st.integers(0, 3000), st.integers(1, 5))
def test_the_ledger_does_not_tell_how_many_rows_there_are_nor_which(count: int, sequence: int) -> None:
    rows = prints(range(count))
    entry = look(sequence, "not-shown", rows)
    assert len(entry.sketch) == len(look(1, "not-shown", OLD).sketch)
    raw, text = base64.b64decode(entry.sketch), canonical(entry)
    assert not any(row in raw for row in [*rows.rows][:50])
    assert rows.whole.encode() not in text
    assert look(sequence + 1, "not-shown", rows).sketch != entry.sketch
    assert read_files(files_of([entry])).entries == (entry,)


def test_an_answer_has_nothing_but_what_the_ledger_may_hold() -> None:
    answer = SealedAnswer(look="1", state="void", cause="address")
    assert json.loads(canonical(answer.on(look(1)))) == json.loads(canonical(look(1, "void")))
