"""How the events of a watch are taken off its stream, and what is left on it."""

from __future__ import annotations

import asyncio
import json
from itertools import pairwise
from typing import Any

import pytest
from aiohttp import StreamReader, web
from aiohttp.test_utils import TestServer
from kubernetes.aio.client.configuration import Configuration

from tradewind.kube.connection import Connection
from tradewind.kube.listing import watching_session
from tradewind.kube.streaming import AT_ONCE, Events

PATH = "/apis/ray.io/v1/rayjobs"


def _line(kind: str, version: str, **more: Any) -> bytes:
    return json.dumps({"type": kind, "object": {"metadata": {"resourceVersion": version}} | more}).encode() + b"\n"


class _Stream:
    """A content that comes in these pieces."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = pieces

    async def iter_chunked(self, _size: int) -> Any:
        for piece in self._pieces:
            await asyncio.sleep(0)
            yield piece


async def _read(*pieces: bytes) -> tuple[list[tuple[str, str]], list[Any]]:
    """The events that were taken, by type and version, and the lines that were left, by type and version."""
    taken: list[tuple[str, str]] = []

    def take(path: str, kind: str, body: dict[str, Any]) -> None:
        assert path == PATH
        taken.append((kind, body["metadata"]["resourceVersion"]))

    content: StreamReader = _Stream(*pieces)  # type: ignore[assignment]
    left = b"".join([chunk async for chunk in Events(content, PATH, take).iter_chunked(1 << 20)])
    lines = [json.loads(line) for line in left.splitlines()]
    return taken, [(line["type"], line["object"].get("metadata", {}).get("resourceVersion")) for line in lines]


async def test_events_are_taken_and_a_bookmark_says_how_far_the_watch_has_come() -> None:
    stream = _line("ADDED", "5", text="\n\N{SNOWMAN}") + _line("MODIFIED", "6") + _line("DELETED", "9")
    assert await _read(stream) == ([("ADDED", "5"), ("MODIFIED", "6"), ("DELETED", "9")], [("BOOKMARK", "9")])


@pytest.mark.parametrize("size", [1, 7, 100])
async def test_an_event_may_come_in_pieces(size: int) -> None:
    stream = _line("ADDED", "5") + _line("BOOKMARK", "6") + _line("MODIFIED", "7")
    pieces = [stream[start : start + size] for start in range(0, len(stream), size)]
    taken, left = await _read(*pieces)
    assert (taken, left) == ([("ADDED", "5"), ("MODIFIED", "7")], [("BOOKMARK", n) for n in "567"])


async def test_errors_and_bookmarks_stay_in_their_place() -> None:
    stream = _line("ADDED", "5") + _line("BOOKMARK", "7") + _line("ADDED", "8") + _line("ERROR", "", code=410)
    taken, left = await _read(stream)
    assert taken == [("ADDED", "5"), ("ADDED", "8")]
    assert left == [("BOOKMARK", "5"), ("BOOKMARK", "7"), ("BOOKMARK", "8"), ("ERROR", "")]


@pytest.mark.parametrize("line", [b"{", b"[]\n", b'{"type":"ADDED"}\n', b'{"type":"ADDED","object":{"metadata":{}}}\n'])
async def test_what_can_t_be_read_is_left_to_the_reader(line: bytes) -> None:
    def take(path: str, kind: str, body: dict[str, Any]) -> None:
        raise AssertionError(f"{path} {kind} {body}")

    content: StreamReader = _Stream(line)  # type: ignore[assignment]
    assert [chunk async for chunk in Events(content, PATH, take).iter_chunked(1 << 20)] == [line]


async def test_others_have_their_turn_while_events_are_taken() -> None:
    taken: list[str] = []
    stream = b"".join(_line("ADDED", str(number)) for number in range(1, 10 * AT_ONCE + 1))
    content: StreamReader = _Stream(stream)  # type: ignore[assignment]

    async def read() -> None:
        events = Events(content, PATH, lambda _path, _kind, body: taken.append(body["metadata"]["resourceVersion"]))
        assert [chunk async for chunk in events.iter_chunked(1 << 20)]

    reading = asyncio.create_task(read())
    seen = [0]
    while not reading.done():
        await asyncio.sleep(0)
        seen.append(len(taken))
    assert seen[-1] == 10 * AT_ONCE
    assert max(after - before for before, after in pairwise(seen)) == AT_ONCE


async def test_the_session_takes_the_events_of_watches_and_of_nothing_else() -> None:
    taken: list[tuple[str, str, Any]] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.query.get("resourceVersion") == "1":
            return web.Response(body=_line("ADDED", "2"), status=410)
        return web.Response(body=_line("ADDED", "5") + _line("ERROR", "", code=410))

    async def page(path: str, first: bool, found: Any) -> dict[str, Any] | None:
        return None

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    async with TestServer(app) as server:
        configuration = Configuration()
        configuration.host = str(server.make_url("")).rstrip("/")

        def take(*event: Any) -> None:
            taken.append(event)

        async with await watching_session(Connection(configuration), lambda *_: None, page, take) as session:
            left = []
            for query in ("?watch=true", "?watch=true&resourceVersion=1"):
                async with session.get(server.make_url(PATH + query)) as response:
                    left.append(b"".join([chunk async for chunk in response.content.iter_chunked(1 << 20)]))
            async with session.get(server.make_url(f"{PATH}?limit=1")) as response:
                left.append(await response.read())
    assert taken == [(PATH, "ADDED", {"metadata": {"resourceVersion": "5"}})]
    error = _line("ERROR", "", code=410)
    assert left == [_line("BOOKMARK", "5") + error, _line("ADDED", "2"), _line("ADDED", "5") + error]
