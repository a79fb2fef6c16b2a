"""Findings from facts: each thing that can be wrong, by itself, in a set-up that is else right."""

from typing import Any

import pytest
import yaml

from mlbot.config.errors import Position, Problem
from mlbot.config.schema import Config, parse_config
from mlbot.config.yaml import load
from mlbot.events.github import Settings
from mlbot.lib.constants import JUDGE_PATH, TRAIN_PATH
from mlbot.setup import scaffold
from mlbot.setup.findings import Code, Finding, Held, Setup, Severity, diagnose_setup, in_order
from mlbot.setup.findings_github import diagnose_github, unasked
from mlbot.setup.findings_workflows import Workflow, diagnose_workflows, events, labels_of

TEXTS = {
    TRAIN_PATH: scaffold.train_workflow(branch="main", install="make"),
    JUDGE_PATH: scaffold.judge_workflow(install="make"),
}
TYPES = "    types: [opened, synchronize, reopened, edited, ready_for_review]\n"
SHA = "a" * 40
OTHER = f"""
on: [push]
jobs:
  test:
    runs-on: ubuntu-latest
    steps: [{{uses: actions/checkout@{SHA}}}, {{uses: ./own}}, {{run: make}}]
"""


def codes(findings: Any) -> list[tuple[Code, Severity]]:
    return [(each.code, each.severity) for each in findings]


def of_workflows(path: str = "", old: str = "", new: str = "", *, other: str = OTHER) -> list[Finding]:
    """The findings on mlbot's two workflows, with one change in one of them, and on another one."""
    texts = TEXTS | {".github/workflows/other.yml": other}
    if path:
        assert old in texts[path], "the template has changed"
        texts[path] = texts[path].replace(old, new)
    expected = {name: load(text, name).data for name, text in TEXTS.items()}
    made = [Workflow(path=name, document=load(text, name), expected=expected.get(name)) for name, text in texts.items()]
    return list(diagnose_workflows(made, "main"))


def test_the_templates_are_right() -> None:
    assert of_workflows() == []


@pytest.mark.parametrize(
    ("path", "old", "new", "code", "severity"),
    [
        (TRAIN_PATH, "  merge_group:\n", "", Code.TRIGGER_MISSING, "error"),
        (TRAIN_PATH, "  push:\n    branches: [main]\n", "", Code.TRIGGER_MISSING, "error"),
        (TRAIN_PATH, "synchronize, ", "", Code.TRIGGER_MISSING, "error"),
        (TRAIN_PATH, TYPES, "", Code.TRIGGER_MISSING, "error"),
        (TRAIN_PATH, "    types: [o", "    paths: [src/**]\n    types: [o", Code.TRIGGER_FILTERED, "error"),
        (TRAIN_PATH, "    types: [o", "    branches: [dev]\n    types: [o", Code.TRIGGER_FILTERED, "error"),
        (TRAIN_PATH, "branches: [main]", "branches: [dev]", Code.TRIGGER_FILTERED, "error"),
        (TRAIN_PATH, "  pull_request:", "  pull_request_target:\n  pull_request:", Code.PULL_REQUEST_TARGET, "error"),
        (TRAIN_PATH, "permissions: {}", "permissions: read-all", Code.PERMISSIONS_TOP, "warning"),
        (TRAIN_PATH, "contents: read\n", "contents: write\n", Code.PERMISSIONS_WIDE, "error"),
        (TRAIN_PATH, "contents: read\n", "contents: read\n      id-token: write\n", Code.PERMISSIONS_WIDE, "error"),
        (TRAIN_PATH, "      contents: read\n", "", Code.PERMISSIONS_MISSING, "error"),
        (TRAIN_PATH, "    with:", "    secrets: inherit\n    with:", Code.SECRETS_IN_SANDBOX, "error"),
        (TRAIN_PATH, "@v1", "@main", Code.WORKFLOW_REF, "warning"),
        (TRAIN_PATH, "@v1", "", Code.WORKFLOW_REF, "warning"),
        (TRAIN_PATH, "mlbot-ci/mlbot/", "eve/mlbot/", Code.WORKFLOW_JOB, "error"),
        (JUDGE_PATH, "[requested, completed]", "[completed]", Code.TRIGGER_MISSING, "error"),
        (JUDGE_PATH, "write       # the status `mlbot`\n", "read\n", Code.PERMISSIONS_MISSING, "error"),
        (JUDGE_PATH, "issues: write", "issues: read", Code.PERMISSIONS_MISSING, "error"),
        (JUDGE_PATH, "issue_comment: ", "discussion_comment: ", Code.TRIGGER_MISSING, "warning"),
        (JUDGE_PATH, "mlbot/.github/workflows/command", "b/.github/workflows/c", Code.WORKFLOW_JOB, "warning"),
        (JUDGE_PATH, "if: github.event_name == 'issue_comment'", "if: false", Code.WORKFLOW_DRIFT, "warning"),
        (JUDGE_PATH, "workflows: [mlbot]", "workflows: [other]", Code.WORKFLOW_NAME, "error"),
        (JUDGE_PATH, "run-id: ${{ inputs.run-id }}", "run-id: 7", Code.WORKFLOW_DRIFT, "warning"),
        (JUDGE_PATH, "        required: true\n", "", Code.WORKFLOW_DRIFT, "warning"),
    ],
)  # fmt: skip
def test_one_change_is_one_finding(path: str, old: str, new: str, code: Code, severity: str) -> None:
    found = of_workflows(path, old, new)
    if code is Code.WORKFLOW_JOB:
        assert (code, Severity(severity)) in codes(found)
        assert {each.code for each in found} == {Code.WORKFLOW_JOB, Code.UNPINNED}
        return
    assert codes(found) == [(code, Severity(severity))]
    assert found[0].where.startswith(path)
    assert found[0].hint


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("install: make", "install: pip install ."),
        ("@v1", "@v1.2.0"),
        ("@v1", f"@{SHA}"),
        ("name: mlbot\n", "# hi\nname: mlbot\n"),
        ("    with:", "    with:\n      lfs: true"),
        ("branches: [main]", "branches: [main, dev]"),
        ("branches: [main]", 'branches: ["**"]'),
    ],
)
def test_what_is_the_users_to_choose_is_no_finding(old: str, new: str) -> None:
    assert of_workflows(TRAIN_PATH, old, new) == []


def test_the_judge_listens_to_the_name_that_the_training_has() -> None:
    (found,) = of_workflows(TRAIN_PATH, "name: mlbot\n", "name: models\n")
    assert (found.code, found.where) == (Code.WORKFLOW_NAME, f"{JUDGE_PATH}: on.workflow_run.workflows")
    assert found.hint == "Write `workflows: [models]`."


def test_workflows_that_are_not_there_or_no_yaml() -> None:
    expected = load(TEXTS[TRAIN_PATH], TRAIN_PATH).data
    made = [
        Workflow(path=TRAIN_PATH, document=None, expected=expected),
        Workflow(path=JUDGE_PATH, document=None, expected=expected, problem="no YAML"),
        Workflow(path="x.yml", document=None, problem="no YAML"),
    ]
    assert codes(diagnose_workflows(made, "main")) == [
        (Code.WORKFLOW_MISSING, Severity.ERROR),
        (Code.WORKFLOW_UNREADABLE, Severity.ERROR),
        (Code.WORKFLOW_UNREADABLE, Severity.WARNING),
    ]


def test_other_workflows() -> None:
    found = of_workflows(other=OTHER.replace(SHA, "v4").replace("[push]", "pull_request_target"))
    assert codes(found) == [(Code.PULL_REQUEST_TARGET, Severity.WARNING), (Code.UNPINNED, Severity.WARNING)]
    assert "actions/checkout@v4" in found[1].what


@pytest.mark.parametrize(
    "text", ["[]", "text", "jobs: []", "{on: 3, jobs: {a: 1, b: {steps: x, runs-on: {labels: y}}}}"]
)
def test_a_workflow_of_any_shape_is_looked_at(text: str) -> None:
    of_workflows(other=text)
    data = load(text, "x").data
    assert isinstance(dict(events(data)), dict)
    assert set(labels_of(data)) <= {"y"}
    expected = load(TEXTS[TRAIN_PATH], TRAIN_PATH).data
    strange = Workflow(path=TRAIN_PATH, document=load(text, "x"), expected=expected)
    assert Code.WORKFLOW_JOB in {each.code for each in diagnose_workflows([strange], "main")}


def config(holdout: str = "s3://b/h.csv", **top: object) -> Config:
    data = {"train": "data/t.csv", "holdout": holdout, "target": "y"}
    model = {"task": "binary", "train": {"run": "make"}, "data": data, "gates": {"accuracy": {"min": 0.5}}}
    return parse_config(load(yaml.safe_dump({"models": {"m": model}, **top}), "mlbot.yaml"))


def setup(**changes: Any) -> Setup:
    fields: dict[str, Any] = {
        "repository": "acme/m",
        "shallow": False,
        "branch": "main",
        "live": frozenset({JUDGE_PATH}),
    }
    return Setup(**({"config": config()} | fields | changes))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"repository": None}, [(Code.NO_REMOTE, "warning")]),
        ({"shallow": True}, [(Code.SHALLOW, "warning")]),
        ({"live": frozenset()}, [(Code.JUDGE_NOT_LIVE, "error")]),
        ({"config": None}, [(Code.NO_CONFIG, "error")]),
        ({"config": config(guard=["dev"])}, [(Code.CONFIG_NOT_GUARDED, "warning")]),
        ({"config": config(guard=["main"])}, []),
        ({"config": config(store="models")}, [(Code.STORE_IN_CHECKOUT, "warning")]),
        ({"config": config(store="models"), "repository": None}, [(Code.NO_REMOTE, "warning")]),
        ({"config": config(store="oci://ghcr.io/acme/m/models")}, []),
        ({"config": config("data/h.csv")}, [(Code.HOLDOUT_IN_REPOSITORY, "advice")]),
        ({"held": {"data/t.csv": Held.OUTSIDE}}, [(Code.DATA_NOT_IN_GIT, "error")]),
        ({"held": {"data/t.csv": Held.LFS}}, [(Code.DATA_POINTER, "error")]),
        ({"held": {"data/t.csv": Held.LFS}, "lfs": True}, []),
        ({"held": {"data/t.csv": Held.DVC}}, [(Code.DATA_POINTER, "warning")]),
        ({"held": {"data/t.csv": Held.ABSENT}}, []),
    ],
)
def test_the_repository_itself(changes: dict[str, Any], expected: list[tuple[Code, str]]) -> None:
    assert codes(diagnose_setup(setup(**changes))) == expected


def test_each_problem_of_the_config_is_a_finding_with_its_line() -> None:
    problem = Problem("no gates", "write at least one", ("models", "m", "gates"), position=Position(7, 1))
    (found,) = diagnose_setup(setup(config=None, problems=(problem,)))
    assert (found.where, found.what) == ("mlbot.yaml:7", "models.m.gates: found no gates")
    assert found.hint == "Write at least one."


def settings(**changes: Any) -> Settings:
    fields: dict[str, Any] = {
        "private": False, "default_branch": "main", "required": ("mlbot",), "merge_queue": True,
        "actions_enabled": True, "allowed_actions": "all", "sha_pinning": False, "default_token": "read",
        "may_approve": False, "runners": 0,
    }  # fmt: skip
    return Settings(**(fields | changes))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"required": ("lint",)}, [(Code.CHECK_NOT_REQUIRED, "error")]),
        ({"required": ()}, [(Code.CHECK_NOT_REQUIRED, "error")]),
        ({"actions_enabled": False}, [(Code.ACTIONS_DISABLED, "error")]),
        ({"allowed_actions": "local_only"}, [(Code.ACTIONS_NOT_ALLOWED, "error")]),
        ({"allowed_actions": "selected"}, [(Code.ACTIONS_NOT_ALLOWED, "warning")]),
        ({"sha_pinning": True}, [(Code.ACTIONS_NOT_ALLOWED, "error")]),
        ({"default_token": "write"}, [(Code.DEFAULT_TOKEN, "warning")]),
        ({"may_approve": True}, [(Code.MAY_APPROVE, "warning")]),
        ({"runners": 2}, [(Code.SELF_HOSTED_PUBLIC, "warning")]),
        ({"runners": 2, "private": True}, []),
        (
            {"unseen": ("the runners",), **dict.fromkeys(("required", "merge_queue", "actions_enabled", "runners"))},
            [(Code.NOT_LOOKED_AT, "advice")],
        ),
    ],
)
def test_githubs_side(changes: dict[str, Any], expected: list[tuple[Code, str]]) -> None:
    assert codes(diagnose_github(settings(**changes), queue_ready=True, labels=["ubuntu-latest"])) == expected


@pytest.mark.parametrize(
    ("labels", "private", "expected"),
    [
        (["self-hosted", "gpu"], False, [(Code.SELF_HOSTED_PUBLIC, "error")]),
        (["gpu-large"], False, [(Code.SELF_HOSTED_PUBLIC, "warning")]),
        (["self-hosted"], True, []),
        (["ubuntu-24.04", "macos-15", "${{ matrix.os }}"], False, []),
    ],
)
def test_runners_of_ones_own(labels: list[str], *, private: bool, expected: list[tuple[Code, str]]) -> None:
    assert codes(diagnose_github(settings(private=private), queue_ready=True, labels=labels)) == expected


def test_a_merge_queue_needs_its_event() -> None:
    assert codes(diagnose_github(settings(), queue_ready=False, labels=[])) == [(Code.MERGE_QUEUE, Severity.ERROR)]
    assert codes(diagnose_github(settings(merge_queue=False), queue_ready=False, labels=[])) == []


def test_the_worst_comes_first() -> None:
    made = [unasked(), *diagnose_setup(setup(repository=None, live=frozenset()))]
    assert [each.severity for each in in_order(made)] == ["error", "warning", "advice"]
