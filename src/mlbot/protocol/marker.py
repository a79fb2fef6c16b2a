"""Whose words a comment or a status is: the attempt that wrote it, hidden where people do not look."""

import re
from urllib.parse import quote, unquote

from mlbot.events.github import Attempt, RepositoryName, WebUrl
from mlbot.lib.constants import CONFIG_FILE
from mlbot.lib.record import Record, Sha


class Place(Record):
    """Where a verdict is published."""

    repository: RepositoryName
    server: WebUrl = "https://github.com"
    workflow: str  # path of the workflow file that judges: part of the comment's marker
    config: str = CONFIG_FILE
    context: str = "mlbot"
    run_url: WebUrl
    may_write: bool = True


def marker(workflow: str, config: str, kind: str = "report") -> str:
    """An HTML comment that names a report.

    A trial keeps a comment of its own, so that it never hides the verdict. No name can end the HTML comment.
    """
    return f"<!-- mlbot:{in_marker(kind)} workflow={in_marker(workflow)} config={in_marker(config)} -->"


def in_marker(name: str) -> str:
    """A name as it stands in an HTML comment, which it cannot end."""
    return quote(name, safe="/.").replace("-", "%2D")


_STAMP = re.compile(
    r"<!-- mlbot:run id=(?P<run>[1-9][0-9]{0,17})\.(?P<number>[1-9][0-9]{0,5}) head=(?P<head>[0-9a-f]{40,64}) -->"
)

_FRAGMENT = re.compile(r"#mlbot-(?P<run>[1-9][0-9]{0,17})\.(?P<number>[1-9][0-9]{0,5})")


class Stamp(Record):
    """Which attempt of the training is reported, and on which head."""

    attempt: Attempt
    head: Sha


def stamped(marker: str, stamp: Stamp) -> str:
    """The last line of a comment: the marker and, behind it, the stamp."""
    return f"{marker}<!-- mlbot:run id={stamp.attempt} head={stamp.head} -->"


def carries(body: str, marker: str) -> bool:
    """Whether a comment ends in a line that starts with the marker.

    Only the last line counts: whatever a report quotes from outside stands above it.
    """
    return last_line_of(body).startswith(marker)


def read_stamp(body: str, marker: str) -> Stamp | None:
    """The stamp of a comment that carries the marker; None where it has none."""
    line = last_line_of(body)
    found = _STAMP.fullmatch(line.removeprefix(marker)) if line.startswith(marker) else None
    if found is None or len(found["head"]) not in {40, 64}:
        return None
    return Stamp(attempt=_attempt(found), head=found["head"])


_ALARM = re.compile(
    r"<!-- mlbot:alarm version=(?P<version>[A-Za-z0-9.+%]{1,200}) since=(?P<since>\d{4}-\d{2}-\d{2}|none) "
    r"day=(?P<day>\d{4}-\d{2}-\d{2}) -->"
)


class AlarmStamp(Record):
    """Which day of a model in production an issue or a pull request speaks of, and which alarm."""

    version: str  # that was live
    since: str | None  # the first day of the alarm; None: the model is well
    day: str

    @property
    def alarm(self) -> tuple[str, str | None]:
        """What tells one alarm from another: another version's is another one."""
        return self.version, self.since

    @property
    def text(self) -> str:
        """As it stands behind a marker."""
        return f"<!-- mlbot:alarm version={in_marker(self.version)} since={self.since or 'none'} day={self.day} -->"


def read_alarm(body: str, marker: str) -> AlarmStamp | None:
    """The stamp in the last line of an issue that carries the marker; None where it has none."""
    line = last_line_of(body)
    found = _ALARM.fullmatch(line.removeprefix(marker)) if line.startswith(marker) else None
    if found is None:
        return None
    since = None if found["since"] == "none" else found["since"]
    return AlarmStamp(version=unquote(found["version"]), since=since, day=found["day"])


def with_attempt(url: str, attempt: Attempt) -> str:
    """A link with the attempt as its fragment, for a status has no hidden place; browsers ignore it."""
    return f"{url.partition('#')[0]}#mlbot-{attempt}"


def attempt_of(url: str) -> Attempt | None:
    """The attempt in a status' link."""
    _, sign, fragment = url.partition("#")
    found = _FRAGMENT.fullmatch(sign + fragment)
    return _attempt(found) if found else None


def run_of(url: str) -> int | None:
    """The run whose page a status leads to: the judge's, of a verdict."""
    found = re.search(r"/actions/runs/([1-9][0-9]{0,17})$", url.partition("#")[0])
    return int(found[1]) if found else None


def last_line_of(body: str) -> str:
    """The last line of a comment that is not empty: the only one the bot believes, for it wrote that one last."""
    return body.rstrip().rpartition("\n")[2].strip()


def _attempt(found: re.Match[str]) -> Attempt:
    return Attempt(run=int(found["run"]), number=int(found["number"]))


def marker_of(place: Place, *, trial: bool = False) -> str:
    """What the last line of the bot's comment starts with."""
    return marker(place.workflow, place.config, "trial" if trial else "report")
