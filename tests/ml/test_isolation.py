"""What a hostile artifact tries, against each jail that this machine has; and what a command is given and leaves."""

import signal
import sys
from collections.abc import Iterator

import pytest
from tests.support import attacks
from tests.support.attacks import JAILS, LIMITS, NOTHING, ONE_BY_ONE, Host, Jail

from mlbot.gates.outcome import Reason
from mlbot.ml.isolation import Isolation

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
