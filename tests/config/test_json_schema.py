"""The JSON Schema and the parser, side by side."""

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support import config_texts as texts
from tests.support.config_refusals import INVALID
from tests.support.config_texts import Case, changed, problems
from tests.support.tiers import examples

from mlbot.config import load as parser
from mlbot.config import schema as sections
from mlbot.config.json_schema import schema
from mlbot.config.yaml import load

SCHEMA = schema()
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def schema_accepts(text: str) -> bool:
    return bool(VALIDATOR.is_valid(load(text, "x").data))


def test_is_a_schema_that_json_can_hold() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA


@pytest.mark.parametrize("text", [texts.DESIGN, texts.SMALL])
def test_accepts_the_examples(text: str) -> None:
    VALIDATOR.validate(load(text, "x").data)


@pytest.mark.parametrize("case", texts.VALID, ids=lambda case: case.new)
def test_accepts_what_the_parser_accepts(case: Case) -> None:
    VALIDATOR.validate(load(changed(case), "x").data)


@pytest.mark.parametrize("case", INVALID, ids=lambda case: case.new)
def test_refuses_what_the_parser_refuses_where_it_can(case: Case) -> None:
    assert schema_accepts(changed(case)) is not case.schema


def properties(*path: str) -> set[str]:
    found: Any = SCHEMA
    for key in path:
        found = found[int(key)] if isinstance(found, list) else found[key]
    return set(found["properties"])


def test_has_every_setting_of_the_parser() -> None:
    assert properties() == set(parser.CONFIG_KEYS)
    assert properties("properties", "inconclusive") == set(parser.INCONCLUSIVE_KEYS)
    assert properties("properties", "waivers") == set(parser.WAIVERS_KEYS)
    assert properties("$defs", "model") == set(parser.MODEL_KEYS)
    assert properties("$defs", "train") == set(sections.TRAIN_KEYS)
    assert properties("$defs", "data") == set(sections.DATA_KEYS)
    assert properties("$defs", "slice", "anyOf", "1") == set(sections.SLICE_KEYS)
    assert properties("$defs", "metric", "anyOf", "2") == set(sections.METRIC_KEYS)
    assert properties("$defs", "gate") == set(sections.GATE_KEYS)
    assert properties("$defs", "environment") == set(sections.ENVIRONMENT_KEYS)
    assert properties("$defs", "environment", "properties", "smoke") == set(sections.SMOKE_KEYS)


def settings_of(part: Any) -> list[tuple[str, Any]]:
    if not isinstance(part, dict):
        return [pair for inside in part for pair in settings_of(inside)] if isinstance(part, list) else []
    own = [pair for pair in part.get("properties", {}).items() if "gate" not in str(pair[1].get("$ref"))]
    return own + [pair for inside in part.values() for pair in settings_of(inside)]


def test_describes_every_setting() -> None:
    for name, part in settings_of(SCHEMA):
        target = SCHEMA["$defs"][part["$ref"].rsplit("/", 1)[1]] if "$ref" in part else part
        assert target.get("description", "").endswith("."), name


def test_its_defaults_are_valid_and_change_nothing() -> None:
    defaults = {name: part["default"] for name, part in settings_of(SCHEMA) if "default" in part}
    assert defaults == {
        "version": 1,
        "seeds": 3,
        "timeout": "30m",
        "runs-on": "ubuntu-latest",
        "min_rows": 500,
        "confident": False,
        "blocking": True,
        "pull_request": "warn",
        "promotion": "block",
        "approvals": 0,
        "author": False,
        "requests": 50,
    }
    text = "inconclusive: {pull_request: warn, promotion: block}\nwaivers: {author: false}\n" + texts.SMALL
    text = "version: 1\n" + text
    explicit = (
        text.replace("run: make", "run: make\n      seeds: 3\n      timeout: 30m\n      runs-on: ubuntu-latest")
        .replace("s: x = 1", "s: {where: x = 1, min_rows: 500}")
        .replace("min: 0.9", "min: 0.9\n        confident: false\n        blocking: true")
    )
    assert texts.parse(explicit) == texts.parse(texts.SMALL)


WORDS = st.sampled_from(
    ["", "a", "/a", "..", "a/..", "30m", "0s", "s3://a", "x = 1", "a:b_loss", "roc_auc", "main", "a b"]
)
LEAVES = st.one_of(WORDS, st.none(), st.booleans(), st.integers(-1, 40), st.floats(-1, 2), st.lists(WORDS, max_size=3))


@given(st.sampled_from([line.strip() for line in texts.SMALL.splitlines() if ": " in line]), LEAVES)
@settings(max_examples=examples(200))
def test_refuses_nothing_that_the_parser_accepts(line: str, value: object) -> None:
    text = changed(Case(line, f"{line.partition(':')[0]}: {json.dumps(value)}"))
    if not problems(text):
        VALIDATOR.validate(load(text, "x").data)


OPTIONAL = [
    "depends",
    "params",
    "seeds",
    "timeout",
    "runs-on",
    "lock",
    "positive",
    "drop",
    "features",
    "classes",
    "group",
]


@given(st.sampled_from(OPTIONAL), LEAVES)
@settings(max_examples=examples(200))
def test_refuses_no_optional_setting_that_the_parser_accepts(key: str, value: object) -> None:
    line = texts.RUN if key in sections.TRAIN_KEYS else texts.TARGET
    text = changed(Case(line, f"{line}\n{key}: {json.dumps(value)}"))
    if not problems(text):
        VALIDATOR.validate(load(text, "x").data)
