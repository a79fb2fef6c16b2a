"""Which repository a git remote's address names."""

import re
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal, get_args
from urllib.parse import urlsplit

from pydantic import Field, StringConstraints, TypeAdapter, ValidationError

from mlbot.lib.record import Count, Record, Sha

Id = Annotated[int, Field(gt=0)]  # a number that GitHub gave: of a run, a repository, a comment, an artifact
Text = Annotated[str, StringConstraints(max_length=1000)]  # a short text from outside; escaped where it is shown
RefName = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"^[^\x00-\x20\x7f~^:?*\[\\]+$")]
"""A branch's or tag's short name, without what git allows in no ref (git-check-ref-format)."""

RepositoryName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,100}/[A-Za-z0-9_.-]{1,100}$")]
"""`owner/name`."""

Login = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,100}(\[bot\])?$")]
"""Who acts on GitHub; apps end in `[bot]`."""

_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")

Moment = Annotated[str, StringConstraints(pattern=f"^{_MOMENT.pattern}$")]
"""A time as GitHub writes it, by its own clock: UTC, to the second."""

WebUrl = Annotated[str, StringConstraints(max_length=1000, pattern=r"^https?://[A-Za-z0-9._~:/?#@!&=+,;%-]+$")]


class Attempt(Record):
    """One attempt of a workflow run; `order` says which of two is the newer."""

    run: Id
    number: Annotated[int, Field(gt=0)] = 1

    @property
    def order(self) -> tuple[int, int]:
        """Sorts older before newer: GitHub counts runs up, and a run's attempts within it."""
        return self.run, self.number

    def __str__(self) -> str:
        """`123.1`, as markers and status links carry it."""
        return f"{self.run}.{self.number}"


class JobTime(Record):
    """How long a job ran, as GitHub's clock has it."""

    labels: tuple[str, ...]  # that the workflow file asked for
    started: Moment
    ended: Moment | None = None  # None: it runs


Label = Annotated[str, StringConstraints(min_length=1, max_length=256, pattern=r"^[^\x00-\x1f\x7f]+$")]


class RunnerTime(Record):
    """What an attempt took of runners with the same labels."""

    labels: Annotated[tuple[Label, ...], Field(min_length=1, max_length=20)]
    jobs: Count
    seconds: Count
    minutes: Count  # each job rounded up to a whole one, as GitHub bills it

    @property
    def name(self) -> str:
        """The labels as they are written."""
        return ", ".join(self.labels)

    def plus(self, other: "RunnerTime") -> "RunnerTime":
        """This and more of the same labels."""
        facts = {name: getattr(self, name) + getattr(other, name) for name in ("jobs", "seconds", "minutes")}
        return RunnerTime(labels=self.labels, **facts)


def runner_times(jobs: Iterable[JobTime], now: Moment) -> tuple[RunnerTime, ...]:
    """The times of jobs by the labels of their runners; of those that run still, up to now."""
    found: dict[tuple[str, ...], list[int]] = {}
    for each in jobs:
        length = datetime.fromisoformat(each.ended or now) - datetime.fromisoformat(each.started)
        labels = tuple(label[:256] for label in each.labels[:20] if re.fullmatch(r"[^\x00-\x1f\x7f]+", label))
        if labels and length.total_seconds() > 0:  # a job that was skipped has no length
            found.setdefault(labels, []).append(int(length.total_seconds()))
    return tuple(
        RunnerTime(labels=labels, jobs=len(row), seconds=sum(row), minutes=sum(-(-each // 60) for each in row))
        for labels, row in sorted(found.items())
    )


def added(times: Iterable[RunnerTime]) -> tuple[RunnerTime, ...]:
    """All times together, by the labels."""
    found: dict[tuple[str, ...], RunnerTime] = {}
    for each in times:
        before = found.get(each.labels)
        found[each.labels] = each if before is None else before.plus(each)
    return tuple(found[labels] for labels in sorted(found))


class Conclusion(StrEnum):
    """How a run ended, in GitHub's words."""

    SUCCESS = "success"
    FAILURE = "failure"
    NEUTRAL = "neutral"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"
    TIMED_OUT = "timed_out"
    ACTION_REQUIRED = "action_required"
    STALE = "stale"
    STARTUP_FAILURE = "startup_failure"


class Run(Record):
    """A workflow run."""

    id: Id
    attempt: Annotated[int, Field(gt=0)] = 1
    repository_id: Id
    path: Text  # of the workflow file, without the `@ref` that GitHub may append
    event: Text
    head_sha: Sha
    head_branch: Text | None = None
    head_repository_id: Id | None = None  # None when the fork is gone
    head_owner: Login | None = None
    completed: bool
    conclusion: Conclusion | None = None
    url: WebUrl
    created: Moment | None = None

    @property
    def this_attempt(self) -> Attempt:
        """The run's attempt as an order."""
        return Attempt(run=self.id, number=self.attempt)


class PullRequest(Record):
    """A pull request as it is now."""

    number: Id
    open: bool
    draft: bool = False
    head_sha: Sha
    head_ref: RefName
    head_repository_id: Id | None = None  # None when the fork is gone
    base_ref: RefName
    base_repository_id: Id
    author: Login | None = None

    @property
    def fork(self) -> bool:
        """Whether head is in another repository."""
        return self.head_repository_id != self.base_repository_id


class Artifact(Record):
    """An uploaded archive."""

    id: Id
    name: Text
    size_bytes: Count
    expired: bool = False
    run: Id | None = None


class Edits(StrEnum):
    """Whether a comment is as its author wrote it at first; who may write to the repository may edit it too."""

    NONE = "none"
    SOME = "some"
    UNKNOWN = "unknown"  # until GraphQL was asked, and where it did not say


class Comment(Record):
    """A comment on an issue or pull request."""

    id: Id
    node: str = ""  # what GraphQL calls it
    author: Login | None = None  # None for an account that is gone
    body: str
    edits: Edits = Edits.UNKNOWN
    editor: Login | None = None  # who edited it last, where GraphQL said so; an App's with `[bot]`, as everywhere
    created: Moment | None = None


class State(StrEnum):
    """A commit status' state."""

    PENDING = "pending"
    SUCCESS = "success"
    FAILURE = "failure"
    ERROR = "error"


class Status(Record):
    """A commit status."""

    context: str
    state: State
    description: str = ""
    url: str = ""
    creator: Login | None = None


class Pushed(Record):
    """A move of a branch, as GitHub recorded it: by a push, a merge or a queue."""

    before: Sha  # zeros where the branch was made by it
    after: Sha


class OpenHead(Record):
    """The head of an open pull request, and the statuses that it has, by context, whoever set them."""

    number: Id
    sha: Sha
    base_ref: str
    contexts: dict[str, str]  # what each says


def moment(value: object) -> Moment | None:
    """A time from GitHub's JSON; None for whatever is none."""
    if not isinstance(value, str) or not _MOMENT.fullmatch(value):
        return None
    try:
        datetime.fromisoformat(value)
    except ValueError:  # the 30th of February
        return None
    return value


def seconds_between(earlier: Moment, later: Moment) -> float:
    """How long from one time to another; negative when they are the other way round."""
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


Role = Literal["none", "read", "triage", "write", "maintain", "admin"]
"""A collaborator's role, the least first; custom roles are folded into the one they are based on."""

_ROLES: tuple[Role, ...] = get_args(Role)


def is_enough(role: Role, least: Role) -> bool:
    """Whether somebody with a role may do what another one is the least for."""
    return _ROLES.index(role) >= _ROLES.index(least)


_URL = re.compile(r"(?P<scheme>https?|ssh|git)://(?:[^@/]*@)?(?P<host>[^/]+)/(?P<path>.+)")

_SCP = re.compile(r"(?:[^@/]+@)?(?P<host>[A-Za-z0-9.-]+):(?!//)(?P<path>.+)")

_NAME: TypeAdapter[str] = TypeAdapter(RepositoryName)

GITHUB = "github.com"


class RemoteName(Record):
    """A repository on a forge."""

    host: str
    repository: RepositoryName
    server: str


def parse_remote(url: str) -> RemoteName | None:
    """The repository that `git remote get-url` names; None for a folder, or what is no `owner/name`."""
    found = _URL.fullmatch(url) or _SCP.fullmatch(url)
    if found is None:
        return None
    path = found["path"].strip("/").removesuffix(".git")
    try:
        name = _NAME.validate_python(path)
    except ValidationError:
        return None
    scheme = found.groupdict().get("scheme")
    web = scheme in {"http", "https"}
    host = found["host"] if web else found["host"].partition(":")[0]
    return RemoteName(host=host.lower(), repository=name, server=f"{scheme if web else 'https'}://{host.lower()}")


GHE = ".ghe.com"  # what the hosts of GitHub Enterprise Cloud with data residency end in
_HERE = {"127.0.0.1", "localhost", "::1"}  # servers of tests


def runs_on(server_url: str) -> bool:
    """Whether mlbot's workflows can run on a server: github.com, or GHE.com."""
    parts = urlsplit(server_url)
    host = parts.hostname or ""
    return (parts.scheme == "https" and (host == GITHUB or host.endswith(GHE))) or host in _HERE


class EnvironmentFacts(Record):
    """What GitHub says of one of its environments."""

    branches: tuple[str, ...] | None = None  # the patterns of the refs that may deploy to it; None where every ref may
    reviewers: bool = False
    timer: bool = False  # whether its jobs wait for some time
    secrets: tuple[str, ...] | None = None  # the names of its secrets; None where the token may not ask


class BlockingRule(Record):
    """A rule that keeps a ref from being written that mlbot writes."""

    ref: str
    rule: str
    ruleset: Id | None = None  # None for the older branch protection


class PagesFacts(Record):
    """GitHub Pages of a repository."""

    workflow: bool = False  # whether workflows bring the site; False where it is off, or a branch does
    public: bool | None = None  # whether anybody can see it


class Settings(Record):
    """What GitHub says of a repository; None where the token may not ask."""

    private: bool
    default_branch: str
    required: dict[str, dict[str, Id | None] | None] = Field(default_factory=dict)
    """The checks that the rules of the guarded branches require, by entry of `guard`: from which app, None for any."""
    merge_queue: bool | None = None
    actions_enabled: bool | None = None
    allowed_actions: Literal["all", "local_only", "selected"] | None = None
    sha_pinning: bool | None = None
    default_token: Literal["read", "write"] | None = None
    may_approve: bool | None = None
    runners: Count | None = None
    environments: dict[str, EnvironmentFacts] | None = None
    """GitHub's environments by name; asked for only where the config has some."""
    secrets: tuple[str, ...] | None = None  # of the repository itself; any branch's workflow reads them
    blocking: tuple[BlockingRule, ...] = ()
    no_rules: bool = False  # whether the plan has no rules for private repositories
    code_owners: bool | None = None  # whether the default branch's rules ask for the review of code owners
    issues: bool = True
    schedule: str | None = None
    """The state of the workflow that watches production, in GitHub's words; asked for only where there is one."""
    pages: PagesFacts | None = None  # asked for only where a workflow brings the dashboard there
    unseen: tuple[str, ...] = ()  # what the token may not ask


class CommentFacts(Comment):
    """A comment with where it is and whether a person wrote it."""

    number: Id
    person: bool
