"""Finding the data in a repository's files: what trains, what judges, what is predicted."""

import ast
import posixpath
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from mlbot.errors import UsageError
from mlbot.gates.metric import Task
from mlbot.lib.notebook import SUFFIX
from mlbot.lib.record import Record

OUTPUT = "MLBOT_ARTIFACT"  # the variable by which a training learns where its model goes
_OUTPUTS = (OUTPUT, "MLBOT_MODEL")
_SCRIPTS = ("train.py", "train_model.py", "training.py", "fit.py", "train.sh", "train.R", "train.r")
"""What training scripts are called, the likeliest first."""

_RUNNERS: Mapping[str, str] = {".py": "python", ".sh": "bash", ".R": "Rscript", ".r": "Rscript"}

_APART = frozenset({"test", "tests", "docs", "doc", "notebooks", "examples", "benchmarks", "build", "dist"})
"""Top folders whose code no training imports."""

_TOOLS = frozenset({"setup.py", "conftest.py", "noxfile.py", "tasks.py", "fabfile.py"})

FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


class Recipe(Record):
    """How a model is trained: a shell command to `run`, an `entrypoint` (`module:function`), or a `notebook`.

    `depends` are files and folders of code; `writes` is whether that code mentions `$MLBOT_ARTIFACT`, or need not.
    """

    run: str | None = None
    entrypoint: str | None = None
    notebook: str | None = None
    depends: tuple[str, ...] = ()
    writes: bool = True
    source: str | None = None

    def covers(self, path: str) -> bool:
        """Whether a file is among what it depends on."""
        return any(_covers(each, path) for each in self.depends)

    @property
    def text(self) -> str:
        """As a person writes it: the command, `module:function`, or the notebook."""
        return self.run or self.entrypoint or self.notebook or ""


def find_recipe(files: Collection[str], texts: Mapping[str, str], wanted: str | None = None) -> Recipe | None:
    """The training of a repository, or what a person named, which has to be there; None: none found."""
    if wanted is None:
        found = next(_candidates(files), None) or next(_trainers(texts), None) or next(_notebooks(texts), None)
        return _of_file(found, files, texts) if found else None
    if FUNCTION.fullmatch(wanted):
        return Recipe(entrypoint=wanted, depends=_code(files))
    if wanted in files:
        return _of_file(wanted, files, texts)
    if _suffix(wanted) in _RUNNERS and " " not in wanted:
        raise UsageError(
            f"there is no {wanted!r} that git would commit", where="--train", hint="Name it from the root."
        )
    depends = _code(files)
    return Recipe(run=wanted, depends=depends, writes=_writes(depends, texts))


def _candidates(files: Collection[str]) -> Iterator[str]:
    likely = (path for path in files if posixpath.basename(path) in _SCRIPTS and not _APART & set(path.split("/")[:-1]))
    yield from sorted(likely, key=lambda path: (_SCRIPTS.index(posixpath.basename(path)), path.count("/"), path))


def _trainers(texts: Mapping[str, str]) -> Iterator[str]:
    """Modules of any name with a function that mlbot can call, or that write where it says."""
    code = (path for path in texts if path.endswith(".py") and not _APART & set(path.split("/")[:-1]))
    paths = sorted(code, key=lambda path: (path.count("/"), path))
    yield from (path for path in paths if path not in _TOOLS and (_function(texts[path]) or _says(texts[path])))


_FITS = re.compile(r"\.(fit|train|fit_transform|backward)\(")
_OPENED = ("train", "model", "fit")


def _notebooks(texts: Mapping[str, str]) -> Iterator[str]:
    """Notebooks whose code fits a model, the likeliest first; `texts` has their code."""
    fitting = (path for path in texts if path.endswith(SUFFIX) and (_FITS.search(texts[path]) or _says(texts[path])))

    def rank(path: str) -> tuple[bool, int, int, str]:
        name = posixpath.basename(path).lower()
        at = next((place for place, word in enumerate(_OPENED) if word in name), len(_OPENED))
        return not _says(texts[path]), at, path.count("/"), path

    yield from sorted(fitting, key=rank)


def _says(text: str) -> bool:
    """Whether code mentions where mlbot takes a model from."""
    return any(name in text for name in _OUTPUTS)


def _suffix(path: str) -> str:
    return posixpath.splitext(path)[1]


def _of_file(path: str, files: Collection[str], texts: Mapping[str, str]) -> Recipe:
    depends = _code(files)
    depends = depends if any(_covers(each, path) for each in depends) else (path, *depends)
    text = texts.get(path, "")
    if path.endswith(SUFFIX):
        return Recipe(notebook=path, depends=depends, writes=_says(text), source=path)
    module, function = _module(path), _function(text)
    if module and function and not _says(text):
        return Recipe(entrypoint=f"{module}:{function}", depends=depends, source=path)
    return Recipe(run=_command(path, files), depends=depends, writes=_writes(depends, texts), source=path)


def _command(path: str, files: Collection[str]) -> str:
    """The shell command for a script.

    A module of a package is run as one, with `src/` first on the path: else the baseline's worktree would import the
    package that is installed, and that is the candidate's.
    """
    runner = _RUNNERS.get(_suffix(path), "python")
    module = _module(path)
    if runner == "python" and module and posixpath.join(posixpath.dirname(path), "__init__.py") in files:
        return f"{'PYTHONPATH=src ' if path.startswith('src/') else ''}python -m {module}"
    return f"{runner} {path}" if re.fullmatch(r"[\w./-]+", path) else f"{runner} '{path}'"


def _module(path: str) -> str | None:
    """The module's name as Python imports it from the root or from `src/`."""
    parts = posixpath.splitext(path.removeprefix("src/"))[0].split("/")
    fits = path.endswith(".py") and all(part.isidentifier() for part in parts)
    return ".".join(parts) if fits else None


def _function(text: str) -> str | None:
    """A function of (params, seed) at the top of a module: what mlbot can call."""
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError):
        return None
    for node in body:
        if isinstance(node, ast.FunctionDef) and node.name in {"train", "fit", "train_model", "build", "main"}:
            arguments = [each.arg for each in (*node.args.posonlyargs, *node.args.args)]
            if len(arguments) == 2 and "seed" in arguments[1].lower() and not node.args.kwonlyargs:
                return node.name
    return None


def _code(files: Collection[str]) -> tuple[str, ...]:
    """All code that a training might import: the root's modules one by one, and folders whole."""
    found: set[str] = set()
    for path in files:
        first, *rest = path.split("/")
        if _suffix(path) not in {".py", ".pyx", ".R", ".r", ".sql"} or first in _APART | _TOOLS:
            continue
        if not rest and not first.startswith("test_"):
            found.add(first)
        elif rest and not first.startswith("."):
            found.add(f"{first}/")
    return tuple(sorted(found))


def _covers(pattern: str, path: str) -> bool:
    return path == pattern or (pattern.endswith("/") and path.startswith(pattern))


def _writes(depends: Collection[str], texts: Mapping[str, str]) -> bool:
    return any(_says(text) for path, text in texts.items() if any(_covers(each, path) for each in depends))


SUFFIXES = (".csv", ".parquet")

_TRAIN = ("train", "training")

_HOLDOUT = ("holdout", "heldout", "test", "eval", "evaluation", "validation", "valid", "val")
"""What held-out data is called, the clearest first."""

_TARGETS = ("target", "label", "labels", "y", "class", "outcome", "response")

_MOST_CLASSES = 30  # whole numbers with more values than this are amounts, not classes
_ID = re.compile(r"(?i)(^|.*[_ -])(id|uuid|guid)|^index$|^unnamed: 0$")


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """A data file as it was found: its columns, where it could be read, and its first rows."""

    path: str
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    tracked: bool = True
    encoding: str | None = None  # of a CSV that does not say it itself: what it probably is

    def values(self, column: str) -> list[str]:
        """The different values of a column in its first rows, sorted; an empty field is none."""
        at = self.columns.index(column) if column in self.columns else -1
        return sorted({row[at].strip() for row in self.rows if 0 <= at < len(row) and row[at].strip()})


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """Training data and holdout, either of which may be missing."""

    train: str | None = None
    holdout: str | None = None


def find_pair(tables: Sequence[Table], train: str | None = None, holdout: str | None = None) -> Pair:
    """Which files train and which judge, by their names; what a person named stays."""
    by_path = {table.path: table for table in tables}
    if train is None:
        others = [table for table in tables if table.path != holdout and _rank(table.path, _HOLDOUT) is None]
        train = min(others, key=lambda table: _likely(table, _TRAIN), default=Table(path="")).path or None
    if holdout is None:
        near = [table for table in tables if table.path != train and _rank(table.path, _HOLDOUT) is not None]
        best = min(near, key=lambda table: _beside(table, by_path.get(train or "")), default=None)
        holdout = best.path if best else None
    return Pair(train=train, holdout=holdout)


def _likely(table: Table, words: Collection[str]) -> tuple[bool, int, str]:
    return _rank(table.path, tuple(words)) is None, table.path.count("/"), table.path


def _beside(table: Table, train: Table | None) -> tuple[bool, bool, int, int, str]:
    """How well a holdout goes with the training data: same columns, same folder, the clearest name."""
    other_columns = train is not None and bool(train.columns) and set(table.columns) != set(train.columns)
    other_folder = train is not None and posixpath.dirname(table.path) != posixpath.dirname(train.path)
    return other_columns, other_folder, _rank(table.path, _HOLDOUT) or 0, table.path.count("/"), table.path


def _rank(path: str, words: tuple[str, ...]) -> int | None:
    """The place of the first word that a file is called by, its folder's name included: `test/data.csv`."""
    return min((words.index(word) for word in _words(path) if word in words), default=None)


def _words(path: str) -> Iterator[str]:
    folder, file = posixpath.split(path)
    for name in (posixpath.splitext(file)[0], posixpath.basename(folder)):
        yield from re.split(r"[^a-z0-9]+", re.sub(r"(hold|held)[^a-z0-9]+out", r"\1out", name.lower()))


def find_target(table: Table | None) -> str | None:
    """The column that is probably predicted: one of a known name, else the last one."""
    if table is None or not table.columns:
        return None
    folded = {column.strip().lower(): column for column in reversed(table.columns)}
    return next((folded[name] for name in _TARGETS if name in folded), table.columns[-1])


def is_guess(target: str, texts: Iterable[str]) -> bool:
    """Whether nothing but its place speaks for the column that was taken for the target: neither its name nor code."""
    quoted = (f'"{target}"', f"'{target}'")
    return target.strip().lower() not in _TARGETS and not any(each in text for text in texts for each in quoted)


def find_task(values: Sequence[str]) -> Task | None:
    """What a column with these values asks for; None when they do not tell."""
    if len(values) < 2:
        return None
    if len(values) == 2:
        return Task.BINARY
    numbers = [_number(value) for value in values]
    if all(number is not None for number in numbers):
        whole = all(number == round(number or 0) for number in numbers)
        return Task.MULTICLASS if whole and len(values) <= _MOST_CLASSES else Task.REGRESSION
    return Task.MULTICLASS


# Where the word for yes sorts before the word for no, scikit-learn's rule takes no for the positive label.
_YES_NO = frozenset({("ja", "nein"), ("ja", "nej"), ("ja", "nee"), ("ano", "ne"), ("da", "nu")})


def positive_of(values: Sequence[str]) -> str | None:
    """The positive one of two labels: a word for yes beside its no, else the greater; None unless there are two."""
    if len(values) != 2:
        return None
    spellings = {value.strip().casefold(): value for value in values}
    if tuple(sorted(spellings)) in _YES_NO:
        return spellings[min(spellings)]
    first, second = (_number(value) for value in values)
    if first is not None and second is not None:
        return values[0] if first > second else values[1]
    return max(values)


def id_columns(table: Table | None, target: str | None) -> tuple[str, ...]:
    """Columns that by their name tell rows apart, and so are probably no features."""
    columns = table.columns if table else ()
    return tuple(column for column in columns if column != target and _ID.fullmatch(column.strip()))


def _number(text: str) -> float | None:
    try:
        found = float(text)
    except ValueError:
        return None
    return found if found - found == 0 else None  # neither infinite nor NaN
