"""From a comment's facts to its answer: records are written first, then the effects are had, then it is said."""

from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Never

from mlbot.commands.command import Command, Retrain, Said, Waive, parse_comment
from mlbot.commands.dispatch import replies
from mlbot.commands.facts import Facts, commands_before
from mlbot.commands.help import help_for
from mlbot.commands.reply import Decision, Effect, Reason, Reply, refuse
from mlbot.commands.status import Evidence, status_view
from mlbot.commands.table import Where
from mlbot.config.errors import ConfigError
from mlbot.config.load import parse_config
from mlbot.config.schema import Config
from mlbot.config.yaml import load
from mlbot.console import Console
from mlbot.errors import Exit, MlbotError, RefusedError, UsageError
from mlbot.events.event import CommentEvent
from mlbot.events.github import Comment, Login, PullRequest
from mlbot.gates.gate import Gate
from mlbot.github.api import GitHub, jobs, read_file
from mlbot.github.executor import Effected, Executor, dry_run, effect
from mlbot.github.job import Job, Runner, forget_tokens
from mlbot.github.transport import NotFoundError, UnavailableError
from mlbot.lib.constants import ACTIONS_BOT, CONFIG_FILE, JUDGE_PATH, RELEASE_PATH, STATUS, TRAIN_PATH
from mlbot.protocol.answer import Recorded, RetrainRequest, answer_marker, answer_to, is_done, last_line, recorded
from mlbot.protocol.decision import Policy
from mlbot.protocol.marker import carries, marker
from mlbot.protocol.operations import Dispatch, Operation, React, Rerun, SetStatus, UpsertComment

# `mlbot command`: answer a comment. Reacts first, asks who and what, decides, does it, and says so in one comment.


@dataclass(frozen=True, kw_only=True, slots=True)
class CommandOptions:
    """What the command line says.

    Attributes:
        train_path: of the workflow that trains.
        judge_path: of the workflow that judges.
        release_path: of the workflow that releases.
        bot: whose answers count.
        dry_run: print what would be done, and do nothing.
    """

    train_path: str = TRAIN_PATH
    judge_path: str = JUDGE_PATH
    release_path: str = RELEASE_PATH
    bot: Login = ACTIONS_BOT
    dry_run: bool = False

    @property
    def judge_workflow(self) -> str:
        """The file's name, as GitHub's API takes it."""
        return PurePosixPath(self.judge_path).name

    @property
    def release_workflow(self) -> str:
        """Likewise."""
        return PurePosixPath(self.release_path).name


@dataclass(frozen=True, kw_only=True)
class Desk:
    """One job that answers one comment.

    Attributes:
        job: what the runner says of it.
        github: the API.
        runner: the job's log and summary.
        event: the comment as it was written.
        said: its commands.
        options: what the command line says.
        console: told of what goes on.
    """

    job: Job
    github: GitHub
    runner: Runner
    event: CommentEvent
    said: tuple[Said, ...]
    options: CommandOptions
    console: Console = field(repr=False)

    def check_login(self) -> None:
        """Whether those who read the answers back know whose they are; an app's name is known once it has written one.

        Raises:
            UsageError: they would believe somebody else, and take a trial for a training like any other.
        """
        if self.github.login != self.options.bot:
            raise UsageError(
                f"the token speaks as {self.github.login}, and the answers of {self.options.bot} are believed",
                hint=f"Give `bot: {self.github.login}` to train.yml, judge.yml and command.yml in your workflows.",
            )

    @property
    def page(self) -> str:
        """The thread's address."""
        return f"{self.job.server_url}/{self.job.repository}/pull/{self.event.number}"


def command(environment: MutableMapping[str, str], options: CommandOptions, console: Console) -> Exit:
    """Answer the comment that this job's event is about.

    Args:
        environment: of this process; the tokens are taken out of it.
        options: what the command line says.
        console: told of what goes on.

    Raises:
        MlbotError: GitHub did not let it be answered.
    """
    job = Job.of(environment)
    forget_tokens(environment)
    event = job.event()
    if not isinstance(event, CommentEvent):
        console.say("Nothing to answer: this job's event is no new comment.")
        return Exit.OK
    said = () if event.author_is_bot else parse_comment(event.body)
    if not said:
        console.say("Nothing to answer: no line of the comment is a command, or a bot wrote it.")
        return Exit.OK
    login = None if options.bot == ACTIONS_BOT else options.bot
    github = GitHub.connect(job.repository, job.required_token(), api_url=job.api_url, login=login, say=console.say)
    if not options.dry_run:
        _react(github, event, console)
    desk = Desk(
        job=job,
        github=github,
        runner=Runner.of(environment, console.err),
        event=event,
        said=said,
        options=options,
        console=console,
    )
    if not options.dry_run:
        desk.check_login()
    return _answer(desk)


def _react(github: GitHub, event: CommentEvent, console: Console) -> None:
    """Show that the comment was seen, before anything else is asked; not being able to is no reason not to answer."""
    try:
        effect(github, React(comment=event.comment, reaction="eyes"))
    except MlbotError as error:
        console.say(f"Could not react: {error.what}")


def _answer(desk: Desk) -> Exit:
    """Answer, unless the comment is gone or was answered to the end before."""
    now = desk.github.comment(desk.event.comment)
    if now is None:
        desk.console.say("Nothing to answer: the comment was deleted.")
        return Exit.OK
    comments = desk.github.comments(desk.event.number)
    earlier = answer_to(comments, desk.options.bot, desk.event.comment)
    if earlier is not None and is_done(earlier):
        desk.console.say("Nothing to answer: it has been answered already.")
        return Exit.OK

    return reply(desk, now, comments, earlier)


# What the API says of a comment's thread, read once.


def gather(desk: Desk, now: Comment, comments: Sequence[Comment], earlier: Comment | None) -> Facts:
    """The facts.

    Args:
        desk: the job.
        now: the comment as it is now.
        comments: all of the thread.
        earlier: the answer that an earlier try left unfinished.

    Raises:
        MlbotError: GitHub does not say.
    """
    github, event = desk.github, desk.event
    pull = github.pull_request(event.number) if event.is_pull_request else None
    branch = github.facts().default_branch
    config, problem = _config(github, branch)
    policy = Policy(
        repository_id=event.repository_id,
        repository=desk.job.repository,
        default_branch=branch,
        guard=config.guard if config else (),
        train_path=desk.options.train_path,
    )
    if pull is not None and pull.base_ref != branch and policy.guards(pull.base_ref):
        config, problem = _config(github, pull.base_ref)
    others = [each for each in comments if earlier is None or each.id != earlier.id]
    resumed = recorded([earlier], desk.options.bot) if earlier else ()
    return Facts(
        event=event,
        edited=now.body != event.body,
        role=github.role(event.author),
        policy=policy,
        judge_workflow=desk.options.judge_workflow,
        release_workflow=desk.options.release_workflow,
        pull=pull,
        runs=github.runs(pull.head_sha, "pull_request") if pull else (),
        config=config,
        config_problem=problem,
        head_models=_head_models(github, pull, config, [each.command for each in desk.said]) if pull else {},
        records=recorded(others, desk.options.bot),
        resumed=resumed,
        begun=any(_has_begun(github, each) for each in resumed),
        earlier=commands_before(comments, event),
    )


def evidence(desk: Desk, facts: Facts, pull: PullRequest, comments: Sequence[Comment]) -> Evidence:
    """What only the status asks for.

    Raises:
        MlbotError: GitHub does not say.
    """
    github, runs = desk.github, facts.trainings
    publisher = replace(github, known_login=ACTIONS_BOT)  # with its own job's token, whoever answers comments
    own = [each for each in comments if each.author == ACTIONS_BOT and carries(each.body, report_marker(desk))]
    return Evidence(
        status=publisher.status(pull.head_sha, STATUS) or github.status(pull.head_sha, STATUS),
        jobs=tuple((job.name, job.state) for job in jobs(github, runs[0].id)) if runs else (),
        report=own[0] if own else None,
    )


def report_marker(desk: Desk) -> str:
    """What the last line of the comment with the verdict starts with."""
    return marker(desk.options.train_path, CONFIG_FILE)


def _has_begun(github: GitHub, record: Recorded) -> bool:
    """Whether the attempt that a record announces is there."""
    return isinstance(record, RetrainRequest) and github.run(record.attempt.run).attempt >= record.attempt.number


def _config(github: GitHub, ref: str) -> tuple[Config | None, str]:
    """The config of a branch, or why there is none that can be read."""
    raw = read_file(github, CONFIG_FILE, ref)
    if raw is None:
        return None, ""
    try:
        return parse_config(load(raw, CONFIG_FILE)), ""
    except ConfigError as error:
        return None, str(error).splitlines()[0]


def _head_models(
    github: GitHub, pull: PullRequest, config: Config | None, commands: Sequence[Command | object]
) -> dict[str, tuple[Gate, ...]]:
    """The models of the head's own config, where a command names one that the guarded branch does not have."""
    named = {name for each in commands if isinstance(each, Retrain) for name in each.models}
    named |= {each.model for each in commands if isinstance(each, Waive)}
    if config is None or all(config.model(name) for name in named):
        return {}
    try:
        raw = read_file(github, CONFIG_FILE, pull.head_sha)
        head = parse_config(load(raw, CONFIG_FILE)) if raw is not None else None
    except MlbotError:
        return {}
    return {model.name: model.gates for model in head.models} if head else {}


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
        from mlbot.commands import reply

        comment = self.desk.event.comment
        records = [record for each in found for record in each.decision.records]
        if self.kept is not None and self.kept not in records:
            records.append(self.kept)
        body = reply.answer(
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
        for wanted in given.decision.effects:
            if wanted in self.effects:
                continue
            failed = self._do(wanted, given.decision)
            if failed is not None:
                return given.model_copy(update={"decision": failed})
            self.effects.append(wanted)
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
        why, hint = f"{effect.workflow} is not on the default branch", "Write it and merge it: mlbot init"
    else:
        why, hint = error.what, error.hint
    if isinstance(effect, Dispatch) and not decision.records:
        what = "The workflow could not be started"
    return refuse(
        Reason.NOT_DONE, f"{what}: {why}.", hint, link=decision.link, records=() if gone else decision.records
    )


def _section(desk: Desk, facts: Facts, found: Reply, comments: Sequence[Comment]) -> str:
    """What stands under a reply."""
    pull = facts.pull
    if found.decision.reason is Reason.HELP:
        from mlbot.commands.help import help_text

        head = pull.head_sha if pull and pull.fork else None
        where = Where.PULL_REQUEST if pull else Where.ISSUE
        return help_text(help_for(facts.config, where, fork_head=head))
    if found.decision.reason is not Reason.STATUS or pull is None:
        return ""
    from mlbot.commands import reply

    view = status_view(facts, pull, evidence(desk, facts, pull, comments), report_marker(desk))
    return reply.status(view, page=desk.page)


def _print(desk: Desk, writer: Writer, found: Sequence[Reply]) -> None:
    """What would be done, and said."""
    operations: list[Operation] = [effect for each in found for effect in each.decision.effects]
    answer = writer.operation(found, working=False)
    dry_run([*operations, answer], desk.console.result)
    desk.console.result(answer.body)


def _never(given: object) -> Never:
    del given
    raise RefusedError("a job that answers comments writes neither ledger nor charts")
