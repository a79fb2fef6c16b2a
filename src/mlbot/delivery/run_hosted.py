"""`mlbot deploy`: carry out what was asked of the release workflow, and show it on GitHub."""

import json
import time
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, replace
from pathlib import Path

from mlbot.commands.forward import Approve, Lock, Promote, Release, Rollback, Unlock
from mlbot.config.errors import ConfigError
from mlbot.config.schema import Config, parse_config
from mlbot.config.yaml import load
from mlbot.console import Console
from mlbot.delivery.issue import first_environments
from mlbot.delivery.messages import (
    Stands,
    Told,
    told_approval,
    told_begun,
    told_error,
    told_not_asked,
    told_promotion,
    told_release,
    told_rollback,
    told_waiting,
)
from mlbot.delivery.promotion import PromotionReason
from mlbot.delivery.release import ReleaseReason
from mlbot.delivery.request import Asked, AskFacts, NotAsked, asks_for, decide_ask, runs_on
from mlbot.delivery.run_approve import approve, set_lock
from mlbot.delivery.run_ci import DeployOptions, ReleaseDesk, acting
from mlbot.delivery.run_github_view import Picture
from mlbot.delivery.run_messages import promotion_plan, rollback_plan
from mlbot.delivery.run_promote import PromotionRequest, RollbackRequest, promote, rollback
from mlbot.delivery.run_release import ReleaseRequest, ReleaseResult, release
from mlbot.errors import Exit, MlbotError, UsageError
from mlbot.events.event import DispatchEvent
from mlbot.events.github import Comment, State, is_enough
from mlbot.github.api import GitHub, pusher_of, read_comment, read_file
from mlbot.github.executor import start
from mlbot.github.job import Job, Runner, forget_tokens
from mlbot.ledger.entries import ReleaseEntry
from mlbot.ledger.queries import release_of
from mlbot.lib.constants import CONFIG_FILE, STATUS
from mlbot.lib.record import Sha
from mlbot.protocol.answer import CarriedOut, recorded
from mlbot.protocol.operations import Annotate, Dispatch, Level
from mlbot.registry.run_repository import RepositoryContext
from mlbot.registry.tag import name_of

# `mlbot plan --release`: read who asks the release workflow for what, and print what its jobs go by.


def plan_release(environment: MutableMapping[str, str], console: Console) -> Exit:
    """Print what GitHub's `GITHUB_OUTPUT` takes.

    `go`, which job follows (`record` or `deploy`); its `environment`, `runs-on` and `queue`; and `ask`, the request.

    Args:
        environment: of this process; the tokens are taken out of it.
        console: told of what goes on.

    Returns:
        OK; REFUSED where nothing is done and no comment is there to be answered.

    Raises:
        MlbotError: GitHub does not say what has to be known.
    """
    job = Job.of(environment)
    forget_tokens(environment)
    event = job.event()
    if not isinstance(event, DispatchEvent):
        raise UsageError("a release is asked for by starting its workflow, and this job's event is another")
    github = GitHub.connect(job.repository, job.required_token(), api_url=job.api_url, progress=console.say)
    facts = gather(github, job, event)
    ask = decide_ask(facts)
    console.say(_said(ask))
    if isinstance(ask, NotAsked) and ask.comment is None:
        return _refused(ask, Runner.of(environment, console.err))
    console.result("\n".join(f"{name}={value}" for name, value in _outputs(ask, facts.config).items()))
    return Exit.OK


def gather(github: GitHub, job: Job, event: DispatchEvent) -> AskFacts:
    """All that is known of a dispatch.

    Raises:
        MlbotError: GitHub does not say.
    """
    branch = github.facts().default_branch
    comment = event.number("comment")
    tag = event.inputs.get("tag")
    config, problem = read_config(github, branch)
    facts = AskFacts(
        inputs=event.inputs,
        on_default=job.ref == f"refs/heads/{branch}",
        sender=event.sender,
        comment=read_comment(github, comment) if comment else None,
        config=config,
        config_problem=problem,
    )
    if tag and facts.by_machine:
        facts = facts.model_copy(update={"pusher": pusher_of(github, tag)})
    if facts.asker is None:
        return facts
    return facts.model_copy(update={"role": github.role(facts.asker)})


def read_config(github: GitHub, branch: str) -> tuple[Config | None, str]:
    """A branch's mlbot.yaml by the API; without one, why it cannot be read."""
    raw = read_file(github, CONFIG_FILE, branch)
    if raw is None:
        return None, ""
    try:
        return parse_config(load(raw, CONFIG_FILE)), ""
    except ConfigError as error:
        return None, str(error).splitlines()[0]
    except MlbotError as error:
        return None, error.what


def _outputs(ask: Asked | NotAsked, config: Config | None) -> dict[str, str]:
    asked = ask if isinstance(ask, Asked) else None
    deploys = asked is not None and asked.deploys
    return {
        "go": "deploy" if deploys else "record",
        "environment": asked.environment if asked else "",
        "runs-on": json.dumps(list(runs_on(asked, config)) if asked and deploys else ["ubuntu-latest"]),
        "queue": queue_of(ask),
        "ask": ask.model_dump_json(exclude_none=True),
    }


def queue_of(ask: Asked | NotAsked) -> str:
    """What waits for what: releases of a model; promotions into an environment. A rollback waits for no promotion."""
    if isinstance(ask, NotAsked):
        return f"answer-{ask.comment}"
    return f"{ask.command.kind}-{ask.environment or getattr(ask.command, 'model', '')}"


def _said(ask: Asked | NotAsked) -> str:
    if isinstance(ask, NotAsked):
        return f"Nothing is done ({ask.reason}): {ask.sentence}"
    return f"{ask.actor or 'Whoever released the version'} asks: {ask.text}"


def _refused(ask: NotAsked, runner: Runner) -> Exit:
    """Nobody is there to be answered, so the run itself says it."""
    if ask.silent:
        return Exit.OK
    message = f"{ask.sentence} {ask.hint} {ask.usage}".strip()
    runner.annotate([Annotate(level=Level.ERROR, title="Not done", message=message)])
    return Exit.REFUSED


# A release whose verdict is not there yet waits for it, while its training or its judging is under way.

_WAITS = frozenset({ReleaseReason.NO_VERDICT, ReleaseReason.VERDICT_OF_PARENT, ReleaseReason.BYTES_MISSING})
"""What a verdict that is on its way may change."""

_IDLE = 4
"""So many looks at a commit for which nothing runs: a push is known a moment before its run is."""

_LONGEST_S = 30.0

Pause = Callable[[float], None]


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long to wait.

    Attributes:
        checks: how often to look, for two hours.
        pause: waits so many seconds.
    """

    checks: int = 240
    pause: Pause = time.sleep


def release_patiently(
    desk: ReleaseDesk, context: RepositoryContext, asked: Asked, command: Release, patience: Patience
) -> ReleaseResult:
    """Release, as soon as the verdict is there.

    Raises:
        MlbotError: as `release`, and where GitHub does not say what runs.
    """
    request = ReleaseRequest(model=command.model, version=command.version, bump=command.bump)
    if asked.tag is not None:
        _is_there(context, asked.tag)
    idle = 0
    result = release(context, request)
    for look in range(patience.checks):
        if result.decision.reason not in _WAITS:
            break
        idle = 0 if under_way(desk, result.commit) else idle + 1
        if idle >= _IDLE:
            break
        if look == 0 and not idle:
            desk.tell(told_waiting(result.decision))
        patience.pause(min(_LONGEST_S, 2.0 * 2 ** min(look, 5)))
        context = replace(context)  # with nothing remembered of the branch as it was
        context.catch_up()
        result = release(context, request)
    return result


def under_way(desk: ReleaseDesk, commit: Sha) -> bool:
    """Whether a commit of the default branch is being trained or judged."""
    runs = desk.github.runs(commit, "push")
    if any(not run.completed for run in runs if run.path == desk.options.train_path):
        return True
    status = desk.github.status(commit, STATUS)
    return status is not None and status.state is State.PENDING


def _is_there(context: RepositoryContext, tag: str) -> None:
    """Make sure that the pushed tag was not taken away since: nobody asks for a tag that is gone to be made anew."""
    with context.tags() as tags:
        if tags.find(tag) is None:
            raise UsageError(f"the tag {tag[:100]} is not there any more", hint="Push it again.")


def carry_out(
    directory: Path,
    environment: MutableMapping[str, str],
    options: DeployOptions,
    console: Console,
    patience: Patience | None = None,
) -> Exit:
    """Carry out a request.

    Returns:
        OK where it is done, waits for somebody's word, or was refused in answer to a comment; REFUSED where it was
        refused and nobody said it in a comment; NOT_EVALUATED where a deployment failed.

    Raises:
        MlbotError: something did not answer; the thread was told.
    """
    desk = ReleaseDesk.of(directory, environment, options, console)
    asked = _still_asked(desk)
    if isinstance(asked, NotAsked):
        if not asked.silent:
            desk.tell(told_not_asked(asked))
        return Exit.OK if asked.silent or asked.comment is not None else Exit.REFUSED
    if desk.done_before:
        console.say("Nothing to do: what the comment asks for was carried out already.")
        return Exit.OK
    try:
        told = _carried_out(desk, asked, patience or Patience())
    except MlbotError as error:
        desk.tell(told_error(error))
        raise
    desk.tell(told)
    if told.stands is Stands.FAILED:
        return Exit.NOT_EVALUATED
    return Exit.REFUSED if told.stands is Stands.REFUSED and asked.comment is None else Exit.OK


def _still_asked(desk: ReleaseDesk) -> Asked | NotAsked:
    """The request, or why it is not followed any more.

    The job may have waited for other deployments or for an environment's reviewers. Since the request was read its
    comment may have been edited or taken back, and its author may have lost the role.
    """
    if isinstance(desk.ask, NotAsked):
        return desk.ask
    event = desk.job.event()
    if not isinstance(event, DispatchEvent):
        raise UsageError("a release is carried out by its workflow, and this job's event is another")
    now = decide_ask(gather(desk.github, desk.job, event))
    return now if isinstance(now, NotAsked) else desk.ask


def _carried_out(desk: ReleaseDesk, asked: Asked, patience: Patience) -> Told:
    context = desk.context(asked.actor or "nobody")
    if asked.actor is None and isinstance(asked.command, Promote):
        released = _released(context, asked.command.model, asked.command.version)
        context = acting(context, released.actor if released else "nobody")
    worker = Worker(desk=desk, context=context, asked=asked, picture=Picture(desk=desk, context=context))
    match asked.command:
        case Release():
            return worker.release(asked.command, patience)
        case Promote():
            return worker.promote(asked.command)
        case Rollback():
            return worker.rollback(asked.command)
        case Approve():
            return worker.approve(asked.command)
        case Lock() | Unlock():
            return worker.lock(asked.command)


def _released(context: RepositoryContext, model: str, version: str) -> ReleaseEntry | None:
    return release_of(context.of_model(model), model, version)


@dataclass(frozen=True, kw_only=True)
class Worker:
    """Does one thing.

    Attributes:
        desk: the job.
        context: the repository, and who asks.
        asked: the request.
        picture: what GitHub shows.
    """

    desk: ReleaseDesk
    context: RepositoryContext
    asked: Asked
    picture: Picture

    def release(self, command: Release, patience: Patience) -> Told:
        """Give a version; then show it, and send it where nothing comes before."""
        result = release_patiently(self.desk, self.context, self.asked, command, patience)
        entry = result.entry
        left: tuple[str, ...] = ()
        if entry is not None and not result.decision.refused:
            self.picture.page(entry)
            self.picture.thread(entry.model, entry.version)
            left = self._send(entry)
        return told_release(result.decision, entry, left)

    def promote(self, command: Promote) -> Told:
        """Deploy a version."""
        request = PromotionRequest(
            model=command.model, version=command.version, environment=command.environment, reason=command.reason
        )
        result = promote(
            self._followed,
            request,
            lambda facts, decision: self._begin(promotion_plan(facts), told_begun(decision.sentence, go=decision.go)),
        )
        if result.deployment is None:
            self.picture.thread(command.model, command.version)
        return told_promotion(result.facts, result.decision, result.deployment)

    def rollback(self, command: Rollback) -> Told:
        """Go back."""
        request = RollbackRequest(
            model=command.model, environment=command.environment, to=command.to, reason=command.reason
        )
        result = rollback(
            self._followed,
            request,
            lambda facts, decision: self._begin(rollback_plan(facts), told_begun(decision.sentence, go=decision.go)),
        )
        return told_rollback(result.decision, result.deployment)

    def approve(self, command: Approve) -> Told:
        """Record somebody's word; start the promotion when it was the last that was missing."""
        result = approve(self.context, command.model, command.version, command.environment, self.asked.comment)
        if result.decision.refused:
            return told_approval(result.decision, None)
        self.picture.thread(command.model, command.version)
        return told_approval(result.decision, self._go_on(command))

    def lock(self, command: Lock | Unlock) -> Told:
        """Close an environment, or open it."""
        close = isinstance(command, Lock)
        result = set_lock(self.context, command.environment, close=close, reason=getattr(command, "reason", ""))
        self.picture.newest()
        return Told(stands=Stands.DONE, reason="locked" if result.locked else "open", sentence=result.sentence)

    @property
    def _followed(self) -> RepositoryContext:
        """The context, with GitHub's picture following every entry."""
        return replace(self.context, on_entry=self.picture.follow)

    def _begin(self, plan: str, told: Told | None) -> None:
        self.desk.console.say(plan)
        if told is not None:
            self.desk.tell(told)

    def _send(self, entry: ReleaseEntry) -> tuple[str, ...]:
        """Start the promotions that nobody has to ask for; where that did not go, what to say for it."""
        left = []
        for name in first_environments(self.context.of_model(entry.model), self.context.config, entry):
            try:
                self._dispatch({"do": "promote", "model": entry.model, "version": entry.version, "environment": name})
            except MlbotError as error:
                self.desk.console.say(f"Could not start the promotion to {name}: {error.what}")
                left.append(f"/promote {name_of(entry.model, entry.version)} {name}")
        return tuple(left)

    def _dispatch(self, inputs: dict[str, str]) -> None:
        workflow, branch = self.desk.options.release_workflow, self.context.branch
        start(self.desk.github, Dispatch(workflow=workflow, ref=branch, inputs=inputs))
        self.desk.console.say(f"Started {workflow}: {' '.join(f'{name}={value}' for name, value in inputs.items())}")

    def _go_on(self, command: Approve) -> Told | None:
        """Start the promotion that was approved, for whoever asked for it; what is in its way, where something is."""
        said = self._said(command)
        released = _released(self.context, command.model, command.version)
        requester = said.author if said else released.actor if released else None
        wanted = PromotionRequest(
            model=command.model, version=command.version, environment=command.environment, dry_run=True
        )
        result = promote(acting(self.context, requester or "nobody"), wanted)
        if not result.decision.go:
            told = told_promotion(result.facts, result.decision, None)
            live = result.decision.reason is PromotionReason.ALREADY_LIVE
            return told if not live else told.model_copy(update={"hint": ""})
        if said is not None:
            self._dispatch({"comment": str(said.id)})
        else:
            wants = {"do": "promote", "model": command.model, "version": command.version}
            self._dispatch(wants | {"environment": command.environment})
        return None

    def _said(self, command: Approve) -> Comment | None:
        """The newest comment that still asks for the promotion, here or in the version's issue.

        What was carried out or refused asks for nothing any more, and whoever may not promote never did.
        """
        threads = {number for number in (self.asked.number, self.desk.thread(self.desk.version)) if number}
        comments = [each for number in sorted(threads) for each in self.desk.github.comments(number)]
        records = recorded(comments, self.desk.github.login)
        over = {each.comment for each in records if isinstance(each, CarriedOut)}
        wanted = [each for each in comments if each.id not in over and asks_for(each, command)]
        newest = sorted(wanted, key=lambda each: each.id, reverse=True)
        return next((each for each in newest if self._may_promote(each.author)), None)

    def _may_promote(self, login: str | None) -> bool:
        return login is not None and is_enough(self.desk.github.role(login), Promote.role)
