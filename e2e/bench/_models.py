"""The models of the benchmark of serving."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from e2e.bench._contestants import raw_loop, request


def make_models(folder: Path) -> dict[str, tuple[int, ...]]:
    """Writes the ONNX files; the shape of one input of each. All take `x` and give `y`, float32."""
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(7)

    def weights(name: str, *shape: int) -> Any:
        return numpy_helper.from_array(rng.normal(0, 0.05, shape).astype(np.float32), name)

    small = [
        helper.make_node("Flatten", ["x"], ["f"]),
        helper.make_node("MatMul", ["f", "w1"], ["h"]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("MatMul", ["r", "w2"], ["l"]),
        helper.make_node("Softmax", ["l"], ["y"], axis=1),
    ]
    mean = [helper.make_node("GlobalAveragePool", ["x"], ["g"]), helper.make_node("Flatten", ["g"], ["y"])]
    # The convolutions of ResNet-18: 1.8 billion multiplications a picture.
    resnet: list[Any] = []
    kernels: list[Any] = []

    def conv(x: str, channels: int, into: int, size: int, stride: int) -> str:
        y = f"y{len(kernels)}"
        kernels.append(weights(f"w{len(kernels)}", into, channels, size, size))
        edge = [size // 2] * 4
        resnet.append(helper.make_node("Conv", [x, kernels[-1].name], [f"{y}c"], strides=[stride] * 2, pads=edge))
        resnet.append(helper.make_node("Relu", [f"{y}c"], [y]))
        return y

    at = conv("x", 3, 64, 7, 2)
    resnet.append(helper.make_node("MaxPool", [at], ["p"], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]))
    at, channels = "p", 64
    for into in (64, 128, 256, 512):
        for block in range(4):
            at = conv(at, channels, into, 3, 2 if into > channels and block == 0 else 1)
            channels = into
    resnet += [helper.make_node("GlobalAveragePool", [at], ["g"]), helper.make_node("Flatten", ["g"], ["y"])]
    picture = (1, 3, 224, 224)
    # Weights that are read again for every request, and once for a batch.
    wide = [
        helper.make_node("Flatten", ["x"], ["f"]),
        helper.make_node("MatMul", ["f", "w1"], ["h"]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("MatMul", ["r", "w2"], ["h2"]),
        helper.make_node("Relu", ["h2"], ["r2"]),
        helper.make_node("MatMul", ["r2", "w3"], ["y"]),
    ]
    wide_weights = [weights("w1", 64, 4096), weights("w2", 4096, 4096), weights("w3", 4096, 10)]
    # Between `small` and `wide`, and pictures smaller than `thumbnail`.
    middle_weights = [weights("w1", 64, 1024), weights("w2", 1024, 1024), weights("w3", 1024, 10)]
    graphs: dict[str, tuple[list[Any], list[Any], tuple[int, ...], int]] = {
        "small": (small, [weights("w1", 64, 64), weights("w2", 64, 10)], (1, 8, 8), 10),
        "wide": (wide, wide_weights, (1, 8, 8), 10),
        "middle": (wide, middle_weights, (1, 8, 8), 10),
        "mean": (mean, [], picture, 3),
        "resnet": (resnet, kernels, picture, 512),
        "icon": (resnet, kernels, (1, 3, 16, 16), 512),
        "tile": (resnet, kernels, (1, 3, 32, 32), 512),
        "thumbnail": (resnet, kernels, (1, 3, 64, 64), 512),
    }
    for name, (nodes, initializers, shape, classes) in graphs.items():
        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", *shape[1:]])
        y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", classes])
        graph = helper.make_graph(nodes, name, [x], [y], initializers)
        (folder / name).mkdir()
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        onnx.save(model, str(folder / name / "model.onnx"))
    return {name: shape for name, (_, _, shape, _) in graphs.items()}


def make_slow(folder: Path, seconds: float) -> None:
    """Writes a model that multiplies matrices for about so long on a free CPU, whatever `x` [rows, 8] it is given."""
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    def product(name: str, source: str, to: str) -> Any:
        return helper.make_node(name, [source, "M"], [to])

    def saved(trips: int) -> Path:
        body = helper.make_graph(
            [product("MatMul", "state", "next"), helper.make_node("Identity", ["going"], ["still"])],
            "body",
            [
                helper.make_tensor_value_info("at", TensorProto.INT64, []),
                helper.make_tensor_value_info("going", TensorProto.BOOL, []),
                helper.make_tensor_value_info("state", TensorProto.FLOAT, [96, 96]),
            ],
            [
                helper.make_tensor_value_info("still", TensorProto.BOOL, []),
                helper.make_tensor_value_info("next", TensorProto.FLOAT, [96, 96]),
            ],
        )
        nodes = [
            helper.make_node("Loop", ["trips", "yes", "M"], ["end"], body=body),
            helper.make_node("ReduceSum", ["end"], ["sum"], keepdims=0),
            helper.make_node("Add", ["x", "sum"], ["y"]),
        ]
        values = {"trips": np.array(trips), "yes": np.array(True), "M": np.eye(96, dtype=np.float32)}
        x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", 8]) for name in "xy")
        weights = [numpy_helper.from_array(value, name) for name, value in values.items()]
        graph = helper.make_graph(nodes, "slow", [x], [y], weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        path = folder / "slow" / "model.onnx"
        path.parent.mkdir(exist_ok=True)
        onnx.save(model, str(path))
        return path

    tried = raw_loop(saved(2000), [1, 8], 1.0)
    saved(int(2000 * seconds * len(tried["latencies"]) / tried["cpu"]))


def write_request(folder: Path, shape: tuple[int, ...]) -> None:
    """Beside the model of the folder: `request.http`, a request with one input of that shape, and its body as
    `request.json`."""
    whole = request(folder.name, shape, binary=False)
    (folder / "request.http").write_bytes(whole)
    (folder / "request.json").write_bytes(whole.partition(b"\r\n\r\n")[2])
