"""ONNX: written, described, opened and asked."""
