"""The verdict: all gates' outcomes on a commit, bound to the bytes that were judged."""

from typing import Annotated, Literal

from pydantic import Field

from mlbot.gates.gate import Gate
from mlbot.gates.outcome import Outcome, Reason
from mlbot.ledger.entries import WaiverEntry
from mlbot.lib.record import Count, Digest, Name, Record, Sha
from mlbot.verdict.evidence import Problem


class Waived(Record):
    """A gate that a person answered for, and what it came to without their word."""

    waiver: WaiverEntry
    """Who, why, since when, and for which content and rules."""
    outcome: Outcome
    reason: Reason


Former = Annotated[str, Field(exclude=True)]
"""A problem's sentence in version 1 of the report: read, not written."""


class GateResult(Record):
    """What a gate came to on this candidate."""

    gate: Gate
    outcome: Outcome
    reason: Reason
    value: float | None = None
    """The figure that was judged: the shipped file's metric, or the recipe's change."""
    baseline: float | None = None
    problem: Problem | None = None
    """Why it could not be evaluated, or why there is nothing to compare with."""
    detail: Former = ""
    counts: bool = True
    """False for a gate that only warns and for a slice with too few rows: shown, and nothing rests on it."""
    judgeable: bool = True
    """False when the margin is too small for this holdout and these seeds, whatever the model."""
    waived: Waived | None = None
    """Set exactly when the reason is `waived`."""

    @property
    def why(self) -> Problem | None:
        """Its problem, also as version 1 of the report wrote it."""
        return self.problem or (Problem.of(self.reason, detail=self.detail) if self.detail else None)

    @property
    def standing(self) -> str:
        """What people are told it comes to: its outcome, or `waived`, which must not look like a pass."""
        return Reason.WAIVED if self.waived else self.outcome


class Commits(Record):
    """The three commits a verdict stands on."""

    head: Sha
    """What the candidate is trained from."""
    base: Sha | None
    """Merge base of head and the guarded branch; the baseline is trained from it."""
    policy: Sha | None
    """Tip of the guarded branch: config, gates, holdout and metric code come from it. None when it has no config."""
    guarded: str
    """The guarded branch's name."""
    behind: Count = 0
    """Commits that policy is ahead of base."""
    uncommitted: tuple[str, ...] = ()
    """Changed files of the working tree that head includes although nobody committed them (locally only)."""


class ModelVerdict(Record):
    """All gates' outcomes for one model."""

    model: Name
    outcome: Outcome
    reason: Reason
    problem: Problem | None = None
    """Why the model, or the gate that decides, could not be evaluated."""
    detail: Former = ""
    gates: tuple[GateResult, ...] = ()
    key: Digest | None = None
    """The candidate's content key."""
    digest: Digest | None = None
    """sha256 of the ONNX file that was judged and may ship."""
    provisional: bool = False
    """Judged by its own gates from head, because the guarded branch has no such model yet."""
    waived: Waived | None = None
    """For a model that head removes: who let it go."""

    @property
    def why(self) -> Problem | None:
        """Its problem, also as version 1 of the report wrote it."""
        return self.problem or (Problem.of(self.reason, detail=self.detail) if self.detail else None)

    @property
    def standing(self) -> str:
        """What people are told it comes to: its outcome, or `waived`, which must not look like a pass."""
        return Reason.WAIVED if self.reason is Reason.WAIVED else self.outcome

    @property
    def waivers(self) -> tuple[WaiverEntry, ...]:
        """The waivers that this rests on, in the order of the gates."""
        every = (*(gate.waived for gate in self.gates), self.waived)
        return tuple(each.waiver for each in every if each is not None)


class Verdict(Record):
    """What a commit comes to."""

    schema_version: Literal["mlbot/verdict@1"] = "mlbot/verdict@1"
    commits: Commits
    outcome: Outcome
    reason: Reason
    models: tuple[ModelVerdict, ...]

    @property
    def standing(self) -> str:
        """What people are told it comes to: its outcome, or `waived`, which must not look like a pass."""
        return Reason.WAIVED if self.reason is Reason.WAIVED else self.outcome

    @property
    def waivers(self) -> tuple[WaiverEntry, ...]:
        """The waivers that this rests on."""
        return tuple(waiver for model in self.models for waiver in model.waivers)
