"""From a comment's facts to its answer: records are written first, then the effects are had, then it is said."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Never

from mlbot.activities.command import Desk
from mlbot.activities.command_facts import evidence, gather, report_marker
from mlbot.core.answer import RetrainRequest, answer_marker, last_line
from mlbot.core.command_facts import Facts
from mlbot.core.command_help import help_for
from mlbot.core.command_status import status_view
from mlbot.core.command_table import Where
from mlbot.core.commanding import replies
from mlbot.core.forge import Comment
from mlbot.core.operation import Dispatch, Operation, React, Rerun, SetStatus, UpsertComment
from mlbot.core.reply import Decision, Effect, Reason, Reply, refuse
from mlbot.errors import Exit, MlbotError, RefusedError
from mlbot.github.effects import Effected
from mlbot.github.executor import Executor, dry_run
from mlbot.github.failures import NotFoundError, UnavailableError


def reply(desk: Desk, now: Comment, comments: Sequence[Comment], earlier: Comment | None) -> Exit:
    """Answer a comment.

    Args:
        desk: the job.
        now: the comment as it is now.
        comments: all of the thread.
        earlier: the answer that an earlier try left unfinished.

    Raises:
        MlbotError: the answer could not be written.
    """
    facts = gather(desk, now, comments, earlier)
    found = replies(facts, desk.said)
    if not found:
        desk.console.say("Not answered: the limit was told already.")
        return Exit.OK
    writer = Writer(desk=desk, sections=[_section(desk, facts, each, comments) for each in found], kept=facts.kept)
    if desk.options.dry_run:
        _print(desk, writer, found)
        return Exit.OK
    if any(each.decision.effects or each.decision.records for each in found):
        writer.write(found, working=True)
    done = [writer.do(each) for each in found]
    writer.write(done, working=False)
    writer.react(done)
    for each in done:
        desk.console.say(f"{each.text}: {each.decision.sentence}")
    return Exit.OK


@dataclass(kw_only=True)
class Writer:
    """Does what was decided, and writes the answer.

    Attributes:
        desk: the job.
        sections: what stands under each reply.
        kept: a record of an earlier try that stays whatever is answered now.
        effects: what was done already: two commands of a comment may ask for the same.
    """

    desk: Desk
    sections: Sequence[str]
    kept: RetrainRequest | None = None
    effects: list[Effect] = field(default_factory=list)

    @property
    def executor(self) -> Executor:
        """Of a job that writes neither ledger nor charts."""
        return Executor(github=self.desk.github, runner=self.desk.runner, append=_never, push=_never)

    def operation(self, found: Sequence[Reply], *, working: bool) -> UpsertComment:
        """The answer as it is to be."""
        from mlbot.render import answer as render

        comment = self.desk.event.comment
        records = [record for each in found for record in each.decision.records]
        if self.kept is not None and self.kept not in records:
            records.append(self.kept)
        body = render.answer(
            found,
            self.sections,
            marker=last_line(comment, records, done=not working),
            run_url=self.desk.job.run_url,
            working=working,
        )
        return UpsertComment(number=self.desk.event.number, marker=answer_marker(comment), body=body)

    def write(self, found: Sequence[Reply], *, working: bool) -> None:
        """Write the answer, or edit it."""
        self.executor.do(self.operation(found, working=working))
        self.desk.check_login()

    def do(self, given: Reply) -> Reply:
        """Have the effects of one command; the reply says what came of it."""
        for effect in given.decision.effects:
            if effect in self.effects:
                continue
            failed = self._do(effect, given.decision)
            if failed is not None:
                return given.model_copy(update={"decision": failed})
            self.effects.append(effect)
        return given

    def react(self, found: Sequence[Reply]) -> None:
        """Show at the comment itself how it went."""
        if all(each.decision.refused for each in found):
            reaction = React(comment=self.desk.event.comment, reaction="confused")
        elif any(each.decision.effects for each in found):
            reaction = React(comment=self.desk.event.comment, reaction="rocket")
        else:
            return
        try:
            self.executor.do(reaction)
        except MlbotError as error:
            self.desk.console.say(f"Could not react: {error.what}")

    def _do(self, effect: Effect, decision: Decision) -> Decision | None:
        """What an effect that was not had makes of the decision; None where it was had."""
        try:
            done = self.executor.do(effect)
        except MlbotError as error:
            self.desk.console.say(f"{error}")
            return None if isinstance(effect, SetStatus) else _not_done(effect, decision, error)
        if isinstance(effect, Rerun) and done == Effected.NOT_CURRENT:
            return refuse(
                Reason.HEAD_MOVED,
                "The pull request changed while this was answered, so nothing was done.",
                "Look again.",
            )
        return None


def _not_done(effect: Effect, decision: Decision, error: MlbotError) -> Decision:
    """A decision whose effect GitHub did not have, as far as anybody knows.

    A record stays unless the re-run that it announces is known not to be: an attempt that is a trial, and that nobody
    knows to be one, would be taken for the committed parameters' own.
    """
    gone = isinstance(effect, Rerun) and not isinstance(error, UnavailableError)
    what = {
        Rerun: "GitHub did not run the training again",
        Dispatch: "The rest is done, but its workflow could not be started",
    }.get(type(effect), "GitHub did not do it")
    if isinstance(effect, Dispatch) and isinstance(error, NotFoundError):
        why, mend = f"{effect.workflow} is not on the default branch", "Write it and merge it: mlbot init"
    else:
        why, mend = error.what, error.mend
    if isinstance(effect, Dispatch) and not decision.records:
        what = "The workflow could not be started"
    return refuse(
        Reason.NOT_DONE, f"{what}: {why}.", mend, link=decision.link, records=() if gone else decision.records
    )


def _section(desk: Desk, facts: Facts, found: Reply, comments: Sequence[Comment]) -> str:
    """What stands under a reply."""
    pull = facts.pull
    if found.decision.reason is Reason.HELP:
        from mlbot.render.command_help import help_text

        head = pull.head_sha if pull and pull.fork else None
        where = Where.PULL_REQUEST if pull else Where.ISSUE
        return help_text(help_for(facts.config, where, fork_head=head))
    if found.decision.reason is not Reason.STATUS or pull is None:
        return ""
    from mlbot.render import answer as render

    view = status_view(facts, pull, evidence(desk, facts, pull, comments), report_marker(desk))
    return render.status(view, page=desk.page)


def _print(desk: Desk, writer: Writer, found: Sequence[Reply]) -> None:
    """What would be done, and said."""
    operations: list[Operation] = [effect for each in found for effect in each.decision.effects]
    answer = writer.operation(found, working=False)
    dry_run([*operations, answer], desk.console.result)
    desk.console.result(answer.body)


def _never(given: object) -> Never:
    del given
    raise RefusedError("a job that answers comments writes neither ledger nor charts")
