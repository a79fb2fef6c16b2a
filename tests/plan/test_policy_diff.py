"""What a commit changes of the rules it is judged by."""

from typing import Any

import pytest
from tests.support.config_samples import GATES, config, model

from mlbot.config.gates import Slice
from mlbot.config.schema import Config, Model, OnInconclusive, Waivers
from mlbot.config.train import SeedRange
from mlbot.gates.metric import CATALOGUE, Bound, Direction, Gate, Metric, Task
from mlbot.lib.tree import Tree
from mlbot.plan.content_key import Side
from mlbot.plan.policy_diff import changed_rule_files, policy_changes

ROC_MIN, ROC_DROP, LOSS = GATES


def with_(base: Model | None = None, **update: Any) -> Config:
    return config((base or model()).model_copy(update=update))


def gate(gate_: Gate, **update: Any) -> Gate:
    return gate_.model_copy(update=update)


WOMEN = Slice(name="women", where="sex = 'F'")
OWN = Metric(name="own", direction=Direction.HIGHER, tasks=frozenset({Task.BINARY}), function="metrics:own")
METRICS = model().metrics

CASES = [
    (with_(gates=(ROC_MIN, LOSS)), "removes the gate roc_auc max_regression 0.005"),
    (with_(gates=(*GATES, gate(ROC_MIN, slice="women"))), "adds the gate roc_auc@women min 0.9"),
    (
        with_(gates=(ROC_MIN, ROC_DROP, gate(LOSS, limit=0.5))),
        "raises the limit of log_loss max from 0.35 to 0.5",
    ),
    (
        with_(gates=(ROC_MIN, gate(ROC_DROP, limit=0.0049999), LOSS)),
        "lowers the limit of roc_auc max_regression from 0.005 to 0.0049999",
    ),
    (
        with_(gates=(gate(ROC_MIN, limit=1.0, blocking=False), ROC_DROP, LOSS)),
        "raises the limit of roc_auc min from 0.9 to 1 and makes the gate roc_auc min 1 only inform, no longer block",
    ),
    (
        with_(gates=(gate(ROC_MIN, confident=True), ROC_DROP, LOSS)),
        "judges the gate roc_auc min 0.9 by its confidence bound",
    ),
    (with_(slices=()), "removes the slice women"),
    (with_(slices=(WOMEN, Slice(name="men", where="sex = 'M'"))), "adds the slice men"),
    (with_(slices=(Slice(name="women", where="false"),)), "changes the condition of the slice women"),
    (
        with_(slices=(Slice(name="women", where="sex = 'F'", min_rows=9000),)),
        "raises min_rows of the slice women from 500 to 9000",
    ),
    (with_(metrics=METRICS[:1]), "removes the metric log_loss"),
    (with_(metrics=(*METRICS, CATALOGUE["f1"])), "adds the metric f1"),
    (with_(model(data={"holdout": "new.csv"})), "changes data.holdout from data/holdout.csv to new.csv"),
    (with_(model(data={"sealed": "s3://b/s.csv"})), "changes data.sealed from unset to s3://b/s.csv"),
    (with_(model(data={"positive": "yes"})), "changes data.positive from unset to yes"),
    (with_(model(data={"threshold": 0.4})), "changes data.threshold from unset to 0.4"),
    (with_(model(data={"label": "model"})), "changes data.label from unset to model"),
    (
        with_(model(train={"depends": ("a.py", "b/")})),
        "changes train.depends from the whole repository to a.py, b/",
    ),
    (with_(model().model_copy(update={"anchor": False})), "changes anchor from true to false"),
    (with_(model(train={"seeds": SeedRange(start=1, most=1)})), "changes train.seeds from unset to 1"),
    (with_(model(train={"seeds": SeedRange()})), "changes train.seeds from unset to 2 to 5"),
    (config().model_copy(update={"guard": ("release",)}), "changes guard from the default branch to release"),
    (config().model_copy(update={"waivers": Waivers(by=("eve",))}), "changes waivers.by from nobody to eve"),
    (
        config().model_copy(update={"waivers": Waivers(author=True)}),
        "changes waivers.author from false to true",
    ),
    (
        config().model_copy(update={"inconclusive": OnInconclusive(promotion="warn")}),
        "changes inconclusive.promotion from block to warn",
    ),
]


@pytest.mark.parametrize(("head", "sentence"), CASES)
def test_one_change_is_one_sentence(head: Config, sentence: str) -> None:
    assert policy_changes(config(), head) == (sentence,)
    assert policy_changes(config(), head, config()) == (sentence,)


def test_a_metric_of_ones_own_that_changes() -> None:
    before, after = with_(metrics=(OWN,)), with_(metrics=(OWN.model_copy(update={"function": "metrics:other"}),))
    assert policy_changes(before, after) == ("changes how the metric own is computed or read",)


def test_no_change_no_sentence() -> None:
    assert policy_changes(config(), config()) == ()


def test_what_the_guarded_branch_changed_since_is_not_heads_doing() -> None:
    stricter = with_(gates=(*GATES, Gate(metric="f1", bound=Bound.MIN, limit=0.7)))
    assert policy_changes(stricter, config(), config()) == ()
    assert policy_changes(stricter, config(), None) == ("removes the gate f1 min 0.7",)


def test_models_are_named_where_there_are_several() -> None:
    two = config(model("one"), model("two"))
    head = config(model("one"), model("two").model_copy(update={"slices": ()}))
    assert policy_changes(two, head) == ("removes the slice women (model two)",)


def test_new_and_deleted_models_are_said_elsewhere() -> None:
    assert policy_changes(config(model("one"), model("gone")), config(model("one"), model("new"))) == ()


def test_files_come_last() -> None:
    assert policy_changes(config(), config(), files=("b\n", "a")) == ("changes a", "changes b\\n")


def files(**contents: str) -> Tree:
    every = {"holdout": "1", "metrics": "1", "train": "1"} | contents
    names = {"holdout": "data/holdout.csv", "metrics": "metrics.py", "train": "train.py"}
    return Tree({names[name]: ("100644", text * 40) for name, text in every.items()})


@pytest.mark.parametrize(
    ("policy", "head", "base", "found"),
    [
        (files(), files(), files(), ()),
        (files(), files(holdout="2"), files(), ("data/holdout.csv",)),
        (files(), files(metrics="2"), files(), ("metrics.py",)),
        (files(), files(train="2"), files(), ()),
        (files(metrics="3"), files(), files(), ()),
        (files(metrics="3"), files(), None, ("metrics.py",)),
        (files(holdout="3"), files(holdout="3"), files(), ()),
    ],
)
def test_which_rule_files_head_changes(policy: Tree, head: Tree, base: Tree | None, found: tuple[str, ...]) -> None:
    side = Side(config=with_(metrics=(OWN,)), tree=policy)
    assert changed_rule_files(side, head, base) == found
