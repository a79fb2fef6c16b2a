"""Findings from facts: each thing that can be wrong, by itself, in a set-up that is else right."""

import inspect
import re
from typing import Any

import pytest
import yaml
from tests.support import tiny
from tests.support.config_texts import SMALL, parse

from mlbot.config.actions import Actions
from mlbot.config.errors import Position, Problem
from mlbot.config.folder import ConfigFolder
from mlbot.config.schema import Config, EnvironmentConfig, parse_config
from mlbot.config.yaml import load
from mlbot.errors import RefusedError
from mlbot.events.github import BlockingRule, EnvironmentFacts, PagesFacts, Settings
from mlbot.lib.constants import JUDGE_PATH, TRAIN_PATH
from mlbot.lib.templates import templates
from mlbot.registry.views import RegistryView
from mlbot.setup import checks, scaffold
from mlbot.setup.checks import (
    DataStorage,
    Finding,
    Setup,
    Severity,
    Workflow,
    check_access,
    check_environments,
    check_github,
    check_registry,
    check_release,
    check_setup,
    check_workflows,
    events,
    finding,
    in_order,
    labels_of,
    names_owner,
)
from mlbot.setup.workflows import Form, Order, files

TEXTS = {
    TRAIN_PATH: scaffold.train_workflow(guard=("main",), install="make"),
    JUDGE_PATH: scaffold.judge_workflow(install="make"),
}
TYPES = "    types: [opened, synchronize, reopened, edited, ready_for_review, closed]\n"
SHA = "a" * 40
OTHER = f"""
on: [push]
jobs:
  test:
    runs-on: ubuntu-latest
    steps: [{{uses: actions/checkout@{SHA}}}, {{uses: ./own}}, {{run: make}}]
"""


def codes(findings: Any) -> list[tuple[str, Severity]]:
    return [(each.code, each.severity) for each in findings]


def of_workflows(path: str = "", old: str = "", new: str = "", *, other: str = OTHER) -> list[Finding]:
    """The findings on mlbot's two workflows, with one change in one of them, and on another one."""
    texts = TEXTS | {".github/workflows/other.yml": other}
    if path:
        assert old in texts[path], "the template has changed"
        texts[path] = texts[path].replace(old, new)
    expected = {name: load(text, name).data for name, text in TEXTS.items()}
    made = [Workflow(path=name, document=load(text, name), expected=expected.get(name)) for name, text in texts.items()]
    return list(check_workflows(made, ["main"]))


def test_the_templates_are_right() -> None:
    assert of_workflows() == []


@pytest.mark.parametrize(
    ("path", "old", "new", "code", "severity"),
    [
        (TRAIN_PATH, "  merge_group:\n", "", "trigger-missing", "error"),
        (TRAIN_PATH, "  push:\n    branches: [main]\n", "", "trigger-missing", "error"),
        (TRAIN_PATH, "synchronize, ", "", "trigger-missing", "error"),
        (TRAIN_PATH, TYPES, "", "trigger-missing", "error"),
        (TRAIN_PATH, "    types: [o", "    paths: [src/**]\n    types: [o", "trigger-filtered", "error"),
        (TRAIN_PATH, "    types: [o", "    branches: [dev]\n    types: [o", "trigger-filtered", "error"),
        (TRAIN_PATH, "branches: [main]", "branches: [dev]", "trigger-filtered", "error"),
        (TRAIN_PATH, "  pull_request:", "  pull_request_target:\n  pull_request:", "pull-request-target", "error"),
        (TRAIN_PATH, "permissions: {}", "permissions: read-all", "permissions-top", "warning"),
        (TRAIN_PATH, "contents: read\n", "contents: write\n", "permissions-wide", "error"),
        (TRAIN_PATH, "contents: read\n", "contents: read\n      id-token: write\n", "permissions-wide", "error"),
        (TRAIN_PATH, "      contents: read\n", "", "permissions-missing", "error"),
        (TRAIN_PATH, "    with:", "    secrets: inherit\n    with:", "secrets-in-sandbox", "error"),
        (TRAIN_PATH, "@v1", "@main", "workflow-ref", "warning"),
        (TRAIN_PATH, "@v1", "", "workflow-ref", "warning"),
        (TRAIN_PATH, "mlbot-ci/mlbot/", "eve/mlbot/", "workflow-job", "error"),
        (JUDGE_PATH, "[requested, completed]", "[completed]", "trigger-missing", "error"),
        (JUDGE_PATH, "write       # the status `mlbot`\n", "read\n", "permissions-missing", "error"),
        (JUDGE_PATH, "issues: write", "issues: read", "permissions-missing", "error"),
        (JUDGE_PATH, "issue_comment: ", "discussion_comment: ", "trigger-missing", "warning"),
        (JUDGE_PATH, "mlbot/.github/workflows/command", "b/.github/workflows/c", "workflow-job", "warning"),
        (JUDGE_PATH, "if: github.event_name == 'issue_comment'", "if: false", "workflow-drift", "warning"),
        (JUDGE_PATH, "workflows: [mlbot]", "workflows: [other]", "workflow-name", "error"),
        (JUDGE_PATH, "run-id: ${{ inputs.run-id }}", "run-id: 7", "workflow-drift", "warning"),
        (JUDGE_PATH, "        required: true\n", "", "workflow-drift", "warning"),
    ],
)  # fmt: skip
def test_one_change_is_one_finding(path: str, old: str, new: str, code: str, severity: str) -> None:
    found = of_workflows(path, old, new)
    if code == "workflow-job":
        assert (code, Severity(severity)) in codes(found)
        assert {each.code for each in found} == {"workflow-job", "unpinned"}
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
    assert (found.code, found.where) == ("workflow-name", f"{JUDGE_PATH}: on.workflow_run.workflows")
    assert found.hint == "Write `workflows: [models]`."


def test_workflows_that_are_not_there_or_no_yaml() -> None:
    expected = load(TEXTS[TRAIN_PATH], TRAIN_PATH).data
    made = [
        Workflow(path=TRAIN_PATH, document=None, expected=expected),
        Workflow(path=JUDGE_PATH, document=None, expected=expected, problem="no YAML"),
        Workflow(path="x.yml", document=None, problem="no YAML"),
    ]
    assert codes(check_workflows(made, ["main"])) == [
        ("workflow-missing", Severity.ERROR),
        ("workflow-unreadable", Severity.ERROR),
        ("workflow-unreadable", Severity.WARNING),
    ]


def test_other_workflows() -> None:
    found = of_workflows(other=OTHER.replace(SHA, "v4").replace("[push]", "pull_request_target"))
    assert codes(found) == [("pull-request-target", Severity.WARNING), ("unpinned", Severity.WARNING)]
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
    assert "workflow-job" in {each.code for each in check_workflows([strange], ["main"])}


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
        ({"repository": None}, [("no-remote", "warning")]),
        ({"shallow": True}, [("shallow", "warning")]),
        ({"live": frozenset()}, [("judge-not-live", "error")]),
        ({"config": None}, [("no-config", "error")]),
        ({"config": config(guard=["dev"])}, [("config-not-guarded", "warning")]),
        ({"config": config(guard=["main"])}, []),
        ({"config": config(guard=["release/*", "ma*"])}, []),
        ({"config": config(guard=["release/*"])}, [("config-not-guarded", "warning")]),
        ({"config": config(store="models")}, [("store-in-checkout", "warning")]),
        ({"config": config(store="models"), "repository": None}, [("no-remote", "warning")]),
        ({"config": config(store="oci://ghcr.io/acme/m/models")}, []),
        ({"config": config("data/h.csv")}, [("holdout-in-repository", "advice")]),
        ({"data": {"data/t.csv": DataStorage.OUTSIDE}}, [("data-not-in-git", "error")]),
        ({"data": {"data/t.csv": DataStorage.LFS}}, [("data-pointer", "error")]),
        ({"data": {"data/t.csv": DataStorage.LFS}, "lfs": True}, []),
        ({"data": {"data/t.csv": DataStorage.DVC}}, [("data-pointer", "warning")]),
        ({"data": {"data/t.csv": DataStorage.ABSENT}}, []),
    ],
)
def test_the_repository_itself(changes: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert codes(check_setup(setup(**changes))) == expected


def test_each_problem_of_the_config_is_a_finding_with_its_line() -> None:
    problem = Problem("no gates", "write at least one", ("models", "m", "gates"), position=Position(7, 1))
    (found,) = check_setup(setup(config=None, problems=(problem,)))
    assert (found.where, found.what) == ("mlbot.yaml:7", "models.m.gates: found no gates")
    assert found.hint == "Write at least one."


APP = 4711


def by_app(*contexts: str) -> dict[str, int]:
    return dict.fromkeys(contexts, APP)


def settings(**changes: Any) -> Settings:
    fields: dict[str, Any] = {
        "private": False, "default_branch": "main", "required": {"main": {"mlbot": APP}}, "merge_queue": True,
        "actions_enabled": True, "allowed_actions": "all", "sha_pinning": False, "default_token": "read",
        "may_approve": False, "runners": 0,
    }  # fmt: skip
    return Settings(**(fields | changes))


def test_where_several_branches_are_guarded_each_requires_its_own_status() -> None:
    required = {"main": by_app("mlbot"), "dev": by_app("mlbot/dev")}
    (found,) = check_github(settings(required=required), queue_ready=True, labels=[])
    assert found.where == "branch main"
    assert "does not require the status `mlbot/main`; it requires mlbot." in found.what
    assert found.hint.endswith("add `mlbot/main`.")


@pytest.mark.parametrize(
    ("filters", "lacking"),
    [
        ("[main, release/*]", ""),
        ('["**"]', ""),
        ('[main, "release/**"]', ""),
        ("[ma*, rel*/*]", ""),
        ("[main]", "release/*"),
        ("[main, release/1]", "release/*"),
        ("release/*", "main"),
    ],
)
def test_pushes_to_each_guarded_branch_start_a_run(filters: str, lacking: str) -> None:
    text = TEXTS[TRAIN_PATH].replace("branches: [main]", f"branches: {filters}")
    documents = {path: load(each, path) for path, each in (TEXTS | {TRAIN_PATH: text}).items()}
    made = [
        Workflow(path=path, document=each, expected=load(TEXTS[path], path).data) for path, each in documents.items()
    ]
    found = [each for each in check_workflows(made, ["main", "release/*"]) if each.code == "trigger-filtered"]
    assert [each.what for each in found] == [f"it leaves out {lacking}, so what is merged there is not judged"][
        : len(lacking)
    ]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"required": {"main": by_app("lint")}}, [("check-not-required", "error")]),
        ({"required": {"main": {}}}, [("check-not-required", "error")]),
        ({"required": {"main": by_app("mlbot"), "dev": by_app("mlbot/dev")}}, [("check-not-required", "error")]),
        ({"required": {"main": by_app("mlbot/main", "x"), "release/*": by_app("mlbot/release")}}, []),
        ({"required": {"main": by_app("mlbot/main"), "v*": by_app("mlbot/main")}}, [("check-not-required", "error")]),
        ({"required": {"release/*": by_app("mlbot")}}, []),
        ({"required": {"main": {"mlbot": None}}}, [("check-source", "advice")]),
        ({"required": {"main": {"mlbot": 15368, "lint": None}}}, [("check-source", "advice")]),
        ({"required": {"main": {"mlbot": 7, "lint": None}}}, []),
        ({"actions_enabled": False}, [("actions-disabled", "error")]),
        ({"allowed_actions": "local_only"}, [("actions-not-allowed", "error")]),
        ({"allowed_actions": "selected"}, [("actions-not-allowed", "warning")]),
        ({"sha_pinning": True}, [("actions-not-allowed", "error")]),
        ({"default_token": "write"}, [("default-token", "warning")]),
        ({"may_approve": True}, [("may-approve", "warning")]),
        ({"pages": PagesFacts()}, [("pages-off", "warning")]),
        ({"private": True, "pages": PagesFacts(workflow=True, public=True)}, [("pages-public", "warning")]),
        ({"private": True, "pages": PagesFacts(workflow=True)}, [("pages-public", "warning")]),
        ({"private": True, "pages": PagesFacts(workflow=True, public=False)}, []),
        ({"private": False, "pages": PagesFacts(workflow=True, public=True)}, []),
        ({"runners": 2}, [("self-hosted-public", "warning")]),
        ({"runners": 2, "private": True}, []),
        (
            {
                "unseen": ("the runners",),
                "required": {"main": None},
                **dict.fromkeys(("merge_queue", "actions_enabled", "runners")),
            },
            [("not-looked-at", "advice")],
        ),
    ],
)
def test_githubs_side(changes: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert codes(check_github(settings(**changes), queue_ready=True, labels=["ubuntu-latest"])) == expected


@pytest.mark.parametrize(
    ("labels", "private", "expected"),
    [
        (["self-hosted", "gpu"], False, [("self-hosted-public", "error")]),
        (["gpu-large"], False, [("self-hosted-public", "warning")]),
        (["self-hosted"], True, []),
        (["ubuntu-24.04", "macos-15", "${{ matrix.os }}"], False, []),
    ],
)
def test_runners_of_ones_own(labels: list[str], *, private: bool, expected: list[tuple[str, str]]) -> None:
    assert codes(check_github(settings(private=private), queue_ready=True, labels=labels)) == expected


def test_a_merge_queue_needs_its_event() -> None:
    assert codes(check_github(settings(), queue_ready=False, labels=[])) == [("merge-queue", Severity.ERROR)]
    assert codes(check_github(settings(merge_queue=False), queue_ready=False, labels=[])) == []


def test_the_worst_comes_first() -> None:
    made = [finding("not-looked-at", case="no-token"), *check_setup(setup(repository=None, live=frozenset()))]
    assert [each.severity for each in in_order(made)] == ["error", "warning", "advice"]


# Releases, and environments of GitHub.


def deploying(*targets: str) -> Config:
    environments = tuple(EnvironmentConfig(name=f"e{place}", target=target) for place, target in enumerate(targets))
    return parse_config(load(tiny.CONFIG, "mlbot.yaml")).model_copy(update={"environments": environments})


@pytest.mark.parametrize(
    ("targets", "there", "codes"),
    [
        ((), False, []),
        (("file:///srv/m",), False, ["release-missing", "sealed-rows"]),
        (("served/m",), False, ["release-missing", "sealed-rows"]),
        (("file:///srv/m", "oci://ghcr.io/o/m", "command: ./deploy"), True, ["sealed-rows"]),
        (("file:///srv/m", "served/m"), True, ["target-in-checkout", "sealed-rows"]),
    ],
)
def test_the_workflow_and_its_targets(targets: tuple[str, ...], codes: list[str], *, there: bool) -> None:
    assert [each.code for each in check_release(deploying(*targets), there=there)] == codes
    assert list(check_release(None, there=there)) == []


@pytest.mark.parametrize(
    ("environment", "actions", "codes"),
    [
        ("endpoint: {url: 'https://m.example', token: ACME}", "", ["endpoint-token"]),
        (
            "endpoint: {url: 'https://m.example', token: ACME}",
            "actions: {deploy: {secrets: [OTHER]}}",
            ["endpoint-token"],
        ),
        ("endpoint: {url: 'https://m.example', token: ACME}", "actions: {deploy: {secrets: [acme]}}", []),
        ("endpoint: {url: 'https://m.example'}", "", []),
        ("shadow: {requests: log.jsonl}", "", ["shadow-in-checkout"]),
        ("shadow: {requests: 's3://logs/{model}.jsonl'}", "", []),
    ],
)
def test_an_endpoints_token_and_recorded_requests(environment: str, actions: str, codes: list[str]) -> None:
    text = f"{tiny.CONFIG}environments: {{e: {{target: 'file:///srv/m', {environment}}}}}\n{actions}\n"
    found = [each.code for each in check_release(parse_config(load(text, "mlbot.yaml")), there=True)]
    assert [each for each in found if each != "sealed-rows"] == codes


def test_who_watches_an_endpoint_needs_its_token_too() -> None:
    text = tiny.CONFIG.replace("    data:\n", "    monitor: {requests: 's3://logs/{date}.jsonl'}\n    data:\n", 1)
    text += "environments: {e: {target: 'file:///srv/m', endpoint: {url: 'https://m.example', token: ACME}}}\n"
    deploy = "deploy: {secrets: [ACME]}"
    for actions, hints in ((deploy, ["monitor: {secrets: [ACME]}"]), (f"{deploy}, monitor: {{secrets: [ACME]}}", [])):
        config = parse_config(load(f"{text}actions: {{{actions}}}\n", "mlbot.yaml"))
        found = [each.hint for each in check_release(config, there=True) if each.code == "endpoint-token"]
        assert [hint in each for hint, each in zip(hints, found, strict=True)] == [True] * len(hints)


@pytest.mark.parametrize(
    ("gates", "address", "what"),
    [
        ("{roc_auc: {min: 0.8}}", None, "4,710 of them show"),
        ("{roc_auc: {min: 0.8}, accuracy: {max_regression: 0.02}}", None, "1,178 of them show"),
        ("{roc_auc: {max_regression: 0.01}, 'accuracy@rare': {min: 0.75}}", "s3://vault/s.csv", "Give a metric one"),
        ("{gap: {metric: accuracy, slices: [north, rare], max: 0.3}}", "s3://vault/s.csv", "Give a metric one"),
        ("{roc_auc: {min: 0.8}}", "s3://vault/s.csv", None),
    ],
)
def test_how_many_sealed_rows_it_takes(gates: str, address: str | None, what: str | None) -> None:
    text = re.sub(r"gates:\n(?: {6,}.*\n)+", f"gates: {gates}\n", tiny.CONFIG)
    of_data = "gates: {overlap: {max: 0}}"  # which no release is asked
    text = (
        text if address is None else text.replace("target: y", f"target: y\n      sealed: {address}\n      {of_data}")
    )
    config = parse_config(load(f"{text}environments: {{e: {{target: 'file:///srv/m'}}}}\n", "mlbot.yaml"))
    found = [each.hint for each in check_release(config, there=True)]
    assert found == [] if what is None else what in " ".join(found)


@pytest.mark.parametrize(("there", "said"), [(False, ["no workflow makes releases"]), (True, [])])
def test_sealed_rows_without_releases_are_said_to_be_asked_by_nobody(said: list[str], *, there: bool) -> None:
    """No environment is named, so that no other advice asks for the workflow."""
    text = tiny.CONFIG.replace("target: y", "target: y\n      sealed: s3://vault/s.csv")
    found = list(check_release(parse_config(load(text, "mlbot.yaml")), there=there))
    assert [each.code for each in found] == ["sealed-rows"] * len(said)
    assert all(words in each.what for words, each in zip(said, found, strict=True))


@pytest.mark.parametrize(
    ("facts", "severity", "words"),
    [
        (None, Severity.ADVICE, "GitHub has no such environment yet"),
        (EnvironmentFacts(), Severity.WARNING, "every branch and tag may deploy to it"),
        (EnvironmentFacts(reviewers=True), Severity.WARNING, "every branch and tag may deploy to it"),
        (EnvironmentFacts(branches=("main", "release/*")), Severity.WARNING, "it also admits release/*"),
        (EnvironmentFacts(branches=("main",)), None, ""),
        (EnvironmentFacts(branches=()), None, ""),
    ],
)
def test_which_branches_an_environment_admits(
    facts: EnvironmentFacts | None, severity: Severity | None, words: str
) -> None:
    found = list(check_environments(deploying("file:///m"), {"e0": facts} if facts else {}, "main"))
    assert [(each.code, each.severity, words in each.what) for each in found] == (
        [("environment-open", severity, True)] if severity else []
    )


def test_what_may_not_be_read_is_not_judged() -> None:
    assert list(check_environments(deploying("file:///m"), None, "main")) == []
    assert list(check_environments(None, {}, "main")) == []


def test_every_code_of_the_table_is_a_severity_with_words_and_a_hint() -> None:
    """And each is found by some check: the table has no dead words."""
    table = yaml.safe_load((templates() / "words" / "doctor.yaml").read_text(encoding="utf-8"))
    without = table.pop("without")
    source = inspect.getsource(checks)
    assert all(isinstance(words, str) for words in without.values())
    for code, entry in table.items():
        assert f'finding("{code}"' in source
        for case in entry.get("cases", {"": entry}).values():
            assert set(case) == {"severity", "what", "hint"}
            assert Severity(case["severity"])


@pytest.mark.parametrize(
    ("path", "old", "new", "code", "severity"),
    [
        (TRAIN_PATH, "contents: read # to check the change out\n", "contents: write\n", "permissions-wide", "error"),
        (TRAIN_PATH, "INSTALL: make", "INSTALL: make\n          KEY: ${{ secrets.K }}", "secrets-in-sandbox", "error"),
        (TRAIN_PATH, "  merge_group:\n", "", "trigger-missing", "error"),
        (JUDGE_PATH, "\n  publish:\n", "\n  other:\n", "workflow-job", "error"),
        (JUDGE_PATH, "\n  command:\n", "\n  other:\n", "workflow-job", "warning"),
        (JUDGE_PATH, "      pull-requests: write # for the comment\n", "", "permissions-missing", "error"),
    ],
)  # fmt: skip
def test_one_change_of_a_file_that_holds_the_jobs(path: str, old: str, new: str, code: str, severity: str) -> None:
    written = files(Order(form=Form.INLINE, guard=("main",), install="make", actions=Actions()))[path]

    def found(text: str) -> dict[str, str]:
        made = Workflow(path=path, document=load(text, path), expected=load(written, path).data)
        return {each.code: each.severity for each in check_workflows([made], ["main"])}

    assert old in written
    assert found(written) == {}
    said = found(written.replace(old, new, 1))
    said.pop("workflow-drift", None)
    assert said == {code: severity}


@pytest.mark.parametrize(("app", "said"), [("", ["app-unnamed"]), (', app: "acme[bot]"', [])])
def test_an_app_has_a_login_to_be_known_by(app: str, said: list[str]) -> None:
    config_ = parse(f"actions: {{token: {{client-id: A, private-key: B{app}}}}}\n{SMALL}")
    assert [code for code, _ in codes(check_setup(setup(config=config_))) if code == "app-unnamed"] == said


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({}, ["environment-missing", "environment-missing"]),
        ({"mlbot": EnvironmentFacts(branches=("main",)), "mlbot-judge": EnvironmentFacts(branches=("main",))}, []),
        ({"mlbot": EnvironmentFacts(), "mlbot-judge": EnvironmentFacts(branches=("main",))}, ["environment-open"]),
        (
            {"mlbot": EnvironmentFacts(branches=("main",), reviewers=True), "mlbot-judge": EnvironmentFacts()},
            ["environment-open", "environment-waits"],
        ),
    ],
)
def test_the_environments_that_jobs_have_secrets_in(found: dict[str, EnvironmentFacts], said: list[str]) -> None:
    config_ = parse(f"actions: {{token: {{client-id: A, private-key: KEY}}, judge: {{secrets: [J]}}}}\n{SMALL}")
    assert [code for code, _ in codes(check_environments(config_, found, "main"))] == said
    assert list(check_environments(config_, None, "main")) == []


def test_what_the_apps_key_and_the_other_secrets_need() -> None:
    actions = "actions:\n  token: {client-id: ID, private-key: KEY, app: 'a[bot]'}\n  store: {secrets: [STORE_KEY]}\n"
    wired = parse_config(load(f"{tiny.CONFIG}{actions}", "mlbot.yaml"))
    only = EnvironmentFacts(branches=("main",), secrets=("KEY", "STORE_KEY"))

    def codes(owned: bool = True, **changes: object) -> list[tuple[str, str]]:  # noqa: FBT001, FBT002 - a test's own
        environments = {"mlbot": only, "mlbot-store": only, "mlbot-judge": only}
        facts = {
            "private": True,
            "default_branch": "main",
            "environments": environments,
            "code_owners": True,
            **changes,
        }
        return [(each.code, each.where) for each in check_access(wired, Settings.model_validate(facts), owned=owned)]

    assert codes() == []
    assert codes(secrets=("KEY", "OTHER")) == [("secret-shared", "repository settings")]
    assert codes(no_rules=True, owned=False) == [("no-rules", "repository settings"), ("code-owners", "CODEOWNERS")]
    assert codes(code_owners=False) == [("code-owners", "CODEOWNERS")]
    assert codes(environments=None) == []
    lacking = codes(environments={"mlbot": only.model_copy(update={"secrets": ()}), "mlbot-store": only})
    assert ("secret-missing", "environment mlbot") in lacking


WATCHED = """
version: 1
models:
  churn:
    task: binary
    train: {run: make}
    data: {train: t.csv, holdout: h.csv, target: left}
    gates: {roc_auc: {min: 0.5}}
    monitor: {requests: "s3://logs/{date}.jsonl", alarms: {then: refresh, run: make data}}
environments: {production: {target: "s3://models/production"}}
"""


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"schedule": "active"}, []),
        ({}, []),
        ({"schedule": "disabled_inactivity"}, [("monitor-stopped", Severity.ERROR)]),
        ({"schedule": "disabled_manually"}, [("monitor-stopped", Severity.WARNING)]),
        ({"issues": False}, [("issues-disabled", Severity.WARNING)]),
        ({"may_approve": True}, [("proposal-waits", Severity.ADVICE)]),
        ({"may_approve": False}, [("proposal-waits", Severity.ADVICE)]),
    ],
)
def test_what_keeps_production_from_being_watched(changes: dict[str, Any], said: list[tuple[str, Severity]]) -> None:
    facts = Settings(private=True, default_branch="main", code_owners=True).model_copy(update=changes)
    config_ = parse_config(load(WATCHED, "mlbot.yaml"))
    found = list(check_access(config_, facts, owned=True, folder=ConfigFolder.of("services/churn")))
    assert [(each.code, each.severity) for each in found] == said
    stopped = [each.hint for each in found if each.code == "monitor-stopped"]
    assert all("gh workflow enable mlbot-monitor.services--churn.yml" in each for each in stopped)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("* @acme/ml\n", True),
        ("/.github/ @acme/ml  # all of it\n", True),
        (".github/workflows/** @acme/ml\n", True),
        ("/docs/ @acme/docs\n# * @acme\n", False),
        ("* @acme/ml\n/.github/workflows/\n", False),
        ("", False),
    ],
)
def test_who_owns_the_workflows(text: str, *, found: bool) -> None:
    assert names_owner(text, ".github/workflows/mlbot.yml") is found


def test_a_rule_on_what_mlbot_writes_is_named_with_its_ruleset() -> None:
    blocking = (
        BlockingRule(ref="mlbot-ledger", rule="pull_request", ruleset=5),
        BlockingRule(ref="mlbot-ledger", rule="required_signatures", ruleset=6),
        BlockingRule(ref="tiny@v1.0.0", rule="creation", ruleset=8),
    )
    settings = Settings(private=False, default_branch="main", blocking=blocking)
    found = [each for each in check_github(settings, queue_ready=True, labels=()) if each.code == "rule-blocks"]
    assert "pull_request, required_signatures (ruleset 5, 6)" in found[0].what
    assert "cannot be a bypass actor" in found[0].hint
    assert "tags such as tiny@v1.0.0: creation (ruleset 8)" in found[1].what


def test_a_ref_that_git_cannot_hold_beside_the_ledger_is_an_error() -> None:
    (found,) = check_registry(RegistryView(), None, RefusedError("git cannot hold x beside y", hint="Rename it."))
    assert (found.code, found.severity, found.hint) == ("ledger-name", Severity.ERROR, "Rename it.")
