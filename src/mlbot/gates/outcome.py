"""The four outcomes, how often one may be wrong, and the closed list of reasons for them."""

from collections.abc import Iterable
from enum import StrEnum

ALPHA = 0.05
"""The error of a `fail`, over all blocking margins of a verdict and all looks; and that of a `pass`."""

JUDGEABLE = 3
"""Times its margin: a margin can be judged where a drop of so much fails 19 times out of 20."""


class Outcome(StrEnum):
    """What a gate, a model or a whole verdict comes to."""

    PASS = "pass"  # noqa: S105 - an outcome, no password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    ERROR = "error"


_PRECEDENCE = (Outcome.ERROR, Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.PASS)


def worst(outcomes: Iterable[Outcome]) -> Outcome:
    """The outcome that decides: error over fail over inconclusive over pass.

    Nothing at all is an error: an empty set of gates has shown nothing.
    """
    return min(outcomes, key=_PRECEDENCE.index, default=Outcome.ERROR)


class Reason(StrEnum):
    """Why an outcome is what it is. A closed list: reports, tests and users' scripts rely on these codes."""

    # pass
    WITHIN_LIMIT = "within-limit"
    WITHIN_MARGIN = "within-margin"
    IDENTICAL = "identical-models"
    WITHIN_ANCHOR = "within-anchor"
    ABOVE_ANCHOR = "above-anchor"  # better than the anchor beyond noise: once merged, it is the anchor
    WAIVED = "waived"  # it failed or is undecided, and somebody with the right to answered for it
    ALL_GATES_PASS = "all-gates-pass"  # noqa: S105 - a reason code, no password
    NOTHING_STALE = "nothing-stale"
    # fail
    BELOW_MINIMUM = "below-minimum"
    ABOVE_MAXIMUM = "above-maximum"
    REGRESSION = "regression"
    BELOW_ANCHOR = "below-anchor"
    MODEL_DELETED = "model-deleted"
    NO_USABLE_BASELINE = "no-usable-baseline"  # the guarded branch has the model, and it was never usable
    # inconclusive
    NEW_MODEL = "new-model"  # the guarded branch has no such model yet, so its own absolute gates decide
    NO_BASELINE = "no-baseline"
    MARGIN_INSIDE_INTERVAL = "margin-inside-interval"
    LIMIT_INSIDE_INTERVAL = "limit-inside-interval"
    SEED_VARIANCE_UNKNOWN = "seed-variance-unknown"
    DROPPED_BY_HOLM = "not-kept-by-holm"
    TOO_FEW_SEEDS = "too-few-seeds"  # how many rows flip between seeds of the baseline needs three of them
    TOO_FEW_ROUNDS = "too-few-rounds"  # too slow a model for the time that measuring its latency may take
    NO_BASELINE_FIGURE = (
        "no-baseline-figure"  # the baseline has no value of the metric on these rows; the candidate has
    )
    NO_INTERVAL = "no-interval"  # there is a value, and the rows are too few to say how far others would move it
    FEW_ROWS_DECIDE = "few-rows-decide"  # it would pass, but so few rows carry it that the next ones may turn it
    ERRORS_DECIDE = "errors-decide"  # it passes or not by what the rows without a score would have come to
    SLICE_TOO_SMALL = "slice-too-small"
    TOO_FEW_ADDED = "too-few-added"  # too few rows were added to the training data for what is asked of them
    NOTHING_COUNTS = "nothing-counts"
    # error, before anything is scored
    OUTDATED = "outdated"
    BASELINE_UNREACHABLE = "baseline-unreachable"  # there is one, and it could not be had
    BASELINE_LOST = "baseline-lost"
    ANCHOR_UNREACHABLE = "anchor-unreachable"  # by a fault it is an error; what is gone for ever is replaced
    # error, at the training
    TRAINING_FAILED = "training-failed"
    TRAINING_TIMEOUT = "training-timeout"
    MODEL_MISSING = "model-missing"
    # error, in the model file
    MODEL_REFUSED = "model-refused"
    MODEL_INPUTS = "model-inputs"
    MODEL_OUTPUTS = "model-outputs"
    FEATURE_ORDER = "feature-order"
    # error, at the scoring
    SCORING_FAILED = "scoring-failed"
    SCORING_TIMEOUT = "scoring-timeout"
    SCORING_MEMORY = "scoring-memory"
    PREDICTOR_NOT_ISOLATED = "predictor-not-isolated"  # no jail on this machine, and the judge runs none without
    NOT_FINITE = "not-finite"
    NOT_PROBABILITIES = "not-probabilities"
    # error, in the results of an evaluator
    EVALUATOR_FAILED = "evaluator-failed"
    RESULTS_UNREADABLE = "results-unreadable"
    RESULTS_INCOMPLETE = "results-incomplete"  # stopped, other items or repeats than wanted, or too many errors
    CASE_CHANGED = "case-changed"  # an item is not the same question on both sides
    # error, in the holdout and the metrics
    EMPTY_HOLDOUT = "empty-holdout"
    HOLDOUT_SCHEMA = "holdout-schema"
    HOLDOUT_UNREADABLE = "holdout-unreadable"
    DATA_NOT_CHECKED = "data-not-checked"  # a gate is set on the added rows, and they could not be looked at
    METRIC_UNDEFINED = "metric-undefined"
    METRIC_FAILED = "metric-failed"
    EMPTY_SLICE = "empty-slice"
    # error: nothing to judge by
    NO_GATES = "no-gates"
