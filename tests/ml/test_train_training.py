"""Training with real child processes: what is taken from them, what they are given, and how each failure reads."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.support.training_samples import COMMIT, DEADLINE_S, KEY, model, request

from mlbot.config.schema import Data
from mlbot.lib.scalar import Params
from mlbot.ml.train import nested, train
from mlbot.protocol.artifacts import Training, TrainingFailure


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "checkout"
    path.mkdir()
    return path


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders go."""
    path = tmp_path / "scratch"
    path.mkdir()
    monkeypatch.setenv("TMPDIR", str(path))
    monkeypatch.setattr("tempfile.tempdir", None)
    return path


def _quiet(_text: str) -> None:
    return None


def _run(folder: Path, command: str, **changes: Any) -> Training | TrainingFailure:
    return train(request(folder, of=model(run=command), **changes), say=_quiet)


def _failed(folder: Path, command: str, **changes: Any) -> TrainingFailure:
    ask = request(folder, of=model(run=command), **changes)
    result = train(ask, say=_quiet)
    assert isinstance(result, TrainingFailure)
    assert not ask.output.exists()
    assert list(ask.output.parent.glob("*")) == []
    return result


def test_the_file_is_taken_hashed_and_described(folder: Path, scratch: Path) -> None:
    ask = request(folder, 3, params={"depth": 4}, data={"data/train.csv": "sha256:" + "d" * 64})
    said: list[str] = []
    result = train(ask, say=said.append)
    assert isinstance(result, Training)
    assert ask.output.read_bytes() == b"model 3"
    assert result.digest == "sha256:a63f0dfe98cc2a03a21873a3ab0d209eae44045e3810b79a104d42783e2ca194"
    assert (result.model, result.key, result.seed, result.commit) == ("adult-income", KEY, 3, COMMIT)
    assert (result.size_bytes, result.params, result.data) == (7, {"depth": 4}, ask.data)
    assert result.environment == ask.environment
    assert result.parity is None
    assert 0 < result.duration_s < DEADLINE_S
    assert 1024**2 < result.peak_memory_bytes < 100 * 1024**2  # a shell's, not that of who started it
    assert list(scratch.iterdir()) == []
    assert list(folder.iterdir()) == []
    assert said == []


def test_the_contract_with_the_training(folder: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "ghs_0123456789abcdefghij")
    monkeypatch.setenv("MLBOT_HOLDOUT", "data/holdout.csv")
    command = """
        env > environment.txt; pwd > folder.txt; cat "$MLBOT_PARAMS" > params.json
        ls -A "$(dirname "$MLBOT_MODEL")" > beside.txt
        printf m > "$MLBOT_MODEL"
    """
    result = _run(folder, command, seed=7, params={"a.b": 1, "a.c": None, "d": "x y"})
    assert isinstance(result, Training)
    variables = dict(
        line.split("=", 1) for line in (folder / "environment.txt").read_text().splitlines() if line.startswith("MLBOT")
    )
    path = Path(variables.pop("MLBOT_MODEL"))
    assert path.is_relative_to(scratch)
    assert Path(variables.pop("MLBOT_PARAMS")).is_relative_to(scratch)
    assert variables == {"MLBOT_SEED": "7", "MLBOT_TRAIN_DATA": str(folder / "data/train.csv")}
    assert json.loads((folder / "params.json").read_text()) == {"a": {"b": 1, "c": None}, "d": "x y"}
    assert Path((folder / "folder.txt").read_text().strip()) == folder
    assert (folder / "beside.txt").read_text() == ""
    assert "PYTHONHASHSEED=7\n" in (folder / "environment.txt").read_text()
    assert "ghs_" not in (folder / "environment.txt").read_text()
    assert "holdout" not in (folder / "environment.txt").read_text()


def test_training_data_elsewhere_is_given_as_its_url(folder: Path) -> None:
    data = Data(train="s3://bucket/train.parquet", holdout="h.csv", target="y")
    of = model(run='printf "%s" "$MLBOT_TRAIN_DATA" > "$MLBOT_MODEL"', data=data)
    ask = request(folder, of=of)
    assert isinstance(train(ask, say=_quiet), Training)
    assert ask.output.read_text() == "s3://bucket/train.parquet"


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        ("exit 3", 3, "exit code 3"),
        ("false; printf m > $MLBOT_MODEL", 1, "exit code 1"),
        ("no-such-program-anywhere", 127, "exit code 127"),
        ("kill -9 $$", -9, "killed by SIGKILL (often: the machine ran out of memory)"),
        ("sh -c 'kill -9 $$'", 137, "killed by SIGKILL"),
        ("kill -SEGV $$", -11, "killed by SIGSEGV"),
        ("true", 0, "wrote no file"),
        (": > $MLBOT_MODEL", 0, "is empty"),
        ("mkdir $MLBOT_MODEL", 0, "is a folder"),
        ("mkfifo $MLBOT_MODEL", 0, "device or a pipe"),
        ("ln -s /dev/zero $MLBOT_MODEL", 0, "symbolic link"),
        ("ln -s /etc/hosts $MLBOT_MODEL", 0, "symbolic link"),
        ("rm -r $(dirname $MLBOT_MODEL)", 0, "wrote no file"),
        ("printf 12345678901 > $MLBOT_MODEL", 0, "larger than allowed: 11 bytes, at most 10"),
        ("truncate -s 9T $MLBOT_MODEL", 0, "larger than allowed"),
    ],
)
def test_what_leaves_no_model_says_why(folder: Path, command: str, code: int, words: str) -> None:
    result = _failed(folder, command, max_bytes=10)
    assert words in result.message
    assert result.exit_code == code
    assert not result.timed_out


def test_a_failure_keeps_the_end_of_the_log(folder: Path, tmp_path: Path) -> None:
    result = _failed(folder, "for i in $(seq 30); do echo line $i; done; printf '\\033[31mred\\033[0m' >&2; exit 1")
    assert result.log_tail == (*(f"line {i}" for i in range(12, 31)), "red")
    log = tmp_path / "logs" / "log.txt"
    _failed(folder, "echo kept; printf '\\377\\000' >&2; exit 1", log=log)
    assert log.read_bytes() == b"kept\n\xff\0"


def test_claims_are_kept_as_claims(folder: Path) -> None:
    said: list[str] = []
    command = 'echo roc_auc=0.5; echo \'{"roc_auc": 0.99, "f1": 1}\'; printf m > $MLBOT_MODEL'
    result = train(request(folder, of=model(run=command)), say=said.append)
    assert isinstance(result, Training)
    assert result.claims == {"roc_auc": 0.99}
    assert said[0] == "adult-income seed 0 | roc_auc=0.5"


@pytest.mark.parametrize(
    ("flat", "expected"),
    [
        ({}, {}),
        ({"a": 1, "b.c": 2, "b.d.e": None}, {"a": 1, "b": {"c": 2, "d": {"e": None}}}),
        ({"a": 1, "a.b": 2}, {"a": 1, "a.b": 2}),
        ({"a.b": 2, "a": 1}, {"a": 1, "a.b": 2}),
        ({"a.b": 1, "a.b.c": 2}, {"a": {"b": 1}, "a.b.c": 2}),
    ],
)
def test_parameters_are_nested_as_in_the_users_file(flat: Params, expected: dict[str, object]) -> None:
    assert nested(flat) == expected
