"""What takes part in the benchmark of serving: a raw loop, KServe's stock server, and a client of the servers.

Each runs as a process of its own, in the server's environment: `python -m e2e.bench._contestants raw|stock|client ...`.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

HOST = os.environ.get("SERVER_HOST", "127.0.0.1")
STEP = 0.03  # of the capacity: rates are told apart by so much


def _run(program: Coroutine[Any, Any, T]) -> T:
    """On uvloop, where it is installed."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(program)
    found: T = uvloop.run(program)
    return found


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

    took = _run(run())
    return {"latencies": latencies, "seconds": took, "errors": errors[:1]}


class Call(asyncio.Protocol):
    """One request at a time, over a connection that stays. `done` is told the HTTP code."""

    def __init__(self, done: Callable[[Call, int], None]) -> None:
        self.done = done
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands."""
        self.transport: Any = transport

    def ask(self, payload: bytes) -> None:
        """Asks."""
        self.buffer = b""
        self.transport.write(payload)

    def data_received(self, data: bytes) -> None:
        """Tells of an answer once it is whole."""
        self.buffer += data
        head, found, body = self.buffer.partition(b"\r\n\r\n")
        if found and len(body) >= int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0]):
            self.done(self, int(head[9:12]))


def offered(port: int, payload_file: Path, rate: float, seconds: float) -> dict[str, Any]:
    """Requests at random times, so many a second, whether or not those before are answered.

    Gives the latencies from the time at which each was due: of those that were answered in `latencies`, and of those
    that were refused.
    """
    import random

    payload = payload_file.read_bytes()
    latencies: list[float] = []
    refused: list[float] = []
    rng = random.Random()

    async def run() -> float:
        loop = asyncio.get_running_loop()
        free: list[Call] = []
        due: dict[Call, float] = {}

        def done(call: Call, code: int) -> None:
            (latencies if code == 200 else refused).append(loop.time() - due.pop(call))
            free.append(call)

        async def ask(at: float) -> None:
            call = free.pop() if free else (await loop.create_connection(lambda: Call(done), HOST, port))[1]
            due[call] = at
            call.ask(payload)

        asking = []
        start = at = loop.time()
        while (at := at + rng.expovariate(rate)) < start + seconds:
            await asyncio.sleep(at - loop.time())
            asking.append(loop.create_task(ask(at)))
        took = loop.time() - start
        answered = len(latencies)
        await asyncio.gather(*asking)
        while due:  # noqa: ASYNC110 -- as above
            await asyncio.sleep(0.01)
        return took * len(latencies) / max(1, answered)  # what was answered in the end, at the rate of before

    took = _run(run())
    return {"latencies": latencies, "refused": refused, "seconds": took}


def bears(port: int, payload_file: Path, percentile: float, within: float, seconds: float) -> dict[str, Any]:
    """The latencies of a client alone, and the highest rate, of requests at random times, at which so many percent are
    answered within so many seconds. Seconds of a try."""
    alone = client(port, payload_file, 1, seconds)
    closed = client(port, payload_file, 16, seconds)
    low, high = 0.0, len(closed["latencies"]) / closed["seconds"]
    capacity = high

    def kept(rate: float) -> bool:
        found = offered(port, payload_file, rate, max(seconds / 2, 40 / rate))
        times = sorted(found["latencies"]) + [float("inf")] * len(found["refused"])
        return bool(times[int(percentile / 100 * len(times))] <= within)

    while high - low > STEP * capacity:
        rate = (low + high) / 2
        if sum(kept(rate) for _ in range(3)) > 1:
            low = rate
        else:
            high = rate
    return alone | {"rate": low, "capacity": capacity}


def probes(port: int, seconds: float) -> dict[str, Any]:
    """Probes of liveness, each over a connection of its own as the kubelet's are, fifty a second."""
    import http.client

    latencies: list[float] = []
    start = time.perf_counter()
    while (now := time.perf_counter()) - start < seconds:
        connection = http.client.HTTPConnection(HOST, port, timeout=60)
        connection.request("GET", "/v2/health/live")
        if connection.getresponse().status != 200:
            return {"latencies": latencies, "seconds": now - start, "errors": ["it is not alive"]}
        connection.close()
        latencies.append(time.perf_counter() - now)
        time.sleep(max(0.0, 0.02 - latencies[-1]))
    return {"latencies": latencies, "seconds": time.perf_counter() - start}


def load(port: int, files: list[str]) -> None:
    """Sends each of these requests over and over, over a connection for each, until it is killed."""
    payloads = [Path(file).read_bytes() for file in files]

    async def run() -> None:
        loop = asyncio.get_running_loop()
        for payload in payloads:

            def again(call: Call, _: int, payload: bytes = payload) -> None:
                call.ask(payload)

            _, call = await loop.create_connection(lambda again=again: Call(again), HOST, port)  # type: ignore[misc]
            call.ask(payload)
        await asyncio.Event().wait()

    _run(run())


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
        case ["probes", port, seconds]:
            print(json.dumps(probes(int(port), float(seconds))))
        case ["load", port, *files]:
            load(int(port), files)
        case ["client", port, payload, concurrency, seconds]:
            print(json.dumps(client(int(port), Path(payload), int(concurrency), float(seconds))))
