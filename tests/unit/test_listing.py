"""How a list is asked for, and how its objects come out of it one by one."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio.client.configuration import Configuration

from tradewind.kube.connection import Connection
from tradewind.kube.listing import PIECE, members, pieces, watching_session

ITEMS: list[Any] = [{"metadata": {"uid": "a"}, "text": 'a "quoted", ] } one'}, {"items": [1, 2]}]
METADATA = {"resourceVersion": "7", "continue": "here"}
# Objects of definitions are listed with the items before the metadata, others the other way round.
PAGES: list[dict[str, Any]] = [
    {"apiVersion": "ray.io/v1", "items": ITEMS, "kind": "RayJobList", "metadata": METADATA},
    {"kind": "PodList", "apiVersion": "v1", "metadata": METADATA, "items": ITEMS[:1]},
    {"metadata": METADATA, "items": []},
]


@pytest.mark.parametrize("size", [1, 7, 10_000])
@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("page", PAGES)
def test_items_come_one_by_one_and_the_rest_as_it_is(page: dict[str, Any], indent: int | None, size: int) -> None:
    found = list(members(_pieces(json.dumps(page, indent=indent), size)))
    assert [value for name, value in found if name == "items"] == page["items"]
    assert dict(found) | {"items": page["items"]} == page


def test_what_is_no_array_is_one_member() -> None:
    assert list(members(['{"items":nu', 'll,"count":1', '2,"kind":"PodList"}'])) == [
        ("items", None),
        ("count", 12),
        ("kind", "PodList"),
    ]


@pytest.mark.parametrize("text", ['{"items":[{"a":1}', '{"items":[{"a":', "[]", ""])
def test_what_was_cut_off_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="list"):
        list(members([text]))


def _refuse(path: str, kind: str, body: dict[str, Any]) -> None:
    raise AssertionError(f"a list is no watch: {path} {kind} {body}")


def _pieces(text: str, size: int) -> list[str]:
    return [text[start : start + size] for start in range(0, len(text), size)]


@pytest.mark.parametrize("packed", [False, True])
def test_a_body_is_text_in_pieces(packed: bool) -> None:
    text = "".join(f"{number} \N{SNOWMAN} " for number in range(PIECE // 4))
    body = gzip.compress(text.encode()) if packed else text.encode()
    found = list(pieces(body, packed))
    assert "".join(found) == text
    assert len(found) > 2 and max(map(len, found)) <= PIECE


def test_a_packed_body_that_was_cut_off_is_an_error() -> None:
    body = gzip.compress(bytes(range(256)) * 4000)
    with pytest.raises(ValueError):  # noqa: PT011 -- of zlib, of the text or of ours
        list(pieces(body[:-20], packed=True))


async def test_a_list_comes_packed_from_the_cache_and_goes_object_by_object() -> None:
    asked: list[tuple[str, str]] = []
    taken: list[tuple[str, bool, list[tuple[str, Any]]]] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append((request.path_qs, request.headers["Accept-Encoding"]))
        packed = {"Content-Encoding": "gzip"} if request.headers["Accept-Encoding"] == "gzip" else {}
        text = json.dumps(PAGES[0] if "/rayjobs" in request.path else {"kind": "APIResourceList"}).encode()
        return web.Response(body=gzip.compress(text) if packed else text, headers=packed)

    async def page(path: str, first: bool, found: Any) -> dict[str, Any] | None:
        if "/rayjobs" not in path:
            return None
        taken.append((path, first, list(found)))
        return {"items": [], "metadata": METADATA}

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    async with TestServer(app) as server:
        configuration = Configuration()
        configuration.host = str(server.make_url("")).rstrip("/")
        async with await watching_session(Connection(configuration), lambda *_: None, page, _refuse) as session:
            path = "/apis/ray.io/v1/rayjobs"
            for query in ("?limit=500", "?limit=500&continue=here"):
                body = await (await session.get(server.make_url(path + query))).json()
                assert body == {"items": [], "metadata": METADATA}
            for other in ("/apis/ray.io/v1", "/apis/ray.io/v1/rayclusters"):
                assert await (await session.get(server.make_url(other))).json() == {"kind": "APIResourceList"}
    assert asked == [
        (f"{path}?limit=500&resourceVersion=0", "gzip"),
        (f"{path}?limit=500&continue=here", "gzip"),
        ("/apis/ray.io/v1", "identity"),
        ("/apis/ray.io/v1/rayclusters?resourceVersion=0", "gzip"),
    ]
    assert [(path, first) for path, first, _ in taken] == [(path, True), (path, False)]
    assert [value for name, value in taken[0][2] if name == "items"] == ITEMS
