"""Starts components through `launch`, and waits until they answer."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path

from e2e.cluster.launch import Launch
from e2e.cluster.progress import Failed, tail

_ROOT = Path(__file__).resolve().parents[2]
_CONNECTIONS = Path("/proc/sys/net/ipv4/ip_local_port_range")
_PORTS = range(20000, 30000)  # between those of Kubernetes' components and its node ports


def spawn(launch: Launch, env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Start a component: in a session of its own, or to die with this process if the launch says so."""
    Path(launch.log).parent.mkdir(parents=True, exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-m", "e2e.cluster.launch", launch.to_json()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        env={**os.environ, **(env or {}), "PYTHONPATH": str(_ROOT)},
        cwd="/",
        start_new_session=launch.parent is None,
    )


def wait_until(
    what: str, ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path, seconds: float
) -> None:
    """Wait until a component is ready; raise `Failed` with the end of its log if it ends or takes too long."""
    end = time.monotonic() + seconds
    while not ready():
        if (code := process.poll()) is not None:
            raise Failed(f"{what} ended with exit code {code}:\n{tail(log)}")
        if time.monotonic() > end:
            raise Failed(f"{what} was not ready within {seconds:.0f} s:\n{tail(log)}")
        time.sleep(0.05)


def answers(url: str, ca: Path | None = None, certificate: tuple[Path, Path] | None = None) -> bool:
    """Whether an HTTP GET is answered with success."""
    context = None
    if url.startswith("https:"):
        context = ssl.create_default_context(cafile=str(ca) if ca else None)
        if certificate:
            context.load_cert_chain(*certificate)
    # Loopback must not go through a proxy of the environment.
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), *([urllib.request.HTTPSHandler(context=context)] if context else [])
    )
    try:
        with opener.open(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def listens(port: int, address: str = "127.0.0.1") -> bool:
    """Whether something accepts connections there."""
    try:
        socket.create_connection((address, port), timeout=1).close()
    except OSError:
        return False
    return True


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on at this moment.

    Not those that the kernel gives to connections: one of these would take the port before who asked for it listens.
    """
    lowest, highest = map(int, _CONNECTIONS.read_text().split())
    ports = [port for port in _PORTS if not lowest <= port <= highest]
    sockets: list[socket.socket] = []
    try:
        while len(sockets) < count:
            with contextlib.suppress(OSError):  # somebody listens there
                sockets.append(socket.create_server(("", secrets.choice(ports))))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
