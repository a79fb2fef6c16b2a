"""Finding the training in a repository's files: which script or function it is, and what it depends on."""

import ast
import posixpath
import re
from collections.abc import Collection, Iterator, Mapping

from mlbot.core.record import Record
from mlbot.errors import UsageError

OUTPUT = "MLBOT_MODEL"
"""The variable by which a training learns where its ONNX file goes."""

_SCRIPTS = ("train.py", "train_model.py", "training.py", "fit.py", "train.sh", "train.R", "train.r")
"""What training scripts are called, the likeliest first."""
_RUNNERS: Mapping[str, str] = {".py": "python", ".sh": "bash", ".R": "Rscript", ".r": "Rscript"}
_APART = frozenset({"test", "tests", "docs", "doc", "notebooks", "examples", "benchmarks", "build", "dist"})
"""Top folders whose code no training imports."""
_TOOLS = frozenset({"setup.py", "conftest.py", "noxfile.py", "tasks.py", "fabfile.py"})
_FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


class Recipe(Record):
    """How a model is trained.

    Attributes:
        run: a shell command; None when there is an entrypoint.
        entrypoint: `module:function`.
        depends: files and folders of the code.
        writes: whether the code mentions `$MLBOT_MODEL`, or need not.
        source: the file that it was found in.
    """

    run: str | None = None
    entrypoint: str | None = None
    depends: tuple[str, ...] = ()
    writes: bool = True
    source: str | None = None

    @property
    def said(self) -> str:
        """As a person writes it: the command, or `module:function`."""
        return self.run or self.entrypoint or ""


def find_recipe(files: Collection[str], texts: Mapping[str, str], wanted: str | None = None) -> Recipe | None:
    """The training of a repository.

    Args:
        files: every path that git would commit.
        texts: the Python files among them that could be read.
        wanted: what a person said: a script, `module:function` or a command; None: look for it.

    Returns:
        How to train; None when nothing looks like it.

    Raises:
        UsageError: a script was named that is not there.
    """
    if wanted is None:
        found = next(_candidates(files), None)
        return _of_file(found, files, texts) if found else None
    if _FUNCTION.fullmatch(wanted):
        return Recipe(entrypoint=wanted, depends=_code(files))
    if wanted in files:
        return _of_file(wanted, files, texts)
    if _suffix(wanted) in _RUNNERS and " " not in wanted:
        raise UsageError(
            f"there is no {wanted!r} that git would commit", where="--train", mend="Name it from the root."
        )
    depends = _code(files)
    return Recipe(run=wanted, depends=depends, writes=_writes(depends, texts))


def _candidates(files: Collection[str]) -> Iterator[str]:
    likely = (path for path in files if posixpath.basename(path) in _SCRIPTS and not _APART & set(path.split("/")[:-1]))
    yield from sorted(likely, key=lambda path: (_SCRIPTS.index(posixpath.basename(path)), path.count("/"), path))


def _suffix(path: str) -> str:
    return posixpath.splitext(path)[1]


def _of_file(path: str, files: Collection[str], texts: Mapping[str, str]) -> Recipe:
    depends = _code(files)
    depends = depends if any(_covers(each, path) for each in depends) else (path, *depends)
    text = texts.get(path, "")
    module, function = _module(path), _function(text)
    if module and function and OUTPUT not in text:
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
    return any(OUTPUT in text for path, text in texts.items() if any(_covers(each, path) for each in depends))
