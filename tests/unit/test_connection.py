"""How a page of a list is read: its objects one by one, and what it says besides; and when it is asked for again."""

from __future__ import annotations

import json
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tradewind.kube.connection import ListedResponse, members

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
