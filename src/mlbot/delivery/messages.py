"""What people read about releases and deployments: on GitHub and in a terminal, from the same records and templates."""

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from types import MappingProxyType

from mlbot.commands.forward import Approve, Promote, Rollback, Unlock
from mlbot.config.schema import Config, EnvironmentConfig
from mlbot.delivery import deployment
from mlbot.delivery.release import UNASKED, ReleaseReason, ReleaseResult
from mlbot.delivery.request import RejectedRequest, RequestReason
from mlbot.delivery.sealed import answering
from mlbot.errors import MlbotError, ended
from mlbot.events.github import Login
from mlbot.ledger.entries import DeploymentEntry, DeploymentIntent, Entry, LockEntry, ReleaseEntry, WaiverEntry
from mlbot.ledger.queries import approvals, deployments, locked, releases
from mlbot.lib import escape
from mlbot.lib.record import Count, Record
from mlbot.lib.templates import environment, fill
from mlbot.lib.version import is_prerelease, name_of, shorten

_SHARED = "release/environments.j2"

TEMPLATES: Mapping[type[StrEnum], str] = MappingProxyType(
    {
        ReleaseReason: "release/release.j2",
        deployment.PromotionReason: "release/promotion.j2",
        deployment.RollbackReason: "release/rollback.j2",
        deployment.ApprovalReason: "release/approval.j2",
        deployment.LockReason: "release/lock.j2",
        RequestReason: "release/request.j2",
    }
)
"""A macro a reason, and another one for the hint."""


class Words(Record):
    """A decision in words. Plain text, with words from outside in it: escape it."""

    sentence: str
    hint: str = ""  # what to do about it


def words(reason: StrEnum, facts: object, *, github: bool = False) -> Words:
    """What a reason says, of the facts that it was decided from; `github`: commands are written as in a comment."""
    template, name = TEMPLATES[type(reason)], reason.replace("-", "_")
    return Words(
        sentence=_phrase(template, name, facts, github=github),
        hint=_phrase(template, f"{name}_hint", facts, github=github),
    )


def _phrase(template: str, name: str, about: object, *, github: bool) -> str:
    for each in (template, _SHARED):
        macro = getattr(environment().get_template(each).module, name, None)
        if macro is not None:
            return str(macro(about, github)).strip()
    return ""


class RequestState(StrEnum):
    """How far a request is. A closed list."""

    WORKING = "working"
    DONE = "done"
    WAITING = "waiting"  # it lacks somebody's approval, and goes on when that is given
    REFUSED = "refused"
    FAILED = "failed"


class StatusMessage(Record):
    """An answer. Texts are plain, with words from outside in them: escape them."""

    state: RequestState
    reason: str  # of a closed list, for the log
    sentence: str
    hint: str = ""
    copy_lines: tuple[str, ...] = ()  # what to write next, each a line
    version: tuple[str, str] | None = None  # model and version that it is about, where the request did not name them


def message_rejected(request: RejectedRequest) -> StatusMessage:
    """A request that was not in order."""
    return StatusMessage(
        state=RequestState.REFUSED,
        reason=request.reason,
        copy_lines=(request.usage,) if request.usage else (),
        **dict(words(request.reason, request.values, github=True)),
    )


def message_error(error: MlbotError, copy_lines: tuple[str, ...] = ()) -> StatusMessage:
    """What went wrong on the way."""
    return StatusMessage(
        state=RequestState.FAILED, reason="failed", sentence=ended(error.what), hint=error.hint, copy_lines=copy_lines
    )


def message_release(result: ReleaseResult, not_started: tuple[str, ...] = ()) -> StatusMessage:
    """A release that was made, or was not; the promotions `not_started` should have begun by themselves."""
    decision, entry = result.decision, result.entry
    found = words(decision.reason, result.facts, github=True)
    if decision.refused or entry is None:
        state = RequestState.FAILED if decision.reason in UNASKED else RequestState.REFUSED
        return StatusMessage(state=state, reason=decision.reason, **dict(found))
    made = _phrase("release/deployment.j2", "released", entry, github=True)
    promotions = (Promote(model=entry.model, version=entry.version, environment=each) for each in not_started)
    return StatusMessage(
        state=RequestState.DONE,
        reason=decision.reason,
        sentence=f"{made if decision.go else released_already(result, github=True)} {unwatched_text(result)}".strip(),
        hint=_phrase("release/deployment.j2", "not_started", entry, github=True) if not_started else "",
        copy_lines=tuple(each.text for each in promotions),
        version=(entry.model, entry.version),
    )


def released_already(result: ReleaseResult, *, github: bool = False) -> str:
    """A version that was released before, and its tags that are put back."""
    sentence = words(result.decision.reason, result.facts, github=github).sentence
    macro = "would_restore" if result.dry_run else "restored"
    tags = _phrase("release/deployment.j2", macro, result.restored, github=github) if result.restored else ""
    return f"{sentence} {tags}".strip()


def unwatched_text(result: ReleaseResult, *, github: bool = True) -> str:
    """What it means that a version has no reference, and what gives it one; empty where it has one."""
    return _phrase("release/deployment.j2", "unwatched", result, github=github) if result.unwatched else ""


def message_waiting(result: ReleaseResult) -> StatusMessage:
    """A release that waits for its verdict."""
    sentence = words(result.decision.reason, result.facts, github=True).sentence
    waits = _phrase("release/deployment.j2", "waits_for_verdict", result.facts, github=True)
    return StatusMessage(state=RequestState.WORKING, reason=result.decision.reason, sentence=f"{sentence} {waits}")


def message_deployment(result: deployment.DeploymentResult) -> StatusMessage:
    """A promotion or a rollback that was made, waits, or was refused."""
    if result.deployment is not None:
        return _message_ended(result.deployment, untagged_text(result))
    facts, decision = result.facts, result.decision
    state = RequestState.REFUSED if decision.refused else RequestState.DONE
    state = RequestState.FAILED if decision.reason is deployment.PromotionReason.SHADOW_VOID else state
    found = words(decision.reason, facts, github=True)
    if decision.reason in {deployment.PromotionReason.APPROVALS_MISSING, deployment.PromotionReason.SELF_APPROVAL}:
        approve = Approve.model_validate(facts.model_dump(include={"model", "version", "environment"}))
        return StatusMessage(
            state=RequestState.WAITING, reason=decision.reason, copy_lines=(approve.text,), **dict(found)
        )
    if result.untagged:
        found = found.model_copy(update={"sentence": f"{found.sentence} {untagged_text(result)}"})
    return StatusMessage(state=state, reason=decision.reason, **dict(found))


def untagged_text(result: deployment.DeploymentResult, *, github: bool = True) -> str:
    """That a tag could not be written, and what writes it; empty where it is there."""
    return _phrase("release/deployment.j2", "untagged", result, github=github) if result.untagged else ""


def message_started(result: deployment.DeploymentResult) -> StatusMessage | None:
    """A deployment that is about to begin; None where none is."""
    if not result.decision.go:
        return None
    sentence = words(result.decision.reason, result.facts, github=True).sentence
    steps = _phrase("release/deployment.j2", "started", result.facts, github=True)
    return StatusMessage(state=RequestState.WORKING, reason="begun", sentence=f"{sentence} {steps}")


def _message_ended(entry: DeploymentEntry, untagged: str) -> StatusMessage:
    """How a deployment ended."""
    good = entry.state == "succeeded"
    return StatusMessage(
        state=RequestState.DONE if good else RequestState.FAILED,
        reason=entry.state,
        sentence=f"{_ended(entry)} {entry.detail} {untagged}".strip(),
        hint="" if good else _phrase("release/deployment.j2", "repeat", entry, github=True),
        copy_lines=() if good else (_again(entry).text,),
        version=(entry.model, entry.version),
    )


def _ended(entry: DeploymentEntry) -> str:
    return _phrase("release/deployment.j2", entry.state.replace("-", "_"), entry, github=True)


def _again(entry: DeploymentEntry) -> Promote | Rollback:
    """What does the same once more."""
    if entry.action == "promotion":
        return Promote(model=entry.model, version=entry.version, environment=entry.environment)
    return Rollback(model=entry.model, environment=entry.environment, to=entry.version, reason="…")


def message_approval(result: deployment.ApprovalResult, then: StatusMessage | None) -> StatusMessage:
    """An approval, and what is still in the way of the promotion; None where that is started."""
    decision = result.decision
    found = words(decision.reason, result.facts, github=True)
    if decision.refused:
        return StatusMessage(state=RequestState.REFUSED, reason=decision.reason, **dict(found))
    state, reason, sentence = RequestState.DONE, decision.reason, found.sentence
    if then is None:
        started = _phrase("release/deployment.j2", "promotion_started", result.facts, github=True)
        return StatusMessage(state=state, reason=reason, sentence=f"{sentence} {started}")
    if decision.reason is deployment.ApprovalReason.NOT_NEEDED:
        return StatusMessage(state=state, reason=reason, sentence=sentence)
    return then.model_copy(update={"state": state, "reason": reason, "sentence": f"{sentence} {then.sentence}"})


def message_lock(result: deployment.LockResult) -> StatusMessage:
    """An environment that was closed or opened, or was so already."""
    reason = result.decision.reason
    state = RequestState.REFUSED if result.decision.refused else RequestState.DONE
    return StatusMessage(state=state, reason=reason, **dict(words(reason, result.facts, github=True)))


# A version's issue: what it is, where it is, and what may be written next.

LABEL = "mlbot-release"  # the label of versions' issues


class RowState(StrEnum):
    """How a version is in one environment. A closed list."""

    LIVE = "live"
    UNDER_WAY = "under way"
    FAILED = "failed"
    ROLLED_BACK = "rolled back"
    REPLACED = "replaced"
    NEXT = "next"
    WAITS = "waits"
    LOCKED = "locked"


class IssueRow(Record):
    """A version in one environment."""

    environment: str
    state: RowState
    last: DeploymentEntry | None = None  # its last deployment there
    lock: LockEntry | None = None
    after: str | None = None  # the environment that it has to be live in before
    needed: Count = 0  # approvals that the environment asks for
    approvers: tuple[str, ...] = ()


class VersionIssue(Record):
    """All that a version's issue shows."""

    release: ReleaseEntry
    waiver: WaiverEntry | None = None  # who answers for it in the place of sealed rows
    rows: tuple[IssueRow, ...]
    copy_lines: tuple[str, ...]  # the commands that make sense now
    open: bool  # whether anything may still come of it: the newest version, and what is live or under way somewhere

    @property
    def name(self) -> str:
        """`adult-income@v1.2.0`."""
        return name_of(self.release.model, self.release.version)

    @property
    def marker(self) -> str:
        """What the issue's last line is."""
        return marker_of(self.release.model, self.release.version)


def marker_of(model: str, version: str) -> str:
    """What a version's issue is found by."""
    return f"<!-- mlbot:version {name_of(model, version)} -->"


def issue_of(entries: Iterable[Entry], config: Config, release: ReleaseEntry) -> VersionIssue:
    """A version's issue. The entries are the ledger's on the model, and all locks."""
    known = tuple(entries)
    rows = tuple(_row(known, release, each) for each in config.environments)
    newest = releases(known, release.model)[-1:]
    busy = any(row.state in {RowState.LIVE, RowState.UNDER_WAY} for row in rows)
    return VersionIssue(
        release=release,
        waiver=answering(known, release),
        rows=rows,
        copy_lines=(*_forward(release, rows), *_back(known, release, rows)),
        open=busy or release in newest,
    )


def first_environments(entries: Iterable[Entry], config: Config, release: ReleaseEntry) -> tuple[str, ...]:
    """Where a version goes by itself: where nothing comes before, unless it was on its way there once.

    A pre-release goes by itself only where something comes after: the last environments are asked for by name.
    """
    been = {each.environment for each in deployments(entries, release.model) if each.version == release.version}
    later = {each.after for each in config.environments}
    first = [each.name for each in config.environments if each.after is None and each.name not in been]
    return tuple(name for name in first if name in later or not is_prerelease(release.version))


def _row(entries: tuple[Entry, ...], release: ReleaseEntry, settings: EnvironmentConfig) -> IssueRow:
    name = settings.name
    mine = [each for each in deployments(entries, release.model, name) if each.version == release.version]
    if mine:
        return IssueRow(environment=name, state=_state(entries, mine[-1]), last=mine[-1], needed=settings.approvals)
    lock = locked(entries, name)
    if lock is not None:
        return IssueRow(environment=name, state=RowState.LOCKED, lock=lock)
    given = approvals(entries, release.model, release.version, name)
    before = deployment.serves(entries, settings.after, release.model) if settings.after else None
    waits = settings.after is not None and (before is None or before.digest != release.digest)
    return IssueRow(
        environment=name,
        state=RowState.WAITS if waits else RowState.NEXT,
        after=settings.after if waits else None,
        needed=settings.approvals,
        approvers=tuple(each.actor for each in given if each.digest == release.digest),
    )


def _state(entries: tuple[Entry, ...], last: DeploymentEntry) -> RowState:
    if last.state == "started":
        return RowState.UNDER_WAY
    live = deployment.serves(entries, last.environment, last.model)
    if live is not None and live.version == last.version:
        return RowState.LIVE
    match last.state:
        case "succeeded":
            return RowState.REPLACED
        case "rolled-back":
            return RowState.ROLLED_BACK
        case "failed":
            return RowState.FAILED


def _forward(release: ReleaseEntry, rows: Iterable[IssueRow]) -> Iterator[str]:
    """The next promotions with their approvals."""
    for row in rows:
        if row.state in {RowState.NEXT, RowState.FAILED, RowState.ROLLED_BACK}:
            yield Promote(model=release.model, version=release.version, environment=row.environment).text
            if row.needed:
                yield Approve(model=release.model, version=release.version, environment=row.environment).text
        if row.state is RowState.LOCKED:
            yield Unlock(environment=row.environment).text


def _back(entries: tuple[Entry, ...], release: ReleaseEntry, rows: Iterable[IssueRow]) -> Iterator[str]:
    for row in rows:
        if row.state is RowState.LIVE or deployment.begun(entries, row.environment, release.model):
            yield Rollback(model=release.model, environment=row.environment, reason="…").text


_ICONS: Mapping[str, str] = MappingProxyType(
    {
        RequestState.WORKING: "⏳",
        RequestState.DONE: "✅",
        RequestState.WAITING: "✋",
        RequestState.REFUSED: "⛔",
        RequestState.FAILED: "❌",
        RowState.LIVE: "✅",
        RowState.UNDER_WAY: "⏳",
        RowState.ROLLED_BACK: "❌",
        RowState.REPLACED: "⚪",
        RowState.NEXT: "▶️",
        RowState.WAITS: "⏸️",
        RowState.LOCKED: "🔒",
    }
)


def release_answer(  # noqa: PLR0913 - one for each place of the template
    message: StatusMessage,
    *,
    text: str,
    marker: str,
    run_url: str,
    name: str = "",
    issue: str = "",
    ping: Login | None = None,
) -> str:
    """The answer.

    Args:
        message: what there is to say.
        text: what was asked.
        marker: the last line.
        run_url: the run that answers.
        name: of the version.
        issue: its address; empty where there is none, or the answer is in it.
        ping: who is to be notified, by a mention; they pushed the tag.
    """
    return fill(
        "release/answer.md.j2",
        message=message,
        icon=_ICONS[message.state],
        text=text,
        fence=escape.fence,
        marker=marker,
        run_url=run_url,
        name=name,
        issue=issue,
        ping=ping,
    )


def issue_body(issue: VersionIssue, *, repository: str, page: str = "") -> str:
    """A version's issue. Repository and page (its GitHub Release) are addresses; without a page that is empty."""
    return fill("release/issue.md.j2", issue=issue, icons=_ICONS, fence=escape.fence, repository=repository, page=page)


# In a terminal: the plan before, the result after.


def plan_text(facts: deployment.PromotionFacts | deployment.RollbackFacts) -> str:
    """What a promotion or a rollback is about to do."""
    goal, live = facts.goal, ("live now", f"v{facts.live.version}" if facts.live else "nothing")
    if isinstance(facts, deployment.PromotionFacts):
        title = f"{name_of(facts.model, facts.version)} → {facts.environment}"
        return _table(title, [("bytes", shorten(facts.released)), live, *_conditions(facts)])
    rows = [("bytes", shorten(goal.digest))] if goal else []
    rows += [live, ("reason", facts.why or "none")]
    if facts.under_way:
        rows.append(("gives up", _phrase("release/say.j2", "intent_of", facts.under_way, github=False)))
    return _table(f"{facts.environment} ← {name_of(facts.model, goal.version) if goal else facts.model}", rows)


def _conditions(facts: deployment.PromotionFacts) -> Iterator[tuple[str, str]]:
    if facts.after:
        before = f"v{facts.after.live.version}" if facts.after.live else "nothing"
        yield "comes after", f"{facts.after.environment}, which serves {before}"
    if facts.needed:
        own = sorted(set(facts.approvers) - set(facts.counted))
        by = [*facts.counted, *(f"not counted: {each}, who asks for it" for each in own)]
        yield "approvals", f"{len(facts.counted)} of {facts.needed}" + (f" ({', '.join(by)})" if by else "")
    if facts.shadow:
        yield "recorded", shadow_text(facts)


def release_text(entry: ReleaseEntry) -> str:
    """A release that was made."""
    rows = [
        ("bytes", entry.digest),
        ("commit", entry.commit),
        ("training", f"seed {entry.seed}, attempt {entry.attempt}, judged by {entry.judge}"),
        *(("data", f"{path}  {shorten(digest)}") for path, digest in entry.data.items()),
        ("sealed rows", str(environment().get_template("release/say.j2").module.sealed(entry, None))),  # type: ignore[attr-defined] # a macro
    ]
    return _table(f"Released {name_of(entry.model, entry.version)}", rows)


def shadow_text(facts: deployment.PromotionFacts | deployment.RollbackFacts) -> str:
    """What recorded requests show; empty where none were asked for."""
    shadow = facts.shadow if isinstance(facts, deployment.PromotionFacts) else None
    return _phrase("release/say.j2", "shadow_of", shadow, github=False) if shadow else ""


def ended_text(entry: DeploymentEntry) -> str:
    """How a deployment ended."""
    return f"{_ended(entry)}\n  {entry.detail}"


def given_up(by: DeploymentIntent) -> str:
    """What the ledger says of a deployment that another one took the place of."""
    return _phrase("release/say.j2", "given_up", by, github=False)


def _table(title: str, rows: Iterable[tuple[str, str]]) -> str:
    known = list(rows)
    width = max(len(name) for name, _ in known)
    return "\n".join([title, *(f"  {name.ljust(width)}  {value}" for name, value in known)])
