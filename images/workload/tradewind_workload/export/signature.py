"""What an ONNX model takes and gives, in the terms of the Open Inference Protocol."""

from __future__ import annotations

from typing import Any

# By the element type of an ONNX tensor (TensorProto.DataType).
_DATATYPES = {
    1: "FP32",
    2: "UINT8",
    3: "INT8",
    6: "INT32",
    7: "INT64",
    8: "BYTES",
    9: "BOOL",
    10: "FP16",
    11: "FP64",
}


def signature(model: Any) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Inputs and outputs of an ONNX model (a ModelProto), as api.artefact.Tensor has them.

    Raises ValueError for a type that can't be served.
    """
    constants = {constant.name for constant in model.graph.initializer}

    def described(value: Any) -> dict[str, Any]:
        kind = value.type.tensor_type
        if kind.elem_type not in _DATATYPES:
            raise ValueError(f"{value.name!r} has a type that can't be served over the Open Inference Protocol")
        shape = [axis.dim_value if axis.HasField("dim_value") else -1 for axis in kind.shape.dim]
        return {"name": value.name, "datatype": _DATATYPES[kind.elem_type], "shape": shape}

    return (
        [described(value) for value in model.graph.input if value.name not in constants],
        [described(value) for value in model.graph.output],
    )
