"""Data, models and scoring: what loads numpy, polars, scikit-learn and onnxruntime."""

import os


def disable_telemetry() -> None:
    """Keep onnxruntime from reporting to its maker; call it before the first import in a process.

    Since 1.29 its Linux and macOS builds write a device id and a queue of events under the user's cache folder and
    send them out, model file names among them. The variable, read once when the library is initialised, prevents the
    whole of it (microsoft/onnxruntime, `docs/Privacy.md`); its own switch in Python comes after the first event.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
