"""A Jupyter notebook: what of it is executed, and in which cells two differ."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cached_property
from typing import Any

from mlbot.errors import UsageError
from mlbot.lib.record import Digest, canonical, digest

SUFFIX = ".ipynb"
MOST_BYTES = 32 << 20  # with all its pictures; of a larger one every byte counts
_FORM = 4  # of nbformat: Jupyter's since 2015
_MOST_CELLS = 2_000
_MOST_COMPARED = 400  # the comparison is quadratic
_NAMED = 3
_DIGITS = 15
_TAGS = ("raises-exception", "skip-execution")  # nbclient's: whether a cell may fail, and whether it runs


class NotebookError(UsageError):
    """What is no notebook that can be executed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """A cell of code."""

    number: int  # among all cells of the notebook, from 1, as editors count
    source: str
    tags: tuple[str, ...] = ()  # those that decide whether it runs


@dataclass(frozen=True, kw_only=True)
class Notebook:
    """What decides what a notebook does: its code and its kernel, without outputs, counts and texts."""

    cells: tuple[Cell, ...]
    count: int  # of all cells
    language: str = "python"
    kernel: str = ""  # the name of a kernel of another language; Python's is that of the training's own Python

    @classmethod
    def read(cls, raw: bytes) -> "Notebook":
        """A notebook from the bytes of its file, which may be anybody's; raises `NotebookError`."""
        document = _loaded(raw)
        cells, metadata = document.get("cells"), _table(document.get("metadata"))
        if document.get("nbformat") != _FORM or not isinstance(cells, list) or len(cells) > _MOST_CELLS:
            raise _unreadable(f"it is none of format {_FORM} with at most {_MOST_CELLS:,} cells")
        kernel = _table(metadata.get("kernelspec"))
        language = kernel.get("language") or _table(metadata.get("language_info")).get("name") or "python"
        foreign = str(language).lower() not in {"python", "ipython", "python3"}
        return cls(
            cells=tuple(_codes(cells)),
            count=len(cells),
            language=str(language).lower() if foreign else "python",
            kernel=str(kernel.get("name", "")) if foreign else "",
        )

    @cached_property
    def digest(self) -> Digest:
        """Of what is executed: running it, writing text between its cells or opening it elsewhere changes nothing."""
        cells = [[each.source, *each.tags] for each in self.cells]
        return digest(canonical({"form": "mlbot/notebook@1", "kernel": [self.language, self.kernel], "cells": cells}))

    def stripped(self) -> bytes:
        """The file of a notebook that does the same and holds nothing else; its cells keep their numbers."""
        cells: list[dict[str, Any]] = [{"cell_type": "markdown", "metadata": {}, "source": ""}] * self.count
        for each in self.cells:
            code = {"cell_type": "code", "metadata": {"tags": list(each.tags)} if each.tags else {}}
            cells[each.number - 1] = code | {"execution_count": None, "outputs": [], "source": each.source}
        kernel = {"name": self.kernel or "python3", "display_name": self.language, "language": self.language}
        document = {"nbformat": _FORM, "nbformat_minor": 4, "metadata": {"kernelspec": kernel}, "cells": cells}
        return json.dumps(document, indent=1).encode()

    def changes(self, before: "Notebook") -> str:
        """Where it differs from an earlier one, such as "in cells 3 and 5"; empty where that cannot be told."""
        now, old = ([(cell.source, cell.tags) for cell in each.cells] for each in (self, before))
        if now == old or max(len(now), len(old)) > _MOST_COMPARED:
            return ""
        edits = [edit for edit in SequenceMatcher(None, old, now, autojunk=False).get_opcodes() if edit[0] != "equal"]
        numbers = [self.cells[at].number for *_, start, end in edits for at in range(start, end)]
        if numbers:
            return _listed(numbers)
        lost = sum(end - start for _, start, end, *_ in edits)
        return f"by {lost} cell{'s' if lost > 1 else ''} less"


def _listed(numbers: list[int]) -> str:
    if len(numbers) > _NAMED:
        return f"in {len(numbers)} cells"
    *first, last = map(str, numbers)
    return f"in cells {', '.join(first)} and {last}" if first else f"in cell {last}"


def _loaded(raw: bytes) -> dict[str, Any]:
    if len(raw) > MOST_BYTES:
        raise _unreadable(f"it has more than {MOST_BYTES >> 20} MiB")
    try:
        # Outputs may hold any number, of any length; none of them is looked at.
        found = json.loads(raw, parse_float=lambda _: 0.0, parse_int=lambda text: int(text[:_DIGITS]))
    except (ValueError, RecursionError):
        raise _unreadable("it is not JSON") from None
    return _table(found)


def _table(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _codes(cells: list[Any]) -> Iterator[Cell]:
    for number, cell in enumerate(cells, 1):
        if _table(cell).get("cell_type") == "code":
            tags = _table(cell.get("metadata")).get("tags")
            deciding = tuple(each for each in _TAGS if isinstance(tags, list) and each in tags)
            yield Cell(number=number, source=_text(cell.get("source")), tags=deciding)


def _text(source: object) -> str:
    lines = source if isinstance(source, list) else [source]
    texts = [line for line in lines if isinstance(line, str)]
    if len(texts) < len(lines):
        raise _unreadable("a cell of it has no source")
    return "".join(texts)


def _unreadable(why: str) -> NotebookError:
    return NotebookError(
        f"it is no notebook that can be run: {why}", hint="Save it with Jupyter (File > Save), and clear its outputs."
    )
