"""Checking the mlbot.yaml of a folder."""

import io
import json
import shutil
from pathlib import Path

import pytest
from tests.support import config_texts as texts
from tests.support.config_texts import Case, changed

from mlbot.config.errors import ConfigError
from mlbot.config.run_check import check, load_config, read, report_check, schema_text
from mlbot.config.schema import Config, json_schema
from mlbot.config.yaml import MAX_BYTES
from mlbot.console import Console
from mlbot.errors import UsageError

EXAMPLE = Path(__file__).parents[2] / "examples" / "adult-income"


def folder(root: Path, text: str, *files: str) -> Path:
    (root / "mlbot.yaml").write_text(text, encoding="utf-8")
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x,y\n1,1\n")
    return root


def refusal(root: Path) -> str:
    with pytest.raises(UsageError) as caught:
        check(root)
    return str(caught.value)


def test_the_example_is_valid() -> None:
    config = check(EXAMPLE)
    assert [model.name for model in config.models] == ["adult-income"]
    assert load_config(EXAMPLE) == config
    assert read((EXAMPLE / "mlbot.yaml").read_bytes()) == config


def test_a_folder_without_a_config(tmp_path: Path) -> None:
    assert refusal(tmp_path) == f"{tmp_path}: there is no mlbot.yaml\n  Make one: mlbot init"
    (tmp_path / "mlbot.yml").touch()
    assert refusal(tmp_path) == f"{tmp_path}: there is no mlbot.yaml\n  Rename mlbot.yml to mlbot.yaml."
    (tmp_path / "mlbot.yaml").mkdir()
    assert "there is no mlbot.yaml" in refusal(tmp_path)


def test_what_is_wrong_comes_with_lines(tmp_path: Path) -> None:
    folder(tmp_path, changed(Case(texts.TASK, "task: binry")), "data/holdout.csv")
    assert refusal(tmp_path) == 'mlbot.yaml:4: models.m.task: found "binry" → write binary\n1 problem in mlbot.yaml'


def test_files_and_columns_are_looked_at(tmp_path: Path) -> None:
    text = changed(Case(texts.SLICE, "s: z = 1")).replace(
        "run: make", "run: make\n      depends: [src/, 'lib/*.py', Makefile]"
    )
    folder(tmp_path, text, "data/holdout.csv", "lib/a.py")
    assert [line.split(" →")[0] for line in refusal(tmp_path).splitlines()] == [
        'mlbot.yaml:7: models.m.train.depends[0]: found "src/", which is not there',
        'mlbot.yaml:7: models.m.train.depends[2]: found "Makefile", which is not there',
        'mlbot.yaml:12: models.m.slices.s: found "z", which is no column of data/holdout.csv',
        "3 problems in mlbot.yaml",
    ]


OTHER = """
  other:
    task: regression
    train: {run: make, depends: [b.csv]}
    data: {train: TRAIN, holdout: b.csv, target: y}
    gates: {rmse: {max: 1}}
"""


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("data/holdout.csv", "the holdout"),
        ("./data//holdout.csv", "the holdout"),
        (":/data/holdout.csv", "the holdout"),
        ("link.csv", "the holdout"),
        ("linked/holdout.csv", "the holdout"),
        ("b.csv", "the holdout of other"),
        *((path, None) for path in ("data/", "data/*.csv", "data", "mlbot.yaml")),
    ],
)
def test_a_training_may_not_be_given_the_rows_that_judge(tmp_path: Path, path: str, found: str | None) -> None:
    text = texts.SMALL.replace("run: make", f"run: make\n      depends: [a.csv, '{path}']")
    other = OTHER.replace("depends: [b.csv]", "depends: [data/]").replace("TRAIN", "a.csv")
    folder(tmp_path, text + other, "data/holdout.csv", "a.csv", "b.csv")
    (tmp_path / "link.csv").symlink_to("data/holdout.csv")
    (tmp_path / "linked").symlink_to("data")
    if found is None:
        check(tmp_path)
        return
    (problem, _) = refusal(tmp_path).splitlines()
    place, _, hint = problem.partition(" → ")
    assert place.startswith("mlbot.yaml:7: models.m.train.depends[1]: found ")
    assert place.endswith(f", {found}")
    assert hint == "remove it: no training sees the rows that judge a model; let it read others"


def test_the_holdout_is_not_in_the_training_data_but_that_of_another_model_may_be(tmp_path: Path) -> None:
    text = texts.SMALL.replace("holdout:", "train: {train}\n      holdout:")
    folder(tmp_path, text.format(train="b.csv") + OTHER.replace("TRAIN", "data/"), "data/holdout.csv", "b.csv")
    assert "models.other.train.depends[0]" in refusal(tmp_path)
    folder(tmp_path, text.format(train="b.csv").replace("run: make", "run: make\n      depends: [b.csv]"))
    check(tmp_path)
    for train in ("data/", "link.csv"):
        (tmp_path / "link.csv").unlink(missing_ok=True)
        (tmp_path / "link.csv").symlink_to("data/holdout.csv")
        folder(tmp_path, text.format(train=train))
        assert 'data.holdout: found "data/holdout.csv", which is in the training data' in refusal(tmp_path)


WRONG = {
    "a name": ("  m:\n", "  'm m':\n", "m m"),
    "a task": ("task: binary", "task: binry", "m"),
    "a metric": ("[roc_auc]", "[roc_acu]", "m"),
    "a key": ("run: make", "run: make\n      seed: 3", "m"),
    "a slice": ("s: x = 1", "s: x =", "m"),
    "nothing where a setting has to be": ("      target: y\n", "", "m"),
    "a setting beside its own": ("target: y", "target: y\n      positive: []", "m"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_hides_no_file_that_is_not_there(tmp_path: Path, wrong: str) -> None:
    before, after, name = WRONG[wrong]
    text = texts.SMALL.replace("run: make", "run: make\n      depends: [src/]\n      params: p.yaml")
    assert before in text
    folder(tmp_path, text.replace(before, after))
    with pytest.raises(ConfigError) as caught:
        check(tmp_path)
    at = [each.at[1:] for each in caught.value.problems]
    assert {(name, "train", "depends", 0), (name, "train", "params"), (name, "data", "holdout")} < set(at)
    assert all(each.position for each in caught.value.problems)
    assert len(at) > 3
    folder(tmp_path, text.replace(before, after), "data/holdout.csv", "src/a.py", "p.yaml")
    with pytest.raises(ConfigError) as fewer:
        check(tmp_path)
    assert len(fewer.value.problems) == len(at) - 3


def test_what_is_wrong_hides_no_column_that_is_not_there(tmp_path: Path) -> None:
    text = (
        texts.changed(texts.Case(texts.TASK, "task: binry"))
        .replace("x = 1", "zz = 1")
        .replace("target: y", "target: t")
    )
    folder(tmp_path, text, "data/holdout.csv")
    said = [line.split(" →")[0].partition(": ")[2] for line in refusal(tmp_path).splitlines()[:-1]]
    assert said == [
        'models.m.task: found "binry"',
        'models.m.data.target: found "t", which is no column of data/holdout.csv',
        'models.m.slices.s: found "zz", which is no column of data/holdout.csv',
    ]


@pytest.mark.parametrize(
    "data", ["models: 1", "models: [a]", "models: {m: 1}", "models: {m: {data: 1, train: [], slices: 3}}"]
)
def test_what_has_no_form_at_all_is_refused_without_a_look_at_files(tmp_path: Path, data: str) -> None:
    assert "mlbot.yaml:1" in refusal(folder(tmp_path, data))


def test_data_behind_a_dvc_file_is_there(tmp_path: Path) -> None:
    folder(tmp_path, texts.SMALL, "data/holdout.csv.dvc")
    assert check(tmp_path).models[0].data.holdout == "data/holdout.csv"


@pytest.mark.parametrize(
    "content",
    [
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n",
        b"",
        b'\xef\xbb\xbf"x", "y"\r\n1,2\r\n',
        b"x,y",
        b"y;x\n1;2\n",
        "y\tx\n1\t2\n".encode("utf-16"),
    ],
)
def test_headers_that_say_nothing_wrong(tmp_path: Path, content: bytes) -> None:
    folder(tmp_path, texts.SMALL, "data/holdout.csv")
    (tmp_path / "data" / "holdout.csv").write_bytes(content)
    check(tmp_path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff\x00,\x1b[31m", "zero bytes"),
        (b"\xff\x00" * 100_000, "zero bytes"),
        (
            b"x,\xe9\n1,2\n",
            'The holdout "data/holdout.csv" cannot be read: line 1 is not UTF-8: byte 3 is e9 0a 31 2c. If it is',
        ),
        (b"x,y;z\n1,2;3\n", 'Write `data.csv: {separator: ","}` or `data.csv: {separator: ";"}`'),
    ],
)
def test_a_header_that_cannot_be_read_for_certain_says_what_to_write(tmp_path: Path, content: bytes, said: str) -> None:
    folder(tmp_path, texts.SMALL, "data/holdout.csv")
    (tmp_path / "data" / "holdout.csv").write_bytes(content)
    assert said in refusal(tmp_path)
    assert "models.m.data.holdout" in refusal(tmp_path)


def test_the_target_decides_between_two_separators(tmp_path: Path) -> None:
    folder(tmp_path, texts.SMALL, "data/holdout.csv")
    (tmp_path / "data" / "holdout.csv").write_bytes(b"x;y;z,a\n1;2;3,4\n")
    check(tmp_path)


def test_other_kinds_of_holdouts_are_not_opened(tmp_path: Path) -> None:
    text = changed(Case(texts.HOLDOUT, "holdout: h.parquet")).replace("target: y", "target: nowhere")
    check(folder(tmp_path, text, "h.parquet"))
    check(folder(tmp_path, text.replace("h.parquet", "s3://bucket/h.csv")))


@pytest.mark.parametrize(
    "content", [b"\xff\xfe", b"\x00", b"a" * (MAX_BYTES + 5), b"[" * 100_000, b"!!python/object:x"]
)
def test_an_absurd_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "mlbot.yaml").write_bytes(content)
    with pytest.raises(ConfigError, match=r"1 problem in mlbot\.yaml"):
        check(tmp_path)


def said(root: Path, *, as_json: bool) -> str:
    out = io.StringIO()
    report_check(root, Console(out=out, err=io.StringIO()), as_json=as_json)
    return out.getvalue()


def test_says_what_a_valid_config_holds(tmp_path: Path) -> None:
    environments = "environments:\n  staging: {target: models/staging}\n"
    folder(tmp_path, environments + texts.SMALL, "data/holdout.csv")
    assert said(tmp_path, as_json=False) == (
        "mlbot.yaml is valid.\n  m: binary, 1 gate, 1 metric, 1 slice\n  staging: deploys to models/staging\n"
    )


def test_says_what_a_scorer_with_a_turned_sign_is_read_as(tmp_path: Path) -> None:
    text = texts.changed(texts.Case(texts.GATE, "neg_log_loss@s: {max: 1}\nroc_auc:")).replace(
        "[roc_auc]", "[neg_log_loss]"
    )
    folder(tmp_path, text, "data/holdout.csv")
    assert said(tmp_path, as_json=False).splitlines()[2:] == [
        "  m: neg_log_loss is read as log_loss, which is better lower"
    ]


@pytest.mark.parametrize(
    ("metrics", "gate", "is_turned"),
    [
        ("['mine:neg_log_loss']", "neg_log_loss: {max: 1}", False),
        ("[{metric: neg_log_loss, clip: 0.001}]", "log_loss_clipped: {max: 1}", True),
    ],
)
def test_says_of_a_scorer_wherever_it_is_written_what_it_is_read_as(
    tmp_path: Path, metrics: str, gate: str, *, is_turned: bool
) -> None:
    text = texts.changed(texts.Case(texts.GATE, f"{gate}\nroc_auc:")).replace("[roc_auc]", metrics)
    folder(tmp_path, text, "data/holdout.csv")
    assert ("neg_log_loss is read as log_loss" in said(tmp_path, as_json=False)) is is_turned


def test_says_which_gates_never_block_and_what_to_write_instead(tmp_path: Path) -> None:
    gates = "negative_flips: {max: 0.1}\nlatency_p95_ms: {max: 5}\nlatency_p50_ms: {max: 5}\nroc_auc:"
    folder(tmp_path, texts.changed(texts.Case(texts.GATE, gates)), "data/holdout.csv")
    assert said(tmp_path, as_json=False).splitlines()[2:] == [
        "  m: negative_flips.max is shown and never blocks; write `negative_flips: {max_excess: 0.01}` to judge it",
        "  m: latency_p95_ms.max is shown and never blocks; write `latency_p50_ms: {max_ratio: 1.2}` to judge it",
    ]
    text = gates.replace("negative_flips: {", "negative_flips: {max_excess: 0.02, ").replace(
        "{max: 5}", "{max_ratio: 1.5}"
    )
    folder(tmp_path, texts.changed(texts.Case(texts.GATE, text.replace("latency_p95_ms: {max_ratio: 1.5}\n", ""))))
    assert len(said(tmp_path, as_json=False).splitlines()) == 2


IDLE = {
    "roc_auc: {max_regression: 1}": "No model fails `max_regression: 1`.",
    "roc_auc: {min: 0}": "No model fails `min: 0`.",
    "roc_auc@s: {min: 0, confident: true}": "No model fails `min: 0`.",
    "accuracy: {max: 1}": "No model fails `max: 1`.",
    "log_loss: {min: 0}": "No model fails `min: 0`.",
    "matthews_corrcoef: {max_regression: 2}": "No model fails `max_regression: 2`.",
    "cohen_kappa: {min: -1}": "No model fails `min: -1`.",
    "d2_brier_score: {max: 1}": "No model fails `max: 1`.",
    "negative_flips: {max_excess: 1}": "No model fails `max_excess: 1`.",
    "gap: {metric: recall, slices: [s, t], max: 1}": "No model fails `max: 1`.",
    "gap: {metric: matthews_corrcoef, slices: [s, t], max: 2}": "No model fails `max: 2`.",
    "accuracy: {max: 0.9}": "`max: 0.9` bounds how good a model may be, for higher is better.",
    "log_loss: {min: 0.2}": "`min: 0.2` bounds how good a model may be, for lower is better.",
    "acc@s: {max: 0.9}": "`max: 0.9` bounds how good a model may be, for higher is better.",
    "mine: {min: 60}": "`min: 60` bounds how good a model may be, for lower is better.",
    # each of these can fail a model that is worse
    "accuracy: {min: 0.7, max: 0.99}": "",
    "accuracy: {max: 0.99, max_regression: 0.01}": "",
    "roc_auc: {max_regression: 0.99}": "",
    "matthews_corrcoef: {min: 0, max_regression: 1}": "",
    "gap: {metric: matthews_corrcoef, slices: [s, t], max: 1}": "",
    "log_loss: {max: 100, max_regression: 50}": "",
    "d2_brier_score: {min: -100, max_regression: 100}": "",
    "size_mb: {max: 1000}": "",
    "latency_p50_ms: {max_ratio: 100}": "",
    # and these are only shown
    "accuracy: {max: 0.9, blocking: false}": "",
    "negative_flips: {max: 1, max_excess: 0.1}": "",
}


@pytest.mark.parametrize("gate", IDLE)
def test_says_of_a_bound_that_it_holds_no_model_back(tmp_path: Path, gate: str) -> None:
    metrics = "[roc_auc, {function: 'own:mine', direction: lower}]"
    text = texts.changed(texts.Case(texts.GATE, f"{gate}\nroc_auc:" if "roc_auc:" not in gate else gate))
    text = text.replace("[roc_auc]", metrics).replace("s: x = 1", "s: x = 1\n      t: x = 0")
    (tmp_path / "own.py").touch()
    folder(tmp_path, text if "roc_auc:" not in gate else text.partition("        min: 0.9")[0], "data/holdout.csv")
    found = [line for line in said(tmp_path, as_json=False).splitlines()[2:] if "never blocks" not in line]
    assert [IDLE[gate]] * len(found) == [line.split(": ", 2)[2].partition(". ")[0] + "." for line in found]
    assert len(found) == bool(IDLE[gate])


def test_prints_a_valid_config_as_json(tmp_path: Path) -> None:
    shutil.copytree(EXAMPLE, tmp_path / "example")
    assert Config.model_validate_json(said(tmp_path / "example", as_json=True)) == check(EXAMPLE)


def test_prints_the_schema() -> None:
    assert json.loads(schema_text()) == json_schema()


def test_files_beside_the_folder_are_named_from_the_root(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    inner = tmp_path / "services" / "a"
    inner.mkdir(parents=True)
    text = texts.SMALL.replace("run: make", "run: make\n      depends: [':/shared/', ':/nowhere/']")
    folder(inner, text, "data/holdout.csv")
    folder(tmp_path, "", "shared/util.py")
    assert refusal(inner).count("which is not there") == 1
    assert '":/nowhere/"' in refusal(inner)
    folder(inner, text.replace("data/holdout.csv", ":/shared/util.py"))
    assert 'data.holdout: found ":/shared/util.py", which is not there' in refusal(inner)
