"""A network on pictures as ONNX, by torch's own exporter: pixels in, answers out, the scaling inside."""

from __future__ import annotations

import logging
import warnings
from typing import TYPE_CHECKING

import torch
from torch import nn

from tradewind_workload.heads.answer import LABEL, PREDICTION, PROBABILITIES, Classes

if TYPE_CHECKING:
    from tradewind_workload.heads.answer import Answer

OPSET = 20  # that which torch's exporter writes without converting


class _Classes(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logits = self.network(pixels)
        return logits.argmax(1), logits.softmax(1)


class _Value(nn.Module):
    def __init__(self, network: nn.Module, mean: float, deviation: float) -> None:
        super().__init__()
        self.network = network
        self.mean = mean
        self.deviation = deviation

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return (self.network(pixels).squeeze(1).double() * self.deviation + self.mean).float()


def exported(network: nn.Module, image: tuple[int, int, int], name: str, answer: Answer) -> bytes:
    """The bytes of an ONNX file; its input `name` is uint8 [rows, height, width, channels].

    The same weights give the same bytes.
    """
    if isinstance(answer, Classes):
        return _exported(_Classes(network), image, name, [LABEL, PROBABILITIES])
    return _exported(_Value(network, answer.mean, answer.deviation), image, name, [PREDICTION])


def _exported(answers: nn.Module, image: tuple[int, int, int], name: str, outputs: list[str]) -> bytes:
    answers.eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, about itself
        for program in ("torch.onnx", "onnxscript", "onnx_ir"):  # which tell what they do, line by line
            logging.getLogger(program).setLevel(logging.ERROR)
        made = torch.onnx.export(
            answers,
            (torch.zeros(2, *image, dtype=torch.uint8),),
            dynamo=True,
            opset_version=OPSET,
            input_names=[name],
            output_names=outputs,
            dynamic_shapes=({0: torch.export.Dim("rows")},),
            verbose=False,
        )
    assert made is not None
    model = made.model_proto
    # Where each node comes from in the sources of this machine: of no use to a reader, and no two machines agree.
    del model.metadata_props[:]
    for part in (*model.graph.node, *model.graph.input, *model.graph.output, *model.graph.value_info, model.graph):
        del part.metadata_props[:]
        part.doc_string = ""
    return bytes(model.SerializeToString(deterministic=True))
