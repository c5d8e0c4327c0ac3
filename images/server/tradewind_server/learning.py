"""Whether rows of several requests may be computed together, and how many of them pay: found out before a model serves.

A batch must not change an answer. What is compared is each of some rows alone and among strangers, of which some are as
wild as clients can send them: scales that a dynamically quantised graph takes of the whole batch show at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np

from tradewind_server.cgroup import used_memory
from tradewind_server.refusal import BadRequest
from tradewind_server.tensors import Array, TensorSpec

Tensors = Mapping[str, Array]
Run = Callable[[Tensors], Mapping[str, Array]]

# A doubling that makes a row less than this much cheaper is not worth the wait of those in the batch.
_WORTH = 0.1
# Of each size the fastest of so many runs counts: what else the machine does only ever makes one slower.
_RUNS = 5
# CPU seconds that measuring may take, of a start that a rollout or a scale-up waits for.
_BUDGET = 1.0
_ROWS_ALONE = 3
# Kernels add up in another order for another number of rows. That moves a float32 by some of its last bits, through all
# layers, and never by as much as a step of 8 bits (4e-3); of float16 hardly more than the last bit may differ.
_LAST_BITS = 256
_MOST_DIFFERENCE = 1e-3


@dataclass(frozen=True)
class Clock:
    """What times a run, in seconds, and how many runs of a size are not timed since they prepare for it."""

    now: Callable[[], float]
    cold: int = 0


# The process's CPUs: when a replica starts it shares them with others, or has used up its quota; and a batch is to save
# them.
CPU = Clock(time.process_time)
# A GPU's time passes while no CPU computes. Its first runs of a size choose kernels, take memory, and record a graph.
GPU = Clock(time.perf_counter, cold=4)


@dataclass(frozen=True)
class Learned:
    """The most rows of a batch (1: none are made), why, and the CPU seconds of a run by its rows, as far as known."""

    rows: int
    why: str
    seconds: Mapping[int, float]


def obstacle(inputs: Collection[TensorSpec], outputs: Collection[TensorSpec], onnx: bytes) -> str | None:
    """Why, by what it declares, a graph's rows can't be computed together; None if nothing forbids it."""
    for what, specs in (("input", inputs), ("output", outputs)):
        for spec in specs:
            if not spec.axes or isinstance(spec.axes[0], int):
                return f"{what} {spec.name!r} has no first axis of any size"
    if len({spec.axes[0] for spec in inputs}) > 1:
        return "the inputs have different first axes"
    sizes = {axis for spec in inputs for axis in spec.axes if axis}
    for spec in outputs:
        # Such as the longest text of the batch.
        if any(isinstance(axis, str) and axis not in sizes for axis in spec.axes[1:]):
            return f"output {spec.name!r} has an axis whose size may depend on the other rows"
    if b"DynamicQuantize" in onnx:
        return "the graph is quantised dynamically: its scales are those of the whole batch"
    return None


# Operators that take as long as the values of a row say, and not only as many: loops, and what makes tensors as large
# as values say. As ONNX writes a node's operator in the file (field 4, a text).
_BY_VALUE = tuple(
    b"\x22" + bytes([len(name)]) + name.encode()
    for name in (
        *("Loop", "Scan", "If", "SequenceMap", "ConstantOfShape", "Expand", "Tile", "Range", "OneHot", "Pad"),
        *("Resize", "Upsample", "NonZero", "Compress", "Unique", "NonMaxSuppression", "RoiAlign", "MaxUnpool"),
        *("CenterCropPad", "BlackmanWindow", "HannWindow", "HammingWindow", "STFT", "BeamSearch", "GreedySearch"),
        *("Sampling", "RegexFullMatch", "StringSplit", "TfIdfVectorizer"),
    )
)


def as_long_for_any_row(onnx: bytes) -> bool:
    """Whether a graph takes as long for one row as for another, so that what was measured of some holds for all."""
    return not any(operator in onnx for operator in _BY_VALUE)


def made_up(zeros: Tensors) -> dict[str, Array]:
    """Rows for a model without samples, which takes these zeros: floats and bytes at random, the rest zeros."""
    rng = np.random.default_rng(0)
    found = {}
    for name, array in zeros.items():
        shape = (_ROWS_ALONE, *array.shape[1:])
        if array.dtype.kind == "f":
            found[name] = rng.standard_normal(shape).astype(array.dtype)
        elif array.dtype == np.uint8:
            found[name] = rng.integers(0, 256, shape, dtype=np.uint8)
        else:
            found[name] = np.repeat(array[:1], _ROWS_ALONE, axis=0)
    return found


class Room:
    """The memory that is left for larger batches: what larger ones would take, in as many threads at once."""

    def __init__(self, workers: int, allowed: int, used: Callable[[], int] = used_memory) -> None:
        self._workers = workers
        self._allowed = allowed
        self._used = used
        self._before = used()

    def for_twice(self) -> bool:
        """Whether there is enough for runs of twice as many rows as the largest so far; a quarter is left to others."""
        used = self._used()
        return used + 2 * self._workers * (used - self._before) <= 0.75 * self._allowed


def learn(
    run: Run,
    rows: Tensors,
    most: int,
    room: Room,
    apart: float = 0.0,
    clock: Clock = CPU,
) -> Learned:
    """`rows` are some that the model answers, `apart` the seconds of a row before the model (texts and pictures)."""
    try:
        seconds = _measured(run, rows, most, room, clock)
    except BadRequest as failure:
        return Learned(1, f"the model does not answer several rows: {failure}", {})
    alone = _milliseconds(apart + seconds[1])
    if len(seconds) == 1:
        return Learned(1, f"a row takes {alone}, and too long or too much memory to try more at the start", seconds)
    costs = {size: apart + taken / size for size, taken in seconds.items()}
    least = min(costs.values())
    size = min(size for size, cost in costs.items() if cost * (1 - _WORTH / 2) <= least)
    if least > costs[1] * (1 - _WORTH):
        return Learned(1, f"a row takes {alone} alone, and no less in a batch", seconds)
    if difference := _difference(run, rows, size):
        return Learned(1, difference, seconds)
    return Learned(size, f"a row takes {alone} alone, and {_milliseconds(costs[size])} in a batch of {size}", seconds)


def alone(run: Run, rows: Tensors, why: str, clock: Clock = CPU) -> Learned:
    """What a row takes where no batches are made, for that reason."""
    row, taken = _taken(rows, range(1)), []
    try:
        for _ in range(clock.cold):
            run(row)
        for _ in range(_RUNS):
            before = clock.now()
            run(row)
            taken.append(clock.now() - before)
            if taken[0] * _RUNS > _BUDGET:
                break
    except BadRequest:
        return Learned(1, why, {})
    return Learned(1, why, {1: min(taken)})


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.3g} ms"


def _measured(run: Run, rows: Tensors, most: int, room: Room, clock: Clock) -> dict[int, float]:
    """Seconds of a run by rows: 1, 2, 4, ..., until two doublings in a row are worth nothing. To put the rows of
    several requests together is part of it."""
    singles = [_taken(rows, range(at, at + 1)) for at in range(_count(rows))]

    def timed(size: int) -> float:
        chosen = [singles[at % len(singles)] for at in range(size)]
        before = clock.now()
        run({name: np.concatenate([one[name] for one in chosen]) for name in rows} if size > 1 else chosen[0])
        return clock.now() - before

    spent = 0.0
    for _ in range(clock.cold):
        timed(1)
    seconds = {1: timed(1)}
    # All rows that are needed to compare, and to try some sizes.
    if seconds[1] * 16 > _BUDGET:
        return seconds
    times = [seconds[1], *(timed(1) for _ in range(_RUNS - 1))]
    seconds[1] = min(times)
    size, vain = 2, 0
    while size <= most and vain < 2 and room.for_twice():
        spent += sum(times)
        if spent + 2 * _RUNS * seconds[size // 2] > _BUDGET:
            break
        for _ in range(clock.cold):
            timed(size)
        times = [timed(size) for _ in range(_RUNS)]
        seconds[size] = min(times)
        worth = seconds[size] / size <= (1 - _WORTH) * seconds[size // 2] / (size // 2)
        vain = 0 if worth else vain + 1
        size *= 2
    return seconds


def _taken(rows: Tensors, which: range) -> dict[str, Array]:
    """These rows, again from the first behind the last."""
    return {name: np.take(array, which, axis=0, mode="wrap") for name, array in rows.items()}


def _difference(run: Run, rows: Tensors, size: int) -> str | None:
    """What forbids batches: a row that is answered otherwise among strangers, or that no row could show it."""
    count = _count(rows)
    own = [_taken(rows, range(at, at + 1)) for at in sorted({0, count // 2, count - 1})]
    if all(_equal(own[0], other) for other in own[1:]):
        return "there are no samples with different rows, which would show whether a batch changes an answer"
    try:
        alone = [run(row) for row in own]
        if not all(np.isfinite(array).any() for one in alone for array in one.values() if array.dtype.kind == "f"):
            return "the model gives no number for what it is tried with: samples of its own would show more"
        strangers = _strangers(run, rows, size)
        for before in (0, 1):  # a batch of two
            for row, answer in zip(own, alone, strict=True):
                if wrong := _changed(answer, run(_among(row, strangers, before, 1)), before):
                    return wrong
        for before, row, answer in zip((0, size // 2, size - 1), own, alone, strict=False):
            if wrong := _changed(answer, run(_among(row, strangers, before, size - 1)), before):
                return wrong
    except BadRequest as failure:
        return f"the model does not answer rows among others: {failure}"
    return None


def _count(rows: Tensors) -> int:
    return len(next(iter(rows.values())))


def _among(row: Tensors, strangers: Tensors, before: int, count: int) -> dict[str, Array]:
    """The row behind `before` of so many strangers."""
    return {
        name: np.concatenate([strangers[name][:before], array, strangers[name][before:count]])
        for name, array in row.items()
    }


def _equal(one: Tensors, other: Tensors) -> bool:
    return all(np.array_equal(array, other[name]) for name, array in one.items())


def _strangers(run: Run, rows: Tensors, count: int) -> dict[str, Array]:
    """The rows in turn; of the numbers some a thousand times as large, some not a number, some zero, if the model takes
    such."""
    wild = _taken(rows, range(1, 1 + count))
    for array in wild.values():
        if array.dtype.kind == "f":
            array[0::4] *= 1000
            array[1::4] = np.nan
            array[2::4] = 0
        elif array.dtype == np.uint8:
            array[1::4] = 255
            array[2::4] = 0
    try:
        run(wild)
    except BadRequest:
        return _taken(rows, range(1, 1 + count))
    return wild


def _changed(alone: Mapping[str, Array], together: Mapping[str, Array], at: int) -> str | None:
    """A sentence about the first output whose row is another there."""
    for name, array in alone.items():
        found = together[name][at : at + 1]
        if found.shape != array.shape or not _alike(array, found):
            return f"a batch changes {name!r} of its rows"
    return None


def _alike(one: Array, other: Array) -> bool:
    if one.dtype.kind != "f":
        return bool(np.array_equal(one, other))
    bits = min(_LAST_BITS * float(np.finfo(one.dtype).eps), _MOST_DIFFERENCE)
    largest = float(np.max(np.abs(one), initial=0, where=np.isfinite(one)))
    return bool(np.allclose(one, other, rtol=0, atol=bits * largest, equal_nan=True))
