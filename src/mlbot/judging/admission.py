"""What the trusted side does about a run: judge it, finish it without judging, wait, or ignore it.

Everything is decided from the event, the run as the API gives it when asked again, the open pull requests and the
guarded branch's policy. Nothing is taken from an artifact: its writer may be a stranger.
"""

import re
from collections.abc import Sequence

from mlbot.events.github import Attempt, Conclusion, PullRequest, Run, State
from mlbot.protocol import decision
from mlbot.protocol.answer import Reruns

_QUEUE = re.compile(r"gh-readonly-queue/(?P<base>.+)/pr-[0-9]+-[0-9a-f]{40}")
"""How the merge queue names its branches (docs.github.com, "Managing a merge queue")."""


def triage(
    run: Run,
    asked: Attempt,
    policy: decision.Policy,
    pulls: Sequence[PullRequest],
    event_run: Run | None = None,
    reruns: Reruns = decision.NO_RERUNS,
) -> decision.Decision:
    """What to do about a run.

    `run` is as the API gives it now, or as it was at `asked` where no newer attempt counts (`Reruns.outlasts`);
    `event_run` as the event told of it, None for a dispatch.
    """
    refused = _foreign(run, policy, event_run) or _other_attempt(run, asked, reruns)
    if refused is not None:
        return refused
    subject = _subject(run, policy, pulls)
    if isinstance(subject, decision.Ignore):
        return subject
    if run.attempt < asked.number:
        return decision.Wait(subject=subject, attempt=asked)
    return _by_conclusion(run, subject, reruns)


def _ignore(cause: decision.Cause, sentence: str) -> decision.Ignore:
    return decision.Ignore(cause=cause, sentence=sentence)


def _foreign(run: Run, policy: decision.Policy, event_run: Run | None) -> decision.Ignore | None:
    checks: tuple[tuple[bool, decision.Cause, str], ...] = (
        (
            run.repository_id == policy.repository_id,
            decision.Cause.OTHER_REPOSITORY,
            "The run belongs to another repository.",
        ),
        (
            run.path == policy.train_path,
            decision.Cause.OTHER_WORKFLOW,
            f"The run is not of {policy.train_path}, whatever its name says.",
        ),
        (
            run.event in {"pull_request", "merge_group", "push"},
            decision.Cause.OTHER_EVENT,
            "The run was started by an event that mlbot does not judge.",
        ),
        (
            event_run is None or _identity(event_run) == _identity(run),
            decision.Cause.EVENT_DISAGREES,
            "The event and the API tell different things of the run.",
        ),
    )
    return next((_ignore(cause, sentence) for holds, cause, sentence in checks if not holds), None)


def _other_attempt(run: Run, asked: Attempt, reruns: Reruns) -> decision.Ignore | None:
    """An attempt that is not there yet is waited for only when the bot itself has asked GitHub for it."""
    if run.id != asked.run or (run.attempt < asked.number and reruns.request(asked) is None):
        sentence = f"The API gave attempt {run.this_attempt} when asked for {asked}."
        return _ignore(decision.Cause.OTHER_ATTEMPT, sentence)
    if run.attempt > asked.number:
        return _ignore(decision.Cause.NEWER_ATTEMPT, f"A newer attempt has replaced attempt {asked}.")
    return None


def _identity(run: Run) -> tuple[object, ...]:
    return run.id, run.repository_id, run.path, run.event, run.head_sha, run.head_repository_id


def _subject(run: Run, policy: decision.Policy, pulls: Sequence[PullRequest]) -> decision.Subject | decision.Ignore:
    if run.event == "pull_request":
        return _pull_request(run, policy, pulls)
    if run.head_repository_id != policy.repository_id:
        return _ignore(decision.Cause.OTHER_REPOSITORY, "The run's commit is of another repository.")
    branch = run.head_branch or ""
    if run.event == "merge_group":
        queue = _QUEUE.fullmatch(branch)
        if queue is None or not policy.guards(queue["base"]):
            return _ignore(decision.Cause.NOT_GUARDED, "The merge queue is not of a guarded branch.")
        return decision.MergeGroupSubject(sha=run.head_sha, branch=queue["base"])
    if not policy.guards(branch):
        return _ignore(decision.Cause.NOT_GUARDED, "The branch that was pushed to is not guarded.")
    return decision.PushSubject(sha=run.head_sha, branch=branch)


def _pull_request(
    run: Run, policy: decision.Policy, pulls: Sequence[PullRequest]
) -> decision.Subject | decision.Ignore:
    if run.head_repository_id is None:
        return _ignore(decision.Cause.HEAD_REPOSITORY_GONE, "The repository that head was in is gone.")
    ours = [
        pull
        for pull in pulls
        if pull.open
        and pull.base_repository_id == policy.repository_id
        and pull.head_repository_id == run.head_repository_id
    ]
    current = [pull for pull in ours if pull.head_sha == run.head_sha]
    guarded = [pull for pull in current if policy.guards(pull.base_ref)]
    if len(guarded) == 1:
        return decision.PullRequestSubject.of(guarded[0])
    if guarded:
        return _ignore(decision.Cause.SEVERAL_PULL_REQUESTS, f"{len(guarded)} open pull requests have this head.")
    if current:
        return _ignore(decision.Cause.NOT_GUARDED, "The pull request goes into a branch that is not guarded.")
    if any(pull.head_ref == run.head_branch for pull in ours):
        return _ignore(decision.Cause.STALE_HEAD, "The pull request has a newer head by now.")
    return _ignore(decision.Cause.NO_PULL_REQUEST, "No open pull request has this head.")


_FINISHED: dict[Conclusion, tuple[decision.Cause, State]] = {
    Conclusion.CANCELLED: (decision.Cause.CANCELLED, State.ERROR),
    Conclusion.TIMED_OUT: (decision.Cause.TIMED_OUT, State.ERROR),
    Conclusion.ACTION_REQUIRED: (decision.Cause.NEEDS_APPROVAL, State.PENDING),
    Conclusion.STARTUP_FAILURE: (decision.Cause.DID_NOT_START, State.ERROR),
    Conclusion.STALE: (decision.Cause.DID_NOT_START, State.ERROR),
    Conclusion.SKIPPED: (decision.Cause.SKIPPED, State.ERROR),
}


def _by_conclusion(
    run: Run, subject: decision.Subject, reruns: Reruns
) -> decision.Judge | decision.FinishWithoutJudging | decision.Wait:
    """A run that failed is judged: the judge knows what is missing. One that says nothing at all is no pass."""
    attempt = run.this_attempt
    if not run.completed or run.conclusion is None:
        if run.conclusion is not Conclusion.ACTION_REQUIRED:
            return decision.Wait(subject=subject, attempt=attempt)
    elif run.conclusion is Conclusion.SKIPPED and isinstance(subject, decision.PullRequestSubject) and subject.draft:
        return decision.FinishWithoutJudging(
            subject=subject, attempt=attempt, cause=decision.Cause.DRAFT, state=State.PENDING
        )
    finished = _FINISHED.get(run.conclusion)
    if finished is None:
        return decision.Judge(subject=subject, attempt=attempt, reruns=reruns)
    cause, state = finished
    return decision.FinishWithoutJudging(subject=subject, attempt=attempt, cause=cause, state=state, reruns=reruns)


def announce(
    run: Run,
    policy: decision.Policy,
    pulls: Sequence[PullRequest],
    event_run: Run | None = None,
    reruns: Reruns = decision.NO_RERUNS,
) -> decision.Subject | decision.Ignore:
    """Whose status goes pending when a run was requested; the same checks as `triage`, but for the run's end."""
    if reruns.trial(run.this_attempt) is not None:
        return _ignore(decision.Cause.TRIAL, "The attempt is a trial, which leaves the status as it is.")
    return _foreign(run, policy, event_run) or _subject(run, policy, pulls)
