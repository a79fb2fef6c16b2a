"""What a first config is made of: repositories of several shapes, as facts."""

from dataclasses import replace

import pytest

from mlbot.config.errors import is_delivered_name
from mlbot.errors import UsageError
from mlbot.gates.metric import Task
from mlbot.lib.constants import EXPORT_PACKAGES
from mlbot.setup.detect import Table, find_pair, find_recipe, find_target, find_task, id_columns, positive_of
from mlbot.setup.frameworks import Form
from mlbot.setup.scaffold import Choices, Facts, needs_ignore, propose

COLUMNS = ("customer_id", "age", "plan", "churned")
ROWS = (("1", "30", "a", "yes"), ("2", "40", "b", "no"), ("3", "50", "b", "no"))
TABLES = tuple(Table(path=f"data/{name}.csv", columns=COLUMNS, rows=ROWS) for name in ("train", "holdout"))
SCRIPT = 'onnx.save(model, os.environ["MLBOT_MODEL"])'
FUNCTION = "def train(params, seed):\n    return 1\n"


def facts(*files: str, tables: tuple[Table, ...] = TABLES, **texts: str) -> Facts:
    said = {name.replace("__", "/").replace("_py", ".py"): text for name, text in texts.items()}
    paths = frozenset({*files, *said, *(table.path for table in tables if table.tracked)})
    return Facts(name="my models", branch="main", files=paths, texts={**said, "y.py": 'y = "churned"'}, tables=tables)


def test_a_target_for_which_nothing_but_its_place_speaks_is_said_to_be_a_guess() -> None:
    known = facts(train_py=SCRIPT)
    assert not any("guess" in gap.what for gap in propose(known, Choices()).gaps)
    draft = propose(replace(known, texts={"train.py": SCRIPT}), Choices())
    assert any(gap.what.endswith("is a guess: it is the last one of data/holdout.csv") for gap in draft.gaps)
    assert not any("guess" in gap.what for gap in propose(known, Choices(target="plan")).gaps)


def test_a_script_with_a_requirements_file() -> None:
    draft = propose(facts("requirements.txt", "params.yaml", train_py=SCRIPT), Choices())
    assert (draft.recipe.run, draft.recipe.depends) == ("python train.py", ("train.py",))
    assert (draft.train, draft.holdout, draft.params) == ("data/train.csv", "data/holdout.csv", "params.yaml")
    assert (draft.target, draft.task, draft.positive) == ("churned", Task.BINARY, "yes")
    assert (draft.model, draft.install, draft.metrics[0]) == ("my-models", "pip install -r requirements.txt", "roc_auc")
    assert draft.ids == ("customer_id",)
    assert draft.example == "age"
    assert draft.gaps == ()


def test_a_package_with_pyproject() -> None:
    package = facts("src/churn/__init__.py", src__churn__train_py=FUNCTION, tests__train_py="x")
    texts = {**package.texts, "pyproject.toml": '[project]\nname = "churn-model"\n'}
    named = Facts(
        name="x", branch="trunk", files=package.files | {"pyproject.toml"}, texts=texts, tables=package.tables
    )
    draft = propose(named, Choices())
    assert (draft.recipe.entrypoint, draft.recipe.depends) == ("churn.train:train", ("src/",))
    assert (draft.model, draft.branch) == ("churn-model", "trunk")
    assert draft.install == f"pip install . {EXPORT_PACKAGES}"
    assert draft.lock == "pyproject.toml"
    assert draft.gaps == ()


@pytest.mark.parametrize(
    ("files", "text", "expected"),
    [
        ({"train.py"}, "", "python train.py"),
        ({"code/train.py"}, "", "python code/train.py"),
        ({"my code/train.py"}, "", "python 'my code/train.py'"),
        ({"pkg/train.py", "pkg/__init__.py"}, "", "python -m pkg.train"),
        ({"src/pkg/train.py", "src/pkg/__init__.py"}, "", "PYTHONPATH=src python -m pkg.train"),
        ({"src/train.py"}, "", "python src/train.py"),
        ({"train.sh"}, "", "bash train.sh"),
        ({"train.R"}, "", "Rscript train.R"),
        ({"pkg/deep/train.py", "train_model.py", "fit.py", "pkg/train.py"}, "", "python pkg/train.py"),
        ({"tests/train.py", "fit.py"}, "", "python fit.py"),
        ({"train.py"}, FUNCTION, "train:train"),
        ({"train.py"}, f"{FUNCTION}{SCRIPT}", "python train.py"),
        ({"train.py"}, "def train(data, seed=0, *, fast): ...", "python train.py"),
        ({"train.py"}, "def train(data, labels): ...", "python train.py"),
        ({"train.py"}, "def fit(config, random_seed): ...", "train:fit"),
        ({"train.py"}, "def broken(", "python train.py"),
    ],
)
def test_what_trains(files: set[str], text: str, expected: str) -> None:
    recipe = find_recipe(files, dict.fromkeys(files, text))
    assert recipe
    assert recipe.text == expected


def test_what_a_person_says_trains() -> None:
    files = {"train.py", "lib/a.py", "tests/b.py", "setup.py", "conftest.py", ".ci/c.py", "README.md", "test_d.py"}
    assert find_recipe(files, {}, "lib.a:go") == find_recipe(files, {}, "lib.a:go")
    recipe = find_recipe(files, {"lib/a.py": SCRIPT}, "make train")
    assert recipe
    assert (recipe.run, recipe.depends, recipe.writes) == ("make train", ("lib/", "train.py"), True)
    with pytest.raises(UsageError, match=r"there is no 'other\.py'"):
        find_recipe(files, {}, "other.py")
    assert find_recipe({"README.md"}, {}) is None


@pytest.mark.parametrize(
    ("paths", "train", "holdout"),
    [
        (["data/train.csv", "data/test.csv"], "data/train.csv", "data/test.csv"),
        (["train/data.csv", "test/data.csv"], "train/data.csv", "test/data.csv"),
        (
            ["a/adult_train.csv", "a/adult-hold-out.csv", "a/adult_test.csv"],
            "a/adult_train.csv",
            "a/adult-hold-out.csv",
        ),
        (["data/train.parquet", "old/holdout.parquet", "data/val.parquet"], "data/train.parquet", "data/val.parquet"),
        (["data.csv"], "data.csv", None),
        (["test.csv"], None, "test.csv"),
        (["latest.csv", "contest.csv"], "contest.csv", None),
        ([], None, None),
    ],
)
def test_which_file_is_which(paths: list[str], train: str | None, holdout: str | None) -> None:
    pair = find_pair([Table(path=path, columns=("a", "b")) for path in paths])
    assert (pair.train, pair.holdout) == (train, holdout)


def test_a_holdout_with_other_columns_is_the_last_choice() -> None:
    tables = [Table(path="train.csv", columns=("a", "y")), Table(path="holdout.csv", columns=("z",))]
    assert find_pair([*tables, Table(path="b/test.csv", columns=("y", "a"))]).holdout == "b/test.csv"
    assert find_pair(tables).holdout == "holdout.csv"


@pytest.mark.parametrize(
    ("columns", "target"),
    [(("a", "Label", "b"), "Label"), (("a", "b"), "b"), (("y", "target"), "target"), ((), None)],
)
def test_what_is_predicted(columns: tuple[str, ...], target: str | None) -> None:
    assert find_target(Table(path="x.csv", columns=columns)) == target


@pytest.mark.parametrize(
    ("values", "task"),
    [
        (["0", "1"], Task.BINARY),
        (["no", "yes"], Task.BINARY),
        (["1", "2", "3"], Task.MULTICLASS),
        (["a", "b", "c"], Task.MULTICLASS),
        (["1.5", "2", "3"], Task.REGRESSION),
        ([str(number) for number in range(31)], Task.REGRESSION),
        (["1", "2", "nan"], Task.MULTICLASS),
        (["only"], None),
        ([], None),
    ],
)
def test_what_kind_of_prediction(values: list[str], task: Task | None) -> None:
    assert find_task(values) is task


@pytest.mark.parametrize(
    ("values", "positive"),
    [
        (["0", "1"], "1"),
        (["10", "9"], "10"),
        (["no", "yes"], "yes"),
        (["<=50K", ">50K"], ">50K"),
        (["Ja", "Nein"], "Ja"),
        (["ja", "vielleicht"], "vielleicht"),
        (["non", "oui"], "oui"),
        (["a"], None),
    ],
)
def test_the_positive_label_is_yes_beside_its_no_else_the_greater(values: list[str], positive: str | None) -> None:
    assert positive_of(values) == positive


def test_columns_that_tell_rows_apart() -> None:
    columns = ("id", "customer_id", "user id", "valid", "paid", "Unnamed: 0", "grid", "uuid")
    found = id_columns(Table(path="x.csv", columns=columns), "uuid")
    assert found == ("id", "customer_id", "user id", "Unnamed: 0")


def test_an_empty_repository_still_gets_a_draft_with_all_gaps() -> None:
    draft = propose(facts(tables=()), Choices())
    assert (draft.recipe.run, draft.holdout, draft.target) == ("python train.py", "data/holdout.csv", "TARGET")
    said = [gap.what for gap in draft.gaps]
    assert [what.split(",")[0].split(";")[0].split(":")[0] for what in said] == [
        "no training script was found",
        "no file lists the packages that the training needs",
        "there is no holdout",
        "the target column is not known",
    ]


def test_a_missing_holdout_says_exactly_what_to_write() -> None:
    draft = propose(facts("requirements.txt", tables=TABLES[:1], train_py=SCRIPT), Choices())
    (gap,) = draft.gaps
    assert gap.blocks
    assert "data/holdout.csv" in gap.what
    assert "Write it as data/train.csv is written, with the same columns: customer_id, age, plan, churned" in gap.hint
    assert "a fifth of data/train.csv" in gap.hint


def test_a_script_that_writes_no_model_is_a_gap_that_does_not_block() -> None:
    draft = propose(facts("requirements.txt", train_py="print('trained')"), Choices())
    (gap,) = draft.gaps
    assert not gap.blocks
    assert "`python train.py` does not mention MLBOT_ARTIFACT" in gap.what


def test_ignored_data_is_a_gap() -> None:
    hidden = tuple(Table(path=table.path, columns=COLUMNS, rows=ROWS, tracked=False) for table in TABLES)
    draft = propose(facts("requirements.txt", tables=hidden, train_py=SCRIPT), Choices())
    assert [gap.what for gap in draft.gaps] == [
        "git ignores data/train.csv and data/holdout.csv, so GitHub's machines will not have it"
    ]


def test_choices_count_before_what_is_found() -> None:
    choices = Choices(
        train="train.py", data="s3://b/t.csv", holdout="s3://b/h.csv", target="plan", task=Task.MULTICLASS, model="m"
    )
    draft = propose(facts("requirements.txt", train_py=SCRIPT), choices)
    assert (draft.train, draft.holdout, draft.target) == ("s3://b/t.csv", "s3://b/h.csv", "plan")
    assert (draft.task, draft.model, draft.positive) == (Task.MULTICLASS, "m", None)


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        (Choices(holdout="data/no.csv"), "there is no file 'data/no.csv'"),
        (Choices(data="data/train.csv", holdout="data/train.csv"), "the holdout is the training data"),
        (Choices(holdout="data/holdout.csv", target="nope"), "has no column 'nope'"),
    ],
)
def test_a_choice_that_cannot_be(choices: Choices, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        propose(facts(train_py=SCRIPT), choices)


def test_model_files_are_to_be_ignored_where_a_script_leaves_them() -> None:
    for text, needed in ((SCRIPT, False), ('onnx.save(model, os.environ.get("MLBOT_MODEL", "model.onnx"))', True)):
        found = facts(train_py=text)
        assert needs_ignore(propose(found, Choices()), found) is needed


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("my models", "my-models"),
        ("income_", "income"),
        ("a..b", "a-b"),
        ("a._.b__c.d", "a-b__c.d"),
        ("..", "model"),
        ("x.lock", "model"),
        ("x" * 62 + "-y", "x" * 62),
    ],
)
def test_a_folders_name_becomes_one_that_config_check_takes(folder: str, name: str) -> None:
    draft = propose(Facts(name=folder, branch="main", files=frozenset(), texts={}, tables=()), Choices())
    assert draft.model == name
    assert is_delivered_name(name)


SAVES = 'import joblib\njoblib.dump(model.fit(table["plan"], y), "models/churn.joblib")'


def test_a_model_that_is_saved_somewhere_is_taken_from_there_and_asked_by_a_command() -> None:
    draft = propose(facts("requirements.txt", train_py=SAVES), Choices())
    assert draft.recipe.run == 'mkdir -p models && python train.py && cp -r models/churn.joblib "$MLBOT_ARTIFACT"'
    assert draft.asking
    assert (draft.asking.made.form, draft.asking.column, draft.asking.labels) == (Form.PICKLE, "plan", ("no", "yes"))
    assert draft.install == "pip install -r requirements.txt pandas pyarrow"
    assert draft.gaps == ()


def test_a_notebook_that_fits_a_model_trains_it() -> None:
    texts = {"explore.ipynb": "table.head()", "work/fit.ipynb": "model.fit(X)", "work/train.ipynb": SAVES}
    files = facts("requirements.txt")
    there = replace(files, files=files.files | texts.keys(), texts={**files.texts, **texts})
    draft = propose(there, Choices())
    assert (draft.recipe.notebook, draft.recipe.run) == ("work/train.ipynb", None)
    assert draft.install == "pip install -r requirements.txt nbclient ipykernel pandas pyarrow"
    (gap,) = draft.gaps
    assert gap.what.startswith("`work/train.ipynb` does not mention MLBOT_ARTIFACT")
    assert gap.hint == 'In Python: joblib.dump(model, os.environ["MLBOT_ARTIFACT"])'
    chosen = propose(there, Choices(train="work/fit.ipynb"))
    assert (chosen.recipe.notebook, chosen.asking) == ("work/fit.ipynb", None)


def test_code_that_exports_to_onnx_is_asked_as_ever() -> None:
    helper = "import skl2onnx\n"
    draft = propose(facts("requirements.txt", train_py=SAVES, lib__save_py=helper), Choices())
    assert (draft.recipe.run, draft.asking) == ("python train.py", None)
