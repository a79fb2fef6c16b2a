"""Notebooks for tests, as Jupyter saves them, and a Python that can run one."""

import json
from pathlib import Path
from typing import Any

from tests.support.pythons import python_with

PYTHON: dict[str, Any] = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}


def code(source: str | list[str], *tags: str, run: int = 0, output: str = "") -> dict[str, Any]:
    """A cell of code, never run or run for the so-manieth time."""
    outputs = [{"output_type": "stream", "name": "stdout", "text": [output]}] if output else []
    metadata = {"tags": list(tags), "collapsed": bool(run)}
    return {
        "cell_type": "code",
        "source": source,
        "metadata": metadata,
        "outputs": outputs,
        "execution_count": run or None,
    }


def text(source: str) -> dict[str, Any]:
    """A cell of text."""
    return {"cell_type": "markdown", "source": source, "metadata": {}}


def notebook(*cells: dict[str, Any], kernel: dict[str, Any] | None = None, **changes: Any) -> str:
    """The file."""
    metadata = {"kernelspec": PYTHON if kernel is None else kernel, "language_info": {"name": "python"}}
    return json.dumps({"nbformat": 4, "nbformat_minor": 4, "metadata": metadata, "cells": list(cells)} | changes)


def runs_notebooks() -> Path:
    """The folder of a Python that has nbclient and ipykernel; the test is skipped where there is none."""
    return python_with("nbclient ipykernel")
