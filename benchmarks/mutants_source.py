"""Where a mutant's snippet is in the source, whatever file it has moved to, and which tests are nearest to that file.

A snippet is compared token by token, so line breaks, comments, the commas that a formatter puts behind a last argument
and the layout of a call do not matter. Names do: who renames one anchors the mutants that quote it again.
"""

import ast
import io
import textwrap
import tokenize
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

_LAYOUT = {
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.COMMENT,
    tokenize.ENDMARKER,
    tokenize.ENCODING,
}
_CLOSING = {")", "]", "}"}
_GAP = "\0"
_MANY = 6


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One fault.

    Attributes:
        name: `subject/what-is-wrong`.
        fault: what the product does then; empty where the snippets say it.
        old: a snippet that is once in the source, or once in `within`.
        new: what takes its place.
        within: the function's qualified name, where the snippet alone is not enough.
        survives: why no test has to notice it; empty for one that must be killed.
    """

    name: str
    fault: str = ""
    old: str
    new: str
    within: str = ""
    survives: str = ""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Characters of a file."""

    file: "SourceFile"
    start: int
    end: int


class StaleError(Exception):
    """A mutant does not apply to the source any more."""


@dataclass(frozen=True)
class _Token:
    text: str
    start: int
    end: int


@dataclass(frozen=True)
class SourceFile:
    """One module.

    Attributes:
        path: below the source folder.
        text: its content.
    """

    path: Path
    text: str

    @property
    def module(self) -> str:
        """Its dotted name below the package."""
        parts = self.path.with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    def definition_at(self, place: int) -> str:
        """The name of the module's function, class or constant that a character is in; empty for none."""
        lines = _line_starts(self.text)
        for node in ast.parse(self.text).body:
            if lines[node.lineno - 1] <= place < lines[node.end_lineno or node.lineno]:
                found = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", node)
                return str(getattr(found, "name", getattr(found, "id", "")))
        return ""

    @cached_property
    def tokens(self) -> list[_Token]:
        """What is compared."""
        return _tokens(self.text)

    @cached_property
    def _joined(self) -> tuple[str, list[int]]:
        joined, starts = [_GAP], []
        length = 1
        for token in self.tokens:
            starts.append(length)
            joined.append(token.text + _GAP)
            length += len(joined[-1])
        return "".join(joined), starts

    @cached_property
    def functions(self) -> Mapping[str, list[tuple[int, int]]]:
        """Where each function's body is, by its qualified name; overloads and redefinitions have several."""
        lines = _line_starts(self.text)
        found: dict[str, list[tuple[int, int]]] = {}
        for name, node in functions_of(ast.parse(self.text)):
            found.setdefault(name, []).append((lines[node.lineno - 1], lines[node.end_lineno or node.lineno]))
        return found

    def find(self, wanted: str) -> Iterator[tuple[int, int]]:
        """Every place where the text has these tokens (joined), as first and last character."""
        joined, starts = self._joined
        at = joined.find(wanted)
        while at >= 0:
            first = bisect_left(starts, at + 1)
            last = first + wanted.count(_GAP) - 2
            yield self.tokens[first].start, self.tokens[last].end
            at = joined.find(wanted, at + 1)


def functions_of(tree: ast.AST, outer: str = "") -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Each function of a module with its qualified name, methods and inner functions included."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{outer}{node.name}", node
            yield from functions_of(node, f"{outer}{node.name}.")
        else:
            yield from functions_of(node, f"{outer}{node.name}." if isinstance(node, ast.ClassDef) else outer)


def read_source(folder: Path) -> tuple[SourceFile, ...]:
    """Every module below a folder."""
    return tuple(SourceFile(path.relative_to(folder), path.read_text("utf-8")) for path in sorted(folder.rglob("*.py")))


def locate(mutant: Mutant, source: Iterable[SourceFile]) -> Place:
    """The one place where a mutant applies.

    Raises:
        StaleError: there is none, there are several, or the function is gone.
    """
    wanted = _wanted(mutant.old)
    every = [(file, start, end) for file in source for start, end in file.find(wanted)]
    found = [found for found in every if _is_within(mutant.within, *found)] if mutant.within else every
    if not found and wanted.count(_GAP) > _MANY:
        found = every  # the function has got another name, and the snippet is too long to mean anything else
    if len(found) != 1:
        raise StaleError(f"the snippet is {len(found)} times in the source")
    file, start, end = found[0]
    return Place(file=file, start=start, end=end)


def mutated(mutant: Mutant, place: Place) -> str:
    """The module's text with the fault in it.

    Raises:
        StaleError: it would not be Python, or the same program.
    """
    text = place.file.text
    line = text[text.rfind("\n", 0, place.start) + 1 : place.start]
    indent = line[: len(line) - len(line.lstrip())]
    first, *rest = textwrap.dedent(mutant.new).strip().split("\n")
    new = "\n".join([first, *(f"{indent}{each}" if each else each for each in rest)])
    made = f"{text[: place.start]}{new}{text[place.end :]}"
    try:
        same = ast.dump(ast.parse(made)) == ast.dump(ast.parse(text))
    except SyntaxError as error:
        raise StaleError(f"the mutated file is no Python: {error.msg}") from error
    if same:
        raise StaleError("the mutated file is the same program")
    return made


def _is_within(name: str, file: SourceFile, start: int, end: int) -> bool:
    return any(first <= start and end <= last for first, last in file.functions.get(name, ()))


def _wanted(snippet: str) -> str:
    return _GAP + "".join(token.text + _GAP for token in _tokens(textwrap.dedent(snippet).strip() + "\n"))


def _tokens(text: str) -> list[_Token]:
    lines = _line_starts(text)
    found: list[_Token] = []
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type in _LAYOUT:
                continue
            if token.string in _CLOSING and found and found[-1].text == ",":
                found.pop()
            (row, column), (last_row, last_column) = token.start, token.end
            found.append(_Token(token.string, lines[row - 1] + column, lines[last_row - 1] + last_column))
    except (tokenize.TokenError, IndentationError):  # a snippet may end within brackets or a block
        pass
    return found


def _line_starts(text: str) -> list[int]:
    starts = [0]
    for line in text.split("\n"):  # not `splitlines`, which knows more line ends than Python's grammar
        starts.append(starts[-1] + len(line) + 1)
    return starts


def nearest_tests(place: Place, root: Path, *, reach: int, deep: bool) -> list[str]:
    """The test files that reach a module, nearest first; paths below `root`.

    Only imports count, wherever in a file they are; what a test runs as another process is not seen. First come the
    files that are called as the module, those that name what is changed and those in its room; before all of them,
    those that start no process.

    Args:
        place: in the module.
        root: of the checkout.
        reach: the most imports between a test and the module.
        deep: whether tests that start processes count wherever they are, not only right beside the module.
    """
    distance = _distances(f"mlbot.{place.file.module}", root)
    *_, room, stem = ["", *place.file.module.split(".")]
    changed = place.file.definition_at(place.start)
    slow = _starting_processes(root)
    ranked: list[tuple[tuple[bool, int, bool, bool, bool], str]] = []
    for name, far in distance.items():
        path = f"{name.replace('.', '/')}.py"
        here, called = f"/{room}/" in path, f"/test_{stem}" in path
        if name.startswith("tests.") and "/test_" in path and far <= reach:
            names = bool(changed) and changed in (root / path).read_text("utf-8")
            if name not in slow or deep or (far == 1 and (here or called)):
                ranked.append(((name in slow, far, not called, not names, not here), path))
    return [path for _, path in sorted(ranked)]


def _distances(module: str, root: Path) -> dict[str, int]:
    """How many imports each module is away from one that it reaches."""
    importers = _importers(root)
    distance = {module: 0}
    todo = deque(distance)
    while todo:
        name = todo.popleft()
        for other in importers.get(name, ()):
            if other not in distance:
                distance[other] = distance[name] + 1
                todo.append(other)
    return distance


@cache
def _starting_processes(root: Path) -> frozenset[str]:
    """The tests and their helpers that start processes: git, a training, a server."""
    found: set[str] = set()
    todo = deque(["subprocess", "threading", "multiprocessing", "tests.support.tiny"])
    while todo:
        name = todo.popleft()
        for other in _importers(root).get(name, ()):
            if other.startswith("tests.") and other not in found and other != "tests.conftest":
                found.add(other)
                todo.append(other)
    return frozenset(found)


@cache
def _importers(root: Path) -> dict[str, set[str]]:
    """By each module of the project and of its tests, those that import it."""
    files = {
        ".".join(path.relative_to(base).with_suffix("").parts).removesuffix(".__init__"): path
        for base, folder in ((root / "src", "mlbot"), (root, "tests"))
        for path in (base / folder).rglob("*.py")
    }
    found: dict[str, set[str]] = {}
    for name, path in files.items():
        for imported in _imported(path):
            found.setdefault(imported, set()).add(name)
        for conftest in (name.rsplit(".", up)[0] + ".conftest" for up in range(1, name.count(".") + 1)):
            if conftest in files and conftest != name:
                found.setdefault(conftest, set()).add(name)
    return found


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{each.name}" for each in node.names)
