"""The store as jobs on GitHub see it: where it is, what goes there, and the files of earlier verdicts."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mlbot.config.schema import parse_config
from mlbot.console import Console
from mlbot.errors import MlbotError
from mlbot.events.github import Artifact, Attempt
from mlbot.gates.outcome import Reason
from mlbot.github.artifacts import Contents, failed, trained, unpack
from mlbot.github.transport import Limits
from mlbot.judging.run_ci import Hosted
from mlbot.judging.run_judge import Entry
from mlbot.ledger.entries import DeploymentEntry, VerdictEntry
from mlbot.lib.canonical import digest_of_stream
from mlbot.lib.untrusted_json import read
from mlbot.plan.plan import PlannedModel
from mlbot.protocol.artifacts import (
    FAILURE_FILE,
    LINEAGE_FILE,
    MODEL_FILE,
    AcceptedArtifact,
    ArtifactName,
    FailedArtifact,
    Side,
    TrainedArtifact,
    Training,
    TrainingFailure,
    accepted_file,
    find,
)
from mlbot.protocol.decision import Decision, Judge, PushSubject
from mlbot.storage.store import ModelStore, open_store
from mlbot.verdict.evidence import Problem

# Fetch model files from artifacts. Everything in one is a stranger's until it has been looked at.

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
            return self._failed(wanted) or _refused(seed, Reason.MODEL_MISSING, f"{error.what}. {_HINT}")
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


_HINT = "Its training failed or was cancelled: the training run has the log. Fix it and push, or re-run all jobs."


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
        return digest_of_stream(stream)


def store_of(hosted: Hosted, console: Console) -> ModelStore | None:
    """The store of the default branch's config; None where it names none that outlives the job.

    Raises:
        MlbotError: It cannot be opened.
    """
    url = _url(hosted, console)
    return None if url is None else open_store(url, hosted.repository.root, token=hosted.job.token)


def _url(hosted: Hosted, console: Console) -> str | None:
    """A folder of the checkout is no store for a job on GitHub: it ends with the job."""
    url = parse_config(hosted.document).store if hosted.document else None
    if url is None or "://" in url:
        return url
    console.say(f"The store {url} is a folder of the checkout, which ends with this job: it is left out.")
    return None


def is_kept(hosted: Hosted, decision: Decision, console: Console) -> bool:
    """Whether the files of a run are stored once they are judged: those of a push to a guarded branch."""
    if not isinstance(decision, Judge) or not isinstance(decision.subject, PushSubject):
        return False
    return _url(hosted, console) is not None


def judged_files(hosted: Hosted, entry: VerdictEntry, folder: Path, console: Console) -> tuple[Entry, ...] | Problem:
    """The files of an earlier verdict on the guarded branch: of the run that judged them, else of the store.

    Returns:
        One entry a seed; or why there are none any more.
    """
    found = accepted(hosted, entry, folder)
    if not isinstance(found, Problem):
        return found
    try:
        store = store_of(hosted, console)
        return found if store is None or not entry.files else _stored(store, entry, folder)
    except MlbotError as error:
        detail = f"{found.detail} Nor can the store give them: {error.what}."
        return Problem(reason=found.reason, detail=detail)


def _stored(store: ModelStore, entry: VerdictEntry, folder: Path) -> tuple[Entry, ...]:
    found: list[Entry] = []
    for file in entry.files:
        path = folder / "stored" / accepted_file(file.digest)
        store.get(file.digest, path, size=file.size_bytes)
        found.append(Entry(seed=file.seed, file=path))
    return tuple(found)


def live_file(
    hosted: Hosted, entry: DeploymentEntry, judged: Sequence[VerdictEntry], folder: Path, console: Console
) -> Path | Problem:
    """The file of a deployment, by its digest: of the store, else of the run that judged it.

    Args:
        hosted: The job.
        entry: The deployment.
        judged: The ledger's verdicts, oldest first.
        folder: Where files are put.
        console: Told of a store that is no use here.
    """
    folder /= "production"
    target = folder / accepted_file(entry.digest)
    why = "mlbot.yaml names no store"
    try:
        store = store_of(hosted, console)
        if store is not None:
            store.get(entry.digest, target)
            return target
    except MlbotError as error:
        why = error.what
    for verdict in reversed(judged):
        files = tuple(each for each in verdict.files if each.digest == entry.digest)
        found = accepted(hosted, verdict.model_copy(update={"files": files}), folder) if files else None
        if found is not None and not isinstance(found, Problem):
            return found[0].file
    return Problem(reason=Reason.MODEL_MISSING, detail=f"its file cannot be had: {why}.")
