"""Globs over a repository's paths, as in .gitignore: a pattern that names a folder takes all that is in it."""

import fnmatch
import re
from functools import lru_cache

from mlbot.errors import UsageError

_WILD = re.compile(r"[*?\[]")

_ANY_DEPTH = "**"

_Part = re.Pattern[str] | None
"""One folder's or file's name in a pattern; None is `**`, any number of folders."""


def normalise(pattern: str) -> str:
    """The pattern with no `./` before it and no `/` behind it; empty for the whole repository.

    Raises:
        UsageError: if it is absolute or leads out of the repository.
    """
    parts = [part for part in pattern.split("/") if part not in {"", "."}]
    if pattern.startswith("/") or ".." in parts:
        raise UsageError(
            f"the path {pattern!r} leads out of the repository",
            hint="Name it from the repository's root, without `..`.",
        )
    return "/".join(parts)


def is_glob(pattern: str) -> bool:
    """Whether the pattern has a wildcard."""
    return _WILD.search(pattern) is not None


def fixed_folder(pattern: str) -> str:
    """The folder before the first wildcard, with its slash: only paths that start with it can match."""
    found = _WILD.search(pattern)
    return pattern[: pattern.rfind("/", 0, found.start()) + 1] if found else f"{pattern}/"


def fits(pattern: str, path: str) -> bool:
    """Whether the path, or a folder it is in, matches.

    `*`, `?` and `[...]` stay inside one name; `**` stands for any number of folders. Between two `**` the leftmost fit
    is as good as any later one, so there is one place to go back to and a stranger's pattern takes no exponential time.
    """
    parts, names = _compiled(pattern), path.split("/")
    part = name = retry = 0
    after_any = -1
    while part < len(parts):
        wanted = parts[part]
        if wanted is None:
            part, after_any, retry = part + 1, part + 1, name
        elif name < len(names) and wanted.match(names[name]):
            part, name = part + 1, name + 1
        elif after_any >= 0 and retry < len(names):
            part, retry = after_any, retry + 1
            name = retry
        else:
            return False
    return name < len(names) or parts[-1] is not None


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> tuple[_Part, ...]:
    # fnmatch's own translation skips what a star stands for atomically: linear in the name's length.
    return tuple(None if part == _ANY_DEPTH else re.compile(fnmatch.translate(part)) for part in pattern.split("/"))
