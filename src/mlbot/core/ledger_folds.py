"""What the ledger says: pure folds over its entries."""

from collections.abc import Iterable, Sequence
from statistics import variance

from mlbot.core.ledger import Entry, VerdictEntry
from mlbot.core.outcome import Outcome
from mlbot.core.record import Digest, Name, Record, Sha

_USABLE = {Outcome.PASS, Outcome.INCONCLUSIVE}
"""Outcomes whose model may be compared with. A first model is inconclusive for want of a baseline, so leaving those
out would leave a repository without one for ever; what failed or could not be evaluated never becomes a baseline."""


class PastSeeds(Record):
    """What past trainings say of the variance between seeds: the fields of `mlbot.stats.SeedHistory`."""

    variance: float
    """Pooled over recipes, in the metric's units squared."""
    df: int
    """Degrees of freedom: the sum over recipes of seeds less one."""


def verdicts(entries: Iterable[Entry], branch: str | None = None) -> list[VerdictEntry]:
    """The verdicts on a guarded branch (None: on any), oldest first."""
    found = [each for each in entries if isinstance(each, VerdictEntry) and branch in {None, each.branch}]
    return sorted(found, key=lambda entry: entry.order)


def latest_by_key(entries: Iterable[Entry], branch: str | None = None) -> dict[tuple[Name, Digest], VerdictEntry]:
    """The latest verdict on each content key, by model and key: the latest attempt decides."""
    return {(entry.model, entry.key): entry for entry in verdicts(entries, branch)}


def judged_models(entries: Iterable[Entry], branch: str | None = None) -> dict[tuple[Name, Digest], VerdictEntry]:
    """The models that may serve as a baseline, by model and content key, with where their bytes are."""
    latest = latest_by_key(entries, branch)
    return {key: entry for key, entry in latest.items() if entry.outcome in _USABLE and entry.files}


def passed(entries: Iterable[Entry], branch: str, model: Name, key: Digest, digest: Digest) -> VerdictEntry | None:
    """The verdict that lets these bytes be released: the latest on the key, and it is a pass of this very digest."""
    entry = latest_by_key(entries, branch).get((model, key))
    return entry if entry and entry.outcome is Outcome.PASS and entry.digest == digest else None


def latest_of_commit(entries: Iterable[Entry], commit: Sha, branch: str | None = None) -> dict[Name, VerdictEntry]:
    """The latest verdict on each model of a commit."""
    return {entry.model: entry for entry in verdicts(entries, branch) if entry.commit == commit}


def seed_history(
    entries: Iterable[Entry], model: Name, metric: str, slice_: str | None, holdout: Digest, leave_out: Iterable[Digest]
) -> PastSeeds | None:
    """The variance between seeds of this model's past recipes on the same holdout; None where nothing is known.

    A recipe is a content key. Each counts once, by its latest verdict that has values: the same seeds trained again
    would give the same values, and counting them twice would make the variance look better known than it is.

    Args:
        entries: The ledger.
        model: Whose.
        metric: Of which metric.
        slice_: On which slice; None: all rows.
        holdout: Digest of the holdout that is judged on now.
        leave_out: Keys of the models being judged: their own spread is not history.
    """
    left_out = set(leave_out)
    latest = {
        entry.key: values
        for entry in verdicts(entries)
        if entry.model == model and entry.holdout == holdout and entry.key not in left_out
        for values in (_values(entry, metric, slice_),)
        if len(values) > 1
    }
    df = sum(len(values) - 1 for values in latest.values())
    if not df:
        return None
    pooled = sum(variance(values) * (len(values) - 1) for values in latest.values()) / df
    return PastSeeds(variance=pooled, df=df)


def metric_history(entries: Iterable[Entry], model: Name, metric: str, holdout: Digest) -> tuple[float, ...]:
    """What the metric came to on all rows for the file that ships, commit by commit, oldest first."""
    found = [
        values[0]
        for entry in verdicts(entries)
        if entry.model == model and entry.holdout == holdout and entry.outcome in _USABLE
        for values in (_values(entry, metric, None),)
        if values
    ]
    return tuple(found)


def _values(entry: VerdictEntry, metric: str, slice_: str | None) -> Sequence[float]:
    """One value a seed; none at all when a seed has none, for the rest would not be a fair sample."""
    of = next((each.values for each in entry.values if each.metric == metric and each.slice == slice_), ())
    known = [value for value in of if value is not None]
    return known if len(known) == len(of) else ()
