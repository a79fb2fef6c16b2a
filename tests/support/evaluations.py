"""Real result files of evaluation tools, and configs that read them."""

import io
import json
import tarfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from mlbot.config.kinds import Context
from mlbot.config.predict import Evaluate
from mlbot.judging.readers import Wanted, read_results
from mlbot.judging.rows import Rows
from mlbot.verdict.verdict import Problem

ARCHIVE = Path(__file__).parents[1] / "judging" / "data" / "results.tar.xz"
SCORES: dict[str, Any] = {"exact": {"range": [0, 1]}, "similarity": {"range": [0, 1]}}


@cache
def _files() -> dict[str, bytes]:
    with tarfile.open(ARCHIVE) as archive:
        found = {each.name: archive.extractfile(each) for each in archive if each.isreg()}
        return {name.removeprefix("results/"): stream.read() for name, stream in found.items() if stream}


def result(name: str) -> bytes:
    """The content of one of the files."""
    return _files()[name]


def evaluate(**settings: Any) -> Evaluate:
    """An evaluator of mlbot.yaml."""
    return Evaluate.read({"run": "make", "scores": SCORES, "repeats": 3, **settings}, Context())


def read(raw: bytes, **settings: Any) -> Rows | Problem:
    """What is read of a result file."""
    return read_results(raw, Wanted(evaluate=evaluate(**settings), columns=frozenset({"level"})))


def rows_of(raw: bytes, **settings: Any) -> Rows:
    """The rows of a result file that can be read."""
    found = read(raw, **settings)
    assert isinstance(found, Rows), found
    return found


def cause(raw: bytes, **settings: Any) -> str:
    """Why a result file cannot be read."""
    found = read(raw, **settings)
    assert isinstance(found, Problem)
    return found.cause


def folder(**files: bytes) -> bytes:
    """A folder of results as it comes out of an isolated process; `_dot_` in a name is a dot."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"./logs/{name.replace('_dot_', '.')}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return made.getvalue()


def jsonl(rows: Sequence[dict[str, Any]], **header: Any) -> bytes:
    """A file in the neutral format."""
    items = len({row.get("item") for row in rows})
    head = {"mlbot_rows": 1, "complete": True, "items": items, **header}
    return "".join(f"{json.dumps(each)}\n" for each in (head, *rows)).encode()


OF_TOOL = {
    "rows": lambda side: rows_of(result(f"rows/{side}.jsonl")),
    "promptfoo": lambda side: rows_of(result(f"promptfoo/{side}.json"), format="promptfoo", group="group"),
    "inspect": lambda side: rows_of(
        folder(log_dot_json=result(f"inspect/{side}.json")), format="inspect", group="group"
    ),
    "deepeval": lambda side: rows_of(
        folder(test_run_1_dot_json=result(f"deepeval/{side}.test_run.json")), format="deepeval", group="group"
    ),
}
"""What each tool's file of a side holds."""
