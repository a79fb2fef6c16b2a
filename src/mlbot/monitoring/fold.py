"""From the days that the ledger has to how a model does: pure, so that whoever reads the ledger says the same."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date, timedelta
from math import ceil
from typing import NamedTuple

import numpy as np

from mlbot.data.sketch import Counts
from mlbot.ledger.entries import Date, DayEntry, DeploymentEntry, Entry, VerdictEntry
from mlbot.ledger.queries import live_on, reference_of, release_of, verdicts
from mlbot.lib.record import Name
from mlbot.monitoring.day import VOLUME, Figure, Production
from mlbot.monitoring.health import Code, Finding, Health, Part, State, Unsteady, Why
from mlbot.stats.drift import BASE, FEWEST, KNOWN, WINDOWS, Change, Figures, changes, unsteady


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


def _before(day: Date, days: int = 1) -> Date:
    return (date.fromisoformat(day) - timedelta(days=days)).isoformat()


_WEEK = 7  # days without logs that are no more than a late begin


def health_of(
    entries: Iterable[Entry], model: Name, environment: Name, day: Date, ignore: Collection[str] = ()
) -> Health:
    """How a model does as of a day, by the days that the ledger has. `ignore` are columns that raise no alarm."""
    known = [*entries]
    found = Health(model=model, environment=environment, version=None, day=day, state=State.UNKNOWN)
    live = version_on(known, model, environment, day)
    if isinstance(live, Why):
        return found.model_copy(update={"why": live, "state": State.LEARNING})
    days, labels = days_of(known, live, day)
    found = found.model_copy(update={"version": live.version, "days": len(days)})
    if days and (began := live.time[:10]) < _before(days[0].date, _WEEK):
        found = found.model_copy(update={"began": began, "first": days[0].date})
    release = release_of(known, model, live.version)
    reference = reference_of(known, release) if release and release.digest == live.digest else None
    if release is None or reference is None:
        return found.model_copy(update={"why": Why.NO_REFERENCE})
    judged = _judged(verdicts(known), release.key, model)
    production = Production(sketch=reference.sketch, days=days, labels=labels, judged=judged, ignore=ignore)
    return _health(found, production, spans_of(days, labels))


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


_TOGETHER = 20  # requests of days that are put together
_LONGEST = 56


class _Span(NamedTuple):
    """Days that are looked at as one."""

    first: Date
    days: int
    entry: DayEntry
    labels: DayEntry | None


def spans_of(days: Sequence[DayEntry], labels: Sequence[DayEntry | None]) -> list[_Span]:
    """The days, those with few requests put together until there are enough; without the last ones that are not yet."""
    found = list[_Span]()
    held: _Span | None = None
    for day, label in zip(days, labels, strict=True):
        one = _Span(day.date, 1, day, label)
        held = (
            one if held is None else _Span(held.first, held.days + 1, _sum(held.entry, day), _both(held.labels, label))
        )
        if (held.entry.requests or 0) >= _TOGETHER:
            found.append(held)
            held = None
        elif held.days >= _LONGEST:
            held = None
    return found


def _both(one: DayEntry | None, other: DayEntry | None) -> DayEntry | None:
    return _sum(one, other) if one and other else one or other


def _sum(one: DayEntry, other: DayEntry) -> DayEntry:
    """Two days as one; what only one of them has is that one's."""
    counts, labels = (_added(getattr(one, name), getattr(other, name)) for name in ("counts", "labels"))
    numbers = {name: _plus(getattr(one, name), getattr(other, name)) for name in ("requests", "errors", "labelled")}
    return other.model_copy(update={**numbers, "counts": counts, "labels": labels, "live": (*one.live, *other.live)})


def _plus(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else one + other


def _added(one: Counts | None, other: Counts | None) -> Counts | None:
    """The counts of both; of two sketches, which nobody but a stranger writes, the last ones."""
    try:
        return other if one is None else one if other is None else one + other
    except ValueError:
        return other


def _judged(known: Sequence[VerdictEntry], key: str, model: Name) -> dict[str, float]:
    """What the verdict on a version measured of the file that ships, on all rows."""
    own = [each for each in known if (each.model, each.key) == (model, key)]
    values = own[-1].values if own else ()
    shipped = ((each.metric, each.values[0]) for each in values if each.slice is None and each.values)
    return {metric: value for metric, value in shipped if value is not None}


def _health(found: Health, production: Production, spans: Sequence[_Span]) -> Health:
    days = production.days
    if not days:
        return found.model_copy(update={"why": Why.NOT_LOOKED_AT})
    looked = days[-1].date == found.day
    known = replace(production, days=[each.entry for each in spans], labels=[each.labels for each in spans])
    figures = [each for each in known.figures() if np.isfinite(each.days).any()] if spans else []
    table = _table(figures, _week(spans)) if figures else None
    every = _changes(figures, table)
    on = [each for each in every if each.on(len(spans) - 1)]
    outage, late = outage_of(days, spans)
    changed = [_finding(each, figures[each.figure], spans) for each in on]
    if not any(each.code is Code.VOLUME for each in changed):
        changed += outage
    findings = sorted(changed, key=_importance)
    found = found.model_copy(
        update={
            "requests": days[-1].requests if looked else None,
            "figures": len(figures),
            "unlogged": production.unlogged,
            "findings": tuple(findings),
            "unsteady": _unsteady(table) if table and findings else (),
            "alarm_days": max(_in_a_row(every, spans), late),
        }
    )
    if not looked:
        return found.model_copy(update={"why": Why.NOT_LOOKED_AT})
    if findings:
        return found.model_copy(update={"state": State.ALARM})
    if len(found.unlogged) == len([each for each in production.sketch.features if each.name not in production.ignore]):
        return found.model_copy(update={"why": Why.NOT_LOGGED})
    if len(spans) >= KNOWN:
        return found.model_copy(update={"state": State.WELL})
    few = Why.TOO_FEW_DAYS if len(days) < KNOWN else Why.TOO_FEW_REQUESTS
    return found.model_copy(update={"state": State.LEARNING, "why": few})


def _week(spans: Sequence[_Span]) -> int:
    """How many spans are a week."""
    return ceil(7 / max(1.0, float(np.median([each.days for each in spans])))) if spans else 7


def _table(figures: Sequence[Figure], week: int) -> Figures:
    return Figures(
        values=np.stack([each.days for each in figures], axis=1),
        noise=np.stack([each.noise for each in figures], axis=1),
        floors=np.array([each.floor for each in figures]),
        far=np.array([each.far for each in figures]),
        sudden=np.array([each.sudden for each in figures]),
        week=week,
    )


def _changes(figures: Sequence[Figure], table: Figures | None) -> tuple[Change, ...]:
    """What changed, of all figures together; a live metric only where it is worse."""
    found = changes(table) if table else ()
    return tuple(each for each in found if figures[each.figure].code is not Code.METRIC or each.effect > 0)


def _unsteady(table: Figures) -> tuple[Unsteady, ...]:
    both: tuple[Unsteady, ...] = ("alike", "far-off")
    return tuple(name for name, found in zip(both, unsteady(table), strict=True) if found)


def _in_a_row(found: Sequence[Change], spans: Sequence[_Span]) -> int:
    """How many days in a row, up to the last one, something alarms."""
    count = 0
    for place in reversed(range(len(spans))):
        if not any(each.on(place) for each in found):
            break
        count += spans[place].days
    return count


def _usual(spans: Sequence[_Span]) -> int:
    """Twice as many days as nine of ten spans took at most."""
    return 2 * int(np.quantile([each.days for each in spans[-BASE:]], 0.9, method="higher"))


def outage_of(days: Sequence[DayEntry], spans: Sequence[_Span]) -> tuple[tuple[Finding, ...], int]:
    """Whether hardly anybody asks any more, and on how many days that was seen.

    Days with so few requests are not looked at until there are enough of them together, and that may be never: it takes
    more than twice as many days as almost always.
    """
    if len(spans) < FEWEST + WINDOWS[0]:  # sooner than `KNOWN`: of a version that nobody asks no more spans come
        return (), 0
    known = spans[:-1]
    if spans[-1].days > (usual := _usual(known)):  # it was late itself, and what came after it goes on
        few = [each for each in days if each.date >= spans[-1].first]
    else:
        known, usual = spans, _usual(spans)
        few = [each for each in days if each.date > spans[-1].entry.date]
    if len(few) <= usual:
        return (), 0
    asked = [(each.entry.requests or 0) / each.days for each in known[-BASE:]]
    before, now = float(np.median(asked)), float(np.mean([each.requests or 0 for each in few]))
    finding = Finding(
        code=Code.VOLUME,
        part=Part.SERVICE,
        column="",
        effect=float(np.log1p(now) - np.log1p(before)),
        limit=VOLUME,
        before=before,
        now=now,
        since=few[0].date,
        noticed=few[usual].date,
        against="before",
    )
    return (finding,), len(few) - usual


def _finding(change: Change, figure: Figure, spans: Sequence[_Span]) -> Finding:
    unit = abs(figure.unit)
    return Finding(
        code=figure.code,
        **figure.of._asdict(),
        effect=change.effect * figure.unit,
        limit=change.limit * unit,
        before=figure.shown(change.before),
        now=figure.shown(change.before + change.effect),
        since=spans[change.first].first,
        noticed=spans[change.noticed].entry.date,
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
