"""Fetch model files from artifacts. Everything in one is a stranger's until it has been looked at."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mlbot.activities.hosted import Hosted
from mlbot.activities.judge import Entry
from mlbot.core.artifact import (
    FAILURE_FILE,
    LINEAGE_FILE,
    MODEL_FILE,
    AcceptedArtifact,
    ArtifactName,
    FailedArtifact,
    Side,
    TrainedArtifact,
    accepted_file,
    find,
)
from mlbot.core.evaluation import Problem
from mlbot.core.forge import Artifact, Attempt
from mlbot.core.hostile_json import read
from mlbot.core.ledger import VerdictEntry
from mlbot.core.outcome import Reason
from mlbot.core.plan import PlannedModel
from mlbot.core.training import Training, TrainingFailure
from mlbot.errors import MlbotError
from mlbot.github.artifacts import Contents, failed, trained, unpack
from mlbot.github.download import Limits

MODEL_BYTES = 256 << 20
"""The largest model file that is taken."""
_MOST_ACCEPTED = 64
"""The largest archive of accepted files is as large as so many of the largest models."""


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """One side's files, and the lineage of those that have one."""

    entries: tuple[Entry, ...]
    trainings: tuple[Training, ...] = ()
    failures: tuple[TrainingFailure, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Taken:
    """What one training left."""

    entry: Entry
    training: Training | None = None
    failure: TrainingFailure | None = None


@dataclass(frozen=True, kw_only=True)
class Intake:
    """Fetches the artifacts of one attempt of one run.

    Attributes:
        hosted: the job.
        attempt: of the run whose artifacts these are.
        folder: where files are put.
    """

    hosted: Hosted
    attempt: Attempt
    folder: Path

    @cached_property
    def artifacts(self) -> tuple[Artifact, ...]:
        """All artifacts of the run, asked for once."""
        return self.hosted.github.artifacts(self.attempt.run)

    def trained(self, planned: PlannedModel, seeds: int, side: Side, attempt: Attempt) -> Fetched:
        """The files of a model's seeds from an attempt of the run."""
        taken = [self._seed(planned, seed, side, attempt) for seed in range(seeds)]
        return Fetched(
            entries=tuple(each.entry for each in taken),
            trainings=tuple(each.training for each in taken if each.training is not None),
            failures=tuple(each.failure for each in taken if each.failure is not None),
        )

    def _seed(self, planned: PlannedModel, seed: int, side: Side, attempt: Attempt) -> _Taken:
        wanted = TrainedArtifact(side=side, model=planned.name, seed=seed, attempt=attempt.number)
        target = self.folder / wanted.name
        try:
            files = self.fetch(wanted, target, trained(MODEL_BYTES))
        except MissingError as error:
            return self._failed(wanted) or _refused(seed, Reason.MODEL_MISSING, f"{error.what}. {_MEND}")
        except MlbotError as error:
            return _refused(seed, Reason.MODEL_REFUSED, f"{error.what}.")
        return self._told(planned, seed, files)

    def _told(self, planned: PlannedModel, seed: int, files: dict[str, Path]) -> _Taken:
        """What the training says of itself has to be well formed and about this file; more is not asked of it."""
        try:
            told = read(files[LINEAGE_FILE].read_bytes(), Training, LINEAGE_FILE)
        except MlbotError as error:
            return _refused(seed, Reason.MODEL_REFUSED, f"{error.what}.")
        if (told.model, told.seed) != (planned.name, seed):
            return _refused(seed, Reason.MODEL_REFUSED, f"{LINEAGE_FILE} is of another model or seed.")
        return _Taken(entry=Entry(seed=seed, file=files[MODEL_FILE]), training=told)

    def _failed(self, wanted: TrainedArtifact) -> _Taken | None:
        """Why a training left no model, if it said so; a record that is not as it has to be says nothing.

        The verdict's own words are made of its numbers. Its text is only shown, escaped, as the training's.
        """
        name = FailedArtifact(side=wanted.side, model=wanted.model, seed=wanted.seed, attempt=wanted.attempt)
        try:
            files = self.fetch(name, self.folder / name.name, failed())
            told = read(files[FAILURE_FILE].read_bytes(), TrainingFailure, FAILURE_FILE)
        except MlbotError:
            return None
        if (told.model, told.seed) != (wanted.model, wanted.seed):
            return None
        problem = Problem(reason=told.reason, detail=told.sentence)
        return _Taken(entry=Entry(seed=wanted.seed, file=problem), failure=told)

    def fetch(self, wanted: ArtifactName, target: Path, contents: Contents) -> dict[str, Path]:
        """Download an artifact and unpack it into a folder that is made for it.

        Raises:
            MissingError: there is no such artifact.
            MlbotError: it is not as it has to be, or GitHub does not give it.
        """
        found = find(wanted, self.artifacts, self.attempt.run)
        if found.artifact is None:
            raise MissingError(f"the artifact {wanted.name} {found.problem}")
        target.mkdir(parents=True)
        archive = target / "archive.zip"
        self.hosted.github.download(found.artifact, archive, Limits(most_bytes=contents.archive_bytes))
        try:
            return unpack(archive, target, contents)
        finally:
            archive.unlink(missing_ok=True)


_MEND = "Its training failed or was cancelled: the training run has the log. Mend it and push, or re-run all jobs."


def _refused(seed: int, reason: Reason, what: str) -> _Taken:
    return _Taken(entry=Entry(seed=seed, file=Problem(reason=reason, detail=f"Seed {seed}: {what}")))


class MissingError(MlbotError):
    """An artifact is not there."""


def accepted(hosted: Hosted, entry: VerdictEntry, folder: Path) -> tuple[Entry, ...] | Problem:
    """The files of an earlier verdict on the guarded branch, by the digests that the ledger has for them.

    Returns:
        One entry a seed; or why there are none any more (artifacts end after 90 days).
    """
    run = entry.files[0].run if entry.files else None
    if run is None:
        return _gone("the ledger does not say where its files are")
    intake = Intake(hosted=hosted, attempt=Attempt(run=run, number=entry.judge.number), folder=folder)
    files = {accepted_file(file.digest): file for file in entry.files}
    contents = Contents(
        files={name: file.size_bytes for name, file in files.items()},
        archive_bytes=MODEL_BYTES * _MOST_ACCEPTED,
        beside=True,
    )
    wanted = AcceptedArtifact(attempt=entry.judge.number)
    try:
        found = intake.fetch(wanted, folder / f"{entry.model}-{run}", contents)
    except MlbotError as error:
        return _gone(error.what)
    wrong = [name for name, file in files.items() if _digest(found[name]) != file.digest]
    if wrong:
        return _gone("its bytes are not those that were judged")
    return tuple(Entry(seed=file.seed, file=found[accepted_file(file.digest)]) for file in entry.files)


def _gone(why: str) -> Problem:
    return Problem(reason=Reason.NO_BASELINE, detail=f"The baseline's files cannot be had: {why}.")


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"
