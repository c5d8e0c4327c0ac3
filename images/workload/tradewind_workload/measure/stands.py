"""The stands that run a replica each: those of the job's pod, or of this machine."""

from __future__ import annotations

import contextlib
import http.client
import importlib.util
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.parse
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STANDS = "TRADEWIND_STANDS"  # addresses of two, with a comma between them
SERVER_PYTHON = "TRADEWIND_SERVER_PYTHON"  # a Python that has the server's packages, where this one has not
HOST = "127.0.0.1"
RETURN = 400.0  # seconds in which a container that was ended is started again; kubelet waits 300 at most
ANSWER = 300.0  # seconds in which a stand says how its server is; it does so at once where the machine lets it


class Unservable(Exception):
    """A model can't be served; the text says why."""


class Lost(Exception):
    """The stand itself was ended."""


@dataclass(frozen=True)
class Stand:
    """What runs one server at a time: see tradewind_server.stand."""

    address: str
    threads: int | None = None  # of ONNX Runtime; as the server finds them where it is None

    def start(self, folder: Path, digest: str | None, port: int, patience: float) -> float:
        """Seconds until the model was Ready on that port, in place of the one before. Raises Unservable."""
        order: dict[str, Any] = {"modelDir": str(folder), "modelName": "model", "httpPort": port, "patience": patience}
        order |= {"digest": digest} if digest is not None else {}
        order |= {"threads": self.threads} if self.threads is not None else {}
        self.wait()
        try:
            return float(self._ask("POST", order, patience + ANSWER)["startSeconds"])
        except Lost:
            raise Unservable(self.loss()) from None

    def look(self) -> dict[str, Any]:
        """How the server is. Raises Lost."""
        return self._ask("GET", None, ANSWER)

    def stop(self) -> None:
        """No server any more."""
        with contextlib.suppress(Lost, RuntimeError):
            self._ask("DELETE", None, ANSWER)

    def why(self, wait: float = 0.0) -> str | None:
        """Why the server has ended; None where it has not, also after so many seconds.

        The connections of a process that is killed break before anyone is told that it has ended.
        """
        until = time.monotonic() + wait
        try:
            while True:
                reason: str | None = self.look()["reason"]
                if reason is not None or time.monotonic() >= until:
                    return reason
                time.sleep(0.05)
        except Lost:
            return self.loss()

    def wait(self) -> dict[str, Any]:
        """How the server is, once the stand takes orders. Raises RuntimeError where it does not."""
        until = time.monotonic() + RETURN
        while True:
            try:
                return self.look()
            except Lost as error:
                if time.monotonic() > until:
                    raise RuntimeError(f"the stand at {self.address} does not answer: {error}") from None
                time.sleep(0.2)

    def loss(self) -> str:
        """Why the stand itself has ended, once it is back: Kubernetes ends all that is in a container."""
        limits = self.wait()["limits"]
        return (
            f"the container of the replica was ended, as one is that takes more than the {limits['memoryBytes']} bytes "
            "of memory that it may"
        )

    def _ask(self, method: str, order: dict[str, Any] | None, seconds: float) -> dict[str, Any]:
        address = urllib.parse.urlsplit(self.address)
        connection = http.client.HTTPConnection(address.hostname or HOST, address.port, timeout=seconds)
        try:
            connection.request(method, "/replica", None if order is None else json.dumps(order))
            answer = connection.getresponse()
            found: dict[str, Any] = json.loads(answer.read())
        except TimeoutError:
            raise RuntimeError(f"the stand at {self.address} does not answer within {seconds:g} s") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Lost(f"{type(error).__name__}: {error}") from None
        finally:
            connection.close()
        if answer.status == 422:
            raise Unservable(str(found["error"]))
        if answer.status != 200:
            raise RuntimeError(f"the stand at {self.address} answers {answer.status}: {found}")
        return found


def inherited() -> dict[str, str]:
    """This process's environment for one that is measured: what Ray and OpenMP are told here is not for that."""
    return {key: value for key, value in os.environ.items() if not key.startswith(("RAY_", "OMP_"))}


def free_port() -> int:
    """A port on which nothing listens; the containers of a pod share them."""
    with socket.socket() as found:
        found.bind((HOST, 0))
        return int(found.getsockname()[1])


@contextlib.contextmanager
def opened(threads: int, *, gpu: bool = False) -> Iterator[tuple[Stand, Stand] | None]:
    """The two stands; None where there are none. Those of this machine give a server so many threads, and a GPU.

    The stands of a pod are told by their container what their servers compute on.
    """
    addresses = [address.strip() for address in os.environ.get(STANDS, "").split(",") if address.strip()]
    if addresses:
        if len(addresses) != 2:
            raise RuntimeError(f"{STANDS} must have two addresses with a comma between them, got {addresses}")
        one, other = map(Stand, addresses)
        try:
            yield one, other
        finally:
            one.stop()
            other.stop()
        return
    if (python := _server_python()) is None:
        yield None
        return
    with contextlib.ExitStack() as stack:
        yield (
            Stand(stack.enter_context(_of_this_machine(python, gpu)), threads),
            Stand(stack.enter_context(_of_this_machine(python, gpu)), threads),
        )


def _server_python() -> str | None:
    """A Python that can serve, if there is one."""
    if told := os.environ.get(SERVER_PYTHON):
        return told
    there = all(importlib.util.find_spec(name) is not None for name in ("uvloop", "tradewind_server"))
    return sys.executable if there else None


@contextlib.contextmanager
def _of_this_machine(python: str, gpu: bool) -> Iterator[str]:
    """A stand that ends with this process, however that ends: its address."""
    environment = inherited()
    environment["PYTHONPATH"] = os.pathsep.join([path for path in sys.path if path and "site-packages" not in path])
    environment["TRADEWIND_DEVICE"] = "gpu" if gpu else "cpu"
    process = subprocess.Popen(  # noqa: S603 -- our own program
        [python, "-m", "tradewind_server.stand", "--port=0", "--ends-with-input"],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        said = process.stdout.readline()
        if (address := re.search(r"http://\S+", said)) is None:
            raise RuntimeError(f"the stand of a replica did not start with {python}")
        yield address.group()
    finally:
        process.stdin.close()
        try:
            process.wait(ANSWER)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
