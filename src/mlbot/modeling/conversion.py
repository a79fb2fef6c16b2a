"""skl2onnx with its traps named: what it converts wrongly is refused, what it cannot convert is said by step."""

import importlib.metadata
import warnings
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any

from mlbot.modeling.renaming import name_inputs
from mlbot.modeling.sample import ExportError, Sample

if TYPE_CHECKING:
    import onnx

_PROTOBUF_LIMIT = 7
_DEEP = 12
_FIRST_LINE = 300


def convert(estimator: Any, sample: Sample) -> "onnx.ModelProto":
    """The estimator as an ONNX model; the same estimator always gives the same bytes.

    Raises:
        ExportError: The estimator, or a step of it, cannot be converted faithfully.
    """
    from sklearn.base import is_classifier

    _refuse_unfaithful(estimator)
    options = {"zipmap": False} if is_classifier(estimator) else None
    whole = estimator if sample.columns is None or _selects_columns(estimator) else _joined(estimator, sample)
    try:
        model = _to_onnx(whole, sample, options)
    except ImportError as error:
        raise ExportError(f"The export to ONNX cannot start: {error}", mend="pip install 'mlbot[ml]'") from error
    except Exception as error:  # skl2onnx raises whatever its converters do, down to bare RuntimeError
        raise _explained(error, estimator) from error
    name_inputs(model, list(sample.feed))
    return model


def _to_onnx(estimator: Any, sample: Sample, options: dict[str, bool] | None) -> "onnx.ModelProto":
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType

    types = [
        (name, StringTensorType([None, 1]) if name in sample.text else FloatTensorType([None, values.shape[1]]))
        for name, values in sample.feed.items()
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations between scikit-learn and skl2onnx are not the user's to mend
        return to_onnx(estimator, initial_types=types, options=options, name="mlbot")


def _selects_columns(estimator: Any) -> bool:
    """Whether the first thing done is to pick columns by name; skl2onnx then takes one input a column."""
    from sklearn.compose import ColumnTransformer

    if isinstance(estimator, ColumnTransformer):
        return True
    if hasattr(estimator, "best_estimator_"):
        return _selects_columns(estimator.best_estimator_)
    steps: Any = getattr(estimator, "steps", None)
    return bool(steps) and _selects_columns(steps[0][1])


def _joined(estimator: Any, sample: Sample) -> Any:
    """The estimator behind a step that joins the columns: most converters take one input only.

    Raises:
        ExportError: Text and numbers would have to be joined.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline

    if 0 < len(sample.text) < len(sample.feed):
        raise ExportError(
            f"{type(estimator).__name__} was fitted on text and numbers at once.",
            mend="Begin its pipeline with a ColumnTransformer that encodes the text columns "
            "(calibrate or stack inside that pipeline, not around it).",
        )
    join = ColumnTransformer([("columns", "passthrough", list(sample.columns or ()))]).fit(sample.rows)
    return Pipeline([("join", join), ("model", estimator)])


def parts(estimator: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The estimator and all fitted ones inside it, each with the names of the steps that lead to it."""
    known = hasattr(estimator, "get_params") or hasattr(estimator, "estimator")
    if not known or len(path) > _DEEP:
        return
    yield path, estimator
    named = [*getattr(estimator, "steps", ()), *getattr(estimator, "transformers_", ())]
    named += getattr(estimator, "transformer_list", ())
    for name, part, *_ in named:
        yield from parts(part, (*path, name))
    for attribute in ("best_estimator_", "estimator_", "final_estimator_", "regressor_", "estimator"):
        yield from parts(getattr(estimator, attribute, None), path)
    for attribute in ("estimators_", "calibrated_classifiers_"):
        several = getattr(estimator, attribute, ())
        for part in several if isinstance(several, list) else ():
            yield from parts(part, path)


def _refuse_unfaithful(estimator: Any) -> None:
    """What skl2onnx 1.20 converts without a word into something that predicts otherwise.

    Raises:
        ExportError: Seen with native categories of histogram gradient boosting (probabilities off by up to 0.99) and
            with encoders that were fitted on missing values (0.92).
    """
    for path, part in parts(estimator):
        if _has_native_categories(part):
            raise ExportError(
                f"{_step(path, part)} splits on native categories, which the converter to ONNX gets wrong.",
                mend="Set categorical_features=None; an OrdinalEncoder or OneHotEncoder before it is enough.",
            )
        for categories in getattr(part, "categories_", ()):
            if any(value is None or value != value for value in categories.tolist()):  # noqa: PLR0124 - NaN
                raise ExportError(
                    f"{_step(path, part)} was fitted on missing values, which an encoder in ONNX cannot tell.",
                    mend="Fill them before fitting: text with the empty string (fill_null(''), or read the data by "
                    "mlbot.modeling.frames.read), numbers with a SimpleImputer before the encoder.",
                )


def _has_native_categories(part: Any) -> bool:
    predictors = getattr(part, "_predictors", None)
    if not isinstance(predictors, list):
        return False
    trees = (tree for iteration in predictors for tree in iteration if hasattr(tree, "nodes"))
    return any(bool(tree.nodes["is_categorical"].any()) for tree in trees)


def _step(path: tuple[str, ...], part: Any) -> str:
    name = type(part).__name__
    return f"Step '{'.'.join(path)}' ({name})" if path else name


def _explained(error: Exception, estimator: Any) -> ExportError:
    culprit = _culprit(error.__traceback__)
    path = next((path for path, part in parts(estimator) if part is culprit), ())
    subject = type(estimator).__name__ if culprit is None else _step(path, culprit)
    reason = (str(error) or type(error).__name__).splitlines()[0][:_FIRST_LINE]
    return ExportError(f"{subject} cannot be converted to ONNX: {reason}", mend=_mend())


def _culprit(trace: TracebackType | None) -> Any:
    """The estimator that skl2onnx was at: the innermost frame that holds one of its operators knows."""
    culprit = None
    while trace is not None:
        for name in ("operator", "self"):
            culprit = getattr(trace.tb_frame.f_locals.get(name), "raw_operator", None) or culprit
        trace = trace.tb_next
    return culprit


def _mend() -> str:
    try:
        protobuf = importlib.metadata.version("protobuf")
    except importlib.metadata.PackageNotFoundError:
        protobuf = "0"
    if int(protobuf.split(".", 1)[0]) >= _PROTOBUF_LIMIT:
        return f"protobuf {protobuf} is too new for skl2onnx: pip install 'protobuf<7'"
    return (
        "Use a step that skl2onnx knows (https://onnx.ai/sklearn-onnx/supported.html), or write the ONNX file "
        "yourself with `run:` in mlbot.yaml."
    )
