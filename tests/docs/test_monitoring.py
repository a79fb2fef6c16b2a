"""The guide to watching production: its config is valid, its session is what mlbot says, its logs are read."""

import json
import re
from pathlib import Path

import pytest
from tests.support.config_texts import parse
from tests.support.watching import CONFIG, Production, on, sketch, watched

from mlbot import entry
from mlbot.errors import Exit
from mlbot.ml.logs import MOST_LINE
from mlbot.ml.production import UNREAD
from mlbot.monitoring import run_monitor
from mlbot.monitoring.day import FLOOR
from mlbot.monitoring.run_day import DayRead, read_day, wanted
from mlbot.stats.drift import BASE, KNOWN, LEVEL, WINDOWS

pytestmark = pytest.mark.usefixtures("git_settings")
PAGE = (Path(__file__).parents[2] / "docs" / "monitoring.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def blocks(kind: str) -> list[str]:
    return [text for name, text in BLOCKS if name == kind]


def test_its_config_is_the_one_that_is_tested() -> None:
    assert parse(blocks("yaml")[0]) == parse(CONFIG)


def test_the_session_is_what_mlbot_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_monitor, "read_apart", read_day)
    production = Production(watched(tmp_path))
    for number in range(24):
        plans = [0.35, 0.25, 0.4] if number >= 21 else [0.6, 0.3, 0.1]
        production.log(number, rows=400, missing=0.12 if number >= 20 else 0.0, plans=plans)
    production.watch(23)
    command, *said = blocks("console")[0].splitlines()
    words = command.split()
    assert words[:2] == ["$", "mlbot"]
    assert on(23) in words
    assert entry.invoke([*words[2:], "-C", str(production.path)]) == Exit.FAILED
    assert capsys.readouterr().out.splitlines() == said


def test_its_logs_are_requests(tmp_path: Path) -> None:
    (model,) = parse(CONFIG).models
    found: list[DayRead] = []
    for text in blocks("json"):
        json.loads(text)
        file = tmp_path / f"{len(found)}.jsonl"
        file.write_text(text * 30)
        found.append(read_day(wanted(model, sketch(), [file], [])))
    assert [(each.requests, each.errors, each.unread) for each in found] == [(30, 0, 0)] * 2
    age, _ = zip(*((each.counts.features if each.counts else ()) for each in found), strict=True)
    assert age[0] == age[1]


def test_its_figures_are_those_of_the_code() -> None:
    assert (LEVEL, WINDOWS, BASE, KNOWN, FLOOR, UNREAD) == (0.05, (2, 7, 14), 28, 18, 0.1, 0.01)
    assert MOST_LINE == 8 << 20
    for said in (
        "at most 5 % alarm in a year",
        "last 2, 7 or 14 days",
        "four weeks before",
        "18th day",
        "more than 1 %",
    ):
        assert said in PAGE.replace("\n", " ")
