"""Clients of HTTP that keep their connection are asked to make a new one from time to time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import graphs
import httpx
import pytest
from process import PATIENCE

from tradewind_server import connections
from tradewind_server.bodies import Bodies
from tradewind_server.http import Application
from tradewind_server.model import Limits, OnnxModel
from tradewind_server.server import RestServer

HOST = "127.0.0.1"


@asynccontextmanager
async def client(folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    """One connection at most, to a server."""
    graphs.save(graphs.identity(graphs.FLOAT, ["rows", 2]), folder / "model.onnx")
    model = OnnxModel("m", folder, None, threads=1, limits=Limits())
    model.load()
    server = RestServer(Application(model, Bodies(1_000_000, PATIENCE)), (HOST, 0), 0.0, 1)
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 -- uvicorn has no event for it
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        limit = httpx.Limits(max_connections=1)
        async with httpx.AsyncClient(base_url=f"http://{HOST}:{port}", limits=limit, timeout=PATIENCE) as found:
            yield found
    finally:
        server.should_exit = True
        await serving


async def _asked(asking: httpx.AsyncClient) -> str | None:
    """What a prediction's answer says of its connection."""
    row = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}
    answer = await asking.post("/v2/models/m/infer", json={"inputs": [row]})
    assert answer.status_code == 200, answer.text
    return answer.headers.get("connection")


def test_a_connection_stays_while_it_is_young(tmp_path: Path) -> None:
    async def run() -> None:
        async with client(tmp_path) as asking:
            assert [await _asked(asking) for _ in range(3)] == [None] * 3

    asyncio.run(run())


def test_the_answer_on_an_old_connection_says_that_it_is_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "OLDEST", 0.0)

    async def run() -> None:
        async with client(tmp_path) as asking:
            assert [await _asked(asking) for _ in range(3)] == ["close"] * 3

    asyncio.run(run())
