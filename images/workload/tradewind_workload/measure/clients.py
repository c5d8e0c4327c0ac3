"""Clients of a replica over HTTP: one that waits for its answers, and as many as it takes.

Only the standard library, as load.py says.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

HOST = "127.0.0.1"
MODEL = "model"  # what each replica calls its model
CONNECTIONS = 400  # at the same time at most; `select` takes 1024 files
_CHUNK = 1 << 18


class Failed(Exception):
    """A replica gave no answer, or none that is one; the text says what came instead."""


class Refused(Failed):
    """It does not take the request."""


class Busy(Refused):
    """It has too much to do at the moment."""


def http(body: bytes) -> bytes:
    """A whole request of protocol v2."""
    head = (
        f"POST /v2/models/{MODEL}/infer HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def parsed(content: bytes | bytearray) -> tuple[int, bytes] | None:
    """Status and body of an answer; None while it is not whole."""
    head, found, body = bytes(content).partition(b"\r\n\r\n")
    if not found:
        return None
    _, length, rest = head.lower().partition(b"content-length:")
    if not length:
        raise Failed(f"it answers without a length: {head[:200]!r}")
    if len(body) < int(rest.split(b"\r\n", 1)[0]):
        return None
    return int(head.split(b" ", 2)[1]), body


class Client:
    """One client: it asks again when it has its answer, on one connection."""

    def __init__(self, port: int, seconds: float) -> None:
        self._seconds = seconds
        try:
            self._socket = socket.create_connection((HOST, port), timeout=seconds)
        except OSError as error:
            raise Failed(f"it takes no connection: {error}") from None
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, request: bytes) -> int:
        """The time until its answer is whole. Raises Failed, also for an answer that is none."""
        started = time.perf_counter_ns()
        code, body = self._exchange(request)
        took = time.perf_counter_ns() - started
        _require_answer(code, body)
        return took

    def answer(self, request: bytes) -> bytes:
        """The body of its answer. Raises Failed, also for an answer that is none."""
        code, body = self._exchange(request)
        _require_answer(code, body)
        return body

    def parts(self) -> dict[str, tuple[float, int]]:
        """Seconds so far by the part of a request, and of how many."""
        code, body = self._exchange(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        found: dict[str, list[float]] = {}
        for line in body.decode().splitlines() if code == 200 else ():
            name, _, value = line.rpartition(" ")
            for at, kind in enumerate(("_sum{", "_count{")):
                if name.startswith("tradewind_request_part_seconds" + kind):
                    part = name.split('part="')[1].split('"')[0]
                    found.setdefault(part, [0.0, 0.0])[at] = float(value)
        return {part: (seconds, int(count)) for part, (seconds, count) in found.items()}

    def _exchange(self, request: bytes) -> tuple[int, bytes]:
        answer = bytearray()
        try:
            self._socket.sendall(request)
            while (found := parsed(answer)) is None:
                if not (chunk := self._socket.recv(_CHUNK)):
                    raise Failed("it closed the connection without an answer")
                answer += chunk
        except TimeoutError:
            raise Failed(f"it gives no answer within {self._seconds:g} s") from None
        except OSError as error:
            raise Failed(f"the connection broke: {error.strerror or error}") from None
        return found


def _require_answer(code: int, body: bytes) -> None:
    if code != 200:
        raise (Busy if code in (429, 503) else Refused if code < 500 else Failed)(
            f"it answers {code} to a row of the data: {_said(body)}"
        )


def _said(body: bytes) -> str:
    with contextlib.suppress(ValueError, TypeError, KeyError):
        return str(json.loads(body)["error"])[:500]
    return body[:200].decode(errors="replace")


@dataclass
class _Asked:
    """A request on its way, on a connection that has no other."""

    socket: socket.socket
    due: float
    rest: memoryview
    answer: bytearray = field(default_factory=bytearray)


@dataclass
class Load:
    """Requests to one replica on as many connections as it takes."""

    port: int
    requests: Sequence[bytes]
    patience: float
    answered: list[float] = field(default_factory=list)  # seconds since each was due
    refused: int = 0  # requests with any other answer than 200, or without one
    late: list[float] = field(default_factory=list)  # seconds that requests were sent after they were due
    asked: dict[int, _Asked] = field(default_factory=dict)  # by connection, what is not answered yet
    _idle: deque[socket.socket] = field(default_factory=deque)

    def send(self, number: int, due: float) -> None:
        """Ask now what was due then."""
        if not self._idle and len(self.asked) >= CONNECTIONS:
            self.refused += 1  # so many are waiting already: this one would not be answered in time
            return
        request = self.requests[number % len(self.requests)]
        try:
            asking = _Asked(self._idle.pop() if self._idle else self._connected(), due, memoryview(request))
        except OSError:
            self.refused += 1
            return
        self.late.append(time.perf_counter() - due)
        self.asked[asking.socket.fileno()] = asking
        self.write(asking)

    def _connected(self) -> socket.socket:
        made = socket.create_connection((HOST, self.port), timeout=self.patience)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.setblocking(False)
        return made

    def open(self, connections: int) -> None:
        """Connections that are there already when requests come."""
        with contextlib.suppress(OSError):
            self._idle.extend(self._connected() for _ in range(connections))

    def look(self, seconds: float) -> int:
        """Wait so long for anything to come, and take it: how many requests ended."""
        return look([self], seconds)

    def write(self, asking: _Asked) -> None:
        """Send what the connection takes of it."""
        with contextlib.suppress(OSError):  # what is wrong shows when the answer is read
            asking.rest = asking.rest[asking.socket.send(asking.rest) :]

    def read(self, asking: _Asked) -> bool:
        """Take what came for it: whether it ended."""
        try:
            chunk = asking.socket.recv(_CHUNK)
        except BlockingIOError:
            return False
        except OSError:
            chunk = b""
        asking.answer += chunk
        found = None if not chunk else parsed(asking.answer)
        if chunk and found is None:
            return False
        del self.asked[asking.socket.fileno()]
        if found is not None and found[0] == 200:
            self.answered.append(time.perf_counter() - asking.due)
        else:
            self.refused += 1
        if found is None or b"connection: close" in bytes(asking.answer[:1000]).lower():
            asking.socket.close()
        else:
            self._idle.append(asking.socket)
        return True

    @property
    def flying(self) -> int:
        """Requests that are not answered yet."""
        return len(self.asked)

    def end(self) -> None:
        """What is not answered by now never is."""
        self.refused += self.flying
        for asking in self.asked.values():
            asking.socket.close()
        for idle in self._idle:
            idle.close()
        self.asked.clear()
        self._idle.clear()


def look(loads: Sequence[Load], seconds: float) -> int:
    """Wait so long for anything to come to one of them, and take it: how many requests ended."""
    asked = {number: (load, asking) for load in loads for number, asking in load.asked.items()}
    writing = [number for number, (_, asking) in asked.items() if asking.rest]
    ready, writable, _ = select.select(list(asked), writing, [], max(0.0, seconds))
    for load, asking in map(asked.__getitem__, writable):
        load.write(asking)
    return sum(load.read(asking) for load, asking in map(asked.__getitem__, ready))
