"""The dashboard: what the ledger says over time, as pages that load nothing and as JSON."""

import json
import os
import re
import subprocess
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from tests.support.git_samples import Sandbox, make
from tests.support.history_samples import MODEL, cost, day, deployment, look, release, waiver
from tests.support.ledger_samples import digest, entry

from mlbot import entry as program
from mlbot.config.cost import Cost
from mlbot.errors import Exit, UsageError
from mlbot.events.github import Attempt, RunnerTime
from mlbot.gates.metric import Bound
from mlbot.gates.outcome import Outcome, Reason
from mlbot.git.ledger import LedgerBranch
from mlbot.git.remote import Remote
from mlbot.ledger.entries import Entry, GateAsked, Ledger, LiveValue, SealedEntry, SeedValues
from mlbot.monitoring.dashboard import MOST_REFUSED, Dashboard, dashboard
from mlbot.monitoring.health import Code, Finding, Part, State
from mlbot.monitoring.pages import HEAD, page_names, pages
from mlbot.monitoring.run_dashboard import write_site
from mlbot.registry.tags import Registry
from mlbot.stats import sealed

pytestmark = pytest.mark.usefixtures("git_settings")
URL = "https://github.com/acme/income"
NASTY = "</td><script>alert(1)</script><img src=x onerror=alert(1)>\N{RIGHT-TO-LEFT OVERRIDE}'\"&`{{ 7 * 7 }}"


def shown(*entries: Entry, url: str | None = URL) -> Dashboard:
    return dashboard(Registry.of(()), Ledger(entries=entries), "acme/income", url)


def gate(**changes: Any) -> GateAsked:
    fields: dict[str, Any] = {
        "gate": "roc_auc",
        "bound": Bound.MIN,
        "limit": 0.9,
        "outcome": Outcome.PASS,
        "low": 0.905,
        "high": 0.915,
    }
    return GateAsked(**(fields | changes))


class Elements(HTMLParser):
    """The elements of a page, and whether each that was opened was closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in {"meta", "link", "path"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def story() -> tuple[Entry, ...]:
    """A model with verdicts on two holdouts, versions in two environments, looks of both kinds and a waiver."""
    return (
        entry(run=1, values=(0.910, 0.912, 0.908)),
        entry(run=2, values=(0.911,), gates=(gate(),), policy=digest(4)),
        entry(run=3, values=(0.880,), outcome=Outcome.FAIL, reason=Reason.REGRESSION),
        entry(run=4, values=(0.930,), holdout=digest(6), key=digest(2), policy=digest(4), gates=(gate(limit=0.91),)),
        release("1.0.0"),
        release("1.1.0", time="2026-11-21T10:00:00Z"),
        deployment(1, "1.0.0", "production"),
        deployment(2, "1.1.0", "production", time="2026-11-22T10:00:00Z"),
        deployment(1, "1.1.0", "staging"),
        look(1),
        look(2),
        look(3, pull_request=13),
        waiver(2, policy=digest(4)),
        waiver(1, policy=digest(4), comment=77, time="2026-11-19T10:00:00Z"),
    )


def test_a_metric_over_merges_with_its_intervals_limits_and_holdouts() -> None:
    (model,) = shown(*story()).models
    (line,) = model.metrics
    assert (line.subject, line.branch) == ("roc_auc", "main")
    assert [(each.value, each.low, each.high, each.interval) for each in line.measured] == [
        (0.910, 0.908, 0.912, "seeds"),
        (0.911, 0.905, 0.915, "rows"),
        (0.880, None, None, None),
        (0.930, 0.905, 0.915, "rows"),
    ]
    assert [(each.verdict, each.bound, each.limit) for each in line.limits] == [(1, "min", 0.9), (3, "min", 0.91)]
    assert model.newest is not None
    assert model.newest.holdout == digest(6)
    gone = entry(run=5, values=(0.94,), gates=(gate(gate="f1"),))
    (model,) = shown(*story(), gone).models
    assert [(each.verdict, each.limit) for each in model.metrics[0].limits][-1] == (4, None)
    assert model.metrics[0].asked == ()


def test_what_was_live_and_when() -> None:
    (model,) = shown(*story()).models
    stays = {each.environment: [(stay.version, stay.until) for stay in each.stays] for each in model.places}
    assert stays == {
        "production": [("v1.0.0", "2026-11-22T10:00:00Z"), ("v1.1.0", None)],
        "staging": [("v1.1.0", None)],
    }
    assert {each.environment: each.version for each in model.environments} == {
        "production": "v1.1.0",
        "staging": "v1.1.0",
    }


def test_each_bar_of_an_environment_says_which_version_it_is() -> None:
    page = pages(shown(*story()))[f"models/{MODEL}.html"]
    row = re.search(r'<svg class="stays"[^>]*aria-label="production[^"]*">(.*?)</svg>', page)
    assert row is not None
    assert re.findall("<title>(.*?)</title>", row[1]) == ["v1.0.0", "v1.1.0"]
    assert re.findall("<text[^>]*>(.*?)</text>", row[1]) == ["v1.0.0"]  # the other lasts for a moment


def test_looks_and_waivers() -> None:
    (model,) = shown(*story()).models
    (looks,) = model.looks
    assert (looks.artifacts, looks.pull_requests, looks.most) == (3, 2, 2)
    assert [each.open for each in model.waivers] == [True, False]
    assert model.open_waivers == 1


def test_sealed_rows_have_looks_left() -> None:
    def asked(number: int, state: str) -> SealedEntry:
        return SealedEntry(
            model=MODEL,
            id=f"look-{number}",
            sequence=number,
            state=state,  # type: ignore[arg-type]
            version=f"1.{number}.0",
            digest=digest(number),
            baseline=None,
            rules=digest(1),
            policy="a" * 40,
            content=digest(9) if state != "asked" else None,
            key=digest(8) if state != "asked" else None,
            actor="ada",
            time=f"2026-11-20T16:{number:02}:00Z",
        )

    (model,) = shown(
        *(asked(1, state) for state in ("asked", "not-shown")), *(asked(2, s) for s in ("asked", "pass"))
    ).models
    assert model.sealed is not None
    assert [each.state for each in model.sealed.looks] == ["not-shown", "pass"]
    assert (model.sealed.not_passed, model.sealed.left) == (1, 9)
    assert sealed.MOST_REFUSED == MOST_REFUSED


def test_pages_load_nothing_and_their_elements_are_closed() -> None:
    made = pages(shown(*story()))
    assert [*made] == ["index.html", f"models/{MODEL}.html"]
    for page in made.values():
        found = Elements(page)
        assert found.open == []
        assert not {"script", "img", "iframe", "form", "object", "embed", "base"} & {tag for tag, _ in found.found}
        assert found.of("link") == [{"rel": "icon", "href": "data:,"}]
        assert all(str(each["href"]).startswith((URL, "../", "models/", "#")) for each in found.of("a"))
        assert not any(name.startswith("on") or name == "style" for _, names in found.found for name in names)


def test_headings_are_in_order_and_every_control_and_picture_has_a_name() -> None:
    for page in pages(shown(*story())).values():
        found = Elements(page)
        levels = [int(tag[1]) for tag, _ in found.found if re.fullmatch("h[1-6]", tag)]
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(after - before <= 1 for before, after in pairwise(levels))
        ids = [str(names["id"]) for _, names in found.found if "id" in names]
        assert len(ids) == len({*ids})
        assert all(each["aria-labelledby"] in ids for _, each in found.found if "aria-labelledby" in each)
        assert all(each.get("aria-label") for each in found.of("svg"))
        assert all(
            each.get("tabindex") == "0" and each.get("aria-label")
            for each in found.of("div")
            if each.get("class") == "scroll"
        )
        assert not {"region", "main"} & {each.get("role") for _, each in found.found}  # sections alone are landmarks
        assert all(each.get("scope") in {"col", "row"} for each in found.of("th"))


def test_text_of_the_ledger_is_text() -> None:
    hostile = (
        entry(run=1, branch="main", values=(0.9,)).model_copy(
            update={"values": (SeedValues(metric=NASTY, slice=NASTY, values=(0.9,)),)}
        ),
        waiver(reason=NASTY, actor=NASTY.replace("\N{RIGHT-TO-LEFT OVERRIDE}", "")),
        release(actor=NASTY),
        deployment(reason=NASTY, actor=NASTY),
    )
    made = pages(shown(*hostile, url=f"https://evil.example/{NASTY}"))
    for page in made.values():
        found = Elements(page)
        assert found.open == []
        assert not {"script", "img"} & {tag for tag, _ in found.found}
        assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in page
        assert "{{ 7 * 7 }}" in page or "index" in page or MODEL in page
        assert all(str(each["href"]).startswith(("../", "models/", "#")) for each in found.of("a"))


def test_the_same_ledger_makes_the_same_bytes() -> None:
    forwards, backwards = pages(shown(*story())), pages(shown(*reversed(story())))
    assert forwards == backwards


def test_no_two_models_have_one_page() -> None:
    names = page_names(["churn", "Churn", "a:b", "a_b", "../up"])
    assert len({each.casefold() for each in names.values()}) == 5
    assert all(re.fullmatch(r"models/[A-Za-z0-9._-]+\.html", each) for each in names.values())


def test_an_empty_ledger_has_a_page() -> None:
    made = pages(shown())
    assert "has no entries yet" in made["index.html"]


# --- the folder


def page(text: str) -> str:
    return f"{HEAD}{text}"


def text_of(out: Path) -> str:
    return (out / "index.html").read_text().removeprefix(HEAD)


def test_a_site_replaces_a_site(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "site"
    write_site(out, {"index.html": page("one"), "models/a.html": page("a")})
    write_site(out, {"index.html": page("two")})
    assert text_of(out) == "two"
    assert [each.name for each in out.iterdir()] == ["index.html"]
    assert [*out.parent.iterdir()] == [out]
    assert all(each.startswith(HEAD) for each in pages(shown(*story())).values())


@pytest.mark.parametrize(
    ("foreign", "text"),
    [
        ("notes.txt", "mine"),
        ("models/mine.html", "<!doctype html>mine"),
        ("sub/deep/file", page("named by no page")),
        ("index.html", "<!doctype html>mine"),
    ],
)
def test_what_no_dashboard_wrote_is_not_deleted(tmp_path: Path, foreign: str, text: str) -> None:
    out = tmp_path / "site"
    write_site(out, {"index.html": page("one"), "models/a.html": page("a")})
    (out / ".mlbot-dashboard").write_text(f"index.html\n{foreign}\n")  # as an earlier mlbot wrote it, or a stranger
    with pytest.raises(UsageError, match="which no dashboard wrote"):
        write_site(out, {"index.html": page("two")})
    (out / ".mlbot-dashboard").unlink()
    (out / foreign).parent.mkdir(parents=True, exist_ok=True)
    (out / foreign).write_text(text)
    with pytest.raises(UsageError, match="which no dashboard wrote"):
        write_site(out, {"index.html": page("two")})
    assert (out / foreign).read_text() == text
    assert (out / "models" / "a.html").is_file()


@pytest.mark.parametrize("kind", ["link", "pipe", "linked folder"])
def test_what_is_no_file_is_foreign(tmp_path: Path, kind: str) -> None:
    out = tmp_path / "site"
    (out / "models").mkdir(parents=True)
    (tmp_path / "mine").mkdir()
    at = out / "models" / "a.html"
    if kind == "pipe":
        os.mkfifo(at)
    else:
        at.symlink_to("/dev/zero" if kind == "link" else tmp_path / "mine")
    with pytest.raises(UsageError, match="which no dashboard wrote"):
        write_site(out, {"index.html": page("x")})


def test_a_folder_of_somebody_else_and_a_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.html").write_text("mine")
    (tmp_path / "linked").symlink_to(tmp_path / "docs")
    for name in ("docs", "linked"):
        with pytest.raises(UsageError, match="which no dashboard wrote"):
            write_site(tmp_path / name, {"index.html": "x"})
    (tmp_path / ".new.mlbot-old").mkdir()
    (tmp_path / ".new.mlbot-old" / "mine").write_text("mine")
    with pytest.raises(UsageError, match="which no dashboard wrote"):
        write_site(tmp_path / "new", {"index.html": "x"})
    with pytest.raises(UsageError, match="is a file"):
        write_site(tmp_path / "docs" / "index.html", {"index.html": "x"})


def test_a_failure_leaves_the_old_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "site"
    write_site(out, {"index.html": page("one")})
    monkeypatch.setattr(Path, "write_text", lambda *_, **__: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(UsageError, match="full"):
        write_site(out, {"index.html": page("two")})
    monkeypatch.undo()
    assert text_of(out) == "one"
    assert [*tmp_path.iterdir()] == [out]


@pytest.mark.parametrize("at", range(8))
def test_a_run_that_is_killed_leaves_a_site_or_the_next_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    out = tmp_path / "site"
    write_site(out, {"index.html": page("one"), "models/a.html": page("a")})
    steps = iter(range(99))

    class Killed(BaseException):
        """As of kill -9: nothing is tidied up after it."""

    def dies(name: str) -> None:
        real = getattr(Path, name)

        def step(path: Path, *args: Any, **more: Any) -> Any:
            if next(steps) >= at:
                raise Killed
            return real(path, *args, **more)

        monkeypatch.setattr(Path, name, step)

    for name in ("write_text", "rename", "unlink", "rmdir"):
        dies(name)
    with pytest.raises(Killed):
        write_site(out, {"index.html": page("two"), "models/a.html": page("a")})
    monkeypatch.undo()
    write_site(out, {"index.html": page("three")})
    assert text_of(out) == "three"
    assert [*tmp_path.iterdir()] == [out]


def test_where_nothing_can_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").write_text("mine")
    for out in (tmp_path / "loop", tmp_path / "file" / "below", tmp_path / ("x" * 300), Path("/")):
        with pytest.raises(UsageError, match="no dashboard can be written to"):
            write_site(out, {"index.html": "x"})


def test_two_at_once_leave_one_site_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, rename, started = tmp_path / "site", Path.rename, Event()
    write_site(out, {"index.html": page("old")})

    def write() -> None:
        started.set()
        write_site(out, {"index.html": page("other")})

    other = Thread(target=write)

    def slow(path: Path, target: Path) -> Path:
        found = rename(path, target)
        if path == out and not started.is_set():  # the other one comes between this one's two renames
            other.start()
            started.wait()
        return found

    monkeypatch.setattr(Path, "rename", slow)
    write_site(out, {"index.html": page("mine")})
    other.join()
    assert text_of(out) == "other"
    assert [*tmp_path.iterdir()] == [out]


# --- the verb


@pytest.fixture
def clone(tmp_path: Path) -> Sandbox:
    sandbox = make(tmp_path / "clone")
    LedgerBranch.at(Remote(url=str(sandbox.path / ".git"))).append(story(), 1_763_654_400)
    return sandbox


def test_the_verb_writes_a_site_and_says_where(
    clone: Sandbox, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "site"
    assert program.invoke(["dashboard", "-C", str(clone.path), "--out", str(out)]) == Exit.OK
    assert "1 model of clone, 14 entries of the ledger, the newest of 2026-11-22" in capsys.readouterr().out
    assert (out / "index.html").is_file()
    before = {each: each.read_bytes() for each in out.rglob("*.html")}
    assert program.invoke(["dashboard", "-C", str(clone.path), "--out", str(out)]) == Exit.OK
    assert {each: each.read_bytes() for each in out.rglob("*.html")} == before


def test_json_is_the_record_and_writes_nothing(
    clone: Sandbox, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(clone.path)
    assert program.invoke(["dashboard", "--json"]) == Exit.OK
    found = json.loads(capsys.readouterr().out)
    assert found["schema_version"] == "mlbot/dashboard@1"
    assert [each["model"] for each in found["models"]] == [MODEL]
    assert not (clone.path / "site").exists()


def test_a_ledger_is_read_in_a_few_git_processes(clone: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[list[str]] = []
    real = subprocess.Popen.__init__

    def counted(self: Any, args: Any, *rest: Any, **more: Any) -> None:
        calls.append([each for each in args if isinstance(each, str)])
        real(self, args, *rest, **more)

    monkeypatch.setattr(subprocess.Popen, "__init__", counted)
    assert program.invoke(["dashboard", "-C", str(clone.path), "--json"]) == Exit.OK
    assert sum("cat-file" in each for each in calls) == 1
    assert len(calls) <= 14


def test_run_links(clone: Sandbox) -> None:
    clone.git("remote", "add", "origin", "https://github.com/acme/income.git")
    page = pages(shown(entry(attempt=Attempt(run=3), judge=Attempt(run=4, number=2))))[f"models/{MODEL}.html"]
    assert f'{URL}/actions/runs/4/attempts/2"' in page
    assert f'{URL}/commit/{entry().commit}"' in page


# --- production


def test_days_of_production_and_how_a_model_does() -> None:
    live = (LiveValue(metric="roc_auc", value=0.91, error=0.01, rows=120),)
    entries = (
        release("1.0.0"),
        deployment(1, "1.0.0", "production", time="2026-11-01T10:00:00Z"),
        day("2026-11-28", requests=480, errors=3),
        day("2026-11-29"),
        day("2026-11-29", requests=None, labelled=120, live=live),
        day("2026-11-29", requests=9, time="2026-12-01T01:00:00Z"),
    )
    site = shown(*entries)
    (model,) = site.models
    (watched,) = model.watched
    assert [(each.date, each.requests, each.errors, each.labelled) for each in watched.days] == [
        ("2026-11-28", 480, 3, None),
        ("2026-11-29", watched.days[1].requests, None, 120),
    ]
    assert watched.health is not None
    assert (watched.health.day, watched.health.state) == ("2026-11-29", State.UNKNOWN)
    page = pages(site)[f"models/{MODEL}.html"]
    assert "could not be looked at" in page
    assert "has no reference to compare with" in page
    assert Elements(page).open == []
    assert 'class="outcome unknown"' in pages(site)["index.html"]


def test_an_alarm_that_may_be_wrong_more_often_says_so() -> None:
    site = shown(day("2026-11-29"))
    (watched,) = site.models[0].watched
    assert watched.health
    alarm = Finding(
        code=Code.LOCATION,
        part=Part.FEATURE,
        column="age",
        effect=1,
        limit=0.2,
        since="2026-11-28",
        noticed="2026-11-29",
        against="before",
    )
    for unsteady in ((), ("far-off",)):
        health = watched.health.model_copy(update={"findings": (alarm,), "unsteady": unsteady})
        model = site.models[0].model_copy(update={"watched": (watched.model_copy(update={"health": health}),)})
        page = pages(site.model_copy(update={"models": (model,)}))[f"models/{MODEL}.html"]
        assert ("A single day was far off of late." in page) == bool(unsteady)


# --- cost


def test_what_an_attempt_took_counts_once_and_is_of_each_of_its_models() -> None:
    rules = Cost(prices={"gpu": 0.1, "ubuntu-latest": 0.01}, watts={"default": 60.0})
    begun = (RunnerTime(labels=("ubuntu-latest",), jobs=1, seconds=40, minutes=1),)
    entries = (
        cost(1, models=("a", "b"), judging=begun),  # the judge goes on to another pull request with the same head
        cost(1, models=("a", "b"), pull_request=13),
        cost(1, models=("a", "b"), judge=Attempt(run=2000)),  # judged again: the training is the same
        cost(2, models=("a",), time="2026-12-01T10:00:00Z"),
    )
    site = dashboard(Registry.of(()), Ledger(entries=entries), "acme/income", URL, rules)
    assert site.cost is not None
    assert len(site.cost.attempts) == 3
    assert [(each.month, each.attempts) for each in site.cost.months] == [("2026-11", 2), ("2026-12", 1)]
    assert site.cost.estimate.minutes == pytest.approx((2 * 600 + 3 * 100) / 60)
    assert site.cost.estimate.price == pytest.approx(2 * 9 * 0.1 + (2 * 1 + 3 * 3) * 0.01)
    assert site.cost.estimate.kwh == pytest.approx(1500 / 3600 * 60 / 1000)
    assert {each.name: each.jobs for each in site.cost.runners} == {"self-hosted, gpu": 2, "ubuntu-latest": 8}
    one, other = site.models
    assert (one.model, other.model) == ("a", "b")
    assert one.cost is not None
    assert other.cost is not None
    assert (len(one.cost.attempts), len(other.cost.attempts)) == (3, 2)
    index = pages(site)["index.html"]
    assert "USD" in index
    assert "names no prices" in pages(shown(*entries))["index.html"]
