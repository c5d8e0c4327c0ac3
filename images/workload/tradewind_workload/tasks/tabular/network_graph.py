"""A network on encoded tables as nodes of an ONNX graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from torch import nn

if TYPE_CHECKING:
    import torch

    from tradewind_workload.tasks.tabular.graph import Graph, Rows
    from tradewind_workload.tasks.tabular.network import TabularNetwork


def write_network(graph: Graph, rows: Rows, network: TabularNetwork) -> str:
    """Logits, or standardised values, float32 [n, outputs]."""
    vectors = [_vector(graph, rows, table, i) for i, table in enumerate(network.embeddings)]
    if len(network.hidden):
        width = graph.joined([*([rows.numbers] if rows.numbers else []), *vectors], "features")
        for name, module in network.hidden.named_children():
            width = _layer(graph, module, width, f"hidden.{name}")
        return _layer(graph, network.outputs, width, "outputs")
    if rows.numbers:
        total = _layer(graph, network.outputs, rows.numbers, "outputs")
    else:
        total = graph.constant("outputs.bias", _array(network.outputs.bias))
    for i, vector in enumerate(vectors):
        total = graph.node("Add", [total, vector], f"outputs.{i}")
    return total


def _array(tensor: torch.Tensor) -> np.ndarray:
    return np.asarray(tensor.detach().cpu().numpy())


def _vector(graph: Graph, rows: Rows, table: nn.Module, i: int) -> str:
    assert rows.codes is not None and isinstance(table, nn.Embedding)
    codes = graph.node("Gather", [rows.codes, graph.constant(f"place{i}", np.array(i, np.int64))], f"code{i}", axis=1)
    weight = graph.constant(f"embeddings.{i}.weight", _array(table.weight))
    return graph.node("Gather", [weight, codes], f"vector{i}", axis=0)


def _layer(graph: Graph, module: nn.Module, values: str, name: str) -> str:
    if isinstance(module, nn.Linear | nn.LayerNorm):
        weight = graph.constant(f"{name}.weight", _array(module.weight))
        bias = graph.constant(f"{name}.bias", _array(module.bias))
        if isinstance(module, nn.Linear):
            return graph.node("Gemm", [values, weight, bias], name, transB=1)
        return graph.node("LayerNormalization", [values, weight, bias], name, epsilon=module.eps)
    if isinstance(module, nn.ReLU):
        return graph.node("Relu", [values], name)
    if isinstance(module, nn.Dropout):  # it only trains
        return values
    raise TypeError(f"no ONNX for {type(module).__name__}")
