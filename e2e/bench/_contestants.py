"""What takes part in the benchmark of serving: models, a raw loop, KServe's stock server, and a client of the servers.

Each runs as a process of its own, in the server's environment: `python -m e2e.bench._contestants raw|stock|client ...`.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

HOST = "127.0.0.1"


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
    graphs: dict[str, tuple[list[Any], list[Any], tuple[int, ...], int]] = {
        "small": (small, [weights("w1", 64, 64), weights("w2", 64, 10)], (1, 8, 8), 10),
        "mean": (mean, [], picture, 3),
        "resnet": (resnet, kernels, picture, 512),
    }
    for name, (nodes, initializers, shape, classes) in graphs.items():
        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", *shape[1:]])
        y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", classes])
        graph = helper.make_graph(nodes, name, [x], [y], initializers)
        (folder / name).mkdir()
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        onnx.save(model, str(folder / name / "model.onnx"))
    return {name: shape for name, (_, _, shape, _) in graphs.items()}


def one_thread_session(path: Path) -> Any:
    """ONNX Runtime with one thread, as the servers have."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def stock_server(path: Path, port: int) -> None:
    """KServe's server with a predict as its documentation has it."""
    import kserve
    from kserve.utils.utils import get_predict_response

    class Plain(kserve.Model):  # type: ignore[misc]
        def load(self) -> bool:
            self.session = one_thread_session(path)
            self.ready = True
            return True

        def predict(self, payload: Any, headers: Any = None) -> Any:
            (result,) = self.session.run(None, {"x": payload.inputs[0].as_numpy()})
            return get_predict_response(payload, result, self.name)

    model = Plain(path.parent.name)
    model.load()
    kserve.ModelServer(http_port=port, enable_grpc=False).start([model])


def raw_loop(path: Path, shape: list[int], seconds: float) -> dict[str, Any]:
    """`session.run` in a loop on the server's CPU; latencies, and the CPU time of all, in seconds."""
    import numpy as np

    session = one_thread_session(path)
    x = np.random.default_rng(1).random(shape, dtype=np.float32)
    latencies: list[float] = []
    session.run(None, {"x": x})
    start, used = time.perf_counter(), time.process_time()
    while (now := time.perf_counter()) - start < seconds:
        session.run(None, {"x": x})
        latencies.append(time.perf_counter() - now)
    return {
        "latencies": latencies,
        "seconds": time.perf_counter() - start,
        "cpu": time.process_time() - used,
    }


def request(model: str, shape: tuple[int, ...], binary: bool) -> bytes:
    """A whole HTTP request of protocol v2."""
    import numpy as np

    x = np.random.default_rng(1).random(shape, dtype=np.float32)
    tensor: dict[str, Any] = {"name": "x", "shape": list(shape), "datatype": "FP32"}
    extra = ""
    raw = b""
    if binary:
        raw = x.tobytes()
        tensor["parameters"] = {"binary_data_size": len(raw)}
    else:
        tensor["data"] = x.ravel().tolist()
    document: dict[str, Any] = {"inputs": [tensor]}
    if binary:
        document["parameters"] = {"binary_data_output": True}
    text = json.dumps(document, separators=(",", ":")).encode()
    if binary:
        extra = f"Inference-Header-Content-Length: {len(text)}\r\n"
    kind = "application/octet-stream" if binary else "application/json"
    head = (
        f"POST /v2/models/{model}/infer HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: {kind}\r\n{extra}"
        f"Content-Length: {len(text) + len(raw)}\r\n\r\n"
    )
    return head.encode() + text + raw


class Connection(asyncio.Protocol):
    """A closed loop: the next request goes out when the last one is answered."""

    def __init__(self, payload: bytes, latencies: list[float], errors: list[str]) -> None:
        self.payload = payload
        self.latencies = latencies
        self.errors = errors
        self.buffer = b""
        self.sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asks for the first time."""
        self.transport: Any = transport
        self.send()

    def send(self) -> None:
        """Asks."""
        self.sent = time.perf_counter()
        self.transport.write(self.payload)

    def data_received(self, data: bytes) -> None:
        """Asks again if the answer is whole."""
        self.buffer += data
        head, found, body = self.buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        if len(body) < length:
            return
        self.latencies.append(time.perf_counter() - self.sent)
        if not head.startswith(b"HTTP/1.1 200"):
            self.errors.append(body.decode())
        self.buffer = b""
        self.send()


def client(port: int, payload_file: Path, concurrency: int, seconds: float) -> dict[str, Any]:
    """Asks for `seconds`, and longer if there is hardly an answer by then; a tenth of it before to warm up."""
    import uvloop

    latencies: list[float] = []
    errors: list[str] = []
    payload = payload_file.read_bytes()

    async def run() -> float:
        loop = asyncio.get_running_loop()
        for _ in range(concurrency):
            await loop.create_connection(lambda: Connection(payload, latencies, errors), HOST, port)
        await asyncio.sleep(seconds / 10)
        latencies.clear()
        start = time.perf_counter()
        await asyncio.sleep(seconds)
        while len(latencies) < 2 * concurrency and not errors:  # noqa: ASYNC110 -- an event for each answer would cost
            await asyncio.sleep(0.05)
        return time.perf_counter() - start

    took = uvloop.run(run())
    return {"latencies": latencies, "seconds": took, "errors": errors[:1]}


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["stock", path, port]:
            sys.argv = sys.argv[:1]
            stock_server(Path(path), int(port))
        case ["raw", path, shape, seconds]:
            print(json.dumps(raw_loop(Path(path), json.loads(shape), float(seconds))))
        case ["client", port, payload, concurrency, seconds]:
            print(json.dumps(client(int(port), Path(payload), int(concurrency), float(seconds))))
