"""`mlbot ci deploy`: carry out what was asked of the release workflow, and show it on GitHub."""

import json
import time
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from mlbot.commands.forward import Approve, Lock, Promote, Release, Rollback, Unlock
from mlbot.commands.parser import parse_comment
from mlbot.config.errors import ConfigError
from mlbot.config.folder import ROOT, ConfigFolder
from mlbot.config.guard import commit_context
from mlbot.config.schema import Config, parse_config
from mlbot.config.yaml import load
from mlbot.console import Console
from mlbot.delivery import messages
from mlbot.delivery.deployment import DeploymentResult, PromotionReason
from mlbot.delivery.release import ReleaseReason, ReleaseResult
from mlbot.delivery.request import (
    DeliveryRequest,
    RejectedRequest,
    RequestFacts,
    asks_for,
    asks_sealed,
    authorize_request,
    runs_on,
)
from mlbot.delivery.run_ci import GitHubView, WorkflowJob
from mlbot.delivery.run_deployment import BetweenVersionsError
from mlbot.delivery.run_promote import PromotionRequest, RollbackRequest, approve, promote, rollback, set_lock
from mlbot.delivery.run_release import ReleaseRequest, release
from mlbot.delivery.run_sealed import find_look, record_answer, score, write_look
from mlbot.delivery.sealed import SealedAnswer
from mlbot.errors import Exit, MlbotError, NotEvaluatedError, UsageError
from mlbot.events.event import DispatchEvent
from mlbot.events.github import Comment, Edits, State, is_enough
from mlbot.github.api import GitHub, pusher_of, read_comment, read_file
from mlbot.github.comments import with_edits
from mlbot.github.executor import start
from mlbot.github.job import Job, Runner, forget_tokens
from mlbot.ledger.entries import ReleaseEntry
from mlbot.ledger.queries import release_of
from mlbot.lib.record import Name, Sha
from mlbot.protocol.answer import CarriedOut, recorded
from mlbot.protocol.operations import Annotate, Dispatch, Level
from mlbot.registry.run_repository import RepositoryContext

# `mlbot ci request`: read who asks the release workflow for what, and print what its jobs go by.


def plan_release(environment: MutableMapping[str, str], console: Console, folder: ConfigFolder = ROOT) -> Exit:
    """Print what GitHub's `GITHUB_OUTPUT` takes.

    `go`, which job follows (`record` or `deploy`); its `environment` and `runs-on`; and `ask`, the request.
    The tokens are taken out of the environment.

    Returns:
        OK; REFUSED where nothing is done and no comment is there to be answered.
    """
    job = Job.of(environment)
    forget_tokens(environment)
    event = job.event()
    if not isinstance(event, DispatchEvent):
        raise UsageError("a release is asked for by starting its workflow, and this job's event is another")
    github = GitHub.of_job(job, console.say)
    facts = gather(github, job, event, folder)
    asked = authorize_request(facts)
    console.say(_summary(asked))
    if isinstance(asked, RejectedRequest) and asked.comment is None:
        return _refused(asked, Runner.of(environment, console.err))
    console.result("\n".join(f"{name}={value}" for name, value in _outputs(asked, facts.config).items()))
    return Exit.OK


def gather(github: GitHub, job: Job, event: DispatchEvent, folder: ConfigFolder) -> RequestFacts:
    """All that is known of a dispatch."""
    branch = github.facts().default_branch
    number = event.number("comment")
    comment = read_comment(github, number) if number else None
    if comment is not None and parse_comment(comment.body):
        (comment,) = with_edits(github, [comment])
    tag = event.inputs.get("tag")
    config, problem = read_config(github, branch, folder)
    facts = RequestFacts(
        inputs=event.inputs,
        on_default=job.ref == f"refs/heads/{branch}",
        sender=event.sender,
        comment=comment,
        config=config,
        config_problem=problem,
    )
    if tag and facts.by_machine:
        facts = facts.model_copy(update={"pusher": pusher_of(github, tag)})
    if facts.asker is None:
        return facts
    return facts.model_copy(update={"role": github.role(facts.asker)})


def read_config(github: GitHub, branch: str, folder: ConfigFolder) -> tuple[Config | None, str]:
    """A branch's mlbot.yaml by the API; without one, why it cannot be read."""
    raw = read_file(github, folder.config, f"refs/heads/{branch}")
    if raw is None:
        return None, ""
    try:
        return parse_config(load(raw, folder.config)), ""
    except ConfigError as error:
        return None, str(error).splitlines()[0]
    except MlbotError as error:
        return None, error.what


def _outputs(asked: DeliveryRequest | RejectedRequest, config: Config | None) -> dict[str, str]:
    request = asked if isinstance(asked, DeliveryRequest) else None
    deploys = request is not None and request.deploys
    return {
        "go": "deploy" if deploys else "record",
        "sealed": str(request is not None and asks_sealed(request, config)).lower(),
        "environment": request.environment if request else "",
        "runs-on": json.dumps(list(runs_on(request, config)) if request and deploys else ["ubuntu-latest"]),
        "ask": asked.model_dump_json(exclude_none=True),
    }


def _summary(asked: DeliveryRequest | RejectedRequest) -> str:
    if isinstance(asked, RejectedRequest):
        return f"Nothing is done ({asked.reason}): {messages.words(asked.reason, asked.values, github=True).sentence}"
    return f"{asked.actor or 'Whoever released the version'} asks: {asked.text}"


def _refused(request: RejectedRequest, runner: Runner) -> Exit:
    """Nobody is there to be answered, so the run itself says it."""
    if request.silent:
        return Exit.OK
    found = messages.words(request.reason, request.values, github=True)
    message = f"{found.sentence} {found.hint} {request.usage}".strip()
    runner.annotate([Annotate(level=Level.ERROR, title="Not done", message=message)])
    return Exit.REFUSED


# A release whose verdict is not there yet waits for it, while its training or its judging is under way.

_WAITS = frozenset({ReleaseReason.NO_VERDICT, ReleaseReason.VERDICT_OF_PARENT, ReleaseReason.BYTES_MISSING})
"""What a verdict that is on its way may change."""

_IDLE = 4  # so many looks at a commit for which nothing runs: a push is known a moment before its run is
_LONGEST_S = 30.0
_TURNS, _TURN_S = 30, 20.0  # ten minutes for another deployment into the same environment

Pause = Callable[[float], None]


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long to wait: so many looks, for two hours."""

    checks: int = 240
    pause: Pause = time.sleep


def release_patiently(
    ci: WorkflowJob,
    context: RepositoryContext,
    asked: DeliveryRequest,
    command: Release,
    patience: Patience,
    **given: Any,
) -> ReleaseResult:
    """Release, as soon as the verdict is there. Errors: as `release`."""
    request = ReleaseRequest(**command.model_dump(exclude={"kind"}), **given)
    if asked.tag is not None:
        _is_there(context, asked.tag)
    idle = 0
    result = release(context, request)
    for look in range(patience.checks):
        if result.decision.reason not in _WAITS:
            break
        idle = 0 if under_way(ci, result.facts.commit) else idle + 1
        if idle >= _IDLE:
            break
        if look == 0 and not idle:
            ci.answer(messages.message_waiting(result))
        patience.pause(min(_LONGEST_S, 2.0 * 2 ** min(look, 5)))
        context = replace(context)  # with nothing remembered of the branch as it was
        context.catch_up()
        result = release(context, request)
    return result


def look_run(ci: WorkflowJob, patience: Patience | None = None) -> Exit:
    """Write a release's look at sealed rows, as soon as its verdict is there, and print which it is.

    Nothing is printed for a release that goes no further: the job that records says why.

    Raises:
        MlbotError: something did not answer; that was answered.
    """
    request = _authorized(ci)
    if isinstance(request, RejectedRequest) or not isinstance(request.command, Release) or ci.is_done:
        return Exit.OK
    context = ci.context(request.actor or "nobody")
    try:
        result = release_patiently(ci, context, request, request.command, patience or Patience(), dry_run=True)
        if result.decision.go and result.facts.asks:
            ci.console.result(f"look={write_look(context, result.facts).id}")
    except MlbotError as error:
        ci.answer(messages.message_error(error))
        raise
    return Exit.OK


def score_run(ci: WorkflowJob, environment: Mapping[str, str]) -> Exit:
    """Score a release on sealed rows, and print the answer. The environment has what reads them.

    Returns:
        OK for `pass`, REFUSED for anything else that is an answer, NOT_EVALUATED where nothing was looked at.
    """
    command = ci.request.command if isinstance(ci.request, DeliveryRequest) else None
    if not isinstance(command, Release):
        raise UsageError("sealed rows are asked of a release, and this request is another")
    context = ci.context("nobody")
    look = find_look(context, command.model, ci.options.look)
    if look is None:
        raise UsageError("the ledger has no such look at sealed rows", hint="Say the release again.")
    answer = score(context, look, environment)
    ci.console.result(f"answer={answer.model_dump_json(exclude_none=True)}")
    match answer.state:
        case "pass":
            return Exit.OK
        case "void":
            return Exit.NOT_EVALUATED
        case _:
            return Exit.REFUSED


def _settled(ci: WorkflowJob, context: RepositoryContext, model: Name) -> SealedAnswer | None:
    """What sealed rows answered, written into the ledger before anything else; None where there is no answer."""
    if ci.options.answer == "none":
        return None
    try:
        answer = SealedAnswer.model_validate_json(ci.options.answer)
    except ValidationError as error:
        raise UsageError("--answer is no answer of sealed rows", hint="Give what `mlbot ci score` printed.") from error
    if answer.look != ci.options.look:
        raise UsageError("--answer is of another look than --look")
    record_answer(context, model, answer)
    return answer


def under_way(ci: WorkflowJob, commit: Sha) -> bool:
    """Whether a commit of the default branch is being trained or judged."""
    runs = ci.github.runs(commit, "push")
    if any(not run.completed for run in runs if run.path == ci.options.train_path):
        return True
    status = ci.github.status(commit, commit_context(ci.options.folder.path))
    return status is not None and status.state is State.PENDING


def _is_there(context: RepositoryContext, tag: str) -> None:
    """Make sure that the pushed tag was not taken away since: nobody asks for a tag that is gone to be made anew."""
    with context.tags() as tags:
        if tags.find(tag) is None:
            raise UsageError(f"the tag {tag[:100]} is not there any more", hint="Push it again.")


def carry_out(ci: WorkflowJob, patience: Patience | None = None) -> Exit:
    """Carry out a request.

    Returns:
        OK where it is done, waits for somebody's approval, or was refused in answer to a comment; REFUSED where it was
        refused and there is no comment to answer; NOT_EVALUATED where a deployment failed.

    Raises:
        MlbotError: something did not answer; that was answered.
    """
    request = _authorized(ci)
    if isinstance(request, RejectedRequest):
        if not request.silent:
            ci.answer(messages.message_rejected(request))
        return Exit.OK if request.silent or request.comment is not None else Exit.REFUSED
    if ci.is_done:
        ci.console.say("Nothing to do: what the comment asks for was carried out already.")
        return Exit.OK
    try:
        message = _carried_out(ci, request, patience or Patience())
    except MlbotError as error:
        ci.answer(messages.message_error(error, _way_back(error, request)))
        raise
    if request.tag is not None and message.reason == ReleaseReason.ALREADY_RELEASED:
        # GitHub tells of a tag more than once: when it is pushed, when its release is published, when an App's token
        # makes it.
        ci.console.say(message.sentence)
        return Exit.OK
    ci.answer(message)
    if message.state is messages.RequestState.FAILED:
        return Exit.NOT_EVALUATED
    return Exit.REFUSED if message.state is messages.RequestState.REFUSED and request.comment is None else Exit.OK


def _authorized(ci: WorkflowJob) -> DeliveryRequest | RejectedRequest:
    """The request, or why it is not followed any more.

    The job may have waited for other deployments or for an environment's reviewers. Since the request was read its
    comment may have been edited or taken back, and its author may have lost the role.
    """
    if isinstance(ci.request, RejectedRequest):
        return ci.request
    event = ci.job.event()
    if not isinstance(event, DispatchEvent):
        raise UsageError("a release is carried out by its workflow, and this job's event is another")
    now = authorize_request(gather(ci.github, ci.job, event, ci.options.folder))
    return now if isinstance(now, RejectedRequest) else ci.request


def _way_back(error: MlbotError, request: DeliveryRequest) -> tuple[str, ...]:
    """What to write where a target is between versions."""
    command = request.command
    if not isinstance(error, BetweenVersionsError) or not isinstance(command, Promote | Rollback):
        return ()
    return (Rollback(model=command.model, environment=command.environment, reason="…").text,)


def _carried_out(ci: WorkflowJob, request: DeliveryRequest, patience: Patience) -> messages.StatusMessage:
    command = request.command
    context = ci.context(request.actor or "nobody")
    if request.actor is None and isinstance(command, Promote):
        context = _for_releaser(context, command)
    handler = _Handler(ci=ci, context=context, request=request, view=GitHubView(ci=ci, context=context))
    match command:
        case Release():
            return handler.release(command, patience)
        case Promote() | Rollback():
            return handler.deploy(command, patience)
        case Approve():
            return handler.approve(command)
        case Lock() | Unlock():
            return handler.lock(command)


def _for_releaser(context: RepositoryContext, command: Promote | Approve) -> RepositoryContext:
    """The same context, for whoever released the version."""
    released = release_of(context.of_model(command.model), command.model, command.version)
    return replace(context, actor=released.actor if released else "nobody")


@dataclass(frozen=True, kw_only=True)
class _Handler:
    """Carries out one request. The context has who asks."""

    ci: WorkflowJob
    context: RepositoryContext
    request: DeliveryRequest
    view: GitHubView

    def release(self, command: Release, patience: Patience) -> messages.StatusMessage:
        """Give a version; then show it, and send it where nothing comes before."""
        answer = _settled(self.ci, self.context, command.model)
        result = release_patiently(self.ci, self.context, self.request, command, patience, answer=answer)
        entry = result.entry
        not_started: tuple[str, ...] = ()
        if entry is not None and not result.decision.refused:
            self.view.page(entry)
            self.view.issue(entry.model, entry.version)
            not_started = self._send(entry)
        return messages.message_release(result, not_started)

    def deploy(self, command: Promote | Rollback, patience: Patience) -> messages.StatusMessage:
        """Promote a version, or go back; GitHub's view follows every entry.

        Nothing keeps two of these jobs apart but the environment's lock: a promotion waits for what is under way there.
        """
        context = replace(self.context, on_entry=self.view.follow)
        asked = command.model_dump(exclude={"kind"})
        if isinstance(command, Rollback):
            return messages.message_deployment(rollback(context, RollbackRequest(**asked), self._announce))
        result = promote(context, PromotionRequest(**asked), self._announce)
        for _ in range(min(patience.checks, _TURNS)):
            if result.decision.reason is not PromotionReason.UNDER_WAY:
                break
            patience.pause(_TURN_S)
            context = replace(context)  # with nothing remembered of the ledger as it was
            context.catch_up()
            result = promote(context, PromotionRequest(**asked), self._announce)
        if result.deployment is None:
            self.view.issue(command.model, command.version)
        return messages.message_deployment(result)

    def approve(self, command: Approve) -> messages.StatusMessage:
        """Record an approval; start the promotion when it was the last that was missing."""
        result = approve(self.context, command.model, command.version, command.environment, self.request.comment)
        if result.decision.refused:
            return messages.message_approval(result, None)
        self.view.issue(command.model, command.version)
        return messages.message_approval(result, self._go_on(command))

    def lock(self, command: Lock | Unlock) -> messages.StatusMessage:
        """Close an environment, or open it."""
        close = isinstance(command, Lock)
        result = set_lock(self.context, command.environment, close=close, reason=getattr(command, "reason", ""))
        self.view.newest()
        return messages.message_lock(result)

    def _announce(self, result: DeploymentResult) -> None:
        self.ci.console.say(messages.plan_text(result.facts))
        message = messages.message_started(result)
        if message is not None:
            self.ci.answer(message)

    def _send(self, entry: ReleaseEntry) -> tuple[str, ...]:
        """Start the promotions that nobody has to ask for; the environments for which that did not go."""
        failed = []
        for name in messages.first_environments(self.context.of_model(entry.model), self.context.config, entry):
            try:
                self._dispatch({"do": "promote", "model": entry.model, "version": entry.version, "environment": name})
            except MlbotError as error:
                self.ci.console.say(f"Could not start the promotion to {name}: {error.what}")
                failed.append(name)
        return tuple(failed)

    def _dispatch(self, inputs: dict[str, str]) -> None:
        workflow, branch = self.ci.options.release_workflow, self.context.branch
        start(self.ci.github, Dispatch(workflow=workflow, ref=branch, inputs=inputs))
        self.ci.console.say(f"Started {workflow}: {' '.join(f'{name}={value}' for name, value in inputs.items())}")

    def _go_on(self, command: Approve) -> messages.StatusMessage | None:
        """Start the promotion that was approved, for whoever asked for it; what is in its way, where something is."""
        comment = self._promotion_comment(command)
        context = _for_releaser(self.context, command)
        if comment is not None:
            context = replace(context, actor=comment.author or "nobody")
        asked = command.model_dump(exclude={"kind"})
        result = promote(context, PromotionRequest(**asked, dry_run=True))
        if not result.decision.go:
            return messages.message_deployment(result)
        self._dispatch({"comment": str(comment.id)} if comment else {"do": "promote", **asked})
        return None

    def _promotion_comment(self, command: Approve) -> Comment | None:
        """The newest comment that still asks for the promotion, here or in the version's issue.

        What was carried out or refused asks for nothing any more, and whoever may not promote never did.
        """
        numbers = {number for number in (self.request.number, self.ci.issue(self.ci.version)) if number}
        comments = [each for number in sorted(numbers) for each in self.ci.github.comments(number)]
        records = recorded(comments, self.ci.github.login)
        over = {each.comment for each in records if isinstance(each, CarriedOut)}
        asking = [each for each in comments if each.id not in over and asks_for(each, command)]
        wanted = with_edits(self.ci.github, asking)
        if any(each.edits is Edits.UNKNOWN for each in wanted):
            raise NotEvaluatedError(
                "GitHub does not say whether the comment that asks for the promotion was edited",
                hint="The approval is recorded. Ask for the promotion again.",
            )
        newest = sorted((each for each in wanted if each.edits is Edits.NONE), key=lambda each: each.id, reverse=True)
        return next((each for each in newest if self._may_promote(each.author)), None)

    def _may_promote(self, login: str | None) -> bool:
        return login is not None and is_enough(self.ci.github.role(login), Promote.role)
