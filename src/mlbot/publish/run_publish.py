"""`mlbot publish`: the only writer. Takes validated records, reads head again, writes comment, status and ledger."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from mlbot.console import Console
from mlbot.errors import Exit, MlbotError
from mlbot.git.ledger import ChartsBranch, LedgerBranch
from mlbot.github.executor import Executor, dry_run
from mlbot.judging.ledger_entries import Origin, entries_of, given_on
from mlbot.judging.run_ci import Hosted
from mlbot.judging.run_hosted import CHARTS, DECISION, DECISION_FILE, ERROR_FILE, REPORT_FILE, THEMES, TRIAL_FILE
from mlbot.judging.run_trial import failed_trial
from mlbot.judging.trial import TrialResult, read_results, with_result
from mlbot.ledger.entries import Entry
from mlbot.lib.record import Sha
from mlbot.lib.untrusted_json import read
from mlbot.protocol.decision import Decision, Judge, Leave, PullRequestSubject, PushSubject, Settle, Wait
from mlbot.protocol.marker import carries, marker_of
from mlbot.protocol.operations import COMMENT_LIMIT, Operation
from mlbot.publish.plan_operations import (
    Words,
    broken,
    charts_of,
    pending,
    pictures_of,
    publish,
    publish_trial,
    settle,
    signature,
)
from mlbot.report.report import Report

_UNSTORED = {"failure", "cancelled"}

_NOT_STORED = "the accepted models could not be put into the store; its job's log says why. Fix it, re-run all jobs."

_REPORT_BYTES = 64 << 20

_CHART_BYTES = 1 << 20

_SUMMARY_UNITS = 1_000_000

Drawn = dict[str, tuple[str, str]]


@dataclass(frozen=True, kw_only=True)
class PublishOptions:
    """What the command line says.

    Attributes:
        folder: what the judge left; None: only set the status pending.
        dry_run: print what would be done, and do nothing.
        stored: how the job ended that stored the accepted files, as GitHub says it; empty where there was none.
    """

    folder: Path | None
    dry_run: bool = False
    stored: str = ""


def publish_run(hosted: Hosted, options: PublishOptions, console: Console) -> Exit:
    """Publish what the judge found, or that a training has started.

    Raises:
        MlbotError: GitHub did not do something; the rest was done nevertheless.
    """
    publisher = _Publisher(hosted=hosted, options=options, console=console)
    if options.folder is None:
        return publisher.announce()
    decision = decision_in(options.folder) or hosted.decide()[1]
    match decision:
        case Leave():
            console.say(f"Nothing is posted: {decision.sentence}")
            return Exit.OK
        case Wait():
            console.say("Nothing is posted yet: the training is not over.")
            return Exit.OK
        case Settle() | Judge() if decision.trial:
            return publisher.trial(decision, options.folder)
        case Settle():
            return publisher.apply(settle(decision, hosted.place, hosted.training_url(decision.attempt)))
        case Judge():
            return publisher.verdict(decision, options.folder)


@dataclass(frozen=True, kw_only=True)
class _Publisher:
    hosted: Hosted
    options: PublishOptions
    console: Console

    def announce(self) -> Exit:
        """Set the status of a commit whose training has just started."""
        hosted = self.hosted
        run, subject = hosted.announced()
        if isinstance(subject, Leave):
            self.console.say(f"Nothing is posted: {subject.sentence}")
            return Exit.OK
        if run.completed:
            self.console.say("Nothing is posted: the training is over already.")
            return Exit.OK
        return self.apply(pending(subject, run.this_attempt, hosted.place, run.url))

    def trial(self, decision: Judge | Settle, folder: Path) -> Exit:
        """Publish what came of a trial, in the comment that lists all of the pull request's."""
        hosted, subject = self.hosted, decision.subject
        result = _trial(hosted, decision, folder)
        kept: tuple[TrialResult, ...] = ()
        mark, page = marker_of(hosted.place, trial=True), f"{hosted.job.server_url}/{hosted.job.repository}"
        if isinstance(subject, PullRequestSubject):
            comments = hosted.github.comments(subject.number)
            own = [each for each in comments if each.author == hosted.github.login and carries(each.body, mark)]
            kept = read_results(own[0].body, mark) if own else ()
            page = f"{page}/pull/{subject.number}"
        return self.apply(publish_trial(decision, hosted.place, _trial_words(with_result(kept, result), mark, page)))

    def verdict(self, decision: Judge, folder: Path) -> Exit:
        """Publish a verdict; where the judge left none, an error: silence would leave the status pending for ever."""
        if self.options.stored in _UNSTORED:
            return self.apply(broken(decision, self.hosted.place, _NOT_STORED))
        try:
            report = report_in(folder)
        except FileNotFoundError:
            why = _first_line(folder / ERROR_FILE) or "the judge left no report; its log says why."
            return self.apply(broken(decision, self.hosted.place, why))
        except MlbotError as error:
            return self.apply(broken(decision, self.hosted.place, f"{error.what}."))
        drawn = _charts(folder / CHARTS, report)
        charts = self._push(drawn) if drawn else None
        words = _words(report, decision, self.hosted, drawn, charts)
        entries = self._entries(decision, report)
        operations = publish(decision, report, self.hosted.place, words, entries, config=self.hosted.document)
        return self.apply(operations)

    def apply(self, operations: Sequence[Operation]) -> Exit:
        """Do the operations, or say them."""
        if self.options.dry_run:
            dry_run(operations, self.console.result)
            return Exit.OK
        self._executor().apply(operations).raise_failures()
        return Exit.OK

    def _push(self, drawn: Drawn) -> Sha | None:
        """Push the pictures; a report without them is better than none."""
        if self.options.dry_run:
            dry_run((charts_of(drawn),), self.console.result)
            return None
        return self._executor().apply((charts_of(drawn),)).charts

    def _entries(self, decision: Judge, report: Report) -> tuple[Entry, ...]:
        if isinstance(decision.subject, PullRequestSubject):
            return given_on(report, decision.subject.number)
        if not isinstance(decision.subject, PushSubject):
            return ()
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        origin = Origin(branch=decision.subject.branch, attempt=decision.attempt, judge=self.hosted.job.run, time=now)
        return entries_of(report, origin)

    def _executor(self) -> Executor:
        remote, when = self.hosted.remote, int(datetime.now(UTC).timestamp())
        return Executor(
            github=self.hosted.github,
            runner=self.hosted.runner,
            append=lambda entries: LedgerBranch.at(remote).append(entries, when),
            push=lambda files: ChartsBranch.at(remote).push(files, when),
        )


def report_in(folder: Path) -> Report:
    """The report that a judge left. Raises `FileNotFoundError` where there is none, `MlbotError` for what is none."""
    raw = (folder / REPORT_FILE).read_bytes()
    return read(raw, Report, REPORT_FILE, most_bytes=_REPORT_BYTES, most_depth=64)


def decision_in(folder: Path) -> Decision | None:
    """The decision that a judge left; None where it left none."""
    path = folder / DECISION_FILE
    return DECISION.validate_json(path.read_bytes(), strict=True) if path.is_file() else None


def _charts(folder: Path, report: Report) -> Drawn:
    """The pictures of the report's models, by the only names that they can have."""
    pairs = {model.model: [folder / f"{model.model}.{theme}.svg" for theme in THEMES] for model in report.models}
    return {
        model: (light.read_text(encoding="utf-8"), dark.read_text(encoding="utf-8"))
        for model, (light, dark) in pairs.items()
        if all(path.is_file() and path.stat().st_size <= _CHART_BYTES for path in (light, dark))
    }


def _words(report: Report, decision: Judge, hosted: Hosted, drawn: Drawn, charts: Sha | None) -> Words:
    from mlbot.report.markdown import markdown

    pictures = pictures_of(drawn, hosted.place, charts) if charts else {}
    line = signature(hosted.place, decision.subject, decision.speaks_as)
    comment = markdown(report, marker=line, pictures=pictures, limit=COMMENT_LIMIT)
    return Words(comment=comment, summary=markdown(report, pictures=pictures, limit=_SUMMARY_UNITS))


def _trial(hosted: Hosted, decision: Judge | Settle, folder: Path) -> TrialResult:
    """What the judge wrote of a trial; else why there is nothing."""
    if isinstance(decision, Settle):
        return failed_trial(hosted, decision, f"{decision.sentence.partition(';')[0].rstrip('.')}.")
    try:
        return read((folder / TRIAL_FILE).read_bytes(), TrialResult, TRIAL_FILE)
    except FileNotFoundError:
        why = _first_line(folder / ERROR_FILE) or "The judge left no report; its log says why."
        return failed_trial(hosted, decision, why)
    except MlbotError as error:
        return failed_trial(hosted, decision, f"{error.what}.")


def _trial_words(results: Sequence[TrialResult], mark: str, page: str) -> Words:
    from mlbot.judging.trial import trials

    comment = trials(results, marker=mark, page=page)
    return Words(comment=comment, summary=trials(results, page=page))


def _first_line(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip().splitlines()[0] if path.is_file() else ""
