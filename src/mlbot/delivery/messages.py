"""Releases and deployments on GitHub: the answer to who asked, and a version's issue."""

import re
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from mlbot.delivery.approval import ApprovalDecision, ApprovalReason
from mlbot.delivery.deployment import Holder
from mlbot.delivery.issue import ThreadView
from mlbot.delivery.promotion import PromotionDecision, PromotionFacts, PromotionReason
from mlbot.delivery.release import ReleaseDecision
from mlbot.delivery.request import NotAsked
from mlbot.delivery.rollback import RollbackDecision
from mlbot.errors import MlbotError
from mlbot.events.github import Login
from mlbot.ledger.entries import DeploymentEntry, ReleaseEntry
from mlbot.lib import escape
from mlbot.lib.record import Record
from mlbot.lib.templates import fill
from mlbot.registry.tag import name_of

# What people on GitHub are told of a release, a promotion or a rollback: one sentence, and the lines to copy next.

_VERB = re.compile(r"\bmlbot (release|promote|approve|rollback|lock|unlock)\b")

_REASON = re.compile(r" --reason (?=\")")

_TO = re.compile(r" --to (?=\S)")

_VERSION = re.compile(r" --version (?=\S)")

_BUMP = re.compile(r" --bump (?=\S)")


class Stands(StrEnum):
    """How a request stands. A closed list."""

    WORKING = "working"
    DONE = "done"
    WAITING = "waiting"
    """It lacks somebody's word, and goes on when that is said."""
    REFUSED = "refused"
    FAILED = "failed"


class Told(Record):
    """An answer. Texts are plain, with words from outside in them: escape them."""

    stands: Stands
    reason: str
    """Of a closed list, for the log."""
    sentence: str
    hint: str = ""
    copy_lines: tuple[str, ...] = ()
    """What to say next, each a line."""
    version: tuple[str, str] | None = None
    """Model and version that it is about, where the request did not name them."""


def as_comment(text: str) -> str:
    """A sentence with the command line's words in it, as one would say them in a comment."""
    said = _VERB.sub(r"/\1", text.replace(" (on GitHub: /approve)", ""))
    said = _REASON.sub(" reason=", _VERSION.sub(" v", _BUMP.sub(" ", _TO.sub(" ", said))))
    return re.sub(r"(/release \S+ )vv", r"\1v", said)


def told_not_asked(ask: NotAsked) -> Told:
    """A request that was not in order."""
    lines = (ask.usage,) if ask.usage else ()
    return Told(stands=Stands.REFUSED, reason=ask.reason, sentence=ask.sentence, hint=ask.hint, copy_lines=lines)


def told_error(error: MlbotError) -> Told:
    """What went wrong on the way."""
    sentence = error.what if error.what.endswith(".") else f"{error.what}."
    return Told(stands=Stands.FAILED, reason="failed", sentence=sentence, hint=as_comment(error.hint))


def told_release(decision: ReleaseDecision, entry: ReleaseEntry | None, left: tuple[str, ...] = ()) -> Told:
    """A release that was made, or was not.

    Args:
        decision: on it.
        entry: the ledger's; None where nothing is released.
        left: what is still to be said for the promotions that should have begun by themselves.
    """
    if decision.refused or entry is None:
        return Told(
            stands=Stands.REFUSED, reason=decision.reason, sentence=decision.sentence, hint=as_comment(decision.hint)
        )
    return Told(
        stands=Stands.DONE,
        reason=decision.reason,
        sentence=f"{name_of(entry.model, entry.version)} is released." if decision.go else decision.sentence,
        hint="The next step could not be started. Say:" if left else "",
        copy_lines=left,
        version=(entry.model, entry.version),
    )


def told_waiting(decision: ReleaseDecision) -> Told:
    """A release that waits for its verdict."""
    sentence = f"{decision.sentence} Its training or its judging is under way, so the release waits for it."
    return Told(stands=Stands.WORKING, reason=decision.reason, sentence=sentence)


def told_promotion(facts: PromotionFacts, decision: PromotionDecision, ended: DeploymentEntry | None) -> Told:
    """A promotion that was made, waits, or was refused."""
    if ended is not None:
        return told_deployment(ended)
    name = name_of(facts.model, facts.version)
    if decision.reason in {PromotionReason.APPROVALS_MISSING, PromotionReason.SELF_APPROVAL}:
        return Told(
            stands=Stands.WAITING,
            reason=decision.reason,
            sentence=decision.sentence,
            hint="It goes on when somebody else says:",
            copy_lines=(f"/approve {name} {facts.environment}",),
        )
    stands = Stands.REFUSED if decision.refused else Stands.DONE
    return Told(stands=stands, reason=decision.reason, sentence=decision.sentence, hint=as_comment(decision.hint))


def told_rollback(decision: RollbackDecision, ended: DeploymentEntry | None) -> Told:
    """A rollback that was made, or refused."""
    if ended is not None:
        return told_deployment(ended)
    stands = Stands.REFUSED if decision.refused else Stands.DONE
    return Told(stands=stands, reason=decision.reason, sentence=decision.sentence, hint=as_comment(decision.hint))


def told_begun(sentence: str, *, go: bool) -> Told | None:
    """A deployment that is about to begin; None where none is.

    Args:
        sentence: of the decision.
        go: whether it begins.
    """
    doing = "It is staged, switched on, read back and tested with the release's golden requests."
    return Told(stands=Stands.WORKING, reason="begun", sentence=f"{sentence} {doing}") if go else None


def told_deployment(ended: DeploymentEntry) -> Told:
    """How a deployment ended."""
    name, where, version = name_of(ended.model, ended.version), ended.environment, (ended.model, ended.version)
    if ended.state == "succeeded":
        before = f", instead of v{ended.previous}" if ended.previous and ended.previous != ended.version else ""
        sentence = f"{name} is live in {where}{before}. {ended.detail}"
        return Told(stands=Stands.DONE, reason=ended.state, sentence=sentence, version=version)
    back = f", and v{ended.previous} is back" if ended.state == "rolled-back" else ""
    return Told(
        stands=Stands.FAILED,
        reason=ended.state,
        sentence=f"{name} failed in {where}{back}. {ended.detail}",
        hint="Fix what failed, then:",
        copy_lines=(as_comment(Holder.of(ended).command),),
        version=version,
    )


def told_approval(decision: ApprovalDecision, then: Told | None) -> Told:
    """An approval, and what it leads to.

    Args:
        decision: on the approval.
        then: what is still in the way of the promotion; None where it is started.
    """
    if decision.refused:
        return Told(stands=Stands.REFUSED, reason=decision.reason, sentence=decision.sentence, hint=decision.hint)
    said = decision.sentence.partition(" Their own request")[0]
    said = said if said.endswith(".") else f"{said}."
    if then is None:
        return Told(stands=Stands.DONE, reason=decision.reason, sentence=f"{said} The promotion is started.")
    if decision.reason is ApprovalReason.NOT_NEEDED:
        return Told(stands=Stands.DONE, reason=decision.reason, sentence=said)
    return Told(
        stands=Stands.DONE, reason=decision.reason, sentence=f"{said} {then.sentence}", hint=then.hint,
        copy_lines=then.copy_lines,
    )  # fmt: skip


_ICONS: Mapping[Stands, str] = MappingProxyType(
    {
        Stands.WORKING: "⏳",
        Stands.DONE: "✅",
        Stands.WAITING: "✋",
        Stands.REFUSED: "⛔",
        Stands.FAILED: "❌",
    }
)

_STATES: Mapping[str, str] = MappingProxyType(
    {
        "live": "✅",
        "under way": "⏳",
        "failed": "❌",
        "rolled back": "❌",
        "replaced": "⚪",
        "next": "▶️",
        "waits": "⏸️",
        "locked": "🔒",
    }
)


def release_answer(  # noqa: PLR0913 - one for each place of the template
    told: Told, *, text: str, marker: str, run_url: str, name: str = "", thread: str = "", ping: Login | None = None
) -> str:
    """The answer.

    Args:
        told: what there is to say.
        text: what was asked.
        marker: the last line.
        run_url: the run that answers.
        name: of the version, where there is a thread.
        thread: the address of the version's issue; empty where there is none, or the answer stands in it.
        ping: who is to be notified, by a mention; they pushed the tag.
    """
    return fill(
        "release/answer.md.j2",
        told=told,
        icon=_ICONS[told.stands],
        text=text,
        fence=escape.fence,
        marker=marker,
        run_url=run_url,
        name=name,
        thread=thread,
        ping=ping,
    )


def release_thread(view: ThreadView, *, repository: str, page: str = "") -> str:
    """A version's issue.

    Args:
        view: what it shows.
        repository: its address.
        page: the address of the version's GitHub Release; empty where there is none.
    """
    return fill("release/thread.md.j2", view=view, icons=_STATES, fence=escape.fence, repository=repository, page=page)
