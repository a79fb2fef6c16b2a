"""The files of one commit as git lists them, and which of them a pattern names."""

import fnmatch
import posixpath
import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

from mlbot.errors import UsageError
from mlbot.lib.record import Digest, Sha, digest


@dataclass(frozen=True, kw_only=True, slots=True)
class TagRef:
    """A tag as git has it. No `Record`: there are tens of thousands of them, and git has checked their ids.

    `object_sha` of a lightweight tag is what it points to; `commit_sha` is None where that is no commit.
    """

    name: str
    object_sha: Sha
    commit_sha: Sha | None
    annotated: bool
    message: str | None = None


Entry = tuple[str, str]  # git's mode and object id of a path, as `git ls-tree` writes them
SYMLINK = "120000"

SUBMODULE = "160000"
FILE_MODES = frozenset({"100644", "100755"})

TOP = ":/"  # as git has it: the path begins at the repository's root, wherever mlbot.yaml is
_MAX_HOPS = 40  # as many symbolic links in a row as Linux follows


@dataclass(frozen=True)
class Tree:
    """One commit's files, and what each symbolic link says, by path; what is no UTF-8 carries surrogate escapes."""

    entries: Mapping[str, Entry] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    folder: str = ""  # what it is seen from, inside the repository: what is beside that begins with `../`
    _matched: dict[str, frozenset[str]] = field(default_factory=dict, repr=False, compare=False)
    _digests: dict[frozenset[str], Digest] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def paths(self) -> list[str]:
        """Every path, sorted."""
        return sorted(self.entries)

    def match(self, pattern: str) -> frozenset[str]:
        """The files that a path, a folder or a glob names; raises `UsageError` when it leads out of the repository.

        A symbolic link brings the files of this tree that it leads to. A path inside a submodule is the submodule:
        git knows its commit and no more.
        """
        wanted = self.named(pattern)
        if wanted not in self._matched:
            self._matched[wanted] = self._with_targets(self._named(wanted))
        return self._matched[wanted]

    def file(self, path: str) -> str | None:
        """The file that a path leads to, through symbolic links if need be; None when that is not one file."""
        wanted = self.named(path)
        if wanted not in self.entries and self._starting_with(f"{wanted}/"):
            return None
        files = [each for each in self.match(wanted) if self.entries[each][0] not in {SYMLINK, SUBMODULE}]
        return files[0] if len(files) == 1 else None

    def named(self, pattern: str) -> str:
        """A path or pattern as the tree itself names what it is."""
        if pattern.startswith(TOP):
            inside = normalise(pattern.removeprefix(TOP))
            return _seen(inside, self.folder) if inside else ""
        known = bool(self.folder) and pattern in self.entries  # as the tree itself names what is beside its folder
        return pattern if known else normalise(pattern)

    def digest(self, paths: frozenset[str]) -> Digest:
        """sha256 over the mode, object id and path of each file in the order of their paths; no file is read."""
        if paths not in self._digests:
            lines = (f"{self.entries[path][0]} {self.entries[path][1]}\t{path}\0" for path in sorted(paths))
            self._digests[paths] = digest("".join(lines))
        return self._digests[paths]

    def leads_out(self, paths: Iterable[str]) -> bool:
        """Whether one of the paths is a symbolic link to something that is not in this tree."""
        targets = [self._target(path) for path in paths if path in self.links]
        return any(target is None or not self._literal(target, _MAX_HOPS) for target in targets)

    def seen_from(self, folder: str) -> "Tree":
        """The same commit with paths relative to a folder of it."""
        if not folder:
            return self
        entries = {_seen(path, folder): entry for path, entry in self.entries.items()}
        links = {_seen(path, folder): target for path, target in self.links.items()}
        return Tree(entries=entries, links=links, folder=folder)

    def _named(self, wanted: str) -> frozenset[str]:
        found = self._literal(wanted, _MAX_HOPS)
        if found or not is_glob(wanted):
            return found
        return frozenset(path for path in self._starting_with(fixed_folder(wanted)) if fits(wanted, path))

    def _literal(self, wanted: str, hops: int) -> frozenset[str]:
        if not wanted:
            return frozenset(self.entries)
        if wanted in self.entries:
            return frozenset({wanted})
        return frozenset(self._starting_with(f"{wanted}/")) or self._through(wanted, hops)

    def _starting_with(self, prefix: str) -> list[str]:
        # "\U0010ffff" sorts behind every character a name can go on with.
        start = bisect_left(self.paths, prefix)
        return self.paths[start : bisect_left(self.paths, prefix + "\U0010ffff", start)]

    def _through(self, wanted: str, hops: int) -> frozenset[str]:
        """What a path names that leads through a submodule or a symbolic link."""
        for end in (index for index, letter in enumerate(wanted) if letter == "/"):
            folder = wanted[:end]
            if self.entries.get(folder, ("", ""))[0] == SUBMODULE:
                return frozenset({folder})
            if folder in self.links:
                target = self._target(folder)
                if target is None or not hops:
                    return frozenset()
                return self._literal(posixpath.join(target, wanted[end + 1 :]), hops - 1)
        return frozenset()

    def _with_targets(self, found: frozenset[str]) -> frozenset[str]:
        todo = [path for path in found if path in self.links] if self.links else []
        every, followed = set(found), set[str | None]({None})
        while todo:
            target = self._target(todo.pop())
            # Each once: a stranger's thousand links to the root would cost a thousand times all files.
            fresh = frozenset() if target in followed else self._literal(target or "", _MAX_HOPS) - every
            followed.add(target)
            every |= fresh
            todo += [path for path in fresh if path in self.links]
        return frozenset(every)

    def _target(self, link: str) -> str | None:
        """Where a link of the tree leads, as a path of the tree; None when it leads out."""
        target = posixpath.normpath(posixpath.join(posixpath.dirname(link), self.links[link]))
        outside = target.startswith("/") or (not self.folder and (target.startswith("../") or target == ".."))
        return None if outside else "" if target == "." else target


def _seen(path: str, folder: str) -> str:
    """A path of the repository as it is named in one of its folders."""
    inside = f"{folder}/"
    if not folder or path.startswith(inside):
        return path.removeprefix(inside) if folder else path
    return posixpath.relpath(path, folder)


def shown(path: str) -> str:
    """A path as a person can read it: control characters and what is no UTF-8 escaped."""
    clean = path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in clean)


def is_url(path: str) -> bool:
    """Whether a data source is an fsspec URL rather than a path of the repository."""
    return "://" in path


def module_files(function: str, tree: Tree) -> frozenset[str]:
    """The file of the tree that defines `module:function`, looked for in the root and in `src/`."""
    module = function.partition(":")[0].replace(".", "/")
    candidates = (f"{root}{module}{end}" for root in ("", "src/") for end in (".py", "/__init__.py"))
    return frozenset(path for path in candidates if path in tree.entries)


def changed(before: Tree, after: Tree, paths: Iterable[str] | None = None) -> list[str]:
    """Which paths (None: all) differ in content, mode or existence, sorted."""
    asked = before.entries.keys() | after.entries.keys() if paths is None else set(paths)
    return sorted(path for path in asked if before.entries.get(path) != after.entries.get(path))


# Globs, as in .gitignore: a pattern that names a folder takes all that is in it.

_WILD = re.compile(r"[*?\[]")

_ANY_DEPTH = "**"

_Part = re.Pattern[str] | None  # one folder's or file's name in a pattern; None is `**`, any number of folders


def normalise(pattern: str) -> str:
    """The pattern without `./` before and `/` behind it; empty for the whole repository, `UsageError` outside of it."""
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
