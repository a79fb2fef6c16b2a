"""`mlbot comment`: a Markdown file with its local images as a comment that stays current."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from urllib.parse import unquote

from mlbot.console import Console
from mlbot.errors import Exit, NotEvaluatedError, RefusedError, UsageError
from mlbot.events.event import CommentEvent, Event, NotAnEvent, PullRequestEvent, WorkflowRunEvent
from mlbot.events.github import Attempt, Id, PullRequest
from mlbot.git.ledger import push_charts
from mlbot.git.remote import Remote, remote_url
from mlbot.git.repository import Repository
from mlbot.github.api import GitHub
from mlbot.github.comments import open_pull_requests, upsert, upsert_on_commit
from mlbot.github.job import Job, Runner, Workplace, locate
from mlbot.lib.record import Count, Record, Sha
from mlbot.protocol.marker import Stamp, marker, read_stamp, stamped
from mlbot.protocol.operations import COMMENT_LIMIT, UpsertComment

_TARGET = re.compile(r"(?P<kind>auto|pr|commit|issue)(?:/(?P<which>[^\s]+))?")

_NUMBER = re.compile(r"[1-9][0-9]{0,17}")

_FENCE = re.compile(r" {0,3}(?P<bar>`{3,}|~{3,})")


class Kind(StrEnum):
    """What a comment is on."""

    AUTO = "auto"  # the pull request, else the commit
    PULL_REQUEST = "pr"
    COMMIT = "commit"
    ISSUE = "issue"


class Target(Record):
    """Where a comment is to go, as a person says it."""

    kind: Kind = Kind.AUTO
    number: Id | None = None  # of the pull request or issue; None: the one that this is about
    commit: str | None = None  # a revision; None: the head


class Destination(Record):
    """Where a comment goes: an issue or pull request by its number, or a commit."""

    number: Id | None = None
    sha: Sha | None = None


def parse_target(text: str) -> Target:
    """Read `auto`, `pr`, `pr/12`, `commit`, `commit/REV`, `issue` or `issue/12`."""
    found = _TARGET.fullmatch(text.strip())
    kind, which = (Kind(found["kind"]), found["which"]) if found else (Kind.AUTO, None)
    numbered = kind in {Kind.PULL_REQUEST, Kind.ISSUE} and which is not None
    if found is None or (kind is Kind.AUTO and which) or (numbered and not _NUMBER.fullmatch(which or "")):
        raise UsageError(
            f"there is no target {text!r}",
            where="--target",
            hint="Write pr, commit or issue, or one of them with its number or SHA: pr/12, commit/1a2b3c4, issue/7.",
        )
    if numbered:
        return Target(kind=kind, number=int(which or ""))
    return Target(kind=kind, commit=which)


def label_marker(title: str) -> str:
    """The marker of a person's comment: comments of two titles do not replace each other."""
    return marker("any", title or "default", "comment")


def body_of(text: str, title: str, *, attempt: Attempt | None = None, head: Sha | None = None, more: str = "") -> str:
    """The comment, whole: the text, cut if it must be, and the hidden line by which it is found again.

    With attempt and head an older job never replaces a newer one's words; `more` says where the whole text is.
    """
    own = label_marker(title)
    last = stamped(own, Stamp(attempt=attempt, head=head)) if attempt and head else own
    return f"{_fitting(text.rstrip(), COMMENT_LIMIT - _length(last) - 2, more)}\n\n{last}"


def cml_arguments(file: str, target: str, title: str, *, images: bool) -> list[str]:
    """What CML's command is given to do the same where the forge is not GitHub.

    Left alone CML uploads local images to a public server of its makers, and writes the whole text anew by a parser
    that knows neither tables nor alerts. So images go to the project itself, and a text without any stays as it is.
    """
    given = [
        "--publish-native" if images else "--no-publish",
        *([f"--target={target}"] if target != Kind.AUTO else []),
        *([f"--watermark-title={title}"] if title else []),
    ]
    return ["comment", "update", *given, f"./{file}" if file.startswith("-") else file]


def _fitting(text: str, limit: int, more: str) -> str:
    """The text, or as many of its blocks from the top as fit, and a line that says so."""
    if _length(text) <= limit:
        return text
    where = f" The whole is in {more}." if more else ""
    note = f"\n\n_The rest is left out: a comment holds {COMMENT_LIMIT:,} characters.{where}_"
    left = limit - _length(note)
    fitting: list[str] = []
    for block in _blocks(text.splitlines()):
        cost = _length("\n".join(block)) + 2
        if cost > left:
            break
        fitting.append("\n".join(block))
        left -= cost
    return "\n\n".join(fitting) + note if fitting else _cut(text, limit - _length(note)) + note


def _blocks(lines: Sequence[str]) -> Iterator[list[str]]:
    """Paragraphs, tables, lists and fenced blocks: what stands between empty lines outside of fences."""
    block: list[str] = []
    bar = ""
    for line in lines:
        found = _FENCE.match(line)
        if found and not bar:
            bar = found[1]
        elif found and found[1].startswith(bar):
            bar = ""
        if line.strip() or bar:
            block.append(line)
        elif block:
            yield block
            block = []
    if block:
        yield block


def _cut(text: str, limit: int) -> str:
    """One huge block, cut at a line; a fence that is open is closed."""
    found = _FENCE.match(text)
    end = f"\n{found[1]}" if found else ""
    head = text.encode("utf-16-le")[: 2 * max(0, limit - _length(end))].decode("utf-16-le", "ignore")
    return (head.rpartition("\n")[0] or head) + end


def _length(text: str) -> int:
    """In UTF-16 units, the strictest way to count."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


MAX_IMAGE = 10 * 1024 * 1024  # bytes of one image: GitHub shows none that is larger
MAX_IMAGES = 50 * 1024 * 1024

# Every repetition is bounded: a pattern that may look to the end from each place takes minutes on a strange text.
_PATH = r"(?:<[^<>\n]{1,500}>|[^\s()<>]{0,500}(?:\([^\s()]{0,100}\)[^\s()<>]{0,500}){0,4})"

_SHOWN = re.compile(
    rf"""(?P<code>`{{1,9}})(?!`).{{0,500}}?(?<!`)(?P=code)(?!`)     # code is text, not an image
    |!\[(?:[^\[\]\\]|\\.|\[[^\[\]]{{0,100}}\]){{0,500}}\]\(\s{{0,9}}(?P<inline>{_PATH})   # ![alt](path "title")
    |<(?:img|source)\b[^<>]{{0,500}}?\s(?:src|srcset)\s{{0,9}}=\s{{0,9}}["'](?P<html>[^"'\n]{{1,500}})["']
    """,
    re.VERBOSE | re.IGNORECASE,
)

_DEFINED = re.compile(rf" {{0,3}}\[[^\]\n]+\]:\s*(?P<path>{_PATH})")

_ELSEWHERE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:|//|#|$")

_NAMES = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".svg")

_PROLOGUE = ((b"<?", b"?>"), (b"<!--", b"-->"), (b"<!DOCTYPE", b">"))
"""What may stand before an SVG's first element, by how it starts and ends."""


class ImageLink(Record):
    """A place in a text that names a local image."""

    start: Count
    end: Count
    path: str  # as a file's name: unescaped


def local_images(text: str) -> tuple[ImageLink, ...]:
    """Every place that names a local image, in the text's order; code blocks and code spans name none."""
    return tuple(
        ImageLink(start=start + found.start(group), end=start + found.end(group), path=path)
        for start, line in _lines_outside_code(text)
        for found, group in _links(line)
        if (path := _local(found[group]))
    )


def with_addresses(text: str, links: tuple[ImageLink, ...], addresses: Mapping[str, str]) -> str:
    """The text with each local image by its address."""
    parts, at = [], 0
    for link in links:
        parts += [text[at : link.start], addresses[link.path]]
        at = link.end
    return "".join([*parts, text[at:]])


def image_suffix(content: bytes) -> str | None:
    """What a file is by its content, as the suffix of its name; None when it is no image that GitHub shows."""
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return ".png"
    if content.startswith(b"\xff\xd8\xff"):
        return ".jpg"
    if content.startswith((b"GIF87a", b"GIF89a")):
        return ".gif"
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return ".webp"
    return ".svg" if _is_svg(content[:65_536].removeprefix(b"\xef\xbb\xbf").lstrip()) else None


def _is_svg(rest: bytes) -> bool:
    while not rest.startswith(b"<svg"):
        end = next((end for start, end in _PROLOGUE if rest.startswith(start)), None)
        if end is None:
            return False
        rest = rest.partition(end)[2].lstrip()
    return rest[4:5].isspace() or rest[4:5] == b">"


def _lines_outside_code(text: str) -> Iterator[tuple[int, str]]:
    at, bar = 0, ""
    for line in text.splitlines(keepends=True):
        found = _FENCE.match(line)
        if bar:
            closes = found and found["bar"].startswith(bar) and not line[found.end() :].strip()
            bar = "" if closes else bar
        elif found:
            bar = found["bar"]
        else:
            yield at, line
        at += len(line)


def _links(line: str) -> Iterator[tuple[re.Match[str], str]]:
    if defined := _DEFINED.match(line):
        if defined["path"].strip("<>").lower().endswith(_NAMES):
            yield defined, "path"
        return
    for found in _SHOWN.finditer(line):
        if not found["code"]:
            yield found, "inline" if found["inline"] is not None else "html"


def _local(written: str) -> str:
    path = written.removeprefix("<").removesuffix(">").strip()
    return "" if _ELSEWHERE.match(path) else unquote(path)


STANDARD_INPUT = "-"

_MAX_TEXT = 4 * 1024 * 1024

_BLOB = "images"


@dataclass(frozen=True, kw_only=True, slots=True)
class Posting:
    """What a person asks for."""

    file: str
    target: str = "auto"
    pr: int | None = None  # a pull request's number, as `target` may say too
    title: str = ""  # a label; comments with different ones do not replace each other
    via_cml: bool = False


def comment(directory: Path, posting: Posting, environment: Mapping[str, str], console: Console) -> Exit:
    """Post a file, or bring the comment that has it up to date."""
    posting = _addressed(posting)
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
        github=GitHub.connect(place.repository, place.required_token(), api_url=place.api_url, progress=console.say),
        repository=repository,
        job=Job.of(environment) if environment.get("GITHUB_ACTIONS") == "true" else None,
    )
    try:
        console.result(poster.post(text, images, target, posting.title))
    except RefusedError:
        Runner.of(environment, console.err).add_summary(text)
        raise
    return Exit.OK


def _addressed(posting: Posting) -> Posting:
    if posting.pr is None:
        return posting
    if posting.target != Kind.AUTO:
        raise UsageError("--pr and --target name two places", where="--pr", hint="Leave one of them out.")
    return replace(posting, target=f"{Kind.PULL_REQUEST}/{posting.pr}")


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
    """Posts to GitHub."""

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
        """The number or commit that a target stands for."""
        if target.number is not None:
            return Destination(number=target.number)
        if target.kind is Kind.ISSUE:
            return Destination(number=_issue_of(event))
        if target.kind is Kind.COMMIT:
            return Destination(sha=self._commit(target.commit, event))
        if (number := _pull_request_of(event)) is not None:
            return Destination(number=number)
        sha = self._commit(None, event)
        found = self._pull_requests(sha, event)
        if len(found) == 1:
            return Destination(number=found[0].number)
        if target.kind is Kind.AUTO and not found:
            return Destination(sha=sha)
        numbers = ", ".join(f"#{each.number}" for each in sorted(found, key=lambda each: each.number))
        several = f"the commit {sha[:10]} is in {len(found)} open pull requests: {numbers}" if found else None
        what = several or f"GitHub knows no open pull request with the commit {sha[:10]}"
        raise UsageError(what, where="--target", hint="Name it: --pr NUMBER; or --target commit.")

    def _pull_requests(self, sha: Sha, event: Event | NotAnEvent | None) -> tuple[PullRequest, ...]:
        """The open ones with a commit; a run's by the branch that it is of, also where that is a fork's."""
        if isinstance(event, WorkflowRunEvent):
            found = [each for each in self.github.pull_requests_of(event.run) if each.head_sha == sha]
            if found:
                return tuple(found)
        return open_pull_requests(self.github, sha)

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
        remote = Remote(url=self.place.clone_url, token=self.place.token)
        sha = push_charts(remote, {names[path]: raw for path, raw in images.items()}, int(time.time()))
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
