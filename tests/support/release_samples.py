"""Releases for tests."""

from typing import Any

from tests.support.ledger_samples import digest

from mlbot.events.github import Attempt
from mlbot.ledger.entries import Environment, ReleaseEntry


def release(**changes: Any) -> ReleaseEntry:
    fields: dict[str, Any] = {
        "model": "adult-income",
        "version": "1.2.0",
        "commit": "4f1c2a9" + "d" * 33,
        "key": digest(1),
        "digest": digest(100),
        "attempt": Attempt(run=7),
        "judge": Attempt(run=1007),
        "data": {"data/train.csv": digest(3)},
        "params": {"max_iter": 200},
        "seed": 0,
        "environment": Environment(python="3.11.7", platform="linux-x86_64", packages=digest(4), lock=digest(5)),
        "actor": "ada",
        "time": "2026-11-20T16:00:00Z",
    }
    return ReleaseEntry(**fields | changes)
