"""Model files for the judge: from artifacts, from the store, and the one in production."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TypeVar

from mlbot.config.predict import ANY_SIZE, ONNX_SIZE
from mlbot.config.schema import Config
from mlbot.errors import MlbotError, NotEvaluatedError, RefusedError, UsageError
from mlbot.events.github import Artifact, Attempt
from mlbot.gates.outcome import Reason
from mlbot.git.ledger import read_local
from mlbot.github.artifacts import ArchiveRefusedError, Contents, Refusal, packed, unpack, unpack_each
from mlbot.github.transport import GitHubError, Limits, NotFoundError, TooLargeError
from mlbot.judging.run_ci import CIRun
from mlbot.judging.run_judge import Live
from mlbot.ledger.entries import DeploymentEntry, RequestEntry, SeedsAsked, VerdictEntry
from mlbot.lib.artifact import ANY_FILE, MODEL_FILE, MOST_LISTING, UnfitError
from mlbot.lib.record import Digest, FileDigest, Name
from mlbot.lib.untrusted_json import read
from mlbot.plan.plan import PlannedModel
from mlbot.plan.run_plan import Planning
from mlbot.protocol.artifacts import (
    FAILURE_FILE,
    FOLDER_FILE,
    LINEAGE_FILE,
    AcceptedArtifact,
    ArtifactName,
    PackArtifact,
    Side,
    Training,
    TrainingFailure,
    accepted_file,
    accepted_folder,
    accepted_lineage,
    find,
    is_older,
)
from mlbot.protocol.decision import Decision, Judge, PushSubject
from mlbot.report.notices import in_production
from mlbot.storage.artifact import measured
from mlbot.storage.artifact import unpack as unpack_folder
from mlbot.storage.store import ModelStore, NotStoredError, open_store
from mlbot.training.run_train import SeedRun, SeedRuns
from mlbot.verdict.verdict import Problem

_Files = TypeVar("_Files")


def is_fault(error: MlbotError) -> bool:
    """Whether GitHub did not say what is there, or the token may not ask; else it is known to be missing or bad."""
    return isinstance(error, GitHubError | RefusedError) and not isinstance(error, TooLargeError | NotFoundError)


class MissingError(MlbotError):
    """An artifact is not there."""

    def __init__(self, what: str, *, expired: bool = False) -> None:
        super().__init__(what)
        self.expired = expired


def sizes_of(planning: Planning) -> dict[Name, int]:
    """How large each model may be: by the guarded branch's rules; of a model that it lacks no more than is usual."""
    policy = planning.configs.policy
    head = {each.name: min(each.most_bytes, ANY_SIZE) for each in planning.configs.head.models}
    return head | ({each.name: each.most_bytes for each in policy.models} if policy else {})


@dataclass(frozen=True, kw_only=True)
class Intake:
    """Fetches what one run left, up to an attempt. Everything in it is a stranger's until it has been looked at.

    What GitHub does not answer is an error that ends the judge: it is never taken for an artifact that does not exist.
    """

    run: CIRun
    attempt: Attempt
    folder: Path
    side: Side = Side.CANDIDATE
    wanted: Mapping[Name, int] = field(default_factory=dict)
    """How many seeds of each model may be asked for; nothing else is taken out of an archive."""
    limits: Mapping[Name, int] = field(default_factory=dict)
    """How large each model may be; as large as an ONNX file may be where nothing is said."""
    _opened: dict[int, "_Pack"] = field(default_factory=dict, repr=False)
    """By the artifact's id: each is downloaded once."""

    @cached_property
    def artifacts(self) -> tuple[Artifact, ...]:
        """All artifacts of the run, asked for once."""
        return self.run.artifacts(self.attempt.run)

    @cached_property
    def _packs(self) -> Mapping[int, Sequence[tuple[PackArtifact, Artifact]]]:
        """What jobs of trainings left, by attempt."""
        found: dict[int, list[tuple[PackArtifact, Artifact]]] = {}
        try:
            artifacts = self.artifacts
        except NotFoundError:  # the run itself is gone
            artifacts = ()
        for each in artifacts:
            name = PackArtifact.of(each.name)
            if name is not None and name.side is self.side and each.run in {None, self.attempt.run}:
                found.setdefault(name.attempt, []).append((name, each))
        return found

    def seeds(
        self, planned: PlannedModel, seeds: Iterable[int], key: Digest | None = None, *, alone: bool = False
    ) -> SeedRuns:
        """The files of a model's seeds, each from the newest attempt that has it; with `key` only of that content.

        When failed jobs alone run again, the others have left theirs in an attempt before. `alone`: of this attempt.
        """
        numbers = [self.attempt.number] if alone else range(self.attempt.number, 0, -1)
        return SeedRuns(runs=tuple(self._seed(planned.name, seed, key, numbers) for seed in seeds))

    def has_any(self, planned: PlannedModel) -> bool:
        """Whether a model's training left any file of a model."""
        runs = self.seeds(planned, range(planned.seeds)).runs
        return any(isinstance(each.file, Path) for each in runs)

    def _seed(self, model: Name, seed: int, key: Digest | None, numbers: Iterable[int]) -> SeedRun:
        """What the newest attempt left of this very content; else why that is not there.

        What is refused may be of it: an older attempt's file does not take its place.
        """
        others = list[SeedRun]()
        for found in chain.from_iterable(self._of_attempt(number, model, seed) for number in numbers):
            if found.record is None or key in {None, found.record.key}:
                return found
            others.append(found)
        if any(isinstance(each.record, Training) for each in others):
            return SeedRun(seed=seed, file=Problem.of(Reason.OUTDATED, "other-key", seed=seed))
        return others[0] if others else SeedRun(seed=seed, file=self._missing(model, seed))

    def _of_attempt(self, number: int, model: Name, seed: int) -> Iterator[SeedRun]:
        """All that an attempt left of a seed. First what is called after the model, whatever others hold."""
        for name, artifact in sorted(self._packs.get(number, ()), key=lambda each: not each[0].is_of(model)):
            pack = self._open(name, artifact)
            if pack.refused is not None and name.is_of(model):
                yield _refused(seed, pack.refused)
            found = pack.seed(model, seed)
            if found is not None:
                yield found

    def _open(self, name: PackArtifact, artifact: Artifact) -> "_Pack":
        if artifact.id not in self._opened:
            self._opened[artifact.id] = self._fetched(name, artifact)
        return self._opened[artifact.id]

    def _fetched(self, name: PackArtifact, artifact: Artifact) -> "_Pack":
        twice = sum(each == name for each, _ in self._packs[name.attempt]) > 1
        if artifact.expired or twice:
            return _Pack(refused=f"the artifact {name.name} is there twice" if twice else None)
        limits = {model: self.limits.get(model, ONNX_SIZE) for model in self.wanted}
        try:
            files = self._download(artifact, self.folder / name.name, packed(self.wanted, limits), unpack_each)
            return _Pack(files=files, limits=limits)
        except NotFoundError:
            return _Pack()
        except MlbotError as error:
            if is_fault(error):
                raise
            return _Pack(refused=error.what)

    def _missing(self, model: Name, seed: int) -> Problem:
        """Why nothing of a seed is there."""
        every = [each for packs in self._packs.values() for each in packs]
        if any(is_older(name.name, model) for name, _ in every):
            return Problem.of(Reason.MODEL_MISSING, "older-mlbot")
        expired = any(artifact.expired for name, artifact in every if name.is_of(model))
        cause = "artifact-expired" if expired else "artifact-missing"
        return Problem.of(Reason.MODEL_MISSING, cause, seed=seed, attempt=self.attempt.number)

    def accepted(
        self, files: Iterable[FileDigest], name: str, lineages: Iterable[FileDigest] = ()
    ) -> dict[Digest, Path]:
        """Files that a judge accepted, and the lineages beside them, by the digests that they should have."""
        files, lineages = list(files), list(lineages)
        sizes = {accepted_file(each.digest): each.size_bytes for each in files}
        sizes |= {accepted_folder(each.digest): each.size_bytes + MOST_LISTING for each in files}
        sizes |= {accepted_lineage(each.digest): each.size_bytes for each in lineages}
        contents = Contents(files=sizes, archive_bytes=sum(sizes.values()) + _MOST_BESIDE, beside=True)
        artifact = self._artifact(AcceptedArtifact(attempt=self.attempt.number))
        found = self._download(artifact, self.folder / name, contents, unpack_each)
        taken = {each.digest: _accepted_file(each, found, self.folder / name) for each in files}
        return taken | {each.digest: _there(found, accepted_lineage(each.digest)) for each in lineages}

    def fetch(self, wanted: ArtifactName, target: Path, contents: Contents) -> dict[str, Path]:
        """Download an artifact and unpack it into a folder that is made for it."""
        try:
            return self._download(self._artifact(wanted), target, contents, unpack)
        except NotFoundError as error:
            raise MissingError(f"the artifact {wanted.name} is gone") from error

    def _artifact(self, wanted: ArtifactName) -> Artifact:
        found = find(wanted, self.artifacts, self.attempt.run)
        if found.artifact is None:
            raise MissingError(f"the artifact {wanted.name} {found.problem}", expired=found.expired)
        return found.artifact

    def _download(
        self, artifact: Artifact, target: Path, contents: Contents, unpacking: Callable[[Path, Path, Contents], _Files]
    ) -> _Files:
        target.mkdir(parents=True)
        archive = target / "archive.zip"
        try:
            self.run.github.download(artifact, archive, Limits(most_bytes=contents.archive_bytes))
            return unpacking(archive, target, contents)
        finally:
            archive.unlink(missing_ok=True)


_MOST_BESIDE = 64 * ONNX_SIZE  # what an archive of accepted models may have beside those that are looked for


def _there(found: Mapping[str, Path | ArchiveRefusedError], name: str) -> Path:
    file = found.get(name)
    if isinstance(file, ArchiveRefusedError):
        raise file
    if file is None:
        raise ArchiveRefusedError(Refusal.WRONG_FILES, "it does not hold what the judge accepted")
    return file


def _accepted_file(wanted: FileDigest, found: Mapping[str, Path | ArchiveRefusedError], folder: Path) -> Path:
    """A file as it was accepted; or a folder, unpacked."""
    if accepted_folder(wanted.digest) not in found:
        return _there(found, accepted_file(wanted.digest))
    packed_folder = _there(found, accepted_folder(wanted.digest))
    target = folder / "folders" / wanted.digest.removeprefix("sha256:")
    try:
        unpack_folder(packed_folder, target, wanted.size_bytes)
    except UnfitError as error:
        raise ArchiveRefusedError(Refusal.DAMAGED, f"a folder in it cannot be unpacked: {error.what}") from error
    packed_folder.unlink()
    return target


@dataclass(frozen=True, kw_only=True)
class _Pack:
    """What one job of trainings left, unpacked."""

    files: Mapping[str, Path | ArchiveRefusedError] = field(default_factory=dict)
    limits: Mapping[Name, int] = field(default_factory=dict)
    refused: str | None = None

    def seed(self, model: Name, seed: int) -> SeedRun | None:
        """What it has of a seed: a model file with its lineage, or why there is none; None for nothing."""
        folder = f"{model}/{seed}/"
        names = (MODEL_FILE, FOLDER_FILE, LINEAGE_FILE, FAILURE_FILE)
        file, packed_folder, lineage, failure = (self.files.get(folder + name) for name in names)
        if packed_folder is not None:
            file = self._unpacked(packed_folder, model) if file is None else _two()
        if file is None and lineage is None:
            return _failed(failure, model, seed) if failure is not None else None
        if isinstance(file, Path) and isinstance(lineage, Path):
            return _trained(file, lineage, model, seed)
        refused = next((each for each in (file, lineage) if isinstance(each, ArchiveRefusedError)), None)
        return _refused(seed, refused.what if refused else f"it lacks {LINEAGE_FILE if file else MODEL_FILE}")

    def _unpacked(self, packed_folder: Path | ArchiveRefusedError, model: Name) -> Path | ArchiveRefusedError:
        if isinstance(packed_folder, ArchiveRefusedError):
            return packed_folder
        target = packed_folder.with_name(ANY_FILE)
        try:
            if not target.exists():  # whole, once it is there
                unpack_folder(packed_folder, target, self.limits[model])
        except (UnfitError, NotEvaluatedError) as error:
            return ArchiveRefusedError(Refusal.DAMAGED, f"the folder in it cannot be taken: {error}")
        return target


def _two() -> ArchiveRefusedError:
    return ArchiveRefusedError(Refusal.WRONG_FILES, "it holds a file and a folder for one seed")


def _trained(file: Path, lineage: Path, model: Name, seed: int) -> SeedRun:
    """The lineage has to be well formed and about this file; it is unverified, so more is not asked of it."""
    try:
        record = read(lineage.read_bytes(), Training, LINEAGE_FILE)
        measured(file)
    except (MlbotError, UnfitError) as error:
        return _refused(seed, error.what)
    if (record.model, record.seed) != (model, seed):
        return _refused(seed, f"{LINEAGE_FILE} is of another model or seed")
    return SeedRun(seed=seed, file=file, record=record)


def _failed(found: Path | ArchiveRefusedError, model: Name, seed: int) -> SeedRun | None:
    """Why a training left no model, if it says so; a record that is not as it has to be says nothing.

    The verdict's own words are made of its numbers. Its text is only shown, escaped, as the training's.
    """
    try:
        failure = read(found.read_bytes(), TrainingFailure, FAILURE_FILE) if isinstance(found, Path) else None
    except MlbotError:
        return None
    if failure is None or (failure.model, failure.seed) != (model, seed):
        return None
    return SeedRun(seed=seed, file=failure.problem, record=failure)


def _refused(seed: int, why: str) -> SeedRun:
    return SeedRun(seed=seed, file=Problem.of(Reason.MODEL_REFUSED, "bad-artifact", seed=seed, why=why))


def store_of(run: CIRun) -> ModelStore | None:
    """The store of the default branch's config; None where it names none that outlives the job."""
    url = _store_url(run)
    return None if url is None else open_store(url, run.repository.project, token=run.job.token)


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


def _accepted(run: CIRun, entry: VerdictEntry, folder: Path) -> SeedRuns:
    judge = entry.files[0].run if entry.files else None
    if judge is None:
        raise MissingError("the ledger does not say where its files are")
    intake = Intake(run=run, attempt=Attempt(run=judge, number=entry.judge.number), folder=folder)
    found = _genuine(intake.accepted(entry.files, f"{entry.model}-{judge}"))
    return SeedRuns(runs=tuple(SeedRun(seed=each.seed, file=found[each.digest]) for each in entry.files))


def _genuine(files: dict[Digest, Path]) -> dict[Digest, Path]:
    try:
        same = all(measured(path).digest == digest for digest, path in files.items())
    except UnfitError:
        same = False
    if not same:
        raise MissingError("its bytes are not those that were judged")
    return files


def earlier_seeds(run: CIRun, entry: RequestEntry, asked: SeedsAsked, folder: Path) -> dict[int, SeedRun]:
    """The seeds of earlier attempts, as the judge that asked for more has accepted them: never trained again.

    What cannot be had is why, and no other file stands in for it.
    """
    intake = Intake(run=run, attempt=entry.judge, folder=folder)
    files, lineages = [each.file for each in asked.earlier], [each.lineage for each in asked.earlier]
    try:
        found = _genuine(intake.accepted(files, f"earlier-{asked.model}", lineages))
    except MlbotError as error:
        if is_fault(error):
            raise
        return {each.seed: _gone(each.seed, error.what) for each in asked.earlier}
    return {
        each.seed: _trained(found[each.file.digest], found[each.lineage.digest], asked.model, each.seed)
        for each in asked.earlier
    }


def _gone(seed: int, why: str) -> SeedRun:
    return SeedRun(seed=seed, file=Problem.of(Reason.MODEL_MISSING, "earlier-gone", seed=seed, why=why))


def _stored(run: CIRun, entry: VerdictEntry, folder: Path) -> SeedRuns:
    store = store_of(run)
    if store is None:
        raise MissingError("mlbot.yaml names no store")
    return _of_store(store, entry, folder / "stored")


def _of_store(store: ModelStore, entry: VerdictEntry, folder: Path) -> SeedRuns:
    runs: list[SeedRun] = []
    for each in entry.files:
        path = folder / accepted_file(each.digest)
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


def stored_locally(config: Config | None, root: Path, entry: VerdictEntry, folder: Path) -> SeedRuns | Problem:
    """The files of an anchor as a clone's own config says where they are stored; or why they cannot be had."""
    if config is None or config.store is None:
        return Problem.of(Reason.ANCHOR_UNREACHABLE, "gone", why="mlbot.yaml names no store")
    try:
        return _of_store(open_store(config.store, root), entry, folder)
    except NotStoredError as error:
        return Problem.of(Reason.ANCHOR_UNREACHABLE, "gone", why=error.what)
    except MlbotError as error:
        return Problem.of(Reason.ANCHOR_UNREACHABLE, "fault", why=error.what)
