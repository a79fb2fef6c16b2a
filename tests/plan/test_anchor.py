"""Which earlier model a gate asks: a table of histories, and that no history lets it move down by itself."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.history_samples import release
from tests.support.ledger_samples import digest, entry

from mlbot.events.github import Attempt
from mlbot.gates.outcome import Outcome
from mlbot.ledger.entries import AnchorAsked, ReleaseEntry, Since, VerdictEntry
from mlbot.plan.anchor import anchors_of
from mlbot.plan.comparison_point import BranchHistory

COMMITS = [f"{number:040x}" for number in range(1, 13)]
CHAIN = {commit: place for place, commit in enumerate(COMMITS)}
GATE = "roc_auc"


def asked(key: int, moved: Since | None = None, lost: int | None = None, gate: str = GATE) -> AnchorAsked:
    """What a verdict recorded: of which content's model it asked, and what that came to."""
    facts: dict[str, Any] = {"moved": moved, "lost": None if lost is None else digest(lost)}
    return AnchorAsked(gate=gate, key=digest(key), **facts)


def verdict(place: int, *anchors: AnchorAsked, outcome: Outcome = Outcome.PASS, **changes: Any) -> VerdictEntry:
    """The verdict on the commit at a place, whose content and file have its number."""
    facts: dict[str, Any] = {"model": "churn", "commit": COMMITS[place], "key": digest(place), "digest": digest(place)}
    return entry(run=100 + place, **(facts | {"outcome": outcome, "anchors": anchors or None} | changes))


def released(place: int, version: str = "1.0.0") -> ReleaseEntry:
    return release(version, model="churn", commit=COMMITS[place], key=digest(place), digest=digest(place))


def anchor(
    *entries: VerdictEntry | ReleaseEntry, before: int | None = None, gate: str = GATE
) -> tuple[int, str] | None:
    """The place of a gate's anchor, and why it is that."""
    history = BranchHistory.of(entries, "main", CHAIN)
    known = [each for each in entries if isinstance(each, ReleaseEntry)]
    earlier = history if before is None else history.before(COMMITS[before])
    found = anchors_of(earlier, "churn", [gate], known)
    return (CHAIN[found[0].entry.commit], str(found[0].since)) if found else None


FIRST, BETTER, WAIVED, LOST, RELEASED = "first", "better", "waived", "lost", "released"

CASES: list[tuple[str, tuple[VerdictEntry | ReleaseEntry, ...], tuple[int, str] | None]] = [
    ("nothing was judged", (), None),
    ("nothing was usable", (verdict(0, outcome=Outcome.FAIL),), None),
    ("the first model", (verdict(0),), (0, FIRST)),
    ("verdicts of an mlbot that asked no anchor", (verdict(0), verdict(1), verdict(2)), (2, FIRST)),
    ("merges that are inconclusive", (verdict(0), verdict(1, asked(0)), verdict(2, asked(0))), (0, FIRST)),
    (
        "an inconclusive verdict is no better one",
        (verdict(0), verdict(1, asked(0), outcome=Outcome.INCONCLUSIVE)),
        (0, FIRST),
    ),
    ("a better model", (verdict(0), verdict(1, asked(0, Since.BETTER)), verdict(2, asked(1))), (1, BETTER)),
    (
        "a better model whose merge is reverted",
        (verdict(0), verdict(1, asked(0, Since.BETTER)), verdict(2, asked(1), key=digest(0), digest=digest(0))),
        (1, BETTER),
    ),
    (
        "a better model that failed by another gate",
        (verdict(0), verdict(1, asked(0)), verdict(2, asked(0, Since.BETTER), outcome=Outcome.FAIL)),
        (0, FIRST),
    ),
    (
        "a better model that its own rules alone judged",
        (verdict(0), verdict(1, asked(0)), verdict(2, asked(0, Since.BETTER), provisional=True)),
        (0, FIRST),
    ),
    ("a loss that was waived", (verdict(0), verdict(1, asked(0, Since.WAIVED)), verdict(2, asked(1))), (1, WAIVED)),
    (
        "better than an anchor that another verdict had moved from: judges end in any order",
        (verdict(0), verdict(1, asked(0, Since.BETTER)), verdict(2, asked(0, Since.BETTER))),
        (1, BETTER),
    ),
    (
        "waived against an anchor that another verdict had moved from",
        (verdict(0), verdict(1, asked(0, Since.BETTER)), verdict(2, asked(0, Since.WAIVED))),
        (1, BETTER),
    ),
    ("a release", (verdict(0), verdict(1, asked(0)), verdict(2, asked(0)), released(1)), (1, RELEASED)),
    ("a release of what is the anchor", (verdict(0), verdict(1, asked(0)), released(0)), (0, FIRST)),
    (
        "a pre-release, which is no release yet",
        (verdict(0), verdict(1, asked(0)), verdict(2, asked(0)), released(1, "1.0.0-rc.1")),
        (0, FIRST),
    ),
    (
        "a release of what was a pre-release",
        (verdict(0), verdict(1, asked(0)), verdict(2, asked(0)), released(1, "1.0.0-rc.1"), released(1)),
        (1, RELEASED),
    ),
    (
        "a release of what is older than the anchor",
        (verdict(0), verdict(1, asked(0)), verdict(2, asked(0, Since.BETTER)), released(1)),
        (2, BETTER),
    ),
    (
        "a release of bytes that no verdict of the branch has",
        (verdict(0), verdict(1, asked(0)), release("1.0.0", model="churn", key=digest(1), digest=digest(99))),
        (0, FIRST),
    ),
    (
        "a release of another model's bytes",
        (verdict(0), verdict(1, asked(0)), release("1.0.0", model="fraud", key=digest(1), digest=digest(1))),
        (0, FIRST),
    ),
    ("a release from before the gate was there", (verdict(0), verdict(1), verdict(2), released(1)), (2, FIRST)),
    (
        "an anchor that could not be had once: what failed may have been the network of its training",
        (verdict(0), verdict(1, asked(0)), verdict(2, asked(1, lost=0))),
        (0, FIRST),
    ),
    (
        "gone for two verdicts on one training, which failed once",
        (
            *(verdict(0), verdict(1, asked(0)), verdict(2, asked(1, lost=0))),
            verdict(2, asked(1, lost=0), judge=Attempt(run=9_999)),
        ),
        (0, FIRST),
    ),
    (
        "gone, had again, and gone",
        (
            *(verdict(0), verdict(1, asked(0)), verdict(2, asked(1, lost=0))),
            *(verdict(3, asked(0)), verdict(4, asked(3, lost=0))),
        ),
        (0, FIRST),
    ),
    (
        "an anchor that is gone: what could not ask it first says what takes its place",
        (verdict(0), verdict(1, asked(0)), verdict(2, asked(1, lost=0)), verdict(3, asked(2, lost=0))),
        (1, LOST),
    ),
    (
        "released while it was gone",
        (verdict(0), verdict(1, asked(0)), verdict(2, asked(1, lost=0)), verdict(3, asked(2, lost=0)), released(2)),
        (2, RELEASED),
    ),
    (
        "gone for a judge that did not know of the one that it had moved to",
        (verdict(0), verdict(1, asked(0, Since.BETTER)), verdict(2, asked(0, lost=0)), verdict(3, asked(1))),
        (1, BETTER),
    ),
    (
        "better than the baseline in the place of one that is gone",
        (verdict(0), verdict(1, asked(0)), verdict(2, asked(1, Since.BETTER, lost=0)), verdict(3, asked(2, lost=0))),
        (2, BETTER),
    ),
    (
        "better than the baseline in the place of one that is had again",
        (verdict(0), verdict(1, asked(0)), verdict(2, asked(1, Since.BETTER, lost=0)), verdict(3, asked(0))),
        (0, FIRST),
    ),
    ("a gate that was away", (verdict(0), verdict(1, asked(0)), verdict(2), verdict(3), verdict(4)), (0, FIRST)),
    (
        "a gate of which the ledger knows another alone",
        (verdict(0), verdict(1, asked(0, gate="log_loss")), verdict(2, asked(0, gate="log_loss"))),
        (2, FIRST),
    ),
    (
        "a verdict on another branch",
        (verdict(0), verdict(1, asked(0)), verdict(2, asked(0, Since.BETTER), branch="dev")),
        (0, FIRST),
    ),
    (
        "a verdict of a commit that was never the branch's tip",
        (verdict(0), verdict(1, asked(0)), verdict(2, asked(0, Since.BETTER), commit="e" * 40)),
        (0, FIRST),
    ),
    (
        "what asked a provisional model: it does not begin at itself",
        (verdict(0, provisional=True), verdict(1, asked(0)), verdict(2, asked(0))),
        (0, FIRST),
    ),
    (
        "what asked a model that the ledger has no more begins at the oldest that is there, not at itself",
        (verdict(1), verdict(2, asked(0)), verdict(3, asked(0))),
        (1, FIRST),
    ),
    (
        "a ledger that lost its oldest entries begins again at the oldest that is there",
        (verdict(3, asked(0)), verdict(4, asked(0))),
        (3, FIRST),
    ),
]


@pytest.mark.parametrize(("entries", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_the_anchor_of_a_history(
    entries: tuple[VerdictEntry | ReleaseEntry, ...], expected: tuple[int, str] | None
) -> None:
    assert anchor(*entries) == expected
    assert anchor(*reversed(entries)) == expected  # the branch orders them, not who wrote first


def test_a_commit_that_is_judged_itself_asks_what_was_there_before_it() -> None:
    known = (verdict(0), verdict(1, asked(0)), verdict(2, asked(0, Since.BETTER)), released(2))
    assert anchor(*known, before=2) == (0, FIRST)
    assert anchor(*known, before=3) == (2, BETTER)


def test_each_gate_has_an_anchor_of_its_own_and_each_model_is_asked_once() -> None:
    known = (
        verdict(0),
        verdict(1, asked(0), asked(0, Since.BETTER, gate="log_loss"), asked(0, Since.BETTER, gate="f1")),
        verdict(2, asked(0), asked(1, gate="log_loss"), asked(1, gate="f1")),
        released(1, "1.4.0"),
    )
    found = anchors_of(
        BranchHistory.of(known, "main", CHAIN), "churn", [GATE, "log_loss", "f1"], [released(1, "1.4.0")]
    )
    # The release is the anchor of all that was gated before it; of two gates it was that already.
    assert [(each.gates, each.version) for each in found] == [((GATE,), "1.4.0"), (("log_loss", "f1"), "1.4.0")]
    assert len({each.entry.key for each in found}) == 1


def test_its_files_are_those_of_the_newest_verdict_on_the_same_bytes() -> None:
    old, new = verdict(0), verdict(3, asked(0), key=digest(0), digest=digest(0), outcome=Outcome.FAIL)
    found = anchors_of(BranchHistory.of([old, verdict(1, asked(0)), new], "main", CHAIN), "churn", [GATE])
    assert [(each.entry, each.files) for each in found] == [(old, new)]


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[VerdictEntry], list[int], dict[int, float]]:
    """A branch as judges record it, some of which did not know of the verdict before; and each model's quality."""
    quality = {0: 0.0}
    entries, releases = [verdict(0)], list[int]()
    for place in range(1, len(COMMITS)):
        quality[place] = draw(st.floats(-3, 3))
        seen = entries[: draw(st.integers(max(1, len(entries) - 2), len(entries)))]
        at = anchor(*seen, *(released(each, f"1.0.{each}") for each in releases))
        assert at is not None
        better = quality[place] > quality[at[0]]
        moved = Since.WAIVED if draw(st.integers(0, 9)) == 0 else Since.BETTER if better else None
        outcome = draw(st.sampled_from([Outcome.PASS, Outcome.INCONCLUSIVE, Outcome.FAIL]))
        entries.append(verdict(place, asked(at[0], moved), outcome=outcome))
        if draw(st.integers(0, 9)) == 0:
            releases.append(place)
    return entries, releases, quality


@given(histories())
def test_it_never_moves_down_but_by_a_release_or_a_waiver(
    given_: tuple[list[VerdictEntry], list[int], dict[int, float]],
) -> None:
    entries, releases, quality = given_
    before: tuple[int, str] | None = None
    for count in range(1, len(entries) + 1):
        known = [released(each, f"1.0.{each}") for each in releases if each < count]
        now = anchor(*entries[:count], *known)
        assert now is not None
        if before is not None and quality[now[0]] < quality[before[0]]:
            assert now[1] in {RELEASED, WAIVED}
        before = now
