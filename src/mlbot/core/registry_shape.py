"""What `mlbot registry` answers, for tables and as JSON. A field may join; none is renamed or taken away."""

from typing import Literal

from mlbot.core.ledger_records import Action, Time
from mlbot.core.record import Count, Digest, Record, Sha
from mlbot.core.registry_tags import Quarantined

Source = Literal["ledger", "tag"]


class Standing(Record):
    """What is in an environment."""

    model: str
    environment: str
    version: str | None
    """With its `v`; None where a tag's commit has no version."""
    digest: Digest | None = None
    commit: Sha | None = None
    """Where only a tag says so."""
    since: Time | None = None
    actor: str | None = None
    reason: str = ""
    action: Action | None = None
    sequence: int
    """The deployment's counter, or the tag's."""
    source: Source


class VersionView(Record):
    """A version."""

    schema_version: Literal["mlbot/version@1"] = "mlbot/version@1"
    model: str
    version: str
    commit: Sha
    digest: Digest | None = None
    tag: str | None = None
    """None where it is not in this clone."""
    released: Time | None = None
    """None for a tag that was not released by mlbot."""
    actor: str | None = None
    withdrawn: str | None = None
    """The tag that took it back."""
    live: tuple[str, ...] = ()
    """The environments it is in."""
    source: Source


class Closed(Record):
    """A locked environment."""

    environment: str
    actor: str
    reason: str
    since: Time


class Unfinished(Record):
    """A deployment that did not say how it ended."""

    model: str
    environment: str
    version: str
    action: Action
    actor: str
    since: Time
    sequence: int


class ModelView(Record):
    """A model."""

    model: str
    latest: str | None = None
    """The highest version that is not withdrawn."""
    deprecated: str | None = None
    """The tag that says so."""
    versions: Count
    """How many there are, withdrawn ones included."""
    environments: tuple[Standing, ...] = ()


class ModelDetail(Record):
    """A model with all of its versions."""

    schema_version: Literal["mlbot/model@1"] = "mlbot/model@1"
    model: str
    latest: str | None = None
    deprecated: str | None = None
    environments: tuple[Standing, ...] = ()
    versions: tuple[VersionView, ...] = ()
    """Oldest first."""
    locks: tuple[Closed, ...] = ()
    """Of all environments."""
    unfinished: tuple[Unfinished, ...] = ()
    notes: tuple[str, ...] = ()
    quarantined: tuple[Quarantined, ...] = ()
    problems: tuple[str, ...] = ()


class RegistryView(Record):
    """All models."""

    schema_version: Literal["mlbot/registry@1"] = "mlbot/registry@1"
    environments: tuple[str, ...] = ()
    """In the order in which something first came into them."""
    models: tuple[ModelView, ...] = ()
    locks: tuple[Closed, ...] = ()
    unfinished: tuple[Unfinished, ...] = ()
    notes: tuple[str, ...] = ()
    """Where tags and ledger disagree."""
    quarantined: tuple[Quarantined, ...] = ()
    """Tags that are not believed."""
    problems: tuple[str, ...] = ()
    """Files of the ledger that are not believed."""

    def model(self, name: str) -> ModelView | None:
        """A model by its name."""
        return next((each for each in self.models if each.model == name), None)
