"""A person's clone of a repository on a fake GitHub, for the tests of comments."""

import io
import json
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.fake_github.people import Person
from tests.fake_github.server import FakeGitHub
from tests.fake_github.state import Issue, Repository
from tests.support import cml_standin
from tests.support.git_samples import Sandbox

from mlbot.console import Console
from mlbot.errors import Exit
from mlbot.publish.run_comment import Posting, comment


@dataclass
class Desk:
    """A person's clone of a repository with one pull request, whose branch is checked out."""

    fake: FakeGitHub
    repository: Repository
    ada: Person
    issue: Issue
    sandbox: Sandbox
    out: io.StringIO = field(default_factory=io.StringIO)

    @classmethod
    def at(cls, fake: FakeGitHub, path: Path) -> "Desk":
        """A clone at a path; `report.md` lies in it, not committed."""
        repository = fake.repository("acme/income", {"train.py": "1\n"}, roles={"ada": "write"})
        ada = fake.user("ada", repository)
        issue = ada.pull_request("deeper", {"a": "1"})
        path.mkdir()
        sandbox = Sandbox(path)
        sandbox.git("clone", "--quiet", "--branch", "deeper", ada.clone_url(), ".")
        sandbox.write({"report.md": "# A report\n"})
        return cls(fake=fake, repository=repository, ada=ada, issue=issue, sandbox=sandbox)

    def environment(self, **more: str) -> dict[str, str]:
        """What a person has set."""
        return {"GITHUB_API_URL": self.fake.api_url, "GITHUB_TOKEN": self.fake.token("ada"), **more}

    def job(self, permissions: dict[str, str], run: int = 7, event: str = "pull_request") -> dict[str, str]:
        """The environment of a job on the event that was told last."""
        payload = next(each.payload for each in reversed(self.fake.world.deliveries) if each.event == event)
        path = self.sandbox.path.parent / "event.json"
        path.write_text(json.dumps(payload))
        return self.environment(
            GITHUB_ACTIONS="true",
            GITHUB_REPOSITORY=self.repository.full_name,
            GITHUB_SERVER_URL=self.fake.url,
            GITHUB_RUN_ID=str(run),
            GITHUB_EVENT_NAME=event,
            GITHUB_EVENT_PATH=str(path),
            GITHUB_STEP_SUMMARY=str(self.sandbox.path.parent / "summary.md"),
            GITHUB_TOKEN=self.fake.job_token(self.repository, permissions),
        )

    def post(self, environment: dict[str, str] | None = None, file: str = "report.md", **asked: Any) -> str:
        """What is said on standard output."""
        start = self.out.tell()
        console = Console(out=self.out, err=io.StringIO())
        posting = Posting(file=file, **asked)
        assert comment(self.sandbox.path, posting, environment or self.environment(), console) == Exit.OK
        return self.out.getvalue()[start:]

    def bodies(self, number: int | None = None) -> list[str]:
        """The comments on an issue, the pull request's if none is named; oldest first."""
        found = sorted(self.repository.comments.values(), key=lambda each: each.id)
        return [each.body for each in found if each.number == (number or self.issue.number)]


def install_cml(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a `cml` on the path that is as strict as the real one; the file in which it writes down what it was given."""
    (folder / "bin").mkdir()
    given, program = folder / "given.json", folder / "bin" / "cml"
    source = Path(cml_standin.__file__).read_text(encoding="utf-8")
    program.write_text(f"#!{sys.executable}\n{source}\nmain(sys.argv[1:], Path({str(given)!r}))\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    return given
