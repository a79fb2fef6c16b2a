"""The model card of a release, as Markdown."""

import json
from collections.abc import Mapping
from typing import Any

from mlbot.config.schema import Model
from mlbot.gates.metric import Task
from mlbot.ledger.entries import ReleaseEntry, VerdictEntry, WaiverEntry
from mlbot.lib import figures
from mlbot.lib.artifact import MODEL_FILE
from mlbot.lib.record import Digest, Record
from mlbot.lib.templates import fill
from mlbot.lib.version import name_of
from mlbot.protocol.artifacts import Training
from mlbot.report import words
from mlbot.report.report import ModelReport
from mlbot.report.tables import GateRow, SliceTable, gate_rows, slice_table

# What goes with a released file: the model card's facts, the manifest, and the sums to check them by.

CARD_FILE, MANIFEST_FILE = "MODEL_CARD.md", "manifest.json"

TRAINING_FILE, GOLDEN_FILE, SUMS_FILE = "training.json", "golden.json", "SHA256SUMS"

_TASKS = {
    Task.BINARY: "a probability between two classes",
    Task.MULTICLASS: "a probability for each of several classes",
    Task.REGRESSION: "a number",
    Task.MULTILABEL: "a probability for each label",
    Task.MULTIOUTPUT: "a number for each",
    Task.RANKING: "a score that orders the rows of a query",
    Task.FORECAST: "a number for a time to come",
    Task.SCORES: "what an evaluator scores",
}


class Measure(Record):
    """One metric of the released file on all rows."""

    metric: str
    arrow: str
    value: str
    interval: str  # the two-sided 90 % interval of the value, over the choice of rows


class Card(Record):
    """Everything that the model card shows."""

    name: str  # `adult-income@v1.2.0`
    release: ReleaseEntry
    verdict: VerdictEntry | None  # the verdict that let it be released; None where the ledger has it no more
    waiver: WaiverEntry | None = None  # who answers for it in the place of sealed rows
    uses: tuple[str, ...]  # what it is for: sentences from the config
    holdout: str  # what it was measured on; empty where the report is not kept
    measures: tuple[Measure, ...] = ()
    gates: tuple[GateRow, ...] = ()
    slices: SliceTable | None = None
    limits: tuple[str, ...]  # what it is not known to be good for
    url: str | None = None  # of the repository


def card_of(
    release: ReleaseEntry,
    model: Model | None,
    verdict: VerdictEntry | None,
    report: ModelReport | None,
    url: str | None,
    waiver: WaiverEntry | None = None,
) -> Card:
    """The card of a release.

    Args:
        release: the version.
        model: of the released commit's config; None where that has it no more.
        verdict: that let it be released.
        report: None where it was not kept.
        url: of the repository.
        waiver: who answers for it in the place of sealed rows.
    """
    slices = slice_table(report) if report else None
    return Card(
        name=name_of(release.model, release.version),
        release=release,
        verdict=verdict,
        waiver=waiver,
        uses=tuple(_uses(model)),
        holdout=_holdout(report),
        measures=_measures(report) if report else (),
        gates=gate_rows(report) if report else (),
        slices=slices if slices and slices.rows else None,
        limits=tuple(_limits(release, report)),
        url=url,
    )


def _uses(model: Model | None) -> list[str]:
    if model is None:
        return ["What it predicts is not in the released commit's mlbot.yaml any more."]
    if model.evaluate is not None:
        return [f"It is scored by the evaluator of mlbot.yaml: {', '.join(each.name for each in model.metrics)}."]
    what = f"It predicts {', '.join(model.data.targets)}: {_TASKS[model.task]}"
    positive = f", of which {model.data.positive} is the positive one" if model.data.positive else ""
    left_out = [f"Columns it does not use: {', '.join(model.data.drop)}."] if model.data.drop else []
    return [
        f"{what}{positive}.",
        *left_out,
        "It was judged for rows like those of the holdout below, and for nothing else.",
    ]


def _holdout(report: ModelReport | None) -> str:
    holdout = report.holdout if report else None
    if holdout is None:
        return ""
    if report is not None and report.items is not None:
        return f"{figures.plural(holdout.rows, 'item')} that the evaluator asks ({figures.short(holdout.digest)})"
    where = "which only the judge can read" if holdout.hidden else "which lie in the repository"
    rows, digest = figures.count(holdout.rows), figures.short(holdout.digest)
    return f"{rows} labelled rows held out of the training data, {where} ({digest})"


def _measures(report: ModelReport) -> tuple[Measure, ...]:
    shipped = report.shipped
    return tuple(_measure(report, score.metric) for score in (shipped.scores if shipped else ()) if score.slice is None)


def _measure(report: ModelReport, metric: str) -> Measure:
    score = report.shipped.score(metric) if report.shipped else None
    low, high = (score.low, score.high) if score else (None, None)
    half = (high - low) / 2 if low is not None and high is not None else None
    value = score.value if score else None
    places = figures.decimals(half, value)
    between = low is not None and high is not None
    return Measure(
        metric=metric,
        arrow=words.arrow(report.direction(metric)),
        value=figures.number(value, places),
        interval=f"{figures.number(low, places)} to {figures.number(high, places)}" if between else "",
    )


def _limits(release: ReleaseEntry, report: ModelReport | None) -> list[str]:
    if report is None:
        return ["The judge's report on it is not kept, so nothing is said here of its metrics and slices."]
    limits = [
        f"The slice {each.name} has {figures.plural(each.rows, 'row')}, fewer than {figures.count(each.min_rows)}: "
        "what is measured on it is a hint."
        for each in report.slices
        if each.small
    ]
    limits += [notice.text for notice in report.notices if notice.warning]
    if report.holdout and not report.holdout.hidden and report.items is None:
        limits.append("The holdout lies in the repository, where a training could have read it.")
    limits.append(
        "The intervals are about the choice of rows. How the world has changed since they were collected, nobody "
        "measured."
    )
    if not release.data:
        limits.append("Which training data it was made from is not recorded.")
    return limits


def file_name(release: ReleaseEntry) -> str:
    """What the file or folder of a release is called where it is put."""
    return release.file or MODEL_FILE


def manifest(release: ReleaseEntry, training: Training | None, file: str) -> bytes:
    """The release for programs: its entry in the ledger, and the lineage of the file."""
    whole: dict[str, Any] = {
        "schema_version": "mlbot/manifest@1",
        "name": name_of(release.model, release.version),
        "file": file,
        "release": release.model_dump(mode="json"),
        "training": training.model_dump(mode="json") if training else None,
    }
    return json.dumps(whole, indent=2, sort_keys=True, ensure_ascii=True, allow_nan=False).encode() + b"\n"


def checksums(digests: Mapping[str, Digest]) -> str:
    """`SHA256SUMS`, as `sha256sum --check` reads it."""
    return "".join(f"{digest.removeprefix('sha256:')}  {name}\n" for name, digest in sorted(digests.items()))


def card_text(card: Card) -> str:
    """The card, with a line end."""
    return f"{fill('release/card.md.j2', card=card).strip()}\n"
