"""The Open Inference Protocol v2 over gRPC: KServe's service, with the admission, limits and errors of REST.

A status is that of the HTTP code that REST would answer, which is also the one in the metrics. A message is read only
once its call is admitted: for that each call is taken as a stream, which on the wire is the same.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import grpc
import grpc.aio

from tradewind_server import __version__, asked, connections, metrics, protobuf, v2
from tradewind_server.bodies import Bodies, Body
from tradewind_server.folder import Unservable
from tradewind_server.model import OnnxModel
from tradewind_server.protobuf import SERVICE, check_name, messages
from tradewind_server.refusal import BadRequest, NotFound, Refusal, Unimplemented, shown, told

Context = Any  # grpc.aio.ServicerContext
Call = Callable[[Any, Context], Awaitable[bytes]]

PROTOCOL = "grpc"
_DESCRIBED = ("name", "datatype", "shape")  # of a tensor
_RETRY_AFTER = b"retry-after"
_STATUS = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    404: grpc.StatusCode.NOT_FOUND,
    408: grpc.StatusCode.DEADLINE_EXCEEDED,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    500: grpc.StatusCode.INTERNAL,
    501: grpc.StatusCode.UNIMPLEMENTED,
    503: grpc.StatusCode.UNAVAILABLE,
}


class RpcServer(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Answers for one model."""

    def __init__(self, model: OnnxModel, bodies: Bodies, address: tuple[str, int]) -> None:
        self._model = model
        self._bodies = bodies
        host, port = address
        self._address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._server: Any = None
        self.port = port
        self.calls = 0  # that are being answered
        answers: dict[str, Callable[[Any], Any]] = {
            "ServerLive": lambda _: messages.ServerLiveResponse(live=True),
            "ServerReady": lambda _: messages.ServerReadyResponse(ready=model.ready),
            "ModelReady": self._model_ready,
            "ServerMetadata": lambda _: messages.ServerMetadataResponse(
                name=v2.SERVER, version=__version__, extensions=v2.EXTENSIONS
            ),
            "ModelMetadata": self._model_metadata,
        }
        calls = {name: self._answered(name, answer) for name, answer in answers.items()}
        calls["ModelInfer"] = self._infer
        self._handlers = {
            f"/{SERVICE.full_name}/{name}": grpc.stream_unary_rpc_method_handler(call) for name, call in calls.items()
        }
        self._names = f"{', '.join(calls)} of {SERVICE.full_name}"

    def service(self, handler_call_details: Any) -> Any:
        """The handler of a method; also of one that there is not, which says so."""
        method = handler_call_details.method

        async def unknown(_: Any, context: Context) -> bytes:
            return await _refused(
                context,
                Unimplemented(
                    f"no method {shown(method)} here: this server has {self._names}; it neither streams, nor loads or"
                    " unloads models for its clients"
                ),
            )

        return self._handlers.get(method) or grpc.stream_unary_rpc_method_handler(unknown)

    async def start(self) -> None:
        """Listens. Raises Unservable where it can't."""
        options = [
            ("grpc.max_receive_message_length", self._bodies.largest),
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", 0),  # a port that another process has is an error, not shared with it
            ("grpc.max_connection_age_ms", round(connections.OLDEST * 1000)),
        ]
        # Handlers raise nothing, so that all it has to say are calls whose client went while they were answered.
        logging.getLogger("grpc._cython.cygrpc").setLevel(logging.CRITICAL)
        self._server = grpc.aio.server(options=options)
        self._server.add_generic_rpc_handlers((self,))
        try:
            self.port = self._server.add_insecure_port(self._address)
        except RuntimeError as error:
            raise Unservable(f"gRPC can't listen at {self._address}: {error}") from None
        await self._server.start()

    async def stop(self, grace_seconds: float) -> None:
        """Tells clients to go elsewhere, takes no more calls, and waits that long for those that run."""
        await self._server.stop(grace_seconds)

    async def _infer(self, _: Any, context: Context) -> bytes:
        started = time.perf_counter()
        self.calls += 1
        body, refusal, code, name = Body(), None, 200, self._model.name
        try:
            answer = await self._answer(context, body)
        except Exception as error:  # noqa: BLE001 -- told to the client, and in the log
            refusal = told(error, body.size)
            code = refusal.code
            name = metrics.UNKNOWN if isinstance(refusal, NotFound) else name
        finally:
            self.calls -= 1
            self._bodies.let_go(body)
        metrics.answered(name, PROTOCOL, str(code), time.perf_counter() - started)
        return await _refused(context, refusal) if refusal else answer

    async def _answer(self, context: Context, body: Body) -> bytes:
        model = self._model
        model.admit()
        with model.parts.timed("read"):
            content = await self._bodies.message(self._message(context), body)
        request = await model.beside("parse", len(content), protobuf.read, model, content, self._bodies.most_values)
        outputs = await model.infer(request.feeds, list(request.wanted))
        size = asked.written(request.wanted, outputs) * v2.BYTES_OF_A_NUMBER
        return await model.beside("answer", size, protobuf.written, model, request, outputs)

    async def _message(self, context: Context) -> bytes:
        """The one message of a call."""
        content = await context.read()
        if content is grpc.aio.EOF:  # gRPC itself has told the client if it is too large
            raise BadRequest(f"the call has no message, or one above the limit of {self._bodies.largest} bytes")
        message: bytes = content
        return message

    def _answered(self, name: str, answer: Callable[[Any], Any]) -> Call:
        """A method that says something about the server."""
        kind = getattr(messages, SERVICE.methods_by_name[name].input_type.name)

        async def call(_: Any, context: Context) -> bytes:
            body = Body()
            try:
                content: bytes = answer(
                    protobuf.parsed(kind, await self._bodies.message(self._message(context), body))
                ).SerializeToString()
            except Exception as error:  # noqa: BLE001 -- told to the client, and in the log
                return await _refused(context, told(error, body.size))
            finally:
                self._bodies.let_go(body)
            return content

        return call

    def _model_ready(self, request: Any) -> Any:
        check_name(self._model, request.name, request.version)
        return messages.ModelReadyResponse(ready=self._model.ready)

    def _model_metadata(self, request: Any) -> Any:
        model = self._model
        check_name(model, request.name, request.version)
        model.require_loaded()
        found, kind = v2.metadata(model), messages.ModelMetadataResponse
        tensors = {
            which: [kind.TensorMetadata(**{field: one[field] for field in _DESCRIBED}) for one in found[which]]
            for which in ("inputs", "outputs")
        }
        return kind(name=found["name"], platform=found["platform"], **tensors)


async def _refused(context: Context, refusal: Refusal) -> bytes:
    """Ends the call; what it gives is not sent."""
    seconds = dict(refusal.headers).get(_RETRY_AFTER)
    # The second is what clients of gRPC that try again by themselves heed.
    trailing = (
        () if seconds is None else (("retry-after", seconds.decode()), ("grpc-retry-pushback-ms", f"{int(seconds)}000"))
    )
    with suppress(grpc.aio.InternalError):  # it has ended already: its client has gone, or sent more than it may
        await context.abort(_STATUS[refusal.code], refusal.sentence, trailing)
    return b""
