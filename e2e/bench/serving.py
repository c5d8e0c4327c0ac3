"""Our model server beside a raw `session.run` loop and KServe's stock server: same models, same client, taking turns.

Server and client each have a CPU of their own, so a rate is
what one CPU of a server gives. The stock server is `kserve.ModelServer` with a `predict` as KServe documents it.
"""

from __future__ import annotations

import argparse
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
from e2e.bench._contestants import HOST, make_models, request

ROOT = Path(__file__).resolve().parent.parent.parent
SERVER_CPU, CLIENT_CPU = 0, -1  # of those that this process may use


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


def ask(cpu: int, *arguments: str) -> dict[str, Any]:
    """Runs a contestant as a process on its CPU; its answer."""
    command = [sys.executable, "-m", "e2e.bench._contestants", *arguments]
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
        "stock": [sys.executable, "-m", "e2e.bench._contestants", "stock", str(path), str(port)],
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
                    result = ask(SERVER_CPU, "raw", str(path), json.dumps(shape), str(seconds))
                    series[system].add(result, result["cpu"])
                    continue
                kind, encoding = system.split("-")
                before = cpu_seconds(processes[kind].pid)
                asked = ["client", str(ports[kind]), str(folder / encoding), str(clients), str(seconds)]
                result = ask(CLIENT_CPU, *asked)
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
        """The row with what was measured. Ratios are written so that more is better."""
        rounds = zip(*(getattr(runs[self.run][system], self.number) for system in self.systems), strict=True)
        value, low, high = interval(list(rounds), self.of)
        met = value >= self.must if self.of is ratio else value <= self.must
        return {"name": self.name, "unit": self.unit, "must": self.must, "aim": self.aim} | {
            "value": value,
            "low": low,
            "high": high,
            "met": met,
        }


# Run, model, clients at once, how much longer than --seconds, systems.
RUNS = (
    ("small x1", "small", 1, 1, ("raw", "stock-json", "ours-json")),
    ("small x16", "small", 16, 1, ("stock-json", "ours-json")),
    ("mean x2", "mean", 2, 1, ("stock-json", "ours-json", "ours-binary")),
    ("resnet x2", "resnet", 2, 3, ("raw", "stock-json", "ours-json", "ours-binary")),
)
ONE = ("raw", "stock-json", "ours-json")
TARGETS = (
    Target("added p50, 1 client", "ms", 0.8, 0.4, "small x1", "p50", ONE, lambda raw, _, ours: ours - raw),
    Target(
        "added p50, 1 client", "of stock's", 0.5, 0.25, "small x1", "p50", ONE, lambda raw, a, b: (b - raw) / (a - raw)
    ),
    Target("requests/s, 16 clients", "of stock", 2.5, 6, "small x16", "rate", ("stock-json", "ours-json"), ratio),
    Target("binary, 1x3x224x224", "of our JSON", 8, 8, "mean x2", "rate", ("ours-json", "ours-binary"), ratio),
    Target("binary, 1x3x224x224", "of stock's JSON", 8, 8, "mean x2", "rate", ("stock-json", "ours-binary"), ratio),
    Target("binary, 1x3x224x224", "of raw", 0.9, 0.95, "resnet x2", "rate", ("raw", "ours-binary"), ratio),
    # The same as CPU time, which others on the machine change less.
    Target("... by CPU time", "of raw", 0.9, 0.95, "resnet x2", "cpu", ("ours-binary", "raw"), ratio),
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
            run: measure(Path(folder) / model, shapes[model], systems, clients, args.rounds, longer * args.seconds)
            for run, model, clients, longer, systems in RUNS
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
    sources = os.pathsep.join(
        str(ROOT / folder) for folder in ("operator/src", "images/processors", "images/server", ".")
    )
    command = [str(venv.python("server")), "-m", "e2e.bench.serving", *sys.argv[1:]]
    return subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": sources}).returncode


if __name__ == "__main__":
    sys.exit(main() if importlib.util.find_spec("onnxruntime") else run_in_servers_environment())
