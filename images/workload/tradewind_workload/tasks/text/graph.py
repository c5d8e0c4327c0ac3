"""A network that reads texts as ONNX: tokens in, answers out, by torch's own exporter."""

from __future__ import annotations

import logging
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from tradewind_workload.heads.answer import Classes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tradewind_workload.heads.answer import Answer
    from tradewind_workload.tasks.text.network import TextNetwork

TOKENS, MASK = "input_ids", "attention_mask"
OPSET = 20  # that which torch's exporter writes without converting
_CUT = "_cut."  # what the names of tensors start with that trim
_SHORTEST = 2  # tokens: torch takes an axis of one for a constant


@contextmanager
def _silence() -> Iterator[None]:
    """The exporter tells of each of its steps, and warns of its own ones: nothing of it is for a user."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


class _Answers(nn.Module):
    def __init__(self, network: TextNetwork, answer: Answer) -> None:
        super().__init__()
        self.network = network
        self.answer = answer

    def forward(self, tokens: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, ...]:
        outputs = self.network.read(tokens, mask != 0)
        if isinstance(self.answer, Classes):
            probabilities = outputs.softmax(1)
            return probabilities.argmax(1), probabilities
        return ((outputs.squeeze(1).double() * self.answer.deviation + self.answer.mean).float(),)


def to_onnx(network: TextNetwork, length: int, answer: Answer) -> bytes:
    """The bytes of an ONNX file: `input_ids` and `attention_mask`, int64 [rows, length], and the answer's outputs.

    The graph computes as far as the longest text of a request goes: most texts are much shorter than the longest.
    """
    given = torch.zeros(2, length, dtype=torch.int64)
    free = {0: torch.export.Dim("rows"), 1: torch.export.Dim("used", min=_SHORTEST, max=length)}
    with _silence():
        program = torch.onnx.export(
            _Answers(network, answer).eval(),
            (given, torch.ones_like(given)),
            dynamo=True,
            opset_version=OPSET,
            input_names=[TOKENS, MASK],
            output_names=[tensor.name for tensor in answer.tensors],
            dynamic_shapes=(free, free),
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    _trim(model.graph, length)
    # Where each node comes from in the sources of this machine: of no use to a reader, and no two machines agree.
    del model.metadata_props[:]
    for part in (*model.graph.node, *model.graph.input, *model.graph.output, *model.graph.value_info, model.graph):
        del part.metadata_props[:]
        part.doc_string = ""
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


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
