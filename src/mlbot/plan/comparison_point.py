"""The point of comparison: which model of the guarded branch a candidate is compared with.

Neither the author, nor a fault, nor the shape of the history chooses it. A change is merged into the tip of the guarded
branch, and compared with the model that the branch has: the newest usable one on the branch's own commits. A model that
failed, or that nobody has judged, does not lower the bar.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType

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

    branch: str
    verdicts: tuple[VerdictEntry, ...]
    others: tuple[VerdictEntry, ...] = ()
    """What a model without a usable verdict of its own goes by: verdicts on the same commits under another branch's
    name, for this one was renamed or cut from that; on commits that were its tip before it was rewritten; and on what
    the model was called before."""
    elsewhere: frozenset[Name] = frozenset()
    """Models with a verdict on this branch of a commit that is not on it any more: it was rewritten or merged in."""
    chain: Mapping[Sha, int]  # the oldest commit has place 0, former tips are before it

    @classmethod
    def of(
        cls,
        entries: Iterable[object],
        branch: str,
        chain: Mapping[Sha, int],
        former: Sequence[Sha] = (),
        names: Mapping[Name, Name] = MappingProxyType({}),
    ) -> "BranchHistory":
        """Only verdicts on this branch count, and only of commits that were its tip: others may be forged.

        `chain` are its commits as they are (`mlbot.git.merge.first_parents`), `former` those that GitHub says were its
        tip too, the oldest first. `names` are the models that had another name, by the one that they have.
        """
        known = verdicts(each for each in entries if isinstance(each, VerdictEntry))
        gone = [each for each in dict.fromkeys(former) if each not in chain]
        places = {**{sha: place - len(gone) for place, sha in enumerate(gone)}, **chain}
        own = [each for each in known if each.branch == branch]
        there = [each for each in known if each.commit in chain]
        own_now = [each for each in there if each.branch == branch]
        return cls(
            branch=branch,
            verdicts=tuple(own_now),
            others=(
                *(each for each in own if each.commit not in chain and each.commit in places),
                *(each for each in there if each.branch != branch),
                *(
                    _called(each, new)
                    for new in names
                    for old in reversed(names_of(new, names)[1:])  # so that the newest name's verdict counts
                    for each in own_now
                    if each.model == old
                ),
            ),
            elsewhere=frozenset(each.model for each in own if each.commit not in places),
            chain=places,
        )

    def before(self, commit: Sha) -> "BranchHistory":
        """What was known of the commits before one."""
        end = self.chain.get(commit, 0)

        def older(entries: Iterable[VerdictEntry]) -> tuple[VerdictEntry, ...]:
            return tuple(each for each in entries if self.chain[each.commit] < end)

        return replace(self, verdicts=older(self.verdicts), others=older(self.others))

    @cached_property
    def latest(self) -> Mapping[tuple[Name, Digest], VerdictEntry]:
        """The verdict on each content key: of the newest attempt."""
        return {(each.model, each.key): each for each in self.verdicts}

    @cached_property
    def known(self) -> Mapping[tuple[Name, Digest], VerdictEntry]:
        """The same; of models without a usable one of their own also those that they go by."""
        return {(each.model, each.key): each for each in (*self._adopted, *self.verdicts)}

    @cached_property
    def _adopted(self) -> tuple[VerdictEntry, ...]:
        own = {each.model for each in self.latest.values() if _may_serve(each)}
        return tuple(each for each in self.others if each.model not in own)

    @cached_property
    def _usable(self) -> Mapping[Name, tuple[VerdictEntry, ...]]:
        return self._in_order(self.known.values())

    @cached_property
    def _ever_usable(self) -> Mapping[Name, tuple[VerdictEntry, ...]]:
        return self._in_order((*self._adopted, *self.verdicts))

    def _in_order(self, entries: Iterable[VerdictEntry]) -> Mapping[Name, tuple[VerdictEntry, ...]]:
        found: dict[Name, list[VerdictEntry]] = {}
        for each in sorted(entries, key=lambda each: (self.chain[each.commit], each.order)):
            if _may_serve(each):
                found.setdefault(each.model, []).append(each)
        return {model: tuple(each) for model, each in found.items()}

    def usable_of(self, model: Name) -> tuple[VerdictEntry, ...]:
        """Every verdict that left a usable model, whatever a newer one says of it, in the order of the branch."""
        return self._ever_usable.get(model, ())

    @cached_property
    def judged(self) -> frozenset[Name]:
        """The models with any verdict, whatever it came to; that the ledger was lost is none."""
        return frozenset(each.model for each in self.known.values() if each.reason is not Reason.BASELINE_LOST)

    def last_usable(self, model: Name, *, but: Digest | None = None) -> VerdictEntry | None:
        """The model that a change has to hold up against: the newest on the branch's commits that may serve.

        `but` is a content key that is no baseline of itself.
        """
        return next((each for each in reversed(self._usable.get(model, ())) if each.key != but), None)

    def is_back(self, verdict: VerdictEntry, last: VerdictEntry | None, base: Sha) -> bool:
        """Whether a tip has the content of an older commit's verdict, with the last usable model between them."""
        at = self.chain
        return last is not None and at[verdict.commit] < at[last.commit] < at.get(base, len(at))

    @property
    def last_judged(self) -> Sha | None:
        """The newest commit of the branch that has any verdict."""
        return max((each.commit for each in self.verdicts), key=self.chain.__getitem__, default=None)

    @property
    def lacking(self) -> bool:
        """Whether models are known of commits that the branch has no more, and of no other that may serve."""
        return any(model not in self._usable for model in self.elsewhere)


def names_of(model: Name, names: Mapping[Name, Name]) -> tuple[Name, ...]:
    """What a model is and was called, the newest name first; `names` are the ones before, by the ones after."""
    found = dict.fromkeys([model])
    while (model := names.get(model, model)) not in found:
        found[model] = None
    return tuple(found)


def _called(entry: VerdictEntry, name: Name) -> VerdictEntry:
    return entry.model_copy(update={"model": name})


def _may_serve(entry: VerdictEntry) -> bool:
    return entry.outcome in USABLE and bool(entry.files)


def comparison_point(
    planned: PlannedModel, history: BranchHistory, base: Sha | None, rules: Digest | None = None
) -> Point:
    """What a model of a pull request, of a merge group or of a laptop is compared with.

    `base` is the commit of the guarded branch that the change was merged into, `rules` what the model is judged by now.
    """
    last = history.last_usable(planned.name)
    if planned.base_key is None or base is None:
        return _without_base(planned, history, last, rules)
    verdict = history.known.get((planned.name, planned.base_key))
    # A fault has judged nothing, and lowers no bar; nor does what the branch is back at, until it is judged there.
    if verdict is None or verdict.outcome is Outcome.ERROR or history.is_back(verdict, last, base):
        return Point(source=Source.UNJUDGED, train=base, entry=last)
    if _may_serve(verdict):
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


def push_point(
    planned: PlannedModel, history: BranchHistory, commit: Sha, base: Sha | None, *, was_there: bool
) -> Point:
    """What a model of the guarded branch's own commit is compared with: what the branch had before.

    `base` is the tip before this one, where that is known, and `was_there` whether it had the model. Several changes in
    one push are one, and a push that overtakes another's verdict does not pass beside it. A model that never had a
    usable verdict is new, unless the ledger lost it.
    """
    earlier = history.before(commit)
    last = earlier.last_usable(planned.name, but=planned.key)
    known = was_there and earlier.last_judged is not None
    lost = (known or planned.name in history.elsewhere) and planned.name not in history.judged
    if base is not None and planned.base_key not in {None, planned.key} and (last is not None or lost):
        point = comparison_point(planned, earlier, base)
        if point.train:
            return point
        if point.source is Source.TIP:
            return point.model_copy(update={"source": Source.BEFORE})
    if last is not None:
        return Point(source=Source.BEFORE, entry=last)
    return Point(source=Source.LOST if lost else Source.NEW)


def _without_base(
    planned: PlannedModel, history: BranchHistory, last: VerdictEntry | None, rules: Digest | None
) -> Point:
    """The tip has no such model, or one that cannot be read."""
    codes = {reason.code for reason in planned.reasons}
    if last is None and planned.name in history.elsewhere - history.judged:
        return Point(source=Source.LOST)
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
