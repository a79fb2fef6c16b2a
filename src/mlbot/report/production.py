"""What is in production, so that a change is compared with that as well: small losses that are allowed add up."""

from collections.abc import Iterable, Sequence

from mlbot.config.schema import EnvironmentConfig
from mlbot.gates.gate import Bound, Gate
from mlbot.ledger.entries import DeploymentEntry, Entry
from mlbot.ledger.queries import live
from mlbot.lib.record import Name
from mlbot.report.headline import clear_change
from mlbot.report.report import Production
from mlbot.verdict.evidence import Comparison, Problem


def in_production(
    environments: Sequence[EnvironmentConfig], entries: Iterable[Entry], model: Name
) -> DeploymentEntry | None:
    """What is live in the environment that no other comes after; of several the first where something is.

    Args:
        environments: of the guarded branch's config.
        entries: of the ledger.
        model: whose.
    """
    known = tuple(entries)
    followed = {each.after for each in environments}
    found = (live(known, each.name, model) for each in environments if each.name not in followed)
    return next((each for each in found if each is not None), None)


def production(there: DeploymentEntry, found: tuple[Comparison, ...] | Problem) -> Production:
    """What a report tells of it.

    Args:
        there: what is live.
        found: how the candidate compares, or why nobody knows.
    """
    return Production(
        environment=there.environment,
        version=f"v{there.version}",
        digest=there.digest,
        comparisons=() if isinstance(found, Problem) else found,
        problem=found if isinstance(found, Problem) else None,
    )


def beyond_margins(found: Sequence[Comparison], gates: Sequence[Gate]) -> tuple[tuple[Comparison, Gate], ...]:
    """What is worse than in production by more than one change may lose, clear of noise; with the gate that says so."""
    margins = {(gate.metric, gate.slice): gate for gate in gates if gate.bound is Bound.MAX_REGRESSION}
    return tuple(
        (each, gate)
        for each in found
        if (gate := margins.get((each.metric, each.slice))) is not None
        and each.change is not None
        and each.direction.worse * each.change > gate.limit
        and clear_change(each)
    )
