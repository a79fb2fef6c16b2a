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
from enum import Enum, StrEnum, auto
from typing import NamedTuple

from mlbot.config.errors import INVISIBLE
from mlbot.errors import UsageError

# The words of a slice's condition.

MAX_LENGTH = 2000
"""Characters; SQL engines walk long chains of `OR` and `+` by recursion."""

_RESERVED_WORDS = """
    ALL ANALYZE AND ANY AS BETWEEN BY CASE CAST CLUSTER CURRENT_CATALOG CURRENT_DATE CURRENT_ROLE CURRENT_SCHEMA
    CURRENT_TIME CURRENT_TIMESTAMP CURRENT_USER DISTINCT DISTRIBUTE ELSE END ESCAPE EXCEPT EXCLUDE EXISTS EXPLAIN FETCH
    FROM GROUP HAVING ILIKE IN INTERSECT INTERVAL INTO IS LATERAL LIKE LIMIT LOCALTIME LOCALTIMESTAMP MINUS NOT OFFSET
    ON OR ORDER OVER RETURNING SELECT SESSION_USER SIMILAR SOME SORT STRUCT THEN TOP TRIM UNION USER USING VALUES VIEW
    WHEN WHERE WITH TRUE FALSE NULL
"""

RESERVED = frozenset(_RESERVED_WORDS.split())
"""What SQL takes for something else than a column: `USER > 1` asks who is logged in."""

_WINDOW = 72

_MAX_DIGITS = 38
"""polars holds no longer numbers exactly."""


class ConditionError(UsageError):
    """A condition that is not accepted.

    Args:
        what: What is wrong with it, as a part of a sentence.
        condition: The whole condition.
        position: Where, from 0.
        write: What to write instead.
    """

    def __init__(self, what: str, *, condition: str, position: int, write: str) -> None:
        super().__init__(what, hint=write)
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


class Kind(StrEnum):
    """What a token is."""

    NUMBER = "a number"
    TEXT = "a text"
    NAME = "a name"
    QUOTED = "a quoted name"
    SIGN = "a sign"
    END = "the end"


class Token(NamedTuple):
    """One word or sign with its place."""

    kind: Kind
    text: str
    """As written; a name in double quotes without them."""
    position: int

    @property
    def word(self) -> str:
        """Upper case for a bare word or sign; empty for what can be no keyword."""
        return self.text.upper() if self.kind in {Kind.NAME, Kind.SIGN} else ""


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

_KINDS = {"number": Kind.NUMBER, "text": Kind.TEXT, "quoted": Kind.QUOTED, "name": Kind.NAME, "sign": Kind.SIGN}

_REFUSED = {
    "--": ("a comment", "leave comments to the YAML around it; for a double minus put a blank between"),
    "/*": ("a comment", "leave comments to the YAML around it"),
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
    "#": ("a comment", "leave comments to the YAML around it"),
}


def tokenize(condition: str) -> list[Token]:
    """The tokens of a condition, the last of them the end.

    Raises:
        ConditionError: It is too long, or has a character that no condition needs.
    """
    _check_text(condition)
    tokens: list[Token] = []
    position = _skip(condition, 0)
    while position < len(condition):
        token, end = _next(condition, position)
        tokens.append(token)
        position = _skip(condition, end)
    return [*tokens, Token(Kind.END, "", len(condition))]


def _check_text(condition: str) -> None:
    if len(condition) > MAX_LENGTH:
        what, write = f"{len(condition):,} characters", f"write at most {MAX_LENGTH:,}"
        raise ConditionError(what, condition=condition, position=MAX_LENGTH, write=write)
    if hidden := INVISIBLE.search(condition):
        what = f"the invisible character U+{ord(hidden[0]):04X}"
        raise ConditionError(what, condition=condition, position=hidden.start(), write="delete it")


def _skip(condition: str, position: int) -> int:
    blanks = _BLANKS.match(condition, position)
    return blanks.end() if blanks else position


def _next(condition: str, position: int) -> tuple[Token, int]:
    refused = _REFUSED.get(condition[position : position + 2])
    match = None if refused else _TOKEN.match(condition, position)
    if match is None or match.lastgroup is None:
        what, write = refused or _REFUSED_SIGNS.get(condition[position]) or _strange(condition[position])
        raise ConditionError(what, condition=condition, position=position, write=write)
    kind, text = _KINDS[match.lastgroup], match[0]
    _check_end(condition, kind, match)
    if kind is Kind.QUOTED:
        text = text[1:-1].replace('""', '"')
    return Token(kind, text, position), match.end()


def _strange(char: str) -> tuple[str, str]:
    return f"the character {char}", 'put text in single quotes, and a column with odd characters in "double quotes"'


def _check_end(condition: str, kind: Kind, match: re.Match[str]) -> None:
    """Refuse what other SQL readers could read otherwise: `1_000`, `0x1F`, `x'41'`, letters beyond the alphabets."""
    after = condition[match.end() : match.end() + 1]
    if kind is Kind.NUMBER and (after.isalnum() or after in {"_", "."} or _is_too_long(match[0])):
        write = "write a plain decimal number"
        raise ConditionError("a number that cannot be read", condition=condition, position=match.start(), write=write)
    if kind is Kind.NAME and not all(char.isalpha() or char in "_0123456789" for char in match[0]):
        write = 'put the column\'s name in double quotes: "name"'
        raise ConditionError("a name with odd letters", condition=condition, position=match.start(), write=write)
    if kind is Kind.QUOTED and match[0] == '""':
        raise ConditionError("an empty name", condition=condition, position=match.start(), write="name a column")


def _is_too_long(number: str) -> bool:
    return len(number) > _MAX_DIGITS or math.isinf(float(number))


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

_MAX_DEPTH = 12
"""Parentheses, calls, NOT and signs inside each other. polars 2.1 gives up from about 20 on."""

_OPERATORS = frozenset({"=", "<>", "!=", "<", "<=", ">", ">="})

_CONSTANTS = frozenset({"TRUE", "FALSE", "NULL"})


class _Sort(Enum):
    """What an expression can be: only a condition selects rows."""

    CONDITION = auto()
    VALUE = auto()
    EITHER = auto()
    """A column: it may hold booleans."""
    NULL = auto()


def check(condition: str) -> frozenset[str]:
    """The columns that a condition reads.

    Raises:
        ConditionError: It is not in the grammar; says where, and what to write instead.
    """
    reader = _Reader(condition)
    return reader.read()


class _Reader:
    """A recursive descent that visits each token once."""

    def __init__(self, condition: str) -> None:
        self._condition = condition
        self._tokens = tokenize(condition)
        self._index = 0
        self._depth = 0
        self._columns: set[str] = set()

    def read(self) -> frozenset[str]:
        """The columns of the whole condition."""
        self._selecting(self._token, self._or())
        if self._token.kind is not Kind.END:
            raise self._refused(
                self._token, f"{_show(self._token)} after the end of a condition", "join conditions by AND or OR"
            )
        return frozenset(self._columns)

    @property
    def _token(self) -> Token:
        return self._tokens[self._index]

    def _take(self, *words: str) -> Token | None:
        token = self._token
        if token.word not in words or not token.word:
            return None
        self._index += 1
        return token

    def _expect(self, word: str) -> None:
        if self._take(word) is None:
            raise self._refused(self._token, _show(self._token), f"write {word} here")

    def _refused(self, at: Token, what: str, write: str) -> ConditionError:
        return ConditionError(what, condition=self._condition, position=at.position, write=write)

    def _enter(self, at: Token) -> None:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise self._refused(
                at, f"more than {_MAX_DEPTH} levels", "write fewer parentheses, NOTs and signs inside each other"
            )

    def _selecting(self, at: Token, sort: _Sort) -> None:
        if sort in {_Sort.VALUE, _Sort.NULL}:
            raise self._refused(at, "a value where a condition is due", "compare it with something: `age < 25`")

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
        start = self._token
        self._selecting(start, self._not())
        self._depth -= 1
        return _Sort.CONDITION

    def _comparison(self) -> _Sort:
        sort = self._sum()
        if operator := self._take(*_OPERATORS):
            self._compare(operator, sort)
        elif self._take("IS"):
            self._take("NOT")
            if self._take(*_CONSTANTS) is None:
                raise self._refused(self._token, _show(self._token), "write NULL, NOT NULL, TRUE or FALSE after IS")
        elif not self._ranged():
            return sort
        if (again := self._token).word in _OPERATORS | {"IS", "IN", "BETWEEN", "LIKE", "ILIKE", "NOT"}:
            raise self._refused(
                again, f"{_show(again)} after a comparison", "write `a < b AND b < c`, or use parentheses"
            )
        return _Sort.CONDITION

    def _compare(self, operator: Token, left: _Sort) -> None:
        if _Sort.NULL in {left, self._sum()}:
            raise self._refused(operator, "a comparison with NULL, which is never true", "write IS NULL or IS NOT NULL")

    def _ranged(self) -> bool:
        negated = self._take("NOT")
        if self._take("IN"):
            self._members()
        elif self._take("BETWEEN"):
            self._sum()
            self._expect("AND")
            self._sum()
        elif word := self._take("LIKE", "ILIKE"):
            if self._token.kind is not Kind.TEXT:
                raise self._refused(self._token, _show(self._token), f"write a pattern after {word.word}: 'Ab%'")
            self._index += 1
        elif negated:
            raise self._refused(self._token, _show(self._token), "write IN, BETWEEN or LIKE after NOT")
        else:
            return False
        return True

    def _members(self) -> None:
        self._expect("(")
        while True:
            self._take("-")
            token = self._token
            if token.kind not in {Kind.NUMBER, Kind.TEXT} and token.word not in {"TRUE", "FALSE"}:
                raise self._refused(token, _show(token), "write numbers or texts in the list: IN (1, 2)")
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
        self._index += token.kind is not Kind.END
        match token.kind:
            case Kind.NUMBER | Kind.TEXT:
                return _Sort.VALUE
            case Kind.QUOTED:
                self._columns.add(token.text)
                return _Sort.EITHER
            case Kind.NAME:
                return self._named(token)
            case Kind.SIGN if token.text == "(":
                return self._group(token)
            case _:
                raise self._refused(token, _show(token), "write a column, a number or a 'text' here")

    def _group(self, at: Token) -> _Sort:
        self._enter(at)
        sort = self._or()
        self._expect(")")
        self._depth -= 1
        return sort

    def _named(self, token: Token) -> _Sort:
        if self._token.word == "(" and (token.word not in RESERVED or token.word in FUNCTIONS | {"CAST": 0}):
            return self._call(token)
        if token.word in _CONSTANTS:
            return _Sort.NULL if token.word == "NULL" else _Sort.CONDITION
        if token.word in RESERVED:
            write = f"write a column, a number or a 'text'; a column of that name in double quotes: \"{token.text}\""
            raise self._refused(token, f"the SQL word {token.word}", write)
        self._columns.add(token.text)
        return _Sort.EITHER

    def _call(self, token: Token) -> _Sort:
        name = token.word
        if name not in FUNCTIONS and name != "CAST":
            raise self._refused(token, f"the function {_cut(token.text)}", f"use one of {', '.join(FUNCTIONS)}, CAST")
        self._enter(self._token)
        self._index += 1
        sort = self._cast() if name == "CAST" else self._arguments(token)
        self._expect(")")
        self._depth -= 1
        return sort

    def _cast(self) -> _Sort:
        self._or()
        self._expect("AS")
        if (target := self._take(*TYPES)) is None:
            raise self._refused(self._token, _show(self._token), f"write one of {', '.join(sorted(TYPES))}")
        return _Sort.CONDITION if target.word == "BOOLEAN" else _Sort.VALUE

    def _arguments(self, function: Token) -> _Sort:
        least, most = FUNCTIONS[function.word]
        count = 0
        while True:
            self._decimals() if function.word == "ROUND" and count else self._or()
            count += 1
            if not self._take(","):
                break
        if not least <= count <= most:
            wanted = "1 argument" if most == 1 else f"{least} to {most} arguments"
            raise self._refused(function, f"{function.word} with {count}", f"give it {wanted}")
        return _Sort.EITHER if function.word == "COALESCE" else _Sort.VALUE

    def _decimals(self) -> None:
        if self._token.kind is not Kind.NUMBER or not self._token.text.isdigit():
            raise self._refused(self._token, _show(self._token), "write a whole number of decimals")
        self._index += 1


def _cut(text: str) -> str:
    return text if len(text) <= 32 else f"{text[:31]}…"


def _show(token: Token) -> str:
    match token.kind:
        case Kind.END:
            return "the end"
        case Kind.QUOTED:
            return f'"{_cut(token.text)}"'
        case Kind.TEXT:
            return f"the text {_cut(token.text)}"
        case _:
            return f"`{_cut(token.text)}`"
