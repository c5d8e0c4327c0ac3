"""What a model is worth as a replica: its server as a process, with a replica's resources, asked over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from tradewind_workload.io.fault import Fault
from tradewind_workload.measure.clients import Failed
from tradewind_workload.measure.loading import Broken
from tradewind_workload.measure.measurement import PROCESSES, REQUESTS, WIDE, speedup
from tradewind_workload.measure.seen import Seen, Served
from tradewind_workload.measure.seldom import seldom
from tradewind_workload.measure.stands import Unservable, free_port
from tradewind_workload.measure.sweep import SLACK, Slo, again, sweep

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tradewind.api.compressionjob import Goals, Measure
    from tradewind_workload.measure.figures import Replica
    from tradewind_workload.measure.loading import Loader
    from tradewind_workload.measure.stands import Stand

# Pairs of processes, one of the baseline and one of a variant: an interval of 99 % needs eight of them. There are more
# while it is wide, so many or one for each REQUESTS of measure.repeats, see `measurement`.
PAIRS = (8, 12)
TURNS, SECONDS = 10, 2.0  # of a pair, at most
LEAST, LONGER = 0.25, 6  # of the capacity; and SLOs, each twice as long as the one before
# Pairs in which the rate is found again that was searched in the one before them: five rates, which show how much it
# differs from process to process. They are the last of the fewest pairs, so that the latencies before tell the SLO.
AGAIN = 4
ENDS = 2.0  # seconds in which a server that broke a connection is seen to have ended

# How the replica of a model on a port answers otherwise than it was judged, None where it does not; it has so many
# seconds for an answer. Raises Failed.
Agrees = Callable[[Served, int, float], "str | None"]


@dataclass(frozen=True)
class Patience:
    """Seconds: for a server to become Ready, and for a request of one row."""

    ready: float = 120.0
    request: float = 30.0


class Unfit(Exception):
    """A model that can't be measured as a replica; the text says why."""

    def __init__(self, model: Served, why: str) -> None:
        super().__init__(model, why)
        self.model, self.why = model, why

    def __str__(self) -> str:
        return self.why


@dataclass
class _Seat:
    """Where a replica is."""

    stand: Stand
    port: int = 0

    def start(self, model: Seen, patience: float) -> float:
        """Seconds until it was Ready. Raises Unfit."""
        self.port = free_port()  # anew: nobody keeps one free while a server starts
        try:
            return self.stand.start(model.served.folder, model.served.digest, self.port, patience)
        except Unservable as error:
            raise Unfit(model.served, str(error)) from None


@dataclass
class Replicas:
    """Measures on two stands, whose servers a loader asks."""

    stands: tuple[Stand, Stand]
    ask: Loader
    measure: Measure
    goals: Goals
    patience: Patience = field(default_factory=Patience)
    agrees: Agrees = lambda _model, _port, _patience: None

    def __post_init__(self) -> None:
        one, other = self.stands
        self._seats = (_Seat(one), _Seat(other))
        self._accepted = False

    def figures(
        self, baseline: Served, variants: Sequence[Served], on_step: Callable[[], None] = lambda: None
    ) -> list[Replica | Unfit]:
        """The baseline's, then the variants', or why there are none; `on_step` for each.

        Raises Fault(InvalidModel) where the baseline has none.
        """
        first = Seen(baseline)
        found: list[Replica | Unfit] = []
        try:
            for variant in variants:
                try:
                    found.append(self._beside(first, Seen(variant)))
                except Unfit as unfit:
                    if unfit.model is baseline:
                        raise
                    found.append(unfit)
                on_step()
            if first.sweep is None:  # no variant, or none that could be measured
                self._by_itself(first)
            on_step()
        except Unfit as unfit:
            raise Fault(
                "InvalidModel",
                f"the model itself can't be measured as a replica, which has spec.measure.resources: {unfit}",
            ) from None
        return [first.figures((1.0, 1.0, 1.0)), *found]

    def _beside(self, first: Seen, variant: Seen) -> Replica:
        """A variant beside the baseline."""
        beside: list[np.ndarray] = []
        for number in range(max(PAIRS[1], min(PROCESSES[1], self.measure.repeats // REQUESTS))):
            # Each is in either container in half of the pairs.
            one, other = self._seats if number % 2 == 0 else self._seats[::-1]
            placed = [(first, one), (variant, other)]
            self._start(placed)
            self._turns(placed, number)
            if number == 0:
                self._compare(placed)
            self._bear(placed, number)
            beside.append(first.at_once.times[-1])
            ratio = speedup(beside, variant.at_once.times)
            if number + 1 >= PAIRS[0] and ratio[2] <= WIDE * ratio[1]:
                break
        return variant.figures(ratio)

    def _by_itself(self, first: Seen) -> None:
        """The baseline where there is no variant beside it."""
        placed = [(first, self._seats[0])]
        for number in range(PAIRS[0]):
            self._start(placed)
            self._turns(placed, number)
            if number == 0:
                self._compare(placed)
            self._bear(placed, number)

    def _start(self, placed: Sequence[tuple[Seen, _Seat]]) -> None:
        """A new process of each, all at the same time."""
        with ThreadPoolExecutor(len(placed)) as threads:
            started = [threads.submit(seat.start, model, self.patience.ready) for model, seat in placed]
            for (model, _), took in zip(placed, started, strict=True):
                model.starts.append(took.result())

    def _turns(self, placed: Sequence[tuple[Seen, _Seat]], seed: int) -> None:
        task = {"warmup": self.measure.warmup, "turns": TURNS, "seconds": SECONDS, "seed": seed}
        with _saying(placed):
            if not self._accepted:
                self._accept(*placed[0])
            ports = [seat.port for _, seat in placed]
            found = self.ask("turns", ports=ports, patience=self.patience.request, **task)
            for (model, _), *seen in zip(placed, found["times"], found["mean"], found["parts"], strict=True):
                model.at_once.add(*seen)
            usual = [float(np.median(model.at_once.times[-1])) * 1e-9 for model, _ in placed]
            if (rare := seldom(self.ask, ports, usual, seed, self.patience.request)) is not None:
                for (model, _), *seen in zip(placed, rare["times"], rare["mean"], rare["parts"], strict=True):
                    model.seldom.add(*seen)
        self._look(placed)

    def _compare(self, placed: Sequence[tuple[Seen, _Seat]]) -> None:
        """See that each is served as it was judged, the baseline once."""
        for number, (model, seat) in enumerate(placed):
            if model.compared:
                continue
            with _saying(placed):
                try:
                    how = self.agrees(model.served, seat.port, self.patience.request)
                except Failed as failure:
                    raise Broken(number, str(failure)) from None
            if how is not None:
                raise Unfit(model.served, how)
            model.compared = True

    def _accept(self, first: Seen, seat: _Seat) -> None:
        """Rows that the baseline refuses are not asked again."""
        refusal = self.ask("accepted", port=seat.port, patience=self.patience.request)["refusal"]
        if refusal:
            raise Unfit(first.served, f"it takes none of the rows that judge it: {refusal}")
        self._accepted = True

    def _bear(self, placed: Sequence[tuple[Seen, _Seat]], number: int) -> None:
        """The rate that each bears: searched in one process, and found again in AGAIN others."""
        if number < PAIRS[0] - 1 - AGAIN:
            return
        for model, seat in placed:
            with _saying([(model, seat)]):
                if model.sweep is None:
                    self._sweep(model, seat)
                elif model.sweep.rate and len(model.sweep.others) < AGAIN:
                    self._again(model, seat)
        self._look(placed)

    def _sweep(self, model: Seen, seat: _Seat) -> None:
        """What it bears within the goal, where it keeps that when asked now and then, or within an SLO of its own.

        A replica that alone is busy bears most of its capacity. Where it bears so little, it is what the machine does
        besides that its latency shows, and a longer one is named and kept: a number that says nothing is of no use.
        """
        goal, usual = self.goals.max_latency, model.at_once.latency(50)
        by_goal = goal is not None and model.asked.latency(goal.percentile) <= float(goal.milliseconds)
        if goal is not None and by_goal:
            slo = Slo(goal.percentile, float(goal.milliseconds))
        else:
            slo = Slo(95, SLACK * model.asked.latency(50))
        for _ in range(LONGER):
            found = sweep(self.ask, seat.port, slo, usual, self.patience.request)
            if by_goal or found.rate >= LEAST * found.capacity:
                break
            slo = Slo(slo.percentile, 2 * slo.milliseconds)
        if not by_goal and not found.rate:
            # On a machine that is never quiet: what one client gets, who asks again when it has its answer.
            slo = Slo(95, model.at_once.latency(95))
            found = replace(found, rate=1000 / usual, slo=slo, of_one_client=True)
        model.sweep = found

    def _again(self, model: Seen, seat: _Seat) -> None:
        """The same of another process."""
        assert model.sweep is not None
        if model.sweep.of_one_client:
            rate = 1e9 / float(np.median(model.at_once.times[-1]))
        else:
            rate = again(self.ask, seat.port, model.sweep, self.patience.request)
        model.sweep = replace(model.sweep, others=(*model.sweep.others, rate))

    def _look(self, placed: Sequence[tuple[Seen, _Seat]]) -> None:
        with _saying(placed):
            for number, (model, seat) in enumerate(placed):
                if (ended := seat.stand.why()) is not None:
                    raise Broken(number, ended)
                model.peak = max(model.peak, seat.stand.look()["peakMemoryBytes"])


@contextmanager
def _saying(placed: Sequence[tuple[Seen, _Seat]]) -> Iterator[None]:
    """Says of a replica that broke why it has ended, if it has."""
    try:
        yield
    except Broken as broken:
        model, seat = placed[broken.number]
        raise Unfit(model.served, seat.stand.why(ENDS) or broken.why) from None
