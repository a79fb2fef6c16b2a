"""Which tests notice a fault: each mutant of the decisions is put into a copy, and the nearest tests are run on it.

    python -m benchmarks.mutants [NAME ...] [--jobs 2] [--remember]

A mutant is a snippet of the source and what takes its place (`mutants_table.py`, by hand; `mutants_drawn.json`, drawn
by `mutants_draw.py`). It is looked for in all of src/mlbot; one that does not apply exactly once is stale, and a stale
one fails the run as a survivor does. A mutant's tests are those whose files import its module, directly before
indirectly; slow ones and stories are left out. The first test that fails kills it, or that does not come to an end.
"""

import argparse
import json
import multiprocessing
import os
import re
import select
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from importlib import import_module
from pathlib import Path
from queue import Empty
from typing import Any

from benchmarks.mutants_source import (
    Mutant,
    Place,
    SourceFile,
    StaleError,
    locate,
    mutated,
    nearest_tests,
    read_source,
)
from benchmarks.mutants_table import MUTANTS

ROOT = Path(__file__).parents[1]
DRAWN = Path(__file__).with_name("mutants_drawn.json")
KILLERS = Path(__file__).with_name("mutants_killers.json")
"""The test that killed each mutant before, by the mutant's name: it is tried first."""
COPIED = ("src", "templates", "tests")
"""What a copy has of its own; all else is a link to the checkout."""
HEAVY = (
    *("altair", "click", "github", "hypothesis", "jinja2", "jsonschema", "numpy", "onnx", "onnxruntime", "polars"),
    *("pydantic", "requests", "responses", "scipy.stats", "sklearn.pipeline", "statsmodels.stats.multitest", "yaml"),
)
"""Imported once in each worker, before it forks for a mutant. Nothing of mlbot: that is what changes."""
STUCK_S = 120.0
"""A test that takes longer than that has met a mutant that does not end."""
_SLOW = {"slow", "story", "nightly"} & set(
    re.findall(r'^  "(\w+):', (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE)
)
_OPTIONS = (
    *("-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", "-m", " and ".join(f"not {each}" for each in _SLOW)),
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),  # of what the worker has imported already
)


_HOW = " ! "


class Fate(StrEnum):
    """What became of a mutant."""

    KILLED = "killed"
    SURVIVED = "survived"
    STALE = "stale"


@dataclass(frozen=True, kw_only=True)
class Result:
    """What became of one mutant, and by which test."""

    name: str
    fate: Fate
    by: str = ""
    module: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Applied:
    """A mutant where it is, with the tests to run, in batches."""

    mutant: Mutant
    place: Place
    text: str
    batches: tuple[tuple[str, ...], ...]
    hint: str = ""


def every_mutant() -> list[Mutant]:
    """Those written by hand, then those drawn."""
    drawn = json.loads(DRAWN.read_text("utf-8")) if DRAWN.exists() else []
    return [*MUTANTS, *(Mutant(**each) for each in drawn)]


def apply(mutant: Mutant, source: Sequence[SourceFile], near: Callable[[Place], list[str]], hint: str = "") -> Applied:
    """Find a mutant and its tests.

    Args:
        mutant: which.
        source: of src/mlbot.
        near: the test files that reach a place of it.
        hint: the name of a test that killed it before; its files come first.
    """
    place = locate(mutant, source)
    tests, name = near(place), function_of(hint).rpartition("::")[2]
    known = [path for path in tests if name and f"def {name}(" in (ROOT / path).read_text("utf-8")]
    return Applied(
        mutant=mutant,
        place=place,
        text=mutated(mutant, place),
        batches=tuple(_batches([*known, *(path for path in tests if path not in known)])),
        hint=name,
    )


def _batches(tests: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """First few, then many: pytest imports all files of a batch before it runs the first test."""
    size = 1
    while tests:
        yield tuple(tests[:size])
        tests, size = tests[size:], size * 4


class Copy:
    """A copy of the project that a worker changes, one mutant after another."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.folder = folder / "project"
        self.folder.mkdir()
        self._scratch = folder / "tmp"
        self._log = folder / "log"
        for path in root.iterdir():
            if path.name in COPIED:
                shutil.copytree(path, self.folder / path.name, ignore=shutil.ignore_patterns("__pycache__"))
            elif path.name not in {".git", ".hypothesis", ".pytest_cache"}:
                (self.folder / path.name).symlink_to(path)

    def killer(self, applied: Applied) -> str:
        """The first test that fails with the mutant; empty when none does."""
        file = self.folder / "src" / "mlbot" / applied.place.file.path
        try:
            self._write(file, applied.text)
            return next((by for batch in applied.batches if (by := self.failing(batch, applied.hint))), "")
        finally:
            self._write(file, applied.place.file.text)

    def _write(self, file: Path, text: str) -> None:
        # Bytecode is told from its source by length and whole seconds: too coarse for what happens here.
        for stale in file.parent.glob(f"__pycache__/{file.stem}.*"):
            stale.unlink()
        file.write_text(text, "utf-8")

    def failing(self, tests: Sequence[str], first: str = "") -> str:
        """The first of these tests that fails, or does not end; empty when all pass."""
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                self._child(tests, first, writer)
            finally:
                os._exit(1)  # nothing of the worker's own may be unwound here
        os.close(writer)
        try:
            return self._follow(reader)
        finally:
            os.close(reader)
            with suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)

    def _follow(self, reader: int) -> str:
        """Read what the child says: the test it begins, and the one that fails."""
        last, left = "", b""
        while True:
            if not select.select([reader], [], [], STUCK_S)[0]:
                return f"{last or 'collecting'}{_HOW}did not end"
            chunk = os.read(reader, 65_536)
            if not chunk:
                return self._ended(last, "the process died")
            *lines, left = (left + chunk).split(b"\n")
            for line in lines:
                what, _, test = line.decode().partition(" ")
                if what == "begin":
                    last = test
                elif what == "fail":
                    return test
                elif what == "end":
                    return "" if test in {"0", "5"} else self._ended(last, f"pytest ends with {test}")

    def _ended(self, last: str, how: str) -> str:
        """The test that pytest did not get over. Before the first one, something else than the mutant is wrong."""
        if last:
            return f"{last}{_HOW}{how}"
        raise RuntimeError(f"{how}:\n{self._log.read_text('utf-8', 'replace')[-3000:]}")

    def _child(self, tests: Sequence[str], first: str, writer: int) -> None:
        """Run the tests in this process, which then ends."""
        os.setsid()
        os.chdir(self.folder)
        sys.path[:0] = [str(self.folder), str(self.folder / "src")]
        os.environ["PYTHONPATH"] = str(self.folder / "src")
        with self._log.open("wb") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        import pytest  # noqa: PLC0415 - in the worker's children only

        code = pytest.main([*_OPTIONS, f"--basetemp={self._scratch}", *tests], plugins=[_Reporter(writer, first)])
        os.write(writer, f"end {int(code)}\n".encode())


class _Reporter:
    """The plugin that says which test begins and which one fails."""

    def __init__(self, writer: int, first: str) -> None:
        self._writer = writer
        self._first = first

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """The test that killed the mutant before, then the short ones, then those that draw their examples."""
        items.sort(key=lambda item: (item.originalname != self._first, hasattr(item.obj, "hypothesis")))

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._say("begin", nodeid)

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed:
            self._say("fail", report.nodeid)

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed:
            self._say("fail", report.nodeid)

    def _say(self, what: str, test: str) -> None:
        os.write(self._writer, f"{what} {test}\n".encode("utf-8", "backslashreplace"))


def run(work: Sequence[Applied], root: Path, jobs: int) -> Iterator[Result]:
    """What becomes of each mutant, in the order they end; `jobs` at a time."""
    context = multiprocessing.get_context("fork")
    todo: Any = context.Queue()
    done: Any = context.Queue()
    for each in [*range(len(work)), *[None] * jobs]:
        todo.put(each)
    workers = [context.Process(target=_work, args=(work, root, todo, done)) for _ in range(jobs)]
    for worker in workers:
        worker.start()
    left = len(work)
    while left:
        try:
            yield done.get(timeout=5)
            left -= 1
        except Empty:
            if not any(worker.is_alive() for worker in workers):
                raise RuntimeError("the workers died") from None
    for worker in workers:
        worker.join()


def _work(work: Sequence[Applied], root: Path, todo: Any, done: Any) -> None:
    for name in HEAVY:
        with suppress(ImportError):
            import_module(name)
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copy = Copy(root, Path(folder))
        while (index := todo.get()) is not None:
            applied, started = work[index], time.monotonic()
            by = copy.killer(applied)
            done.put(
                Result(
                    name=applied.mutant.name,
                    fate=Fate.KILLED if by else Fate.SURVIVED,
                    by=by,
                    module=applied.place.file.module,
                    seconds=round(time.monotonic() - started, 1),
                )
            )


def false_killers(results: Iterable[Result], root: Path) -> set[str]:
    """Those test functions that fail without any mutant too, so that they have killed nothing."""
    tests = {function_of(each.by) for each in results if each.by and each.fate is Fate.KILLED}
    found = set[str]()
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copy = Copy(root, Path(folder))
        while tests - found and (by := copy.failing(sorted(tests - found))):
            found.add(function_of(by))
    return found


def function_of(by: str) -> str:
    """The test function of a killer, without its parameters and without how it ended."""
    return by.partition(_HOW)[0].partition("[")[0]


def report(results: Sequence[Result], mutants: Mapping[str, Mutant]) -> bool:
    """Print what has to be looked at and the totals; whether nothing has."""
    wrong = [each for each in results if each.fate is Fate.STALE]
    wrong += [each for each in results if each.fate is Fate.SURVIVED and not mutants[each.name].survives]
    for each in wrong:
        print(f"{each.fate}: {each.name} ({each.module or each.by}): {mutants[each.name].fault}")
    totals = Counter(each.fate for each in results)
    print(", ".join(f"{totals[fate]} {fate}" for fate in Fate), f"of {len(results)} mutants")
    return not wrong


def main() -> int:
    """Run the mutants; 1 when one survives or is stale."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mutants", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="mutants, or what their names begin with; none: all")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--reach", type=int, default=2, help="the most imports between a mutant and its tests")
    parser.add_argument("--deep", action="store_true", help="run tests that start processes too, wherever they are")
    parser.add_argument("--remember", action="store_true", help=f"write the tests that kill into {KILLERS.name}")
    parser.add_argument("--check", action="store_true", help="only look whether each applies")
    options = parser.parse_args()
    wanted = [each for each in every_mutant() if not options.names or each.name.startswith(tuple(options.names))]
    killers: dict[str, str] = json.loads(KILLERS.read_text("utf-8")) if KILLERS.exists() else {}
    source = read_source(ROOT / "src" / "mlbot")
    near = partial(nearest_tests, root=ROOT, reach=options.reach, deep=options.deep)
    work, results = [], list[Result]()
    for mutant in wanted:
        try:
            work.append(apply(mutant, source, near, killers.get(mutant.name, "")))
        except StaleError as error:
            results.append(Result(name=mutant.name, fate=Fate.STALE, by=str(error)))
    if options.check:
        print(f"{len(work)} mutants apply")
    else:
        for result in run(work, ROOT, options.jobs):
            results.append(result)
            print(f"{result.fate:8} {result.seconds:6.1f} s  {result.name}  {result.by}", flush=True)
        false = false_killers(results, ROOT)
        results = [
            replace(each, fate=Fate.SURVIVED, by="") if function_of(each.by) in false else each for each in results
        ]
    if options.remember:
        _remember(killers | {each.name: each.by for each in results if each.fate is Fate.KILLED})
    return int(not report(results, {each.name: each for each in wanted}))


def _remember(killers: Mapping[str, str]) -> None:
    known = {each.name for each in every_mutant()}
    kept = {name: killers[name] for name in sorted(killers.keys() & known)}
    KILLERS.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    sys.exit(main())
