"""Files that are large, hostile or random: a config or a list of problems, in little time, and never anything else."""

import random
import time
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support import config_texts as texts
from tests.support.config_texts import parse
from tests.support.tiers import examples

from mlbot.config.errors import INVISIBLE, ConfigError, Document, Plain, is_delivered_name
from mlbot.config.schema import Config, json_schema, parse_config
from mlbot.config.yaml import load


def test_thousands_of_problems_are_counted_and_not_all_printed() -> None:
    text = texts.SMALL + "".join(f"unknown{number}: 1\n" for number in range(5000))
    start = time.process_time()
    with pytest.raises(ConfigError) as caught:
        parse(text)
    lines = str(caught.value).splitlines()
    assert time.process_time() - start < 5.0
    assert (len(lines), *lines[-2:]) == (102, "… and 4900 more", "5000 problems in mlbot.yaml")


HOSTILE = {
    "gates": "".join(f"      profit{n}@x: {{max_regression: 1}}\n" for n in range(3000)),
    "metrics": texts.SMALL.replace("[roc_auc]", f"[{', '.join(f'a:f{n}' for n in range(3000))}]"),
    "slices": "".join(f"      s{n}: x = 1\n" for n in range(3000)),
    "environments": "environments:\n" + "".join(f"  e{n}: {{target: x, after: e{n + 1}}}\n" for n in range(3000)),
}


@pytest.mark.parametrize(
    "text",
    [
        texts.SMALL + HOSTILE["gates"],
        HOSTILE["metrics"] + HOSTILE["gates"],
        texts.SMALL.replace("    metrics:", HOSTILE["slices"] + "    metrics:") + HOSTILE["gates"],
        HOSTILE["environments"] + texts.SMALL,
        HOSTILE["environments"].replace("after: e3000", "after: e0") + texts.SMALL,
        texts.SMALL.replace("x = 1", f"'{'(' * 1_000_000}'"),
        texts.SMALL.replace("run: make", f"run: {'x' * 1_000_000}"),
        texts.SMALL.replace("min: 0.9", f"min: {'9' * 100_000}"),
    ],
    ids=range(8),
)
def test_large_hostile_files_take_little_time(text: str) -> None:
    start = time.process_time()
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert len(str(caught.value)) < 200_000
    assert time.process_time() - start < 10.0


def keys(part: Any) -> set[str]:
    """Every key that a schema knows."""
    if isinstance(part, list):
        return {key for inside in part for key in keys(inside)}
    return set(part.get("properties", ())) | keys([*part.values()]) if isinstance(part, dict) else set()


KEYS = sorted({*keys(json_schema()), "f1@s", "m", "s", "<<"})
WORDS = [
    "binary",
    "regression",
    "roc_auc",
    "a:b_loss",
    "x = 1",
    "30m",
    "data.csv",
    "s3://a/b",
    "warn",
    "higher",
    "\ud800",
]
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.sampled_from(WORDS), st.just(10**500)
)
PLAIN = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=4), inner, max_size=6)
    ),
    max_leaves=25,
)


def outcome(data: Plain) -> Config | ConfigError:
    try:
        return parse_config(Document(source="x", data=data))
    except ConfigError as error:
        return error


@given(PLAIN)
@settings(max_examples=examples(150))
def test_any_data_is_a_config_or_a_list_of_problems(data: Plain) -> None:
    result = outcome(data)
    if isinstance(result, ConfigError):
        assert result.problems
        assert not INVISIBLE.search(str(result).replace("\n", ""))


def spots(data: Any) -> list[tuple[Any, Any]]:
    """Every container with a key or index into it."""
    inside: list[tuple[Any, Any]] = []
    for key, value in data.items() if isinstance(data, dict) else enumerate(data):
        inside.append((data, key))
        if isinstance(value, dict | list):
            inside.extend(spots(value))
    return inside


@given(
    st.randoms(use_true_random=False), st.lists(PLAIN, min_size=1, max_size=3), st.sampled_from(["put", "drop", "add"])
)
@settings(max_examples=examples(150))
def test_a_valid_file_with_anything_in_any_place(rng: random.Random, values: list[Plain], how: str) -> None:
    data: Any = load(texts.DESIGN, "x").data
    for value in values:
        container, key = rng.choice(spots(data))
        if how == "drop":
            del container[key]
        elif how == "add" and isinstance(container, dict):
            container[rng.choice(KEYS)] = value
        else:
            container[key] = value
    result = outcome(data)
    if isinstance(result, Config):
        assert Config.model_validate_json(result.model_dump_json()) == result


NAMES = st.from_regex(r"[a-z0-9]{1,3}([._-][a-z0-9]{1,2}){0,2}", fullmatch=True).filter(is_delivered_name)
COLUMN = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "Zs"]), min_size=1, max_size=8).filter(
    str.strip
)
BOUNDS = st.fixed_dictionaries(
    {"max_regression": st.floats(0, 1)}, optional={"min": st.floats(0, 0.5), "max": st.floats(0.5, 1)}
)
MODELS = st.fixed_dictionaries(
    {
        "task": st.just("binary"),
        "train": st.fixed_dictionaries({"run": st.just("make")}, optional={"seeds": st.integers(1, 32)}),
        "data": st.fixed_dictionaries(
            {"holdout": st.just("h.csv"), "target": st.just("y")},
            optional={"positive": COLUMN, "drop": st.lists(COLUMN, min_size=1, unique=True)},
        ),
        "metrics": st.lists(st.sampled_from(["roc_auc", "f1", "a:my_score"]), min_size=1, unique=True),
        "gates": st.dictionaries(st.sampled_from(["roc_auc", "f1", "accuracy"]), BOUNDS, min_size=1),
    }
)


@given(st.dictionaries(NAMES, MODELS, min_size=1, max_size=3))
@settings(max_examples=examples(50))
def test_a_config_survives_yaml_and_json(models: Any) -> None:
    for model in models.values():
        if "drop" in model["data"]:
            model["data"]["drop"] = [
                f"c{column}" for column in model["data"]["drop"] if not INVISIBLE.search(column)
            ] or ["c"]
        if INVISIBLE.search(model["data"].get("positive", "")):
            del model["data"]["positive"]
    config = outcome({"models": models})
    assert isinstance(config, Config), config
    assert parse(yaml.safe_dump({"models": models}, allow_unicode=True, sort_keys=False)) == config
    assert Config.model_validate_json(config.model_dump_json()) == config
