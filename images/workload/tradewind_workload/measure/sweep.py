"""Throughput within an SLO: the highest rate at which requests that come at random times are answered in time."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

SLACK = 5.0  # times the median of requests that come now and then: the longest 95th percentile, where no goal says one
CLIENTS = (2, 4, 8, 16, 32, 64)  # in a closed loop, to find what there is to expect at most
GAIN = 1.03  # that more clients must bring
STEP = 0.03  # of the capacity: rates are told apart by so much
# A try of a rate takes so many seconds, and three decide by majority: a short one may meet what the machine does
# besides. Where so few requests come in a try, there is a single one, of more requests and so many seconds at most,
# beside which the machine's own doings are short.
SECONDS, TRIES, FEW = 0.3, 3, 200
REQUESTS, LONGEST, FEWEST = 400, 8.0, 40
SLOW = 1000.0  # milliseconds: beyond it nothing is swept
LOWER = 10  # steps down at most, where the rate that was found is not kept again
# Another process of the model begins at the rate of those before it, and goes up or down by a step, then by one twice
# as large, up to the largest, until a rate is kept and one that is FINE times as high is not; or until so many tries,
# or the first rate that is kept after so many seconds. A try takes SHORT seconds, or up to LONG where they have less
# than SOME requests.
STEPS, FINE, MOST, ENOUGH = (0.05, 0.4), 1.06, 8, 2.5
SHORT, LONG, SOME, LEAST = 0.4, 1.5, 100, 5


class Asks(Protocol):
    """A loader: does what it is told, with one replica."""

    def __call__(self, do: str, **task: Any) -> dict[str, Any]:
        """See load.py."""
        ...


@dataclass(frozen=True)
class Slo:
    """A latency, in milliseconds, that so many percent of the requests must keep."""

    percentile: int
    milliseconds: float


@dataclass(frozen=True)
class Point:
    """What happened at a rate."""

    rate: float  # requests per second
    latency: float | None  # milliseconds, by the SLO's percentile; None where too many were refused or never answered
    kept: bool


@dataclass(frozen=True)
class Sweep:
    """What a replica bears."""

    rate: float  # requests per second, the highest that keeps the SLO; 0 where none does
    slo: Slo
    capacity: float  # requests per second of clients that ask again when they have their answers
    points: tuple[Point, ...]  # in the order of their rates
    others: tuple[float, ...] = ()  # the same of other processes of the model, each 0 where it kept none that was tried
    of_one_client: bool = False  # rates are those of a client that asks again when it has its answer, and keep no SLO

    @property
    def median(self) -> float:
        """The rate of the model, requests per second."""
        return statistics.median((self.rate, *self.others))

    @property
    def low(self) -> float:
        """The lowest rate of a process."""
        return min((self.rate, *self.others))

    @property
    def high(self) -> float:
        """The highest rate of a process."""
        return max((self.rate, *self.others))


def sweep(ask: Asks, port: int, slo: Slo, median: float, patience: float) -> Sweep:
    """Of a replica whose median latency is so many milliseconds for a client who asks again at once.

    One of a slow replica would take hours: its rate is that of one client who asks again when it has its answer.
    Raises the loader's Broken where the replica ends meanwhile.
    """
    found = _Sweeping(ask, port, slo, patience)
    if median > SLOW:
        return Sweep(1000 / median, slo, 1000 / median, (), of_one_client=True)
    capacity = found.capacity()
    low, high, rate = 0.0, capacity, 0.75 * capacity
    while high - low > STEP * capacity:
        if found.keeps(rate):
            low = rate
        else:
            high = rate
        rate = (low + high) / 2
    # Of rates that are tried one by one the best is kept by chance: it has to be kept once more.
    for _ in range(LOWER):
        if low == 0 or found.keeps(low, again=2):
            break
        low *= 1 - STEP
    return Sweep(low, slo, capacity, tuple(sorted(found.points, key=lambda point: point.rate)))


def again(ask: Asks, port: int, found: Sweep, patience: float) -> float:
    """The rate that another process of the model keeps, 0 where it keeps none that is tried.

    Raises the loader's Broken where the replica ends meanwhile.
    """
    sweeping = _Sweeping(ask, port, found.slo, patience, seed=1000 * (1 + len(found.others)))
    rate = statistics.median(rate for rate in (found.rate, *found.others) if rate)
    step, low, high, spent = STEPS[0], 0.0, math.inf, 0.0
    for _ in range(MOST):
        count = math.ceil(max(LEAST, SHORT * rate, min(SOME, LONG * rate)))
        spent += count / rate
        if sweeping.tried(rate, count):
            low = rate
        else:
            high = rate
        if low and (high <= FINE * low or spent > ENOUGH):
            break
        if low and high < math.inf:
            rate = (low + high) / 2
        else:
            rate *= 1 + step if low else 1 - step
            step = min(2 * step, STEPS[1])
    return low


class _Sweeping:
    """The tries so far."""

    def __init__(self, ask: Asks, port: int, slo: Slo, patience: float, seed: int = 0) -> None:
        self._ask, self._port, self._slo, self._patience, self._seed = ask, port, slo, patience, seed
        self.points: list[Point] = []

    def capacity(self) -> float:
        """The highest rate of a closed loop, with as many clients as it takes."""
        best = 0.0
        for clients in CLIENTS:
            task = {"clients": clients, "seconds": SECONDS, "port": self._port, "patience": self._patience}
            rate = float(self._ask("closed", **task)["rate"])
            self._settle()
            if rate < GAIN * best:
                return max(best, rate)
            best = rate
        return best

    def keeps(self, rate: float, again: int = 1) -> bool:
        """Whether most tries at that rate keep the SLO; `again` times as many, less one, make surer."""
        few = rate * SECONDS < FEW
        count = max(FEWEST, min(REQUESTS, rate * LONGEST)) if few else rate * SECONDS
        tries = again * (1 if few else TRIES)
        tries -= 1 - tries % 2  # an odd number
        kept: list[bool] = []
        while max(kept.count(True), kept.count(False)) <= tries // 2:
            kept.append(self.tried(rate, math.ceil(count)))
        return kept.count(True) > tries // 2

    def tried(self, rate: float, count: int) -> bool:
        """Whether so many requests at that rate keep the SLO."""
        self._seed += 1
        within = self._slo.milliseconds / 1000
        task = {"rate": rate, "count": count, "seed": self._seed, "within": within, "port": self._port}
        found = self._ask("opened", **task, patience=self._patience)
        self._settle()
        latency = percentile(found["latencies"], found["missed"], self._slo.percentile)
        point = Point(rate, latency, latency is not None and latency <= self._slo.milliseconds)
        self.points.append(point)
        return point.kept

    def _settle(self) -> None:
        """Until what was asked before is done."""
        self._ask("settled", port=self._port, within=self._slo.milliseconds / 1000, patience=self._patience)


def percentile(latencies: Sequence[int], missed: int, of: int) -> float | None:
    """In milliseconds, of nanoseconds and of requests that have none; None where it is among those."""
    at = math.ceil((len(latencies) + missed) * of / 100) - 1
    return sorted(latencies)[at] * 1e-6 if at < len(latencies) else None
