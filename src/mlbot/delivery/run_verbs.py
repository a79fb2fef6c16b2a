"""The verbs of releases and environments on a person's machine: build the context, do it, say what came of it."""

import os
from collections.abc import Mapping
from pathlib import Path

from mlbot.config.errors import is_name
from mlbot.console import Console
from mlbot.delivery.run_approve import approve, set_lock
from mlbot.delivery.run_messages import deployed, promotion_plan, released, rollback_plan, tell
from mlbot.delivery.run_promote import PromotionRequest, RollbackRequest, promote, rollback
from mlbot.delivery.run_release import ReleaseRequest, release, write_release
from mlbot.errors import Exit, UsageError
from mlbot.ledger.entries import DeploymentEntry
from mlbot.registry.run_repository import RepositoryContext
from mlbot.registry.tag import name_of

Environment = Mapping[str, str]


def release_verb(
    directory: Path,
    request: ReleaseRequest,
    out: Path | None,
    console: Console,
    *,
    as_json: bool,
    environment: Environment = os.environ,
) -> Exit:
    """`mlbot release`. Errors: as `release`."""
    named(request.model, "a model")
    context = RepositoryContext.of_laptop(directory, environment, console.say)
    result = release(context, request)
    context.update_checkout()
    said = ""
    if result.decision.go and result.entry:
        said = released(result.entry)
    elif result.decision.go:
        said = f"{result.decision.sentence} It would be tagged {result.tag} at {result.commit[:10]}."
    if out and result.entry and not request.dry_run:
        files = write_release(context, result.entry, directory / out)
        console.say(f"Wrote {', '.join(files)} to {out}")
    return tell(console, result.decision, said, result, as_json=as_json)


def promote_verb(
    directory: Path,
    request: PromotionRequest,
    console: Console,
    *,
    as_json: bool,
    environment: Environment = os.environ,
) -> Exit:
    """`mlbot promote`. Errors: as `promote`."""
    named(request.environment, "an environment")
    context = RepositoryContext.of_laptop(directory, environment, console.say)
    result = promote(context, request, lambda facts, _: console.say(promotion_plan(facts)))
    context.update_checkout()
    said = _said(result.deployment, result.decision.sentence)
    return tell(console, result.decision, said, result, result.deployment, as_json=as_json)


def rollback_verb(
    directory: Path, request: RollbackRequest, console: Console, *, as_json: bool, environment: Environment = os.environ
) -> Exit:
    """`mlbot rollback`. Errors: as `rollback`."""
    named(request.model, "a model")
    named(request.environment, "an environment")
    context = RepositoryContext.of_laptop(directory, environment, console.say)
    result = rollback(context, request, lambda facts, _: console.say(rollback_plan(facts)))
    context.update_checkout()
    said = _said(result.deployment, result.decision.sentence)
    return tell(console, result.decision, said, result, result.deployment, as_json=as_json)


def approve_verb(
    directory: Path,
    asked: tuple[str, str, str],
    console: Console,
    *,
    as_json: bool,
    environment: Environment = os.environ,
) -> Exit:
    """`mlbot approve`. Errors: as `approve`."""
    named(asked[2], "an environment")
    context = RepositoryContext.of_laptop(directory, environment, console.say)
    result = approve(context, *asked)
    context.update_checkout()
    return tell(console, result.decision, "", result, as_json=as_json)


def lock_verb(  # noqa: PLR0913 - one for each option
    directory: Path,
    name: str,
    console: Console,
    *,
    close: bool,
    reason: str,
    as_json: bool,
    environment: Environment = os.environ,
) -> Exit:
    """`mlbot lock` and `mlbot unlock`. Errors: as `set_lock`."""
    named(name, "an environment")
    context = RepositoryContext.of_laptop(directory, environment, console.say)
    result = set_lock(context, name, close=close, reason=reason)
    context.update_checkout()
    console.result(result.model_dump_json(indent=2) if as_json else result.sentence)
    return Exit.OK


def parted(text: str) -> tuple[str, str]:
    """Model and version of `MODEL@VERSION`.

    Raises:
        UsageError: it is not of that form.
    """
    model, found, version = text.rpartition("@")
    if not found or not model or not version:
        raise UsageError(
            f"{text!r} does not name a version", hint=f"Write {name_of(text.strip('@') or 'model', '1.2.0')}."
        )
    return named(model, "a model"), version


def named(text: str, what: str) -> str:
    """A name as mlbot.yaml allows it.

    Raises:
        UsageError: it is none, so nothing can have it.
    """
    if not is_name(text):
        raise UsageError(
            f"{text[:80]!r} is no name of {what}", hint="Names have letters, digits, `.`, `_` and `-`, at most 63."
        )
    return text


def _said(entry: DeploymentEntry | None, otherwise: str) -> str:
    return deployed(entry) if entry else otherwise
