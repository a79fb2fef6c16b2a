"""`mlbot command`: answer a comment. Reacts first, asks who and what, decides, does it, and says so in one comment."""

from collections.abc import MutableMapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from mlbot.console import Console
from mlbot.core.answer import answer_to, is_done
from mlbot.core.command import Said, parse_comment
from mlbot.core.event import CommentEvent
from mlbot.core.forge import Login
from mlbot.core.operation import React
from mlbot.core.published import ACTIONS_BOT, JUDGE_PATH, RELEASE_PATH, TRAIN_PATH
from mlbot.errors import Exit, MlbotError, UsageError
from mlbot.github.actions_io import Job, Runner, forget_tokens
from mlbot.github.api import GitHub
from mlbot.github.effects import effect


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
                mend=f"Give `bot: {self.github.login}` to train.yml, judge.yml and command.yml in your workflows.",
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
    from mlbot.activities.command_answer import reply

    return reply(desk, now, comments, earlier)
