"""Data, training, ONNX export, the guard and the scoring of untrusted models, plots."""
