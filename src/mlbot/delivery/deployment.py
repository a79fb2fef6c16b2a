"""What promotions and rollbacks have in common: who holds an environment, what is live, what may be gone back to."""

from collections.abc import Iterable
from typing import Annotated

from pydantic import Field, StringConstraints

from mlbot.events.github import Attempt
from mlbot.ledger.entries import Action, Actor, DeploymentEntry, Entry, Time
from mlbot.ledger.queries import deployments, live, unfinished
from mlbot.lib.canonical import canonical
from mlbot.lib.record import Digest, Name, Record
from mlbot.lib.untrusted_json import HostileJsonError, read
from mlbot.lib.version import Served, VersionText
from mlbot.registry.tag import name_of, who

_MOST_BYTES = 8192


class Holder(Record):
    """The deployment that holds an environment: what the lock's commit says, and what the ledger says of one begun."""

    id: Annotated[str, StringConstraints(max_length=200)]
    sequence: Annotated[int, Field(gt=0)]
    model: Name
    version: VersionText
    digest: Digest
    environment: Name
    action: Action
    actor: Actor
    reason: Annotated[str, StringConstraints(max_length=1000)] = ""
    run: Attempt | None = None
    time: Time

    def is_of(self, model: str, version: str, environment: str, action: Action) -> bool:
        """Whether it does just this."""
        return (self.model, self.version, self.environment, self.action) == (model, version, environment, action)

    @property
    def said(self) -> str:
        """Which deployment, by whom and since when."""
        return f"the {self.action} of {name_of(self.model, self.version)} by {who(self.actor)}, begun {self.time}"

    @property
    def command(self) -> str:
        """What finishes it."""
        if self.action == "promotion":
            return f"mlbot promote {name_of(self.model, self.version)} {self.environment}"
        return f'mlbot rollback {self.model} {self.environment} --to v{self.version} --reason "…"'

    @classmethod
    def of(cls, entry: DeploymentEntry) -> "Holder":
        """The deployment that an entry is of."""
        return cls(**{name: getattr(entry, name) for name in cls.model_fields})


class Place(Record):
    """An environment, what is live there, and what has not ended there."""

    environment: Name
    live: Served | None = None
    under_way: Holder | None = None


def deployment_id(model: str, environment: str, sequence: int) -> str:
    """The name of a deployment: the same for every run of it."""
    return f"{model}/{environment}/{sequence}"


def next_sequence(entries: Iterable[Entry], model: Name, environment: Name) -> int:
    """The number of the next deployment of a model into an environment."""
    return max((each.sequence for each in deployments(entries, model, environment)), default=0) + 1


def serves(entries: Iterable[Entry], environment: Name, model: Name) -> Served | None:
    """What the ledger says is live."""
    last = live(entries, environment, model)
    return Served(version=last.version, digest=last.digest) if last else None


def begun(entries: Iterable[Entry], environment: Name, model: Name) -> Holder | None:
    """The deployment of a model that was begun there and has not ended: the newest, should there be several."""
    open_ = unfinished(entries, environment, model)
    return Holder.of(open_[-1]) if open_ else None


def place(entries: Iterable[Entry], environment: Name, model: Name) -> Place:
    """What an environment is like for a model."""
    known = tuple(entries)
    return Place(
        environment=environment, live=serves(known, environment, model), under_way=begun(known, environment, model)
    )


def good_versions(entries: Iterable[Entry], environment: Name, model: Name) -> tuple[Served, ...]:
    """The versions to go back to, the live one last.

    Every promotion that succeeded comes on top; a rollback takes off what it went away from. So a rollback after a
    rollback goes further back, and never to the version that the first one left.
    """
    stack: list[Served] = []
    for entry in deployments(entries, model, environment):
        if entry.state == "succeeded":
            _apply(stack, Served(version=entry.version, digest=entry.digest), entry.action)
    return tuple(stack)


def _apply(stack: list[Served], now: Served, action: Action) -> None:
    if action == "rollback" and now in stack:
        del stack[len(stack) - stack[::-1].index(now) :]
    elif not stack or stack[-1] != now:
        stack.append(now)


def lock_text(holder: Holder) -> str:
    """What the lock's commit says: canonical JSON on one line."""
    return canonical(holder.model_dump(mode="json"))


def read_lock(text: str) -> Holder | None:
    """The holder that a lock's commit names; None where it says something else."""
    try:
        return read(text.encode("utf-8", "replace"), Holder, "the lock", most_bytes=_MOST_BYTES)
    except HostileJsonError:
        return None
