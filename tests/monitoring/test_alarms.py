"""From how a model does to its issue and a proposed change: pure, by made-up days."""

import re
from typing import Any

import cmarkgfm
import pytest
from tests.support.production import MODEL, Days, on

from mlbot.config.folder import ConfigFolder
from mlbot.config.monitor import Follow
from mlbot.config.run_check import read
from mlbot.monitoring.alarms import (
    Change,
    Hindrance,
    Place,
    Trouble,
    Watched,
    issue_of,
    may_write,
    proposal_of,
    stamp_text,
    summary_of,
)
from mlbot.monitoring.health import Code, Finding, Health, Part, State, Why
from mlbot.protocol.inference import ControlSamples, EndpointFault, Fault
from mlbot.protocol.marker import read_alarm
from mlbot.protocol.operations import COMMENT_LIMIT, Proposal, Proposed

PLACE = Place(
    repository="https://github.com/acme/income", run="https://github.com/acme/income/actions/runs/7", guarded="main"
)
TIP = "a" * 40
NAME = "adult-income"
EVIL = "<script>@all ![x](http://evil/x) --> | ``` #1"


def finding(**changes: Any) -> Finding:
    facts: dict[str, Any] = {"code": Code.LOCATION, "part": Part.FEATURE, "column": "age", "effect": 0.42, "limit": 0.2}
    facts |= {"since": "2026-11-26", "noticed": "2026-11-27", "against": "before"}
    return Finding(**(facts | changes))


def health(day: int, state: State = State.ALARM, **changes: Any) -> Health:
    facts: dict[str, Any] = {"model": NAME, "environment": "production", "version": "1.2.0", "requests": 1234}
    facts |= {"findings": (finding(),), "alarm_days": 4} if state is State.ALARM else {}
    return Health(day=f"2026-11-{day:02}", state=state, **(facts | changes))


def watched(now: Health | None = None, **changes: Any) -> Watched:
    now = now or health(30)
    days = (health(28, State.WELL), health(29, State.UNKNOWN, why=Why.NOT_LOOKED_AT, requests=None), now)
    facts: dict[str, Any] = {"days": days, "follow": Follow(days=3), "labels": False}
    facts |= {"since": "2026-11-27"} if now.state is State.ALARM else {}
    return Watched(**(facts | changes))


def html(body: str) -> str:
    made: str = cmarkgfm.github_flavored_markdown_to_html(body)
    return made


def test_an_alarm_says_what_since_when_how_far_and_what_to_do() -> None:
    issue = issue_of(watched(), PLACE, Change())
    assert issue.title == "adult-income in production: alarm since 2026-11-27"
    assert issue.open is True
    assert read_alarm(issue.body, issue.marker) == issue.stamp
    assert issue.stamp.alarm == ("1.2.0", "2026-11-27")
    page = html(issue.body)
    assert "has an alarm on 4 days in a row, since 2026-11-27" in page
    assert page.count("<table>") == 2
    for said in (">age<", "greater numbers", "0.42", "0.2", "2026-11-26", "1,234", "No labels are logged"):
        assert said in page, said


def test_a_day_names_a_column_once() -> None:
    both = (finding(), finding(code=Code.SPREAD), finding(column="plan"))
    text = issue_of(watched(health(30, findings=both)), PLACE, Change()).body
    (row,) = [line for line in text.splitlines() if line.startswith("| 2026-11-30 ")]
    assert row.endswith("| age, plan |")


def test_words_from_outside_are_text() -> None:
    odd = health(30, findings=(finding(column=EVIL, code=Code.SHARE, value=EVIL, before=0.1, now=0.4),))
    for body in (
        issue_of(watched(odd), PLACE, Change(hindrance=Hindrance(code=Trouble.SKIPPED, detail=EVIL))).body,
        issue_of(watched(health(30, State.UNKNOWN, detail=EVIL)), PLACE, Change()).body,
        issue_of(watched(odd), PLACE, Change(hindrance=Hindrance(code=Trouble.OTHER_FILES, files=(EVIL,)))).body,
        proposal_of(
            watched(odd, follow=Follow(then="refresh", run="x")), PLACE, TIP, {EVIL: "sha256:" + "0" * 64}
        ).body,
    ):
        page = html(body)
        assert "<script" not in page
        assert "<img" not in page
        assert not re.search(r"(^|[\s>])@all", page)
        assert len(re.findall(r"^<!-- mlbot:production", body, re.MULTILINE)) == 1


def test_an_endpoint_that_answers_otherwise_is_an_alarm_that_trains_nothing() -> None:
    samples = ControlSamples(requests=100, equal=90, different=10)
    now = health(30, State.WELL).controlled(samples, "2026-11-30")
    follow = Follow(days=1, then="retrain", stamp="x")
    issue = issue_of(watched(now, since=None, wrong="2026-11-02", follow=follow), PLACE, Change())
    assert issue.open is True
    assert issue.title == "adult-income in production: its endpoint does not answer as judged"
    assert issue.stamp.alarm == ("1.2.0", "2026-11-02"), "the same one from day to day"
    assert "does not answer golden requests as they were judged" in issue.body
    assert "a training changes nothing about that" in issue.body
    assert "Nothing is proposed yet" not in issue.body
    assert not watched(now, since=None, follow=follow).is_due


def test_an_endpoint_beside_a_day_that_nobody_saw_is_all_that_is_known() -> None:
    unseen = health(30, State.UNKNOWN, alarm_days=4).unknown("s3://logs does not answer")
    now = unseen.controlled(ControlSamples(requests=9, missing=9, fault=Fault(code=EndpointFault.SLOW)), "2026-11-30")
    both = watched(now, since="2026-11-27", follow=Follow(days=3, then="retrain", stamp="x"))
    assert not both.is_due, "nobody knows whether its requests alarm"
    body = issue_of(both, PLACE, Change()).body
    assert "raise no alarm" not in body
    assert "logs does not answer" in body
    assert "neither confirmed nor over" in body


CONFIG = f"""
version: 1
models:
  {MODEL}:
    task: binary
    train: {{run: make}}
    data: {{holdout: h.csv, target: left}}
    gates: {{roc_auc: {{min: 0.5}}}}
    monitor: {{requests: "logs/{{date}}.jsonl"}}
environments: {{production: {{target: models/production}}}}
"""
SLOW, UNASKED = (Fault(code=each) for each in (EndpointFault.SLOW, EndpointFault.INEXPRESSIBLE))


@pytest.mark.parametrize(
    ("control", "wrong"),
    [
        (None, None),
        (ControlSamples(requests=3, inexpressible=3, fault=UNASKED), None),
        (ControlSamples(requests=3, missing=3, fault=SLOW), "2025-12-31"),
    ],
)
def test_an_endpoint_that_could_not_be_asked_changes_no_alarm(
    control: ControlSamples | None, wrong: str | None
) -> None:
    """Neither does it begin one, nor does it take away that the data drift."""
    config = read(CONFIG)
    entries = Days(shift=lambda number: 2.0 if number >= 20 else 0.0).entries(24)
    found = Watched.of(entries, config, config.models[0], on(23), control=control)
    assert (found.now.state, found.wrong, found.is_open) == (State.ALARM, wrong, True)
    assert found.since == found.stamp.since == on(21)
    calm = Watched.of(Days().entries(24), config, config.models[0], on(23), control=control)
    assert (calm.is_open, calm.stamp.since) == (wrong is not None, wrong)


def test_a_thousand_findings_fit() -> None:
    many = health(30, findings=tuple(finding(column=f"column {n} {'x' * 150}") for n in range(1000)))
    issue = issue_of(watched(many), PLACE, Change())
    assert len(issue.body) < COMMENT_LIMIT
    assert "980 more are in the ledger" in issue.body


def test_well_again_closes_it_and_too_few_days_of_a_new_version_too() -> None:
    for state in (State.WELL, State.LEARNING):
        issue = issue_of(watched(health(30, state)), PLACE, Change())
        assert issue.open is False
        assert issue.stamp.since is None
        assert "#### What to do" not in issue.body


def test_a_day_that_nobody_saw_changes_nothing_and_several_are_an_alarm_of_their_own() -> None:
    unseen = health(30, State.UNKNOWN, why=Why.NOT_LOOKED_AT, requests=None).unknown("s3://logs does not answer")
    once = issue_of(watched(unseen, silent="2026-11-30", since="2026-11-27"), PLACE, Change())
    assert once.open is None
    assert once.stamp.since == "2026-11-27"
    assert "neither confirmed nor over" in once.body
    often = issue_of(watched(unseen, silent="2026-11-28"), PLACE, Change())
    assert (often.open, often.stamp.since) == (True, "2026-11-28")
    assert often.title == "adult-income in production: cannot be looked at"
    assert "does not answer" in often.body


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (Proposal.OPENED, "A change is proposed: #7."),
        (Proposal.OPEN, "A change is proposed: #7."),
        (Proposal.ANSWERED, "somebody answered it: #7"),
        (Proposal.NO_CHANGE, "found no newer data"),
        (Proposal.TO_OPEN, "[open the pull request](https://github.com/acme/income/compare/main...x)"),
    ],
)
def test_the_issue_says_what_came_of_the_change(state: Proposal, said: str) -> None:
    proposed = Proposed(state=state, number=7, page="https://github.com/acme/income/compare/main...x")
    assert said in issue_of(watched(), PLACE, Change(proposed=proposed)).body


def test_before_it_is_due_the_issue_says_when_it_will_be() -> None:
    early = watched(health(30, alarm_days=2), follow=Follow(days=3, then="retrain", stamp="data/as-of.txt"))
    assert not early.is_due
    assert "after 3 days of alarm in a row" in issue_of(early, PLACE, Change()).body
    assert watched(follow=Follow(days=3, then="retrain", stamp="data/as-of.txt")).is_due
    assert not watched().is_due, "nothing is to follow"
    unseen = health(30, State.UNKNOWN, alarm_days=4)
    assert not watched(unseen, follow=Follow(then="retrain", stamp="x")).is_due


def test_the_pull_request_says_whether_its_workflows_wait() -> None:
    refresh = watched(follow=Follow(then="refresh", run="python refresh.py"))
    files = {"data/train.csv": "sha256:" + "0" * 64}
    proposal = proposal_of(refresh, PLACE, TIP, files)
    assert (proposal.branch, proposal.base) == ("mlbot-refresh-adult-income", "main")
    assert "Approve workflows to run" in proposal.body
    assert (
        "Approve workflows to run" not in proposal_of(refresh, PLACE.model_copy(update={"app": True}), TIP, files).body
    )
    assert read_alarm(proposal.body, proposal.marker) == refresh.stamp
    assert "adult-income@v1.2.0 in production has an alarm since 2026-11-27." in proposal.message


def test_a_stamp_differs_from_alarm_to_alarm_alone() -> None:
    assert stamp_text(watched()) == stamp_text(watched(health(30, alarm_days=9)))
    assert stamp_text(watched()) != stamp_text(watched(since="2026-12-01"))


@pytest.mark.parametrize(
    ("path", "allowed", "folder"),
    [
        ("data/train.csv", True, ""),
        ("data/train.csv.dvc", False, ""),
        ("data/parts/1.parquet", True, ""),
        ("data/parts", True, ""),
        ("data/partsx/1.parquet", False, ""),
        ("train.py", False, ""),
        ("data/parts/mlbot.yaml", False, ""),
        ("data/parts/.gitattributes", False, ""),
        ("data/parts/../../train.py", False, ""),
        ("data/parts/.git/config", False, ""),
        ("data/parts/.GIT/config", False, ""),
        ("/data/train.csv", False, ""),
        (".github/workflows/x.yml", False, ""),
        ("services/churn/data/train.csv", True, "services/churn"),
        ("data/train.csv", False, "services/churn"),
    ],
)
def test_what_a_refresh_may_write(path: str, *, allowed: bool, folder: str) -> None:
    names = ("data/train.csv", "data/parts/", ".github", "s3://bucket/x")
    assert may_write(path, names, ConfigFolder.of(folder)) is allowed


def test_the_summary_says_it_too_and_that_issues_are_off() -> None:
    text = summary_of([issue_of(watched(), PLACE, Change())], off=True).text
    assert "has no issues" in text
    assert "alarm since 2026-11-27" in text
    assert "<!-- mlbot" not in text
