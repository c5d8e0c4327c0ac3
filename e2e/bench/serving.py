"""Our model server beside a raw `session.run` loop and KServe's stock server: same models, same client, taking turns.

Server and client each have a CPU of their own, so a rate is what one CPU of a server gives. The stock server is
`kserve.ModelServer` with a `predict` as KServe documents it.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2e.bench._environments import ROOT, in_servers
from e2e.bench._models import make_models
from e2e.bench._runs import Series, liveness, measure, overload, start


def interval(pairs: list[tuple[float, ...]], of: Callable[..., float]) -> tuple[float, float, float]:
    """The median of `of` over the rounds, and its 95 % bootstrap interval (rounds drawn with replacement)."""
    values = [of(*pair) for pair in pairs]
    rng = random.Random(1)
    draws = sorted(statistics.median(rng.choices(values, k=len(values))) for _ in range(2000))
    return statistics.median(values), draws[50], draws[1949]


def ratio(reference: float, ours: float) -> float:
    """How many times as much."""
    return ours / reference


def share(reference: float, ours: float) -> float:
    """What part of it; less is better."""
    return ours / reference


def itself(value: float) -> float:
    """The value; less is better."""
    return value


def cpu_name() -> str:
    """The processor, as it calls itself."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown")


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
        met = low >= self.must if self.of is ratio else high <= self.must  # the interval, and not its middle
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
    ("wide x32", "wide", 32, 1, ("alone-json", "ours-json")),
    ("resnet x32", "resnet", 32, 3, ("alone-binary", "ours-binary")),
)
ONE = ("raw", "stock-json", "ours-json")
WIDE, RESNET = ("alone-json", "ours-json"), ("alone-binary", "ours-binary")
OVER = ("peak", "twice")
TARGETS = (
    Target("added p50, 1 client", "ms", 0.4, 0.2, "small x1", "p50", ONE, lambda raw, _, ours: ours - raw),
    Target(
        "added p50, 1 client", "of stock's", 0.35, 0.25, "small x1", "p50", ONE, lambda raw, a, b: (b - raw) / (a - raw)
    ),
    Target("requests/s, 16 clients", "of stock", 5, 8, "small x16", "rate", ("stock-json", "ours-json"), ratio),
    Target("binary, 1x3x224x224", "of our JSON", 20, 20, "mean x2", "rate", ("ours-json", "ours-binary"), ratio),
    Target("binary, 1x3x224x224", "of stock's JSON", 20, 20, "mean x2", "rate", ("stock-json", "ours-binary"), ratio),
    Target("binary, 1x3x224x224", "of raw", 0.94, 0.97, "resnet x2", "rate", ("raw", "ours-binary"), ratio),
    # The same as CPU time, which others on the machine change less.
    Target("... by CPU time", "of raw", 0.94, 0.97, "resnet x2", "cpu", ("ours-binary", "raw"), ratio),
    Target("batches that pay, x32", "of one by one", 3, 5, "wide x32", "rate", WIDE, ratio),
    Target("... p99", "of one by one", 1, 1, "wide x32", "p99", WIDE, share),
    Target("batches that don't, x32", "of one by one", 0.97, 0.99, "resnet x32", "rate", RESNET, ratio),
    Target("twice the capacity", "of peak", 0.95, 0.98, "overload", "rate", OVER, ratio),
    Target("... p99 of answers", "of peak", 3, 2, "overload", "p99", OVER, share),
    Target("... p99 of refusals", "ms", 50, 50, "overload", "p99", ("refused",), itself),
    Target("liveness, p99", "ms", 50, 20, "liveness", "p99", ("probe",), itself),
    Target("start until Ready", "ms", 1500, 800, "start", "p50", ("ready",), itself),
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
        thumbnail = Path(folder) / "thumbnail"
        runs["overload"] = overload(thumbnail, shapes["thumbnail"], args.rounds, args.seconds)
        runs["liveness"] = liveness(Path(folder), args.rounds, args.seconds)
        runs["start"] = start(Path(folder) / "small", args.rounds)
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


if __name__ == "__main__":
    sys.exit(in_servers(main, "serving"))
