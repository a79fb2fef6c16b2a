"""What becomes of a verdict: published on GitHub, its files stored, its entries written to the ledger.

`mlbot ci pending`, `publish` and `store`; and `mlbot run --record`, which does on a laptop what a push does on GitHub.
Publishing is the only writer: it takes validated records, and reads head again before it writes.
"""

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from mlbot.config.schema import Config
from mlbot.console import Console
from mlbot.errors import Exit, MlbotError, NotEvaluatedError, UsageError, require
from mlbot.events.github import Attempt
from mlbot.gates.outcome import Outcome
from mlbot.git.ledger import LedgerBranch, push_charts
from mlbot.git.repository import Repository
from mlbot.github.api import open_heads
from mlbot.github.executor import Effected, Executor, StatusSet, dry_run
from mlbot.judging.run_ci import CIRun
from mlbot.judging.run_files import Intake, is_stored, store_of
from mlbot.judging.run_hosted import (
    CHARTS,
    DECISION_FILE,
    REPORT_FILE,
    THEMES,
    TRIAL_FILE,
    failed_trial,
)
from mlbot.judging.run_judge import JudgeResult
from mlbot.judging.run_local import Outputs, RunOptions, Work, hand_out, judge_commits
from mlbot.judging.trial import TrialResult, read_results, trials, with_result
from mlbot.ledger.entries import CostEntry, Entry, LookEntry, Time, VerdictEntry, time_of
from mlbot.lib.artifact import MODEL_FILE
from mlbot.lib.record import Digest, FileDigest, Sha, digest
from mlbot.lib.templates import phrase
from mlbot.lib.untrusted_json import read
from mlbot.protocol.answer import Reruns
from mlbot.protocol.decision import (
    Cause,
    Decision,
    FinishWithoutJudging,
    Handover,
    Ignore,
    Judge,
    JudgedSubject,
    PullRequestSubject,
    PushSubject,
    Subject,
    Wait,
)
from mlbot.protocol.marker import attempt_of, carries, marker_of, run_of
from mlbot.protocol.operations import COMMENT_LIMIT, Dispatch, Operation, Rerun, SetStatus
from mlbot.publish.plan_operations import (
    WORDS,
    Asker,
    Origin,
    Rendered,
    broken,
    charts_of,
    cost_of,
    end_pending,
    entries_of,
    finish,
    given_on,
    lacking,
    looks_by,
    looks_of,
    not_run,
    pending,
    pictures_of,
    profiles_of,
    publish,
    publish_trial,
    signature,
    together,
    why_unjudged,
)
from mlbot.registry.run_repository import RepositoryContext
from mlbot.report.report import ModelReport, Report, documents_of
from mlbot.storage.store import ModelStore
from mlbot.verdict.verdict import Commits, Evaluation

_STORED = {Outcome.PASS, Outcome.INCONCLUSIVE}
"""Outcomes whose files are stored: what may be released, and what may be compared with."""

_UNSTORED = {"failure", "cancelled"}

HANDOVER_BYTES = 1 << 20

REPORT_BYTES = 64 << 20

_CHART_BYTES = 1 << 20

_SUMMARY_UNITS = 1_000_000

Drawn = dict[str, tuple[str, str]]


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishOptions:
    """What the command line says."""

    folder: Path
    digest: str = ""  # of the handover, as the judge's job put it out; empty where that job did not succeed
    judge: int = 1  # the attempt of this run in which the judge's job ran
    problem: str = ""  # why the judge's job failed, as it put it out
    dry_run: bool = False
    stored: str = ""  # how the job ended that stored the accepted files, as GitHub says it; empty where there was none


_NONE = "none"  # what a job puts out instead of nothing: GitHub keeps an earlier attempt's output for an empty one


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """What the judge handed over of one subject, each file only as it was then."""

    folder: Path
    handover: Handover
    subject: JudgedSubject

    def read(self, name: str, most_bytes: int) -> bytes:
        """A file. Raises `FileNotFoundError` for one that was not handed over, `MlbotError` for another one."""
        path = f"{self.subject.folder}{name}"
        wanted = self.handover.files.get(path)
        if wanted is None:
            raise FileNotFoundError(path)
        return _verified(self.folder / path, wanted, most_bytes)

    @property
    def report(self) -> Report:
        """The report. Raises as `read`, and `MlbotError` for what is none."""
        return read(self.read(REPORT_FILE, REPORT_BYTES), Report, REPORT_FILE, most_bytes=REPORT_BYTES, most_depth=64)


def judged(run: CIRun, options: PublishOptions) -> tuple[Judged, ...]:
    """What the judge's job handed over, known by its digest; nothing where it did not succeed.

    Artifacts are found by names, and whoever has a job in the run may take a name first.

    Raises:
        MlbotError: what is there is not what was handed over, or was so in another attempt.
    """
    if options.digest in {"", _NONE}:
        return ()
    raw = _verified(options.folder / DECISION_FILE, options.digest, HANDOVER_BYTES)
    handover = read(raw, Handover, DECISION_FILE, most_bytes=HANDOVER_BYTES)
    if handover.judge != Attempt(run=run.job.run.run, number=options.judge):
        raise NotEvaluatedError(f"the report is of attempt {handover.judge}, and the judge ran again")
    return tuple(Judged(folder=options.folder, handover=handover, subject=each) for each in handover.subjects)


def _verified(path: Path, wanted: Digest, most_bytes: int) -> bytes:
    if path.is_file() and path.stat().st_size <= most_bytes and digest(raw := path.read_bytes()) == wanted:
        return raw
    raise NotEvaluatedError(f"the judge's {path.name} is not there, or is not the one that it handed over")


def _of_commit(run: CIRun, found: Sequence[Sequence[Operation]]) -> tuple[Operation, ...]:
    """What is done about a commit, as `together` says; a push leaves alone what open pull requests with it need.

    A branch that is pushed to may be proposed for another one: what came of the push would hide what came of that.
    """
    operations = together(found, run.policy)
    statuses = [each for each in operations if isinstance(each, SetStatus)]
    if not any(isinstance(each.subject, PushSubject) for each in statuses):
        return operations
    bases = [each.base_ref for each in run.proposed(statuses[0].subject.sha)]
    taken = {run.policy.own_context(each) for each in bases} | {run.place.context for _ in bases}
    return tuple(each for each in operations if not isinstance(each, SetStatus) or each.context not in taken)


def again_run(run: CIRun, judge_path: str) -> Exit:
    """Run trainings again that publish recorded a request for, and start the judge of each: nobody else would.

    Where GitHub refuses, what waits for it says so: a request that nobody meets would leave it pending for ever.
    """
    try:
        return _again(run, _executor(run), judge_path)
    except MlbotError:
        _announce(run, "not_again")
        raise


def _again(run: CIRun, executor: Executor, judge_path: str) -> Exit:
    begun = run.begun_after()
    if begun is not None:  # by this job, which did not come to start the judge
        executor.do(_judge_of(run, begun, judge_path))
        return Exit.OK
    for decision in run.decide():
        if not isinstance(decision, Judge):
            continue
        attempt = Attempt(run=decision.attempt.run, number=decision.attempt.number + 1)
        if not _is_asked(run, decision, attempt):
            run.console.say(f"Nothing is run again for {decision.subject.sha[:10]}: no request for it is recorded.")
            continue
        if executor.do(Rerun(attempt=attempt, subject=decision.subject)) != Effected.NOT_CURRENT:
            executor.do(_judge_of(run, attempt, judge_path))
    return Exit.OK


def _is_asked(run: CIRun, decision: Judge, attempt: Attempt) -> bool:
    """Whether a judge's request for an attempt is recorded: for seeds in the ledger, else in a comment."""
    subject, reruns = decision.subject, Reruns(waves=run.waves(attempt.run))
    if reruns.wave(attempt, subject.sha, decision.number) is not None:
        return True
    if not isinstance(subject, PullRequestSubject):
        return False
    request = Reruns.of_pull_request(run.records(subject.number), subject.number).request(attempt)
    return request is not None and request.tip is not None and request.sha == subject.sha


def _judge_of(run: CIRun, attempt: Attempt, path: str) -> Dispatch:
    inputs = {"run-id": str(attempt.run), "run-attempt": str(attempt.number)}
    return Dispatch(workflow=PurePosixPath(path).name, ref=run.policy.default_branch, inputs=inputs)


def announce_failure(run: CIRun, *, dry_run: bool = False) -> Exit:
    """Set the statuses of a commit whose verdict could not be published, so that they do not stay pending for ever."""
    return _announce(run, "not_published", dry_run=dry_run)


def _announce(run: CIRun, why: str, *, dry_run: bool = False) -> Exit:
    """End what is pending of a commit by an error."""
    training, subjects = run.announced()
    if isinstance(subjects, Ignore):
        run.console.say(f"Nothing is posted: {subjects.sentence}")
        return Exit.OK
    decisions = [Judge(subject=each, attempt=training.this_attempt) for each in subjects]
    operations = _of_commit(run, [broken(each, run.place, phrase(WORDS, why)) for each in decisions])
    fallback = {"fallback": True}  # what did get published is not written over
    found = [each.model_copy(update=fallback) if isinstance(each, SetStatus) else each for each in operations]
    return _apply(run, found, dry=dry_run)


def publish_run(run: CIRun, options: PublishOptions) -> Exit:
    """Publish what the judge found of each pull request with its head.

    Where it handed nothing over, an error: silence would leave the status pending.
    """
    found: Sequence[tuple[Decision, Judged | str]]
    try:
        found = [(each.subject.decision, each.subject.problem or each) for each in judged(run, options)]
        why = _why(options)
    except MlbotError as error:
        found, why = (), f"{error.what}."
    found = found or [(each, why) for each in run.decide()]
    if options.judge < run.job.run.number:  # it runs again alone, with what the judge found in an attempt before
        found = [(decision, each) for decision, each in found if not _has_newer_verdict(run, decision)]
    operations = [
        _operations(run, decision, each, options, alone=len(found) == 1)
        for decision, each in found
        if len(found) == 1 or isinstance(decision, Ignore) or _is_current(run, decision.subject)
    ]
    try:
        return _apply(run, _of_commit(run, operations), dry=options.dry_run) if any(operations) else Exit.OK
    finally:
        if not options.dry_run:
            sweep(run)


def _has_newer_verdict(run: CIRun, decision: Decision) -> bool:
    """Whether a judge that began later than this one has judged the same attempt: by newer rules, or after a waiver."""
    if not isinstance(decision, Judge):
        return False
    latest = run.github.status(decision.subject.sha, run.place.context)
    if latest is None or attempt_of(latest.url) != decision.speaks_as:
        return False
    newer = (run_of(latest.url) or 0) > run.job.run.run
    if newer:
        run.console.say("Nothing is posted: a judge that began later has judged the same training.")
    return newer


_MOST_SWEPT = 20  # heads: GitHub lets a token write 80 times a minute, and the next publication finds the others


def sweep(run: CIRun) -> None:
    """Set the statuses of open heads that have none: no run of mlbot's ever told of them.

    A pull request can rename the workflow in its own copy of the file, and a job of the check's name would meet a
    status that nobody has set. What came of this verdict is written before; a fault here is for the log.
    """
    try:
        executor = _executor(run)
        found = [lacks for each in open_heads(run.github) if (lacks := not_run(each, run.place, run.policy))]
        for each in found[:_MOST_SWEPT]:
            if executor.do(each) == StatusSet.SET:
                run.console.say(f"#{each.number} had no status {' and '.join(each.listed)}: it is pending now.")
    except MlbotError as error:
        run.console.say(f"Heads without a status were not looked for: {error.what}")


def _is_current(run: CIRun, subject: Subject) -> bool:
    """Whether a pull request is still what was judged: a closed one is no part of the worst of its head."""
    if not isinstance(subject, PullRequestSubject) or subject.is_still(run.github.pull_request(subject.number)):
        return True
    run.console.say(f"#{subject.number} was closed or changed meanwhile, so it does not count.")
    return False


def _operations(
    run: CIRun, decision: Decision, found: Judged | str, options: PublishOptions, *, alone: bool
) -> tuple[Operation, ...]:
    match decision:
        case Ignore() if alone and decision.leaves_pending:
            run.console.say(f"What is pending ends: {decision.sentence}")
            sha = run.github.run(run.attempt.run).head_sha
            # A closed pull request may be opened again, without a run that would take a success back.
            may_be = decision.cause is Cause.NO_PULL_REQUEST or bool(run.proposed(sha))
            return end_pending(sha, run.attempt, run.place, run.policy, proposed=may_be)
        case Ignore():
            run.console.say(f"Nothing is posted: {decision.sentence}")
            return ()
        case Wait() if alone:
            run.console.say("Nothing is posted yet: the training is not over.")
            return ()
        case Wait():  # its end starts a judge of its own; until then its head does not pass
            return pending(decision.subject, decision.attempt, run.place, run.training_url(decision.attempt))
        case FinishWithoutJudging() | Judge():
            return _ended(run, decision, found, options)


def _why(options: PublishOptions) -> str:
    """Why there is no report."""
    return phrase(WORDS, "no_report") if options.problem in {"", _NONE} else options.problem


def _ended(
    run: CIRun, decision: Judge | FinishWithoutJudging, found: Judged | str, options: PublishOptions
) -> tuple[Operation, ...]:
    if decision.trial:
        return _trial_operations(run, decision, found)
    if isinstance(decision, FinishWithoutJudging):
        return finish(decision, run.place, run.training_url(decision.attempt))
    if options.stored in _UNSTORED:
        return broken(decision, run.place, phrase(WORDS, "not_stored"))
    if isinstance(found, str):
        return broken(decision, run.place, found)
    return _verdict_operations(run, decision, found, dry=options.dry_run)


def _apply(run: CIRun, operations: Sequence[Operation], *, dry: bool) -> Exit:
    if dry:
        dry_run(operations, run.console.result)
    else:
        _executor(run).apply(operations).raise_failures()
    return Exit.OK


def _executor(run: CIRun) -> Executor:
    when = int(datetime.now(UTC).timestamp())
    return Executor(
        github=run.github,
        runner=run.runner,
        append=lambda entries: LedgerBranch.at(run.remote).append(entries, when),
        push=lambda files: push_charts(run.remote, files, when),
    )


def _verdict_operations(run: CIRun, decision: Judge, found: Judged, *, dry: bool) -> tuple[Operation, ...]:
    try:
        report, drawn = found.report, _charts(found)
    except FileNotFoundError:
        return broken(decision, run.place, phrase(WORDS, "no_report"))
    except MlbotError as error:
        return broken(decision, run.place, f"{error.what}.")
    if found.subject.request is not None and run.place.may_write:
        return lacking(decision, report, run.place, found.subject.request, _cost(found, decision, report))
    charts = _push(run, drawn, dry=dry) if drawn else None
    rendered = _rendered(run, report, decision, drawn, charts)
    entries = (
        *_entries(found.handover, decision, report),
        *_looks(run, decision, report),
        *_cost(found, decision, report),
    )
    return publish(decision, report, run.place, rendered, entries, config=run.document)


def _trial_operations(run: CIRun, decision: Judge | FinishWithoutJudging, found: Judged | str) -> tuple[Operation, ...]:
    subject, mark, page = decision.subject, marker_of(run.place, trial=True), run.url
    earlier: tuple[TrialResult, ...] = ()
    if isinstance(subject, PullRequestSubject):
        comments = run.github.comments(subject.number)
        own = [each for each in comments if each.author == run.github.login and carries(each.body, mark)]
        earlier = read_results(own[0].body, mark) if own else ()
        page = f"{page}/pull/{subject.number}"
    results = with_result(earlier, _trial(run, decision, found))
    rendered = Rendered(comment=trials(results, marker=mark, page=page), summary=trials(results, page=page))
    return publish_trial(decision, run.place, rendered, _trial_looks(run, decision, found))


def _trial_looks(run: CIRun, decision: Judge | FinishWithoutJudging, found: Judged | str) -> tuple[Entry, ...]:
    """The looks of a trial whose figures are shown, and what it took of runners."""
    if isinstance(found, str) or not isinstance(decision, Judge):
        return ()
    try:
        return (*_looks(run, decision, found.report), *_cost(found, decision, found.report))
    except (FileNotFoundError, MlbotError):
        return ()  # nothing is shown of it either


def _looks(run: CIRun, decision: Judge, report: Report) -> tuple[LookEntry, ...]:
    return looks_of(report, decision, run.policy.repository_id, _now())


def _cost(found: Judged, decision: Judge, report: Report) -> tuple[CostEntry, ...]:
    return cost_of(report, decision, found.handover.judge, _now())


def _now() -> Time:
    return time_of(datetime.now(UTC))


def _trial(run: CIRun, decision: Judge | FinishWithoutJudging, found: Judged | str) -> TrialResult:
    if isinstance(decision, FinishWithoutJudging):
        return failed_trial(run, decision, why_unjudged(decision))
    if isinstance(found, str):
        return failed_trial(run, decision, f"{found[:1].upper()}{found[1:]}")
    try:
        return read(found.read(TRIAL_FILE, REPORT_BYTES), TrialResult, TRIAL_FILE)
    except FileNotFoundError:
        return failed_trial(run, decision, phrase(WORDS, "no_report").capitalize())
    except MlbotError as error:
        return failed_trial(run, decision, f"{error.what}.")


def _push(run: CIRun, drawn: Drawn, *, dry: bool) -> Sha | None:
    """Push the pictures; a report without them is better than none."""
    if dry:
        dry_run((charts_of(drawn),), run.console.result)
        return None
    return _executor(run).apply((charts_of(drawn),)).charts


def _entries(handover: Handover, decision: Judge, report: Report) -> tuple[Entry, ...]:
    if isinstance(decision.subject, PullRequestSubject):
        return given_on(report, decision.subject.number)
    if not isinstance(decision.subject, PushSubject):
        return ()
    origin = Origin(branch=decision.subject.branch, attempt=decision.attempt, judge=handover.judge, time=_now())
    return (*entries_of(report, origin), *profiles_of(report, origin))


def _charts(found: Judged) -> Drawn:
    """The pictures of the report's models, by the only names that they can have; none of a model that has not both."""
    drawn: Drawn = {}
    for model in found.report.models:
        names = [f"{CHARTS}/{model.model}.{theme}.svg" for theme in THEMES]
        if all(f"{found.subject.folder}{name}" in found.handover.files for name in names):
            light, dark = (found.read(name, _CHART_BYTES).decode() for name in names)
            drawn[model.model] = (light, dark)
    return drawn


def _rendered(run: CIRun, report: Report, decision: Judge, drawn: Drawn, charts: Sha | None) -> Rendered:
    from mlbot.report.markdown import markdown

    pictures = pictures_of(drawn, run.place, charts) if charts else {}
    line = signature(run.place, decision.subject, decision.speaks_as)
    comment = markdown(report, marker=line, pictures=pictures, limit=COMMENT_LIMIT)
    return Rendered(comment=comment, summary=markdown(report, pictures=pictures, limit=_SUMMARY_UNITS))


def store_run(run: CIRun, options: PublishOptions) -> Exit:
    """Put a push's accepted model files and their records into the store. What is there already stays as it is."""
    found, store = next(iter(judged(run, options)), None), store_of(run)
    if store is None or found is None or not is_stored(run, found.subject.decision):
        run.console.say(
            "Nothing is stored: only what is judged on a guarded branch is, where mlbot.yaml names a store."
        )
        return Exit.OK
    try:
        report = found.report
    except FileNotFoundError:
        where = str(options.folder)
        raise NotEvaluatedError("the judge left no report, so nothing is stored", where=where) from None
    with tempfile.TemporaryDirectory(prefix="mlbot-store-") as scratch:
        intake = Intake(run=run, attempt=found.handover.judge, folder=Path(scratch))
        _put_models(intake, report, store)
    _put_documents(report, store)
    return Exit.OK


def _put_models(intake: Intake, report: Report, store: ModelStore) -> None:
    say = intake.run.console.say
    accepted = {str(each.digest): (model, each) for model in report.models for each in _accepted(model)}
    if not accepted:
        say("No file was accepted, so none is stored.")
        return
    wanted = [FileDigest(digest=name, size_bytes=each.size_bytes) for name, (_, each) in accepted.items()]
    files = intake.accepted(wanted, "accepted")
    for name, file in files.items():
        new = store.put(name, file, name=_called(intake.run.config, accepted[name][0].model))
        say(f"{name} {'is now' if new else 'was already'} in {store.url}")


def _called(config: Config | None, name: str) -> str:
    """What a model's file or folder is called where it is put."""
    model = config.model(name) if config else None
    return model.file_name if model else MODEL_FILE


def _accepted(model: ModelReport) -> Iterator[Evaluation]:
    for each in model.candidate if model.verdict.outcome in _STORED else ():
        if each.digest is not None and each.problem is None:
            yield each


def _put_documents(report: Report, store: ModelStore) -> None:
    with tempfile.TemporaryDirectory(prefix="mlbot-documents-") as folder:
        for name, raw in documents_of(report).items():
            file = Path(folder) / "document.json"
            file.write_bytes(raw)
            store.put(name, file)


def record_run(
    directory: Path,
    options: RunOptions,
    outputs: Outputs,
    console: Console,
    environment: Mapping[str, str] = os.environ,
) -> Exit:
    """Judge the guarded branch's tip, hand the report out, store what passed, and write the verdict to the ledger."""
    outputs.check()
    Repository.discover(directory).leave_out(outputs.files)
    return hand_out(record_models(directory, options, console, environment), outputs, console)


def record_models(
    directory: Path, options: RunOptions, console: Console, environment: Mapping[str, str] = os.environ
) -> Report:
    """As `record_run`, without handing the report out."""
    require("judge", needed_for="Judging a model")
    context = RepositoryContext.of_laptop(directory, environment, console.say)
    tip = _check(context, options)
    where = "at origin" if context.has_remote else "in this repository"  # an URL may hold somebody's password
    console.say(f"Judging {context.branch} at {tip[:10]} against what it had before, for the ledger {where}")
    context.update_checkout()  # waivers and earlier verdicts are read from there
    known = context.entries("verdict")

    def record(report: Report, results: Sequence[JudgeResult]) -> None:
        _store(context, report, results)
        _append(context, report, known)

    work = Work(
        repository=context.repository,
        # The tip is judged by its own rules, as GitHub's judge does after a push.
        commits=Commits(head=tip, base=context.repository.find(f"{tip}^"), policy=tip, guarded=context.branch),
        options=replace(options, base=None),
        pushed=True,
        recorded=True,
        then=record,
    )
    report = judge_commits(work, console)
    context.update_checkout()
    return report


def _check(context: RepositoryContext, options: RunOptions) -> Sha:
    if options.base is not None:
        raise UsageError(
            "--record judges against what the branch had before, so --base says nothing", hint="Leave one of them out."
        )
    head, tip = context.repository.find("HEAD"), context.tip
    if head != tip:
        push = f", and push it: git push origin {context.branch}" if context.has_remote else ""
        raise UsageError(
            f"--record is for the tip of {context.branch} ({tip[:10]}), and HEAD is at {(head or 'nothing')[:10]}",
            hint=f"Merge first{push}; then: git checkout {context.branch}",
        )
    if not context.repository.is_clean:
        raise UsageError(
            "--record is for what is committed, and the working tree has more", hint="Commit it, or: git stash"
        )
    _ = context.store  # before hours of training, not after
    return tip


def _store(context: RepositoryContext, report: Report, results: Sequence[JudgeResult]) -> None:
    for result, model in zip(results, report.models, strict=False):
        files = {run.seed: run.file for run in result.request.candidate.runs if isinstance(run.file, Path)}
        for each in _accepted(model):
            context.say(f"Storing {model.model} seed {each.seed} as {str(each.digest)[:19]} in {context.store.url}")
            context.store.put(str(each.digest), files[each.seed], name=_called(context.config, model.model))
    _put_documents(report, context.store)


def _append(context: RepositoryContext, report: Report, known: Iterable[Entry]) -> None:
    attempt = _next_attempt(known)
    origin = Origin(branch=context.branch, attempt=attempt, judge=attempt, time=context.time)
    entries = [_without_artifacts(entry) for entry in entries_of(report, origin)]
    if entries:
        context.record(*entries, *profiles_of(report, origin), *looks_by(Asker(actor=context.actor), report, origin))
        context.say(f"The ledger has {len(entries)} new verdict{'s' * (len(entries) > 1)}.")


def _next_attempt(known: Iterable[Entry]) -> Attempt:
    """A number after all others: GitHub's own, which count up by themselves, are greater than any made here."""
    runs = (run for each in known if isinstance(each, VerdictEntry) for run in (each.attempt.run, each.judge.run))
    return Attempt(run=max(runs, default=0) + 1)


def _without_artifacts(entry: VerdictEntry) -> VerdictEntry:
    """On a laptop no run of GitHub holds the files; the store does."""
    files = tuple(each.model_copy(update={"run": None, "artifact": None}) for each in entry.files)
    return entry.model_copy(update={"files": files})
