"""A repository's settings on GitHub, as far as the token may read them."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar
from urllib.parse import quote

from mlbot.config.guard import is_pattern, matches, sample_of
from mlbot.errors import RefusedError
from mlbot.events.event import dig
from mlbot.events.github import BlockingRule, EnvironmentFacts, PagesFacts, Settings
from mlbot.github.api import GitHub
from mlbot.github.transport import NotFoundError, TokenRefusedError
from mlbot.ledger.entries import BRANCH
from mlbot.lib.constants import CHARTS

T = TypeVar("T")


def read_settings(
    github: GitHub,
    guard: Sequence[str] = (),
    *,
    environments: Collection[str] = (),
    tags: Sequence[str] = (),
    pages: bool = False,
    monitor: str = "",
) -> Settings:
    """All that `mlbot doctor` looks at; what the token may not read is left open.

    `guard` is what the config guards (empty: the default branch), `environments` are those whose secrets are asked for
    too, `tags` are examples of what mlbot tags, `pages` whether GitHub Pages is asked for,
    `monitor` the file's name of the workflow that watches production, empty for none.
    """
    facts = github.facts()
    look = _Look(github)
    default = _BranchRules.of(look, facts.default_branch, there=True)
    required = {
        entry: (default if entry == facts.default_branch else _BranchRules.of(look, _branch_of(look, entry))).required
        for entry in guard or (facts.default_branch,)
    }
    actions = look.one("/actions/permissions", f"which actions may run {_ADMIN}")
    workflow = look.one("/actions/permissions/workflow", f"what a workflow's token may do {_ADMIN}")
    runners = look.one("/actions/runners", f"the self-hosted runners {_ADMIN}")
    found = _environments(look, facts.default_branch, environments) if environments else None
    return Settings(
        environments=found,
        secrets=_secrets(look, "/actions/secrets", "the repository's secrets") if environments else None,
        blocking=(*_of_own_branches(look), *_of_tags(look, tags)),
        no_rules=look.no_rules,
        code_owners=default.code_owners,
        issues=facts.issues,
        private=facts.private,
        default_branch=facts.default_branch,
        required=required,
        merge_queue=default.merge_queue,
        actions_enabled=_flag(actions, "enabled"),
        allowed_actions=_allowed(dig(actions, "allowed_actions")),
        sha_pinning=_flag(actions, "sha_pinning_required"),
        default_token=_level(dig(workflow, "default_workflow_permissions")),
        may_approve=_flag(workflow, "can_approve_pull_request_reviews"),
        runners=_count(dig(runners, "total_count")),
        pages=_pages(look) if pages else None,
        schedule=_schedule(look, monitor) if monitor else None,
        unseen=tuple(look.unseen),
    )


_ADMIN = "(needs administration: read)"
_HARMLESS = {"deletion", "non_fast_forward"}  # what mlbot never does to what it writes


def _schedule(look: "_Look", workflow: str) -> str | None:
    """The state of a workflow; None where there is none, or the token may not ask."""
    what = f"the workflow {workflow} (needs actions: read)"
    state = dig(look.one(f"/actions/workflows/{quote(workflow, safe='')}", what, required=False), "state")
    return state if isinstance(state, str) else None


def _pages(look: "_Look") -> PagesFacts | None:
    """What GitHub Pages is set to; where it is off there is nothing."""
    unseen = len(look.unseen)
    found = look.one("/pages", "GitHub Pages (needs pages: read)", required=False)
    if len(look.unseen) > unseen:
        return None
    return PagesFacts(workflow=dig(found, "build_type") == "workflow", public=_flag(found, "public"))


def _of_own_branches(look: "_Look") -> Iterator[BlockingRule]:
    """What stands in the way of the branches that mlbot writes, which need not be there."""
    for name in (BRANCH, CHARTS):
        for rule in look.all(f"/rules/branches/{name}", f"the rules of {name} (needs metadata: read)") or ():
            if (kind := str(dig(rule, "type"))) not in _HARMLESS:
                yield BlockingRule(ref=name, rule=kind, ruleset=_app(dig(rule, "ruleset_id")))
        if dig(look.one(f"/branches/{name}", f"the protection of {name}", required=False), "protected") is True:
            yield BlockingRule(ref=name, rule="branch protection")


def _of_tags(look: "_Look", tags: Sequence[str]) -> Iterator[BlockingRule]:
    """What stands in the way of tags; GitHub answers for branches alone which rules are theirs."""
    query = {"targets": "tag", "includes_parents": "true"}
    listed = look.all("/rulesets", "the rulesets of tags (needs metadata: read)", query) if tags else None
    for each in listed or ():
        number = _app(dig(each, "id"))
        if number is None or dig(each, "enforcement") != "active" or dig(each, "target") != "tag":
            continue
        whole = look.one(f"/rulesets/{number}", f"the ruleset {number} (needs metadata: read)")
        rules = dig(whole, "rules")
        kinds = [str(dig(rule, "type")) for rule in (rules if isinstance(rules, list) else ())]
        kinds = [kind for kind in kinds if kind not in {*_HARMLESS, "update"}]
        named = [tag for tag in tags if _names(dig(whole, "conditions", "ref_name"), f"refs/tags/{tag}")]
        yield from (BlockingRule(ref=tag, rule=kind, ruleset=number) for tag in named for kind in kinds)


def _names(raw: object, ref: str) -> bool:
    """Whether a ruleset's conditions name a ref."""
    include, exclude = (dig(raw, name) for name in ("include", "exclude"))
    return _one_of(include, ref) and not _one_of(exclude, ref)


def _one_of(patterns: object, ref: str) -> bool:
    listed = [str(each) for each in patterns] if isinstance(patterns, list) else []
    return any(each == "~ALL" or matches(each, ref) for each in listed)


def _secrets(look: "_Look", path: str, what: str) -> tuple[str, ...] | None:
    raw = dig(look.one(path, f"{what} (needs secrets: read)"), "secrets")
    return tuple(str(dig(each, "name")) for each in raw) if isinstance(raw, list) else None


def _environments(look: "_Look", branch: str, names: Collection[str]) -> dict[str, EnvironmentFacts] | None:
    raw = look.one("/environments", "the environments (needs actions: read)")
    listed = dig(raw, "environments")
    if not isinstance(listed, list):
        return None
    found = {str(dig(each, "name")): _environment(look, each, branch) for each in listed}
    for name in sorted(set(names) & found.keys()):
        path = f"/environments/{quote(name, safe='')}/secrets"
        secrets = _secrets(look, path, f"the secrets of the environment {name}")
        found[name] = found[name].model_copy(update={"secrets": secrets})
    return found


def _environment(look: "_Look", raw: object, branch: str) -> EnvironmentFacts:
    rules = dig(raw, "protection_rules")
    kinds = [dig(rule, "type") for rule in (rules if isinstance(rules, list) else ())]
    facts = EnvironmentFacts(reviewers="required_reviewers" in kinds, timer="wait_timer" in kinds)
    if dig(raw, "deployment_branch_policy", "protected_branches") is True:
        return facts.model_copy(update={"branches": (branch,)})
    if dig(raw, "deployment_branch_policy", "custom_branch_policies") is not True:
        return facts
    name = quote(str(dig(raw, "name")), safe="")
    found = look.one(f"/environments/{name}/deployment-branch-policies", f"the branches of the environment {name}")
    policies = dig(found, "branch_policies")
    names = tuple(str(dig(each, "name")) for each in (policies if isinstance(policies, list) else ()))
    return facts.model_copy(update={"branches": names})


@dataclass
class _Look:
    github: GitHub
    unseen: list[str] = field(default_factory=list)
    no_rules: bool = False

    def one(self, path: str, what: str, *, required: bool = True) -> Mapping[str, Any] | None:
        """An object; None when the token may not see it, or it is not there and need not be."""
        found = self._seen(lambda: self._object(path, required=required), what)
        return found if isinstance(found, Mapping) else None

    def _object(self, path: str, *, required: bool) -> Any:
        try:
            return self.github.transport.json(self.github.request("GET", path))
        except NotFoundError:
            if required:
                raise
            return None

    def all(self, path: str, what: str, query: Mapping[str, str | int] | None = None) -> list[Any] | None:
        return self._seen(
            lambda: list(self.github.transport.pages(self.github.request("GET", path, query=query))), what
        )

    def _seen(self, read: Callable[[], T], what: str) -> T | None:
        try:
            return read()
        except TokenRefusedError:
            raise
        except (RefusedError, NotFoundError) as error:
            # GitHub's word for a private repository on a plan without rules; it has no other sign of it.
            if "upgrade to github" in error.hint.lower():
                self.no_rules = True
            else:
                self.unseen.append(what)
            return None


@dataclass(frozen=True, kw_only=True)
class _BranchRules:
    """The rules of a branch: of rulesets, and of the older branch protection; None for what cannot be seen."""

    rules: list[Any] | None
    branch: Mapping[str, Any] | None

    @classmethod
    def of(cls, look: _Look, branch: str, *, there: bool = False) -> "_BranchRules":
        """The rules of a branch, which need not be there for GitHub to say what they are."""
        name = quote(branch, safe="")
        return cls(
            rules=look.all(f"/rules/branches/{name}", f"the rules of {branch} (needs metadata: read)"),
            branch=look.one(f"/branches/{name}", f"the protection of {branch} (needs contents: read)", required=there),
        )

    @property
    def required(self) -> dict[str, int | None] | None:
        """The checks that are required, each with the app that it has to be of; None when no rule can be seen."""
        if self.rules is None and self.branch is None:
            return None
        found: dict[str, int | None] = {}
        for rule in self.rules or ():
            if dig(rule, "type") == "required_status_checks":
                checks = dig(rule, "parameters", "required_status_checks")
                found |= _checks(checks, "integration_id")
        older = dig(self.branch, "protection", "required_status_checks")
        contexts = dig(older, "contexts")
        named = {str(each): None for each in (contexts if isinstance(contexts, list) else ())}
        return named | _checks(dig(older, "checks"), "app_id") | found

    @property
    def code_owners(self) -> bool | None:
        """Whether the review of code owners is required."""
        if self.rules is None:
            return None
        asked = (dig(rule, "parameters", "require_code_owner_review") for rule in self.rules)
        return any(each is True for each in asked)

    @property
    def merge_queue(self) -> bool | None:
        """Whether a merge queue is required."""
        return None if self.rules is None else any(dig(rule, "type") == "merge_queue" for rule in self.rules)


def _checks(raw: object, app: str) -> dict[str, int | None]:
    return {str(dig(each, "context")): _app(dig(each, app)) for each in (raw if isinstance(raw, list) else ())}


def _app(value: object) -> int | None:
    """An app's id; GitHub writes any app as null, and the older rules as -1 too."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _branch_of(look: _Look, entry: str) -> str:
    """A branch that an entry is for: one that is there, as far as there is one."""
    if not is_pattern(entry):
        return entry
    start = quote(entry.partition("*")[0])
    refs = look.all(f"/git/matching-refs/heads/{start}", f"the branches that {entry} is for") or ()
    names = (str(dig(ref, "ref")).removeprefix("refs/heads/") for ref in refs)
    return next((name for name in names if matches(entry, name)), sample_of(entry))


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
