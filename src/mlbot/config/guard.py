"""Which branches are guarded, by which entry of `guard:`, and the statuses that say what came of a pull request."""

import re
from collections.abc import Iterable, Iterator, Sequence

from mlbot.lib.constants import STATUS

_PARTS = re.compile(r"\*\*/|\*\*|\*|[^*]+")
_LONGEST = 255  # characters of a status' context on GitHub


def is_pattern(entry: str) -> bool:
    """Whether an entry is for several branches: no branch's name can have a `*`."""
    return "*" in entry


def matches(entry: str, branch: str) -> bool:
    """Whether an entry is for a branch.

    As in GitHub's branch filters `*` is any text without `/`, `**` any text, and `**/` any folders or none.
    """
    # Places instead of a regular expression: no pattern, however many `*` it has, takes more than a moment.
    reached = {0}
    for part in _PARTS.findall(entry):
        reached = {end for start in reached for end in _ends(part, branch, start)}
    return len(branch) in reached


def _ends(part: str, branch: str, start: int) -> Iterable[int]:
    if part == "**":
        return range(start, len(branch) + 1)
    if part == "**/":
        return (start, *(place for place in range(start + 1, len(branch) + 1) if branch[place - 1] == "/"))
    if part == "*":
        return range(start, len(branch[start:].partition("/")[0]) + start + 1)
    return (start + len(part),) if branch.startswith(part, start) else ()


def entry_of(branch: str, entries: Sequence[str]) -> str | None:
    """The entry that guards a branch: its own name before a pattern, then the first; None where none does."""
    if branch in entries:
        return branch
    return next((each for each in entries if is_pattern(each) and matches(each, branch)), None)


def commit_context(folder: str = "") -> str:
    """The status of a commit, by the models of one mlbot.yaml: `mlbot`, or of a folder's `mlbot:services/churn`."""
    return f"{STATUS}:{folder}" if folder else STATUS


def own_context(entry: str, folder: str = "") -> str:
    """The status of an entry where there are several: a success for one branch says nothing of another.

    No branch's name has a colon, so that the folder behind one is never taken for a part of it.
    """
    own = f"{STATUS}/{entry.replace('*', '').strip('/')}"
    return f"{own}:{folder}" if folder else own


def context_to_require(entry: str, entries: Sequence[str], folder: str = "") -> str:
    """The status that the rule of an entry's branches has to require."""
    return own_context(entry, folder) if len(entries) > 1 else commit_context(folder)


def contexts(entries: Sequence[str], folder: str = "") -> tuple[str, ...]:
    """Every status of an mlbot.yaml: that of a commit, and where there are several entries that of each."""
    return tuple(
        dict.fromkeys((commit_context(folder), *(context_to_require(each, entries, folder) for each in entries)))
    )


def sample_of(entry: str) -> str:
    """A branch that an entry is for."""
    return entry.replace("**", "x/x").replace("*", "x")


def clashes(entries: Sequence[object]) -> Iterator[tuple[int, str]]:
    """The entries, of several, that can have no status of their own: their place, and what to write instead."""
    seen: dict[str, str] = {}
    for place, entry in enumerate(entries if len(entries) > 1 else ()):
        if not isinstance(entry, str):
            continue
        context = own_context(entry)
        if not entry.strip("*/"):
            yield place, f"a pattern with text in it, such as release/{entry}, or leave the others out"
        elif len(context) > _LONGEST:
            yield place, f"at most {_LONGEST - len(own_context('')):,} characters, for it names a status"
        # GitHub's contexts do not differ by case.
        elif (other := seen.setdefault(context.casefold(), entry)) != entry:
            yield place, f"one of the two: {other} has the same status, {context}"
