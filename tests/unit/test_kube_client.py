"""What the API server's answers to questions of our own mean."""

from __future__ import annotations

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio.client.configuration import Configuration

from tradewind.kube.client import CRDS, Client
from tradewind.kube.connection import Connection
from tradewind.kube.errors import Conflict, Forbidden, KubeError, Throttled, Unavailable
from tradewind.ray.job import RAY_JOB


async def _served(code: int) -> frozenset[str]:
    """What counts as served where the API server answers with that code."""

    async def answer(_request: web.Request) -> web.Response:
        return web.json_response({"resources": [{"name": "rayjobs"}, {"name": "rayjobs/status"}]}, status=code)

    app = web.Application()
    app.router.add_get("/apis/ray.io/v1", answer)
    async with TestServer(app) as server:
        client = Client(Connection(Configuration(host=str(server.make_url("")))), lambda *_: None)
        try:
            return await client.served("ray.io", "v1")
        finally:
            await client.close()


@pytest.mark.parametrize(("code", "plurals"), [(200, {"rayjobs"}), (404, set())])
async def test_the_kinds_of_a_group_are_those_it_names(code: int, plurals: set[str]) -> None:
    assert await _served(code) == plurals


@pytest.mark.parametrize(
    ("code", "kind"), [(403, Forbidden), (409, Conflict), (429, Throttled), (500, Unavailable), (503, Unavailable)]
)
async def test_an_api_server_that_does_not_say_what_it_serves_is_not_one_without_kinds(
    code: int, kind: type[KubeError]
) -> None:
    with pytest.raises(kind):
        await _served(code)


@pytest.mark.parametrize(
    ("sent", "found"),
    [
        (b'{"items":[{"properties":{"authOptions":{"type":"object"}}}]}', True),
        # As an annotation, which `kubectl apply` adds, has it.
        (b'{"annotation":" \\"authOptions\\":{"}', False),
        (b'{"items":[]}', False),
    ],
)
async def test_a_field_is_found_in_a_definition_that_is_not_decoded(sent: bytes, found: bool) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.query["fieldSelector"] == "metadata.name=rayjobs.ray.io"
        return web.Response(body=sent, content_type="application/json")

    app = web.Application()
    app.router.add_get(CRDS, answer)
    async with TestServer(app) as server:
        client = Client(Connection(Configuration(host=str(server.make_url("")))), lambda *_: None)
        try:
            assert await client.definition_mentions("rayjobs.ray.io", "authOptions") is found
        finally:
            await client.close()


async def test_the_api_server_is_not_asked_for_warnings_and_the_environment_not_for_a_proxy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[dict[str, str]] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(dict(request.query))
        return web.json_response({})

    app = web.Application()
    app.router.add_patch("/{path:.*}", answer)
    async with TestServer(app) as server:
        client = Client(Connection(Configuration(host=str(server.make_url("")))), lambda *_: None)
        monkeypatch.setenv("HTTP_PROXY", "http://nobody.invalid:3128")  # it was read by `connect`, if at all
        try:
            await client.apply(RAY_JOB, "digits", {"metadata": {"name": "digits"}}, force=False)
            await client.replace_status(RAY_JOB, "digits", "digits", "5", {})
        finally:
            await client.close()
    ours = {"fieldManager": "tradewind", "fieldValidation": "Ignore"}
    assert asked == [ours | {"force": "false"}, ours]
