"""Deployments for tests of the core."""

from typing import Any

from tests.support.ledger_samples import digest

from mlbot.delivery.deployment import deployment_id
from mlbot.ledger.entries import DeploymentEntry


def deployment(sequence: int, number: int, **changes: Any) -> DeploymentEntry:
    """The n-th deployment, of version 1.<number>.0."""
    fields: dict[str, Any] = {
        "id": deployment_id("adult-income", "production", sequence),
        "sequence": sequence,
        "model": "adult-income",
        "version": f"1.{number}.0",
        "digest": digest(number),
        "environment": "production",
        "action": "promotion",
        "state": "succeeded",
        "actor": "ada",
        "time": "2026-11-20T16:00:00Z",
    }
    return DeploymentEntry(**fields | changes)
