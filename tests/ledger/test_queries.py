"""What the ledger says of versions and environments, whatever order its files are read in."""

import json
import random
from collections.abc import Sequence
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.history_samples import (
    approval,
    cost,
    day,
    deployment,
    lock,
    look,
    profile,
    reference,
    release,
    request,
    sealed,
    sketch,
    waiver,
)
from tests.support.ledger_samples import digest, entry

from mlbot.events.github import Attempt
from mlbot.ledger.entries import KINDS, Entry, canonical, files_of, folders_of, path_of, read_files
from mlbot.ledger.queries import (
    approvals,
    believable,
    best_release,
    deployments,
    live,
    live_on,
    locked,
    locks,
    reference_of,
    release_of,
    releases,
    unfinished,
    verdicts,
    waivers,
)

M, S, P = "adult-income", "staging", "production"
times = st.sampled_from(
    ["1970-01-01T00:00:00Z", "2026-11-18T09:00:00Z", "2026-11-20T16:00:00Z", "2099-01-01T00:00:00Z"]
)
models = st.sampled_from([M, "churn"])
environments = st.sampled_from([S, P])
versions = st.sampled_from(["0.9.0", "0.10.0", "1.0.0"])
one_entry = st.one_of(
    st.builds(entry, run=st.integers(1, 9), model=models, time=times),
    st.builds(waiver, key=st.integers(1, 3), model=models, comment=st.none() | st.integers(1, 9), time=times),
    st.builds(release, versions, model=models, digest=st.integers(1, 2).map(digest), time=times),
    st.builds(
        deployment,
        st.integers(1, 4),
        versions,
        environments,
        model=models,
        state=st.sampled_from(["started", "failed", "succeeded", "rolled-back"]),
        run=st.none() | st.builds(Attempt, run=st.integers(1, 3)),
        time=times,
    ),
    st.builds(approval, versions, environments, model=models, actor=st.sampled_from(["ada", "grace"]), time=times),
    st.builds(lock, st.integers(1, 4), environments, locked=st.booleans(), time=times),
)
some_day = st.builds(day, version=versions, requests=st.none() | st.integers(0, 9), time=times)
some_look = st.builds(look, st.integers(1, 4), st.none() | st.integers(1, 3), time=times)
some = st.lists(one_entry, max_size=12)


def everything(entries: Sequence[Entry]) -> list[object]:
    return [
        releases(entries),
        deployments(entries),
        [live(entries, place, model) for place in (S, P) for model in (M, "churn")],
        [unfinished(entries, place) for place in (S, P)],
        [locked(entries, place) for place in (S, P)],
        locks(entries),
        approvals(entries, M, "1.0.0", P),
        waivers(entries, M, digest(1)),
        live_on(entries, "2026-11-19T00:00:00Z"),
    ]


@given(some, st.randoms(use_true_random=False))
def test_the_order_of_files_never_matters(entries: list[Entry], chance: random.Random) -> None:
    shuffled = list(files_of(entries).items())
    chance.shuffle(shuffled)
    ledger = read_files(dict(shuffled))
    assert ledger == read_files(files_of(entries))
    assert everything(ledger.entries) == everything(read_files(dict(reversed(shuffled))).entries)
    chance.shuffle(shuffled)
    assert everything([each for _, raw in shuffled for each in read_files({_: raw}).entries]) == everything(
        ledger.entries
    )


@given(some, st.sampled_from([b"{", b'{"kind":"deployment"}\n', b'{"kind":"of the future"}\n', b"\xff" * 300_000]))
def test_a_bad_file_costs_itself_only(entries: list[Entry], bad: bytes) -> None:
    good = files_of(entries)
    ledger = read_files({**good, "v1/deployment/adult-income/staging/bad.json": bad})
    assert ledger.entries == read_files(good).entries
    assert len(ledger.problems) == 1


@given(one_entry | some_look | some_day | st.builds(cost, run=st.integers(1, 999)))
def test_every_kind_is_read_as_it_is_written(one: Entry) -> None:
    assert read_files({path_of(one): canonical(one)}).entries == (one,)
    assert path_of(one).startswith(folders_of(one.kind, one.subject))
    assert any(path_of(one).startswith(folder) for folder in folders_of(subject=one.subject))
    assert path_of(one) == path_of(one.model_copy(update={"time": "2000-01-01T00:00:00Z"}))


def test_where_the_kinds_are() -> None:
    made: list[Entry] = [
        *(entry(), waiver(), release(), deployment(), approval(), lock(), request(), sealed(), look()),
        *(reference(), profile(), day(), cost()),
    ]
    assert tuple(each.kind for each in made) == KINDS
    assert [path_of(each).rpartition("/")[0] for each in made] == [
        f"v1/verdict/adult-income/{digest(1)[7:9]}",
        f"v1/waiver/adult-income/{digest(1)[7:9]}",
        "v1/release/adult-income/1.0.0",
        "v1/deployment/adult-income/staging",
        "v1/approval/adult-income/production",
        "v1/lock/production",
        "v1/request/7",
        "v1/sealed/adult-income",
        f"v1/look/{digest(5)[7:39]}/12.77",
        "v1/reference/adult-income/1.0.0",
        f"v1/profile/{digest(50)[7:39]}",
        "v1/day/adult-income/production",
        "v1/cost/attempts/07",
    ]


def test_of_references_and_profiles_the_first_counts() -> None:
    other = sketch().model_copy(update={"left_out": 3})
    assert path_of(reference()) == path_of(reference(sketch=other))
    assert path_of(reference()) != path_of(reference(digest=digest(101)))
    again = profile().profile.model_copy(update={"sketch": other})
    assert path_of(profile()) == path_of(profile(profile=again, commit="9" * 40))
    assert path_of(profile()) != path_of(profile(model="churn"))
    for each in (reference(), profile()):
        assert read_files({path_of(each): canonical(each)}).entries == (each,)


def test_the_reference_of_a_release_is_of_its_very_bytes() -> None:
    ledger = [reference("1.1.0"), reference(), reference(digest=digest(101)), reference(model="churn")]
    assert reference_of(ledger, release()) == reference()
    assert reference_of(ledger, release(digest=digest(7))) is None
    assert reference_of(ledger[1:], release("1.1.0")) is None


def test_a_verdict_says_the_data_that_it_is_about_or_that_nobody_knows() -> None:
    assert b'"data"' not in canonical(entry())
    for data in ({}, {"data/train.csv": digest(50)}):
        one = entry(data=data)
        assert read_files({path_of(one): canonical(one)}).entries == (one,)


BEFORE = (
    b'{"attempt":{"number":1,"run":7},"branch":"main","commit":"4f1c2a9ddddddddddddddddddddddddddddddddd",'
    b'"digest":null,"files":[],"holdout":null,"judge":{"number":1,"run":1007},"key":"sha256:'
    b'6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b","kind":"verdict","model":"adult-income",'
    b'"outcome":"pass","provisional":false,"reason":"all-gates-pass","schema_version":"mlbot/ledger@1",'
    b'"time":"2026-11-20T16:00:00Z","values":[]}\n'
)
"""A file as the first ledgers have it."""


def test_what_older_ledgers_hold_is_read_and_stays_where_it_is() -> None:
    written = entry(digest=None, holdout=None).model_copy(update={"files": (), "values": ()})
    path = "v1/verdict/adult-income/6b/629924da6c93e4f11b9681687e11c0ad2503c2d6617301e4ffd18b96232c2f1e.json"
    assert canonical(written) == BEFORE
    assert path_of(written) == path
    assert read_files({path: BEFORE}).entries == (written,)
    later = written.model_copy(update={"report": digest(3)})
    assert read_files(files_of([later])).entries == (later,)
    spelled_out = BEFORE.replace(b'"schema', b'"report":null,"schema')
    assert read_files({path: spelled_out}).entries == ()


@given(
    st.dictionaries(st.sampled_from(["time", "a", "z"]), st.sampled_from(["2026-11-20T16:00:00Z", ',"time":"x"', "}"])),
    one_entry,
)
def test_a_place_is_the_digest_of_all_but_the_time(params: dict[str, str], one: Entry) -> None:
    for entry_ in (one, release(params=params, actor='eve","time":"2026-11-20T16:00:00Z"')):
        facts = json.loads(canonical(entry_))
        del facts["time"]
        raw = json.dumps(facts, sort_keys=True, separators=(",", ":")).encode()
        assert path_of(entry_).rpartition("/")[2] == f"{sha256(raw).hexdigest()}.json"


def test_other_kinds_are_no_verdicts() -> None:
    assert verdicts([release(), entry(), lock()]) == [entry()]


def test_of_a_version_the_first_release_is_believed() -> None:
    first = release("1.0.0")
    again = release("1.0.0", digest=digest(9), judge=Attempt(run=2000), time="1999-01-01T00:00:00Z")
    assert releases([again, first, release("0.9.0")], M) == (release("0.9.0"), first)
    assert release_of([again, first], M, "1.0.0") == first
    assert release_of([first], M, "2.0.0") is None
    assert [each.version for each in releases([release("0.10.0"), release("0.9.0")])] == ["0.9.0", "0.10.0"]


def test_the_counter_decides_what_is_live() -> None:
    old = deployment(1, "1.1.0", time="2099-01-01T00:00:00Z")
    new = deployment(2, "1.0.0", action="rollback", time="1970-01-01T00:00:00Z")
    assert live([old, new], S, M) == live([new, old], S, M) == new
    assert live([old, new], P, M) is None
    assert live([old, new, deployment(3, "1.2.0", state="failed")], S, M) == new
    assert live([old, new, deployment(3, "1.2.0", state="started")], S, M) == new


@pytest.mark.parametrize(
    ("states", "last"),
    [
        (["started", "succeeded"], "succeeded"),
        (["succeeded", "started"], "succeeded"),
        (["started", "failed", "succeeded"], "succeeded"),
        (["rolled-back", "started", "failed"], "rolled-back"),
        (["rolled-back", "succeeded"], "rolled-back"),
        (["started"], "started"),
    ],
)
def test_a_deployment_ends_once(states: list[str], last: str) -> None:
    entries = [deployment(1, state=state) for state in states]
    assert [each.state for each in deployments(entries)] == [last]
    assert bool(unfinished(entries, S)) is (last == "started")
    assert unfinished(entries, S, "churn") == ()


def test_what_was_live_on_a_date() -> None:
    entries = [
        deployment(1, "1.0.0", time="2026-11-18T09:00:00Z"),
        deployment(2, "1.1.0", time="2026-11-20T09:00:00Z"),
        deployment(1, "1.0.0", P, time="2026-11-19T09:00:00Z"),
        deployment(3, "1.2.0", state="failed", time="2026-11-18T10:00:00Z"),
    ]

    def at(moment: str) -> list[tuple[str, str]]:
        return [(each.environment, each.version) for each in live_on(entries, moment)]

    assert at("2026-11-17T00:00:00Z") == []
    assert at("2026-11-18T09:00:00Z") == [(S, "1.0.0")]
    assert at("2026-11-19T23:59:59Z") == [(P, "1.0.0"), (S, "1.0.0")]
    assert at("2026-11-20T23:59:59Z") == [(P, "1.0.0"), (S, "1.1.0")]


def test_a_clock_that_went_wrong_changes_no_other_moment() -> None:
    good = [deployment(n, f"1.{n}.0", time=f"2026-11-1{n}T00:00:00Z") for n in (1, 2, 4)]
    for wrong in ("2099-01-01T00:00:00Z", "1970-01-01T00:00:00Z"):
        entries = [*good, deployment(3, "1.3.0", time=wrong)]
        assert live_on(entries, "2026-11-11T12:00:00Z") == (good[0],)
        assert [each.version for each in live_on(entries, "2026-11-12T12:00:00Z")] == ["1.3.0"]
        assert live_on(entries, "2026-11-14T12:00:00Z") == (good[2],)


@given(st.lists(st.integers(0, 9).map(lambda day: f"2026-11-0{day}T00:00:00Z"), max_size=12))
def test_believable_times_never_go_back_and_right_ones_stay(given_times: list[str]) -> None:
    found = believable(given_times)
    assert list(found) == sorted(found)
    assert len(found) == len(given_times)
    if given_times == sorted(given_times):
        assert list(found) == given_times
    assert set(found) <= set(given_times)


def test_each_person_approves_the_same_bytes_once() -> None:
    first, again = approval(comment=1), approval(comment=2, actor="Grace")
    other = approval(comment=3, digest=digest(9))
    assert approvals([again, other, first], M, "1.0.0", P) == (first, other)
    assert approvals([first], M, "1.0.0", S) == approvals([first], M, "2.0.0", P) == ()


def test_waivers_are_for_a_content_and_its_rules() -> None:
    found = [waiver(comment=2), waiver(comment=1, policy=digest(81)), waiver(key=2)]
    assert waivers(found, M, digest(1)) == (found[1], found[0])
    assert waivers(found, M, digest(1), digest(80)) == (found[0],)
    assert waivers(found, "churn", digest(1)) == ()


def test_the_last_word_on_a_lock() -> None:
    entries = [lock(2, locked=False, time="1970-01-01T00:00:00Z"), lock(1)]
    assert locked(entries, P) is None
    assert locked([*entries, lock(3, reason="again")], P) == lock(3, reason="again")
    assert locked(entries, S) is None
    assert locked([lock(1), lock(1, locked=False)], P) == lock(1), "of two with one counter the lock is believed"


def test_the_best_release_is_of_those_that_were_judged_on_this_very_holdout() -> None:
    known: list[Entry] = []
    for number, (value, holdout) in enumerate(((0.90, 5), (0.94, 5), (0.99, 6), (0.92, 5)), 1):
        facts = {"key": digest(number), "digest": digest(100 + number)}
        known.append(entry(run=number, values=(value - 0.01, value + 0.01), holdout=digest(holdout), **facts))
        known.append(release(f"1.{number}.0", **facts))
    known.append(entry(run=9, values=(0.999,), key=digest(9), digest=digest(109)))  # not released
    model = "adult-income"
    best = best_release(known, model, ("roc_auc", None), digest(5), worse=-1)
    assert best is not None
    assert best.version == "1.2.0"
    assert best.value == pytest.approx(0.94)
    worst = best_release(known, model, ("roc_auc", None), digest(5), worse=1)
    assert worst is not None
    assert worst.version == "1.1.0"
    for subject in (("f1", None), ("roc_auc", "women")):
        assert best_release(known, model, subject, digest(5), worse=-1) is None
    assert best_release(known, "fraud", ("roc_auc", None), digest(5), worse=-1) is None
