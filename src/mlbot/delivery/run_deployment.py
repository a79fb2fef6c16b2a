"""One deployment, step by step: every step can be done again, so that a run that was killed is finished by another.

    lock → ledger: started → rehearse → stage → switch → read back → smoke test → ledger: succeeded → tag → unlock

Where a step fails, the version before is switched back and verified, and the ledger says so. Where the process is
killed, the lock and the ledger's `started` stay, and the same command goes on from there.
"""

from dataclasses import dataclass
from pathlib import Path

from mlbot.config.schema import EnvironmentConfig, Smoke
from mlbot.delivery.deployment import Holder
from mlbot.errors import MlbotError, NotEvaluatedError, RefusedError
from mlbot.git.locks import Held
from mlbot.ledger.entries import DeploymentEntry, DeploymentState, ReleaseEntry
from mlbot.lib.record import Name
from mlbot.lib.version import Served, Version
from mlbot.protocol.golden import Golden, SmokeResult
from mlbot.registry.run_repository import RepositoryContext
from mlbot.registry.tag import TagNote, name_of, shorten, stage_tag
from mlbot.registry.versions import Stored
from mlbot.storage.target import Target
from mlbot.storage.target_command import smoke_command

# The user's own part of a smoke test.


def check_endpoint(settings: Smoke, folder: Path, release: ReleaseEntry, environment: Name) -> SmokeResult | None:
    """Let the environment's `smoke.command` look at the endpoint.

    Args:
        settings: Of the environment.
        folder: The repository's root.
        release: What was deployed.
        environment: Where.

    Returns:
        What it came to; None when there is no command.
    """
    if settings.command is None:
        return None
    served = Served(version=release.version, digest=release.digest)
    return smoke_command(settings.command, release.model, environment, served, folder)


_LONGEST = 1000


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """A version on its way into an environment.

    Attributes:
        context: where it is recorded.
        holder: what it does, and for whom.
        held: its lock.
        release: the version.
        golden: its golden requests; None where none are kept, which only a rollback puts up with.
        environment: where to.
        target: where that is.
        previous: what was live before, and is gone back to.
        folder: for files.
        file: the version's verified bytes.
        begun: the ledger's entry of an earlier run of it.
    """

    context: RepositoryContext
    holder: Holder
    held: Held
    release: ReleaseEntry
    golden: Golden | None
    environment: EnvironmentConfig
    target: Target
    previous: Served | None
    folder: Path
    file: Path
    begun: DeploymentEntry | None = None

    def run(self) -> DeploymentEntry:
        """Do it, or undo it.

        Returns:
            The last entry: `succeeded`; else `rolled-back` or `failed`, whose `detail` says why.

        Raises:
            RefusedError: another run took the lock over.
            NotEvaluatedError: it failed, and so did going back: lock and ledger stay as they are.
        """
        started = self.begun or self._entry("started")
        self._still_ours()
        self.context.record(started)
        try:
            detail = self._forward()
        except OvertakenError:
            raise
        except MlbotError as error:
            ended = self._ended(started, *self._back(" ".join(str(error).split())))
        except KeyboardInterrupt:
            ended = self._ended(started, *self._back("It was interrupted."))
            self._finish(ended)
            raise
        else:
            ended = self._ended(started, "succeeded", detail)
        self._finish(ended)
        return ended

    def _forward(self) -> str:
        """The way there; what the smoke test found."""
        version, say = Version.parse(self.release.version), self.context.say
        self._rehearse()
        say(f"Staging {self._name} in {self.target.url}")
        self.target.stage(self.release.model, version, self.release.digest, self.file)
        self._still_ours()
        say(f"Switching {self.environment.name} to {self._name}")
        self.target.switch(self.release.model, version)
        say("Reading it back")
        served = self.folder / "served.onnx"
        self._is_served(served, Served(version=self.release.version, digest=self.release.digest))
        return self._smoke(served)

    def _rehearse(self) -> None:
        """Load the bytes and ask them the golden requests before anything moves."""
        if self.golden is not None:
            settings = self.environment.smoke or Smoke()
            _passed(_golden_test(self.file, self.golden, settings.model_copy(update={"p95_ms": None})))

    def _smoke(self, file: Path) -> str:
        """What is served answers as judged, and in time; then the command of the user's agrees."""
        settings = self.environment.smoke or Smoke()
        said = "It is served; it has no golden requests, so only its bytes were verified."
        if self.golden is not None:
            self.context.say(f"Smoke test: {self.golden.rows} golden requests")
            said = _passed(_golden_test(file, self.golden, settings))
        found = check_endpoint(settings, self.context.repository.root, self.release, self.environment.name)
        return f"{said} {_passed(found)}" if found else said

    def _is_served(self, file: Path, wanted: Served) -> None:
        served = self.target.fetch(self.release.model, file)
        if (served.version, served.digest) != (wanted.version, wanted.digest):
            raise NotEvaluatedError(
                f"the target serves v{served.version} ({shorten(served.digest)}) instead of v{wanted.version} "
                f"({shorten(wanted.digest)})",
                where=self.target.url,
            )

    def _back(self, why: str) -> tuple[DeploymentState, str]:
        """Go back to the version before; how that makes the deployment end.

        Raises:
            NotEvaluatedError: the target is between versions, or nobody can tell.
        """
        self._still_ours()
        live = self.target.live(self.release.model)
        moved = live is not None and (live.version, live.digest) == (self.release.version, self.release.digest)
        previous = self.previous
        if not moved:
            return "failed", f"{why} Nothing was moved."
        if previous is None:
            return "failed", f"{why} There is no version before it, {self._withdrawn()}"
        if previous.version == self.release.version:
            return "failed", f"{why} It was live before, so it stays switched on."
        self.context.say(f"Going back to v{previous.version}")
        try:
            self._switch_back(previous)
        except MlbotError as error:
            raise NotEvaluatedError(
                f"{self._name} failed in {self.environment.name} ({why}), and so did going back to "
                f"v{previous.version}: {' '.join(str(error).split())}",
                hint=f'Fix the target, then: mlbot rollback {self.release.model} {self.environment.name} --reason "…"',
            ) from error
        return "rolled-back", f"{why} v{previous.version} is served again, and was verified."

    def _withdrawn(self) -> str:
        """Take a first deployment away again; what came of that."""
        self.context.say(f"Taking {self._name} away again")
        try:
            done = self.target.withdraw(self.release.model)
        except MlbotError as error:
            return f"and it stays switched on: {' '.join(str(error).split())}"
        return "so nothing is served now." if done else "and this kind of target keeps it switched on."

    def _switch_back(self, previous: Served) -> None:
        version = Version.parse(previous.version)
        try:
            self.target.switch(self.release.model, version)
        except NotEvaluatedError:  # it is not there any more, or not whole
            file = self.folder / "previous.onnx"
            if self.context.fetch(previous.digest, file) is not Stored.VERIFIED:
                raise
            self.target.stage(self.release.model, version, previous.digest, file)
            self.target.switch(self.release.model, version)
        self._is_served(self.folder / "served-again.onnx", previous)

    def _finish(self, ended: DeploymentEntry) -> None:
        """Record the end, tag it, let go of the lock; in this order, for the ledger decides."""
        self._still_ours()
        self.context.record(ended)
        if ended.state == "succeeded":
            tag_stage(self.context, ended, self.release)
        self.context.lock(self.environment.name).drop(self.held)

    def _still_ours(self) -> None:
        """Make sure that no other run has taken the deployment over."""
        if not self.context.lock(self.environment.name).is_still(self.held):
            raise OvertakenError(
                f"another run took {self.environment.name} over, so this one stops here",
                hint=f"See what is live: mlbot registry show {self.release.model}",
            )

    def _entry(self, state: DeploymentState) -> DeploymentEntry:
        shared = {name: getattr(self.holder, name) for name in Holder.model_fields}
        previous = self.previous.version if self.previous else None
        return DeploymentEntry(**shared | {"state": state, "previous": previous, "time": self.context.time})

    def _ended(self, started: DeploymentEntry, state: DeploymentState, detail: str) -> DeploymentEntry:
        told = {"state": state, "detail": detail[:_LONGEST], "time": self.context.time}
        return DeploymentEntry.model_validate(started.model_copy(update=told))

    @property
    def _name(self) -> str:
        return name_of(self.release.model, self.release.version)


class OvertakenError(RefusedError):
    """Another run of the same deployment, or a rollback, took the lock over."""


def tag_stage(context: RepositoryContext, entry: DeploymentEntry, release: ReleaseEntry) -> None:
    """Let the tags say what the ledger says of an environment; nothing happens where they do."""
    with context.tags() as tags:
        registry = tags.registry()
        now = registry.of_model(entry.model).current(entry.environment)
        if now and now.version and now.version.text == entry.version and now.commit == release.commit:
            return
        name = stage_tag(entry.model, entry.environment, registry.next_counter(entry.model))
        note = TagNote(
            version=entry.version,
            commit=release.commit,
            digest=entry.digest,
            key=release.key,
            attempt=release.attempt,
            judge=release.judge,
            actor=entry.actor,
            run=entry.run,
        )
        tags.make(name, f"{name_of(entry.model, entry.version)} is live in {entry.environment}", note)


def _golden_test(file: Path, golden: Golden, settings: Smoke) -> SmokeResult:
    from mlbot.ml.golden import smoke

    return smoke(file, golden, settings)


def _passed(result: SmokeResult) -> str:
    if not result.passed:
        raise NotEvaluatedError(f"The smoke test failed ({result.reason}). {result.detail}")
    return result.detail
