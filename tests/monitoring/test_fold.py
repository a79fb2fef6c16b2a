"""How a model does, by the days that a ledger has: what alarms, since when, and what is never called well."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from tests.support.history_samples import MODEL, day, deployment
from tests.support.production import Days, on

from mlbot.ledger.entries import Entry
from mlbot.lib.terminal import Pen
from mlbot.monitoring.fold import health_of
from mlbot.monitoring.health import Code, Finding, Health, Part, State, Why
from mlbot.monitoring.words import health_text

CHANGE = 40


def health(entries: Sequence[Entry], number: int, **options: Any) -> Health:
    return health_of(entries, MODEL, "production", on(number), **options)


def after(number: int, value: Any, usual: Any) -> Any:
    return value if number >= CHANGE else usual


def test_days_that_are_alike_are_well() -> None:
    found = health(Days().entries(60), 59)
    assert (found.state, found.why, found.findings, found.alarm_days) == (State.WELL, None, (), 0)
    assert (found.version, found.days, found.requests) == ("1.0.0", 60, 500)


@pytest.mark.parametrize(
    ("changes", "code", "column", "within"),
    [
        ({"shift": lambda number: after(number, 0.5, 0.0)}, Code.LOCATION, "age", 5),
        ({"shift": lambda number: after(number, 9.0, 0.0)}, Code.LOCATION, "age", 2),
        ({"missing": lambda number: after(number, 0.1, 0.0)}, Code.MISSING, "age", 2),
        (
            {"plans": lambda number: after(number, [0.55, 0.2, 0.2, 0.04, 0.01], [0.6, 0.25, 0.1, 0.04, 0.01])},
            Code.SHARE,
            "plan",
            7,
        ),
        (
            {"plans": lambda number: after(number, [0.5, 0.25, 0.1, 0.04, 0.11], [0.6, 0.25, 0.1, 0.04, 0.01])},
            Code.UNSEEN,
            "plan",
            4,
        ),
        ({"requests": lambda number: after(number, 100, 500)}, Code.VOLUME, "", 2),
    ],
)
def test_a_change_is_found_and_dated(changes: dict[str, Any], code: Code, column: str, within: int) -> None:
    entries = Days(**changes).entries(CHANGE + within + 2)
    assert health(entries, CHANGE - 1).state is State.WELL
    found = health(entries, CHANGE + within - 1)
    assert found.state is State.ALARM
    named = [each for each in found.findings if (each.code, each.column) == (code, column)]
    assert named
    assert named[0].since in {on(CHANGE), on(CHANGE + 1)}
    assert health(entries, CHANGE + within + 1).alarm_days == found.alarm_days + 2


def test_a_change_is_over_when_the_figure_is_back() -> None:
    entries = Days(missing=lambda number: 0.1 if 40 <= number < 50 else 0.0).entries(60)
    assert health(entries, 49).state is State.ALARM
    assert health(entries, 52).state is State.WELL
    assert health(entries, 59).alarm_days == 0


def test_a_change_that_stays_alarms_until_another_version_is_live() -> None:
    entries = Days(shift=lambda number: after(number, 1.0, 0.0)).entries(140)
    found = health(entries, 139)
    assert (found.state, found.findings[0].since) == (State.ALARM, on(CHANGE))
    assert found.alarm_days > 95
    newer = [*entries, deployment(2, "1.1.0", "production", time=f"{on(139)}T12:00:00Z")]
    assert health(newer, 139).why is Why.CHANGED_OVER
    assert health(newer, 140).why is Why.NO_REFERENCE


def test_what_is_far_from_the_reference_from_the_first_day_on_alarms_on_the_third() -> None:
    entries = Days(shift=lambda _number: 9.0).entries(4)
    assert health(entries, 1).state is State.LEARNING
    found = health(entries, 2)
    assert found.state is State.ALARM
    assert {each.against for each in found.findings} == {"reference"}


def test_an_ignored_column_raises_no_alarm() -> None:
    entries = Days(shift=lambda number: after(number, 9.0, 0.0)).entries(50)
    assert health(entries, 49, ignore=("age",)).state is State.WELL


@pytest.mark.parametrize(
    ("requests", "days", "why"),
    [(lambda _: 500, 17, Why.TOO_FEW_DAYS), (lambda number: 1 - number % 2, 60, Why.TOO_FEW_REQUESTS)],
)
def test_too_little_is_never_well(requests: Callable[[int], int], days: int, why: Why) -> None:
    found = health(Days(requests=requests).entries(days), days - 1)
    assert (found.state, found.why) == (State.LEARNING, why)


def test_a_version_is_called_well_from_the_day_on_which_a_change_can_be_seen() -> None:
    known = 18  # days; two of them differ from those before, a thousandfold
    assert health(Days().entries(known), known - 1).state is State.WELL
    entries = Days(shift=lambda number: 9.0 if number >= known - 2 else 0.0).entries(known)
    found = health(entries, known - 1)
    assert {each.against for each in found.findings} == {"before"}
    assert not health(entries, known - 2).findings


@pytest.mark.parametrize("few", [0, 1, 4])
def test_an_outage_alarms_from_its_third_day_to_its_end(few: int) -> None:
    requests = lambda number: 500 if number < CHANGE or number >= 110 else few  # noqa: E731 - one line
    entries = Days(requests=requests).entries(116)
    assert health(entries, CHANGE + 1).state is State.WELL
    states = {health(entries, number).state for number in range(CHANGE + 2, 110)}
    assert states == {State.ALARM}, "however long it lasts"
    found = health(entries, CHANGE + 2).findings[0]
    assert (found.code, found.since, found.before, found.now) == (Code.VOLUME, on(CHANGE), 500, few)
    assert health(entries, 115).state is State.WELL


def test_an_outage_that_begins_before_a_version_is_known_alarms() -> None:
    entries = Days(requests=lambda number: 500 if number < 16 else 0).entries(20)
    assert health(entries, 19).state is State.ALARM, "no more spans come"


@pytest.mark.parametrize("weekday", [8, 500])
def test_weekends_without_requests_are_no_outage(weekday: int) -> None:
    entries = Days(requests=lambda number: weekday if number % 7 < 5 else 0).entries(120)
    assert all(health(entries, number).alarm_days == 0 for number in range(90, 120))


def test_what_was_not_looked_at_is_never_well() -> None:
    entries = Days(missing=lambda number: after(number, 0.1, 0.0)).entries(50)
    found = health(entries, 50)
    assert (found.state, found.why) == (State.UNKNOWN, Why.NOT_LOOKED_AT)
    assert found.findings, "what alarmed last is still said"
    assert health([], 3).why is Why.NOTHING_LIVE
    bare: list[Entry] = [each for each in entries if each.kind != "reference"]
    assert (health(bare, 49).state, health(bare, 49).why) == (State.UNKNOWN, Why.NO_REFERENCE)
    unlogged: list[Entry] = [each for each in entries if each.kind != "day"]
    unlogged.extend(day(on(number)) for number in range(60))
    assert (health(unlogged, 59).state, health(unlogged, 59).why) == (State.UNKNOWN, Why.NOT_LOGGED)
    assert health(unlogged, 59).unlogged == ("age", "plan")


def test_days_that_nobody_looked_at_are_named() -> None:
    entries = Days().entries(60)
    late = [each for each in entries if each.kind != "day" or each.date >= on(30)]
    found = health(late, 59)
    assert (health(entries, 59).first, found.first) == (None, on(30))
    assert found.began is not None
    said = health_text([found], Pen(color=False, width=300))
    assert f"looked at from {on(30)} on: what changed before is not known" in said
    assert f"mlbot monitor {MODEL} --since {found.began}" in said


def test_a_day_counts_once() -> None:
    entries = Days().entries(40)
    twice = [*entries, day(on(39), requests=5), *entries]
    assert health(twice, 39) == health(entries, 39) or health(twice, 39).requests == 5
    assert health(twice, 39) == health([*reversed(twice)], 39)


def test_how_far_numbers_moved_is_shown_in_a_terminal_of_usual_width() -> None:
    moved = Finding(
        code=Code.LOCATION,
        part=Part.ANSWER,
        column="probability",
        effect=0.7,
        limit=0.3,
        since="2026-11-10",
        noticed="2026-11-12",
        against="before",
    )
    unseen = moved.model_copy(update={"code": Code.UNSEEN, "part": Part.FEATURE, "against": "reference"})
    found = Health(
        model="churn",
        environment="production",
        version="1.0.0",
        day="2026-11-12",
        state=State.ALARM,
        findings=(moved, unseen),
    )
    for width in (80, 100):
        assert "+0.70 sd" in health_text([found], Pen(color=False, width=width))
