"""One deployment, step by step: every step can be done again, so that a run that was killed is finished by another.

    lock → ledger: started → rehearse → stage → switch → read back → smoke test → ledger: succeeded → tag → unlock

Where a step fails, the version before is switched back and verified, and the ledger says so. Where the process is
killed, the lock and the ledger's `started` stay, and the same command goes on from there.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from mlbot.config.schema import Endpoint, EnvironmentConfig, Smoke
from mlbot.delivery.deployment import begun, deployment_id, lock_text, next_sequence, read_lock, serves
from mlbot.delivery.model_card import file_name
from mlbot.delivery.run_endpoint import EndpointTest, withdrawn
from mlbot.delivery.run_release import asker, read_golden, restore_tags, tag_stage, try_to_tag
from mlbot.errors import MlbotError, NotEvaluatedError, RefusedError, require
from mlbot.git.locks import PREFIX, Held
from mlbot.ledger.entries import Action, DeploymentEntry, DeploymentIntent, DeploymentState, Entry, ReleaseEntry
from mlbot.ledger.queries import deployments, live, release_of
from mlbot.lib.templates import sentence
from mlbot.lib.version import Served, Stored, Version, name_of, served_of, shorten
from mlbot.protocol.golden import Golden, SmokeResult
from mlbot.registry.run_repository import RepositoryContext
from mlbot.storage.artifact import remove
from mlbot.storage.target import Target
from mlbot.storage.target_command import smoke_command

LONGEST_REASON = 1000  # characters that the ledger keeps of a text
_TRIES = 5
_FETCHED = "fetched"

_R = TypeVar("_R")


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """A version on its way into an environment."""

    context: RepositoryContext
    intent: DeploymentIntent
    held: Held
    release: ReleaseEntry
    golden: Golden | None  # its golden requests; None where none are kept, which only a rollback puts up with
    environment: EnvironmentConfig
    target: Target
    previous: Served | None  # what was live before, and is gone back to
    folder: Path  # for files
    file: Path  # the version's verified bytes
    begun: DeploymentEntry | None = None  # the ledger's entry of an earlier run of it
    shown: str = ""  # what was found before it began

    def run(self) -> tuple[DeploymentEntry, str]:
        """Do it, or undo it.

        Returns:
            The last entry: `succeeded`; else `rolled-back` or `failed`, whose `detail` says why. And why its tag could
            not be written, which is no failure.

        Raises:
            RefusedError: another run took the lock over.
            BetweenVersionsError: it failed, and so did going back: lock and ledger stay as they are.
        """
        started = self.begun or self._entry("started")
        self._still_ours()
        self.context.record(started)
        self.context.update_ledger()  # so that the clone tells of it, should this be killed
        try:
            detail = self._forward()
        except OvertakenError:
            raise
        except MlbotError as error:
            ended = self._ended(started, *self._back(error.line))
        except KeyboardInterrupt:
            ended = self._ended(started, *self._back(sentence("deployment", "interrupted")))
            self._finish(ended)
            raise
        else:
            ended = self._ended(started, "succeeded", f"{detail} {self.shown}".strip())
        return ended, self._finish(ended)

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
        served = self.folder / "served"
        self._is_served(served, served_of(self.release))
        return self._smoke(served)

    def _rehearse(self) -> None:
        """Load the bytes and ask them the golden requests before anything moves."""
        if self.golden is not None:
            settings = self.environment.smoke or Smoke()
            _passed(self._golden_test(self.file, self.golden, settings.model_copy(update={"p95_ms": None})))

    def _smoke(self, file: Path) -> str:
        """What is served answers as judged, and in time; then the command of the user's agrees."""
        settings = self.environment.smoke or Smoke()
        found = sentence("deployment", "smoke/bytes-alone")
        if self.golden is not None:
            self.context.say(f"Smoke test: {self.golden.rows} golden requests")
            found = _passed(self._golden_test(file, self.golden, settings))
        served, root = served_of(self.release), self.context.repository.project
        if self.environment.endpoint is not None:
            found = f"{found} {self._endpoint_test(self.environment.endpoint, served, settings)}"
        if settings.command is None:
            return found
        agrees = smoke_command(settings.command, self.release.model, self.environment.name, served, root)
        return f"{found} {_passed(agrees)}"

    def _endpoint_test(self, endpoint: Endpoint, served: Served, settings: Smoke) -> str:
        """The endpoint serves what was switched on, and answers as judged."""
        self.context.say(f"Asking {endpoint.url}")
        test = EndpointTest(endpoint=endpoint, model=self.release.model, served=served, golden=self.golden)
        return _passed(test.smoke(settings.requests))

    def _golden_test(self, file: Path, golden: Golden, settings: Smoke) -> SmokeResult:
        from mlbot.ml.golden import smoke

        with asker(self.context, self.release.commit, self.release.model) as ask:
            return smoke(file, golden, settings, ask=ask)

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
            return "failed", sentence("deployment", "back/unmoved", why=why)
        if previous is None:
            return "failed", self._withdrawn(why)
        if previous.version == self.release.version:
            return "failed", sentence("deployment", "back/same", why=why)
        self.context.say(f"Going back to v{previous.version}")
        try:
            self._switch_back(previous)
        except MlbotError as error:
            raise BetweenVersionsError(
                f"{self._name} failed in {self.environment.name} ({why}), and so did going back to "
                f"v{previous.version}: {error.line}",
                hint=f'Fix the target, then: mlbot rollback {self.release.model} {self.environment.name} --reason "…"',
            ) from error
        endpoint = self._endpoint_back(previous)
        return "rolled-back", sentence("deployment", "back/good", why=why, version=previous.version, endpoint=endpoint)

    def _endpoint_back(self, previous: Served) -> str:
        """Have the endpoint serve the version before again, too; what came of that. Empty: there is none."""
        endpoint, model = self.environment.endpoint, self.release.model
        if endpoint is None:
            return ""
        release = release_of(self.context.of_model(model), model, previous.version)
        golden = read_golden(self.context, release) if release else None
        return EndpointTest(endpoint=endpoint, model=model, served=previous, golden=golden).back()

    def _withdrawn(self, why: str) -> str:
        """Take a first deployment away again; what came of that."""
        self.context.say(f"Taking {self._name} away again")
        try:
            done = self.target.withdraw(self.release.model)
        except MlbotError as error:
            return sentence("deployment", "back/none-stuck", why=why, fault=error.line)
        if not done:
            return sentence("deployment", "back/none-stays", why=why)
        endpoint = self.environment.endpoint
        gone = withdrawn(endpoint, self.release.model, served_of(self.release)) if endpoint else ""
        return sentence("deployment", "back/none-gone", why=why, endpoint=gone)

    def _switch_back(self, previous: Served) -> None:
        version = Version.parse(previous.version)
        try:
            self.target.switch(self.release.model, version)
        except NotEvaluatedError:  # it is not there any more, or not whole
            file = self.folder / "previous" / self.file.name
            if self.context.fetch(previous.digest, file) is not Stored.VERIFIED:
                raise
            self.target.stage(self.release.model, version, previous.digest, file)
            self.target.switch(self.release.model, version)
        self._is_served(self.folder / "served-again", previous)

    def _finish(self, ended: DeploymentEntry) -> str:
        """Record the end, tag it, unlock; in this order, for the ledger decides. Why it has no tag; empty: it has."""
        self._still_ours()
        self.context.record(ended)
        why = ""
        if ended.state == "succeeded":
            why = try_to_tag(self.context, lambda tags: tag_stage(self.context, tags, ended, self.release))
        self.context.lock(self.environment.name).drop(self.held)
        return why

    def _still_ours(self) -> None:
        """Make sure that no other run has taken the deployment over."""
        if not self.context.lock(self.environment.name).is_still(self.held):
            raise OvertakenError(
                f"another run took {self.environment.name} over, so this one stops here",
                hint=f"See what is live: mlbot registry show {self.release.model}",
            )

    def _entry(self, state: DeploymentState) -> DeploymentEntry:
        shared = {name: getattr(self.intent, name) for name in DeploymentIntent.model_fields}
        previous = self.previous.version if self.previous else None
        return DeploymentEntry(**shared | {"state": state, "previous": previous, "time": self.context.time})

    def _ended(self, started: DeploymentEntry, state: DeploymentState, detail: str) -> DeploymentEntry:
        update = {"state": state, "detail": detail[:LONGEST_REASON], "time": self.context.time}
        return DeploymentEntry.model_validate(started.model_copy(update=update))

    @property
    def _name(self) -> str:
        return name_of(self.release.model, self.release.version)


class BetweenVersionsError(NotEvaluatedError):
    """A deployment failed, and so did going back."""


class OvertakenError(RefusedError):
    """Another run of the same deployment, or a rollback, took the lock over."""


def _passed(result: SmokeResult) -> str:
    if not result.passed:
        raise NotEvaluatedError(sentence("deployment", "failed", reason=result.reason, detail=result.detail))
    return result.detail


# A model's place in an environment: what the ledger says of it, who holds the lock, and how a deployment begins.


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """What was found at one moment."""

    entries: tuple[Entry, ...]  # the ledger's on the model, and the environment's locks
    held: Held | None = None  # the environment's lock, whoever's and however old; None: it is free
    intent: DeploymentIntent | None = None  # the deployment that holds it and has not ended; None: none
    foreign: bool = False  # whether the lock's commit says what mlbot never wrote


@dataclass(frozen=True, kw_only=True, slots=True)
class EnvironmentLock:
    """The lock of an environment, for the deployments of one model. Files go to the folder."""

    context: RepositoryContext
    model: str
    environment: str
    folder: Path

    def look(self) -> Snapshot:
        """The lock first, then the ledger: whoever unlocks has written to the ledger before."""
        held = self.context.lock(self.environment).read()
        entries = self.entries()
        if held is None:
            return Snapshot(entries=entries)
        intent = read_lock(held.text)
        if intent is None or intent.environment != self.environment:
            return Snapshot(entries=entries, held=held, foreign=True)
        of_it = entries if intent.model == self.model else self.context.entries("deployment", intent.model)
        return Snapshot(entries=entries, held=held, intent=None if has_ended(intent, of_it) else intent)

    def entries(self) -> tuple[Entry, ...]:
        """The ledger's on the model, and the environment's locks."""
        return self.context.of_model(self.model, self.environment)

    def intent(self, seen: Snapshot, goal: Served, action: Action, reason: str) -> DeploymentIntent:
        """The deployment that was begun to do just this; else the next one."""
        for known in (seen.intent, begun(seen.entries, self.environment, self.model)):
            same = known and known.is_of(self.model, goal.version, self.environment, action)
            if known and same and known.digest == goal.digest:
                return known
        sequence = next_sequence(seen.entries, self.model, self.environment)
        return DeploymentIntent(
            id=deployment_id(self.model, self.environment, sequence),
            sequence=sequence,
            model=self.model,
            version=goal.version,
            digest=goal.digest,
            environment=self.environment,
            action=action,
            actor=self.context.actor,
            reason=reason[:LONGEST_REASON],
            run=self.context.run,
            time=self.context.time,
        )

    def take(self, intent: DeploymentIntent, seen: Snapshot) -> Held | None:
        """Take the lock for a deployment, if it is still as it was seen; None when somebody else was faster."""
        return self.context.lock(self.environment).take(lock_text(intent), self.context.seconds, over=seen.held)

    def unlock(self, held: Held) -> None:
        """Let go of the lock."""
        self.context.lock(self.environment).drop(held)

    def unlock_unstarted(self, intent: DeploymentIntent, held: Held) -> None:
        """After an error: what never started leaves no lock; what started leaves it to who finishes it."""
        started = begun(self.entries(), self.environment, self.model)
        if started is None or started.id != intent.id:
            self.unlock(held)

    def finish_interrupted(self, seen: Snapshot) -> str:
        """Do what a run that was killed after its last entry left to do: the environment's tag, and its lock.

        Why the tag could not be written; empty: it is there.
        """
        last, why = live(seen.entries, self.environment, self.model), ""
        if last is not None:
            release = self.release(seen.entries, last.version)
            why = try_to_tag(self.context, lambda tags: restore_tags(self.context, tags, seen.entries, release))
        if seen.held is not None and seen.intent is None and not seen.foreign:
            self.unlock(seen.held)
        return why

    def fetch(self, goal: Served) -> Stored:
        """Fetch a version's bytes and verify them. Errors: as `RepositoryContext.fetch`."""
        self.context.say(f"Verifying the bytes of {name_of(self.model, goal.version)} in {self.context.store.url}")
        return self.context.fetch(goal.digest, self.folder / _FETCHED)

    def deployment(
        self, intent: DeploymentIntent, held: Held, entries: tuple[Entry, ...], *, shown: str = ""
    ) -> Deployment:
        """A deployment, ready to run; its bytes are fetched. `shown`: what was found before it.

        Raises:
            NotEvaluatedError: there is nothing to test it by, which only a rollback puts up with.
        """
        require("judge", needed_for="The smoke test of a deployment")
        release = self.release(entries, intent.version)
        golden = read_golden(self.context, release)
        # mlbot itself asks ONNX models alone: of others the bytes are verified, and `smoke.command` asks.
        if golden is None and intent.action == "promotion" and release.file is None:
            raise NotEvaluatedError(
                f"{name_of(self.model, intent.version)} has no golden requests, so nobody could tell whether its "
                "deployment works",
                hint=f"Release the model again under a new version: mlbot release {self.model} --bump patch",
            )
        environment = self.settings()
        return Deployment(
            context=self.context,
            intent=intent,
            held=held,
            release=release,
            golden=golden,
            environment=environment,
            target=self.context.target(environment),
            previous=serves(entries, self.environment, self.model),
            folder=self.folder,
            file=self.named(release),
            shown=shown,
            begun=_started(intent, entries),
        )

    def named(self, release: ReleaseEntry) -> Path:
        """The verified bytes under the name that a target knows them by."""
        fetched, file = self.folder / _FETCHED, self.folder / "staged" / file_name(release)
        if fetched.exists():
            remove(file)
            file.parent.mkdir(exist_ok=True)
            fetched.rename(file)
        return file

    def has_drifted(self, entries: tuple[Entry, ...]) -> bool:
        """Whether the target serves something else than the ledger says is live.

        Raises:
            RefusedError: what the target serves is not mlbot's.
            NotEvaluatedError: the target does not answer.
        """
        recorded = serves(entries, self.environment, self.model)
        environment = self.context.environment(self.environment)
        if recorded is None or environment is None:
            return False
        now = self.context.target(environment).live(self.model)
        return now is None or (now.version, now.digest) != (recorded.version, recorded.digest)

    def release(self, entries: tuple[Entry, ...], version: str) -> ReleaseEntry:
        """A version's release.

        Raises:
            NotEvaluatedError: the ledger has none.
        """
        found = release_of(entries, self.model, version)
        if found is None:
            raise NotEvaluatedError(f"the ledger has no release of {name_of(self.model, version)}")
        return found

    def settings(self) -> EnvironmentConfig:
        """The environment as the guarded branch has it. Raises `LookupError` where it has none."""
        found = self.context.environment(self.environment)
        if found is None:
            raise LookupError(f"{self.environment} was let through without being there")
        return found

    @property
    def ref(self) -> str:
        """The lock's ref, for people who have to look at it."""
        return f"{PREFIX}{self.environment}"


def try_with_lock(
    context: RepositoryContext, model: str, environment: str, attempt: Callable[[EnvironmentLock], _R | None]
) -> _R:
    """Try again while others are faster to take the lock: what the try came to that nobody got in between of.

    Raises:
        NotEvaluatedError: others were always faster.
    """
    with tempfile.TemporaryDirectory(prefix="mlbot-deploy-") as folder:
        lock = EnvironmentLock(context=context, model=model, environment=environment, folder=Path(folder))
        for _ in range(_TRIES):
            result = attempt(lock)
            if result is not None:
                return result
    raise NotEvaluatedError(
        f"others were always faster to take {environment}", hint=f"See what is there: mlbot registry show {model}"
    )


def has_ended(intent: DeploymentIntent, entries: tuple[Entry, ...]) -> bool:
    """Whether the ledger says how a deployment ended, or that a later one did."""
    of_it = deployments(entries, intent.model, intent.environment)
    return any(each.sequence >= intent.sequence and each.state != "started" for each in of_it)


def _started(intent: DeploymentIntent, entries: tuple[Entry, ...]) -> DeploymentEntry | None:
    of_it = deployments(entries, intent.model, intent.environment)
    return next((each for each in of_it if each.id == intent.id and each.state == "started"), None)
