"""From drift to a pull request, its verdict, and a closed issue: a schedule of many mornings, under act."""

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest
from tests.e2e import user
from tests.e2e.harness import Harness
from tests.fake_github.server import FakeGitHub
from tests.fake_github.state import Issue, Repository
from tests.support import tiny

from mlbot.ledger.entries import DayEntry, Entry, read_files
from mlbot.ledger.queries import live
from mlbot.lib.constants import MONITOR_PATH, RELEASE_PATH
from mlbot.setup import scaffold

pytestmark = [pytest.mark.story, pytest.mark.timeout(900)]

MONITOR = "mlbot-monitor.yml"
BOT = "github-actions[bot]"
LOOK, REFRESH, ALARM = "monitor / Look at the logs", "monitor / Refresh the data", "monitor / Say how they do"
DRIFT, OVER, WELL = 18, 22, 32  # days after the promotion
CLOCK = """#!{python}
# mlbot, on another day.
import pathlib, sys
from datetime import datetime, timedelta
from mlbot.entry import main
from mlbot.monitoring import run_alarms
days = timedelta(days=int(pathlib.Path({offset!r}).read_text()))
class Shifted(datetime):
    @classmethod
    def now(cls, tz=None):
        return datetime.now(tz) + days
run_alarms.datetime = Shifted
sys.exit(main())
"""


def repository(github: FakeGitHub, folder: Path) -> Repository:
    """A repository whose model is trained, released, served from a folder, and watched."""
    logs = (folder / "logs" / "{date}.jsonl").as_uri().replace("%7B", "{").replace("%7D", "}")
    monitor = f'    monitor: {{requests: "{logs}", alarms: {{days: 2, then: refresh, run: sh refresh.sh}}}}\n'
    text = user.CONFIG.replace("    slices:\n", f"{monitor}    slices:\n") + dedent(f"""
        store: {(folder / "store").as_uri()}
        environments:
          production: {{target: "{(folder / "production").as_uri()}"}}
    """)
    models = user.repository(
        github,
        without=(),
        **{
            "mlbot.yaml": text,
            RELEASE_PATH: scaffold.release_workflow(),
            MONITOR_PATH: scaffold.monitor_workflow(install=""),
            "more.csv": tiny.rows(300, 9).partition("\n")[2],
            "refresh.sh": "cat more.csv >> data/train.csv\n",
        },
    )
    models.settings["can_approve"] = True
    (folder / "logs").mkdir()
    return models


def entries(models: Repository) -> tuple[Entry, ...]:
    """The whole ledger."""
    files = {path: models.git.git("show", f"mlbot-ledger:{path}").encode() + b"\n" for path in user.ledger(models)}
    return read_files(files).entries


class Calendar:
    """The days after today: what is asked of the model on them, and the mornings after them."""

    def __init__(self, github: FakeGitHub, actions: Harness, folder: Path) -> None:
        self.github, self.actions, self.logs = github, actions, folder / "logs"
        self.today = datetime.now(UTC).date()
        self.offset = folder / "offset"
        self.offset.write_text("0")
        clock = folder / "mlbot"
        clock.write_text(CLOCK.format(python=sys.executable, offset=str(self.offset)))
        clock.chmod(0o755)
        called = """if [ "$1" = "-c" ] && [[ "$2" == "from mlbot.entry import main"* ]]; then"""
        python = actions.folder / "commands" / "python"
        before, started, after = python.read_text().rpartition("exec ")
        python.write_text(f'{before}{called} shift 2; exec "{clock}" "$@"; fi\n{started}{after}')

    def log(self, day: int, shift: float = 0.0) -> None:
        """Write what is asked on a day."""
        chance = np.random.default_rng(day)
        rows = chance.normal((shift, 0.0, 0.0), 1.0, (400, 3))
        lines = [json.dumps(dict(zip(("x1", "x2", "x3"), map(float, row), strict=True))) for row in rows]
        (self.logs / f"{self.today + timedelta(days=day)}.jsonl").write_text("\n".join(lines) + "\n")

    def morning_after(self, day: int) -> dict[str, str | None]:
        """How the jobs of the schedule end on the morning after a day."""
        self.offset.write_text(str(day + 1))
        self.github.schedule("23 4 * * *")
        self.actions.step()
        return self.actions.last(MONITOR).outcomes()


def test_from_drift_to_a_pull_request_its_verdict_and_a_closed_issue(
    github: FakeGitHub, actions: Harness, tmp_path: Path
) -> None:
    github.limits.writes_a_minute = 10_000
    models = repository(github, tmp_path)
    boss, alice = github.user("boss"), github.user("alice")
    boss.push("main", tiny.params(offset=1))
    actions.run_until_idle()
    alice.tag("tiny@v1.0.0", message="The first one")
    actions.run_until_idle()
    assert [each.kind for each in entries(models)].count("reference") == 1
    calendar = Calendar(github, actions, tmp_path)

    for day in range(1, WELL + 1):
        calendar.log(day, shift=1.5 if DRIFT <= day < OVER else 0.0)
    assert calendar.morning_after(DRIFT - 1) == {LOOK: "success", REFRESH: "skipped", ALARM: "success"}
    assert len([each for each in entries(models) if isinstance(each, DayEntry)]) == DRIFT - 1
    assert issues(models) == [], "a model that is well has no issue"

    day = DRIFT
    while not issues(models):
        assert calendar.morning_after(day)[ALARM] == "success"
        day += 1
    assert day < OVER
    (issue,) = issues(models)
    assert issue.user.login == BOT
    assert "tiny in production: alarm since" in issue.title
    assert "x1" in (issue.body or "")
    assert pulls(models) == []

    assert calendar.morning_after(day) == {LOOK: "success", REFRESH: "success", ALARM: "success"}
    (pull,) = pulls(models)
    assert (pull.user.login, pull.title) == (BOT, "Refresh the data of tiny")
    assert f"A change is proposed: #{pull.number}." in (issue.body or "")
    assert models.git.git("diff", "--name-only", "main", user.head(pull)).split() == ["data/train.csv"]
    waiting = actions.last("mlbot.yml", "pull_request")
    assert waiting.conclusion == "action_required", "GitHub lets a person approve what a workflow's token has opened"
    boss.approve(waiting)
    actions.run_until_idle()
    assert user.verdict(models, user.head(pull)) == "success"
    (comment,) = user.comments(models, pull)
    assert "Ready to merge" in comment
    tip = models.git.git("rev-parse", "main")
    assert models.git.git("rev-parse", f"{user.head(pull)}^") == tip, "mlbot merges nothing"

    boss.merge(pull, "squash")
    actions.run_until_idle()
    found = live(entries(models), "production", "tiny")
    assert found
    assert found.version == "1.0.0", "a merge changes nothing in production"
    assert calendar.morning_after(WELL)[ALARM] == "success"
    (issue,) = issues(models)
    assert (issue.state, issue.state_reason) == ("closed", "completed")
    assert pulls(models) == [pull]
    assert not github.requests.refused()
    for job in ("look", "refresh"):
        written = [each.path for each in github.requests.writes(by=f"mlbot-monitor.yml/monitor/{job}")]
        assert {path for path in written if not path.endswith("/git-upload-pack")} == set(), "who reads writes nothing"


def issues(models: Repository) -> list[Issue]:
    """Those on models in production."""
    return [each for each in models.issues.values() if "mlbot-production" in each.labels]


def pulls(models: Repository) -> list[Issue]:
    """All pull requests."""
    return [each for each in models.issues.values() if each.pull]
