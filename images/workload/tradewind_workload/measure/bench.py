"""Measures models in a process of its own: `python -m tradewind_workload.measure.bench`.

It reads a JSON object from stdin and writes one to stdout. Times are in nanoseconds.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from tradewind_workload.export.inference import open_session

BLOCK = 5  # requests to one model in a row: the first finds cold caches, the median does not


def interleaved(
    models: list[str], rows: dict[str, np.ndarray], threads: int, batch: int, warmup: int, repeats: int
) -> list[list[list[int]]]:
    """Times, [models][rounds][requests]: the models in their order, then in reverse (A B B A), again and again.

    What the machine does besides, and the drift of its clock, meet all models alike.
    """
    sessions = [open_session(Path(model), threads) for model in models]
    feeds = [_feed(rows, start, batch) for start in range(0, 8 * batch, batch)]
    for session in sessions:
        for i in range(warmup):
            session.run(None, feeds[i % len(feeds)])
    block = min(BLOCK, max(1, repeats // 2))
    rounds = max(1, round(repeats / (2 * block)))
    times: list[list[list[int]]] = [[] for _ in models]
    order = [*range(len(models)), *reversed(range(len(models)))]
    for turn in range(rounds):
        for mine in times:
            mine.append([])
        for number in order:
            run = sessions[number].run
            for i in range(block):
                feed = feeds[(turn + i) % len(feeds)]
                start = time.perf_counter_ns()
                run(None, feed)
                times[number][turn].append(time.perf_counter_ns() - start)
    return times


def _feed(rows: dict[str, np.ndarray], start: int, batch: int) -> dict[str, np.ndarray]:
    """So many rows by the names of the inputs; after the last row comes the first."""
    numbers = range(start, start + batch)
    return {name: np.ascontiguousarray(np.take(values, numbers, axis=0, mode="wrap")) for name, values in rows.items()}


def _read(path: str) -> dict[str, np.ndarray]:
    """Rows by the names of the inputs; strings as ONNX Runtime takes them."""
    with np.load(path, allow_pickle=False) as found:
        names = json.loads(str(found["names"]))
        arrays = {name: found[f"input{i}"] for i, name in enumerate(names)}
    return {name: array.astype(object) if array.dtype.kind == "U" else array for name, array in arrays.items()}


def peak_memory(model: str, rows: dict[str, np.ndarray], threads: int, batch: int) -> int:
    """Peak resident bytes of this process after it served the model; ru_maxrss would count the parent's memory too."""
    session = open_session(Path(model), threads)
    feed = _feed(rows, 0, batch)
    for _ in range(20):
        session.run(None, feed)
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("no VmHWM in /proc/self/status")


def main() -> None:
    """Do what stdin says."""
    task: dict[str, Any] = json.load(sys.stdin)
    rows = _read(task["rows"])
    if "model" in task:
        result: Any = peak_memory(task["model"], rows, task["threads"], task["batch"])
    else:
        result = interleaved(task["models"], rows, task["threads"], task["batch"], task["warmup"], task["repeats"])
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main()
