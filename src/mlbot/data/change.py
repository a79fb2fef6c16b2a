"""The data of a model before and after a change: which files are compared, and as what they are read."""

from mlbot.config.data import Data
from mlbot.data.findings import Part, Why
from mlbot.gates.metric import Task
from mlbot.lib.record import Digest, Name, Record


class Versions(Record):
    """A file as the guarded branch has it, and as the merged tree has it."""

    part: Part
    name: str
    before: str | None  # where it is; None where there is none, or none that is needed
    after: str
    changed: bool = True
    profiled: Digest | None = None  # its digest, where the ledger is to have a profile of it


class Change(Record):
    """The data of one model, before and after."""

    model: Name
    task: Task
    data: Data
    train: Versions | None = None
    holdout: Versions | None = None
    hidden: bool = False  # whether only the judge can read the holdout: then no row says that it is in it
    notes: tuple[Why, ...] = ()

    @property
    def paths(self) -> tuple[str, ...]:
        """Where its files are."""
        parts = [each for each in (self.train, self.holdout) if each is not None]
        return tuple(path for each in parts for path in (each.before, each.after) if path is not None)
