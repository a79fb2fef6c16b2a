"""How many seeds a side are trained: at once, and after a look at what there is.

A design is a row of looks, each with more seeds a side than the one before; a single look is a fixed number. The error
that each outcome may make is shared out over the looks in proportion to their seeds (.01, .015 and .025 at 2, 3 and 5),
so that it is no more than `ALPHA` whatever made anybody look again: a union bound, which needs no joint law.

Whether the seed changes anything is a fact about one recipe. It is found by two equal seeds of this very recipe; what
the recipes before it were like decides how many seeds are tried first, and never by which test they are judged.
"""

from collections.abc import Iterable
from enum import StrEnum
from itertools import takewhile
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from mlbot.gates.metric import Bound
from mlbot.gates.outcome import ALPHA, Outcome, Reason, worst
from mlbot.ledger.entries import SeedCount, VerdictEntry
from mlbot.lib.record import Digest, Name, Record

if TYPE_CHECKING:
    from mlbot.verdict.verdict import GateResult, ModelVerdict

Probability = Annotated[float, Field(ge=0, le=1)]

_SETTLED_BY_SEEDS = frozenset(
    {
        Reason.MARGIN_INSIDE_INTERVAL,
        Reason.DROPPED_BY_HOLM,
        Reason.SEED_VARIANCE_UNKNOWN,
        Reason.TOO_FEW_SEEDS,
    }
)


class Determinism(StrEnum):
    """What is known, before anything is trained, of whether the seed changes a recipe's model."""

    UNKNOWN = "unknown"
    LIKELY = "likely"  # the model's last recipe on the guarded branch was deterministic, and this is another one
    KNOWN = "known"  # two equal seeds of this very recipe (code, parameters, lock, settings) are in the ledger


def determinism(past: Iterable[VerdictEntry], model: Name, key: Digest | None, recipe: Digest | None) -> Determinism:
    """What the newest verdict that knows says: on this content, else on this recipe, else on the model's last one.

    The content and the recipe make it known, and another recipe does not: its author may have given the seed an effect.
    """
    found = [each for each in past if each.model == model and each.deterministic is not None]
    newest = sorted(found, key=lambda each: each.order, reverse=True)
    same = [each for each in newest if each.key == key] or [each for each in newest if recipe and each.recipe == recipe]
    if same:
        return Determinism.KNOWN if same[0].deterministic else Determinism.UNKNOWN
    return Determinism.LIKELY if newest and newest[0].deterministic else Determinism.UNKNOWN


class SeedDesign(Record):
    """After how many seeds a side there is a look; one look: their number is fixed."""

    looks: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)] = (3,)

    @classmethod
    def between(cls, start: int, most: int) -> "SeedDesign":
        """Looks at `start` seeds, at `most`, and at the numbers of Fibonacci between: 2, 3, 5 from 2 to 5."""
        return cls(looks=tuple(sorted({start, most, *(look for look in _fibonacci(most) if look > start)})))

    @property
    def fixed(self) -> bool:
        """Whether there is but one look."""
        return len(self.looks) == 1

    @property
    def levels(self) -> tuple[float, ...]:
        """The error that a `fail`, and that a `pass`, may make at each look; one-sided, and `ALPHA` in all."""
        return tuple(look / sum(self.looks) * ALPHA for look in self.looks)

    def first(self, known: Determinism) -> int:
        """How many seeds a side are trained before anybody looks."""
        match known:
            case Determinism.KNOWN:
                return 1
            case Determinism.LIKELY:
                return min(2, self.looks[0])
            case Determinism.UNKNOWN:
                return self.looks[0]

    def beside(self, candidate: int, known: Determinism) -> int:
        """How many seeds the baseline gets beside so many of the candidate, before anybody looks."""
        if known is Determinism.KNOWN:
            return 1
        return candidate if candidate > 1 else self.looks[0]

    def reached(self, seeds: int) -> tuple[int, ...]:
        """The looks that so many seeds have reached. What has reached none is looked at once, as it is."""
        return tuple(takewhile(lambda look: look <= seeds, self.looks))

    def after(self, seeds: int) -> int | None:
        """The next look after so many seeds."""
        return next((look for look in self.looks if look > seeds), None)


def _fibonacci(most: int) -> Iterable[int]:
    low, high = 1, 2
    while high < most:
        yield high
        low, high = high, low + high


class Seeds(Record):
    """The seeds of both sides as they were judged."""

    design: SeedDesign = SeedDesign()
    recipe: Digest | None = None  # of all that decides whether the candidate's seed matters; its data is not in it
    count: SeedCount = SeedCount(candidate=0, baseline=0)
    candidate_deterministic: bool | None = None  # None: nobody knows, for there is one seed
    baseline_deterministic: bool | None = None
    likely: bool = False  # whether the recipe before this one was deterministic

    @property
    def lone(self) -> Literal["candidate", "baseline"] | None:
        """The side whose seed may matter, where that of the other does not."""
        match self.candidate_deterministic is True, self.baseline_deterministic is True:
            case True, False:
                return "baseline"
            case False, True:
                return "candidate"
            case _:
                return None


def seeds_wanted(seeds: Seeds, verdict: "ModelVerdict") -> SeedCount | None:
    """How many seeds each side should have next; None where more seeds are not wanted.

    They are not where a gate has failed, all have passed, or only something else than seeds could decide; nor after the
    last look. A side that is deterministic gets none.
    """
    if verdict.outcome is Outcome.ERROR or not seeds.count.baseline:
        return None
    now = _counted(seeds)
    if now is None:
        return None
    if seeds.likely and seeds.candidate_deterministic is not True and now < max(2, seeds.design.looks[0]):
        return _wanted(seeds, max(2, seeds.design.looks[0]))
    if without_anchors(verdict) is not Outcome.INCONCLUSIVE or not any(map(_undecided, verdict.gates)):
        return None
    following = seeds.design.after(now)
    return None if following is None else _wanted(seeds, following)


def without_anchors(verdict: "ModelVerdict") -> Outcome:
    """What a model comes to by its own margins alone, which decide how many seeds there are.

    The anchor is asked once, of all seeds that these have come to: it starts no look, and as it has no share of the
    error at each look, a loss against it ends none.
    """
    counted = [each.outcome for each in verdict.gates if each.counts and each.gate.bound is not Bound.ANCHOR]
    return worst(counted) if counted and verdict.outcome is not Outcome.ERROR else verdict.outcome


def _counted(seeds: Seeds) -> int | None:
    """How many seeds the sides have whose seed matters; None where it matters on neither."""
    if seeds.candidate_deterministic is not True:
        return seeds.count.candidate
    return None if seeds.baseline_deterministic is True else seeds.count.baseline


def _wanted(seeds: Seeds, number: int) -> SeedCount:
    return SeedCount(
        candidate=seeds.count.candidate if seeds.candidate_deterministic else max(number, seeds.count.candidate),
        baseline=seeds.count.baseline if seeds.baseline_deterministic else max(number, seeds.count.baseline),
    )


def _undecided(result: "GateResult") -> bool:
    """Whether more seeds may settle what a gate that counts has left open."""
    return (
        result.counts
        and result.gate.is_margin
        and result.outcome is Outcome.INCONCLUSIVE
        and result.reason in _SETTLED_BY_SEEDS
    )


class Wave(Record):
    """More seeds for a model, and why."""

    model: Name
    had: SeedCount
    wanted: SeedCount
    undecided: tuple[str, ...] = ()  # subjects of the gates; none where a seed turned out to matter unlike before

    @property
    def before(self) -> int:
        """How many seeds did not decide: of the side that gets more."""
        return self.had.candidate if self.of_candidate else self.had.baseline

    @property
    def more(self) -> int:
        """How many seeds are trained, at least on one side."""
        return max(self.wanted.candidate - self.had.candidate, self.wanted.baseline - self.had.baseline)

    @property
    def of_candidate(self) -> bool:
        """Whether the candidate gets more."""
        return self.wanted.candidate > self.had.candidate

    @property
    def of_baseline(self) -> bool:
        """Whether the baseline gets more."""
        return self.wanted.baseline > self.had.baseline

    @property
    def of_both(self) -> bool:
        """Whether both sides get more."""
        return self.of_candidate and self.of_baseline


def next_wave(verdict: "ModelVerdict") -> Wave | None:
    """The seeds that a model's verdict still wants; None where it wants none."""
    seeds = verdict.seeds
    wanted = None if seeds is None else seeds_wanted(seeds, verdict)
    if seeds is None or wanted is None:
        return None
    undecided = dict.fromkeys(each.gate.subject for each in verdict.gates if _undecided(each))
    return Wave(model=verdict.model, had=seeds.count, wanted=wanted, undecided=tuple(undecided))
