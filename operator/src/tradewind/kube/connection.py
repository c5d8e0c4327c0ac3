"""The way to the API server: address, credentials, and HTTP sessions that count requests and hold back writes."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config

from tradewind.kube.errors import KubeError

WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
LONGEST_TURN = 5.0  # seconds that a list waits for the one before it
PATH = re.compile(
    r"^/(?:api|apis/(?P<group>[^/]+))/(?P<version>[^/]+)(?:/namespaces/(?P<namespace>[^/]+)(?=/))?"
    r"/(?P<plural>[^/]+)(?:/(?P<name>[^/]+))?(?:/(?P<subresource>[^/]+))?$"
)

# Told of every request: verb, resource (with the subresource after a slash), HTTP code (0: no answer).
Counter = Callable[[str, str, int], None]


class Turns:
    """Lets our lists go to the API server one after another, page by page.

    Of many objects a page takes up to ten seats there, or all that its priority level has. Those sent at one moment are
    refused then, each for up to 32 s, and a renewal of the lease with them. None waits long for one without an answer.
    """

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait until it is the caller's turn, which lasts until the block ends."""
        mine = False
        with suppress(TimeoutError):
            async with asyncio.timeout(LONGEST_TURN):
                mine = await self._lock.acquire()
        try:
            yield
        finally:
            if mine:
                self._lock.release()


@dataclass(frozen=True)
class Connection:
    """Where the API server is and who we are."""

    configuration: Configuration
    lists: Turns = field(default_factory=Turns)

    @property
    def server(self) -> str:
        """Base URL."""
        return str(self.configuration.host)

    async def authorization(self) -> str | None:
        """The value of the Authorization header now; a projected token is read again as it is renewed."""
        settings: dict[str, Any] = dict(await self.configuration.auth_settings())
        for setting in settings.values():
            if setting.get("in") == "header" and (value := setting.get("value")):
                return str(value)
        return None

    def tls(self) -> ssl.SSLContext:
        """What is trusted, and our client certificate."""
        configuration = self.configuration
        context = ssl.create_default_context(cafile=configuration.ssl_ca_cert, cadata=configuration.ca_cert_data)
        if configuration.cert_file:
            context.load_cert_chain(configuration.cert_file, keyfile=configuration.key_file)
        if not configuration.verify_ssl:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if configuration.disable_strict_ssl_verification:
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        return context


async def connect() -> Connection:
    """Read the kubeconfig that KUBECONFIG names (context: KUBECONTEXT), else the pod's service account.

    Raises `KubeError` with a sentence where neither is there.
    """
    configuration = Configuration()
    kubeconfig = os.environ.get("KUBECONFIG")
    try:
        if kubeconfig is None and "KUBERNETES_SERVICE_HOST" in os.environ:
            load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        else:
            await load_kube_config(  # type: ignore[no-untyped-call]
                config_file=kubeconfig,
                context=os.environ.get("KUBECONTEXT"),
                client_configuration=configuration,
                persist_config=False,
            )
    except (ConfigException, OSError) as error:
        raise KubeError(
            f"no way to the API server: {error}. Set KUBECONFIG to a kubeconfig file, or run in a pod with a service"
            " account."
        ) from error
    configuration.proxy = configuration.proxy or proxy_of_environment(str(configuration.host))
    return Connection(configuration)


def proxy_of_environment(url: str) -> str | None:
    """The proxy that the environment names for an address (HTTPS_PROXY, and NO_PROXY for those that need none)."""
    parts = urlsplit(url)
    if parts.hostname is None or proxy_bypass(parts.hostname):
        return None
    return getproxies().get(parts.scheme)


def describe(method: str, path: str, watch: bool) -> tuple[str, str]:
    """Verb and resource of a request, in Kubernetes' terms: ("patch", "trainingjobs/status")."""
    match = PATH.match(path)
    if match is None:
        return method.lower(), "discovery"
    resource = match["plural"]
    if match["subresource"]:
        resource = f"{resource}/{match['subresource']}"
    if method == "GET":
        return ("watch" if watch else "get" if match["name"] else "list"), resource
    return {"POST": "create", "PUT": "update"}.get(method, method.lower()), resource


def session_options(lists: Turns, count: Counter, may_write: Callable[[str], None] | None) -> dict[str, Any]:
    """Options for an aiohttp session: `count` hears of each request, `may_write(path)` can raise before a write.

    The check runs when a connection is at hand, right before the first byte is sent: an old leader that was frozen
    while it waited for a connection sends nothing.
    """

    async def counted(
        request: aiohttp.ClientRequest, handler: Callable[[aiohttp.ClientRequest], Awaitable[aiohttp.ClientResponse]]
    ) -> aiohttp.ClientResponse:
        verb, resource = describe(request.method, request.url.path, "watch" in request.url.query)
        try:
            if verb == "list":
                async with lists.turn():
                    response = await handler(request)
                    await response.read()  # until then it keeps its seats
            else:
                response = await handler(request)
        except BaseException:
            count(verb, resource, 0)
            raise
        count(verb, resource, response.status)
        return response

    # The environment is read once, by `connect`. aiohttp would look for a proxy and for a .netrc before each request,
    # in two threads, one after the other.
    options: dict[str, Any] = {"middlewares": (counted,), "trust_env": False}
    if may_write is not None:
        check = may_write

        async def before_headers(_session: Any, _context: Any, sent: aiohttp.TraceRequestHeadersSentParams) -> None:
            if sent.method in WRITES:
                check(sent.url.path)

        trace = aiohttp.TraceConfig()
        trace.on_request_headers_sent.append(before_headers)
        options["trace_configs"] = [trace]
    return options


def kept_alive(address: Any) -> socket.socket:
    """A socket that finds out within a minute when nobody is at its other end: a silent watch looks the same."""
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
        if option := getattr(socket, name, None):
            made.setsockopt(socket.IPPROTO_TCP, option, value)
    return made
