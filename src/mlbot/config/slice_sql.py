"""What a slice may ask of a row: an allow-list of SQL, so that a condition can do nothing but compare columns.

A condition comes from a pull request and is evaluated where the holdout lies. So it is not searched for what is known
to be bad; it is read by a grammar that has nothing else in it:

    condition  = and (OR and)*
    and        = not (AND not)*
    not        = NOT* comparison
    comparison = sum [op sum | IS [NOT] (NULL | TRUE | FALSE) | [NOT] IN (literal, …) | [NOT] BETWEEN sum AND sum
                 | [NOT] (LIKE | ILIKE) text]
    sum        = product ((+ | -) product)*
    product    = factor ((* | / | %) factor)*
    factor     = (+ | -)* (number | text | TRUE | FALSE | NULL | column | function(…) | CAST(condition AS type)
                 | (condition))

Everything accepted is also read, with the same columns, by `polars.sql_expr` (polars 2.1): a test draws from the
grammar.
"""

import math
import re
from collections.abc import Callable, Collection, Iterator
from enum import Enum, StrEnum, auto
from functools import partial
from typing import NamedTuple

from mlbot.config.errors import INVISIBLE
from mlbot.errors import UsageError

FUNCTIONS = {
    "ABS": (1, 1),
    "CEIL": (1, 1),
    "COALESCE": (2, 8),
    "FLOOR": (1, 1),
    "LENGTH": (1, 1),
    "LOWER": (1, 1),
    "ROUND": (1, 2),
    "TRIM": (1, 1),
    "UPPER": (1, 1),
}
"""Every function that may be called, with the least and the most arguments it takes."""
TYPES = frozenset({"BIGINT", "BOOLEAN", "DATE", "DOUBLE", "FLOAT", "INTEGER", "TEXT", "VARCHAR"})
"""What CAST may turn a value into."""
_RESERVED_WORDS = """
    ALL ANALYZE AND ANY AS BETWEEN BY CASE CAST CLUSTER CURRENT_CATALOG CURRENT_DATE CURRENT_ROLE CURRENT_SCHEMA
    CURRENT_TIME CURRENT_TIMESTAMP CURRENT_USER DISTINCT DISTRIBUTE ELSE END ESCAPE EXCEPT EXCLUDE EXISTS EXPLAIN FETCH
    FROM GROUP HAVING ILIKE IN INTERSECT INTERVAL INTO IS LATERAL LIKE LIMIT LOCALTIME LOCALTIMESTAMP MINUS NOT OFFSET
    ON OR ORDER OVER RETURNING SELECT SESSION_USER SIMILAR SOME SORT STRUCT THEN TOP TRIM UNION USER USING VALUES VIEW
    WHEN WHERE WITH TRUE FALSE NULL
"""
RESERVED = frozenset(_RESERVED_WORDS.split())
"""What SQL takes for something else than a column: `USER > 1` asks who is logged in."""
MAX_LENGTH = 2000  # characters; SQL engines walk long chains of `OR` and `+` by recursion
_MAX_DEPTH = 12  # parentheses, calls, NOT and signs inside each other. polars 2.1 gives up from about 20 on
_MAX_DIGITS = 38  # polars holds no longer numbers exactly
_WINDOW = 72
_CUT = 32
_OPERATORS = frozenset({"=", "<>", "!=", "<", "<=", ">", ">="})
_CONSTANTS = frozenset({"TRUE", "FALSE", "NULL"})


class ConditionError(UsageError):
    """A condition that is not accepted.

    `position` counts from 0.
    """

    def __init__(self, what: str, *, condition: str, position: int, hint: str) -> None:
        super().__init__(what, hint=hint)
        self.condition = condition
        self.position = position

    @property
    def caret(self) -> str:
        """The condition, cut to what is around the place, and a caret below that points at it."""
        start = max(0, self.position - _WINDOW // 2)
        part = self.condition[start : start + _WINDOW]
        before, after = "…" if start else "", "…" if start + _WINDOW < len(self.condition) else ""
        shown = INVISIBLE.sub("\ufffd", re.sub(r"\s", " ", part))
        return f"{before}{shown}{after}\n{' ' * (len(before) + self.position - start)}^"

    def __str__(self) -> str:
        """What is wrong, where, and what to write."""
        return f"found {self.what}\n  {self.caret.replace(chr(10), chr(10) + '  ')}\n  {self.hint}"


def check(condition: str) -> frozenset[str]:
    """The columns that a condition reads."""
    return _Reader(condition).read()


def with_small_numbers(condition: str) -> str:
    """The condition with 1 for each number: long and broken ones polars 2.1 compares with text, as text, by itself."""
    return _TOKEN.sub(lambda found: "1" if found["number"] else found[0], condition)


def with_missing_text(condition: str, texts: Collection[str]) -> str:
    """The condition in which `IS NULL` and `COALESCE` find the missing values of columns of text, held as `''`."""
    reader = _Reader(condition)
    reader.read()
    made, end = "", 0
    for start, name, written in reader.asked_for_null():
        if name in texts:
            made, end = f"{made}{condition[end:start]}NULLIF({written}, '')", start + len(written)
    return made + condition[end:]


class _Kind(StrEnum):
    """What a token is: the groups of the pattern below, and the end."""

    NUMBER = "number"
    TEXT = "text"
    NAME = "name"
    QUOTED = "quoted"
    SIGN = "sign"
    END = "end"


# Possessive quantifiers (*+) never go back, so that a quote without its end costs linear time.
_TOKEN = re.compile(
    r"""(?P<number>(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
    |(?P<text>'(?:[^']|'')*+')
    |(?P<quoted>"(?:[^"]|"")*+")
    |(?P<name>[^\W\d]\w*)
    |(?P<sign><>|!=|<=|>=|[-=<>()+*/%,])""",
    re.VERBOSE,
)
_BLANKS = re.compile(r"[ \t\n]*")
_NO_COMMENT = "leave comments to the YAML around it"
_REFUSED = {
    "--": ("a comment", f"{_NO_COMMENT}; for a double minus put a blank between"),
    "/*": ("a comment", _NO_COMMENT),
    "==": ("`==`", "write `=`"),
    "&&": ("`&&`", "write AND"),
    "||": ("`||`", "write OR; texts cannot be joined"),
}
_REFUSED_SIGNS = {
    ";": ("`;`", "write one condition, not statements"),
    "'": ("a text without its end", "close it with '; a quote inside is written ''"),
    '"': ("a name without its end", 'close it with "'),
    ".": ("a `.`", 'write the column alone, "in.quotes" when its name has a dot'),
    "`": ("a backtick", 'put a column\'s name in double quotes: "name"'),
    "#": ("a comment", _NO_COMMENT),
}
_STRANGE = 'put text in single quotes, and a column with odd characters in "double quotes"'


class _Token(NamedTuple):
    kind: _Kind
    text: str  # as written; a name in double quotes without them
    position: int

    @property
    def word(self) -> str:
        """Upper case for a bare word or sign; empty for what can be no keyword."""
        return self.text.upper() if self.kind in {_Kind.NAME, _Kind.SIGN} else ""

    @property
    def shown(self) -> str:
        """The token in a sentence."""
        text = _cut(self.text)
        named = {_Kind.END: "the end", _Kind.QUOTED: f'"{text}"', _Kind.TEXT: f"the text {text}"}
        return named.get(self.kind, f"`{text}`")


class _Sort(Enum):
    """What an expression can be: only a condition selects rows."""

    CONDITION = auto()
    VALUE = auto()
    EITHER = auto()  # a column: it may hold booleans
    NULL = auto()


class _Reader:
    """A recursive descent that visits each token once."""

    def __init__(self, condition: str) -> None:
        self._condition = condition
        self._tokens = self._tokenized()
        self._index = 0
        self._depth = 0
        self._columns: dict[int, str] = {}
        self._nullable: set[int] = set()

    def read(self) -> frozenset[str]:
        """The columns of the whole condition."""
        self._selecting(self._token, self._or())
        if self._token.kind is not _Kind.END:
            raise self._refused(f"{self._token.shown} after the end of a condition", "join conditions by AND or OR")
        return frozenset(self._columns.values())

    def asked_for_null(self) -> Iterator[tuple[int, str, str]]:
        """The columns where it matters whether a value is missing: each one's place, name, and how it is written."""
        for index, name in sorted(self._columns.items()):
            if index in self._nullable:
                token = self._tokens[index]
                match = _TOKEN.match(self._condition, token.position)
                yield token.position, name, match[0] if match else ""

    def _tokenized(self) -> list[_Token]:
        condition, tokens = self._condition, list[_Token]()
        if len(condition) > MAX_LENGTH:
            raise self._refused(f"{len(condition):,} characters", f"write at most {MAX_LENGTH:,}", MAX_LENGTH)
        if hidden := INVISIBLE.search(condition):
            raise self._refused(f"the invisible character U+{ord(hidden[0]):04X}", "delete it", hidden.start())
        position = _end_of_blanks(condition, 0)
        while position < len(condition):
            refused = _REFUSED.get(condition[position : position + 2])
            match = None if refused else _TOKEN.match(condition, position)
            if match is None:
                strange = (f"the character {condition[position]}", _STRANGE)
                raise self._refused(*(refused or _REFUSED_SIGNS.get(condition[position], strange)), position)
            tokens.append(self._made(match))
            position = _end_of_blanks(condition, match.end())
        return [*tokens, _Token(_Kind.END, "", len(condition))]

    def _made(self, match: re.Match[str]) -> _Token:
        """The token of a match. What other readers of SQL could read otherwise is refused: `1_000`, `0x1F`, `x'41'`."""
        kind, text, after = _Kind(str(match.lastgroup)), match[0], self._condition[match.end() : match.end() + 1]
        if kind is _Kind.NUMBER:
            too_long = len(text) > _MAX_DIGITS or math.isinf(float(text))
            if too_long or after.isalnum() or after in {"_", "."}:
                raise self._refused("a number that cannot be read", "write a plain decimal number", match.start())
        if kind is _Kind.NAME and not all(char.isalpha() or char in "_0123456789" for char in text):
            hint = 'put the column\'s name in double quotes: "name"'
            raise self._refused("a name with odd letters", hint, match.start())
        if text == '""':
            raise self._refused("an empty name", "name a column", match.start())
        return _Token(kind, text[1:-1].replace('""', '"') if kind is _Kind.QUOTED else text, match.start())

    @property
    def _token(self) -> _Token:
        return self._tokens[self._index]

    def _take(self, *words: str) -> _Token | None:
        token = self._token
        if token.word not in words or not token.word:
            return None
        self._index += 1
        return token

    def _expect(self, word: str) -> None:
        if self._take(word) is None:
            raise self._refused(self._token.shown, f"write {word} here")

    def _refused(self, what: str, hint: str, position: int | None = None) -> ConditionError:
        at = self._token.position if position is None else position
        return ConditionError(what, condition=self._condition, position=at, hint=hint)

    def _enter(self, at: _Token) -> None:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            hint = "write fewer parentheses, NOTs and signs inside each other"
            raise self._refused(f"more than {_MAX_DEPTH} levels", hint, at.position)

    def _selecting(self, at: _Token, sort: _Sort) -> None:
        if sort in {_Sort.VALUE, _Sort.NULL}:
            hint = "compare it with something: `age < 25`"
            raise self._refused("a value where a condition is due", hint, at.position)

    def _or(self) -> _Sort:
        return self._joined("OR")

    def _joined(self, word: str) -> _Sort:
        start = self._token
        sort = self._joined("AND") if word == "OR" else self._not()
        while self._take(word):
            self._selecting(start, sort)
            start = self._token
            self._selecting(start, self._joined("AND") if word == "OR" else self._not())
            sort = _Sort.CONDITION
        return sort

    def _not(self) -> _Sort:
        at = self._take("NOT")
        if at is None:
            return self._comparison()
        self._enter(at)
        self._selecting(self._token, self._not())
        self._depth -= 1
        return _Sort.CONDITION

    def _comparison(self) -> _Sort:
        start = self._index
        sort = self._sum()
        end = self._index
        if operator := self._take(*_OPERATORS):
            if _Sort.NULL in {sort, self._sum()}:
                what, hint = "a comparison with NULL, which is never true", "write IS NULL or IS NOT NULL"
                raise self._refused(what, hint, operator.position)
        elif self._take("IS"):
            self._take("NOT")
            if (constant := self._take(*_CONSTANTS)) is None:
                raise self._refused(self._token.shown, "write NULL, NOT NULL, TRUE or FALSE after IS")
            self._nullable.update(range(start, end) if constant.word == "NULL" else ())
        elif not self._ranged():
            return sort
        if self._token.word in _OPERATORS | {"IS", "IN", "BETWEEN", "LIKE", "ILIKE", "NOT"}:
            hint = "write `a < b AND b < c`, or use parentheses"
            raise self._refused(f"{self._token.shown} after a comparison", hint)
        return _Sort.CONDITION

    def _ranged(self) -> bool:
        negated = self._take("NOT")
        if self._take("IN"):
            self._members()
        elif self._take("BETWEEN"):
            self._sum()
            self._expect("AND")
            self._sum()
        elif word := self._take("LIKE", "ILIKE"):
            if self._token.kind is not _Kind.TEXT:
                raise self._refused(self._token.shown, f"write a pattern after {word.word}: 'Ab%'")
            self._index += 1
        elif negated:
            raise self._refused(self._token.shown, "write IN, BETWEEN or LIKE after NOT")
        else:
            return False
        return True

    def _members(self) -> None:
        self._expect("(")
        while True:
            self._take("-")
            token = self._token
            if token.kind not in {_Kind.NUMBER, _Kind.TEXT} and token.word not in {"TRUE", "FALSE"}:
                raise self._refused(token.shown, "write numbers or texts in the list: IN (1, 2)")
            self._index += 1
            if not self._take(","):
                break
        self._expect(")")

    def _sum(self) -> _Sort:
        sort = self._product()
        while self._take("+", "-"):
            self._product()
            sort = _Sort.VALUE
        return sort

    def _product(self) -> _Sort:
        sort = self._factor()
        while self._take("*", "/", "%"):
            self._factor()
            sort = _Sort.VALUE
        return sort

    def _factor(self) -> _Sort:
        sign = self._take("+", "-")
        if sign is None:
            return self._operand()
        self._enter(sign)
        self._factor()
        self._depth -= 1
        return _Sort.VALUE

    def _operand(self) -> _Sort:
        token = self._token
        self._index += token.kind is not _Kind.END
        match token.kind:
            case _Kind.NUMBER | _Kind.TEXT:
                return _Sort.VALUE
            case _Kind.QUOTED:
                self._columns[self._index - 1] = token.text
                return _Sort.EITHER
            case _Kind.NAME:
                return self._named(token)
            case _Kind.SIGN if token.text == "(":
                return self._within(token, self._or)
            case _:
                raise self._refused(token.shown, "write a column, a number or a 'text' here", token.position)

    def _within(self, at: _Token, read: Callable[[], _Sort]) -> _Sort:
        self._enter(at)
        sort = read()
        self._expect(")")
        self._depth -= 1
        return sort

    def _named(self, token: _Token) -> _Sort:
        if self._token.word == "(" and (token.word not in RESERVED or token.word in FUNCTIONS | {"CAST": 0}):
            return self._call(token)
        if token.word in _CONSTANTS:
            return _Sort.NULL if token.word == "NULL" else _Sort.CONDITION
        if token.word in RESERVED:
            hint = f"write a column, a number or a 'text'; a column of that name in double quotes: \"{token.text}\""
            raise self._refused(f"the SQL word {token.word}", hint, token.position)
        self._columns[self._index - 1] = token.text
        return _Sort.EITHER

    def _call(self, function: _Token) -> _Sort:
        if function.word not in {*FUNCTIONS, "CAST"}:
            hint = f"use one of {', '.join(FUNCTIONS)}, CAST"
            raise self._refused(f"the function {_cut(function.text)}", hint, function.position)
        at = self._token
        self._index += 1
        return self._within(at, self._cast if function.word == "CAST" else partial(self._arguments, function))

    def _cast(self) -> _Sort:
        self._or()
        self._expect("AS")
        if (target := self._take(*TYPES)) is None:
            raise self._refused(self._token.shown, f"write one of {', '.join(sorted(TYPES))}")
        return _Sort.CONDITION if target.word == "BOOLEAN" else _Sort.VALUE

    def _arguments(self, function: _Token) -> _Sort:
        least, most = FUNCTIONS[function.word]
        count, start = 0, self._index
        while True:
            self._decimals() if function.word == "ROUND" and count else self._or()
            count += 1
            if not self._take(","):
                break
        if not least <= count <= most:
            wanted = "1 argument" if most == 1 else f"{least} to {most} arguments"
            raise self._refused(f"{function.word} with {count}", f"give it {wanted}", function.position)
        if function.word != "COALESCE":
            return _Sort.VALUE
        self._nullable.update(range(start, self._index))
        return _Sort.EITHER

    def _decimals(self) -> _Sort:
        if self._token.kind is not _Kind.NUMBER or not self._token.text.isdigit():
            raise self._refused(self._token.shown, "write a whole number of decimals")
        self._index += 1
        return _Sort.VALUE


def _cut(text: str) -> str:
    return text if len(text) <= _CUT else f"{text[: _CUT - 1]}…"


def _end_of_blanks(condition: str, position: int) -> int:
    blanks = _BLANKS.match(condition, position)
    return blanks.end() if blanks else position
