"""`mlbot publish --store`: put what the judge accepted into the store, before the ledger speaks of it."""

import tempfile
from collections.abc import Iterable
from pathlib import Path

from mlbot.activities.hosted import Hosted
from mlbot.activities.intake import MODEL_BYTES, Intake, accepted
from mlbot.activities.judge import Entry
from mlbot.activities.publish import decision_in, report_in
from mlbot.console import Console
from mlbot.core.artifact import AcceptedArtifact, accepted_file
from mlbot.core.config_parse import parse_config
from mlbot.core.decision import Decision, Judge, PushSubject
from mlbot.core.evaluation import Problem
from mlbot.core.kept import documents_of
from mlbot.core.ledger import VerdictEntry
from mlbot.core.outcome import Outcome
from mlbot.core.record import Digest
from mlbot.core.report import Report
from mlbot.errors import Exit, MlbotError, NotEvaluatedError
from mlbot.github.artifacts import Contents
from mlbot.stores.base import ModelStore
from mlbot.stores.open import open_store

_KEPT = {Outcome.PASS, Outcome.INCONCLUSIVE}
"""Outcomes whose files are stored: what may be released, and what may be compared with."""
_MOST_ACCEPTED = 64


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


def store_run(hosted: Hosted, folder: Path, console: Console) -> Exit:
    """Put a push's accepted model files and their records into the store. What is there already stays as it is.

    Args:
        hosted: The job.
        folder: What the judge left.
        console: Told of each file.

    Raises:
        MlbotError: The judge's files cannot be had, or the store does not take them.
    """
    decision, store = decision_in(folder), store_of(hosted, console)
    if store is None or decision is None or not is_kept(hosted, decision, console):
        console.say("Nothing is stored: only what is judged on a guarded branch is, where mlbot.yaml names a store.")
        return Exit.OK
    try:
        report = report_in(folder)
    except FileNotFoundError:
        raise NotEvaluatedError("the judge left no report, so nothing is stored", where=str(folder)) from None
    with tempfile.TemporaryDirectory(prefix="mlbot-store-") as scratch:
        _put_models(hosted, report, store, Path(scratch), console)
        for digest, raw in documents_of(report).items():
            document = Path(scratch) / "document.json"
            document.write_bytes(raw)
            store.put(digest, document)
    return Exit.OK


def _put_models(hosted: Hosted, report: Report, store: ModelStore, folder: Path, console: Console) -> None:
    sizes = dict(_accepted(report))
    if not sizes:
        console.say("No file was accepted, so none is stored.")
        return
    intake = Intake(hosted=hosted, attempt=hosted.job.run, folder=folder)
    contents = Contents(
        files={accepted_file(digest): size for digest, size in sizes.items()},
        archive_bytes=MODEL_BYTES * _MOST_ACCEPTED,
        beside=True,
    )
    files = intake.fetch(AcceptedArtifact(attempt=hosted.job.run.number), folder / "accepted", contents)
    for digest in sizes:
        new = store.put(digest, files[accepted_file(digest)])
        console.say(f"{digest} {'is now' if new else 'was already'} in {store.url}")


def _accepted(report: Report) -> Iterable[tuple[Digest, int]]:
    """Digest and size of every file that may be released or compared with."""
    for model in report.models:
        for each in model.candidate if model.verdict.outcome in _KEPT else ():
            if each.digest is not None and each.problem is None:
                yield each.digest, each.size_bytes


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
