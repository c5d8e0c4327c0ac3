"""How lists are sent: one after another. How a page is read, object by object; and when it is asked for again."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tradewind.kube import connection
from tradewind.kube.connection import ListedResponse, Turns, members, session_options

ITEMS: list[Any] = [{"metadata": {"uid": "a"}, "text": 'a "quoted", ] } one'}, {"items": [1, 2]}]
METADATA = {"resourceVersion": "7", "continue": "here"}
# Objects of definitions are listed with the items before the metadata, others the other way round.
PAGES: list[dict[str, Any]] = [
    {"apiVersion": "ray.io/v1", "items": ITEMS, "kind": "RayJobList", "metadata": METADATA},
    {"kind": "PodList", "apiVersion": "v1", "metadata": METADATA, "items": ITEMS[:1]},
    {"metadata": METADATA, "items": []},
]


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("page", PAGES)
def test_items_come_one_by_one_and_the_rest_as_it_is(page: dict[str, Any], indent: int | None) -> None:
    found = list(members(json.dumps(page, indent=indent)))
    assert [value for name, value in found if name == "items"] == page["items"]
    assert dict(found) | {"items": page["items"]} == page


def test_what_is_no_array_is_one_member() -> None:
    assert list(members('{"items":null,"kind":"PodList"}')) == [("items", None), ("kind", "PodList")]


@pytest.mark.parametrize("text", ['{"items":[{"a":1}', '{"items":[{"a":', "[]", ""])
def test_what_was_cut_off_is_an_error(text: str) -> None:
    with pytest.raises((ValueError, IndexError)):
        list(members(text))


async def _waits(code: int, retry_after: str) -> set[str | None]:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=code, headers={"Retry-After": retry_after})

    app = web.Application()
    app.router.add_get("/", answer)
    async with TestServer(app) as server, aiohttp.ClientSession(response_class=ListedResponse) as session:
        answers = [await session.get(server.make_url("/")) for _ in range(30)]
        return {answer.headers.get("retry-after") for answer in answers}


async def test_what_was_refused_at_one_moment_comes_back_at_several() -> None:
    waits = {int(wait or 0) for wait in await _waits(429, "32")}
    assert len(waits) > 3
    assert min(waits) >= 32 and max(waits) <= 48
    assert await _waits(429, "1") == {"1"}
    assert await _waits(429, "Wed, 25 Nov 2026 05:00:00 GMT") == {"Wed, 25 Nov 2026 05:00:00 GMT"}
    assert await _waits(503, "32") == {"32"}


class _Busy:
    """An API server that tells how many requests it had at once; a list of `slow` is answered when `go` is set.

    The others are answered a moment later, or when so many are there at once.
    """

    def __init__(self, together: int | None = None) -> None:
        self.now = self.most = 0
        self.go = asyncio.Event()
        self._together, self._all = together, asyncio.Event()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.now += 1
        self.most = max(self.most, self.now)
        response = web.StreamResponse()
        await response.prepare(request)
        if self.now == self._together:
            self._all.set()
        if request.path.endswith("slow"):
            await self.go.wait()
        elif self._together:
            await self._all.wait()
        else:
            await asyncio.sleep(0.02)
        await response.write(b"{}")
        self.now -= 1
        return response


async def _asked(busy: _Busy, *paths: str) -> list[str]:
    """Ask for all paths at once, with two sessions; the paths in the order of their answers, a slow one's last."""
    app = web.Application()
    app.router.add_get("/{path:.*}", busy.answer)
    answered: list[str] = []

    async def ask(session: aiohttp.ClientSession, path: str) -> None:
        async with session.get(server.make_url(path)) as answer:
            await answer.text()
        answered.append(path)

    lists = Turns()
    async with TestServer(app) as server, AsyncExitStack() as stack:
        sessions = [
            await stack.enter_async_context(aiohttp.ClientSession(**session_options(lists, lambda *_: None, None)))
            for _ in range(2)
        ]
        async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
            asking = [tasks.create_task(ask(sessions[n % 2], path)) for n, path in enumerate(paths)]
            await asyncio.wait([task for task, path in zip(asking, paths, strict=True) if not path.endswith("slow")])
            busy.go.set()
    return answered


async def test_lists_go_one_after_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "LONGEST_TURN", 60)
    busy = _Busy()
    paths = ["/api/v1/pods", "/apis/ray.io/v1/rayjobs", "/api/v1/pods?continue=here", "/api/v1/namespaces/a/pods"]
    assert await _asked(busy, *paths) == paths
    assert busy.most == 1


async def test_everything_else_waits_for_no_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "LONGEST_TURN", 6000)
    busy = _Busy(together=3)
    assert await _asked(busy, "/api/v1/slow", "/api/v1/namespaces/a/pods/b", "/api/v1/pods?watch=true")
    assert busy.most == 3


async def test_a_list_without_an_answer_holds_the_others_for_a_moment_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "LONGEST_TURN", 0.1)
    *others, last = await _asked(_Busy(), "/api/v1/slow", "/api/v1/pods", "/api/v1/nodes")
    # Which of the others is first depends on whether the first answer took longer than that moment.
    assert (sorted(others), last) == (["/api/v1/nodes", "/api/v1/pods"], "/api/v1/slow")
