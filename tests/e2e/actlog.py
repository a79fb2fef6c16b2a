"""act's JSON log as jobs, steps, outputs, annotations and summaries.

What act gets wrong is put right here: one failed leg of a matrix marks all legs failed, so a leg's result is that of
its steps; composites repeat what is inside them, so only the innermost record of a summary counts.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tests.e2e.standins.known import INSPECTION
from tests.fake_github.runs import Annotation, Job, Step

LEVELS: Final = {"error": "failure", "warning": "warning", "notice": "notice"}
CALLED: Final = re.compile(r"@([^@]+)@/(.*)")


@dataclass(eq=False, kw_only=True, slots=True)
class JobLog:
    """The records of one job of act's log."""

    path: str
    name: str
    matrix: Mapping[str, Any]
    records: list[Mapping[str, Any]] = field(default_factory=list)

    def job(self, number: int) -> Job:
        """The job that the records tell of."""
        steps = self._steps()
        return Job(
            id=number,
            key=self.path,
            name=self.name,
            status="completed",
            conclusion=self._conclusion(),
            started_at=str(self.records[0]["time"]),
            completed_at=str(self.records[-1]["time"]),
            matrix=self.matrix,
            steps=list(steps.values()),
            annotations=[_annotation(one) for one in self._commands("error", "warning", "notice")],
            summary="".join(self._summaries()),
        )

    def _conclusion(self) -> str | None:
        results = [one["jobResult"] for one in self.records if "jobResult" in one]
        if not results:
            return "cancelled"
        if results[-1] != "failure" or not self.matrix:
            return str(results[-1])
        failed = {one["stepID"][0] for one in self.records if _fails(one)}
        forgiven = {one["stepID"][0] for one in self.records if "Failed but continue next step" in str(one.get("msg"))}
        return "failure" if failed - forgiven else "success"

    def _steps(self) -> dict[str, Step]:
        steps: dict[str, Step] = {}
        for one in self.records:
            path = one.get("stepID")
            if not path or one.get("stage") == "Pre" or str(one.get("step")) == INSPECTION:
                continue
            step = steps.setdefault(path[0], Step(name=str(one["step"]), id="" if path[0].isdigit() else path[0]))
            if one.get("raw_output"):
                step.log.append(str(one["msg"]))
            elif one.get("level") == "error":
                step.errors.append(f"{str(one['msg']).strip()}\n")
            elif one.get("command") == "set-output":
                key = "/".join([*path[1:], one["name"]])
                step.outputs[key] = str(one["arg"])
            elif "stepResult" in one and len(path) == 1 and one.get("stage", "Main") == "Main":
                step.conclusion = str(one["stepResult"])
        return steps

    def _commands(self, *names: str) -> Iterator[Mapping[str, Any]]:
        return (one for one in self.records if one.get("command") in names)

    def _summaries(self) -> Iterator[str]:
        found = list(self._commands("summary"))
        paths = [tuple(one["stepID"]) for one in found]
        for one, path in zip(found, paths, strict=True):
            if not any(len(other) > len(path) and other[: len(path)] == path for other in paths):
                yield str(one["content"])


def _fails(one: Mapping[str, Any]) -> bool:
    return one.get("stepResult") == "failure" and len(one.get("stepID", ())) == 1


def _annotation(one: Mapping[str, Any]) -> Annotation:
    about = one.get("kvPairs") or {}
    line = str(about.get("line", "1"))
    return Annotation(
        level=LEVELS[one["command"]],
        message=str(one["arg"]),
        title=about.get("title", ""),
        path=about.get("file", ".github"),
        line=int(line) if line.isdigit() else 1,
    )


def records(lines: Iterable[str]) -> Iterator[Mapping[str, Any]]:
    """The lines of a log that are records."""
    for line in lines:
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict):
            yield found


def jobs(lines: Iterable[str], workflow: str) -> list[JobLog]:
    """The jobs of a log, in the order they began; ``workflow`` is the name of the workflow."""
    found: dict[tuple[str, str], JobLog] = {}
    for one in records(lines):
        if "jobID" not in one or not _tells(one):
            continue
        label, key = str(one["job"]).rstrip(), str(one["jobID"])
        matrix = one.get("matrix") or {}
        called = CALLED.search(label)
        path = f"{called[1]}/{key}" if called else key
        name = called[2] if called else label.removeprefix(f"{workflow}/")
        known = found.setdefault((path, label), JobLog(path=path, name=name, matrix=matrix))
        known.records.append(one)
    legs = Counter(path for path, _ in found)
    for log in found.values():
        log.name = _name(log, numbered=legs[log.path] > 1)
    return list(found.values())


def _tells(one: Mapping[str, Any]) -> bool:
    return one.get("level") != "debug" or "jobResult" in one


def _name(log: JobLog, *, numbered: bool) -> str:
    """As GitHub shows it: callers before, and the values of the matrix behind where no name was given."""
    *callers, key = log.path.split("/")
    plain = re.sub(r"-\d+$", "", log.name) if numbered else log.name
    if log.matrix and plain == key:
        plain = f"{key} ({', '.join(str(value) for value in log.matrix.values())})"
    return " / ".join([*callers, plain])
