"""What a plain scalar of YAML means: YAML 1.2's core schema (https://yaml.org/spec/1.2.2/#103-core-schema).

YAML 1.1 reads `on`, `yes` and `no` as booleans, 12:30 as 750 and 2024-01-01 as a date. Here they stay text.
"""

import re

Scalar = bool | int | float | str | None

Params = dict[str, Scalar]
"""Parameters of a training by name; nested tables are flattened with dots."""

_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})

# No leading zeros: YAML 1.1 reads 010 as eight and YAML 1.2 as ten, so it stays the text that was written.
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")

_LEADING_ZERO = re.compile(r"[-+]?0[0-9]+")

_OTHER_BASE = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")

_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")

_NOT_FINITE = re.compile(r"([-+]?)\.(inf|Inf|INF|nan|NaN|NAN)")

_MAX_DIGITS = 64
"""Longer numbers stay text: Python refuses to read them above 4,300 digits, and nobody means them."""


def resolve(text: str) -> Scalar:
    """What an unquoted scalar means. Infinity and NaN come back as floats, for the reader to refuse with its place."""
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    number = _number(text) if len(text) <= _MAX_DIGITS else None
    return text if number is None else number


def _number(text: str) -> int | float | None:
    if _INT.fullmatch(text):
        return int(text)
    if _OTHER_BASE.fullmatch(text):
        return int(text, 0)
    if match := _NOT_FINITE.fullmatch(text):
        return float(match[1] + match[2])
    return float(text) if _FLOAT.fullmatch(text) and not _LEADING_ZERO.fullmatch(text) else None
