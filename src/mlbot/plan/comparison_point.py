"""The point of comparison: which model of the guarded branch a candidate is compared with.

Neither the author, nor a fault, nor the shape of the history chooses it. A change is merged into the tip of the guarded
branch, and compared with the model that the branch has: the newest usable one on the branch's own commits. A model that
failed, or that nobody has judged, does not lower the bar.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from mlbot.gates.outcome import Outcome, Reason
from mlbot.ledger.entries import Compared, SeedCount, Source, VerdictEntry
from mlbot.ledger.queries import USABLE, verdicts
from mlbot.lib.record import Digest, Name, Record, Sha
from mlbot.plan.plan import Plan, PlannedModel, StaleCode
from mlbot.verdict.seeds import Determinism, determinism
from mlbot.verdict.verdict import Problem


class Point(Record):
    """What a candidate is compared with."""

    source: Source
    entry: VerdictEntry | None = None  # a judged model of the branch
    train: Sha | None = None  # a commit of the branch to train; with an entry the worse comparison counts

    @property
    def compared(self) -> Compared:
        """What the report and the ledger say of it."""
        entry = self.entry
        if entry is None:
            return Compared(source=self.source, commit=self.train)
        return Compared(source=self.source, commit=entry.commit, key=entry.key, digest=entry.digest, judged=entry.time)

    @property
    def problem(self) -> Problem | None:
        """Why there is nothing to compare with."""
        match self.source:
            case Source.NEW:
                return Problem.of(Reason.NEW_MODEL)
            case Source.NEVER:
                return Problem.of(Reason.NO_USABLE_BASELINE)
            case Source.LOST:
                return Problem.of(Reason.BASELINE_LOST)
            case _:
                return None


@dataclass(frozen=True, kw_only=True)
class BranchHistory:
    """The verdicts on a guarded branch, and the places of the commits that were its tip."""

    verdicts: tuple[VerdictEntry, ...]
    elsewhere: frozenset[Name] = frozenset()
    """Models with a verdict on this branch of a commit that is not on it any more: it was rewritten or merged in."""
    chain: Mapping[Sha, int]  # the oldest commit has place 0 (`mlbot.git.merge.first_parents`)

    @classmethod
    def of(cls, entries: Iterable[object], branch: str, chain: Mapping[Sha, int]) -> "BranchHistory":
        """Only verdicts on this branch count, and only of commits that were its tip: others may be forged."""
        known = verdicts((each for each in entries if isinstance(each, VerdictEntry)), branch)
        return cls(
            verdicts=tuple(each for each in known if each.commit in chain),
            elsewhere=frozenset(each.model for each in known if each.commit not in chain),
            chain=chain,
        )

    @cached_property
    def latest(self) -> Mapping[tuple[Name, Digest], VerdictEntry]:
        """The verdict on each content key: of the newest attempt."""
        return {(each.model, each.key): each for each in self.verdicts}

    @cached_property
    def _usable(self) -> Mapping[Name, tuple[VerdictEntry, ...]]:
        found: dict[Name, list[VerdictEntry]] = {}
        for each in sorted(self.latest.values(), key=lambda each: (self.chain[each.commit], each.order)):
            if each.outcome in USABLE and each.files:
                found.setdefault(each.model, []).append(each)
        return {model: tuple(each) for model, each in found.items()}

    @cached_property
    def _in_order(self) -> Mapping[Name, tuple[VerdictEntry, ...]]:
        found: dict[Name, list[VerdictEntry]] = {}
        for each in sorted(self.verdicts, key=lambda each: (self.chain[each.commit], each.order)):
            if each.outcome in USABLE and each.files:
                found.setdefault(each.model, []).append(each)
        return {model: tuple(each) for model, each in found.items()}

    def usable_of(self, model: Name, *, before: Sha | None = None) -> tuple[VerdictEntry, ...]:
        """Every verdict that left a usable model, whatever a newer one says of it, in the order of the branch."""
        end = self.chain.get(before, 0) if before else len(self.chain)
        return tuple(each for each in self._in_order.get(model, ()) if self.chain[each.commit] < end)

    @cached_property
    def judged(self) -> frozenset[Name]:
        """The models with any verdict, whatever it came to."""
        return frozenset(each.model for each in self.verdicts)

    def last_usable(self, model: Name, *, before: Sha | None = None, but: Digest | None = None) -> VerdictEntry | None:
        """The model that a change has to hold up against: the newest on the branch's commits that may serve.

        With `before` only those of older commits; `but` is a content key that is no baseline of itself.
        """
        end = self.chain.get(before, 0) if before else len(self.chain)
        rows = (each for each in self._usable.get(model, ()) if self.chain[each.commit] < end and each.key != but)
        return next(reversed([*rows]), None)

    def last_judged_before(self, commit: Sha) -> Sha | None:
        """The newest older commit of the branch that has any verdict."""
        end = self.chain.get(commit, 0)
        places = {self.chain[each.commit]: each.commit for each in self.verdicts if self.chain[each.commit] < end}
        return places[max(places)] if places else None


def comparison_point(
    planned: PlannedModel, history: BranchHistory, base: Sha | None, rules: Digest | None = None
) -> Point:
    """What a model of a pull request, of a merge group or of a laptop is compared with.

    `base` is the commit of the guarded branch that the change was merged into, `rules` what the model is judged by now.
    """
    last = history.last_usable(planned.name)
    if planned.base_key is None or base is None:
        return _without_base(planned, history, last, rules)
    verdict = history.latest.get((planned.name, planned.base_key))
    if verdict is None or verdict.outcome is Outcome.ERROR:  # a fault has judged nothing, and lowers no bar
        return Point(source=Source.UNJUDGED, train=base, entry=last)
    if verdict.outcome in USABLE and verdict.files:
        return Point(source=Source.TIP, entry=verdict)
    return _last_usable(Source.FAILED if verdict.outcome is Outcome.FAIL else Source.BROKEN, planned, last, rules)


def comparison_points(
    models: Iterable[PlannedModel], history: BranchHistory, base: Sha | None, rules: Mapping[Name, Digest]
) -> dict[Name, Point]:
    """What each of several models is compared with."""
    return {each.name: comparison_point(each, history, base, rules.get(each.name)) for each in models}


def first_seeds(planned: PlannedModel, point: Point | None, past: Iterable[VerdictEntry]) -> SeedCount:
    """How many seeds each side has before anybody looks; of a baseline that has to be trained nobody knows more."""
    known = Determinism.UNKNOWN
    if point is not None and point.entry is not None and point.train is None:
        known = determinism(past, planned.name, point.entry.key, None)
    return SeedCount(candidate=planned.seeds, baseline=planned.design.beside(planned.seeds, known))


def never_judged(plan: Plan, history: BranchHistory) -> tuple[Name, ...]:
    """The models that are left as the branch has them, and that no verdict is known on: an error is none."""
    judged = {at for at, each in history.latest.items() if each.outcome is not Outcome.ERROR}
    return tuple(each.name for each in plan.models if not each.stale and (each.name, each.key) not in judged)


def without_restored(plan: Plan, points: Mapping[Name, Point]) -> Plan:
    """The plan in which nothing is judged that is the branch's last usable model, unless somebody asked for it."""
    restored = {each.name for each in plan.stale if not each.requested}
    return plan.settled({name for name in restored & points.keys() if points[name].source is Source.RESTORED})


def push_point(planned: PlannedModel, history: BranchHistory, commit: Sha, *, was_there: bool) -> Point:
    """What a model of the guarded branch's own commit is compared with: what the branch had before.

    `was_there`: whether the branch had the model at its last judged commit before this one.
    """
    before = history.last_usable(planned.name, before=commit, but=planned.key)
    if before is not None:
        return Point(source=Source.BEFORE, entry=before)
    lost = (was_there or planned.name in history.elsewhere) and planned.name not in history.judged
    return Point(source=Source.LOST if lost else Source.NEW)


def _without_base(
    planned: PlannedModel, history: BranchHistory, last: VerdictEntry | None, rules: Digest | None
) -> Point:
    """The tip has no such model, or one that cannot be read."""
    codes = {reason.code for reason in planned.reasons}
    # A branch whose config is gone for a moment still had its models: taking it away and back lowers no bar.
    new = StaleCode.NEW in codes
    if (new and last is None) or (StaleCode.NO_BASELINE in codes and planned.name not in history.judged):
        return Point(source=Source.NEW)
    return _last_usable(Source.BEFORE if new else Source.BROKEN, planned, last, rules)


def _last_usable(source: Source, planned: PlannedModel, last: VerdictEntry | None, rules: Digest | None) -> Point:
    if last is None:
        return Point(source=Source.NEVER)
    restored = last.key == planned.key and last.policy == rules
    return Point(source=Source.RESTORED if restored else source, entry=last)
