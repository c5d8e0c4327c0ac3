"""A network that reads texts as ONNX: tokens in, answers out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from tradewind_workload.export.inference import MASK
from tradewind_workload.export.tracing import traced, written

if TYPE_CHECKING:
    from tradewind_workload.heads.answer import Answer
    from tradewind_workload.tasks.text.network import TextNetwork

TOKENS = "input_ids"
_CUT = "_cut."  # what the names of tensors start with that trim
_SHORTEST = 2  # tokens: torch takes an axis of one for a constant


class _Read(nn.Module):
    """The network with tokens and mask as its inputs."""

    def __init__(self, network: TextNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return self.network.read(tokens, mask != 0)


def to_onnx(network: TextNetwork, length: int, answer: Answer) -> bytes:
    """The bytes of an ONNX file: `input_ids` and `attention_mask`, int64 [rows, length], and the answer's outputs.

    The graph computes as far as the longest text of a request goes: most texts are much shorter than the longest.
    """
    tokens = torch.zeros(2, length, dtype=torch.int64)
    free = {0: torch.export.Dim("rows"), 1: torch.export.Dim("used", min=_SHORTEST, max=length)}
    model = traced(_Read(network), {TOKENS: tokens, MASK: torch.ones_like(tokens)}, free, answer)
    _trim(model.graph, length)
    return written(model)


def _trim(graph: Any, length: int) -> None:
    """Put in front of a graph what cuts the padding off that all rows of a request have.

    The inputs keep their names, and the graph reads what is cut.
    """
    for node in graph.node:
        node.input[:] = [_CUT + name if name in (TOKENS, MASK) else name for name in node.input]
    constants = {"zero": 0, "one": 1, "shortest": _SHORTEST}
    zero, one, shortest = (_CUT + name for name in constants)
    graph.initializer.extend(
        numpy_helper.from_array(np.array([value], np.int64), _CUT + name) for name, value in constants.items()
    )
    rest = list(graph.node)
    del graph.node[:]
    graph.node.extend(
        [
            helper.make_node("ReduceSum", [MASK, one], [_CUT + "lengths"], keepdims=0),
            helper.make_node("ReduceMax", [_CUT + "lengths"], [_CUT + "longest"], keepdims=1),
            helper.make_node("Max", [_CUT + "longest", shortest], [_CUT + "used"]),
            *(helper.make_node("Slice", [name, zero, _CUT + "used", one], [_CUT + name]) for name in (TOKENS, MASK)),
            *rest,
        ]
    )
    for taken, name in zip(graph.input, (TOKENS, MASK), strict=True):
        taken.CopyFrom(helper.make_tensor_value_info(name, TensorProto.INT64, ["rows", length]))
