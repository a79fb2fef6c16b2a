"""The reference of mlbot.yaml says what is true, and all of it."""

import re

import jsonschema
import pytest
from tests.support.config_texts import parse

import configuration_tables
from mlbot.config.errors import ConfigError
from mlbot.config.schema import json_schema
from mlbot.config.slice_sql import FUNCTIONS, TYPES
from mlbot.config.yaml import load
from mlbot.gates.metric import OPERATIONAL, Task
from mlbot.lib.constants import CONFIG_FILE

PAGE = configuration_tables.PAGE.read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_every_block_is_a_valid_config(block: str) -> None:
    assert parse(block).models
    jsonschema.Draft202012Validator(json_schema()).validate(load(block, CONFIG_FILE).data)


def test_there_is_a_block_a_section() -> None:
    assert len(BLOCKS) == 17


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
      rocauc: {max_regression: 0.005}
"""


def test_the_problems_it_shows_are_what_is_said() -> None:
    with pytest.raises(ConfigError) as caught:
        parse(BROKEN)
    assert f"```text\n{caught.value}\n```" in PAGE


def test_the_tables_are_those_of_the_code() -> None:
    assert configuration_tables.rewritten(PAGE) == PAGE, "run `python docs/configuration_tables.py`"
    assert configuration_tables.rewritten(PAGE.replace("| must be there |", "| 3 |")) == PAGE


@pytest.mark.parametrize("name", [*FUNCTIONS, *sorted(TYPES), *OPERATIONAL, *Task])
def test_every_word_of_a_closed_list_is_mentioned(name: str) -> None:
    assert f"`{name}`" in PAGE
