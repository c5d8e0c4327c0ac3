"""Runs of the benchmark of serving: servers that are started, asked in turn, and ended."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from e2e.bench._clients import HOST
from e2e.bench._contestants import request, useless
from e2e.bench._environments import ROOT
from e2e.bench._models import make_slow

SERVER_CPU, CLIENT_CPU = 0, -1  # of those that this process may use
PORTS = {"stock": 18431, "ours": 18432, "alone": 18433}


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


@contextmanager
def on_cpu(which: int | None) -> Iterator[None]:
    """Processes that are started meanwhile stay on that CPU; on any where it is None."""
    cpus = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus if which is None else {sorted(cpus)[which]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cpus)


def cpu_seconds(pid: int) -> float:
    """User and system time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def ask(cpu: int | None, *arguments: str) -> dict[str, Any]:
    """Runs a contestant as a process on its CPU; its answer."""
    command = [sys.executable, "-m", "e2e.bench._contestants", *arguments]
    with on_cpu(cpu):
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    answer: dict[str, Any] = json.loads(done.stdout)
    if answer.get("errors"):
        raise SystemExit(f"the server refused the benchmark's request: {answer['errors'][0]}")
    return answer


def start_server(
    kind: str, path: Path, port: int, *flags: str, cpu: int | None = SERVER_CPU
) -> subprocess.Popen[bytes]:
    """A server process on its CPU, once it is ready: stock, ours, or ours that computes each request alone."""
    ours = [
        *(sys.executable, "-m", "tradewind_server"),
        *(f"--model_name={path.parent.name}", f"--model_dir={path.parent}", f"--http_port={port}", *flags),
    ]
    command = {
        "stock": [sys.executable, "-m", "e2e.bench._contestants", "stock", str(path), str(port)],
        "ours": ours,
        "alone": [*ours, "--max_batch=1"],
    }[kind]
    log = path.parent / f"{kind}.log"
    with log.open("wb") as output, on_cpu(cpu):
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output)
    for _ in range(90_000):
        try:
            with urllib.request.urlopen(
                f"http://{HOST}:{port}/v2/models/{path.parent.name}/ready", timeout=1
            ) as answer:
                if answer.status == 200:
                    return process
        except (urllib.error.URLError, OSError):
            time.sleep(0.002)
        if process.poll() is not None:
            break
    raise SystemExit(f"the {kind} server did not become ready: {log.read_text()[-2000:]}")


@contextmanager
def served(kind: str, path: Path, *flags: str) -> Iterator[subprocess.Popen[bytes]]:
    """A server, ended afterwards."""
    process = start_server(kind, path, PORTS[kind], *flags)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def measure(
    folder: Path, shape: tuple[int, ...], systems: tuple[str, ...], clients: int, rounds: int, seconds: float
) -> dict[str, Series]:
    """Rounds of every system in turn, each with new processes: where the memory of one lies makes it some hundredths
    faster or slower. A system is raw, or stock, ours or alone with -json or -binary."""
    path = folder / "model.onnx"
    series = {system: Series() for system in systems}
    kinds = sorted({system.split("-")[0] for system in systems} - {"raw"})
    patient = {"stock": ()}  # nobody is refused however busy the machine is
    for encoding in ("json", "binary"):
        (folder / encoding).write_bytes(request(folder.name, shape, encoding == "binary"))
    for turn in range(rounds):
        with ExitStack() as stack:
            processes = {
                kind: stack.enter_context(served(kind, path, *patient.get(kind, ("--max_wait_seconds=3600",))))
                for kind in kinds
            }
            for system in systems if turn % 2 == 0 else reversed(systems):
                if system == "raw":
                    result = ask(SERVER_CPU, "raw", str(path), json.dumps(shape), str(seconds))
                    series[system].add(result, result["cpu"])
                    continue
                kind, encoding = system.split("-")
                before = cpu_seconds(processes[kind].pid)
                asked = ["client", str(PORTS[kind]), str(folder / encoding), str(clients), str(seconds)]
                result = ask(CLIENT_CPU, *asked)
                # The client's warm-up is a tenth more than what it counts.
                series[system].add(result, (cpu_seconds(processes[kind].pid) - before) / 1.1)
        said(f"{folder.name} x{clients}", turn, rounds)
    return series


def said(run: str, turn: int, rounds: int) -> None:
    """Says how far it is."""
    print(f"  {run}: round {turn + 1} of {rounds}", file=sys.stderr, flush=True)


def overload(folder: Path, shape: tuple[int, ...], rounds: int, seconds: float) -> dict[str, Series]:
    """Requests at random times, in three systems: near the capacity (what clients get that wait for their answers), at
    twice that, and what was refused then."""
    series = {system: Series() for system in ("peak", "twice", "refused")}
    file, port = folder / "binary", str(PORTS["ours"])
    file.write_bytes(request(folder.name, shape, binary=True))
    capacity = 0.0  # the most so far: others on the machine only ever make it less
    with served("ours", folder / "model.onnx"):
        for turn in range(rounds):
            closed = ask(CLIENT_CPU, "client", port, str(file), "16", str(seconds))
            capacity = max(capacity, len(closed["latencies"]) / closed["seconds"])
            near = ask(CLIENT_CPU, "offered", port, str(file), str(0.95 * capacity), str(3 * seconds))
            twice = ask(CLIENT_CPU, "offered", port, str(file), str(2 * capacity), str(3 * seconds))
            series["peak"].add(near, 0.0)
            series["peak"].rate[-1] = capacity
            series["twice"].add(twice, 0.0)
            if not twice["refused"]:
                raise SystemExit("twice the capacity was less than the server can do: the machine was too busy before")
            series["refused"].add({"latencies": twice["refused"], "seconds": twice["seconds"]}, 0.0)
            said("overload", turn, rounds)
    return series


def liveness(folder: Path, rounds: int, seconds: float) -> dict[str, Series]:
    """Probes while inferences of 3 s take the server's CPU, and bodies of 20 MB of JSON come one after the other."""
    make_slow(folder, 3.0)
    slow = folder / "slow"
    (slow / "request").write_bytes(request("slow", (1, 8), binary=False))
    (slow / "useless").write_bytes(useless("slow", 20_000_000))
    series = {"probe": Series()}
    flags = ("--max_body_bytes=25000000", "--max_wait_seconds=3600")
    files = [str(slow / name) for name in ("request", "request", "request", "useless")]
    with served("ours", slow / "model.onnx", *flags) as server:
        with on_cpu(CLIENT_CPU):
            load = subprocess.Popen(
                [sys.executable, "-m", "e2e.bench._contestants", "load", str(PORTS["ours"]), *files], cwd=ROOT
            )
        try:
            time.sleep(seconds)
            for turn in range(rounds):
                before = cpu_seconds(server.pid)
                result = ask(CLIENT_CPU, "probes", str(PORTS["ours"]), str(2 * seconds))
                series["probe"].add(result, cpu_seconds(server.pid) - before)
                said("liveness", turn, rounds)
        finally:
            load.kill()
            load.wait()
    return series


def start(folder: Path, rounds: int) -> dict[str, Series]:
    """From the start of the process until it is ready, once its files have been read."""
    series = {"ready": Series()}
    for turn in range(rounds + 1):
        before = time.perf_counter()
        with served("ours", folder / "model.onnx") as process:
            took = time.perf_counter() - before
            if turn:
                series["ready"].add({"latencies": [took], "seconds": took}, cpu_seconds(process.pid))
        said("start", turn, rounds + 1)
    return series
