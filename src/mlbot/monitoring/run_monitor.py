"""`mlbot monitor`: look at the days of production that are over, record what they show, and say how the models do."""

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, timedelta
from functools import cached_property
from pathlib import Path

from mlbot.config.monitor import Monitor, on_day
from mlbot.config.run_check import load_config
from mlbot.config.schema import Model
from mlbot.console import Console
from mlbot.data.sketch import Sketch
from mlbot.delivery.run_endpoint import live_samples
from mlbot.errors import Exit, MlbotError, NotEvaluatedError, UsageError, require
from mlbot.ledger.entries import Date, DayEntry, DeploymentEntry, Entry
from mlbot.ledger.queries import reference_of, release_of
from mlbot.lib.record import Name, Record
from mlbot.lib.templates import sentence
from mlbot.lib.terminal import Pen
from mlbot.monitoring.fold import days_between, health_of, version_on
from mlbot.monitoring.health import Health, State, Why
from mlbot.monitoring.run_day import DayRead, read_apart, wanted
from mlbot.monitoring.words import health_text
from mlbot.registry.run_repository import RepositoryContext
from mlbot.storage.objects import bring_logs

MOST_DAYS = 30
"""How many days are caught up, and how long labels are waited for."""
ENOUGH = 0.9
"""The share of requests whose labels are known of which no more are looked for."""
MORE = 1.2  # labels that come later are recorded where there are so many times those that were known


class MonitorOptions(Record):
    """What the command line says."""

    model: Name | None = None  # None: all that are watched
    date: Date | None = None  # None: yesterday
    since: Date | None = None  # None: the first day that is not recorded
    record: bool = False


class Watched(Record):
    """What `mlbot monitor` answers."""

    models: tuple[Health, ...]
    looked_at: tuple[str, ...] = ()  # days that were read now
    recorded: bool = False


def monitor(
    directory: Path,
    options: MonitorOptions,
    console: Console,
    *,
    as_json: bool,
    environment: Mapping[str, str] = os.environ,
) -> Exit:
    """Look at the days that are over, and print how each model does. Raises `UsageError` for what is not watched."""
    require("judge", needed_for="Reading the logs of production")
    context = RepositoryContext.of_laptop(directory, environment, console.say)
    _say_unmerged(context)
    found = watch(context, options)
    pen = Pen(console.color, console.width)
    console.result(found.model_dump_json(indent=2) if as_json else health_text(found.models, pen))
    return exit_of(found.models)


def _say_unmerged(context: RepositoryContext) -> None:
    """Say it where this folder's mlbot.yaml watches otherwise than the guarded branch's, which counts."""
    with suppress(MlbotError, OSError):
        known = {each.name: each.monitor for each in context.config.models}
        here = load_config(context.repository.project).models
        if names := [each.name for each in here if each.monitor and each.monitor != known.get(each.name)]:
            context.say(sentence("monitoring", "unmerged", names=", ".join(names), branch=context.branch))


def exit_of(models: Sequence[Health]) -> Exit:
    """0 well, 1 an alarm, 3 not enough to tell, 4 could not be looked at."""
    states = {each.state for each in models}
    order = {
        State.ALARM: Exit.FAILED,
        State.UNKNOWN: Exit.NOT_EVALUATED,
        State.LEARNING: Exit.INCONCLUSIVE,
    }
    return next((exit_ for state, exit_ in order.items() if state in states), Exit.OK)


def watch(context: RepositoryContext, options: MonitorOptions) -> Watched:
    """How each model does, after the days that were not looked at yet; recorded if asked for."""
    day = last_day(context, options)
    healths, looked = list[Health](), list[str]()
    for model, settings in watched_models(context, options.model):
        watching = _Watching(context=context, model=model, settings=settings, day=day, options=options)
        health = watching.health()
        healths.append(health if options.date else _controlled(context, health))
        looked += [f"{model.name} {each}" for each in watching.looked]
    context.update_checkout()
    return Watched(models=tuple(healths), looked_at=tuple(looked), recorded=options.record)


def last_day(context: RepositoryContext, options: MonitorOptions) -> date:
    """The last day to look at. Raises `UsageError` where it is not over, or before the first."""
    yesterday = context.now().astimezone(UTC).date() - timedelta(days=1)
    day = date.fromisoformat(options.date) if options.date else yesterday
    if day > yesterday:
        raise UsageError(f"{day} is not over", hint=f"The last day that can be looked at is {yesterday} (UTC).")
    if options.since and date.fromisoformat(options.since) > day:
        raise UsageError(f"{options.since} is after {day}, the last day to look at", hint="Say an earlier `--since`.")
    return day


def _controlled(context: RepositoryContext, health: Health) -> Health:
    """With what the live endpoint answers to golden requests now, where the environment has one."""
    try:
        found = live_samples(context, health.model, health.environment)
    except MlbotError as error:  # no alarm is silenced by what could not be asked beside it
        return health if health.state is State.ALARM else health.unknown(error.line)
    return health.controlled(found, context.now().astimezone(UTC).date().isoformat()) if found else health


def days_of_logs(
    context: RepositoryContext, day: date, models: Sequence[Model]
) -> Iterator[tuple[Name, list[DayEntry], dict[Date, str]]]:
    """What the logs of each model say of the days up to one that the ledger lacks, and why days could not be read.

    Nothing is recorded.
    """
    for model in models:
        if model.monitor:
            watching = _Watching(
                context=context, model=model, settings=model.monitor, day=day, options=MonitorOptions()
            )
            watching.health()
            yield model.name, watching.made, watching.faults


def watched_models(context: RepositoryContext, name: Name | None) -> list[tuple[Model, Monitor]]:
    """The models that are watched, or the one that is asked for. Raises `UsageError` where there is none."""
    config = context.config
    found = [(each, each.monitor) for each in config.models if each.monitor and name in {None, each.name}]
    if name is not None and config.model(name) is None:
        known = ", ".join(each.name for each in config.models)
        raise UsageError(f"mlbot.yaml has no model {name!r}.", hint=f"It has: {known}.")
    if not found:
        what = f"the model {name} is not watched" if name else "no model is watched"
        raise UsageError(what, hint="Write `monitor: {requests: …}` in the model's section, and merge it.")
    return found


@dataclass(kw_only=True)
class _Watching:
    """One model that is looked at."""

    context: RepositoryContext
    model: Model
    settings: Monitor
    day: date
    options: MonitorOptions
    looked: list[Date] = field(default_factory=list)
    faults: dict[Date, str] = field(default_factory=dict)
    made: list[DayEntry] = field(default_factory=list)  # entries of what was read now

    @cached_property
    def environment(self) -> Name:
        return self.settings.environment or self.context.config.environments[-1].name

    def health(self) -> Health:
        """How it does, after every day that there is to look at."""
        day, name = self.day.isoformat(), self.model.name
        entries = [*self.context.of_model(name)]
        made, missing = list[DayEntry](), [*self._missing(entries)]
        if len(missing) > 1:
            self.context.say(f"Reading the logs of {name} from {missing[0]} to {missing[-1]}")
        try:
            for look, days in ((self._look, missing), (self._labels, self._unlabelled(entries))):
                made += [entry for each in days if (entry := look(entries, each)) is not None]
        finally:  # a day that was read is not read again, whatever came after it
            self._record(made)
        entries += made
        found = health_of(entries, name, self.environment, day, self.settings.ignore)
        return found.unknown(self.faults[day]) if day in self.faults else found

    def _record(self, made: Sequence[DayEntry]) -> None:
        self.looked += [each.date for each in made]
        self.made += made
        if made and self.options.record:
            self.context.record(*made)

    def _missing(self, entries: Sequence[Entry]) -> Iterator[Date]:
        """The days that nobody has looked at yet, oldest first."""
        known = {each.date for each in self._days(entries) if each.requests is not None}
        first = self.options.since or (self.day - timedelta(days=MOST_DAYS - 1)).isoformat()
        return (each for each in days_between(first, self.day.isoformat()) if each not in known)

    def _days(self, entries: Sequence[Entry]) -> list[DayEntry]:
        return [
            each
            for each in entries
            if isinstance(each, DayEntry) and (each.model, each.environment) == (self.model.name, self.environment)
        ]

    def _look(self, entries: Sequence[Entry], day: Date) -> DayEntry | None:
        """The entry of a day; None where there was nothing to look at, or it could not be."""
        live = version_on(entries, self.model.name, self.environment, day)
        if isinstance(live, Why) or self._sketch(entries, live) is None:
            return None
        try:
            return self._entry(live, day, self._read(entries, live, day, labels=True))
        except MlbotError as error:
            self.faults[day] = error.line
        if self.settings.labels is None:
            return None
        try:  # labels that cannot be read cost the live metrics of the day, and that nobody calls it well
            return self._entry(live, day, self._read(entries, live, day, labels=False))
        except MlbotError:
            return None

    def _entry(self, live: DeploymentEntry, day: Date, found: DayRead) -> DayEntry:
        facts = found.model_dump(exclude={"unread", "fault", "counts", "labels", "live"})
        return DayEntry(
            model=live.model,
            environment=live.environment,
            version=live.version,
            date=day,
            counts=found.counts,
            labels=found.labels,
            live=found.live,
            time=self.context.time,
            **facts,
        )

    def _sketch(self, entries: Sequence[Entry], live: DeploymentEntry) -> Sketch | None:
        release = release_of(entries, live.model, live.version)
        reference = reference_of(entries, release) if release and release.digest == live.digest else None
        return reference.sketch if reference else None

    def _read(self, entries: Sequence[Entry], live: DeploymentEntry, day: Date, *, labels: bool) -> DayRead:
        sketch = self._sketch(entries, live)
        if sketch is None:
            raise NotEvaluatedError("the version has no reference")
        with tempfile.TemporaryDirectory(prefix="mlbot-logs-") as folder:
            requests = self._bring(self.settings.requests, day, Path(folder) / "requests")
            if not requests:
                place = on_day(self.settings.requests, date.fromisoformat(day))
                raise NotEvaluatedError("there are no logs of this day", where=place)
            own = self.settings.labels
            brought = self._bring(own, day, Path(folder) / "labels") if own and labels else []
            return read_apart(wanted(self.model, sketch, requests, brought))

    def _bring(self, place: str, day: Date, folder: Path) -> list[Path]:
        folder.mkdir()
        return bring_logs(on_day(place, date.fromisoformat(day)), self.context.repository.project, folder)

    # Labels that come later.

    def _unlabelled(self, entries: Sequence[Entry]) -> list[Date]:
        """The days of late whose labels were not all known when they were looked at."""
        if self.settings.labels is None:
            return []
        first = (self.day - timedelta(days=MOST_DAYS)).isoformat()
        own = [each for each in self._days(entries) if first <= each.date <= self.day.isoformat()]
        asked = {each.date: each.requests for each in own if each.requests}
        known = {day: max(each.labelled or 0 for each in own if each.date == day) for day in asked}
        return [day for day, rows in asked.items() if known[day] < ENOUGH * rows]

    def _labels(self, entries: Sequence[Entry], day: Date) -> DayEntry | None:
        """The entry of labels that have come since; None where there are hardly more."""
        own = [each for each in self._days(entries) if each.date == day]
        known = max(each.labelled or 0 for each in own)
        live = version_on(entries, self.model.name, self.environment, day)
        if isinstance(live, Why) or self.settings.labels is None or self._sketch(entries, live) is None:
            return None
        try:
            if not self._has_labels(day):
                return None
            found = self._read(entries, live, day, labels=True)
        except MlbotError as error:
            self.context.say(f"The labels of {day} could not be read: {error.line}")
            return None
        if not found.labelled or found.labelled < MORE * known:
            return None
        alone = found.model_copy(update={"requests": 0, "errors": None, "counts": None})
        return self._entry(live, day, alone).model_copy(update={"requests": None})

    def _has_labels(self, day: Date) -> bool:
        with tempfile.TemporaryDirectory(prefix="mlbot-labels-") as folder:
            return bool(self._bring(self.settings.labels or "", day, Path(folder) / "labels"))
