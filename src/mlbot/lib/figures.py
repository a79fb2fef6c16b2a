"""How figures are written: digits that the interval supports, true minus signs, and no zero below zero."""

from collections.abc import Sequence
from math import floor, isfinite, log10

MINUS = "\N{MINUS SIGN}"

_MOST_DECIMALS = 9

_BARS = "▁▂▃▄▅▆▇█"

_MINUTE = 60

_HOUR = 3600


def decimals(half_width: float | None, value: float | None = None) -> int:
    """Decimal places (0 to 9) to show a figure with.

    The figure gets two significant digits of half its interval; where that is unknown (None or 0), four of its own.
    """
    most = _clamp(4 - floor(log10(abs(value)))) if value else _MOST_DECIMALS
    if half_width and isfinite(half_width):
        return min(most, _clamp(1 - floor(log10(abs(half_width)))))
    return max(0, most - 1) if value else 3


def number(value: float | None, places: int | None = None) -> str:
    """A figure with `places` decimals (None: four significant digits); a dash where there is none."""
    if value is None:
        return "\N{EN DASH}"
    if abs(value) >= 1e9:
        return f"{value:.3e}".replace("-", MINUS).replace("e+", "e")
    text = f"{abs(value):,.{decimals(None, value) if places is None else places}f}"
    return f"{MINUS}{text}" if value < 0 and _is_nonzero(text) else text


def brief(value: float, places: int | None = None) -> str:
    """The size of a figure for a sentence: no sign and no zeros at the end."""
    text = number(abs(value), places)
    return text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text


def signed(value: float | None, places: int | None = None) -> str:
    """A change: always with its sign, but for zero."""
    text = number(value, places)
    return f"+{text}" if value is not None and value > 0 and _is_nonzero(text) else text


def interval(low: float | None, high: float | None, places: int) -> str:
    """`[low, high]` with signs; empty where there is none."""
    if low is None or high is None:
        return ""
    return f"[{signed(low, places)}, {signed(high, places)}]"


def limit(value: float) -> str:
    """A limit as the user wrote it, with thousands separated as in every figure beside it."""
    return f"{value:,.10g}".replace("-", MINUS)


def percent(share: float | None) -> str:
    """A share of 1 as a percentage: one decimal, two below 1 %, and never 0 for some."""
    if share is None:
        return "\N{EN DASH}"
    text = number(share * 100, 1 if abs(share) >= 0.01 else 2)
    text = text.rstrip("0").rstrip(".") if _is_nonzero(text) or not share else text
    return f"{text} %" if _is_nonzero(text) or not share else "< 0.01 %"


def count(value: float) -> str:
    """A number rounded to a whole one, with thousands separated."""
    return f"{round(value):,}"


def plural(value: int, one: str, many: str | None = None) -> str:
    """`1 seed`, `3 seeds`."""
    return f"{count(value)} {one if value == 1 else many or one + 's'}"


def milliseconds(value: float | None) -> str:
    """A time, three significant digits."""
    return "\N{EN DASH}" if value is None else f"{_three(value)} ms"


def megabytes(size: float | None) -> str:
    """Bytes as MB of a million, three significant digits."""
    return "\N{EN DASH}" if size is None else f"{_three(size / 1_000_000)} MB"


def duration(seconds: float) -> str:
    """`0.42 s`, `12 s`, `3 min 05 s`, `1 h 02 min`."""
    if seconds < _MINUTE - 0.5:
        return f"{_three(seconds) if seconds < 10 else round(seconds)} s"
    whole = round(seconds)
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE:02d} s"
    return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE:02d} min"


def sparkline(values: Sequence[float]) -> str:
    """The values as bars of eight heights, lowest to highest; flat where they do not differ."""
    if not values:
        return ""
    low, high = min(values), max(values)
    if not (span := high - low) > 0:
        return _BARS[3] * len(values)
    return "".join(_BARS[round((value - low) / span * (len(_BARS) - 1))] for value in values)


def short(digest: str) -> str:
    """The first digits of a commit (7) or of a sha256 (12)."""
    return digest.removeprefix("sha256:")[:12] if digest.startswith("sha256:") else digest[:7]


def _three(value: float) -> str:
    return number(value, _clamp(2 - floor(log10(abs(value))), most=3) if value else 0)


def _clamp(places: int, most: int = _MOST_DECIMALS) -> int:
    return max(0, min(most, places))


def _is_nonzero(text: str) -> bool:
    return any(digit in "123456789" for digit in text)
