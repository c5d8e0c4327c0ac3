"""Our model server beside a raw `session.run` loop and KServe's stock server: same models, same client, taking turns.

Run it with the server's requirements and `onnx` installed. Server and client each have a CPU of their own, so a rate is what one
CPU of a server gives. The stock server is `kserve.ModelServer` with the plain `predict` of KServe's documentation.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
SERVER_CPU, CLIENT_CPU = 0, -1  # of those that this process may use
HOST = "127.0.0.1"


# --- models ----------------------------------------------------------------------------------------------------------


def make_models(folder: Path) -> dict[str, tuple[int, ...]]:
    """Writes the ONNX files; the shape of one input of each. All take `x` and give `y`, float32."""
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(7)

    def weights(name: str, *shape: int) -> Any:
        return numpy_helper.from_array(rng.normal(0, 0.05, shape).astype(np.float32), name)

    def conv(x: str, y: str, w: str, **attributes: Any) -> list[Any]:
        return [helper.make_node("Conv", [x, w], [f"{y}c"], **attributes), helper.make_node("Relu", [f"{y}c"], [y])]

    small = [
        helper.make_node("Flatten", ["x"], ["f"]),
        helper.make_node("MatMul", ["f", "w1"], ["h"]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("MatMul", ["r", "w2"], ["l"]),
        helper.make_node("Softmax", ["l"], ["y"], axis=1),
    ]
    pool = [helper.make_node("GlobalAveragePool", ["x"], ["g"]), helper.make_node("Flatten", ["g"], ["y"])]
    image = [
        *conv("x", "a", "c1", strides=[2, 2], pads=[3, 3, 3, 3]),
        helper.make_node("MaxPool", ["a"], ["b"], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
        *conv("b", "c", "c2", pads=[1, 1, 1, 1]),
        *conv("c", "d", "c3", pads=[1, 1, 1, 1]),
        helper.make_node("GlobalAveragePool", ["d"], ["g"]),
        helper.make_node("Flatten", ["g"], ["f"]),
        helper.make_node("MatMul", ["f", "w"], ["y"]),
    ]
    graphs = {
        "small": (small, [weights("w1", 64, 64), weights("w2", 64, 10)], (1, 8, 8), 10),
        "pool": (pool, [], (1, 3, 224, 224), 3),
        "image": (
            image,
            [
                weights("c1", 64, 3, 7, 7),
                weights("c2", 64, 64, 3, 3),
                weights("c3", 64, 64, 3, 3),
                weights("w", 64, 10),
            ],
            (1, 3, 224, 224),
            10,
        ),
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


# --- the systems -----------------------------------------------------------------------------------------------------


def stock_server(path: Path, port: int) -> None:
    """KServe's server with a predict as its documentation has it."""
    import kserve
    from kserve.utils.utils import get_predict_response

    class Plain(kserve.Model):  # type: ignore[misc, name-defined]
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
    """`session.run` in a loop on the server's CPU; latencies in seconds."""
    import numpy as np

    session = one_thread_session(path)
    x = np.random.default_rng(1).random(shape, dtype=np.float32)
    latencies: list[float] = []
    session.run(None, {"x": x})
    start = time.perf_counter()
    while (now := time.perf_counter()) - start < seconds:
        session.run(None, {"x": x})
        latencies.append(time.perf_counter() - now)
    return {"latencies": latencies, "seconds": time.perf_counter() - start}


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
        self.transport: Any = transport
        self.send()

    def send(self) -> None:
        self.sent = time.perf_counter()
        self.transport.write(self.payload)

    def data_received(self, data: bytes) -> None:
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

    async def run() -> float:
        payload = payload_file.read_bytes()
        loop = asyncio.get_running_loop()
        for _ in range(concurrency):
            await loop.create_connection(lambda: Connection(payload, latencies, errors), HOST, port)
        await asyncio.sleep(seconds / 10)
        latencies.clear()
        start = time.perf_counter()
        await asyncio.sleep(seconds)
        while len(latencies) < 2 * concurrency and not errors:
            await asyncio.sleep(0.05)
        return time.perf_counter() - start

    took = uvloop.run(run())
    return {"latencies": latencies, "seconds": took, "errors": errors[:1]}


# --- measuring -------------------------------------------------------------------------------------------------------


@dataclass
class Series:
    """What the rounds of one system gave."""

    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    rate: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def add(self, result: dict[str, Any], cpu_seconds: float) -> None:
        """Adds a round."""
        latencies = sorted(result["latencies"])
        self.p50.append(statistics.median(latencies) * 1e3)
        self.p99.append(latencies[int(len(latencies) * 0.99)] * 1e3)
        self.rate.append(len(latencies) / result["seconds"])
        self.cpu.append(cpu_seconds / len(latencies) * 1e3)


def interval(pairs: list[tuple[float, ...]], of: Callable[..., float]) -> tuple[float, float, float]:
    """The median of `of` over the rounds, and its 95 % bootstrap interval (rounds drawn with replacement)."""
    values = [of(*pair) for pair in pairs]
    rng = random.Random(1)
    draws = sorted(statistics.median(rng.choices(values, k=len(values))) for _ in range(2000))
    return statistics.median(values), draws[50], draws[1949]


def pinned(which: int) -> Callable[[], None]:
    """Keeps a process on one CPU."""
    cpus = sorted(os.sched_getaffinity(0))
    return lambda: os.sched_setaffinity(0, {cpus[which]})


def cpu_seconds(pid: int) -> float:
    """User and system time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def ask_self(cpu: int, *arguments: str) -> dict[str, Any]:
    """Runs a part of this program as a process on its CPU; its answer."""
    command = [sys.executable, "-m", "e2e.bench.serving", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, preexec_fn=pinned(cpu), check=True)
    answer: dict[str, Any] = json.loads(done.stdout)
    if answer.get("errors"):
        raise SystemExit(f"the server refused the benchmark's request: {answer['errors'][0]}")
    return answer


def start_server(kind: str, path: Path, port: int) -> subprocess.Popen[bytes]:
    """A server process on its CPU, once it is ready."""
    import urllib.error
    import urllib.request

    command = {
        "stock": [sys.executable, "-m", "e2e.bench.serving", "stock", str(path), str(port)],
        "ours": [sys.executable, "-m", "tradewind_server", f"--model_name={path.parent.name}"]
        + [f"--model_dir={path.parent}", f"--http_port={port}"],
    }[kind]
    log = path.parent / f"{kind}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output, preexec_fn=pinned(SERVER_CPU))
    for _ in range(600):
        try:
            with urllib.request.urlopen(
                f"http://{HOST}:{port}/v2/models/{path.parent.name}/ready", timeout=1
            ) as answer:
                if answer.status == 200:
                    return process
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
        if process.poll() is not None:
            break
    raise SystemExit(f"the {kind} server did not become ready: {log.read_text()[-2000:]}")


def measure(
    folder: Path, model: str, shape: tuple[int, ...], systems: list[str], concurrency: int, rounds: int, seconds: float
) -> dict[str, Series]:
    """Rounds of every system in turn. A system is raw, or stock or ours with -json or -binary."""
    path = folder / model / "model.onnx"
    ports = {"stock": 18431, "ours": 18432}
    processes: dict[str, subprocess.Popen[bytes]] = {}
    series = {system: Series() for system in systems}
    try:
        for kind in sorted({system.split("-")[0] for system in systems} - {"raw"}):
            processes[kind] = start_server(kind, path, ports[kind])
        for encoding in ("json", "binary"):
            (folder / f"{model}.{encoding}").write_bytes(request(model, shape, encoding == "binary"))
        for turn in range(rounds):
            for system in systems if turn % 2 == 0 else reversed(systems):
                if system == "raw":
                    result = ask_self(SERVER_CPU, "raw", str(path), json.dumps(shape), str(seconds))
                    series[system].add(result, sum(result["latencies"]))
                    continue
                kind, encoding = system.split("-")
                before = cpu_seconds(processes[kind].pid)
                asked = [
                    "client",
                    str(ports[kind]),
                    str(folder / f"{model}.{encoding}"),
                    str(concurrency),
                    str(seconds),
                ]
                result = ask_self(CLIENT_CPU, *asked)
                series[system].add(result, (cpu_seconds(processes[kind].pid) - before) / 1.1)
            print(f"  {model} x{concurrency}: round {turn + 1} of {rounds}", file=sys.stderr, flush=True)
    finally:
        for process in processes.values():
            process.kill()
            process.wait()
    return series


def main() -> int:
    """Measures, prints the table and writes the JSON; 1 if a must of the targets is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each system in each round")
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "bench" / "serving.json", help="where to write")
    args = parser.parse_args()
    rows: list[dict[str, Any]] = []

    def row(name: str, unit: str, must: float, aim: float, higher: bool, value: tuple[float, float, float]) -> None:
        met = value[0] >= must if higher else value[0] <= must
        rows.append(
            dict(name=name, unit=unit, must=must, aim=aim, value=value[0], low=value[1], high=value[2], met=met)
        )

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        shapes = make_models(folder)
        run = lambda model, systems, concurrency: measure(  # noqa: E731  # the same settings three times
            folder, model, shapes[model], systems, concurrency, args.rounds, args.seconds
        )
        one = run("small", ["raw", "stock-json", "ours-json"], 1)
        many = run("small", ["stock-json", "ours-json"], 16)
        pool = run("pool", ["stock-json", "ours-json", "ours-binary"], 2)
        image = run("image", ["raw", "stock-json", "ours-json", "ours-binary"], 2)

    pairs = list(zip(one["raw"].p50, one["stock-json"].p50, one["ours-json"].p50, strict=True))
    row("added p50, 1 client, small", "ms", 0.8, 0.4, False, interval(pairs, lambda raw, _, ours: ours - raw))
    row(
        "... of what stock adds",
        "x",
        0.5,
        0.25,
        False,
        interval(pairs, lambda raw, stock, ours: (ours - raw) / (stock - raw)),
    )
    pairs = list(zip(many["stock-json"].rate, many["ours-json"].rate, strict=True))
    row("requests/s of stock, 16 clients, small", "x", 2.5, 6, True, interval(pairs, lambda stock, ours: ours / stock))
    pairs = list(zip(pool["ours-json"].rate, pool["ours-binary"].rate, strict=True))
    row("1x3x224x224, binary of our own JSON (mean of pixels)", "x", 8, 8, True, interval(pairs, lambda a, b: b / a))
    pairs = list(zip(image["stock-json"].rate, image["ours-binary"].rate, strict=True))
    row("1x3x224x224, binary of stock's JSON (3 convolutions)", "x", 8, 8, True, interval(pairs, lambda a, b: b / a))
    pairs = list(zip(image["raw"].rate, image["ours-binary"].rate, strict=True))
    row("1x3x224x224, binary of raw (3 convolutions)", "x", 0.9, 0.95, True, interval(pairs, lambda a, b: b / a))

    measured = {"small x1": one, "small x16": many, "pool x2": pool, "image x2": image}
    print(f"\n{'':14}{'system':14}{'p50 ms':>10}{'p99 ms':>10}{'req/s':>10}{'CPU ms/req':>12}")
    for name, systems in measured.items():
        for system, series in systems.items():
            values = [statistics.median(numbers) for numbers in (series.p50, series.p99, series.rate, series.cpu)]
            print(f"{name:14}{system:14}{values[0]:10.3f}{values[1]:10.3f}{values[2]:10.1f}{values[3]:12.3f}")
    print(f"\n{'':56}{'value':>9}  {'95 % interval':18}{'must':>7}{'aim':>7}")
    for entry in rows:
        span = f"{entry['low']:.3f} .. {entry['high']:.3f}"
        verdict = "" if entry["met"] else "  MISSED"
        print(
            f"{entry['name']:56}{entry['value']:9.3f}  {span:18}{entry['must']:7}{entry['aim']:7} {entry['unit']}{verdict}"
        )
    args.json.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "machine": {"cpu": platform.processor() or platform.machine(), "cpus": len(os.sched_getaffinity(0))},
        "rounds": args.rounds,
        "seconds": args.seconds,
        "rows": rows,
        "series": {name: {system: vars(s) for system, s in systems.items()} for name, systems in measured.items()},
    }
    args.json.write_text(json.dumps(document, indent=1))
    return 0 if all(entry["met"] for entry in rows) else 1


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["stock", path, port]:
            sys.argv = sys.argv[:1]
            stock_server(Path(path), int(port))
        case ["raw", path, shape, seconds]:
            print(json.dumps(raw_loop(Path(path), json.loads(shape), float(seconds))))
        case ["client", port, payload, concurrency, seconds]:
            print(json.dumps(client(int(port), Path(payload), int(concurrency), float(seconds))))
        case _:
            sys.exit(main())
