"""Nothing of a training outlives it, and it does not outlive mlbot: real process trees, really killed."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.training_samples import DEADLINE_S, Witness, model, request

from mlbot.ml.supervised import Stopped
from mlbot.ml.train import train
from mlbot.protocol.artifacts import Training, TrainingFailure

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


def _train(folder: Path, command: str) -> Training | TrainingFailure:
    return train(request(folder, of=model(run=command)), say=_quiet)


def _tree(folder: Path, witness: Witness, *words: str) -> str:
    (folder / "tree.py").write_text(TREE)
    return f"exec '{sys.executable}' tree.py '{witness.path}' {' '.join(words)}"


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
