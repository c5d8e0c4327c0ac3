"""How long a client may stay with one replica: one that is added has no connection yet, and nothing to do."""

from __future__ import annotations

import random
from asyncio import Transport
from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# Clients keep their connection, and so their replica. After so many seconds, a tenth more or less, they are asked to
# connect anew; requests that run are answered. gRPC does it by a setting of its own.
OLDEST: Final = 300.0


class Connection(HttpToolsProtocol):
    """A connection of HTTP/1.1 that ends with an answer once it is old: a client loses no request by that."""

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """The client is here."""
        super().connection_made(transport)
        self._old = self.loop.time() + OLDEST * random.uniform(0.9, 1.1)

    def on_headers_complete(self) -> None:
        """A request is here; with its answer goes `Connection: close`, where that is due."""
        super().on_headers_complete()
        if self.loop.time() >= self._old:
            self.cycle.keep_alive = False
