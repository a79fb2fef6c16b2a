"""From what people asked for to waivers: which requests hold for this verdict, and a sentence on each that does not."""

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass

from mlbot.commands.parser import parse_comment
from mlbot.commands.waive import Waive
from mlbot.events.github import Comment, Edits, Id
from mlbot.gates.outcome import Outcome, Reason
from mlbot.ledger.entries import Time, WaiverEntry
from mlbot.lib.record import Name, Record, Sha
from mlbot.protocol.answer import Recorded, WaiverRequest
from mlbot.report.notices import notice
from mlbot.report.report import Notice, NoticeCode
from mlbot.verdict.decide import DELETED, Evidence, may_be_waived, named
from mlbot.verdict.verdict import GateResult, ModelVerdict, Verdict

_LISTED = 12


class Resolved(Record):
    """What came of the requests."""

    waivers: tuple[WaiverEntry, ...] = ()
    notices: tuple[Notice, ...] = ()


def is_open(verdict: Verdict) -> bool:
    """Whether a waiver could change anything: some gate that counts failed or is undecided, or a model is gone."""
    return any(_open(model) or _removed(model) for model in verdict.models)


def doubt(request: WaiverRequest, comments: Sequence[Comment]) -> str | None:
    """Why it is not sure that the person said what the bot recorded: gone, edited, or something else.

    Who may write to a repository may edit the bot's comments, but cannot make another person say something unseen.
    """
    edits = [each.edits for each in comments if each.id == request.comment and _asks(each, request)]
    if Edits.NONE in edits:
        return None
    if Edits.UNKNOWN in edits:
        return "GitHub does not say whether the comment that asked for it was edited; say it again"
    return "the comment that asked for it is gone, was edited, or says something else"


def _asks(comment: Comment, request: WaiverRequest) -> bool:
    asked = (request.model, request.gate, request.reason)
    commands = [line.command for line in parse_comment(comment.body)] if comment.author == request.actor else []
    return any(isinstance(each, Waive) and (each.model, each.gate, each.reason) == asked for each in commands)


def refused(request: WaiverRequest, why: str) -> Notice:
    """The notice on a request that changes nothing."""
    gate = "" if request.gate == DELETED else request.gate
    return notice(NoticeCode.WAIVER_UNUSED, warning=True, gate=gate, model=request.model, actor=request.actor, why=why)


def fresh(records: Iterable[Recorded], known: Iterable[WaiverEntry]) -> tuple[WaiverRequest, ...]:
    """The requests that the ledger knows nothing of, oldest first.

    One that it knows is not bound again: what it was bound to stands there, and ends as it ends.
    """
    done = {each.comment for each in known}
    return tuple(each for each in records if isinstance(each, WaiverRequest) and each.comment not in done)


def resolve(
    requests: Sequence[WaiverRequest],
    comments: Sequence[Comment],
    verdict: Verdict,
    evidence: Sequence[Evidence],
    speakers: Container[str],
    now: Time,
) -> Resolved:
    """Bind requests to what they are about: the gates that block now, this content of the model, and today's rules.

    A name that means several gates binds to those of them that block now; the others stay gates. `verdict` is with the
    waivers known already. A waiver holds since `now` if its comment does not say when it was written.
    """
    times = {each.id: each.created or now for each in comments}
    models = {model.model: (model, each) for model, each in zip(verdict.models, evidence, strict=True)}
    waivers: list[WaiverEntry] = []
    notices: list[Notice] = []
    for request in requests:
        if request.sha != verdict.commits.head:
            found: list[WaiverEntry] | str | None = _of_another_head(request, models.get(request.model))
        elif unsure := doubt(request, comments):
            found = unsure
        elif request.model not in models:
            found = f"nothing that {request.model} depends on changed here, or there is no such model"
        elif request.actor not in speakers:
            found = f"{request.actor} has no right to it by now"
        else:
            found = bind(request, *models[request.model], verdict.commits.guarded, times[request.comment])
        if isinstance(found, str):
            notices.append(refused(request, found))
        else:
            waivers += found or ()
    return Resolved(waivers=tuple(waivers), notices=tuple(notices))


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A request made on a laptop: of no comment and no pull request."""

    model: Name
    gate: str
    reason: str
    actor: str
    sha: Sha
    number: None = None
    comment: None = None


def bind(
    request: WaiverRequest | Asked, model: ModelVerdict, evidence: Evidence, branch: str, time: Time
) -> list[WaiverEntry] | str:
    """The waivers of the gates that block now and that a request names; or why there is none.

    `branch`: the guarded one that the change goes into. Its rules say who may waive, so it holds there alone.
    """
    if evidence.key is None or evidence.policy is None:
        return f"{model.model} could not be evaluated, and what could not be evaluated is never waived"
    if evidence.deleted:
        if request.gate != DELETED:
            return f"{model.model} is to be gone as a whole; what can be waived is {DELETED}"
        return [_waiver(request, evidence, DELETED, branch, time)]
    gates = named(evidence.gates, request.gate)
    if not gates:
        return f"{model.model} has no such gate; it has {_listed([gate.name for gate in evidence.gates])}"
    results = [result for result in model.gates if result.gate in gates]
    blocking = [result for result in results if may_be_waived(result)]
    return [_waiver(request, evidence, each.gate.name, branch, time) for each in blocking] or _needless(results)


def _needless(results: Sequence[GateResult]) -> str:
    if any(result.counts and result.outcome is Outcome.ERROR for result in results):
        return "the gate could not be evaluated, and what could not be evaluated is never waived"
    if not any(result.counts for result in results):
        return "the gate is only shown and does not block"
    if any(result.waived for result in results):
        return "the gate is waived already"
    return "the gate passes without it"


def _of_another_head(request: WaiverRequest, judged: tuple[ModelVerdict, Evidence] | None) -> str | None:
    """A request that no judge met in time: said where the gate still blocks, forgotten where it does not."""
    if judged is None:
        return None
    model, evidence = judged
    names = {gate.name for gate in named(evidence.gates, request.gate)} | {request.gate}
    if not any(result.gate.name in names for result in _open(model)) and not (
        request.gate == DELETED and _removed(model)
    ):
        return None
    return f"it was for the commit {request.sha[:7]}, which is not the head any more; say it again"


def _waiver(request: WaiverRequest | Asked, evidence: Evidence, gate: str, branch: str, time: Time) -> WaiverEntry:
    if evidence.key is None or evidence.policy is None:
        raise ValueError("a waiver binds to a content key and to rules")
    return WaiverEntry(
        model=request.model,
        key=evidence.key,
        policy=evidence.policy,
        gate=gate,
        reason=request.reason,
        actor=request.actor,
        branch=branch,
        pull_request=request.number,
        comment=request.comment,
        commit=request.sha,
        time=time,
    )


def ended(
    known: Sequence[WaiverEntry], verdict: Verdict, evidence: Sequence[Evidence], number: Id | None
) -> tuple[Notice, ...]:
    """A notice on each gate that blocks now although it was waived before, with what changed since."""
    return tuple(
        found
        for model, each in zip(verdict.models, evidence, strict=True)
        for found in _ended(known, model, each, number)
    )


def _ended(
    known: Sequence[WaiverEntry], model: ModelVerdict, evidence: Evidence, number: Id | None
) -> Iterator[Notice]:
    names = [DELETED] if _removed(model) else [result.gate.name for result in _open(model)]
    for name in names:
        past = [
            each
            for each in known
            if (each.model, each.gate) == (model.model, name)
            and (each.key == evidence.key or (number is not None and each.pull_request == number))
        ]
        if past:
            last = max(past, key=lambda each: each.order)
            gate, rules = "" if name == DELETED else name, last.key == evidence.key
            yield notice(
                NoticeCode.WAIVER_ENDED, warning=True, gate=gate, model=model.model, actor=last.actor, rules=rules
            )


def _open(model: ModelVerdict) -> list[GateResult]:
    return [result for result in model.gates if may_be_waived(result)]


def _removed(model: ModelVerdict) -> bool:
    """Whether the model is to be gone and nobody answered for that."""
    return model.reason is Reason.MODEL_DELETED


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"{', '.join(names[:_LISTED])}{more}" if names else "none"
