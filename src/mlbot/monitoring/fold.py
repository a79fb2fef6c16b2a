"""From the days that the ledger has to how a model does: pure, so that whoever reads the ledger says the same."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import date, timedelta

import numpy as np

from mlbot.ledger.entries import Date, DayEntry, DeploymentEntry, Entry, VerdictEntry
from mlbot.ledger.queries import live_on, reference_of, release_of, verdicts
from mlbot.lib.record import Name
from mlbot.monitoring.day import Figure, Production
from mlbot.monitoring.health import Code, Finding, Health, State, Why
from mlbot.stats.drift import Change, Figures, changes, enough_days


def version_on(entries: Iterable[Entry], model: Name, environment: Name, day: Date) -> DeploymentEntry | Why:
    """What was live in an environment all day long, or why nothing was."""
    known = [each for each in entries if isinstance(each, DeploymentEntry) and each.model == model]
    ends = (_before(day), day)
    first, last = (
        next((each for each in live_on(known, f"{end}T23:59:59Z") if each.environment == environment), None)
        for end in ends
    )
    if last is None:
        return Why.NOTHING_LIVE
    if first is None or (first.version, first.digest) != (last.version, last.digest):
        return Why.CHANGED_OVER
    return last


def _before(day: Date) -> Date:
    return (date.fromisoformat(day) - timedelta(days=1)).isoformat()


def health_of(
    entries: Iterable[Entry], model: Name, environment: Name, day: Date, ignore: Collection[str] = ()
) -> Health:
    """How a model does as of a day, by the days that the ledger has. `ignore` are columns that raise no alarm."""
    known = [*entries]
    found = Health(model=model, environment=environment, version=None, day=day, state=State.UNKNOWN)
    live = version_on(known, model, environment, day)
    if isinstance(live, Why):
        return found.model_copy(update={"why": live})
    days, labels = days_of(known, live, day)
    found = found.model_copy(update={"version": live.version, "days": len(days)})
    release = release_of(known, model, live.version)
    reference = reference_of(known, release) if release and release.digest == live.digest else None
    if release is None or reference is None:
        return found.model_copy(update={"why": Why.NO_REFERENCE})
    judged = _judged(verdicts(known), release.key, model)
    production = Production(sketch=reference.sketch, days=days, labels=labels, judged=judged, ignore=ignore)
    return _health(found, production)


def days_of(
    entries: Iterable[Entry], live: DeploymentEntry, until: Date
) -> tuple[list[DayEntry], list[DayEntry | None]]:
    """The days of a version up to one, each once, and what is known of the labels of each."""
    of = (live.model, live.environment, live.version)
    own = [
        each
        for each in entries
        if isinstance(each, DayEntry) and (each.model, each.environment, each.version) == of and each.date <= until
    ]
    own.sort(key=lambda each: (each.order, each.model_dump_json(exclude={"time"})))
    first: dict[Date, DayEntry] = {}
    labels: dict[Date, DayEntry] = {}
    for each in own:
        if each.requests is not None:
            first.setdefault(each.date, each)
        if each.labelled:
            labels[each.date] = each  # the one with the most
    return [first[day] for day in sorted(first)], [labels.get(day) for day in sorted(first)]


def _judged(known: Sequence[VerdictEntry], key: str, model: Name) -> dict[str, float]:
    """What the verdict on a version measured of the file that ships, on all rows."""
    own = [each for each in known if (each.model, each.key) == (model, key)]
    values = own[-1].values if own else ()
    shipped = ((each.metric, each.values[0]) for each in values if each.slice is None and each.values)
    return {metric: value for metric, value in shipped if value is not None}


def _health(found: Health, production: Production) -> Health:
    days = production.days
    last = days[-1] if days else None
    if last is None:
        return found.model_copy(update={"why": Why.NOT_LOOKED_AT})
    figures = [each for each in production.figures() if np.isfinite(each.days).any()]
    looked = last.date == found.day
    found = found.model_copy(
        update={
            "requests": last.requests if looked else None,
            "figures": len(figures),
            "unlogged": production.unlogged,
        }
    )
    every = _changes(figures)
    on = [each for each in every if each.on(len(days) - 1)]
    findings = sorted((_finding(each, figures[each.figure], days) for each in on), key=_importance)
    found = found.model_copy(update={"findings": tuple(findings), "alarm_days": _in_a_row(every, len(days))})
    if not looked:
        return found.model_copy(update={"why": Why.NOT_LOOKED_AT})
    if findings:
        return found.model_copy(update={"state": State.ALARM})
    if len(found.unlogged) == len([each for each in production.sketch.features if each.name not in production.ignore]):
        return found.model_copy(update={"why": Why.NOT_LOGGED})
    noise = np.array([1 / each.requests if each.requests else np.nan for each in days])
    if enough_days(noise)[-1]:
        return found.model_copy(update={"state": State.WELL})
    few = Why.TOO_FEW_DAYS if len(days) < _WAIT else Why.TOO_FEW_REQUESTS
    return found.model_copy(update={"state": State.LEARNING, "why": few})


_WAIT = 16  # days after which a version with requests enough is known


def _changes(figures: Sequence[Figure]) -> tuple[Change, ...]:
    """What changed, of all figures together; a live metric only where it is worse."""
    if not figures:
        return ()
    table = Figures(
        values=np.stack([each.days for each in figures], axis=1),
        noise=np.stack([each.noise for each in figures], axis=1),
        floors=np.array([each.floor for each in figures]),
        far=np.array([each.far for each in figures]),
    )
    found = changes(table)
    return tuple(each for each in found if figures[each.figure].code is not Code.METRIC or each.effect > 0)


def _in_a_row(found: Iterable[Change], days: int) -> int:
    """How many days in a row, up to the last one, something alarms."""
    row = [*found]
    count = 0
    while count < days and any(each.on(days - 1 - count) for each in row):
        count += 1
    return count


def _finding(change: Change, figure: Figure, days: Sequence[DayEntry]) -> Finding:
    unit = abs(figure.unit)
    return Finding(
        code=figure.code,
        **figure.of._asdict(),
        effect=change.effect * figure.unit,
        limit=change.limit * unit,
        before=figure.shown(change.before),
        now=figure.shown(change.before + change.effect),
        since=days[change.first].date,
        noticed=days[change.noticed].date,
        against="before" if change.window else "reference",
    )


def _importance(finding: Finding) -> tuple[float, str, str]:
    """What is said first: what is furthest beyond its limit."""
    return -abs(finding.effect) / max(finding.limit, 1e-12), finding.column, finding.value


def days_between(first: Date, last: Date) -> Iterator[Date]:
    """Each day from one to another."""
    day, end = date.fromisoformat(first), date.fromisoformat(last)
    while day <= end:
        yield day.isoformat()
        day += timedelta(days=1)
