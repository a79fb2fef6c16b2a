"""May these bytes be given this version? A pure decision over recorded facts; its words are in `release/release.j2`."""

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Literal

from mlbot.config.errors import nearest
from mlbot.delivery.sealed import SealedFacts
from mlbot.events.github import RefName
from mlbot.gates.outcome import Outcome
from mlbot.ledger.entries import ReleaseEntry, SealedState, VerdictEntry
from mlbot.lib.record import Decision, Digest, Name, Record, Sha, decide
from mlbot.lib.version import Stored


class ReleaseReason(StrEnum):
    """Why a release goes ahead or does not. A closed list."""

    RELEASABLE = "releasable"
    ALREADY_RELEASED = "already-released"
    """The version exists with the same digest: nothing is done, and that is no failure."""
    UNKNOWN_MODEL = "unknown-model"
    TAG_MOVED = "tag-moved"
    TAG_ELSEWHERE = "tag-elsewhere"
    NOT_MERGED = "not-merged"
    NO_VERDICT = "no-verdict"
    VERDICT_OF_PARENT = "verdict-of-parent"
    """The commit before was judged, but what this commit trains is another model."""
    VERDICT_FAILED = "verdict-failed"
    VERDICT_INCONCLUSIVE = "verdict-inconclusive"
    VERDICT_ERROR = "verdict-error"
    NEWER_ATTEMPT = "newer-attempt"  # it passed once, but the latest attempt on the same inputs did not
    VERSION_TAKEN = "version-taken"
    BYTES_MISSING = "bytes-missing"
    BYTES_DIFFER = "bytes-differ"
    SEALED_NO_GATES = "sealed-no-gates"  # nothing can be asked of the sealed rows
    SEALED_NOT_SHOWN = "sealed-not-shown"
    SEALED_SPENT = "sealed-spent"
    SEALED_VOID = "sealed-void"  # they could not be read, so nothing was looked at
    SEALED_SILENT = "sealed-silent"  # they were asked, and there is no answer


class TagFacts(Record):
    """The version's tag as the repository has it now."""

    name: str
    object_sha: Sha  # of the tag object; of the commit itself where the tag is lightweight
    commit: Sha | None  # what it points to when peeled; None where that is no commit
    annotated: bool
    by_mlbot: bool = False  # whether mlbot made it, so that the ledger had the release once


class ReleaseFacts(Record):
    """All that a release is decided from."""

    model: Name
    version: str  # as `1.2.0`
    commit: Sha
    branch: RefName  # the guarded branch
    models: tuple[Name, ...] = ()  # all that the guarded branch's config has
    configured: bool = True  # whether the commit's mlbot.yaml has the model
    merged: bool  # whether the commit is on the guarded branch
    tag: TagFacts | None = None
    released: ReleaseEntry | None = None  # the version, where it exists
    verdicts: tuple[VerdictEntry, ...] = ()  # all on this content key on the guarded branch
    parent_judged: bool = False  # whether the ledger has a verdict on the model as the commit's parent has it
    inconclusive: Literal["warn", "block"] = "block"  # the config's `inconclusive.promotion`
    stored: Stored | None = None  # None before the store was asked, so that a plan can be shown first
    sealed: SealedFacts | None = None  # None: the guarded branch's config has no sealed rows

    @property
    def near(self) -> str:
        """The model that was probably meant; empty where none is near."""
        return nearest(self.model, self.models) or ""

    @property
    def verdict(self) -> VerdictEntry | None:
        """The verdict that decides: the latest; of several that nothing orders, the one that says no."""
        return latest(self.verdicts)

    @property
    def asks(self) -> bool:
        """Whether sealed rows are asked, or were."""
        return self.sealed is not None and self.sealed.is_asked(self.judged)

    @property
    def judged(self) -> Digest | None:
        """The bytes that the verdict is about."""
        return self.verdict.digest if self.verdict else None


ReleaseDecision = Decision[ReleaseReason]


class Unwatched(StrEnum):
    """Why a version has no reference, so that nothing in production can be compared with one. A closed list."""

    OFF = "off"  # the config does not want it
    HIDDEN = "hidden"  # only the judge can read the holdout, and the config does not ask for it
    NO_ROWS = "no-rows"  # an evaluator has the items
    OLDER = "older"  # the verdict has none: an earlier mlbot made it, or the rows could not be counted


class ReleaseResult(Record):
    """What came of a release."""

    facts: ReleaseFacts
    decision: ReleaseDecision
    tag: str
    dry_run: bool = False
    entry: ReleaseEntry | None = None  # the ledger's entry; None where nothing is released
    restored: tuple[str, ...] = ()  # tags that were deleted and are there again, or would be
    unwatched: Unwatched | None = None  # why it has no reference; None: it has one, or is not released


_NOT_PASSED = {
    Outcome.FAIL: ReleaseReason.VERDICT_FAILED,
    Outcome.INCONCLUSIVE: ReleaseReason.VERDICT_INCONCLUSIVE,
    Outcome.ERROR: ReleaseReason.VERDICT_ERROR,
    Outcome.PASS: ReleaseReason.RELEASABLE,
}


_NOT_SHOWN: Mapping[SealedState, ReleaseReason] = {
    "not-shown": ReleaseReason.SEALED_NOT_SHOWN,
    "spent": ReleaseReason.SEALED_SPENT,
    "void": ReleaseReason.SEALED_VOID,
    "asked": ReleaseReason.SEALED_SILENT,
}


UNASKED = frozenset({ReleaseReason.SEALED_VOID})
"""Why a release is not decided, which is no refusal of it: what it is asked on could not be had."""


def latest(verdicts: Sequence[VerdictEntry]) -> VerdictEntry | None:
    """The latest verdict by GitHub's own counting; of several with the same count, the one that says no."""
    return max(verdicts, key=lambda each: (each.order, each.outcome is not Outcome.PASS), default=None)


def decide_release(facts: ReleaseFacts) -> ReleaseDecision:
    """Whether a model's bytes may be given a version; without `stored` the bytes are not looked at yet."""
    done = (ReleaseReason.ALREADY_RELEASED,)
    return decide(ReleaseDecision, _checks(facts), ReleaseReason.RELEASABLE, done)


def _checks(facts: ReleaseFacts) -> Iterator[tuple[ReleaseReason, bool]]:
    tag, released, verdict = facts.tag, facts.released, facts.verdict
    yield ReleaseReason.UNKNOWN_MODEL, not facts.configured
    if tag is not None:
        yield ReleaseReason.TAG_MOVED, released is not None and tag.commit != released.commit
    if released is not None:
        yield ReleaseReason.ALREADY_RELEASED, _is_same(facts, released)
        yield ReleaseReason.VERSION_TAKEN, True
    yield ReleaseReason.TAG_ELSEWHERE, tag is not None and tag.commit != facts.commit
    yield ReleaseReason.NOT_MERGED, not facts.merged
    if verdict is None:
        yield ReleaseReason.VERDICT_OF_PARENT, facts.parent_judged
        yield ReleaseReason.NO_VERDICT, True
    elif not _passes(facts, verdict):
        yield ReleaseReason.NEWER_ATTEMPT, any(each.outcome is Outcome.PASS for each in facts.verdicts)
        yield _NOT_PASSED[verdict.outcome], True
    yield ReleaseReason.BYTES_DIFFER, facts.stored is Stored.DIFFERS
    yield ReleaseReason.BYTES_MISSING, facts.judged is None or facts.stored is Stored.MISSING
    if facts.sealed is not None and facts.asks:
        yield ReleaseReason.SEALED_NO_GATES, facts.sealed.gates == 0
        for state, reason in _NOT_SHOWN.items():
            yield reason, facts.sealed.state == state


def _is_same(facts: ReleaseFacts, released: ReleaseEntry) -> bool:
    """Whether what is to be released is what the version is already."""
    return facts.judged == released.digest or (facts.judged is None and released.commit == facts.commit)


def _passes(facts: ReleaseFacts, verdict: VerdictEntry) -> bool:
    lets_through = facts.inconclusive == "warn" and verdict.digest is not None
    return verdict.outcome is Outcome.PASS or (verdict.outcome is Outcome.INCONCLUSIVE and lets_through)
