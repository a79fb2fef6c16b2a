"""A fitted scikit-learn estimator becomes an ONNX file.

Trained on a data frame (of polars or pandas), the file has one input a column, `[N, 1]`, named as the column: text for
text, float for numbers and booleans. Trained on an array, it has one float input `X`, `[N, F]`. A classifier gives
`label` `[N]` and `probabilities` `[N, C]`, a regressor `variable` `[N, 1]`.

ONNX text cannot be missing: **missing text is the empty string**, so training has to see `""` too
(`mlbot.modeling.frames.read` reads it so). Missing numbers are NaN.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlbot.core.training import Parity
from mlbot.modeling import telemetry
from mlbot.modeling.conversion import convert
from mlbot.modeling.sample import ExportError, Sample, sample_of

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

FEATURES_KEY = "mlbot.features"
"""Metadata: the columns in order, as a JSON list."""
CLASSES_KEY = "mlbot.classes"
"""Metadata: the labels in the order of the probability columns, as a JSON list of text."""
FORMAT_KEY = "mlbot.format"
"""Metadata: `columns@1` (one input a column) or `matrix@1` (one input for all)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Exported:
    """An ONNX file and how far it is from the estimator it was made of."""

    model: bytes
    parity: Parity | None
    """None when there were no rows to compare on, or a prediction was not finite."""


def export(estimator: Any, rows: Any, *, features: Sequence[str] | None = None) -> Exported:
    """Turn a fitted classifier or regressor into ONNX and compare the two.

    Args:
        estimator: Fitted; a Pipeline, a ColumnTransformer inside it and searches (GridSearchCV) are fine.
        rows: What it was fitted on, or rows of the same form: a polars or pandas frame, or an array `[N, F]`.
        features: For an array: the columns' names in order, recorded in the file. For a frame its own names are.

    Returns:
        The same bytes for the same estimator, with `FEATURES_KEY`, `CLASSES_KEY` and `FORMAT_KEY` in the metadata.

    Raises:
        ExportError: It is not fitted, gives no probabilities, or a step of it cannot be converted faithfully.
    """
    _refuse_unusable(estimator)
    sample = sample_of(_in_order(estimator, rows))
    model = convert(estimator, sample)
    names = sample.columns if sample.columns is not None else features
    _describe(model, estimator, names=names, form="matrix@1" if sample.columns is None else "columns@1")
    content: bytes = model.SerializeToString()
    return Exported(model=content, parity=_parity(content, estimator, sample))


def _refuse_unusable(estimator: Any) -> None:
    from sklearn.base import is_classifier, is_regressor
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    kind = type(estimator).__name__
    if not hasattr(estimator, "fit") or not hasattr(estimator, "predict"):
        raise ExportError(
            f"The training returned {kind}, which is no scikit-learn estimator.",
            mend="Return the fitted estimator or Pipeline, or (estimator, the rows it was fitted on).",
        )
    try:
        check_is_fitted(estimator)
    except NotFittedError:
        raise ExportError(f"{kind} is not fitted.", mend="Call fit() before returning it.") from None
    if is_classifier(estimator) and not hasattr(estimator, "predict_proba"):
        raise ExportError(
            f"{kind} gives no probabilities.",
            mend="Wrap the classifier in CalibratedClassifierCV, or choose one that has predict_proba.",
        )
    if not is_classifier(estimator) and not is_regressor(estimator):
        raise ExportError(f"{kind} is neither a classifier nor a regressor.", mend="Return one of these.")


def _in_order(estimator: Any, rows: Any) -> Any:
    """The rows with just the estimator's columns, in its order; an array stays as it is.

    Raises:
        ExportError: A column that the estimator was fitted on is not there.
    """
    names = getattr(estimator, "feature_names_in_", None)
    if names is None:
        return _matrix(estimator, rows)
    if not hasattr(rows, "columns"):
        raise ExportError("The estimator was fitted on named columns, but there are none in the rows.")
    missing = [name for name in names if name not in list(rows.columns)]
    if missing:
        raise ExportError(
            f"The estimator was fitted on a column '{missing[0]}' that the data does not have.",
            mend="Make features inside the pipeline: the judge gives the model the columns of the holdout.",
        )
    return rows[list(names)]


def _matrix(estimator: Any, rows: Any) -> Any:
    import numpy as np

    matrix = np.asarray(rows)
    width = getattr(estimator, "n_features_in_", matrix.shape[-1])
    if matrix.ndim != 2 or matrix.shape[1] != width or matrix.dtype.kind not in "biuf":
        raise ExportError(
            f"The estimator was fitted on an array of {width} numeric columns, and the rows are "
            f"{matrix.dtype} of shape {list(matrix.shape)}.",
            mend="Fit on a data frame, set `data.features`, or return (estimator, the rows it was fitted on).",
        )
    return matrix


def _describe(model: "onnx.ModelProto", estimator: Any, *, names: Sequence[str] | None, form: str) -> None:
    import onnx

    facts = {FORMAT_KEY: form}
    if names is not None:
        facts[FEATURES_KEY] = json.dumps(list(names), ensure_ascii=False)
    if hasattr(estimator, "classes_"):
        facts[CLASSES_KEY] = json.dumps([str(label) for label in estimator.classes_.tolist()], ensure_ascii=False)
    onnx.helper.set_model_props(model, facts)


def _parity(content: bytes, estimator: Any, sample: Sample) -> Parity | None:
    """How far float32 ONNX is from the estimator; single rows of tree models can differ by 0.05."""
    import numpy as np
    from sklearn.base import is_classifier

    if not len(sample.rows):
        return None
    outputs = _run(content, sample)
    if is_classifier(estimator):
        expected, got = estimator.predict_proba(sample.rows), outputs[1]
        disagreements = int(np.count_nonzero(_labels(estimator.predict(sample.rows)) != _labels(outputs[0])))
    else:
        expected, got, disagreements = estimator.predict(sample.rows), outputs[0], 0
    difference = np.abs(np.asarray(got, dtype=np.float64).reshape(len(sample.rows), -1).squeeze() - expected.squeeze())
    largest, mean = float(difference.max()), float(difference.mean())
    if not math.isfinite(largest):
        return None
    return Parity(
        rows=len(sample.rows), max_difference=largest, mean_difference=mean, label_disagreements=disagreements
    )


def _run(content: bytes, sample: Sample) -> "list[NDArray[Any]]":
    telemetry.switch_off()
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only: its warnings are about the converter's leftovers
    options.intra_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        outputs: list[NDArray[Any]] = session.run(None, sample.feed)
    except Exception as error:  # onnxruntime's own exceptions have no public base
        raise ExportError(f"The exported file does not run: {str(error).splitlines()[0]}") from error
    return outputs


def _labels(labels: Any) -> "NDArray[Any]":
    """Labels as text; booleans as the numbers that ONNX makes of them."""
    import numpy as np

    array = np.asarray(labels).ravel()
    return np.array([str(int(x) if isinstance(x, bool) else x) for x in array.tolist()], dtype=object)
