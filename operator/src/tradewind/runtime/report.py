"""The report endpoint: programs in our pods say how far they are, and learn when that is safe in the status."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web
from pydantic import ValidationError

from tradewind.api.report import Report
from tradewind.core.labels import RUN
from tradewind.core.names import attempt_name, attempt_of
from tradewind.kube.errors import KubeError
from tradewind.ray.job import RAY_JOB, RayJobSeen
from tradewind.runtime.caller import Callers, Pod, Unproved
from tradewind.runtime.invalid import sentences
from tradewind.runtime.metrics import Metrics
from tradewind.runtime.reports import Rate, Reports, Superseded, Vanished
from tradewind.runtime.sender import is_of_run
from tradewind.runtime.store import Held, HeldPod, Key, Store

logger = logging.getLogger(__name__)

PATH = "/apis/tradewind.dev/v1alpha1/namespaces/{namespace}/{plural}/{name}/status"
LARGEST_BODY = 1 << 20  # bytes
READ_SECONDS = 10.0  # for a whole body
WRITE_SECONDS = 10.0  # until the status has a report
APPEAR_SECONDS = 3.0  # for the watch to show the pod that sends
RETRY_AFTER = "2"


class Endpoint:
    """The HTTPS server."""

    def __init__(
        self,
        store: Store,
        reports: Reports,
        callers: Callers,
        metrics: Metrics,
        ready: Callable[[], bool],
        elsewhere: Callable[[web.Request], Awaitable[web.Response]],  # answers while this replica is not ready
    ) -> None:
        self._store, self._reports, self._callers, self._ready = (store, reports, callers, ready)
        self._metrics, self._elsewhere, self._rate = metrics, elsewhere, Rate()
        self._plurals = {controller.model.plural: kind for kind, controller in store.controllers.items()}
        self._tls: Tls | None = None

    async def start(self, port: int, folder: Path) -> web.AppRunner:
        """Listen on a port with the certificate in a folder (tls.crt, tls.key)."""
        self._tls = Tls(folder)
        app = web.Application(client_max_size=LARGEST_BODY)
        app.router.add_post(PATH, self._post)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await runner.setup()
        await web.TCPSite(runner, port=port, ssl_context=self._tls.context).start()
        return runner

    def renew(self) -> None:
        """Use the certificate in the folder if it changed."""
        if self._tls is not None:
            self._tls.renew()

    async def _post(self, request: web.Request) -> web.Response:
        answer = await self._answer(request)
        self._metrics.report(answer.status)
        return answer

    async def _answer(self, request: web.Request) -> web.Response:
        if not self._ready():
            return await self._elsewhere(request)
        key = Key(
            self._plurals.get(request.match_info["plural"], ""),
            request.match_info["namespace"],
            request.match_info["name"],
        )
        try:
            sender = await self._callers.pod(_bearer(request))
        except Unproved as error:
            return _refuse(401, str(error))
        except KubeError as error:
            return _later(f"the API server could not check the token: {error}")
        pod = await self._known(sender)
        if pod is None or pod.owner != key or pod.namespace != key.namespace:
            return _refuse(403, f"pod {sender.namespace}/{sender.name} does not work for {request.path}")
        held = self._store.get(key)
        if held is None:
            return _refuse(404, f"there is no {key}")
        if not self._of_run(key, pod):
            return _refuse(403, f"pod {sender.namespace}/{sender.name} was not made by the RayJob of {request.path}")
        report = await _read(request)
        if isinstance(report, web.Response):
            return report
        run = pod.record.labels.get(RUN, "")
        return _untimely(held, pod, report, run) or await self._deliver(held, run, report)

    def _of_run(self, key: Key, pod: HeldPod) -> bool:
        number = attempt_of(pod.record.labels.get(RUN, ""))
        if number is None:
            return False
        ray_job = attempt_name(key.kind, key.name, number)
        child = self._store.named(RAY_JOB, key.namespace, ray_job)
        seen = child.record.seen if child is not None else None
        return is_of_run(pod.cluster, ray_job, seen.cluster if isinstance(seen, RayJobSeen) else None)

    async def _deliver(self, held: Held, run: str, report: Report) -> web.Response:
        key = held.key
        if wait := self._rate.wait(key, report, asyncio.get_running_loop().time()):
            headers = {"Retry-After": str(math.ceil(wait))}
            message = f"{key} reports too often; send the report again later"
            return web.json_response({"message": message}, status=429, headers=headers)
        try:
            await self._reports.deliver(key, held.uid, run, report, WRITE_SECONDS)
        except TimeoutError:
            return _later(f"the status was not written within {WRITE_SECONDS:.0f} s; send the report again")
        except Superseded:
            return _refuse(409, f"{run} is over: {key} has ended otherwise, or another run has taken its place")
        except Vanished:
            return _refuse(404, f"{key} was deleted")
        return web.json_response({"written": True})

    async def _known(self, sender: Pod) -> HeldPod | None:
        """The pod as the watch shows it, which may be a moment behind."""
        for _ in range(int(APPEAR_SECONDS / 0.1)):
            pod = self._store.pod(sender.uid)
            if pod is not None:
                return pod if (pod.namespace, pod.record.name) == (sender.namespace, sender.name) else None
            await asyncio.sleep(0.1)
        return None


class Tls:
    """A server's TLS settings that follow the files of its certificate."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._loaded = self._content()
        self._load()

    def renew(self) -> None:
        """Load the files again if they changed; new connections use them."""
        try:
            content = self._content()
            if content != self._loaded:
                self._loaded = content
                self._load()
                logger.info("the certificate of the report endpoint was renewed")
        except (OSError, ssl.SSLError) as error:
            logger.warning("the certificate in %s can't be read: %s", self._folder, error)

    def _content(self) -> bytes:
        return (self._folder / "tls.crt").read_bytes() + (self._folder / "tls.key").read_bytes()

    def _load(self) -> None:
        self.context.load_cert_chain(self._folder / "tls.crt", self._folder / "tls.key")


def _bearer(request: web.Request) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


async def _read(request: web.Request) -> Report | web.Response:
    try:
        async with asyncio.timeout(READ_SECONDS):
            content = await request.read()
    except web.HTTPRequestEntityTooLarge:
        return _refuse(413, f"a report has at most {LARGEST_BODY} bytes")
    except TimeoutError:
        return _refuse(408, f"the report did not arrive within {READ_SECONDS:.0f} s")
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        return _refuse(400, "the body is not JSON")
    try:
        return Report.read(body)
    except (ValidationError, RecursionError) as error:
        said = sentences(error)[:5] if isinstance(error, ValidationError) else ["too deeply nested"]
        return _refuse(422, "the report can't be read: " + "; ".join(said))


def _untimely(held: Held, pod: HeldPod, report: Report, run: str) -> web.Response | None:
    """The answer to a report that comes too late, or again."""
    if pod.created and held.created and pod.created < held.created:
        return _refuse(409, f"the pod worked for an earlier {held.key}")
    if held.deleting:
        return _refuse(409, f"{held.key} is being deleted")
    if report.run not in (None, run):
        return _refuse(409, f"the pod belongs to the run {run or '(none)'}, and the report speaks of {report.run}")
    status = held.body().get("status") or {}
    ended = next(
        (
            condition["type"]
            for condition in status.get("conditions") or ()
            if condition.get("type") in ("Complete", "Failed") and condition.get("status") == "True"
        ),
        None,
    )
    if ended is None or report.final:
        return None  # whether the status has what a last report says, the planner knows
    return _refuse(409, f"{held.key} has ended: {ended}")


def _refuse(code: int, message: str) -> web.Response:
    headers = {"WWW-Authenticate": "Bearer"} if code == 401 else {}
    return web.json_response({"message": message}, status=code, headers=headers)


def _later(message: str) -> web.Response:
    return web.json_response({"message": message}, status=503, headers={"Retry-After": RETRY_AFTER})
