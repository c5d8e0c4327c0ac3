"""Replicas on a GPU beside replicas on the CPUs of the same machine: `python -m e2e.bench._gpu_replicas [--json FILE]`.

In an environment with the workload's packages; TRADEWIND_SERVER_PYTHON is a Python with those of the GPU server. Models
train as `tradewind run` trains them; a CompressionJob then measures each as a replica, on the GPU and on the CPUs, and
its answers must be as judged. Also, with an own client: how long a request takes that is the first of its
number of rows; and what a server says that is asked for a GPU and has none, or too little of its memory.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import http.client
import io
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from e2e.bench.training.gpu import Case, Heard, cases, trained, write_data

SIZES = 40  # rows of a request, each number for the first time
WITHIN = 5.0  # times the median, which no first one may take


def measured(case: Case, model: str, output: str, *, gpu: bool) -> list[dict[str, Any]]:
    """The rows of a CompressionJob on the stored model."""
    from tradewind.api.report import JobDocument
    from tradewind_workload.compress import job
    from tradewind_workload.train.place import Alone

    uri = f"pvc://claim/{model}"
    manifest = (Path(os.environ["TRADEWIND_PVC_ROOT"]) / "claim" / model / "model.json").read_bytes()
    document = {
        "kind": "CompressionJob",
        "namespace": "bench",
        "name": "gpu",
        "uid": "22222222-2222-2222-2222-222222222222",
        "attempt": 1,
        "run": "attempt-1",
        "reportUrl": "",
        "source": {"storageUri": uri, "digest": f"sha256:{hashlib.sha256(manifest).hexdigest()}"},
        "spec": {
            "data": case.data,
            "model": {"storageUri": uri},
            "candidates": [{"name": "pruned-half", "methods": [{"prune": {"sparsity": "0.5"}}]}],
            "measure": {"resources": {"cpu": "2", "memory": "16Gi", **({"accelerators": 1} if gpu else {})}},
            "output": {"storageUri": f"pvc://claim/{output}"},
        },
    }
    heard = _Final()
    log = io.StringIO()
    try:
        with contextlib.redirect_stdout(log):
            job.run(JobDocument.read(document), heard, Alone(heard))
    except Exception:
        print(log.getvalue(), file=sys.stderr)
        raise
    found = heard.report["compression"]
    return [{**variant, "processor": found["processor"]} for variant in found["variants"]]


class _Final(Heard):
    report: dict[str, Any]

    def final(self, report: dict[str, Any]) -> None:
        """Keeps it."""
        self.report = report


@contextmanager
def server(model: Path, **told: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A server's process and its port; `told` are names of its environment without TRADEWIND_."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    environment = os.environ | {f"TRADEWIND_{name}": value for name, value in told.items()}
    python = os.environ.get("TRADEWIND_SERVER_PYTHON", sys.executable)
    command = [python, "-m", "tradewind_server", "--model_name=model", f"--model_dir={model}", f"--http_port={port}"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        yield process, port
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def ready(process: subprocess.Popen[bytes], port: int, patience: float = 120.0) -> float | str:
    """Seconds until it was Ready, or the last line of its log."""
    started = time.monotonic()
    while time.monotonic() < started + patience and process.poll() is None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/v2/health/ready")
            if connection.getresponse().status == 200:
                return time.monotonic() - started
        time.sleep(0.02)
    process.kill()
    assert process.stdout is not None
    return process.stdout.read().decode().strip().splitlines()[-1]


def first_times(model: Path, instances: list[Any], **told: str) -> dict[str, float]:
    """Of requests with 1, 2, 3, ... rows, each the first of its kind: the median and the slowest, in milliseconds.

    Also, as `start`, the seconds until the server was Ready.
    """
    with server(model, DEVICE="gpu", **told) as (process, port):
        start = ready(process, port)
        if isinstance(start, str):
            raise RuntimeError(start)
        took = [_asked(port, instances, rows) for rows in range(1, SIZES + 1)]
    return {"start": start, "median": float(np.median(took)) * 1e3, "slowest": max(took) * 1e3}


def _asked(port: int, instances: list[Any], rows: int) -> float:
    body = json.dumps({"instances": [instances[at % len(instances)] for at in range(rows)]})
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.connect()
    started = time.perf_counter()
    connection.request("POST", "/v1/models/model:predict", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    content = answer.read()
    took = time.perf_counter() - started
    if answer.status != 200:
        raise RuntimeError(f"{rows} rows: {answer.status} {content[:300]!r}")
    return took


def main() -> int:
    """Measures and prints; 1 where something is not as it has to be."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--only", nargs="+", default=["mlp on a table", "cnn on pixels", "resnet18, fp32"])
    parser.add_argument("--pictures", type=int, default=400)
    parser.add_argument("--no-jobs", action="store_true", help="what a server does by itself, and no CompressionJob")
    parser.add_argument("--no-gpu", action="store_true", help="the CPU alone, to try this program")
    args = parser.parse_args()
    wrong: list[str] = []
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TRADEWIND_PVC_ROOT"] = folder
        root = Path(folder) / "claim"
        root.mkdir()
        write_data(root, args.pictures)
        models: dict[str, Path] = {}
        known = {case.name: case for case in cases(2, None, root)}
        if strange := sorted(set(args.only) - set(known)):
            parser.error(f"--only has no {strange[0]!r}; there are {', '.join(known)}")
        chosen = [known[name] for name in args.only]
        for case in chosen:
            trained(case, _folder(case), gpu=not args.no_gpu)
            (models[case.name],) = (root / _folder(case) / "models").iterdir()
        for gpu, case in product((False,) if args.no_gpu else (True, False), () if args.no_jobs else chosen):
            stored = str(models[case.name].relative_to(root))
            for row in measured(case, stored, f"{_folder(case)}-{'gpu' if gpu else 'cpu'}", gpu=gpu):
                _tell(case.name, row)
                rows.append({"case": case.name, **row})
                if "replica" not in row or (gpu and row["measuredOn"].get("accelerators") != 1):
                    wrong.append(f"{case.name}, {row['name']}: no replica was measured: {row.get('reason')}")
        for name, model in {} if args.no_gpu else models.items():
            instances = json.loads((model / "samples.json").read_text())["instances"]
            filled = first_times(model, instances)
            single = first_times(model, instances, MAX_BATCH="1")
            for how, one in (("filled up to few sizes", filled), ("each size as it comes", single)):
                print(
                    f"{name:16} requests of 1 to {SIZES} rows, {how}: median {one['median']:.2f} ms, slowest "
                    f"{one['slowest']:.2f} ms, Ready after {one['start']:.2f} s",
                    flush=True,
                )
            rows.append({"case": name, "filled": filled, "single": single})
            if filled["slowest"] > WITHIN * filled["median"]:
                wrong.append(f"{name}: the slowest first request took {filled['slowest']:.1f} ms")
        if not args.no_gpu:
            wrong += _refusals(model)
    if args.json is not None:
        args.json.write_text(json.dumps(rows, indent=1))
    print("\n".join(wrong) or "all as it has to be")
    return 1 if wrong else 0


def _folder(case: Case) -> str:
    return case.name.replace(",", "").replace(" ", "-")


def _tell(case: str, row: dict[str, Any]) -> None:
    if "replica" not in row:
        print(f"{case:16} {row['name']:12} {row['verdict']}: {row.get('reason')}", flush=True)
        return
    latencies = {one["percentile"]: float(one["milliseconds"]) for one in row["latencies"]}
    parts = ", ".join(f"{part['part']} {float(part['milliseconds']):.3f}" for part in row["replica"]["parts"])
    print(
        f"{case:16} {row['name']:12} {row['verdict']:10} on {row['processor'].partition(' (')[0]}: p50 "
        f"{latencies[50]:.3f} p95 {latencies[95]:.3f} ms, {row.get('throughputPerSecond')} a second, Ready after "
        f"{row['replica']['startSeconds']} s, {int(row['peakMemoryBytes']) >> 20} MiB; ms: {parts}; {row['reason']}",
        flush=True,
    )


def _refusals(model: Path) -> list[str]:
    """A GPU that is not there, and one of whose memory it may have too little: not Ready, with a sentence."""
    wrong = []
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    with server(model, DEVICE="gpu") as (process, port):
        said = ready(process, port, 60)
    del os.environ["CUDA_VISIBLE_DEVICES"]
    print("without a GPU:", said, flush=True)
    if not isinstance(said, str) or "a GPU is asked for" not in said:
        wrong.append("a server is Ready without the GPU that it was asked for")
    with server(model, DEVICE="gpu", MAX_GPU_MEMORY_BYTES=str(1 << 20)) as (process, port):
        said = ready(process, port, 60)
    print("with 1 MiB of its memory:", said, flush=True)
    if not isinstance(said, str) or "memory" not in said:
        wrong.append("a server does not say that it may take less of the GPU's memory than the model needs")
    return wrong


if __name__ == "__main__":
    sys.exit(main())
