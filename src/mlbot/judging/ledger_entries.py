"""A report of the guarded branch as entries of the ledger."""

from mlbot.events.github import Attempt
from mlbot.ledger.entries import SeedValues, StoredFile, Time, VerdictEntry, WaiverEntry
from mlbot.lib.record import Record
from mlbot.protocol.artifacts import AcceptedArtifact
from mlbot.report.report import ModelReport, Report, report_digest, training_digest
from mlbot.verdict.evidence import Score


class Origin(Record):
    """Where and when a verdict came to be."""

    branch: str
    attempt: Attempt
    """The training that was judged."""
    judge: Attempt
    """The run that judged it, which holds the accepted files."""
    time: Time


def entries_of(report: Report, origin: Origin) -> tuple[VerdictEntry, ...]:
    """One entry for each judged model; none for a trial, which counts nowhere.

    Args:
        report: What was found.
        origin: Where and when.
    """
    if report.trial:
        return ()
    found = (_entry(report, model, origin) for model in report.models)
    return tuple(entry for entry in found if entry is not None)


def given_on(report: Report, number: int) -> tuple[WaiverEntry, ...]:
    """The waivers that people gave on a pull request and that its verdict rests on; none for a trial."""
    if report.trial:
        return ()
    return tuple(each for each in report.verdict.waivers if each.pull_request == number)


def _entry(report: Report, model: ModelReport, origin: Origin) -> VerdictEntry | None:
    """A deleted model has no key and nothing to remember."""
    verdict = model.verdict
    if verdict.key is None:
        return None
    return VerdictEntry(
        model=model.model,
        key=verdict.key,
        digest=verdict.digest,
        holdout=model.holdout.digest if model.holdout else None,
        commit=report.verdict.commits.head,
        branch=origin.branch,
        outcome=verdict.outcome,
        reason=verdict.reason,
        provisional=verdict.provisional,
        attempt=origin.attempt,
        judge=origin.judge,
        files=_files(model, origin),
        values=_values(model),
        training=training_digest(model),
        report=report_digest(model),
        time=origin.time,
    )


def _files(model: ModelReport, origin: Origin) -> tuple[StoredFile, ...]:
    artifact = AcceptedArtifact(attempt=origin.judge.number).name
    return tuple(
        StoredFile(
            seed=each.seed, digest=each.digest, size_bytes=each.size_bytes, run=origin.judge.run, artifact=artifact
        )
        for each in model.candidate
        if each.digest is not None and each.problem is None
    )


def _values(model: ModelReport) -> tuple[SeedValues, ...]:
    names = dict.fromkeys((score.metric, score.slice) for each in model.candidate for score in each.scores)
    scored = [each for each in model.candidate if each.digest is not None and each.problem is None]
    return tuple(
        SeedValues(metric=metric, slice=slice_, values=tuple(_value(each.score(metric, slice_)) for each in scored))
        for metric, slice_ in names
    )


def _value(score: Score | None) -> float | None:
    return score.value if score else None
