"""Conditions of slices: what is accepted, what is refused, and that polars reads the same columns."""

import time

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.tiers import examples

from mlbot.config.slice_sql import FUNCTIONS, MAX_LENGTH, RESERVED, TYPES, ConditionError, check, with_missing_text

ACCEPTED = {
    "sex = 'Female'": {"sex"},
    "age < 25": {"age"},
    "age BETWEEN 18 AND 25 AND sex <> 'Male'": {"age", "sex"},
    "age NOT BETWEEN -1 AND 0.5e1": {"age"},
    "country IN ('NL', 'BE') or country not in ('DE')": {"country"},
    "code IN (-1, 2.5, 'x', TRUE)": {"code"},
    "name LIKE 'A%' AND NOT name ILIKE '%b_'": {"name"},
    "name NOT LIKE 'it''s'": {"name"},
    "income IS NULL OR income IS NOT NULL": {"income"},
    "married IS TRUE AND working IS NOT FALSE": {"married", "working"},
    "married": {"married"},
    "NOT married AND (working OR retired)": {"married", "working", "retired"},
    "TRUE": set[str](),
    "gain - loss > 2 * (gain + 1) / 3 % 4": {"gain", "loss"},
    "- -gain > +1": {"gain"},
    '"hours-per-week" > 40': {"hours-per-week"},
    '"a""b" = 1': {'a"b'},
    '"user" = \'x\' AND "select" <> 1': {"user", "select"},
    "LOWER(name) = 'x' AND UPPER(TRIM(name)) = 'X'": {"name"},
    "ABS(a) + CEIL(b) + FLOOR(c) > LENGTH(d)": {"a", "b", "c", "d"},
    "ROUND(a) = 1 OR ROUND(a, 2) = 1.25": {"a"},
    "COALESCE(a, b, 0) > 1": {"a", "b"},
    "COALESCE(a, NULL) IS NULL": {"a"},
    "CAST(a AS INTEGER) = 1 AND CAST(b AS BOOLEAN)": {"a", "b"},
    "born >= CAST('2000-01-01' AS DATE)": {"born"},
    "(a = 1) = (b = 2)": {"a", "b"},
    "länge > 1": {"länge"},
    "  age\n <\t25\n": {"age"},
    "date > 1 AND year = 2000 AND count < 3 AND round = 1": {"date", "year", "count", "round"},
}


@pytest.mark.parametrize("condition", ACCEPTED)
def test_accepts_and_names_columns(condition: str) -> None:
    expected = ACCEPTED[condition]
    assert check(condition) == expected
    assert set(pl.sql_expr(condition).meta.root_names()) == expected


REFUSED = {
    "read_csv('/etc/passwd') = 1": ("the function read_csv", 0),
    "a = read_parquet('x')": ("the function read_parquet", 4),
    "SELECT 1": ("the SQL word SELECT", 0),
    "a IN (SELECT b FROM t)": ("`SELECT`", 6),
    "a = (SELECT 1)": ("the SQL word SELECT", 5),
    "EXISTS (SELECT 1)": ("the SQL word EXISTS", 0),
    "a = 1; DROP TABLE t": ("`;`", 5),
    "a = 1 -- and more": ("a comment", 6),
    "a = 1 /* and more */": ("a comment", 6),
    "a = 1 # and more": ("a comment", 6),
    "a--1 = 2": ("a comment", 1),
    "a == 1": ("`==`", 2),
    "a && b": ("`&&`", 2),
    "a || b = 'x'": ("`||`", 2),
    "a.b = 1": ("a `.`", 1),
    "a[1] = 1": ("the character [", 1),
    "`a` = 1": ("a backtick", 0),
    "a = $1": ("the character $", 4),
    "a = @x": ("the character @", 4),
    "a :: INTEGER": ("the character :", 2),
    "a = 'x": ("a text without its end", 4),
    'a = "x': ("a name without its end", 4),
    '"" = 1': ("an empty name", 0),
    "a = 1_000": ("a number that cannot be read", 4),
    "a = 0x1F": ("a number that cannot be read", 4),
    "a = 5.": ("a number that cannot be read", 4),
    "a = 1e400": ("a number that cannot be read", 4),
    "a = " + "9" * 39: ("a number that cannot be read", 4),
    "a = x'41'": ("the text '41' after the end of a condition", 5),
    "a = 'x' 'y'": ("the text 'y' after the end of a condition", 8),
    "DATE '2020-01-01' < a": ("the text '2020-01-01' after the end of a condition", 5),
    "a b": ("`b` after the end of a condition", 2),
    "a = 1 LIMIT 5": ("`LIMIT` after the end of a condition", 6),
    "current_user = 'x'": ("the SQL word CURRENT_USER", 0),
    "CASE WHEN a THEN b END": ("the SQL word CASE", 0),
    "a = ANY (b)": ("the SQL word ANY", 4),
    "a < INTERVAL '1 day'": ("the SQL word INTERVAL", 4),
    "a = NULL": ("a comparison with NULL, which is never true", 2),
    "NULL <> a": ("a comparison with NULL, which is never true", 5),
    "a IN (NULL)": ("`NULL`", 6),
    "a IN (+1)": ("`+`", 6),
    "a IN ()": ("`)`", 6),
    "a IN (b)": ("`b`", 6),
    "a IN 1": ("`1`", 5),
    "a IN (1, 2": ("the end", 10),
    "a LIKE b": ("`b`", 7),
    "a LIKE UPPER('x')": ("`UPPER`", 7),
    "a NOT 5": ("`5`", 6),
    "a IS 5": ("`5`", 5),
    "a IS": ("the end", 4),
    "a BETWEEN 1 OR 2": ("`OR`", 12),
    "a < b < c": ("`<` after a comparison", 6),
    "a IS NULL = TRUE": ("`=` after a comparison", 10),
    "age + 1": ("a value where a condition is due", 0),
    "1": ("a value where a condition is due", 0),
    "'x'": ("a value where a condition is due", 0),
    "NULL": ("a value where a condition is due", 0),
    "a = 1 AND b + 1": ("a value where a condition is due", 10),
    "a + 1 OR b": ("a value where a condition is due", 0),
    "NOT a + 1": ("a value where a condition is due", 4),
    "LENGTH(a)": ("a value where a condition is due", 0),
    "LENGTH(a, b) > 1": ("LENGTH with 2", 0),
    "COALESCE(a) > 1": ("COALESCE with 1", 0),
    "ROUND(a, 1, 2) > 1": ("ROUND with 3", 0),
    "ROUND(a, -1) > 1": ("`-`", 9),
    "ROUND(a, b) > 1": ("`b`", 9),
    "ABS() > 1": ("`)`", 4),
    "ABS(a > 1": ("the end", 9),
    "CAST(a) > 1": ("`)`", 6),
    "CAST(a AS BLOB) > 1": ("`BLOB`", 10),
    "(a, b) = 1": ("`,`", 2),
    "(a = 1": ("the end", 6),
    "a = 1)": ("`)` after the end of a condition", 5),
    "": ("the end", 0),
    "   ": ("the end", 3),
    "NOT": ("the end", 3),
    "a AND": ("the end", 5),
    "AND a": ("the SQL word AND", 0),
    "a = ": ("the end", 4),
    "= 1": ("`=`", 0),
    "a = 1 AND\u00a0b = 1": ("the character \u00a0", 9),
    "a = '\u202e'": ("the invisible character U+202E", 5),
    "a\u200b = 1": ("the invisible character U+200B", 1),
    "a\x00 = 1": ("the invisible character U+0000", 1),
    "a² = 1": ("a name with odd letters", 0),
    "(" * 13 + "a" + ")" * 13: ("more than 12 levels", 12),
    "NOT " * 13 + "a": ("more than 12 levels", 48),
    "- " * 13 + "a > 1": ("more than 12 levels", 24),
    "ABS(" * 13 + "a" + ")" * 13 + " > 1": ("more than 12 levels", 51),
    "(" * 10_000: ("10,000 characters", 2000),
}


@pytest.mark.parametrize("condition", REFUSED)
def test_refuses_with_the_place(condition: str) -> None:
    with pytest.raises(ConditionError) as caught:
        check(condition)
    assert (caught.value.what, caught.value.position) == REFUSED[condition]
    assert caught.value.hint


def test_points_at_the_place() -> None:
    with pytest.raises(ConditionError) as caught:
        check("sex = 'Female' AND\nread_csv('x') = 1")
    assert str(caught.value) == (
        "found the function read_csv\n"
        "  sex = 'Female' AND read_csv('x') = 1\n"
        "                     ^\n"
        "  use one of ABS, CEIL, COALESCE, FLOOR, LENGTH, LOWER, ROUND, TRIM, UPPER, CAST"
    )


def test_points_into_a_long_condition() -> None:
    with pytest.raises(ConditionError) as caught:
        check("a = 1 AND " * 50 + "b == 1" + " AND a = 1" * 50)
    line, caret = caught.value.caret.splitlines()
    assert line.startswith("…")
    assert line.endswith("…")
    assert line[caret.index("^") :].startswith("== 1")


@pytest.mark.parametrize("word", sorted(RESERVED))
def test_a_reserved_word_is_a_column_only_in_quotes(word: str) -> None:
    assert check(f'"{word}" = 1') == {word}
    assert pl.sql_expr(f'"{word}" = 1').meta.root_names() == [word]
    if word not in {"TRUE", "FALSE"}:
        with pytest.raises(ConditionError):
            check(f"{word} = 1")


SQL_WORDS = (
    "ARRAY BEGIN BINARY BOTH CHAR COLUMN COMMIT CONVERT COPY COUNT CUBE DATA DATE DAY DECIMAL DEFAULT DELETE DESC DIV "
    "DROP ESCAPED EXTRACT FILTER FIRST FOR FORMAT FULL FUNCTION GRANT IF INDEX INNER INSERT INT JOIN JSON KEY LAMBDA "
    "LAST LEFT LOAD MAP MATCH MERGE METHOD MONTH NAME NATURAL NEXT NO NUMERIC OF ONLY OUTER OVERLAY PARTITION POSITION "
    "PRAGMA PRIMARY PRIOR RANGE RANK REAL REPLACE RIGHT ROW ROWS SCHEMA SET SETTINGS START STRING SUBSTRING TABLE TEXT "
    "TIME TIMESTAMP TRY_CAST TUPLE TYPE UNIQUE UNKNOWN UNNEST UPDATE UUID VALUE VARCHAR VARYING WINDOW WITHIN XOR YEAR"
)


@pytest.mark.parametrize("word", SQL_WORDS.split())
@pytest.mark.parametrize("form", ["{} > 1", "NOT {}", "LOWER({}) = 'x'", "1 < {} AND {} IS NULL", "-{} + {} > 1"])
def test_other_words_of_sql_are_columns_for_polars_too(word: str, form: str) -> None:
    condition = form.replace("{}", word)
    assert check(condition) == {word}
    assert set(pl.sql_expr(condition).meta.root_names()) == {word}


NAMES = st.sampled_from(["age", "sex", "is_new", "länge", "round", '"hours-per-week"', '"a""b"', '"select"'])
NUMBERS = st.from_regex(r"[0-9]{1,8}(\.[0-9]{1,6})?(e-?[0-9])?", fullmatch=True)
TEXTS = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"], exclude_characters="\u3164"))
LITERALS = TEXTS.map(lambda text: "'" + text.replace("'", "''")[:40] + "'")


def _values(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    one = sorted(name for name, arity in FUNCTIONS.items() if arity[0] == 1)
    return st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "%"]), inner).map(" ".join),
        inner.map("({})".format),
        inner.map("- {}".format),
        st.tuples(st.sampled_from(one), inner).map(lambda parts: f"{parts[0]}({parts[1]})"),
        st.tuples(inner, inner).map(lambda parts: f"COALESCE({parts[0]}, {parts[1]})"),
        st.tuples(inner, st.integers(0, 9)).map(lambda parts: f"ROUND({parts[0]}, {parts[1]})"),
        st.tuples(inner, st.sampled_from(sorted(TYPES))).map(lambda parts: f"CAST({parts[0]} AS {parts[1]})"),
    )


VALUES = st.recursive(st.one_of(NAMES, NUMBERS, LITERALS), _values, max_leaves=4)
MEMBERS = st.lists(st.one_of(NUMBERS, NUMBERS.map("-{}".format), LITERALS), min_size=1, max_size=4).map(", ".join)
PATTERNS = st.sampled_from(["'A%'", "'%b_'", "'%'", "''"])
COMPARISONS = st.one_of(
    NAMES,
    st.tuples(VALUES, st.sampled_from(["=", "<>", "!=", "<", "<=", ">", ">="]), VALUES).map(" ".join),
    st.tuples(VALUES, st.sampled_from(["IN", "not in"]), MEMBERS.map("({})".format)).map(" ".join),
    st.tuples(VALUES, st.sampled_from(["BETWEEN", "NOT BETWEEN"]), VALUES, st.just("AND"), VALUES).map(" ".join),
    st.tuples(VALUES, st.sampled_from(["LIKE", "NOT LIKE", "ILIKE", "NOT ILIKE"]), PATTERNS).map(" ".join),
    st.tuples(VALUES, st.sampled_from(["IS NULL", "IS NOT NULL", "IS TRUE", "is not false"])).map(" ".join),
)
CONDITIONS = st.recursive(
    COMPARISONS,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["AND", "OR", "and"]), inner).map(" ".join),
        inner.map("NOT {}".format),
        inner.map("({})".format),
    ),
    max_leaves=4,
)


def attempt(condition: str) -> frozenset[str] | ConditionError:
    try:
        return check(condition)
    except ConditionError as error:
        return error


@given(CONDITIONS)
@settings(max_examples=examples(150))
def test_polars_reads_every_accepted_condition_and_the_same_columns(condition: str) -> None:
    columns = attempt(condition)
    if isinstance(columns, ConditionError):
        # the strategy knows no limits of depth and length, nor that a sum is no condition under NOT
        assert "levels" in columns.what or "characters" in columns.what or "a value" in columns.what
    else:
        assert set(pl.sql_expr(condition).meta.root_names()) <= columns
        assert with_missing_text(condition, ()) == condition
        again = with_missing_text(condition, columns)
        assert set(pl.sql_expr(again).meta.root_names()) <= columns
        assert again.replace("NULLIF(", "").replace(", '')", "") == condition.replace(", '')", "")


SCRAPS = st.sampled_from(
    [*"()=<>-+*/%,;'\".", "AND", "OR", "NOT", "IN", "IS", "a", "1", "'x'", "SELECT", "read_csv", " "]
)


@given(st.one_of(st.text(), st.lists(SCRAPS, max_size=40).map(" ".join), st.lists(SCRAPS, max_size=40).map("".join)))
@settings(max_examples=examples(150))
def test_any_text_is_accepted_or_refused(text: str) -> None:
    columns = attempt(text)
    if isinstance(columns, ConditionError):
        assert 0 <= columns.position <= len(text)
    else:
        assert set(pl.sql_expr(text).meta.root_names()) <= columns


@pytest.mark.parametrize(
    "condition", ["a OR " * 390 + "a", "a + " * 490 + "a > 1", "a IN (" + "1, " * 600 + "1)", "''" * 1000, '""' * 1000]
)
def test_the_longest_conditions_take_no_time(condition: str) -> None:
    assert len(condition) <= MAX_LENGTH
    start = time.process_time()
    if not isinstance(attempt(condition), ConditionError):
        pl.sql_expr(condition)
    assert time.process_time() - start < 1.0
