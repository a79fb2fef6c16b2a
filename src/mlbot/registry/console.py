"""The registry for a terminal: what is where, what happened, what a version was made from."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

from mlbot.events.github import Attempt
from mlbot.ledger.entries import Environment
from mlbot.lib.escape import clean
from mlbot.lib.terminal import Cell, Pen
from mlbot.registry.views import (
    EnvironmentView,
    History,
    Lineage,
    ModelDetail,
    ModelView,
    Moment,
    RegistryEvent,
    RegistryView,
    UnfinishedView,
    VerdictView,
    VersionView,
)

_BOLD, _DIM, _RED, _GREEN, _YELLOW = "1", "2", "31", "32", "33"

_NONE = "–"

_MOST = 5

_LONGEST_WHY = 100

_STATES: Mapping[str | None, tuple[str, str]] = MappingProxyType(
    {
        None: ("", ""),
        "succeeded": ("done", _GREEN),
        "failed": ("failed", _RED),
        "rolled-back": ("rolled back", _RED),
        "started": ("not finished", _YELLOW),
    }
)


def registry_text(view: RegistryView, pen: Pen) -> str:
    """Every model with its latest version and what is in each environment."""
    if not view.models:
        return _joined("No model has a version yet. Give the first one: mlbot release MODEL", _remarks(view, pen))
    head = ["model", "latest", *map(clean, view.environments)]
    rows = [_model_row(model, view.environments) for model in view.models]
    return _joined(
        pen.table(head, rows),
        _footnote(each for model in view.models for each in model.environments),
        _remarks(view, pen),
    )


def model_text(model: ModelDetail, pen: Pen) -> str:
    """One model: its environments, then its versions, the newest first."""
    latest = f"latest {model.latest}" if model.latest else "no version yet"
    title = pen.paint(f"{clean(model.model)}: {latest}", _BOLD)
    if model.deprecated:
        title += pen.paint(f"\n! It is deprecated by the tag {clean(model.deprecated)}.", _YELLOW)
    return _joined(
        title,
        _environments(model.environments, pen),
        _footnote(model.environments),
        _versions(model.versions, pen),
        _remarks(model, pen),
    )


def version_text(model: ModelDetail, version: VersionView, pen: Pen) -> str:
    """One version and where it is."""
    title = pen.paint(f"{clean(model.model)} {version.version}", _BOLD)
    rows = [
        ("commit", version.commit),
        ("bytes", version.digest or "not known: no release and no note in its tag says it"),
        ("tag", version.tag or "none in this clone"),
        ("released", _by(version.released, version.actor) if version.released else "no: it is tagged only"),
        ("withdrawn", version.withdrawn),
        ("live in", ", ".join(version.live) or "no environment"),
    ]
    environments = [each for each in model.environments if each.version == version.version]
    tables = _pairs(rows, pen), _environments(environments, pen), _footnote(environments)
    return _joined(title, *tables, _listed([*_unfinished(version.unfinished), *_cut(model.problems)], pen))


def history_text(past: History, pen: Pen) -> str:
    """What happened, a line each, oldest first."""
    head = ["time (UTC)", "what", "model", "version", "environment", "by", "outcome", "why"]
    rows = [_event_row(each) for each in past.events]
    shown = pen.table(head, rows) if rows else "The ledger has nothing on that."
    return _joined(shown, _listed(_cut(past.problems), pen))


def moment_text(moment: Moment, pen: Pen) -> str:
    """What was live at a moment."""
    if not moment.live:
        return _joined(f"Nothing was live at {_time(moment.moment)} UTC.", _listed(moment.problems, pen))
    head = ["model", "environment", "version", "since (UTC)", "by", "bytes"]
    rows = [
        [
            Cell(clean(each.model)),
            Cell(clean(each.environment)),
            Cell(each.version or _NONE, _BOLD),
            Cell(_time(each.since)),
            Cell(clean(each.actor or "")),
            Cell(_short(each.digest), _DIM),
        ]
        for each in moment.live
    ]
    return _joined(f"Live at {_time(moment.moment)} UTC:", pen.table(head, rows), _listed(moment.problems, pen))


def lineage_text(found: Lineage, pen: Pen) -> str:
    """What a version was made from, who let it pass, and where it went."""
    title = pen.paint(f"{clean(found.model)} {found.version}", _BOLD)
    rows: list[tuple[str, str | None]] = [
        ("commit", found.commit),
        ("tag", found.tag or "none in this clone"),
        ("bytes", found.digest or "not known"),
        ("content key", found.key or "not known"),
        *_several("data", [f"{clean(path)}  {digest}" for path, digest in (found.data or {}).items()]),
        *_several("parameters", [f"{clean(name)} = {clean(value)}" for name, value in (found.params or {}).items()]),
        ("seed", None if found.seed is None else str(found.seed)),
        *_several("environment", list(_environment(found.environment)) if found.environment else []),
        ("brought", f"from {clean(found.origin.url)} ({clean(found.origin.pin)})" if found.origin else None),
        ("trained", f"in run {found.attempt}" if found.attempt else None),
        *_several("verdict", list(_verdict(found.verdict)) if found.verdict else ["none in the ledger"]),
        *_several("waivers", [f"{clean(each.gate)}: {_by_whom(each)}" for each in found.waivers] or ["none"]),
        ("released", _by_whom(found.released) if found.released else "no: it is tagged only"),
        *_several(
            "approved", [f"{clean(each.environment)}: {_by_whom(each)}" for each in found.approvals] or ["by nobody"]
        ),
        *_several("deployed", [_deployed(each) for each in found.deployments] or ["nowhere"]),
    ]
    return _joined(title, _pairs(rows, pen), _listed([*found.notes, *_cut(found.problems)], pen))


def _model_row(model: ModelView, environments: Sequence[str]) -> list[Cell]:
    there = {each.environment: each for each in model.environments}
    name = Cell(f"{clean(model.model)} (deprecated)", _DIM) if model.deprecated else Cell(clean(model.model), _BOLD)
    cells = (Cell(_version(there[each])) if each in there else Cell(_NONE, _DIM) for each in environments)
    return [name, Cell(model.latest or _NONE), *cells]


def _version(view: EnvironmentView) -> str:
    version = view.version or (view.commit or "")[:10]
    return f"{version}*" if view.source == "tag" else version


def _footnote(environments: Iterable[EnvironmentView]) -> str:
    by_tag = any(each.source == "tag" for each in environments)
    return "* So says a tag; the ledger knows of no deployment there." if by_tag else ""


def _environments(environments: Sequence[EnvironmentView], pen: Pen) -> str:
    if not environments:
        return ""
    head = ["environment", "version", "since (UTC)", "by", "bytes", "why"]
    rows = [
        [
            Cell(clean(each.environment)),
            Cell(_version(each), _BOLD),
            Cell(_time(each.since) or _NONE),
            Cell(clean(each.actor or _NONE)),
            Cell(_short(each.digest), _DIM),
            Cell(_why(each.action == "rollback", each.reason)),
        ]
        for each in environments
    ]
    return pen.table(head, rows, expendable=(4,))


def _versions(versions: Sequence[VersionView], pen: Pen) -> str:
    if not versions:
        return ""
    head = ["version", "commit", "released (UTC)", "by", "bytes", "live in"]
    rows = [
        [
            Cell(each.version, _DIM if each.withdrawn else _BOLD),
            Cell(each.commit[:10]),
            Cell("withdrawn" if each.withdrawn else _time(each.released) or "tagged only"),
            Cell(clean(each.actor or _NONE)),
            Cell(_short(each.digest), _DIM),
            Cell(", ".join(map(clean, each.live))),
        ]
        for each in reversed(versions)
    ]
    return pen.table(head, rows, expendable=(4,))


def _event_row(event: RegistryEvent) -> list[Cell]:
    state, style = _STATES[event.state]
    version = f"{event.previous} → {event.version}" if event.previous else event.version or ""
    why = f"{event.gate}: {event.reason}" if event.gate else event.reason
    if event.detail and event.state != "succeeded":
        why = f"{why}: {event.detail}" if why else event.detail
    return [
        Cell(_time(event.time)),
        Cell(event.kind, _BOLD if event.kind == "rollback" else ""),
        Cell(clean(event.model or "")),
        Cell(version),
        Cell(clean(event.environment or "")),
        Cell(clean(event.actor)),
        Cell(state, style),
        Cell(clean(why, _LONGEST_WHY)),
    ]


def _remarks(view: RegistryView | ModelDetail, pen: Pen) -> str:
    """What stands below: locks, deployments that did not end, and what is not believed."""
    lines = [
        *(f"{each.environment} is locked by {each.actor}{_because(each.reason)}." for each in view.locks),
        *_unfinished(view.unfinished),
        *_cut(view.lost),
        *(f"{each} The ledger decides." for each in _cut(view.notes)),
        *_cut([f"The tag {each.tag} is left out: {each.reason}." for each in view.quarantined]),
        *_cut(view.problems),
    ]
    return _listed(lines, pen)


def _unfinished(deployments: Iterable[UnfinishedView]) -> Iterator[str]:
    for each in deployments:
        yield (
            f"The {each.action} of {each.model} {each.version} to {each.environment} by {each.actor} "
            f"({_time(each.since)} UTC) did not say how it ended. It goes on where it stopped: {each.finish}"
        )


def _cut(lines: Sequence[str]) -> list[str]:
    more = len(lines) - _MOST
    return [*lines[:_MOST], *([f"And {more:,} more of this kind; --json has them all."] if more > 0 else [])]


def _listed(lines: Sequence[str], pen: Pen) -> str:
    return "\n".join(pen.paint(pen.wrap(clean(line), "! ", "  "), _YELLOW) for line in lines)


def _pairs(rows: Iterable[tuple[str, str | None]], pen: Pen) -> str:
    known = [(name, value) for name, value in rows if value is not None]
    width = max(len(name) for name, _ in known)
    return "\n".join(f"  {pen.paint(name.ljust(width), _DIM)}  {value}" for name, value in known)


def _several(name: str, values: Sequence[str]) -> Iterator[tuple[str, str]]:
    for index, value in enumerate(values):
        yield (name if index == 0 else "", value)


def _environment(environment: Environment) -> Iterator[str]:
    yield f"Python {clean(environment.python)}, {clean(environment.platform)}"
    yield f"packages {environment.packages}"
    if environment.lock:
        yield f"lock file {environment.lock}"


def _verdict(verdict: VerdictView) -> Iterator[str]:
    word = f"{verdict.outcome}, provisional" if verdict.provisional else str(verdict.outcome)
    yield f"{word} ({verdict.reason}) at commit {verdict.commit[:10]} of {clean(verdict.branch)}"
    yield f"judged in run {verdict.judge}, {_time(verdict.time)} UTC"
    if verdict.holdout:
        yield f"holdout {verdict.holdout}"
    if verdict.metrics:
        yield ", ".join(f"{clean(name)} {value:.4g}" for name, value in verdict.metrics.items() if "@" not in name)


def _deployed(event: RegistryEvent) -> str:
    state, _ = _STATES[event.state]
    return f"{clean(event.environment)}: {event.kind} {event.sequence}, {state}, {_by_whom(event)}"


def _by_whom(event: RegistryEvent) -> str:
    return f"{_by(event.time, event.actor)}{_in(event.run)}{_because(event.reason)}"


def _by(time: str | None, actor: str | None) -> str:
    return f"{_time(time)} UTC by {clean(actor or 'nobody known')}"


def _in(run: Attempt | None) -> str:
    return f" in run {run}" if run else ""


def _because(reason: str) -> str:
    return f": {clean(reason)}" if reason else ""


def _why(rolled_back: bool, reason: str) -> str:  # noqa: FBT001 - one of two words
    return f"rollback{_because(reason)}" if rolled_back else clean(reason)


def _time(time: str | None) -> str:
    return time[:16].replace("T", " ") if time else ""


def _short(digest: str | None) -> str:
    return digest.removeprefix("sha256:")[:12] if digest else _NONE


def _joined(*blocks: str) -> str:
    return "\n\n".join(block for block in blocks if block) + "\n"
