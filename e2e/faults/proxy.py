"""A TLS proxy between the operator and the API server that records every request and spoils the ones it is told to."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from e2e.cluster.children import free_ports
from e2e.cluster.pki import Authority
from e2e.faults.calls import Moment, call
from e2e.faults.fault import ANSWERS, ERRORS, Fault, WatchFault

LATE_SECONDS = 5.0
CUT_SECONDS = 15.0  # a withheld reply's connection is cut then: later than the operator's patience of 10 s
HANG_UP_SECONDS = 0.2
_UNANSWERED = (Fault.KILL_AFTER, Fault.TIMEOUT, Fault.LOST)
_HOP = {"host", "connection", "content-length", "transfer-encoding", "keep-alive", "accept-encoding"}

# Kills or freezes the operator that a token belongs to.
Strike = Callable[[Fault, str], Awaitable[None]]


class Proxy:
    """The proxy. A life is known by its namespace; what has none is recorded under the empty one."""

    def __init__(self, upstream: str, authority: Path, folder: Path, strike: Strike) -> None:
        self._upstream, self._strike = upstream, strike
        self._trusted = ssl.create_default_context(cafile=str(authority))
        own = Authority.create(folder, "proxy-ca")
        self.ca = own.own.crt
        certificate = own.issue("proxy", "proxy", hosts=("IP:127.0.0.1", "DNS:localhost"))
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(certificate.crt, certificate.key)
        [self._port] = free_ports(1)
        self.url = f"https://127.0.0.1:{self._port}"
        self.total = 0
        self.sent: dict[str, list[Moment]] = defaultdict(list)  # by namespace, in the order of arrival
        self.events: dict[str, list[Moment]] = defaultdict(list)
        self.armed: dict[str, list[tuple[Moment, Fault | WatchFault]]] = {}
        self.answers: Counter[int] = Counter()  # codes that the API server itself answered
        self.expired: Counter[str] = Counter()  # ERROR 410 that the API server itself sent, by resource
        self.listed: Counter[str] = Counter()  # lists of whole kinds that were answered, by resource
        self._numbers: Counter[tuple[str, Moment]] = Counter()
        self._held: set[str] = set()
        self._streams: dict[str, set[aiohttp.ClientResponse]] = defaultdict(set)

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
        self.armed.setdefault(namespace, []).append((moment, fault))

    def arm_next(self, namespace: str, moment: Moment, fault: Fault) -> Moment:
        """Spoil a moment whose number is counted from now on; that moment as it is counted from the beginning."""
        before = self._numbers[namespace, replace(moment, number=1)]
        self.arm(namespace, armed := replace(moment, number=before + moment.number), fault)
        return armed

    def disarm(self, namespace: str) -> bool:
        """Spoil nothing of that life any more; whether a moment to be spoiled had not come."""
        return bool(self.armed.pop(namespace, None))

    def hold(self, resource: str) -> None:
        """Cut the watches of a resource, and let neither a watch nor a list of it through until `release`."""
        self._held.add(resource)
        for answer in self._streams[resource]:
            answer.close()

    def release(self, resource: str) -> None:
        """Let them through again."""
        self._held.discard(resource)

    def _fault_at(self, namespace: str, moment: Moment) -> Fault | WatchFault | None:
        waiting = self.armed.get(namespace, [])
        found = next((entry for entry in waiting if entry[0] == moment), None)
        if found is None:
            return None
        waiting.remove(found)
        if not waiting:
            del self.armed[namespace]
        return found[1]

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        namespace, asked = call(request.method, request.path, request.query, body)
        if asked.verb in ("watch", "list") and asked.resource in self._held:
            return _cut(request)
        moment = self._numbered(namespace, asked)
        self.sent[namespace].append(moment)
        self.total += 1
        fault = self._fault_at(namespace, moment)
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if isinstance(fault, Fault):
            if fault.before:
                await self._strike(fault, token)
                return _cut(request)
            if fault in ANSWERS:
                code, reason, message = ANSWERS[fault]
                headers = {"Retry-After": "1"} if fault is Fault.THROTTLED else {}
                return web.json_response(_status(code, reason, message), status=code, headers=headers)
            if fault is Fault.LATE:
                await asyncio.sleep(LATE_SECONDS)
        try:
            async with self._forward(request, body) as answer:
                self.answers[answer.status] += 1
                if moment.verb != "watch" or answer.status != 200:
                    content = await answer.read()
                elif fault not in _UNANSWERED:
                    return await self._stream(request, moment.resource, answer)
        except aiohttp.ClientError:
            return _cut(request)  # there is no API server
        if isinstance(fault, Fault) and fault.after:
            await self._strike(fault, token)
        if fault is Fault.TIMEOUT:
            await asyncio.sleep(CUT_SECONDS)
        if fault in _UNANSWERED:
            return _cut(request)
        self.listed[moment.resource] += moment.verb == "list" and not moment.about and answer.status == 200
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
        self._streams[resource].add(answer)
        gone = asyncio.create_task(_hang_up(request, answer))
        try:
            await reply.prepare(request)
            return await self._lines(request, resource, answer, reply)
        except aiohttp.ClientError:
            return _cut(request)
        except ConnectionResetError:
            return reply  # the operator wants no more
        finally:
            gone.cancel()
            self._streams[resource].discard(answer)

    async def _lines(
        self, request: web.Request, resource: str, answer: aiohttp.ClientResponse, reply: web.StreamResponse
    ) -> web.StreamResponse:
        silent = False
        while line := await answer.content.readline():
            fault = self._watch_fault(resource, line)
            if fault is WatchFault.CUT:
                await reply.write(line[: len(line) // 2])
                return _cut(request)
            if fault in ERRORS:
                code, reason, message = ERRORS[fault]
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
        event = json.loads(line)
        self.expired[resource] += event["type"] == "ERROR" and event["object"].get("code") == 410
        metadata = event["object"].get("metadata") or {}
        namespace = metadata.get("namespace")
        if not namespace:
            return None
        moment = self._numbered(namespace, Moment("event", resource, metadata["name"]))
        self.events[namespace].append(moment)
        fault = self._fault_at(namespace, moment)
        return fault if isinstance(fault, WatchFault) else None


async def _hang_up(request: web.Request, answer: aiohttp.ClientResponse) -> None:
    """End a watch when who asked for it has ended: else that would be seen at its next event only."""
    while request.transport is not None and not request.transport.is_closing():  # noqa: ASYNC110 - has none
        await asyncio.sleep(HANG_UP_SECONDS)
    answer.close()


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
