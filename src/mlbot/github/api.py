"""GitHub's REST API: the calls that mlbot needs, with GitHub's JSON as records.

Every call raises `MlbotError`s of `mlbot.github.transport` when GitHub does not do it.
"""

import re
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, get_args
from urllib.parse import quote

from pydantic import ValidationError

from mlbot import __version__
from mlbot.events.event import dig, run_fields
from mlbot.events.github import (
    Artifact,
    Attempt,
    Comment,
    CommentFacts,
    JobTime,
    Login,
    OpenHead,
    PullRequest,
    Pushed,
    RepositoryName,
    Role,
    Run,
    State,
    Status,
    moment,
)
from mlbot.github.job import API_URL, API_VERSION, Job
from mlbot.github.transport import (
    PAGE,
    Answer,
    GitHubError,
    Headers,
    InvalidRequestError,
    Limits,
    NotFoundError,
    Request,
    Transport,
    UnavailableError,
    download,
)
from mlbot.lib.constants import ACTIONS_BOT
from mlbot.lib.record import Record, Sha

_INSTALLATION = "ghs_"  # what tokens of apps begin with; they cannot ask who they are
_TIMEOUT_S = 30  # for the connection, and between two bytes

GRAPHQL = "/graphql"
"""The path of GraphQL's requests; on an Enterprise Server it is not below that of REST."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryFacts:
    """What GitHub says of the repository itself."""

    id: int
    default_branch: str
    private: bool
    issues: bool = True


@dataclass(kw_only=True)
class GitHub:
    """One repository (`owner/name`) on GitHub; `fetch` streams an address to a file."""

    repository: RepositoryName
    transport: Transport
    known_login: str | None = None
    fetch: Callable[[str, Path, Limits], None] = field(default=download)

    @classmethod
    def connect(
        cls,
        repository: RepositoryName,
        token: str | None,
        *,
        api_url: str = API_URL,
        login: str | None = None,
        progress: Callable[[str], None] = lambda _: None,
    ) -> "GitHub":
        """GitHub with any kind of token, or none for what everybody may see.

        No `login`: an app's speaks as `github-actions[bot]`, others are asked.
        """
        from requests import RequestException

        from github import Auth, Github

        client = Github(
            auth=Auth.Token(token) if token else None,
            base_url=api_url.rstrip("/"),
            timeout=_TIMEOUT_S,
            user_agent=f"mlbot/{__version__}",
            api_version=API_VERSION,
            retry=None,
            seconds_between_requests=None,
            seconds_between_writes=None,
        )

        def send(request: Request, headers: Headers) -> Answer:
            path = client.requester.graphql_url if request.path == GRAPHQL else request.path
            try:
                status, found, body = client.requester.requestJson(
                    request.verb, path, dict(request.query or {}), dict(headers), request.body
                )
            except RequestException as error:
                raise ConnectionError(type(error).__name__) from error
            except RuntimeError as error:  # PyGithub's word for a redirect to somewhere else
                hint = "Correct GITHUB_API_URL."
                raise GitHubError("GitHub redirects to another address", where=str(request), hint=hint) from error
            return Answer(status=status, headers=found, body=body)

        known = login or (ACTIONS_BOT if token and token.startswith(_INSTALLATION) else None)
        return cls(repository=repository, transport=Transport(send=send, progress=progress), known_login=known)

    @classmethod
    def of_job(cls, job: Job, progress: Callable[[str], None], bot: Login = ACTIONS_BOT) -> "GitHub":
        """GitHub with a job's token. Its App's word counts, unless the command line names another `bot`.

        Raises:
            UsageError: the job was given no token.
        """
        login = job.speaker if bot == ACTIONS_BOT else bot
        return cls.connect(job.repository, job.required_token(), api_url=job.api_url, login=login, progress=progress)

    @property
    def login(self) -> str:
        """Who the token speaks as."""
        if self.known_login is None:
            self.known_login = text_of(self.transport.json(Request(verb="GET", path="/user")), "login")
        return self.known_login

    def facts(self) -> RepositoryFacts:
        """The repository's id, default branch and whether it is private."""
        raw = self.ask("GET", "")
        return RepositoryFacts(
            id=number_of(raw, "id"),
            default_branch=text_of(raw, "default_branch"),
            private=dig(raw, "private") is True,
            issues=dig(raw, "has_issues") is not False,
        )

    # runs

    def run(self, run: int, attempt: int | None = None) -> Run:
        """A run as it is now: its latest attempt, or the one asked for."""
        return run_of(self.ask("GET", f"/actions/runs/{run}" + (f"/attempts/{attempt}" if attempt else "")))

    def runs(self, head_sha: str, event: str) -> tuple[Run, ...]:
        """The runs that an event started on a commit, newest first."""
        query: dict[str, str | int] = {"head_sha": head_sha, "event": event}
        found = self.transport.pages(self.request("GET", "/actions/runs", query=query), "workflow_runs")
        return tuple(sorted(map(run_of, found), key=lambda run: run.id, reverse=True))

    def artifacts(self, run: int, name: str | None = None) -> tuple[Artifact, ...]:
        """A run's artifacts over all its attempts, or those of one name."""
        query = {"name": name} if name else None
        found = self.transport.pages(self.request("GET", f"/actions/runs/{run}/artifacts", query=query), "artifacts")
        # One that moves to the next page while they are listed comes twice, and is one all the same.
        return tuple({each.id: each for each in map(artifact_of, found)}.values())

    def download(self, artifact: Artifact, target: Path, limits: Limits) -> None:
        """Write an artifact's archive to a file that is not there yet, and never more than the limit.

        The address is asked for again at each attempt: it is good for a minute. The token is not sent to it.
        """
        limits.check_size(artifact.size_bytes, artifact.name)
        request = self.request("GET", f"/actions/artifacts/{artifact.id}/zip")

        def once() -> None:
            answer = self.transport.answer(request)
            if not (address := answer.headers.get("location")):
                raise GitHubError("GitHub gave no address for the artifact", where=str(request))
            self.fetch(address, target, limits)

        self.transport.patiently(request, once)

    # pull requests

    def pull_request(self, number: int) -> PullRequest:
        """A pull request as it is now."""
        return pull_request_of(self.ask("GET", f"/pulls/{number}"))

    def pull_requests_of(self, run: Run) -> tuple[PullRequest, ...]:
        """The open pull requests with the head of a run, and those from its branch.

        All open ones are listed, since `pull_requests` of the run is empty for forks, `/commits/SHA/pulls` too, and
        another fork's pull request may have the same commit. Others may be odd: they are not read.
        """
        query: dict[str, str | int] = {"state": "open"}
        listed = list(self.transport.pages(self.request("GET", "/pulls", query=query)))
        if len(listed) >= PAGE and run.head_owner and run.head_branch:  # one that closes moves others between pages
            query |= {"head": f"{run.head_owner}:{run.head_branch}"}
            listed += self.transport.pages(self.request("GET", "/pulls", query=query))
        branch = (run.head_repository_id, run.head_branch)
        found = {
            number_of(raw, "number"): raw
            for raw in listed
            if dig(raw, "head", "sha") == run.head_sha
            or (dig(raw, "head", "repo", "id"), dig(raw, "head", "ref")) == branch
        }
        return tuple(map(pull_request_of, found.values()))

    def pull_requests_with(self, head: Sha) -> tuple[PullRequest, ...]:
        """The open pull requests with a head."""
        listed = self.transport.pages(self.request("GET", "/pulls", query={"state": "open"}))
        return tuple(pull_request_of(raw) for raw in listed if dig(raw, "head", "sha") == head)

    def pull_request_numbers(self, run: Run) -> frozenset[int]:
        """Every pull request that there was from the branch of a run; none when its repository is gone."""
        if run.head_owner is None or not run.head_branch:
            return frozenset()
        query: dict[str, str | int] = {"state": "all", "head": f"{run.head_owner}:{run.head_branch}"}
        return frozenset(
            number_of(raw, "number") for raw in self.transport.pages(self.request("GET", "/pulls", query=query))
        )

    def pushes(self, branch: str) -> tuple[Pushed, ...]:
        """The latest hundred moves of a branch, newest first, but for its deletion; pages beyond have cursors."""
        query: dict[str, str | int] = {"ref": f"refs/heads/{branch}", "per_page": PAGE}
        listed = self.transport.json(self.request("GET", "/activity", query=query))
        if not isinstance(listed, list):
            raise UnavailableError("GitHub's answer is no list", where="activity", hint="Run the job again.")
        found = [_record(Pushed, {name: dig(raw, name) for name in ("before", "after")}) for raw in listed]
        return tuple(each for each in found if each.after.strip("0"))

    # statuses

    def statuses(self, sha: str) -> tuple[Status, ...]:
        """The statuses that this token's owner set on a commit, the newest first."""
        found = map(status_of, self.transport.pages(self.request("GET", f"/commits/{sha}/statuses")))
        return tuple(each for each in found if each.creator == self.login)

    def status(self, sha: str, context: str) -> Status | None:
        """The latest status of a context that this token's owner set on a commit."""
        return next((each for each in self.statuses(sha) if each.context == context), None)

    # comments

    def comments(self, number: int) -> tuple[Comment, ...]:
        """All comments on an issue or pull request, oldest first."""
        found = self.transport.pages(self.request("GET", f"/issues/{number}/comments"))
        return tuple(sorted(map(comment_of, found), key=lambda comment: comment.id))

    def comment(self, comment: int) -> Comment | None:
        """A comment as it is now; None when it was deleted."""
        try:
            return comment_of(self.ask("GET", f"/issues/comments/{comment}"))
        except NotFoundError:
            return None

    def create_comment(self, number: int, body: str) -> Comment:
        """Write a comment; an `UnavailableError` leaves open whether it was written."""
        path = f"/issues/{number}/comments"
        return comment_of(self.ask("POST", path, {"body": body}, repeatable=False))

    def update_comment(self, comment: int, body: str) -> None:
        """Edit a comment in place."""
        self.ask("PATCH", f"/issues/comments/{comment}", {"body": body})

    def delete_comment(self, comment: int) -> None:
        """Delete a comment; one that is gone already is fine."""
        try:
            self.ask("DELETE", f"/issues/comments/{comment}")
        except NotFoundError:
            return

    # people

    def role(self, login: str) -> Role:
        """A person's role here, none for an account that is gone.

        `role_name` tells maintain from write and triage from read, `permission` does not.
        """
        try:
            raw = self.ask("GET", f"/collaborators/{quote(login, safe='')}/permission")
        except NotFoundError:  # GitHub's word for an account that it does not know
            return "none"
        names = (dig(raw, "role_name"), dig(raw, "permission"))  # a custom role's name, and the one it is based on
        return next((role for each in names for role in _ROLES if role == each), "none")

    def ask(self, verb: str, path: str, body: Mapping[str, object] | None = None, *, repeatable: bool = True) -> Any:
        """The JSON that GitHub answers a call about this repository with."""
        return self.transport.json(self.request(verb, path, body, repeatable=repeatable))

    def request(
        self,
        verb: str,
        path: str,
        body: Mapping[str, object] | None = None,
        *,
        query: Mapping[str, str | int] | None = None,
        repeatable: bool = True,
    ) -> Request:
        """A call about this repository, for `transport`: its path goes on from the repository's."""
        whole = f"/repos/{self.repository}{path}"
        return Request(verb=verb, path=whole, query=query, body=body, repeatable=repeatable)


_ROLES: tuple[Role, ...] = get_args(Role)


# GitHub's JSON as records.

R = TypeVar("R", bound=Record)


def run_of(raw: object) -> Run:
    """A workflow run of GitHub's JSON, as the functions below; what does not fit is an error, never a guess."""
    return _record(Run, run_fields(raw))


def pull_request_of(raw: object) -> PullRequest:
    """A pull request."""
    fields = {
        "number": dig(raw, "number"),
        "open": dig(raw, "state") == "open",
        "draft": dig(raw, "draft") is True,
        "head_sha": dig(raw, "head", "sha"),
        "head_ref": dig(raw, "head", "ref"),
        "head_repository_id": dig(raw, "head", "repo", "id"),
        "base_ref": dig(raw, "base", "ref"),
        "base_repository_id": dig(raw, "base", "repo", "id"),
        "author": dig(raw, "user", "login"),
    }
    return _record(PullRequest, fields)


def artifact_of(raw: object) -> Artifact:
    """An artifact."""
    fields = {
        "id": dig(raw, "id"),
        "name": dig(raw, "name"),
        "size_bytes": dig(raw, "size_in_bytes"),
        "expired": dig(raw, "expired"),
        "run": dig(raw, "workflow_run", "id"),
    }
    return _record(Artifact, fields)


def comment_of(raw: object) -> Comment:
    """A comment; one without text has an empty body."""
    fields = {
        "id": dig(raw, "id"),
        "node": dig(raw, "node_id") or "",
        "author": dig(raw, "user", "login"),
        "body": dig(raw, "body") or "",
        "created": moment(dig(raw, "created_at")),
    }
    return _record(Comment, fields)


def status_of(raw: object) -> Status:
    """A commit status."""
    state = dig(raw, "state")
    fields = {
        "context": dig(raw, "context"),
        "state": State(state) if isinstance(state, str) and state in set(State) else state,
        "description": dig(raw, "description") or "",
        "url": dig(raw, "target_url") or "",
        "creator": dig(raw, "creator", "login"),
    }
    return _record(Status, fields)


def text_of(raw: object, *path: str) -> str:
    """A text that has to be there."""
    value = dig(raw, *path)
    if not isinstance(value, str):
        raise GitHubError(f"GitHub's answer has no {'.'.join(path)}")
    return value


def number_of(raw: object, *path: str) -> int:
    """A whole number that has to be there."""
    value = dig(raw, *path)
    if not isinstance(value, int) or isinstance(value, bool):
        raise GitHubError(f"GitHub's answer has no {'.'.join(path)}")
    return value


def _record(record: type[R], fields: Mapping[str, Any]) -> R:
    try:
        return record.model_validate(fields)
    except ValidationError as error:
        places = sorted({str(each["loc"][0]) for each in error.errors() if each["loc"]})
        name = record.__name__
        raise GitHubError(f"GitHub's answer is no {name}: its {', '.join(places)} cannot be used") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFacts:
    """A job of a run's newest attempt, with its conclusion, or its status while it runs.

    Its name is as the workflow file that ran has it: a pull request's own words.
    """

    name: str
    state: str


def job_times(github: GitHub, attempt: Attempt) -> tuple[JobTime, ...]:
    """When the jobs of an attempt began and ended; nothing where it is not the run's newest.

    Labels and times are GitHub's own, whatever the jobs did; a job that was skipped, or waits, is none.
    """
    request = github.request("GET", f"/actions/runs/{attempt.run}/jobs", query={"filter": "latest"})
    found = []
    for job in github.transport.pages(request, "jobs"):
        started, labels = moment(dig(job, "started_at")), dig(job, "labels")
        ran = dig(job, "status") in {"completed", "in_progress"} and dig(job, "conclusion") != "skipped"
        own = dig(job, "run_attempt") == attempt.number
        if ran and own and started is not None and isinstance(labels, list):
            names = tuple(each for each in labels if isinstance(each, str))
            found.append(JobTime(labels=names, started=started, ended=moment(dig(job, "completed_at"))))
    return tuple(found)


def jobs(github: GitHub, run: int) -> tuple[JobFacts, ...]:
    """The jobs of a run's newest attempt."""
    request = github.request("GET", f"/actions/runs/{run}/jobs", query={"filter": "latest"})
    found = github.transport.pages(request, "jobs")
    return tuple(
        JobFacts(name=str(dig(job, "name")), state=str(dig(job, "conclusion") or dig(job, "status"))) for job in found
    )


def read_file(github: GitHub, path: str, ref: str) -> bytes | None:
    """A file of a commit or branch, of at most 1 MB (more GitHub does not put into its answer); None for none."""
    try:
        raw = github.transport.json(github.request("GET", f"/contents/{quote(path)}", query={"ref": ref}))
    except NotFoundError:
        return None
    content = dig(raw, "content")
    if dig(raw, "type") != "file" or dig(raw, "encoding") != "base64" or not isinstance(content, str):
        raise GitHubError(f"GitHub did not give the content of {path}", hint="It has to be a file of at most 1 MB.")
    try:
        return b64decode(content)
    except ValueError as error:
        raise GitHubError(f"GitHub's answer for {path} is no base64") from error


def list_folder(github: GitHub, path: str, ref: str) -> tuple[str, ...]:
    """The names of what is in a folder of a commit or branch, sorted; none where there is no such folder."""
    try:
        raw = github.transport.json(github.request("GET", f"/contents/{quote(path)}", query={"ref": ref}))
    except NotFoundError:
        return ()
    names = [dig(each, "name") for each in raw] if isinstance(raw, list) else []
    return tuple(sorted(name for name in names if isinstance(name, str)))


def tip_of(github: GitHub, branch: str) -> Sha | None:
    """The newest commit of a branch; None where there is none of that name."""
    try:
        raw = github.ask("GET", f"/git/ref/heads/{quote(branch)}")
    except NotFoundError:
        return None
    return text_of(raw, "object", "sha")


_HEADS = """query($owner: String!, $name: String!) {
  repository(owner: $owner, name: $name) {
    pullRequests(states: OPEN, first: 100, orderBy: {field: UPDATED_AT, direction: DESC}) {
      nodes {
        number baseRefName headRefOid
        commits(last: 1) { nodes { commit { oid status { contexts { context description } } } } }
      }
    }
  }
}"""


def open_heads(github: GitHub) -> tuple[OpenHead, ...]:
    """The heads of the hundred pull requests that changed last, in one request."""
    owner, _, name = github.repository.partition("/")
    body = {"query": _HEADS, "variables": {"owner": owner, "name": name}}
    raw = github.transport.json(Request(verb="POST", path=GRAPHQL, body=body))
    nodes = dig(raw, "data", "repository", "pullRequests", "nodes")
    if not isinstance(nodes, list):
        raise GitHubError("GitHub does not list the open pull requests")
    return tuple(found for each in nodes if (found := _open_head(each)) is not None)


def _open_head(raw: object) -> OpenHead | None:
    """A head; None where its newest commit is not the one that GitHub shows with it: it moves right now."""
    number, sha, base = dig(raw, "number"), dig(raw, "headRefOid"), dig(raw, "baseRefName")
    commits = dig(raw, "commits", "nodes")
    commit = dig(commits[-1], "commit") if isinstance(commits, list) and commits else None
    if not (isinstance(number, int) and isinstance(sha, str) and isinstance(base, str)) or dig(commit, "oid") != sha:
        return None
    contexts = dig(commit, "status", "contexts")
    listed = contexts if isinstance(contexts, list) else []
    descriptions = {str(dig(each, "context")): str(dig(each, "description") or "") for each in listed}
    return _record(OpenHead, {"number": number, "sha": sha, "base_ref": base, "contexts": descriptions})


# Who asks for a release, as GitHub says.

_THREAD = re.compile(r"/issues/([1-9][0-9]{0,17})\Z")
_LOGIN = re.compile(r"[A-Za-z0-9_-]{1,100}(\[bot\])?")


def read_comment(github: GitHub, comment: int) -> CommentFacts | None:
    """A comment with its thread and author; None where it is gone, or on no issue."""
    try:
        raw = github.transport.json(github.request("GET", f"/issues/comments/{comment}"))
    except NotFoundError:
        return None
    read, thread = comment_of(raw), _THREAD.search(text_of(raw, "issue_url"))
    if thread is None:
        return None
    return CommentFacts(number=int(thread[1]), person=dig(raw, "user", "type") == "User", **dict(read))


def pusher_of(github: GitHub, tag: str) -> Login | None:
    """Who pushed a tag to where it is now, or published a release of it; None where that started no run.

    The actor of a run is GitHub's word, whatever the workflow file of the tagged commit says. Of a tag that was moved
    the runs on other commits do not count: somebody else may have pushed those.
    """
    peeled = github.request("GET", f"/commits/tags/{quote(tag, safe='')}")
    try:
        commit = text_of(github.transport.json(peeled), "sha")
    except (NotFoundError, InvalidRequestError):
        return None
    found: list[object] = []
    for event in ("push", "release"):
        query: dict[str, str | int] = {"branch": tag, "event": event, "head_sha": commit}
        found += github.transport.pages(github.request("GET", "/actions/runs", query=query), "workflow_runs")
    newest = max(found, key=lambda raw: number_of(raw, "id"), default=None)
    login = dig(newest, "actor", "login")
    return login if isinstance(login, str) and _LOGIN.fullmatch(login) else None
