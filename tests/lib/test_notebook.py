"""What of a notebook counts, and where two differ."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.notebooks import PYTHON, code, notebook, text

from mlbot.lib.notebook import MOST_BYTES, Notebook, NotebookError


def _read(written: str) -> Notebook:
    return Notebook.read(written.encode())


PLAIN = notebook(text("# Train"), code("x = 1\ny = 2"), code("print(x)"))

SAME = {
    "run": notebook(text("# Train"), code("x = 1\ny = 2", run=3), code("print(x)", run=9, output="1\n")),
    "lines": notebook(text("# Train"), code(["x = 1\n", "y = 2"]), code("print(x)")),
    "text": notebook(text("# Train it"), text("More."), code("x = 1\ny = 2"), code("print(x)")),
    "tags of an editor": notebook(text("# Train"), code("x = 1\ny = 2", "parameters"), code("print(x)", "hide-input")),
    "kernel of somebody": notebook(
        text("# Train"), code("x = 1\ny = 2"), code("print(x)"), kernel=PYTHON | {"name": "my-environment"}
    ),
    "no kernel": notebook(text("# Train"), code("x = 1\ny = 2"), code("print(x)"), metadata={}),
    "ids": notebook(text("# Train"), code("x = 1\ny = 2") | {"id": "a1"}, code("print(x)") | {"id": "a2"}),
    "form": json.dumps(json.loads(PLAIN), indent=1) + "\n",
    "numbers in outputs": PLAIN.replace('"outputs": []', '"outputs": [NaN, 1e999, %s]' % ("9" * 5000)),
}

OTHER = {
    "code": notebook(text("# Train"), code("x = 2\ny = 2"), code("print(x)")),
    "order": notebook(text("# Train"), code("print(x)"), code("x = 1\ny = 2")),
    "one less": notebook(text("# Train"), code("x = 1\ny = 2")),
    "joined": notebook(text("# Train"), code("x = 1\ny = 2\nprint(x)")),
    "skipped": notebook(text("# Train"), code("x = 1\ny = 2", "skip-execution"), code("print(x)")),
    "may fail": notebook(text("# Train"), code("x = 1\ny = 2"), code("print(x)", "raises-exception")),
    "language": notebook(
        text("# Train"), code("x = 1\ny = 2"), code("print(x)"), kernel={"name": "ir", "language": "R"}
    ),
    "code made text": notebook(text("# Train"), text("x = 1\ny = 2"), code("print(x)")),
}


@pytest.mark.parametrize("written", SAME.values(), ids=SAME)
def test_what_is_not_executed_does_not_count(written: str) -> None:
    assert _read(written).digest == _read(PLAIN).digest


@pytest.mark.parametrize("written", OTHER.values(), ids=OTHER)
def test_what_decides_what_is_executed_counts(written: str) -> None:
    assert _read(written).digest != _read(PLAIN).digest


@pytest.mark.parametrize("written", [PLAIN, *SAME.values(), *OTHER.values()])
def test_a_stripped_notebook_does_the_same_and_keeps_the_numbers_of_its_cells(written: str) -> None:
    found = _read(written)
    stripped = found.stripped()
    assert Notebook.read(stripped) == found
    assert b"More." not in stripped
    assert len(json.loads(stripped)["cells"]) == len(json.loads(written.replace("9" * 5000, "1"))["cells"])


@given(st.lists(st.tuples(st.booleans(), st.text(max_size=20)), max_size=5))
def test_any_source_survives(cells: list[tuple[bool, str]]) -> None:
    found = _read(notebook(*((code if is_code else text)(source) for is_code, source in cells)))
    assert [cell.source for cell in found.cells] == [source for is_code, source in cells if is_code]
    assert Notebook.read(found.stripped()).digest == found.digest


@pytest.mark.parametrize(
    ("before", "after", "where"),
    [
        ("abc", "abc", ""),
        ("abc", "axc", "in cell 3"),
        ("abc", "xyc", "in cells 2 and 3"),
        ("abc", "xyz", "in cells 2, 3 and 4"),
        ("abcd", "wxyz", "in 4 cells"),
        ("abc", "abxc", "in cell 4"),
        ("abc", "ac", "by 1 cell less"),
        ("abcd", "ad", "by 2 cells less"),
        ("a" * 500, "b" * 500, ""),
    ],
)
def test_two_notebooks_differ_in_cells(before: str, after: str, where: str) -> None:
    old, new = (_read(notebook(text("#"), *map(code, each))) for each in (before, after))
    assert new.changes(old) == where


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"{",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"nbformat": 4}',
        b'{"nbformat": 3, "worksheets": []}',
        b'{"nbformat": 4, "cells": [{"cell_type": "code", "source": [1]}]}',
        b'{"nbformat": 4, "cells": [{"cell_type": "code"}]}',
        b'{"nbformat": 4, "cells": [%s]}' % b", ".join([b"0"] * 2_001),
        b" " * (MOST_BYTES + 1),
        b"version https://git-lfs.github.com/spec/v1\n",
    ],
)
def test_what_is_no_notebook_is_refused(raw: bytes) -> None:
    with pytest.raises(NotebookError, match="no notebook that can be run"):
        Notebook.read(raw)


def test_odd_metadata_is_nothing() -> None:
    odd = {"cell_type": "code", "source": "x", "metadata": {"tags": {"skip-execution": 1}}}
    found = _read(notebook(odd, metadata={"kernelspec": [], "language_info": "R"}))
    assert (found.language, found.cells[0].tags) == ("python", ())
