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

from enum import Enum, auto

from mlbot.core.condition_tokens import RESERVED, ConditionError, Kind, Token, tokenize

__all__ = ["FUNCTIONS", "TYPES", "ConditionError", "check"]

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
