"""What `/retrain` asked for, for tests."""

from typing import Any

from tests.support.forge_samples import HEAD

from mlbot.protocol.answer import RetrainRequest


def request(number: int, *models: str, run: int = 7, pull: int = 42, **params: Any) -> RetrainRequest:
    """Alice asked for an attempt of a run; with parameters it is a trial."""
    return RetrainRequest.model_validate(
        {
            "comment": 100 + number,
            "actor": "alice",
            "number": pull,
            "sha": HEAD,
            "attempt": {"run": run, "number": number},
            "models": models,
            "params": params,
        }
    )
