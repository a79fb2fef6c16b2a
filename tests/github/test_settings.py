"""Reading a repository's settings: of the fake GitHub, and of answers that it does not give."""

from typing import Any

import pytest
import responses
from tests.github.setting import NAME, Setting

from mlbot.events.github import BlockingRule, EnvironmentFacts, PagesFacts, Settings
from mlbot.github.api import GitHub
from mlbot.github.settings import read_settings
from mlbot.github.transport import Answer, Headers, NotFoundError, Request, TokenRefusedError

API = f"https://api.github.com:443/repos/{NAME}"
EVERYTHING: dict[str, Any] = {
    "": {"id": 7, "default_branch": "release/1", "private": True},
    "/rules/branches/release%2F1": [
        {"type": "merge_queue"},
        {"type": "required_status_checks", "parameters": {"required_status_checks": [{"context": "mlbot"}]}},
    ],
    "/branches/release%2F1": {"protection": {"required_status_checks": {"contexts": ["lint", "mlbot"]}}},
    "/actions/permissions": {"enabled": True, "allowed_actions": "selected", "sha_pinning_required": True},
    "/actions/permissions/workflow": {
        "default_workflow_permissions": "write",
        "can_approve_pull_request_reviews": True,
    },
    "/actions/runners": {"total_count": 2, "runners": []},
    "/rules/branches/mlbot-ledger": [{"type": "deletion"}, {"type": "non_fast_forward"}],
    "/branches/mlbot-ledger": {"protected": False},
    "/rules/branches/mlbot-charts": [],
    "/branches/mlbot-charts": 404,
    "/actions/secrets": {"secrets": [{"name": "KUBE_TOKEN"}]},
}


def answered(changes: dict[str, Any], guard: tuple[str, ...] = (), **asked: Any) -> Settings:
    """The settings, where GitHub gives these answers; a number is a status."""
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mocked:
        for path, body in (EVERYTHING | changes).items():
            given = {"status": body, "json": {"message": "no"}} if isinstance(body, int) else {"json": body}
            mocked.get(f"{API}{path}", **given)
        return read_settings(GitHub.connect(NAME, "ghp_x"), guard, **asked)


def test_all_of_it() -> None:
    assert answered({}) == Settings(
        private=True, default_branch="release/1", required={"release/1": {"lint": None, "mlbot": None}},
        merge_queue=True, actions_enabled=True, allowed_actions="selected", sha_pinning=True, default_token="write",
        may_approve=True, runners=2, code_owners=False,
    )  # fmt: skip


def test_what_may_not_be_read_is_left_open() -> None:
    found = answered({path: 403 for path in EVERYTHING if path.startswith(("/actions", "/rules"))})
    assert found.required == {"release/1": {"lint": None, "mlbot": None}}
    assert (found.merge_queue, found.runners, found.actions_enabled) == (None, None, None)
    assert len(found.unseen) == 6
    assert "which actions may run (needs administration: read)" in found.unseen
    assert answered(dict.fromkeys([path for path in EVERYTHING if path], 404)).required == {"release/1": None}


def requiring(*contexts: str) -> list[dict[str, Any]]:
    checks = [{"context": each} for each in contexts]
    return [{"type": "required_status_checks", "parameters": {"required_status_checks": checks}}]


@pytest.mark.parametrize(
    ("there", "asked"),
    [
        (["v/2/x", "v/2"], "v%2F2"),
        ([], "v%2Fx"),  # the rules of a branch can be asked for before it is there
    ],
)
def test_the_rules_are_asked_for_of_each_guarded_branch(there: list[str], asked: str) -> None:
    answers: dict[str, Any] = {
        "/rules/branches/dev": requiring("mlbot/dev"),
        "/branches/dev": 404,
        "/git/matching-refs/heads/v/": [{"ref": f"refs/heads/{name}"} for name in there],
        f"/rules/branches/{asked}": requiring("mlbot/v"),
        f"/branches/{asked}": 404,
    }
    found = answered(answers, ("release/1", "dev", "v/*"))
    assert found.required == {
        "release/1": {"lint": None, "mlbot": None},
        "dev": {"mlbot/dev": None},
        "v/*": {"mlbot/v": None},
    }
    assert found.unseen == ()


def test_a_check_may_have_to_be_of_one_app() -> None:
    rules, branch = "/rules/branches/release%2F1", "/branches/release%2F1"
    named = [{"context": "lint", "app_id": -1}, {"context": "mlbot", "app_id": 7}]
    older = {"protection": {"required_status_checks": {"contexts": ["lint", "mlbot"], "checks": named}}}
    assert answered({branch: older, rules: []}).required == {"release/1": {"lint": None, "mlbot": 7}}
    newer = [{"context": "mlbot", "integration_id": 8}, {"context": "e2e", "integration_id": None}]
    rule = {"type": "required_status_checks", "parameters": {"required_status_checks": newer}}
    assert answered({rules: [rule]}).required == {"release/1": {"lint": None, "mlbot": 8, "e2e": None}}


def test_answers_of_another_shape_are_no_facts() -> None:
    found = answered({"/actions/permissions": {"enabled": "yes", "allowed_actions": 3}, "/actions/runners": []})
    assert (found.actions_enabled, found.allowed_actions, found.runners) == (None, None, None)


@pytest.mark.parametrize(("status", "error"), [(401, TokenRefusedError), (404, NotFoundError)])
def test_a_repository_that_cannot_be_seen_is_said(status: int, error: type[Exception]) -> None:
    with pytest.raises(error):
        answered({"": status})


def test_the_requests_are_githubs(setting: Setting) -> None:
    """All but the list of runners, which the fake's part of GitHub's description lacks."""
    setting.repository.roles["root"] = "admin"
    client = setting.with_token(setting.fake.token("root"))
    send = client.transport.send

    def without_runners(request: Request, headers: Headers) -> Answer:
        if request.path.endswith("/actions/runners"):
            return Answer(status=200, headers={}, body='{"total_count": 0, "runners": []}')
        return send(request, headers)

    client.transport.send = without_runners
    found = read_settings(client)
    assert (found.required, found.merge_queue, found.unseen) == ({"main": {}}, False, ())
    checks = {"required_status_checks": [{"context": "mlbot"}], "strict_required_status_checks_policy": False}
    ruleset: dict[str, Any] = {
        "name": "main",
        "enforcement": "active",
        "target": "branch",
        "rules": [{"type": "required_status_checks", "parameters": checks}],
        "conditions": {"ref_name": {"include": ["~DEFAULT_BRANCH"], "exclude": []}},
    }
    request = Request(verb="POST", path=f"/repos/{NAME}/rulesets", body=ruleset)
    client.transport.answer(request)
    assert read_settings(client).required == {"main": {"mlbot": None}}
    of_tags = {
        "name": "tags",
        "enforcement": "active",
        "target": "tag",
        "rules": [{"type": "creation"}],
        "conditions": {"ref_name": {"include": ["~ALL"], "exclude": []}},
    }
    client.transport.answer(Request(verb="POST", path=f"/repos/{NAME}/rulesets", body=of_tags))
    everywhere: dict[str, Any] = {
        "name": "all",
        "enforcement": "active",
        "target": "branch",
        "rules": [{"type": "required_signatures"}],
    }
    everywhere |= {"conditions": {"ref_name": {"include": ["~ALL"], "exclude": []}}}
    client.transport.answer(Request(verb="POST", path=f"/repos/{NAME}/rulesets", body=everywhere))
    blocking = [(each.ref, each.rule) for each in read_settings(client, tags=("tiny@v1.0.0",)).blocking]
    assert blocking == [
        ("mlbot-ledger", "required_signatures"),
        ("mlbot-charts", "required_signatures"),
        ("tiny@v1.0.0", "creation"),
    ]


def test_the_environments_are_asked_for_where_there_are_some() -> None:
    reviewed = [{"type": "required_reviewers"}, {"type": "branch_policy"}]
    policies = {"protected_branches": False, "custom_branch_policies": True}
    protected = {"protected_branches": True, "custom_branch_policies": False}
    environments = [
        {"name": "staging", "deployment_branch_policy": None, "protection_rules": []},
        {"name": "a b", "deployment_branch_policy": policies, "protection_rules": reviewed},
        {"name": "production", "deployment_branch_policy": protected, "protection_rules": [{"type": "branch_policy"}]},
    ]
    answers: dict[str, Any] = {
        "/environments": {"total_count": 3, "environments": environments},
        "/environments/a%20b/deployment-branch-policies": {"branch_policies": [{"name": "main"}, {"name": "dev/*"}]},
    }
    answers["/environments/staging/secrets"] = {"secrets": [{"name": "KEY"}]}
    answers["/environments/production/secrets"] = 403
    assert answered(answers).environments is None
    found = answered(answers, environments=("staging", "production", "mlbot"))
    assert found.secrets == ("KUBE_TOKEN",)
    assert found.unseen == ("the secrets of the environment production (needs secrets: read)",)
    assert found.environments == {
        "staging": EnvironmentFacts(secrets=("KEY",)),
        "a b": EnvironmentFacts(branches=("main", "dev/*"), reviewers=True),
        "production": EnvironmentFacts(branches=("release/1",)),
    }


def test_rules_on_what_mlbot_writes() -> None:
    tags = ("churn@v1.0.0", "churn#production#1")
    rule = {"type": "pull_request", "ruleset_id": 5, "parameters": {"require_code_owner_review": True}}
    answers: dict[str, Any] = {
        "/rules/branches/mlbot-ledger": [rule, {"type": "deletion", "ruleset_id": 5}],
        "/branches/mlbot-charts": {"protected": True},
        "/rules/branches/release%2F1": [rule],
        "/rulesets": [
            {"id": 8, "target": "tag", "enforcement": "active"},
            {"id": 9, "target": "tag", "enforcement": "disabled"},
        ],
        "/rulesets/8": {
            "rules": [{"type": "creation"}, {"type": "update"}],
            "conditions": {"ref_name": {"include": ["refs/tags/*"], "exclude": ["refs/tags/churn#**"]}},
        },
    }
    found = answered(answers, tags=tags)
    assert found.blocking == (
        BlockingRule(ref="mlbot-ledger", rule="pull_request", ruleset=5),
        BlockingRule(ref="mlbot-charts", rule="branch protection"),
        BlockingRule(ref="churn@v1.0.0", rule="creation", ruleset=8),
    )
    assert found.code_owners is True


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ({"build_type": "workflow", "public": True}, PagesFacts(workflow=True, public=True)),
        ({"build_type": "workflow", "public": False}, PagesFacts(workflow=True, public=False)),
        ({"build_type": "legacy", "public": True}, PagesFacts(workflow=False, public=True)),
        ({"build_type": 7, "public": "yes"}, PagesFacts()),
        (404, PagesFacts()),
        (403, None),
    ],
)
def test_pages_are_asked_for_where_a_workflow_brings_a_site_there(answer: Any, found: PagesFacts | None) -> None:
    asked = answered({"/pages": answer}, pages=True)
    assert asked.pages == found
    assert ("GitHub Pages (needs pages: read)" in asked.unseen) is (answer == 403)
    assert answered({}).pages is None


def test_a_plan_without_rules_is_known() -> None:
    words = "Upgrade to GitHub Pro or make this repository public to enable this feature."
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mocked:
        for path, body in EVERYTHING.items():
            refused = path.startswith(("/rules", "/branches"))
            given = {"status": 403, "json": {"message": words}} if refused else {"json": body}
            mocked.get(f"{API}{path}", **given)
        found = read_settings(GitHub.connect(NAME, "ghp_x"))
    assert (found.no_rules, found.unseen, found.required) == (True, (), {"release/1": None})
