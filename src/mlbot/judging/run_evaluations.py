"""Results of evaluators with secrets, from the job that has these to the judge, which has none: by digest alone."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mlbot.gates.outcome import Reason
from mlbot.lib.record import Digest, Name, Record, digest
from mlbot.lib.untrusted_json import read
from mlbot.verdict.verdict import Problem

RECORD = "evaluated.json"
_MOST = 1 << 20


class EvaluatedFile(Record):
    """The results of one artifact, in a file beside the record that their digest names; or why there are none."""

    model: Name
    artifact: Digest
    evaluator: Digest | None = None
    results: Digest | None = None
    why: str = ""


Key = tuple[Name, Digest, Digest | None]
"""Whose results they are: the model, the artifact, and the evaluator, of which each guarded branch has its own."""


class Evaluated(Record):
    """All that one job evaluated, and what held the evaluator."""

    isolation: str = ""
    files: tuple[EvaluatedFile, ...] = ()


@dataclass(kw_only=True)
class Evaluations:
    """What is handed over, written file by file."""

    folder: Path
    isolation: str = ""
    _files: dict[Key, EvaluatedFile] = field(default_factory=dict)

    def has(self, key: Key) -> bool:
        """Whether an artifact was evaluated already, for another side or seed."""
        return key in self._files

    def add(self, key: Key, output: bytes | Problem) -> None:
        """Keep the results of one artifact."""
        model, artifact, evaluator = key
        found = EvaluatedFile(model=model, artifact=artifact, evaluator=evaluator)
        if isinstance(output, Problem):
            found = found.model_copy(update={"why": output.detail})
        else:
            found = found.model_copy(update={"results": digest(output)})
            self._write(_name(digest(output)), output)
        self._files[key] = found

    def finish(self) -> Digest:
        """Write the record; its digest."""
        raw = Evaluated(isolation=self.isolation, files=tuple(self._files.values())).model_dump_json().encode()
        self._write(RECORD, raw)
        return digest(raw)

    def _write(self, name: str, content: bytes) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_bytes(content)


@dataclass(frozen=True, kw_only=True)
class HandedOver:
    """What another job evaluated."""

    folder: Path
    isolation: str = ""
    files: Mapping[Key, EvaluatedFile] = field(default_factory=dict)

    def results(self, key: Key) -> bytes | Problem:
        """The results of an artifact, whose bytes are those that the record names."""
        known = self.files.get(key)
        if known is None:
            return Problem.of(Reason.EVALUATOR_FAILED, "not-handed-over")
        if known.results is None:
            return Problem.of(Reason.EVALUATOR_FAILED, "elsewhere", why=known.why)
        try:
            content = (self.folder / _name(known.results)).read_bytes()
        except OSError:
            content = b""
        if digest(content) != known.results:
            return Problem.of(Reason.EVALUATOR_FAILED, "not-handed-over")
        return content


def handed_over(folder: Path, expected: str) -> HandedOver:
    """What a job handed over, where the digest that it put out is that of its record; else nothing."""
    path = folder / RECORD
    if not expected or not path.is_file() or path.stat().st_size > _MOST:
        return HandedOver(folder=folder)
    raw = path.read_bytes()
    if digest(raw) != expected:
        return HandedOver(folder=folder)
    found = read(raw, Evaluated, "the evaluations")
    return HandedOver(
        folder=folder,
        isolation=found.isolation,
        files={(each.model, each.artifact, each.evaluator): each for each in found.files},
    )


def _name(content: Digest) -> str:
    return f"{content.removeprefix('sha256:')}.results"
