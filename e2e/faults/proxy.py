"""A TLS proxy between the operator and the API server that records every request and spoils the ones it is told to."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from e2e.cluster.children import free_ports
from e2e.cluster.pki import Authority
from e2e.faults.calls import Moment, call

LATE_SECONDS = 5.0
CUT_SECONDS = 15.0  # a withheld reply's connection is cut then: later than the operator's patience of 10 s
_HOP = {"host", "connection", "content-length", "transfer-encoding", "keep-alive", "accept-encoding"}


class Fault(StrEnum):
    """What can happen to a request."""

    KILL_BEFORE = "killed before it is sent"
    KILL_AFTER = "killed after it is committed"
    CONFLICT = "409"
    THROTTLED = "429"
    ERROR = "500"
    UNAVAILABLE = "503"
    TIMEOUT = "committed, no reply"
    LOST = "committed, connection cut"
    LATE = "5 s late"

    @property
    def kills(self) -> bool:
        """Whether the operator is killed."""
        return self in (Fault.KILL_BEFORE, Fault.KILL_AFTER)


class WatchFault(StrEnum):
    """What can happen to a watch at one of its events."""

    DROPPED = "event lost"
    TWICE = "event twice"
    DELAYED = "event 5 s late"
    CUT = "cut in mid-line"
    SILENT = "silent from then on"
    GONE = "ERROR 410"
    ERROR = "ERROR 500"


_ANSWERS = {
    Fault.CONFLICT: (409, "Conflict", "the object has been modified; please apply your changes to the latest version"),
    Fault.THROTTLED: (429, "TooManyRequests", "too many requests, please try again later"),
    Fault.ERROR: (500, "InternalError", "an error on the server has prevented the request from succeeding"),
    Fault.UNAVAILABLE: (503, "ServiceUnavailable", "the server is currently unable to handle the request"),
}
_ERRORS = {
    WatchFault.GONE: (410, "Expired", "too old resource version: 1 (2)"),
    WatchFault.ERROR: (500, "InternalError", "etcdserver: leader changed"),
}


class Proxy:
    """The proxy. A life is known by its namespace; what has none is recorded under the empty one."""

    def __init__(self, upstream: str, authority: Path, folder: Path, kill: Callable[[], Awaitable[None]]) -> None:
        self._upstream, self._kill = upstream, kill
        self._trusted = ssl.create_default_context(cafile=str(authority))
        own = Authority.create(folder, "proxy-ca")
        self.ca = own.own.crt
        certificate = own.issue("proxy", "proxy", hosts=("IP:127.0.0.1", "DNS:localhost"))
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(certificate.crt, certificate.key)
        [self._port] = free_ports(1)
        self.url = f"https://127.0.0.1:{self._port}"
        self.down = False  # as if there were no API server
        self.total = 0
        self.sent: dict[str, list[Moment]] = defaultdict(list)  # by namespace, in the order of arrival
        self.events: dict[str, list[Moment]] = defaultdict(list)
        self.armed: dict[str, tuple[Moment, Fault | WatchFault]] = {}
        self._numbers: Counter[tuple[str, Moment]] = Counter()

    async def start(self) -> None:
        """Listen."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=self._trusted),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
            read_bufsize=2**21,
        )
        app = web.Application(client_max_size=2**26)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port, ssl_context=self._tls).start()

    async def stop(self) -> None:
        """Listen no more."""
        await self._runner.cleanup()
        await self._session.close()

    def arm(self, namespace: str, moment: Moment, fault: Fault | WatchFault) -> None:
        """Spoil that moment of that namespace's life, once."""
        self.armed[namespace] = (moment, fault)

    def _fault_at(self, namespace: str, moment: Moment) -> Fault | WatchFault | None:
        if namespace in self.armed and self.armed[namespace][0] == moment:
            return self.armed.pop(namespace)[1]
        return None

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        if self.down:
            return _cut(request)
        namespace, asked = call(request.method, request.path, request.query, body)
        moment = self._numbered(namespace, asked)
        self.sent[namespace].append(moment)
        self.total += 1
        fault = self._fault_at(namespace, moment)
        if fault is Fault.KILL_BEFORE:
            await self._kill()
            return _cut(request)
        if isinstance(fault, Fault) and fault in _ANSWERS:
            code, reason, message = _ANSWERS[fault]
            headers = {"Retry-After": "1"} if fault is Fault.THROTTLED else {}
            return web.json_response(_status(code, reason, message), status=code, headers=headers)
        if fault is Fault.LATE:
            await asyncio.sleep(LATE_SECONDS)
        async with self._forward(request, body) as answer:
            if moment.verb == "watch" and answer.status == 200:
                return await self._stream(request, moment.resource, answer)
            content = await answer.read()
        if fault is Fault.KILL_AFTER:
            await self._kill()
            return _cut(request)
        if fault is Fault.TIMEOUT:
            await asyncio.sleep(CUT_SECONDS)
        if fault in (Fault.TIMEOUT, Fault.LOST):
            return _cut(request)
        return web.Response(status=answer.status, body=content, headers=_kept(answer.headers))

    def _forward(self, request: web.Request, body: bytes) -> Any:
        return self._session.request(
            request.method,
            self._upstream + request.raw_path,
            data=body or None,
            headers=_kept(request.headers),
            allow_redirects=False,
        )

    def _numbered(self, namespace: str, moment: Moment) -> Moment:
        self._numbers[namespace, moment] += 1
        return replace(moment, number=self._numbers[namespace, moment])

    async def _stream(self, request: web.Request, resource: str, answer: aiohttp.ClientResponse) -> web.StreamResponse:
        reply = web.StreamResponse(status=200, headers=_kept(answer.headers))
        try:
            await reply.prepare(request)
            return await self._lines(request, resource, answer, reply)
        except ConnectionResetError:
            return reply  # the operator wants no more

    async def _lines(
        self, request: web.Request, resource: str, answer: aiohttp.ClientResponse, reply: web.StreamResponse
    ) -> web.StreamResponse:
        silent = False
        while line := await answer.content.readline():
            if self.down:
                return _cut(request)
            fault = self._watch_fault(resource, line)
            if fault is WatchFault.CUT:
                await reply.write(line[: len(line) // 2])
                return _cut(request)
            if fault in _ERRORS:
                code, reason, message = _ERRORS[fault]
                event = {"type": "ERROR", "object": _status(code, reason, message)}
                await reply.write(json.dumps(event).encode() + b"\n")
                break
            if fault is WatchFault.DELAYED:
                await asyncio.sleep(LATE_SECONDS)
            silent |= fault is WatchFault.SILENT
            if silent or fault is WatchFault.DROPPED:
                continue
            await reply.write(line * (2 if fault is WatchFault.TWICE else 1))
        await reply.write_eof()
        return reply

    def _watch_fault(self, resource: str, line: bytes) -> WatchFault | None:
        metadata = json.loads(line)["object"].get("metadata") or {}
        namespace = metadata.get("namespace")
        if not namespace:
            return None
        moment = self._numbered(namespace, Moment("event", resource, metadata["name"]))
        self.events[namespace].append(moment)
        fault = self._fault_at(namespace, moment)
        return fault if isinstance(fault, WatchFault) else None


def _cut(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=503)


def _kept(headers: Any) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in _HOP}


def _status(code: int, reason: str, message: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Status",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": code,
    }
