"""The data of a folder's models, checked before anything is trained."""

import io
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import polars as pl
import pytest
from fsspec.registry import _registry
from tests.support import tiny
from tests.support.git_samples import Sandbox

from mlbot.config.errors import ConfigError
from mlbot.console import Console
from mlbot.errors import UsageError
from mlbot.judging.run_data import report_data
from mlbot.judging.run_local import RunOptions, run_models

CONFIG = """\
version: 1
models:
  m:
    task: binary
    train:
      entrypoint: train:train
    data:
      train: train.csv
      holdout: holdout.csv
      target: y
      group: who
    slices:
      old: "age > 60"
    gates:
      accuracy: {min: 0.5}
      accuracy@old: {min: 0.5}
"""
ROWS = "".join(f"{20 + i},{i % 7},{'north' if i % 2 else 'south'},{i % 3 == 0:d}\n" for i in range(60))
GOOD = f"age,who,town,y\n{ROWS}"


def report(folder: Path, holdout: str | bytes = GOOD, train: str = GOOD, config: str = CONFIG) -> str:
    (folder / "mlbot.yaml").write_text(config, encoding="utf-8")
    (folder / "train.csv").write_text(train, encoding="utf-8")
    content = holdout.encode() if isinstance(holdout, str) else holdout
    (folder / "holdout.csv").write_bytes(content)
    out = io.StringIO()
    report_data(folder, Console(out=out, err=io.StringIO()), as_json=False)
    return out.getvalue()


def refusal(folder: Path, *args: str | bytes, **more: str) -> str:
    with pytest.raises(ConfigError) as caught:
        report(folder, *args, **more)  # type: ignore[arg-type]
    return str(caught.value)


def test_what_there_is(tmp_path: Path) -> None:
    assert report(tmp_path).splitlines() == [
        "mlbot.yaml and its data are valid.",
        "m: holdout.csv has 60 rows and 2 features; positive is 1, 20 rows.",
        "  slice old: 19 rows, 6 of them positive.",
        (
            "m: accuracy@old will rarely block: slice old has 19 rows, fewer than its min_rows of 500, "
            "so only a change that is clear of the noise counts there. Add rows, or lower min_rows and be stopped by "
            "what is undecided too."
        ),
    ]
    assert "never" not in report(tmp_path, config=CONFIG.replace('"age > 60"', "{where: age > 60, min_rows: 9}"))


def test_rows_of_the_training_without_a_label_are_noted(tmp_path: Path) -> None:
    train = GOOD.replace("south,1", "south,NA", 1).replace("north,0", "north,", 1)
    note = "  train.csv: 2 rows have no value in y (rows 1 and 2); the training has to leave them out."
    assert note in report(tmp_path, train=train).splitlines()
    numbers = CONFIG.replace("task: binary", "task: regression").replace("accuracy", "r2")
    assert note in report(tmp_path, train=train, config=numbers).splitlines()


def test_integers_that_floats_take_for_others_are_noted(tmp_path: Path) -> None:
    lines = [f"{line},{2**53 + at}" for at, line in enumerate(GOOD.splitlines()[1:])]
    content = "\n".join(("age,who,town,y,id", *lines, ""))
    said = report(tmp_path, content, content)
    assert "  id has integers beyond 2^53: as floating-point numbers several of them are one." in said
    assert "`data.types: {id: text}`" in said
    text = CONFIG.replace("      group: who\n", "      group: who\n      types: {id: text}\n")
    assert "2^53" not in report(tmp_path, content, content, config=text)
    assert "2^53" not in report(tmp_path, content.replace("id", "age2").replace("9007199254", "90071992"), content)


GATES = """\
    slices:
      old: {where: "age > 60", min_rows: 5}
      none: {where: "age > 600", min_rows: 5}
      negative: {where: "y = '0'", min_rows: 5}
      few: "age > 70"
    gates:
"""


@pytest.mark.parametrize(
    ("gates", "said"),
    [
        (("recall@old: {min: 0.5}", "roc_auc@old: {max_regression: 0.1}"), []),
        (("gap: {metric: recall, slices: [old, few], max: 0.2, max_regression: 0.1}",), []),
        (
            ("gap@none: {metric: accuracy, slices: [old, none], max: 0.2}", "accuracy: {min: 0.5}"),
            ["gap@none can never pass: slice none has no rows."],
        ),
        (("accuracy@none: {min: 0.5}",), ["accuracy@none can never pass: its slice has no rows.", "no gate can block"]),
        (("recall: {min: 0.5}", "recall@negative: {min: 0.5}"), ["recall@negative can never pass: no row has"]),
        (("roc_auc: {min: 0.5}", "roc_auc@negative: {min: 0.5}"), ["roc_auc@negative can never pass: every row has"]),
        (("accuracy: {min: 0.5}", "accuracy@negative: {min: 0.5}"), []),
        (
            ("accuracy@few: {min: 0.5, max_regression: 0.1}",),
            [
                "accuracy@few will rarely block: slice few has 9 rows, fewer than its min_rows of 500, so",
            ],
        ),
        (("accuracy: {min: 0.5, blocking: false}",), ["no gate can block: each has `blocking: false`, or is"]),
        (
            ("accuracy: {min: 0.5, blocking: false}", "latency_p95_ms: {max: 5}", "negative_flips: {max: 1}"),
            ["no gate"],
        ),
        (("accuracy: {min: 0.5, blocking: false}", "latency_p50_ms: {max_ratio: 2}"), []),
        (("accuracy: {min: 0.5, blocking: false}", "f1: {min: 0.5}"), []),
    ],
)
def test_gates_that_decide_nothing_are_named_before_a_training(
    tmp_path: Path, gates: tuple[str, ...], said: list[str]
) -> None:
    config = CONFIG[: CONFIG.index("    slices:")] + GATES + "".join(f"      {each}\n" for each in gates)
    idle = [line for line in report(tmp_path, config=config).splitlines()[2:] if line.startswith("m: ")]
    assert len(idle) == len(said)
    for line, part in zip(idle, said, strict=True):
        assert line.startswith(f"m: {part}")


@pytest.mark.parametrize(
    ("seeds", "gate", "idle"),
    [
        ("1", "{max_regression: 0.1}", True),
        ("1", "{min: 0.5}", False),
        ("2", "{max_regression: 0.1}", False),
        ("{start: 2, most: 3}", "{max_regression: 0.1}", False),
    ],
)
def test_a_comparison_of_one_seed_is_named_before_a_training(
    tmp_path: Path, seeds: str, gate: str, *, idle: bool
) -> None:
    config = CONFIG[: CONFIG.index("    slices:")].replace("    data:\n", f"      seeds: {seeds}\n    data:\n", 1)
    said = report(tmp_path, config=f"{config}    gates:\n      accuracy: {gate}\n")
    assert ("m: accuracy will hardly ever block with `train.seeds: 1`" in said) is idle


@pytest.mark.parametrize(
    ("task", "gate", "labels", "wrong"),
    [
        ("regression", "r2", "7", "every row has the same target value"),
        ("regression", "mean_absolute_error", "7", ""),
        ("multiclass", "roc_auc_ovr", "0", "no row has class"),
        ("multiclass", "accuracy", "0", ""),
    ],
)
def test_the_figure_has_to_exist_on_a_slice_in_every_task(
    tmp_path: Path, task: str, gate: str, labels: str, wrong: str
) -> None:
    rows = "".join(f"{i},{i % 7},north,{labels if i < 30 else i % 3}\n" for i in range(60))
    where = 'slices:\n      young: {where: "age < 30", min_rows: 5}\n    '
    config = CONFIG.replace("binary", task)[: CONFIG.index("    slices:") + len(task) - len("binary")]
    config += f"    {where}gates:\n      {gate}: {{max: 1}}\n      {gate}@young: {{max: 1}}\n"
    said = report(tmp_path, f"age,who,town,y\n{rows}", config=config)
    assert (wrong in said) if wrong else ("never" not in said)


def test_every_problem_at_once_each_with_its_line(tmp_path: Path) -> None:
    said = refusal(tmp_path, GOOD.replace("40,6,", "40,,").replace("south,1", "south,NA", 1))
    assert (
        "mlbot.yaml:10: models.m.data.target: The holdout's target 'y' has no value in 1 of its rows ('NA'): row 1."
        in said
    )
    assert "mlbot.yaml:11: models.m.data.group: The holdout's group column 'who' has no value in 1 of its rows." in said
    assert "2 problems" in said


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("target: y", "target: churned", 'mlbot.yaml:10: models.m.data.target: found "churned", which is no column'),
        ("group: who", "group: user", "mlbot.yaml:11: models.m.data.group"),
        ("group: who", "features: [agee]", "→ write age"),
        ("group: who", "types: {zip: text}", 'models.m.data.types.zip: found "zip", which is no column of holdout.csv'),
        ("age > 60", "agee > 60", "mlbot.yaml:13: models.m.slices.old"),
        ("train: train.csv", "train: nowhere.csv", 'mlbot.yaml:8: models.m.data.train: found "nowhere.csv"'),
        (
            "      entrypoint: train:train",
            '      run: python fit.py\n      depends: ["*.sql"]',
            '"fit.py", which is not there',
        ),
        (
            "      entrypoint: train:train",
            '      run: "true"\n      depends: ["src/*.sql"]',
            'depends[0]: found "src/*.sql"',
        ),
        ("task: binary", "task: regression", "accuracy"),
        ("group: who", 'positive: "2"', "no row with the positive label '2'"),
    ],
)
def test_what_does_not_fit_the_data_is_named_with_its_line(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in CONFIG
    assert said in refusal(tmp_path, config=CONFIG.replace(old, new))


def test_a_column_of_numbers_with_a_word_in_it_is_asked_about(tmp_path: Path) -> None:
    said = refusal(tmp_path, GOOD.replace("33,", "unknown,", 1))
    assert "Column 'age' is numbers almost everywhere, and row 14 has 'unknown'" in said
    assert 'write `data.csv: {missing: ["unknown"]}`; if the column is text, `data.types: {age: text}`.' in said
    ages = CONFIG.replace("      group", '      csv: {missing: ["unknown"]}\n      group')
    assert "valid" in report(tmp_path, GOOD.replace("33,", "unknown,", 1), config=ages)


def test_all_words_of_a_column_of_numbers_are_named_at_once_with_those_that_mlbot_yaml_names(tmp_path: Path) -> None:
    rows = GOOD.replace("33,", "NA,", 1).replace("34,", "k.A.,", 1)
    asked = refusal(tmp_path, rows)
    assert 'write `data.csv: {missing: ["NA", "k.A."]}`' in asked or 'missing: ["k.A.", "NA"]' in asked
    some = CONFIG.replace("      group", '      csv: {missing: ["NA"]}\n      group')
    assert 'write `data.csv: {missing: ["NA", "k.A."]}`' in refusal(tmp_path, rows, config=some)
    both = CONFIG.replace("      group", '      csv: {missing: ["NA", "k.A."]}\n      group')
    assert "valid" in report(tmp_path, rows, config=both)


def test_a_question_mark_among_numbers_is_named(tmp_path: Path) -> None:
    table = GOOD.replace("33,", "?,", 1)
    assert "`?` is read as a missing value in age; the training has to read it so too" in report(tmp_path, table, table)


def test_a_column_of_two_types_is_named(tmp_path: Path) -> None:
    said = refusal(tmp_path, GOOD, GOOD.replace("33,", "a third,", 30).replace("\n2", "\nx2"))
    assert "Column 'age' is text in train.csv and integer in holdout.csv" in said
    assert "`data.types: {age: text}`" in said


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16-le"])
def test_files_in_another_encoding_say_what_to_write(tmp_path: Path, encoding: str) -> None:
    said = refusal(tmp_path, GOOD.replace("north", "n\u00f6rdlich").encode(encoding))
    assert f"`data.csv: {{encoding: {encoding}}}`" in said


def test_other_tables_than_csv(tmp_path: Path) -> None:
    pl.DataFrame({"age": [1, 2], "y": [0, 1], "day": [None, None]}).write_parquet(tmp_path / "h.parquet")
    config = CONFIG.replace("holdout.csv", "h.parquet").replace("      group: who\n", "")
    assert "models.m.data.holdout: The holdout's column 'day' is Null" in refusal(tmp_path, config=config)
    assert "models.m.data.target" in refusal(tmp_path, config=config.replace("target: y", "target: z"))


def test_the_light_check_reads_no_table(tmp_path: Path) -> None:
    report(tmp_path)
    code = (
        "import sys; from mlbot.entry import invoke; code = invoke(['config', 'check']);"
        "sys.exit(code or ('polars' in sys.modules or 'numpy' in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False).returncode == 0


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, git_settings: None) -> Sandbox:
    """The tiny repository; the tests' Python is the one that trains."""
    del git_settings
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    return tiny.repository(tmp_path / "repository")


def run(where: Sandbox) -> tuple[str, str]:
    """What a run says, and how it ended: in an error, or with a reason."""
    err = io.StringIO()
    try:
        found = run_models(where.path, RunOptions(), Console(out=io.StringIO(), err=err))
    except UsageError as error:
        return err.getvalue(), str(error)
    return err.getvalue(), str(found.verdict.models[0].reason)


def test_nothing_is_trained_where_the_data_do_not_fit(fresh: Sandbox) -> None:
    fresh.commit({"mlbot.yaml": tiny.CONFIG.replace("target: y", "target: churned")})
    err, said = run(fresh)
    assert 'models.tiny.data.target: found "churned", which is no column of data/holdout.csv' in said
    fresh.commit({"mlbot.yaml": tiny.CONFIG, "data/holdout.csv": tiny.rows(500, 3).replace(",1\n", ",?\n", 1)})
    again, said = run(fresh)
    assert "models.tiny.data.target: The holdout's target 'y' has no value in 1 of its rows ('?'): row 4." in said
    fresh.git("branch", "--force", "main")  # what judges is broken too
    fresh.commit(tiny.params(offset=3))
    last, reason = run(fresh)
    assert reason == "holdout-schema"
    assert "training" not in err + again + last


def test_features_made_outside_the_model_are_found_after_the_first_seed(fresh: Sandbox) -> None:
    made = 'columns = ["x1 in thousands", *columns[1:]]\nconstants = '
    fresh.commit({"train.py": tiny.TRAIN.replace("constants = ", made, 1)})
    err, reason = run(fresh)
    assert reason == "model-inputs"
    assert err.count("training ...") == 1
    assert "tiny: the first seed's model cannot be judged, so its other seeds are not trained: " in err
    assert "'x1 in thousands'" in err


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n"


@pytest.mark.parametrize(
    ("train", "said"),
    [
        ("", "The training data train.csv cannot be read: it is empty: it has no byte."),
        ("age,who,town,y\n", "The training data train.csv cannot be read: it has no rows."),
        (POINTER, "The training data train.csv cannot be read: it is a pointer of Git LFS, not the data."),
    ],
)
@pytest.mark.parametrize("runs", ["entrypoint: train:train", 'run: "true"'])
def test_training_data_without_rows_are_one_problem(tmp_path: Path, train: str, said: str, runs: str) -> None:
    found = refusal(tmp_path, train=train, config=CONFIG.replace("entrypoint: train:train", runs))
    assert said in found
    assert "data.types" not in found


def test_training_data_that_are_no_table_are_named(tmp_path: Path) -> None:
    found = refusal(tmp_path, train="PAR1 and no more")
    assert "The training data train.csv cannot be read: it begins as a Parquet file and does not end as one." in found


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it is empty: it has no byte"),
        (b"\x1f\x8b\x08\x00", "it is compressed by gzip"),
        (b"hello", "its name is that of a Parquet file, and its first bytes are of none"),
        (b"PAR1 cut", "it begins as a Parquet file and does not end as one"),
        (b"PAR1 and rubbish, PAR1", "damaged"),
    ],
)
def test_a_broken_holdout_of_parquet_has_its_own_words(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "holdout.parquet").write_bytes(content)
    found = refusal(tmp_path, config=CONFIG.replace("holdout.csv", "holdout.parquet"))
    assert said in found
    assert "header row" not in found


def test_a_holdout_that_is_a_folder_is_said_to_be_one(tmp_path: Path) -> None:
    (tmp_path / "rows").mkdir()
    found = refusal(tmp_path, config=CONFIG.replace("holdout: holdout.csv", "holdout: rows"))
    assert "cannot be read: it is a folder." in found
    assert "Name one file, CSV or Parquet." in found


@pytest.mark.parametrize(("protocol", "extra"), [("s3", "s3"), ("gs", "gcs"), ("abfs", "azure"), ("hf", "hf")])
def test_what_reaches_a_holdout_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: str, extra: str
) -> None:
    # What tests of sealed rows have mounted is there for the whole process.
    monkeypatch.delitem(_registry, protocol, raising=False)
    if find_spec({"s3": "s3fs", "gcs": "gcsfs", "azure": "adlfs", "hf": "huggingface_hub"}[extra]):
        pytest.skip("it is installed")
    found = refusal(tmp_path, config=CONFIG.replace("holdout: holdout.csv", f"holdout: '{protocol}://b/x.parquet'"))
    assert f"needs the optional part '{extra}', which is not installed" in found
    assert f"pip install 'mlbot-ci[{extra}]'. On GitHub `mlbot upgrade` writes it into the workflows." in found
