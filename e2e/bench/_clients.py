"""Clients of the benchmarks of serving, which share no code with the job that measures replicas.

They need nothing but the standard library, so that a pod can run the text of this file.
"""

from __future__ import annotations

import asyncio
import os
import random
import selectors
import socket
import statistics
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

HOST = os.environ.get("SERVER_HOST", "127.0.0.1")
STEP = 0.03  # of the capacity: rates are told apart by so much
MANY = 2000.0  # requests per second: that many don't come one by one, and keep a slow client busy
# Between two requests that come now and then: times what one takes, and up to so many seconds more.
BREAK, PAUSE = 4.0, 0.04


def _run(program: Coroutine[Any, Any, T]) -> T:
    """On uvloop, where it is installed."""
    try:
        import uvloop
    except ImportError:
        return _run_exactly(program)
    found: T = uvloop.run(program)
    return found


def _run_exactly(program: Coroutine[Any, Any, T]) -> T:
    """On `select`, which is slower, and waits exactly: the clocks of uvloop and of epoll are ones of milliseconds."""
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
        return runner.run(program)


class Connection(asyncio.Protocol):
    """A closed loop: the next request goes out when the last one is answered."""

    def __init__(self, payload: bytes, latencies: list[float], errors: list[str]) -> None:
        self.payload = payload
        self.latencies = latencies
        self.errors = errors
        self.buffer = b""
        self.sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asks for the first time."""
        self.transport: Any = transport
        self.send()

    def send(self) -> None:
        """Asks."""
        self.sent = time.perf_counter()
        self.transport.write(self.payload)

    def data_received(self, data: bytes) -> None:
        """Asks again if the answer is whole."""
        self.buffer += data
        if not _whole(self.buffer):
            return
        self.latencies.append(time.perf_counter() - self.sent)
        if not self.buffer.startswith(b"HTTP/1.1 200"):
            self.errors.append(self.buffer.partition(b"\r\n\r\n")[2].decode())
        self.buffer = b""
        self.send()


def client(port: int, payload_file: Path, concurrency: int, seconds: float) -> dict[str, Any]:
    """Asks for `seconds`, and longer if there is hardly an answer by then; a tenth of it before to warm up."""
    latencies: list[float] = []
    errors: list[str] = []
    payload = payload_file.read_bytes()

    async def run() -> float:
        loop = asyncio.get_running_loop()
        for _ in range(concurrency):
            await loop.create_connection(lambda: Connection(payload, latencies, errors), HOST, port)
        await asyncio.sleep(seconds / 10)
        latencies.clear()
        start = time.perf_counter()
        await asyncio.sleep(seconds)
        while len(latencies) < 2 * concurrency and not errors:  # noqa: ASYNC110 -- an event for each answer would cost
            await asyncio.sleep(0.05)
        return time.perf_counter() - start

    took = _run(run())
    return {"latencies": latencies, "seconds": took, "errors": errors[:1]}


class Call(asyncio.Protocol):
    """One request at a time, over a connection that stays. `done` is told the HTTP code."""

    def __init__(self, done: Callable[[Call, int], None]) -> None:
        self.done = done
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands."""
        self.transport: Any = transport

    def ask(self, payload: bytes) -> None:
        """Asks."""
        self.buffer = b""
        self.transport.write(payload)

    def data_received(self, data: bytes) -> None:
        """Tells of an answer once it is whole."""
        self.buffer += data
        if _whole(self.buffer):
            self.done(self, int(self.buffer[9:12]))


def offered(port: int, payload_file: Path, rate: float, seconds: float) -> dict[str, Any]:
    """Requests at random times, so many a second, whether or not those before are answered.

    Gives the latencies from the time at which each was due: of those that were answered in `latencies`, and of those
    that were refused.
    """
    payload = payload_file.read_bytes()
    latencies: list[float] = []
    refused: list[float] = []
    rng = random.Random()

    async def run() -> float:
        loop = asyncio.get_running_loop()
        free: list[Call] = []
        due: dict[Call, float] = {}

        def done(call: Call, code: int) -> None:
            (latencies if code == 200 else refused).append(time.perf_counter() - due.pop(call))
            free.append(call)

        async def ask(at: float) -> None:
            call = free.pop() if free else (await loop.create_connection(lambda: Call(done), HOST, port))[1]
            due[call] = at
            call.ask(payload)

        asking = []
        start = at = time.perf_counter()
        while (at := at + rng.expovariate(rate)) < start + seconds:
            await asyncio.sleep(at - time.perf_counter())
            asking.append(loop.create_task(ask(at)))
        took = time.perf_counter() - start
        answered = len(latencies)
        await asyncio.gather(*asking)
        while due:  # noqa: ASYNC110 -- as above
            await asyncio.sleep(0.01)
        return took * len(latencies) / max(1, answered)  # what was answered in the end, at the rate of before

    took = _run_exactly(run()) if rate < MANY else _run(run())
    return {"latencies": latencies, "refused": refused, "seconds": took}


def seldom(port: int, payload_file: Path, seconds: float) -> dict[str, Any]:
    """Latencies of requests that come now and then, with pauses of random length, so that none waits for another.

    By a plain socket: an event loop takes tenths of a millisecond to wake up, which would count as the server's.
    """
    payload = payload_file.read_bytes()
    least = BREAK * statistics.median(client(port, payload_file, 1, seconds / 10)["latencies"])
    latencies: list[float] = []
    errors: list[str] = []
    with socket.create_connection((HOST, port), timeout=60) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        until = time.perf_counter() + seconds
        while not latencies or time.perf_counter() < until:
            time.sleep(least + random.uniform(0, PAUSE))
            sent = time.perf_counter()
            connection.sendall(payload)
            answer = b""
            while not _whole(answer):
                if not (chunk := connection.recv(1 << 18)):
                    raise ConnectionError("the server closed the connection without an answer")
                answer += chunk
            latencies.append(time.perf_counter() - sent)
            if not answer.startswith(b"HTTP/1.1 200"):
                errors.append(answer.decode())
    return {"latencies": latencies, "errors": errors[:1]}


def _whole(answer: bytes) -> bool:
    head, found, body = answer.partition(b"\r\n\r\n")
    return bool(found) and len(body) >= int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])


def bears(port: int, payload_file: Path, percentile: float, within: float, seconds: float) -> dict[str, Any]:
    """The latencies of requests that come now and then, and the highest rate, of requests at random times, at which so
    many percent are answered within so many seconds. Seconds of a try."""
    alone = seldom(port, payload_file, 2 * seconds)
    closed = client(port, payload_file, 16, seconds)
    low, high = 0.0, len(closed["latencies"]) / closed["seconds"]
    capacity = high

    def kept(rate: float) -> bool:
        found = offered(port, payload_file, rate, max(seconds / 2, 40 / rate))
        times = sorted(found["latencies"]) + [float("inf")] * len(found["refused"])
        return bool(times[int(percentile / 100 * len(times))] <= within)

    while high - low > STEP * capacity:
        rate = (low + high) / 2
        if sum(kept(rate) for _ in range(3)) > 1:
            low = rate
        else:
            high = rate
    return alone | {"rate": low, "capacity": capacity}


def probes(port: int, seconds: float) -> dict[str, Any]:
    """Probes of liveness, each over a connection of its own as the kubelet's are, fifty a second."""
    import http.client

    latencies: list[float] = []
    start = time.perf_counter()
    while (now := time.perf_counter()) - start < seconds:
        connection = http.client.HTTPConnection(HOST, port, timeout=60)
        connection.request("GET", "/v2/health/live")
        if connection.getresponse().status != 200:
            return {"latencies": latencies, "seconds": now - start, "errors": ["it is not alive"]}
        connection.close()
        latencies.append(time.perf_counter() - now)
        time.sleep(max(0.0, 0.02 - latencies[-1]))
    return {"latencies": latencies, "seconds": time.perf_counter() - start}


def load(port: int, files: list[str]) -> None:
    """Sends each of these requests over and over, over a connection for each, until it is killed."""
    payloads = [Path(file).read_bytes() for file in files]

    async def run() -> None:
        loop = asyncio.get_running_loop()
        for payload in payloads:

            def again(call: Call, _: int, payload: bytes = payload) -> None:
                call.ask(payload)

            _, call = await loop.create_connection(lambda again=again: Call(again), HOST, port)  # type: ignore[misc]
            call.ask(payload)
        await asyncio.Event().wait()

    _run(run())
