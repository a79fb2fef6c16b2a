"""`mlbot deploy`: carry out what was asked of the release workflow, and show it on GitHub."""

from collections.abc import MutableMapping
from dataclasses import dataclass, replace
from pathlib import Path

from mlbot.activities.approve import approve
from mlbot.activities.home import Home
from mlbot.activities.lock import set_lock
from mlbot.activities.promote import PromotionRequest, promote
from mlbot.activities.release_desk import DeployOptions, ReleaseDesk, acting
from mlbot.activities.release_picture import Picture
from mlbot.activities.release_plan import gather
from mlbot.activities.release_wait import Patience, release_patiently
from mlbot.activities.rollback import RollbackRequest, rollback
from mlbot.activities.telling import promotion_plan, rollback_plan
from mlbot.console import Console
from mlbot.core.answer import CarriedOut, recorded
from mlbot.core.command import Approve, Lock, Promote, Release, Rollback, Unlock
from mlbot.core.command_checks import RANKS
from mlbot.core.command_table import spec_of
from mlbot.core.event import DispatchEvent
from mlbot.core.forge import Comment
from mlbot.core.ledger import ReleaseEntry
from mlbot.core.ledger_state import release_of
from mlbot.core.operation import Dispatch
from mlbot.core.promotion import PromotionReason
from mlbot.core.release_ask import asks_for, decide_ask
from mlbot.core.release_asked import Asked, NotAsked
from mlbot.core.release_thread import first_environments
from mlbot.core.release_told import (
    Stands,
    Told,
    told_approval,
    told_begun,
    told_error,
    told_not_asked,
    told_promotion,
    told_release,
    told_rollback,
)
from mlbot.core.wording import name_of
from mlbot.errors import Exit, MlbotError, UsageError
from mlbot.github.effects import effect


def carry_out(
    directory: Path,
    environment: MutableMapping[str, str],
    options: DeployOptions,
    console: Console,
    patience: Patience | None = None,
) -> Exit:
    """Carry out a request.

    Returns:
        OK where it is done, waits for somebody's word, or was refused in answer to a comment; REFUSED where it was
        refused and nobody said it in a comment; NOT_EVALUATED where a deployment failed.

    Raises:
        MlbotError: something did not answer; the thread was told.
    """
    desk = ReleaseDesk.of(directory, environment, options, console)
    asked = _still_asked(desk)
    if isinstance(asked, NotAsked):
        if not asked.silent:
            desk.tell(told_not_asked(asked))
        return Exit.OK if asked.silent or asked.comment is not None else Exit.REFUSED
    if desk.done_before:
        console.say("Nothing to do: what the comment asks for was carried out already.")
        return Exit.OK
    try:
        told = _carried_out(desk, asked, patience or Patience())
    except MlbotError as error:
        desk.tell(told_error(error))
        raise
    desk.tell(told)
    if told.stands is Stands.FAILED:
        return Exit.NOT_EVALUATED
    return Exit.REFUSED if told.stands is Stands.REFUSED and asked.comment is None else Exit.OK


def _still_asked(desk: ReleaseDesk) -> Asked | NotAsked:
    """The request, or why it is not followed any more.

    The job may have waited for other deployments or for an environment's reviewers. Since the request was read its
    comment may have been edited or taken back, and its author may have lost the role.
    """
    if isinstance(desk.ask, NotAsked):
        return desk.ask
    event = desk.job.event()
    if not isinstance(event, DispatchEvent):
        raise UsageError("a release is carried out by its workflow, and this job's event is another")
    now = decide_ask(gather(desk.github, desk.job, event))
    return now if isinstance(now, NotAsked) else desk.ask


def _carried_out(desk: ReleaseDesk, asked: Asked, patience: Patience) -> Told:
    home = desk.home(asked.actor or "nobody")
    if asked.actor is None and isinstance(asked.command, Promote):
        released = _released(home, asked.command.model, asked.command.version)
        home = acting(home, released.actor if released else "nobody")
    worker = Worker(desk=desk, home=home, asked=asked, picture=Picture(desk=desk, home=home))
    match asked.command:
        case Release():
            return worker.release(asked.command, patience)
        case Promote():
            return worker.promote(asked.command)
        case Rollback():
            return worker.rollback(asked.command)
        case Approve():
            return worker.approve(asked.command)
        case Lock() | Unlock():
            return worker.lock(asked.command)


def _released(home: Home, model: str, version: str) -> ReleaseEntry | None:
    return release_of(home.of_model(model), model, version)


@dataclass(frozen=True, kw_only=True)
class Worker:
    """Does one thing.

    Attributes:
        desk: the job.
        home: the repository, and who asks.
        asked: the request.
        picture: what GitHub shows.
    """

    desk: ReleaseDesk
    home: Home
    asked: Asked
    picture: Picture

    def release(self, command: Release, patience: Patience) -> Told:
        """Give a version; then show it, and send it where nothing comes before."""
        result = release_patiently(self.desk, self.home, self.asked, command, patience)
        entry = result.entry
        left: tuple[str, ...] = ()
        if entry is not None and not result.decision.refused:
            self.picture.page(entry)
            self.picture.thread(entry.model, entry.version)
            left = self._send(entry)
        return told_release(result.decision, entry, left)

    def promote(self, command: Promote) -> Told:
        """Deploy a version."""
        request = PromotionRequest(
            model=command.model, version=command.version, environment=command.environment, reason=command.reason
        )
        result = promote(
            self._followed,
            request,
            lambda facts, decision: self._begin(promotion_plan(facts), told_begun(decision.sentence, go=decision.go)),
        )
        if result.deployment is None:
            self.picture.thread(command.model, command.version)
        return told_promotion(result.facts, result.decision, result.deployment)

    def rollback(self, command: Rollback) -> Told:
        """Go back."""
        request = RollbackRequest(
            model=command.model, environment=command.environment, to=command.to, reason=command.reason
        )
        result = rollback(
            self._followed,
            request,
            lambda facts, decision: self._begin(rollback_plan(facts), told_begun(decision.sentence, go=decision.go)),
        )
        return told_rollback(result.decision, result.deployment)

    def approve(self, command: Approve) -> Told:
        """Record somebody's word; start the promotion when it was the last that was missing."""
        result = approve(self.home, command.model, command.version, command.environment, self.asked.comment)
        if result.decision.refused:
            return told_approval(result.decision, None)
        self.picture.thread(command.model, command.version)
        return told_approval(result.decision, self._go_on(command))

    def lock(self, command: Lock | Unlock) -> Told:
        """Close an environment, or open it."""
        close = isinstance(command, Lock)
        result = set_lock(self.home, command.environment, close=close, reason=getattr(command, "reason", ""))
        self.picture.newest()
        return Told(stands=Stands.DONE, reason="locked" if result.locked else "open", sentence=result.sentence)

    @property
    def _followed(self) -> Home:
        """The home, with GitHub's picture following every entry."""
        return replace(self.home, told=self.picture.follow)

    def _begin(self, plan: str, told: Told | None) -> None:
        self.desk.console.say(plan)
        if told is not None:
            self.desk.tell(told)

    def _send(self, entry: ReleaseEntry) -> tuple[str, ...]:
        """Start the promotions that nobody has to ask for; where that did not go, what to say for it."""
        left = []
        for name in first_environments(self.home.of_model(entry.model), self.home.config, entry):
            try:
                self._dispatch({"do": "promote", "model": entry.model, "version": entry.version, "environment": name})
            except MlbotError as error:
                self.desk.console.say(f"Could not start the promotion to {name}: {error.what}")
                left.append(f"/promote {name_of(entry.model, entry.version)} {name}")
        return tuple(left)

    def _dispatch(self, inputs: dict[str, str]) -> None:
        workflow, branch = self.desk.options.release_workflow, self.home.branch
        effect(self.desk.github, Dispatch(workflow=workflow, ref=branch, inputs=inputs))
        self.desk.console.say(f"Started {workflow}: {' '.join(f'{name}={value}' for name, value in inputs.items())}")

    def _go_on(self, command: Approve) -> Told | None:
        """Start the promotion that was approved, for whoever asked for it; what is in its way, where something is."""
        said = self._said(command)
        released = _released(self.home, command.model, command.version)
        requester = said.author if said else released.actor if released else None
        wanted = PromotionRequest(
            model=command.model, version=command.version, environment=command.environment, dry_run=True
        )
        result = promote(acting(self.home, requester or "nobody"), wanted)
        if not result.decision.go:
            told = told_promotion(result.facts, result.decision, None)
            live = result.decision.reason is PromotionReason.ALREADY_LIVE
            return told if not live else told.model_copy(update={"mend": ""})
        if said is not None:
            self._dispatch({"comment": str(said.id)})
        else:
            wants = {"do": "promote", "model": command.model, "version": command.version}
            self._dispatch(wants | {"environment": command.environment})
        return None

    def _said(self, command: Approve) -> Comment | None:
        """The newest comment that still asks for the promotion, here or in the version's issue.

        What was carried out or refused asks for nothing any more, and whoever may not promote never did.
        """
        threads = {number for number in (self.asked.number, self.desk.thread(self.desk.version)) if number}
        comments = [each for number in sorted(threads) for each in self.desk.github.comments(number)]
        records = recorded(comments, self.desk.github.login)
        over = {each.comment for each in records if isinstance(each, CarriedOut)}
        wanted = [each for each in comments if each.id not in over and asks_for(each, command)]
        newest = sorted(wanted, key=lambda each: each.id, reverse=True)
        return next((each for each in newest if self._may_promote(each.author)), None)

    def _may_promote(self, login: str | None) -> bool:
        return login is not None and RANKS[self.desk.github.role(login)] >= RANKS[spec_of("promote").who]
