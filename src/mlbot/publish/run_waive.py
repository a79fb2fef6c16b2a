"""`mlbot waive`: let a gate pass with a person's word, on a laptop as `/waive` does in a comment."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mlbot.config.errors import nearest
from mlbot.console import Console
from mlbot.errors import Exit, RefusedError, UsageError, require
from mlbot.git.command import git, try_git
from mlbot.git.merge import three_commits
from mlbot.github.api import GitHub
from mlbot.github.job import locate
from mlbot.judging.run_local import RunOptions, Work, judge_commits
from mlbot.judging.waivers import Asked, bind
from mlbot.ledger.entries import WaiverEntry
from mlbot.lib.templates import sentence
from mlbot.registry.run_repository import RepositoryContext
from mlbot.verdict.decide import Evidence, may_waive
from mlbot.verdict.verdict import Commits, Verdict


@dataclass(frozen=True, kw_only=True, slots=True)
class WaiveOptions:
    """What the command line says."""

    subject: str  # MODEL:GATE
    reason: str
    base: str | None = None

    @property
    def parts(self) -> tuple[str, str]:
        """The model and the gate."""
        model, found, gate = (part.strip() for part in self.subject.partition(":"))
        if not (found and model and gate):
            raise UsageError(
                f"{self.subject!r} does not name a gate", hint=f"Write {model or 'MODEL'}:GATE, such as churn:roc_auc."
            )
        return model, gate


@dataclass(kw_only=True)
class _Found:
    """What a run came to."""

    evidence: tuple[Evidence, ...] = ()
    authors: frozenset[str] = field(default_factory=frozenset)


def waive(
    directory: Path,
    options: WaiveOptions,
    console: Console,
    *,
    as_json: bool,
    environment: Mapping[str, str] = os.environ,
) -> Exit:
    """Judge what is here, and record that a gate which blocks may pass: for this content and under these rules alone.

    Raises:
        UsageError: the gate's name, or the reason, is missing.
        RefusedError: nothing blocks that could be waived, or the person may not.
    """
    model, gate = options.parts
    if not options.reason.strip():
        raise UsageError(
            "a waiver needs a reason, for the ledger", hint='Say why: --reason "Agreed with the data owners."'
        )
    require("judge", needed_for="Judging a model")
    context = RepositoryContext.of_laptop(directory, environment, console.say)
    context.update_checkout()
    _check_right(context, environment)
    _check_person(context, commits := _commits(context, options.base))
    found = _Found()
    pushed = commits.head == context.tip
    work = Work(
        repository=context.repository,
        commits=commits,
        options=RunOptions(models=(model,)),
        pushed=pushed,
        known=lambda evidence: setattr(found, "evidence", tuple(evidence)),
    )
    verdict = judge_commits(work, console).verdict
    entries = _entries(context, verdict, found.evidence, (model, gate, options.reason.strip()))
    context.record(*entries)
    context.update_checkout()
    if as_json:
        console.result(json.dumps([each.model_dump(mode="json") for each in entries], indent=2, ensure_ascii=False))
    else:
        console.result("\n".join(sentence("waive", "done", gate=each.gate, model=each.model) for each in entries))
    return Exit.OK


def _commits(context: RepositoryContext, base: str | None) -> Commits:
    """The change, or the guarded branch's tip where that is checked out and nothing differs from it."""
    repository = context.repository
    if base is None and repository.find("HEAD") == context.tip and repository.is_clean:
        before = repository.find(f"{context.tip}^")
        return Commits(head=context.tip, base=before, policy=context.tip, guarded=context.branch)
    return three_commits(repository, base)


def _check_right(context: RepositoryContext, environment: Mapping[str, str]) -> None:
    """Who is known to GitHub has to be one who may: a maintainer, or listed in the guarded branch's config."""
    place = locate(environment, context.remote.url)
    if place is None:
        return
    if place.token is None:
        context.say(sentence("waive", "unasked"))
        return
    github = GitHub.connect(place.repository, place.token, api_url=place.api_url)
    login, role = github.login, github.role(github.login)
    if not may_waive(context.config.waivers, login, role, author=None):
        raise RefusedError(
            sentence("waive", "not-permitted/sentence", login=login, role=role),
            hint=sentence("waive", "not-permitted/hint"),
        )


def _check_person(context: RepositoryContext, commits: Commits) -> None:
    """Nobody answers for a change of their own, unless the guarded branch's rules say that they may."""
    rules = context.config.waivers if commits.policy else None
    if rules is None or rules.author:
        return
    since = [f"^{commits.base}"] if commits.base else []
    out = git(["log", f"--format={_AUTHORS}", commits.head, *since], context.repository.root)
    authors = {each for line in out.decode("utf-8", "replace").splitlines() for each in _names(line)}
    if commits.uncommitted or authors & _myself(context):
        raise RefusedError(sentence("waive", "own/sentence", actor=context.actor), hint=sentence("waive", "own/hint"))


_AUTHORS = "%an <%ae>%n%(trailers:key=Co-authored-by,valueonly)"


def _names(line: str) -> set[str]:
    """The name and the address of `Ada <ada@example.com>`."""
    name, _, address = line.partition("<")
    return {part for each in (name, address.rpartition(">")[0]) if (part := each.strip().casefold())}


def _myself(context: RepositoryContext) -> set[str]:
    """Whom git knows the user as: one person's commits may be under another name with the same address."""
    known = try_git(["config", "--get-regexp", r"^user\.(name|email)$"], context.repository.root)
    lines = known.stdout.decode("utf-8", "replace").splitlines()
    return {name.strip().casefold() for name in (context.actor, *(line.partition(" ")[2] for line in lines))} - {""}


def _entries(
    context: RepositoryContext, verdict: Verdict, evidence: Sequence[Evidence], asked: tuple[str, str, str]
) -> list[WaiverEntry]:
    model, gate, reason = asked
    judged = {each.model: (each, what) for each, what in zip(verdict.models, evidence, strict=True)}
    if model not in judged:
        near = nearest(model, list(judged))
        raise RefusedError(sentence("waive", "no-model", model=model), hint=f"Did you mean {near}?" if near else "")
    request = Asked(model=model, gate=gate, reason=reason, actor=context.actor, sha=verdict.commits.head)
    found = bind(request, *judged[model], verdict.commits.guarded, context.time)
    if isinstance(found, str):
        raise RefusedError(sentence("waive", "refused", gate=gate, model=model, why=found))
    return found
