"""What a CompressionJob says of a replica beside what a client of its own sees: latency, and throughput within the SLO.

Latencies are of requests that come now and then, and a throughput is the median of several processes.

The other side shares no code with the job: its own server processes and its own client. Both take turns, model by
model; a row of a round agrees where both numbers are within 10 % of each other.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from e2e.bench._environments import ROOT, in_servers, measured_as_by_jobs
from e2e.bench._models import make_models, write_request
from e2e.bench._runs import PORTS, ask, said, start_server

WITHIN = 0.10
PROCESSES = 3  # of a server, for each model
# Two kinds in three sizes each: matrices whose weights are read for each request, and convolutions.
MODELS = ("small", "middle", "wide", "icon", "tile", "thumbnail")


def by_job(folder: Path) -> dict[str, Any]:
    """As a CompressionJob measures it."""
    (found,) = measured_as_by_jobs([folder])
    return {
        "p50": found["p50_ms"],
        "p95": found["p95_ms"],
        "rate": found["throughput"],
        "rates": [found["sweep"]["rate"], *found["sweep"]["others"]],
        "within": found["sweep"]["slo"]["milliseconds"],
        "percentile": found["sweep"]["slo"]["percentile"],
    }


@contextmanager
def _server(folder: Path) -> Iterator[None]:
    """One of one thread, on any CPU."""
    os.environ["TRADEWIND_THREADS"] = "1"
    process = start_server("ours", folder / "model.onnx", PORTS["ours"], cpu=None)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def by_client(folder: Path, told: dict[str, Any], seconds: float) -> dict[str, Any]:
    """As a client sees it: of requests that come now and then, and at which rate the job's SLO is kept."""
    latencies: list[float] = []
    rates: list[float] = []
    task = [str(folder / "request.http"), str(told["percentile"]), str(told["within"] / 1e3), str(seconds)]
    for _ in range(PROCESSES):
        with _server(folder):
            found = ask(None, "bears", str(PORTS["ours"]), *task)
        latencies += found["latencies"]
        rates.append(found["rate"])
    milliseconds = sorted(1e3 * latency for latency in latencies)
    return {
        "p50": statistics.median(milliseconds),
        "p95": milliseconds[int(0.95 * len(milliseconds))],
        "rate": statistics.median(rates),
        "rates": rates,
    }


def main() -> int:
    """Measures, prints and writes the JSON; 1 if a number of a round does not agree."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of a try")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "bench" / "remeasure.json", help="where to write")
    args = parser.parse_args()
    rows: list[dict[str, Any]] = []
    print(f"{'':12}{'':8}{'job':>12}{'client':>12}{'client/job':>12}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shapes = make_models(folder)
        for model in args.models:
            write_request(folder / model, shapes[model])
        for turn in range(args.rounds):
            for model in args.models:
                told = by_job(folder / model)
                seen = by_client(folder / model, told, args.seconds)
                for number in ("p50", "p95", "rate"):
                    ratio = seen[number] / told[number] if told[number] else float("inf")
                    agrees = abs(ratio - 1) <= WITHIN
                    rows.append({"model": model, "round": turn, "number": number, "job": told[number]})
                    rows[-1] |= {"client": seen[number], "ratio": ratio, "agrees": agrees}
                    if number == "rate":  # of each process
                        rows[-1] |= {"job's": told["rates"], "client's": seen["rates"], "within": told["within"]}
                    missed = "" if agrees else "  MISSED"
                    print(
                        f"{model:12}{number:8}{told[number]:12.3f}{seen[number]:12.3f}{ratio:12.3f}{missed}", flush=True
                    )
                said(model, turn, args.rounds)
    agree = sum(row["agrees"] for row in rows)
    print(f"\n{agree} of {len(rows)} numbers agree within {WITHIN * 100:.0f} %")
    args.json.parent.mkdir(parents=True, exist_ok=True)
    args.json.write_text(json.dumps({"load": os.getloadavg(), "rows": rows}, indent=1))
    return 0 if agree == len(rows) else 1


if __name__ == "__main__":
    sys.exit(in_servers(main, "remeasure"))
