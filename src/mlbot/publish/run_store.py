"""`mlbot publish --store`: put what the judge accepted into the store, before the ledger speaks of it."""

import tempfile
from collections.abc import Iterable
from pathlib import Path

from mlbot.console import Console
from mlbot.errors import Exit, NotEvaluatedError
from mlbot.gates.outcome import Outcome
from mlbot.github.artifacts import Contents
from mlbot.judging.run_ci import Hosted
from mlbot.judging.run_model_files import MODEL_BYTES, Intake, is_kept, store_of
from mlbot.lib.record import Digest
from mlbot.protocol.artifacts import AcceptedArtifact, accepted_file
from mlbot.publish.run_publish import decision_in, report_in
from mlbot.report.report import Report, documents_of
from mlbot.storage.store import ModelStore

_KEPT = {Outcome.PASS, Outcome.INCONCLUSIVE}
"""Outcomes whose files are stored: what may be released, and what may be compared with."""

_MOST_ACCEPTED = 64


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
