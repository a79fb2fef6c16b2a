"""How models in production do, for a terminal."""

import math
from collections.abc import Iterator, Sequence

from mlbot.lib import figures
from mlbot.lib.escape import clean
from mlbot.lib.templates import sentence
from mlbot.lib.terminal import Cell, Pen
from mlbot.monitoring.health import Code, Finding, Health, Part, State

_BOLD, _DIM = "1", "2"
_STYLES = {State.WELL: "32", State.ALARM: "31", State.LEARNING: "33", State.UNKNOWN: "33"}
_MOST = 12
_NONE = "\N{EN DASH}"


def health_text(models: Sequence[Health], pen: Pen) -> str:
    """Every model, what alarms and since when."""
    return "\n\n".join("\n".join(_model(each, pen)) for each in models) + "\n"


def _model(health: Health, pen: Pen) -> Iterator[str]:
    state = pen.paint(sentence("monitoring", f"state/{health.state}", health=health), _STYLES[health.state])
    yield f"{pen.paint(clean(sentence('monitoring', 'title', health=health)), _BOLD)} {state}"
    yield pen.wrap(sentence("monitoring", "day", health=health))
    if health.why:
        yield pen.wrap(why_text(health))
    if health.first:
        yield pen.wrap(sentence("monitoring", "first", health=health))
    if health.unlogged:
        names = ", ".join(clean(each, 40) for each in health.unlogged[:_MOST])
        yield pen.wrap(sentence("monitoring", "unlogged", names=names))
    if health.findings:
        yield from _findings(health, pen)


def _findings(health: Health, pen: Pen) -> Iterator[str]:
    if health.state is not State.ALARM:
        yield pen.wrap(sentence("monitoring", "still"))
    names = ("what", "column", "was", "is", "effect", "limit", "since")
    yield ""
    yield pen.table(
        [sentence("monitoring", f"head/{each}") for each in names],
        [_row(each) for each in health.findings[:_MOST]],
        # What a number moved by is nowhere else; before and after are of shares alone.
        expendable=(5, 2),
    )
    if len(health.findings) > _MOST:
        yield pen.paint(f"  {sentence('monitoring', 'more', number=len(health.findings) - _MOST)}", _DIM)
    yield ""
    if health.unsteady:
        yield pen.wrap(unsteady_text(health))
    yield pen.wrap(sentence("monitoring", "follow"))


def _row(finding: Finding) -> list[Cell]:
    since = finding.since
    if finding.against == "reference":
        since = sentence("monitoring", "reference", since=since)
    return [
        Cell(what_text(finding)),
        Cell(subject_text(finding)),
        Cell(amount_text(finding.code, finding.before), right=True),
        Cell(amount_text(finding.code, finding.now), right=True),
        Cell(effect_text(finding.code, finding.effect), _STYLES[State.ALARM], right=True),
        Cell(effect_text(finding.code, finding.limit).lstrip("+"), right=True),
        Cell(since),
    ]


def why_text(health: Health) -> str:
    """Why nothing can be told; empty where there is no reason. Escaped for a terminal alone."""
    return clean(sentence("monitoring", f"why/{health.why}", health=health), 600) if health.why else ""


def unsteady_text(health: Health) -> str:
    """Why its alarms may be wrong more often than promised; empty where nothing says so."""
    return " ".join(sentence("monitoring", f"unsteady/{each}") for each in health.unsteady)


def what_text(finding: Finding) -> str:
    """What a finding says, in a few words; escaped for a terminal alone."""
    shown = finding.model_copy(update={"value": clean(finding.value, 200 if finding.code is Code.ABSENT else 40)})
    return sentence("monitoring", f"code/{finding.code}", finding=shown)


def subject_text(finding: Finding) -> str:
    """What a finding is of; escaped for a terminal alone."""
    if finding.part is Part.SERVICE:
        return ""
    return sentence("monitoring", f"part/{finding.part}", name=clean(finding.column, 40))


def names_of(findings: Sequence[Finding]) -> tuple[str, ...]:
    """What findings are of, each once; what is of no column is called what it says. Escaped for a terminal alone."""
    return tuple(dict.fromkeys(subject_text(each) or what_text(each) for each in findings))


def amount_text(code: Code, value: float | None) -> str:
    """A share, a number of requests, or a metric; a dash where there is none."""
    if value is None:
        return _NONE
    match code:
        case Code.VOLUME:
            return figures.count(value)
        case Code.METRIC:
            return figures.number(value)
        case _:
            return figures.percent(value)


def effect_text(code: Code, value: float) -> str:
    """How far something moved, with its unit."""
    match code:
        case Code.LOCATION:
            return f"{value:+.2f} sd"
        case Code.METRIC:
            return figures.signed(value)
        case Code.VOLUME:
            return f"\N{MULTIPLICATION SIGN} {math.exp(value):.2f}"
        case Code.CONTROL | Code.ABSENT:
            return figures.percent(value)
        case _:
            return f"{value:+.2f} h"
