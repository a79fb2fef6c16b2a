"""What commands do to runs: re-run, cancel, dispatch; each so that doing it twice is the same as once."""

from enum import StrEnum

from mlbot.core.operation import CancelRun, Dispatch, React, Rerun
from mlbot.core.writing import Write, may_write
from mlbot.errors import MlbotError
from mlbot.github.api import GitHub
from mlbot.github.failures import GitHubError, NotFoundError, UnavailableError

_TRIES = 2
"""How often to try what GitHub may or may not have done."""
_LOOKS = 6
_PAUSE_S = 1.0


class Effected(StrEnum):
    """What became of an effect. A closed list."""

    DONE = "done"
    UNCHANGED = "unchanged"
    """It had been done before, or there is nothing left to do it to."""
    NOT_CURRENT = "not-current"
    """The pull request moved on, so nothing was done."""


def effect(github: GitHub, operation: Rerun | CancelRun | Dispatch | React) -> Effected:
    """Do it.

    Raises:
        MlbotError: of `mlbot.github.failures`.
    """
    match operation:
        case Rerun():
            return _rerun(github, operation)
        case CancelRun():
            return _cancel(github, operation)
        case Dispatch():
            return _dispatch(github, operation)
        case React():
            return _react(github, operation)


def _rerun(github: GitHub, operation: Rerun) -> Effected:
    wanted = operation.attempt
    for _ in range(_TRIES):
        if github.run(wanted.run).attempt >= wanted.number:
            return Effected.UNCHANGED
        # Last, so that nothing stands between this look and the re-run.
        if may_write(operation.subject, github.pull_request(operation.subject.number)) is not Write.GO:
            return Effected.NOT_CURRENT
        try:
            github.rerun(wanted.run)
        except UnavailableError:
            continue  # perhaps it was done: look again
        except MlbotError:
            if github.run(wanted.run).attempt >= wanted.number:
                return Effected.UNCHANGED  # somebody else was quicker
            raise
        _await_attempt(github, operation)
        return Effected.DONE
    raise UnavailableError(f"nobody knows whether run {wanted.run} was started again", mend="Say the command again.")


def _await_attempt(github: GitHub, operation: Rerun) -> None:
    """Until the API tells of the attempt: a judge that is dispatched before would find none."""
    for look in range(_LOOKS):
        if github.run(operation.attempt.run).attempt >= operation.attempt.number:
            return
        github.transport.sleep(_PAUSE_S * 2**look)


def _cancel(github: GitHub, operation: CancelRun) -> Effected:
    try:
        github.cancel(operation.run)
    except GitHubError:
        if github.run(operation.run).completed:
            return Effected.UNCHANGED
        raise
    return Effected.DONE


def _dispatch(github: GitHub, operation: Dispatch) -> Effected:
    """A second start does no harm, for whatever is started looks at what is done already; none at all would."""
    try:
        github.dispatch(operation.workflow, operation.ref, operation.inputs)
    except UnavailableError:
        github.dispatch(operation.workflow, operation.ref, operation.inputs)
    return Effected.DONE


def _react(github: GitHub, operation: React) -> Effected:
    try:
        github.react(operation.comment, operation.reaction)
    except NotFoundError:
        return Effected.UNCHANGED
    return Effected.DONE
