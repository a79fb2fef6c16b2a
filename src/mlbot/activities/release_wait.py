"""A release whose verdict is not there yet waits for it, while its training or its judging is under way."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from mlbot.activities.home import Home
from mlbot.activities.release import ReleaseRequest, ReleaseResult, release
from mlbot.activities.release_desk import ReleaseDesk
from mlbot.core.command import Release
from mlbot.core.forge import State
from mlbot.core.published import STATUS
from mlbot.core.record import Sha
from mlbot.core.release import ReleaseReason
from mlbot.core.release_asked import Asked
from mlbot.core.release_told import told_waiting
from mlbot.errors import UsageError

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
    desk: ReleaseDesk, home: Home, asked: Asked, command: Release, patience: Patience
) -> ReleaseResult:
    """Release, as soon as the verdict is there.

    Raises:
        MlbotError: as `release`, and where GitHub does not say what runs.
    """
    request = ReleaseRequest(model=command.model, version=command.version, bump=command.bump)
    if asked.tag is not None:
        _is_there(home, asked.tag)
    idle = 0
    result = release(home, request)
    for look in range(patience.checks):
        if result.decision.reason not in _WAITS:
            break
        idle = 0 if under_way(desk, result.commit) else idle + 1
        if idle >= _IDLE:
            break
        if look == 0 and not idle:
            desk.tell(told_waiting(result.decision))
        patience.pause(min(_LONGEST_S, 2.0 * 2 ** min(look, 5)))
        home = replace(home)  # with nothing remembered of the branch as it was
        home.catch_up()
        result = release(home, request)
    return result


def under_way(desk: ReleaseDesk, commit: Sha) -> bool:
    """Whether a commit of the default branch is being trained or judged."""
    runs = desk.github.runs(commit, "push")
    if any(not run.completed for run in runs if run.path == desk.options.train_path):
        return True
    status = desk.github.status(commit, STATUS)
    return status is not None and status.state is State.PENDING


def _is_there(home: Home, tag: str) -> None:
    """Make sure that the pushed tag was not taken away since: nobody asks for a tag that is gone to be made anew."""
    with home.tags() as tags:
        if tags.find(tag) is None:
            raise UsageError(f"the tag {tag[:100]} is not there any more", mend="Push it again.")
