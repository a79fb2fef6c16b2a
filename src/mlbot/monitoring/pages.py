"""The dashboard as files of a static site: an index and a page a model. The same record makes the same bytes."""

import hashlib
import re
from base64 import b64encode
from bisect import bisect_left
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from mlbot import __version__
from mlbot.gates.outcome import Outcome
from mlbot.lib import figures
from mlbot.lib.templates import fill_page, sentence, templates
from mlbot.monitoring.charts import Chart, Spot, bars, chart, columns
from mlbot.monitoring.dashboard import Costs, Dashboard, Measured, MetricHistory, ModelHistory, Place, Watched
from mlbot.monitoring.health import Finding
from mlbot.monitoring.words import amount_text, effect_text, subject_text, unsteady_text, what_text, why_text
from mlbot.report.notices import MANY_LOOKS

INDEX = "index.html"
HEAD = '<!doctype html>\n<html lang="en">\n<head>\n<meta name="generator" content="mlbot dashboard">\n'
"""What each page begins with, and is known by: nothing else is ever deleted."""
_ROWS = 50  # of a table; all of it is in the JSON
_CHARTS = 24  # of a branch
_BRANCHES = 5
_SPARK = 60  # verdicts of the index's small charts


def pages(site: Dashboard) -> dict[str, str]:
    """Each file's text by its path."""
    names = page_names([each.model for each in site.models])
    look = _look()
    rows = [_row(each, names[each.model]) for each in site.models]
    cost = _cost(site.cost) if site.cost else None
    found = {INDEX: fill_page("dashboard/index.html.j2", site=site, rows=rows, cost=cost, **look)}
    for each in site.models:
        found[names[each.model]] = fill_page("dashboard/model.html.j2", site=site, **_model(each), **look)
    return {path: _dense(text) for path, text in found.items()}


def is_page_name(path: str) -> bool:
    """Whether a page may be called so."""
    return re.fullmatch(rf"{INDEX}|models/[A-Za-z0-9._-]+\.html", path) is not None


def page_names(models: Sequence[str]) -> dict[str, str]:
    """The path of each model's page: no two are one file, also where a file system knows no case."""
    slugs = {model: re.sub(r"[^A-Za-z0-9._-]", "_", model) for model in models}
    folded: dict[str, int] = {}
    for slug in slugs.values():
        folded[slug.casefold()] = folded.get(slug.casefold(), 0) + 1
    return {
        model: f"models/{_named(model, slug, alone=folded[slug.casefold()] == 1)}.html" for model, slug in slugs.items()
    }


def _named(model: str, slug: str, *, alone: bool) -> str:
    if alone and slug == model:
        return slug
    return f"{slug}-{hashlib.sha256(model.encode('utf-8', 'surrogateescape')).hexdigest()[:8]}"


def _look() -> dict[str, str]:
    """The style and what the pages' policy knows it by: nothing else is applied, and nothing is run."""
    style = "".join(line.strip() for line in (templates() / "dashboard" / "style.css").read_text("utf-8").splitlines())
    digest = b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return {"style": style, "style_hash": f"sha256-{digest}", "version": __version__}


def _dense(text: str) -> str:
    """A page without the empty lines that a template leaves."""
    return re.sub(r"\n\s*\n+", "\n", text).strip() + "\n"


def _row(model: ModelHistory, page: str) -> dict[str, Any]:
    """A line of the index."""
    line = next((each for each in model.metrics if each.measured), None)
    drawn = chart(_spots(model, line)[-_SPARK:]) if line else None
    return {
        "model": model,
        "page": page,
        "live": {each.environment: each for each in model.environments},
        "line": line if drawn else None,
        "spark": drawn,
        "last": figures.number(line.measured[-1].value) if line else "",
        "summary": _summary(line) if line else (),
    }


def _model(model: ModelHistory) -> dict[str, Any]:
    branches = [_branch(model, each) for each in [*dict.fromkeys(each.branch for each in model.metrics)][:_BRANCHES]]
    return {
        "model": model,
        "branches": branches,
        "used": [*dict.fromkeys(place for each in branches for one in each["charts"] for place, *_ in one["rows"])],
        "verdicts": model.verdicts[: -_ROWS - 1 : -1],
        "places": [_place(each, model) for each in model.places],
        "versions": model.versions[: -_ROWS - 1 : -1],
        "sealed": model.sealed.looks[: -_ROWS - 1 : -1] if model.sealed else (),
        "events": model.events[: -_ROWS - 1 : -1],
        "watched": [_watched(each) for each in model.watched],
        "cost": _cost(model.cost) if model.cost else None,
        "most": _ROWS,
        "many": MANY_LOOKS,
    }


def _branch(model: ModelHistory, branch: str) -> dict[str, Any]:
    lines = [each for each in model.metrics if each.branch == branch]
    return {
        "name": branch,
        "charts": [_chart(model, each) for each in lines[:_CHARTS]],
        "left_out": max(0, len(lines) - _CHARTS),
    }


def _chart(model: ModelHistory, line: MetricHistory) -> dict[str, Any]:
    measured = line.measured
    shown = measured[: -_ROWS - 1 : -1]
    drawn: Chart | None = chart(_spots(model, line), [_steps(line, bound) for bound in ("min", "max")])
    times = [model.verdicts[each.verdict].time for each in (measured[0], measured[-1])]
    return {
        "line": line,
        "drawn": drawn,
        "summary": _summary(line),
        "last": figures.number(measured[-1].value),
        "dates": times if len(measured) > 1 else times[:1],
        "rows": [(each.verdict, figures.number(each.value), _range(each), each.interval) for each in shown],
        "left_out": len(measured) - len(shown),
    }


def _range(measured: Measured) -> str:
    """The ends of an interval; empty where there is none."""
    if measured.low is None or measured.high is None:
        return ""
    return f"{figures.number(measured.low)}\N{EN DASH}{figures.number(measured.high)}"


def _steps(line: MetricHistory, bound: str) -> list[tuple[int, float | None]]:
    """A bound's limits by the spot from which on each held. Other bounds are of changes, and no height in a chart."""
    verdicts = [each.verdict for each in line.measured]
    return [(bisect_left(verdicts, each.verdict), each.limit) for each in line.limits if each.bound == bound]


def _spots(model: ModelHistory, line: MetricHistory) -> list[Spot]:
    """The figures to draw; those of two holdouts are of two groups."""
    found: list[Spot] = []
    group, before = 0, None
    for each in line.measured:
        verdict = model.verdicts[each.verdict]
        group += bool(found) and verdict.holdout != before
        before = verdict.holdout
        loud = verdict.outcome in {Outcome.FAIL, Outcome.ERROR}
        found.append(Spot(value=each.value, low=each.low, high=each.high, group=group, loud=loud))
    return found


def _summary(line: MetricHistory) -> tuple[int, str, str, str, str]:
    """A chart in a few figures, for who cannot see it: how many, the first, the last, the lowest and the highest."""
    values = [each.value for each in line.measured]
    first, last, low, high = map(figures.number, (values[0], values[-1], min(values), max(values)))
    return len(values), first, last, low, high


def _watched(found: Watched) -> dict[str, Any]:
    """A model in production: how it does, what alarms, and its days."""
    health, days = found.health, found.days
    requests = [float(each.requests or 0) for each in days]
    return {
        "environment": found.environment,
        "health": health,
        "state": sentence("monitoring", f"state/{health.state}", health=health) if health else "",
        "why": why_text(health) if health else "",
        "unsteady": unsteady_text(health) if health else "",
        "findings": [_finding(each) for each in health.findings[:_ROWS]] if health else [],
        "columns": columns(requests),
        "most": figures.count(max(requests, default=0.0)),
        "dates": [days[0].date, days[-1].date],
        "days": days[: -_ROWS - 1 : -1],
        "left_out": max(0, len(days) - _ROWS),
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "finding": finding,
        "what": what_text(finding),
        "where": subject_text(finding),
        "was": amount_text(finding.code, finding.before),
        "now": amount_text(finding.code, finding.now),
        "by": effect_text(finding.code, finding.effect),
        "allowed": effect_text(finding.code, finding.limit).lstrip("+"),
    }


def _cost(cost: Costs) -> dict[str, Any]:
    minutes = [each.estimate.minutes for each in cost.attempts]
    return {
        "all": cost,
        "columns": columns(minutes),
        "most": figures.duration(60 * max(minutes, default=0.0)),
        "dates": [cost.attempts[0].time, cost.attempts[-1].time][: len(minutes)] if minutes else [],
        "months": cost.months[: -_ROWS - 1 : -1],
        "attempts": cost.attempts[: -_ROWS - 1 : -1],
    }


def _place(place: Place, model: ModelHistory) -> dict[str, Any]:
    shown = place.stays[: -_ROWS - 1 : -1]
    return {
        "place": place,
        "stays": shown,
        "left_out": len(place.stays) - len(shown),
        "bars": bars(_shares(place, model), [each.version for each in place.stays[-_ROWS:]]),
        "dates": _span(place, model),
        "label": f"{place.environment}: {', '.join(each.version for each in place.stays[-_ROWS:])}",
    }


def _shares(place: Place, model: ModelHistory) -> list[float]:
    """Where each shown stay begins between the first one's and the model's newest moment, as shares of that."""
    start, end = (_seconds(each) for each in _span(place, model))
    moments = [_seconds(each.since) for each in place.stays[-_ROWS:]]
    return [*((each - start) / (end - start) if end > start else 0.0 for each in moments), 1.0]


def _span(place: Place, model: ModelHistory) -> tuple[str, str]:
    """When the row of an environment begins and ends."""
    shown = [each.since for each in place.stays[-_ROWS:]]
    return min(shown, key=_seconds), max([*shown, *(each.time for each in model.events)], key=_seconds)


def _seconds(time: str) -> float:
    try:
        return datetime.fromisoformat(time).timestamp()
    except ValueError:  # its form is checked, not that there is such a day
        return 0.0
