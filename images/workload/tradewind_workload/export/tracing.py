"""A network as ONNX by torch's own exporter, with the answers that a head has: the same weights give the same bytes."""

from __future__ import annotations

import logging
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import onnx
import torch
from torch import nn

from tradewind_workload.heads.answer import THRESHOLD, Classes, Labels

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tradewind_workload.heads.answer import Answer

OPSET = 20  # that which torch's exporter writes without converting


class _Answers(nn.Module):
    def __init__(self, network: nn.Module, answer: Answer) -> None:
        super().__init__()
        self.network = network
        self.answer = answer

    def forward(self, *given: torch.Tensor) -> tuple[torch.Tensor, ...]:
        outputs = self.network(*given)
        if isinstance(self.answer, Classes):
            probabilities = outputs.softmax(1)
            return probabilities.argmax(1), probabilities
        if isinstance(self.answer, Labels):
            probabilities = outputs.sigmoid()
            return probabilities >= THRESHOLD, probabilities
        return ((outputs.squeeze(1).double() * self.answer.deviation + self.answer.mean).float(),)


def traced(network: nn.Module, given: Mapping[str, torch.Tensor], free: dict[int, Any], answer: Answer) -> Any:
    """The graph, an onnx.ModelProto, of a network that gives logits or standardised values, float32 [n, outputs].

    `given` are inputs to trace it with, by name, in the order that it takes them; `free` are the axes of theirs (the
    number of the axis: a torch.export.Dim) that a request chooses.
    """
    with _silence():
        program = torch.onnx.export(
            _Answers(network, answer).eval(),
            tuple(given.values()),
            dynamo=True,
            opset_version=OPSET,
            input_names=list(given),
            output_names=[tensor.name for tensor in answer.tensors],
            dynamic_shapes=(tuple(free for _ in given),),
            verbose=False,
        )
    assert program is not None
    return program.model_proto


def written(model: Any) -> bytes:
    """The bytes of the file. Raises onnx.checker.ValidationError for a graph that is none."""
    # Where each node comes from in the sources of this machine: of no use to a reader, and no two machines agree.
    del model.metadata_props[:]
    for part in (*model.graph.node, *model.graph.input, *model.graph.output, *model.graph.value_info, model.graph):
        del part.metadata_props[:]
        part.doc_string = ""
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


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
