"""The files of a release: the model, its card, the manifest, lineage, golden requests, and the sums of all."""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mlbot.config.schema import Model
from mlbot.data.sketch import Sketch
from mlbot.delivery.model_card import (
    CARD_FILE,
    GOLDEN_FILE,
    MANIFEST_FILE,
    SUMS_FILE,
    TRAINING_FILE,
    card_of,
    card_text,
    checksums,
    file_name,
    manifest,
)
from mlbot.delivery.release import ReleaseFacts, ReleaseResult, TagFacts, Unwatched, decide_release, latest
from mlbot.delivery.run_sealed import ask_sealed, sealed_facts
from mlbot.delivery.sealed import GATE, SealedAnswer, SealedFacts, answering, waiver_of
from mlbot.errors import MlbotError, NotEvaluatedError, UsageError
from mlbot.ledger.entries import (
    DeploymentEntry,
    Entry,
    ReferenceEntry,
    ReleaseEntry,
    VerdictEntry,
    WaiverEntry,
)
from mlbot.ledger.queries import (
    deployments,
    final_releases,
    latest_by_key,
    live,
    reference_of,
    release_of,
    releases,
)
from mlbot.lib.artifact import ANY_FILE
from mlbot.lib.record import Digest, Name, Record, Sha, digest_of_stream
from mlbot.lib.tree import TagRef
from mlbot.lib.untrusted_json import read
from mlbot.lib.version import Bump, Stored, Version, name_of
from mlbot.plan.plan import Subject
from mlbot.protocol.artifacts import Training
from mlbot.protocol.golden import Golden, digest_of
from mlbot.protocol.golden import canonical as golden_bytes
from mlbot.registry.run_repository import RepositoryContext, Tags
from mlbot.registry.tags import Registry, TagNote, read_note, stage_tag, version_tag
from mlbot.report.report import MOST_BYTES, ModelReport
from mlbot.storage.artifact import to_tar
from mlbot.training.run_predict import Asking, RuleSource

if TYPE_CHECKING:
    from mlbot.ml.golden import Ask

# `mlbot release`: give a version to judged bytes. Verify everything, tag the commit, write the ledger.

FIRST = Version(major=1, minor=0, patch=0)

GOLDEN_ROWS = 50


@dataclass(frozen=True, kw_only=True, slots=True)
class ReleaseRequest:
    """What is asked for."""

    model: str
    version: str | None = None  # with or without its `v`; None: the next one
    bump: Bump | None = None  # which part of the latest version to count up; the first version is 1.0.0 in any case
    commit: str | None = None  # any revision; None: where the version's tag is, else the guarded branch's tip
    dry_run: bool = False
    waive_sealed: str | None = None  # why it is released without an answer of sealed rows; None: it is not
    answer: SealedAnswer | None = None  # what another job was answered by sealed rows


def release(context: RepositoryContext, request: ReleaseRequest) -> ReleaseResult:
    """Release a model.

    A run that was killed is finished by the same command: a tag that is there is taken as it is, and so is an entry.

    Returns:
        What was decided, with its reason. Nothing is changed by a refusal.

    Raises:
        UsageError: there is no such revision or version, or the config is wrong.
        RefusedError: the token may not write.
        NotEvaluatedError: the remote or the store does not answer, or the golden requests cannot be made.
    """
    with context.tags() as tags, tempfile.TemporaryDirectory(prefix="mlbot-release-") as folder:
        entries = context.of_model(request.model)
        return _Release(context=context, tags=tags, folder=Path(folder), request=request, entries=entries).run()


@dataclass(frozen=True, kw_only=True)
class _Release:
    """One release on its way."""

    context: RepositoryContext
    tags: Tags
    folder: Path
    request: ReleaseRequest
    entries: tuple[Entry, ...]

    def run(self) -> ReleaseResult:
        """Decide by what is recorded, then by the bytes; then tag and record."""
        facts = self._facts()
        decision, file = decide_release(facts), self.folder / "fetched"
        if decision.go and facts.verdict:
            facts = facts.model_copy(update={"stored": self._fetch(facts.verdict, file)})
            decision = decide_release(facts)
        if decision.go and facts.asks and not self.request.dry_run:
            facts = ask_sealed(self.context, facts, self.request.answer)
            decision = decide_release(facts)
        tag = version_tag(facts.model, Version.parse(facts.version))
        result = ReleaseResult(facts=facts, decision=decision, tag=tag, dry_run=self.request.dry_run)
        if decision.go and not self.request.dry_run:
            entry, unwatched = self._make(facts, tag, file)
            return result.model_copy(update={"entry": entry, "unwatched": unwatched})
        if facts.released is None or decision.refused:
            return result
        restored = restore_tags(self.context, self.tags, self.entries, facts.released, dry_run=self.request.dry_run)
        unwatched = self._refer_again(facts.released)
        return result.model_copy(update={"entry": facts.released, "restored": restored, "unwatched": unwatched})

    def _refer_again(self, release: ReleaseEntry) -> Unwatched | None:
        """Record the reference that a version lacks, where a verdict on its bytes has one by now."""
        model = _model(self.context, release)
        if model is None or reference_of(self.entries, release) is not None:
            return None
        found = _reference(self.context, model, release, self._rested_on(release))
        if isinstance(found, Unwatched):
            return found
        if not self.request.dry_run:
            self.context.record(found)
        return None

    def _rested_on(self, release: ReleaseEntry) -> tuple[VerdictEntry, ...]:
        """The verdicts on a version's bytes, the one that it rests on first."""
        known = [each for each in self.entries if isinstance(each, VerdictEntry)]
        mine = [each for each in known if (each.key, each.digest) == (release.key, release.digest)]
        own = (release.attempt, release.judge)
        return tuple(sorted(mine, key=lambda each: ((each.attempt, each.judge) == own, each.order), reverse=True))

    def _next(self, registry: Registry, commit: Sha, verdict: VerdictEntry | None) -> Version:
        """The version that these bytes or this commit have already; else the next one.

        So the command can be repeated: one that was killed after tagging is finished, and one that has nothing to
        do makes no second version of the same bytes.
        """
        mine = registry.of_model(self.request.model)
        released = releases(self.entries, self.request.model)
        # The release of a pre-release has the same bytes, and is asked for in these words.
        final = final_releases(self.entries, self.request.model)
        same = [each for each in final if verdict and each.digest == verdict.digest]
        here = [each.version for each in mine.versions if each.commit == commit and each.withdrawn is None]
        here = [each for each in here if not each.pre]
        if same or here:
            return Version.parse(same[-1].version) if same else here[-1]
        recorded = [Version.parse(each.version) for each in released]
        return registry.next_version(self.request.model, self.request.bump or "patch", recorded=recorded, first=FIRST)

    def _commit(self, tag: TagRef | None, released: ReleaseEntry | None) -> Sha:
        """What is asked for, else where the version is; else the tip."""
        if tag and tag.commit_sha and self.context.repository.find(tag.commit_sha) is None:
            self.tags.bring(tag.name)
        if self.request.commit is not None:
            return self.context.repository.resolve(self.request.commit)
        if tag and tag.commit_sha:
            return tag.commit_sha
        return released.commit if released else self.context.tip

    def _facts(self) -> ReleaseFacts:
        every, model = self.tags.all(), self.request.model
        asked = Version.parse(self.request.version) if self.request.version is not None else None
        known = release_of(self.entries, model, asked.text) if asked else None
        commit = self._commit(_find(every, version_tag(model, asked)) if asked else None, known)
        keys = self._keys(commit)
        verdicts = self._verdicts(keys or frozenset())
        version = asked or self._next(Registry.of(every), commit, latest(verdicts))
        return ReleaseFacts(
            model=model,
            version=version.text,
            commit=commit,
            branch=self.context.branch,
            models=tuple(each.name for each in self.context.config.models),
            configured=keys is not None,
            merged=self.context.is_merged(commit),
            tag=_tag_facts(_find(every, version_tag(model, version))),
            released=release_of(self.entries, model, version.text),
            verdicts=verdicts,
            parent_judged=not verdicts and bool(self._verdicts(self._keys(f"{commit}^") or frozenset())),
            inconclusive=self.context.config.inconclusive.promotion,
            sealed=self._sealed(latest(verdicts)),
        )

    def _sealed(self, verdict: VerdictEntry | None) -> SealedFacts | None:
        """What is known of the sealed rows before they are asked."""
        model = self.context.config.model(self.request.model)
        if model is None or model.data.sealed is None:
            if self.request.waive_sealed:
                raise UsageError(f"{self.request.model} has no sealed rows, so there is nothing to waive")
            return None
        found = sealed_facts(self.context, model, self.entries)
        answered = self.request.waive_sealed or (
            verdict and waiver_of(self.entries, model.name, verdict.key, found.rules)
        )
        return found.model_copy(update={"waived": bool(answered)})

    def _verdicts(self, keys: frozenset[Digest]) -> tuple[VerdictEntry, ...]:
        return tuple(
            each
            for each in self.entries
            if isinstance(each, VerdictEntry)
            and each.key in keys
            and each.branch == self.context.branch
            and each.commit in self.context.chain
        )

    def _keys(self, rev: str) -> frozenset[Digest] | None:
        """The model's content keys at a commit, with and without data outside git; None where it has no such model."""
        commit = self.context.repository.find(rev)
        if commit is None:
            return None
        try:
            sides = [self.context.sides_at(commit, outside=outside).head for outside in (False, True)]
            models = [side.config.model(self.request.model) for side in sides]
            pairs = zip(models, sides, strict=True)
            return frozenset(Subject.of(model, side).key for model, side in pairs if model) or None
        except UsageError:  # history need not be usable, and a commit without a config has no model
            return None

    def _fetch(self, verdict: VerdictEntry, file: Path) -> Stored:
        if verdict.digest is None:
            return Stored.MISSING
        self.context.say(f"Verifying the bytes of {verdict.digest[:19]} in {self.context.store.url}")
        return self.context.fetch(verdict.digest, file)

    def _make(self, facts: ReleaseFacts, name: str, file: Path) -> tuple[ReleaseEntry, Unwatched | None]:
        """Golden requests into the store, the tag, the ledger: in this order, so that what is recorded is whole."""
        verdict = facts.verdict
        if verdict is None or verdict.digest is None:
            raise LookupError(f"{facts.model} was let through without judged bytes")
        model = self.context.configs_at(facts.commit).head.model(facts.model)
        if model is None:
            raise LookupError(f"{facts.model} was let through without a config")
        entry = self._entry(facts, verdict, self._golden(facts, model, file))
        entry = entry if model.is_onnx else entry.model_copy(update={"file": ANY_FILE})
        reference = _reference(self.context, model, entry, (verdict,))
        self._waive(facts, verdict)
        self.context.say(f"Tagging {facts.commit[:10]} as {name}")
        tag = _tagged(self.tags, entry)
        if tag.commit_sha != facts.commit:
            raise NotEvaluatedError(f"the tag {name} was made at another commit meanwhile", hint="Run it again.")
        entry = entry.model_copy(update={"tag_object": tag.object_sha})
        if isinstance(reference, Unwatched):
            self.context.record(entry)
            return entry, reference
        self.context.record(entry, reference)
        return entry, None

    def _waive(self, facts: ReleaseFacts, verdict: VerdictEntry) -> None:
        """Record who answers for the release in the place of sealed rows, before it is made."""
        if facts.sealed is None or not self.request.waive_sealed:
            return
        if waiver_of(self.entries, facts.model, verdict.key, facts.sealed.rules) is None:
            self.context.record(
                WaiverEntry(
                    model=facts.model,
                    key=verdict.key,
                    policy=facts.sealed.rules,
                    gate=GATE,
                    reason=self.request.waive_sealed,
                    actor=self.context.actor,
                    commit=facts.commit,
                    branch=self.context.branch,
                    time=self.context.time,
                )
            )

    def _golden(self, facts: ReleaseFacts, model: Model, file: Path) -> Digest | None:
        """Golden requests of the released bytes, made from the commit's own data, in the store.

        None of a model that an evaluator scores.
        """
        from mlbot.ml.golden import make_golden

        if model.evaluate is not None:
            return None
        self.context.say(f"Recording {GOLDEN_ROWS} golden requests")
        asking = asker(self.context, facts.commit, model.name)
        with self.context.checkout(facts.commit, model) as root, asking as ask:
            golden = make_golden(file, model, root, GOLDEN_ROWS, ask)
        digest = digest_of(golden)
        stored = self.folder / GOLDEN_FILE
        stored.write_bytes(golden_bytes(golden))
        self.context.store.put(digest, stored)
        return digest

    def _entry(self, facts: ReleaseFacts, verdict: VerdictEntry, golden: Digest | None) -> ReleaseEntry:
        training = self._training(verdict)
        return ReleaseEntry(
            model=facts.model,
            version=facts.version,
            commit=facts.commit,
            key=verdict.key,
            digest=verdict.digest or "",
            attempt=verdict.attempt,
            judge=verdict.judge,
            golden=golden,
            training=verdict.training if training else None,
            data=training.data if training else {},
            params=training.params if training else {},
            environment=training.environment if training and not training.origin else None,
            origin=training.origin if training else None,
            seed=verdict.files[0].seed if verdict.files else 0,
            sealed=facts.sealed.shown(verdict.digest) if facts.sealed else None,
            actor=self.context.actor,
            run=self.context.run,
            time=self.context.time,
        )

    def _training(self, verdict: VerdictEntry) -> Training | None:
        raw = self.context.document(verdict.training)
        return read(raw, Training, "The stored training record", most_bytes=MOST_BYTES) if raw else None


@contextmanager
def asker(context: RepositoryContext, commit: Sha, name: Name) -> "Iterator[Ask | None]":
    """What asks a model as it was released: its predictor at that commit; None where mlbot asks it itself."""
    try:
        config = context.configs_at(commit).head
    except UsageError:  # history need not be usable
        yield None
        return
    model = config.model(name)
    if model is None or model.predict is None:
        yield None
        return
    source = RuleSource(repository=context.repository, commit=commit, config=config, is_judge=context.run is not None)
    with context.checkout(commit, model) as root:
        asking = Asking(model=model, source=source, folder=root, progress=context.say)
        yield lambda file, holdout: asking.many([file], holdout, [0])[0]


def read_golden(context: RepositoryContext, entry: ReleaseEntry) -> Golden | None:
    """The golden requests of a release; None where it has none.

    Raises:
        NotEvaluatedError: what is stored is no such record, or not about these bytes.
    """
    raw = context.document(entry.golden)
    if raw is None:
        return None
    golden = read(raw, Golden, "The stored golden requests", most_bytes=MOST_BYTES)
    if golden.digest != entry.digest:
        raise NotEvaluatedError(
            f"the golden requests of {name_of(entry.model, entry.version)} are about other bytes: {golden.digest[:19]}",
            hint="Release the model again under a new version.",
        )
    return golden


def restore_tags(
    context: RepositoryContext,
    tags: Tags,
    entries: tuple[Entry, ...],
    release: ReleaseEntry,
    *,
    dry_run: bool = False,
) -> tuple[str, ...]:
    """Put back the tags of a version that somebody deleted: its own, then those of where it is live. Their names.

    Raises:
        RefusedError: the token or a rule of the repository forbids it.
        NotEvaluatedError: the remote does not answer.
    """
    found, name = [], version_tag(release.model, Version.parse(release.version))
    if tags.find(name) is None:
        found.append(name)
        if not dry_run:
            context.say(f"Tagging {release.commit[:10]} as {name}, as it was")
            _tagged(tags, release)
    if found and dry_run:  # a stage's tag is no use, and so not to be judged, before its version's is there
        return tuple(found)
    for environment in dict.fromkeys(each.environment for each in deployments(entries, release.model)):
        last = live(entries, environment, release.model)
        if last is not None and last.version == release.version:
            found += tag_stage(context, tags, last, release, dry_run=dry_run)
    return tuple(found)


def try_to_tag(context: RepositoryContext, make: Callable[[Tags], object]) -> str:
    """Write tags that show what is done already; why they could not be written, which undoes nothing. Empty: it is."""
    try:
        with context.tags() as tags:
            make(tags)
    except MlbotError as error:
        context.say(f"The tag could not be written: {error.line}")
        return error.sentence
    return ""


class Repair(Record):
    """Tags that the ledger has what they show of: those written, and those that could not be, with the reason."""

    schema_version: Literal["mlbot/repair@1"] = "mlbot/repair@1"
    dry_run: bool = False
    written: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()


def repair_tags(context: RepositoryContext, *, dry_run: bool = False) -> Repair:
    """Write the tags that are missing: of every version that the ledger released, and of where each is live.

    One that cannot be written stops no other. Errors: as `RepositoryContext.entries`.
    """
    entries = context.entries()
    written: list[str] = []
    failed: list[str] = []
    with context.tags() as tags:
        for each in sorted(releases(entries), key=lambda each: (each.model, Version.parse(each.version).order)):
            try:
                written += restore_tags(context, tags, entries, each, dry_run=dry_run)
            except MlbotError as error:
                failed.append(f"{name_of(each.model, each.version)}: {error.line}")
    return Repair(dry_run=dry_run, written=tuple(written), failed=tuple(failed))


def _tagged(tags: Tags, release: ReleaseEntry) -> TagRef:
    """The tag of a version. It is made of the ledger's entry alone, so that one put back is the very same."""
    name = version_tag(release.model, Version.parse(release.version))
    sentence = f"Release {name_of(release.model, release.version)}"
    return tags.make(name, sentence, TagNote.of(release, release), release.time)


def tag_stage(
    context: RepositoryContext, tags: Tags, entry: DeploymentEntry, release: ReleaseEntry, *, dry_run: bool = False
) -> tuple[str, ...]:
    """Let the tags say what the ledger says of an environment: the tag that is made; none where they say it already."""
    registry = tags.registry()
    now = registry.of_model(entry.model).current(entry.environment)
    if now and now.version and now.version.text == entry.version and now.commit == release.commit:
        return ()
    name = stage_tag(entry.model, entry.environment, registry.next_counter(entry.model))
    if not dry_run:
        context.say(f"Tagging {release.commit[:10]} as {name}")
        sentence = f"{name_of(entry.model, entry.version)} is live in {entry.environment}"
        tags.make(name, sentence, TagNote.of(release, entry), entry.time)
    return (name,)


def _find(tags: Iterable[TagRef], name: str) -> TagRef | None:
    return next((each for each in tags if each.name == name), None)


def _tag_facts(tag: TagRef | None) -> TagFacts | None:
    if tag is None:
        return None
    return TagFacts(
        name=tag.name,
        object_sha=tag.object_sha,
        commit=tag.commit_sha,
        annotated=tag.annotated,
        by_mlbot=read_note(tag.message) is not None,
    )


_MOST_DEPTH = 64


def _reference(
    context: RepositoryContext, model: Model, release: ReleaseEntry, verdicts: Iterable[VerdictEntry]
) -> ReferenceEntry | Unwatched:
    """What the judge saw of the holdout and of the answers, as it is stored with a verdict on these bytes; or why not.

    Neither is the holdout read for it here, nor the model asked.
    """
    if model.evaluate is not None:
        return Unwatched.NO_ROWS
    if not model.data.sketches_holdout:
        return Unwatched.HIDDEN if model.data.sketch is None else Unwatched.OFF
    found = (_sketch(context.document(each.report)) for each in verdicts)
    sketch = next((each for each in found if each is not None), None)
    if sketch is None:
        return Unwatched.OLDER
    known = {name: getattr(release, name) for name in ("model", "version", "digest")}
    return ReferenceEntry(**known, sketch=sketch, time=context.time)


def _sketch(raw: bytes | None) -> Sketch | None:
    """That of a stored report; None where there is none, or it cannot be read, which holds no release up."""
    try:
        return _read_report(raw).reference if raw else None
    except MlbotError:
        return None


def write_release(
    context: RepositoryContext, release: ReleaseEntry, folder: Path, url: str | None = None
) -> Mapping[str, Path]:
    """Write a release's files into a folder: the files by the names they are published under.

    Raises:
        NotEvaluatedError: the store does not answer, or has not the very bytes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = name_of(release.model, release.version)
    model_file = folder / file_name(release)
    if context.fetch(release.digest, model_file) is not Stored.VERIFIED:
        raise NotEvaluatedError(f"the store has not the very bytes of {name}", where=context.store.url)
    if model_file.is_dir():  # a page has files alone
        model_file = to_tar(model_file)
    verdict = _verdict(context, release)
    training, raw_training = _training(context, release)
    report = _report(context, verdict)
    waiver = answering(context.ledger.read("waiver", release.model, release.key).entries, release)
    raw = {
        CARD_FILE: card_text(card_of(release, _model(context, release), verdict, report, url, waiver)).encode(),
        MANIFEST_FILE: manifest(release, training, model_file.name),
        TRAINING_FILE: raw_training,
        GOLDEN_FILE: context.document(release.golden),
    }
    for file, content in raw.items():
        if content is not None:
            (folder / file).write_bytes(content)
    made = [model_file.name, *(file for file, content in raw.items() if content is not None)]
    sums = checksums({file: _digest(folder / file) for file in made})
    (folder / SUMS_FILE).write_text(sums, encoding="utf-8")
    return {file: folder / file for file in (*made, SUMS_FILE)}


def _verdict(context: RepositoryContext, release: ReleaseEntry) -> VerdictEntry | None:
    """The verdict that the release names; where there is no such one any more, the latest on the same inputs."""
    known = context.ledger.read("verdict", release.model, release.key).entries
    named = (
        each
        for each in known
        if isinstance(each, VerdictEntry) and (each.key, each.digest) == (release.key, release.digest)
    )
    mine = [each for each in named if (each.attempt, each.judge) == (release.attempt, release.judge)]
    return mine[-1] if mine else latest_by_key(known, context.branch).get((release.model, release.key))


def _training(context: RepositoryContext, release: ReleaseEntry) -> tuple[Training | None, bytes | None]:
    raw = context.document(release.training)
    return (read(raw, Training, "The stored training record", most_bytes=MOST_BYTES), raw) if raw else (None, None)


def _report(context: RepositoryContext, verdict: VerdictEntry | None) -> ModelReport | None:
    raw = context.document(verdict.report) if verdict else None
    return _read_report(raw) if raw else None


def _read_report(raw: bytes) -> ModelReport:
    return read(raw, ModelReport, "The stored report", most_bytes=MOST_BYTES, most_depth=_MOST_DEPTH)


def _model(context: RepositoryContext, release: ReleaseEntry) -> Model | None:
    try:
        return context.configs_at(release.commit).head.model(release.model)
    except UsageError:  # history need not be usable
        return None


def _digest(file: Path) -> Digest:
    with file.open("rb") as stream:
        return digest_of_stream(stream)
