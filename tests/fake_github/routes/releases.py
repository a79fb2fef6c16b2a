"""Releases and their assets."""

from collections.abc import Iterable

from tests.fake_github import events, facts_delivery, ops_git
from tests.fake_github.errors import invalid, not_found
from tests.fake_github.messages import Call, Reply, Route, paged, route
from tests.fake_github.state import Asset, Release


def _visible(call: Call) -> Iterable[Release]:
    """Newest first; drafts only for those who may write."""
    return [one for one in reversed(call.repo.releases.values()) if not one.draft or call.may("contents:write")]


def _fact(call: Call, one: Release) -> dict[str, object]:
    return facts_delivery.release(call.world, call.repo, one)


def list_releases(call: Call) -> Reply:
    """GET releases."""
    return paged(list(_visible(call)), lambda one: _fact(call, one))


def _release(call: Call) -> Release:
    for one in _visible(call):
        if one.id == call.number("release_id"):
            return one
    raise not_found()


def get_release(call: Call) -> Reply:
    """GET a release."""
    return Reply(facts=_fact(call, _release(call)))


def get_latest(call: Call) -> Reply:
    """GET the newest release that is neither draft nor prerelease."""
    for one in _visible(call):
        if not one.draft and not one.prerelease:
            return Reply(facts=_fact(call, one))
    raise not_found()


def get_by_tag(call: Call) -> Reply:
    """GET the published release of a tag."""
    for one in _visible(call):
        if one.tag == call.params["tag"] and not one.draft:
            return Reply(facts=_fact(call, one))
    raise not_found()


def create_release(call: Call) -> Reply:
    """POST a release; its tag is made where it is missing, unless it is a draft."""
    body, now = call.body, call.world.now()
    tag, target = body["tag_name"], body.get("target_commitish", call.repo.default_branch)
    if any(one.tag == tag and not one.draft for one in call.repo.releases.values()):
        raise invalid("Release", "tag_name", "already_exists")
    made = Release(
        id=call.world.next_id("release"), tag=tag, target=target, name=body.get("name"), body=body.get("body"),
        draft=body.get("draft", False), prerelease=body.get("prerelease", False), author=call.holder.user,
        created_at=now, published_at=None,
    )  # fmt: skip
    call.repo.releases[made.id] = made
    if not made.draft:
        _publish(call, made)
    return Reply(status=201, facts=_fact(call, made))


def _publish(call: Call, one: Release) -> None:
    if call.repo.git.find(f"refs/tags/{one.tag}") is None:
        sha = call.repo.git.commit_of(one.target)
        if sha is None:
            raise invalid("Release", "target_commitish", "invalid")
        ops_git.set_ref(call.world, call.repo, call.holder, f"refs/tags/{one.tag}", sha)
    one.draft, one.published_at = False, call.world.now()
    events.release(call.world, call.repo, call.holder, "published", one)


def edit_release(call: Call) -> Reply:
    """PATCH a release; taking back ``draft`` publishes it."""
    one, body = _release(call), call.body
    for name, key in (("tag", "tag_name"), ("target", "target_commitish"), ("name", "name"), ("body", "body")):
        setattr(one, name, body.get(key, getattr(one, name)))
    one.prerelease = body.get("prerelease", one.prerelease)
    if one.draft and body.get("draft") is False:
        _publish(call, one)
    return get_release(call)


def delete_release(call: Call) -> Reply:
    """DELETE a release; its tag stays."""
    del call.repo.releases[_release(call).id]
    return Reply(status=204)


def list_assets(call: Call) -> Reply:
    """GET a release's assets."""
    of = _release(call)
    return paged(of.assets, lambda one: facts_delivery.asset(call.world, call.repo, of, one))


def upload_asset(call: Call) -> Reply:
    """POST an asset: its name is unique in the release."""
    of, name = _release(call), call.query["name"]
    if any(one.name == name for one in of.assets):
        raise invalid("ReleaseAsset", "name", "already_exists")
    made = Asset(
        id=call.world.next_id("asset"), name=name, label=call.query.get("label"), data=call.request.body,
        content_type=call.request.headers.get("content-type", "application/octet-stream"),
        uploader=call.holder.user, created_at=call.world.now(),
    )  # fmt: skip
    of.assets.append(made)
    return Reply(status=201, facts=facts_delivery.asset(call.world, call.repo, of, made))


def _asset(call: Call) -> tuple[Release, Asset]:
    for release in _visible(call):
        for one in release.assets:
            if one.id == call.number("asset_id"):
                return release, one
    raise not_found()


def get_asset(call: Call) -> Reply:
    """GET an asset: its facts, or its bytes for who accepts application/octet-stream."""
    release, one = _asset(call)
    if call.request.headers.get("accept") == "application/octet-stream":
        return Reply(raw=one.data, headers={"Content-Type": "application/octet-stream"})
    return Reply(facts=facts_delivery.asset(call.world, call.repo, release, one))


def delete_asset(call: Call) -> Reply:
    """DELETE an asset."""
    release, one = _asset(call)
    release.assets.remove(one)
    return Reply(status=204)


R = "/repos/{owner}/{repo}"
ONE = f"{R}/releases/{{release_id}}"
ROUTES: tuple[Route, ...] = (
    route(f"GET {R}/releases", list_releases, "contents:read"),
    route(f"POST {R}/releases", create_release, "contents:write"),
    route(f"GET {R}/releases/latest", get_latest, "contents:read"),
    route(f"GET {R}/releases/tags/{{tag}}", get_by_tag, "contents:read"),
    route(f"GET {ONE}", get_release, "contents:read"),
    route(f"PATCH {ONE}", edit_release, "contents:write"),
    route(f"DELETE {ONE}", delete_release, "contents:write"),
    route(f"GET {ONE}/assets", list_assets, "contents:read"),
    route(f"POST {ONE}/assets", upload_asset, "contents:write"),
    route(f"GET {R}/releases/assets/{{asset_id}}", get_asset, "contents:read"),
    route(f"DELETE {R}/releases/assets/{{asset_id}}", delete_asset, "contents:write"),
)
