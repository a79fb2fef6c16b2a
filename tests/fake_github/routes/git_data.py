"""Git's own objects and references, and files by path."""

import base64
import binascii
from typing import Any

from tests.fake_github import facts, ops_git
from tests.fake_github.errors import Refusal, invalid, not_found, unprocessable
from tests.fake_github.gitstore import ZERO, Identity
from tests.fake_github.messages import Call, Reply, Route, paged, route
from tests.fake_github.objects import GitError


def _api(call: Call) -> str:
    return f"{call.world.api_url}/repos/{call.repo.full_name}"


def _ref(call: Call, name: str, sha: str) -> facts.Facts:
    kind = call.repo.git.kind(sha) or "commit"
    return {
        "ref": name,
        "node_id": facts.node_id("REF", int(sha[:8], 16)),
        "url": f"{_api(call)}/git/{name}",
        "object": {"sha": sha, "type": kind, "url": f"{_api(call)}/git/{kind}s/{sha}"},
    }


def get_ref(call: Call) -> Reply:
    """GET one reference: ``heads/main`` or ``tags/v1``."""
    name = f"refs/{call.params['ref']}"
    sha = call.repo.git.refs().get(name)
    if sha is None:
        raise not_found()
    return Reply(facts=_ref(call, name, sha))


def matching_refs(call: Call) -> Reply:
    """GET references by prefix."""
    found = call.repo.git.refs(f"refs/{call.params['ref']}")
    return paged(list(found.items()), lambda one: _ref(call, *one))


def create_ref(call: Call) -> Reply:
    """POST a reference; that it must not be there yet is what a lock can be made of."""
    name, sha = call.body["ref"], call.body["sha"]
    if not name.startswith("refs/") or name.count("/") < 2:
        raise unprocessable("Reference name must start with 'refs/' and contain at least two slashes.")
    if call.repo.git.kind(sha) is None:
        raise unprocessable("Object does not exist")
    before = call.repo.git.refs()
    ops_git.check(call.repo, call.holder, name, sha)
    try:
        call.repo.git.set_ref(name, sha, ZERO)
    except GitError as error:
        raise unprocessable("Reference already exists") from error
    ops_git.moved(call.world, call.repo, call.holder, before, call.repo.git.refs())
    return Reply(status=201, facts=_ref(call, name, sha))


def update_ref(call: Call) -> Reply:
    """PATCH a reference; fast forwards only, unless forced."""
    name, sha, git = f"refs/{call.params['ref']}", call.body["sha"], call.repo.git
    old = git.refs().get(name)
    if old is None:
        raise unprocessable("Reference does not exist")
    if git.kind(sha) is None:
        raise unprocessable("Object does not exist")
    if not call.body.get("force") and not git.contains(sha, old):
        raise unprocessable("Update is not a fast forward")
    ops_git.check(call.repo, call.holder, name, sha)
    ops_git.set_ref(call.world, call.repo, call.holder, name, sha)
    return Reply(facts=_ref(call, name, sha))


def delete_ref(call: Call) -> Reply:
    """DELETE a reference."""
    name = f"refs/{call.params['ref']}"
    if name not in call.repo.git.refs():
        raise unprocessable("Reference does not exist")
    ops_git.check(call.repo, call.holder, name, None)
    ops_git.set_ref(call.world, call.repo, call.holder, name, None)
    return Reply(status=204)


def get_blob(call: Call) -> Reply:
    """GET a blob."""
    sha = call.params["file_sha"]
    blob = call.repo.git.objects.read(sha)
    if blob is None or blob.kind != "blob":
        raise not_found()
    size, content = len(blob.data), base64.encodebytes(blob.data).decode()
    found = {"sha": blob.sha, "size": size, "encoding": "base64", "content": content}
    return Reply(facts=found | {"url": f"{_api(call)}/git/blobs/{sha}", "node_id": facts.node_id("B", size)})


def create_blob(call: Call) -> Reply:
    """POST a blob."""
    sha = _write_blob(call, call.body["content"], call.body.get("encoding", "utf-8"))
    return Reply(status=201, facts={"sha": sha, "url": f"{_api(call)}/git/blobs/{sha}"})


def _write_blob(call: Call, content: str, encoding: str) -> str:
    data = _base64(content) if encoding == "base64" else content.encode()
    return call.repo.git.objects.write("blob", data)


def _base64(content: str) -> bytes:
    try:
        return base64.b64decode(content)
    except binascii.Error as error:
        raise unprocessable("content is not valid Base64") from error


def get_tree(call: Call) -> Reply:
    """GET a tree by SHA, commit or branch."""
    sha = call.repo.git.find(f"{call.params['tree_sha']}^{{tree}}")
    if sha is None:
        raise not_found()
    return Reply(facts=_tree(call, sha, recursive="recursive" in call.query))


def _tree(call: Call, sha: str, *, recursive: bool) -> facts.Facts:
    arguments = ["ls-tree", "-l", "-z", *(["-r", "-t"] if recursive else []), sha]
    entries = []
    for line in call.repo.git.git(*arguments).split("\0"):
        head, _, path = line.partition("\t")
        if not path:
            continue
        mode, kind, object_sha, size = head.split()
        entry: facts.Facts = {"path": path, "mode": mode, "type": kind, "sha": object_sha}
        entry["url"] = f"{_api(call)}/git/{kind}s/{object_sha}"
        entries.append(entry | ({"size": int(size)} if size != "-" else {}))
    return {"sha": sha, "url": f"{_api(call)}/git/trees/{sha}", "tree": entries, "truncated": False}


def create_tree(call: Call) -> Reply:
    """POST a tree over a base tree; a null SHA deletes."""
    git, base = call.repo.git, call.body.get("base_tree")
    index = {"GIT_INDEX_FILE": str(git.path / f"index-{call.world.next_id('asset')}")}
    if base:
        git.git("read-tree", base, environment=index)
    lines = [_entry(call, one) for one in call.body["tree"]]
    git.git("update-index", "--index-info", data="".join(lines).encode(), environment=index)
    return Reply(status=201, facts=_tree(call, git.git("write-tree", environment=index), recursive=False))


def _entry(call: Call, one: dict[str, Any]) -> str:
    sha = _write_blob(call, one["content"], "utf-8") if "content" in one else one["sha"]
    if sha is None:
        return f"0 {ZERO}\t{one['path']}\n"
    if one.get("type") == "tree" or one.get("mode") == "040000":
        lines = call.repo.git.git("ls-tree", "-r", sha).splitlines()
        parts = [line.partition("\t") for line in lines]
        return "".join(f"{head}\t{one['path']}/{path}\n" for head, _, path in parts)
    return f"{one.get('mode', '100644')} {sha}\t{one['path']}\n"


def get_commit(call: Call) -> Reply:
    """GET a commit object."""
    sha = call.params["commit_sha"]
    if call.repo.git.kind(sha) != "commit":
        raise not_found()
    return Reply(facts=facts.commit(call.world, call.repo, sha))


def create_commit(call: Call) -> Reply:
    """POST a commit object."""
    body = call.body
    author = body.get("author") or {}
    own = call.world.identity(call.holder.user)
    who = Identity(name=author.get("name", own.name), email=author.get("email", own.email), time=own.time)
    if call.repo.git.kind(body["tree"]) != "tree":
        raise unprocessable("Tree SHA does not exist")
    sha = call.repo.git.commit_tree(body["tree"], body["message"], body.get("parents", []), who)
    return Reply(status=201, facts=facts.commit(call.world, call.repo, sha))


def get_tag(call: Call) -> Reply:
    """GET an annotated tag's object."""
    sha = call.params["tag_sha"]
    if call.repo.git.kind(sha) != "tag":
        raise not_found()
    return Reply(facts=_tag(call, sha))


def _tag(call: Call, sha: str) -> facts.Facts:
    header, _, message = call.repo.git.git("cat-file", "tag", sha).partition("\n\n")
    lines = dict(line.split(" ", 1) for line in header.splitlines())
    name, _, rest = lines["tagger"].partition(" <")
    return {
        "sha": sha,
        "tag": lines["tag"],
        "node_id": facts.node_id("T", int(sha[:8], 16)),
        "url": f"{_api(call)}/git/tags/{sha}",
        "message": message,
        "tagger": {"name": name, "email": rest.partition(">")[0], "date": call.world.now()},
        "object": {"sha": lines["object"], "type": lines["type"], "url": f"{_api(call)}/git/{lines['type']}s"},
    }


def create_tag(call: Call) -> Reply:
    """POST an annotated tag's object; the reference is made apart."""
    body, own = call.body, call.world.identity(call.holder.user)
    tagger = body.get("tagger") or {"name": own.name, "email": own.email}
    text = (
        f"object {body['object']}\ntype {body['type']}\ntag {body['tag']}\n"
        f"tagger {tagger['name']} <{tagger['email']}> {own.time} +0000\n\n{body['message']}\n"
    )
    try:
        sha = call.repo.git.git("mktag", data=text.encode())
    except GitError as error:
        raise invalid("Tag", "object", "invalid") from error
    return Reply(status=201, facts=_tag(call, sha))


def get_content(call: Call) -> Reply:
    """GET a file, or a folder's entries."""
    path, revision = call.params["path"].strip("/"), call.query.get("ref", call.repo.default_branch)
    commit = call.repo.git.commit_of(revision.removeprefix("refs/heads/"))
    sha = call.repo.git.find(f"{commit}:{path}") if commit else None
    if sha is None:
        raise not_found()
    if call.repo.git.kind(sha) == "blob":
        return Reply(facts=_file(call, path, sha, revision))
    entries = _tree(call, sha, recursive=False)["tree"]
    return Reply(facts=[_file(call, f"{path}/{one['path']}", one["sha"], revision) for one in entries])


def _file(call: Call, path: str, sha: str, revision: str) -> facts.Facts:
    found_there = call.repo.git.objects.read(sha)
    is_file, data = (True, found_there.data) if found_there and found_there.kind == "blob" else (False, b"")
    url, web = f"{_api(call)}/contents/{path}?ref={revision}", f"{call.world.url}/{call.repo.full_name}"
    html, blob = f"{web}/blob/{revision}/{path}", f"{_api(call)}/git/blobs/{sha}"
    found = {
        "type": "file" if is_file else "dir",
        "name": path.rpartition("/")[2],
        "path": path,
        "sha": sha,
        "size": len(data),
        "url": url,
        "html_url": html,
        "git_url": blob,
        "download_url": f"{web}/raw/{revision}/{path}" if is_file else None,
        "_links": {"self": url, "html": html, "git": blob},
    }
    return found | ({"encoding": "base64", "content": base64.encodebytes(data).decode()} if is_file else {})


def put_content(call: Call) -> Reply:
    """PUT a file in a new commit; an existing one needs its SHA. DELETE removes it."""
    body, path, git = call.body, call.params["path"], call.repo.git
    branch = body.get("branch", call.repo.default_branch)
    tip = git.find(f"refs/heads/{branch}")
    if tip is None:
        raise Refusal(404, f"Branch {branch} not found")
    old = git.find(f"{tip}:{path}")
    if old is not None and body.get("sha") != old:
        raise Refusal(409 if body.get("sha") else 422, f"{path} does not match {old}")
    data = None if call.request.method == "DELETE" else _base64(body["content"])
    commit = git.commit({path: data}, body["message"], [tip], call.world.identity(call.holder.user))
    ops_git.check(call.repo, call.holder, f"refs/heads/{branch}", commit)
    ops_git.set_ref(call.world, call.repo, call.holder, f"refs/heads/{branch}", commit)
    made = git.find(f"{commit}:{path}")
    content = _file(call, path, made, branch) if made else None
    found = {"content": content, "commit": facts.commit(call.world, call.repo, commit)}
    return Reply(status=201 if old is None else 200, facts=found)


R = "/repos/{owner}/{repo}"
GIT = f"{R}/git"
ROUTES: tuple[Route, ...] = (
    route(f"GET {GIT}/ref/{{ref}}", get_ref, "contents:read"),
    route(f"GET {GIT}/matching-refs/{{ref}}", matching_refs, "contents:read"),
    route(f"POST {GIT}/refs", create_ref, "contents:write"),
    route(f"PATCH {GIT}/refs/{{ref}}", update_ref, "contents:write"),
    route(f"DELETE {GIT}/refs/{{ref}}", delete_ref, "contents:write"),
    route(f"GET {GIT}/blobs/{{file_sha}}", get_blob, "contents:read"),
    route(f"POST {GIT}/blobs", create_blob, "contents:write"),
    route(f"GET {GIT}/trees/{{tree_sha}}", get_tree, "contents:read"),
    route(f"POST {GIT}/trees", create_tree, "contents:write"),
    route(f"GET {GIT}/commits/{{commit_sha}}", get_commit, "contents:read"),
    route(f"POST {GIT}/commits", create_commit, "contents:write"),
    route(f"GET {GIT}/tags/{{tag_sha}}", get_tag, "contents:read"),
    route(f"POST {GIT}/tags", create_tag, "contents:write"),
    route(f"GET {R}/contents/{{path}}", get_content, "contents:read"),
    route(f"PUT {R}/contents/{{path}}", put_content, "contents:write"),
    route(f"DELETE {R}/contents/{{path}}", put_content, "contents:write"),
)
