"""The reference of mlbot.yaml says what is true, and all of it."""

import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from tests.support.config_texts import parse

from mlbot.config.errors import ConfigError
from mlbot.config.json_schema import schema
from mlbot.config.slice_sql import FUNCTIONS, TYPES
from mlbot.config.yaml import load
from mlbot.gates.metric import CATALOGUE, OPERATIONAL, Task
from mlbot.lib.constants import CONFIG_FILE

PAGE = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_every_block_is_a_valid_config(block: str) -> None:
    assert parse(block).models
    jsonschema.Draft202012Validator(schema()).validate(load(block, CONFIG_FILE).data)


def test_there_is_a_block_a_section() -> None:
    assert len(BLOCKS) == 10


BROKEN = """
version: 1
models:
  adult-income:
    metric: [roc_auc]
    task: binary
    train:
      run: python train.py


      timeout: 30 minutes
    data: {holdout: data/holdout.csv, target: income}
    slices:
      men: "sex = 'Male'"
      women: "sex = 'Female"
    gates:
      auc: {max_regression: 0.005}
"""


def test_the_problems_it_shows_are_what_is_said() -> None:
    with pytest.raises(ConfigError) as caught:
        parse(BROKEN)
    assert f"```text\n{caught.value}\n```" in PAGE


def names(part: Any) -> set[str]:
    if isinstance(part, list):
        return {name for inside in part for name in names(inside)}
    return set(part.get("properties", ())) | names(list(part.values())) if isinstance(part, dict) else set()


@pytest.mark.parametrize("name", sorted(names(schema())))
def test_every_setting_is_mentioned(name: str) -> None:
    assert f"`{name}`" in PAGE


@pytest.mark.parametrize("name", [*FUNCTIONS, *sorted(TYPES), *OPERATIONAL, *Task])
def test_every_word_of_a_closed_list_is_mentioned(name: str) -> None:
    assert f"`{name}`" in PAGE


@pytest.mark.parametrize("task", Task)
def test_the_table_of_metrics_is_complete(task: Task) -> None:
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{task}` |"))
    named = set(re.findall(r"`(\w+)`", row)) - {str(task)}
    assert named == {metric.name for metric in CATALOGUE.values() if task in metric.tasks}


def test_the_defaults_in_the_tables_are_those_of_the_schema() -> None:
    parts = schema()["$defs"]
    rows = {cells[1].strip("` "): cells[3].strip() for line in PAGE.splitlines() if len(cells := line.split("|")) == 5}
    assert rows["seeds"] == str(parts["train"]["properties"]["seeds"]["default"])
    assert rows["timeout"] == parts["train"]["properties"]["timeout"]["default"]
    assert rows["min_rows"] == str(parts["slice"]["anyOf"][1]["properties"]["min_rows"]["default"])
    assert rows["approvals"] == str(parts["environment"]["properties"]["approvals"]["default"])
