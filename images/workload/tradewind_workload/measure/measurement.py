"""Latency, throughput and memory of models side by side, with what is uncertain about them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tradewind.api.compressionjob import Measure

RESAMPLES = 2000
ROWS, BYTES = 1024, 1 << 26  # that models are asked by turns
GROUP_BYTES = 256 * 1024**2  # models that are loaded at the same time


@dataclass(frozen=True)
class Figures:
    """Measured on one model. The speed-up is of the medians, with a 95 % interval."""

    p50_ms: float
    p95_ms: float
    p99_ms: float
    throughput: float  # rows per second at the best batch size
    best_batch: int
    peak_memory: int  # bytes
    speedup: float
    low: float
    high: float

    def latency(self, percentile: int) -> float:
        """A percentile of the latency in milliseconds: 50, 95 or 99."""
        return {50: self.p50_ms, 95: self.p95_ms, 99: self.p99_ms}[percentile]


def measure(
    models: Sequence[Path],
    rows: Mapping[str, np.ndarray],
    settings: Measure,
    on_step: Callable[[], None] = lambda: None,
) -> list[Figures]:
    """Figures of the models, the baseline first, on rows as their graphs take them, by name; `on_step` for each."""
    with tempfile.TemporaryDirectory() as folder:
        file, few = Path(folder, "rows.npz"), Path(folder, "few.npz")
        _save(file, rows, ROWS)
        _save(few, rows, settings.batch_sizes[0])  # the memory of more rows would count as the model's
        found: list[Figures] = []
        for group in _groups(models):
            times = {
                batch: _times(
                    [models[0], *group],
                    file,
                    settings,
                    batch,
                    settings.repeats if i == 0 else max(10, settings.repeats // 4),
                )
                for i, batch in enumerate(settings.batch_sizes)
            }
            numbers = range(1, len(group) + 1) if found else range(len(group) + 1)
            for number in numbers:
                model = [models[0], *group][number]
                peak = int(
                    _bench(
                        {
                            "model": str(model),
                            "rows": str(few),
                            "threads": settings.threads,
                            "batch": settings.batch_sizes[0],
                        }
                    )
                )
                found.append(_figures(times, number, peak, settings.batch_sizes[0]))
                on_step()
        return found


def _save(file: Path, rows: Mapping[str, np.ndarray], most: int) -> None:
    """At most so many of the rows, and no more than BYTES of them, as the measuring process reads them."""
    row = sum(values[:1].nbytes for values in rows.values())
    count = max(1, min(most, BYTES // max(1, row)))
    some = [values[:count] for values in rows.values()]
    arrays = {f"input{i}": values.astype(str) if values.dtype == object else values for i, values in enumerate(some)}
    np.savez(file, allow_pickle=False, names=np.array(json.dumps(list(rows))), **arrays)


def _groups(models: Sequence[Path]) -> list[list[Path]]:
    """The variants in groups that fit into memory beside the baseline; a group may be empty if there is no variant."""
    groups: list[list[Path]] = [[]]
    size = 0
    for model in models[1:]:
        if groups[-1] and size + model.stat().st_size > GROUP_BYTES:
            groups.append([])
            size = 0
        groups[-1].append(model)
        size += model.stat().st_size
    return groups


def _times(models: Sequence[Path], rows: Path, settings: Measure, batch: int, repeats: int) -> list[np.ndarray]:
    """By model: nanoseconds, int64 [rounds, requests of a round]."""
    task = {
        "models": [str(model) for model in models],
        "rows": str(rows),
        "threads": settings.threads,
        "batch": batch,
        "warmup": settings.warmup,
        "repeats": repeats,
    }
    return [np.array(times, np.int64) for times in _bench(task)]


def _bench(task: dict[str, Any]) -> Any:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("RAY_", "OMP_"))}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(
        [sys.executable, "-m", "tradewind_workload.measure.bench"],
        input=json.dumps(task),
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"the measuring process failed ({done.returncode}): {done.stderr[-2000:]}")
    return json.loads(done.stdout)


def _figures(times: dict[int, list[np.ndarray]], number: int, peak: int, first: int) -> Figures:
    mine, baseline = times[first][number], times[first][0]
    value, low, high = speedup(baseline, mine)
    throughputs = {batch: batch / (float(np.median(found[number])) * 1e-9) for batch, found in times.items()}
    best = max(throughputs, key=lambda batch: throughputs[batch])
    return Figures(
        p50_ms=float(np.median(mine)) * 1e-6,
        p95_ms=float(np.percentile(mine, 95)) * 1e-6,
        p99_ms=float(np.percentile(mine, 99)) * 1e-6,
        throughput=throughputs[best],
        best_batch=best,
        peak_memory=peak,
        speedup=value,
        low=low,
        high=high,
    )


def speedup(baseline: np.ndarray, variant: np.ndarray) -> tuple[float, float, float]:
    """Ratio of the medians and its 95 % bootstrap interval; both are [rounds, requests], measured in the same rounds.

    Whole rounds are drawn, for the requests of one round share what the machine did in that moment. The draw has a
    fixed seed: the same times give the same interval.
    """
    value = float(np.median(baseline) / np.median(variant))
    drawn = np.random.default_rng(0).integers(0, len(baseline), (RESAMPLES, len(baseline)))
    ratios = np.concatenate(
        [
            np.median(baseline[part].reshape(len(part), -1), axis=1)
            / np.median(variant[part].reshape(len(part), -1), axis=1)
            for part in np.array_split(drawn, max(1, RESAMPLES * baseline.size // 2_000_000))
        ]
    )
    low, high = np.percentile(ratios, [2.5, 97.5])
    return value, float(low), float(high)
