"""A decision: checks in their order, of which the first that does not hold says why not."""

from collections.abc import Collection, Iterable
from enum import StrEnum
from typing import Generic, TypeVar

from mlbot.lib.record import Record

ReasonT = TypeVar("ReasonT", bound=StrEnum)


class Decision(Record, Generic[ReasonT]):
    """What was decided and why; the words are in the template of the reasons."""

    reason: ReasonT
    go: bool
    """Whether it is done."""
    refused: bool
    """Whether it is refused; where there is nothing to do, it is neither."""


def first_refusal(checks: Iterable[tuple[ReasonT, bool]]) -> ReasonT | None:
    """The reason of the first check that does not hold. What comes after it is not looked at, and may rely on it."""
    return next((reason for reason, fails in checks if fails), None)


def decide(
    kind: type[Decision[ReasonT]],
    checks: Iterable[tuple[ReasonT, bool]],
    go: ReasonT,
    done: Collection[ReasonT] = (),
) -> Decision[ReasonT]:
    """A decision.

    Args:
        kind: with the enum of its reasons.
        checks: a reason against it, and whether that is so.
        go: the reason where no check fails.
        done: the reasons that say that there is nothing to do.
    """
    refusal = first_refusal(checks)
    return kind(reason=refusal or go, go=refusal is None, refused=refusal is not None and refusal not in done)
