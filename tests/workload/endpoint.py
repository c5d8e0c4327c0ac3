"""A report endpoint over TLS, with answers that a test chooses."""

from __future__ import annotations

import datetime
import http.server
import json
import ssl
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@dataclass
class Endpoint:
    """What arrived, and what is answered: the last answer stays."""

    url: str
    mount: Path  # with token and ca.crt
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=lambda: [(200, {})])
    reports: list[dict[str, Any]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)  # of their arrival, on the monotonic clock
    before_answer: Callable[[], object] = lambda: None  # called in the thread that answers
    tokens: list[str] = field(default_factory=list)
    body: bytes = b"said by the operator"


def _certificate(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "tls.key").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    (folder / "ca.crt").write_bytes(certificate.public_bytes(pem))


@contextmanager
def endpoint(folder: Path) -> Iterator[Endpoint]:
    """Serve on a free port of this machine."""
    folder.mkdir(parents=True, exist_ok=True)
    _certificate(folder)
    (folder / "token").write_text("first-token\n")

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.reports.append(json.loads(body))
            found.tokens.append(self.headers["Authorization"])
            found.times.append(time.monotonic())
            found.before_answer()
            code, headers = found.answers.pop(0) if len(found.answers) > 1 else found.answers[0]
            self.send_response(code)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(found.body)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "ca.crt", folder / "tls.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    found = Endpoint(f"https://localhost:{server.server_address[1]}/status", folder)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
