"""The registry for a terminal: what is where, what happened, what a version was made from."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType

from mlbot.data.sketch import Column, Profile, SketchKind, Tally
from mlbot.events.github import Attempt
from mlbot.ledger.entries import Environment, ProfileEntry
from mlbot.lib.escape import clean
from mlbot.lib.terminal import Cell, Pen
from mlbot.registry.data_use import DataUse, DataVerdict, DataVersion, PathContent, Stay
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
        ("made from", f"mlbot registry lineage {clean(model.model)}@{version.version} says it"),
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
        ("", _data_hint(found)),
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


_MOST_ROWS = 20


def data_text(found: DataUse, pen: Pen) -> str:
    """What used a data file."""
    own = {each.profile.content for each in found.profiles}
    named = [f"{each}{'  sha256 of its bytes' if each in own else ''}" for each in found.digests]
    rows: list[tuple[str, str | None]] = [
        *_several("path", [clean(each) for each in found.paths if each != found.path]),
        *_several("digest", named or [_NOT_HERE]),
        ("last used", _last_use(found) if found.digests else None),
    ]
    return _joined(
        pen.paint(clean(found.path or found.asked), _BOLD),
        _pairs(rows, pen),
        *(_profile(each, pen) for each in found.profiles[:2]),
        _titled("Trained on it", _data_verdicts(found, "train", pen), pen),
        _titled("Judged on it", _data_verdicts(found, "holdout", pen), pen),
        _titled("Versions and where they were", _data_versions(found.versions, pen), pen),
        _titled(f"What {clean(found.path or '')} held", _data_history(found.history, pen), pen),
        _listed([*_data_notes(found), *_cut(found.problems)], pen),
    )


_NOT_HERE = "the working tree has no such file: name a digest of those that it had"


def _titled(title: str, table: str, pen: Pen) -> str:
    return f"{pen.paint(title, _BOLD)}\n{table}" if table else ""


def _last_use(found: DataUse) -> str:
    if found.verdicts:
        return f"{_time(found.verdicts[-1].time)} UTC, by the verdict on {clean(found.verdicts[-1].model)}"
    if found.versions:
        return f"by {clean(found.versions[-1].model)} {found.versions[-1].version}"
    return "never, as far as the ledger says"


def _data_notes(found: DataUse) -> Iterator[str]:
    if found.digests and not found.profiles:
        yield (
            "The ledger has no profile of it: one is recorded with the verdict on the commit of the guarded branch "
            "that changes a file."
        )
    if found.silent:
        yield (
            f"Of {found.silent:,} of {found.every:,} verdicts the ledger does not say the data: an earlier mlbot wrote "
            "them, or their training left no lineage."
        )


def _profile(entry: ProfileEntry, pen: Pen) -> str:
    profile, sketch = entry.profile, entry.profile.sketch
    count = len(profile.columns) + profile.more_columns
    title = f"{sketch.rows:,} rows, {count:,} columns, as {clean(entry.model)} reads them"
    tallies = {column.name: (column, own) for column, own in _tallied(profile)}
    rows = []
    for each in profile.columns[:_MOST_ROWS]:
        column, own = tallies.get(each.name, (None, None))
        rows.append(
            [
                Cell(clean(each.name, 40)),
                Cell(clean(each.type, 20)),
                Cell(_share(own.missing, own.rows) if own else "", right=True),
                Cell(_values(column, own) if column and own else "not sketched", _DIM if not own else ""),
            ]
        )
    more = f"\n  … and {count - len(rows):,} more: --json" if count > len(rows) else ""
    return (
        f"{pen.paint(title, _BOLD)}\n{pen.table(['column', 'type', 'missing', 'values'], rows)}{more}"
        if rows
        else title
    )


def _tallied(profile: Profile) -> Iterator[tuple[Column, Tally]]:
    return ((each.column, each.own) for each in profile.sketch.beside(profile.sketch.counts))


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.3g} %" if whole else ""


def _values(column: Column, own: Tally) -> str:
    """What most rows have: the most frequent categories, or where the middle half of the numbers is, by the bins."""
    if column.kind is SketchKind.CATEGORY:
        named = [*zip(column.values, own.counts, strict=False)][:3]
        others = sum(own.counts[len(named) :])
        found = [*((clean(value, 20), count) for value, count in named), *([("others", others)] if others else [])]
        return ", ".join(f"{value}: {_share(count, own.rows)}" for value, count in found)
    if column.kind is SketchKind.OTHER:
        return "counted alone"
    edges = [_edge(column, each) for each in column.edges]
    unit = " characters" if column.kind is SketchKind.TEXT else ""
    if not edges:
        return "too few, or nearly all alike"
    low, high = (_quantile(column, own, level) for level in (0.25, 0.75))
    if low < high:
        return f"half from {edges[low]} to {edges[high]}{unit}"
    most = max(range(column.bins), key=lambda at: own.counts[at])
    bounds = [*([f"from {edges[most - 1]}"] if most else []), *([f"below {edges[most]}"] if most < len(edges) else [])]
    return f"{_share(own.counts[most], own.rows)} {' and '.join(bounds)}{unit}"


def _edge(column: Column, edge: float) -> str:
    return _moment(edge) if column.kind is SketchKind.TIME else f"{edge:.6g}"


def _moment(seconds: float) -> str:
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}"
    except (OverflowError, ValueError, OSError):  # a ledger may hold any number
        return f"{seconds:.6g}"


def _quantile(column: Column, own: Tally, level: float) -> int:
    """Which edge is nearest to a quantile."""
    below = [sum(own.counts[: at + 1]) for at in range(len(column.edges))]
    wanted = level * sum(own.counts)
    return min(range(len(below)), key=lambda at: abs(below[at] - wanted))


def _data_verdicts(found: DataUse, part: str, pen: Pen) -> str:
    mine = [each for each in found.verdicts if each.part == part]
    if not mine:
        return ""
    shown = mine[-_MOST_ROWS:]
    head = ["model", "commit", "branch", "verdict", "judged (UTC)", "versions", "path"]
    rows = [_data_verdict_row(each) for each in reversed(shown)]
    more = f"\n  … and {len(mine) - len(shown):,} before: --json" if len(mine) > len(shown) else ""
    return f"{pen.table(head, rows, expendable=(6, 2))}{more}"


def _data_verdict_row(each: DataVerdict) -> list[Cell]:
    return [
        Cell(clean(each.model), _BOLD),
        Cell(each.commit[:10]),
        Cell(clean(each.branch)),
        Cell(each.outcome),
        Cell(_time(each.time)),
        Cell(", ".join(each.versions) or _NONE),
        Cell(clean(each.path or _NONE, 60)),
    ]


def _data_versions(versions: Sequence[DataVersion], pen: Pen) -> str:
    if not versions:
        return ""
    head = ["model", "version", "used it for", "environment", "from (UTC)", "until (UTC)"]
    rows = [
        _data_version_row(each, stay) for each in reversed(versions) for stay in (*reversed(each.stays),) or (None,)
    ]
    more = f"\n  … and {len(rows) - _MOST_ROWS:,} more: --json" if len(rows) > _MOST_ROWS else ""
    return f"{pen.table(head, rows[:_MOST_ROWS])}{more}"


def _data_version_row(each: DataVersion, stay: Stay | None) -> list[Cell]:
    until = _NONE if stay is None else _time(stay.until) or "live now"
    return [
        Cell(clean(each.model)),
        Cell(each.version, _BOLD),
        Cell("training" if each.part == "train" else "judging"),
        Cell(clean(stay.environment) if stay else "nowhere"),
        Cell(_time(stay.since) if stay else _NONE),
        Cell(until, _GREEN if until == "live now" else ""),
    ]


def _data_history(history: Sequence[PathContent], pen: Pen) -> str:
    if not history:
        return ""
    head = ["digest", "first judged (UTC)", "last (UTC)", "verdicts", "versions", ""]
    rows = [
        [
            Cell(_short(each.digest), _BOLD),
            Cell(_time(each.first)),
            Cell(_time(each.last)),
            Cell(str(each.verdicts), right=True),
            Cell(clean(", ".join(each.versions) or _NONE, 60)),
            Cell("in the working tree" if each.now else "", _GREEN),
        ]
        for each in reversed(history[-_MOST_ROWS:])
    ]
    more = f"\n  … and {len(history) - len(rows):,} before: --json" if len(history) > len(rows) else ""
    return f"{pen.table(head, rows)}{more}"


def _data_hint(found: Lineage) -> str | None:
    """What says what else used its data."""
    first = next(iter((found.data or {}).values()), None)
    return f"what else used it: mlbot registry data {_short(first)}" if first else None


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
