"""What the trusted side does about a run: judge it, finish it without judging, wait, or ignore it.

Everything is decided from the event, the run as the API gives it when asked again, the open pull requests and the
guarded branch's policy. Nothing is taken from an artifact: its writer may be a stranger.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mlbot.events.github import Attempt, Conclusion, PullRequest, Run, State
from mlbot.gates.outcome import Reason
from mlbot.protocol import decision
from mlbot.protocol.answer import Reruns
from mlbot.report.report import Report

_QUEUE = re.compile(r"gh-readonly-queue/(?P<base>.+)/pr-[0-9]+-[0-9a-f]{40}")
"""How the merge queue names its branches (docs.github.com, "Managing a merge queue")."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Around:
    """What GitHub says around a run: as an event told of it, whose head it is, what else its head started."""

    pulls: Sequence[PullRequest] = ()
    event_run: Run | None = None  # None for a dispatch
    reruns: Reruns = decision.NO_RERUNS
    others: Sequence[Run] = ()
    """The other runs that a pull request with this head started, each at the attempt that counts."""


def triage(run: Run, asked: Attempt, policy: decision.Policy, around: Around) -> tuple[decision.Decision, ...]:
    """What to do about a run, for each pull request whose head it has trained: at least one decision.

    `run` is as the API gives it now, or as it was at `asked` where no newer attempt counts (`Reruns.outlasts`).
    """
    refused = _foreign(run, policy, around.event_run) or _other_attempt(run, asked, around.reruns)
    if refused is not None:
        return (refused,)
    subjects = _subjects(run, policy, around.pulls)
    if isinstance(subjects, decision.Ignore):
        return (subjects,)
    trial = around.reruns.trial(asked)
    if trial is not None:  # shown where it was asked for, and nowhere else
        subjects = [each for each in subjects if getattr(each, "number", None) == trial.number]
    others = () if trial else tuple(around.others)
    runs = _Runs(run=run, asked=asked, others=others, reruns=around.reruns, several=len(subjects) > 1)
    found = tuple(runs.decide(each, guarded=policy.guards(each.branch)) for each in subjects)
    return found or (_ignore(decision.Cause.NO_PULL_REQUEST, "The pull request that the trial was asked on is gone."),)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Runs:
    """The runs that pull requests with one head started; the one that this is about, and the others.

    Nothing says for which pull request a run was started where a branch has several: each of its runs may have the
    files for each of them, which the judge finds out.
    """

    run: Run
    asked: Attempt
    others: tuple[Run, ...]
    reruns: Reruns
    several: bool  # whether several pull requests into guarded branches have this head

    def decide(self, subject: decision.Subject, *, guarded: bool) -> decision.Decision:
        """What to do for one subject."""
        if not isinstance(subject, decision.PullRequestSubject):
            return self._by_conclusion(self.run, subject)
        if not guarded:
            return self._finish(subject, decision.Cause.NOT_GUARDED, State.SUCCESS)
        if subject.head_repository_id is None:
            return self._finish(subject, decision.Cause.HEAD_REPOSITORY_GONE, State.ERROR)
        return self._by_runs(subject)

    def _by_runs(self, subject: decision.PullRequestSubject) -> decision.Decision:
        runs = self._of(subject)
        found = [self._by_conclusion(each, subject) for each in runs]
        own = next((each for run, each in zip(runs, found, strict=True) if run is self.run), None)
        if isinstance(own, decision.Wait):
            return own
        judged = [each for each in found if isinstance(each, decision.Judge)]
        coming = any(isinstance(each, decision.Wait) for each in found)
        if judged and (self.several or found[0] is judged[0]):
            return self._judge(judged, coming=coming)
        if coming and (self.several or isinstance(found[0], decision.Wait)):
            # Its end starts a judge of its own, so this one does not wait for it.
            return self._finish(subject, decision.Cause.OWN_RUN, State.PENDING)
        ended = [each for each in found if isinstance(each, decision.FinishWithoutJudging)]
        return ended[0].model_copy(update={"attempt": self._newest}) if ended else self._untrained(subject)

    def _judge(self, judged: Sequence[decision.Judge], *, coming: bool) -> decision.Judge:
        """The newest run decides; an older one only where the newest may have been another pull request's."""
        first, *more = judged
        fallback = self.several or self.run.conclusion is Conclusion.SKIPPED
        changes = {
            "instead_of": None if self._newest == first.attempt else self._newest,
            "others": tuple(each.attempt for each in more) if fallback else (),
            "coming": coming,
        }
        return first.model_copy(update=changes)

    def _of(self, subject: decision.PullRequestSubject) -> list[Run]:
        """The runs that may have trained for a pull request, the newest first."""
        source = (subject.head_repository_id, subject.head_ref)
        found = [
            each
            for each in (self.run, *self.others)
            if (each.head_repository_id, each.head_branch) == source and each.conclusion is not Conclusion.SKIPPED
        ]
        return sorted(found, key=lambda each: each.id, reverse=True)

    def _untrained(self, subject: decision.PullRequestSubject) -> decision.FinishWithoutJudging:
        """Of a pull request without a run: one that skipped, or none at all yet."""
        source = (subject.head_repository_id, subject.head_ref)
        skipped = any((each.head_repository_id, each.head_branch) == source for each in (self.run, *self.others))
        if subject.draft:
            return self._finish(subject, decision.Cause.DRAFT, State.PENDING)
        if skipped:
            return self._finish(subject, decision.Cause.SKIPPED, State.ERROR)
        return self._finish(subject, decision.Cause.OWN_RUN, State.PENDING)

    def _finish(
        self, subject: decision.PullRequestSubject, cause: decision.Cause, state: State
    ) -> decision.FinishWithoutJudging:
        return decision.FinishWithoutJudging(
            subject=subject, attempt=self._newest, cause=cause, state=state, reruns=self.reruns
        )

    def _attempt(self, run: Run) -> Attempt:
        return self.asked if run is self.run else run.this_attempt

    @property
    def _newest(self) -> Attempt:
        """Whose word is said: the newest run's, for what it found is in it, whichever files were judged."""
        return max((self.asked, *(each.this_attempt for each in self.others)), key=lambda each: each.order)

    def _by_conclusion(self, run: Run, subject: decision.Subject) -> decision.Decision:
        """A run that failed is judged: the judge knows what is missing. One that says nothing at all is no pass."""
        attempt = self._attempt(run)
        if run.attempt < attempt.number:
            return decision.Wait(subject=subject, attempt=attempt)
        if (not run.completed or run.conclusion is None) and run.conclusion is not Conclusion.ACTION_REQUIRED:
            return decision.Wait(subject=subject, attempt=attempt)
        finished = _FINISHED.get(run.conclusion)
        if finished is None:
            return decision.Judge(subject=subject, attempt=attempt, reruns=self.reruns)
        cause, state = finished
        return decision.FinishWithoutJudging(
            subject=subject, attempt=attempt, cause=cause, state=state, reruns=self.reruns
        )


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
            event_run is None or _is_same(event_run, run),
            decision.Cause.EVENT_DISAGREES,
            "The event and the API tell different things of the run.",
        ),
    )
    return next((_ignore(cause, sentence) for holds, cause, sentence in checks if not holds), None)


def _other_attempt(run: Run, asked: Attempt, reruns: Reruns) -> decision.Ignore | None:
    """An attempt that is not there yet is waited for only when the bot itself has asked GitHub for it."""
    if run.id != asked.run or (run.attempt < asked.number and not reruns.asked(asked)):
        sentence = f"The API gave attempt {run.this_attempt} when asked for {asked}."
        return _ignore(decision.Cause.OTHER_ATTEMPT, sentence)
    if run.attempt > asked.number:
        return _ignore(decision.Cause.NEWER_ATTEMPT, f"A newer attempt has replaced attempt {asked}.")
    return None


def _is_same(before: Run, run: Run) -> bool:
    """Whether the event and the API mean one run; a fork that was deleted since is gone from the API's word alone."""
    facts = ("id", "repository_id", "path", "event", "head_sha")
    gone = run.head_repository_id is None
    return all(getattr(before, each) == getattr(run, each) for each in facts) and (
        gone or before.head_repository_id == run.head_repository_id
    )


def _subjects(
    run: Run, policy: decision.Policy, pulls: Sequence[PullRequest]
) -> Sequence[decision.Subject] | decision.Ignore:
    if run.event == "pull_request":
        return _pull_requests(run, policy, pulls)
    if run.head_repository_id != policy.repository_id:
        return _ignore(decision.Cause.OTHER_REPOSITORY, "The run's commit is of another repository.")
    branch = run.head_branch or ""
    if run.event == "merge_group":
        queue = _QUEUE.fullmatch(branch)
        if queue is None or not policy.guards(queue["base"]):
            return _ignore(decision.Cause.NOT_GUARDED, "The merge queue is not of a guarded branch.")
        return (decision.MergeGroupSubject(sha=run.head_sha, branch=queue["base"]),)
    if not policy.guards(branch):
        return _ignore(decision.Cause.NOT_GUARDED, "The branch that was pushed to is not guarded.")
    return (decision.PushSubject(sha=run.head_sha, branch=branch),)


def _pull_requests(
    run: Run, policy: decision.Policy, pulls: Sequence[PullRequest]
) -> Sequence[decision.Subject] | decision.Ignore:
    """Every open pull request with this head, whichever branch or fork it is from: they share the commit's statuses."""
    ours = [pull for pull in pulls if pull.open and pull.base_repository_id == policy.repository_id]
    current = [pull for pull in ours if pull.head_sha == run.head_sha]
    guarded = [pull for pull in current if policy.guards(pull.base_ref)]
    # Those into other branches have nothing that is judged; one of them ends the status where there is no other. But
    # for a guarded branch's own commit, whose status is what came of the push.
    others = [pull for pull in current if pull.fork or not policy.guards(pull.head_ref)]
    found = sorted(guarded or others[:1], key=lambda pull: pull.number)
    if found:
        return tuple(map(decision.PullRequestSubject.of, found))
    if current:
        return _ignore(decision.Cause.NOT_GUARDED, "It goes from a guarded branch into one that is not guarded.")
    source = (run.head_repository_id, run.head_branch)
    if any((pull.head_repository_id, pull.head_ref) == source for pull in ours):
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


def announce(run: Run, policy: decision.Policy, around: Around) -> Sequence[decision.Subject] | decision.Ignore:
    """Whose statuses go pending when a run was requested; the same checks as `triage`, but for the run's end."""
    if around.reruns.trial(run.this_attempt) is not None:
        return _ignore(decision.Cause.TRIAL, "The attempt is a trial, which leaves the status as it is.")
    subjects = _foreign(run, policy, around.event_run) or _subjects(run, policy, around.pulls)
    if isinstance(subjects, decision.Ignore) or any(policy.guards(each.branch) for each in subjects):
        return subjects
    return _ignore(decision.Cause.NOT_GUARDED, "The pull request goes into a branch that is not guarded.")


def is_outdated(asked: decision.Judge, report: Report) -> bool:
    """Whether the guarded branch has changed what a model depends on since it was trained, so that it trains again.

    An attempt that was merged onto a tip that the bot recorded is judged there: there is never a third training.
    """
    if asked.trial or asked.pinned or not isinstance(asked.subject, decision.PullRequestSubject):
        return False
    return any(model.verdict.reason is Reason.OUTDATED for model in report.models)
