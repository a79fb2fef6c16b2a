"""Words for problems: names from outside are escaped and cut before they are said."""

import difflib
from collections.abc import Iterable, Sequence

_NAME = 60

_SHOWN = 5


def printable(text: str, limit: int) -> str:
    """Text of a stranger with everything that is not a visible character or a blank escaped, cut to `limit`."""
    cut = text[:limit]
    escaped = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in cut)
    return escaped[:limit] + ("…" if len(text) > limit or len(escaped) > limit else "")


def quoted(name: str) -> str:
    """One name, in quotes."""
    return f"'{printable(name, _NAME)}'"


def listed(names: Iterable[str]) -> str:
    """Names in quotes, the first few of many."""
    every = list(names)
    more = f" and {len(every) - _SHOWN} more" if len(every) > _SHOWN else ""
    return ", ".join(quoted(name) for name in every[:_SHOWN]) + more


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """` (did you mean 'x'?)` when a known name is near; else nothing."""
    folded = {k.casefold(): k for k in known}
    near = difflib.get_close_matches(name.casefold(), folded, n=1)
    return f" (did you mean {quoted(folded[near[0]])}?)" if near else ""


def plain_label(label: str) -> str:
    """A label as it is compared: `True` and `true` are the same, `1` and `1.0` are."""
    stripped = label.strip()
    if stripped.casefold() in {"true", "false"}:
        return stripped.casefold()
    whole = stripped.removesuffix(".0")
    return whole if whole.removeprefix("-").isdigit() else stripped
