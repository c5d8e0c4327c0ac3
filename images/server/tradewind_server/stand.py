"""What a CompressionJob measures on: starts one server at a time as it is told, and says what became of it.

It runs in a container that has the resources of a replica, which are thereby those of the server, and takes orders from
the other containers of its pod over HTTP:

- `POST /replica` starts a server in place of the one before, and answers once it is Ready;
- `GET /replica` says how it is;
- `DELETE /replica` stops it.

It imports nothing of the server, since what it takes of the memory a replica would have.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tradewind_server.cgroup import allowed_cpus, allowed_memory
from tradewind_server.hardware import gpus
from tradewind_server.replica import HOST, Mistaken, Order, Replica, Unservable

_LARGEST = 1 << 16  # bytes of an order


class Stand:
    """The one server, or none."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._replica: Replica | None = None

    def start(self, order: Order) -> dict[str, Any]:
        """A server in place of the one before. Raises Unservable."""
        with self._lock:
            self._stop()
            self._replica = Replica(order)
            return {"startSeconds": self._replica.wait_until_ready(), "pid": self._replica.pid}

    def look(self) -> dict[str, Any]:
        """How the server is, and what it may use."""
        limits = {"cpu": allowed_cpus(), "memoryBytes": allowed_memory(), "gpu": gpus()}
        none = {"alive": False, "pid": None, "exit": None, "reason": None, "peakMemoryBytes": 0, "cpuSeconds": None}
        replica = self._replica
        return {**(none if replica is None else replica.look()), "limits": limits}

    def stop(self) -> dict[str, Any]:
        """No server; also the end of one that is being waited for."""
        if (replica := self._replica) is not None:
            replica.stop()
        with self._lock:
            self._stop()
        return {}

    def _stop(self) -> None:
        if self._replica is not None:
            self._replica.stop()
            self._replica = None


class _Handler(BaseHTTPRequestHandler):
    stand: Stand
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """How the server is."""
        self._do(self.stand.look)

    def do_DELETE(self) -> None:
        """No server."""
        self._do(self.stand.stop)

    def do_POST(self) -> None:
        """A server."""
        length = self.headers.get("Content-Length", "0")
        content = self.rfile.read(min(int(length), _LARGEST)) if length.isdigit() else b""
        self._do(lambda: self.stand.start(Order.read(content)))

    def _do(self, doing: Callable[[], dict[str, Any]]) -> None:
        if self.path != "/replica":
            return self._answer(HTTPStatus.NOT_FOUND, {"error": "there is only /replica"})
        try:
            self._answer(HTTPStatus.OK, doing())
        except Mistaken as error:
            self._answer(HTTPStatus.BAD_REQUEST, {"error": str(error)})
        except Unservable as error:
            self._answer(HTTPStatus.UNPROCESSABLE_ENTITY, {"error": str(error)})

    def _answer(self, code: HTTPStatus, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the library's name
        """Nothing: whoever orders says what is done."""


def serve(ports: Sequence[int], *, ends_with_input: bool) -> None:
    """Takes orders until SIGTERM, or until the standard input ends. The servers end with it.

    Each port is of a stand of its own: two share a container where they share its GPU.
    """
    stands = [Stand() for _ in ports]
    listening = [
        ThreadingHTTPServer((HOST, port), type("Handler", (_Handler,), {"stand": stand}))
        for port, stand in zip(ports, stands, strict=True)
    ]
    ended = threading.Event()

    def end(*_: object) -> None:
        ended.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    if ends_with_input:
        threading.Thread(target=lambda: end(sys.stdin.buffer.read()), daemon=True).start()
    for one in listening:
        one.daemon_threads = True
        threading.Thread(target=one.serve_forever, args=(0.1,), daemon=True).start()
        print(f"a stand at http://{HOST}:{one.server_port}", flush=True)  # noqa: T201 -- for whoever started it
    try:
        ended.wait()
    finally:
        for stand in stands:
            stand.stop()


def main() -> None:
    """Runs the stand."""
    parser = argparse.ArgumentParser(prog="tradewind_server.stand", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--port",
        dest="ports",
        type=int,
        action="append",
        required=True,
        help="port of the orders on 127.0.0.1; 0 for any. Given twice, there are two stands",
    )
    parser.add_argument("--ends-with-input", action="store_true", help="end when the standard input does")
    args = parser.parse_args()
    serve(args.ports, ends_with_input=args.ends_with_input)


if __name__ == "__main__":
    main()
