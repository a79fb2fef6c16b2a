"""The runner's side of a job: the only reader of INPUT_* and GITHUB_* variables, the only writer of the runner's files.

Sources: docs.github.com "Variables reference" and "Workflow commands for GitHub Actions".
"""

import re
import sys
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from mlbot.errors import UsageError
from mlbot.events.event import Event, NoEvent, NotAnEvent, parse_event
from mlbot.events.github import GHE, GITHUB, Attempt, Login, RepositoryName, parse_remote, runs_on
from mlbot.lib.templates import sentence
from mlbot.lib.untrusted_json import HostileJsonError, load
from mlbot.protocol.operations import Annotate, Level

API_URL = "https://api.github.com"
API_VERSION = "2022-11-28"  # of what GitHub's REST API answers; without it the newest may come
SUMMARY_LIMIT = 1_048_576  # bytes a step; over it the runner drops the whole summary
ANNOTATIONS = 10  # of each level a step; the runner drops those beyond without a word
_PAYLOAD_LIMIT = 26_214_400  # GitHub's webhook payloads end at 25 MB
_PAYLOAD_DEPTH = 64
_NUMBER = re.compile(r"[1-9][0-9]{0,17}")
_CUT = "\n\n_The rest is left out: a job summary holds 1 MiB._\n"
_WORKFLOW_REF = re.compile(r"[^/]+/[^/]+/(?P<path>\.github/workflows/[^@]+)@.+")


@dataclass(frozen=True, kw_only=True)
class Job:
    """What the runner says of the job that this process is in."""

    repository: str
    event_name: str
    event_path: Path | None
    run: Attempt
    api_url: str = API_URL
    server_url: str = "https://github.com"
    token: str | None = field(default=None, repr=False)
    speaker: Login | None = None
    """Who the bot writes as in this repository, where that is an App."""
    workflow_path: str | None = None
    ref: str = ""
    sha: str = ""
    workspace: Path = Path()

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Job":
        """The job by its environment."""
        repository = environment.get("GITHUB_REPOSITORY", "")
        run, attempt = environment.get("GITHUB_RUN_ID", ""), environment.get("GITHUB_RUN_ATTEMPT", "1")
        if not (re.fullmatch(r"[\w.-]+/[\w.-]+", repository) and _NUMBER.fullmatch(run) and _NUMBER.fullmatch(attempt)):
            raise UsageError(
                "this is no job of GitHub Actions: GITHUB_REPOSITORY and GITHUB_RUN_ID are not set",
                hint="On a laptop use `mlbot run`.",
            )
        if not runs_on(environment.get("GITHUB_SERVER_URL") or cls.server_url):
            raise refuse_server(environment["GITHUB_SERVER_URL"])
        event_path = environment.get("GITHUB_EVENT_PATH")
        ref = _WORKFLOW_REF.fullmatch(environment.get("GITHUB_WORKFLOW_REF", ""))
        return cls(
            repository=repository,
            event_name=environment.get("GITHUB_EVENT_NAME", ""),
            event_path=Path(event_path) if event_path else None,
            run=Attempt(run=int(run), number=int(attempt)),
            api_url=environment.get("GITHUB_API_URL") or cls.api_url,
            server_url=environment.get("GITHUB_SERVER_URL") or cls.server_url,
            token=environment.get("INPUT_TOKEN") or environment.get("GITHUB_TOKEN") or None,
            speaker=environment.get("MLBOT_CI_SPEAKER") or None,
            workflow_path=ref["path"] if ref else None,
            ref=environment.get("GITHUB_REF", ""),
            sha=environment.get("GITHUB_SHA", ""),
            workspace=Path(environment.get("GITHUB_WORKSPACE", ".")),
        )

    @property
    def run_url(self) -> str:
        """Where this run can be read."""
        return f"{self.server_url}/{self.repository}/actions/runs/{self.run.run}"

    @property
    def clone_url(self) -> str:
        """Where the repository's git is."""
        return f"{self.server_url}/{self.repository}.git"

    def required_token(self) -> str:
        """The token; raises `UsageError` when the step was given none."""
        if self.token is None:
            raise UsageError("there is no token", hint="Give the step `env: GITHUB_TOKEN: ${{ github.token }}`.")
        return self.token

    def event(self) -> Event | NotAnEvent:
        """What happened; raises `UsageError` when the payload cannot be read."""
        if self.event_path is None or not self.event_path.is_file():
            raise UsageError("there is no event payload: GITHUB_EVENT_PATH names no file")
        with self.event_path.open("rb") as file:
            raw = file.read(_PAYLOAD_LIMIT + 1)
        try:
            payload = load(raw, "The event's payload", most_bytes=_PAYLOAD_LIMIT, most_depth=_PAYLOAD_DEPTH)
        except HostileJsonError as error:
            return NotAnEvent(reason=NoEvent.MALFORMED, detail=f"{error.what}.")
        if not isinstance(payload, Mapping):
            return NotAnEvent(reason=NoEvent.MALFORMED, detail="The event's payload is no object.")
        return parse_event(self.event_name, payload)


def refuse_server(server_url: str) -> UsageError:
    """The error for a server that mlbot's workflows do not run on."""
    what = sentence("doctor", "other-server/what", server=server_url)
    return UsageError(what, hint=sentence("doctor", "other-server/hint"))


def forget_tokens(environment: MutableMapping[str, str]) -> None:
    """Take the tokens out of an environment once they are read, so that no child and no user's metric inherits one."""
    for name in ("INPUT_TOKEN", "GITHUB_TOKEN", "GH_TOKEN", "ACTIONS_RUNTIME_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"):
        environment.pop(name, None)


@dataclass(kw_only=True)
class Runner:
    """Where a step's summary and annotations go. A step's outputs are a verb's result, which its shell appends."""

    summary: Path | None = None
    stream: TextIO = field(default_factory=lambda: sys.stdout)

    @classmethod
    def of(cls, environment: Mapping[str, str], stream: TextIO | None = None) -> "Runner":
        """The runner by its environment."""
        summary = environment.get("GITHUB_STEP_SUMMARY")
        return cls(summary=Path(summary) if summary else None, stream=stream or sys.stdout)

    def add_summary(self, text: str) -> None:
        """Add Markdown to the job's summary, cut at a line to what still fits."""
        if self.summary is None:
            return
        left = SUMMARY_LIMIT - (self.summary.stat().st_size if self.summary.exists() else 0)
        with self.summary.open("ab") as file:
            file.write(_fitting(text if text.endswith("\n") else f"{text}\n", left))

    def annotate(self, annotations: Sequence[Annotate]) -> None:
        """Show annotations; of those beyond GitHub's limit the last one that is shown tells the number."""
        for level in Level:
            of_level = [each for each in annotations if each.level is level]
            shown = of_level if len(of_level) <= ANNOTATIONS else of_level[: ANNOTATIONS - 1]
            for each in shown:
                self._command(level.value, each.message, {"title": each.title, **_place(each)})
            if more := len(of_level) - len(shown):
                self._command(level.value, f"{more} more are in the report.", {"title": f"and {more} more"})

    def say(self, sentence: str) -> None:
        """Write a line to the log that the runner takes for no command."""
        self.stream.write(f"{safe_line(sentence)}\n")
        self.stream.flush()

    def _command(self, name: str, message: str, properties: Mapping[str, str]) -> None:
        given = ",".join(f"{key}={_property(value)}" for key, value in properties.items() if value)
        self.stream.write(f"::{name}{' ' if given else ''}{given}::{_data(message)}\n")
        self.stream.flush()


def safe_line(text: str) -> str:
    """A line that is no workflow command and has no control characters, whoever wrote it."""
    line = "".join(char if char.isprintable() else " " for char in text).strip()
    return re.sub(r"^(::|##\[)", lambda found: f" {found.group()[0]} {found.group()[1:]}", line).strip()


def _fitting(text: str, left: int) -> bytes:
    raw, cut = text.encode("utf-8", "replace"), _CUT.encode()
    if len(raw) <= left:
        return raw
    whole = raw[: max(0, left - len(cut))].rpartition(b"\n")[0]
    return whole + cut if left >= len(cut) else b""


def _place(annotation: Annotate) -> dict[str, str]:
    line = str(annotation.line) if annotation.line else ""
    return {"file": annotation.file, "line": line}


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


# Which repository on GitHub is meant, and with which token: by a job's environment, or by the remote.

TOKENS = ("MLBOT_TOKEN", "INPUT_TOKEN", "GITHUB_TOKEN", "GH_TOKEN")
"""Variables that may hold a token, the first one that is set counts."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Workplace:
    """A repository on GitHub and how to talk to it; no token where there is none, or it must not go to this server."""

    repository: RepositoryName
    api_url: str
    server_url: str
    token: str | None = field(default=None, repr=False)

    @property
    def clone_url(self) -> str:
        """Where its git is."""
        return f"{self.server_url}/{self.repository}.git"

    def required_token(self) -> str:
        """The token; raises `UsageError` when there is none for this server."""
        if self.token is None:
            raise UsageError(
                f"there is no token for {self.server_url}",
                hint="Set GITHUB_TOKEN; in GitHub Actions `env: GITHUB_TOKEN: ${{ github.token }}`. On a server of "
                "your own set GITHUB_API_URL too.",
            )
        return self.token


def locate(environment: Mapping[str, str], remote: str | None) -> Workplace | None:
    """The repository of a job, or of a folder by its remote's address; None where neither names one."""
    named = parse_remote(remote) if remote else None
    repository = environment.get("GITHUB_REPOSITORY") or (named.repository if named else "")
    if not repository:
        return None
    server = environment.get("GITHUB_SERVER_URL") or (named.server if named else f"https://{GITHUB}")
    api = environment.get("GITHUB_API_URL")
    host = server.partition("://")[2]
    public = host == GITHUB
    # A remote's address comes with a clone, from anybody: a token goes to it only where its owner named the server.
    token = next(filter(None, map(environment.get, TOKENS)), None) if public or api else None
    url = api or (API_URL if public else f"https://api.{host}" if host.endswith(GHE) else f"{server}/api/v3")
    return Workplace(repository=repository, api_url=url, server_url=server.rstrip("/"), token=token)
