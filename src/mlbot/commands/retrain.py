"""The commands about runs: train again, judge again, cancel."""

from collections.abc import Sequence

from mlbot.commands import checks
from mlbot.commands.command import JudgeAgain, Retrain
from mlbot.commands.facts import Facts
from mlbot.commands.reply import Decision, Effect, Reason, refuse
from mlbot.commands.trial_params import checked
from mlbot.config.document import Params
from mlbot.config.schema import Config
from mlbot.events.github import Attempt, Conclusion, PullRequest, Run, State, seconds_between
from mlbot.lib.constants import STATUS
from mlbot.lib.escape import one_line
from mlbot.protocol.answer import RetrainRequest
from mlbot.protocol.decision import PullRequestSubject, subject_of
from mlbot.protocol.marker import with_attempt
from mlbot.protocol.operations import CancelRun, Dispatch, Rerun, SetStatus

MOST_DAYS = 30
"""So long after its start GitHub runs a run again."""

MOST_ATTEMPTS = 50

_DAY_S = 86_400.0

_PUSH = "Push a commit instead; an empty one will do: git commit --allow-empty"


def retrain(facts: Facts, command: Retrain) -> Decision:
    """Run the training of the head again."""
    pull = _pull(facts)
    refused = checks.pull_request(facts, pull) or checks.config(facts)
    if refused or facts.config is None:
        return refused or refuse(Reason.NO_CONFIG, "The guarded branch has no mlbot.yaml.")
    params = _params(facts, facts.config, command)
    if isinstance(params, Decision):
        return params
    wanted = checks.commit(facts, pull, command) or _wanted(facts, pull)
    if isinstance(wanted, Decision):
        return wanted
    run, attempt = wanted
    return _retraining(facts, run, _request(facts, command, attempt, params))


def _retraining(facts: Facts, run: Run, request: RetrainRequest) -> Decision:
    effects: tuple[Effect, ...] = (
        Rerun(attempt=request.attempt, subject=_subject(facts)),
        judge_of(facts, request.attempt),
    )
    number = request.attempt.number
    if request.trial:
        changed = ", ".join(f"{name}={_plain(value)}" for name, value in request.params.items())
        sentence = (
            f"A trial of {request.models[0]} with {changed} trains as attempt {number}. "
            "Its result gets a comment of its own, and moves no status."
        )
        return Decision(reason=Reason.TRIAL, sentence=sentence, link=run.url, records=(request,), effects=effects)
    what = _and(request.models) if request.models else "what is stale"
    said = f"Training {what} again, as {request.actor} asked."
    sentence = f"Training {what} again, as attempt {number}; the verdict follows."
    status = _status(facts, run, request.attempt, State.PENDING, said)
    return Decision(
        reason=Reason.RETRAINING, sentence=sentence, link=run.url, records=(request,), effects=(*effects, status)
    )


def judge_again(facts: Facts, command: JudgeAgain) -> Decision:
    """Judge the newest attempt of the head that is no trial."""
    pull = _pull(facts)
    refused = checks.pull_request(facts, pull) or checks.commit(facts, pull, command)
    found = refused or standing(facts)
    if isinstance(found, Decision):
        return found
    run, attempt, over = found
    if not over:
        return _in_progress(run, "The verdict follows by itself.")
    return Decision(
        reason=Reason.JUDGING,
        sentence=f"Judging attempt {attempt.number} again, by what {pull.base_ref} says now. Nothing is trained.",
        link=run.url,
        effects=(judge_of(facts, attempt),),
    )


def cancel(facts: Facts) -> Decision:
    """Cancel what trains."""
    running = [run for run in facts.trainings if not run.completed]
    if not running:
        return refuse(Reason.NOTHING_RUNS, "No training of this pull request's head is under way.")
    what = "training" if len(running) == 1 else f"{len(running)} trainings"
    return Decision(
        reason=Reason.CANCELLED,
        sentence=f"Cancelling the {what}. /retrain starts one again.",
        link=running[0].url,
        effects=(*(CancelRun(run=run.id) for run in running), *_cancelled(facts, running[0])),
    )


def _cancelled(facts: Facts, run: Run) -> tuple[SetStatus, ...]:
    """The end of the status: nobody may tell the judge of a run that the workflow's own token cancelled."""
    pull = _pull(facts)
    counts = pull.open and facts.policy.guards(pull.base_ref) and facts.reruns.trial(run.this_attempt) is None
    said = f"The training was cancelled by {facts.event.author}; /retrain starts it again."
    return (_status(facts, run, run.this_attempt, State.ERROR, said),) if counts else ()


def _status(facts: Facts, run: Run, attempt: Attempt, state: State, said: str) -> SetStatus:
    return SetStatus(
        subject=_subject(facts),
        context=STATUS,
        state=state,
        description=one_line(said),
        url=with_attempt(run.url, attempt),
        attempt=attempt,
    )


def standing(facts: Facts) -> tuple[Run, Attempt, bool] | Decision:
    """The run of the head, its newest attempt that is no trial, and whether that one is over."""
    found = facts.trainings
    if not found or found[0].conclusion is Conclusion.SKIPPED:
        return refuse(Reason.NOT_TRAINED, "Nothing of this head has been trained, so there is nothing to judge.", _PUSH)
    run = found[0]
    if run.conclusion is Conclusion.ACTION_REQUIRED:
        return _needs_approval(run)
    attempt = facts.reruns.standing(run.this_attempt)
    return run, attempt, run.completed or attempt != run.this_attempt


def judge_of(facts: Facts, attempt: Attempt) -> Dispatch:
    """Start the judge: what this job's token does to a run may tell nobody."""
    inputs = {"run-id": str(attempt.run), "run-attempt": str(attempt.number)}
    return Dispatch(workflow=facts.judge_workflow, ref=facts.policy.default_branch, inputs=inputs)


def _wanted(facts: Facts, pull: PullRequest) -> tuple[Run, Attempt] | Decision:
    """The run to run again, and the attempt that this makes; the one that was begun before, where it was."""
    found = facts.trainings
    earlier = facts.request
    if earlier is not None:
        if earlier.sha != pull.head_sha:
            return refuse(Reason.HEAD_MOVED, "The head was pushed while this was answered.", "Say it again.")
        begun = [run for run in found if run.id == earlier.attempt.run and run.attempt >= earlier.attempt.number]
        if begun:
            return begun[0], earlier.attempt
    if not found:
        return refuse(Reason.NO_RUN, "No training of this head is there to run again.", f"{_PUSH}. {_CONFLICTS}")
    run = found[0]
    return _not_again(facts, found) or (run, Attempt(run=run.id, number=run.attempt + 1))


_CONFLICTS = "A pull request that conflicts with its base is not trained at all."


def _not_again(facts: Facts, found: Sequence[Run]) -> Decision | None:
    """Why GitHub does not run it again."""
    run, now = found[0], facts.event.created
    if run.conclusion is Conclusion.ACTION_REQUIRED:
        return _needs_approval(run)
    under_way = [each for each in found if not each.completed]
    if under_way:
        return _in_progress(under_way[0], "Wait for it, or end it: /mlbot cancel")
    if now and run.created and seconds_between(run.created, now) > MOST_DAYS * _DAY_S:
        return refuse(
            Reason.TOO_OLD, f"The training is older than {MOST_DAYS} days, and GitHub runs none again that is.", _PUSH
        )
    if run.attempt >= MOST_ATTEMPTS:
        return refuse(
            Reason.TOO_MANY_ATTEMPTS,
            f"The training has had {MOST_ATTEMPTS} attempts, and GitHub allows no more.",
            _PUSH,
        )
    return None


def _in_progress(run: Run, hint: str) -> Decision:
    return refuse(Reason.IN_PROGRESS, "A training of this head is under way.", hint, link=run.url)


def _needs_approval(run: Run) -> Decision:
    return refuse(
        Reason.NEEDS_APPROVAL,
        "GitHub holds the run until a maintainer approves it.",
        "Approve it on the page of the run.",
        link=run.url,
    )


def _params(facts: Facts, config: Config, command: Retrain) -> Params | Decision:
    """The parameters with their types; a refusal for what names no model or may not be changed."""
    for name in command.models:
        if name not in facts.gates:
            return _unknown(facts, name)
    if not command.params:
        return {}
    model = config.model(command.models[0])
    if model is None:
        sentence = f"The guarded branch does not know {command.models[0]} yet, so nothing of it may be changed."
        return refuse(Reason.PARAMETERS, sentence, "Merge its config first.")
    found = checked(model, command.params)
    if isinstance(found, dict):
        return found
    return refuse(Reason.PARAMETERS, " ".join(found), "The guarded branch's mlbot.yaml lists them: train.tunable")


def _unknown(facts: Facts, name: str) -> Decision:
    pull = _pull(facts)
    if name in {pull.head_ref, pull.base_ref, "HEAD", "head"}:
        return refuse(
            Reason.OTHER_SHA, f"{name} is a branch, and a branch can move while this is read.",
            "Name the commit by all its 40 digits, or leave it out on a branch of this repository.",
        )  # fmt: skip
    return checks.unknown_model(facts, name)


def _request(facts: Facts, command: Retrain, attempt: Attempt, params: Params) -> RetrainRequest:
    return RetrainRequest(
        comment=facts.event.comment,
        actor=facts.event.author,
        number=facts.event.number,
        sha=_pull(facts).head_sha,
        attempt=attempt,
        models=command.models,
        params=params,
    )


def _pull(facts: Facts) -> PullRequest:
    """The pull request; where there is none, nobody gets this far."""
    if facts.pull is None:
        raise ValueError("a command about runs was said in an issue")
    return facts.pull


def _subject(facts: Facts) -> PullRequestSubject:
    pull = _pull(facts)
    if pull.head_repository_id is None:
        raise ValueError("a command about runs was said where the fork is gone")
    return subject_of(pull, pull.head_repository_id)


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _and(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
