"""The guide to the first pull request, typed to the letter: on GitHub as act and the fake play it, to a verdict."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from tests.e2e import user
from tests.e2e.harness import Harness
from tests.fake_github.server import FakeGitHub
from tests.support import repositories
from tests.support.git_samples import Sandbox

from mlbot.lib.constants import JUDGE_PATH, TRAIN_PATH

if TYPE_CHECKING:
    from tests.fake_github.state import Issue

pytestmark = [pytest.mark.story, pytest.mark.timeout(900), pytest.mark.usefixtures("git_settings")]

GUIDE: Final = (Path(__file__).parents[2] / "docs" / "first-pull-request.md").read_text(encoding="utf-8")
COMMANDS: Final = [
    line[2:]
    for block in re.findall(r"^```console\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
    if line.startswith("$ ")
]
CODES: Final = {"mlbot doctor": {0, 1}}
"""Without a token the doctor does not see GitHub's side."""


class Typist:
    """Who types: in a clone, with git and mlbot as they are; `gh` and what is installed are the fake's and nobody's."""

    def __init__(self, github: FakeGitHub, actions: Harness, sandbox: Sandbox) -> None:
        self.github, self.actions, self.sandbox = github, actions, sandbox
        self.boss = github.user("boss")
        self.pull: Issue | None = None
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        tokens = ("GITHUB_", "GH_", "MLBOT_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(tokens)}
        self.environment = {**kept, "PATH": path}

    def types(self, command: str) -> None:
        """One line of the guide, and all that GitHub does about it."""
        if command.startswith("pip install "):
            return  # the tests' environment has it
        if command == "gh pr create --fill":
            branch = self.sandbox.git("branch", "--show-current").strip()
            self.pull = self.boss.open_pull_request(branch)
        elif command == "gh pr merge --merge":
            assert self.pull is not None
            self.boss.merge(self.pull)
        else:
            self._runs(command)
        self.actions.run_until_idle()

    def _runs(self, command: str) -> None:
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.sandbox.path,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode in CODES.get(command, {0}), f"{command}: {done.stdout}{done.stderr}"


def test_it_leads_to_a_verdict(github: FakeGitHub, actions: Harness, tmp_path: Path) -> None:
    made = repositories.script(tmp_path / "made")
    files = {str(path.relative_to(made.path)): path.read_text() for path in made.path.rglob("*") if _is_own(path)}
    models = github.repository("acme/churn", files, roles={"boss": "admin"})
    subprocess.run(["git", "clone", "--quiet", github.user("boss").clone_url(), str(tmp_path / "churn")], check=True)
    sandbox = Sandbox(path=tmp_path / "churn")
    typist = Typist(github, actions, sandbox)
    for command in COMMANDS:
        if command.startswith("git commit --all"):
            sandbox.write({"params.yaml": (sandbox.path / "params.yaml").read_text().replace("offset: 0", "offset: 3")})
        typist.types(command)
    assert typist.pull is not None
    assert user.verdict(models, user.head(typist.pull)) == "success"
    (comment,) = user.comments(models, typist.pull)
    assert "Ready to merge" in comment
    written = set(models.git.git("ls-tree", "-r", "--name-only", "main").split()) - set(files)
    assert written == {"mlbot.yaml", TRAIN_PATH, JUDGE_PATH}
    assert models.secrets == {}


def _is_own(path: Path) -> bool:
    return path.is_file() and ".git" not in path.parts
