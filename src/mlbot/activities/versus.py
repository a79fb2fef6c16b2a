"""The candidate beside what is in production: one file against the other, shown and never gating."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mlbot.core.comparison import Comparison, Method
from mlbot.core.evaluation import Problem
from mlbot.core.gate import Gate
from mlbot.core.ledger_records import DeploymentEntry

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
