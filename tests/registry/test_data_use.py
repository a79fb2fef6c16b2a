"""What used a data file: by content, whatever its path and whoever wrote the entries, and for how long it was live."""

import time
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.history_samples import deployment, profile, release
from tests.support.ledger_samples import digest, entry

from mlbot.events.github import Attempt
from mlbot.ledger.entries import DeploymentEntry, Entry, VerdictEntry
from mlbot.ledger.queries import live_on
from mlbot.lib.terminal import Pen
from mlbot.registry.console import data_text
from mlbot.registry.data_use import DataIndex, DataUse, stays_of

TRAIN = "data/train.csv"


def verdict(run: int, number: int | None, **changes: Any) -> VerdictEntry:
    """A verdict on a model of its own, trained on a file of that number; None: nobody says on which."""
    said = None if number is None else {TRAIN: digest(number)}
    fields = {"key": digest(run), "digest": digest(100 + run), "data": said, "time": f"2026-11-{run:02}T08:00:00Z"}
    return entry(run=run, **(fields | changes))


def released(run: int, version: str, data: int | None, **changes: Any) -> Entry:
    own: dict[str, Any] = {"data": {}, "training": None} if data is None else {"data": {TRAIN: digest(data)}}
    return release(
        version,
        key=digest(run),
        digest=digest(100 + run),
        attempt=Attempt(run=run),
        judge=Attempt(run=run + 1000),
        **(own | changes),
    )


def use(entries: Sequence[Entry], *numbers: int, path: str | None = None) -> DataUse:
    found = DataIndex(entries=entries).use("asked", frozenset(map(digest, numbers)), path, there=None)
    assert DataUse.model_validate_json(found.model_dump_json()) == found
    return found


def of(found: DataUse) -> list[tuple[int, str]]:
    return [(each.attempt.run, each.part) for each in found.verdicts]


def test_trainings_and_versions_of_a_content() -> None:
    ledger = [verdict(1, 50), verdict(2, 51), verdict(3, 50), released(1, "1.0.0", 50), released(2, "1.1.0", 51)]
    found = use(ledger, 50)
    assert of(found) == [(1, "train"), (3, "train")]
    assert [each.versions for each in found.verdicts] == [("v1.0.0",), ()]
    assert [(each.version, each.part) for each in found.versions] == [("v1.0.0", "train")]
    assert (found.silent, found.every) == (0, 3)


def test_verdicts_of_an_earlier_mlbot_are_known_by_their_content_key_or_said_to_be_silent() -> None:
    ledger = [
        verdict(1, None),  # released
        verdict(2, None, key=digest(3)),  # the same content was judged again
        verdict(3, 50),
        verdict(4, None),
        released(1, "1.0.0", 50),
    ]
    found = use(ledger, 50)
    assert of(found) == [(1, "train"), (2, "train"), (3, "train")]
    assert (found.silent, found.every) == (1, 4)
    assert use([verdict(1, None), released(1, "1.0.0", None)], 50).silent == 1
    assert use([verdict(1, None, data={})], 50).silent == 0


def test_a_holdout_is_known_by_its_bytes_and_by_its_path_where_a_profile_has_that() -> None:
    held = profile().profile.model_copy(
        update={"part": "holdout", "path": "data/holdout.csv", "digest": digest(60), "content": digest(5)}
    )
    ledger = [verdict(1, 50), verdict(2, 51, holdout=digest(6)), released(1, "1.0.0", 50)]
    assert of(use(ledger, 5)) == [(1, "holdout")]
    assert use(ledger, 5).verdicts[0].path is None
    known = [*ledger, profile(profile=held)]
    for number in (5, 60):
        found = use(known, number, path="data/holdout.csv")
        assert of(found) == [(1, "holdout")]
        assert found.verdicts[0].path == "data/holdout.csv"
        assert [(each.version, each.part) for each in found.versions] == [("v1.0.0", "holdout")]
        assert [(each.digest, each.part, each.now) for each in found.history] == [(digest(5), "holdout", True)]


def test_a_file_is_the_same_under_another_path() -> None:
    moved = profile().profile.model_copy(update={"path": "people.csv", "digest": digest(52)})
    ledger: list[Entry] = [
        verdict(1, 50),
        verdict(2, None, data={"people.csv": digest(52)}),
        profile(),
        profile(profile=moved),
    ]
    for number in (50, 52, 1050):
        found = use(ledger, number)
        assert [each.path for each in found.verdicts] == [TRAIN, "people.csv"]
        assert len(found.profiles) == 2


def test_what_a_path_once_held() -> None:
    ledger = [verdict(1, 50), verdict(2, 51), verdict(3, 50), verdict(4, None), released(3, "1.0.0", 50)]
    found = use(ledger, 50, path=TRAIN)
    assert [(each.digest, each.verdicts, each.versions, each.now) for each in found.history] == [
        (digest(50), 2, ("adult-income@v1.0.0",), True),
        (digest(51), 1, (), False),
    ]
    assert [each.first[:10] for each in found.history] == ["2026-11-01", "2026-11-02"]
    assert use(ledger, 50, path="elsewhere.csv").history == ()


def test_digests_are_found_by_how_they_start() -> None:
    index = DataIndex(entries=[verdict(1, 50), verdict(2, 51), profile()])
    for number in (50, 51, 5, 1050):
        assert index.starting_with(digest(number)[7:15]) == (digest(number),)
    assert index.starting_with("") == tuple(sorted(map(digest, (50, 51, 5, 1050))))
    assert index.starting_with("0" * 8) == ()
    assert index.same([digest(50)]) == index.same([digest(1050)]) == {digest(50), digest(1050)}


def test_an_environment_is_left_when_something_else_comes() -> None:
    ledger = [
        deployment(1, "1.0.0"),
        deployment(2, "1.0.0"),  # the same again
        deployment(3, "1.1.0", state="failed"),
        deployment(4, "1.1.0"),
        deployment(5, "1.0.0", action="rollback"),
        deployment(1, "1.1.0", environment="production"),
    ]
    found = stays_of(ledger)
    first = found["adult-income", "1.0.0"]
    assert [(each.environment, each.since[14:16], (each.until or "")[14:16]) for each in first] == [
        ("staging", "01", "04"),
        ("staging", "05", ""),
    ]
    assert [(each.environment, each.until) for each in found["adult-income", "1.1.0"]] == [
        ("production", None),
        ("staging", "2026-11-20T16:05:00Z"),
    ]


_deployments = st.builds(
    deployment,
    sequence=st.integers(1, 8),
    version=st.sampled_from(["1.0.0", "1.1.0", "2.0.0"]),
    environment=st.sampled_from(["staging", "production"]),
    state=st.sampled_from(["succeeded", "failed", "rolled-back"]),
    time=st.integers(0, 50).map(lambda minute: f"2026-11-20T16:{minute:02}:00Z"),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(_deployments, max_size=12), st.integers(0, 59))
def test_at_each_moment_the_stays_are_what_was_live(entries: list[DeploymentEntry], minute: int) -> None:
    moment = f"2026-11-20T16:{minute:02}:30Z"
    there = {
        (version, each.environment)
        for (_, version), stays in stays_of(entries).items()
        for each in stays
        if each.since <= moment and (each.until is None or moment < each.until)
    }
    assert there == {(each.version, each.environment) for each in live_on(entries, moment)}


def test_ten_thousand_entries_take_no_time_worth_naming() -> None:
    many: list[Entry] = [verdict(run, run % 400, time="2026-11-20T08:00:00Z") for run in range(1, 8_001)]
    for run in range(1, 1_001):
        many.append(released(run, f"1.{run}.0", run % 400))
        many.append(deployment(run, f"1.{run}.0", digest=digest(100 + run), time="2026-11-20T16:00:00Z"))
    many += [profile(number) for number in range(400)]
    index = DataIndex(entries=many)
    started = time.process_time()
    found = index.use("asked", frozenset({digest(7)}), TRAIN, there=True)
    text = data_text(found, Pen(color=False, width=100))
    assert time.process_time() - started < 4
    assert (len(found.verdicts), len(found.versions), len(found.history)) == (20, 3, 400)
    assert len(text.splitlines()) < 100


@pytest.mark.parametrize("width", [60, 100])
def test_the_text_is_cut_and_escaped(width: int) -> None:
    evil = "a\x1b[31m\nb" * 50
    own = profile().profile
    column = own.columns[0].model_copy(update={"name": evil[:190]})
    hostile = profile(profile=own.model_copy(update={"columns": (column,), "path": evil[:900]}))
    found = use([verdict(1, None, data={evil: digest(50)}), hostile], 50, path=evil)
    text = data_text(found, Pen(color=False, width=width))
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) < 700
