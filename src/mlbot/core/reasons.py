"""One plain sentence for every reason code, and what to do about it."""

from collections.abc import Mapping
from types import MappingProxyType

from mlbot.core.outcome import Reason
from mlbot.core.record import Record


class Meaning(Record):
    """What a reason code says to a person."""

    sentence: str
    mend: str = ""
    """What to do; empty where there is nothing to do."""


def meaning(reason: Reason) -> Meaning:
    """The sentence for a reason, and what to do about it."""
    return _MEANINGS[reason]


_PUSH = "Mend it and push again."
_ROWS_OR_SEEDS = "More holdout rows or more seeds (train.seeds) make the interval narrower."

_PASSES: dict[Reason, tuple[str, str]] = {
    Reason.WITHIN_LIMIT: ("The figure keeps its limit.", ""),
    Reason.WITHIN_MARGIN: ("Any loss is smaller than the margin, beyond noise.", ""),
    Reason.IDENTICAL: ("Candidate and baseline predict the same, so nothing changed.", ""),
    Reason.WAIVED: ("Somebody with the right to it let it pass, and said why.", ""),
    Reason.ALL_GATES_PASS: ("All gates pass.", ""),
    Reason.NOTHING_STALE: ("No model is affected by this change.", ""),
}

_FAILS: dict[Reason, tuple[str, str]] = {
    Reason.BELOW_MINIMUM: ("The figure is below its minimum.", _PUSH),
    Reason.ABOVE_MAXIMUM: ("The figure is above its maximum.", _PUSH),
    Reason.REGRESSION: ("The loss is larger than the margin, beyond noise.", _PUSH),
    Reason.MODEL_DELETED: (
        "The change removes this model, and with it its gates.",
        "If that is meant, a maintainer has to waive it, with a comment such as /waive MODEL:deleted and a reason.",
    ),
}

_INCONCLUSIVES: dict[Reason, tuple[str, str]] = {
    Reason.NO_BASELINE: (
        "There is no baseline to compare with.",
        "The comparison starts once the guarded branch has a judged model.",
    ),
    Reason.MARGIN_INSIDE_INTERVAL: (
        "The margin lies inside the interval, so the loss may be smaller or larger than allowed.",
        _ROWS_OR_SEEDS,
    ),
    Reason.LIMIT_INSIDE_INTERVAL: (
        "The limit lies inside the interval, so the figure may keep it or not.",
        "More holdout rows make the interval narrower.",
    ),
    Reason.SEED_VARIANCE_UNKNOWN: (
        "With one seed nobody can tell a change of the recipe from the luck of the seed.",
        "Set train.seeds to 3 or more, or let the guarded branch gather a history of seeds.",
    ),
    Reason.NOT_KEPT_BY_HOLM: (
        "On its own this would fail, but among all the gates tested at once it may be chance.",
        f"{_ROWS_OR_SEEDS} Fewer blocking gates sharpen each of them.",
    ),
    Reason.SLICE_TOO_SMALL: (
        "The slice has too few rows to judge, so it is shown and does not block.",
        "Label more rows of it, or lower its min_rows and accept the noise.",
    ),
    Reason.NOTHING_COUNTS: (
        "No gate counts: each only warns, or is on a slice with too few rows.",
        "Give the model a blocking gate on all rows.",
    ),
}

_TRAINING_ERRORS: dict[Reason, tuple[str, str]] = {
    Reason.TRAINING_FAILED: ("The training ended with an error.", "Its last lines are below; mend it and push again."),
    Reason.TRAINING_TIMEOUT: (
        "The training was stopped at its time limit.",
        "Make it faster, or raise train.timeout in a pull request of its own.",
    ),
    Reason.MODEL_MISSING: (
        "The training left no model file.",
        "Write the ONNX file to the path in $MLBOT_MODEL.",
    ),
}

_FILE_ERRORS: dict[Reason, tuple[str, str]] = {
    Reason.MODEL_REFUSED: (
        "The model file was refused: it is no plain ONNX file that can be scored safely.",
        "Export to ONNX, with standard operators and no external data. Pickle and joblib files are never opened.",
    ),
    Reason.MODEL_INPUTS: (
        "The model's inputs do not fit the holdout.",
        "Give it one input a column, named as the column, or one numeric [N, F] input.",
    ),
    Reason.MODEL_OUTPUTS: (
        "The model's outputs do not fit the task.",
        "Classification gives probabilities [N, C]; regression gives [N] or [N, 1].",
    ),
    Reason.FEATURE_ORDER: (
        "The order of the model's features is not that of the holdout's columns.",
        "Name the columns in data.features in the order the model expects.",
    ),
}

_SCORING_ERRORS: dict[Reason, tuple[str, str]] = {
    Reason.SCORING_FAILED: ("The model file crashed while it was scored.", _PUSH),
    Reason.SCORING_TIMEOUT: ("Scoring the model file took too long.", "Make the model smaller or faster."),
    Reason.SCORING_MEMORY: ("Scoring the model file took too much memory.", "Make the model smaller."),
    Reason.NOT_FINITE: ("The model predicts NaN or infinity on some rows.", "Handle missing and extreme values."),
    Reason.NOT_PROBABILITIES: (
        "The model's output is no set of probabilities.",
        "Each row has to be between 0 and 1 and to sum to 1.",
    ),
}

_DATA_ERRORS: dict[Reason, tuple[str, str]] = {
    Reason.EMPTY_HOLDOUT: ("The holdout has no rows.", "Check data.holdout on the guarded branch."),
    Reason.HOLDOUT_SCHEMA: (
        "The holdout lacks a column that is needed.",
        "Land the new columns of the holdout first, then the model that reads them.",
    ),
    Reason.HOLDOUT_UNREADABLE: ("The holdout could not be read.", "Check data.holdout and the judge's access to it."),
    Reason.METRIC_UNDEFINED: (
        "The metric has no value on these rows.",
        "Check that the rows hold every class, or take another metric.",
    ),
    Reason.METRIC_FAILED: ("The metric's own code failed.", "Mend the function on the guarded branch."),
    Reason.EMPTY_SLICE: ("The slice has no rows.", "Check its condition against the holdout."),
    Reason.NO_GATES: ("The model has no gates, so nothing was shown.", "Add at least one gate to mlbot.yaml."),
}

_MEANINGS: Mapping[Reason, Meaning] = MappingProxyType(
    {
        reason: Meaning(sentence=sentence, mend=mend)
        for group in (
            _PASSES,
            _FAILS,
            _INCONCLUSIVES,
            _TRAINING_ERRORS,
            _FILE_ERRORS,
            _SCORING_ERRORS,
            _DATA_ERRORS,
        )
        for reason, (sentence, mend) in group.items()
    }
)
