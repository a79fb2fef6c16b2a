"""The comment that lists a pull request's trials, the newest in full."""

import re
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator, Sequence
from typing import Annotated

from pydantic import Field, RootModel, StringConstraints

from mlbot.events.github import Attempt, Id, Login, WebUrl
from mlbot.gates.outcome import Outcome
from mlbot.lib import figures
from mlbot.lib.record import Count, Name, Params, Record, Sha
from mlbot.lib.templates import fill
from mlbot.lib.untrusted_json import HostileJsonError, read
from mlbot.protocol.answer import RetrainRequest
from mlbot.protocol.marker import last_line_of
from mlbot.report import tables, words
from mlbot.report.markdown import LIMIT, len16
from mlbot.report.report import ModelReport, NoticeCode, ParamChange, Report
from mlbot.report.tables import MetricRow, compared_row, metric_rows, seeds

MOST_LISTED = 20  # trials that the comment lists; their number counts all
_LINE_LIMIT = 24_000
"""Characters of the stored results: more than a third of GitHub's longest comment is not for people."""

_JSON_LIMIT = 1 << 20

_LOG_LINES = 15

_NAMED = 3

_RESULTS = re.compile(r"<!-- mlbot:trials (?P<packed>[A-Za-z0-9_=-]{1,24000}) -->")

Line = Annotated[str, StringConstraints(max_length=2000)]

Sentence = Annotated[str, StringConstraints(max_length=2000)]


class TrialResult(Record):
    """What came of one trial."""

    attempt: Attempt
    number: Annotated[int, Field(ge=1)]  # which of the pull request's trials it is, from 1
    head: Sha
    model: Name
    actor: Login
    comment: Id
    url: WebUrl
    params: tuple[ParamChange, ...] = ()
    problem: Sentence = ""  # why there are no figures; empty where there are
    uncompared: Sentence = ""  # why the figures are not compared with the committed parameters'
    log_tail: tuple[Line, ...] = ()
    """The last lines of a failed training's log; hostile text, escaped where rendered, and not stored."""
    rows: Count | None = None
    seeds: str = ""
    looks: str = ""  # how many models' figures on these rows were shown
    optimistic: Sentence = ""  # what so many looks do to figures; empty after few
    metrics: tuple[MetricRow, ...] = ()
    failing: tuple[Sentence, ...] = ()  # the absolute gates that the trial's file would fail
    file: str = ""  # the file of parameters; empty where the config names none
    diff: Annotated[str, StringConstraints(max_length=8000)] = ""
    """The change to commit; empty where it could not be made, or is not stored any more."""

    @property
    def headline(self) -> str:
        """The trial in one sentence."""
        return f"Trial {self.number} of {self.model}: {self.problem or f'{self.came_to}.'}"

    @property
    def came_to(self) -> str:
        """What came of it: a clause without a full stop, or the problem as it is."""
        if self.problem:
            return self.problem
        if self.uncompared:
            return "measured, and not compared with what is committed"
        if self.metrics and all(row.reading == "identical" for row in self.metrics):
            return "no effect, the predictions are the same"
        every = len(self.metrics)
        clauses = [_clause(self.better, every, "better"), _clause(self.worse, every, "worse")]
        rest = every - len(self.better) - len(self.worse)
        if rest and any(clauses):
            clauses.append(f"{figures.plural(rest, 'metric')} without a clear change")
        return ", ".join(filter(None, clauses)) or "no clear change against what is committed"

    @property
    def better(self) -> tuple[str, ...]:
        """The metrics that are better beyond noise."""
        return tuple(row.metric for row in self.metrics if row.reading == "better")

    @property
    def worse(self) -> tuple[str, ...]:
        """The metrics that are worse beyond noise."""
        return tuple(row.metric for row in self.metrics if row.reading == "worse")


def _clause(metrics: Sequence[str], every: int, how: str) -> str:
    if not metrics:
        return ""
    if len(metrics) == every > _NAMED:
        return f"all {every} metrics are {how}"
    if len(metrics) > _NAMED + 1:
        return f"{', '.join(metrics[:_NAMED])} and {len(metrics) - _NAMED} more are {how}"
    *first, last = metrics
    return f"{', '.join(first)} and {last} are {how}" if first else f"{last} is {how}"


class _Results(RootModel[tuple[TrialResult, ...]]):
    """The results of a pull request's trials, the newest first."""


class Change(Record):
    """What would have to be committed."""

    committed: Params | None = None  # the parameters at head; None where they cannot be read
    file: str = ""
    diff: str = ""


def trial_result(
    request: RetrainRequest, number: int, url: WebUrl, change: Change, report: Report | None = None, problem: str = ""
) -> TrialResult:
    """What is told of a trial."""
    committed = change.committed or {}
    model = report.models[0] if report and report.models else None
    return TrialResult(
        attempt=request.attempt,
        number=number,
        head=request.sha,
        model=request.models[0],
        actor=request.actor,
        comment=request.comment,
        url=url,
        params=tuple(
            ParamChange(name=name, before=committed.get(name), after=value)
            for name, value in sorted(request.params.items())
        ),
        problem=(problem or _problem(model))[:2000],
        uncompared=_uncompared(model)[:2000] if model else "",
        log_tail=tuple(line[:2000] for line in model.failures[0].log_tail[-_LOG_LINES:])
        if model and model.failures
        else (),
        rows=model.holdout.rows if model and model.holdout else None,
        seeds=seeds(model) if model else "",
        looks=tables.looks(model) if model else "",
        optimistic=_optimistic(model) if model else "",
        metrics=_metrics(model) if model else (),
        failing=tuple(_failing(model)) if model else (),
        file=change.file,
        diff=change.diff,
    )


def with_result(earlier: Sequence[TrialResult], result: TrialResult) -> tuple[TrialResult, ...]:
    """All results, the newest first; of one attempt, the last word."""
    others = [each for each in earlier if each.attempt != result.attempt]
    return tuple(sorted([*others, result], key=lambda each: each.attempt.order, reverse=True)[:MOST_LISTED])


def results_line(marker: str, results: Sequence[TrialResult]) -> str:
    """The comment's last line: its marker and, behind it, the results; of old ones, as many as there is room for."""
    slim = [
        each.model_copy(update={"log_tail": ()} | ({"diff": ""} if place else {})) for place, each in enumerate(results)
    ]
    for end in range(len(slim), -1, -1):
        raw = _Results(tuple(slim[:end])).model_dump_json().encode()
        packed = urlsafe_b64encode(zlib.compress(raw, 9)).decode()
        if len(packed) <= _LINE_LIMIT and len(raw) <= _JSON_LIMIT:
            return f"{marker}<!-- mlbot:trials {packed} -->"
    return marker


def read_results(body: str, marker: str) -> tuple[TrialResult, ...]:
    """The results that a comment of the bot's keeps; none where it is malformed."""
    line = last_line_of(body)
    found = _RESULTS.fullmatch(line.removeprefix(marker)) if line.startswith(marker) else None
    if found is None:
        return ()
    try:
        unpacked = zlib.decompressobj().decompress(urlsafe_b64decode(found["packed"]), _JSON_LIMIT + 1)
        return read(unpacked, _Results, "The stored trials", most_bytes=_JSON_LIMIT).root
    except (zlib.error, HostileJsonError, ValueError):
        return ()


def _problem(model: ModelReport | None) -> str:
    if model is None:
        return "The judge found nothing to report."
    broken = next((each.problem for each in model.candidate if each.problem is not None), None)
    if broken is not None:
        return broken.detail
    why = model.verdict.why
    return "" if _metrics(model) else why.detail if why else "The model could not be evaluated."


def _uncompared(model: ModelReport) -> str:
    if model.comparisons and model.baseline:
        return ""
    relative = (each for each in model.verdict.gates if each.gate.bound.is_relative)
    by_gate = [each.problem.detail for each in relative if each.problem is not None]
    return next(iter([*(each.text for each in model.notices if each.code == "no-baseline"), *by_gate]), "")


def _optimistic(model: ModelReport) -> str:
    return next((each.text for each in model.notices if each.code is NoticeCode.MANY_LOOKS), "")[:2000]


def _metrics(model: ModelReport) -> tuple[MetricRow, ...]:
    gated = {(each.gate.metric, each.gate.slice) for each in model.verdict.gates if each.gate.slice is not None}
    sliced = (each for each in model.comparisons if (each.metric, each.slice) in gated)
    return (*metric_rows(model), *(compared_row(each) for each in sliced))


def _failing(model: ModelReport) -> list[str]:
    """The gates that need no baseline and that the trial's file fails: what stands in the way of committing it."""
    return [
        words.finding(each, model)
        for each in model.verdict.gates
        if each.outcome is Outcome.FAIL and each.counts
        # a trial has another baseline
        if not each.gate.bound.is_relative and each.gate.metric != "negative_flips"
    ][:20]


_MOST_METRICS = 40

_MOST_FAILING = 5


def trials(
    results: Sequence[TrialResult], *, marker: str = "", page: str, context: str = "mlbot", limit: int = LIMIT
) -> str:
    """The comment, or the job summary.

    Never longer than `limit` UTF-16 units: the oldest trials are left out first, then what is long of the newest.
    """
    total, text = max(each.number for each in results), ""
    for some in _shorter(results):
        text = _text(some, total, results_line(marker, some) if marker else "", page, context)
        if len16(text) <= limit:
            break
    return text


def _shorter(results: Sequence[TrialResult]) -> Iterator[Sequence[TrialResult]]:
    """The results, then fewer and fewer of them, then less and less of the newest."""
    for count in range(len(results), 0, -1):
        yield results[:count]
    newest = results[0].model_copy(update={"diff": "", "log_tail": ()})
    yield (newest,)
    yield (newest.model_copy(update={"metrics": newest.metrics[:_MOST_METRICS], "failing": newest.failing[:1]}),)
    yield (newest.model_copy(update={"metrics": (), "failing": (), "params": newest.params[:1]}),)


def _text(results: Sequence[TrialResult], total: int, line: str, page: str, context: str) -> str:
    newest, *earlier = results
    shown = {"written": tables.parameter, "page": page}
    table = fill("trial/earlier.md.j2", results=earlier, head=newest.head, model=newest.model, **shown)
    return fill(
        "trial/comment.md.j2",
        result=newest,
        detail=fill("trial/detail.md.j2", result=newest, most=_MOST_FAILING, **shown).strip("\n"),
        earlier=table.strip("\n") if earlier else "",
        number=total,
        context=context,
        marker=line,
    )
