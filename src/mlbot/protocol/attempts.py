"""What `/retrain` asked of a run's later attempts, and what that makes of each of them.

An attempt with parameters that nobody committed is a trial: it is shown, and it counts for nothing else. So it is
never the newer attempt that replaces an older one's verdict.
"""

from collections.abc import Iterable

from mlbot.events.github import Attempt
from mlbot.lib.record import Name, Record
from mlbot.protocol.answer import Recorded, RetrainRequest, request_of


class Reruns(Record):
    """The requests that the bot recorded on one pull request, oldest first."""

    requests: tuple[RetrainRequest, ...] = ()

    @classmethod
    def of_pull_request(cls, records: Iterable[Recorded], number: int) -> "Reruns":
        """Those of a pull request; a first attempt is nobody's re-run, whatever is written of it."""
        found = (each for each in records if isinstance(each, RetrainRequest))
        return cls(requests=tuple(each for each in found if each.number == number and each.attempt.number > 1))

    def request(self, attempt: Attempt) -> RetrainRequest | None:
        """What an attempt was asked for; None where a push or a person's click started it."""
        return request_of(self.requests, attempt)

    def trial(self, attempt: Attempt) -> RetrainRequest | None:
        """The request of an attempt that is a trial."""
        found = self.request(attempt)
        return found if found is not None and found.trial else None

    def standing(self, latest: Attempt) -> Attempt:
        """The newest attempt of a run, up to this one, that is no trial: the one whose verdict counts."""
        return next(each for each in _downwards(latest) if self.trial(each) is None)

    def outlasts(self, asked: Attempt, latest: Attempt) -> bool:
        """Whether an attempt is to be judged although newer ones have begun: it is a trial, or they all are."""
        return self.trial(asked) is not None or self.standing(latest).order <= asked.order

    def trained(self, model: Name, latest: Attempt) -> Attempt:
        """The newest attempt, up to this one, that trained a stale model with its committed parameters.

        One that was asked for other models only left it alone, so its files are those of an earlier attempt.
        """
        return next(each for each in _downwards(latest) if self._trains(model, each))

    def trials_until(self, attempt: Attempt) -> int:
        """How many trials the pull request has had, this one included."""
        known = {each.attempt.order for each in self.requests if self.trial(each.attempt) is not None}
        return sum(order <= attempt.order for order in known)

    def _trains(self, model: Name, attempt: Attempt) -> bool:
        request = self.request(attempt)
        return request is None or (not request.trial and (not request.models or model in request.models))


def _downwards(latest: Attempt) -> Iterable[Attempt]:
    return (Attempt(run=latest.run, number=number) for number in range(latest.number, 0, -1))
