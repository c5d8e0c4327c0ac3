"""The bodies of requests: read within limits of their size, of the time that they take, and of all of them together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any

from tradewind_server.encoding import IDENTITY, Decoder
from tradewind_server.refusal import TooLarge, TooSlow, Unavailable, raise_limit

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

# Bodies of requests that are not answered yet may take this many times the limit of one.
_PENDING = 4
# Of messages of gRPC that take longer than this to arrive, in seconds, at most so many may be on their way at once: how
# much of one has come is not known before it is whole.
_PATIENCE = 0.05
_ON_THEIR_WAY = 16
# A value takes 2 bytes of JSON or more, but about a hundred of memory: as many are allowed as fill a body in 16 each.
_BYTES_OF_A_VALUE = 16
_LARGER = raise_limit("maxBodyBytes")
_FEWER = f"send fewer rows in each request{_LARGER}"


class Disconnected(Exception):
    """The client went away before its body was whole."""


class Bodies:
    """Those of all requests that are not answered yet."""

    def __init__(self, largest: int, seconds: float) -> None:
        """`largest` is in bytes, of one body; `seconds` is how long one may take to arrive."""
        self.largest = largest
        self.most_values = largest // _BYTES_OF_A_VALUE
        self._seconds = seconds
        self._held = 0
        self._on_their_way: set[asyncio.Task[Any]] = set()

    async def read(self, headers: Mapping[bytes, bytes], receive: Receive, body: Body) -> bytes:
        """The whole body, decompressed. What has come of it is held until it is let go."""
        encoding = headers.get(b"content-encoding", IDENTITY)
        decoder = None if encoding == IDENTITY else Decoder(encoding)
        declared = headers.get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > self.largest:
            raise TooLarge(f"the body has {int(declared)} bytes, the limit is {self.largest}: {_FEWER}")
        return await self._in_time(self._read(receive, body, decoder), body)

    async def _read(self, receive: Receive, body: Body, decoder: Decoder | None) -> bytes:
        chunks: list[bytes] = []
        came = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Disconnected
            content: bytes = message.get("body", b"")
            came += len(content)
            found: Iterable[bytes] = decoder.pieces(content) if decoder else (content,)
            for chunk in found:
                if max(came, body.size + len(chunk)) > self.largest:
                    raise TooLarge(f"the body is above the limit of {self.largest} bytes: {_FEWER}")
                self._hold(body, len(chunk))
                chunks.append(chunk)
                if decoder:
                    await asyncio.sleep(0)
            if not message.get("more_body", False):
                if decoder:
                    decoder.end()
                return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def message(self, reading: Awaitable[bytes], body: Body) -> bytes:
        """A message of gRPC, which comes as a whole; `reading` waits for it. It is held until it is let go."""
        task = asyncio.current_task()
        assert task
        refused = False

        def expect_long() -> None:
            nonlocal refused
            if refused := len(self._on_their_way) >= _ON_THEIR_WAY:
                task.cancel()
            else:
                self._on_their_way.add(task)

        timer = asyncio.get_running_loop().call_later(_PATIENCE, expect_long)
        try:
            content = await self._in_time(reading, body)
        except asyncio.CancelledError:
            if not refused:
                raise
            task.uncancel()
            raise Unavailable(
                f"{_ON_THEIR_WAY} messages that take long to arrive are on their way already: ask again later, or send"
                " fewer rows in each request"
            ) from None
        finally:
            timer.cancel()
            self._on_their_way.discard(task)
        self._hold(body, len(content))
        return content

    async def _in_time(self, reading: Awaitable[bytes], body: Body) -> bytes:
        try:
            async with asyncio.timeout(self._seconds):
                return await reading
        except TimeoutError:
            raise TooSlow(
                f"{body.size} bytes of the body came in {self._seconds:g} s, which is all the time that it may take:"
                " send fewer rows in each request, or over a faster connection"
            ) from None

    def _hold(self, body: Body, size: int) -> None:
        if self._held + size > _PENDING * self.largest:
            raise Unavailable(f"the bodies of requests that wait take too much memory: ask again later{_LARGER}")
        body.size += size
        self._held += size

    def let_go(self, body: Body) -> None:
        """The request is answered, or was refused."""
        self._held -= body.size


class Body:
    """How many bytes of one have come."""

    size = 0
