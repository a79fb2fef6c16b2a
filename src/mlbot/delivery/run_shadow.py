"""Shadow replay before a promotion: recorded requests asked of what is live and of what is to be."""

from contextlib import ExitStack
from datetime import UTC, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from mlbot.config.monitor import on_day
from mlbot.config.schema import Model, Shadow
from mlbot.delivery.deployment import ShadowFacts
from mlbot.delivery.model_card import file_name
from mlbot.delivery.run_deployment import EnvironmentLock
from mlbot.delivery.run_release import asker, read_golden
from mlbot.errors import MlbotError, NotEvaluatedError, UsageError, require
from mlbot.ledger.entries import Entry, ReleaseEntry
from mlbot.lib.version import Served, Stored, name_of
from mlbot.protocol.golden import Replay
from mlbot.storage.objects import bring_logs

if TYPE_CHECKING:
    from mlbot.ml.shadow import Version


def replay_shadow(
    lock: EnvironmentLock, wanted: Shadow, live: Served | None, goal: Served, entries: tuple[Entry, ...]
) -> ShadowFacts:
    """What recorded requests show of a version beside the live one; its bytes are fetched.

    Where these are the same bytes nothing is asked: no answer can be another one.
    """
    yesterday = lock.context.now().astimezone(UTC).date() - timedelta(days=1)
    place = on_day(wanted.requests.replace("{model}", lock.model), yesterday)
    facts = ShadowFacts(requests=place, max_changed=wanted.max_changed, before=live)
    if live is None:
        return facts.model_copy(update={"unasked": "first"})
    if live.digest == goal.digest:
        return facts.model_copy(update={"before": None, "unasked": "same"})
    model = _model(lock, lock.release(entries, goal.version))
    if model is not None and model.evaluate is not None:
        return facts.model_copy(update={"before": None, "unasked": "evaluated"})
    lock.context.say(f"Answering the recorded requests of {place} by v{live.version} and v{goal.version}")
    try:
        found = _found(lock, wanted, place, (live, goal), entries)
    except MlbotError as error:
        return facts.model_copy(update={"problem": error.sentence, "hint": error.hint})
    return facts.model_copy(update={"found": found})


def _found(
    lock: EnvironmentLock, wanted: Shadow, place: str, both: tuple[Served, Served], entries: tuple[Entry, ...]
) -> Replay:
    require("judge", needed_for="The replay of recorded requests")
    from mlbot.ml.requests import read_requests
    from mlbot.ml.shadow import replay

    with TemporaryDirectory(prefix="mlbot-requests-", dir=lock.folder) as folder:
        files = bring_logs(place, lock.context.repository.project, Path(folder))
        if not files:
            raise NotEvaluatedError("there is no log of requests at that place")
        recorded = read_requests(files, wanted.most)
    before, after = (lock.release(entries, each.version) for each in both)
    with ExitStack() as stack:
        live = _version(lock, both[0], before, _fetched(lock, before), stack)
        return replay(live, _version(lock, both[1], after, lock.named(after), stack), recorded)


def _version(lock: EnvironmentLock, served: Served, release: ReleaseEntry, file: Path, stack: ExitStack) -> "Version":
    """A version as it was released, with its bytes."""
    from mlbot.ml.shadow import Version

    name, golden = name_of(lock.model, served.version), read_golden(lock.context, release)
    if golden is None or release.digest != served.digest:
        raise NotEvaluatedError(f"{name} has no golden requests, which say what it is asked")
    model = _model(lock, release)
    return Version(
        name=name,
        file=file,
        golden=golden,
        threshold=model.data.threshold if model else None,
        label=model.data.label if model else None,
        ask=stack.enter_context(asker(lock.context, release.commit, lock.model)),
    )


def _fetched(lock: EnvironmentLock, release: ReleaseEntry) -> Path:
    """The verified bytes of the live version."""
    file = lock.folder / "live" / file_name(release)
    file.parent.mkdir(exist_ok=True)
    if lock.context.fetch(release.digest, file) is not Stored.VERIFIED:
        name = name_of(lock.model, release.version)
        raise NotEvaluatedError(f"the store has not the very bytes of {name}, so nobody can ask them")
    return file


def _model(lock: EnvironmentLock, release: ReleaseEntry) -> Model | None:
    try:
        return lock.context.configs_at(release.commit).head.model(lock.model)
    except UsageError:  # history need not be usable
        return None
