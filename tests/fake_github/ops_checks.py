"""What GitHub lets through: required checks of a branch, and the rules that refuse pushes, in GitHub's words."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from tests.fake_github.gitstore import ZERO, GitStore
from tests.fake_github.state import CheckRun, Repository, Status
from tests.fake_github.tokens import Token
from tests.fake_github.triggers import matches
from tests.fake_github.workflow_file import FOLDER

ACTIONS: Final = 15368
OTHER_APP: Final = 99001
ANY_SOURCE: Final = -1
PASSING: Final = {"success", "skipped", "neutral"}
"""Conclusions of a check run that satisfy a required check; of a status only success does."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Required:
    """A check that has to pass; `app` is the id of the app that alone may say so."""

    context: str
    app: int | None = None


def required(repo: Repository, branch: str) -> list[Required]:
    """What a branch's protection and the rulesets that name it ask for."""
    classic = repo.protections.get(branch, {}).get("required_status_checks", {}).get("checks", [])
    found = [Required(context=one["context"], app=one.get("app_id")) for one in classic]
    for rule in rules_of(repo, f"refs/heads/{branch}"):
        if rule["type"] == "required_status_checks":
            asked = rule["parameters"]["required_status_checks"]
            found += [Required(context=one["context"], app=one.get("integration_id")) for one in asked]
    return [replace(one, app=None) if one.app == ANY_SOURCE else one for one in found]


def unmet(repo: Repository, branch: str, sha: str) -> list[str]:
    """A sentence of GitHub's for each required check of a commit that does not pass."""
    found = [(one.context, _state(repo, one, sha)) for one in required(repo, branch)]
    return [f'Required status check "{context}" is {state}.' for context, state in found if state]


def _state(repo: Repository, wanted: Required, sha: str) -> str:
    """Empty where it passes. A check run and a status of one name are both required once both exist."""
    statuses = [one for one in repo.statuses if one.sha == sha and one.context == wanted.context]
    runs = [one for one in repo.check_runs.values() if one.sha == sha and one.name == wanted.context]
    if wanted.app is not None:
        statuses = [one for one in statuses if _app_of_status(one) == wanted.app]
        runs = [one for one in runs if _app_of_run(one) == wanted.app]
    words = [one.state for one in statuses[-1:]]
    words += [one.conclusion or "pending" for one in runs[-1:]]
    if not words or "pending" in words:
        return "expected"
    passing = [one.state == "success" for one in statuses[-1:]] + [one.conclusion in PASSING for one in runs[-1:]]
    return "" if all(passing) else "failing"


def _app_of_status(one: Status) -> int | None:
    if one.creator.kind != "Bot":
        return None
    return ACTIONS if one.creator.login == "github-actions[bot]" else OTHER_APP


def _app_of_run(one: CheckRun) -> int:
    return ACTIONS if one.app == "github-actions" else OTHER_APP


def rules_of(repo: Repository, ref: str) -> list[dict[str, Any]]:
    """The rules of all active rulesets that name a reference, whether it exists or not."""
    return [rule for one in rulesets(repo, ref) for rule in one.get("rules", [])]


def rulesets(repo: Repository, ref: str) -> Iterable[dict[str, Any]]:
    """The active rulesets that name a reference."""
    for one in repo.rulesets.values():
        names = one.get("conditions", {}).get("ref_name", {})
        target = {"branch": "refs/heads/", "tag": "refs/tags/"}.get(one.get("target", "branch"), "refs/none/")
        if one.get("enforcement") != "active" or not ref.startswith(target):
            continue
        if _named(repo, names.get("include", []), ref) and not _named(repo, names.get("exclude", []), ref):
            yield one


def _named(repo: Repository, patterns: list[str], ref: str) -> bool:
    default = "~DEFAULT_BRANCH" in patterns and ref == f"refs/heads/{repo.default_branch}"
    return default or "~ALL" in patterns or matches([one for one in patterns if one[:1] != "~"], ref)


@dataclass(frozen=True, kw_only=True, slots=True)
class Declined:
    """Why a push is refused: what its client is told of the reference, and all that is said besides."""

    ref: str
    status: str
    lines: tuple[str, ...] = ()
    permission: bool = False  # whether a permission of the token is lacking


def declined(repo: Repository, token: Token, before: Mapping[str, str], ref: str, sha: str | None) -> Declined | None:
    """Why a reference may not be moved to a commit (None: deleted); None where it may."""
    old = before.get(ref)
    if lacking := _workflows(repo.git, token, before, sha):
        what = f"refusing to allow a GitHub App to create or update workflow `{lacking}` without `workflows` permission"
        return Declined(ref=ref, status=what, permission=True)
    holding = [one for one in rulesets(repo, ref) if not _bypasses(repo, one, token)]
    found = [text for one in holding for text in _broken(repo, one, old, sha)]
    if not found:
        return None
    head = f"error: GH013: Repository rule violations found for {ref}."
    lines = (head, "", *(f"- {text}" for text in found), "")
    return Declined(ref=ref, status="push declined due to repository rule violations", lines=lines)


def _workflows(git: GitStore, token: Token, before: Mapping[str, str], sha: str | None) -> str:
    """A workflow file of a commit that no branch has so at its tip; what an app may not bring in without a right to."""
    commit = git.find(f"{sha}^{{commit}}") if sha else None
    if token.kind == "user" or commit is None or (token.permissions or {}).get("workflows") == "write":
        return ""
    mine = _files(git, commit)
    tips = [_files(git, tip) for name, tip in before.items() if name.startswith("refs/heads/")]
    if not mine or mine in tips:
        return ""
    nearest = max(tips, key=lambda one: len(set(one.items()) & set(mine.items())), default={})
    return next(iter(sorted(name for name in mine if nearest.get(name) != mine[name])), next(iter(sorted(mine))))


def _files(git: GitStore, commit: str) -> dict[str, str]:
    return {f"{FOLDER}/{name}": one.sha for name, one in git.objects.entries(f"{commit}:{FOLDER}").items()}


def _bypasses(repo: Repository, one: Mapping[str, Any], token: Token) -> bool:
    """GitHub Actions cannot be a bypass actor; of roles the fake knows the admin's, whose id is 5."""
    actors = one.get("bypass_actors") or []
    admin = any(each.get("actor_type") == "RepositoryRole" and each.get("actor_id") == 5 for each in actors)
    apps = {each.get("actor_id") for each in actors if each.get("actor_type") == "Integration"}
    return (admin and token.kind == "user" and repo.role(token.user) == "admin") or (
        token.kind == "app" and OTHER_APP in apps
    )


def _broken(repo: Repository, one: Mapping[str, Any], old: str | None, sha: str | None) -> Iterable[str]:
    """What GitHub says of each rule that a move of a reference breaks."""
    git = repo.git
    forced = bool(old and sha and old != ZERO and not git.contains(sha, old))
    said = {
        "creation": (old is None, "Cannot create ref due to creations being restricted."),
        "update": (old is not None and sha is not None, "Cannot update this protected ref."),
        "deletion": (sha is None, "Cannot delete this protected ref."),
        "non_fast_forward": (forced, "Cannot force-push to this branch."),
        "pull_request": (sha is not None, "Changes must be made through a pull request."),
        "required_signatures": (sha is not None, "Commits must have verified signatures."),
        "required_linear_history": (
            sha is not None and _merges(git, old, sha), "This branch must not contain merge commits.",
        ),
    }  # fmt: skip
    for rule in one.get("rules", []):
        broken, text = said.get(rule["type"], (False, ""))
        if broken:
            yield text
        if rule["type"] == "required_status_checks" and sha is not None:
            asked = rule["parameters"]["required_status_checks"]
            for each in asked:
                wanted = Required(context=each["context"], app=each.get("integration_id"))
                if state := _state(repo, wanted, sha):
                    yield f'Required status check "{wanted.context}" is {state}.'


def _merges(git: GitStore, old: str | None, sha: str) -> bool:
    commit = git.find(f"{sha}^{{commit}}")
    return bool(commit and git.log("--min-parents=2", commit, *([f"^{old}"] if old else [])))
