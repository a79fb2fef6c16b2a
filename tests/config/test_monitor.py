"""The section `monitor`: which logs there can be, and what is refused, with what to write instead."""

from datetime import date

import pytest
from tests.support.config_texts import parse

from mlbot.config.errors import ConfigError
from mlbot.config.monitor import Follow, on_day

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


@pytest.mark.parametrize(
    ("alarms", "said"),
    [
        ("{then: refresh, run: make data}", ""),
        ("{then: refresh, run: make data, writes: [data/, version.txt]}", ""),
        ("{then: retrain, stamp: data/as-of.txt}", ""),
        ("{then: retrain, stamp: train.py}", ""),
        ("{then: refresh}", "`then: refresh` without `run`"),
        ("{then: retrain}", "`then: retrain` without `stamp`"),
        ("{run: make data}", "`run` without `then: refresh`"),
        ("{then: retrain, stamp: train.py, writes: [data]}", "`writes` without `then: refresh`"),
        ("{then: retrain, stamp: as-of.txt}", 'the stamp "as-of.txt"'),
    ],
)
def test_what_follows_has_what_it_takes(alarms: str, said: str) -> None:
    text = f"""
version: 1
models:
  churn:
    task: binary
    train: {{run: make, depends: [train.py, data/]}}
    data: {{train: data/t.csv, holdout: h.csv, target: left}}
    gates: {{roc_auc: {{min: 0.5}}}}
    monitor: {{requests: "{{date}}.jsonl", alarms: {alarms}}}
environments: {{production: {{target: models}}}}
"""
    if not said:
        assert parse(text).models
        return
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("follow", "files"),
    [
        (Follow(then="refresh", run="x"), ("t.csv", "t.csv.dvc")),
        (Follow(then="refresh", run="x", writes=("data",)), ("data",)),
        (Follow(then="retrain", stamp="s"), ("s",)),
        (Follow(), ("t.csv", "t.csv.dvc")),
    ],
)
def test_which_files_a_change_may_write(follow: Follow, files: tuple[str, ...]) -> None:
    assert follow.files("t.csv") == files
    assert Follow(then="refresh", run="x").files("s3://bucket/t.csv") == ()
