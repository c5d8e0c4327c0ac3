"""Our model server beside a raw `session.run` loop and KServe's stock server: same models, same client, taking turns.

Server and client each have a CPU of their own, so a rate is
what one CPU of a server gives. The stock server is `kserve.ModelServer` with a `predict` as KServe documents it.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from e2e import venv

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
    mean = [helper.make_node("GlobalAveragePool", ["x"], ["g"]), helper.make_node("Flatten", ["g"], ["y"])]
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
        "mean": (mean, [], (1, 3, 224, 224), 3),
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
    rng = random.Random(1)  # noqa: S311 -- no secret
    draws = sorted(statistics.median(rng.choices(values, k=len(values))) for _ in range(2000))
    return statistics.median(values), draws[50], draws[1949]


@contextmanager
def on_cpu(which: int) -> Iterator[None]:
    """Processes that are started meanwhile stay on that CPU."""
    cpus = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {sorted(cpus)[which]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cpus)


def cpu_seconds(pid: int) -> float:
    """User and system time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def ask_self(cpu: int, *arguments: str) -> dict[str, Any]:
    """Runs a part of this program as a process on its CPU; its answer."""
    command = [sys.executable, "-m", "e2e.bench.serving", *arguments]
    with on_cpu(cpu):
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
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
        "ours": [
            *(sys.executable, "-m", "tradewind_server"),
            *(f"--model_name={path.parent.name}", f"--model_dir={path.parent}", f"--http_port={port}"),
        ],
    }[kind]
    log = path.parent / f"{kind}.log"
    with log.open("wb") as output, on_cpu(SERVER_CPU):
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output)
    for _ in range(1800):
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


def ratio(reference: float, ours: float) -> float:
    """How many times as much."""
    return ours / reference


def cpu_name() -> str:
    """The processor, as it calls itself."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown")


def measure(
    folder: Path, shape: tuple[int, ...], systems: tuple[str, ...], clients: int, rounds: int, seconds: float
) -> dict[str, Series]:
    """Rounds of every system in turn. A system is raw, or stock or ours with -json or -binary."""
    path = folder / "model.onnx"
    ports = {"stock": 18431, "ours": 18432}
    processes: dict[str, subprocess.Popen[bytes]] = {}
    series = {system: Series() for system in systems}
    try:
        for kind in sorted({system.split("-")[0] for system in systems} - {"raw"}):
            processes[kind] = start_server(kind, path, ports[kind])
        for encoding in ("json", "binary"):
            (folder / encoding).write_bytes(request(folder.name, shape, encoding == "binary"))
        for turn in range(rounds):
            for system in systems if turn % 2 == 0 else reversed(systems):
                if system == "raw":
                    result = ask_self(SERVER_CPU, "raw", str(path), json.dumps(shape), str(seconds))
                    series[system].add(result, sum(result["latencies"]))
                    continue
                kind, encoding = system.split("-")
                before = cpu_seconds(processes[kind].pid)
                asked = ["client", str(ports[kind]), str(folder / encoding), str(clients), str(seconds)]
                result = ask_self(CLIENT_CPU, *asked)
                # The client's warm-up is a tenth more than what it counts.
                series[system].add(result, (cpu_seconds(processes[kind].pid) - before) / 1.1)
            print(f"  {folder.name} x{clients}: round {turn + 1} of {rounds}", file=sys.stderr, flush=True)
    finally:
        for process in processes.values():
            process.kill()
            process.wait()
    return series


@dataclass(frozen=True)
class Target:
    """A row of the targets: `of` takes the series of a run, one value a system and round, in the order of `systems`."""

    name: str
    unit: str
    must: float
    aim: float
    run: str
    number: str
    systems: tuple[str, ...]
    of: Callable[..., float]

    def result(self, runs: dict[str, dict[str, Series]]) -> dict[str, Any]:
        """The row with what was measured. Of latencies less is better, of rates more."""
        rounds = zip(*(getattr(runs[self.run][system], self.number) for system in self.systems), strict=True)
        value, low, high = interval(list(rounds), self.of)
        met = value >= self.must if self.number == "rate" else value <= self.must
        return {"name": self.name, "unit": self.unit, "must": self.must, "aim": self.aim} | {
            "value": value,
            "low": low,
            "high": high,
            "met": met,
        }


# Run, model, clients at once, systems.
RUNS = (
    ("small x1", "small", 1, ("raw", "stock-json", "ours-json")),
    ("small x16", "small", 16, ("stock-json", "ours-json")),
    ("mean x2", "mean", 2, ("stock-json", "ours-json", "ours-binary")),
    ("image x2", "image", 2, ("raw", "stock-json", "ours-json", "ours-binary")),
)
ONE = ("raw", "stock-json", "ours-json")
TARGETS = (
    Target("added p50, 1 client", "ms", 0.8, 0.4, "small x1", "p50", ONE, lambda raw, _, ours: ours - raw),
    Target(
        "added p50, 1 client", "of stock's", 0.5, 0.25, "small x1", "p50", ONE, lambda raw, a, b: (b - raw) / (a - raw)
    ),
    Target("requests/s, 16 clients", "of stock", 2.5, 6, "small x16", "rate", ("stock-json", "ours-json"), ratio),
    Target("binary, 1x3x224x224", "of our JSON", 8, 8, "mean x2", "rate", ("ours-json", "ours-binary"), ratio),
    Target("binary, 1x3x224x224", "of stock's JSON", 8, 8, "image x2", "rate", ("stock-json", "ours-binary"), ratio),
    Target("binary, 1x3x224x224", "of raw", 0.9, 0.95, "image x2", "rate", ("raw", "ours-binary"), ratio),
)


def report(runs: dict[str, dict[str, Series]], rows: list[dict[str, Any]]) -> None:
    """Prints both tables."""
    print(f"\n{'':12}{'system':14}{'p50 ms':>10}{'p99 ms':>10}{'req/s':>10}{'CPU ms/req':>12}")
    for run, systems in runs.items():
        for system, series in systems.items():
            values = [statistics.median(numbers) for numbers in (series.p50, series.p99, series.rate, series.cpu)]
            print(f"{run:12}{system:14}{values[0]:10.3f}{values[1]:10.3f}{values[2]:10.1f}{values[3]:12.3f}")
    print(f"\n{'':40}{'value':>9}  {'95 % interval':20}{'must':>6}{'aim':>6}")
    for row in rows:
        span = f"{row['low']:.3f} .. {row['high']:.3f}"
        print(
            f"{row['name']:24}{row['unit']:16}{row['value']:9.3f}  {span:20}{row['must']:6}{row['aim']:6}"
            f"{'' if row['met'] else '  MISSED'}"
        )


def main() -> int:
    """Measures, prints and writes the JSON; 1 if a must of the targets is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each system in each round")
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "bench" / "serving.json", help="where to write")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        shapes = make_models(Path(folder))
        runs = {
            run: measure(Path(folder) / model, shapes[model], systems, clients, args.rounds, args.seconds)
            for run, model, clients, systems in RUNS
        }
    rows = [target.result(runs) for target in TARGETS]
    report(runs, rows)
    document = {
        "machine": {"cpu": cpu_name(), "cpus": len(os.sched_getaffinity(0)), "load": os.getloadavg()},
        "settings": {"rounds": args.rounds, "seconds": args.seconds},
        "rows": rows,
        "series": {run: {system: vars(series) for system, series in systems.items()} for run, systems in runs.items()},
    }
    args.json.parent.mkdir(parents=True, exist_ok=True)
    args.json.write_text(json.dumps(document, indent=1))
    return 0 if all(row["met"] for row in rows) else 1


def run_in_servers_environment() -> int:
    """Starts this program anew where KServe and ONNX Runtime are installed."""
    sources = os.pathsep.join(str(ROOT / folder) for folder in ("operator/src", "images/server", "."))
    command = [str(venv.python("server")), "-m", "e2e.bench.serving", *sys.argv[1:]]
    return subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": sources}).returncode


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
            sys.exit(main() if importlib.util.find_spec("onnxruntime") else run_in_servers_environment())
