"""Model files for the judge: from artifacts, from the store, and the one in production."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mlbot.config.schema import Config
from mlbot.errors import MlbotError, RefusedError, UsageError
from mlbot.events.github import Artifact, Attempt
from mlbot.gates.outcome import Reason
from mlbot.git.ledger import read_local
from mlbot.github.artifacts import Contents, failed, trained, unpack
from mlbot.github.transport import GitHubError, Limits, NotFoundError, TooLargeError
from mlbot.judging.run_ci import CIRun
from mlbot.judging.run_judge import Live
from mlbot.ledger.entries import DeploymentEntry, VerdictEntry
from mlbot.lib.record import Digest, Name, digest_of_stream
from mlbot.lib.untrusted_json import read
from mlbot.plan.plan import PlannedModel
from mlbot.protocol.artifacts import (
    FAILURE_FILE,
    LINEAGE_FILE,
    MODEL_FILE,
    TRAINED,
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
from mlbot.report.notices import in_production
from mlbot.storage.store import ModelStore, NotStoredError, open_store
from mlbot.training.run_train import SeedRun, SeedRuns
from mlbot.verdict.verdict import Problem

MODEL_BYTES = 256 << 20

_MOST_ACCEPTED = 64  # the largest archive of accepted files is as large as so many of the largest models


def is_fault(error: MlbotError) -> bool:
    """Whether GitHub did not say what is there, or the token may not ask; else it is known to be missing or bad."""
    return isinstance(error, GitHubError | RefusedError) and not isinstance(error, TooLargeError | NotFoundError)


class MissingError(MlbotError):
    """An artifact is not there."""

    def __init__(self, what: str, *, expired: bool = False) -> None:
        super().__init__(what)
        self.expired = expired


@dataclass(frozen=True, kw_only=True)
class Intake:
    """Fetches the artifacts of one attempt of a run. Everything in one is a stranger's until it has been looked at.

    What GitHub does not answer is an error that ends the judge: it is never taken for an artifact that does not exist.
    """

    run: CIRun
    attempt: Attempt
    folder: Path

    @cached_property
    def artifacts(self) -> tuple[Artifact, ...]:
        """All artifacts of the run, asked for once."""
        return self.run.artifacts(self.attempt.run)

    def trained(
        self, planned: PlannedModel, seeds: int, side: Side, attempt: Attempt, key: Digest | None = None
    ) -> SeedRuns:
        """The files of a model's seeds from an attempt of the run; with `key` only of that content."""
        return SeedRuns(runs=tuple(self._seed(planned, seed, side, attempt, key) for seed in range(seeds)))

    def newest(self, planned: PlannedModel, seeds: int, side: Side, key: Digest | None = None) -> SeedRuns:
        """The files of a model's seeds, each from the newest attempt of the run up to this one that has it.

        Where only failed jobs ran again, those that did not have theirs in an attempt before.
        """
        runs = (self._seed(planned, seed, side, self._newest(planned, seed, side), key) for seed in range(seeds))
        return SeedRuns(runs=tuple(runs))

    def _newest(self, planned: PlannedModel, seed: int, side: Side) -> Attempt:
        try:
            there = {each.name for each in self.artifacts}
        except NotFoundError:
            return self.attempt
        for number in range(self.attempt.number, 0, -1):
            trained_ = TrainedArtifact(side=side, model=planned.name, seed=seed, attempt=number)
            failed_ = FailedArtifact(side=side, model=planned.name, seed=seed, attempt=number)
            if there & {trained_.name, failed_.name}:
                return Attempt(run=self.attempt.run, number=number)
        return self.attempt

    def _seed(self, planned: PlannedModel, seed: int, side: Side, attempt: Attempt, key: Digest | None) -> SeedRun:
        wanted = TrainedArtifact(side=side, model=planned.name, seed=seed, attempt=attempt.number)
        try:
            files = self.fetch(wanted, self.folder / wanted.name, trained(MODEL_BYTES))
            lineage = read(files[LINEAGE_FILE].read_bytes(), Training, LINEAGE_FILE)
        except MissingError as error:
            cause = "artifact-expired" if error.expired else "artifact-missing"
            problem = Problem.of(Reason.MODEL_MISSING, cause, seed=seed, artifact=error.what)
            return self._failed(wanted) or SeedRun(seed=seed, file=problem)
        except MlbotError as error:
            if is_fault(error):
                raise
            return _refused(seed, error.what)
        # The lineage has to be well formed and about this file; it is unverified, so more is not asked of it.
        if (lineage.model, lineage.seed) != (planned.name, seed):
            return _refused(seed, f"{LINEAGE_FILE} is of another model or seed")
        if key is not None and lineage.key != key:
            return SeedRun(seed=seed, file=Problem.of(Reason.OUTDATED, "other-key", seed=seed))
        return SeedRun(seed=seed, file=files[MODEL_FILE], record=lineage)

    def _failed(self, wanted: TrainedArtifact) -> SeedRun | None:
        """Why a training left no model, if it says so; a record that is not as it has to be says nothing.

        The verdict's own words are made of its numbers. Its text is only shown, escaped, as the training's.
        """
        name = FailedArtifact(side=wanted.side, model=wanted.model, seed=wanted.seed, attempt=wanted.attempt)
        try:
            files = self.fetch(name, self.folder / name.name, failed())
            failure = read(files[FAILURE_FILE].read_bytes(), TrainingFailure, FAILURE_FILE)
        except MlbotError as error:
            if is_fault(error):
                raise
            return None
        if (failure.model, failure.seed) != (wanted.model, wanted.seed):
            return None
        return SeedRun(seed=wanted.seed, file=failure.problem, record=failure)

    def accepted(self, sizes: Mapping[Digest, int], name: str) -> dict[Digest, Path]:
        """The files that a judge accepted, by their digests."""
        contents = Contents(
            files={accepted_file(digest): size for digest, size in sizes.items()},
            archive_bytes=MODEL_BYTES * _MOST_ACCEPTED,
            beside=True,
        )
        files = self.fetch(AcceptedArtifact(attempt=self.attempt.number), self.folder / name, contents)
        return {digest: files[accepted_file(digest)] for digest in sizes}

    def fetch(self, wanted: ArtifactName, target: Path, contents: Contents) -> dict[str, Path]:
        """Download an artifact and unpack it into a folder that is made for it."""
        found = find(wanted, self.artifacts, self.attempt.run)
        if found.artifact is None:
            raise MissingError(f"the artifact {wanted.name} {found.problem}", expired=found.expired)
        target.mkdir(parents=True)
        archive = target / "archive.zip"
        try:
            self.run.github.download(found.artifact, archive, Limits(most_bytes=contents.archive_bytes))
        except NotFoundError as error:
            raise MissingError(f"the artifact {wanted.name} is gone") from error
        try:
            return unpack(archive, target, contents)
        finally:
            archive.unlink(missing_ok=True)


def _refused(seed: int, why: str) -> SeedRun:
    return SeedRun(seed=seed, file=Problem.of(Reason.MODEL_REFUSED, "bad-artifact", seed=seed, why=why))


def store_of(run: CIRun) -> ModelStore | None:
    """The store of the default branch's config; None where it names none that outlives the job."""
    url = _store_url(run)
    return None if url is None else open_store(url, run.repository.root, token=run.job.token)


def _store_url(run: CIRun) -> str | None:
    """A folder of the checkout is no store for a job on GitHub: it ends with the job."""
    url = run.config.store if run.config else None
    if url is None or "://" in url:
        return url
    run.console.say(f"The store {url} is a folder of the checkout, which ends with this job: it is left out.")
    return None


def is_stored(run: CIRun, decision: Decision) -> bool:
    """Whether the files of a run are stored once they are judged: those of a push to a guarded branch."""
    if not isinstance(decision, Judge) or not isinstance(decision.subject, PushSubject):
        return False
    return _store_url(run) is not None


def judged_files(run: CIRun, entry: VerdictEntry, folder: Path) -> SeedRuns | Problem:
    """The files of an earlier verdict on the guarded branch: of the run that judged them, else of the store.

    Artifacts end after 90 days. What could not be had is an error, whatever the reason: nobody may be compared with
    less because GitHub or a store does not answer.
    """
    gone, why = True, list[str]()
    for place in (_accepted, _stored):
        try:
            return place(run, entry, folder)
        except MlbotError as error:
            gone = gone and isinstance(error, MissingError | NotStoredError | NotFoundError)
            why.append(error.what)
    return Problem.of(Reason.BASELINE_UNREACHABLE, "gone" if gone else "fault", why="; ".join(why))


def are_gone(run: CIRun, entry: VerdictEntry) -> bool:
    """Whether the files of a verdict are known to be nowhere any more; a fault is no knowledge."""
    try:
        judge = entry.files[0].run
        if judge is not None:
            found = find(AcceptedArtifact(attempt=entry.judge.number), run.artifacts(judge), judge)
            if found.artifact is not None:
                return False
        store = store_of(run)
        return store is None or not all(store.has(each.digest) for each in entry.files)
    except MlbotError:
        return False


def candidates(run: CIRun, training: int) -> frozenset[Name]:
    """The models of which a training run left any file."""
    every = (TRAINED.fullmatch(each.name) for each in run.artifacts(training))
    return frozenset(each["model"] for each in every if each)


def _accepted(run: CIRun, entry: VerdictEntry, folder: Path) -> SeedRuns:
    judge = entry.files[0].run if entry.files else None
    if judge is None:
        raise MissingError("the ledger does not say where its files are")
    intake = Intake(run=run, attempt=Attempt(run=judge, number=entry.judge.number), folder=folder)
    found = intake.accepted({each.digest: each.size_bytes for each in entry.files}, f"{entry.model}-{judge}")
    if any(_digest(path) != digest for digest, path in found.items()):
        raise MissingError("its bytes are not those that were judged")
    return SeedRuns(runs=tuple(SeedRun(seed=each.seed, file=found[each.digest]) for each in entry.files))


def _digest(path: Path) -> Digest:
    with path.open("rb") as stream:
        return digest_of_stream(stream)


def _stored(run: CIRun, entry: VerdictEntry, folder: Path) -> SeedRuns:
    store = store_of(run)
    if store is None:
        raise MissingError("mlbot.yaml names no store")
    runs: list[SeedRun] = []
    for each in entry.files:
        path = folder / "stored" / accepted_file(each.digest)
        store.get(each.digest, path, size=each.size_bytes)
        runs.append(SeedRun(seed=each.seed, file=path))
    return SeedRuns(runs=tuple(runs))


def live_file(run: CIRun, entry: DeploymentEntry, judged: Sequence[VerdictEntry], folder: Path) -> Path | Problem:
    """The file of a deployment, by its digest: of the store, else of the run that judged it."""
    folder /= "production"
    target = folder / accepted_file(entry.digest)
    why = "mlbot.yaml names no store"
    try:
        store = store_of(run)
        if store is not None:
            store.get(entry.digest, target)
            return target
    except MlbotError as error:
        why = error.what
    for verdict in reversed(judged):
        files = tuple(each for each in verdict.files if each.digest == entry.digest)
        with suppress(MlbotError):
            if files:
                return _path(_accepted(run, verdict.model_copy(update={"files": files}), folder))
    return unavailable(why)


def _path(found: SeedRuns) -> Path:
    (only,) = {run.file for run in found.runs if isinstance(run.file, Path)}
    return only


def unavailable(why: str) -> Problem:
    """Why the file in production is not compared with."""
    return Problem.of(Reason.MODEL_MISSING, "not-in-store", why=why)


def live_locally(config: Config | None, root: Path, model: Name, folder: Path) -> Live | None:
    """What is in production by a clone's own ledger; its file from the store."""
    if config is None or not config.environments:
        return None
    entry = in_production(config.environments, read_local(root, "deployment", model).entries, model)
    if entry is None:
        return None
    target = folder / accepted_file(entry.digest)
    try:
        if config.store is None:
            raise UsageError("mlbot.yaml names no store")
        open_store(config.store, root).get(entry.digest, target)
    except MlbotError as error:
        return Live(entry=entry, file=unavailable(error.what))
    return Live(entry=entry, file=target)
