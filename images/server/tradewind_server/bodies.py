"""The bodies of requests: read within limits of their size, of the time that they take, and of all of them together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from tradewind_server.refusal import Encoded, TooLarge, TooSlow, Unavailable, raise_limit

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

# Bodies of requests that are not answered yet may take this many times the limit of one.
_PENDING = 4
_LARGER = raise_limit("maxBodyBytes")
_FEWER = f"send fewer rows in each request{_LARGER}"


class Disconnected(Exception):
    """The client went away before its body was whole."""


class Bodies:
    """Those of all requests that are not answered yet."""

    def __init__(self, largest: int, seconds: float) -> None:
        """`largest` is in bytes, of one body; `seconds` is how long one may take to arrive."""
        self.largest = largest
        self._seconds = seconds
        self._held = 0

    async def read(self, headers: Mapping[bytes, bytes], receive: Receive, body: Body) -> bytes:
        """The whole body. What has come of it is held until it is let go."""
        if headers.get(b"content-encoding", b"identity") != b"identity":
            raise Encoded("send the body uncompressed")
        declared = headers.get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > self.largest:
            raise TooLarge(f"the body has {int(declared)} bytes, the limit is {self.largest}: {_FEWER}")
        try:
            async with asyncio.timeout(self._seconds):
                return await self._read(receive, body)
        except TimeoutError:
            raise TooSlow(
                f"{body.size} bytes of the body came in {self._seconds:g} s, which is all the time that it may take:"
                " send fewer rows in each request, or over a faster connection"
            ) from None

    async def _read(self, receive: Receive, body: Body) -> bytes:
        chunks: list[bytes] = []
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Disconnected
            chunk: bytes = message.get("body", b"")
            if body.size + len(chunk) > self.largest:
                raise TooLarge(f"the body is above the limit of {self.largest} bytes: {_FEWER}")
            self._hold(body, len(chunk))
            chunks.append(chunk)
            if not message.get("more_body", False):
                return chunks[0] if len(chunks) == 1 else b"".join(chunks)

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
