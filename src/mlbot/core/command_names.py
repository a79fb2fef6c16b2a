"""Which command a line begins with; one that is nearly right is a mistake, anything else is nobody's business."""

import re
from types import MappingProxyType

from mlbot.core.command_fault import Fault, MisreadError
from mlbot.core.command_table import COMMANDS, CommandSpec, named
from mlbot.core.config_error import INVISIBLE, quote

PREFIX = "mlbot"
"""May stand before every command, for repositories in which another bot listens to the short one."""

_FIRST = re.compile(r"/(\S*+)\s*+")
_SECOND = re.compile(r"(\S*+)\s*+")
_LONGEST = 24
_PUNCTUATION = ".,:;!?"
_LAST_WORDS = MappingProxyType(
    {name.rpartition(" ")[2]: spec for spec in COMMANDS for name in (spec.name, *spec.aliases)}
)
"""Every command by its last word: `status` is what people say who mean `/mlbot status`."""


def find(line: str) -> tuple[CommandSpec, str] | None:
    """The command that a line begins with, and the rest of the line; None when the line is not for mlbot.

    Raises:
        MisreadError: It is nearly a command, or names one that `/mlbot` does not have.
    """
    first = _FIRST.match(line)
    if first is None:
        return None
    name, rest = first[1], line[first.end() :]
    if name.lower() == PREFIX:
        return _prefixed(rest)
    spec = named(name.lower())
    if spec is None:
        _refuse_if_near(name)
        return None
    return spec, rest


def _prefixed(rest: str) -> tuple[CommandSpec, str]:
    second = _SECOND.match(rest)
    name = second[1].lower() if second else ""
    spec = named(f"{PREFIX} {name}") or named(name)
    if spec is not None and second is not None:
        return spec, rest[second.end() :]
    usage = f"/{PREFIX} status|help|cancel"
    if not name:
        raise MisreadError(Fault.MISSING, "Say what: status, help or cancel.", usage)
    _refuse_if_near(name, before=f"{PREFIX} ")
    raise MisreadError(Fault.UNKNOWN, f"mlbot has no command {quote(name)}; /mlbot help lists those it has.", usage)


def _refuse_if_near(name: str, before: str = "") -> None:
    plain = INVISIBLE.sub("", name[: 4 * _LONGEST]).lower()
    folded = plain.rstrip(_PUNCTUATION).replace("-", "").replace("_", "")
    if not (folded.isascii() and folded.isalpha() and len(folded) <= _LONGEST):
        return  # a path, a fraction, another alphabet: anybody's
    spec = _near(folded)
    if spec is None:
        return
    if plain != name.lower() and plain in _LAST_WORDS:
        sentence = "There are invisible characters in the command; type it again."
        raise MisreadError(Fault.INVISIBLE, sentence, spec.usage)
    said = quote(f"/{before}{name}")
    raise MisreadError(Fault.UNKNOWN, f"There is no command {said}. Did you mean /{spec.name}?", spec.usage)


def _near(name: str) -> CommandSpec | None:
    """The command that was probably meant."""
    near = [known for known in _LAST_WORDS if abs(len(known) - len(name)) <= 1]
    slips = {known: distance(name, known) for known in near}
    best = min(near, key=lambda known: slips[known], default="")
    return _LAST_WORDS[best] if best and slips[best] <= _forgiven(name, best) else None


def _forgiven(name: str, known: str) -> int:
    """One slip; two where so much else is right that no other bot's command is meant: `/rebase` is not `/release`."""
    return 2 if len(known) > 5 and len(name) == len(known) and name[0] == known[0] else 1


def distance(one: str, other: str) -> int:
    """How many letters to add, drop, change or swap with their neighbour make one word the other.

    The optimal string alignment distance: https://en.wikipedia.org/wiki/Damerau-Levenshtein_distance.
    """
    before: list[int] = []
    last = list(range(len(other) + 1))
    for row, letter in enumerate(one, 1):
        now = [row]
        for column, wanted in enumerate(other, 1):
            swapped = row > 1 and column > 1 and (letter, one[row - 2]) == (other[column - 2], wanted)
            now.append(
                min(
                    last[column] + 1,
                    now[column - 1] + 1,
                    last[column - 1] + (letter != wanted),
                    before[column - 2] + 1 if swapped else row + column,
                )
            )
        before, last = last, now
    return last[-1]
