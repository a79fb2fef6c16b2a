"""What a repository holds, for the first mlbot.yaml: its files, its code, its data."""

import csv
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

from mlbot.core.scaffold import Facts
from mlbot.core.scaffold_data import SUFFIXES, Table
from mlbot.errors import MlbotError
from mlbot.git import Repository
from mlbot.git.command import git

_MAX_TEXT = 256 * 1024
_MAX_TEXTS = 500
_MAX_ROWS = 2_000
_MAX_LINE = 1 << 20
_MAX_DEPTH = 4
_MAX_TABLES = 50
_SKIPPED = frozenset({"node_modules", "venv", "env", "site-packages", "__pycache__", "build", "dist", "mlruns"})
_POINTER = "version https://git-lfs"


def survey(repository: Repository) -> Facts:
    """Read what a repository holds; nothing in it is run."""
    root = repository.root
    files = _files(root)
    return Facts(
        name=root.name,
        branch=default_branch(repository),
        files=files,
        texts=_texts(root, files),
        tables=tuple(_tables(root, files)),
    )


def _files(root: Path) -> frozenset[str]:
    """Every path that git has or would commit."""
    out = git(["ls-files", "-z", "--cached", "--others", "--exclude-standard"], root)
    paths = (path for path in out.decode("utf-8", "surrogateescape").split("\0") if path)
    return frozenset(path for path in paths if os.path.lexists(root / path))


def default_branch(repository: Repository) -> str:
    """The name of the branch that pull requests go into, as far as this clone can tell."""
    try:
        return repository.default_branch().name
    except MlbotError:
        return repository.current_branch() or "main"


def _texts(root: Path, files: frozenset[str]) -> dict[str, str]:
    wanted = (path for path in sorted(files, key=lambda path: (path.count("/"), path)) if _is_code(path))
    paths = itertools.islice(wanted, _MAX_TEXTS)
    return {path: text for path in paths if (text := _text(root / path)) is not None}


def _is_code(path: str) -> bool:
    return path.endswith((".py", ".sh", ".R", ".r")) or path == "pyproject.toml"


def _text(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            raw = file.read(_MAX_TEXT + 1)
    except OSError:
        return None
    return raw.decode("utf-8", "replace") if len(raw) <= _MAX_TEXT else None


def _tables(root: Path, files: frozenset[str]) -> Iterator[Table]:
    found = {path.removesuffix(".dvc") for path in files if path.removesuffix(".dvc").endswith(SUFFIXES)}
    found |= set(itertools.islice(_on_disk(root), _MAX_TABLES))
    for path in sorted(found):
        columns, rows = read_table(root / path)
        yield Table(path=path, columns=columns, rows=rows, tracked=path in files or f"{path}.dvc" in files)


def _on_disk(root: Path) -> Iterator[str]:
    """Data files in the working tree, those that git ignores too."""
    for folder, names, files in os.walk(root):
        inside = Path(folder).relative_to(root)
        deep = len(inside.parts) >= _MAX_DEPTH
        names[:] = [] if deep else sorted(name for name in names if not name.startswith(".") and name not in _SKIPPED)
        yield from ((inside / name).as_posix() for name in sorted(files) if name.endswith(SUFFIXES))


def read_table(path: Path) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """The columns of a data file and its first rows as text; nothing for what cannot be read from here."""
    if not path.is_file():
        return (), ()
    return _csv(path) if path.suffix == ".csv" else _parquet(path)


def _csv(path: Path) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            lines = (line for line in iter(lambda: file.readline(_MAX_LINE), ""))
            rows = list(itertools.islice(csv.reader(lines, skipinitialspace=True), _MAX_ROWS + 1))
    except (OSError, csv.Error):
        return (), ()
    if not rows or (rows[0] and rows[0][0].startswith(_POINTER)):
        return (), ()
    return tuple(name.strip() for name in rows[0]), tuple(tuple(row) for row in rows[1:])


def _parquet(path: Path) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """The same by polars, where the optional part `ml` is installed."""
    try:
        from mlbot.modeling import frames

        table = frames.sample(path, rows=_MAX_ROWS)
    except (ImportError, MlbotError):
        return (), ()
    rows = tuple(tuple("" if value is None else str(value) for value in row) for row in table.rows())
    return tuple(table.columns), rows
