"""The REST endpoints, as one ASGI application: routing by exact path, bodies within limits, errors as sentences.

KServe's own REST layer builds pydantic models of every number, logs a traceback for a client's mistake, and lets any
client unload the model; so this stands in its place. A path that isn't here doesn't exist.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any

import orjson

from tradewind_server import __version__, metrics, openapi, v1, v2
from tradewind_server.bodies import Bodies, Body, Disconnected, Receive
from tradewind_server.encoding import accepted, encoded
from tradewind_server.model import LARGE, OnnxModel
from tradewind_server.refusal import MethodNotAllowed, NotFound, Refusal, shown, told

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]
Answer = Callable[[OnnxModel, Mapping[bytes, bytes], bytes, int], Awaitable[tuple[bytes, Headers]]]

JSON: Headers = [(b"content-type", b"application/json")]
METRICS: Headers = [(b"content-type", b"text/plain; version=0.0.4; charset=utf-8")]
# Seconds until it is worth looking whether a client is still there: most requests are answered by then.
_PATIENCE = 0.05


class Application:
    """Answers for one model."""

    def __init__(self, model: OnnxModel, bodies: Bodies) -> None:
        self.model = model
        self.bodies = bodies
        self.leaving = False
        name = model.name
        self._predictions: dict[str, tuple[str, Answer]] = {
            f"/v1/models/{name}:predict": ("v1", v1.answer),
            f"/v2/models/{name}/infer": ("v2", v2.answer),
        }
        self._pages: dict[str, Callable[[], tuple[int, Any]]] = {
            "/": lambda: (200, {"status": "alive"}),
            "/v1/models": lambda: (200, {"models": [name]}),
            f"/v1/models/{name}": lambda: self._readiness({"name": name}),
            "/v2": lambda: (
                200,
                {"name": v2.SERVER, "version": __version__, "extensions": v2.EXTENSIONS},
            ),
            "/v2/models": lambda: (200, {"models": [name]}),
            "/v2/health/live": lambda: (200, {"live": True}),
            "/v2/health/ready": lambda: self._readiness({}),
            f"/v2/models/{name}": lambda: self._once_loaded(v2.metadata),
            "/openapi.json": lambda: self._once_loaded(openapi.page),
            f"/v2/models/{name}/ready": lambda: self._readiness({"name": name}),
        }

    def leave(self) -> None:
        """Readiness off; every answer from now on closes its connection, so that clients move to another replica."""
        self.leaving = True
        self.model.stop()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """ASGI 3."""
        path: str = scope["path"]
        if found := self._predictions.get(path):
            protocol, answer = found
            await self._predict(self.model.name, protocol, answer, scope, receive, send)
        elif path.endswith((":predict", "/infer")):
            await self._predict(
                metrics.UNKNOWN, path[1:3] if path.startswith(("/v1/", "/v2/")) else "", None, scope, receive, send
            )
        else:
            code, body, headers = self._page(scope["method"], path)
            await self._send(send, code, body, headers, scope["method"] == "HEAD")

    def _page(self, method: str, path: str) -> tuple[int, bytes, Headers]:
        page = self._pages.get(path if path == "/" else path.rstrip("/"))
        try:
            if page is None and path != "/metrics":
                raise self._not_found(path)
            if method not in ("GET", "HEAD"):
                raise MethodNotAllowed("GET")
        except Refusal as refusal:
            return _refused(refusal)
        if page is None:
            return 200, metrics.text(), METRICS
        code, document = page()
        return code, orjson.dumps(document), JSON

    def _not_found(self, path: str) -> NotFound:
        name = self.model.name
        if path.startswith((f"/v1/models/{name}/", f"/v2/models/{name}/")):
            return NotFound(f"no {shown(path)} here: the model has no versions, and answers at /v2/models/{name}/infer")
        if path.startswith(("/v1/models/", "/v2/models/")):
            return NotFound(f"no model at {shown(path)}: this server has {shown(name)}")
        return NotFound(
            f"no {shown(path)} here: predictions are at /v1/models/{name}:predict and /v2/models/{name}/infer,"
            " and what they take is at /openapi.json"
        )

    def _readiness(self, document: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if self.model.ready:
            return 200, document | {"ready": True}
        return 503, document | {"ready": False, "reason": self.model.reason}

    def _once_loaded(self, page: Callable[[OnnxModel], dict[str, Any]]) -> tuple[int, dict[str, Any]]:
        return (200, page(self.model)) if self.model.loaded else self._readiness({"name": self.model.name})

    async def _predict(
        self, model: str, protocol: str, answer: Answer | None, scope: Message, receive: Receive, send: Send
    ) -> None:
        started = time.perf_counter()
        body = Body()
        client = Client(receive)
        try:
            if answer is None:
                raise self._not_found(scope["path"])
            if scope["method"] != "POST":
                raise MethodNotAllowed("POST")
            self.model.admit()
            headers = dict(scope["headers"])
            with self.model.parts.timed("read"):
                content = await self.bodies.read(headers, receive, body)
            with client.watched():
                reply, reply_headers = await answer(self.model, headers, content, self.bodies.most_values)
                if len(reply) > LARGE and (encoding := accepted(headers.get(b"accept-encoding", b""))):
                    reply, reply_headers = await self._encoded(reply, reply_headers, encoding)
            code = 200
        except Disconnected:
            return
        except asyncio.CancelledError:
            if client.here:
                raise
            return
        except Exception as error:  # noqa: BLE001 -- told to the client, and in the log
            code, reply, reply_headers = _refused(told(error, body.size))
        finally:
            self.bodies.let_go(body)
        await self._send(send, code, reply, reply_headers)
        metrics.answered(model, protocol, str(code), time.perf_counter() - started)

    async def _encoded(self, body: bytes, headers: Headers, encoding: bytes) -> tuple[bytes, Headers]:
        found = await self.model.beside("compress", len(body), encoded, body, encoding)
        return (body, headers) if found is None else (found, [*headers, (b"content-encoding", encoding)])

    async def _send(self, send: Send, code: int, body: bytes, headers: Headers, head: bool = False) -> None:
        headers = [*headers, (b"content-length", str(len(body)).encode())]
        if self.leaving:
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": code, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if head else body})


def _refused(refusal: Refusal) -> tuple[int, bytes, Headers]:
    return refusal.code, orjson.dumps({"error": refusal.sentence}), [*JSON, *refusal.headers]


class Client:
    """Who waits for the answer of the task in which this is made."""

    def __init__(self, receive: Receive) -> None:
        self.here = True
        self._receive = receive
        self._task = asyncio.current_task()
        self._watching: asyncio.Task[None] | None = None

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Cancels the task if the client goes meanwhile, unless that takes no time."""
        timer = asyncio.get_running_loop().call_later(_PATIENCE, self._watch)
        try:
            yield
        finally:
            timer.cancel()
            if self._watching:
                self._watching.cancel()

    def _watch(self) -> None:
        self._watching = asyncio.get_running_loop().create_task(self._until_gone())

    async def _until_gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.here = False
        if self._task:
            self._task.cancel()
