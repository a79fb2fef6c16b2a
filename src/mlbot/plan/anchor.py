"""The anchor: the earlier model that a gate holds candidates up against besides the baseline.

A row of changes that each lose less than a margin shows nothing against the model before. So every `max_regression`
also asks an earlier model. It moves only to a model that is better beyond noise, that was released, or whose loss a
person answered for, and to the baseline where two trainings cannot bring it back; never because something was merged.
Each gate has one of its own, for a model that is better in one metric is none that another may be let down from.

What moves an anchor is recorded with the verdict on the guarded branch's own commit; which one holds follows from all
of these records along the branch, and from the releases. So judges that end in another order, and verdicts that are
written twice, come to the same anchor.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from mlbot.config.schema import Model
from mlbot.events.github import Attempt
from mlbot.gates.metric import Bound
from mlbot.ledger.entries import AnchorAsked, AnchorModel, ReleaseEntry, Since, VerdictEntry
from mlbot.ledger.queries import final_releases
from mlbot.lib.record import Digest, Name
from mlbot.plan.comparison_point import BranchHistory


@dataclass(frozen=True, kw_only=True, slots=True)
class Anchor:
    """A model that is the anchor of some gates."""

    entry: VerdictEntry
    files: VerdictEntry  # the verdict that says where its files are
    since: Since
    gates: tuple[str, ...]  # their subjects
    version: str | None = None  # it was released as

    @property
    def model(self) -> AnchorModel:
        """What the report says of it."""
        entry = self.entry
        return AnchorModel(
            since=self.since,
            version=self.version,
            commit=entry.commit,
            key=entry.key,
            digest=entry.digest,
            judged=entry.time,
        )


def anchored_gates(model: Model) -> tuple[str, ...]:
    """The subjects of a model's gates that have an anchor."""
    return tuple(each.subject for each in model.gates if model.anchor and each.bound is Bound.MAX_REGRESSION)


def anchors_of(
    history: BranchHistory,
    model: Name,
    gates: Iterable[str],
    known: Iterable[ReleaseEntry] = (),
) -> tuple[Anchor, ...]:
    """The anchors of a model's gates, each model once; none where the branch has no usable model."""
    past = history.usable_of(model)
    first = history.last_usable(model)
    versions = dict[tuple[Digest, Digest | None], str]()
    for each in final_releases(known, model):
        versions[each.key, each.digest] = each.version
    found: dict[tuple[Digest, Since], list[str]] = {}
    entries: dict[Digest, VerdictEntry] = {}
    for gate in gates:
        entry, since = _held(gate, past, versions) or (first, Since.FIRST)
        if entry is not None:
            found.setdefault((entry.key, since), []).append(gate)
            entries.setdefault(entry.key, entry)
    return tuple(
        Anchor(
            entry=entries[key],
            files=_newest(entries[key], history),
            since=since,
            gates=tuple(of),
            version=versions.get((key, entries[key].digest)),
        )
        for (key, since), of in found.items()
    )


@dataclass(frozen=True, slots=True)
class _Held:
    """A gate's anchor after some verdicts."""

    entry: VerdictEntry
    since: Since
    before: Digest | None = None
    """The key of the anchor that a release took the place of: verdicts from before that release asked this one."""
    missed: Attempt | None = None
    """The training beside which it could not be had or asked."""
    instead: "_Held | None" = None
    """What takes its place if another training cannot bring it back either: one may have failed by its network."""


def _held(
    gate: str, past: Sequence[VerdictEntry], versions: Mapping[tuple[Digest, Digest | None], str]
) -> tuple[VerdictEntry, Since] | None:
    held: _Held | None = None
    seen: dict[Digest, VerdictEntry] = {}
    for entry in past:
        seen[entry.key] = entry
        if entry.provisional:  # it may be asked, and asks none: its rules were nobody's yet
            continue
        asked = next((each for each in entry.anchors or () if each.gate == gate), None)
        if asked is not None:
            # Of one that the ledger lost the oldest takes the place: a candidate is no anchor of its own.
            oldest = next(iter(seen.values()))
            held = _after(held or _Held(seen.get(asked.key, oldest), Since.FIRST), asked, entry, seen)
        # A release is the anchor of what was gated before it: of a gate that is newer nobody knows what it may lose.
        if held is not None and (entry.key, entry.digest) in versions and held.entry.key != entry.key:
            held = _Held(entry, Since.RELEASED, held.entry.key)
    return None if held is None else (held.entry, held.since)


def _after(held: _Held, asked: AnchorAsked, entry: VerdictEntry, seen: Mapping[Digest, VerdictEntry]) -> _Held:
    """The anchor after a verdict. What asked another one says nothing of this one, and does not move it."""
    if asked.lost == held.entry.key and asked.key in seen:
        instead = _moved(held.instead or _Held(seen[asked.key], Since.LOST), asked, entry)
        again = held.missed is not None and held.missed != entry.attempt
        return instead if again else replace(held, missed=entry.attempt, instead=instead)
    if asked.key == held.entry.key:
        held = replace(held, missed=None, instead=None)
    return _moved(held, asked, entry)


def _moved(held: _Held, asked: AnchorAsked, entry: VerdictEntry) -> _Held:
    if asked.moved is None or asked.key not in {held.entry.key, held.before}:
        return held
    return _Held(entry, asked.moved)


def _newest(entry: VerdictEntry, history: BranchHistory) -> VerdictEntry:
    """The newest verdict on the same files, whose artifact is the youngest; by newer rules they may have failed."""
    newest = history.latest.get((entry.model, entry.key), entry)
    return newest if [each.digest for each in newest.files] == [each.digest for each in entry.files] else entry
