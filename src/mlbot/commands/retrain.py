"""The commands about runs: `/retrain`, `/judge`, `/mlbot cancel`."""

from enum import StrEnum
from typing import ClassVar, Literal

from pydantic import Field

from mlbot.commands.command import MODELS, PARAMETERS, SHA, Command, Param, Value
from mlbot.commands.facts import Decision, Effect, Facts, Reason, head_moved, judged_attempt, not_judged, unknown_model
from mlbot.commands.trial_params import checked
from mlbot.events.github import Attempt, Conclusion, Role, Run, State, seconds_between
from mlbot.lib.escape import one_line
from mlbot.lib.record import Name, Params, Sha
from mlbot.lib.templates import phrase
from mlbot.protocol.answer import RetrainRequest
from mlbot.protocol.decision import PullRequestSubject
from mlbot.protocol.marker import with_attempt
from mlbot.protocol.operations import CancelRun, Rerun, SetStatus

MOST_DAYS = 30  # so long after its start GitHub runs a run again
MOST_ATTEMPTS = 50
_DAY_S = 86_400.0


class Refusal(StrEnum):
    """Why a run is not run again. A closed list."""

    SHA_NEEDED = "sha_needed"
    OTHER_SHA = "other_sha"
    BRANCH = "branch"
    PARAMETERS = "parameters"
    NEW_MODEL = "new_model"
    TRIAL_OF_ONE = "trial_of_one"
    NO_RUN = "no_run"
    IN_PROGRESS = "in_progress"
    TOO_OLD = "too_old"
    TOO_MANY_ATTEMPTS = "too_many_attempts"
    NOTHING_RUNS = "nothing_runs"


class _OfHead(Command):
    """A command about the pull request's head."""

    alone: ClassVar = True

    sha: Sha | None = None

    def other_commit(self, facts: Facts) -> Decision | None:
        """Why it does not mean the present head. A fork's can be replaced while somebody writes."""
        pull = facts.pull_request
        if self.sha is None and not pull.fork:
            return head_moved(facts)
        if self.sha == pull.head_sha:
            return None
        values = {"sha": self.sha, "head": pull.head_sha}
        again = self.model_copy(update={"sha": pull.head_sha}).text
        return Decision(reason=Refusal.OTHER_SHA if self.sha else Refusal.SHA_NEEDED, values=values | {"again": again})


class Retrain(_OfHead):
    """Train again; with parameters, as a trial of one model."""

    kind: Literal["retrain"] = "retrain"
    name: ClassVar = "retrain"
    template: ClassVar = "commands/retrain.md.j2"
    arguments: ClassVar = (MODELS, PARAMETERS, SHA)
    role: ClassVar[Role] = "write"
    example: ClassVar = "/retrain adult-income learning_rate=0.05"

    models: tuple[Name, ...] = ()
    params: dict[Param, Value] = Field(default_factory=dict)
    """As they were written; types and bounds are the policy config's. Exactly one model is named when there are any."""

    def decide(self, facts: Facts) -> Decision:
        """Run the training of the head again."""
        if refused := not_judged(facts) or facts.config_refusal:
            return refused
        params = self._params(facts) if self.models or self.params else {}
        if isinstance(params, Decision):
            return params
        wanted = self.other_commit(facts) or _wanted(facts)
        if isinstance(wanted, Decision):
            return wanted
        run, attempt = wanted
        request = RetrainRequest(
            comment=facts.event.comment,
            actor=facts.event.author,
            number=facts.event.number,
            sha=facts.pull_request.head_sha,
            attempt=attempt,
            models=self.models,
            params=params,
            tip=begun.tip if (begun := _begun(facts)) else facts.tip,
        )
        values = {"request": request, "run": run.url}
        effects: tuple[Effect, ...] = (
            Rerun(attempt=attempt, subject=PullRequestSubject.of(facts.pull_request)),
            facts.judge(attempt),
        )
        if not params:  # a trial moves no status
            effects += _statuses(facts, run, attempt, State.PENDING, "retraining", self.models)
        return Decision(reason=Reason.DONE, values=values, records=(request,), effects=effects)

    def _params(self, facts: Facts) -> Params | Decision:
        """The parameters with their types; a refusal for what names no model or may not be changed."""
        pull = facts.pull_request
        for name in self.models:
            if name not in facts.gates:
                branch = name in {pull.head_ref, pull.base_ref, "HEAD", "head"}
                return Decision(reason=Refusal.BRANCH, values={"name": name}) if branch else unknown_model(facts, name)
        if not self.params:
            return {}
        if len(self.models) != 1:
            return Decision(reason=Refusal.TRIAL_OF_ONE, values={"usage": self.usage()})
        model = facts.config.model(self.models[0]) if facts.config else None
        if model is None:
            return Decision(reason=Refusal.NEW_MODEL, values={"model": self.models[0]})
        found = checked(model, self.params)
        if isinstance(found, dict):
            return found
        known = tuple(each.name for each in model.train.tunable)
        return Decision(reason=Refusal.PARAMETERS, values={"model": model.name, "problems": found, "known": known})


class JudgeAgain(_OfHead):
    """Judge again what is trained."""

    kind: Literal["judge"] = "judge"
    name: ClassVar = "judge"
    template: ClassVar = "commands/judge.md.j2"
    arguments: ClassVar = (SHA,)
    role: ClassVar[Role] = "write"
    example: ClassVar = "/judge"

    def decide(self, facts: Facts) -> Decision:
        """Judge the newest attempt of the head that is no trial."""
        found = not_judged(facts) or self.other_commit(facts) or judged_attempt(facts)
        if isinstance(found, Decision):
            return found
        run, attempt, over = found
        if not over:
            return Decision(reason=Refusal.IN_PROGRESS, values={"run": run.url})
        values = {"attempt": attempt.number, "branch": facts.pull_request.base_ref, "run": run.url}
        return Decision(reason=Reason.DONE, values=values, effects=(facts.judge(attempt),))


class Cancel(Command):
    """Cancel the training runs."""

    kind: Literal["cancel"] = "cancel"
    name: ClassVar = "mlbot cancel"
    template: ClassVar = "commands/cancel.md.j2"
    alone: ClassVar = True
    role: ClassVar[Role] = "write"
    example: ClassVar = "/mlbot cancel"

    def decide(self, facts: Facts) -> Decision:
        """Cancel what trains, and end the status: GitHub may tell no judge of a run that this job's token cancelled."""
        running = [run for run in facts.trainings if not run.completed]
        if not running:
            return Decision(reason=Refusal.NOTHING_RUNS)
        run, pull = running[0], facts.pull_request
        counts = pull.open and facts.policy.guards(pull.base_ref) and facts.reruns.trial(run.this_attempt) is None
        statuses = _statuses(facts, run, run.this_attempt, State.ERROR, "cancelled") if counts else ()
        return Decision(
            reason=Reason.DONE,
            values={"count": len(running), "run": run.url},
            effects=(*(CancelRun(run=each.id) for each in running), *statuses),
        )


def _statuses(
    facts: Facts, run: Run, attempt: Attempt, state: State, words: str, models: tuple[Name, ...] = ()
) -> tuple[SetStatus, ...]:
    """The status of head, and the one of the pull request's entry where several are guarded."""
    own = facts.policy.own_context(facts.pull_request.base_ref)
    text = phrase("commands/status_texts.md.j2", words, actor=facts.event.author, models=models)
    return tuple(
        SetStatus(
            subject=PullRequestSubject.of(facts.pull_request),
            context=context,
            state=state,
            description=one_line(text),
            url=with_attempt(run.url, attempt),
            attempt=attempt,
        )
        for context in (own, facts.policy.status)
        if context is not None
    )


def _begun(facts: Facts) -> RetrainRequest | None:
    """What an earlier job for this comment recorded, which did not live to the end."""
    return next((each for each in facts.resumed if isinstance(each, RetrainRequest)), None)


def _wanted(facts: Facts) -> tuple[Run, Attempt] | Decision:
    """The run to run again, and the attempt that this makes; the one that was begun before, where it was."""
    found = facts.trainings
    earlier = _begun(facts)
    if earlier is not None:
        if earlier.sha != facts.pull_request.head_sha:
            return Decision(reason=Reason.CHANGED_MEANWHILE)
        begun = [run for run in found if run.id == earlier.attempt.run and run.attempt >= earlier.attempt.number]
        if begun:
            return begun[0], earlier.attempt
    if not found:
        return Decision(reason=Refusal.NO_RUN)
    return _not_again(facts) or (found[0], Attempt(run=found[0].id, number=found[0].attempt + 1))


def _not_again(facts: Facts) -> Decision | None:
    """Why GitHub does not run the training again."""
    run, now = facts.trainings[0], facts.event.created
    if run.conclusion is Conclusion.ACTION_REQUIRED:
        return Decision(reason=Reason.NEEDS_APPROVAL, values={"run": run.url})
    if under_way := [each for each in facts.trainings if not each.completed]:
        return Decision(reason=Refusal.IN_PROGRESS, values={"run": under_way[0].url})
    if now and run.created and seconds_between(run.created, now) > MOST_DAYS * _DAY_S:
        return Decision(reason=Refusal.TOO_OLD, values={"days": MOST_DAYS})
    if run.attempt >= MOST_ATTEMPTS:
        return Decision(reason=Refusal.TOO_MANY_ATTEMPTS, values={"attempts": MOST_ATTEMPTS})
    return None
