"""Say in one sentence that an optional part is missing, before any work is done."""

from importlib.util import find_spec

from mlbot.errors import MissingExtraError

_PACKAGES = {"ml": ("altair", "fsspec", "numpy", "onnx", "onnxruntime", "polars", "scipy", "skl2onnx", "sklearn")}


def require(extra: str, *, needed_for: str) -> None:
    """Make sure that an optional part is installed. Imports nothing.

    Raises:
        MissingExtraError: it is not, or only in parts.
    """
    if any(find_spec(package) is None for package in _PACKAGES[extra]):
        raise MissingExtraError(extra, needed_for=needed_for)
