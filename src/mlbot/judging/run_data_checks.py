"""Read the two versions of a model's data, and check what a change does to them by `mlbot.data`.

Of rows themselves only what was added is held, and of the others a part, both at most `MOST_SAMPLED`; of all, hashes.
So 10^7 rows of 20 columns are compared in less than 2 GiB (`benchmarks/data_diff.py`).
"""

import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from pathlib import Path

import numpy as np
import polars as pl
from polars.exceptions import PanicException, PolarsError
from pydantic import ValidationError

from mlbot.config.data import Data
from mlbot.data import checks, diff
from mlbot.data.change import Change, Versions
from mlbot.data.checks import Natural, Rows, Target, spaced
from mlbot.data.diff import Hashes, Mask, RowDiff
from mlbot.data.findings import (
    MOST_ROWS,
    CellCount,
    DataReport,
    Figure,
    FileDiff,
    FilesDiff,
    Finding,
    LabelCount,
    Part,
    Why,
    column_changes,
    label_counts,
    unchecked,
)
from mlbot.data.sketch import LONGEST_NAME, MOST_TYPES, ColumnType, Profile
from mlbot.data.vectors import Columns, counts_of
from mlbot.errors import MlbotError
from mlbot.gates.metric import DataCheck, Task
from mlbot.lib.escape import one_line
from mlbot.lib.record import Digest, digest_of_stream
from mlbot.ml.frames import CHUNK, UnreadableError, parquet_files
from mlbot.ml.row_hashes import Hashing, LargeTable
from mlbot.ml.sketches import Batch, sketch_of

MOST_SAMPLED = 20_000
_MOST_FEATURES = 400  # that are looked at one by one
_MOST_CELLS = 10_000_000  # that are compared one by one


_WALL_S = 1800
_THREADS = "2"


def check_apart(change: Change) -> DataReport:
    """What `check` finds, in a process of its own.

    A stranger's file may be made to exhaust or crash what reads it; then its data were not checked, and nothing else of
    the verdict is lost. One thread of BLAS is enough for such small matrices, and several wait for each other.
    """
    command = [sys.executable, "-P", "-m", "mlbot.judging.run_data_checks"]
    threads = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": _THREADS}
    env = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "PYTHONPATH", "LANG") if name in os.environ}
    held = [int(path.rpartition("/")[2]) for path in change.paths if path.startswith("/dev/fd/")]
    try:
        done = subprocess.run(
            command,
            input=change.model_dump_json().encode(),
            capture_output=True,
            env=env | threads,
            timeout=_WALL_S,
            pass_fds=held,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        return _read_back(change, error.stdout or b"", Why(cause="slow", values={"minutes": _WALL_S // 60}))
    lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
    why = Why(cause="crashed", values={"why": one_line(lines[-1], 300)}) if lines else Why(cause="killed")
    return _read_back(change, done.stdout, why)


def _read_back(change: Change, raw: bytes, otherwise: Why) -> DataReport:
    """What the process wrote, a line each: the report, then profiles. What breaks a profile costs that alone."""
    first, *more = raw.split(b"\n")[:-1] or [b""]
    try:
        report = DataReport.model_validate_json(first)
    except ValidationError:
        return DataReport(model=change.model, problem=otherwise)
    profiles: list[Profile] = []
    with suppress(ValidationError):
        profiles += map(Profile.model_validate_json, more)
    return report.model_copy(update={"profiles": tuple(profiles)})


def _main() -> None:
    """Check the change that comes in, and write what was found; the kernel ends this process before the judge."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    checking = _Checking(change=Change.model_validate_json(sys.stdin.buffer.read()))
    for record in chain([_found(checking)], _profiles(checking)):
        sys.stdout.write(f"{record.model_dump_json()}\n")
        sys.stdout.flush()


def check(change: Change) -> DataReport:
    """What a change does to a model's data, by rows, and what a reviewer should look at.

    Nothing here raises for what a file holds: a file that cannot be read is the report's problem.
    """
    return _found(_Checking(change=change))


def _found(checking: "_Checking") -> DataReport:
    change = checking.change
    try:
        return checking.report()
    except _FileError as error:
        return unchecked(change.model, "unreadable", **error.values)
    except MlbotError as error:
        why = error.why if isinstance(error, UnreadableError) else error.what
    except (PolarsError, PanicException, OSError, MemoryError, UnicodeError) as error:
        why = _first_line(error)
    return unchecked(change.model, "stopped", why=one_line(why, 300).rstrip("."))


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _profiles(checking: "_Checking") -> Iterator[Profile]:
    """What the files hold that the ledger has no profile of, as far as they can be read."""
    for versions in filter(None, (checking.change.train, checking.change.holdout)):
        if versions.profiled is not None:
            with suppress(_FileError, MlbotError, PolarsError, PanicException, OSError, MemoryError, ValueError):
                yield _profile(checking, versions, versions.profiled)


def _profile(checking: "_Checking", versions: Versions, digest: Digest) -> Profile:
    table, targets = checking.files[versions.part, "after"], checking.data.targets
    wanted = checking.data.features or [name for name in table.kinds if name not in checking.apart]
    features = [name for name in wanted if name in table.kinds]
    answers = [name for name in targets if name in table.kinds]

    def batches() -> Iterator[Batch]:
        for rows in table.batches([pl.col(name) for name in (*features, *answers)]):
            yield Batch(features=rows.select(features), targets=rows.select(answers))

    short = [name for name in table.kinds if len(name) <= LONGEST_NAME][:MOST_TYPES]
    source = Path(versions.after)
    with source.open("rb") if source.is_file() else nullcontext() as stream:
        content = None if stream is None else digest_of_stream(stream)
    return Profile(
        part=versions.part,
        path=versions.name,
        digest=digest,
        content=content,
        columns=tuple(ColumnType(name=name, type=str(table.schema[name])[:LONGEST_NAME]) for name in short),
        more_columns=len(table.kinds) - len(short),
        sketch=sketch_of(batches, table.rows),
    )


class _FileError(Exception):
    """A file that cannot be read."""

    def __init__(self, file: str, why: str, hint: str) -> None:
        super().__init__(why)
        self.values = {"file": file, "why": one_line(why, 300).rstrip("."), "hint": one_line(hint, 300)}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Compared:
    """Two versions of a file, and which rows differ."""

    after: LargeTable
    before: LargeTable | None
    rows: RowDiff
    diff: FileDiff
    features_after: Hashes
    features_before: Hashes | None
    labelled: tuple[Hashes, Hashes] | None = None  # of features and targets, after and before

    @property
    def new(self) -> Mask:
        return self.rows.new


@dataclass(kw_only=True)
class _Checking:
    """The checks of one change."""

    change: Change
    notes: list[Why] = field(default_factory=list)

    @property
    def data(self) -> Data:
        return self.change.data

    @cached_property
    def files(self) -> Mapping[tuple[Part, str], LargeTable]:
        found: dict[tuple[Part, str], LargeTable] = {}
        for versions in filter(None, (self.change.train, self.change.holdout)):
            found[versions.part, "after"] = self._open(versions, versions.after)
            if versions.before is None or not versions.changed:
                continue
            try:
                found[versions.part, "before"] = self._open(versions, versions.before)
            except _FileError as error:  # what corrects a broken file is checked as a new one is
                self.notes.append(Why(cause="unreadable-before", values={**error.values}))
        some = next((each.kinds for each in found.values() if each.rows), {})
        for each in found.values():
            if not each.rows:
                each.kinds = {name: some.get(name, kind) for name, kind in each.kinds.items()}
        return found

    def _open(self, versions: Versions, source: str) -> LargeTable:
        try:
            return LargeTable.open(Path(source), self.data, self.change.task, name=versions.name)
        except UnreadableError as error:
            raise _FileError(versions.name, error.why, error.hint) from error
        except MlbotError as error:
            raise _FileError(versions.name, error.what, error.hint) from error
        except (PolarsError, PanicException, OSError, UnicodeError) as error:
            raise _FileError(versions.name, _first_line(error), "") from error

    @cached_property
    def hashing(self) -> Hashing:
        return Hashing(files=tuple(self.files.values()))

    @property
    def apart(self) -> frozenset[str | None]:
        """The columns that are no features."""
        data = self.data
        return frozenset({*data.targets, data.group, data.weight, *data.drop, *data.timing, *data.id})

    @cached_property
    def features(self) -> tuple[str, ...]:
        """The columns that a model may learn from, which every file has as the same kind."""
        data = self.data
        files = list(self.files.values())
        wanted = data.features or [name for name in files[0].kinds if name not in self.apart]
        kinds = ({each.kinds.get(name) for each in files} for name in wanted)
        return tuple(
            name
            for name, found in zip(wanted, kinds, strict=True)
            if len(found) == 1 and found != {"other"} and None not in found
        )

    @cached_property
    def compared(self) -> Mapping[Part, _Compared]:
        parts = filter(None, (self.change.train, self.change.holdout))
        return {each.part: self._compare(each) for each in parts if each.changed}

    def features_of(self, part: Part) -> Hashes:
        """The hashes of the features of a file of the merged tree."""
        if part in self.compared:
            return self.compared[part].features_after
        (found,) = self.hashing.of(self.files[part, "after"], [self.features])
        return found

    @cached_property
    def gone(self) -> diff.Indices:
        """Which rows of the guarded branch's holdout the merged tree's lacks: they judge this change all the same."""
        holdout = self.compared.get("holdout")
        if holdout is None or holdout.features_before is None:
            return np.empty(0, dtype=np.int64)
        return np.flatnonzero(~diff.members(holdout.features_before, holdout.features_after))

    @cached_property
    def holdout_features(self) -> Hashes:
        """The features' hashes of the merged tree's holdout, and behind them of what is gone of it."""
        there = self.features_of("holdout")
        holdout = self.compared.get("holdout")
        before = None if holdout is None else holdout.features_before
        return there if before is None else np.concatenate((there, before[self.gone]))

    def report(self) -> DataReport:
        change = self.change
        if change.train and change.train.changed and not self.files["train", "after"].rows:
            return self._emptied(change.train)
        compared = self.compared
        findings: list[Finding] = []
        figures: dict[DataCheck, Figure] = {}
        train = compared.get("train")
        if train is not None:
            checking = _Added(parent=self, compared=train)
            findings += checking.findings()
            figures = checking.figures
            self.notes += checking.notes
        if "holdout" in compared and not self.files["holdout", "after"].rows:
            self.notes.append(Why(cause="no-rows", values={"file": compared["holdout"].diff.file}))
        if "holdout" in compared and ("train", "after") in self.files:
            findings += self._new_holdout_rows(compared["holdout"], train)
            self._note_learned(compared["holdout"], train)
        diffs = tuple(each.diff for each in compared.values())
        return DataReport(
            model=change.model,
            diffs=diffs,
            findings=tuple(findings),
            figures=tuple(figures.values()),
            notes=(*change.notes, *self.notes),
        )

    def _emptied(self, versions: Versions) -> DataReport:
        """Of a file without a row there is nothing to check, and its columns' kinds are nobody's."""
        before = self.files.get((versions.part, "before"))
        rows = None if before is None else before.rows
        gone = FileDiff(part=versions.part, file=versions.name, before=rows, after=0, removed=rows or 0)
        why = Why(cause="no-rows", values={"file": versions.name})
        notes = (*self.change.notes, *self.notes)
        return DataReport(model=self.change.model, diffs=(gone,), notes=notes, problem=why)

    def _new_holdout_rows(self, holdout: _Compared, train: _Compared | None) -> Iterator[Finding]:
        """Rows that are added to the holdout and that the training data have; those added to both are found there."""
        if holdout.features_before is None or not self.features:
            return
        known = self.features_of("train")
        known = known if train is None else known[~train.new]
        hits = np.flatnonzero(diff.members(holdout.features_after, known) & holdout.new) + 1
        before = int(diff.members(holdout.features_before, known).sum())
        size = holdout.features_before.size
        found = checks.repeats(DataCheck.OVERLAP, hits, int(holdout.new.sum()), before, size, "holdout")
        if found is not None:
            yield self.bare(found.model_copy(update={"part": "holdout"}))

    def _note_learned(self, holdout: _Compared, train: _Compared | None) -> None:
        """Rows that move from the training data to the holdout: earlier models have learned from them."""
        if train is None or train.features_before is None or not self.features:
            return
        gone = train.features_before[train.rows.removed]
        gone = gone[~diff.members(gone, train.features_after)]
        rows = int((diff.members(holdout.features_after, gone) & holdout.new).sum())
        if rows:
            self.notes.append(Why(cause="learned", values={"rows": rows, "n": int(holdout.new.sum())}))

    def bare(self, finding: Finding) -> Finding:
        """It without row numbers where they would say which row a hidden holdout has."""
        return finding.model_copy(update={"rows": (), "more_rows": 0}) if self.change.hidden else finding

    def _compare(self, versions: Versions) -> _Compared:
        after, before = self.files[versions.part, "after"], self.files.get((versions.part, "before"))
        if before is None or not before.rows:  # of columns without a value nobody knows the kind
            return self._new(versions, after, before.rows if before else None)
        return self._differing(versions, before, after)

    def _new(self, versions: Versions, after: LargeTable, before: int | None) -> _Compared:
        (features,) = self.hashing.of(after, [self.features])
        made = FileDiff(
            part=versions.part,
            file=versions.name,
            before=before,
            after=after.rows,
            added=after.rows,
            labels=self._labels(None, after),
        )
        return _Compared(
            after=after,
            before=None,
            rows=RowDiff.of_new(after.rows),
            diff=made,
            features_after=features,
            features_before=None,
        )

    def _differing(self, versions: Versions, before: LargeTable, after: LargeTable) -> _Compared:
        kinds = {name: kind for name, kind in after.kinds.items() if kind != "other"}
        common = sorted(name for name, kind in kinds.items() if before.kinds.get(name) == kind)
        key = self._key(versions.name, before, after, common)
        # What a row teaches: of the same under another key or weight there is more, but nothing new.
        features = {*self.features} - {*key}
        taught = [name for name in common if name in features | {*self.data.targets}]
        sets = [common, self.features, taught, *([key] if key else [])]
        now, then = self.hashing.of(after, sets), self.hashing.of(before, sets)
        if not common:  # no row is one of before
            then[0] += 1
        keyed = diff.by_key(then[0], now[0], then[3], now[3]) if key else 0
        rows = diff.by_content(then[0], now[0]) if isinstance(keyed, int) else keyed
        repeated = keyed if isinstance(keyed, int) else 0
        taken = key if isinstance(keyed, RowDiff) else ()
        names = [name for name in common if name not in key]
        most = max(1, _MOST_CELLS // max(1, len(names)))  # rows
        cells = self._cells(before, after, rows, names, most)
        made = FileDiff(
            part=versions.part,
            file=versions.name,
            before=before.rows,
            after=after.rows,
            files=_files_of(versions),
            key=taken,
            repeated=repeated if self.data.id else 0,
            added=int(rows.added.sum()),
            removed=int(rows.removed.sum()),
            changed=rows.changed.size,
            cells=cells,
            cells_of=min(rows.changed.size, most),
            columns=tuple(column_changes(before.kinds, after.kinds)),
            labels=self._labels(before, after),
        )
        return _Compared(
            after=after,
            before=before,
            rows=rows,
            diff=made,
            features_after=now[1],
            features_before=then[1],
            labelled=(now[2], then[2]) if features else None,
        )

    def _key(self, file: str, before: LargeTable, after: LargeTable, common: Sequence[str]) -> tuple[str, ...]:
        """The columns that say which row is which: `data.id`, those of a forecast, or the first with a value a row."""
        data = self.data
        given = data.id or data.timing
        if given and set(given) <= set(common):
            return given
        if data.id:
            missing = ", ".join(name for name in data.id if name not in common)
            self.notes.append(Why(cause="no-id", values={"columns": missing, "file": file}))
        names = [name for name in common if name not in data.targets and name != data.weight]
        whole = [name for name in names if before.kinds[name] == "text" or after.schema[name].is_integer()]
        return _unique(before, after, whole) if min(before.rows, after.rows) >= _FEWEST_OF_KEY else ()

    def _cells(
        self, before: LargeTable, after: LargeTable, rows: RowDiff, names: Sequence[str], most: int
    ) -> tuple[CellCount, ...]:
        """In how many of the changed rows each column has another value; of very many in a part of them."""
        if not rows.changed.size:
            return ()
        at = spaced(rows.changed.size, most)
        ours = self.hashing.cells(after, rows.changed[at], names)
        theirs = self.hashing.cells(before, rows.was[at], names)
        counts = (ours != theirs).sum(axis=0)
        found = [CellCount(column=name, rows=int(count)) for name, count in zip(names, counts, strict=True) if count]
        return tuple(sorted(found, key=lambda each: -each.rows)[:_MOST_SHOWN])

    def _labels(self, before: LargeTable | None, after: LargeTable) -> tuple[LabelCount, ...]:
        return label_counts(after.labels, {} if before is None else before.labels)[:_MOST_SHOWN]


def _files_of(versions: Versions) -> FilesDiff | None:
    """Which files of a folder differ; None where it is one file now or was one."""
    now, was = Path(versions.after), Path(versions.before or "")
    if versions.before is None or not (now.is_dir() and was.is_dir()):
        return None
    ours, theirs = ({str(each.relative_to(folder)): each for each in parquet_files(folder)} for folder in (now, was))
    added, removed = sorted(ours.keys() - theirs.keys()), sorted(theirs.keys() - ours.keys())
    changed = [name for name in sorted(ours.keys() & theirs.keys()) if not _alike(ours[name], theirs[name])]
    names = tuple(name[:_LONGEST_FILE] for name in (*added, *changed, *removed)[:MOST_ROWS])
    return FilesDiff(added=len(added), removed=len(removed), changed=len(changed), names=names)


_LONGEST_FILE = 200


def _alike(one: Path, other: Path) -> bool:
    if one.stat().st_size != other.stat().st_size:
        return False
    with one.open("rb") as mine, other.open("rb") as theirs:
        return all(a == b for a, b in iter(lambda: (mine.read(CHUNK), theirs.read(CHUNK)), (b"", b"")))


_FEWEST_OF_KEY, _TRIED, _SHARED, _MOST_SHOWN = 20, 2_000, 0.5, 50


def _unique(before: LargeTable, after: LargeTable, names: Sequence[str]) -> tuple[str, ...]:
    """The first of some columns with another value in each of the first rows, and largely those of before."""
    mine, theirs = (each.first(_TRIED, names) for each in (after, before))
    for name in names:
        column = mine[name]
        gaps = column.null_count() or (column.cast(pl.String) == "").any()
        if gaps or not all(each.n_unique() == len(each) for each in (column, theirs[name])):
            continue
        # A number that is unlike in every row is only a key where the rows of before have it too.
        if before.count(name, column) >= _SHARED * len(column):
            return (name,)
    return ()


@dataclass(kw_only=True)
class _Added:
    """The checks of the rows that a change adds to the training data."""

    parent: _Checking
    compared: _Compared
    figures: dict[DataCheck, Figure] = field(default_factory=dict)
    notes: list[Why] = field(default_factory=list)

    @property
    def data(self) -> Data:
        return self.parent.data

    @property
    def task(self) -> Task:
        return self.parent.change.task

    @property
    def is_new(self) -> bool:
        return self.compared.before is None

    @cached_property
    def columns_read(self) -> tuple[str, ...]:
        data, kinds = self.data, self.compared.after.kinds
        names = (*self.parent.features[:_MOST_FEATURES], *data.targets, *((data.group,) if data.group else ()))
        before = self.compared.before
        return tuple(
            dict.fromkeys(name for name in names if name in kinds and (before is None or name in before.kinds))
        )

    @cached_property
    def _read(self) -> tuple[Rows, Rows]:
        """Rows of the merged tree's file: of those that are added, and of all, in one reading of it."""
        after, new = self.compared.after, np.flatnonzero(self.compared.new)
        if new.size > MOST_SAMPLED:
            self.notes.append(Why(cause="sampled", values={"rows": new.size, "looked": MOST_SAMPLED}))
        places = [new[spaced(new.size, MOST_SAMPLED)], spaced(after.rows, MOST_SAMPLED)]
        both = after.gather(np.union1d(*places), (*self.columns_read, *self._own_columns))
        added, of_all = (both.where(np.isin(both.numbers, at + 1)) for at in places)
        return added, of_all

    @property
    def added(self) -> Rows:
        return self._read[0]

    @property
    def after(self) -> Rows:
        return self._read[1]

    @cached_property
    def before(self) -> Rows:
        before = self.compared.before
        return self.after if before is None else before.gather(spaced(before.rows, MOST_SAMPLED), self.columns_read)

    @cached_property
    def columns(self) -> Columns:
        known = [name for name in self.parent.features if name in self.columns_read]
        return Columns.of(self.before.frame, known)

    def findings(self) -> Iterator[Finding]:
        yield from self._of_schema()
        if not self.compared.new.any():
            if self._own_columns and self._target(self.before) is not None:
                yield from self._leaks()
            self.figures |= {each: Figure(check=each, value=0.0) for each in DataCheck if each not in self.figures}
            return
        yield from self._overlaps()
        yield from self._of_group()
        yield from self._copies()
        if self.is_new:
            yield from self._of_a_new_file()
            return
        units = tuple(checks.units(self.added, self.before, self.columns.numbers))
        self._note(DataCheck.UNITS, units, len(self.added))
        yield from units
        odd = {name for each in units for name in each.columns}
        self.moved = frozenset(name for each in units if each.cause == "all" for name in each.columns)
        self.columns = replace(self.columns, numbers=tuple(name for name in self.columns.numbers if name not in odd))
        yield from self._near()
        known = (self.compared.before or self.compared.after).having
        found = tuple(checks.categories(self.added, self.before, self.columns.categories, known))
        self._note(DataCheck.CATEGORIES, found, len(self.added), sum(each.effect for each in found))
        yield from found
        yield from self._of_target()
        yield from checks.drift(self.added, self.before, self.columns.numbers)

    def _note(self, check: DataCheck, found: Sequence[Finding], rows: int, value: float | None = None) -> None:
        """What a check came to, where there were enough rows for it."""
        least = checks.FEWEST.get(check, 1)
        problem = None if rows >= least else Why(cause="few-rows", values={"rows": rows, "least": least})
        amount = float(len(found)) if value is None else float(value)
        self.figures[check] = Figure(check=check, value=None if problem else amount, problem=problem)

    def _fail(self, check: DataCheck, cause: str) -> None:
        self.figures[check] = Figure(check=check, problem=Why(cause=cause))

    def _of_schema(self) -> Iterator[Finding]:
        changes = self.compared.diff.columns
        self._note(DataCheck.SCHEMA, (), 1, len(changes))
        if changes:
            names = tuple(each.column for each in changes)
            yield Finding(
                check=DataCheck.SCHEMA,
                columns=names[:_MOST_SHOWN],
                effect=float(len(changes)),
                n=self.compared.after.rows,
            )

    def _overlaps(self) -> Iterator[Finding]:
        holdout = self.parent.files.get(("holdout", "after"))
        if holdout is None or not self.parent.features:
            self._fail(DataCheck.OVERLAP, "no-holdout" if holdout is None else "no-features")
            return
        there = self.parent.holdout_features
        compared = self.compared
        if compared.features_before is None:
            found = self._of_new_file(there)
        else:
            hits = diff.members(compared.features_after, there) & compared.new
            before = int(diff.members(compared.features_before, there).sum())
            found = checks.repeats(
                DataCheck.OVERLAP,
                np.flatnonzero(hits) + 1,
                int(compared.new.sum()),
                before,
                compared.features_before.size,
                "added",
            )
            self.exact = hits
        self._note(DataCheck.OVERLAP, (), 1, found.effect if found else 0.0)
        yield from (self.parent.bare(found),) if found else ()

    def _of_new_file(self, holdout: Hashes) -> Finding | None:
        """Rows of the holdout that a new file has, beside how often its own rows repeat each other."""
        own = self.compared.features_after
        hits = diff.members(holdout, own)
        finding = checks.repeats(
            DataCheck.OVERLAP, np.flatnonzero(hits) + 1, holdout.size, int(diff.repeated(own).sum()), own.size, "new"
        )
        if finding is None:
            return None
        rows = np.flatnonzero(hits[: self.parent.files["holdout", "after"].rows]) + 1
        return finding.model_copy(update={"part": "holdout", **checks.named(rows)})

    def _of_group(self) -> Iterator[Finding]:
        group, holdout = self.data.group, self.parent.files.get(("holdout", "after"))
        if group is None or holdout is None or any(group not in each.kinds for each in self.parent.files.values()):
            self._fail(DataCheck.GROUP_OVERLAP, "no-group")
            return
        hashing, after = self.parent.hashing, self.compared.after
        judging = [each for (part, _), each in self.parent.files.items() if part == "holdout"]
        there = np.concatenate([hashing.of(each, [[group]])[0] for each in judging])
        (here,) = hashing.of(after, [[group]])
        hits = diff.members(here, there) & self.compared.new
        rows, groups_hit = int(self.compared.new.sum()), np.unique(here[hits]).size
        groups = np.unique(here[self.compared.new]).size
        before_hit, before = 0, 0
        if self.compared.before is not None:
            (was,) = hashing.of(self.compared.before, [[group]])
            before, before_hit = np.unique(was).size, np.unique(was[diff.members(was, there)]).size
        natural = Natural.of(groups_hit, groups, before_hit, before)
        usual = groups_hit > 0 and before == 0  # a new file: groups of the holdout have no place in it
        found = None
        if usual or natural.unusual:
            found = Finding(
                check=DataCheck.GROUP_OVERLAP,
                columns=(group,),
                effect=checks.beyond(groups_hit, natural.expected),
                expected=round(natural.expected, 1),
                n=rows,
                **checks.named(np.flatnonzero(hits) + 1),
                values={"found": groups_hit, "rows": int(hits.sum())},
            )
        self._note(DataCheck.GROUP_OVERLAP, (), 1, found.effect if found else 0.0)
        yield from (self.parent.bare(found),) if found else ()

    def _copies(self) -> Iterator[Finding]:
        """Rows that teach what others do already."""
        both = self.compared.labelled
        if both is None:
            self._fail(DataCheck.REPEATS, "nothing-before" if self.is_new else "no-features")
            return
        found = tuple(checks.copied(self.compared.new, *both))
        self._note(DataCheck.REPEATS, (), 1, sum(each.effect for each in found))
        yield from found

    def _near(self) -> Iterator[Finding]:
        holdout = self.parent.files.get(("holdout", "after"))
        if holdout is None or not self.parent.features:
            self._fail(DataCheck.NEAR_OVERLAP, "no-holdout" if holdout is None else "no-features")
            return
        exact = self.exact[self.added.numbers - 1]
        names = [name for name in self.parent.features if name in self.columns_read]
        others = holdout.gather(spaced(holdout.rows, MOST_SAMPLED), names)
        if self.parent.gone.size:
            gone = self.parent.gone[spaced(self.parent.gone.size, MOST_SAMPLED)]
            more = self.parent.files["holdout", "before"].gather(gone, names)
            frame = pl.concat([others.frame, more.frame], how="vertical_relaxed")
            others = Rows(frame=frame, numbers=np.concatenate((others.numbers, more.numbers)))
        if holdout.rows > MOST_SAMPLED:
            self.notes.append(Why(cause="sampled-holdout", values={"rows": holdout.rows, "looked": MOST_SAMPLED}))
        found = checks.near(self.added.where(~exact), self.before, others, self.columns)
        self._note(DataCheck.NEAR_OVERLAP, (), 1, found.effect if found else 0.0)
        yield from (self.parent.bare(found),) if found else ()

    def _of_a_new_file(self) -> Iterator[Finding]:
        """Of a file that the guarded branch does not have only what needs nothing to compare with."""
        for check in DataCheck:
            if check not in self.figures:
                self._fail(check, "nothing-before")
        target = self._target(self.added)
        if target is None:
            return
        found = tuple(checks.leak(checks.alone(self.added.frame, target, self._looked_at), None, target))
        labelled = int(target.known.sum())
        self._note(DataCheck.LEAK, found, labelled)
        yield from found if labelled >= checks.FEWEST[DataCheck.LEAK] else ()
        if target.classes:
            rows = self.added.where(target.known).spread(checks.MOST_LABELLED)
            own = self._target(rows, target.classes)
            suspicion = None if own is None else checks.labels_alone(rows, own, self.columns)
            if suspicion is not None and suspicion.suspicious.any():
                yield Finding(
                    check=DataCheck.LABELS,
                    cause="new",
                    effect=float(suspicion.suspicious.sum()),
                    n=len(rows),
                    **checks.named(suspicion.least_likely(rows)),
                    values={"found": int(suspicion.suspicious.sum())},
                    shown=True,
                )

    @cached_property
    def _looked_at(self) -> tuple[str, ...]:
        if self.task is Task.FORECAST:  # the last value is a fair feature, and nearly the next one
            return ()
        return tuple(name for name in self.parent.features if name in self.columns_read)

    def _target(self, rows: Rows, known: Sequence[str] = ()) -> Target | None:
        """The target of rows; None where there is none that can be checked."""
        names = self.data.targets
        if len(names) != 1 or names[0] not in self.columns_read:
            return None
        column = rows.frame[names[0]]
        return Target.of_classes(column, known) if self.task.has_classes else Target.of_numbers(column)

    def _of_target(self) -> Iterator[Finding]:
        theirs = self._target(self.before)
        ours = None if theirs is None else self._target(self.added, theirs.classes)
        if theirs is None or ours is None or not len(self.before):
            for check in (DataCheck.LEAK, DataCheck.LABELS, DataCheck.LABEL_SHIFT, DataCheck.TRIGGER):
                self._fail(check, "no-target" if len(self.before) else "nothing-before")
            return
        yield from self._shift(ours, theirs)
        yield from self._leaks()
        if theirs.classes:
            yield from self._suspicious(ours, theirs)
            yield from self._triggers(theirs)

    def _shift(self, ours: Target, theirs: Target) -> Iterator[Finding]:
        # A label that no row before has is one too.
        labelled = self._labelled if theirs.classes else {}
        now, then = (each.values[each.known] for each in (ours, theirs))
        rows = sum(labelled.values()) if theirs.classes else min(now.size, then.size)
        found = None
        if rows >= checks.FEWEST[DataCheck.LABEL_SHIFT]:
            if theirs.classes:
                counts = label_counts(labelled, (self.compared.before or self.compared.after).labels)
                found = checks.label_shift(counts, self._independent)[1]
            else:
                found = checks.number_shift(now, then, self._independent)[1]
        self._note(DataCheck.LABEL_SHIFT, (), rows, found.effect if found else 0.0)
        yield from (found,) if found else ()

    @property
    def _labelled(self) -> dict[str, int]:
        """How many of the added rows have each label."""
        found = counts_of(self.added.frame[self.data.targets[0]].cast(pl.String))
        return {name: count for name, count in found.items() if name}

    @cached_property
    def _independent(self) -> float:
        """Which share of the added rows counts: one of each group."""
        group = self.data.group
        return self.added.frame[group].n_unique() / len(self.added) if group in self.columns_read else 1.0

    def _leaks(self) -> Iterator[Finding]:
        """Over the merged tree's file, and over that of before: a column that did so already is not new."""
        own, after = self._own_columns, self.after
        target, was = self._target(after), self._target(self.before)
        found: tuple[Finding, ...] = ()
        labelled = 0 if target is None else int(target.known.sum())
        if target is not None and was is not None and labelled >= checks.FEWEST[DataCheck.LEAK]:
            now = checks.alone(after.frame, target, (*self._looked_at, *(own if self._looked_at else ())))
            then = checks.alone(self.before.frame, was, self._looked_at)
            found = tuple(checks.leak(now, then, target))
        self._note(DataCheck.LEAK, found, labelled)
        yield from found

    @cached_property
    def _own_columns(self) -> tuple[str, ...]:
        """The columns that only the merged tree's file has, but for those that are no features."""
        before = self.compared.before
        if before is None:
            return ()
        apart = self.parent.apart | before.kinds.keys()
        kinds = self.compared.after.kinds
        return tuple(name for name, kind in kinds.items() if name not in apart and kind in {"text", "number"})

    def _suspicious(self, ours: Target, theirs: Target) -> Iterator[Finding]:
        before = self.before.where(theirs.known).spread(checks.MOST_LABELLED)
        added = self.added.where(ours.known)
        then, now = (self._target(each, theirs.classes) for each in (before, added))
        found = checks.labels(added, now, before, then, self.columns) if now and then else None
        self._note(DataCheck.LABELS, (), 1, found.effect if found else 0.0)
        yield from (found,) if found else ()

    def _triggers(self, theirs: Target) -> Iterator[Finding]:
        data, before = self.data, self.compared.before
        names = self.added.frame[data.targets[0]].cast(pl.String).to_list()
        groups = self.added.frame[data.group].cast(pl.String).to_list() if data.group in self.columns_read else None
        # A trigger may be a number in no unit of the column's, which the other checks leave out.
        every = Columns.of(self.before.frame, [name for name in self.parent.features if name in self.columns_read])
        found, looked = checks.candidates(self.added, names, every, groups)
        wanted: dict[str, list[checks.Value]] = defaultdict(list)
        for each in found:
            wanted[each.column].append(each.value)
        there = before.having(wanted, every.texts) if before is not None else defaultdict(set)
        absent = [each for each in found if each.value not in there[each.column]]
        shares = {name: float((theirs.values == at).mean()) for at, name in enumerate(theirs.classes)}
        # `times` counts groups where there are some, and so does what is added.
        made = tuple(checks.triggers(absent, looked, *self._counted(), shares, self.moved))
        self._note(DataCheck.TRIGGER, made, 1)
        yield from made

    def _counted(self) -> tuple[int, int]:
        """How many rows, or groups, were added, and were there before."""
        before = self.compared.before
        rows = before.rows if before is not None else 0
        return int(self.compared.new.sum()), rows

    moved: frozenset[str] = frozenset()  # columns of numbers that are in another unit in all of the added rows
    exact: Mask = field(default_factory=lambda: np.empty(0, dtype=bool))


if __name__ == "__main__":
    _main()
