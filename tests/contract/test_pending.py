"""The action `pending`: its own script, run by bash and curl against GitHub's fake on the loopback."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from tests.fake_github import ops_checks
from tests.fake_github.server import FakeGitHub
from tests.fake_github.state import CheckRun, Repository, Status

from mlbot.events.github import Attempt
from mlbot.protocol.marker import with_attempt

FOLDER = Path(__file__).parents[2] / "actions" / "pending"
ACTION = yaml.safe_load((FOLDER / "action.yml").read_text(encoding="utf-8"))
RUN_URL = "https://github.example/acme/income/actions/runs/7"


@dataclass
class Stage:
    """A repository whose head a workflow has started for."""

    fake: FakeGitHub
    repository: Repository
    tmp: Path

    @property
    def sha(self) -> str:
        found = self.repository.git.find("refs/heads/main")
        assert found
        return found

    def run(self, **changes: str) -> subprocess.CompletedProcess[str]:
        """The script with the environment that the action gives it."""
        given = {name: str(one.get("default", "")) for name, one in ACTION["inputs"].items()}
        environment = {
            "PATH": os.environ["PATH"],
            "RUNNER_TEMP": str(self.tmp),
            "GITHUB_API_URL": self.fake.api_url,
            "GITHUB_REPOSITORY": "acme/income",
            "TOKEN": self.fake.job_token(self.repository, {"statuses": "write"}),
            "SHA": "",
            "HEAD_SHA": self.sha,
            "CONTEXTS": given["contexts"],
            "TARGET_URL": "",
            "RUN_URL": RUN_URL,
            "DESCRIPTION": given["description"],
            "ONLY_WHERE_NONE": given["only-where-none"],
            "EVENT": "pull_request",
            "RUN": "7",
            "ATTEMPT": "1",
            **changes,
        }
        command = ["bash", str(FOLDER / "pending.sh")]
        return subprocess.run(command, env=environment, cwd=self.tmp, capture_output=True, text=True, check=False)

    def status(self, context: str = "mlbot", state: str = "success", url: str = "https://x/y") -> None:
        self.repository.statuses.append(
            Status(
                id=len(self.repository.statuses) + 1,
                sha=self.sha,
                state=state,
                context=context,
                description=f'said "context": "{context}2"',
                target_url=url,
                creator=self.fake.world.bot,
                created_at="2026-01-01T00:00:00Z",
            )
        )

    @property
    def found(self) -> dict[str, str]:
        """The newest state of each context."""
        return {each.context: each.state for each in self.repository.statuses}


@pytest.fixture
def stage(tmp_path: Path, git_settings: None) -> Iterator[Stage]:
    del git_settings
    with FakeGitHub(tmp_path / "github") as fake:
        yield Stage(fake=fake, repository=fake.repository("acme/income"), tmp=tmp_path)
        fake.check()


def test_the_script_reads_what_the_action_gives_and_nothing_is_an_expression_of_a_shell() -> None:
    (step,) = ACTION["runs"]["steps"]
    script = (FOLDER / "pending.sh").read_text(encoding="utf-8")
    assert "${{" not in step["run"]
    assert all(f"${name}" in script or f"${{{name}" in script for name in step["env"])
    assert "eval" not in script


def test_every_status_is_set_on_every_head(stage: Stage) -> None:
    """One that is not set is met by any job of its name, also where that is required which no status says yet."""
    stage.status("mlbot/main")
    done = stage.run(CONTEXTS="mlbot mlbot/main\nmlbot/release\n")
    assert done.returncode == 0, done.stderr
    assert stage.found == dict.fromkeys(("mlbot", "mlbot/main", "mlbot/release"), "pending")
    newest = stage.repository.statuses[-1]
    assert newest.description == ACTION["inputs"]["description"]["default"]
    assert newest.target_url == with_attempt(RUN_URL, Attempt(run=7, number=1))
    assert stage.run().stdout == "This attempt has its word already.\n", "a job that was run again, or came late"


def test_a_push_leaves_what_is_there_and_the_other_branches_alone(stage: Stage) -> None:
    stage.status("mlbot/main")
    for _ in range(2):
        assert stage.run(CONTEXTS="mlbot mlbot/main mlbot/release", EVENT="push").returncode == 0
    assert stage.found == {"mlbot": "pending", "mlbot/main": "success"}
    assert {each.target_url for each in stage.repository.statuses if each.state == "pending"} == {RUN_URL}


def test_a_verdict_of_the_same_attempt_is_not_written_over(stage: Stage) -> None:
    stage.status(url="https://github.example/acme/income/actions/runs/9#mlbot-7.1")
    assert stage.run().returncode == 0
    assert stage.found == {"mlbot": "success"}
    assert stage.run(RUN="8").returncode == 0
    assert stage.found == {"mlbot": "pending"}


def test_a_later_attempt_is_whose_command_asked_for_it(stage: Stage) -> None:
    assert stage.run(ATTEMPT="2").returncode == 0
    assert stage.found == {}


def test_the_watch_acts_where_there_is_no_status_alone(stage: Stage) -> None:
    for context in ("mlbot2", "other/mlbot"):
        stage.status(context)
    watch = {"ONLY_WHERE_NONE": "true", "RUN": "99", "ATTEMPT": "3", "DESCRIPTION": "mlbot.yml did not run"}
    assert stage.run(**watch).returncode == 0
    assert stage.found["mlbot"] == "pending"
    assert stage.repository.statuses[-1].target_url == RUN_URL, "it speaks for no training"
    stage.status(state="failure")
    for state in ("failure", "success"):
        stage.status(state=state)
        assert stage.run(**watch).returncode == 0
        assert stage.found["mlbot"] == state


def test_a_status_beyond_the_first_page_is_found(stage: Stage) -> None:
    stage.status()
    for number in range(120):
        stage.status(f"other/{number}")
    assert stage.run(ONLY_WHERE_NONE="true").returncode == 0
    assert stage.found["mlbot"] == "success"


def test_a_passing_fault_is_tried_again(stage: Stage) -> None:
    fault = stage.fake.faults.add("/statuses", 502)
    assert stage.run().returncode == 0
    assert (fault.met, stage.found) == (1, {"mlbot": "pending"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HEAD_SHA", ""),
        ("SHA", "main"),
        ("SHA", "a" * 39 + "\n" + "b"),
        ("SHA", "../../../user"),
        ("TARGET_URL", "javascript:x"),
        ("TARGET_URL", 'https://x" --output /etc/passwd'),
        ("GITHUB_REPOSITORY", "a/b/../../user"),
        ("GITHUB_API_URL", "file:///etc/passwd"),
        ("TOKEN", "a\nX-Evil: 1"),
        ("TOKEN", ""),
        ("CONTEXTS", " \n "),
        ("RUN", "1; touch x"),
    ],
)
def test_what_is_none_of_it_is_refused_before_anything_is_asked(stage: Stage, name: str, value: str) -> None:
    done = stage.run(**{name: value})
    assert (done.returncode, done.stdout.startswith("::error::")) == (2, True)
    assert stage.fake.requests.all == []


HOSTILE = '$(touch pwned) `touch pwned` "; touch pwned; " \\ \' %s %n ${PATH} @/etc/passwd'


def test_hostile_texts_are_texts(stage: Stage) -> None:
    done = stage.run(
        DESCRIPTION=HOSTILE + "\t\n", CONTEXTS='mlbot/"$(touch${IFS}pwned)"', TARGET_URL="https://x/$(touch)'`\\"
    )
    assert done.returncode == 0, done.stderr
    (status,) = stage.repository.statuses
    assert (status.context, status.description) == ('mlbot/"$(touch${IFS}pwned)"', f"{HOSTILE}  ")
    assert status.target_url == "https://x/$(touch)'`\\#mlbot-7.1"
    assert not (stage.tmp / "pwned").exists()
    assert stage.fake.world.tokens, "there is a token"
    assert not any(token in done.stdout + done.stderr for token in stage.fake.world.tokens)
    assert stage.run(CONTEXTS='mlbot/"$(touch${IFS}pwned)"', ONLY_WHERE_NONE="true").stdout.startswith("The commit has")


def test_a_token_that_may_not_is_a_failure(stage: Stage) -> None:
    done = stage.run(TOKEN=stage.fake.job_token(stage.repository, {"statuses": "read"}))
    assert done.returncode not in {0, 2}
    assert "403" in done.stderr


# The table of docs/security.md: what each set-up holds against whom.

OWN_JOB, OWN_STATUS, NOTHING = "a job called mlbot", "a status by a workflow of their own", "no workflow at all"
TABLE = [
    (OWN_JOB, "token", "merges"),
    (OWN_JOB, "watch", "held"),
    (OWN_JOB, "app", "held"),
    (NOTHING, "token", "held"),
    (NOTHING, "watch", "held"),
    (NOTHING, "app", "held"),
    (OWN_STATUS, "token", "merges"),
    (OWN_STATUS, "watch", "merges"),
    (OWN_STATUS, "app", "held"),
]


@pytest.mark.parametrize(("attack", "set_up", "outcome"), TABLE)
def test_what_the_required_check_holds(stage: Stage, attack: str, set_up: str, outcome: str) -> None:
    pinned = {"integration_id": ops_checks.OTHER_APP} if set_up == "app" else {}
    asked = {"required_status_checks": [{"context": "mlbot", **pinned}]}
    stage.repository.rulesets[1] = {
        "id": 1,
        "target": "branch",
        "enforcement": "active",
        "conditions": {"ref_name": {"include": ["~DEFAULT_BRANCH"], "exclude": []}},
        "rules": [{"type": "required_status_checks", "parameters": asked}],
    }
    if attack == OWN_JOB:
        stage.repository.check_runs[1] = CheckRun(
            id=1, sha=stage.sha, name="mlbot", status="completed", conclusion="success", app="github-actions",
            started_at="2026-01-01T00:00:00Z",
        )  # fmt: skip
    elif attack == OWN_STATUS:
        stage.status()
    if set_up == "watch" and attack != NOTHING:  # of a head without a run nobody hears
        assert stage.run(ONLY_WHERE_NONE="true", RUN="99").returncode == 0
    assert bool(ops_checks.unmet(stage.repository, "main", stage.sha)) is (outcome == "held")
