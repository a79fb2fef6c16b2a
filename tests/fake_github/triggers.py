"""Which workflows an event starts, and what they see: filters, reference, commit."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tests.fake_github.gitstore import ZERO
from tests.fake_github.state import Repository
from tests.fake_github.workflow_file import WorkflowFile
from tests.fake_github.world import Delivery

DEFAULT_TYPES: Final = {"pull_request": ("opened", "synchronize", "reopened")}


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """What a run of an event sees.

    ``source`` is the commit whose workflow files GitHub runs; ``head_*`` is what the API shows of the run.
    """

    ref: str
    sha: str
    source: str
    head_branch: str
    head_sha: str
    head_repository_id: int | None
    title: str
    from_fork: bool = False


def target(delivery: Delivery) -> Target | None:
    """What a run started by this event would see, or None where the event starts none."""
    found = TARGETS.get(delivery.event, _default_branch)(delivery)
    return found if found and found.source else None


def _default_branch(delivery: Delivery) -> Target | None:
    repo = delivery.repository
    sha = repo.git.find(f"refs/heads/{repo.default_branch}")
    return _plain(repo, f"refs/heads/{repo.default_branch}", sha, delivery.event) if sha else None


def _plain(repo: Repository, ref: str, sha: str, title: str) -> Target:
    branch = ref.split("/", 2)[2]
    return Target(
        ref=ref, sha=sha, source=sha, head_branch=branch, head_sha=sha, head_repository_id=repo.id, title=title
    )


def _pull_request(delivery: Delivery) -> Target | None:
    pull, repo = delivery.payload["pull_request"], delivery.repository
    merge = repo.git.find(f"refs/pull/{pull['number']}/merge")
    if merge is None or pull["mergeable"] is False:
        return None  # a conflicting pull request runs nothing
    head = pull["head"]["repo"]
    return Target(
        ref=f"refs/pull/{pull['number']}/merge",
        sha=merge,
        source=merge,
        head_branch=pull["head"]["ref"],
        head_sha=pull["head"]["sha"],
        head_repository_id=head["id"] if head else None,
        title=pull["title"],
        from_fork=head is None or head["id"] != repo.id,
    )


def _push(delivery: Delivery) -> Target | None:
    payload, repo = delivery.payload, delivery.repository
    if payload["after"] == ZERO:
        return None
    sha = repo.git.info(payload["after"]).sha
    return _plain(repo, payload["ref"], sha, payload["head_commit"]["message"].splitlines()[0])


def _merge_group(delivery: Delivery) -> Target | None:
    group = delivery.payload["merge_group"]
    return _plain(delivery.repository, group["head_ref"], group["head_sha"], "merge group")


def _dispatch(delivery: Delivery) -> Target | None:
    ref, repo = delivery.payload["ref"], delivery.repository
    sha = repo.git.find(f"{ref}^{{commit}}")
    return _plain(repo, ref, sha, delivery.payload["workflow"]) if sha else None


def _release(delivery: Delivery) -> Target | None:
    tag, repo = delivery.payload["release"]["tag_name"], delivery.repository
    sha = repo.git.find(f"refs/tags/{tag}^{{commit}}")
    return _plain(repo, f"refs/tags/{tag}", sha, delivery.payload["release"]["name"] or tag) if sha else None


def _create(delivery: Delivery) -> Target | None:
    payload, repo = delivery.payload, delivery.repository
    ref = f"refs/{'heads' if payload['ref_type'] == 'branch' else 'tags'}/{payload['ref']}"
    sha = repo.git.find(f"{ref}^{{commit}}")
    return _plain(repo, ref, sha, "create") if sha else None


TARGETS: Final[Mapping[str, Callable[[Delivery], Target | None]]] = {
    "pull_request": _pull_request,
    "push": _push,
    "merge_group": _merge_group,
    "workflow_dispatch": _dispatch,
    "release": _release,
    "create": _create,
}


def started(files: Sequence[WorkflowFile], delivery: Delivery) -> Iterator[WorkflowFile]:
    """The workflows that an event starts."""
    for file in files:
        filters = file.triggers.get(delivery.event)
        if filters is not None and _passes(file, filters, delivery):
            yield file


def _passes(file: WorkflowFile, filters: Mapping[str, Any], delivery: Delivery) -> bool:
    payload = delivery.payload
    types = filters.get("types", DEFAULT_TYPES.get(delivery.event))
    if types is not None and payload.get("action") not in _listed(types):
        return False
    if delivery.event == "workflow_dispatch":
        return bool(payload["workflow"] == file.path)
    if delivery.event == "workflow_run":
        named = payload["workflow_run"]["name"] in _listed(filters.get("workflows", ()))
        return named and _branch(filters, payload["workflow_run"]["head_branch"])
    if delivery.event == "pull_request":
        return _branch(filters, payload["pull_request"]["base"]["ref"]) and _paths(filters, _pull_paths(delivery))
    if delivery.event == "merge_group":
        return _branch(filters, payload["merge_group"]["base_ref"].removeprefix("refs/heads/"))
    return _push_passes(filters, delivery) if delivery.event == "push" else True


def _push_passes(filters: Mapping[str, Any], delivery: Delivery) -> bool:
    _, kind, name = delivery.payload["ref"].split("/", 2)
    own, other = ("branches", "tags") if kind == "heads" else ("tags", "branches")
    asks_own, asks_other = ({f"{word}", f"{word}-ignore"} & filters.keys() for word in (own, other))
    if asks_other and not asks_own:
        return False
    if not matches(_listed(filters.get(own, ["**"])), name) or matches(_listed(filters.get(f"{own}-ignore", ())), name):
        return False
    return kind == "tags" or _paths(filters, _push_paths(delivery))


def _branch(filters: Mapping[str, Any], name: str) -> bool:
    wanted, unwanted = _listed(filters.get("branches", ["**"])), _listed(filters.get("branches-ignore", ()))
    return matches(wanted, name) and not matches(unwanted, name)


def _paths(filters: Mapping[str, Any], changed: Sequence[str]) -> bool:
    if "paths" in filters:
        return any(matches(_listed(filters["paths"]), path) for path in changed)
    ignored = _listed(filters.get("paths-ignore", ()))
    return not ignored or not all(matches(ignored, path) for path in changed)


def _pull_paths(delivery: Delivery) -> list[str]:
    git, pull = delivery.repository.git, delivery.payload["pull_request"]
    base = git.merge_base(pull["base"]["sha"], pull["head"]["sha"]) or pull["base"]["sha"]
    return [change.path for change in git.changes(base, pull["head"]["sha"])]


def _push_paths(delivery: Delivery) -> list[str]:
    git, payload = delivery.repository.git, delivery.payload
    if payload["before"] == ZERO:
        return git.git("ls-tree", "-r", "--name-only", payload["after"]).splitlines()
    return [change.path for change in git.changes(payload["before"], payload["after"])]


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else [str(one) for one in value]


def matches(patterns: Sequence[str], name: str) -> bool:
    """GitHub's filter patterns; the last that matches decides, ``!`` takes back."""
    verdict = False
    for pattern in patterns:
        if re.fullmatch(_regex(pattern.removeprefix("!")), name):
            verdict = not pattern.startswith("!")
    return verdict


def _regex(pattern: str) -> str:
    pieces = re.findall(r"\*\*/|\*\*|\*|\[[^]]*\]|\\.|.", pattern)
    known = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "?", "+": "+"}
    return "".join(known.get(one) or (one if one[0] in "[\\" else re.escape(one)) for one in pieces)
