"""Two real streams, replayed day by day: no alarm before anything changes, and what changes is found and dated.

`bike_hours.csv.gz`: hours of bike sharing in Washington in 2011 (UCI Bike Sharing, CC BY 4.0, as ISLP 0.6.0 has it).
`seattle_weather.csv.gz`: days of 2012 to 2015 (NOAA, public domain, as vega_datasets 0.9.0 has it); in April 2013 the
label `rain` ends, which is 55 % of the days before.
"""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from tests.support.history_samples import MODEL, day, deployment, reference, release

from mlbot.data.sketch import Counts
from mlbot.ledger.entries import Entry
from mlbot.ml.sketches import Batch, counted, sketch_of
from mlbot.monitoring.fold import health_of
from mlbot.monitoring.health import Code, Health, Part, State

DATA = Path(__file__).parent / "data"
BIKE = ["hr", "holiday", "weekday", "workingday", "weathersit", "temp", "atemp", "hum", "windspeed"]
WEATHER = ["precipitation", "temp_max", "temp_min", "wind"]
PLANTED = "2011-11-10"

Change = Callable[[pl.DataFrame], pl.DataFrame]


def replayed(
    name: str, features: list[str], target: str, released: str, until: str, change: Change | None
) -> list[Entry]:
    """The ledger of a version that was released on all that was there before a day."""
    frame = pl.read_csv(DATA / f"{name}.csv.gz")
    before = frame.filter(pl.col("date") < released)
    after = frame.filter(pl.col("date").is_between(pl.lit(released), pl.lit(until)))
    batch = Batch(features=before.select(features), targets=before.select(target))
    sketch = sketch_of(lambda: [batch], before.height)
    entries: list[Entry] = [
        release(),
        reference(sketch=sketch),
        deployment(1, "1.0.0", "production", time="2010-01-01T00:00:00Z"),
    ]
    for (date,), rows in after.group_by(["date"], maintain_order=True):
        made = change(rows) if change and str(date) >= PLANTED else rows
        counts = counted(sketch, [Batch(features=made.select(features), targets=made.select(target))])
        labels = Counts(rows=counts.rows, features=sketch.nothing.features, targets=counts.targets)
        entries.append(
            day(str(date), requests=made.height, counts=counts, labelled=made.height, labels=labels),
        )
    return entries


def health(entries: list[Entry], date: str) -> Health:
    return health_of(entries, MODEL, "production", date)


def test_hours_of_bikes_raise_no_alarm_in_four_months_of_autumn() -> None:
    entries = replayed("bike_hours", BIKE, "bikers", "2011-09-01", "2011-12-31", None)
    dates = [each.date for each in entries if each.kind == "day"]
    assert len(dates) == 122
    for date in dates[::6]:
        assert health(entries, date).findings == ()
    assert health(entries, dates[-1]).state is State.WELL


@pytest.mark.parametrize(
    ("change", "column", "code"),
    [
        (lambda rows: rows.with_columns(pl.col("hum") * 100), "hum", Code.SHARE),
        (
            lambda rows: rows.with_columns(pl.when(pl.col("hr") % 2 > 0).then(pl.col("windspeed"))),
            "windspeed",
            Code.MISSING,
        ),
        (lambda rows: rows.with_columns(pl.lit("sunny").alias("weathersit")), "weathersit", Code.UNSEEN),
    ],
    ids=["a unit", "missing values", "a new category"],
)
def test_a_fault_planted_in_november_is_found_within_two_days(change: Change, column: str, code: Code) -> None:
    entries = replayed("bike_hours", BIKE, "bikers", "2011-09-01", "2011-11-12", change)
    assert health(entries, "2011-11-09").state is State.WELL
    found = health(entries, "2011-11-11")
    assert found.state is State.ALARM
    assert {each.column for each in found.findings} == {column}
    assert code in {each.code for each in found.findings}
    assert {each.since for each in found.findings} == {PLANTED}


def test_humidity_that_is_greater_by_less_than_the_weather_moves_it_is_missed() -> None:
    # + 0.15 is 0.75 standard deviations, and the mean of a day moves by 0.65 from one to the next.
    raised = pl.col("hum") + 0.15
    entries = replayed(
        "bike_hours", BIKE, "bikers", "2011-09-01", "2011-12-31", lambda rows: rows.with_columns(raised.clip(0, 1))
    )
    assert health(entries, "2011-12-31").state is State.WELL


def test_a_label_that_changes_its_meaning_is_found_within_ten_weeks_and_a_half_of_one_row_a_day() -> None:
    entries = replayed("seattle_weather", WEATHER, "weather", "2013-01-01", "2013-07-01", None)
    # The last rain is on March 29th. Days of one row are put together by twenty, and three of these have to be far off.
    assert health(entries, "2013-06-08").findings == ()
    found = health(entries, "2013-06-09")
    assert found.state is State.ALARM
    (finding,) = found.findings
    assert (finding.part, finding.column, finding.value) == (Part.LABEL, "weather", "rain")
    assert "2013-03-20" < finding.since < "2013-04-20"
    assert (finding.before or 0) > 0.5
    assert (finding.now or 0) < 0.1
