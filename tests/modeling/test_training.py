"""Training with real child processes: what is taken from them, what they are given, and how each failure reads."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.training_samples import COMMIT, DEADLINE_S, KEY, Witness, model, request

from mlbot.core.config import Data
from mlbot.core.training import Params, Training, TrainingFailure
from mlbot.modeling.supervised import Stopped
from mlbot.modeling.training import nested, train

TREE = """
import os, signal, sys
witness = os.open(sys.argv[1], os.O_WRONLY)
up, ready = os.pipe()
def stay(word):
    if "stubborn" in sys.argv:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.write(witness, word)
    os.write(ready, b".")
    while True:
        signal.pause()
if os.fork() == 0:
    stay(b"child ")
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        stay(b"daemon ")
    os._exit(0)
os.read(up, 1)
os.read(up, 1)
if "leave" in sys.argv:
    os.write(witness, b"leader ")
    with open(os.environ["MLBOT_MODEL"], "w") as file:
        file.write("m")
    sys.exit()
stay(b"leader ")
"""
"""A training with a child and a daemon of its own; all hold the witness. The leader speaks once both are up."""

PARENT = """
import json, sys
from pathlib import Path
from tests.training_samples import model, request
from mlbot.modeling.training import train
folder, run = Path(sys.argv[1]), sys.argv[2]
result = train(request(folder, of=model(run=run)), say=lambda text: None)
(peak,) = (line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(json.dumps([int(peak), result.model_dump()]))
"""

linux = pytest.mark.skipif(sys.platform != "linux", reason="daemons are found, and /proc is, on Linux only")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "checkout"
    path.mkdir()
    return path


@pytest.fixture
def witness(tmp_path: Path) -> Iterator[Witness]:
    made = Witness.at(tmp_path / "witness")
    yield made
    made.close()


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


def _tree(folder: Path, witness: Witness, *words: str) -> str:
    (folder / "tree.py").write_text(TREE)
    return f"exec '{sys.executable}' tree.py '{witness.path}' {' '.join(words)}"


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
    assert 1024**2 < result.peak_memory_bytes < 1024**3
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


@linux
def test_a_training_that_ignores_sigterm_ends_at_its_timeout(folder: Path, witness: Witness) -> None:
    of = model(run=_tree(folder, witness, "stubborn"), timeout_s=1.0)
    result = train(request(folder, of=of), say=_quiet)
    assert isinstance(result, TrainingFailure)
    assert result.timed_out
    assert "1 s, its timeout" in result.message
    assert result.exit_code == -signal.SIGKILL
    witness.wait_for(" ")
    witness.wait_for_the_end()


def test_a_training_may_clean_up_at_its_timeout(folder: Path) -> None:
    command = "trap 'echo tidied; exit 9' TERM; echo started; while :; do sleep 0.05; done"
    result = train(request(folder, of=model(run=command, timeout_s=0.5), grace_s=DEADLINE_S), say=_quiet)
    assert isinstance(result, TrainingFailure)
    assert (result.timed_out, result.exit_code) == (True, 9)
    assert (result.log_tail[0], result.log_tail[-1]) == ("started", "tidied")


@linux
def test_what_a_training_leaves_running_is_ended_with_it(folder: Path, witness: Witness) -> None:
    assert isinstance(_run(folder, _tree(folder, witness, "stubborn", "leave")), Training)
    witness.wait_for("leader ")
    witness.wait_for_the_end()


@linux
def test_stop_ends_it(folder: Path, witness: Witness) -> None:
    stop = threading.Event()
    ask = request(folder, of=model(run=_tree(folder, witness, "stubborn")))

    def stop_when_up() -> None:
        witness.wait_for("leader ")
        stop.set()

    helper = threading.Thread(target=stop_when_up)
    helper.start()
    with pytest.raises(Stopped):
        train(ask, say=_quiet, stop=stop)
    helper.join()
    witness.wait_for_the_end()
    assert not ask.output.exists()


@linux
def test_an_error_of_the_caller_ends_it(folder: Path, witness: Witness, scratch: Path) -> None:
    def say(_text: str) -> None:
        witness.wait_for("leader ")
        raise RuntimeError("the terminal is gone")

    command = f"echo up; {_tree(folder, witness)}"
    with pytest.raises(RuntimeError, match="terminal"):
        train(request(folder, of=model(run=command)), say=say)
    witness.wait_for_the_end()
    assert list(scratch.iterdir()) == []


@linux
def test_a_training_that_kills_its_supervisor_gains_nothing(folder: Path, witness: Witness) -> None:
    command = f"(kill -9 $PPID); {_tree(folder, witness)}"
    result = _failed(folder, command)
    assert "watches the training" in result.message
    assert result.exit_code is None


@linux
def test_a_training_that_forges_the_report_is_not_believed(folder: Path) -> None:
    forged = '{"exit_code": 1e400, "timed_out": [], "duration_s": null, "peak_memory_bytes": {}}'
    result = _run(folder, f"echo '{forged}' > /proc/$PPID/fd/1; printf m > $MLBOT_MODEL")
    assert isinstance(result, Training)
    assert result.duration_s < DEADLINE_S


@linux
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("word", ["child ", "daemon ", "leader "])
def test_nothing_of_a_training_outlives_mlbot(
    folder: Path, witness: Witness, scratch: Path, number: signal.Signals, word: str
) -> None:
    with _parent(folder, _tree(folder, witness, "stubborn")) as parent:
        witness.wait_for(word)
        parent.send_signal(number)
        assert parent.wait(DEADLINE_S) == -number
    witness.wait_for_the_end()
    assert not (folder.parent / "out").exists()
    deadline = time.monotonic() + DEADLINE_S
    while list(scratch.iterdir()):
        assert time.monotonic() < deadline, "a temporary folder is left"


@linux
@pytest.mark.slow
def test_a_flood_of_output_fills_no_memory(folder: Path) -> None:
    flood = "yes 'words that come again and again and again' | head -n 2300000; head -c 20000000 /dev/zero; exit 1"
    with _parent(folder, flood) as parent:
        peak_kib, result = json.loads(parent.communicate(timeout=60)[0])
    assert result["exit_code"] == 1
    assert set(result["log_tail"]) == {"words that come again and again and again"}
    assert peak_kib < 100 * 1024


def _parent(folder: Path, command: str) -> "subprocess.Popen[bytes]":
    """An mlbot of its own that trains, and can be killed."""
    root = Path(__file__).parents[2]
    return subprocess.Popen(
        [sys.executable, "-c", PARENT, str(folder), command],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


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
