"""What a config comes to stays what the landed version made of it: ledger entries are bound to these digests."""

import hashlib
import json
from pathlib import Path

import pytest

from mlbot.config.run_check import read
from mlbot.lib.tree import Tree
from mlbot.plan.content_key import Side
from mlbot.verdict.decide import policy_digest

DATA = Path(__file__).parent / "data"
FILES = (
    *("train.py", "income/train.py", "churn/lib/a.py", "churn/metrics.py", "churn/price.py", "features/a/b.sql"),
    *("data/train.csv", "data/holdout.csv", "data/price.csv", "data/topic.csv", "params.yaml", "requirements.txt"),
    *("pyproject.toml", "uv.lock", "src/income.py", "metrics.py"),
)
TREE = Tree({name: ("100644", f"{number:040x}") for number, name in enumerate(FILES)})
HOLDOUT = "sha256:" + "1" * 64

LANDED = {
    ("landed-example.yaml", "adult-income"): (
        "sha256:8abfa8dc5ef4a2e8f32cdee2be43cf5ec56726c870c43cda7be24621c52714b3",
        "sha256:6bbf9ba197fe04faeb3f9a33b1bca99c665b8b3c2b0fabbefa7167198bdebf23",
    ),
    ("landed-rich.yaml", "churn"): (
        "sha256:0752185b41add4ebb4b5ab9e944c9502c108ff87a4df7641cddc71552af82445",
        "sha256:ded3d1479550039f947ad82625d30d08aa780b7145ebe6aa6f02b2a59714c29e",
    ),
    ("landed-rich.yaml", "price"): (
        "sha256:bbd5c1adf42546dae3d87c150409a2e5e62e44b24616f49d152551abef565f9f",
        "sha256:d9b692dec306184765905a94b8e14f560188a864e8ebe714420ba9800978f8d5",
    ),
    ("landed-rich.yaml", "topic"): (
        "sha256:ca6a9e84b9ccada98430f3a4db67da0b6d35007c8e031e292030bb2a637520ac",
        "sha256:c2f860aabbc17bad0bba4b66908dbec657cc4f7c4480d4393d34e565733bcaa0",
    ),
    ("landed-design.yaml", "adult-income"): (
        "sha256:19bb78f46a8ba3296b57b1f0e91f129c13f84e6e91d88b8ecdaedef7401df6ef",
        "sha256:3b5538f7792746a74649c984b504e0de86179e328e41619ec0da69993be58893",
    ),
}
"""The policy digest and the content key by file and model, computed with the landed version."""


@pytest.mark.parametrize(("file", "model"), LANDED)
def test_policy_digests_and_content_keys_are_those_of_the_landed_version(file: str, model: str) -> None:
    config = read((DATA / file).read_bytes())
    found = config.model(model)
    assert found
    digests = (
        policy_digest(found, config.inconclusive, TREE, HOLDOUT),
        Side(config=config, tree=TREE).inputs(found).key,
    )
    assert digests == LANDED[file, model]


DUMPED = {
    "landed-design.yaml": "dbbac2610b6379f3241f754d9d1c2d622335ab9ee201ff7cb6dae79919af8db1",
    "landed-example.yaml": "2317d7d9c5749cf3e31d56a7ef0c3908b86da46430c3557a1e54f62c78c8a5ca",
    "landed-rich.yaml": "d77dc58e251e9c20ddcda7e1d3e63ec2472f2d42896cb2a8d759edbf4b250ee5",
}
"""Of the whole config as JSON, with its sets sorted."""


@pytest.mark.parametrize("file", DUMPED)
def test_the_json_of_a_config_is_that_of_the_landed_version(file: str) -> None:
    facts = json.loads(read((DATA / file).read_bytes()).model_dump_json())
    assert facts.pop("actions")["form"] is None  # came later, and no digest of a model is of it
    assert facts.pop("cost")["prices"] == {}  # as this did
    assert not any(each.pop(name) for each in facts["environments"] for name in ("endpoint", "shadow"))
    for model in facts["models"]:
        assert model.pop("anchor") is True
        assert model.pop("was") is None
        assert model.pop("monitor") is None
        assert model["data"].pop("types") == []  # settings of a later version, which are left out
        assert not any(model["data"].pop("csv").values())
        later = ("threshold", "label", "weight", "time", "series", "horizon", "season", "quantiles")
        assert not any(model["data"].pop(name) for name in (*later, "sealed", "id", "gates", "sketch"))
        assert [model["train"].pop(name) for name in ("environment", "notebook")] == [None] * 2
        assert [model.pop(name) for name in ("artifact", "predict", "evaluate")] == [None] * 3
        assert not any(model.pop("limits").values())
        seeds = model["train"]["seeds"]  # a range since; those files have a number each, or none
        model["train"]["seeds"] = 3 if seeds is None else seeds["start"]
        for metric in model["metrics"]:
            assert metric.pop("range") is None
            metric["tasks"] = sorted({*metric["tasks"]} & {"binary", "multiclass", "regression"})  # of later ones too
            if metric["name"].endswith("_macro"):  # of models with two classes too, since
                metric["tasks"].remove("binary")
            assert (metric.pop("of"), metric.pop("slices")) == (None, [])
            assert not any(value is not None for value in metric.pop("settings").values())
    assert hashlib.sha256(json.dumps(facts).encode()).hexdigest() == DUMPED[file]


def test_limits_are_a_rule_and_no_input_of_the_training() -> None:
    text = (DATA / "landed-example.yaml").read_text(encoding="utf-8")
    plain, other = (read(each) for each in (text, text.replace("    data:", "    limits: {size: 2GB}\n    data:", 1)))
    models = plain.models[0], other.models[0]
    one, two = (policy_digest(each, plain.inconclusive, TREE, HOLDOUT) for each in models)
    assert one != two
    keys = {Side(config=each, tree=TREE).inputs(model).key for each, model in zip((plain, other), models, strict=True)}
    assert len(keys) == 1


@pytest.mark.parametrize("setting", ['csv: {separator: ";"}', "threshold: 0.4", "label: model"])
def test_how_a_holdout_is_read_and_decided_is_a_rule_and_no_input_of_the_training(setting: str) -> None:
    text = (DATA / "landed-example.yaml").read_text(encoding="utf-8")
    plain, told = (read(each) for each in (text, text.replace("      target:", f"      {setting}\n      target:", 1)))
    names = plain.models[0].name
    one, other = plain.model(names), told.model(names)
    assert one is not None
    assert other is not None
    assert policy_digest(one, plain.inconclusive, TREE, HOLDOUT) != policy_digest(
        other, told.inconclusive, TREE, HOLDOUT
    )
    keys = {Side(config=each, tree=TREE).inputs(model).key for each, model in ((plain, one), (told, other))}
    assert len(keys) == 1
