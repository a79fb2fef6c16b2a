"""`mlbot monitor` in a clone with a released version and logs: what it reads, records, says, and never does."""

import gzip
import json
import os
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.support import machine
from tests.support.git_samples import Sandbox
from tests.support.history_samples import Story, deployment, release
from tests.support.ledger_samples import digest
from tests.support.watching import CONFIG, Production, on, sketch, watched

from mlbot import entry
from mlbot.errors import Exit, UsageError
from mlbot.monitoring import run_monitor
from mlbot.monitoring.health import Health, State, Why
from mlbot.monitoring.run_day import read_day, wanted
from mlbot.monitoring.run_monitor import exit_of
from mlbot.registry.run_repository import RepositoryContext

pytestmark = pytest.mark.usefixtures("git_settings")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Story:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in machine.ADA.items():
            patch.setenv(name, value)
        return watched(tmp_path_factory.mktemp("made"))


@pytest.fixture
def production(made: Story, tmp_path: Path) -> Production:
    shutil.copytree(made.origin.parent, tmp_path / "story")
    story = Story(Sandbox(tmp_path / "story" / "clone"), tmp_path / "story" / "origin.git", made.commits)
    story.clone.git("remote", "set-url", "origin", str(story.origin))
    return Production(story)


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Start no process a day, but where that is what is tested."""
    if "command_line" not in request.node.name:
        monkeypatch.setattr(run_monitor, "read_apart", read_day)


def test_days_are_read_once_recorded_and_told_of(production: Production) -> None:
    for number in range(20):
        production.log(number)
    first = production.watch(19)
    assert first.looked_at == tuple(f"churn {on(number)}" for number in range(20))
    assert (first.models[0].state, first.models[0].days, first.models[0].requests) == (State.WELL, 20, 200)
    one = production.days()[0]
    assert (one.date, one.requests, one.errors, one.labelled) == (on(0), 200, 0, 200)
    assert {each.metric for each in one.live} == {"roc_auc", "accuracy"}
    for file in (*(production.path / "logs").iterdir(), *(production.path / "labels").iterdir()):
        file.unlink()
    again = production.watch(19)
    assert (again.looked_at, again.models) == ((), first.models)


def test_nothing_is_written_unless_asked(production: Production) -> None:
    production.log(0)
    assert production.watch(0, record=False).looked_at == (f"churn {on(0)}",)
    assert production.days() == []


@pytest.mark.parametrize("form", ["rows", "bodies"])
def test_a_change_alarms(production: Production, form: str) -> None:
    for number in range(24):
        production.log(number, labels=False, form=form, missing=0.3 if number >= 20 and form == "rows" else 0.0)
    found = production.health(23)
    if form == "rows":
        assert (found.state, found.findings[0].code, found.findings[0].since) == (State.ALARM, "missing", on(20))
    else:
        assert found.state is State.WELL
        assert found.unlogged == ()


def test_the_two_forms_of_a_log_come_to_the_same(production: Production) -> None:
    files, found = [], []
    for form in ("rows", "bodies"):
        production.log(0, form=form)
        files.append(production.path / "logs" / f"{on(0)}.jsonl")
        model = RepositoryContext.of_laptop(production.path, os.environ, lambda _: None).config.models[0]
        found.append(read_day(wanted(model, sketch(), files[-1:], [production.path / "labels" / f"{on(0)}.jsonl"])))
    assert found[0] == found[1]
    assert (found[0].requests, found[0].errors, found[0].labelled) == (200, 0, 200)


def test_labels_may_come_later(production: Production) -> None:
    production.log(0, labels=False)
    assert production.watch(0).looked_at == (f"churn {on(0)}",)
    assert production.days()[0].labelled is None
    production.log(0)
    production.log(1)
    assert production.watch(1).looked_at == (f"churn {on(1)}", f"churn {on(0)}")
    entries = production.days()
    assert [(each.date, each.requests, each.labelled) for each in entries] == [
        (on(0), 200, None),
        (on(0), None, 200),
        (on(1), 200, 200),
    ]
    assert production.watch(1).looked_at == ()


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ([], "there are no logs of this day"),
        (["not json"] * 10, "10 of 10 lines of the logs are no JSON that is a request"),
        (["[1, 2]"] * 10, "10 of 10 lines of the logs are no JSON that is a request"),
        (["[" * 100_000] * 3, "3 of 3 lines"),
        (['{"inputs": [{"name": "age", "shape": [1000000, 1000000], "data": [1]}]}'] * 3, "3 of 3 lines"),
        (['{"inputs": [{"name": "age", "shape": [1], "data": [[[[[[1]]]]]]}]}'] * 3, "3 of 3 lines"),
        (['{"inputs": []}'] * 3, "3 of 3 lines"),
        (["PAR1 and nothing of it"], "cannot be read"),
    ],
)
def test_what_cannot_be_read_is_not_known(production: Production, lines: list[str], why: str) -> None:
    file = production.write(0, lines)
    if not lines:
        file.unlink()
    found = production.health(0)
    assert (found.state, found.why) == (State.UNKNOWN, Why.NOT_LOOKED_AT)
    assert why in found.detail
    assert production.days() == []


def test_labels_that_cannot_be_read_cost_no_more_than_themselves(production: Production) -> None:
    production.log(0)
    production.write(0, ["{"] * 10, "labels")
    found = production.health(0)
    assert (found.state, found.requests) == (State.UNKNOWN, 200)
    assert "lines of the labels" in found.detail
    assert [each.labelled for each in production.days()] == [None]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ({"id": "0-{}", "churned": "yes"}, "the labels have no columns id and left"),
        ({"request": "0-{}", "left": "yes"}, "the labels have no columns id and left"),
        ({"id": "other-{}", "left": "yes"}, "none of 50 labels has the id of a request of that day"),
    ],
)
def test_labels_that_are_nobodys_are_said_to_be(production: Production, line: dict[str, str], said: str) -> None:
    production.log(0)
    lines = [{key: value.format(row) for key, value in line.items()} for row in range(50)]
    production.write(0, [*lines], "labels")
    found = production.health(0)
    assert (found.state, found.requests) == (State.UNKNOWN, 200)
    assert said in found.detail


def test_odd_values_are_counted_and_shown_nowhere(production: Production) -> None:
    odd: list[dict[str, Any]] = [
        {"age": "forty", "plan": {"a": 1}, "score": 0.4},
        {"age": 10**400, "plan": "\x1b[31m" + "x" * 10_000, "score": "high"},
        {"age": float("nan"), "plan": None, "score": None},
        {"age": True, "plan": 7, "score": 2},
        {},
    ]
    production.write(0, [json.dumps(each) if "forty" in str(each) else each for each in odd * 10])
    found = production.health(0)
    assert found.requests == 50
    (written,) = production.days()
    assert written.errors == 40
    assert "x" * 20 not in written.model_dump_json()


def test_a_ledger_that_may_be_public_has_no_count_of_one_to_four(production: Production) -> None:
    production.log(0, rows=60)
    production.watch(0)
    (written,) = production.days()
    assert written.counts is not None
    counts = [
        rows for part in (written.counts.features, written.counts.answers) for each in part for rows in each.every
    ]
    assert not {1, 2, 3, 4} & {*counts}
    assert written.requests == 60


def test_compressed_logs_and_globs(production: Production) -> None:
    config = CONFIG.replace("logs/{date}.jsonl", "logs/{date}/*")
    production.story.clone.commit({"mlbot.yaml": config})
    production.story.clone.git("push", "--quiet", "origin", "HEAD:main")
    production.log(0)
    whole = production.path / "logs" / f"{on(0)}.jsonl"
    folder = production.path / "logs" / on(0)
    folder.mkdir()
    (folder / "part-0.jsonl.gz").write_bytes(gzip.compress(whole.read_bytes()))
    frame = pl.read_ndjson(whole)
    frame.write_parquet(folder / "part-1.parquet")
    (folder / "_SUCCESS").write_text("")
    assert production.health(0).requests == 400


def test_the_version_that_was_live_follows_from_the_ledger(production: Production) -> None:
    for number in range(4):
        production.log(number)
    production.story.tell(
        release("1.1.0", model="churn", digest=digest(101)),
        deployment(2, "1.1.0", "production", model="churn", digest=digest(101), time=f"{on(1)}T12:00:00Z"),
    )
    found = production.health(3)
    assert (found.version, found.state, found.why) == ("1.1.0", State.UNKNOWN, Why.NO_REFERENCE)
    assert [(each.date, each.version) for each in production.days()] == [(on(0), "1.0.0")]
    assert production.health(1).why is Why.CHANGED_OVER


def test_a_day_that_is_not_over_is_never_looked_at(production: Production) -> None:
    production.log(1)
    with pytest.raises(UsageError, match="is not over"):
        production.watch(0, date=on(1))
    with pytest.raises(UsageError, match="is after"):
        production.watch(1, date=on(0), since=on(1))
    production.watch(0)
    assert production.days() == []


@pytest.mark.parametrize(
    ("states", "exit_"),
    [
        ([State.WELL], Exit.OK),
        ([State.WELL, State.LEARNING], Exit.INCONCLUSIVE),
        ([State.LEARNING, State.UNKNOWN], Exit.NOT_EVALUATED),
        ([State.UNKNOWN, State.ALARM, State.WELL], Exit.FAILED),
    ],
)
def test_the_exit_code_is_that_of_the_worst(states: list[State], exit_: Exit) -> None:
    one = Health(model="churn", environment="production", version=None, day=on(0), state=State.WELL)
    assert exit_of([one.model_copy(update={"state": each}) for each in states]) == exit_


def test_the_command_line(production: Production, capsys: pytest.CaptureFixture[str]) -> None:
    production.log(0)
    verb = ["monitor", "churn", "-C", str(production.path)]
    assert entry.invoke([*verb, "--date", on(0), "--json"]) == Exit.INCONCLUSIVE
    (one,) = json.loads(capsys.readouterr().out)["models"]
    assert (one["state"], one["requests"]) == ("learning", 200)
    assert entry.invoke([*verb, "--date", "yesterday"]) == Exit.USAGE
    assert entry.invoke([*verb[:1], "nobody", *verb[2:]]) == Exit.USAGE
    capsys.readouterr()
    assert entry.invoke([*verb, "--date", on(2)]) == Exit.NOT_EVALUATED
    said = capsys.readouterr()
    assert "could not be looked at" in said.out
    assert "not that of main" not in said.err
    (production.path / "mlbot.yaml").write_text(CONFIG.replace("labels: ", "ignore: [age], labels: "))
    entry.invoke([*verb, "--date", on(2)])
    assert "The `monitor:` of churn in this folder is not that of main, which counts" in capsys.readouterr().err


def test_a_dry_run_says_what_the_workflow_would_write(
    production: Production, capsys: pytest.CaptureFixture[str]
) -> None:
    alarms = ", alarms: {days: 1, then: retrain, stamp: again.txt}}"
    clone = production.story.clone
    clone.commit({"mlbot.yaml": CONFIG.replace("prediction: score}", f"prediction: score{alarms}")})
    clone.git("push", "--quiet", "origin", "main")
    for number in range(24):
        production.log(number, missing=0.3 if number >= 20 else 0.0)
    verb = ["monitor", "-C", str(production.path), "--dry-run", "--date", on(23)]
    assert entry.invoke(verb) == Exit.FAILED
    text = capsys.readouterr().out
    assert "would bring the issue 'churn in production: alarm since" in text
    assert "more missing values" in text
    assert "would propose 1 file from mlbot-refresh-churn to main: Train churn again" in text
    assert entry.invoke([*verb, "--json"]) == Exit.FAILED
    assert [each["kind"] for each in json.loads(capsys.readouterr().out)] == ["issue", "proposal"]
    assert production.days() == []
