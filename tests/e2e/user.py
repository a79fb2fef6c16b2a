"""A user's repository as `mlbot init` leaves it, and what a person would look at."""

from typing import Final

from tests.fake_github.server import FakeGitHub
from tests.fake_github.state import Issue, Repository
from tests.support import tiny

from mlbot.config.schema import Config, parse_config
from mlbot.config.yaml import load
from mlbot.lib.constants import JUDGE_PATH, TRAIN_PATH
from mlbot.setup import scaffold

TRAIN: Final = scaffold.train_workflow(guard=("main",), install="")
"""As `mlbot init` writes it."""
WORKFLOWS: Final = {TRAIN_PATH: TRAIN, JUDGE_PATH: scaffold.judge_workflow(install="")}
CONFIG: Final = tiny.CONFIG.replace("      timeout: 60s\n", "      timeout: 60s\n      seeds: 2\n")
"""Two seeds: half the jobs, and still a recipe test."""


def files(**params: object) -> dict[str, str]:
    """Every file of the repository."""
    return {**tiny.files(**params), "mlbot.yaml": CONFIG, **WORKFLOWS}


def repository(github: FakeGitHub, *, without: tuple[str, ...] = (), **more: str) -> Repository:
    """The repository `acme/models`, on main."""
    there = {path: text for path, text in (files() | more).items() if path not in without}
    return github.repository("acme/models", there, roles={"alice": "write", "boss": "admin"})


def head(pull: Issue) -> str:
    """The pull request's head."""
    assert pull.pull is not None
    return pull.pull.head_sha


def comments(models: Repository, pull: Issue) -> list[str]:
    """The comments on a pull request, oldest first."""
    return [comment.body for comment in models.comments.values() if comment.number == pull.number]


def statuses(models: Repository, sha: str) -> list[tuple[str, str]]:
    """State and description of each `mlbot` status of a commit, oldest first."""
    found = [each for each in models.statuses if each.sha == sha]
    assert all(each.context == "mlbot" for each in found)
    return [(each.state, each.description or "") for each in found]


def verdict(models: Repository, sha: str) -> str:
    """The state that a commit's status ended in, after it was pending."""
    states = [state for state, _ in statuses(models, sha)]
    assert states[:1] == ["pending"]
    return states[-1]


def ledger(models: Repository, kind: str = "") -> list[str]:
    """The paths of the ledger's files, of one kind where it is named."""
    return models.git.git("ls-tree", "-r", "--name-only", "mlbot-ledger", f"v1/{kind}{'/' * bool(kind)}").split()


def config_of(models: Repository) -> Config:
    """The config on main."""
    return parse_config(load(models.git.git("show", "main:mlbot.yaml").encode(), "mlbot.yaml"))
