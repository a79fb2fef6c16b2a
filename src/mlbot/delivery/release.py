"""May these bytes be given this version? A pure decision over recorded facts, with a closed list of reasons."""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Literal

from mlbot.events.github import RefName
from mlbot.gates.outcome import Outcome, Reason
from mlbot.ledger.entries import VerdictEntry
from mlbot.lib.record import Digest, Name, Record, Sha
from mlbot.registry.tag import name_of, shorten
from mlbot.registry.versions import Stored


class ReleaseReason(StrEnum):
    """Why a release goes ahead or does not. A closed list."""

    RELEASABLE = "releasable"
    ALREADY_RELEASED = "already-released"
    """The version exists with the same digest: nothing is done, and that is no failure."""
    UNKNOWN_MODEL = "unknown-model"
    TAG_LIGHTWEIGHT = "tag-lightweight"
    TAG_MOVED = "tag-moved"
    TAG_ELSEWHERE = "tag-elsewhere"
    NOT_MERGED = "not-merged"
    NO_VERDICT = "no-verdict"
    VERDICT_OF_PARENT = "verdict-of-parent"
    """The commit before was judged, but what this commit trains is another model."""
    VERDICT_FAILED = "verdict-failed"
    VERDICT_INCONCLUSIVE = "verdict-inconclusive"
    VERDICT_ERROR = "verdict-error"
    NEWER_ATTEMPT = "newer-attempt"
    """It passed once, but the latest attempt on the same inputs did not."""
    VERSION_TAKEN = "version-taken"
    BYTES_MISSING = "bytes-missing"
    BYTES_DIFFER = "bytes-differ"


class TagFacts(Record):
    """The version's tag as the repository has it now."""

    name: str
    object_sha: Sha
    """Of the tag object; of the commit itself where the tag is lightweight."""
    commit: Sha | None
    """What it points to when peeled; None where that is no commit."""
    annotated: bool


class Released(Record):
    """What the ledger says of a version that exists."""

    version: str
    digest: Digest
    commit: Sha
    tag_object: Sha | None = None


class ReleaseFacts(Record):
    """All that a release is decided from."""

    model: Name
    version: str
    """As `1.2.0`."""
    commit: Sha
    branch: RefName
    """The guarded branch."""
    configured: bool = True
    """Whether the commit's mlbot.yaml has the model."""
    merged: bool
    """Whether the commit is on the guarded branch."""
    tag: TagFacts | None = None
    released: Released | None = None
    verdicts: tuple[VerdictEntry, ...] = ()
    """All on this content key on the guarded branch."""
    parent_judged: bool = False
    """Whether the ledger has a verdict on the model as the commit's parent has it."""
    inconclusive: Literal["warn", "block"] = "block"
    """The config's `inconclusive.promotion`."""
    stored: Stored | None = None
    """None before the store was asked, so that a plan can be shown first."""

    @property
    def verdict(self) -> VerdictEntry | None:
        """The verdict that decides: the latest; of several that nothing orders, the one that says no."""
        return latest(self.verdicts)


class ReleaseDecision(Record):
    """Whether to release, and why."""

    reason: ReleaseReason
    sentence: str
    hint: str = ""
    """What to do about a refusal."""

    @property
    def go(self) -> bool:
        """Whether the version is to be made."""
        return self.reason is ReleaseReason.RELEASABLE

    @property
    def refused(self) -> bool:
        """Whether it was refused; a version that exists already is no refusal."""
        return self.reason not in {ReleaseReason.RELEASABLE, ReleaseReason.ALREADY_RELEASED}


def latest(verdicts: Sequence[VerdictEntry]) -> VerdictEntry | None:
    """The latest verdict by GitHub's own counting; of several with the same count, the one that says no."""
    return max(verdicts, key=lambda each: (each.order, each.outcome is not Outcome.PASS), default=None)


def decide_release(facts: ReleaseFacts) -> ReleaseDecision:
    """Whether a model's bytes may be given a version: the first check that does not hold decides.

    Args:
        facts: as they were read; without `stored` the bytes are not looked at yet.
    """
    refused = next((decision for decision in _checks(facts) if decision is not None), None)
    return refused or _decision(ReleaseReason.RELEASABLE, f"{_name(facts)} may be released.")


def _checks(facts: ReleaseFacts) -> Iterator[ReleaseDecision | None]:
    yield _known(facts)
    yield _tag(facts)
    yield _exists(facts)
    yield _elsewhere(facts)
    yield _merged(facts)
    yield _verdict(facts)
    yield _bytes(facts)


def _known(facts: ReleaseFacts) -> ReleaseDecision | None:
    if facts.configured:
        return None
    return _decision(
        ReleaseReason.UNKNOWN_MODEL,
        f"mlbot.yaml of {facts.commit[:10]} has no model {facts.model}.",
        "Correct the name, or release a commit whose mlbot.yaml has it.",
    )


def _tag(facts: ReleaseFacts) -> ReleaseDecision | None:
    tag, released = facts.tag, facts.released
    if tag is None:
        return None
    if released and released.tag_object and released.tag_object != tag.object_sha:
        return _decision(
            ReleaseReason.TAG_MOVED,
            f"The tag {tag.name} was moved: the ledger knows it as {released.tag_object[:10]}, and it is now "
            f"{tag.object_sha[:10]}.",
            f"Put it back (git push --force origin {released.tag_object}:refs/tags/{tag.name}), and release what is "
            "new under a new version.",
        )
    if not tag.annotated:
        return _decision(
            ReleaseReason.TAG_LIGHTWEIGHT,
            f"The tag {tag.name} is lightweight, so it says neither who made it nor when.",
            f"Delete it, and let mlbot make an annotated one: mlbot release {facts.model} --version {facts.version}",
        )
    return None


def _elsewhere(facts: ReleaseFacts) -> ReleaseDecision | None:
    tag = facts.tag
    if tag is None or tag.commit == facts.commit:
        return None
    where = tag.commit[:10] if tag.commit else "something that is no commit"
    return _decision(
        ReleaseReason.TAG_ELSEWHERE,
        f"The tag {tag.name} points to {where}, not to {facts.commit[:10]}.",
        "Release that commit, or choose another version.",
    )


def _merged(facts: ReleaseFacts) -> ReleaseDecision | None:
    if facts.merged:
        return None
    return _decision(
        ReleaseReason.NOT_MERGED,
        f"The commit {facts.commit[:10]} is not on {facts.branch}.",
        f"Merge it first; bytes of a pull request are never released. Then release a commit of {facts.branch}.",
    )


def _exists(facts: ReleaseFacts) -> ReleaseDecision | None:
    released = facts.released
    if released is None:
        return None
    judged = facts.verdict.digest if facts.verdict else None
    if judged == released.digest or (judged is None and released.commit == facts.commit):
        return _decision(ReleaseReason.ALREADY_RELEASED, f"{_name(facts)} is released already, with the same bytes.")
    return _decision(
        ReleaseReason.VERSION_TAKEN,
        f"{_name(facts)} exists with other bytes ({shorten(released.digest)}, from {released.commit[:10]}).",
        "A version never changes: choose another one.",
    )


_NOT_PASSED = {
    Outcome.FAIL: (ReleaseReason.VERDICT_FAILED, "a gate failed"),
    Outcome.INCONCLUSIVE: (ReleaseReason.VERDICT_INCONCLUSIVE, "the data cannot tell"),
    Outcome.ERROR: (ReleaseReason.VERDICT_ERROR, "it could not be evaluated"),
}


def _verdict(facts: ReleaseFacts) -> ReleaseDecision | None:
    verdict = facts.verdict
    if verdict is None:
        return _unjudged(facts)
    if verdict.outcome is Outcome.PASS or (
        verdict.outcome is Outcome.INCONCLUSIVE and facts.inconclusive == "warn" and verdict.digest
    ):
        return None
    reason, said = _NOT_PASSED[verdict.outcome]
    if any(each.outcome is Outcome.PASS for each in facts.verdicts):
        return _decision(
            ReleaseReason.NEWER_ATTEMPT,
            f"{facts.model} of {facts.commit[:10]} passed once, but the latest attempt ({verdict.attempt}) did not: "
            f"{said} ({verdict.reason}).",
            "The latest attempt decides. Find out why it differs, fix that, and merge the fix.",
        )
    return _decision(
        reason,
        f"The verdict on {facts.model} of {facts.commit[:10]} is {verdict.outcome}: {said} ({verdict.reason}).",
        _FIRST if verdict.reason is Reason.NO_BASELINE else _HINTS[verdict.outcome],
    )


_FIRST = (
    "The first model of a repository has nothing to be compared with. Merge a change of it and release that, or set "
    "`inconclusive: {promotion: warn}` in mlbot.yaml to let such a model be released."
)

_HINTS = {
    Outcome.FAIL: "Merge a change that keeps the gates, and release that.",
    Outcome.INCONCLUSIVE: "Add rows or seeds until the data can tell, or set `inconclusive: {promotion: warn}` in "
    "mlbot.yaml to let such a model be released.",
    Outcome.ERROR: "Run the training of that commit again; its log says what went wrong.",
}


def _unjudged(facts: ReleaseFacts) -> ReleaseDecision:
    hint = f"Wait for the verdict of {facts.branch}, or make it here: mlbot run --record"
    if facts.parent_judged:
        return _decision(
            ReleaseReason.VERDICT_OF_PARENT,
            f"Only the commit before {facts.commit[:10]} was judged; what {facts.commit[:10]} trains is another model.",
            hint,
        )
    return _decision(
        ReleaseReason.NO_VERDICT,
        f"The ledger has no verdict on {facts.model} as {facts.commit[:10]} has it.",
        hint,
    )


def _bytes(facts: ReleaseFacts) -> ReleaseDecision | None:
    judged = facts.verdict.digest if facts.verdict else None
    if facts.stored is Stored.DIFFERS:
        return _decision(
            ReleaseReason.BYTES_DIFFER,
            f"What the store has under {shorten(judged)} is not what was judged: its bytes have another sha256.",
            "Somebody changed the store. Find out who, delete that file, and judge and store the commit again.",
        )
    if judged is None or facts.stored is Stored.MISSING:
        return _decision(
            ReleaseReason.BYTES_MISSING,
            f"The store does not have the judged bytes of {facts.model} ({shorten(judged)}).",
            f"Judge and store {facts.branch} again: mlbot run --record, or run its workflow again.",
        )
    return None


def _decision(reason: ReleaseReason, sentence: str, hint: str = "") -> ReleaseDecision:
    return ReleaseDecision(reason=reason, sentence=sentence, hint=hint)


def _name(facts: ReleaseFacts) -> str:
    return name_of(facts.model, facts.version)
