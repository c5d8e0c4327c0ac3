"""Whether a replica answers as the model in this process did when it was judged.

What is judged in this process is not asked over HTTP as a whole: that would take minutes of each variant. Some of the
rows are, one after the other, and by many clients at once, so that the server computes rows of several requests
together if it ever does.
"""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from tradewind_workload.export.inference import in_8_bits
from tradewind_workload.export.samples import TOLERANCE
from tradewind_workload.heads.answer import LABEL, LABELS, PREDICTION, PROBABILITIES, THRESHOLD
from tradewind_workload.measure.clients import Busy, Client, Failed, Refused, http

if TYPE_CHECKING:
    from collections.abc import Sequence

ROWS, BYTES = 256, 16 << 20  # most of both that are asked; half of the rows one after the other
CLIENTS = 16  # that ask the others
SECONDS = 0.8  # for either half; what is not asked by then is not compared
# Of a model that computes in 8 bits: the last bit of a float, which another size of a batch has otherwise, can turn a
# step of 8 bits, and that others after it. This is rare: on average its answers have to be as close as any others.
ROUGH = 0.05
LAST_BITS = 1e-5  # of a float32, that many sums leave: a value may be far from 0 and hardly vary
PAUSE = 0.01  # seconds until one that is too busy is asked again


@dataclass(frozen=True)
class Expected:
    """What a model answered in this process: probabilities, float [n, classes or labels], or values, float [n]."""

    answers: np.ndarray
    rough: bool  # whether it computes in 8 bits

    @classmethod
    def of(cls, answers: np.ndarray, onnx: bytes) -> Expected:
        """What that graph answered."""
        return cls(answers, in_8_bits(onnx))

    def off(self, row: int, body: bytes) -> tuple[float, str | None]:
        """By how much the body of an answer to a row is off, and how it says something else, if it does.

        A value is off in deviations of all values. A label may be another one where it is a close call.
        """
        served = {output["name"]: np.array(output["data"], object) for output in json.loads(body)["outputs"]}
        name = PROBABILITIES if PROBABILITIES in served else PREDICTION
        given, judged = (np.asarray(one, np.float64).ravel() for one in (served[name], self.answers[row]))
        told = f"{name} {_shown(given)}, and {_shown(judged)} here"
        if given.shape != judged.shape:
            return np.inf, told
        scale = 1.0 if self.answers.ndim > 1 else float(np.std(self.answers)) or 1.0
        off = float(np.max(np.abs(given - judged) - LAST_BITS * np.abs(judged), initial=0.0)) / scale
        tolerance = ROUGH if self.rough else TOLERANCE
        if not off <= tolerance:
            return off, told
        if LABEL in served and judged.max() - judged[int(served[LABEL].ravel()[0])] > 2 * tolerance:
            return off, f"{LABEL} {served[LABEL].ravel()[0]}, and {int(judged.argmax())} here"
        if LABELS in served:
            named, here = served[LABELS].ravel().astype(bool), judged >= THRESHOLD
            if (named != here)[np.abs(judged - THRESHOLD) > 2 * tolerance].any():
                return off, f"{LABELS} {named.astype(int).tolist()}, and {here.astype(int).tolist()} here"
        return off, None


@dataclass
class Agreement:
    """Rows as a client sends them, one a body, which all models are asked.

    The first model that is asked is the baseline; what it refuses no other one is asked.
    """

    bodies: Sequence[str]
    _refused: set[int] | None = field(default=None)

    def differs(self, port: int, expected: Expected, patience: float) -> str | None:
        """How the replica on that port answers otherwise; None where it does not. Raises Failed."""
        found, refused = _Asking(self.bodies, port, patience).all(self._refused or set())
        if refused and self._refused is not None:
            row, why = next(iter(sorted(refused.items())))
            return f"it refuses row {row} of those that judge it, which the baseline answers: {why}"
        self._refused = self._refused or set(refused)
        every = []
        for row, (together, answer) in sorted(found.items()):
            off, how = expected.off(row, answer)
            if how is not None:
                beside = ", asked by several clients at once" if together else ""
                return f"over HTTP it answers a row that judges it otherwise than in this process{beside}: {how}"
            every.append(off)
        if every and (mean := float(np.mean(every))) > TOLERANCE:
            return (
                f"over HTTP its answers to {len(every)} rows that judge it are off by {mean:.4f} on average from those "
                "in this process"
            )
        return None


class _Asking:
    """One replica that is asked."""

    def __init__(self, bodies: Sequence[str], port: int, patience: float) -> None:
        self._requests = [http(body.encode()) for body in bodies]
        self._port, self._patience = port, patience
        self._lock = threading.Lock()
        self._found: dict[int, tuple[bool, bytes]] = {}
        self._refused: dict[int, str] = {}

    def all(self, without: set[int]) -> tuple[dict[int, tuple[bool, bytes]], dict[int, str]]:
        """The answers by row, with whether others were asked at the same time, and what was refused."""
        left = [row for row in range(len(self._requests)) if row not in without]
        alone, together = iter(left[::2]), iter(left[1::2])
        started = time.monotonic()
        self._ask(alone, together=False)
        took = (time.monotonic() - started) / max(1, len(self._found))
        clients = max(1, min(CLIENTS, int(SECONDS / max(took, 1e-6))))  # each of which waits for all the others
        with ThreadPoolExecutor(clients) as threads:
            for done in [threads.submit(self._ask, together, together=True) for _ in range(clients)]:
                done.result()
        return self._found, self._refused

    def _ask(self, rows: Any, *, together: bool) -> None:
        client, until = Client(self._port, self._patience), time.monotonic() + SECONDS
        while True:
            with self._lock:
                if (row := next(rows, None)) is None:
                    return
            try:
                answer = self._answer(client, row)
                with self._lock:
                    self._found[row] = (together, answer)
            except Refused as refused:
                with self._lock:
                    self._refused[row] = str(refused)
            if time.monotonic() > until:
                return

    def _answer(self, client: Client, row: int) -> bytes:
        until = time.monotonic() + self._patience
        while True:
            try:
                return client.answer(self._requests[row])
            except Busy as busy:
                if time.monotonic() > until:
                    raise Failed(str(busy)) from None
                time.sleep(PAUSE)


def _shown(values: np.ndarray) -> str:
    return f"{', '.join(f'{value:.6g}' for value in values[:5])}{', ...' if len(values) > 5 else ''}"
