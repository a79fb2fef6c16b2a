"""The rows of an evaluation: a score a metric of each item and repeat, whatever tool wrote them; and the format `rows`.

All of it comes from a process that read a stranger's artifact: nothing is believed, everything is bounded, and what is
refused is shown escaped.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Never

from mlbot.gates.outcome import Reason
from mlbot.lib.escape import clean
from mlbot.verdict.verdict import Problem

MOST_BYTES = 64_000_000
MOST_ROWS = 1_000_000
MOST_METRICS = 64
_MOST_ITEM = 256
_MOST_ERROR = 200
_MOST_LINE = 1_000_000
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_DIGEST = re.compile(r"(sha256:)?[0-9a-f]{64}")
MOST_SCORE = 1e30  # so that squares and sums of them are numbers still
MOST_FACT = 1e15  # of tokens, cost and milliseconds, so that a million of them are a number still
_FACTS = ("tokens_in", "tokens_out", "cost", "latency_ms")
STATUSES = ("ok", "error", "skipped")


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One item, asked once."""

    item: str
    repeat: int = 1
    error: str | None = None  # why it could not be asked or graded; None: it was
    scores: Mapping[str, float | None] = field(default_factory=dict)  # by metric; None: missing, which is an error
    group: str | None = None
    input: str | None = None  # digest of question and expected answer
    facts: Mapping[str, float] = field(default_factory=dict)  # tokens, cost, time
    slices: Mapping[str, str | float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rows:
    """The results of one evaluation."""

    rows: tuple[Row, ...]
    tool: str = ""
    version: str = ""
    complete: bool  # whether the tool says that it came to its end
    items: int | None = None  # how many it was to ask; None where the file does not say
    repeats: int | None = None


class RefusedError(Exception):
    """Results that are not read, with the problem that says why."""

    def __init__(self, cause: str, **values: Any) -> None:
        self.problem = Problem.of(Reason.RESULTS_UNREADABLE, cause, **values)
        super().__init__(self.problem.detail)


def shown(value: object) -> str:
    """A stranger's text for people: short, on one line and escaped."""
    return clean(value, 80)


def cut(text: object) -> str:
    """Why a row is an error, as long as a row may say."""
    return clean(text, _MOST_ERROR)


def checked(rows: Rows) -> Rows:
    """The rows, if they are within bounds and each is one of its own; raises `RefusedError`."""
    if not rows.rows:
        raise RefusedError("empty")
    if len(rows.rows) > MOST_ROWS:
        raise RefusedError("rows", most=f"{MOST_ROWS:,}")
    seen: set[tuple[str, int]] = set()
    of_item: dict[str, tuple[str | None, str | None, Mapping[str, str | float]]] = {}
    for row in rows.rows:
        _check(row)
        if (row.item, row.repeat) in seen:
            raise RefusedError("twice", item=shown(row.item), repeat=row.repeat)
        seen.add((row.item, row.repeat))
        own = row.group, row.input, row.slices
        if of_item.setdefault(row.item, own) != own:
            raise RefusedError("two-cases", item=shown(row.item))
    return rows


def _check(row: Row) -> None:
    if not row.item or len(row.item) > _MOST_ITEM:
        raise RefusedError("item", item=shown(row.item))
    if not 1 <= row.repeat <= MOST_ROWS:
        raise RefusedError("repeat", item=shown(row.item))
    for name, value in row.scores.items():
        if value is not None and not abs(value) < MOST_SCORE:
            raise RefusedError("score", item=shown(row.item), metric=shown(name))
    for text in (row.group, *(each for each in row.slices.values() if isinstance(each, str))):
        if text is not None and len(text) > _MOST_ITEM:
            raise RefusedError("long", item=shown(row.item))


def load_json(raw: bytes | str, what: str) -> Any:
    """The value of a JSON text: no name twice, no infinite number; NaN is read, for it is how a score is missing."""
    try:
        return json.loads(
            raw, object_pairs_hook=_unique, parse_constant=_constant, parse_int=_whole, parse_float=_number
        )
    except (ValueError, RecursionError):
        raise RefusedError("not-json", what=what) from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise RefusedError("not-json", what="an object that names a field twice")
    return made


def _constant(name: str) -> float:
    if name == "NaN":
        return math.nan
    return _infinite()


def _infinite() -> Never:
    raise RefusedError("not-json", what="a number that is not finite or too long")


_LONGEST_NUMBER = 40


def _whole(text: str) -> int:
    return int(text) if len(text) <= _LONGEST_NUMBER else _infinite()


def _number(text: str) -> float:
    value = float(text) if len(text) <= _LONGEST_NUMBER else math.inf
    return value if math.isfinite(value) else _infinite()


def lines_of(raw: bytes) -> Iterator[bytes]:
    """The lines of a file that have something in them; raises `RefusedError` for one that is too long."""
    for line in raw.split(b"\n"):
        if len(line) > _MOST_LINE:
            raise RefusedError("line", most=f"{_MOST_LINE:,}")
        if line.strip():
            yield line


def read_jsonl(raw: bytes) -> Rows:
    """The results in the neutral format, as JSON lines; raises `RefusedError`."""
    lines = lines_of(raw)
    head = load_json(next(lines, b"{}"), "the first line")
    if not isinstance(head, dict) or head.get("mlbot_rows") != 1:
        raise RefusedError("no-header")
    rows = tuple(_row(load_json(line, f"line {number}"), number) for number, line in enumerate(lines, 2))
    return headed(head, rows)


def headed(head: Mapping[str, Any], rows: tuple[Row, ...]) -> Rows:
    """The rows with what their file says of them."""
    items, repeats = (head.get(key) for key in ("items", "repeats"))
    if not isinstance(head.get("complete"), bool) or not _counts(items) or not (repeats is None or _counts(repeats)):
        raise RefusedError("header")
    return Rows(
        rows=rows,
        tool=shown(head.get("tool", "")),
        version=shown(head.get("tool_version", "")),
        complete=head["complete"],
        items=items,
        repeats=repeats,
    )


def _counts(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MOST_ROWS


def _row(given: Any, number: int) -> Row:
    if not isinstance(given, dict):
        raise RefusedError("not-json", what=f"line {number}, which is no object")
    return row_of(given, f"line {number}")


def row_of(given: Mapping[str, Any], where: str) -> Row:
    """A row of its columns; raises `RefusedError`."""
    scores: dict[str, float | None] = {}
    slices: dict[str, str | float] = {}
    for key, value in given.items():
        start, dot, name = key.partition(".")
        if key in _COLUMNS:
            continue
        if not dot or start not in {"score", "slice"} or not _NAME.fullmatch(name):
            raise RefusedError("column", column=shown(key), where=where)
        if start == "score":
            scores[name] = score_of(value, name, where)
        elif value is not None:
            slices[name] = _slice(value, name, where)
    if len(scores) > MOST_METRICS:
        raise RefusedError("metrics", most=MOST_METRICS)
    status = given.get("status")
    if status is None:  # a reason without a status is none for a score to count
        status = "error" if given.get("error") else "ok"
    if status not in STATUSES:
        raise RefusedError("status", status=shown(status), where=where)
    repeat = given.get("repeat", 1)
    if not _counts(repeat):
        raise RefusedError("repeat", item=shown(given.get("item", "")))
    return Row(
        item=_text(given.get("item"), "item", where) or "",
        repeat=repeat,
        error=None if status == "ok" else cut(given.get("error") or status),
        scores=scores if status == "ok" else {},
        group=_text(given.get("group"), "group", where),
        input=_digest(given.get("input"), where),
        facts={key: float(given[key]) for key in _FACTS if _is_number(given.get(key), key, where)},
        slices=slices,
    )


_COLUMNS = {"item", "repeat", "status", "error", "group", "input", *_FACTS}


def score_of(value: object, name: str, where: str) -> float | None:
    """A score; None where it is missing. Text is refused, also where it looks like a number."""
    match value:
        case None:
            return None
        case bool() | int() | float():
            made = float(value)
            return None if math.isnan(made) else made
        case _:
            raise RefusedError("score-type", metric=shown(name), where=where)


def _slice(value: object, name: str, where: str) -> str | float:
    match value:
        case bool():
            return str(value).lower()
        case int() | float() if math.isfinite(value):
            return float(value)
        case str():
            return value
        case _:
            raise RefusedError("value", column=f"slice.{shown(name)}", where=where)


def _text(value: object, column: str, where: str) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise RefusedError("value", column=column, where=where)


def _digest(value: object, where: str) -> str | None:
    text = _text(value, "input", where)
    if text is not None and not _DIGEST.fullmatch(text):
        raise RefusedError("value", column="input", where=where)
    return text and text.removeprefix("sha256:")


def _is_number(value: object, column: str, where: str) -> bool:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return False
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < MOST_FACT:
        raise RefusedError("value", column=column, where=where)
    return True
