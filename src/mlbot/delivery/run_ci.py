"""One job that carries out what was asked of the release workflow: what it may talk to, and how it answers."""

from collections.abc import MutableMapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from mlbot.console import Console
from mlbot.delivery.issue import LABEL, marker_of
from mlbot.delivery.messages import Stands, Told
from mlbot.delivery.request import ASK, Asked, NotAsked
from mlbot.errors import MlbotError, UsageError
from mlbot.events.github import Login
from mlbot.git.remote import Remote
from mlbot.git.repository import Repository
from mlbot.github.api import GitHub
from mlbot.github.comments import find_thread, open_thread, upsert
from mlbot.github.job import Job, Runner, forget_tokens
from mlbot.lib.constants import ACTIONS_BOT, RELEASE_PATH, TRAIN_PATH
from mlbot.lib.tree import is_url
from mlbot.protocol.answer import CarriedOut, answer_marker, answer_to, last_line, recorded
from mlbot.protocol.marker import carries
from mlbot.protocol.operations import UpsertComment
from mlbot.registry.run_repository import RepositoryContext
from mlbot.registry.tag import name_of


@dataclass(frozen=True, kw_only=True, slots=True)
class DeployOptions:
    """What the command line says.

    Attributes:
        ask: the request, as `mlbot plan --release` printed it.
        train_path: of the workflow that trains.
        release_path: of the workflow that releases.
        bot: who the token speaks as.
    """

    ask: str
    train_path: str = TRAIN_PATH
    release_path: str = RELEASE_PATH
    bot: Login = ACTIONS_BOT

    @property
    def release_workflow(self) -> str:
        """The file's name, as GitHub's API takes it."""
        return PurePosixPath(self.release_path).name


def read_ask(text: str) -> Asked | NotAsked:
    """The request that an earlier job of this run printed.

    Raises:
        UsageError: it is none.
    """
    try:
        return ASK.validate_json(text)
    except ValueError as error:
        raise UsageError("--ask is no request", hint="Give what `mlbot plan --release` printed as `ask`.") from error


@dataclass(frozen=True, kw_only=True)
class ReleaseDesk:
    """The job.

    Attributes:
        job: what the runner says of it.
        github: the API.
        runner: the job's log and summary.
        directory: the checkout of the default branch.
        ask: the request.
        options: what the command line says.
        console: told of what goes on.
    """

    job: Job
    github: GitHub
    runner: Runner
    directory: Path
    ask: Asked | NotAsked
    options: DeployOptions
    console: Console = field(repr=False)

    @classmethod
    def of(
        cls, directory: Path, environment: MutableMapping[str, str], options: DeployOptions, console: Console
    ) -> "ReleaseDesk":
        """The job that this process is in; the tokens are taken out of its environment.

        Raises:
            UsageError: this is no job of GitHub Actions, it has no token, or the request is none.
        """
        job = Job.of(environment)
        forget_tokens(environment)
        login = None if options.bot == ACTIONS_BOT else options.bot
        return cls(
            job=job,
            github=GitHub.connect(
                job.repository, job.required_token(), api_url=job.api_url, login=login, progress=console.say
            ),
            runner=Runner.of(environment, console.err),
            directory=directory,
            ask=read_ask(options.ask),
            options=options,
            console=console,
        )

    @property
    def address(self) -> str:
        """Of the repository."""
        return f"{self.job.server_url}/{self.job.repository}"

    def context(self, actor: str) -> RepositoryContext:
        """Where releases are recorded: this very repository, as its remote has it now.

        Raises:
            MlbotError: it cannot be read, or its stores and targets would end with the job.
        """
        repository = Repository.discover(self.directory)
        context = RepositoryContext(
            repository=repository,
            remote=Remote(url=self.job.clone_url, token=self.job.token),
            branch=self.github.facts().default_branch,
            actor=actor,
            say=self.console.say,
            run=self.job.run,
            token=self.job.token,
        )
        context.catch_up()
        _check_places(context)
        return context

    @property
    def done_before(self) -> bool:
        """Whether the comment's request was carried out already."""
        if self.ask.comment is None or self.ask.number is None:
            return False
        answer = answer_to(self.github.comments(self.ask.number), self.github.login, self.ask.comment)
        return answer is not None and any(
            isinstance(each, CarriedOut) for each in recorded([answer], self.github.login)
        )

    def tell(self, told: Told) -> None:
        """Answer: in the comment's thread, else in the version's; at the end in the summary too.

        That something cannot be said is no reason not to do it.
        """
        self.console.say(f"{told.stands} ({told.reason}): {told.sentence}")
        if told.stands is not Stands.WORKING:
            self.runner.add_summary(self._body(told, ""))
        try:
            self._answer(told)
        except MlbotError as error:
            self.console.say(f"Could not answer: {error.what}")

    def _answer(self, told: Told) -> None:
        if self.ask.comment is not None and self.ask.number is not None:
            marker, line = self._marks(self.ask.comment, told)
            self._upsert(self.ask.number, marker, self._body(told, line))
            return
        if not isinstance(self.ask, Asked):
            return
        thread = self.thread(told.version or self.version)
        if thread is None:
            self._open(told, self.ask)
            return
        marker = f"<!-- mlbot:asked {self.ask.command.kind} {self.ask.environment} -->"
        known = any(carries(each.body, marker) for each in self.github.comments(thread))
        if known or told.stands not in {Stands.DONE, Stands.WORKING}:
            self._upsert(thread, marker, self._body(told, marker))

    def _open(self, told: Told, ask: Asked) -> None:
        """Open the version's issue before there is a version: for who pushed a tag that waits, or that is refused."""
        if ask.tag is None or self.version is None or told.stands is Stands.DONE:
            return
        marker = marker_of(*self.version)
        body = self._body(told, marker, ping=ask.actor or "")
        open_thread(self.github, title=f"Release {name_of(*self.version)}", body=body, label=LABEL, marker=marker)

    def _upsert(self, number: int, marker: str, body: str) -> None:
        upsert(self.github, UpsertComment(number=number, marker=marker, body=body))

    def _marks(self, comment: int, told: Told) -> tuple[str, str]:
        """What the answer is found by, and its last line. An answer to other commands as well is left alone."""
        if isinstance(self.ask, NotAsked) and not self.ask.alone:
            marker = f"<!-- mlbot:not-asked comment={comment} -->"
            return marker, marker
        over = told.stands in {Stands.DONE, Stands.REFUSED}
        records = (CarriedOut(comment=comment),) if over and isinstance(self.ask, Asked) else ()
        return answer_marker(comment), last_line(comment, records, done=True)

    def _body(self, told: Told, marker: str, ping: str = "") -> str:
        from mlbot.delivery.messages import release_answer

        version = told.version or self.version
        thread = self.thread(version) if version and self.ask.number else None
        return release_answer(
            told,
            text=self.ask.text or "The request",
            marker=marker,
            run_url=self.job.run_url,
            ping=ping,
            name=name_of(*version) if version else "",
            thread=f"{self.address}/issues/{thread}" if thread and thread != self.ask.number else "",
        )

    @property
    def version(self) -> tuple[str, str] | None:
        """Model and version that the request names."""
        command = self.ask.command if isinstance(self.ask, Asked) else None
        model, version = getattr(command, "model", None), getattr(command, "version", None)
        return (model, version) if model and version else None

    def thread(self, version: tuple[str, str] | None) -> int | None:
        """The number of a version's issue; None where there is none yet."""
        found = find_thread(self.github, LABEL, marker_of(*version)) if version else None
        return found.number if found else None


def acting(context: RepositoryContext, actor: str) -> RepositoryContext:
    """The same context, for another person."""
    return replace(context, actor=actor)


def _check_places(context: RepositoryContext) -> None:
    """A folder of the checkout ends with the job, so nothing may be kept or served there."""
    places = [("store", context.config.store)] if context.config.store else []
    places += [(f"environments.{each.name}.target", each.target) for each in context.config.environments]
    for where, place in places:
        if not is_url(place) and not place.startswith("command:"):
            raise UsageError(
                f"{where} is {place}, a folder of the checkout, which ends with the job",
                hint="Name a place that stays: file:///srv/models, oci://ghcr.io/OWNER/REPO/models, or another URL.",
            )
