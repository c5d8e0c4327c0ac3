"""Measures models in a process of its own: `python -m tradewind_workload.measure.bench`.

It reads a JSON object from stdin and writes one to stdout. Times are in nanoseconds.
"""

from __future__ import annotations

import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from tradewind_workload.export.inference import open_session
from tradewind_workload.measure.load import BLOCK, COLD


def interleaved(
    models: list[str], rows: dict[str, np.ndarray], threads: int, batch: int, warmup: int, repeats: int, seed: int
) -> list[list[list[int]]]:
    """Times, [models][rounds][requests]: in each round every model has a turn, in an order that is drawn anew.

    So none has always the same one before it, and what the machine does besides, and the drift of its clock, meet all
    models alike.
    """
    drawn = np.random.default_rng(seed)
    sessions: list[Any] = [None] * len(models)
    for number in drawn.permutation(len(models)):
        sessions[number] = open_session(Path(models[number]), threads)
    feeds = [_feed(rows, start, batch) for start in range(0, 8 * batch, batch)]
    for session in sessions:
        for i in range(warmup):
            session.run(None, feeds[i % len(feeds)])
    times: list[list[list[int]]] = [[] for _ in models]
    for turn in range(math.ceil(repeats / BLOCK)):
        for number in drawn.permutation(len(models)):
            run, took = sessions[number].run, list[int]()
            for i in range(COLD + min(BLOCK, repeats)):
                feed = feeds[(turn + i) % len(feeds)]
                start = time.perf_counter_ns()
                run(None, feed)
                took.append(time.perf_counter_ns() - start)
            times[number].append(took[COLD:])
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
        settings = (task[name] for name in ("threads", "batch", "warmup", "repeats", "seed"))
        result = interleaved(task["models"], rows, *settings)
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main()
