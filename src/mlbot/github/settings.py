"""A repository's settings on GitHub, as far as the token may read them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar
from urllib.parse import quote

from mlbot.errors import RefusedError
from mlbot.events.event import dig
from mlbot.events.github import EnvironmentFacts, Settings
from mlbot.github.api import GitHub
from mlbot.github.transport import NotFoundError, TokenRefusedError

T = TypeVar("T")


def read_settings(github: GitHub, *, environments: bool = False) -> Settings:
    """All that `mlbot doctor` looks at, `environments` on request; what the token may not read is left open."""
    facts = github.facts()
    look = _Look(github)
    name = quote(facts.default_branch, safe="")
    rules = look.all(f"/rules/branches/{name}", "the rules of the default branch")
    branch = look.one(f"/branches/{name}", "the protection of the default branch")
    actions = look.one("/actions/permissions", "which actions may run")
    workflow = look.one("/actions/permissions/workflow", "what a workflow's token may do")
    runners = look.one("/actions/runners", "the self-hosted runners")
    found = _environments(look, facts.default_branch) if environments else None
    return Settings(
        environments=found,
        private=facts.private,
        default_branch=facts.default_branch,
        required=_required(rules, branch),
        merge_queue=None if rules is None else any(dig(rule, "type") == "merge_queue" for rule in rules),
        actions_enabled=_flag(actions, "enabled"),
        allowed_actions=_allowed(dig(actions, "allowed_actions")),
        sha_pinning=_flag(actions, "sha_pinning_required"),
        default_token=_level(dig(workflow, "default_workflow_permissions")),
        may_approve=_flag(workflow, "can_approve_pull_request_reviews"),
        runners=_count(dig(runners, "total_count")),
        unseen=tuple(look.unseen),
    )


def _environments(look: "_Look", branch: str) -> dict[str, EnvironmentFacts] | None:
    raw = look.one("/environments", "the environments")
    listed = dig(raw, "environments")
    if not isinstance(listed, list):
        return None
    return {str(dig(each, "name")): _environment(look, each, branch) for each in listed}


def _environment(look: "_Look", raw: object, branch: str) -> EnvironmentFacts:
    rules = dig(raw, "protection_rules")
    reviewers = any(dig(rule, "type") == "required_reviewers" for rule in (rules if isinstance(rules, list) else ()))
    if dig(raw, "deployment_branch_policy", "protected_branches") is True:
        return EnvironmentFacts(branches=(branch,), reviewers=reviewers)
    if dig(raw, "deployment_branch_policy", "custom_branch_policies") is not True:
        return EnvironmentFacts(reviewers=reviewers)
    name = quote(str(dig(raw, "name")), safe="")
    found = look.one(f"/environments/{name}/deployment-branch-policies", f"the branches of the environment {name}")
    policies = dig(found, "branch_policies")
    names = tuple(str(dig(each, "name")) for each in (policies if isinstance(policies, list) else ()))
    return EnvironmentFacts(branches=names, reviewers=reviewers)


@dataclass
class _Look:
    github: GitHub
    unseen: list[str] = field(default_factory=list)

    def one(self, path: str, what: str) -> Mapping[str, Any] | None:
        """An object; None when the token may not see it."""
        found = self._seen(lambda: self.github.transport.json(self.github.request("GET", path)), what)
        return found if isinstance(found, Mapping) else None

    def all(self, path: str, what: str) -> list[Any] | None:
        return self._seen(lambda: list(self.github.transport.pages(self.github.request("GET", path))), what)

    def _seen(self, read: Callable[[], T], what: str) -> T | None:
        try:
            return read()
        except TokenRefusedError:
            raise
        except (RefusedError, NotFoundError):
            self.unseen.append(what)
            return None


def _required(rules: list[Any] | None, branch: Mapping[str, Any] | None) -> tuple[str, ...] | None:
    """The checks that rulesets and the older branch protection require; None when neither can be seen."""
    if rules is None and branch is None:
        return None
    found: list[str] = []
    for rule in rules or ():
        if dig(rule, "type") == "required_status_checks":
            checks = dig(rule, "parameters", "required_status_checks")
            found += [str(dig(check, "context")) for check in (checks if isinstance(checks, list) else ())]
    contexts = dig(branch, "protection", "required_status_checks", "contexts")
    found += [str(each) for each in (contexts if isinstance(contexts, list) else ())]
    return tuple(dict.fromkeys(found))


def _flag(raw: object, name: str) -> bool | None:
    value = dig(raw, name)
    return value if isinstance(value, bool) else None


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _allowed(value: object) -> Literal["all", "local_only", "selected"] | None:
    match value:
        case "all" | "local_only" | "selected":
            return value
        case _:
            return None


def _level(value: object) -> Literal["read", "write"] | None:
    match value:
        case "read" | "write":
            return value
        case _:
            return None
