"""Doing what was decided: operations in their order, each so that doing it twice is the same as once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from mlbot.core.ledger import Entry
from mlbot.core.operation import (
    Annotate,
    AppendLedger,
    CancelRun,
    Dispatch,
    Operation,
    PushCharts,
    React,
    Rerun,
    Say,
    SetStatus,
    UpsertComment,
    WriteSummary,
    describe,
)
from mlbot.core.record import Sha
from mlbot.errors import MlbotError, RefusedError
from mlbot.github.actions_io import Runner
from mlbot.github.api import GitHub
from mlbot.github.comments import upsert
from mlbot.github.effects import effect
from mlbot.github.statuses import set_status

Append = Callable[[Sequence[Entry]], object]
"""Adds entries to the ledger."""
Push = Callable[[Mapping[str, bytes]], Sha]
"""Adds pictures; the commit that holds them."""


@dataclass(kw_only=True)
class Published:
    """What became of the operations.

    Attributes:
        done: what became of each comment and status: created, edited, unchanged, newer-written...
        refused: what the token or a rule forbade.
        failed: what GitHub did not do.
        charts: the commit that holds the pictures, when there were any.
    """

    done: list[tuple[str, str]] = field(default_factory=list)
    refused: list[MlbotError] = field(default_factory=list)
    failed: list[MlbotError] = field(default_factory=list)
    charts: Sha | None = None

    def raise_failures(self) -> None:
        """Raise the first failure; what was refused is no failure: it is said, and the summary has the report."""
        if self.failed:
            raise self.failed[0]


@dataclass(kw_only=True)
class Executor:
    """Applies operations.

    Attributes:
        github: the API.
        runner: the job's summary, annotations and log.
        append: the ledger.
        push: the charts.
    """

    github: GitHub
    runner: Runner
    append: Append
    push: Push

    def apply(self, operations: Sequence[Operation]) -> Published:
        """Do all operations, one failure stopping no other: a comment that cannot be written leaves a status to set."""
        published = Published()
        self.runner.annotate([each for each in operations if isinstance(each, Annotate)])
        for operation in operations:
            try:
                self._apply(operation, published)
            except RefusedError as error:
                published.refused.append(error)
            except MlbotError as error:
                published.failed.append(error)
                self.runner.say(f"Could not {describe(operation)}: {error.what}")
        if published.refused:
            self.runner.say(_refused(published.refused))
        return published

    def do(self, operation: Operation) -> str:
        """Do one operation on GitHub that another depends on.

        Returns:
            What became of it.

        Raises:
            MlbotError: GitHub did not do it.
        """
        published = Published()
        self._apply(operation, published)
        return published.done[-1][1] if published.done else "done"

    def _apply(self, operation: Operation, published: Published) -> None:
        match operation:
            case Rerun() | CancelRun() | Dispatch() | React():
                published.done.append((operation.kind, effect(self.github, operation)))
            case UpsertComment():
                published.done.append(("comment", upsert(self.github, operation)))
            case SetStatus():
                published.done.append(("status", set_status(self.github, operation)))
            case AppendLedger():
                self.append(operation.entries)
                published.done.append(("ledger", "appended"))
            case PushCharts():
                published.charts = self.push({path: svg.encode() for path, svg in operation.files.items()})
            case WriteSummary():
                self.runner.add_summary(operation.text)
            case Say():
                self.runner.say(operation.sentence)
            case Annotate():
                pass  # shown together, for the runner counts them


def dry_run(operations: Sequence[Operation], say: Callable[[str], None]) -> None:
    """Say what would be done."""
    for operation in operations:
        say(f"would {describe(operation)}")


def _refused(errors: Sequence[MlbotError]) -> str:
    """One sentence for all of them: they have one cause."""
    first = errors[0]
    where = f" ({first.where})" if first.where else ""
    return f"The report is in the job summary only, for {first.what}{where}. {first.mend}"
