"""The documents that are stored beside a judged model, each by its digest: its lineage, and its report."""

from collections.abc import Iterator

from mlbot.gates.outcome import Outcome
from mlbot.lib.canonical import digest, document
from mlbot.lib.record import Digest, Record
from mlbot.protocol.training_record import Training
from mlbot.report.report import ModelReport, Report

MOST_BYTES = 16 << 20
"""The longest document that is read back."""


def canonical(record: Record) -> bytes:
    """A record's only JSON form: sorted keys, no spaces, ASCII, a newline at the end."""
    return document(record.model_dump(mode="json"))


def digest_of(raw: bytes) -> Digest:
    """What a document is stored by."""
    return digest(raw)


def training_of(model: ModelReport) -> Training | None:
    """The lineage of the file that ships; None where it is not known, or is another file's."""
    digest = model.verdict.digest
    return next((each for each in model.candidate_training if digest and each.digest == digest), None)


def bare(model: ModelReport) -> ModelReport:
    """A model's report without its curves, which are most of its bytes and which no model card shows."""
    return model.model_copy(update={"curves": {}})


def training_digest(model: ModelReport) -> Digest | None:
    """What the lineage of the file that ships is stored by; None where there is none."""
    training = training_of(model)
    return digest_of(canonical(training)) if training else None


def report_digest(model: ModelReport) -> Digest:
    """What the model's report is stored by."""
    return digest_of(canonical(bare(model)))


def documents_of(report: Report) -> dict[Digest, bytes]:
    """All documents to store for a verdict of the guarded branch, by digest: of models that may be released."""
    return dict(_documents(report))


def _documents(report: Report) -> Iterator[tuple[Digest, bytes]]:
    for model in report.models:
        if model.verdict.outcome in {Outcome.PASS, Outcome.INCONCLUSIVE} and model.verdict.digest:
            training = training_of(model)
            for record in (bare(model), *((training,) if training else ())):
                raw = canonical(record)
                yield digest_of(raw), raw
