"""The stand: a server started, looked at and stopped over HTTP, and why one could not be."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import graphs
import pytest
from process import PATIENCE, SOURCES, until

from e2e.cluster.children import free_ports
from tradewind_server.cgroup import killed_for_memory
from tradewind_server.replica import Order, Replica


class Stand:
    """A stand as a process, and a client for it."""

    def __init__(self, group: Path | None = None) -> None:
        def enter() -> None:
            if group is not None:
                (group / "cgroup.procs").write_text(str(os.getpid()))

        self.process = subprocess.Popen(
            [sys.executable, "-m", "tradewind_server.stand", "--port=0", "--ends-with-input"],
            env={**os.environ, "PYTHONPATH": SOURCES},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=enter,  # noqa: PLW1509 -- no thread was started yet that holds a lock
        )
        assert self.process.stdout is not None
        found = re.search(r"127\.0\.0\.1:(\d+)", self.process.stdout.readline())
        assert found is not None
        self.port = int(found[1])

    def ask(self, method: str, order: Any = None, path: str = "/replica") -> tuple[int, dict[str, Any]]:
        """Status and document of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2 * PATIENCE)
        connection.request(method, path, None if order is None else json.dumps(order))
        answer = connection.getresponse()
        found: dict[str, Any] = json.loads(answer.read())
        connection.close()
        return answer.status, found

    def start(self, folder: Path, **more: Any) -> tuple[int, dict[str, Any]]:
        """Serve that model on a free port."""
        [self.http_port] = free_ports(1)
        order = {"modelDir": str(folder), "modelName": "m", "httpPort": self.http_port, "patience": PATIENCE} | more
        return self.ask("POST", order)

    def memory(self) -> int:
        """The most bytes that the stand itself ever had."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))

    def close(self) -> None:
        """As when whoever started it is gone."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(PATIENCE)
        self.process.stdout.close()


@contextmanager
def running(group: Path | None = None) -> Iterator[Stand]:
    stand = Stand(group)
    try:
        yield stand
    finally:
        stand.close()


@pytest.fixture(scope="module")
def stand() -> Iterator[Stand]:
    with running() as found:
        yield found


def gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def test_a_server_is_started_looked_at_and_stopped(stand: Stand, folder: Path) -> None:
    code, started = stand.start(folder)
    assert code == 200 and started["startSeconds"] > 0
    connection = http.client.HTTPConnection("127.0.0.1", stand.http_port)
    connection.request("GET", "/v2/models/m/ready")
    assert connection.getresponse().status == 200
    connection.close()
    _, seen = stand.ask("GET")
    assert seen["alive"] and seen["exit"] is None and seen["reason"] is None
    assert seen["peakMemoryBytes"] > 30 << 20 and seen["cpuSeconds"] > 0
    assert 0 < seen["limits"]["cpu"] <= len(os.sched_getaffinity(0)) and seen["limits"]["memoryBytes"] > 0
    assert stand.memory() < seen["peakMemoryBytes"] / 2, "what it takes, a replica would have"
    assert stand.ask("DELETE") == (200, {})
    assert gone(started["pid"])
    assert stand.ask("GET")[1]["alive"] is False


def test_a_server_takes_the_place_of_the_one_before(stand: Stand, folder: Path) -> None:
    first, second = (stand.start(folder)[1]["pid"] for _ in range(2))
    assert gone(first) and not gone(second)


def test_what_the_server_says_of_a_model_that_it_cannot_serve(stand: Stand, folder: Path, tmp_path: Path) -> None:
    digest = "sha256:" + "0" * 64
    code, found = stand.start(folder, digest=digest)
    assert code == 422 and f"but {digest} was accepted" in found["error"]
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/model.onnx").write_bytes(b"no model")
    code, found = stand.start(tmp_path / "broken")
    assert code == 422 and found["error"].startswith("model m can't be served: "), found
    assert stand.ask("GET")[1]["alive"] is False
    assert stand.start(folder)[0] == 200, "the next one is served"


def test_a_model_that_takes_for_ever_to_load(stand: Stand, tmp_path: Path) -> None:
    graphs.save(graphs.endless(), tmp_path / "endless/model.onnx")
    code, found = stand.start(tmp_path / "endless", patience=5)
    said = "the server was not Ready within 5 s: (the model is being loaded|it does not listen)"
    assert code == 422 and re.fullmatch(said, found["error"])


def test_a_server_that_is_killed(stand: Stand, folder: Path) -> None:
    pid = stand.start(folder)[1]["pid"]
    os.kill(pid, signal.SIGKILL)
    until(lambda: not stand.ask("GET")[1]["alive"], "it still lives")
    seen = stand.ask("GET")[1]
    assert (seen["exit"], seen["peakMemoryBytes"] >= 0) == (-signal.SIGKILL, True)
    assert seen["reason"].startswith("the server was killed from outside")


@pytest.mark.parametrize(
    ("order", "said"),
    [
        ("text", "the body must be an object with modelDir, modelName and httpPort"),
        ({"modelDir": "/m", "modelName": "m"}, "the body must be an object with modelDir, modelName and httpPort"),
        ({"modelDir": "/m", "modelName": "m", "httpPort": "80"}, "httpPort must be of type int, got '80'"),
        ({"modelDir": "/m", "modelName": "m", "httpPort": 80, "flags": []}, "'flags' is not known; known are "),
    ],
)
def test_orders_that_are_none(stand: Stand, order: Any, said: str) -> None:
    code, found = stand.ask("POST", order)
    assert code == 400 and found["error"].startswith(said)


def test_there_is_nothing_else(stand: Stand) -> None:
    assert stand.ask("GET", path="/other")[0] == 404


def test_the_server_ends_with_the_stand(folder: Path) -> None:
    with running() as stand:
        pid = stand.start(folder)[1]["pid"]
    assert gone(pid)


def test_how_many_were_killed_for_memory(tmp_path: Path) -> None:
    (tmp_path / "two/pod").mkdir(parents=True)
    (tmp_path / "two/pod/memory.events").write_text("low 0\nmax 9\noom 2\noom_kill 2\n")
    (tmp_path / "two.membership").write_text("0::/pod\n")
    assert killed_for_memory(tmp_path / "two", tmp_path / "two.membership") == 2
    (tmp_path / "one/memory/pod").mkdir(parents=True)
    (tmp_path / "one/memory/pod/memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 1\n")
    (tmp_path / "one.membership").write_text("4:memory:/pod\n")
    assert killed_for_memory(tmp_path / "one", tmp_path / "one.membership") == 1
    assert killed_for_memory(tmp_path, tmp_path / "nothing") == 0


@pytest.fixture
def small_group() -> Iterator[Path]:
    """A real group with less memory than a server needs."""
    v1, v2 = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
    group = (v1 if (v1 / "memory.limit_in_bytes").exists() else v2) / f"tradewind-stand-{os.getpid()}"
    try:
        group.mkdir()
    except OSError:
        pytest.skip("this user may not make control groups here")
    try:
        limit = group / ("memory.limit_in_bytes" if group.parent == v1 else "memory.max")
        if not limit.exists():
            pytest.skip("groups here have no memory controller")
        limit.write_text(str(40 << 20))
        yield group
    finally:
        group.rmdir()


def test_a_server_that_is_killed_for_memory(small_group: Path, folder: Path) -> None:
    with running(small_group) as stand:
        code, found = stand.start(folder)
    assert code == 422
    assert found["error"] == f"the server was killed: it took more than the {40 << 20} bytes of memory that it may"


def test_two_stands_share_a_container_and_nothing_else(tmp_path: Path) -> None:
    folder = graphs.save(graphs.classifier(), tmp_path / "model")
    process = subprocess.Popen(
        [sys.executable, "-m", "tradewind_server.stand", "--port=0", "--port=0", "--ends-with-input"],
        env={**os.environ, "PYTHONPATH": SOURCES},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None and process.stdout is not None
    ports = [int(process.stdout.readline().rpartition(":")[2]) for _ in range(2)]
    try:
        served = []
        for port, http_port in zip(ports, free_ports(2), strict=True):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2 * PATIENCE)
            order = {"modelDir": str(folder), "modelName": "m", "httpPort": http_port, "patience": PATIENCE}
            connection.request("POST", "/replica", json.dumps(order))
            answer = connection.getresponse()
            assert answer.status == 200
            served.append(json.loads(answer.read())["pid"])
        assert len(set(ports)) == len(set(served)) == 2
    finally:
        process.stdin.close()
        assert process.wait(PATIENCE) == 0
        process.stdout.close()
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in served), "the servers outlived their stands")


def test_a_server_that_takes_more_than_its_part_of_the_memory_is_said_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two servers in one container: the kernel would let one of them have what is the other's."""
    monkeypatch.setenv("PYTHONPATH", SOURCES)
    folder = graphs.save(graphs.classifier(), tmp_path / "model")
    [port] = free_ports(1)
    replica = Replica(Order(str(folder), "m", port, patience=PATIENCE))
    try:
        replica.wait_until_ready()
        assert replica.look()["alive"]
        monkeypatch.setenv("TRADEWIND_MEMORY_BYTES", str(1 << 20))
        found = replica.look()
        assert not found["alive"]
        assert found["reason"] == "the server was killed: it took more than the 1048576 bytes of memory that it may"
        assert found["peakMemoryBytes"] > 1 << 20
    finally:
        replica.stop()
