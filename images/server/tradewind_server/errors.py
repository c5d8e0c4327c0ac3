"""Errors of ONNX Runtime, which have no base of their own, in a line."""

from __future__ import annotations


def sentence(error: BaseException | None) -> str:
    """What ONNX Runtime says, without its prefix, file names and line ends, and not at any length."""
    text = " ".join(str(error).split()) or type(error).__name__
    text = text.rsplit("[ONNXRuntimeError] : ", 1)[-1]
    return text if len(text) <= 400 else text[:397] + "..."
