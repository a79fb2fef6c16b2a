"""The candidate beside what is in production: one file against the other, shown and never gating."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mlbot.core.artifact import accepted_file
from mlbot.core.comparison import Comparison, Method
from mlbot.core.config import Config
from mlbot.core.evaluation import Problem
from mlbot.core.gate import Gate
from mlbot.core.ledger_records import DeploymentEntry
from mlbot.core.outcome import Reason
from mlbot.core.production import in_production
from mlbot.core.record import Name
from mlbot.errors import MlbotError, UsageError
from mlbot.git.ledger import read_local
from mlbot.stores.open import open_store

if TYPE_CHECKING:
    from mlbot.activities.measure import Contest
    from mlbot.modeling.data import HoldoutData
    from mlbot.modeling.scoring import Scored


@dataclass(frozen=True, kw_only=True, slots=True)
class Live:
    """What is in production.

    Attributes:
        entry: the deployment that put it there.
        file: its bytes; a problem where they cannot be had; None where they need not be, for they are a side's own.
    """

    entry: DeploymentEntry
    file: Path | Problem | None


def local_live(config: Config | None, root: Path, model: Name, folder: Path) -> Live | None:
    """What is in production by a clone's own ledger; its file from the store.

    Args:
        config: the guarded branch's; None where it has none.
        root: of the repository.
        model: whose.
        folder: where the file is put.
    """
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
        return Live(
            entry=entry,
            file=Problem(reason=Reason.MODEL_MISSING, detail=f"its file cannot be had: {error.what}."),
        )
    return Live(entry=entry, file=target)


def versus(
    shipped: "Scored",
    live: "Scored | Problem | None",
    contest: "Contest",
    holdout: "HoldoutData",
    gates: tuple[Gate, ...],
) -> tuple[Comparison, ...] | Problem:
    """Compare the file that would ship with the file that is live, on today's holdout.

    Args:
        shipped: the candidate's first seed.
        live: the file in production.
        contest: what is measured of the candidate and the baseline.
        holdout: the rows.
        gates: of the model; of the slices only what they name is compared.

    Returns:
        Every metric on all rows first, then what is gated on slices; nothing where both are the same file.
    """
    from mlbot.activities.measure import Rows, measure

    if isinstance(live, Problem):
        return live
    if live is None or live.digest == shipped.digest:
        return ()
    gated = {(gate.metric, gate.slice) for gate in gates}
    masks = {name: mask for name, mask in holdout.masks.items() if name in {slice_ for _, slice_ in gated}}
    rows = Rows(
        slice=None,
        labels=holdout.labels,
        predictions=(shipped.predictions, live.predictions),
        groups=holdout.groups,
    )
    pair = replace(contest, candidates=1, margins={}, history=lambda _metric, _slice: None)
    found = measure(pair, rows, masks).comparisons
    return tuple(_of_files(each) for each in found if each.slice is None or (each.metric, each.slice) in gated)


def _of_files(comparison: Comparison) -> Comparison:
    """Of two given files the seeds' variance is no question, so its absence is no lack: only rows vary."""
    if comparison.method is not Method.SEED_VARIANCE_UNKNOWN:
        return comparison
    return comparison.model_copy(update={"method": Method.PAIRED})
