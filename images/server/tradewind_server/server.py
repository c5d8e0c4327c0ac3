"""The process: our REST endpoints in uvicorn around one model; how it starts, fails and leaves."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import socket
import time
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import uvicorn
import uvloop

from tradewind_server.bodies import Bodies
from tradewind_server.connections import Connection
from tradewind_server.folder import Unservable
from tradewind_server.http import Application
from tradewind_server.model import OnnxModel

if TYPE_CHECKING:
    from tradewind_server.rpc import RpcServer

log = logging.getLogger(__name__)

# Kubernetes shows what is written here as the container's message, and KServe as the model's last failure.
TERMINATION_LOG = Path("/dev/termination-log")


class RestServer(uvicorn.Server):
    """uvicorn that leaves in two steps: it goes on answering until load balancers know, then drains."""

    def __init__(
        self, application: Application, address: tuple[str, int], drain_seconds: float, grace_seconds: int
    ) -> None:
        host, port = address
        super().__init__(
            uvicorn.Config(
                application,
                host=host,
                port=port,
                loop="uvloop",
                http=Connection,
                ws="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,  # nobody asks who the client is
                timeout_keep_alive=75,  # longer than usual proxies keep theirs, so that it isn't we who close
                timeout_graceful_shutdown=grace_seconds,
            )
        )
        self.application = application
        self.drain_seconds = drain_seconds
        self.grace_seconds = grace_seconds
        self.rpc: RpcServer | None = None
        self._leave_at: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """SIGTERM or SIGINT. A second one ends the wait."""
        if self._leave_at is None:
            self._leave_at = time.monotonic() + self.drain_seconds
            self.application.leave()
        else:
            self.should_exit = True

    async def on_tick(self, counter: int) -> bool:
        """Whether to stop now."""
        due = self._leave_at is not None and time.monotonic() >= self._leave_at
        return await super().on_tick(counter) or due

    def at_work(self) -> int:
        """Requests that are being answered, those of gRPC too."""
        return len(self.server_state.tasks) + (self.rpc.calls if self.rpc else 0)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Waits for the requests that run, those of gRPC too, and takes no more."""
        rest = super().shutdown(sockets)
        await (asyncio.gather(rest, self.rpc.stop(self.grace_seconds)) if self.rpc else rest)


class Server:
    """Serves one model. It listens at once and is ready later, so that a probe can tell loading from dead."""

    def __init__(
        self,
        address: tuple[str, int],
        rpc_port: int | None,
        bodies: Bodies,
        drain_seconds: float,
        grace_seconds: int,
    ) -> None:
        """`rpc_port` is the port of gRPC at the same address, 0 for any that is free, None for no gRPC."""
        self.address = address
        self.rpc_port = rpc_port
        self.bodies = bodies
        self.drain_seconds = drain_seconds
        self.grace_seconds = grace_seconds

    def start(self, model: OnnxModel) -> None:
        """Serves until SIGTERM; ends the process with 0, or with 1 if the model can't be served."""
        code = uvloop.run(self._serve_model(model))
        logging.shutdown()
        # A thread in the model that outlived the grace time would hold up a normal exit for as long as it likes.
        os._exit(code)

    async def _serve_model(self, model: OnnxModel) -> int:
        application = Application(model, self.bodies)
        rest = RestServer(application, self.address, self.drain_seconds, self.grace_seconds)
        model.at_work = rest.at_work
        loading = asyncio.create_task(self._load(model, rest))
        await rest.serve()
        if not loading.done():
            return 0
        return loading.result()

    async def _load(self, model: OnnxModel, rest: RestServer) -> int:
        try:
            if self.rpc_port is not None:
                rest.rpc = await self._listening(model, self.rpc_port)
            await model.load_beside()
            # What there is now stays: the collector need not look at it again while requests are answered.
            gc.collect()
            gc.freeze()
            return 0
        except Unservable as error:
            reason = f"model {model.name} can't be served: {error}"
            log.error(reason, extra={"model": model.name})
        except Exception as error:
            reason = f"model {model.name} can't be served: {type(error).__name__}: {error}"
            log.exception(reason, extra={"model": model.name})
        model.reason = reason
        _tell_kubernetes(reason)
        rest.should_exit = True
        return 1

    async def _listening(self, model: OnnxModel, port: int) -> RpcServer:
        from tradewind_server.rpc import RpcServer  # only who speaks gRPC waits for its import

        rpc = RpcServer(model, self.bodies, (self.address[0], port))
        await rpc.start()
        return rpc


def _tell_kubernetes(reason: str) -> None:
    try:
        if TERMINATION_LOG.exists():
            TERMINATION_LOG.write_text(reason[:4000])
    except OSError as error:
        log.warning("%s can't be written: %s", TERMINATION_LOG, error.strerror)
