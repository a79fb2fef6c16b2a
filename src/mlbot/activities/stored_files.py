"""The store as jobs on GitHub see it: where it is, what goes there, and the files of earlier verdicts."""

from collections.abc import Sequence
from pathlib import Path

from mlbot.activities.hosted import Hosted
from mlbot.activities.intake import accepted
from mlbot.activities.judge import Entry
from mlbot.console import Console
from mlbot.core.artifact import accepted_file
from mlbot.core.config_parse import parse_config
from mlbot.core.decision import Decision, Judge, PushSubject
from mlbot.core.evaluation import Problem
from mlbot.core.ledger import VerdictEntry
from mlbot.core.ledger_records import DeploymentEntry
from mlbot.core.outcome import Reason
from mlbot.errors import MlbotError
from mlbot.stores.base import ModelStore
from mlbot.stores.open import open_store


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
