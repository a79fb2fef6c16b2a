"""The three jobs that watch models in production, in this process, against a fake GitHub with real git."""

import io
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.fake_github.fixtures import github
from tests.fake_github.server import FakeGitHub
from tests.fake_github.state import Issue, Repository
from tests.support.git_samples import Sandbox
from tests.support.history_samples import MODEL
from tests.support.production import START, Days, on

from mlbot.config.folder import ConfigFolder
from mlbot.console import Console
from mlbot.errors import Exit, MlbotError, NotEvaluatedError, RefusedError
from mlbot.git.ledger import LedgerBranch
from mlbot.git.remote import Remote
from mlbot.ledger.entries import DayEntry, Entry
from mlbot.lib.constants import ACTIONS_BOT
from mlbot.lib.record import digest
from mlbot.monitoring.alarms import HANDED_FILE, HandedDays, Unread, branch_of
from mlbot.monitoring.run_alarms import Handed, MonitorJob, alarm_run, look_run, refresh_run

__all__ = ["github"]
pytestmark = pytest.mark.usefixtures("git_settings")
LOOK = {"contents": "read", "packages": "read", "pull_requests": "read"}
ALARM = {"actions": "read", "contents": "write", "issues": "write", "pull_requests": "write"}
BRANCH = branch_of(MODEL)
REFRESH = "then: refresh, run: 'sh refresh.sh'"
STAMP = "then: retrain, stamp: retrained.txt"
DRIFT, OVER = 20, 26  # the days on which customers are older


def config(alarms: str) -> str:
    return f"""
version: 1
models:
  {MODEL}:
    task: binary
    train: {{run: make, depends: [train.py, retrained.txt]}}
    data: {{train: data/train.csv, holdout: h.csv, target: left}}
    gates: {{roc_auc: {{min: 0.5}}}}
    monitor: {{requests: "logs/{{date}}.jsonl", alarms: {{days: 2, {alarms}}}}}
environments: {{production: {{target: "file:///srv/models"}}}}
"""


@dataclass
class Watch:
    """A repository whose model is live, and the mornings on which it is looked at."""

    github: FakeGitHub
    models: Repository
    folder: Path
    days: list[Entry]
    unread: tuple[Unread, ...] = ()
    count: int = 0

    @classmethod
    def open(cls, github: FakeGitHub, folder: Path, alarms: str = REFRESH, recorded: int = DRIFT) -> "Watch":
        """With so many days in the ledger already."""
        files = {
            "mlbot.yaml": config(alarms),
            "train.py": "",
            "data/train.csv": "a\n",
            "refresh.sh": "echo b >> data/train.csv\n",
        }
        models = github.repository("acme/models", files, roles={"alice": "write", "boss": "admin"})
        github.limits.writes_a_minute = 10_000
        entries = Days(shift=lambda day: 2.0 if DRIFT <= day < OVER else 0.0).entries(60)
        made = cls(github=github, models=models, folder=folder, days=entries[3:])
        made.ledger.append([*entries[:3], *entries[3 : 3 + recorded]], 1_763_654_400)
        return made

    @property
    def ledger(self) -> LedgerBranch:
        return LedgerBranch.at(Remote(url=str(self.models.git.path)))

    def job(self, rights: Mapping[str, str], number: int, **more: str) -> MonitorJob:
        path = self.folder / "checkouts" / str(self.count)
        self.count += 1
        Sandbox(self.folder).git("clone", "--quiet", str(self.models.git.path), str(path))
        environment = {
            "GITHUB_REPOSITORY": "acme/models",
            "GITHUB_RUN_ID": str(100 + number),
            "GITHUB_API_URL": self.github.api_url,
            "GITHUB_SERVER_URL": self.github.url,
            "GITHUB_EVENT_NAME": "schedule",
            "GITHUB_STEP_SUMMARY": str(self.folder / "summary.md"),
            "GITHUB_TOKEN": self.github.job_token(self.models, rights, job="mlbot-monitor.yml/job"),
        } | more
        console = Console(out=io.StringIO(), err=io.StringIO())
        made = MonitorJob.of(path, ConfigFolder(), environment, console, ACTIONS_BOT)
        made.github.transport.sleep = lambda _: None
        now = datetime.combine(START + timedelta(days=number + 1), datetime.min.time(), UTC) + timedelta(hours=4)
        return replace(made, now=lambda: now)

    def look(self, number: int) -> tuple[dict[str, str], Path]:
        """What the first job puts out on the morning after a day, and where it left what it hands over."""

        def read(_context: Any, last: date) -> HandedDays:
            known = {each.date for each in self.recorded}
            new = [each for each in self.days if isinstance(each, DayEntry) and each.date <= last.isoformat()]
            unread = {each.day for each in self.unread}
            entries = tuple(each for each in new if each.date not in known | unread)
            return HandedDays(
                entries=entries, unread=tuple(each for each in self.unread if each.day == last.isoformat())
            )

        ci, folder = self.job(LOOK, number), self.folder / "handed" / str(self.count)
        assert look_run(ci, folder, read) is Exit.OK
        return outputs(ci), folder

    def refresh(self, number: int, models: str) -> tuple[str, Path]:
        """What the second job puts out."""
        ci, folder = self.job({"contents": "read"}, number), self.folder / "files" / str(self.count)
        refresh_run(ci.directory, ConfigFolder(), models.split(), folder, ci.console)
        return outputs(ci)["digest"], folder

    def morning(self, number: int) -> Issue | None:
        """All three jobs on the morning after a day; the model's issue then."""
        put, folder = self.look(number)
        handed = Handed(days=folder, digest=put["digest"], files=self.folder / "nothing" / str(self.count))
        if put["refresh"] != "none":
            content, files = self.refresh(number, put["refresh"])
            handed = replace(handed, files=files, files_digest=content, refresh="success")
        assert alarm_run(self.job(ALARM, number), handed) is Exit.OK
        return self.issue

    @property
    def recorded(self) -> list[DayEntry]:
        return [each for each in self.ledger.read("day").entries if isinstance(each, DayEntry)]

    @property
    def issue(self) -> Issue | None:
        found = [each for each in self.models.issues.values() if each.pull is None]
        assert len(found) <= 1, "one issue a model"
        return found[0] if found else None

    @property
    def pulls(self) -> list[Issue]:
        return [each for each in self.models.issues.values() if each.pull]

    @property
    def summary(self) -> str:
        return (self.folder / "summary.md").read_text()


def outputs(ci: MonitorJob) -> dict[str, str]:
    out = ci.console.out
    assert isinstance(out, io.StringIO)
    return dict(line.split("=", 1) for line in out.getvalue().splitlines())


@pytest.fixture
def watch(github: FakeGitHub, tmp_path: Path) -> Watch:
    return Watch.open(github, tmp_path)


FIRST = DRIFT + 1  # the first day with an alarm
DUE = FIRST + 1  # and the day on which a change is due


def test_from_drift_to_an_issue_a_pull_request_and_back(watch: Watch) -> None:
    watch.models.settings["can_approve"] = True
    assert watch.morning(DRIFT - 1) is None
    assert watch.morning(DRIFT) is None
    watch.morning(FIRST)
    assert watch.issue
    assert (watch.issue.title, watch.issue.labels) == (
        f"{MODEL} in production: alarm since {on(FIRST)}",
        ["mlbot-production"],
    )
    assert watch.pulls == []
    watch.morning(DUE)
    (pull,) = watch.pulls
    assert pull.pull
    assert (pull.pull.head_ref, pull.pull.base_ref, pull.user.login) == (BRANCH, "main", ACTIONS_BOT)
    assert watch.models.git.git("show", f"{BRANCH}:data/train.csv").split() == ["a", "b"]
    assert watch.models.git.git("diff", "--name-only", "main", BRANCH).split() == ["data/train.csv"]
    assert f"A change is proposed: #{pull.number}." in (watch.issue.body or "")
    tip = watch.models.git.find(f"refs/heads/{BRANCH}")
    watch.morning(DUE)
    watch.morning(DUE + 1)
    assert (len(watch.pulls), watch.models.git.find(f"refs/heads/{BRANCH}")) == (1, tip)
    for number in range(OVER, OVER + 12):
        watch.morning(number)
        if watch.issue.state == "closed":
            break
    assert (watch.issue.state, watch.issue.state_reason) == ("closed", "completed")
    assert "no alarm any more" in (watch.issue.body or "")
    assert watch.models.git.git("rev-parse", "main") == watch.models.git.git("rev-parse", f"{BRANCH}^"), (
        "nothing is merged"
    )
    assert not watch.github.requests.refused()


def test_a_stamp_trains_again_and_names_the_alarm(github: FakeGitHub, tmp_path: Path) -> None:
    watch = Watch.open(github, tmp_path, STAMP, DUE)
    watch.morning(DUE)
    assert watch.issue
    assert watch.pulls == []
    assert "[open the pull request](http" in (watch.issue.body or ""), "workflows may open none, so a person does"
    stamp = watch.models.git.git("show", f"{BRANCH}:retrained.txt")
    assert f"{MODEL}@v1.0.0 in production: alarm since" in stamp
    github.user("alice", watch.models).open_pull_request(BRANCH)
    watch.morning(DUE + 1)
    assert "A change is proposed: #" in (watch.issue.body or "")


def test_a_persons_commits_on_the_branch_stay(github: FakeGitHub, tmp_path: Path) -> None:
    watch = Watch.open(github, tmp_path, STAMP, DUE)
    theirs = github.user("alice", watch.models).push(BRANCH, {"train.py": "theirs"})
    watch.morning(DUE)
    assert watch.models.git.find(f"refs/heads/{BRANCH}") == theirs
    assert watch.issue
    assert "has commits that are not mlbot's" in (watch.issue.body or "")


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("exit 3", "**The refresh failed**"),
        ("echo x > train.py; echo b >> data/train.csv", "**The refresh changed files that it may not**"),
        ("mkdir -p .github/workflows; echo x > .github/workflows/evil.yml", "may not**"),
        ("ln -sf /etc/passwd data/train.csv", "may not**"),
        ("rm data/train.csv", "may not**"),
        ("printf x > \"$(printf 'data/\\377')\"; echo b >> data/train.csv", r"data/\\xff"),
        ("echo b >> data/train.csv; git -c user.name=x -c user.email=x@x commit -qam x", "made a commit"),
        ("git checkout -q --orphan other; git -c user.name=x -c user.email=x@x commit -qm x", "made a commit"),
        ("true", "found no newer data"),
        ("mkdir -p .git/info; echo '*.csv filter=lfs' > .git/info/attributes; echo b >> data/train.csv", "Git LFS"),
        (
            "env | cut -d= -f1 | grep -E '^(GITHUB|ACTIONS)_' && exit 1; echo b >> data/train.csv",
            "open the pull",
        ),
    ],
)
def test_what_a_refresh_leaves_is_looked_at(github: FakeGitHub, tmp_path: Path, script: str, said: str) -> None:
    watch = Watch.open(github, tmp_path, recorded=DUE)
    github.user("boss", watch.models).push("main", {"refresh.sh": f"{script}\n"})
    watch.morning(DUE)
    assert watch.issue
    assert said in (watch.issue.body or "")
    assert watch.pulls == []


def test_what_was_handed_over_is_read_by_its_digest_alone(watch: Watch) -> None:
    put, folder = watch.look(DRIFT)
    raw = (folder / HANDED_FILE).read_bytes()
    (folder / HANDED_FILE).write_bytes(raw.replace(b'"requests":500', b'"requests":501'))
    with pytest.raises(NotEvaluatedError, match="is not what the earlier job handed over"):
        alarm_run(watch.job(ALARM, DRIFT), Handed(days=folder, digest=put["digest"], files=folder))
    (folder / HANDED_FILE).unlink()
    with pytest.raises(NotEvaluatedError, match=r"there is no days\.json"):
        alarm_run(watch.job(ALARM, DRIFT), Handed(days=folder, digest=put["digest"], files=folder))
    assert len(watch.recorded) == DRIFT


@pytest.mark.parametrize(
    "change",
    [
        lambda entry: entry.model_copy(update={"model": "another"}),
        lambda entry: entry.model_copy(update={"environment": "staging"}),
        lambda entry: entry.model_copy(update={"date": "2199-01-01"}),
    ],
)
def test_who_read_the_logs_may_say_nothing_else(watch: Watch, change: Callable[[Any], Any]) -> None:
    raw = HandedDays(entries=(change(watch.days[DRIFT]),)).model_dump_json().encode()
    folder = watch.folder / "forged"
    folder.mkdir()
    (folder / HANDED_FILE).write_bytes(raw)
    alarm_run(watch.job(ALARM, DRIFT), Handed(days=folder, digest=digest(raw), files=folder))
    assert len(watch.recorded) == DRIFT


def test_files_that_are_not_what_was_handed_over_keep_no_issue_closed(github: FakeGitHub, tmp_path: Path) -> None:
    watch = Watch.open(github, tmp_path, recorded=DUE)
    put, folder = watch.look(DUE)
    handed = Handed(
        days=folder, digest=put["digest"], files=tmp_path, files_digest=f"sha256:{'0' * 64}", refresh="success"
    )
    with pytest.raises(NotEvaluatedError, match=r"no files\.json"):
        alarm_run(watch.job(ALARM, DUE), handed)
    assert watch.issue
    assert "**The change could not be proposed**: there is no files" in (watch.issue.body or "")
    assert watch.pulls == []


def test_what_was_merged_during_a_refresh_is_not_taken_back(github: FakeGitHub, tmp_path: Path) -> None:
    watch = Watch.open(github, tmp_path, recorded=DUE)
    boss = github.user("boss", watch.models)
    first, tip = watch.models.git.git("rev-parse", "main"), boss.push("main", {"train.py": "newer"})
    put, folder = watch.look(DUE)
    content, files = watch.refresh(DUE, put["refresh"])
    handed = Handed(days=folder, digest=put["digest"], files=files, files_digest=content, refresh="success")
    boss.push("main", {"data/train.csv": "a\nmerged\n"})
    alarm_run(watch.job(ALARM, DUE), handed)
    assert watch.models.git.git("rev-parse", f"{BRANCH}^") == tip, "git sees that both changed the file"
    boss.force_push("main", {"data/train.csv": "a\nother\n"}, onto=first)
    watch.models.git.git("branch", "-D", BRANCH)
    alarm_run(watch.job(ALARM, DUE), handed)
    assert watch.models.git.find(f"refs/heads/{BRANCH}") is None
    assert watch.issue
    assert "`main` was set back while the data was refreshed" in (watch.issue.body or "")


def test_an_issue_that_may_not_be_written_is_no_green_job(github: FakeGitHub, tmp_path: Path) -> None:
    watch = Watch.open(github, tmp_path, recorded=FIRST)
    put, folder = watch.look(FIRST)
    with pytest.raises(RefusedError):
        alarm_run(
            watch.job({**ALARM, "issues": "read"}, FIRST),
            Handed(days=folder, digest=put["digest"], files=folder),
        )
    assert "alarm since" in watch.summary


def test_days_that_cannot_be_read_are_said_and_become_an_issue(watch: Watch) -> None:
    watch.unread = tuple(Unread(model=MODEL, day=on(number), why="the bucket says no") for number in range(DRIFT, OVER))
    assert watch.morning(DRIFT) is None
    assert "the bucket says no" in watch.summary
    issue = watch.morning(DRIFT + 1)
    assert issue
    assert issue.title == f"{MODEL} in production: cannot be looked at"
    watch.unread = ()
    watch.days[DRIFT:] = Days(seed=3).entries(60)[3 + DRIFT :]
    watch.morning(DRIFT + 2)
    assert issue.state == "closed"


def test_without_issues_the_summary_says_it_all(github: FakeGitHub, tmp_path: Path) -> None:
    watch = Watch.open(github, tmp_path, recorded=FIRST)
    watch.models.settings["has_issues"] = False
    assert watch.morning(FIRST) is None
    assert "**This repository has no issues**" in watch.summary
    assert "alarm since" in watch.summary


def test_a_fault_of_github_is_made_up_for_by_the_next_run(github: FakeGitHub, tmp_path: Path) -> None:
    watch = Watch.open(github, tmp_path, recorded=FIRST)
    github.faults.add("POST /repos/acme/models/issues", 502, times=99)
    with pytest.raises(MlbotError):
        watch.morning(FIRST)
    assert watch.issue is None
    assert len(watch.recorded) == FIRST + 1, "the day is written once, whatever came after it"
    github.faults.ordered.clear()
    assert watch.morning(FIRST)
    assert len(watch.recorded) == FIRST + 1


def test_two_runs_at_once_come_to_one_issue_and_one_pull_request(github: FakeGitHub, tmp_path: Path) -> None:
    watch = Watch.open(github, tmp_path, STAMP, DUE)
    watch.models.settings["can_approve"] = True
    put, folder = watch.look(DUE)
    jobs = [watch.job(ALARM, DUE) for _ in range(3)]
    given = [Handed(days=folder, digest=put["digest"], files=tmp_path / str(n)) for n in range(3)]
    with ThreadPoolExecutor(3) as pool:
        assert {*pool.map(alarm_run, jobs, given)} == {Exit.OK}
    assert [each.state for each in watch.models.issues.values() if each.pull is None].count("open") == 1
    assert len(watch.pulls) == 1
    assert len(watch.recorded) == DUE + 1
