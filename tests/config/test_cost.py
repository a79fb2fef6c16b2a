"""What times on runners come to, and what the section `cost` refuses."""

import pytest
from tests.support.config_texts import SMALL, parse, problems

from mlbot.config.cost import Cost
from mlbot.events.github import JobTime, RunnerTime, added, runner_times

NOW = "2026-11-30T18:00:00Z"


def time(*labels: str, seconds: int = 90, minutes: int = 2, jobs: int = 1) -> RunnerTime:
    return RunnerTime(labels=labels, jobs=jobs, seconds=seconds, minutes=minutes)


def job(*labels: str, start: str = "17:00:00", end: str | None = "17:01:30") -> JobTime:
    started, ended = f"2026-11-30T{start}Z", f"2026-11-30T{end}Z" if end else None
    return JobTime(labels=labels, started=started, ended=ended)


def test_times_are_added_by_labels_and_billed_minutes_are_whole() -> None:
    found = runner_times([job("ubuntu-latest"), job("ubuntu-latest", end="17:00:30"), job("self-hosted", "gpu")], NOW)
    assert found == (
        time("self-hosted", "gpu"),
        time("ubuntu-latest", seconds=120, minutes=3, jobs=2),
    )
    assert added([*found, *found])[1] == time("ubuntu-latest", seconds=240, minutes=6, jobs=4)


def test_a_job_that_runs_counts_up_to_now_and_one_that_never_ran_not_at_all() -> None:
    assert runner_times([job("a", start="17:59:00", end=None)], NOW) == (time("a", seconds=60, minutes=1),)
    assert runner_times([job("a", end="17:00:00"), job("a", end="16:00:00"), job(), job("\n")], NOW) == ()


def test_price_energy_and_grams() -> None:
    rules = Cost(
        prices={"ubuntu-latest": 0.006, "GPU": 0.07},
        watts={"default": 60.0, "gpu": 400.0},
        utilisation=0.5,
        intensity=300.0,
    )
    found = rules.estimate(
        [time("ubuntu-latest", seconds=3600, minutes=60), time("self-hosted", "gpu", seconds=1800, minutes=30)]
    )
    assert found.minutes == 90
    assert found.price == pytest.approx(60 * 0.006 + 30 * 0.07)
    assert found.kwh == pytest.approx((1 * 60 + 0.5 * 400) * 0.5 / 1000)
    assert found.grams == pytest.approx((found.kwh or 0) * 300)
    assert (found.unpriced, found.unmetered) == ((), ())


def test_what_has_no_price_is_named_and_not_taken_for_free() -> None:
    found = Cost(prices={"gpu": 0.07}).estimate([time("gpu"), time("self-hosted", "big")])
    assert found.price == pytest.approx(0.14)
    assert found.unpriced == ("self-hosted, big",)
    nothing = Cost().estimate([time("gpu")])
    assert (nothing.price, nothing.unpriced, nothing.kwh, nothing.grams) == (None, (), None, None)


def test_the_section_is_read() -> None:
    found = parse(
        f"{SMALL}cost: {{currency: EUR, prices: {{gpu: 0.07}}, watts: {{default: 60}},\n"
        "  utilisation: 0.5, intensity: 380}\n"
    ).cost
    assert found == Cost(
        currency="EUR", prices={"gpu": 0.07}, watts={"default": 60.0}, utilisation=0.5, intensity=380.0
    )
    assert parse(SMALL).cost == Cost()


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("{currency: euro}", "cost.currency"),
        ("{prices: {gpu: -1}}", "cost.prices.gpu"),
        ("{prices: {gpu: .inf}}", "cost.prices.gpu"),
        ("{prices: {gpu: true}}", "cost.prices.gpu"),
        ("{prices: {gpu: 1, GPU: 2}}", "cost.prices.GPU"),
        ("{prices: [1]}", "a mapping from labels of runners"),
        ("{prices: {}}", "a mapping from labels of runners"),
        ("{watts: {a: x}}", "cost.watts.a"),
        ("{utilisation: 0}", "cost.utilisation"),
        ("{utilisation: 2}", "cost.utilisation"),
        ("{intensity: -1}", "cost.intensity"),
        ("{price: {a: 1}}", "unknown key"),
    ],
)
def test_what_is_refused(written: str, said: str) -> None:
    found = problems(f"{SMALL}cost: {written}\n")
    assert len(found) == 1
    assert said in found[0]
