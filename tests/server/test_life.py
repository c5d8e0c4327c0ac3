"""How a server starts, holds up under load, tells about itself, and leaves."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import graphs
import httpx
import pytest
from process import Process, running

PATH = "/v2/models/m/infer"
# Products of matrices that take about a tenth of a second.
TENTH = 5_000


def work(trips: int) -> dict[str, Any]:
    """A request that keeps the model busy."""
    return {"inputs": [{"name": "x", "datatype": "INT64", "shape": [1], "data": [trips]}]}


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("slow")
    graphs.save(graphs.slow(), folder / "model.onnx")
    return folder


@pytest.fixture
def busy(slow: Path, tmp_path: Path) -> Iterator[Process]:
    """A server of the slow model with one thread, and a queue of four."""
    with running(slow, tmp_path / "log", "--max_queue=4", env={"TRADEWIND_THREADS": "1"}) as process:
        yield process


def test_one_line_at_start_says_what_is_served(classifier: Process) -> None:
    (line,) = [json.loads(line) for line in classifier.log.splitlines()]
    assert line["level"] == "info"
    assert line["model"] == "classifier"
    assert line["digest"].startswith("sha256:")
    assert line["threads"] >= 1
    assert line["providers"] == ["CPUExecutionProvider"]
    assert line["inputs"] == ["inputs FP32 [-1, 2, 2]"]


def test_it_is_alive_before_it_is_ready(tmp_path: Path) -> None:
    """The model takes its time at the warm-up."""
    graphs.save(graphs.slow(always=12 * TENTH), tmp_path / "m" / "model.onnx")
    process = Process(tmp_path / "m", tmp_path / "log")
    try:
        process.listening()
        for path in ("/v2/health/ready", "/v2/models/m/ready", "/v1/models/m"):
            reply = process.http.get(path)
            assert (reply.status_code, reply.json()["ready"]) == (503, False)
            assert reply.json()["reason"] == "the model is being loaded"
        refused = process.infer()
        assert refused.status_code == 503
        assert "is not ready: the model is being loaded" in refused.json()["error"]
        assert refused.headers["retry-after"] == "1"
        process.ready()
    finally:
        process.close()


def test_sigterm_does_not_wait_for_the_model_to_be_loaded(tmp_path: Path) -> None:
    graphs.save(graphs.slow(always=10_000 * TENTH), tmp_path / "m" / "model.onnx")
    process = Process(tmp_path / "m", tmp_path / "log")
    try:
        process.listening()
        assert process.terminate() == 0
    finally:
        process.close()


def test_it_is_alive_while_inference_takes_all_cpus(slow: Path, tmp_path: Path) -> None:
    took: list[float] = []
    with running(slow, tmp_path / "log") as process:
        with ThreadPoolExecutor(4) as pool:
            answers = [pool.submit(httpx.post, process.url + PATH, json=work(8 * TENTH), timeout=60) for _ in range(4)]
            while not all(answer.done() for answer in answers):
                started = time.perf_counter()
                assert process.http.get("/v2/health/live").status_code == 200
                took.append(time.perf_counter() - started)
                time.sleep(0.01)
        assert [answer.result().status_code for answer in answers] == [200] * 4
    assert len(took) > 20
    assert sorted(took)[len(took) // 2] < 0.05


def test_more_than_can_wait_is_refused_at_once(busy: Process) -> None:
    assert json.loads(busy.log)["threads"] == 1  # as the environment says
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: httpx.post(busy.url + PATH, json=work(5 * TENTH), timeout=60), range(12)))
    codes = sorted(answer.status_code for answer in answers)
    assert codes == [200] * 5 + [503] * 7
    refused = [answer for answer in answers if answer.status_code == 503]
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
    assert all("requests wait already" in answer.json()["error"] for answer in refused)
    samples = busy.metrics()
    assert samples['tradewind_request_total{code="503",model="m",protocol="v2"}'] == 7
    assert samples["tradewind_requests_waiting"] == 0


def test_sigterm_ends_what_runs_and_answers_what_comes_meanwhile(busy: Process) -> None:
    with ThreadPoolExecutor(2) as pool:
        running_one = pool.submit(httpx.post, busy.url + PATH, json=work(15 * TENTH), timeout=60)
        while busy.metrics()["tradewind_requests_waiting"] < 1:
            time.sleep(0.01)
        busy.popen.terminate()
        until = time.monotonic() + 5
        while (ready := httpx.get(busy.url + "/v2/health/ready")).status_code == 200 and time.monotonic() < until:
            time.sleep(0.01)
        assert ready.json() == {"ready": False, "reason": "the server is shutting down"}
        late = httpx.post(busy.url + PATH, json=work(1), timeout=60)
        assert (late.status_code, late.headers["connection"]) == (200, "close")
        assert running_one.result().status_code == 200
    assert busy.popen.wait(30) == 0


def test_a_replica_leaves_under_load_without_a_failed_request(servers: dict[str, Process], tmp_path: Path) -> None:
    """Clients that look at readiness, as a Service does, see no error when one of two replicas goes."""
    graphs.save(graphs.identity(graphs.FLOAT, ["rows", 2]), tmp_path / "m" / "model.onnx")
    body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]}
    replicas = [Process(tmp_path / "m", tmp_path / f"log{number}") for number in range(2)]
    stop = threading.Event()
    codes: list[int] = []
    chosen = [replica.url for replica in replicas]

    def ask() -> None:
        with httpx.Client(timeout=30) as http:
            while not stop.is_set():
                codes.extend(http.post(url + PATH, json=body).status_code for url in tuple(chosen))

    try:
        for replica in replicas:
            replica.ready()
        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        replicas[0].popen.terminate()
        time.sleep(0.2)  # what a Service takes to notice
        chosen.remove(replicas[0].url)
        assert replicas[0].popen.wait(30) == 0
        stop.set()
        for thread in threads:
            thread.join()
    finally:
        stop.set()
        for replica in replicas:
            replica.close()
    assert len(codes) > 100
    assert set(codes) == {200}


def test_metrics_have_few_labels(classifier: Process) -> None:
    for number in range(5):
        classifier.http.post(f"/v2/models/other{number}/infer", content=b"{}")
        classifier.http.post(f"/v9/other{number}:predict", content=b"{}")
    before = classifier.metrics()
    assert classifier.predict(instances=[[[0, 9], [0, 0]]]).status_code == 200
    after = classifier.metrics()
    requests = 'tradewind_request_total{code="200",model="classifier",protocol="v1"}'
    assert after[requests] - before.get(requests, 0) == 1
    for name in ("tradewind_request_seconds_count", "tradewind_inference_seconds_count"):
        (key,) = [key for key in after if key.startswith(name) and "classifier" in key and "v2" not in key]
        assert after[key] - before.get(key, 0) == 1
    assert not [key for key in after if "other" in key]
    assert [key for key in after if key.startswith("tradewind_request_total") and 'model="unknown"' in key]
    assert [key for key in after if "tradewind_request_seconds_bucket" in key and 'le="10.0"' in key]
    (info,) = [key for key in after if key.startswith("tradewind_model_info")]
    assert 'digest="sha256:' in info


@pytest.mark.parametrize(
    ("flags", "env", "sentence"),
    [
        (["--max_rows=0"], {}, "--max_rows: must be at least 1"),
        (["--http_port=x"], {}, "--http_port"),
        ([], {"TRADEWIND_THREADS": "many"}, "TRADEWIND_THREADS must be a number from 1 to 1024, got 'many'"),
    ],
)
def test_wrong_settings_are_named(
    folder: Path, tmp_path: Path, flags: list[str], env: dict[str, str], sentence: str
) -> None:
    process = Process(folder, tmp_path / "log", *flags, env=env)
    try:
        assert process.popen.wait(30) != 0
    finally:
        process.close()
    assert sentence in process.log
    assert "Traceback" not in process.log
