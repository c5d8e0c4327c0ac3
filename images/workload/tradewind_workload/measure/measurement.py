"""Latency, throughput and memory of models side by side, with what is uncertain about them."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tradewind_workload.measure.figures import Alone
from tradewind_workload.measure.stands import inherited

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
LONGEST = 900  # seconds that a process may take
GROUP_BYTES = 256 * 1024**2  # models that are loaded at the same time


class Unmeasured(Exception):
    """Models that could not be measured; the text says why."""


def measure(
    models: Sequence[Path],
    rows: Mapping[str, np.ndarray],
    settings: Measure,
    on_step: Callable[[], None] = lambda: None,
    fewer: int | None = None,
) -> list[Alone | Unmeasured]:
    """Figures of the models, the baseline first, on rows as their graphs take them, by name; `on_step` for each.

    `fewer` are the processes where no speed-up decides. Raises Unmeasured where the baseline has none.
    """
    with tempfile.TemporaryDirectory() as folder:
        file, few = Path(folder, "rows.npz"), Path(folder, "few.npz")
        save(file, rows, ROWS)
        save(few, rows, settings.batch_sizes[0])  # the memory of more rows would count as the model's
        found: dict[int, Alone | Unmeasured] = {}
        groups = _groups(models)
        while groups:
            group, before = groups.pop(0), len(found)
            try:
                times = _times([models[number] for number in (0, *group)], file, settings, fewer)
                for at, number in enumerate((0, *group)):
                    if number not in found:
                        peak = _peak(models[number], few, settings)
                        found[number] = _figures(times, at, peak, settings.batch_sizes[0])
            except Unmeasured as why:
                if not group:
                    raise
                if len(group) > 1:  # one of them, or the baseline
                    groups = [[number] for number in group if number not in found] + groups
                else:
                    found[group[0]] = why
            if not groups and 0 not in found:
                groups = [[]]
            for _ in range(len(found) - before):
                on_step()
        return [found[number] for number in range(len(models))]


def _times(
    asked: Sequence[Path], rows: Path, settings: Measure, fewer: int | None
) -> dict[int, list[list[np.ndarray]]]:
    """By batch size, as `turns` has them."""
    first, *others = settings.batch_sizes
    times = {first: turns(asked, rows, settings, first, fewer)}
    while fewer is None and _wide(times[first]) and (left := PROCESSES[1] - len(times[first])) > 0:
        times[first] += turns(asked, rows, settings, first, left, seed=len(times[first]))
    return times | {batch: turns(asked, rows, settings, batch, FEWER) for batch in others}


def _peak(model: Path, rows: Path, settings: Measure) -> int:
    task = {"model": str(model), "rows": str(rows), "threads": settings.threads, "batch": settings.batch_sizes[0]}
    return int(_bench(task))


def save(file: Path, rows: Mapping[str, np.ndarray], most: int) -> None:
    """At most so many of the rows, and no more than BYTES of them, as the measuring process reads them."""
    row = sum(_widest(values[:most]) for values in rows.values())
    count = max(1, min(most, BYTES // max(1, row)))
    some = [values[:count] for values in rows.values()]
    arrays = {f"input{i}": values.astype(str) if values.dtype == object else values for i, values in enumerate(some)}
    np.savez(file, allow_pickle=False, names=np.array(json.dumps(list(rows))), **arrays)


def _widest(values: np.ndarray) -> int:
    """Bytes of a row in that file, where each text takes as much as the longest one."""
    if values.dtype != object:
        return values[:1].nbytes
    return values[:1].size * 4 * max(len(str(text)) for text in values.ravel())


def _groups(models: Sequence[Path]) -> list[list[int]]:
    """Numbers of the variants in groups that fit into memory beside the baseline; an empty one if there is none."""
    groups: list[list[int]] = [[]]
    size = 0
    for number, model in enumerate(models[1:], 1):
        if groups[-1] and size + model.stat().st_size > GROUP_BYTES:
            groups.append([])
            size = 0
        groups[-1].append(number)
        size += model.stat().st_size
    return groups


def turns(
    models: Sequence[Path], rows: Path, settings: Measure, batch: int, fewer: int | None = None, seed: int = 0
) -> list[list[np.ndarray]]:
    """Of each process, by model: nanoseconds, int64 [rounds, requests of a round].

    `rows` is a file of `save`, and `fewer` are the most processes, where it needs no interval or few are left.
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
    numbers = range(seed, seed + min(fewer or processes, processes))
    return [[np.array(times, np.int64) for times in _bench(task | {"seed": number})] for number in numbers]


def _bench(task: dict[str, Any]) -> Any:
    environment = inherited()
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "tradewind_workload.measure.bench"],
            input=json.dumps(task),
            capture_output=True,
            text=True,
            env=environment,
            check=False,
            timeout=LONGEST,
        )
    except subprocess.TimeoutExpired:
        raise Unmeasured(f"ONNX Runtime did not answer {task['batch']} rows at a time within {LONGEST} s") from None
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines()
        raise Unmeasured(f"the process that measured it ended with {done.returncode}: {lines[-1] if lines else ''}")
    return json.loads(done.stdout)


def _figures(times: dict[int, list[list[np.ndarray]]], number: int, peak: int, first: int) -> Alone:
    value, low, high = _speedup(times[first], number)
    taken = {batch: np.concatenate([models[number] for models in found]) for batch, found in times.items()}
    mine = taken[first]
    throughputs = {batch: batch / (float(np.median(found)) * 1e-9) for batch, found in taken.items()}
    best = max(throughputs, key=lambda batch: throughputs[batch])
    return Alone(
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
