"""Which trainings share a job."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbot.errors import UsageError
from mlbot.plan.packs import HOSTED, MATRIX_LIMIT, Pack, Wanted, is_quick, packs
from mlbot.plan.plan import PlannedModel, StaleCode, StaleReason

KEY = f"sha256:{'0' * 64}"
COMMIT = "a" * 40


def wanted(name: str, seeds: int = 3, *, commit: str | None = None, **changes: Any) -> Wanted:
    facts: dict[str, Any] = {"runs_on": HOSTED, "timeout_s": 1800.0} | changes
    overrides = facts.pop("overrides", None)
    why = (StaleReason(code=StaleCode.CODE, text="train.py changed"),)
    model = PlannedModel(name=name, key=KEY, stale=True, reasons=why, seeds=seeds, **facts)
    return Wanted(model=model, commit=commit, overrides=overrides)


def knowing(models: Iterable[Wanted], durations: Mapping[str, float]) -> list[Wanted]:
    return [replace(each, known_s=durations.get(each.model.name)) for each in models]


def shown(found: tuple[Pack, ...]) -> list[tuple[str, dict[str, list[int]]]]:
    return [(pack.name, {name: list(seeds) for name, seeds in pack.trainings.items()}) for pack in found]


TEN = [wanted(f"m{number}") for number in range(10)]
A, B, C = ({name: [0, 1, 2]} for name in "abc")
ALONE = [("a+s0", {"a": [0]}), ("a+s1", {"a": [1]}), ("a+s2", {"a": [2]})]


@pytest.mark.parametrize(
    ("models", "durations", "packed"),
    [
        ([], {}, []),
        ([wanted("a")], {}, [("a", A)]),
        ([wanted("a"), wanted("b")], {}, [("a", A), ("b", B)]),
        ([wanted("a"), wanted("b")], {"a": 60, "b": 60}, [("a+1", A | B)]),
        # One is not known, and one takes longer than a job is filled to.
        ([wanted("a"), wanted("b"), wanted("c")], {"a": 9, "c": 9}, [("a+1", A | C), ("b", B)]),
        ([wanted("a"), wanted("b")], {"a": 300, "b": 9}, [("a", A), ("b", B)]),
        ([wanted("a")], {"a": 601}, ALONE),
        (
            [wanted("a", 7)],
            {"a": 290},
            [("a+s0", {"a": [0, 1]}), ("a+s2", {"a": [2, 3]}), ("a+s4", {"a": [4, 5]}), ("a+s6", {"a": [6]})],
        ),
        ([wanted("a", runs_on=("gpu",)), wanted("b")], {"a": 9, "b": 9}, [("a", A), ("b", B)]),
        ([wanted("a", timeout_s=3 * 3600)], {}, ALONE),  # GitHub would end it after six hours
        ([wanted("a", overrides={"lr": 1}), wanted("a")], {"a": 1}, [("a", A), ("a+trial", A)]),
        # A commit more of the same models, whose jobs have other names.
        (
            [
                *(wanted(name, commit=COMMIT) for name in "ab"),
                *(replace(wanted(name, commit="b" * 40), label="+anchor-b") for name in "ab"),
            ],
            {"a": 9, "b": 9},
            [("a+1", A | B), ("a+anchor-b+1", A | B)],
        ),
    ],
)
def test_what_shares_a_job(
    models: list[Wanted], durations: dict[str, float], packed: list[tuple[str, dict[str, list[int]]]]
) -> None:
    assert sorted(shown(packs(knowing(models, durations))), key=repr) == sorted(packed, key=repr)


def test_a_leg_of_the_matrix() -> None:
    (pack,) = packs([wanted("a", 2, runs_on=("self-hosted", "gpu"), timeout_s=61, commit=COMMIT)])
    assert pack.job == {
        "pack": "a",
        "trainings": '{"a": [0, 1]}',
        "runs-on": ["self-hosted", "gpu"],
        "timeout-minutes": 13,
        "ref": COMMIT,
    }
    (trial,) = packs([wanted("a", 1, overrides={"lr": 0.5})])
    assert (trial.job["runs-on"], trial.job["overrides"]) == ("ubuntu-latest", '{"lr": 0.5}')


@pytest.mark.parametrize(
    ("models", "durations", "quick"),
    [
        ([wanted("a")], {"a": 200}, True),
        (TEN, {each.model.name: 20 for each in TEN}, True),
        (TEN, {each.model.name: 21 for each in TEN}, False),
        ([wanted("a")], {}, False),
        ([wanted("a")], {"a": 201}, False),
        ([wanted("a", runs_on=("gpu",))], {"a": 1}, False),
        ([], {}, False),
    ],
)
def test_what_the_planning_job_trains_itself(models: list[Wanted], durations: dict[str, float], *, quick: bool) -> None:
    assert is_quick(packs(knowing(models, durations))) is quick


@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize("models", [86, 256, 300, 1000])
def test_nothing_is_dropped_where_a_matrix_is_full(models: int, seeds: int) -> None:
    found = packs([wanted(f"m{number}", seeds) for number in range(models)])
    assert len(found) <= MATRIX_LIMIT
    assert sum(len(each) for pack in found for each in pack.trainings.values()) == models * seeds


def test_more_runners_than_jobs_are_refused() -> None:
    with pytest.raises(UsageError, match="257 different runners"):
        packs([wanted(f"m{number}", runs_on=(f"r{number}",)) for number in range(257)])


LABELS = st.sampled_from([HOSTED, ("gpu",), ("self-hosted", "linux")])
MODELS = st.lists(
    st.tuples(st.integers(1, 9), LABELS, st.sampled_from([None, COMMIT]), st.floats(1, 30_000)), max_size=60
)


@given(MODELS, st.lists(st.none() | st.floats(0, 5_000), min_size=60, max_size=60))
def test_each_seed_is_trained_once_where_it_belongs(
    models: list[tuple[int, tuple[str, ...], str | None, float]], times: list[float | None]
) -> None:
    every = [
        wanted(f"m{number}", seeds, runs_on=label, commit=commit, timeout_s=limit)
        for number, (seeds, label, commit, limit) in enumerate(models)
    ]
    durations = {f"m{number}": time for number, time in enumerate(times) if time is not None}
    found = packs(knowing(every, durations))
    trained = Counter((name, seed) for pack in found for name, seeds in pack.trainings.items() for seed in seeds)
    assert trained == {(each.model.name, seed): 1 for each in every for seed in range(each.model.seeds)}
    assert len({pack.name for pack in found}) == len(found), "each has an artifact of its own"
    places = {each.model.name: (each.model.runs_on, each.commit) for each in every}
    assert all(places[name] == (pack.runs_on, pack.commit) for pack in found for name in pack.trainings)
    unknown = [pack for pack in found if pack.expected_s is None and len(pack.trainings) == 1]
    assert all(pack.timeout_s <= 340 * 60 for pack in unknown if sum(map(len, pack.trainings.values())) > 1)
    assert all(json.loads(pack.job["trainings"]) for pack in found)
