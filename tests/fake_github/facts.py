"""Facts of people, repositories and commits. Shapes are the schemas' business (shape.py)."""

import base64
from typing import Any

from tests.fake_github.gitstore import FileChange
from tests.fake_github.state import Label, Reaction, Repository, Role, User
from tests.fake_github.world import World

Facts = dict[str, Any]

ABILITIES = ("pull", "triage", "push", "maintain", "admin")
HELD: dict[Role, int] = {"none": 0, "read": 1, "triage": 2, "write": 3, "maintain": 4, "admin": 5}
FOLDED: dict[Role, str] = {"maintain": "write", "triage": "read"}
REACTIONS = ("+1", "-1", "laugh", "hooray", "confused", "heart", "rocket", "eyes")


def node_id(kind: str, number: int) -> str:
    """An opaque id for GraphQL."""
    return f"{kind}_{base64.urlsafe_b64encode(str(number).encode()).decode().rstrip('=')}"


def user(world: World, one: User) -> Facts:
    """A user."""
    api = f"{world.api_url}/users/{one.login}"
    links = ("followers", "subscriptions", "organizations", "repos", "received_events")
    return {
        "id": one.id,
        "login": one.login,
        "name": one.login,
        "email": None,
        "node_id": node_id("U", one.id),
        "type": one.kind,
        "site_admin": False,
        "avatar_url": f"{world.url}/avatars/{one.id}",
        "gravatar_id": "",
        "url": api,
        "html_url": f"{world.url}/{one.login}",
        "gists_url": f"{api}/gists{{/gist_id}}",
        "starred_url": f"{api}/starred{{/owner}}{{/repo}}",
        "following_url": f"{api}/following{{/other_user}}",
        "events_url": f"{api}/events{{/privacy}}",
        "created_at": "2020-01-01T00:00:00Z",
        "updated_at": "2020-01-01T00:00:00Z",
        "user_view_type": "public",
    } | {f"{name}_url": f"{api}/{name}" for name in links}


def abilities(role: Role) -> dict[str, bool]:
    """What a role may do."""
    return {name: place < HELD[role] for place, name in enumerate(ABILITIES)}


def permission(world: World, repository: Repository, one: User) -> Facts:
    """A collaborator's permission: ``permission`` folds maintain into write and triage into read."""
    role = repository.role(one)
    who = user(world, one) | {"permissions": abilities(role), "role_name": role}
    return {"permission": FOLDED.get(role, role), "role_name": role, "user": who}


def repository(world: World, repo: Repository, viewer: User | None = None) -> Facts:
    """A repository."""
    api, web = f"{world.api_url}/repos/{repo.full_name}", f"{world.url}/{repo.full_name}"
    found = {
        "id": repo.id,
        "node_id": node_id("R", repo.id),
        "name": repo.name,
        "full_name": repo.full_name,
        "owner": user(world, repo.owner),
        "private": repo.private,
        "visibility": "private" if repo.private else "public",
        "fork": repo.parent is not None,
        "default_branch": repo.default_branch,
        "master_branch": repo.default_branch,
        "description": None,
        "url": api,
        "html_url": web,
        "clone_url": f"{web}.git",
        "git_url": f"{web}.git",
        "ssh_url": f"{web}.git",
        "svn_url": web,
        "created_at": repo.created_at,
        "updated_at": repo.created_at,
        "pushed_at": repo.created_at,
        "has_issues": True,
        "archived": False,
        "disabled": False,
        "allow_forking": True,
        "allow_merge_commit": True,
        "allow_squash_merge": True,
        "allow_rebase_merge": True,
        "open_issues_count": sum(issue.state == "open" for issue in repo.issues.values()),
        "open_issues": sum(issue.state == "open" for issue in repo.issues.values()),
        "permissions": abilities(repo.role(viewer) if viewer else "read"),
        **_templates(api),
        **repo.settings,
    }
    if repo.parent:
        found |= {"parent": repository(world, repo.parent), "source": repository(world, repo.parent)}
    return found


def _templates(api: str) -> Facts:
    plain = "contributors deployments downloads events forks hooks languages merges stargazers subscribers"
    templates = {
        "archive": "{archive_format}{/ref}", "assignees": "{/user}", "blobs": "git/blobs{/sha}",
        "branches": "{/branch}", "collaborators": "{/collaborator}", "comments": "{/number}", "commits": "{/sha}",
        "compare": "{base}...{head}", "contents": "{+path}", "git_commits": "git/commits{/sha}",
        "git_refs": "git/refs{/sha}", "git_tags": "git/tags{/sha}", "issue_comment": "issues/comments{/number}",
        "issue_events": "issues/events{/number}", "issues": "{/number}", "keys": "{/key_id}", "labels": "{/name}",
        "milestones": "{/number}", "notifications": "{?since,all,participating}", "pulls": "{/number}",
        "releases": "{/id}", "statuses": "{/sha}", "trees": "git/trees{/sha}",
    }  # fmt: skip
    urls = {f"{name}_url": f"{api}/{name}" for name in [*plain.split(), "subscription", "tags", "teams"]}
    for name, rest in templates.items():
        urls[f"{name}_url"] = f"{api}/{rest}" if "/" in rest.split("{")[0] else f"{api}/{name}{rest}"
    return urls


def commit(world: World, repo: Repository, sha: str) -> Facts:
    """A commit in all its shapes: REST, git data, webhooks."""
    info = repo.git.info(sha)
    api, web = f"{world.api_url}/repos/{repo.full_name}", f"{world.url}/{repo.full_name}"
    people = {
        role: {"name": who[0], "email": who[1], "date": who[2], "username": who[0]}
        for role, who in (("author", info.author), ("committer", info.committer))
    }
    tree = {"sha": info.tree, "url": f"{api}/git/trees/{info.tree}"}
    verification = {"verified": False, "reason": "unsigned", "signature": None, "payload": None, "verified_at": None}
    login = world.users.get(info.author[0].lower())
    return {
        "sha": sha,
        "id": sha,
        "tree_id": info.tree,
        "node_id": node_id("C", int(sha[:8], 16)),
        "url": f"{api}/commits/{sha}",
        "html_url": f"{web}/commit/{sha}",
        "comments_url": f"{api}/commits/{sha}/comments",
        "message": info.message,
        "timestamp": info.committer[2],
        "tree": tree,
        "verification": verification,
        **people,
        "commit": {
            "message": info.message,
            "tree": tree,
            "url": f"{api}/git/commits/{sha}",
            "comment_count": 0,
            "verification": verification,
            **people,
        },
        "account": user(world, login) if login else None,
        "parents": [
            {"sha": one, "url": f"{api}/commits/{one}", "html_url": f"{web}/commit/{one}"} for one in info.parents
        ],
    }


def rest_commit(world: World, repo: Repository, sha: str) -> Facts:
    """A commit of the REST API, whose outer author is an account."""
    found = commit(world, repo, sha)
    return found | {"author": found["account"], "committer": found["account"]}


def file_change(world: World, repo: Repository, change: FileChange, head: str) -> Facts:
    """A file of a pull request or a comparison."""
    api, web = f"{world.api_url}/repos/{repo.full_name}", f"{world.url}/{repo.full_name}"
    found = {
        "sha": change.blob if change.blob.strip("0") else None,
        "filename": change.path,
        "status": change.status,
        "additions": change.additions,
        "deletions": change.deletions,
        "changes": change.additions + change.deletions,
        "blob_url": f"{web}/blob/{head}/{change.path}",
        "raw_url": f"{web}/raw/{head}/{change.path}",
        "contents_url": f"{api}/contents/{change.path}?ref={head}",
    }
    return found | ({"previous_filename": change.previous} if change.previous else {})


def reaction(world: World, one: Reaction) -> Facts:
    """A reaction."""
    return {
        "id": one.id,
        "node_id": node_id("REA", one.id),
        "user": user(world, one.user),
        "content": one.content,
        "created_at": one.created_at,
    }


def reaction_counts(url: str, reactions: list[Reaction]) -> Facts:
    """How many of each."""
    counts = {name: sum(one.content == name for one in reactions) for name in REACTIONS}
    return {"url": f"{url}/reactions", "total_count": len(reactions), **counts}


def label(world: World, repo: Repository, one: Label) -> Facts:
    """A label."""
    return {
        "id": one.id,
        "node_id": node_id("LA", one.id),
        "url": f"{world.api_url}/repos/{repo.full_name}/labels/{one.name}",
        "name": one.name,
        "color": one.color,
        "description": one.description,
        "default": False,
    }
