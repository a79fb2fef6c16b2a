"""The words of a slice's condition."""

import math
import re
from enum import StrEnum
from typing import NamedTuple

from mlbot.core.config_error import INVISIBLE
from mlbot.errors import UsageError

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
        super().__init__(what, mend=write)
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
        return f"found {self.what}\n  {self.caret.replace(chr(10), chr(10) + '  ')}\n  {self.mend}"


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
