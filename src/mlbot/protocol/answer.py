"""The bot's answer to a command: one comment for each, and the records in its last line that others read back.

The sandbox and the judge learn from these records what a person asked for. So they are taken from the bot's own
comments only, from the last line only, and by a closed schema: whatever an answer quotes from outside stands above.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Sequence
from itertools import takewhile
from typing import Annotated, Literal

from pydantic import Field, RootModel, StringConstraints

from mlbot.events.github import Attempt, Comment, Id, Login
from mlbot.ledger.entries import RequestEntry
from mlbot.lib.record import Name, Params, Record, Sha
from mlbot.lib.untrusted_json import HostileJsonError, read
from mlbot.protocol.marker import in_marker, last_line_of

RECORDS_LIMIT = 24_576  # bytes of the records' JSON in one answer: as base64 half of GitHub's longest comment
_DEPTH = 6

_LINE = re.compile(
    r"<!-- mlbot:answer comment=(?P<comment>[1-9][0-9]{0,17})(?: folder=(?P<folder>[A-Za-z0-9_./%]{1,400}))?"
    r" state=(?P<state>working|done) -->"
    r"(?:<!-- mlbot:records (?P<records>[A-Za-z0-9_=-]{1,32768}) -->)?"
)


class RetrainRequest(Record):
    """Somebody asked for a training again."""

    kind: Literal["retrain"] = "retrain"
    comment: Id
    actor: Login
    number: Id
    sha: Sha
    attempt: Attempt
    models: tuple[Name, ...] = ()  # which models train; empty: what is stale
    params: Params = Field(default_factory=dict)  # what differs from the committed parameters; not empty: a trial
    tip: Sha | None = None
    """The guarded branch's tip when it was asked for: what the attempt is merged onto and judged at, so that a branch
    that moves on faster than a training takes never leaves a change without a verdict."""

    @property
    def trial(self) -> bool:
        """Whether the attempt is shown only, and never gates."""
        return bool(self.params)


class WaiverRequest(Record):
    """Somebody asked to let one gate pass."""

    kind: Literal["waiver"] = "waiver"
    comment: Id
    actor: Login
    number: Id
    sha: Sha
    model: Name
    gate: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    reason: Annotated[str, StringConstraints(min_length=1, max_length=1000)]


class CarriedOut(Record):
    """What a comment asked of the release workflow is done, so that a second start for it does nothing."""

    kind: Literal["carried-out"] = "carried-out"
    comment: Id


Recorded = RetrainRequest | WaiverRequest | CarriedOut

_Record = Annotated[Recorded, Field(discriminator="kind")]


class _Records(RootModel[tuple[_Record, ...]]):
    """The records of one answer."""


def has_records(comment: Comment) -> bool:
    """Whether a comment ends as an answer with records does, whoever wrote it."""
    found = _LINE.fullmatch(last_line_of(comment.body))
    return found is not None and found["records"] is not None


def answer_marker(comment: int, folder: str = "") -> str:
    """What the last line of the answer to a comment starts with; each folder with an mlbot.yaml answers for itself."""
    return f"<!-- mlbot:answer comment={comment} {f'folder={in_marker(folder)} ' if folder else ''}state="


def last_line(comment: int, records: Sequence[Recorded] = (), *, folder: str = "", done: bool = False) -> str:
    """The last line of an answer: its marker, how far it is, and the records in it.

    Records are written before the effects that they announce; `done` says that those are had too, so that the same
    comment delivered again changes nothing. Raises ValueError for records too long to be read back.
    """
    line = f"{answer_marker(comment, folder)}{'done' if done else 'working'} -->"
    if not records:
        return line
    raw = _Records(tuple(records)).model_dump_json().encode()
    if len(raw) > RECORDS_LIMIT:
        raise ValueError(f"the records of an answer have {len(raw):,} bytes; {RECORDS_LIMIT:,} are read back")
    return f"{line}<!-- mlbot:records {urlsafe_b64encode(raw).decode()} -->"


def answer_to(comments: Iterable[Comment], login: Login, comment: int, folder: str = "") -> Comment | None:
    """The bot's answer to a comment: the oldest of its own comments that carry the marker."""
    wanted = (comment, in_marker(folder))
    own = (each for each in comments if each.author == login and _answers(each) == wanted)
    return min(own, key=lambda each: each.id, default=None)


def is_done(answer: Comment) -> bool:
    """Whether nothing is left to do for the command that this answers."""
    found = _LINE.fullmatch(last_line_of(answer.body))
    return found is not None and found["state"] == "done"


def recorded(comments: Iterable[Comment], login: Login) -> tuple[Recorded, ...]:
    """The records of the bot's own answers, oldest first. What is malformed or of another hand is ignored."""
    every: list[Recorded] = []
    for own in sorted((each for each in comments if each.author == login), key=lambda each: each.id):
        found = _LINE.fullmatch(last_line_of(own.body))
        if found is None or found["records"] is None:
            continue
        try:
            raw = urlsafe_b64decode(found["records"])
            records = read(raw, _Records, "An answer", most_bytes=RECORDS_LIMIT, most_depth=_DEPTH).root
        except (HostileJsonError, ValueError):  # binascii's errors are ValueErrors
            continue
        if all(each.comment == int(found["comment"]) for each in records):  # another command's are none of its own
            every += records
    return tuple(every)


def request_of(records: Iterable[Recorded], attempt: Attempt) -> RetrainRequest | None:
    """What was asked for by the command that started an attempt; None where a person or a push started it."""
    requests = [each for each in records if isinstance(each, RetrainRequest) and each.attempt == attempt]
    return requests[-1] if requests else None


def _answers(comment: Comment) -> tuple[int, str] | None:
    found = _LINE.fullmatch(last_line_of(comment.body))
    return (int(found["comment"]), found["folder"] or "") if found else None


class Reruns(Record):
    """The requests that the bot recorded on one pull request, oldest first; and those of judges in the ledger."""

    requests: tuple[RetrainRequest, ...] = ()
    waves: tuple[RequestEntry, ...] = ()
    """What judges asked of the same runs' later attempts, as the ledger has it: seeds that a verdict lacked."""

    @classmethod
    def of_pull_request(cls, records: Iterable[Recorded], number: int) -> "Reruns":
        """Those of a pull request; a first attempt is nobody's re-run, whatever is written of it."""
        found = (each for each in records if isinstance(each, RetrainRequest))
        return cls(requests=tuple(each for each in found if each.number == number and each.attempt.number > 1))

    def request(self, attempt: Attempt) -> RetrainRequest | None:
        """What an attempt was asked for; None where a push or a person's click started it."""
        return request_of(self.requests, attempt)

    def asked(self, attempt: Attempt) -> bool:
        """Whether the bot itself has asked GitHub for an attempt."""
        return self.request(attempt) is not None or any(each.attempt == attempt for each in self.waves)

    def wave(self, attempt: Attempt, commit: Sha, number: int | None) -> RequestEntry | None:
        """The seeds that a judge asked an attempt for; None where somebody's own request has taken the attempt."""
        if self.request(attempt) is not None:
            return None
        found = [
            each for each in self.waves if (each.attempt, each.commit, each.pull_request) == (attempt, commit, number)
        ]
        return max(found, key=lambda each: each.order, default=None)

    def waves_until(self, attempt: Attempt, commit: Sha, number: int | None) -> tuple[RequestEntry, ...]:
        """The judge's requests of an attempt and of those before it, the first one first.

        So what a judge has accepted counts when somebody runs failed jobs again; somebody's own request begins anew.
        """
        own = takewhile(lambda each: self.request(each) is None, _downwards(attempt))
        found = [wave for each in own if (wave := self.wave(each, commit, number)) is not None]
        return tuple(reversed(found))

    def trial(self, attempt: Attempt) -> RetrainRequest | None:
        """The request of an attempt that is a trial."""
        found = self.request(attempt)
        return found if found is not None and found.trial else None

    def counting(self, latest: Attempt) -> Attempt:
        """The newest attempt of a run, up to this one, that is no trial: the one whose verdict counts."""
        return next(each for each in _downwards(latest) if self.trial(each) is None)

    def outlasts(self, asked: Attempt, latest: Attempt) -> bool:
        """Whether an attempt is to be judged although newer ones have begun: it is a trial, or they all are."""
        return self.trial(asked) is not None or self.counting(latest).order <= asked.order

    def trials_until(self, attempt: Attempt) -> int:
        """How many trials the pull request has had, this one included."""
        known = {each.attempt.order for each in self.requests if self.trial(each.attempt) is not None}
        return sum(order <= attempt.order for order in known)


def _downwards(latest: Attempt) -> Iterable[Attempt]:
    return (Attempt(run=latest.run, number=number) for number in range(latest.number, 0, -1))
