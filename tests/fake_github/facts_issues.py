"""Facts of issues, pull requests and comments."""

from tests.fake_github import facts
from tests.fake_github.facts_ci import app
from tests.fake_github.state import Comment, Issue, Pull, Repository, User
from tests.fake_github.world import World


def association(repo: Repository, one: User) -> str:
    """How a user relates to a repository. Not a permission."""
    if one is repo.owner:
        return "OWNER"
    return "COLLABORATOR" if one.login in repo.roles else "NONE"


def issue(world: World, repo: Repository, one: Issue) -> facts.Facts:
    """An issue, or a pull request seen as one."""
    api = f"{world.api_url}/repos/{repo.full_name}"
    url, web = f"{api}/issues/{one.number}", f"{world.url}/{repo.full_name}"
    found = {
        "id": one.id,
        "node_id": facts.node_id("I", one.id),
        "number": one.number,
        "title": one.title,
        "body": one.body,
        "user": facts.user(world, one.user),
        "author_association": association(repo, one.user),
        "state": one.state,
        "state_reason": one.state_reason,
        "locked": False,
        "labels": [facts.label(world, repo, repo.labels[name]) for name in one.labels],
        "assignee": None,
        "assignees": [],
        "milestone": None,
        "comments": sum(each.number == one.number for each in repo.comments.values()),
        "created_at": one.created_at,
        "updated_at": one.updated_at,
        "closed_at": one.closed_at,
        "repository_url": api,
        "url": url,
        "html_url": f"{web}/{'pull' if one.pull else 'issues'}/{one.number}",
        "comments_url": f"{url}/comments",
        "events_url": f"{url}/events",
        "timeline_url": f"{url}/timeline",
        "labels_url": f"{url}/labels{{/name}}",
        "performed_via_github_app": None,
        "active_lock_reason": None,
        "reactions": facts.reaction_counts(url, one.reactions),
    }
    if one.pull:
        page = f"{web}/pull/{one.number}"
        found["draft"] = one.pull.draft
        found["pull_request"] = {
            "url": f"{api}/pulls/{one.number}",
            "html_url": page,
            "diff_url": f"{page}.diff",
            "patch_url": f"{page}.patch",
            "merged_at": one.pull.merged_at,
        }
    return found


def comment(world: World, repo: Repository, one: Comment) -> facts.Facts:
    """A comment."""
    api = f"{world.api_url}/repos/{repo.full_name}/issues"
    kind = "pull" if repo.issues[one.number].pull else "issues"
    url = f"{api}/comments/{one.id}"
    return {
        "id": one.id,
        "node_id": facts.node_id("IC", one.id),
        "url": url,
        "html_url": f"{world.url}/{repo.full_name}/{kind}/{one.number}#issuecomment-{one.id}",
        "issue_url": f"{api}/{one.number}",
        "body": one.body,
        "user": facts.user(world, one.user),
        "author_association": association(repo, one.user),
        "created_at": one.created_at,
        "updated_at": one.updated_at,
        "performed_via_github_app": app(world, "github-actions") if one.by_app else None,
        "minimized": {"reason": one.minimized} if one.minimized else None,
        "reactions": facts.reaction_counts(url, one.reactions),
    }


def pull_request(world: World, repo: Repository, one: Issue) -> facts.Facts:
    """A pull request."""
    assert one.pull, f"#{one.number} is an issue"
    pull = one.pull
    api, page = f"{world.api_url}/repos/{repo.full_name}", f"{world.url}/{repo.full_name}/pull/{one.number}"
    url = f"{api}/pulls/{one.number}"
    commits = repo.git.log(f"{pull.base_sha}..{pull.head_sha}")
    base = repo.git.merge_base(pull.base_sha, pull.head_sha) or pull.base_sha
    changes = repo.git.changes(base, pull.head_sha)
    links = {
        "self": url,
        "html": page,
        "issue": f"{api}/issues/{one.number}",
        "comments": f"{api}/issues/{one.number}/comments",
        "review_comments": f"{url}/comments",
        "review_comment": f"{api}/pulls/comments{{/number}}",
        "commits": f"{url}/commits",
        "statuses": f"{api}/statuses/{pull.head_sha}",
    }
    return issue(world, repo, one) | {
        "node_id": facts.node_id("PR", one.id),
        "url": url,
        "html_url": page,
        "diff_url": f"{page}.diff",
        "patch_url": f"{page}.patch",
        **{f"{name}_url": link for name, link in links.items() if name not in {"self", "html"}},
        "_links": {name: {"href": link} for name, link in links.items()},
        "head": _side(world, pull.head_repo, pull.head_owner, pull.head_ref, pull.head_sha),
        "base": _side(world, repo, repo.owner, pull.base_ref, pull.base_sha),
        "draft": pull.draft,
        "merged": pull.merged_at is not None,
        "merged_at": pull.merged_at,
        "merged_by": facts.user(world, pull.merged_by) if pull.merged_by else None,
        "merge_commit_sha": pull.merge_commit,
        "mergeable": pull.mergeable,
        "rebaseable": pull.mergeable,
        "mergeable_state": _mergeable_state(pull),
        "maintainer_can_modify": False,
        "requested_reviewers": [],
        "requested_teams": [],
        "auto_merge": None,
        "review_comments": 0,
        "commits": len(commits),
        "additions": sum(change.additions for change in changes),
        "deletions": sum(change.deletions for change in changes),
        "changed_files": len(changes),
    }


def _mergeable_state(pull: Pull) -> str:
    if not pull.mergeable:
        return "dirty"
    return "draft" if pull.draft else "clean"


def _side(world: World, repo: Repository | None, owner: User, ref: str, sha: str) -> facts.Facts:
    return {
        "label": f"{owner.login}:{ref}",
        "ref": ref,
        "sha": sha,
        "user": facts.user(world, owner),
        "repo": facts.repository(world, repo) if repo else None,
    }
