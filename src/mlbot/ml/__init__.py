"""An edge: data, training processes, ONNX export, the sandboxed scoring of untrusted models, plots."""
