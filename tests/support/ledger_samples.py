"""Entries of the ledger for tests."""

from hashlib import sha256
from typing import Any

from mlbot.events.github import Attempt
from mlbot.gates.outcome import Outcome, Reason
from mlbot.ledger.entries import SeedValues, StoredFile, VerdictEntry


def digest(number: int) -> str:
    return f"sha256:{sha256(str(number).encode()).hexdigest()}"


def entry(run: int = 7, values: tuple[float | None, ...] = (0.91, 0.92, 0.93), **changes: Any) -> VerdictEntry:
    fields: dict[str, Any] = {
        "model": "adult-income",
        "key": digest(1),
        "digest": digest(100),
        "holdout": digest(5),
        "commit": "4f1c2a9" + "d" * 33,
        "branch": "main",
        "outcome": Outcome.PASS,
        "reason": Reason.ALL_GATES_PASS,
        "attempt": Attempt(run=run),
        "judge": Attempt(run=run + 1000),
        "files": tuple(
            StoredFile(seed=seed, digest=digest(100 + seed), size_bytes=10, run=run + 1000, artifact="mlbot-accepted-x")
            for seed in range(len(values))
        ),
        "values": (SeedValues(metric="roc_auc", values=values),),
        "time": "2026-11-20T16:00:00Z",
    }
    return VerdictEntry(**(fields | changes))
