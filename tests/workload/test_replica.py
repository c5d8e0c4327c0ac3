"""Replicas are measured as they are: copies are equal, and one that can't be asked is a row with its reason."""

from __future__ import annotations

import hashlib
import http.server
import itertools
import json
import os
import signal
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from jobs import alone, training_job
from onnx import TensorProto, helper, numpy_helper
from test_compressed_families import CANDIDATES, compress, compressed, table, write_table

from e2e import venv
from tradewind.api.artefact import Tensor
from tradewind.api.compressionjob import Goals, Measure
from tradewind_workload.compress import measuring
from tradewind_workload.io.fault import Fault
from tradewind_workload.io.store import open_model
from tradewind_workload.measure import replica
from tradewind_workload.measure.bodies import bodies_of
from tradewind_workload.measure.figures import Replica
from tradewind_workload.measure.loading import Broken, loading
from tradewind_workload.measure.replica import Patience, Replicas, Unfit
from tradewind_workload.measure.seen import Asked, Seen, Served
from tradewind_workload.measure.seldom import seldom
from tradewind_workload.measure.stands import SERVER_PYTHON, STANDS, Stand, Unservable, free_port, opened
from tradewind_workload.measure.sweep import Slo, Sweep, again, percentile, sweep

if TYPE_CHECKING:
    from collections.abc import Iterator

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
WIDTH = 16


def stored(folder: Path, nodes: list[Any], weights: dict[str, Any] | None = None) -> Served:
    """A model in the store whose nodes make `prediction` of the numbers `inputs`."""
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("inputs", FLOAT, ["rows", WIDTH])],
        [helper.make_tensor_value_info("prediction", FLOAT, ["rows", 1])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in (weights or {}).items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    content = made.SerializeToString()
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(content)
    document = {
        "formatVersion": 1,
        "task": "tabular-regression",
        "inputs": [{"name": "inputs", "datatype": "FP32", "shape": [-1, WIDTH]}],
        "outputs": [{"name": "prediction", "datatype": "FP32", "shape": [-1, 1]}],
        "files": {"model.onnx": {"sha256": hashlib.sha256(content).hexdigest(), "sizeBytes": len(content)}},
    }
    manifest = json.dumps(document).encode()
    (folder / "model.json").write_bytes(manifest)
    return Served(folder, f"sha256:{hashlib.sha256(manifest).hexdigest()}")


def perceptron(folder: Path, hidden: int) -> Served:
    random = np.random.default_rng(0)
    weights = {
        "a": random.normal(size=(WIDTH, hidden)).astype(np.float32),
        "b": random.normal(size=(hidden, hidden)).astype(np.float32),
        "c": random.normal(size=(hidden, 1)).astype(np.float32),
    }
    nodes = [
        helper.make_node("MatMul", ["inputs", "a"], ["x"]),
        helper.make_node("Relu", ["x"], ["y"]),
        helper.make_node("MatMul", ["y", "b"], ["z"]),
        helper.make_node("MatMul", ["z", "c"], ["prediction"]),
    ]
    return stored(folder, nodes, weights)


FIRST = [  # the first number of a row: 0 where the server tries zeros, and 1 in the rows here
    helper.make_node("ReduceMax", ["inputs"], ["most"], keepdims=0),
    helper.make_node("Mul", ["most", "huge"], ["number"]),
    helper.make_node("Cast", ["number"], ["count"], to=INT64),
    helper.make_node("ReduceSum", ["inputs", "axis"], ["sum"]),
]


def endless(folder: Path) -> Served:
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["go_on"]), helper.make_node("Neg", ["x_in"], ["x_out"])],
        "body",
        [
            helper.make_tensor_value_info("turn", INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("x_in", FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("x_out", FLOAT, None),
        ],
    )
    nodes = [*FIRST, helper.make_node("Loop", ["count", "yes", "sum"], ["prediction"], body=body)]
    return stored(folder, nodes, {"huge": np.float32(1e18), "axis": np.array([1]), "yes": np.array(True)})


def not_a_number(folder: Path) -> Served:
    nodes = [
        helper.make_node("ReduceSum", ["inputs", "axis"], ["sum"]),
        helper.make_node("Sub", ["sum", "sum"], ["nothing"]),
        helper.make_node("Div", ["nothing", "nothing"], ["prediction"]),
    ]
    return stored(folder, nodes, {"axis": np.array([1])})


def greedy(folder: Path) -> Served:
    """Takes terabytes for a row."""
    nodes = [
        *FIRST,
        helper.make_node("Unsqueeze", ["count", "first"], ["shape"]),
        helper.make_node("Expand", ["one", "shape"], ["many"]),
        helper.make_node("ReduceSum", ["many"], ["all"], keepdims=0),
        helper.make_node("Add", ["sum", "all"], ["prediction"]),
    ]
    weights = {"huge": np.float32(1e12), "axis": np.array([1]), "first": np.array([0]), "one": np.ones(1, np.float32)}
    return stored(folder, nodes, weights)


def broken(folder: Path) -> Served:
    made = perceptron(folder, 8)
    (folder / "model.onnx").write_bytes(b"no model")
    return made


class Crashing(Stand):
    """Its servers die when they are Ready, if the folder's name says so."""

    def start(self, folder: Path, digest: str | None, port: int, patience: float) -> float:
        took = super().start(folder, digest, port, patience)
        if folder.name == "crashes":
            os.kill(self.look()["pid"], signal.SIGKILL)
        return took


BODIES = bodies_of(
    [[1.0, *row] for row in np.random.default_rng(1).uniform(-1, 1, (64, WIDTH - 1)).tolist()],
    [Tensor(name="inputs", datatype="FP32", shape=(-1, WIDTH))],
)
SETTINGS = Measure(repeats=10, warmup=5)


@pytest.fixture
def replicas(monkeypatch: pytest.MonkeyPatch) -> Iterator[Replicas]:
    """On two stands of this machine."""
    monkeypatch.setenv(SERVER_PYTHON, str(venv.python("server")))
    with opened(threads=1) as stands, loading(BODIES) as ask:
        assert stands is not None
        one, other = (Crashing(stand.address, stand.threads) for stand in stands)
        yield Replicas((one, other), ask, SETTINGS, Goals(), Patience(ready=900, request=10))


def test_a_variant_that_cannot_be_asked_is_a_row_with_its_reason(
    replicas: Replicas, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replica, "PAIRS", (2, 2))  # what is asked here needs no narrow interval
    monkeypatch.setattr(replica, "PROCESSES", (2, 2))
    monkeypatch.setattr(replica, "LONGER", 2)
    baseline = perceptron(tmp_path / "baseline", 600)
    variants = {
        "smaller": perceptron(tmp_path / "smaller", 16),
        "nan": not_a_number(tmp_path / "nan"),
        "greedy": greedy(tmp_path / "greedy"),
        "broken": broken(tmp_path / "broken"),
        "crashes": perceptron(tmp_path / "crashes", 16),
        "endless": endless(tmp_path / "endless"),
        "otherwise": perceptron(tmp_path / "otherwise", 16),
    }
    compared: list[str] = []

    def agrees(served: Served, port: int, patience: float) -> str | None:
        compared.append(served.folder.name)
        assert port > 0 and patience == 10
        return "it answers otherwise" if served.folder.name == "otherwise" else None

    replicas.agrees = agrees
    steps: list[int] = []
    found = replicas.figures(baseline, list(variants.values()), lambda: steps.append(1))
    assert len(steps) == len(found) == 8
    assert compared == ["baseline", "smaller", "otherwise"], "each once, when it has answered"
    first, smaller, *others = found
    why = dict(zip([*variants][1:], map(str, others), strict=True))
    assert all(isinstance(one, Unfit) for one in others)
    assert "the model has no answer for row 0: its prediction are not finite there" in why["nan"]
    assert why["greedy"].startswith("it answers 500 to a row of the data: the model ran out of memory"), why["greedy"]
    assert why["broken"].startswith("model model can't be served: ") and "model.onnx" in why["broken"]
    assert why["crashes"].startswith("the server was killed from outside"), why["crashes"]
    assert why["endless"] == "it gives no answer within 10 s"
    assert why["otherwise"] == "it answers otherwise"
    assert isinstance(first, Replica) and isinstance(smaller, Replica)
    assert (first.speedup, first.low, first.high) == (1, 1, 1)
    assert smaller.low <= smaller.speedup <= smaller.high
    for one in (first, smaller):
        assert 0 < one.p50_ms <= one.p95_ms <= one.p99_ms
        assert one.sweep.low <= one.throughput == one.sweep.median <= one.sweep.high and one.throughput > 0
        assert one.sweep.slo.percentile == 95 and one.sweep.slo.milliseconds > 0
        assert set(one.parts) == {"read", "parse", "queue", "process", "model", "answer", "http"}
        assert one.parts["model"] > 0 and one.parts["http"] > 0 and one.start_seconds > 0
        assert 30 << 20 < one.peak_memory < 1 << 30


def test_copies_of_one_model_are_equal_over_http(replicas: Replicas, tmp_path: Path) -> None:
    """Whatever else the machine does: it does it to all of them. It may stop for minutes."""
    replicas.patience = Patience(ready=900, request=900)
    copies = [perceptron(tmp_path / f"copy{i}", 64) for i in range(3)]
    _, *found = replicas.figures(copies[0], copies[1:])
    held = 0
    for one in found:
        assert isinstance(one, Replica) and 0.5 < one.speedup < 2
        held += one.low <= 1 <= one.high
    assert held >= 1, "two intervals of 99 %"


def test_a_variant_that_cannot_be_measured_has_failed_and_the_others_are_judged(
    volumes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the numbers of replicas; those of the models alone stand beside them."""
    measured = {"speedup": 2.0, "low": 1.9, "high": 2.1, "throughput": 100.0, "peak_memory": 10**8}
    tried = Sweep(100.0, Slo(95, 2.5), 140.0, ())
    times = {"p50_ms": 0.5, "p95_ms": 0.8, "p99_ms": 0.9, "start_seconds": 1.2, "parts": {"model": 0.1, "http": 0.4}}
    replica = Replica(**measured, **times, sweep=tried)

    def figures(_: Replicas, baseline: Served, variants: list[Served], on_step: Any) -> list[Replica | Unfit]:
        return [replica, replica, Unfit(variants[1], "it gives no answer within 30 s")]

    @contextmanager
    def stands(_: int, *, gpu: bool) -> Iterator[tuple[Stand, Stand]]:
        assert not gpu
        yield Stand("http://one"), Stand("http://other")

    monkeypatch.setattr(Stand, "wait", lambda _: {"limits": {"cpu": 1.0, "memoryBytes": 10**9}})
    monkeypatch.setattr(Replicas, "figures", figures)
    monkeypatch.setattr(measuring, "opened", stands)
    write_table(volumes)
    recipe = {"task": "tabular-classification", "model": {"architecture": "mlp"}, "epochs": 2}
    found = compressed(volumes, recipe, table(), CANDIDATES[:2], goals={"maxLatency": {"milliseconds": "0.7"}})
    baseline, dynamic, static = found.rows.values()
    assert (static.verdict, static.reason) == ("Failed", "could not be measured: it gives no answer within 30 s")
    assert static.latencies == () and static.storage_uri is None
    assert dynamic.verdict in ("Infeasible", "Regression")
    assert baseline.verdict == "Infeasible"
    assert baseline.reason == "p95 latency is 0.800 ms; goals.maxLatency is 0.7 ms"
    for row in (baseline, dynamic):
        assert row.replica is not None and row.runtime is not None
        assert [one.milliseconds for one in row.latencies] == ["0.5", "0.8", "0.9"]
        assert (row.throughput_per_second, row.peak_memory_bytes) == ("100", 10**8)
        assert (row.replica.within.milliseconds, row.replica.start_seconds) == ("2.5", "1.2")
        assert [part.part for part in row.replica.parts] == ["model", "http"]
        assert float(row.runtime.latencies[0].milliseconds) > 0 and row.runtime.throughput_per_second is not None


@pytest.mark.parametrize("gpus", [None, "NVIDIA H100 80GB HBM3 (driver 580.159.04)"])
def test_on_a_gpu_only_replicas_are_measured_and_a_missing_one_is_said(
    volumes: Path, monkeypatch: pytest.MonkeyPatch, gpus: str | None
) -> None:
    """This program has none of the accelerators: what it measured itself would be the CPU's."""
    by_itself: list[Any] = []
    measured = {"speedup": 2.0, "low": 1.9, "high": 2.1, "throughput": 100.0, "peak_memory": 10**8}
    times = {"p50_ms": 0.5, "p95_ms": 0.8, "p99_ms": 0.9, "start_seconds": 1.2, "parts": {"model": 0.1, "http": 0.4}}
    replica = Replica(**measured, **times, sweep=Sweep(100.0, Slo(95, 2.5), 140.0, ()))

    @contextmanager
    def stands(_: int, *, gpu: bool) -> Iterator[tuple[Stand, Stand]]:
        assert gpu
        yield Stand("http://one"), Stand("http://other")

    monkeypatch.setattr(Stand, "wait", lambda _: {"limits": {"cpu": 1.0, "memoryBytes": 10**9, "gpu": gpus}})
    monkeypatch.setattr(Replicas, "figures", lambda *_: [replica] * 2)
    monkeypatch.setattr(measuring, "opened", stands)
    monkeypatch.setattr(measuring, "measure", lambda *asked: by_itself.append(asked))
    write_table(volumes)
    recipe = {"task": "tabular-classification", "model": {"architecture": "mlp"}, "epochs": 2}
    alone(training_job({"recipe": recipe, "data": table(), "output": {"storageUri": "pvc://claim/model"}}))
    model = volumes, open_model(volumes / "claim/model")[1], CANDIDATES[:1]
    if gpus is None:
        with pytest.raises(Fault, match=r"asks for a GPU, and the container of the replicas sees none: check the node"):
            compress(*model, accelerators=1)
        return
    found = compress(*model, accelerators=1)
    assert not by_itself
    assert f"measuring on {gpus}" in found.output
    for row in found.rows.values():
        assert row.replica is not None and row.runtime is None
        assert row.measured_on is not None and row.measured_on.accelerators == 1


def test_a_baseline_that_cannot_be_measured_ends_the_job(replicas: Replicas, tmp_path: Path) -> None:
    with pytest.raises(Fault, match=r"the model itself can't be measured .* it takes none of the rows that judge it"):
        replicas.figures(not_a_number(tmp_path / "nan"), [])


def test_without_a_server_there_is_no_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SERVER_PYTHON, raising=False)
    with opened(threads=1) as stands:
        assert stands is None
    monkeypatch.setenv(STANDS, "http://127.0.0.1:1")
    with pytest.raises(RuntimeError, match="must have two addresses"), opened(threads=1):
        pass


class Ended(http.server.BaseHTTPRequestHandler):
    """A stand whose container ends when a server is to be started, and is there again."""

    def do_GET(self) -> None:
        """It has no server."""
        body = json.dumps({"alive": False, "reason": None, "limits": {"cpu": 1.0, "memoryBytes": 1000}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        """No answer."""
        self.close_connection = True

    def log_message(self, *_: Any) -> None:
        """Nothing."""


def test_a_container_that_ends_with_its_server(tmp_path: Path) -> None:
    """The kubelet ends all that is in it."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Ended) as there:
        threading.Thread(target=there.serve_forever, daemon=True).start()
        stand = Stand(f"http://127.0.0.1:{there.server_port}")
        with pytest.raises(Unservable, match="ended, as one is that takes more than the 1000 bytes of memory that it"):
            stand.start(tmp_path, None, 1, 5)
        assert stand.why() is None
        there.shutdown()


NAP = 0.03


class Sleepy(http.server.BaseHTTPRequestHandler):
    """A replica that falls asleep when it is not asked for 5 ms, and is long in waking up; or one that does not."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer is one packet
    sleeps = False
    last, count = 0.0, 0

    def do_GET(self) -> None:
        """Metrics, of one part."""
        name, part = "tradewind_request_part_seconds", '{part="model"}'
        self.answer(f"{name}_sum{part} {self.count * 1e-5}\n{name}_count{part} {self.count}\n".encode())

    def do_POST(self) -> None:
        """A prediction."""
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.sleeps and time.monotonic() - type(self).last > 0.005:
            time.sleep(NAP)
        type(self).last, type(self).count = time.monotonic(), self.count + 1
        self.answer(b"{}")

    def answer(self, body: bytes) -> None:
        """Of this body."""
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing."""


def test_a_replica_that_is_slow_after_a_pause_is_told_by_its_latency_and_not_by_its_speed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A user who comes now and then finds it asleep; a client who asks again at once keeps it awake."""

    class Awake(Stand):
        def start(self, folder: Path, digest: str | None, port: int, patience: float) -> float:
            if self.address in started:
                started[self.address].shutdown()
            kind = type(folder.name, (Sleepy,), {"sleeps": folder.name == "sleepy"})
            started[self.address] = http.server.ThreadingHTTPServer(("127.0.0.1", port), kind)
            threading.Thread(target=started[self.address].serve_forever, daemon=True).start()
            return 0.1

        def look(self) -> dict[str, Any]:
            return {"peakMemoryBytes": 1, "reason": None}

    started: dict[str, http.server.ThreadingHTTPServer] = {}
    monkeypatch.setattr(replica, "sweep", lambda *_: Sweep(100.0, Slo(95, 9), 200.0, (), of_one_client=True))
    with loading(BODIES) as ask:
        replicas = Replicas((Awake("one"), Awake("other")), ask, SETTINGS, Goals())
        found = replicas.figures(Served(Path("awake"), None), [Served(Path("sleepy"), None)])
    for server in started.values():
        server.shutdown()
    awake, sleepy = found
    assert isinstance(awake, Replica) and isinstance(sleepy, Replica)
    assert sleepy.p50_ms >= NAP * 1e3 > awake.p50_ms, (awake, sleepy)
    assert sleepy.speedup > 0.3, "it would be 0.05 if the naps counted"
    for one in found:
        assert isinstance(one, Replica)
        assert one.parts["model"] == pytest.approx(0.01) and one.parts["http"] > 0
    assert sleepy.parts["http"] > 0.5 * NAP * 1e3, "of the same requests"


class Queue:
    """A replica of a fixed speed that answers one after the other, in place of the loader: its times are computed."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.asked: list[str] = []

    def __call__(self, do: str, **task: Any) -> dict[str, Any]:
        self.asked.append(do)
        if do == "closed":
            return {"rate": 1 / self.seconds, "answered": 100}
        if do == "settled":
            return {"asked": 1}
        random = np.random.default_rng(task["seed"])
        dues = np.cumsum(random.exponential(1 / task["rate"], task["count"]))
        done, latencies = 0.0, []
        for due in dues.tolist():
            done = max(done, due) + self.seconds
            latencies.append(round((done - due) * 1e9))
        return {"latencies": latencies, "missed": 0}


class Noisy(Queue):
    """Some answers come so many seconds later, whatever the rate."""

    def __init__(self, late: float, share: float) -> None:
        super().__init__(0.001)
        self.late, self.share = late, share

    def __call__(self, do: str, **task: Any) -> dict[str, Any]:
        found = super().__call__(do, **task)
        if do == "opened":
            held_up = np.random.default_rng(task["seed"]).random(task["count"]) < self.share
            found["latencies"] = [
                time + round(self.late * 1e9) * bool(late)
                for time, late in zip(found["latencies"], held_up, strict=True)
            ]
        return found


@pytest.mark.parametrize(
    ("late", "share", "milliseconds"),
    [
        (0.0, 0.0, 5),  # five times the median of an idle replica
        (0.012, 0.2, 20),  # twice, and twice that, where the machine holds so many up for so long
        (10.0, 0.2, 3),  # what one client gets, where nothing of the sort is ever kept
    ],
)
def test_the_slo_is_as_long_as_the_machine_lets_a_replica_keep(late: float, share: float, milliseconds: float) -> None:
    class Idle(Stand):
        def why(self, wait: float = 0.0) -> str | None:
            return None

    queue, stand = Noisy(late, share), Idle("http://nowhere")
    replicas = Replicas((stand, stand), queue, SETTINGS, Goals())  # type: ignore[arg-type]
    model = Seen(Served(Path("model"), None))
    model.at_once.add([[1_000_000] * 10] * 9 + [[3_000_000] * 10], 1.2e6, {})
    replicas._sweep(model, replicas._seats[0])
    assert model.sweep is not None
    assert (model.sweep.slo.percentile, model.sweep.slo.milliseconds) == (95, pytest.approx(milliseconds))
    if milliseconds == 3:
        assert model.sweep.rate == pytest.approx(1000)
    else:
        assert model.sweep.rate >= 0.25 * model.sweep.capacity


@pytest.mark.parametrize(("milliseconds", "count"), [((0.5, 0.5), 45), ((20, 2), 15), ((2,), 41), ((25, 25), 0)])
def test_what_comes_now_and_then_comes_so_seldom_that_nothing_waits(
    milliseconds: tuple[float, ...], count: int
) -> None:
    """Not at all where a request takes long."""
    asked: list[dict[str, Any]] = []

    def ask(do: str, **task: Any) -> dict[str, Any]:
        asked.append(task)
        return {"do": do}

    usual = [number / 1e3 for number in milliseconds]
    found = seldom(ask, range(len(usual)), usual, 7, 30)
    assert (found is not None) == bool(asked) == bool(count)
    for task in asked:
        shortest, longest = task["pause"]
        assert len(usual) * shortest >= 2 * max(usual), "between two requests to one replica"
        mean = len(usual) * (shortest + longest) / 2
        assert task["count"] == count and count * mean <= 1 and mean >= 0.02


def test_the_slo_is_of_requests_that_come_now_and_then() -> None:
    """A client who asks again at once finds the weights in the processor's cache: 1 ms here, where others get 3."""

    class Idle(Stand):
        def why(self, wait: float = 0.0) -> str | None:
            return None

    stand = Idle("http://nowhere")
    replicas = Replicas((stand, stand), Queue(0.003), SETTINGS, Goals())  # type: ignore[arg-type]
    model = Seen(Served(Path("model"), None))
    model.at_once.add([[1_000_000] * 10] * 10, 1e6, {})
    model.seldom.add([3_000_000] * 20, 3e6, {})
    replicas._sweep(model, replicas._seats[0])
    assert model.sweep is not None and model.sweep.slo == Slo(95, 15)


@pytest.mark.parametrize(("faster", "exact"), [(0.6, 0.4), (0.9, 0.12), (1.0, 0.12), (1.3, 0.12), (1.8, 0.2)])
def test_another_process_is_swept_from_the_rate_that_was_found(faster: float, exact: float) -> None:
    first = sweep(Queue(0.001), 1, Slo(95, 5), 1, 30)
    queue = Queue(0.001 / faster)
    rate = again(queue, 1, first, 30)
    assert rate == pytest.approx(sweep(Queue(0.001 / faster), 1, Slo(95, 5), 1 / faster, 30).rate, rel=exact)
    assert queue.asked.count("opened") <= 8 and "closed" not in queue.asked


def test_the_machine_may_have_disturbed_the_first_one() -> None:
    first = replace(sweep(Queue(0.001), 1, Slo(95, 5), 1, 30), rate=150.0)
    for _ in range(4):
        first = replace(first, others=(*first.others, again(Queue(0.001), 1, first, 30)))
    assert first.low == 150 and first.median == pytest.approx(694, rel=0.15), first.others


def test_a_process_that_keeps_no_rate_that_is_tried_has_none() -> None:
    first = sweep(Queue(0.001), 1, Slo(95, 5), 1, 30)
    assert again(Queue(0.02), 1, first, 30) == again(Queue(0.02), 1, replace(first, others=(0.0, 0.0)), 30) == 0
    assert first.low == first.median == first.high == first.rate, "of one process"
    several = replace(first, others=(0.0, 900.0, 500.0, 800.0))
    assert (several.low, several.median, several.high) == (0, first.rate, 900)


def test_the_rate_is_found_again_in_four_more_pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last of the fewest that there are, so that all latencies before tell the SLO."""
    pairs: list[tuple[str, int]] = []
    monkeypatch.setattr(Replicas, "_start", lambda *_: None)
    monkeypatch.setattr(Replicas, "_look", lambda *_: None)
    monkeypatch.setattr(Replicas, "_compare", lambda *_: None)

    def turns(_: Replicas, placed: Any, number: int) -> None:
        for model, _ in placed:
            model.at_once.add([[10**6] * 5] * 4, 1e6, {})
            model.starts.append(1.0)

    def found(name: str) -> Any:
        def ask(*given: Any) -> Any:
            pairs.append((name, len(model.at_once.times)))
            return Sweep(1000.0, Slo(95, 5), 1500.0, ()) if name == "sweep" else 900.0 + len(pairs)

        return ask

    model = Seen(Served(tmp_path, None))
    monkeypatch.setattr(Replicas, "_turns", turns)
    monkeypatch.setattr(replica, "sweep", found("sweep"))
    monkeypatch.setattr(replica, "again", found("again"))
    stands = (Stand("http://one"), Stand("http://other"))
    Replicas(stands, Queue(0.001), SETTINGS, Goals())._by_itself(model)  # type: ignore[arg-type]
    assert pairs == [("sweep", 4), ("again", 5), ("again", 6), ("again", 7), ("again", 8)]
    made = model.figures((1, 1, 1))
    assert (made.sweep.low, made.throughput, made.sweep.high) == (902, 904, 1000)


@pytest.mark.parametrize(("seconds", "slack"), [(0.0005, 5), (0.02, 5), (0.001, 12)])
def test_the_rate_that_keeps_an_slo(seconds: float, slack: float) -> None:
    queue = Queue(seconds)
    found = sweep(queue, 1, Slo(95, slack * seconds * 1e3), seconds * 1e3, 30)
    # So busy is a queue of equal requests at random times of which 95 % are done in time (Erlang, 1909).
    busy = {5: 0.694, 12: 0.874}[int(slack)]
    assert found.rate * seconds == pytest.approx(busy, rel=0.1)
    assert found.capacity == 1 / seconds
    assert [point.rate for point in found.points] == sorted(point.rate for point in found.points)
    again = sweep(Queue(seconds), 1, Slo(95, slack * seconds * 1e3), seconds * 1e3, 30)
    assert again == found
    opened_ones = [i for i, do in enumerate(queue.asked) if do != "settled"]
    assert all(queue.asked[i + 1] == "settled" for i in opened_ones), "each begins on an idle replica"


class Disturbed(Queue):
    """It stands still for 8 of its answers' times, again and again."""

    def __call__(self, do: str, **task: Any) -> dict[str, Any]:
        found = super().__call__(do, **task)
        if do == "opened":
            still = round(8 * self.seconds * 1e9)
            found["latencies"] = [took + still * (i % 10 == 0) for i, took in enumerate(found["latencies"])]
        return found


@pytest.mark.parametrize(("queue", "doubled"), [(Queue(0.001), 1), (Disturbed(0.001), 2)])
def test_a_machine_that_disturbs_is_told_by_the_latency_that_is_kept(queue: Queue, doubled: int) -> None:
    seats = (Stand("http://one"), Stand("http://other"))
    replicas = Replicas(seats, queue, SETTINGS, Goals())  # type: ignore[arg-type]
    model = Seen(Served(Path("m"), None), Asked([np.full((2, 5), 10**6)]))
    replicas._sweep(model, replicas._seats[0])
    assert model.sweep is not None and model.sweep.slo == Slo(95, 5.0 * doubled)
    assert model.sweep.rate > 0.25 * model.sweep.capacity
    goals = Goals.read({"maxLatency": {"milliseconds": "4"}})
    replicas = Replicas(seats, queue, SETTINGS, goals)  # type: ignore[arg-type]
    replicas._sweep(model, replicas._seats[0])
    assert model.sweep.slo == Slo(95, 4.0), "a goal is a goal"


class Deaf(Queue):
    """It answers one client, and no two requests in time."""

    def __call__(self, do: str, **task: Any) -> dict[str, Any]:
        found = super().__call__(do, **task)
        return {"latencies": [], "missed": task["count"]} if do == "opened" else found


def test_where_no_rate_is_kept_it_is_that_of_one_client() -> None:
    seats = (Stand("http://one"), Stand("http://other"))
    model = Seen(Served(Path("m"), None), Asked([np.full((2, 5), 10**6)]))
    replicas = Replicas(seats, Deaf(0.001), SETTINGS, Goals())  # type: ignore[arg-type]
    replicas._sweep(model, replicas._seats[0])
    assert model.sweep is not None
    assert (model.sweep.rate, model.sweep.slo) == (1000.0, Slo(95, 1.0))


def test_a_slow_replica_is_not_swept() -> None:
    """Each of its processes has the rate of a client who asks again at once."""
    queue = Queue(4)
    found = sweep(queue, 1, Slo(95, 20_000), 4000, 30)
    assert (found.rate, found.points, found.of_one_client, queue.asked) == (0.25, (), True, [])
    seats = (Stand("http://one"), Stand("http://other"))
    replicas = Replicas(seats, queue, SETTINGS, Goals())  # type: ignore[arg-type]
    model = Seen(Served(Path("m"), None), Asked([np.full((2, 5), 5 * 10**9)]), sweep=found)
    replicas._again(model, replicas._seats[0])
    assert model.sweep is not None and (model.sweep.others, queue.asked) == ((0.2,), [])


def test_what_is_refused_misses_the_slo() -> None:
    milliseconds = [round(1e6 * n) for n in range(1, 96)]
    assert percentile(milliseconds, 5, 95) == 95
    assert percentile(milliseconds, 6, 95) is None
    assert percentile([], 3, 50) is None


def test_a_port_where_nobody_listens() -> None:
    with loading(BODIES) as ask:
        with pytest.raises(Broken, match="it takes no connection"):
            ask("turns", ports=[free_port()], patience=5, warmup=1, turns=2, seconds=1, seed=0)
        found = ask("opened", port=free_port(), rate=1000, count=20, seed=0, within=0.1, patience=5)
        assert (found["latencies"], found["missed"]) == ([], 20)


MATRIX = Tensor(name="inputs", datatype="FP32", shape=(-1, 2), columns=("a", "b"))
COLUMNS = (
    Tensor(name="town", datatype="BYTES", shape=(-1,), nullable=True, kind="category"),
    Tensor(name="income", datatype="FP32", shape=(-1,), nullable=True, kind="number"),
    Tensor(name="member", datatype="BYTES", shape=(-1,), nullable=True, kind="boolean"),
    Tensor(name="since", datatype="FP64", shape=(-1,), nullable=True, kind="datetime"),
)


def test_rows_as_a_client_sends_them() -> None:
    def tensors(instance: Any, *inputs: Tensor) -> Any:
        (body,) = bodies_of([None, instance], inputs)
        return [
            tuple(tensor.get(key) for key in ("datatype", "shape", "data")) for tensor in json.loads(body)["inputs"]
        ]

    assert tensors({"b": 2.0, "a": 1.0}, MATRIX) == [("FP32", [1, 2], [1.0, 2.0])]
    assert tensors([1.0, 2.0], MATRIX) == [("FP32", [1, 2], [1.0, 2.0])]
    image = Tensor(name="x", datatype="FP32", shape=(-1, 2, 2))
    assert tensors([[1.0, 2.0], [3.0, 4.0]], image) == [("FP32", [1, 2, 2], [1.0, 2.0, 3.0, 4.0])]
    since = datetime(2026, 1, 1, tzinfo=UTC).isoformat()
    assert tensors({"town": "Köln", "income": None, "member": True, "since": since}, *COLUMNS) == [
        ("BYTES", [1], ["Köln"]),
        ("FP32", [1], [None]),
        ("BOOL", [1], [True]),
        ("BYTES", [1], [since]),
    ]
    photo = Tensor(name="photo", datatype="BYTES", shape=(-1,), kind="image")
    (body,) = bodies_of([{"photo": {"b64": "AAAA"}}], [photo])
    (tensor,) = json.loads(body)["inputs"]
    assert (tensor["data"], tensor["parameters"]) == (["AAAA"], {"content_type": "base64"})


def test_no_more_rows_than_are_asked() -> None:
    many = bodies_of(list(itertools.repeat([1.0, 2.0], 500)), [MATRIX])
    assert len(many) == 64
    large = Tensor(name="x", datatype="FP32", shape=(-1, 10**6))
    assert len(bodies_of([[0.5] * 10**6] * 9, [large])) < 9
