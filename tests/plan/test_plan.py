"""What a commit makes stale, and why; no repository needed."""

import json
import time
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import ledger_samples
from tests.support.config_samples import config, model

from mlbot.config.schema import Config, Model
from mlbot.config.train import SeedRange
from mlbot.errors import UsageError
from mlbot.gates.metric import Task
from mlbot.gates.outcome import Outcome
from mlbot.lib.record import digest
from mlbot.lib.tree import SUBMODULE, SYMLINK, Tree
from mlbot.plan.content_key import COLUMNS, LOCKS, Inputs, Side
from mlbot.plan.plan import Plan, PlannedModel, StaleCode, plan_models
from mlbot.verdict.verdict import Commits

COMMITS = Commits(head="a" * 40, base="b" * 40, policy="b" * 40, guarded="main")
FILES = {
    "mlbot.yaml": "1",
    "train.py": "1",
    "pkg/a.py": "1",
    "pkg/b.py": "1",
    "params.yaml": "1",
    "uv.lock": "1",
    "data/train.csv": "1",
    "data/holdout.csv": "1",
    "README.md": "1",
}
DEPENDS = {"depends": ("train.py", "pkg/", "data/train.csv"), "params": "params.yaml"}


Texts = Mapping[str, str]


def tree(files: Texts, modes: Texts | None = None, links: Texts | None = None) -> Tree:
    entries = {path: ((modes or {}).get(path, "100644"), digest(text)[-40:]) for path, text in files.items()}
    return Tree(entries | {path: (SYMLINK, digest(text)[-40:]) for path, text in (links or {}).items()}, links or {})


def side(files: Mapping[str, str] | None = None, *models: Model, outside: Mapping[str, str] | None = None) -> Side:
    return Side(config=config(*(models or (model(train=DEPENDS),))), tree=tree(files or FILES), outside=outside)


def only(head: Side, base: Side | None = None) -> PlannedModel:
    return plan_models(COMMITS, head, base or side()).models[0]


CHANGES: dict[str, tuple[dict[str, str | None], list[tuple[StaleCode, str]]]] = {
    "nothing": ({}, []),
    "another file": ({"README.md": "2"}, []),
    "the config's comments": ({"mlbot.yaml": "2"}, []),
    "the holdout": ({"data/holdout.csv": "2"}, []),
    "code": ({"train.py": "2"}, [(StaleCode.CODE, "train.py changed")]),
    "a file more": ({"pkg/c.py": "new"}, [(StaleCode.CODE, "pkg/c.py was added")]),
    "a file less": ({"pkg/b.py": None}, [(StaleCode.CODE, "pkg/b.py was deleted")]),
    "data": ({"data/train.csv": "2"}, [(StaleCode.DATA, "data/train.csv changed")]),
    "params": ({"params.yaml": "2"}, [(StaleCode.PARAMS, "params.yaml changed")]),
    "lock": ({"uv.lock": "2"}, [(StaleCode.ENVIRONMENT, "uv.lock changed")]),
    "another lock": (
        {"uv.lock": None, "requirements.txt": "1"},
        [(StaleCode.ENVIRONMENT, "requirements.txt is used instead of uv.lock")],
    ),
    "no lock": ({"uv.lock": None}, [(StaleCode.ENVIRONMENT, "uv.lock is no longer used")]),
    "many": (
        {"pkg/a.py": "2", "pkg/b.py": "2", "pkg/c.py": "new", "pkg/d.py": "new", "train.py": "2"},
        [(StaleCode.CODE, "pkg/a.py changed, pkg/b.py changed, pkg/c.py was added, and 2 more files")],
    ),
    "one more than is named": (
        {"pkg/a.py": "2", "pkg/b.py": "2", "pkg/c.py": "new", "train.py": "2"},
        [(StaleCode.CODE, "pkg/a.py changed, pkg/b.py changed, pkg/c.py was added, and 1 more file")],
    ),
    "code and data": (
        {"train.py": "2", "data/train.csv": "2"},
        [(StaleCode.CODE, "train.py changed"), (StaleCode.DATA, "data/train.csv changed")],
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_changed_is_said(name: str) -> None:
    changes, expected = CHANGES[name]
    files = {path: text for path, text in (FILES | changes).items() if text is not None}
    planned = only(side(files))
    assert [(reason.code, reason.text) for reason in planned.reasons] == expected
    assert planned.stale == bool(expected)
    assert (planned.key == planned.base_key) == (not expected)


def test_a_rename_is_said_as_one() -> None:
    files = {path: text for path, text in FILES.items() if path != "pkg/b.py"} | {"pkg/new.py": "only here"}
    before = FILES | {"pkg/b.py": "only here"}
    assert only(side(files), side(before)).reasons[0].text == "pkg/b.py was renamed to pkg/new.py"


def test_a_change_of_mode_is_said() -> None:
    head = Side(config=side().config, tree=tree(FILES, {"train.py": "100755"}))
    assert only(head).reasons[0].text == "train.py changed its mode"


def test_a_link_brings_its_target() -> None:
    files = {path: text for path, text in FILES.items() if path != "data/train.csv"}
    sides = [
        Side(
            config=side().config, tree=tree(files | {"store/v1.csv": text}, links={"data/train.csv": "../store/v1.csv"})
        )
        for text in "12"
    ]
    assert only(sides[1], sides[0]).reasons[0].code is StaleCode.DATA


def test_a_submodule_counts_with_its_commit() -> None:
    chosen = model(train={"depends": ("lib/deep/file.py",)})
    sides = [
        Side(config=config(chosen), tree=Tree({**tree(FILES).entries, "lib": (SUBMODULE, number * 40)}))
        for number in "12"
    ]
    assert only(sides[1], sides[0]).reasons[0].text == "lib changed"


def test_without_depends_it_is_the_whole_repository_but_config_and_holdouts() -> None:
    whole = model()
    for path in FILES:
        planned = only(side(FILES | {path: "2"}, whole), side(FILES, whole))
        assert planned.stale == (path not in {"mlbot.yaml", "data/holdout.csv"}), path


@pytest.mark.parametrize("path", ["data/", "data/*.csv", "data/holdout.csv", ":/data/holdout.csv", "link.csv"])
def test_no_name_makes_a_model_depend_on_the_holdout(path: str) -> None:
    chosen = model(train={"depends": ("train.py", path)})
    seen = Side(config=config(chosen), tree=tree(FILES, links={"link.csv": "data/holdout.csv"})).files(chosen)
    assert "train.py" in seen
    assert "data/holdout.csv" not in seen


def test_a_model_depends_on_its_entry_point_whatever_depends_says() -> None:
    chosen = model(train={"run": None, "entrypoint": "pkg.a:train", "depends": ("README.md",)})
    assert only(side(FILES | {"pkg/a.py": "2"}, chosen), side(FILES, chosen)).reasons[0].text == "pkg/a.py changed"


def test_other_patterns_for_the_same_files_change_nothing() -> None:
    spelled = model(train={**DEPENDS, "depends": ("./train.py", "pkg/**/*.py", "data/tr*.csv")})
    assert not only(side(FILES, spelled)).stale


def test_patterns_for_other_files_are_said() -> None:
    narrowed = model(train={**DEPENDS, "depends": ("train.py", "README.md", "data/train.csv")})
    text = only(side(FILES, narrowed)).reasons[0].text
    assert text.startswith("README.md was added to `depends`, pkg/a.py was taken out of `depends`")


@pytest.mark.parametrize(
    ("train", "where"),
    [
        ({"depends": ("missing/*.py",)}, "train.depends names 'missing/*.py'"),
        ({"params": "missing.yaml"}, "train.params names 'missing.yaml'"),
        ({"lock": "missing.lock"}, "train.lock names 'missing.lock'"),
        ({"depends": ("../up",)}, "leads out of the repository"),
    ],
)
def test_what_matches_nothing_is_an_error_at_head_and_a_reason_at_base(train: dict[str, Any], where: str) -> None:
    broken = side(FILES, model(train=train))
    with pytest.raises(UsageError, match="|".join([where.replace("*", ".")])):
        only(broken)
    planned = only(side(), broken)
    assert planned.base_key is None
    assert planned.reasons[0].code is StaleCode.BROKEN_BASE
    assert where in planned.reasons[0].text


def test_new_and_deleted_models() -> None:
    head = side(FILES, model("kept"), model("new"))
    base = side(FILES, model("kept"), model("gone"))
    plan = plan_models(COMMITS, head, base)
    assert [(planned.name, planned.stale) for planned in plan.models] == [("kept", False), ("new", True)]
    assert plan.models[1].reasons[0].code is StaleCode.NEW
    assert plan.deleted == ("gone",)
    assert plan.unchanged == ("kept",)


def test_a_trial_is_of_one_model_and_deletes_none() -> None:
    plan = plan_models(COMMITS, side(FILES, model("one"), model("two")), side(FILES, model("gone")))
    assert plan.deleted == ("gone",)
    trial = plan.trial_of("two")
    assert ([each.name for each in trial.models], trial.deleted) == (["two"], ())


def test_without_a_config_at_base() -> None:
    plan = plan_models(COMMITS, side(), None)
    assert plan.models[0].reasons[0].code is StaleCode.NO_BASELINE
    assert plan.models[0].reasons[0].text == "the guarded branch has no mlbot.yaml to compare with"
    assert plan.deleted == ()


def test_without_a_common_history_the_guarded_branch_tells_what_was_deleted() -> None:
    alone = COMMITS.model_copy(update={"base": None})
    assert plan_models(alone, side(), None, side(FILES, model("gone"))).deleted == ("gone",)


def test_asking_for_one_model_plans_it_stale_or_not() -> None:
    head = side(FILES, model("one"), model("two"))
    plan = plan_models(COMMITS, head, head, only=("two",))
    assert [(planned.name, planned.reasons[0].code) for planned in plan.models] == [("two", StaleCode.REQUESTED)]
    with pytest.raises(UsageError, match="Did you mean 'two'"):
        plan_models(COMMITS, head, head, only=("twoo",))
    with pytest.raises(UsageError, match="The models are: one, two"):
        plan_models(COMMITS, head, head, only=("zebra",))


def test_data_outside_git_counts_by_its_content_where_it_can_be_seen() -> None:
    files = {path: text for path, text in FILES.items() if path != "data/train.csv"}
    chosen = model(train={"depends": ("train.py",)})
    contents = [{"data/train.csv": digest(text)} for text in "12"]
    keys = {only(side(files, chosen, outside=content)).key for content in (*contents, None)}
    assert len(keys) == 3


def test_data_behind_a_link_out_of_the_repository_counts_by_its_content() -> None:
    files = {path: text for path, text in FILES.items() if path != "data/train.csv"}
    linked = tree(files, links={"data/train.csv": "../../shared/train.csv"})
    chosen = config(model(train={"depends": ("train.py",)}))
    contents = [{"data/train.csv": digest(text)} for text in "12"]
    sides = [Side(config=chosen, tree=linked, outside=content) for content in contents]
    assert sides[0].is_outside("data/train.csv")
    assert len({only(each).key for each in sides}) == 2


def test_a_dvc_file_stands_for_its_data() -> None:
    files = {path: text for path, text in FILES.items() if path != "data/train.csv"}
    chosen = model(train={"depends": ("train.py",)})
    for pointer in ("data/train.csv.dvc", "data.dvc"):
        old, new = (side(files | {pointer: text}, chosen) for text in "12")
        assert not old.is_outside("data/train.csv")
        assert only(new, old).reasons[0].text == "data/train.csv changed"


def test_an_url_counts_by_its_name() -> None:
    sides = [
        side(FILES, model(train={"depends": ("train.py",)}, data={"train": f"s3://bucket/{name}.csv"})) for name in "ab"
    ]
    planned = only(sides[1], sides[0])
    texts = [reason.text for reason in planned.reasons]
    assert texts == ["no longer trains on s3://bucket/a.csv", "now trains on s3://bucket/b.csv"]


DEPENDING = model(train=DEPENDS)
UNJUDGED = [
    DEPENDING.model_copy(update={"gates": ()}),
    DEPENDING.model_copy(update={"slices": ()}),
    DEPENDING.model_copy(update={"metrics": DEPENDING.metrics[:1]}),
    model(train={**DEPENDS, "seeds": SeedRange(start=1, most=1)}),
    model(train={**DEPENDS, "timeout_s": 5.0, "runs_on": ("gpu",)}),
    model(train=DEPENDS, data={"holdout": "README.md"}),
    model(train={**DEPENDS, "depends": ("train.py", "pkg/")}),
]


@pytest.mark.parametrize("changed", UNJUDGED)
def test_what_does_not_change_the_bytes_is_not_in_the_key(changed: Model) -> None:
    assert not only(side(FILES, changed), side(FILES, DEPENDING)).stale


SEEDS = {
    None: None,
    "1": SeedRange(start=1, most=1),
    "3": SeedRange(start=3, most=3),
    "8": SeedRange(start=8, most=8),
    "2-5": SeedRange(),
}


@pytest.mark.parametrize(
    ("head", "policy", "looks", "by_history"),
    [
        (None, None, (3,), True),
        ("3", "3", (3,), False),
        ("1", "3", (3,), False),
        ("8", "3", (8,), False),
        ("1", None, (3,), True),
        (None, "1", (3,), True),
        ("8", None, (8,), False),
        (None, "8", (8,), False),
        ("2-5", "2-5", (2, 3, 5), False),
        ("2-5", "3", (3, 5), False),
        ("3", "2-5", (3, 5), False),
        ("2-5", None, (3,), True),
        ("8", "2-5", (8,), False),
    ],
)
def test_a_change_asks_for_no_fewer_seeds_than_the_guarded_branch_does(
    head: str | None, policy: str | None, looks: tuple[int, ...], *, by_history: bool
) -> None:
    ours, theirs = (side(FILES, model(train={**DEPENDS, "seeds": SEEDS[each]})) for each in (head, policy))
    (planned,) = plan_models(COMMITS, ours, theirs, theirs).models
    assert (planned.design.looks, planned.by_history) == (looks, by_history)
    assert planned.seeds == looks[0]


@pytest.mark.parametrize(
    ("recipes", "changes", "looks"),
    [
        (3, {}, (3,)),  # 6 degrees of freedom
        (4, {}, (2, 3, 5)),
        (4, {"holdout": ledger_samples.digest(6)}, (3,)),  # of the newest verdict, which nothing else was judged on
        (4, {"model": "churn"}, (2, 3, 5)),
    ],
)
def test_what_the_ledger_knows_of_seeds_decides_how_many_are_trained_where_no_config_does(
    recipes: int, changes: dict[str, Any], looks: tuple[int, ...]
) -> None:
    past = [ledger_samples.entry(run, model="income", key=ledger_samples.digest(run)) for run in range(1, recipes + 1)]
    past.append(ledger_samples.entry(99, model="income", key=past[-1].key).model_copy(update=changes))
    before, after = (side(FILES | {"train.py": text}, DEPENDING) for text in "ab")
    plan = plan_models(COMMITS, after, before, before).with_history(past)
    assert (plan.models[0].design.looks, plan.models[0].seeds) == (looks, looks[0])
    own = [each.model_copy(update={"key": plan.models[0].base_key}) for each in past]  # its own seeds are no history
    assert plan.with_history(own).models[0].seeds == 3


HEAD, RULES = COMMITS.head, ledger_samples.digest(8)


@pytest.mark.parametrize(
    ("verdict", "code"),
    [
        (None, StaleCode.CODE),
        ({"commit": HEAD}, None),
        ({"commit": HEAD, "outcome": Outcome.FAIL}, StaleCode.CODE),  # who runs it again asks for another one
        ({"outcome": Outcome.FAIL, "files": ()}, None),
        ({"outcome": Outcome.ERROR}, StaleCode.CODE),
        ({}, StaleCode.BACK),
        ({"commit": HEAD, "policy": ledger_samples.digest(9)}, StaleCode.POLICY),
    ],
)
def test_the_guarded_branch_judges_what_no_verdict_settles(
    verdict: dict[str, Any] | None, code: StaleCode | None
) -> None:
    plan = plan_models(COMMITS, side(FILES | {"train.py": "2"}), side())
    (planned,) = plan.models
    at = planned.name, planned.key
    entry = None if verdict is None else ledger_samples.entry().model_copy(update={"policy": RULES} | verdict)
    (found,) = plan.unjudged({at: entry} if entry else {}, {planned.name: RULES}).models
    assert found.stale is (code is not None)
    assert [reason.code for reason in found.reasons] == [code] * found.stale


@pytest.mark.parametrize(("same", "seeds"), [("key", 1), ("recipe", 1), (None, 2)])
def test_a_deterministic_recipe_is_trained_once_and_another_one_twice_but_in_a_trial(
    same: str | None, seeds: int
) -> None:
    before, after = (side(FILES | {"train.py": text}, DEPENDING) for text in "ab")
    plan = plan_models(COMMITS, after, before, before)
    known = {same: getattr(plan.models[0], same)} if same else {}
    past = [ledger_samples.entry(1, model="income", deterministic=True, **known)]
    assert plan.with_history(past).models[0].seeds == seeds
    assert plan.with_history(past, trial=True).models[0].seeds == 3


def test_settings_are_named() -> None:
    changed = model(train={**DEPENDS, "run": "make"}, data={"drop": ("id",), "positive": "yes"})
    assert only(side(FILES, changed)).reasons[0].text == "train.run, data.drop, data.positive changed in mlbot.yaml"


names = st.text("abcdef/.", min_size=1, max_size=8)
digests = st.integers(0, 9).map(lambda number: digest(str(number)))
texts = st.one_of(st.none(), names)
columns = st.one_of(st.none(), st.lists(names, max_size=3).map(tuple))
inputs = st.builds(
    Inputs,
    task=st.sampled_from(Task),
    run=texts,
    entrypoint=texts,
    target=names,
    positive=texts,
    drop=st.lists(names, max_size=3).map(tuple),
    features=columns,
    classes=columns,
    group=texts,
    params_path=texts,
    depends=digests,
    data=st.dictionaries(names, digests, max_size=3),
    params=st.one_of(st.none(), digests),
    lock=st.one_of(st.none(), digests),
)


@given(inputs, inputs)
def test_keys_are_equal_exactly_when_inputs_are(one: Inputs, other: Inputs) -> None:
    assert (one.key == other.key) == (one == other)


@given(inputs, inputs, st.sampled_from(sorted(Inputs.model_fields)))
def test_any_one_input_changes_the_key(one: Inputs, other: Inputs, field: str) -> None:
    changed = one.model_copy(update={field: getattr(other, field)})
    assert (changed.key == one.key) == (getattr(one, field) == getattr(other, field))


@given(inputs)
def test_the_order_of_data_does_not_matter(one: Inputs) -> None:
    assert one.model_copy(update={"data": dict(reversed(one.data.items()))}).key == one.key


def test_the_order_of_columns_matters() -> None:
    one, other = (model(data={"features": features}) for features in (("a", "b"), ("b", "a")))
    assert only(side(FILES, one), side(FILES, other)).stale


def test_every_setting_of_the_data_is_in_the_key_or_known_to_be_the_judges() -> None:
    assert set(COLUMNS) == {"target", "positive", "drop", "features", "classes", "group", "weight"}


@given(st.data())
def test_a_model_is_stale_exactly_when_its_keys_differ(data: st.DataObject) -> None:
    paths = st.sampled_from(["train.py", "pkg/a.py", "pkg/b/c.py", "data/train.csv", "uv.lock", "params.yaml"])
    patterns = st.lists(st.sampled_from(["train.py", "pkg/", "**/*.py", "data/", "*.lock"]), min_size=1, max_size=3)
    always = {"train.py": "0", "pkg/a.py": "0", "params.yaml": "0", "data/train.csv": "0", "uv.lock": "0"}
    sides = []
    for _ in range(2):
        files = always | data.draw(st.dictionaries(paths, st.sampled_from("01"), max_size=3))
        train = {
            "depends": data.draw(st.one_of(st.none(), patterns.map(tuple))),
            "params": data.draw(st.sampled_from([None, "params.yaml"])),
        }
        lock = data.draw(st.sampled_from([None, "params.yaml", "uv.lock"]))
        sides.append(side(files, model(train={**train, "lock": lock})))
    planned = only(sides[0], sides[1])
    assert planned.stale == (planned.key != planned.base_key)


def test_leaving_depends_out_is_a_change_of_settings() -> None:
    files = {"train.py": "1", "data/train.csv": "1"}
    listed, whole = model(train={"depends": ("train.py",)}), model()
    planned = only(side(files, listed), side(files, whole))
    assert [reason.text for reason in planned.reasons] == ["train.depends changed in mlbot.yaml"]


def test_many_models_that_depend_on_all_of_a_large_repository() -> None:
    files = {f"folder{number % 50}/file{number}": str(number) for number in range(10_000)}
    models = [model(f"m{number}", data={"train": f"folder0/file{number * 50}"}) for number in range(200)]
    head, base = side(files | {"folder1/file1": "changed"}, *models), side(files, *models)
    started = time.process_time()
    plan = plan_models(COMMITS, head, base)
    # All models share one digest and one comparison of the files: one for each takes thirty times as long.
    assert time.process_time() - started < 2
    assert {reason.text for planned in plan.models for reason in planned.reasons} == {"folder1/file1 changed"}


def test_the_first_known_lock_counts() -> None:
    every = FILES | dict.fromkeys(LOCKS, "1")
    for name in LOCKS:
        assert side(every).lock_path(model()) == name
        del every[name]
    assert side(every).lock_path(model()) is None


def test_a_plan_survives_its_json() -> None:
    plan = plan_models(COMMITS, side(FILES | {"train.py": "2"}), side(), side())
    assert Plan.model_validate_json(plan.model_dump_json()) == plan
    assert json.loads(plan.model_dump_json())["schema_version"] == "mlbot/plan@1"


def test_stale_without_a_reason_is_no_record() -> None:
    fine = only(side(FILES | {"train.py": "2"}))
    with pytest.raises(ValueError, match="exactly when"):
        PlannedModel.model_validate({**fine.model_dump(), "reasons": ()})


def test_a_plan_tells_what_head_changes_of_the_rules() -> None:
    before: Config = config()
    after = Config(models=(before.models[0].model_copy(update={"gates": before.models[0].gates[1:]}),))
    base = Side(config=before, tree=tree(FILES))
    head = Side(config=after, tree=tree(FILES | {"data/holdout.csv": "2"}))
    assert plan_models(COMMITS, head, base, base).policy_changes == (
        "removes the gate roc_auc min 0.9",
        "changes data/holdout.csv",
    )


@pytest.mark.parametrize(
    ("holdout", "counts"),
    [
        ("data/holdout.csv", False),
        ("data/HOLDOUT.CSV.gz", False),
        ("rows.parquet", False),
        ("train.py", True),
        ("churn.csv/train.py", True),
        ("requirements.txt", True),
        ("Makefile", True),
        (".csv", False),
    ],
)
def test_no_holdout_takes_code_out_of_another_models_key(holdout: str, *, counts: bool) -> None:
    def key(text: str) -> str:
        files = FILES | {holdout: text}
        return plan_models(COMMITS, side(files, model("a"), model("b", data={"holdout": holdout})), None).models[0].key

    assert (key("1") != key("2")) is counts
