"""`mlbot lock` and `mlbot unlock`: close an environment to promotions, and open it again."""

from mlbot.activities.home import Home
from mlbot.activities.slot import LONGEST_REASON
from mlbot.core.ledger import LockEntry
from mlbot.core.ledger_state import locked, locks
from mlbot.core.record import Record
from mlbot.core.wording import who
from mlbot.errors import UsageError


class LockResult(Record):
    """What came of it."""

    environment: str
    locked: bool
    changed: bool
    sentence: str
    entry: LockEntry | None = None


def set_lock(home: Home, environment: str, *, close: bool, reason: str = "") -> LockResult:
    """Close an environment, or open it; what is so already stays so.

    Args:
        home: where, and who.
        environment: which.
        close: whether to close it.
        reason: why.

    Raises:
        UsageError: there is no such environment, or the config is wrong.
        RefusedError: the token may not write.
        NotEvaluatedError: the remote does not answer.
    """
    if home.environment(environment) is None:
        there = ", ".join(each.name for each in home.config.environments) or "none"
        raise UsageError(f"mlbot.yaml has no environment {environment!r}", mend=f"The environments are: {there}.")
    entries = home.entries("lock", environment)
    now = locked(entries, environment)
    if close == (now is not None):
        said = f"locked already, by {who(now.actor)} since {now.time}" if now else "not locked"
        return LockResult(environment=environment, locked=close, changed=False, sentence=f"{environment} is {said}.")
    entry = LockEntry(
        environment=environment,
        locked=close,
        sequence=max((each.sequence for each in locks(entries, environment)), default=0) + 1,
        actor=home.actor,
        reason=reason[:LONGEST_REASON],
        run=home.run,
        time=home.time,
    )
    home.record(entry)
    said = "locked: nothing is promoted into it; a rollback still goes through" if close else "open"
    return LockResult(
        environment=environment, locked=close, changed=True, sentence=f"{environment} is {said}.", entry=entry
    )
