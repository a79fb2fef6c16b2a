"""onnxruntime reports to its maker unless it is told not to; mlbot sends nothing anywhere.

Since 1.29 its Linux and macOS builds write a device id and a queue of events under the user's cache folder and send
them out, model file names among them. `ORT_DISABLE_TELEMETRY`, read once when the library is initialised, prevents the
whole of it (microsoft/onnxruntime, `docs/Privacy.md`); its own switch in Python comes after the first event.
"""

import os


def switch_off() -> None:
    """Keep onnxruntime from reporting. To be called before its first import in a process."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
