"""Entries, their places and what they say together."""

import json
from statistics import variance

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import samples
from tests.support.ledger_samples import digest, entry

from mlbot.events.github import Attempt
from mlbot.gates.outcome import Outcome, Reason
from mlbot.ledger.entries import KINDS, SeedValues, VerdictEntry, canonical, files_of, folders_of, path_of, read_files
from mlbot.ledger.queries import latest_by_key, latest_of_commit, metric_history, seed_history
from mlbot.publish.plan_operations import Origin, entries_of, given_on
from mlbot.verdict.seeds import Seeds
from mlbot.verdict.verdict import Problem

OTHER_COMMIT = "9" * 40
entries = st.builds(
    entry,
    run=st.integers(1, 50),
    model=st.sampled_from(["adult-income", "churn"]),
    key=st.integers(1, 4).map(digest),
    outcome=st.sampled_from(Outcome),
    values=st.lists(st.floats(0, 1) | st.none(), min_size=1, max_size=4).map(tuple),
)


@given(st.lists(entries, max_size=8))
def test_what_is_written_is_read(given_entries: list[VerdictEntry]) -> None:
    ledger = read_files(files_of(given_entries))
    assert ledger.problems == ()
    assert set(map(path_of, ledger.entries)) == set(map(path_of, given_entries))
    assert list(ledger.entries) == sorted(ledger.entries, key=lambda each: each.order)


@given(entries)
def test_the_json_form_is_canonical(one: VerdictEntry) -> None:
    raw = canonical(one)
    assert raw.isascii()
    assert raw == (json.dumps(json.loads(raw), sort_keys=True, separators=(",", ":")) + "\n").encode()
    assert VerdictEntry.model_validate_json(raw) == one


@given(entries, entries)
def test_a_name_is_the_content_but_for_the_time(one: VerdictEntry, other: VerdictEntry) -> None:
    assert (path_of(one) == path_of(other)) == (one == other)
    assert path_of(one) == path_of(one.model_copy(update={"time": "1999-12-31T23:59:59Z"}))


def test_a_lookup_reads_one_shard() -> None:
    (folder,) = folders_of("verdict", "adult-income", digest(1))
    assert folder == f"v1/verdict/adult-income/{digest(1)[7:9]}/"
    assert path_of(entry()).startswith(folder)
    assert folders_of("deployment", "adult-income", digest(1)) == ("v1/deployment/adult-income/",)
    assert folders_of("lock") == ("v1/lock/",)
    assert folders_of() == ("v1/",)
    assert len(folders_of(subject="adult-income")) == len(KINDS)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"{", "is not JSON"),
        (b'{"kind":"verdict","kind":"verdict"}', "names a field twice"),
        (b'{"kind":"teapot"}', "of a kind that this version"),
        (b"[]", "of a kind that this version"),
        (b'{"kind":"verdict"}', "is no entry of its kind"),
        (canonical(entry()).replace(b":", b": "), "is no entry of its kind in the canonical form"),
        (canonical(entry()).replace(b'{"attempt"', b'{"time":"x","attempt"'), "names a field twice"),
        (canonical(entry()) + b" " * 300_000, "has more than 262,144 bytes"),
        (canonical(entry()).replace(b'"pass"', b'"fail"'), "not where its content belongs"),
        (canonical(entry()).replace(b'"provisional":false', b'"provisional":0'), "is no entry of its kind"),
    ],
)
def test_a_bad_file_costs_itself_and_no_other(raw: bytes, said: str) -> None:
    ledger = read_files({path_of(entry()): raw, **files_of([entry(run=8)])})
    assert ledger.entries == (entry(run=8),)
    assert len(ledger.problems) == 1
    assert said in ledger.problems[0]


def test_the_latest_attempt_decides_whatever_the_clock_says() -> None:
    early = entry(run=7, time="2030-01-01T00:00:00Z")
    late = entry(run=8, outcome=Outcome.FAIL, reason=Reason.REGRESSION, time="2020-01-01T00:00:00Z")
    again = entry(run=8, attempt=Attempt(run=8, number=2))
    assert latest_by_key([late, early]) == {("adult-income", digest(1)): late}
    assert latest_by_key([again, late, early]) == {("adult-income", digest(1)): again}


def test_the_verdicts_on_a_commit() -> None:
    found = [entry(run=7), entry(run=8), entry(run=9, commit=OTHER_COMMIT), entry(run=7, model="churn")]
    assert latest_of_commit(found, entry().commit) == {"adult-income": found[1], "churn": found[3]}


def test_seed_history_pools_recipes() -> None:
    one, two = (0.90, 0.92, 0.94), (0.91, 0.95)
    found = [entry(run=1, key=digest(1), values=one), entry(run=2, key=digest(2), values=two)]
    history = seed_history(found, "adult-income", "roc_auc", None, digest(5), ())
    assert history is not None
    assert history.df == 3
    assert history.variance == pytest.approx((2 * variance(one) + variance(two)) / 3)


def test_seed_history_counts_a_recipe_once_and_leaves_out_what_is_judged() -> None:
    found = [entry(run=1), entry(run=2), entry(run=3, key=digest(2))]
    history = seed_history(found, "adult-income", "roc_auc", None, digest(5), [digest(2)])
    assert history is not None
    assert history.df == 2


@pytest.mark.parametrize(
    ("model", "metric", "slice_", "holdout"),
    [
        ("churn", "roc_auc", None, digest(5)),
        ("adult-income", "f1", None, digest(5)),
        ("adult-income", "roc_auc", "women", digest(5)),
        ("adult-income", "roc_auc", None, digest(6)),
    ],
)
def test_seed_history_is_of_the_same_model_metric_slice_and_holdout(
    model: str, metric: str, slice_: str | None, holdout: str
) -> None:
    assert seed_history([entry()], model, metric, slice_, holdout, ()) is None


def test_a_seed_without_a_value_makes_no_history() -> None:
    found = [entry(values=(0.9, None, 0.8)), entry(run=9, key=digest(2), values=(0.9,))]
    assert seed_history(found, "adult-income", "roc_auc", None, digest(5), ()) is None


def test_a_metrics_past_is_of_the_file_that_ships() -> None:
    found = [entry(run=2, values=(0.92, 0.1)), entry(run=1, values=(0.91,)), entry(run=3, outcome=Outcome.FAIL)]
    assert metric_history(found, "adult-income", "roc_auc", digest(5)) == (0.91, 0.92)


ORIGIN = Origin(branch="main", attempt=Attempt(run=7), judge=Attempt(run=99), time="2026-11-20T16:00:00Z")


def test_a_report_becomes_an_entry_a_model() -> None:
    report = samples.many()
    made = entries_of(report, ORIGIN)
    assert [each.model for each in made] == [model.model for model in report.models]
    first, model = made[0], report.models[0]
    assert (first.digest, first.key, first.outcome) == (model.verdict.digest, model.verdict.key, model.verdict.outcome)
    assert [each.digest for each in first.files] == [each.digest for each in model.candidate]
    assert first.files[0].artifact == "mlbot-accepted-a1"
    assert first.files[0].run == 99
    women = next(each for each in first.values if (each.metric, each.slice) == ("f1", "women"))
    scores = [each.score("f1", "women") for each in model.candidate]
    assert women == SeedValues(metric="f1", slice="women", values=tuple(each.value for each in scores if each))
    assert read_files(files_of(made)).problems == ()


@pytest.mark.parametrize("deterministic", [None, True, False])
def test_whether_the_candidates_seed_had_an_effect_is_remembered_with_its_recipe(*, deterministic: bool | None) -> None:
    report = samples.many()
    verdict = report.verdict.models[0]
    known = Seeds(candidate_deterministic=deterministic, baseline_deterministic=True, recipe=digest(7))
    verdict = verdict.model_copy(update={"seeds": known})
    models = (report.models[0].model_copy(update={"verdict": verdict}), *report.models[1:])
    made = entries_of(report.model_copy(update={"models": models}), ORIGIN)[0]
    assert (made.deterministic, made.recipe) == (deterministic, digest(7))
    assert ("deterministic" in json.loads(canonical(made))) is (deterministic is not None)
    (again,) = [each for each in read_files(files_of([made])).entries if isinstance(each, VerdictEntry)]
    assert (again.deterministic, again.recipe) == (made.deterministic, made.recipe)


def test_an_error_is_remembered_without_files() -> None:
    (made,) = entries_of(samples.crashed(), ORIGIN)
    assert (made.outcome, made.files, made.values) == (Outcome.ERROR, (), ())


def test_a_file_that_could_not_be_scored_is_not_remembered() -> None:
    report = samples.many()
    model = report.models[0]
    first, *rest = model.candidate
    broken = first.model_copy(update={"problem": Problem(reason=Reason.SCORING_FAILED, detail="It died.")})
    changed = model.model_copy(update={"candidate": (broken, *rest)})
    (made,) = entries_of(report.model_copy(update={"models": (changed,)}), ORIGIN)
    assert [each.digest for each in made.files] == [each.digest for each in rest]
    assert {len(each.values) for each in made.values} == {len(rest)}


def test_a_trial_is_not_remembered() -> None:
    assert entries_of(samples.trial(), ORIGIN) == ()


def test_the_waivers_of_a_pull_request_are_those_given_on_it() -> None:
    report = samples.waived_beside_others()
    assert [entry.gate for entry in given_on(report, 42)] == ["roc_auc.max_regression", "deleted"]
    assert given_on(report, 7) == ()
    assert given_on(report.model_copy(update={"trial": True}), 42) == ()


def test_a_waived_verdict_is_remembered_as_one_and_a_removal_not_at_all() -> None:
    made = entries_of(samples.waived_beside_others(), ORIGIN)
    assert [(entry.model, entry.reason) for entry in made] == [
        ("adult-income", Reason.WAIVED),
        ("churn", Reason.ALL_GATES_PASS),
    ]


def test_a_deleted_model_has_nothing_to_remember() -> None:
    report = samples.passing()
    gone = report.models[0].verdict.model_copy(update={"key": None, "digest": None})
    models = (report.models[0].model_copy(update={"verdict": gone}),)
    assert entries_of(report.model_copy(update={"models": models}), ORIGIN) == ()
