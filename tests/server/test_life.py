"""How a server starts, holds up under load, tells about itself, and leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import graphs
import grpc
import httpx
import pytest
from calls import METHOD, request
from process import PATIENCE, SOURCES, Process, running, until

PATH = "/v2/models/m/infer"
# Products of matrices that take about a tenth of a second.
TENTH = 5_000
ENDLESS = 10_000 * TENTH
# How long a request keeps the model busy while something else is looked at: longer where that was not enough.
LONGER = (5 * TENTH, 20 * TENTH, 80 * TENTH, 320 * TENTH)


def work(trips: int) -> dict[str, Any]:
    """A request that keeps the model busy."""
    return {"inputs": [{"name": "x", "datatype": "INT64", "shape": [1], "data": [trips]}]}


def post(server: Process, trips: int) -> httpx.Response:
    """Keep the model busy, over a connection of its own."""
    return httpx.post(server.url + PATH, json=work(trips), timeout=10 * PATIENCE)


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("slow")
    graphs.save(graphs.slow(), folder / "model.onnx")
    return folder


@pytest.fixture
def busy(slow: Path, tmp_path: Path) -> Iterator[Process]:
    """A server of the slow model with one thread, and a queue of four."""
    with running(
        slow, tmp_path / "log", "--max_queue=4", "--max_wait_seconds=86400", env={"TRADEWIND_THREADS": "1"}
    ) as process:
        yield process


def test_one_line_at_start_says_what_is_served(classifier: Process) -> None:
    (line,) = [json.loads(line) for line in classifier.log.splitlines()]
    assert line["level"] == "info"
    assert line["model"] == "classifier"
    assert line["digest"].startswith("sha256:")
    assert line["threads"] >= 1
    assert line["providers"] == ["CPUExecutionProvider"]
    assert line["inputs"] == ["inputs FP32 [-1, 2, 2]"]


def test_a_start_imports_nothing_that_takes_long_and_is_not_used() -> None:
    """A replica is Ready only after its imports; those of KServe's SDK alone are three times all others."""
    program = "import sys, tradewind_server.__main__, tradewind_server.server; print(*sys.modules)"
    env = {**os.environ, "PYTHONPATH": SOURCES}
    found = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True)
    heavy = {"kserve", "kubernetes", "fastapi", "grpc", "google.protobuf", "pandas", "httpx", "requests", "onnx"}
    assert not heavy & set(found.stdout.split())


def test_grpc_takes_its_messages_from_kserve_without_the_rest_of_it() -> None:
    program = "import sys, tradewind_server.rpc; print(*sys.modules)"
    env = {**os.environ, "PYTHONPATH": SOURCES}
    found = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True)
    assert not {"kserve", "kubernetes", "fastapi", "pandas", "httpx", "requests"} & set(found.stdout.split())


def test_it_is_alive_before_it_is_ready(tmp_path: Path) -> None:
    """Its manifest comes through a pipe: the model is being loaded until something is written there."""
    graphs.save(graphs.classifier(), tmp_path / "m" / "model.onnx")
    graphs.manifest(tmp_path / "m")
    manifest = tmp_path / "m" / "model.json"
    content = manifest.read_text()
    manifest.unlink()
    os.mkfifo(manifest)
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
        manifest.write_text(content)
        process.ready()
    finally:
        process.close()


def test_sigterm_does_not_wait_for_the_model_to_be_loaded(tmp_path: Path) -> None:
    graphs.save(graphs.slow(always=ENDLESS), tmp_path / "m" / "model.onnx")
    process = Process(tmp_path / "m", tmp_path / "log")
    try:
        process.listening()
        assert process.terminate() == 0
    finally:
        process.close()


def test_it_is_alive_while_inference_takes_all_cpus(slow: Path, tmp_path: Path) -> None:
    with running(slow, tmp_path / "log") as process, ThreadPoolExecutor(8) as pool:
        try:
            answers = [pool.submit(post, process, 8 * TENTH) for _ in range(4)]
            while not all(answer.done() for answer in answers):
                assert process.http.get("/v2/health/live").status_code == 200
            assert [answer.result().status_code for answer in answers] == [200] * 4
            # A server that answered only between two inferences would not answer any more.
            endless = [pool.submit(post, process, ENDLESS) for _ in range(4)]
            until(lambda: process.metrics()["tradewind_requests_waiting"] == 4, "the requests do not arrive")
            for _ in range(20):
                assert process.http.get("/v2/health/live").status_code == 200
            assert not any(answer.done() for answer in endless)
            process.popen.kill()
            assert all(isinstance(answer.exception(), httpx.TransportError) for answer in endless)
        finally:
            process.popen.kill()  # what is still asked of it ends


def test_more_than_can_wait_is_refused_at_once(busy: Process) -> None:
    assert json.loads(busy.log)["threads"] == 1  # as the environment says
    seen = 0
    for trips in LONGER:
        with ThreadPoolExecutor(12) as pool:
            taken = [pool.submit(post, busy, trips) for _ in range(5)]
            until(lambda taken=taken: _waiting(busy, taken), "the requests do not arrive")
            more = [pool.submit(post, busy, 1) for _ in range(7)]
            while not (in_time := all(answer.done() for answer in more)) and not any(one.done() for one in taken):
                assert busy.metrics()["tradewind_requests_waiting"] <= 5
            assert [answer.result().status_code for answer in taken] == [200] * 5
        refused = [answer.result() for answer in more if answer.result().status_code == 503]
        seen += len(refused)
        if in_time:
            break
    assert in_time, "a request of 32 s of work ended before seven others were refused"
    assert len(refused) == 7
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
    assert all("requests wait already" in answer.json()["error"] for answer in refused)
    assert "spec.limits.maxQueue" in refused[0].json()["error"]
    samples = busy.metrics()
    assert samples['tradewind_request_total{code="503",model="m",protocol="v2"}'] == seen
    assert samples["tradewind_requests_waiting"] == 0


def _waiting(server: Process, sent: list[Future[httpx.Response]]) -> bool:
    """Whether all of these wait or run, or it is too late to see that."""
    return any(one.done() for one in sent) or server.metrics()["tradewind_requests_waiting"] == len(sent)


def _not_ready(server: Process) -> httpx.Response | None:
    answer = httpx.get(server.url + "/v2/health/ready", timeout=PATIENCE)
    return None if answer.status_code == 200 else answer


def test_sigterm_ends_what_runs_and_answers_what_comes_meanwhile(slow: Path, tmp_path: Path) -> None:
    flags = ("--drain_seconds=600", "--grace_seconds=600")
    for trips in LONGER:
        with running(slow, tmp_path / "log", *flags, env={"TRADEWIND_THREADS": "1"}) as server:
            with ThreadPoolExecutor(2) as pool:
                first = pool.submit(post, server, trips)
                until(lambda first=first: _waiting(server, [first]), "the request does not arrive")
                server.popen.terminate()
                ready = until(lambda: _not_ready(server), "it is ready though it is told to end")
                assert ready.json() == {"ready": False, "reason": "the server is shutting down"}
                late = pool.submit(post, server, 1)
                sent = [first, late]
                until(lambda sent=sent: _waiting(server, sent), "what comes meanwhile is not taken")
                in_time = not first.done()
                server.popen.send_signal(signal.SIGTERM)  # a second one ends the wait for further requests
                assert first.result().status_code == 200
                assert (late.result().status_code, late.result().headers["connection"]) == (200, "close")
            assert server.popen.wait(PATIENCE) == 0
        if in_time:
            return
    raise AssertionError("a request of 32 s of work ended before the server was told to end")


def test_a_server_that_was_told_to_end_does_so_by_itself(busy: Process) -> None:
    assert busy.terminate() == 0


def over_rest() -> Callable[[Process], int]:
    """A client that keeps its connections; what it is answered."""
    http = httpx.Client(timeout=PATIENCE)
    body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]}
    return lambda server: http.post(server.url + PATH, json=body).status_code


def over_grpc() -> Callable[[Process], int]:
    """The same of gRPC."""
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 2], "contents": {"fp32_contents": [1, 2]}}
    content, channels = request(tensor).SerializeToString(), {}

    def ask(server: Process) -> int:
        if server.rpc_port not in channels:
            channels[server.rpc_port] = grpc.insecure_channel(f"127.0.0.1:{server.rpc_port}")
        channels[server.rpc_port].unary_unary(METHOD + "ModelInfer")(content, timeout=PATIENCE)
        return 200

    return ask


@pytest.mark.parametrize("asking", [over_rest, over_grpc])
def test_a_replica_leaves_under_load_without_a_failed_request(
    tmp_path: Path, asking: Callable[[], Callable[[Process], int]]
) -> None:
    """Clients that look at readiness, as a Service does, see no error when one of two replicas goes."""
    graphs.save(graphs.identity(graphs.FLOAT, ["rows", 2]), tmp_path / "m" / "model.onnx")
    flags = ("--drain_seconds=600",)  # until the Service has noticed, however long that takes here
    leaving, staying = (Process(tmp_path / "m", tmp_path / f"log{number}", *flags) for number in range(2))
    stop = threading.Event()
    chosen = [leaving, staying]
    codes: list[list[int]] = [[] for _ in range(4)]  # of each client

    def ask(mine: list[int]) -> None:
        answered = asking()
        while not stop.is_set():
            mine.extend(answered(server) for server in tuple(chosen))

    with ThreadPoolExecutor(len(codes)) as pool:
        clients: list[Future[None]] = []

        def go_on(rounds: int) -> None:
            """Wait until each client has asked so many times more, or one of them failed."""
            before = [len(mine) for mine in codes]

            def more() -> bool:
                asked = all(len(mine) >= then + 2 * rounds for mine, then in zip(codes, before, strict=True))
                return asked or any(client.done() for client in clients)

            until(more, "the clients do not go on")

        try:
            leaving.ready()
            staying.ready()
            clients += [pool.submit(ask, mine) for mine in codes]
            go_on(10)
            leaving.popen.terminate()
            until(lambda: _not_ready(leaving), "it is ready though it is told to end")
            go_on(10)  # it answers those who have not noticed
            chosen.remove(leaving)
            go_on(2)  # rounds that began before that are over
            leaving.popen.send_signal(signal.SIGTERM)
            assert leaving.popen.wait(PATIENCE) == 0
            go_on(10)
            stop.set()
            for client in clients:
                client.result()
        finally:
            stop.set()
            leaving.close()
            staying.close()
    assert {code for mine in codes for code in mine} == {200}


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
        (key,) = [
            key
            for key in after
            if key.startswith(name) and "classifier" in key and not {"v2", "grpc"} & set(key.split(chr(34)))
        ]
        assert after[key] - before.get(key, 0) == 1
    assert not [key for key in after if "other" in key]
    assert [key for key in after if key.startswith("tradewind_request_total") and 'model="unknown"' in key]
    assert [key for key in after if "tradewind_request_seconds_bucket" in key and 'le="10.0"' in key]
    (info,) = [key for key in after if key.startswith("tradewind_model_info")]
    assert 'digest="sha256:' in info


def test_limits_come_by_the_environment(folder: Path, tmp_path: Path) -> None:
    env = {"TRADEWIND_MAX_ROWS": "2", "TRADEWIND_MAX_BODY_BYTES": "2000", "TRADEWIND_MAX_QUEUE": "3"}
    with running(folder, tmp_path / "log", "--max_rows=100", env=env) as process:
        row = [[0, 9], [0, 0]]
        assert process.predict(instances=[row] * 2).status_code == 200
        error = process.predict(instances=[row] * 3).json()["error"]
        assert "3 rows, the limit is 2" in error and "raise spec.limits.maxRows of the ModelDeployment" in error
        assert process.predict(instances=[row] * 200).status_code == 413


@pytest.mark.parametrize(
    ("flags", "env", "sentence"),
    [
        (["--max_rows=0"], {}, "--max_rows: must be at least 1"),
        (["--http_port=x"], {}, "--http_port"),
        (
            ["--grpc_port=65536"],
            {},
            "--grpc_port: must be a port from 1 to 65535, or 0 for any that is free, got 65536",
        ),
        ([], {"TRADEWIND_MAX_ROWS": "0"}, "TRADEWIND_MAX_ROWS must be a whole number from 1, got '0'"),
        ([], {"TRADEWIND_GRACE_SECONDS": "1.5"}, "TRADEWIND_GRACE_SECONDS must be a whole number from 1, got '1.5'"),
        ([], {"TRADEWIND_MAX_WAIT_SECONDS": "0"}, "TRADEWIND_MAX_WAIT_SECONDS must be a number of seconds above 0"),
        ([], {"TRADEWIND_THREADS": "many"}, "TRADEWIND_THREADS must be a number from 1 to 1024, got 'many'"),
    ],
)
def test_wrong_settings_are_named(
    folder: Path, tmp_path: Path, flags: list[str], env: dict[str, str], sentence: str
) -> None:
    process = Process(folder, tmp_path / "log", *flags, env=env)
    try:
        assert process.popen.wait(PATIENCE) != 0
    finally:
        process.close()
    assert sentence in process.log
    assert "Traceback" not in process.log
