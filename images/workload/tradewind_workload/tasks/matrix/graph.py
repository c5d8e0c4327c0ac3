"""A classifier as ONNX: raw rows in, label and probabilities out, the preparation inside.

The graph is written node by node. torch.onnx.export would need 230 MB and several seconds more in the pod of a
worker, and puts the stack traces of this machine into the file; the few kinds of modules that recipes have are quick
to name, the same weights give the same bytes, and every model is compared with torch on the validation data before it
counts.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from tradewind_workload.data.blocks import INPUTS
from tradewind_workload.heads.answer import LABEL, LABELS, PREDICTION, PROBABILITIES, THRESHOLD, Answer, Classes, Labels
from tradewind_workload.tasks.matrix.network import Classifier, Impute, Standardize

OPSET, IR_VERSION = 17, 8  # read by every ONNX Runtime of the last years


class _Graph:
    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._names: set[str] = set()

    def constant(self, name: str, value: np.ndarray) -> str:
        if name not in self._names:
            self._names.add(name)
            self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(self, kind: str, inputs: list[str], name: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [name], name=f"{name}/{kind}", **attributes))
        return name


def to_onnx(model: Classifier, row_shape: tuple[int, ...], answer: Answer) -> bytes:
    """The model as the bytes of an ONNX file; the number of rows is free."""
    model.eval()
    graph = _Graph()
    rows = _arrange(graph, model, row_shape)
    for i, stage in enumerate(model.preparation):
        rows = _stage(graph, stage, f"preparation.{i}", rows, model.image)
    outputs = _answer(graph, _network(graph, model.network, rows), answer)
    made = helper.make_graph(
        graph.nodes,
        "classifier",
        [helper.make_tensor_value_info(INPUTS, TensorProto.FLOAT, ["rows", *row_shape])],
        outputs,
        graph.constants,
    )
    proto = helper.make_model(
        made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="tradewind"
    )
    onnx.checker.check_model(proto, full_check=True)
    return bytes(proto.SerializeToString(deterministic=True))


def _answer(graph: _Graph, given: str, answer: Answer) -> list[Any]:
    """What the graph gives, of logits or standardised values, float32 [n, outputs]."""
    if isinstance(answer, Classes):
        graph.node("Softmax", [given], PROBABILITIES, axis=1)
        graph.node("ArgMax", [given], LABEL, axis=1, keepdims=0)
        return [
            helper.make_tensor_value_info(LABEL, TensorProto.INT64, ["rows"]),
            helper.make_tensor_value_info(PROBABILITIES, TensorProto.FLOAT, ["rows", len(answer.labels)]),
        ]
    if isinstance(answer, Labels):
        graph.node("Sigmoid", [given], PROBABILITIES)
        threshold = graph.constant("threshold", np.array(THRESHOLD, np.float32))
        graph.node("GreaterOrEqual", [PROBABILITIES, threshold], LABELS)
        return [
            helper.make_tensor_value_info(LABELS, TensorProto.BOOL, ["rows", len(answer.labels)]),
            helper.make_tensor_value_info(PROBABILITIES, TensorProto.FLOAT, ["rows", len(answer.labels)]),
        ]
    value = graph.node("Squeeze", [given, graph.constant("value_axis", np.array([1], np.int64))], "value")
    value = graph.node("Cast", [value], "value_precise", to=TensorProto.DOUBLE)
    value = graph.node("Mul", [value, graph.constant("deviation_of_label", np.array(answer.deviation))], "spread_out")
    value = graph.node("Add", [value, graph.constant("mean_of_label", np.array(answer.mean))], "restored")
    graph.node("Cast", [value], PREDICTION, to=TensorProto.FLOAT)
    return [helper.make_tensor_value_info(PREDICTION, TensorProto.FLOAT, ["rows"])]


def _arrange(graph: _Graph, model: Classifier, row_shape: tuple[int, ...]) -> str:
    if model.image is None:
        if len(row_shape) == 1:
            return INPUTS
        shape = graph.constant("table_shape", np.array([-1, int(np.prod(row_shape))], np.int64))
        return graph.node("Reshape", [INPUTS, shape], "table")
    height, width, channels = model.image
    if channels == 1:
        return graph.node(
            "Reshape", [INPUTS, graph.constant("image_shape", np.array([-1, 1, height, width], np.int64))], "image"
        )
    rows = INPUTS
    if row_shape != model.image:
        rows = graph.node(
            "Reshape",
            [INPUTS, graph.constant("image_shape", np.array([-1, height, width, channels], np.int64))],
            "pixels",
        )
    return graph.node("Transpose", [rows], "image", perm=[0, 3, 1, 2])


def _stage(graph: _Graph, stage: nn.Module, name: str, rows: str, image: tuple[int, int, int] | None) -> str:
    def constant(field: str, value: torch.Tensor) -> str:
        array = value.numpy()
        if image is not None:  # channels first here, last in the file
            array = array.transpose(2, 0, 1) if array.ndim == 3 else array.reshape(-1, 1, 1)
        return graph.constant(f"{name}.{field}", array)

    if isinstance(stage, Standardize):
        centred = graph.node("Sub", [rows, constant("mean", stage.mean)], f"{name}.centred")
        return graph.node("Div", [centred, constant("deviation", stage.deviation)], f"{name}.out")
    assert isinstance(stage, Impute)
    missing = graph.node(
        "Or",
        [graph.node("IsNaN", [rows], f"{name}.nan"), graph.node("IsInf", [rows], f"{name}.infinite")],
        f"{name}.missing",
    )
    return graph.node("Where", [missing, constant("values", stage.values), rows], f"{name}.out")


def _network(graph: _Graph, network: nn.Sequential, rows: str) -> str:
    modules = list(network.named_children())
    for i, (name, module) in enumerate(modules):
        if isinstance(module, nn.Conv2d):
            following = modules[i + 1][1] if i + 1 < len(modules) else None
            conv = fuse_conv_bn_eval(module, following) if isinstance(following, nn.BatchNorm2d) else module
            inputs = [rows, graph.constant(f"{name}.weight", conv.weight.detach().numpy())]
            if conv.bias is not None:
                inputs.append(graph.constant(f"{name}.bias", conv.bias.detach().numpy()))
            rows = graph.node("Conv", inputs, name, kernel_shape=list(conv.kernel_size), pads=[1, 1, 1, 1])
        elif isinstance(module, nn.Linear):
            weight = graph.constant(f"{name}.weight", module.weight.detach().numpy())
            rows = graph.node(
                "Gemm", [rows, weight, graph.constant(f"{name}.bias", module.bias.detach().numpy())], name, transB=1
            )
        elif isinstance(module, nn.ReLU):
            rows = graph.node("Relu", [rows], name)
        elif isinstance(module, nn.MaxPool2d):
            rows = graph.node("MaxPool", [rows], name, kernel_shape=[2, 2], strides=[2, 2])
        elif isinstance(module, nn.Flatten):
            rows = graph.node("Flatten", [rows], name, axis=1)
        elif not isinstance(
            module, nn.BatchNorm2d | nn.Dropout
        ):  # the one is inside the convolution, the other only trains
            raise TypeError(f"no ONNX for {type(module).__name__}")
    return rows
