"""docs/drift.md: its configs are valid, and what it names is there."""

import re
from pathlib import Path

import pytest
from tests.support.config_texts import parse

from mlbot.lib.constants import MONITOR_PATH
from mlbot.monitoring.alarms import MOST_BYTES, MOST_FILES, branch_of
from mlbot.setup import scaffold

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "drift.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_every_config_is_valid(block: str) -> None:
    (model,) = parse(block).models
    assert model.monitor


def test_its_names_numbers_and_hour() -> None:
    assert f"`{MONITOR_PATH}`" in PAGE
    assert f"`{branch_of('MODEL')}`" in PAGE
    assert f"at most {MOST_BYTES >> 20} MiB each, {MOST_FILES} at most" in PAGE
    minute, hour = re.findall(r'cron: "(\d+) (\d+) ', scaffold.monitor_workflow(install=""))[0]
    assert f"({int(hour):02}:{minute} UTC)" in PAGE


def test_what_follows_is_explained() -> None:
    assert {each for each in ("none", "retrain", "refresh") if f"| `{each}` |" in PAGE} == {
        "none",
        "retrain",
        "refresh",
    }
    assert (ROOT / "tests" / "e2e" / "test_monitor.py").name in PAGE
