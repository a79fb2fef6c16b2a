"""The report as GitHub Markdown, cut section by section to GitHub's limit."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from mlbot.core.chart import Picture
from mlbot.core.command_offers import offers
from mlbot.core.headline import by_severity, headline, model_line
from mlbot.core.outcome import Outcome, Reason
from mlbot.core.report import ModelReport, Report
from mlbot.render import sections
from mlbot.render.engine import fill
from mlbot.render.sections import ICONS

LIMIT = 65_536
"""GitHub's longest comment, in characters (more is refused with 422)."""

_MOST_MODELS = 100
_ALERTS: Mapping[str, str] = {
    Outcome.PASS: "TIP",
    Reason.WAIVED: "WARNING",
    Outcome.FAIL: "CAUTION",
    Outcome.INCONCLUSIVE: "WARNING",
    Outcome.ERROR: "IMPORTANT",
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Section:
    """A piece of the comment that stands or falls whole."""

    name: str
    """What the line about cuts calls it."""
    text: str
    rank: int
    """The higher, the sooner it is left out; 0 never."""


def markdown(
    report: Report, *, marker: str = "", pictures: Mapping[str, Picture] = MappingProxyType({}), limit: int = LIMIT
) -> str:
    """The whole comment, or the job summary.

    Args:
        report: What to say.
        marker: The hidden line by which the bot finds its comment (`mlbot.core.marker`).
        pictures: A chart by model, where charts have an address.
        limit: The most characters (UTF-16 units, the strictest way to count); at least 16,384.

    Returns:
        Markdown that is never longer than `limit`; what was left out is said.
    """
    found = list(_sections(report, pictures))
    frame = _frame(report, marker, limit)
    left_out = _least_needed(found, len16(frame(found, ())) - limit)
    while len16(text := frame([each for each in found if each not in left_out], left_out)) > limit:
        more = _least_needed([each for each in found if each not in left_out], 1)
        if not more:
            break
        left_out.extend(more)
    return text


def _least_needed(found: Sequence[Section], excess: int) -> list[Section]:
    """The sections to leave out so that at least `excess` characters go, the least needed first, the last of them."""
    chosen: list[Section] = []
    order = sorted(enumerate(found), key=lambda pair: (pair[1].rank, pair[0]), reverse=True)
    for _, section in order:
        if excess <= 0 or not section.rank:
            break
        chosen.append(section)
        excess -= len16(section.text)
    return chosen


def len16(text: str) -> int:
    """Length in UTF-16 units."""
    return len(text.encode("utf-16-le")) // 2


def _frame(report: Report, marker: str, limit: int) -> Callable[[Sequence[Section], Sequence[Section]], str]:
    offered = offers(report)

    def build(kept: Sequence[Section], left_out: Sequence[Section]) -> str:
        return fill(
            "comment.md.j2",
            report=report,
            sections=[section.text.strip("\n") for section in kept],
            left_out=_names(left_out),
            limit=limit,
            marker=marker,
            offers=offered,
        )

    return build


def _names(left_out: Sequence[Section]) -> list[str]:
    """Each kind of section once, with how often it was left out."""
    counts: dict[str, int] = {}
    for section in left_out:
        counts[section.name] = counts.get(section.name, 0) + 1
    return [name if times == 1 else f"{name} of {times} models" for name, times in counts.items()]


def _sections(report: Report, pictures: Mapping[str, Picture]) -> Iterator[Section]:
    yield Section(name="verdict", text=_alert(report), rank=0)
    several = len(report.models) > 1
    if several:
        yield Section(name="overview", text=_overview(report), rank=2)
    if text := sections.notices(report.notices):
        yield Section(name="notices", text=text, rank=1)
    for model in by_severity(report.models):
        if several and model.verdict.standing == Outcome.PASS:
            yield Section(name="models that pass", text=_folded(report, model), rank=6)
        else:
            yield from _model(report, model, pictures.get(model.model), heading=several)
    if report.unchanged:
        names = report.unchanged
        text = fill("comment/unchanged.md.j2", unchanged=names[:30], more=max(0, len(names) - 30))
        yield Section(name="models not judged", text=text, rank=5)
    if text := sections.notes(report.notices):
        yield Section(name="notes", text=text, rank=12)


def _alert(report: Report) -> str:
    quiet = report.trial or report.verdict.reason is Reason.NOTHING_STALE
    alert = "NOTE" if quiet else _ALERTS[report.verdict.standing]
    return fill("comment/alert.md.j2", alert=alert, headline=headline(report))


def _overview(report: Report) -> str:
    models = by_severity(report.models)
    return fill(
        "comment/overview.md.j2",
        models=models[:_MOST_MODELS],
        more=max(0, len(models) - _MOST_MODELS),
        lines={model.model: model_line(model) for model in models[:_MOST_MODELS]},
        icons=ICONS,
    )


def _model(report: Report, model: ModelReport, picture: Picture | None, *, heading: bool) -> Iterator[Section]:
    order: tuple[tuple[str, int, str], ...] = (
        ("facts", 1, sections.facts(report, model, heading=heading)),
        ("notices", 2, sections.notices(model.notices)),
        ("gates", 3, sections.gates(model)),
        ("reasons", 3, sections.reasons(report, model)),
        ("training logs", 4, sections.failures(model)),
        ("negative flips", 4, sections.flips(model)),
        ("all metrics", 7, sections.metrics(model)),
        ("production", 7, sections.production(model)),
        ("slices", 8, sections.slices(model)),
        ("calibration", 11, sections.calibration(model)),
        ("model file", 10, sections.file(model)),
        ("changes", 9, sections.changes(model)),
        ("training", 12, sections.training(model)),
        ("notes", 12, sections.notes(model.notices)),
        ("chart", 5, fill("comment/chart.md.j2", picture=picture, folded=heading) if picture else ""),
        ("history", 11, sections.history(report, model)),
    )
    yield from (Section(name=name, text=text, rank=rank) for name, rank, text in order if text)


def _folded(report: Report, model: ModelReport) -> str:
    pieces = [section.text for section in _model(report, model, None, heading=False) if section.rank < 9]
    return fill("comment/model.md.j2", model=model, line=model_line(model), sections=pieces, icons=ICONS)
