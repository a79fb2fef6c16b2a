"""`mlbot comment`: posts a Markdown file with its local images as a comment that stays current."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from mlbot.console import Console
from mlbot.errors import Exit, NotEvaluatedError, RefusedError, UsageError
from mlbot.events.event import CommentEvent, Event, NotAnEvent, PullRequestEvent, WorkflowRunEvent
from mlbot.events.github import Id
from mlbot.git.ledger import ChartsBranch
from mlbot.git.remote import Remote, remote_url
from mlbot.git.repository import Repository
from mlbot.github.api import GitHub
from mlbot.github.comments import open_pull_requests, upsert, upsert_on_commit
from mlbot.github.job import Job, Runner
from mlbot.github.locate import Workplace, locate
from mlbot.lib.record import Sha
from mlbot.protocol.marker import read_stamp
from mlbot.protocol.operations import UpsertComment
from mlbot.publish.markdown_comment import (
    MAX_IMAGE,
    MAX_IMAGES,
    Destination,
    Kind,
    Target,
    body_of,
    cml_arguments,
    image_suffix,
    label_marker,
    local_images,
    parse_target,
    with_addresses,
)

STANDARD_INPUT = "-"

_MAX_TEXT = 4 * 1024 * 1024

_BLOB = "images"


@dataclass(frozen=True, kw_only=True, slots=True)
class Posting:
    """What a person asks for.

    Attributes:
        file: a Markdown file, or `-` for standard input.
        target: as `parse_target` reads it.
        title: a label; comments with different ones do not replace each other.
        via_cml: whether to hand the file to the `cml` command.
    """

    file: str
    target: str = "auto"
    title: str = ""
    via_cml: bool = False


def comment(directory: Path, posting: Posting, environment: Mapping[str, str], console: Console) -> Exit:
    """Post a file, or bring the comment that has it up to date.

    Raises:
        UsageError: the file or an image of it cannot be used, or there is nowhere to post it.
        RefusedError: the token may not write; the text is in the job's summary then.
        NotEvaluatedError: GitHub or CML did not do it.
    """
    target = parse_target(posting.target)
    text = _read(directory, posting.file)
    if posting.via_cml:
        return _via_cml(directory, posting, target, text)
    repository = Repository.discover(directory)
    place = locate(environment, remote_url(repository))
    if place is None:
        hint = "Add it: git remote add origin https://github.com/OWNER/NAME.git. For GitLab and Bitbucket: --via cml"
        raise UsageError("this folder has no remote on GitHub", where=str(repository.root), hint=hint)
    images = _images(directory / posting.file if posting.file != STANDARD_INPUT else directory / "-", text)
    poster = Poster(
        place=place,
        github=GitHub.connect(place.repository, place.required_token(), api_url=place.api_url, say=console.say),
        repository=repository,
        job=Job.of(environment) if environment.get("GITHUB_ACTIONS") == "true" else None,
    )
    try:
        console.result(poster.post(text, images, target, posting.title))
    except RefusedError:
        Runner.of(environment, console.err).add_summary(text)
        raise
    return Exit.OK


def _read(directory: Path, file: str) -> str:
    try:
        raw = sys.stdin.buffer.read(_MAX_TEXT + 1) if file == STANDARD_INPUT else (directory / file).read_bytes()
    except OSError as error:
        raise UsageError(f"it cannot be read: {error.strerror}", where=file) from error
    if len(raw) > _MAX_TEXT:
        raise UsageError(f"it is longer than {_MAX_TEXT:,} bytes", where=file, hint="Link to what is long.")
    text = raw.decode("utf-8-sig", "replace").replace("\0", "")
    if not text.strip():
        raise UsageError("there is nothing in it to post", where=file)
    return text


def _images(file: Path, text: str) -> dict[str, bytes]:
    """The local images of a text by the path it gives, relative to its file.

    Raises:
        UsageError: one is not there, is too large, or is no image.
    """
    found: dict[str, bytes] = {}
    problems: list[str] = []
    for path in dict.fromkeys(link.path for link in local_images(text)):
        image = file.parent / path
        if not image.is_file():
            problems.append(f"{path} is not there")
        elif image.stat().st_size > MAX_IMAGE:
            problems.append(f"{path} is larger than {MAX_IMAGE:,} bytes")
        elif image_suffix(content := image.read_bytes()) is None:
            problems.append(f"{path} is no PNG, JPEG, GIF, WebP or SVG")
        else:
            found[path] = content
    if sum(map(len, found.values())) > MAX_IMAGES:
        problems.append(f"together they are larger than {MAX_IMAGES:,} bytes")
    if problems:
        raise UsageError(
            f"its images cannot be shown: {'; '.join(problems)}", where=str(file), hint="Nothing is posted."
        )
    return found


@dataclass(kw_only=True)
class Poster:
    """Posts to GitHub.

    Attributes:
        place: where GitHub is.
        github: the API.
        repository: the folder's.
        job: the job that this process is in; None outside of GitHub Actions.
    """

    place: Workplace
    github: GitHub
    repository: Repository
    job: Job | None = None

    def post(self, text: str, images: Mapping[str, bytes], target: Target, title: str) -> str:
        """Post a text; where it is now and what became of it."""
        event = self.job.event() if self.job else None
        destination = self.destination(target, event)
        shown = with_addresses(text, local_images(text), self._addresses(images))
        head = event.head_sha if isinstance(event, PullRequestEvent) else None
        attempt = self.job.run if self.job else None
        more = f"[the run's summary]({self.job.run_url})" if self.job else "the file"
        body = body_of(shown, title, attempt=attempt, head=head, more=more)
        own, pages = label_marker(title), f"{self.place.server_url}/{self.place.repository}"
        if destination.sha is not None:
            done = upsert_on_commit(self.github, destination.sha, own, body)
            return f"{pages}/commit/{destination.sha} ({done})"
        number = destination.number or 0
        done = upsert(self.github, UpsertComment(number=number, marker=own, body=body, stamp=read_stamp(body, own)))
        return f"{pages}/issues/{number} ({done})"

    def destination(self, target: Target, event: Event | NotAnEvent | None) -> Destination:
        """The number or commit that a target stands for.

        Raises:
            UsageError: it stands for none, or for several.
        """
        if target.number is not None:
            return Destination(number=target.number)
        if target.kind is Kind.ISSUE:
            return Destination(number=_issue_of(event))
        if target.kind is Kind.COMMIT:
            return Destination(sha=self._commit(target.commit, event))
        if (number := _pull_request_of(event)) is not None:
            return Destination(number=number)
        sha = self._commit(None, event)
        found = open_pull_requests(self.github, sha)
        if len(found) == 1:
            return Destination(number=found[0].number)
        if target.kind is Kind.AUTO and not found:
            return Destination(sha=sha)
        several = f"the commit {sha[:10]} is in {len(found)} open pull requests" if found else None
        what = several or f"GitHub knows no open pull request with the commit {sha[:10]}"
        raise UsageError(what, where="--target", hint="Name it: --target pr/NUMBER; or --target commit.")

    def _commit(self, rev: str | None, event: Event | NotAnEvent | None) -> Sha:
        if rev is not None:
            return self.repository.resolve(rev)
        if isinstance(event, PullRequestEvent):
            return event.head_sha  # GITHUB_SHA is the merge with the base, which nobody looks at
        if isinstance(event, WorkflowRunEvent):
            return event.run.head_sha
        return self.repository.resolve("HEAD")

    def _addresses(self, images: Mapping[str, bytes]) -> dict[str, str]:
        """The address of each image after it was pushed, on a branch of nothing else, under the name of its content."""
        if not images:
            return {}
        names = {path: f"{_BLOB}/{sha256(raw).hexdigest()}{image_suffix(raw)}" for path, raw in images.items()}
        branch = ChartsBranch.at(Remote(url=self.place.clone_url, token=self.place.token))
        sha = branch.push({names[path]: raw for path, raw in images.items()}, int(time.time()))
        pages = f"{self.place.server_url}/{self.place.repository}"
        return {path: f"{pages}/blob/{sha}/{name}?raw=true" for path, name in names.items()}


def _pull_request_of(event: Event | NotAnEvent | None) -> Id | None:
    if isinstance(event, CommentEvent):
        return event.number if event.is_pull_request else None
    return event.number if isinstance(event, PullRequestEvent) else None


def _issue_of(event: Event | NotAnEvent | None) -> Id:
    if isinstance(event, CommentEvent | PullRequestEvent):
        return event.number
    raise UsageError("nothing says which issue", where="--target", hint="Name it: --target issue/NUMBER.")


def _via_cml(directory: Path, posting: Posting, target: Target, text: str) -> Exit:
    """Hand the text to the user's CML, which also knows GitLab and Bitbucket."""
    program = shutil.which("cml")
    if program is None:
        raise UsageError(
            "the command cml is not there", where="--via cml", hint="Install it: npm install -g @dvcorg/cml"
        )
    if target.kind is Kind.ISSUE and target.number is None:
        raise UsageError("CML has to be told which issue", where="--target", hint="Name it: --target issue/NUMBER.")
    images = bool(_images(directory / posting.file, text))

    def run(file: str) -> Exit:
        return _run_cml([program, *cml_arguments(file, posting.target, posting.title, images=images)], directory)

    if posting.file != STANDARD_INPUT:
        return run(posting.file)
    # In the folder itself, for the paths of images are relative to the file.
    with tempfile.NamedTemporaryFile("w", dir=directory, prefix=".mlbot-", suffix=".md", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        return run(file.name)


def _run_cml(command: list[str], directory: Path) -> Exit:
    """Run CML with the user's own variables; what it would tell its makers stays off unless those say otherwise."""
    environment = {"ITERATIVE_DO_NOT_TRACK": "1", **os.environ}
    done = subprocess.run(command, cwd=directory, env=environment, check=False)
    if done.returncode != 0:
        raise NotEvaluatedError(f"cml ended with exit code {done.returncode}", where=" ".join(command[1:3]))
    return Exit.OK
