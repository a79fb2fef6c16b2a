"""Training with real child processes: what is taken from them, what they are given, and how each failure reads."""

import json
import math
import os
import signal
import string
import subprocess
import sys
import threading
import time
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.training_samples import COMMIT, DEADLINE_S, KEY, Witness, model, request

from mlbot.config.data import Data
from mlbot.config.predict import Predict
from mlbot.lib.record import Params
from mlbot.ml.train import Log, Stopped, clean, current_environment, nested, train, training_environment
from mlbot.protocol.artifacts import Training, TrainingFailure
from mlbot.storage.artifact import listing_of


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
    return train(request(folder, of=model(run=command), **changes), progress=_quiet)


def _failed(folder: Path, command: str, **changes: Any) -> TrainingFailure:
    ask = request(folder, of=model(run=command), **changes)
    result = train(ask, progress=_quiet)
    assert isinstance(result, TrainingFailure)
    assert not ask.output.exists()
    assert list(ask.output.parent.glob("*")) == []
    return result


def test_the_file_is_taken_hashed_and_described(folder: Path, scratch: Path) -> None:
    ask = request(folder, 3, params={"depth": 4}, data={"data/train.csv": "sha256:" + "d" * 64})
    said: list[str] = []
    result = train(ask, progress=said.append)
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
    assert Path(variables.pop("MLBOT_ARTIFACT")) == path
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
    assert isinstance(train(ask, progress=_quiet), Training)
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
        ("mkdir $MLBOT_MODEL", 0, "the folder is empty"),
        ("mkdir $MLBOT_ARTIFACT; ln -s /etc/hosts $MLBOT_ARTIFACT/hosts", 0, "hosts is a symbolic link"),
        (
            "mkdir $MLBOT_ARTIFACT; printf 12345678901 > $MLBOT_ARTIFACT/a",
            0,
            "larger than allowed: 11 bytes, at most 10",
        ),
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


def test_a_training_may_leave_a_folder(folder: Path) -> None:
    of = model(run="mkdir -p $MLBOT_ARTIFACT/a; printf 1 > $MLBOT_ARTIFACT/a/b")
    ask = request(folder, of=of.model_copy(update={"predict": Predict(run="python predict.py")}))
    result = train(ask, progress=_quiet)
    assert isinstance(result, Training)
    listing = listing_of(ask.output)
    assert listing is not None
    assert ([each.path for each in listing.members], result.digest, result.size_bytes) == (["a/b"], listing.digest, 1)


def test_a_failure_keeps_the_end_of_the_log(folder: Path, tmp_path: Path) -> None:
    result = _failed(folder, "for i in $(seq 30); do echo line $i; done; printf '\\033[31mred\\033[0m' >&2; exit 1")
    assert result.log_tail == (*(f"line {i}" for i in range(12, 31)), "red")
    log = tmp_path / "logs" / "log.txt"
    _failed(folder, "echo kept; printf '\\377\\000' >&2; exit 1", log=log)
    assert log.read_bytes() == b"kept\n\xff\0"


def test_claims_are_kept_as_claims(folder: Path) -> None:
    said: list[str] = []
    command = 'echo roc_auc=0.5; echo \'{"roc_auc": 0.99, "f1": 1}\'; printf m > $MLBOT_MODEL'
    result = train(request(folder, of=model(run=command)), progress=said.append)
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


# What a training is told of its surroundings, and what it is not.

TOKEN = "ghs_" + "0123456789abcdefghijklmnopqrstuvwxyz"


def _given(**user: str) -> dict[str, str]:
    return training_environment({"PATH": "/usr/bin", **user}, seed=1, own={})


@pytest.mark.parametrize(
    "name",
    [
        "GITHUB_TOKEN",
        "GH_TOKEN",
        "GH_ENTERPRISE_TOKEN",
        "ACTIONS_RUNTIME_TOKEN",
        "ACTIONS_RUNTIME_URL",
        "ACTIONS_CACHE_URL",
        "ACTIONS_RESULTS_URL",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
        "ACTIONS_ID_TOKEN_REQUEST_URL",
        "INPUT_TOKEN",
        "INPUT_MY-TOKEN",
        "MLBOT_TOKEN",
        "MLBOT_HOLDOUT_PASSWORD",
        "GIT_CONFIG_VALUE_0",
        "GIT_DIR",
        "GITHUB_ENV",
        "GITHUB_PATH",
        "GITHUB_OUTPUT",
        "GITHUB_STATE",
        "GITHUB_STEP_SUMMARY",
    ],
)
def test_what_only_mlbot_needs_is_left_out(name: str) -> None:
    assert name not in _given(**{name: "some value of it"})


@pytest.mark.parametrize(
    "token", [TOKEN, TOKEN.replace("ghs", "ghp"), "github_pat_" + "1" * 40, f"https://x:{TOKEN}@github.com"]
)
def test_a_github_token_is_left_out_under_any_name(token: str) -> None:
    assert "SOMETHING" not in _given(SOMETHING=token)


def test_the_same_token_under_a_second_name_is_left_out() -> None:
    assert "MY_TOKEN" not in _given(GITHUB_TOKEN="an-old-token-of-a-server", MY_TOKEN="an-old-token-of-a-server")


@pytest.mark.parametrize("name", ["HOME", "CI", "GITHUB_SHA", "AWS_SECRET_ACCESS_KEY", "HF_TOKEN", "OMP_NUM_THREADS"])
def test_what_a_training_may_need_stays(name: str) -> None:
    assert _given(**{name: "value"})[name] == "value"


def test_the_path_is_the_users_and_mlbots_python_is_not_on_it() -> None:
    assert _given()["PATH"] == "/usr/bin"
    assert "PATH" in training_environment({}, seed=0, own={})


def test_seed_and_defaults() -> None:
    given = training_environment({"OMP_WAIT_POLICY": "ACTIVE"}, seed=2**32 + 5, own={"MLBOT_MODEL": "m"})
    assert (given["MLBOT_SEED"], given["PYTHONHASHSEED"]) == (str(2**32 + 5), "5")
    assert (given["OMP_WAIT_POLICY"], given["MLBOT_MODEL"]) == ("ACTIVE", "m")
    assert _given()["OMP_WAIT_POLICY"] == "PASSIVE"


def test_the_record_is_stable_and_names_the_lock() -> None:
    lock = "sha256:" + "1" * 64
    record = current_environment(lock)
    assert record == current_environment(lock)
    assert record.lock == lock
    assert record.python == ".".join(map(str, sys.version_info[:3]))
    assert os.uname().release not in record.platform


def test_another_package_is_another_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = current_environment(None)
    (tmp_path / "extra-1.0.dist-info").mkdir()
    (tmp_path / "extra-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: extra\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert current_environment(None).packages != before.packages


# What a training prints: claims, a tail and progress, from hostile text of any length.

NAMES = ("roc_auc", "f1", "f1_macro", "log_loss")
LIMIT = 500


def _log(path: Path | None = None, *, clock: list[float] | None = None) -> tuple[Log, list[str]]:
    said: list[str] = []
    times = clock if clock is not None else [0.0]
    return Log(path, said.append, name="m seed 0", metrics=NAMES, clock=lambda: times[-1]), said


def claims(text: str, names: Iterable[str] = NAMES) -> dict[str, float]:
    log = Log(None, _quiet, name="m seed 0", metrics=names)
    log.write(text.encode("utf-8", "replace"))
    log.finish()
    return log.claims


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("roc_auc=0.91", {"roc_auc": 0.91}),
        ("  roc_auc : 0.91.", {"roc_auc": 0.91}),
        ('{"roc_auc": 0.91, "f1": "0.5"}', {"roc_auc": 0.91, "f1": 0.5}),
        ("f1_macro=0.1 f1=.2", {"f1_macro": 0.1, "f1": 0.2}),
        ("log_loss: -1e-3", {"log_loss": -0.001}),
        ("roc_auc=0.5\nroc_auc=0.7", {"roc_auc": 0.7}),
        ("\x1b[1mroc_auc\x1b[0m: \x1b[32m0.9\x1b[0m", {"roc_auc": 0.9}),
        ("roc_auc=1", {"roc_auc": 1.0}),
    ],
)
def test_claims_are_found(text: str, expected: dict[str, float]) -> None:
    assert claims(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "val_roc_auc=0.9",
        "roc_auc@women=0.9",
        "x.roc_auc=0.9",
        "roc_auc=nan",
        "roc_auc=inf",
        "roc_auc=1e999",
        "roc_auc=91%",
        "roc_auc=0.9x",
        "roc_auc=1.2.3",
        "roc_auc=\n0.9",
        "roc_auc 0.9",
        "roc_auc=" + "9" * 1000,
        "roc_aucs=0.9",
    ],
)
def test_what_is_no_claim_is_not_taken_for_one(text: str) -> None:
    assert claims(text) == {}


def test_a_number_that_is_not_finite_does_not_replace_one() -> None:
    assert claims("roc_auc=0.9\nroc_auc=nan\nroc_auc=1e400") == {"roc_auc": 0.9}


def test_no_names_no_claims() -> None:
    assert claims("roc_auc=0.9", ()) == {}


@given(st.text(), st.sets(st.text(min_size=1, max_size=10), max_size=4))
def test_claims_of_any_text_are_finite_numbers_of_the_names(text: str, names: set[str]) -> None:
    found = claims(text, names)
    assert found.keys() <= names
    assert all(math.isfinite(value) for value in found.values())


@given(
    st.sampled_from(NAMES),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["=", ": ", " = ", "\t:\t"]),
    st.text(alphabet=string.ascii_letters + " \n(,[", max_size=20).filter(lambda t: not t or not t[-1].isalnum()),
)
def test_whatever_python_prints_of_a_float_is_read_back(name: str, value: float, sign: str, before: str) -> None:
    assert claims(f"{before}{name}{sign}{value!r}\n") == {name: value}


@given(st.text())
def test_a_clean_line_holds_nothing_that_a_terminal_obeys(line: str) -> None:
    got = clean(line)
    assert len(got) <= LIMIT + 100
    assert not any(unicodedata.category(letter).startswith("C") for letter in got)
    assert "##[" not in got


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;http://example.org\x1b\\link", "link"),
        ("a\u202eb\u200bc\x00", "abc"),
        ("a\tb  ", "a b"),
        ("##[error]x ##[set-env]", "## [error]x ## [set-env]"),
        ("x" * 1000, "x" * LIMIT),
        ("\x1b", ""),
    ],
)
def test_lines_are_cleaned(line: str, expected: str) -> None:
    assert clean(line) == expected


def test_lines_are_put_together_from_pieces_cut_anywhere() -> None:
    text = "\n".join(f"häppy {number}" for number in range(10)) + "\nroc_auc=0.75"
    raw = text.encode()
    for size in (1, 2, 3, 7, len(raw)):
        log, said = _log()
        for start in range(0, len(raw), size):
            log.write(raw[start : start + size])
        log.finish()
        assert log.tail == tuple(text.split("\n"))
        assert said == [f"m seed 0 | {line}" for line in text.split("\n")]
        assert log.claims == {"roc_auc": 0.75}


def test_only_the_last_twenty_lines_are_kept() -> None:
    log, _ = _log()
    log.write(b"".join(b"%d\n" % number for number in range(1000)))
    assert log.tail == tuple(str(number) for number in range(980, 1000))


def test_a_progress_bar_makes_lines() -> None:
    log, _ = _log()
    log.write(b"10 %\r20 %\r\n30 %")
    log.finish()
    assert log.tail == ("10 %", "20 %", "30 %")


def test_progress_is_rate_limited_and_says_what_it_leaves_out() -> None:
    clock = [0.0]
    log, said = _log(clock=clock)
    log.write(b"x\n" * 100)
    assert len(said) == 20
    clock.append(2.5)
    log.write(b"y\n" * 5)
    assert said[20:] == ["m seed 0 | (80 lines not shown)", "m seed 0 | y", "m seed 0 | y"]
    log.finish()
    assert said[-1] == "m seed 0 | (3 lines not shown)"


def test_binary_garbage_is_survived(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "log.txt"
    garbage = bytes(range(256)) * 1000
    log, said = _log(path)
    with log:
        log.write(garbage)
    assert path.read_bytes() == garbage
    assert all(unicodedata.category(letter)[0] != "C" for line in (*said, *log.tail) for letter in line)


@pytest.mark.parametrize("block", [b"a line of some length\n" * 2979, b"\0" * 65536, b"x" * 65536])
def test_a_flood_does_not_fill_the_disk(block: bytes, tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    said: list[str] = []
    with Log(path, said.append, name="m", metrics=NAMES, most_bytes=200_000, clock=lambda: 0.0) as log:
        for _ in range(20):
            log.write(block)
    note = b"\n[mlbot: the log is longer; the rest was not kept]\n"
    assert path.read_bytes() == (block * 20)[:200_000] + note
    assert len(said) <= 21
    assert all(len(line) <= LIMIT for line in log.tail)


# Nothing of a training outlives it, and it does not outlive mlbot: real process trees, really killed.

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
from tests.support.training_samples import model, request
from mlbot.ml.train import train
folder, run = Path(sys.argv[1]), sys.argv[2]
result = train(request(folder, of=model(run=run)), progress=lambda text: None)
(peak,) = (line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(json.dumps([int(peak), result.model_dump()]))
"""

linux = pytest.mark.skipif(sys.platform != "linux", reason="daemons are found, and /proc is, on Linux only")


@pytest.fixture
def witness(tmp_path: Path) -> Iterator[Witness]:
    made = Witness.at(tmp_path / "witness")
    yield made
    made.close()


def _train(folder: Path, command: str) -> Training | TrainingFailure:
    return train(request(folder, of=model(run=command)), progress=_quiet)


def _tree(folder: Path, witness: Witness, *words: str) -> str:
    (folder / "tree.py").write_text(TREE)
    return f"exec '{sys.executable}' tree.py '{witness.path}' {' '.join(words)}"


@linux
def test_a_training_that_ignores_sigterm_ends_at_its_timeout(folder: Path, witness: Witness) -> None:
    of = model(run=_tree(folder, witness, "stubborn"), timeout_s=1.0)
    result = train(request(folder, of=of), progress=_quiet)
    assert isinstance(result, TrainingFailure)
    assert result.timed_out
    assert "1 s, its timeout" in result.message
    assert result.exit_code == -signal.SIGKILL
    witness.wait_for(" ")
    witness.wait_for_the_end()


def test_a_training_may_clean_up_at_its_timeout(folder: Path) -> None:
    command = "trap 'echo tidied; exit 9' TERM; echo started; while :; do sleep 0.05; done"
    result = train(request(folder, of=model(run=command, timeout_s=0.5), grace_s=DEADLINE_S), progress=_quiet)
    assert isinstance(result, TrainingFailure)
    assert (result.timed_out, result.exit_code) == (True, 9)
    assert (result.log_tail[0], result.log_tail[-1]) == ("started", "tidied")


@linux
def test_what_a_training_leaves_running_is_ended_with_it(folder: Path, witness: Witness) -> None:
    assert isinstance(_train(folder, _tree(folder, witness, "stubborn", "leave")), Training)
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
        train(ask, progress=_quiet, stop=stop)
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
        train(request(folder, of=model(run=command)), progress=say)
    witness.wait_for_the_end()
    assert list(scratch.iterdir()) == []


@linux
def test_a_training_that_kills_its_supervisor_gains_nothing(folder: Path, witness: Witness) -> None:
    command = f"(kill -9 $PPID); {_tree(folder, witness)}"
    result = _train(folder, command)
    assert isinstance(result, TrainingFailure)
    assert "watches the training" in result.message
    assert result.exit_code is None


@linux
def test_a_training_that_forges_the_report_is_not_believed(folder: Path) -> None:
    forged = '{"exit_code": 1e400, "timed_out": [], "duration_s": null, "peak_memory_bytes": {}}'
    result = _train(folder, f"echo '{forged}' > /proc/$PPID/fd/1; printf m > $MLBOT_MODEL")
    assert isinstance(result, Training)
    assert result.duration_s < DEADLINE_S


@linux
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
def test_the_training_itself_ends_even_if_its_supervisor_is_killed_with_mlbot(folder: Path, witness: Witness) -> None:
    command = f"exec 3>'{witness.path}'; echo $PPID > supervisor; printf 'up ' >&3; exec sleep 1000"
    with _parent(folder, command) as parent:
        witness.wait_for("up ")
        supervisor = int((folder / "supervisor").read_text())
        os.kill(supervisor, signal.SIGSTOP)  # so that it cannot tidy up in between
        parent.kill()
        parent.wait(DEADLINE_S)
        os.kill(supervisor, signal.SIGKILL)
    witness.wait_for_the_end()


@linux
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
