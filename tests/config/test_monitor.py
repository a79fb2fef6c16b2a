"""The section `monitor`: which logs there can be, and what is refused, with what to write instead."""

from datetime import date

import pytest
from tests.support.config_texts import parse

from mlbot.config.errors import ConfigError
from mlbot.config.monitor import on_day

BASE = """
version: 1
models:
  churn:
    task: binary
    train: {{run: make}}
    data: {{holdout: data/holdout.csv, target: churned}}
    gates: {{roc_auc: {{min: 0.8}}}}
    monitor: {monitor}
{rest}
"""
PLACES = "environments: {production: {target: models/production}}"


def made(monitor: str, rest: str = PLACES) -> str:
    try:
        config = parse(BASE.format(monitor=monitor, rest=rest))
    except ConfigError as error:
        return str(error).partition(" → ")[2].partition("\n")[0]
    return str(config.models[0].monitor)


@pytest.mark.parametrize("place", ["logs/{date}.parquet", "s3://b/{date}/*.jsonl", "file:///l/y={year}/{month}/{day}/"])
def test_a_place_has_another_name_for_each_day(place: str) -> None:
    assert place in made(f'{{requests: "{place}"}}')
    assert "2026" in on_day(place, date(2026, 1, 2))
    assert "02" in on_day(place, date(2026, 1, 2))


def test_where_the_logs_of_a_day_are() -> None:
    assert on_day("s3://b/{date}/*", date(2026, 1, 2)) == "s3://b/2026-01-02/*"
    assert on_day("{year}/{month}/{day}.parquet", date(2026, 1, 2)) == "2026/01/02.parquet"


@pytest.mark.parametrize(
    ("monitor", "write"),
    [
        ("{requests: logs.parquet}", "a path or URL with `{date}` in it"),
        ('{requests: "{year}/{month}.parquet"}', "a path or URL with `{date}` in it"),
        ('{requests: "{date}/{hour}.parquet"}', "no braces but {date}, {year}, {month} and {day}"),
        ('{requests: "{date.__class__}{date}"}', "no braces but"),
        ('{requests: "../{date}"}', "a path without `..`"),
        ('{requests: "s3://a:b@c/{date}"}', "the URL without a password"),
        ('{requests: "{date}", labels: "l/{date}"}', "write `id: <column>`"),
        ('{requests: "{date}", alarms: {days: 0}}', "a whole number from 1 to 60"),
        ('{requests: "{date}", alarms: {then: deploy}}', "none, retrain or refresh"),
        ('{requests: "{date}", environment: prod}', "production"),
        ("{}", "write `requests:`"),
    ],
)
def test_what_is_refused(monitor: str, write: str) -> None:
    assert write in made(monitor)


def test_a_model_that_is_deployed_nowhere_is_not_watched() -> None:
    assert "write `environments:`" in made('{requests: "{date}"}', rest="")


def test_what_holds_without_a_word() -> None:
    said = made('{requests: "{date}"}')
    assert said.startswith("requests='{date}' labels=None id=None prediction=None environment=None ignore=() alarms=")
    assert "days=3, then='none'" in said
