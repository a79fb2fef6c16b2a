"""What a hostile artifact tries, against each jail that this machine has; and what a command is given and leaves."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from tests.support import attacks
from tests.support.attacks import JAILS, LIMITS, NOTHING, ONE_BY_ONE, PYTHON, Host, Jail

from mlbot.gates.outcome import Reason
from mlbot.ml import isolation, jail
from mlbot.ml.isolation import UNHELD, Call, Isolation, Limits, Online, Rung, isolation_of, run_isolated, staged
from mlbot.verdict.verdict import Problem

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the jails are Linux's")


@pytest.fixture(scope="module")
def machine() -> Iterator[Host]:
    before = signal.signal(signal.SIGURG, signal.SIG_IGN)  # what one attack sends to all
    with attacks.host() as made:
        yield made
    signal.signal(signal.SIGURG, before)


@pytest.fixture(params=JAILS, ids=lambda each: each.name)
def entered(request: pytest.FixtureRequest) -> Iterator[Isolation]:
    tried: Jail = request.param
    with tried.entered() as found:
        if isinstance(found, str):
            pytest.skip(f"{tried.name}: {found}")
        yield found


def test_nothing_that_an_artifact_tries_comes_through(machine: Host, entered: Isolation) -> None:
    found = attacks.battery(machine, entered)
    assert {name for name, result in found.items() if result == "done"} == set()
    assert len(found) >= 60, found


def test_without_a_jail_the_attacks_work(machine: Host) -> None:
    """What never works shows nothing."""
    with NOTHING.entered() as found:
        assert isinstance(found, Isolation)
        results = attacks.battery(machine, found)
    worked = {name.partition(":")[0] for name, result in results.items() if result == "done"}
    kinds = {"network", "files and secrets", "signals", "writing outside", "privileges", "memory that nobody maps"}
    assert kinds <= worked, results


ENDINGS: dict[str, set[tuple[Reason, str]]] = {
    "fork bomb": {(Reason.SCORING_TIMEOUT, "command"), (Reason.SCORING_FAILED, "command-processes")},
    "memory shared by processes": {(Reason.SCORING_MEMORY, "command")},
    "memory of many processes": {(Reason.SCORING_MEMORY, "command")},
    "many small files": {(Reason.SCORING_FAILED, "command"), (Reason.SCORING_FAILED, "command-disk")},
    "flood of output": {(Reason.SCORING_FAILED, "command-output")},
    "flood of the log": {(Reason.SCORING_TIMEOUT, "command")},
    "endless, signals ignored": {(Reason.SCORING_TIMEOUT, "command")},
}
REFUSED = {(Reason.SCORING_FAILED, "command-no-output"), (Reason.SCORING_FAILED, "command")}


@pytest.mark.parametrize("name", [each for each in ONE_BY_ONE if each != "background process"])
def test_an_attack_on_the_machine_ends_its_own_call_alone(machine: Host, entered: Isolation, name: str) -> None:
    ran = attacks.one(machine, entered, name)
    assert ran.problem is not None
    assert (ran.problem.reason, ran.problem.cause) in ENDINGS.get(name, REFUSED), (ran.problem, ran.log)
    assert ran.output == b""
    assert ran.duration_s < LIMITS.wall_s
    assert attacks.left_behind(machine) == []
    assert not any("\x1b" in line or "##[" in line for line in ran.log)


def test_a_process_in_the_background_ends_with_the_call(machine: Host, entered: Isolation) -> None:
    ran = attacks.one(machine, entered, "background process")
    assert (ran.problem, ran.output) == (None, b"done")
    assert attacks.left_behind(machine) == []


ASKS = """
import os, socket, sys
print(os.environ["TOKEN"])
with socket.create_connection(("127.0.0.1", int(sys.argv[1])), 5) as connection:
    got = connection.recv(8)
try:
    socket.socket(socket.AF_UNIX)
except OSError:
    got += b"alone"
with open(os.environ["SCORES"], "wb") as stream:
    stream.write(got)
"""


def _answer(server: socket.socket) -> None:
    with server.accept()[0] as connection:
        connection.sendall(b"scores")


def test_an_evaluator_gets_the_network_and_its_variables_and_nothing_else(machine: Host, entered: Isolation) -> None:
    if entered.rung is Rung.DOCKER:
        pytest.skip("a container of Docker's that shares the network shares its sockets without a path, too")
    with socket.create_server(("127.0.0.1", 0)) as server, staged(CODE=machine.folder / "given" / "code") as files:
        thread = threading.Thread(target=_answer, args=(server,), daemon=True)
        thread.start()
        command = [str(PYTHON), "-c", ASKS, str(server.getsockname()[1])]
        call = Call(command=command, read_only=files, folder="CODE", output=("SCORES", "scores.json"))
        online = Online(variables={"TOKEN": "not-for-logs"})
        ran = run_isolated(call, limits=LIMITS, isolation=entered, online=online)
    assert (ran.problem, ran.output, ran.log) == (None, b"scoresalone", ("***",))
    assert entered.no_network
    assert not ran.isolation.no_network


def test_a_command_starts_where_it_asks_and_sees_its_python_first(machine: Host, entered: Isolation) -> None:
    below = machine.folder / "given" / "code" / "below"
    below.mkdir(exist_ok=True)
    below.chmod(0o755)
    call = Call(
        command=["sh", "-c", "command -v python3; pwd; echo $KEY; [ -w . ] || echo read-only"],
        read_only={"CODE": machine.folder / "given" / "code"},
        folder="CODE/below",
        env={"KEY": "value"},
    )
    ran = run_isolated(isolation.with_python(call, PYTHON), limits=LIMITS, isolation=entered)
    assert ran.problem is None
    python, folder, *rest = ran.log
    assert Path(python).name == "python3"
    assert folder.endswith("/code/below")
    assert rest == ["value", "read-only"]


def test_a_command_ends_with_mlbot(machine: Host, entered: Isolation, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        time.sleep(1)
        raise KeyboardInterrupt

    monkeypatch.setattr(isolation, "_take", interrupted)
    with pytest.raises(KeyboardInterrupt):
        attacks.one(machine, entered, "background process")
    assert attacks.left_behind(machine) == []


def test_what_nobody_watches_any_more_is_ended(machine: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_end(self: object, timeout: float | None = None) -> int:
        if timeout == 10:
            raise subprocess.TimeoutExpired("jail", timeout)
        return int(wait(self, timeout))

    def group_alone(_: Any, answer: Any, __: float) -> None:
        head = isolation._read(_, 5, time.monotonic() + 20)
        answer.group = int(isolation._read(_, int.from_bytes(head[1:], "big"), time.monotonic() + 20))
        raise EOFError

    wait: Any = subprocess.Popen.wait
    jail_ = next(each for each in JAILS if each.rung is Rung.LANDLOCK)
    with jail_.entered() as found:
        if isinstance(found, str):
            pytest.skip(found)
        monkeypatch.setattr(isolation, "_take", group_alone)
        monkeypatch.setattr(subprocess.Popen, "wait", no_end)
        ran = attacks.one(machine, found, "endless, signals ignored")
    monkeypatch.undo()
    assert ran.problem is not None
    assert ran.problem.cause == "command-not-held"
    assert attacks.left_behind(machine) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may be nobody it can become")
def test_root_is_not_held_where_no_other_user_gets_to_the_files(machine: Host) -> None:
    closed = machine.folder / "closed"
    closed.mkdir(mode=0o700, exist_ok=True)
    call = Call(command=["true"], read_only={"CODE": closed}, folder="CODE")
    ran = run_isolated(call, limits=LIMITS, isolation=UNHELD.model_copy(update={"rung": Rung.LANDLOCK}))
    assert ran.problem is not None
    assert ran.problem.cause == "command-not-held"
    assert ran.log == (f"no other user than root gets to {closed}",)


def test_copies_can_be_read_by_any_user_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        (tmp_path / "model").mkdir()
        (tmp_path / "model" / "weights").write_bytes(b"1")
        (tmp_path / "run.sh").write_text("true")
        (tmp_path / "run.sh").chmod(0o700)
        with staged(A=tmp_path / "model", B=tmp_path / "run.sh") as files:
            modes = {each.name: each.stat().st_mode & 0o777 for each in (*files["A"].rglob("*"), *files.values())}
            assert modes == {"weights": 0o644, "model": 0o755, "run.sh": 0o755}
        assert not files["A"].exists()
    finally:
        os.umask(before)


def test_the_judge_runs_nothing_without_a_jail_and_a_laptop_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object, **__: object) -> str:
        return "there is none"

    monkeypatch.setattr(isolation, "_probe", none)
    isolation._probed.cache_clear()
    try:
        found = isolation_of(judge=True)
        assert isinstance(found, Problem)
        assert found.reason is Reason.PREDICTOR_NOT_ISOLATED
        assert "bubblewrap: there is none" in found.detail
        held = isolation_of(judge=False)
        assert isinstance(held, Isolation)
        assert held == UNHELD.model_copy(update={"refused": held.refused})
        assert list(held.refused) == [each for each in Rung if each is not Rung.NONE]
    finally:
        isolation._probed.cache_clear()


@pytest.mark.parametrize(("judge", "why"), [(True, ", and there is no sudo"), (False, "")])
def test_a_machine_without_sudo_has_the_other_jails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, judge: bool, why: str
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert isolation._probe(Rung.BUBBLEWRAP_ROOT, sys.executable, judge=judge) == f"mlbot does not run as root{why}"


@pytest.mark.parametrize(
    ("facts", "cause"),
    [
        ({}, "command-not-held"),
        ({"ended": "orphaned", "code": None}, "command-not-held"),
        ({"ended": "", "code": 0, "left": 1}, "command-not-held"),
        ({"ended": "machine", "code": -9}, "machine"),
        ({"ended": "", "code": 81}, "command-no-output"),
        ({"ended": "", "code": 3}, "command"),
    ],
)
def test_what_ended_a_call_is_named_in_our_words(facts: dict[str, object], cause: str) -> None:
    spec = jail.Spec(rung="none", command=[], mounts=[], env={}, folder="/", output="", box="", network=False, **BARE)
    problem = isolation._problem(spec, facts)
    assert problem is not None
    assert problem.cause == cause


BARE: dict[str, Any] = asdict(Limits())
