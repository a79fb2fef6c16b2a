"""Tags and ledger side by side, what happened, and what a version was made from: whatever both of them hold."""

import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.ledger.test_queries import some
from tests.registry.test_tags import ref
from tests.support.history_samples import MODEL, approval, deployment, lock, release, waiver
from tests.support.ledger_samples import digest, entry

from mlbot.events.github import Attempt
from mlbot.ledger.entries import Entry
from mlbot.ledger.queries import deployments, live
from mlbot.lib.tree import TagRef
from mlbot.lib.version import Version
from mlbot.registry.tags import Registry
from mlbot.registry.views import detail, history, lineage, moment, view

names = st.sampled_from(
    [
        f"{model}{rest}"
        for model in (MODEL, "churn")
        for rest in (
            "@v0.9.0",
            "@v1.0.0",
            "@v1.0.0!",
            "#staging#1",
            "#staging!#2",
            "#production#3",
            "@deprecated",
            "@1",
        )
    ]
)
tags = st.lists(st.tuples(names, st.integers(0, 2)), max_size=10, unique_by=lambda row: row[0]).map(
    lambda rows: [ref(name, at) for name, at in rows]
)
V1 = Version.parse("1.0.0")


@given(tags, some, st.randoms(use_true_random=False))
def test_the_order_never_matters(refs: list[TagRef], entries: list[Entry], chance: random.Random) -> None:
    shuffled_refs, shuffled = list(refs), list(entries)
    chance.shuffle(shuffled_refs)
    chance.shuffle(shuffled)
    one, other = Registry.of(refs), Registry.of(shuffled_refs)
    assert view(one, entries) == view(other, shuffled)
    assert history(entries) == history(shuffled)
    assert lineage(one, entries, MODEL, V1) == lineage(other, shuffled, MODEL, V1)


@given(tags, some)
def test_the_ledger_decides(refs: list[TagRef], entries: list[Entry]) -> None:
    registry = Registry.of(refs)
    found = view(registry, entries)
    for model in found.models:
        for standing in model.environments:
            entry_ = live(entries, standing.environment, model.model)
            known = bool(deployments(entries, model.model, standing.environment))
            assert standing.source == ("ledger" if known else "tag")
            assert not known or (entry_ and standing.version == f"v{entry_.version}")
        about = detail(registry, entries, found, model)
        assert (len(about.versions), about.latest) == (model.versions, model.latest)
        assert set(about.notes) <= set(found.notes)
        assert {place for each in about.versions for place in each.live} <= {s.environment for s in model.environments}
        for version in about.versions:
            made = lineage(registry, entries, model.model, Version.parse(version.version))
            assert made is not None
            assert (made.commit, made.digest) == (version.commit, version.digest)


@given(some)
def test_history_keeps_each_counters_order(entries: list[Entry]) -> None:
    events = history(entries)
    for model in (MODEL, "churn"):
        for place in ("staging", "production"):
            mine = [each for each in events if (each.model, each.environment) == (model, place) and each.state]
            assert [each.sequence for each in mine] == [each.sequence for each in deployments(entries, model, place)]
    assert set(history(entries, "churn")) <= set(events)


def test_a_tag_that_contradicts_a_release_is_said() -> None:
    made = release(commit=ref("x", 1).commit_sha, tag_object="a" * 40)
    tag = f"{MODEL}@v1.0.0"

    def notes(*refs: TagRef) -> tuple[str, ...]:
        return view(Registry.of(refs), [made]).notes

    (gone,) = notes()
    assert "no such tag is to be believed here" in gone
    (elsewhere,) = notes(ref(tag, 2))
    assert "is at commit 3333333333, but the ledger released commit 2222222222" in elsewhere
    (bytes_,) = notes(ref(tag, 1, note="1.0.0"))
    assert f"but the ledger released {digest(100)[:19]}" in bytes_
    (anew,) = notes(ref(tag, 1))
    assert "was made anew" in anew
    assert view(Registry.of([ref(tag, 1)]), [made.model_copy(update={"tag_object": None})]).notes == ()


def test_an_environment_that_only_the_tags_know_is_shown_as_such() -> None:
    found = view(Registry.of([ref("churn@v1.0.0", 1), ref("churn#staging#1", 1, note="1.0.0")]), [])
    (standing,) = found.models[0].environments
    assert (standing.version, standing.source, standing.actor, standing.digest) == ("v1.0.0", "tag", "ada", digest(1))


def test_environments_stand_in_the_order_in_which_they_were_reached() -> None:
    entries = [
        deployment(1, environment="production", time="2026-11-20T10:00:00Z"),
        deployment(1, time="2026-11-20T09:00:00Z"),
    ]
    assert view(Registry.of([]), entries).environments == ("staging", "production")
    registry = Registry.of([ref("churn#zoo#1"), ref("churn#aviary#2")])
    assert view(registry, [*entries, lock(environment="museum")]).environments == (
        "staging",
        "production",
        "zoo",
        "aviary",
        "museum",
    )


def test_a_lineage_names_the_verdict_that_the_release_names() -> None:
    named, later = entry(run=7), entry(run=8)
    found = lineage(Registry.of([]), [later, named, release()], MODEL, V1)
    assert found is not None
    assert found.verdict is not None
    assert (found.verdict.judge, found.notes) == (Attempt(run=1007), ())
    without = lineage(Registry.of([]), [later, release()], MODEL, V1)
    assert without is not None
    assert (without.verdict, len(without.notes)) == (None, 1)
    assert lineage(Registry.of([]), [named], MODEL, V1) is None


def test_a_lineage_holds_its_own_waivers_approvals_and_deployments() -> None:
    others: list[Entry] = [waiver(key=2), approval("1.1.0"), deployment(2, "1.1.0"), approval(model="churn")]
    mine: list[Entry] = [waiver(), approval(), approval(actor="alan", comment=42), deployment(1)]
    found = lineage(Registry.of([]), [*others, *mine, release()], MODEL, V1)
    assert found is not None
    assert [each.kind for each in found.waivers] == ["waiver"]
    assert [each.actor for each in found.approvals] == ["grace", "alan"]
    assert [(each.environment, each.sequence) for each in found.deployments] == [("staging", 1)]


def test_the_same_seconds_events_stand_in_their_natural_order() -> None:
    at: dict[str, Any] = {"time": "2026-11-20T16:00:00Z"}
    entries: list[Entry] = [
        lock(**at),
        deployment(environment="production", **at),
        approval(**at),
        release(**at),
        waiver(**at),
    ]
    assert [each.kind for each in history(entries)] == ["waiver", "release", "approval", "promotion", "lock"]
    assert [each.kind for each in history(entries, MODEL)] == ["waiver", "release", "approval", "promotion"]
    assert [each.kind for each in history(entries, MODEL, "production")] == ["approval", "promotion", "lock"]


def test_a_moment_of_one_model_and_environment() -> None:
    entries = [deployment(), deployment(model="churn"), deployment(environment="production")]
    when = "2026-12-01T00:00:00Z"
    assert len(moment(entries, when).live) == 3
    assert [(each.model, each.environment) for each in moment(entries, when, "churn").live] == [("churn", "staging")]
    assert [each.model for each in moment(entries, when, environment="production").live] == [MODEL]
