"""Latency, throughput and memory of models side by side, with what is uncertain about them."""

from __future__ import annotations

import json
import math
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

Z = 2.5758  # of a normal distribution, so many deviations about its mean have 99 %
# Processes that measure the latency, each with so many requests unless these would be too many processes. There are
# more of them, up to the most, while an interval of a speed-up is wider than WIDE. That looks at its width alone, and
# so leaves its 99 % what they are.
PROCESSES, REQUESTS, WIDE = (10, 40), 20, 1.05
FEWER = 3  # processes that measure the throughput, which has no interval
ROWS, BYTES = 1024, 1 << 26  # that models are asked by turns
GROUP_BYTES = 256 * 1024**2  # models that are loaded at the same time


@dataclass(frozen=True)
class Figures:
    """Measured on one model. The speed-up is that of `speedup`, with its interval of 99 %."""

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
        save(file, rows, ROWS)
        save(few, rows, settings.batch_sizes[0])  # the memory of more rows would count as the model's
        found: list[Figures] = []
        for group in _groups(models):
            asked = [models[0], *group]
            first, *others = settings.batch_sizes
            times = {first: turns(asked, file, settings, first)}
            while _wide(times[first]) and len(times[first]) < PROCESSES[1]:
                times[first] += turns(asked, file, settings, first, seed=len(times[first]))
            times |= {batch: turns(asked, file, settings, batch, FEWER) for batch in others}
            numbers = range(1, len(group) + 1) if found else range(len(group) + 1)
            for number in numbers:
                model = asked[number]
                peak = int(
                    _bench(
                        {
                            "model": str(model),
                            "rows": str(few),
                            "threads": settings.threads,
                            "batch": first,
                        }
                    )
                )
                found.append(_figures(times, number, peak, first))
                on_step()
        return found


def save(file: Path, rows: Mapping[str, np.ndarray], most: int) -> None:
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


def turns(
    models: Sequence[Path], rows: Path, settings: Measure, batch: int, fewer: int | None = None, seed: int = 0
) -> list[list[np.ndarray]]:
    """Of each process, by model: nanoseconds, int64 [rounds, requests of a round].

    `rows` is a file of `save`, and `fewer` are the processes where it needs no interval.
    """
    processes = int(np.clip(settings.repeats // REQUESTS, *PROCESSES))
    task = {
        "models": [str(model) for model in models],
        "rows": str(rows),
        "threads": settings.threads,
        "batch": batch,
        "warmup": settings.warmup,
        "repeats": math.ceil(settings.repeats / processes),
    }
    numbers = range(seed, seed + (fewer or processes))
    return [[np.array(times, np.int64) for times in _bench(task | {"seed": number})] for number in numbers]


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


def _figures(times: dict[int, list[list[np.ndarray]]], number: int, peak: int, first: int) -> Figures:
    value, low, high = _speedup(times[first], number)
    taken = {batch: np.concatenate([models[number] for models in found]) for batch, found in times.items()}
    mine = taken[first]
    throughputs = {batch: batch / (float(np.median(found)) * 1e-9) for batch, found in taken.items()}
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


def _speedup(times: list[list[np.ndarray]], number: int) -> tuple[float, float, float]:
    return speedup(*([models[which] for models in times] for which in (0, number)))


def _wide(times: list[list[np.ndarray]]) -> bool:
    found = (_speedup(times, number) for number in range(1, len(times[0])))
    return any(high > WIDE * low for _, low, high in found)


def speedup(baseline: Sequence[np.ndarray], variant: Sequence[np.ndarray]) -> tuple[float, float, float]:
    """How many times as fast the variant is, with a 99 % interval; both are of the same processes, [rounds, requests].

    The requests of one round share what the machine did in that moment, so rounds are compared, by their medians. The
    rounds of one process share where its memory lies, which makes one of two equal models faster by a hundredth or
    two, in all of them; so a process has one ratio. Two copies of one model are as often ahead of each other, by as
    much: the logarithms of these ratios lie evenly about 0, and Wilcoxon's signed ranks give an interval that needs
    nothing else (Hodges and Lehmann, 1963). It is one of 99 %, since a job compares up to 31 variants.
    """
    ratios = [
        np.median(np.log(np.median(one, axis=1) / np.median(other, axis=1)))
        for one, other in zip(baseline, variant, strict=True)
    ]
    count = len(ratios)
    one, other = np.triu_indices(count)
    averages = np.sort((np.array(ratios)[one] + np.array(ratios)[other]) / 2)
    first = max(0, math.floor(len(averages) / 2 - Z * math.sqrt(count * (count + 1) * (2 * count + 1) / 24)))
    value, low, high = np.exp([np.median(averages), averages[first], averages[-1 - first]])
    return float(value), float(low), float(high)
