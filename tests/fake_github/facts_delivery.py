"""Facts of environments, deployments and releases."""

from tests.fake_github import facts
from tests.fake_github.state import Asset, Deployment, DeploymentStatus, Environment, Release, Repository
from tests.fake_github.world import World


def environment(world: World, repo: Repository, one: Environment) -> facts.Facts:
    """An environment and its protection."""
    rules: list[facts.Facts] = []
    if one.wait_timer:
        rules.append({"id": one.id + 1, "node_id": "GA_1", "type": "wait_timer", "wait_timer": one.wait_timer})
    if one.reviewers:
        reviewers = [{"type": "User", "reviewer": facts.user(world, who)} for who in one.reviewers]
        rules.append(
            {
                "id": one.id + 2,
                "node_id": "GA_2",
                "type": "required_reviewers",
                "prevent_self_review": one.prevent_self_review,
                "reviewers": reviewers,
            }
        )
    if one.branches is not None:
        rules.append({"id": one.id + 3, "node_id": "GA_3", "type": "branch_policy"})
    policy = {"protected_branches": False, "custom_branch_policies": True} if one.branches is not None else None
    return {
        "id": one.id,
        "node_id": facts.node_id("EN", one.id),
        "name": one.name,
        "url": f"{world.api_url}/repos/{repo.full_name}/environments/{one.name}",
        "html_url": f"{world.url}/{repo.full_name}/deployments/activity_log?environments_filter={one.name}",
        "created_at": one.created_at,
        "updated_at": one.created_at,
        "protection_rules": rules,
        "deployment_branch_policy": policy,
    }


def deployment(world: World, repo: Repository, one: Deployment) -> facts.Facts:
    """A deployment."""
    api = f"{world.api_url}/repos/{repo.full_name}"
    return {
        "id": one.id,
        "node_id": facts.node_id("DE", one.id),
        "url": f"{api}/deployments/{one.id}",
        "statuses_url": f"{api}/deployments/{one.id}/statuses",
        "repository_url": api,
        "sha": one.sha,
        "ref": one.ref,
        "task": one.task,
        "payload": one.payload,
        "environment": one.environment,
        "original_environment": one.environment,
        "description": one.description,
        "creator": facts.user(world, one.creator),
        "created_at": one.created_at,
        "updated_at": one.statuses[-1].created_at if one.statuses else one.created_at,
        "production_environment": one.production,
        "transient_environment": one.transient,
    }


def deployment_status(world: World, repo: Repository, of: Deployment, one: DeploymentStatus) -> facts.Facts:
    """One step of a deployment."""
    api = f"{world.api_url}/repos/{repo.full_name}"
    return {
        "id": one.id,
        "node_id": facts.node_id("DES", one.id),
        "url": f"{api}/deployments/{of.id}/statuses/{one.id}",
        "deployment_url": f"{api}/deployments/{of.id}",
        "repository_url": api,
        "state": one.state,
        "creator": facts.user(world, one.creator),
        "description": one.description,
        "environment": one.environment,
        "created_at": one.created_at,
        "updated_at": one.created_at,
        **({"target_url": one.log_url} if one.log_url else {}),
        **({"environment_url": one.environment_url} if one.environment_url else {}),
        **({"log_url": one.log_url} if one.log_url else {}),
    }


def release(world: World, repo: Repository, one: Release) -> facts.Facts:
    """A release; assets are uploaded to where an Enterprise Server takes them."""
    api, web = f"{world.api_url}/repos/{repo.full_name}", f"{world.url}/{repo.full_name}"
    uploads = f"{world.url}/api/uploads/repos/{repo.full_name}"
    return {
        "id": one.id,
        "node_id": facts.node_id("RE", one.id),
        "url": f"{api}/releases/{one.id}",
        "html_url": f"{web}/releases/tag/{one.tag}",
        "assets_url": f"{api}/releases/{one.id}/assets",
        "upload_url": f"{uploads}/releases/{one.id}/assets{{?name,label}}",
        "tarball_url": f"{api}/tarball/{one.tag}",
        "zipball_url": f"{api}/zipball/{one.tag}",
        "tag_name": one.tag,
        "target_commitish": one.target,
        "name": one.name,
        "body": one.body,
        "draft": one.draft,
        "prerelease": one.prerelease,
        "immutable": False,
        "author": facts.user(world, one.author),
        "created_at": one.created_at,
        "updated_at": one.created_at,
        "published_at": one.published_at,
        "assets": [asset(world, repo, one, each) for each in one.assets],
    }


def asset(world: World, repo: Repository, of: Release, one: Asset) -> facts.Facts:
    """A file of a release."""
    return {
        "id": one.id,
        "node_id": facts.node_id("RA", one.id),
        "url": f"{world.api_url}/repos/{repo.full_name}/releases/assets/{one.id}",
        "browser_download_url": f"{world.url}/{repo.full_name}/releases/download/{of.tag}/{one.name}",
        "name": one.name,
        "label": one.label,
        "state": "uploaded",
        "content_type": one.content_type,
        "size": len(one.data),
        "digest": None,
        "download_count": 0,
        "created_at": one.created_at,
        "updated_at": one.created_at,
        "uploader": facts.user(world, one.uploader),
    }
