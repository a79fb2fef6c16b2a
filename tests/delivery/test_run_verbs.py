"""What the verbs print for programs: the fields that they may rely on, and the exit code."""

import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.support.releases import World

from mlbot.console import Console
from mlbot.delivery.run_promote import PromotionRequest, RollbackRequest
from mlbot.delivery.run_release import ReleaseRequest
from mlbot.delivery.run_verbs import approve_verb, lock_verb, promote_verb, release_verb, rollback_verb
from mlbot.errors import Exit, UsageError

ENVIRONMENT = {"GIT_COMMITTER_NAME": "Ada"}

Verb = Callable[..., Exit]


def printed(world: World, verb: Verb, *given: object, **options: object) -> tuple[Exit, dict[str, Any]]:
    """The exit code and the JSON."""
    console = Console(out=io.StringIO(), err=io.StringIO())
    code = verb(world.sandbox.path, *given, console, as_json=True, environment=ENVIRONMENT, **options)
    return code, json.loads(console.out.getvalue())  # type: ignore[attr-defined]  # it is the buffer above


@pytest.mark.parametrize(
    ("verb", "given", "reason", "hint"),
    [
        (release_verb, (ReleaseRequest(model="moon"), None), "unknown-model", "Correct the name"),
        (
            promote_verb,
            (PromotionRequest(model="tiny", version="1.0.0", environment="production"),),
            "out-of-order",
            "mlbot promote tiny@v1.0.0 staging",
        ),
        (
            rollback_verb,
            (RollbackRequest(model="tiny", environment="staging", reason=""),),
            "no-reason",
            "mlbot rollback tiny staging",
        ),
        (approve_verb, (("tiny", "9.0.0", "production"),), "unknown-version", "v1.0.0, v1.0.1"),
    ],
)
def test_a_refusal_tells_a_program_why_and_what_to_do(
    world: World, verb: Verb, given: tuple[object, ...], reason: str, hint: str
) -> None:
    code, document = printed(world, verb, *given)
    assert code is Exit.REFUSED
    decision = document["decision"]
    assert (decision["reason"], decision["refused"]) == (reason, True)
    assert decision["sentence"].endswith(".")
    assert hint in decision["hint"]


def test_a_release_names_itself(world: World) -> None:
    _, document = printed(world, release_verb, ReleaseRequest(model="tiny", dry_run=True), None)
    assert (document["model"], document["version"], document["tag"]) == ("tiny", "1.0.1", "tiny@v1.0.1")
    assert document["commit"] == document["facts"]["commit"]


def test_a_lock_says_what_is_so_now(world: World) -> None:
    options = {"close": True, "reason": "audit"}
    code, document = printed(world, lock_verb, "staging", **options)
    assert (code, document["environment"], document["locked"], document["changed"]) == (Exit.OK, "staging", True, True)
    assert document["sentence"] == document["decision"]["sentence"]
    _, again = printed(world, lock_verb, "staging", **options)
    assert (again["locked"], again["changed"], again["entry"]) == (True, False, None)


def test_a_lock_on_an_unknown_environment_is_wrong_usage(world: World) -> None:
    with pytest.raises(UsageError, match="no environment 'moon'") as error:
        printed(world, lock_verb, "moon", close=True, reason="")
    assert error.value.exit_code is Exit.USAGE
