"""More than the model can do: who would wait too long is told at once, and who has left costs nothing."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import graphs
import pytest
from process import PATIENCE

from tradewind_server import v2
from tradewind_server.bodies import Bodies
from tradewind_server.http import Application
from tradewind_server.model import LARGE, Limits, OnnxModel

NEVER = 1e-9  # seconds that nobody may wait


class Held:
    """A model's session that answers only once it is let."""

    def __init__(self, model: OnnxModel) -> None:
        self._session = model._session
        model._session = self
        model._at_once = 0.0  # it is a slow one, whatever it was when it was loaded
        self.runs = 0
        self.begun, self.let = threading.Event(), threading.Event()

    def run(self, *arguments: Any) -> Any:
        self.runs += 1
        self.begun.set()
        assert self.let.wait(PATIENCE)
        return self._session.run(*arguments)


class Request:
    """One to the application, as uvicorn hands it over."""

    def __init__(
        self, application: Application, *messages: Any, method: str = "POST", path: str = "/v2/models/m/infer"
    ):
        self.messages: asyncio.Queue[Any] = asyncio.Queue()
        self.read = 0
        self.sent: list[Any] = []
        for message in messages:
            self.messages.put_nowait(message)
        scope = {"method": method, "path": path, "headers": []}
        self.task = asyncio.create_task(application(scope, self.receive, self.send))

    async def receive(self) -> Any:
        self.read += 1
        return await self.messages.get()

    async def send(self, message: Any) -> None:
        self.sent.append(message)

    async def code(self) -> int:
        await asyncio.wait_for(self.task, PATIENCE)
        code: int = self.sent[0]["status"]
        return code

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.sent[0]["headers"])

    @property
    def error(self) -> str:
        sentence: str = json.loads(self.sent[1]["body"])["error"]
        return sentence


def body(more: bool = False, rows: int = 1) -> dict[str, Any]:
    tensor = {"name": "x", "datatype": "FP32", "shape": [rows, 2], "data": [0.1234567] * (2 * rows)}
    return {"type": "http.request", "body": json.dumps({"inputs": [tensor]}).encode(), "more_body": more}


GONE = {"type": "http.disconnect"}


@pytest.fixture
def application(tmp_path: Path) -> Callable[..., tuple[Application, Held]]:
    """Makes one of a model with one thread, which is held."""

    def made(seconds: float = PATIENCE, **limits: Any) -> tuple[Application, Held]:
        graphs.save(graphs.identity(graphs.FLOAT, ["rows", 2]), tmp_path / "model.onnx")
        model = OnnxModel("m", tmp_path, None, threads=1, limits=Limits(**limits))
        model.load()
        held = Held(model)
        return Application(model, Bodies(1_000_000, seconds)), held

    return made


def test_who_would_wait_too_long_is_refused_before_the_body_is_read(application: Any) -> None:
    async def run() -> None:
        app, session = application(wait=NEVER)
        first = Request(app, body())
        await asyncio.to_thread(session.begun.wait, PATIENCE)
        waiting = Request(app, body())  # one for each thread may
        await asyncio.sleep(0)
        refused = Request(app)
        assert await refused.code() == 429
        assert refused.read == 0
        assert int(refused.headers[b"retry-after"]) >= 1
        assert "the limit is 1e-09 s: ask again later" in refused.error
        session.let.set()
        assert [await first.code(), await waiting.code()] == [200, 200]
        assert await Request(app, body()).code() == 200

    asyncio.run(run())


def test_a_count_of_requests_is_refused_before_the_body_is_read_too(application: Any) -> None:
    async def run() -> None:
        app, session = application(queue=1)
        taken = [Request(app, body()) for _ in range(2)]
        await asyncio.to_thread(session.begun.wait, PATIENCE)
        refused = Request(app)
        assert await refused.code() == 503
        assert refused.read == 0
        session.let.set()
        assert [await one.code() for one in taken] == [200, 200]

    asyncio.run(run())


def test_who_came_while_the_queue_filled_is_refused_once_its_body_is_there(application: Any) -> None:
    async def run() -> None:
        app, session = application(wait=NEVER)
        first = Request(app, body())
        await asyncio.to_thread(session.begun.wait, PATIENCE)
        slow = Request(app)
        await asyncio.sleep(0)
        waiting = Request(app, body())
        await asyncio.sleep(0)
        slow.messages.put_nowait(body())
        assert await slow.code() == 429
        session.let.set()
        assert [await first.code(), await waiting.code()] == [200, 200]

    asyncio.run(run())


def test_what_nobody_waits_for_any_more_is_not_computed(application: Any) -> None:
    async def run() -> None:
        app, session = application()
        first = Request(app, body())
        await asyncio.to_thread(session.begun.wait, PATIENCE)
        left = Request(app, body(), GONE)
        await asyncio.wait_for(left.task, PATIENCE)
        assert left.sent == []
        session.let.set()
        assert await first.code() == 200
        assert await Request(app, body()).code() == 200
        assert session.runs == 2

    asyncio.run(run())


def test_a_body_that_does_not_come_is_no_burden(application: Any) -> None:
    async def run() -> None:
        app, session = application(seconds=0.05)
        session.let.set()
        part = {"type": "http.request", "body": bytes(1_000_000), "more_body": True}
        slow = [Request(app, part) for _ in range(4)]
        await asyncio.sleep(0)
        assert await Request(app, body()).code() == 503  # no room
        assert [await one.code() for one in slow] == [408] * 4
        assert slow[0].headers[b"connection"] == b"close"
        assert "1000000 bytes of the body came in 0.05 s" in slow[0].error
        assert await Request(app, body()).code() == 200

    asyncio.run(run())


def test_a_large_body_holds_up_nobody(application: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, let = threading.Event(), threading.Event()
    parse = v2._asked

    def held(*arguments: Any) -> Any:
        begun.set()
        assert let.wait(PATIENCE)
        return parse(*arguments)

    async def run() -> None:
        app, session = application(rows=100_000)
        session.let.set()
        monkeypatch.setattr(v2, "_asked", held)
        large = body(rows=LARGE // 16)
        request = Request(app, large)
        await asyncio.to_thread(begun.wait, PATIENCE)
        assert await Request(app, method="GET", path="/v2/health/live").code() == 200
        let.set()
        assert await request.code() == 200
        answer = json.loads(request.sent[1]["body"])["outputs"][0]
        assert answer["shape"] == [LARGE // 16, 2] and set(answer["data"]) == {0.1234567}

    asyncio.run(run())
