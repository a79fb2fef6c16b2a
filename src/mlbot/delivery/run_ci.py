"""The job that carries out a request: what it may talk to, how it answers, what GitHub shows of a version.

The ledger decides; GitHub follows. That something cannot be shown is no reason not to do it: it is in the log, and
shown by the next job that can.
"""

import tempfile
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from mlbot.config.folder import ROOT, ConfigFolder
from mlbot.console import Console
from mlbot.delivery.messages import LABEL, RequestState, StatusMessage, issue_body, issue_of, marker_of, release_answer
from mlbot.delivery.model_card import CARD_FILE, GOLDEN_FILE, SUMS_FILE
from mlbot.delivery.request import REQUEST, DeliveryRequest, RejectedRequest
from mlbot.delivery.run_release import write_release
from mlbot.errors import MlbotError, UsageError
from mlbot.events.github import Login
from mlbot.git.remote import Remote
from mlbot.git.repository import Repository
from mlbot.github.api import GitHub
from mlbot.github.comments import upsert
from mlbot.github.deployments import (
    DeploymentState,
    ReleasePage,
    Wanted,
    publish_release,
    retire_others,
    set_deployment_state,
    show_deployment,
)
from mlbot.github.issues import edit_thread, find_thread, open_thread
from mlbot.github.job import Job, Runner, forget_tokens
from mlbot.github.transport import uploader
from mlbot.ledger.entries import DeploymentEntry, Entry, ReleaseEntry
from mlbot.ledger.entries import DeploymentState as State
from mlbot.ledger.queries import release_of, releases
from mlbot.lib.constants import ACTIONS_BOT, RELEASE_PATH, TRAIN_PATH
from mlbot.lib.tree import is_url
from mlbot.lib.version import Version, is_prerelease, name_of
from mlbot.protocol.answer import CarriedOut, answer_marker, answer_to, last_line, recorded
from mlbot.protocol.marker import carries
from mlbot.protocol.operations import UpsertComment
from mlbot.registry.run_repository import RepositoryContext
from mlbot.registry.tags import version_tag


@dataclass(frozen=True, kw_only=True, slots=True)
class DeployOptions:
    """What the command line says. `ask` is the request, as `mlbot ci request` printed it."""

    ask: str
    folder: ConfigFolder = ROOT
    train_path: str = TRAIN_PATH
    release_path: str = RELEASE_PATH
    bot: Login = ACTIONS_BOT
    look: str = "none"  # a release's look at sealed rows, which another job wrote
    answer: str = "none"  # what the rows answered

    @property
    def release_workflow(self) -> str:
        """The file's name, as GitHub's API takes it."""
        return PurePosixPath(self.release_path).name


def read_request(text: str) -> DeliveryRequest | RejectedRequest:
    """The request that an earlier job of this run printed.

    Raises:
        UsageError: it is none.
    """
    try:
        return REQUEST.validate_json(text)
    except ValueError as error:
        raise UsageError("--ask is no request", hint="Give what `mlbot ci request` printed as `ask`.") from error


@dataclass(frozen=True, kw_only=True)
class WorkflowJob:
    """What this process carries out a request with. `directory` is the checkout of the default branch."""

    job: Job
    github: GitHub
    runner: Runner
    directory: Path
    request: DeliveryRequest | RejectedRequest
    options: DeployOptions
    console: Console = field(repr=False)

    @classmethod
    def of(
        cls, directory: Path, environment: MutableMapping[str, str], options: DeployOptions, console: Console
    ) -> "WorkflowJob":
        """The job that this process is in; the tokens are taken out of its environment.

        Raises:
            UsageError: this is no job of GitHub Actions, it has no token, or the request is none.
        """
        job = Job.of(environment)
        forget_tokens(environment)
        return cls(
            job=job,
            github=GitHub.of_job(job, console.say, options.bot),
            runner=Runner.of(environment, console.err),
            directory=directory,
            request=read_request(options.ask),
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
        repository = Repository.discover(self.directory, self.options.folder.path)
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
        _check_addresses(context)
        return context

    @property
    def is_done(self) -> bool:
        """Whether the comment's request was carried out already."""
        if self.request.comment is None or self.request.number is None:
            return False
        comments, folder = self.github.comments(self.request.number), self.options.folder.path
        answer = answer_to(comments, self.github.login, self.request.comment, folder)
        return answer is not None and any(
            isinstance(each, CarriedOut) for each in recorded([answer], self.github.login)
        )

    def answer(self, message: StatusMessage) -> None:
        """Answer: in the comment's issue, else in the version's; at the end in the summary too."""
        self.console.say(f"{message.state} ({message.reason}): {message.sentence}")
        if message.state is not RequestState.WORKING:
            self.runner.add_summary(self._body(message, ""))
        try:
            self._answer(message)
        except MlbotError as error:
            self.console.say(f"Could not answer: {error.what}")

    def _answer(self, message: StatusMessage) -> None:
        if self.request.comment is not None and self.request.number is not None:
            marker, line = self._marks(self.request.comment, message)
            self._upsert(self.request.number, marker, self._body(message, line))
            return
        if not isinstance(self.request, DeliveryRequest):
            return
        issue = self.issue(message.version or self.version)
        if issue is None:
            self._open(message, self.request)
            return
        marker = f"<!-- mlbot:asked {self.request.command.kind} {self.request.environment} -->"
        known = any(carries(each.body, marker) for each in self.github.comments(issue))
        if known or message.state not in {RequestState.DONE, RequestState.WORKING}:
            self._upsert(issue, marker, self._body(message, marker))

    def _open(self, message: StatusMessage, request: DeliveryRequest) -> None:
        """Open the version's issue before there is a version: for who pushed a tag that waits, or that is refused."""
        if request.tag is None or self.version is None or message.state is RequestState.DONE:
            return
        marker = marker_of(*self.version)
        body = self._body(message, marker, ping=request.actor or "")
        open_thread(self.github, title=f"Release {name_of(*self.version)}", body=body, label=LABEL, marker=marker)

    def _upsert(self, number: int, marker: str, body: str) -> None:
        upsert(self.github, UpsertComment(number=number, marker=marker, body=body))

    def _marks(self, comment: int, message: StatusMessage) -> tuple[str, str]:
        """What the answer is found by, and its last line. An answer to other commands as well is left alone."""
        if isinstance(self.request, RejectedRequest) and not self.request.alone:
            marker = f"<!-- mlbot:not-asked comment={comment} -->"
            return marker, marker
        over = message.state in {RequestState.DONE, RequestState.REFUSED}
        records = (CarriedOut(comment=comment),) if over and isinstance(self.request, DeliveryRequest) else ()
        folder = self.options.folder.path
        return answer_marker(comment, folder), last_line(comment, records, folder=folder, done=True)

    def _body(self, message: StatusMessage, marker: str, ping: str = "") -> str:
        version = message.version or self.version
        issue = self.issue(version) if version and self.request.number else None
        return release_answer(
            message,
            text=self.request.text or "The request",
            marker=marker,
            run_url=self.job.run_url,
            ping=ping,
            name=name_of(*version) if version else "",
            issue=f"{self.address}/issues/{issue}" if issue and issue != self.request.number else "",
        )

    @property
    def version(self) -> tuple[str, str] | None:
        """Model and version that the request names."""
        command = self.request.command if isinstance(self.request, DeliveryRequest) else None
        model, version = getattr(command, "model", None), getattr(command, "version", None)
        return (model, version) if model and version else None

    def issue(self, version: tuple[str, str] | None) -> int | None:
        """The number of a version's issue; None where there is none yet."""
        found = find_thread(self.github, LABEL, marker_of(*version)) if version else None
        return found.number if found else None


def _check_addresses(context: RepositoryContext) -> None:
    """A folder of the checkout ends with the job, so nothing may be stored or served there."""
    places = [("store", context.config.store)] if context.config.store else []
    places += [(f"environments.{each.name}.target", each.target) for each in context.config.environments]
    for where, place in places:
        if not is_url(place) and not place.startswith("command:"):
            raise UsageError(
                f"{where} is {place}, a folder of the checkout, which ends with the job",
                hint="Name a place that stays: file:///srv/models, oci://ghcr.io/OWNER/REPO/models, or another URL.",
            )


_SHOWN: dict[State, DeploymentState] = {
    "started": DeploymentState.IN_PROGRESS,
    "succeeded": DeploymentState.SUCCESS,
    "failed": DeploymentState.FAILURE,
    "rolled-back": DeploymentState.FAILURE,
}


@dataclass(frozen=True, kw_only=True)
class GitHubView:
    """Shows on GitHub what the ledger has."""

    ci: WorkflowJob
    context: RepositoryContext

    def follow(self, entry: Entry) -> None:
        """Show what an entry of a deployment says."""
        if isinstance(entry, DeploymentEntry):
            self._try("the deployment", lambda: self._deployment(entry))
            versions = {entry.version, *([entry.previous] if entry.previous and entry.state != "started" else [])}
            for version in sorted(versions):
                self.issue(entry.model, version)

    def issue(self, model: str, version: str) -> None:
        """Bring a version's issue up to date; it is opened when there is none."""
        self._try(f"the issue of {name_of(model, version)}", lambda: self._issue(model, version))

    def newest(self) -> None:
        """Bring the issue of each model's newest version up to date."""
        for model in self.context.config.models:
            for entry in releases(self.context.of_model(model.name), model.name)[-1:]:
                self.issue(entry.model, entry.version)

    def page(self, entry: ReleaseEntry) -> None:
        """Publish a version's files."""
        self._try(f"the page of {name_of(entry.model, entry.version)}", lambda: self._page(entry))

    def _issue(self, model: str, version: str) -> None:
        entries = (*self.context.of_model(model), *self.context.entries("lock"))
        entry = release_of(entries, model, version)
        if entry is None:
            return
        issue = issue_of(entries, self.context.config, entry)
        page = f"{self.ci.address}/releases/tag/{_tag(entry)}"
        body = issue_body(issue, repository=self.ci.address, page=page)
        github = self.ci.github
        shown = open_thread(github, title=f"Release {issue.name}", body=body, label=LABEL, marker=issue.marker)
        edit_thread(github, shown, body.strip(), open_=issue.open)

    def _deployment(self, entry: DeploymentEntry) -> None:
        found = release_of(self.context.of_model(entry.model), entry.model, entry.version)
        if found is None:
            return
        later = {each.after for each in self.context.config.environments}
        wanted = Wanted(
            id=entry.id,
            commit=found.commit,
            environment=entry.environment,
            model=entry.model,
            description=f"{entry.action.capitalize()} of {name_of(entry.model, entry.version)}",
            production=entry.environment not in later,
        )
        github, log = self.ci.github, self.ci.job.run_url
        number = show_deployment(github, wanted)
        set_deployment_state(github, number, _SHOWN[entry.state], entry.detail, log_url=log)
        if entry.state == "succeeded":
            retire_others(github, wanted, number)

    def _page(self, entry: ReleaseEntry) -> None:
        with tempfile.TemporaryDirectory(prefix="mlbot-page-") as folder:
            files = dict(write_release(self.context, entry, Path(folder), self.ci.address))
            if not self._golden_is_public(entry):
                _leave_out(files, GOLDEN_FILE)
            page = ReleasePage(
                tag=_tag(entry),
                title=name_of(entry.model, entry.version),
                body=files[CARD_FILE].read_text(encoding="utf-8"),
                files=files,
                prerelease=is_prerelease(entry.version),
            )
            upload = uploader(self.ci.job.required_token(), self.ci.job.api_url)
            self.ci.console.say(f"Published {publish_release(self.ci.github, upload, page)}")

    def _golden_is_public(self, entry: ReleaseEntry) -> bool:
        """Golden requests are rows of the data: where that is not in the repository, they are nobody else's either."""
        model = self.context.configs_at(entry.commit).head.model(entry.model)
        return model is not None and not any(is_url(path) for path in (model.data.train, model.data.holdout) if path)

    def _try(self, what: str, show: Callable[[], None]) -> None:
        try:
            show()
        except MlbotError as error:
            self.ci.console.say(f"Could not show {what}: {error.what}")


def _tag(entry: ReleaseEntry) -> str:
    return version_tag(entry.model, Version.parse(entry.version))


def _leave_out(files: dict[str, Path], name: str) -> None:
    if files.pop(name, None) is not None:
        sums = files[SUMS_FILE].read_text(encoding="utf-8").splitlines(keepends=True)
        files[SUMS_FILE].write_text(
            "".join(line for line in sums if not line.rstrip().endswith(name)), encoding="utf-8"
        )
