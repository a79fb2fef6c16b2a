"""Timing in rounds, on a clock that only moves when a model is asked."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from mlbot.ml.protocol import REPLY, ProtocolError, parse
from mlbot.ml.rounds import Ask, Rounds, medians, timed_in_rounds, with_rounds
from mlbot.verdict.verdict import Latency

LATENCY = Latency(requests=1, p50_ms=9.0, p95_ms=9.0, batch_rows=10, rows_per_s=1.0)


@dataclass
class Machine:
    """A machine on which requests take as long as is told, and of which everything is written down."""

    now: float = 0.0
    asked: list[tuple[str, int, int]] = field(default_factory=list)

    def model(self, name: str, ms: float, *, fails_after: int = 10**9) -> Ask:
        def ask(start: int, requests: int) -> Sequence[float]:
            self.asked.append((name, start, requests))
            if len([each for each in self.asked if each[0] == name]) > fails_after:
                return ()
            self.now += requests * ms / 1000
            return [ms] * requests

        return ask

    def time(self, *models: Ask, usual: Sequence[float], seconds: float = 4.0) -> tuple[Rounds, ...]:
        return timed_in_rounds(models, usual, seconds=seconds, clock=lambda: self.now)


def test_sides_are_asked_in_turn_and_the_order_alternates() -> None:
    machine = Machine()
    a, b = machine.time(machine.model("a", 1.0), machine.model("b", 2.0), usual=(1.0, 2.0))
    assert [name for name, _, _ in machine.asked[:6]] == ["a", "b", "b", "a", "a", "b"]
    assert (len(a), len(b), len(machine.asked)) == (20, 20, 40)
    assert {requests for _, _, requests in machine.asked} == {20}
    assert [start for name, start, _ in machine.asked if name == "a"] == list(range(0, 400, 20))
    assert medians(a) == (1.0,) * 20
    assert medians(b) == (2.0,) * 20


@pytest.mark.parametrize(
    ("ms", "rounds", "requests"), [(5.0, 20, 20), (20.0, 20, 5), (100.0, 20, 1), (200.0, 10, 1), (1000.0, 2, 1)]
)
def test_a_slow_model_gets_fewer_requests_and_then_fewer_rounds(ms: float, rounds: int, requests: int) -> None:
    machine = Machine()
    found, _ = machine.time(machine.model("a", ms), machine.model("b", ms), usual=(ms, ms))
    assert (len(found), len(found[0])) == (rounds, requests)
    assert machine.now <= 4.0 + 2 * requests * ms / 1000


def test_a_machine_that_becomes_slow_ends_the_rounds() -> None:
    machine = Machine()
    (found,) = machine.time(machine.model("a", 100.0), usual=(1.0,))
    assert (len(found), len(found[0])) == (2, 20)


def test_a_model_that_fails_leaves_the_other_alone() -> None:
    machine = Machine()
    a, b = machine.time(machine.model("a", 1.0), machine.model("b", 1.0, fails_after=3), usual=(1.0, 1.0))
    assert (len(a), len(b)) == (20, 3)


def test_nothing_to_time() -> None:
    assert timed_in_rounds((), (), seconds=1.0) == ()


def test_a_latency_is_what_its_rounds_say() -> None:
    rounds = tuple((float(number), float(number), 100.0) for number in range(1, 21))
    found = with_rounds(LATENCY, rounds)
    assert (found.requests, found.rounds) == (60, 20)
    assert (found.p50_ms, found.p50_low, found.p50_high) == (10.5, 6.0, 15.0)
    assert found.p95_ms == 100.0
    assert (found.batch_rows, found.rows_per_s) == (10, 1.0)
    few = with_rounds(LATENCY, rounds[:5])
    assert (few.p50_ms, few.p50_low, few.p50_high, few.rounds) == (3.0, None, None, 5)


@pytest.mark.parametrize("ms", ["1e999", "1e300", "-1", "NaN"])
def test_a_time_that_cannot_be_is_no_answer(ms: str) -> None:
    with pytest.raises(ProtocolError):
        parse(REPLY, f'{{"kind":"timed","dtype":"<f4","width":1,"ms":[{ms}]}}'.encode())
