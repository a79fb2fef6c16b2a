"""`mlbot run --record`: what a push to the guarded branch does on GitHub. Judge its tip, store, write the ledger."""

import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from mlbot.console import Console
from mlbot.errors import Exit, UsageError
from mlbot.events.github import Attempt
from mlbot.gates.outcome import Outcome
from mlbot.judging.ledger_entries import Origin, entries_of
from mlbot.judging.run_compose import Found
from mlbot.judging.run_local import RunOptions, Work, judge_commits
from mlbot.judging.run_output import Outputs, hand_out
from mlbot.ledger.entries import Entry, VerdictEntry
from mlbot.ledger.queries import latest_by_key
from mlbot.lib.extras import require
from mlbot.lib.record import Sha
from mlbot.plan.plan import Plan
from mlbot.registry.run_repository import RepositoryContext
from mlbot.report.report import Report, documents_of
from mlbot.verdict.verdict import Commits

_KEPT = {Outcome.PASS, Outcome.INCONCLUSIVE}
"""Outcomes whose files are stored: what may be released, and what may be compared with."""


def record_run(
    directory: Path,
    options: RunOptions,
    outputs: Outputs,
    console: Console,
    environment: Mapping[str, str] = os.environ,
) -> Exit:
    """Judge the guarded branch's tip, hand the report out, store what passed, and write the verdict to the ledger.

    Returns:
        The exit code that the verdict stands for.

    Raises:
        UsageError: this is not the guarded branch's tip, the tree is not clean, or the config names no store.
        MlbotError: nothing could be judged, stored or written.
    """
    outputs.check()
    return hand_out(record_models(directory, options, console, environment), outputs, console)


def record_models(
    directory: Path, options: RunOptions, console: Console, environment: Mapping[str, str] = os.environ
) -> Report:
    """As `record_run`, without handing the report out."""
    require("ml", needed_for="Judging a model")
    context = RepositoryContext.of_laptop(directory, environment, console.say)
    tip = _check(context, options)
    where = "at origin" if context.has_remote else "in this repository"  # an URL may hold somebody's password
    console.say(f"Judging {context.branch} at {tip[:10]} against its parent, for the ledger {where}")
    context.update_checkout()  # waivers and earlier verdicts are read from there
    known = context.entries("verdict")

    def keep(report: Report, found: Sequence[Found]) -> None:
        _store(context, report, found)
        _append(context, report, known)

    work = Work(
        repository=context.repository,
        commits=_commits(context, tip),
        options=replace(options, base=None),
        wanted=lambda plan: _unjudged(plan, known, context.branch, options.models),
        then=keep,
    )
    report = judge_commits(work, console)
    context.update_checkout()
    return report


def _check(context: RepositoryContext, options: RunOptions) -> Sha:
    """The guarded branch's tip, if it is what is checked out."""
    if options.base is not None:
        raise UsageError("--record judges against the parent, so --base says nothing", hint="Leave one of them out.")
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


def _commits(context: RepositoryContext, tip: Sha) -> Commits:
    """The tip is judged by its own rules, as GitHub's judge does after a push; the baseline is its first parent's."""
    return Commits(head=tip, base=context.repository.find(f"{tip}^"), policy=tip, guarded=context.branch)


def _unjudged(plan: Plan, known: Iterable[Entry], branch: str, asked: tuple[str, ...]) -> Plan:
    return plan if asked else plan.unjudged(latest_by_key(known, branch))


def _store(context: RepositoryContext, report: Report, found: Sequence[Found]) -> None:
    """Keep the files of models that may be released or compared with, and the documents beside them."""
    for each, model in zip(found, report.models, strict=False):
        if model.verdict.outcome in _KEPT:
            for entry, evaluation in zip(each.case.candidate, model.candidate, strict=False):
                if isinstance(entry.file, Path) and evaluation.digest and not evaluation.problem:
                    context.say(
                        f"Storing {model.model} seed {entry.seed} as {evaluation.digest[:19]} in {context.store.url}"
                    )
                    context.store.put(evaluation.digest, entry.file)
    with tempfile.TemporaryDirectory(prefix="mlbot-record-") as folder:
        for digest, raw in documents_of(report).items():
            file = Path(folder) / "document.json"
            file.write_bytes(raw)
            context.store.put(digest, file)


def _append(context: RepositoryContext, report: Report, known: Iterable[Entry]) -> None:
    attempt = _next_attempt(known)
    origin = Origin(branch=context.branch, attempt=attempt, judge=attempt, time=context.time)
    entries = [_without_artifacts(entry) for entry in entries_of(report, origin)]
    if entries:
        context.record(*entries)
        context.say(f"The ledger has {len(entries)} new verdict{'s' * (len(entries) > 1)}.")


def _next_attempt(known: Iterable[Entry]) -> Attempt:
    """A number after all others: GitHub's own, which count up by themselves, are greater than any made here."""
    runs = (run for each in known if isinstance(each, VerdictEntry) for run in (each.attempt.run, each.judge.run))
    return Attempt(run=max(runs, default=0) + 1)


def _without_artifacts(entry: VerdictEntry) -> VerdictEntry:
    """On a laptop no run of GitHub holds the files; the store does."""
    files = tuple(each.model_copy(update={"run": None, "artifact": None}) for each in entry.files)
    return entry.model_copy(update={"files": files})
