"""The nodes of an ONNX graph that quantisation asks for and takes away."""

from __future__ import annotations

from typing import Any

WEIGHTED = ("Conv", "Gemm", "MatMul")  # layers with weights
_INTEGERS = (
    "QuantizeLinear",
    "DequantizeLinear",
    "DynamicQuantizeLinear",
    "MatMulInteger",
    "ConvInteger",
    "QLinearConv",
)
_PRODUCTS = ("Gemm", "MatMul")


def constants(graph: Any) -> dict[str, Any]:
    """The constants (TensorProto) by name."""
    return {constant.name: constant for constant in graph.initializer}


def quantised(graph: Any) -> bool:
    """Whether it computes in integers already."""
    return any(node.op_type in _INTEGERS for node in graph.node)


def without_spare(graph: Any) -> None:
    """Take what a product gives as floats where nothing computes with it in integers: to round it costs time and blurs.

    So the logits, and the one value of a regression, are as the last layer computes them.
    """
    made_by = {output: node for node in graph.node for output in node.output}
    used_by: dict[str, list[Any]] = {}
    for node in graph.node:
        for name in node.input:
            used_by.setdefault(name, []).append(node)
    for back in graph.node:
        there = made_by.get(back.input[0]) if back.op_type == "DequantizeLinear" else None
        product = made_by.get(there.input[0]) if there is not None and there.op_type == "QuantizeLinear" else None
        users = used_by.get(back.output[0], [])
        if product is None or product.op_type not in _PRODUCTS:
            continue
        if any(node.op_type in (*WEIGHTED, "Relu", "Reshape", "Flatten", "Add", "QuantizeLinear") for node in users):
            continue
        for node in users:
            node.input[:] = [there.input[0] if name == back.output[0] else name for name in node.input]  # type: ignore[union-attr]


def without_unused(graph: Any) -> None:
    """Take away nodes and constants that lead to no output."""
    while dead := [node for node in graph.node if not _used(graph).intersection(node.output)]:
        for node in dead:
            graph.node.remove(node)
    for constant in [constant for constant in graph.initializer if constant.name not in _used(graph)]:
        graph.initializer.remove(constant)


def _used(graph: Any) -> set[str]:
    return {name for node in graph.node for name in node.input} | {output.name for output in graph.output}
