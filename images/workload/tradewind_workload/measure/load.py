"""Asks replicas over HTTP in a process of its own: `python -m tradewind_workload.measure.load FILE`.

The file has the bodies of requests, a JSON list of texts. For each line of stdin, a JSON object that says what to do,
it writes one to stdout. It imports nothing but the standard library: what it does besides asking would be measured too.
Times are in nanoseconds.
"""

from __future__ import annotations

import contextlib
import gc
import itertools
import json
import random
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tradewind_workload.measure.clients import Busy, Client, Failed, Load, Refused, http, look

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# Of replicas, and of models alone.
BLOCK = 5  # timed requests to one of them in a row
COLD = 2  # requests before them, which are not timed: they find the caches as another one left them


def turns(task: dict[str, Any], requests: Sequence[bytes]) -> dict[str, Any]:
    """Replicas by turns, in an order that is drawn anew: their times, [replica][turn][request], and their parts.

    They get as many turns as fit into `seconds`, `turns` at most and two at least. Raises FailedReplica.
    """
    drawn = random.Random(task["seed"])
    clients = []
    for number, port in enumerate(task["ports"]):
        with _of(number):
            clients.append(Client(port, task["patience"]))
    usual = []
    for number in drawn.sample(range(len(clients)), len(clients)):
        with _of(number):
            took = [clients[number].ask(requests[0])]
            until = time.perf_counter() + task["seconds"] / 4
            for i in range(1, task["warmup"]):
                if time.perf_counter() > until:
                    break
                took.append(clients[number].ask(requests[i % len(requests)]))
            usual.append(statistics.median(took) * 1e-9)
    room = task["seconds"] / sum(usual)  # requests to each
    cold, block = (COLD, BLOCK) if room >= 2 * (COLD + BLOCK) else (0, 1)
    count = max(2, min(task["turns"], int(room / (cold + block))))
    before = [client.parts() for client in clients]
    times: list[list[list[int]]] = [[] for _ in clients]
    whole = [0] * len(clients)
    own = time.process_time()
    for turn in range(count):
        for number in drawn.sample(range(len(clients)), len(clients)):
            ask, took = clients[number].ask, list[int]()
            with _of(number):
                for i in range(cold + block):
                    took.append(ask(requests[(turn * block + i) % len(requests)]))
            times[number].append(took[cold:])
            whole[number] += sum(took)
    own = time.process_time() - own
    asked = count * (cold + block)
    return {
        "times": times,
        "mean": [total / asked for total in whole],
        "parts": [_since(client, old) for client, old in zip(clients, before, strict=True)],
        "own": own / (asked * len(clients)) * 1e9,
    }


def seldom(task: dict[str, Any], requests: Sequence[bytes]) -> dict[str, Any]:
    """Requests that come now and then, to one replica after the other: their times, [replica][request], and parts.

    Before each there is a pause of random length, within the two of `pause`. None waits for the answer before it, and
    each is timed from when it was sent: what this process was late by is no replica's. Raises FailedReplica.
    """
    drawn = random.Random(task["seed"])
    clients, loads = [], []
    for number, port in enumerate(task["ports"]):
        with _of(number):
            clients.append(Client(port, task["patience"]))
        loads.append(Load(port, requests, task["patience"]))
        loads[-1].open(2)
    before = [client.parts() for client in clients]
    order = drawn.sample(range(len(loads)), len(loads))
    for asked in range(task["count"]):
        for number in order:
            due = time.perf_counter() + drawn.uniform(*task["pause"])
            while (left := due - time.perf_counter()) > 0:
                look(loads, left)
            loads[number].send(asked, time.perf_counter())
    until = time.perf_counter() + task["patience"]
    while any(load.flying for load in loads) and (look(loads, task["patience"]) or time.perf_counter() < until):
        pass
    for number, load in enumerate(loads):
        load.end()
        if load.refused:
            raise FailedReplica(
                number, f"{load.refused} of {task['count']} requests that came now and then got no answer"
            )
    times = [[round(seconds * 1e9) for seconds in load.answered] for load in loads]
    return {
        "times": times,
        "mean": [statistics.fmean(took) for took in times],
        "parts": [_since(client, old) for client, old in zip(clients, before, strict=True)],
    }


def _since(client: Client, before: dict[str, tuple[float, int]]) -> dict[str, tuple[float, int]]:
    """What was added to the parts."""
    nothing = (0.0, 0)
    return {
        part: (seconds - before.get(part, nothing)[0], count - before.get(part, nothing)[1])
        for part, (seconds, count) in client.parts().items()
    }


@contextlib.contextmanager
def _of(number: int) -> Iterator[None]:
    """Says which replica it was that failed."""
    try:
        yield
    except Failed as failure:
        raise FailedReplica(number, str(failure)) from None


class FailedReplica(Exception):
    """The replica of that number failed."""

    def __init__(self, number: int, why: str) -> None:
        super().__init__(number, why)
        self.number, self.why = number, why


def closed(task: dict[str, Any], requests: Sequence[bytes]) -> dict[str, Any]:
    """So many clients, each of which asks again when it has its answer, for `seconds` and three answers each."""
    clients = task["clients"]
    load = Load(task["port"], requests, task["patience"])
    load.open(clients)
    numbers = itertools.count()
    started = time.perf_counter()
    latest = started + task["seconds"] + task["patience"]
    for _ in range(clients):
        load.send(next(numbers), time.perf_counter())
    while True:
        ended = load.look(0.1)
        now = time.perf_counter()
        over = now - started >= task["seconds"] and len(load.answered) >= 3 * clients
        if over or now > latest or load.refused > clients:
            break
        for _ in range(ended):
            load.send(next(numbers), time.perf_counter())
    took, answered = time.perf_counter() - started, len(load.answered)
    load.end()
    return {"rate": answered / took, "answered": answered}


def opened(task: dict[str, Any], requests: Sequence[bytes]) -> dict[str, Any]:
    """Requests at random times, so many a second on average, whether those before are answered or not.

    Each is timed from when it was due, and has until `within` seconds after the last one was due.
    """
    drawn, rate = random.Random(task["seed"]), task["rate"]
    load = Load(task["port"], requests, task["patience"])
    load.open(16)
    started = time.perf_counter() + 0.01
    dues = list(itertools.accumulate(drawn.expovariate(rate) for _ in range(task["count"])))
    own = time.process_time()
    for number, due in enumerate(dues):
        while (left := started + due - time.perf_counter()) > 0:
            load.look(left)
        load.send(number, started + due)
        load.look(0)
    last = started + dues[-1] + task["within"]
    while load.flying and (left := last - time.perf_counter()) > 0:
        load.look(left)
    own = time.process_time() - own
    load.end()
    return {
        "latencies": [round(seconds * 1e9) for seconds in load.answered],
        "missed": load.refused,
        "late": round(statistics.median(load.late) * 1e9) if load.late else 0,
        "own": own / task["count"] * 1e9,
    }


def settled(task: dict[str, Any], requests: Sequence[bytes]) -> dict[str, Any]:
    """Ask one after the other until an answer takes `within` at most: what was asked before is done then.

    Raises FailedReplica.
    """
    until = time.perf_counter() + task["patience"]
    with _of(0):
        client = Client(task["port"], task["patience"])
        for asked in itertools.count(1):
            with contextlib.suppress(Busy):
                if client.ask(requests[asked % len(requests)]) * 1e-9 <= task["within"]:
                    break
            if time.perf_counter() > until:
                raise Failed(f"{task['patience']:g} s after many requests it still does not answer one in time")
            time.sleep(0.001)
    return {"asked": asked}


def accepted(task: dict[str, Any], requests: list[bytes]) -> dict[str, Any]:
    """Ask each once, and keep those that are answered for what comes next; why one was refused, where none is left.

    Raises FailedReplica.
    """
    answered, refusal = [], ""
    with _of(0):
        client = Client(task["port"], task["patience"])
        for request in requests:
            try:
                client.ask(request)
                answered.append(request)
            except Refused as refused:
                refusal = str(refused)
    requests[:] = answered
    return {"refusal": refusal if not answered else None, "kept": len(answered)}


DOES = {
    "accepted": accepted,
    "turns": turns,
    "seldom": seldom,
    "closed": closed,
    "opened": opened,
    "settled": settled,
}


def main() -> None:
    """Do what each line says."""
    requests = [http(body.encode()) for body in json.loads(Path(sys.argv[1]).read_bytes())]
    gc.disable()  # nothing here refers to itself
    for line in sys.stdin:
        task: dict[str, Any] = json.loads(line)
        try:
            done = DOES[task["do"]](task, requests)
        except FailedReplica as failure:
            done = {"failed": failure.number, "why": failure.why}
        print(json.dumps(done), flush=True)


if __name__ == "__main__":
    main()
