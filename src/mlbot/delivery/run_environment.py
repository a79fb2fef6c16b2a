"""A model's place in an environment: what the ledger says of it, who holds the lock, and how a deployment begins."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from mlbot.config.schema import EnvironmentConfig
from mlbot.delivery.deployment import Holder, begun, deployment_id, lock_text, next_sequence, read_lock, serves
from mlbot.delivery.run_deployment import Deployment, tag_stage
from mlbot.delivery.run_release import read_golden
from mlbot.errors import NotEvaluatedError
from mlbot.git.locks import PREFIX, Held
from mlbot.ledger.entries import Action, DeploymentEntry, Entry, ReleaseEntry
from mlbot.ledger.queries import deployments, live, release_of
from mlbot.lib.extras import require
from mlbot.lib.record import Digest
from mlbot.registry.run_repository import RepositoryContext
from mlbot.registry.tag import name_of
from mlbot.registry.versions import Stored

MODEL_FILE = "model.onnx"

LONGEST_REASON = 1000
"""Characters that the ledger keeps of a reason."""

_TRIES = 5

_R = TypeVar("_R")


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """What was found at one moment.

    Attributes:
        entries: the ledger's on the model, and the environment's locks.
        held: the environment's lock, whoever's and however old; None: it is free.
        holder: who holds it for a deployment that has not ended; None: nobody.
        foreign: whether the lock's commit says what mlbot never wrote.
    """

    entries: tuple[Entry, ...]
    held: Held | None = None
    holder: Holder | None = None
    foreign: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Slot:
    """One model in one environment.

    Attributes:
        context: where it is recorded.
        model: its name.
        environment: its name.
        folder: for files.
    """

    context: RepositoryContext
    model: str
    environment: str
    folder: Path

    def look(self) -> Seen:
        """The lock first, then the ledger: whoever lets go of the lock has written to the ledger before."""
        held = self.context.lock(self.environment).read()
        entries = self.entries()
        if held is None:
            return Seen(entries=entries)
        holder = read_lock(held.text)
        if holder is None or holder.environment != self.environment:
            return Seen(entries=entries, held=held, foreign=True)
        of_holder = entries if holder.model == self.model else self.context.entries("deployment", holder.model)
        return Seen(entries=entries, held=held, holder=None if has_ended(holder, of_holder) else holder)

    def entries(self) -> tuple[Entry, ...]:
        """The ledger's on the model, and the environment's locks."""
        return self.context.of_model(self.model, self.environment)

    def holder(self, seen: Seen, version: str, digest: Digest, action: Action, reason: str) -> Holder:
        """The deployment that was begun to do just this; else the next one."""
        for known in (seen.holder, begun(seen.entries, self.environment, self.model)):
            if known and known.is_of(self.model, version, self.environment, action) and known.digest == digest:
                return known
        sequence = next_sequence(seen.entries, self.model, self.environment)
        return Holder(
            id=deployment_id(self.model, self.environment, sequence),
            sequence=sequence,
            model=self.model,
            version=version,
            digest=digest,
            environment=self.environment,
            action=action,
            actor=self.context.actor,
            reason=reason[:LONGEST_REASON],
            run=self.context.run,
            time=self.context.time,
        )

    def take(self, holder: Holder, seen: Seen) -> Held | None:
        """Take the lock for a deployment, if it is still as it was seen; None when somebody else was faster.

        Raises:
            RefusedError: the token or a rule of the repository forbids it.
            NotEvaluatedError: the remote does not answer.
        """
        return self.context.lock(self.environment).take(lock_text(holder), self.context.seconds, over=seen.held)

    def drop(self, held: Held) -> None:
        """Let go of the lock."""
        self.context.lock(self.environment).drop(held)

    def let_go(self, holder: Holder, held: Held) -> None:
        """After an error: what never started leaves no lock; what started leaves it to who finishes it."""
        started = begun(self.entries(), self.environment, self.model)
        if started is None or started.id != holder.id:
            self.drop(held)

    def fetch(self, version: str, digest: Digest) -> Stored:
        """Fetch a version's bytes and verify them. Errors: as `RepositoryContext.fetch`."""
        self.context.say(f"Verifying the bytes of {name_of(self.model, version)} in {self.context.store.url}")
        return self.context.fetch(digest, self.folder / MODEL_FILE)

    def deployment(self, holder: Holder, held: Held, entries: tuple[Entry, ...]) -> Deployment:
        """A deployment, ready to run; its bytes are fetched.

        Raises:
            NotEvaluatedError: there is nothing to test it by, which only a rollback puts up with.
        """
        require("ml", needed_for="The smoke test of a deployment")
        release = self.release(entries, holder.version)
        golden = read_golden(self.context, release)
        if golden is None and holder.action == "promotion":
            raise NotEvaluatedError(
                f"{name_of(self.model, holder.version)} has no golden requests, so nobody could tell whether its "
                "deployment works",
                hint=f"Release the model again under a new version: mlbot release {self.model} --bump patch",
            )
        environment = self.config()
        return Deployment(
            context=self.context,
            holder=holder,
            held=held,
            release=release,
            golden=golden,
            environment=environment,
            target=self.context.target(environment),
            previous=serves(entries, self.environment, self.model),
            folder=self.folder,
            file=self.folder / MODEL_FILE,
            begun=_started(holder, entries),
        )

    def settle(self, seen: Seen) -> None:
        """Do what a run that was killed after its last entry left to do: the environment's tag, and its lock."""
        last = live(seen.entries, self.environment, self.model)
        if last is not None:
            tag_stage(self.context, last, self.release(seen.entries, last.version))
        if seen.held is not None and seen.holder is None and not seen.foreign:
            self.drop(seen.held)

    def has_drifted(self, entries: tuple[Entry, ...]) -> bool:
        """Whether the target serves something else than the ledger says is live.

        Raises:
            RefusedError: what the target serves is not mlbot's.
            NotEvaluatedError: the target does not answer.
        """
        said, environment = serves(entries, self.environment, self.model), self.context.environment(self.environment)
        if said is None or environment is None:
            return False
        now = self.context.target(environment).live(self.model)
        return now is None or (now.version, now.digest) != (said.version, said.digest)

    def release(self, entries: tuple[Entry, ...], version: str) -> ReleaseEntry:
        """A version's release.

        Raises:
            NotEvaluatedError: the ledger has none.
        """
        found = release_of(entries, self.model, version)
        if found is None:
            raise NotEvaluatedError(f"the ledger has no release of {name_of(self.model, version)}")
        return found

    def config(self) -> EnvironmentConfig:
        """The environment as the guarded branch has it. Raises `LookupError` where it has none."""
        found = self.context.environment(self.environment)
        if found is None:
            raise LookupError(f"{self.environment} was let through without being there")
        return found

    @property
    def lock_ref(self) -> str:
        """The lock's ref, for people who have to look at it."""
        return f"{PREFIX}{self.environment}"


def try_in_slot(context: RepositoryContext, model: str, environment: str, attempt: Callable[[Slot], _R | None]) -> _R:
    """Try again while others are faster to take the lock.

    Args:
        context: where it is recorded.
        model: its name.
        environment: its name.
        attempt: one try; None where somebody else took the lock in between.

    Returns:
        What the try came to that nobody got in between of.

    Raises:
        NotEvaluatedError: others were always faster.
    """
    with tempfile.TemporaryDirectory(prefix="mlbot-deploy-") as folder:
        slot = Slot(context=context, model=model, environment=environment, folder=Path(folder))
        for _ in range(_TRIES):
            result = attempt(slot)
            if result is not None:
                return result
    raise NotEvaluatedError(
        f"others were always faster to take {environment}",
        hint=f"See what is there: mlbot registry show {model}",
    )


def has_ended(holder: Holder, entries: tuple[Entry, ...]) -> bool:
    """Whether the ledger says how the holder's deployment ended, or that a later one did."""
    of_it = deployments(entries, holder.model, holder.environment)
    return any(each.sequence >= holder.sequence and each.state != "started" for each in of_it)


def _started(holder: Holder, entries: tuple[Entry, ...]) -> DeploymentEntry | None:
    of_it = deployments(entries, holder.model, holder.environment)
    return next((each for each in of_it if each.id == holder.id and each.state == "started"), None)
