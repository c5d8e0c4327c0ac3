"""What takes part in the benchmark of serving: a raw loop, KServe's stock server, and a client of the servers.

Each runs as a process of its own, in the server's environment: `python -m e2e.bench._contestants raw|stock|client ...`.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from e2e.bench._clients import HOST, bears, client, load, offered, probes, seldom


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


def useless(model: str, size: int) -> bytes:
    """An HTTP request of protocol v1 with about so many bytes of numbers, which is refused once all are read: as rows
    they have another length than the model's."""
    import numpy as np

    values = np.char.mod("%.13f", np.random.default_rng(1).random(size // 16))
    body = b'{"instances": [[' + b",".join(map(str.encode, values.tolist())) + b"]]}"
    head = f"POST /v1/models/{model}:predict HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


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


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["stock", path, port]:
            sys.argv = sys.argv[:1]
            stock_server(Path(path), int(port))
        case ["raw", path, shape, seconds]:
            print(json.dumps(raw_loop(Path(path), json.loads(shape), float(seconds))))
        case ["offered", port, payload, rate, seconds]:
            print(json.dumps(offered(int(port), Path(payload), float(rate), float(seconds))))
        case ["bears", port, payload, percentile, within, seconds]:
            print(json.dumps(bears(int(port), Path(payload), float(percentile), float(within), float(seconds))))
        case ["seldom", port, payload, seconds]:
            print(json.dumps(seldom(int(port), Path(payload), float(seconds))))
        case ["probes", port, seconds]:
            print(json.dumps(probes(int(port), float(seconds))))
        case ["load", port, *files]:
            load(int(port), files)
        case ["client", port, payload, concurrency, seconds]:
            print(json.dumps(client(int(port), Path(payload), int(concurrency), float(seconds))))
