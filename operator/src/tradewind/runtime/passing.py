"""Reports that reach a replica that stands by: it passes them on to the active one, whose address the Lease has.

So every replica is ready and behind one Service, and nobody needs the right to change a Service's endpoints or a pod's
labels. The active replica checks the sender's token, as it does with all reports.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web
from aiohttp.hdrs import AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER

from tradewind.kube.lease import Holder

PASSED_ON = "Tradewind-Passed-On"  # names who did: such a report is not passed on once more
SECONDS = aiohttp.ClientTimeout(total=30.0, sock_connect=2.0)
AT_ONCE = 64  # reports on their way to the active replica; more wait
HEADERS = (AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE)
ANSWERED = (CONTENT_TYPE, RETRY_AFTER, "WWW-Authenticate")


class Passing:
    """The way from a standby to the active replica. `url` is the report endpoint's as pods know it."""

    def __init__(self, ca: Path, url: Callable[[], str], identity: str) -> None:
        self._ca, self._url, self._identity = ca, url, identity
        self._session: aiohttp.ClientSession | None = None

    async def pass_on(self, request: web.Request, holder: Holder | None) -> web.Response:
        """The answer of the active replica; 503 where there is none, or none that answers."""
        if holder is None or PASSED_ON in request.headers:
            return _later("no replica of the operator takes reports now: one is starting")
        headers = {name: request.headers[name] for name in HEADERS if name in request.headers}
        try:
            async with self._open().post(
                f"https://{holder.address}{request.rel_url.raw_path}",
                data=request.content,
                headers=headers | {PASSED_ON: self._identity},
                # The certificate is the same for all replicas, and has the name under which pods know them.
                ssl=ssl.create_default_context(cafile=str(self._ca)),
                server_hostname=urlsplit(self._url()).hostname,
                allow_redirects=False,
            ) as answer:
                content = await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return _later(f"the active replica {holder.name} does not answer: {str(error) or type(error).__name__}")
        kept = {name: answer.headers[name] for name in ANSWERED if name in answer.headers}
        return web.Response(body=content, status=answer.status, headers=kept)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=AT_ONCE), timeout=SECONDS, auto_decompress=False
            )
        return self._session

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()


def _later(message: str) -> web.Response:
    return web.json_response({"message": message}, status=503, headers={RETRY_AFTER: "2"})
