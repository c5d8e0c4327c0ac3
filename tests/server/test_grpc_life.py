"""Calls of gRPC while the model is busy, is being loaded, or leaves; and clients that are slow, or go."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import graphs
import grpc
import numpy as np
import pytest
from calls import METHOD, NO_LIMIT, arrays, call, refusal, request
from process import PATIENCE, Process, running, until
from test_life import LONGER, _not_ready
from test_overload import NEVER, Held

from e2e.cluster.children import free_ports
from tradewind_server import bodies as bodies_module
from tradewind_server import connections
from tradewind_server.bodies import Bodies, Body
from tradewind_server.folder import Unservable
from tradewind_server.model import Limits, OnnxModel
from tradewind_server.refusal import BadRequest, TooSlow, Unavailable
from tradewind_server.rpc import RpcServer, _refused

HOST = "127.0.0.1"
ROW = np.array([1, 2], "<f4")
ASKED = request({"name": "x", "datatype": "FP32", "shape": [1, 2]}, raw=[ROW])


class Server:
    """gRPC in the process of the tests, and in a thread of its own each call to it; the model is held."""

    def __init__(self, rpc: RpcServer, held: Held) -> None:
        self.rpc, self.held = rpc, held
        self._calls = ThreadPoolExecutor(8)

    def ask(self) -> asyncio.Future[Any]:
        return asyncio.get_running_loop().run_in_executor(self._calls, call, self.rpc.port, ASKED)

    async def silent(self) -> tuple[grpc.StatusCode, str]:
        """How a call ends whose message never comes."""
        done = threading.Event()

        def ask() -> tuple[grpc.StatusCode, str]:
            never = (b"" for _ in iter(lambda: done.wait(PATIENCE), True))
            with grpc.insecure_channel(f"{HOST}:{self.rpc.port}") as channel, pytest.raises(grpc.RpcError) as error:
                channel.stream_unary(METHOD + "ModelInfer")(never, timeout=PATIENCE)
            return error.value.code(), error.value.details()

        try:
            return await asyncio.to_thread(ask)
        finally:
            done.set()

    async def begun(self) -> None:
        await asyncio.to_thread(self.held.begun.wait, PATIENCE)


@pytest.fixture
def serving(tmp_path: Path) -> Callable[..., Any]:
    """A context with a server of a model with one thread."""

    @asynccontextmanager
    async def made(seconds: float = PATIENCE, **limits: Any) -> AsyncIterator[Server]:
        graphs.save(graphs.identity(graphs.FLOAT, ["rows", 2]), tmp_path / "model.onnx")
        model = OnnxModel("m", tmp_path, None, threads=1, limits=Limits(**limits))
        model.load()
        held = Held(model)
        rpc = RpcServer(model, Bodies(1_000_000, seconds), (HOST, 0))
        await rpc.start()
        try:
            yield Server(rpc, held)
        finally:
            held.let.set()
            await rpc.stop(PATIENCE)

    return made


async def _waits(server: Server, number: int) -> None:
    """Until so many requests wait or run."""
    await asyncio.to_thread(until, lambda: server.rpc._model._waiting == number, f"{number} do not wait")


def test_who_would_wait_too_long_is_told_when_to_come_back(serving: Any) -> None:
    async def run() -> None:
        async with serving(wait=NEVER) as server:
            taken = [server.ask()]
            await server.begun()
            taken.append(server.ask())  # one for each thread may
            await _waits(server, 2)
            with pytest.raises(grpc.RpcError) as error:
                await server.ask()
            assert error.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
            assert "the limit is 1e-09 s: ask again later" in error.value.details()
            trailing = dict(error.value.trailing_metadata())
            assert int(trailing["retry-after"]) >= 1
            assert trailing["grpc-retry-pushback-ms"] == f"{trailing['retry-after']}000"
            code, _ = await server.silent()
            assert code == grpc.StatusCode.RESOURCE_EXHAUSTED  # before its message is read
            server.held.let.set()
            assert [arrays(await one) for one in taken] == [{"y": [[1, 2]]}] * 2

    asyncio.run(run())


def test_more_than_can_wait_are_refused(serving: Any) -> None:
    async def run() -> None:
        async with serving(queue=1) as server:
            taken = [server.ask(), server.ask()]
            await _waits(server, 2)
            with pytest.raises(grpc.RpcError) as error:
                await server.ask()
            assert error.value.code() == grpc.StatusCode.UNAVAILABLE
            assert "2 requests wait already" in error.value.details()
            assert "retry-after" in dict(error.value.trailing_metadata())
            server.held.let.set()
            assert [arrays(await one) for one in taken] == [{"y": [[1, 2]]}] * 2

    asyncio.run(run())


@pytest.mark.parametrize("how", ["cancels", "has no time left"])
def test_what_nobody_waits_for_any_more_is_not_computed(serving: Any, how: str) -> None:
    async def run() -> None:
        async with serving() as server:
            first = server.ask()
            await server.begun()
            with grpc.insecure_channel(f"{HOST}:{server.rpc.port}") as channel:
                timeout = PATIENCE if how == "cancels" else 0.5
                left = channel.unary_unary(METHOD + "ModelInfer").future(ASKED.SerializeToString(), timeout=timeout)
                if how == "cancels":
                    await _waits(server, 2)
                    left.cancel()
                error = await asyncio.to_thread(left.exception) if how != "cancels" else None
            assert error is None or error.code() == grpc.StatusCode.DEADLINE_EXCEEDED
            await _waits(server, 1)
            server.held.let.set()
            await first
            await server.ask()
            assert server.held.runs == 2

    asyncio.run(run())


def test_a_call_that_has_ended_meanwhile_is_no_error() -> None:
    """gRPC ends one itself whose message is too large, perhaps while it is being refused here."""

    class Ended:
        async def abort(self, *_: Any) -> None:
            raise grpc.aio.InternalError("ended")

    assert asyncio.run(_refused(Ended(), BadRequest("any"))) == b""


def test_what_goes_wrong_in_a_method_is_told_and_in_the_log(serving: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        async with serving() as server:
            server.rpc._model.inputs = None  # a fault of ours
            for method in ("ModelMetadata", "ModelInfer"):
                code, said = await asyncio.to_thread(refusal, server.rpc.port, b"\x0a\x01m", method)
                assert (code, said) == (grpc.StatusCode.INTERNAL, "the server failed: see its log")

    asyncio.run(run())
    assert [record.getMessage() for record in caplog.records] == ["a request failed"] * 2


def test_messages_that_do_not_come_are_no_burden(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes at once has its turn however many are slow; of the slow ones there may be some, and not for ever."""
    monkeypatch.setattr(bodies_module, "_PATIENCE", 0.0)

    async def run() -> None:
        bodies = Bodies(1_000_000, PATIENCE)
        never: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        async def read(what: asyncio.Future[bytes] | bytes) -> bytes:
            return what if isinstance(what, bytes) else await asyncio.shield(what)

        slow = [asyncio.create_task(bodies.message(read(never), Body())) for _ in range(bodies_module._ON_THEIR_WAY)]
        await asyncio.sleep(0.05)
        with pytest.raises(Unavailable, match="16 messages that take long"):
            await bodies.message(read(never), Body())
        body = Body()
        assert await bodies.message(read(b"abc"), body) == b"abc"
        assert body.size == 3
        slow[0].cancel()
        with pytest.raises(asyncio.CancelledError):
            await slow[0]
        late = asyncio.create_task(bodies.message(read(never), Body()))
        await asyncio.sleep(0.05)
        never.set_result(b"late")
        assert await asyncio.gather(late, *slow[1:]) == [b"late"] * len(slow)
        with pytest.raises(TooSlow, match=r"0 bytes of the body came in 0\.01 s"):
            await Bodies(1_000_000, 0.01).message(read(asyncio.get_running_loop().create_future()), Body())

    asyncio.run(run())


def test_a_call_whose_message_does_not_come_ends(serving: Any) -> None:
    async def run() -> None:
        async with serving(seconds=0.1) as server:
            server.held.let.set()
            code, said = await server.silent()
            assert code == grpc.StatusCode.DEADLINE_EXCEEDED and "0 bytes of the body came in 0.1 s" in said
            assert not server.rpc._bodies._on_their_way
            assert arrays(await server.ask()) == {"y": [[1, 2]]}

    asyncio.run(run())


def test_all_messages_together_have_a_limit() -> None:
    async def run() -> None:
        async def read() -> bytes:
            return bytes(100)

        bodies, held = Bodies(100, PATIENCE), [Body() for _ in range(5)]
        for body in held[:4]:
            await bodies.message(read(), body)
        with pytest.raises(Unavailable, match="take too much memory"):
            await bodies.message(read(), held[4])
        bodies.let_go(held[0])
        await bodies.message(read(), held[4])

    asyncio.run(run())


def test_a_model_that_is_being_loaded_is_not_ready(tmp_path: Path) -> None:
    async def run() -> None:
        rpc = RpcServer(OnnxModel("m", tmp_path, None, 1, Limits()), Bodies(1_000, PATIENCE), (HOST, 0))
        await rpc.start()
        assert (await asyncio.to_thread(call, rpc.port, b"", "ServerLive")).live
        assert not (await asyncio.to_thread(call, rpc.port, b"", "ServerReady")).ready
        named = b"\x0a\x01m"
        assert not (await asyncio.to_thread(call, rpc.port, named, "ModelReady")).ready
        for method, asked in (("ModelInfer", ASKED), ("ModelMetadata", named)):
            code, said = await asyncio.to_thread(refusal, rpc.port, asked, method)
            assert code == grpc.StatusCode.UNAVAILABLE
            assert said == "model 'm' is not ready: the model is being loaded"
        await rpc.stop(PATIENCE)

    asyncio.run(run())


def test_a_port_that_is_taken_is_an_error(folder: Path, tmp_path: Path) -> None:
    [port] = free_ports(1)

    async def run() -> None:
        model = OnnxModel("m", folder, None, 1, Limits())
        one, other = (RpcServer(model, Bodies(1_000, PATIENCE), (HOST, port)) for _ in range(2))
        await one.start()
        with pytest.raises(Unservable, match=f"gRPC can't listen at {HOST}:{port}"):
            await other.start()
        process = Process(folder, tmp_path / "log", f"--grpc_port={port}")
        try:
            assert await asyncio.to_thread(process.popen.wait, PATIENCE) == 1
            [line] = process.log.splitlines()  # and none of gRPC's own
            assert f"model m can't be served: gRPC can't listen at 0.0.0.0:{port}" in json.loads(line)["message"]
        finally:
            process.close()
        await one.stop(PATIENCE)

    asyncio.run(run())


def _waiting(server: Process) -> float:
    return server.metrics()["tradewind_requests_waiting"]


def _listens(server: Process) -> bool:
    with socket.socket() as found:
        return found.connect_ex((HOST, server.port)) == 0


def test_sigterm_ends_calls_that_run_and_answers_what_comes_meanwhile(tmp_path: Path) -> None:
    graphs.save(graphs.slow(), tmp_path / "m" / "model.onnx")

    def work(trips: int) -> Any:
        return request({"name": "x", "datatype": "INT64", "shape": [1], "contents": {"int64_contents": [trips]}})

    flags = ("--drain_seconds=600", "--grace_seconds=600", "--max_wait_seconds=86400")
    for trips in LONGER[1:]:
        with running(tmp_path / "m", tmp_path / "log", *flags, env={"TRADEWIND_THREADS": "1"}) as server:
            with (
                ThreadPoolExecutor(2) as pool,
                grpc.insecure_channel(f"{HOST}:{server.rpc_port}", options=NO_LIMIT) as channel,
            ):
                ask = channel.unary_unary(METHOD + "ModelInfer")
                first = ask.future(work(trips).SerializeToString(), timeout=10 * PATIENCE)
                until(lambda first=first: first.done() or _waiting(server) == 1, "the call does not arrive")
                server.popen.terminate()
                until(lambda: _not_ready(server), "it is ready though it is told to end")
                assert not call(server.rpc_port, b"", "ServerReady").ready
                late = pool.submit(call, server.rpc_port, work(1))
                until(
                    lambda first=first, late=late: first.done() or late.done() or _waiting(server) == 2,
                    "what comes meanwhile is not taken",
                )
                server.popen.terminate()  # a second one ends the wait for further requests
                until(lambda first=first: first.done() or not _listens(server), "it goes on listening")
                in_time = not first.done()
                assert first.exception() is None
                assert late.result().model_name == "m"
            assert server.popen.wait(PATIENCE) == 0
            assert refusal(server.rpc_port, work(1))[0] == grpc.StatusCode.UNAVAILABLE
        if in_time:
            return
    raise AssertionError("a request of 32 s of work ended before the server was told to end")


def test_a_connection_is_made_anew_from_time_to_time(serving: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a client would stay at its replica for ever, and replicas that are added would have nothing to do."""
    monkeypatch.setattr(connections, "OLDEST", 0.1)

    def ask(port: int) -> list[grpc.ChannelConnectivity]:
        states: list[grpc.ChannelConnectivity] = []
        with grpc.insecure_channel(f"{HOST}:{port}") as channel:
            channel.subscribe(states.append)
            asking = channel.unary_unary(METHOD + "ModelInfer")

            def twice_ready() -> bool:
                assert asking(ASKED.SerializeToString(), timeout=PATIENCE)
                return states.count(grpc.ChannelConnectivity.READY) >= 2

            until(twice_ready, "the connection was not made anew")
        return states

    async def run() -> None:
        async with serving() as server:
            server.held.let.set()
            states = await asyncio.to_thread(ask, server.rpc.port)
            assert grpc.ChannelConnectivity.TRANSIENT_FAILURE not in states

    asyncio.run(run())
