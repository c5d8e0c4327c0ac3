"""How whole kinds are listed: from the API server's cache, kept as it was compressed, and decoded one by one.

The session that lists also watches.
"""

from __future__ import annotations

import codecs
import json
import re
import zlib
from collections.abc import Awaitable, Callable, Iterable, Iterator
from http import HTTPStatus
from typing import Any, Self

import aiohttp
from aiohttp.hdrs import ACCEPT_ENCODING, CONTENT_ENCODING
from multidict import CIMultiDict

from tradewind.kube.connection import Connection, Counter, describe, kept_alive, session_options
from tradewind.kube.streaming import Events, Take

PIECE = 1 << 18  # bytes of a list that are text at once
PACKED_PIECE = 1 << 14  # and packed bytes that they are unpacked from: what is left of these is copied each time

# Is given each page of each list: its path, whether it is the first, and its members (see `members`). What it leaves of
# the page after it took the objects; None: it takes none of this kind.
Page = Callable[[str, bool, Iterable[tuple[str, Any]]], Awaitable[dict[str, Any] | None]]


class ListedResponse(aiohttp.ClientResponse):
    """An answer that hands out the objects of a list, or the events of a watch; made by `watching_session`.

    Ten thousand objects are a hundred megabytes of JSON, and a few as the API server compresses them. They are read in
    one go, so that the API server is done with us, and unpacked while they are taken in.
    """

    page: Page
    take: Take

    async def start(self, connection: aiohttp.connector.Connection) -> Self:
        """As in aiohttp; but the events of a watch go to `take`."""
        await super().start(connection)
        if self.status == HTTPStatus.OK and "watch" in self.url.query:
            self.content = Events(self.content, self.url.path, self.take)  # type: ignore[assignment]  # it is read as one
        return self

    async def json(self, **_: Any) -> Any:
        """As in aiohttp; but the objects of a list go to `page`, and if that takes them, they are not in the answer."""
        packed = self.headers.get(CONTENT_ENCODING) == "gzip"
        if self.status == HTTPStatus.OK:
            found = members(pieces(await self.read(), packed))
            body = await self.page(self.url.path, "continue" not in self.url.query, found)
            if body is not None:
                return body
        return json.loads("".join(pieces(await self.read(), packed)))


def pieces(content: bytes, packed: bool) -> Iterator[str]:
    """The text of a body, piece by piece."""
    text = codecs.getincrementaldecoder("utf-8")()
    for piece in _unpacked(content) if packed else _cut(content, PIECE):
        yield text.decode(piece)
    text.decode(b"", final=True)


def _unpacked(content: bytes) -> Iterator[bytes]:
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    for part in _cut(content, PACKED_PIECE):
        left = part
        while left:
            yield unpacker.decompress(left, PIECE)
            left = unpacker.unconsumed_tail
    if not unpacker.eof:
        raise ValueError("the list was cut off")


def _cut(content: bytes, size: int) -> Iterator[bytes]:
    return (content[start : start + size] for start in range(0, len(content), size))


_BETWEEN = re.compile(r"[\s,]*")


def members(texts: Iterable[str]) -> Iterator[tuple[str, Any]]:
    """The members of a JSON object as they come; of an array `items`, each item by itself.

    A list that is decoded as a whole takes ten times its size, and what is kept of it then lies scattered in that.
    Raises `ValueError` where the text is cut off.
    """
    source = _Source(texts)
    if source.next() != "{":
        raise ValueError("a list is a JSON object")
    source.at += 1
    while source.next() != "}":
        name = source.value()
        if source.next() != ":":
            raise ValueError("a member has a name and a value")
        source.at += 1
        if name == "items" and source.next() == "[":
            source.at += 1
            while source.next() != "]":
                yield name, source.value()
            source.at += 1
        else:
            source.next()
            yield name, source.value()


class _Source:
    """A text that comes in pieces, and how far it is read."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._texts, self._text, self.at = iter(texts), "", 0
        self._decode = json.JSONDecoder().raw_decode

    def next(self) -> str:
        """The first character after spaces and commas."""
        while True:
            self.at = _BETWEEN.match(self._text, self.at).end()  # type: ignore[union-attr]  # it matches nothing, too
            if self.at < len(self._text):
                return self._text[self.at]
            self._more()

    def value(self) -> Any:
        """The value that begins here."""
        while True:
            try:
                value, end = self._decode(self._text, self.at)
            except ValueError:
                self._more()  # it may go on there
                continue
            if end == len(self._text) and not isinstance(value, dict | list | str):
                self._more()  # a number may go on there, and is never the last thing of a list
                continue
            self.at = end
            return value

    def _more(self) -> None:
        piece = next(self._texts, None)
        if piece is None:
            raise ValueError("the list was cut off, or is not JSON")
        self._text = self._text[self.at :] + piece
        self.at = 0


async def watching_session(connection: Connection, count: Counter, page: Page, take: Take) -> aiohttp.ClientSession:
    """A session for lists and watches: the objects of lists go to `page`, the events of watches to `take`."""
    response_class = type("Listed", (ListedResponse,), {"page": staticmethod(page), "take": staticmethod(take)})
    options = session_options(connection.lists, count, may_write=None)

    async def asked(
        request: aiohttp.ClientRequest, handler: Callable[[aiohttp.ClientRequest], Awaitable[aiohttp.ClientResponse]]
    ) -> aiohttp.ClientResponse:
        if value := await connection.authorization():
            request.headers["Authorization"] = value
        query = request.url.query
        if describe(request.method, request.url.path, "watch" in query)[0] == "list":
            request.headers[ACCEPT_ENCODING] = "gzip"
            if "continue" not in query:
                # From the API server's cache, as client-go does: that costs etcd nothing, and comes in one page. It may
                # be a moment old: the watch goes on from there, and the store never takes older news for newer.
                request.url = request.url.update_query(resourceVersion="0")
        return await handler(request)

    options["middlewares"] = (*options["middlewares"], asked)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=connection.tls(), socket_factory=kept_alive),
        response_class=response_class,
        headers=CIMultiDict({"User-Agent": "tradewind", ACCEPT_ENCODING: "identity"}),
        proxy=connection.configuration.proxy,
        auto_decompress=False,
        read_bufsize=2**21,
        **options,
    )
