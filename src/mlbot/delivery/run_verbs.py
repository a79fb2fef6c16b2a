"""The verbs of releases and environments on a person's machine: find the repository, do it, print what came of it."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from mlbot.config.errors import is_name
from mlbot.console import Console
from mlbot.delivery.deployment import ApprovalResult, DeploymentResult, LockResult, PromotionReason
from mlbot.delivery.messages import (
    ended_text,
    plan_text,
    release_text,
    released_already,
    untagged_text,
    unwatched_text,
    words,
)
from mlbot.delivery.release import UNASKED, ReleaseResult
from mlbot.delivery.run_promote import Announce, PromotionRequest, RollbackRequest, approve, promote, rollback, set_lock
from mlbot.delivery.run_release import ReleaseRequest, Repair, release, repair_tags, write_release
from mlbot.errors import Exit, UsageError
from mlbot.lib.version import name_of
from mlbot.registry.run_repository import RepositoryContext

Environment = Mapping[str, str]

Result = ReleaseResult | DeploymentResult | ApprovalResult | LockResult


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
    if out and result.entry and not request.dry_run:
        files = write_release(context, result.entry, directory / out)
        console.say(f"Wrote {', '.join(files)} to {out}")
    text = ""
    if result.decision.go and result.entry:
        text = release_text(result.entry)
    elif result.decision.go:
        sentence = words(result.decision.reason, result.facts).sentence
        first = "Its sealed rows would be asked first; then it" if result.facts.asks else "It"
        text = f"{sentence} {first} would be tagged {result.tag} at {result.facts.commit[:10]}."
    elif not result.decision.refused:
        text = released_already(result)
    if result.unwatched:
        console.say(unwatched_text(result, github=False))
    return _print(console, result, text, as_json=as_json)


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
    return _deployed(context, promote(context, request, _announce(console)), console, as_json=as_json)


def rollback_verb(
    directory: Path, request: RollbackRequest, console: Console, *, as_json: bool, environment: Environment = os.environ
) -> Exit:
    """`mlbot rollback`. Errors: as `rollback`."""
    named(request.model, "a model")
    named(request.environment, "an environment")
    context = RepositoryContext.of_laptop(directory, environment, console.say)
    return _deployed(context, rollback(context, request, _announce(console)), console, as_json=as_json)


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
    return _print(console, result, as_json=as_json)


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
    return _print(console, result, as_json=as_json)


def repair_verb(
    directory: Path, console: Console, *, dry_run: bool, as_json: bool, environment: Environment = os.environ
) -> Exit:
    """`mlbot registry repair`. Errors: as `repair_tags`."""
    context = RepositoryContext.of_laptop(directory, environment, console.say)
    done = repair_tags(context, dry_run=dry_run)
    context.update_checkout()
    console.result(done.model_dump_json(indent=2) if as_json else _repaired(done))
    for each in done.failed:
        console.error(f"mlbot: {each}")
    return Exit.REFUSED if done.failed else Exit.OK


def _repaired(done: Repair) -> str:
    if done.written:
        lines = [f"{'Would write' if done.dry_run else 'Wrote'} the tag {each}" for each in done.written]
    else:
        lines = ["No tag could be written." if done.failed else "No tag is missing."]
    return "\n".join([*lines, ""])


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


def _json(result: Result) -> str:
    """A result for programs: the record, and the words of its decision."""
    found = words(result.decision.reason, result.facts).model_dump()
    document = result.model_dump(mode="json")
    document["decision"] |= found
    # Fields that programs read are never taken away, so these are here though the facts have them too.
    match result:
        case ReleaseResult(facts=facts):
            document |= {"model": facts.model, "version": facts.version, "commit": facts.commit}
        case DeploymentResult():
            document["decision"]["goal"] = document["goal"]
        case LockResult(facts=facts, decision=decision):
            changes = {"environment": facts.environment, "locked": facts.close, "changed": decision.go}
            document |= changes | {"sentence": found["sentence"]}
    return json.dumps(document, indent=2, ensure_ascii=False)


def _announce(console: Console) -> Announce:
    return lambda result: console.say(plan_text(result.facts))


def _deployed(context: RepositoryContext, result: DeploymentResult, console: Console, *, as_json: bool) -> Exit:
    context.update_checkout()
    ended = result.deployment
    if ended is None or ended.state == "succeeded":
        text = ended_text(ended) if ended else words(result.decision.reason, result.facts).sentence
        untagged = untagged_text(result, github=False)
        return _print(console, result, f"{text}\n  {untagged}" if untagged else text, as_json=as_json)
    if as_json:
        console.result(_json(result))
    console.error(f"mlbot: {ended_text(ended)}")
    return Exit.NOT_EVALUATED


def _print(console: Console, result: Result, text: str = "", *, as_json: bool) -> Exit:
    """Print the result, and on stderr why it was refused; an empty text: the words of the decision."""
    reason = result.decision.reason
    found = words(reason, result.facts)
    if as_json:
        console.result(_json(result))
    if result.decision.refused:
        hint = f"\n  {found.hint}" if found.hint else ""
        unasked = reason in {*UNASKED, PromotionReason.SHADOW_VOID}
        console.error(f"mlbot: {'could not be asked' if unasked else 'refused'} ({reason}): {found.sentence}{hint}")
        return Exit.NOT_EVALUATED if unasked else Exit.REFUSED
    if not as_json:
        console.result(text or found.sentence)
    return Exit.OK
