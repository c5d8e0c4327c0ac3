"""Tables of vectors, of tokens or categories, in 8 bits: most of the size of a model of texts.

ONNX Runtime's quantizer gives a table one scale; here each place of the vectors has its own, which costs no time.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from tradewind_workload.compress.methods.nodes import constants

LEAST = 4096  # values of a table that it is worth while for


def found(graph: Any) -> list[Any]:
    """The nodes that look vectors up, float32, in a table of some size."""
    known = constants(graph)
    return [node for node in graph.node if node.op_type == "Gather" and _is_table(node, known.get(node.input[0]))]


def _is_table(node: Any, table: Any) -> bool:
    if table is None or table.data_type != TensorProto.FLOAT or len(table.dims) != 2:
        return False
    axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 0)
    return bool(axis == 0 and np.prod(table.dims) >= LEAST)


def quantise(graph: Any) -> None:
    """Look the vectors up as integers, and make floats of those that were found."""
    known = constants(graph)
    for node in found(graph):
        name = node.input[0]
        if f"{name}_table" not in constants(graph):
            values = numpy_helper.to_array(known[name])
            largest = np.abs(values).max(axis=0)
            scale = np.where(largest > 0, largest / 127, 1).astype(np.float32)
            integers = np.clip(np.rint(values / scale), -127, 127).astype(np.int8)
            graph.initializer.append(numpy_helper.from_array(integers, f"{name}_table"))
            graph.initializer.append(numpy_helper.from_array(scale, f"{name}_table_scale"))
        vectors = node.output[0]
        node.input[0] = f"{name}_table"
        node.output[0] = f"{vectors}_integers"
        floats = helper.make_node(
            "DequantizeLinear", [node.output[0], f"{name}_table_scale"], [vectors], name=f"{vectors}/floats", axis=-1
        )
        graph.node.insert(list(graph.node).index(node) + 1, floats)
