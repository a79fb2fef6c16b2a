"""What GitHub shows of a version: its issue, its page with the files, its deployments.

The ledger decides; this follows. That something cannot be shown is no reason not to do it: it is said in the log, and
shown by the next job that can.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mlbot.delivery.issue import LABEL, thread_view
from mlbot.delivery.model_card import CARD_FILE, GOLDEN_FILE, SUMS_FILE
from mlbot.delivery.run_ci import ReleaseDesk
from mlbot.delivery.run_release import write_release
from mlbot.errors import MlbotError
from mlbot.github.comments import edit_thread, open_thread
from mlbot.github.deployments import (
    DeploymentState,
    ReleasePage,
    Wanted,
    publish_release,
    retire_others,
    set_deployment_state,
    show_deployment,
)
from mlbot.github.transport import uploader
from mlbot.ledger.entries import DeploymentEntry, Entry, ReleaseEntry
from mlbot.ledger.entries import DeploymentState as State
from mlbot.ledger.queries import release_of, releases
from mlbot.lib.tree import is_url
from mlbot.lib.version import Version
from mlbot.registry.run_repository import RepositoryContext
from mlbot.registry.tag import name_of, version_tag

_SHOWN: dict[State, DeploymentState] = {
    "started": DeploymentState.IN_PROGRESS,
    "succeeded": DeploymentState.SUCCESS,
    "failed": DeploymentState.FAILURE,
    "rolled-back": DeploymentState.FAILURE,
}


@dataclass(frozen=True, kw_only=True)
class Picture:
    """Shows on GitHub what the ledger has.

    Attributes:
        desk: the job.
        context: the ledger.
    """

    desk: ReleaseDesk
    context: RepositoryContext

    def follow(self, entry: Entry) -> None:
        """Show what an entry of a deployment tells."""
        if isinstance(entry, DeploymentEntry):
            self._try("the deployment", lambda: self._deployment(entry))
            versions = {entry.version, *([entry.previous] if entry.previous and entry.state != "started" else [])}
            for version in sorted(versions):
                self.thread(entry.model, version)

    def thread(self, model: str, version: str) -> None:
        """Bring a version's issue up to date; it is opened when there is none."""
        self._try(f"the issue of {name_of(model, version)}", lambda: self._thread(model, version))

    def newest(self) -> None:
        """Bring the issue of each model's newest version up to date."""
        for model in self.context.config.models:
            for entry in releases(self.context.of_model(model.name), model.name)[-1:]:
                self.thread(entry.model, entry.version)

    def page(self, entry: ReleaseEntry) -> None:
        """Publish a version's files."""
        self._try(f"the page of {name_of(entry.model, entry.version)}", lambda: self._page(entry))

    def _thread(self, model: str, version: str) -> None:
        from mlbot.delivery.messages import release_thread

        entries = (*self.context.of_model(model), *self.context.entries("lock"))
        entry = release_of(entries, model, version)
        if entry is None:
            return
        view = thread_view(entries, self.context.config, entry)
        page = f"{self.desk.address}/releases/tag/{_tag(entry)}"
        body = release_thread(view, repository=self.desk.address, page=page)
        github = self.desk.github
        thread = open_thread(github, title=f"Release {view.name}", body=body, label=LABEL, marker=view.marker)
        edit_thread(github, thread, body.strip(), open_=view.open)

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
        github, log = self.desk.github, self.desk.job.run_url
        number = show_deployment(github, wanted)
        set_deployment_state(github, number, _SHOWN[entry.state], entry.detail, log_url=log)
        if entry.state == "succeeded":
            retire_others(github, wanted, number)

    def _page(self, entry: ReleaseEntry) -> None:
        with tempfile.TemporaryDirectory(prefix="mlbot-page-") as folder:
            files = dict(write_release(self.context, entry, Path(folder), self.desk.address))
            if not self._golden_is_public(entry):
                _leave_out(files, GOLDEN_FILE)
            page = ReleasePage(
                tag=_tag(entry),
                title=name_of(entry.model, entry.version),
                body=files[CARD_FILE].read_text(encoding="utf-8"),
                files=files,
            )
            upload = uploader(self.desk.job.required_token(), self.desk.job.api_url)
            self.desk.console.say(f"Published {publish_release(self.desk.github, upload, page)}")

    def _golden_is_public(self, entry: ReleaseEntry) -> bool:
        """Golden requests are rows of the data: where that is not in the repository, they are nobody else's either."""
        model = self.context.configs_at(entry.commit).head.model(entry.model)
        return model is not None and not any(is_url(path) for path in (model.data.train, model.data.holdout) if path)

    def _try(self, what: str, show: Callable[[], None]) -> None:
        try:
            show()
        except MlbotError as error:
            self.desk.console.say(f"Could not show {what}: {error.what}")


def _tag(entry: ReleaseEntry) -> str:
    return version_tag(entry.model, Version.parse(entry.version))


def _leave_out(files: dict[str, Path], name: str) -> None:
    if files.pop(name, None) is not None:
        sums = files[SUMS_FILE].read_text(encoding="utf-8").splitlines(keepends=True)
        files[SUMS_FILE].write_text(
            "".join(line for line in sums if not line.rstrip().endswith(name)), encoding="utf-8"
        )
