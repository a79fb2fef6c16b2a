"""The report as one HTML file that loads nothing: tables for all, charts for those who run scripts."""

import hashlib
from base64 import b64encode
from collections.abc import Sequence
from functools import partial
from typing import Any

from mlbot.gates.outcome import Reason
from mlbot.lib.escape import clean
from mlbot.lib.templates import fill, has_sentence, templates
from mlbot.report import markdown, tables, words
from mlbot.report.data import data_tables
from mlbot.report.notices import label
from mlbot.report.report import Charts, ModelReport, Report, Side
from mlbot.report.words import by_severity, headline, model_line


def html(report: Report, charts: Charts | None = None, made: str = "") -> str:
    """A page that stands alone: no request leaves it, and its policy would forbid one. Without charts, tables alone.

    `made` is when.
    """
    scripts = [charts.script, (templates() / "report" / "charts.js").read_text(encoding="utf-8")] if charts else []
    return fill(
        "report.html.j2",
        report=report,
        made=made,
        headline=headline(report),
        tone=_tone(report),
        label=label,
        waived_by=words.waived_by,
        waived_at=partial(markdown.waived_at, report),
        loud=tables.loud,
        quiet=tables.quiet,
        models=[
            _model(report, model, charts) | {"index": index}
            for index, model in enumerate(by_severity(report.models), 1)
        ],
        written=tables.parameter,
        data=data_tables(report.data),
        times=markdown.times(report.cost) if report.cost else [],
        charts={"specs": charts.specs, "themes": charts.themes} if charts else None,
        scripts=[_embeddable(text) for text in scripts],
        script_sources=_sources(scripts),
    )


def _tone(report: Report) -> str:
    quiet = report.trial or report.verdict.reason is Reason.NOTHING_STALE
    return "note-tone" if quiet else report.verdict.standing


def _embeddable(script: str) -> str:
    """A script as it may stand in an element; ours end none, and the policy's hashes admit no other."""
    if "</script" in script.lower() or "<!--" in script:
        raise ValueError("a script that would end its own element cannot be embedded")
    return script


def _sources(scripts: Sequence[str]) -> str:
    """What the page's policy lets run: exactly these scripts, by their hashes."""
    hashes = (b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts)
    return " ".join(f"'sha256-{digest}'" for digest in hashes) or "'none'"


def chart_title(chart: str, parts: tables.PartTable | None) -> str:
    """What a chart is called: that of a breakdown as its table."""
    if chart == "parts" and parts is not None:
        return parts.title
    return words.of_gate(f"chart/{chart}") if has_sentence("gates", f"chart/{chart}") else chart


def _model(report: Report, model: ModelReport, charts: Charts | None) -> dict[str, Any]:
    gates = tables.gate_rows(model)
    both = [
        *(("candidate", each) for each in model.candidate_training),
        *(("baseline", each) for each in model.baseline_training),
    ]
    specs = charts.specs.get(model.model, {}) if charts else {}
    confusion, parts = markdown.confusion(model), tables.part_table(model)
    return {
        "model": model,
        "line": model_line(model),
        "compared": tables.compared(model, report.verdict.commits.guarded, clean),
        "seeds": tables.seeds(model),
        "decided": tables.decided(model),
        "looks": tables.looks(model),
        "methods": tables.methods(model),
        "gates": gates,
        "notes": tables.gate_notes(report, model),
        "anchors": tables.anchor_blocks(model, report.verdict.commits.guarded),
        "removal": model.verdict.waived.waiver if model.verdict.waived else None,
        "metrics": tables.metric_rows(model),
        "beside": tables.production_rows(model),
        "beside_summary": tables.production_summary(model),
        "production_is": tables.production_is(model),
        "slices": tables.slice_table(model, columns=1_000),  # all of them: a page has room to scroll
        "parts": parts,
        "bins": [
            (side.value, each) for side in Side if side in model.curves for each in model.curves[side].calibration
        ],
        "errors": markdown.calibration_errors(model),
        "confusion": confusion,
        "weight": model.holdout.weight if model.holdout else None,
        "classes": [name for name, _ in confusion],
        "item_errors": tables.item_errors(model),
        "changed_items": tables.changed_items(model),
        "item_costs": tables.item_costs(model),
        "online": tables.online(model),
        "files": tables.file_rows(model),
        "trainings": [each for each in both if not each[1].origin],
        "brought": [each for each in both if each[1].origin][:2],
        "history": tables.history_rows(model),
        "charts": [(name, chart_title(name, parts), spec.get("description", name)) for name, spec in specs.items()],
    }
