"""A network on pictures as ONNX: pixels in, answers out, the scaling inside."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from tradewind_workload.export.tracing import traced, written

if TYPE_CHECKING:
    from tradewind_workload.heads.answer import Answer


def exported(network: torch.nn.Module, image: tuple[int, int, int], name: str, answer: Answer) -> bytes:
    """The bytes of an ONNX file; its input `name` is uint8 [rows, height, width, channels]."""
    given = {name: torch.zeros(2, *image, dtype=torch.uint8)}
    return written(traced(network, given, {0: torch.export.Dim("rows")}, answer))
