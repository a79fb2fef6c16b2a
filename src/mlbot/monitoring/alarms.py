"""What follows on GitHub from how a model in production does: its issue, and a change after days of alarm. Pure."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import Field

from mlbot.config.folder import ConfigFolder
from mlbot.config.monitor import Follow
from mlbot.config.schema import Config, Model
from mlbot.events.github import RefName, Text, WebUrl
from mlbot.ledger.entries import Date, DayEntry, DeploymentEntry, Entry
from mlbot.lib.record import Count, Digest, Name, Record, Sha
from mlbot.lib.templates import fill, phrase
from mlbot.lib.tree import is_url
from mlbot.lib.version import name_of
from mlbot.monitoring.fold import health_of, version_on
from mlbot.monitoring.health import Code, Health, State, Why
from mlbot.monitoring.words import amount_text, effect_text, names_of, subject_text, unsteady_text, what_text, why_text
from mlbot.protocol.inference import ControlSamples
from mlbot.protocol.marker import AlarmStamp, in_marker
from mlbot.protocol.operations import ProposeChange, Proposed, UpsertIssue, WriteSummary

LABEL = "mlbot-production"  # the label of the issues on models in production
SHOWN = 14  # days in the issue's table
MOST_SHOWN = 10  # names of files
_WORDS = "production/words.j2"
_TITLES = 200


# What the job that reads the logs hands to the one that writes on GitHub.

MOST_DAYS = 2_000
HANDED_FILE = "days.json"
HANDED_BYTES = 16 << 20


class Unread(Record):
    """A day that could not be looked at, and why."""

    model: Name
    day: Date
    why: Text


class Controlled(Record):
    """What the live endpoint of a model answered to golden requests."""

    model: Name
    found: ControlSamples


class HandedDays(Record):
    """What the logs say: entries for the ledger, with counts alone, and what could not be read."""

    schema_version: Literal["mlbot/days@1"] = "mlbot/days@1"
    entries: Annotated[tuple[DayEntry, ...], Field(max_length=MOST_DAYS)] = ()
    unread: Annotated[tuple[Unread, ...], Field(max_length=MOST_DAYS)] = ()
    controls: Annotated[tuple[Controlled, ...], Field(max_length=MOST_DAYS)] = ()

    def control_of(self, model: Name) -> ControlSamples | None:
        """What a model's endpoint answered; None where it was not asked."""
        return next((each.found for each in self.controls if each.model == model), None)

    def checked(self, config: Config) -> "HandedDays":
        """The same without what mlbot.yaml does not watch: who read the logs may say nothing about anything else."""
        watched = {(model.name, environment_of(config, model.name)) for model in config.models if model.monitor}
        names = {name for name, _ in watched}
        return HandedDays(
            entries=tuple(each for each in self.entries if (each.model, each.environment) in watched),
            unread=tuple(each for each in self.unread if each.model in names),
            controls=tuple(each for each in self.controls if each.model in names),
        )


def environment_of(config: Config, model: Name) -> Name:
    """The environment that a model is watched in: the one that mlbot.yaml says, else the last one."""
    found = config.model(model)
    asked = found.monitor.environment if found and found.monitor else None
    return asked or (config.environments[-1].name if config.environments else "")


# A model in production, as its issue shows it.


class Place(Record):
    """Where it is shown."""

    repository: WebUrl  # its page
    run: WebUrl
    guarded: RefName
    folder: ConfigFolder = ConfigFolder()
    app: bool = False  # whether an App speaks, whose pull requests start workflows by themselves


class Watched(Record):
    """A model in production: how it does, how it did, and what is to follow. The last of the days is the present."""

    days: tuple[Health, ...]
    since: Date | None = None  # the first day of the alarm that goes on
    silent: Date | None = None  # the first day in a row that could not be looked at
    wrong: Date | None = None  # when the version went live whose endpoint does not answer as judged, or not at all
    follow: Follow
    labels: bool  # whether labels are logged

    @classmethod
    def of(
        cls,
        entries: Sequence[Entry],
        config: Config,
        model: Model,
        last: Date,
        *,
        unread: str | None = None,
        control: ControlSamples | None = None,
    ) -> "Watched":
        """A model that mlbot.yaml watches, as of a day.

        `unread` says why that could not be looked at, `control` what the live endpoint answers to golden requests.
        """
        assert model.monitor  # noqa: S101 - who asks has looked
        where = environment_of(config, model.name)
        until = date.fromisoformat(last)
        shown = [(until - timedelta(days=back)).isoformat() for back in reversed(range(SHOWN))]
        days = [health_of(entries, model.name, where, day, model.monitor.ignore) for day in shown]
        if unread is not None:
            days[-1] = days[-1].unknown(unread)
        if control is not None:
            days[-1] = days[-1].controlled(control, last)
        looked = _looked_at(entries, days[-1])
        return cls(
            days=tuple(each for each in days if each.version is not None) or (days[-1],),
            since=looked[-days[-1].alarm_days] if days[-1].alarm_days else None,
            silent=_silent_since(entries, days[-1], looked),
            wrong=_live_since(entries, days[-1]) if _is_wrong(days[-1]) else None,
            follow=model.monitor.alarms,
            labels=model.monitor.labels is not None,
        )

    @property
    def now(self) -> Health:
        """As of the last day that was over."""
        return self.days[-1]

    @property
    def name(self) -> str:
        """`adult-income@v1.2.0`, or the model alone where no version is live."""
        return name_of(self.now.model, self.now.version) if self.now.version else self.now.model

    @property
    def is_silent(self) -> bool:
        """Whether it could not be looked at for as many days as an alarm has to last before something is done."""
        if self.silent is None:
            return False
        return (date.fromisoformat(self.now.day) - date.fromisoformat(self.silent)).days + 1 >= self.follow.days

    @property
    def is_open(self) -> bool | None:
        """Whether its issue is to be open; None: as it is."""
        match self.now.state:
            case State.ALARM:
                return True
            case State.UNKNOWN:
                return True if self.is_silent else None
            case State.WELL | State.LEARNING:
                return False

    @property
    def is_due(self) -> bool:
        """Whether a change is to be proposed."""
        drifts = self.now.state is State.ALARM and not self.now.is_of_endpoint_alone
        return self.follow.then != "none" and drifts and self.now.alarm_days >= self.follow.days

    @property
    def stamp(self) -> AlarmStamp:
        """Which day and which alarm it is."""
        since = self.since or (self.silent if self.is_silent else None) or self.wrong
        return AlarmStamp(version=self.now.version or "none", since=since, day=self.now.day)


def _is_wrong(now: Health) -> bool:
    """Whether the endpoint raises an alarm."""
    return any(each.code in {Code.CONTROL, Code.ABSENT} for each in now.findings)


def _looked_at(entries: Sequence[Entry], now: Health) -> list[Date]:
    """The days of the version that is live that were looked at, oldest first."""
    of = (now.model, now.environment, now.version)
    own = (each for each in entries if isinstance(each, DayEntry) and each.requests is not None)
    return sorted(
        {each.date for each in own if (each.model, each.environment, each.version) == of and each.date <= now.day}
    )


def _silent_since(entries: Sequence[Entry], now: Health, looked: Sequence[Date]) -> Date | None:
    """The first day of those in a row, up to the last one, that could not be looked at."""
    if now.version is None or now.why not in _SILENT:
        return None
    if not looked:
        return _live_since(entries, now)
    return (date.fromisoformat(looked[-1]) + timedelta(days=1)).isoformat() if looked[-1] < now.day else now.day


def _live_since(entries: Sequence[Entry], now: Health) -> Date:
    """The day that the version went live."""
    live = version_on(entries, now.model, now.environment, now.day)
    return live.time[:10] if isinstance(live, DeploymentEntry) else now.day


_SILENT = {Why.NOT_LOOKED_AT, Why.NOT_LOGGED}
"""What is wrong with the logs, or with how mlbot.yaml names them."""


class Trouble(StrEnum):
    """Why no change is proposed though one is due. A closed list; the words are in templates/production/."""

    SKIPPED = "skipped"  # the job that refreshes did not end well
    COMMAND = "command"  # the command failed
    COMMITTED = "committed"  # it made commits, which nobody looked at
    LFS = "lfs"
    TOO_MUCH = "too-much"
    OTHER_FILES = "other-files"  # it changed files that it may not
    NO_STAMP = "no-stamp"
    MOVED = "moved"  # what it ran on is not on the guarded branch any more
    NOT_PUSHED = "not-pushed"


class Hindrance(Record):
    """What keeps a change from being proposed."""

    code: Trouble
    detail: Text = ""
    files: Annotated[tuple[Text, ...], Field(max_length=MOST_SHOWN)] = ()


class Change(Record):
    """What came of the change that is to follow."""

    proposed: Proposed | None = None
    hindrance: Hindrance | None = None


def marker_of(model: Name) -> str:
    """What a model's issue, and the pull requests on it, are found by."""
    return f"<!-- mlbot:production {in_marker(model)} -->"


def branch_of(model: Name) -> RefName:
    """The branch that changes of a model are proposed from; no name of a branch is the beginning of another's."""
    return f"mlbot-refresh-{model}"


_SAY = MappingProxyType(
    {
        "what": what_text,
        "names": names_of,
        "subject": subject_text,
        "amount": amount_text,
        "effect": effect_text,
        "why": why_text,
        "unsteady": unsteady_text,
    }
)
"""What the terminal says of a finding, for the templates: plain text, which they escape."""


def issue_of(watched: Watched, place: Place, change: Change) -> UpsertIssue:
    """A model's issue as it is to be."""
    facts = {"watched": watched, "place": place, "change": change, "now": watched.now, "shown": SHOWN, "say": _SAY}
    body = fill("production/issue.md.j2", **facts)
    marker = marker_of(watched.now.model)
    return UpsertIssue(
        label=LABEL,
        marker=marker,
        title=phrase(_WORDS, "title", watched=watched)[:_TITLES],
        body=f"{body.strip()}\n\n{marker}{watched.stamp.text}",
        stamp=watched.stamp,
        open=watched.is_open,
    )


def summary_of(issues: Sequence[UpsertIssue], *, off: bool = False) -> WriteSummary:
    """The same in the job's summary, which is there also where the repository has no issues."""
    return WriteSummary(text=fill("production/summary.md.j2", issues=issues, off=off))


def proposal_of(watched: Watched, place: Place, tip: Sha, files: Mapping[str, Digest]) -> ProposeChange:
    """The pull request that is to follow; `files` are from the repository's root."""
    marker, stamp = marker_of(watched.now.model), watched.stamp
    facts = {"watched": watched, "place": place, "now": watched.now, "files": sorted(files), "say": _SAY}
    text = fill("production/pull_request.md.j2", **facts)
    title = phrase(_WORDS, "pull_request", watched=watched)[:_TITLES]
    return ProposeChange(
        repository=place.repository,
        base=place.guarded,
        tip=tip,
        branch=branch_of(watched.now.model),
        files=dict(files),
        message=f"{title}\n\n{phrase(_WORDS, 'message', watched=watched)}\n",
        marker=marker,
        title=title,
        body=f"{text.strip()}\n\n{marker}{stamp.text}",
        stamp=stamp,
    )


def stamp_text(watched: Watched) -> str:
    """What the stamp file says after an alarm: other words for another one, and the same again for the same."""
    return phrase(_WORDS, "stamp", watched=watched) + "\n"


# Files that a refresh may change.

MOST_FILES = 200
MOST_BYTES = 90 << 20  # GitHub takes no file of more than 100 MiB
FILES_FILE = "files.json"


class ChangedFile(Record):
    """A file that a refresh has written; its bytes lie beside the record under their digest."""

    path: Annotated[str, Field(min_length=1, max_length=1_000)]  # from the repository's root
    digest: Digest
    size_bytes: Count


class Refreshed(Record):
    """What the refresh of a model's data came to."""

    model: Name
    files: Annotated[tuple[ChangedFile, ...], Field(max_length=MOST_FILES)] = ()
    hindrance: Hindrance | None = None  # why there is nothing


class HandedFiles(Record):
    """What the job that refreshes hands to the one that proposes."""

    schema_version: Literal["mlbot/refreshed@1"] = "mlbot/refreshed@1"
    tip: Sha  # of the guarded branch that it ran on
    models: Annotated[tuple[Refreshed, ...], Field(max_length=MOST_DAYS)] = ()


def may_write(path: str, allowed: Sequence[str], folder: ConfigFolder) -> bool:
    """Whether a path from the repository's root is one of the files, or in one of the folders, that may change.

    Whatever mlbot.yaml allows: no workflow, no mlbot.yaml, nothing of git's own.
    """
    parts = path.split("/")
    if path.startswith("/") or {"", ".", ".."} & {*parts} or ".git" in {part.casefold() for part in parts}:
        return False
    if parts[0] == ".github" or parts[-1] in {"mlbot.yaml", ".gitattributes", ".gitmodules", ".gitignore"}:
        return False
    before = f"{folder.path}/" if folder.path else ""
    names = [f"{before}{name.strip('/')}" for name in allowed if not is_url(name)]
    return any(path == name or path.startswith(f"{name}/") for name in names)
