"""Bodies that are compressed by gzip or deflate: read within their limits, and a piece at a time."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from tradewind_server.refusal import BadRequest, Encoded, shown

IDENTITY = b"identity"
# Bytes that are made at once: the event loop has its turn between two pieces.
_PIECE = 1 << 18
# zlib's window, and on top of it which header and trailer go with it.
_WINDOWS = {b"gzip": 16 + zlib.MAX_WBITS, b"x-gzip": 16 + zlib.MAX_WBITS, b"deflate": zlib.MAX_WBITS}
# The start of an answer says whether the whole gets smaller: bytes of floats hardly do.
_PROBE = 1 << 16
_WORTH = 0.8
_FASTEST = 1


class Decoder:
    """One body's."""

    def __init__(self, encoding: bytes) -> None:
        """`encoding` is the header Content-Encoding. Raises Encoded where it is not known."""
        self._name = encoding.decode("latin-1")
        if (window := _WINDOWS.get(encoding.strip().lower())) is None:
            raise Encoded(f"Content-Encoding {shown(self._name)} is not supported: send gzip, deflate, or no encoding")
        self._stream = zlib.decompressobj(window)

    def pieces(self, content: bytes) -> Iterator[bytes]:
        """What the next bytes of the body stand for, a piece at a time. Raises BadRequest."""
        while content:
            if self._stream.eof:
                raise BadRequest(f"the body goes on behind its end as {self._name}: send one stream of it")
            try:
                yield self._stream.decompress(content, _PIECE)
            except zlib.error:
                raise BadRequest(f"the body is not {self._name}, though Content-Encoding says so") from None
            content = self._stream.unconsumed_tail or self._stream.unused_data

    def end(self) -> None:
        """No more bytes come. Raises BadRequest where some are missing."""
        if not self._stream.eof:
            raise BadRequest(f"the body is cut off: it ends before the end of its {self._name}")


def accepted(header: bytes) -> bytes | None:
    """The encoding that an Accept-Encoding asks for first, of those known here."""
    for entry in header.lower().split(b","):
        name, _, quality = entry.replace(b" ", b"").partition(b";")
        if name in _WINDOWS and quality.rstrip(b".0") != b"q=":
            return name
    return None


def encoded(content: bytes, encoding: bytes) -> bytes | None:
    """The content as that encoding; None where that is hardly smaller."""
    if len(_compressed(content[:_PROBE], encoding)) > _WORTH * len(content[:_PROBE]):
        return None
    return _compressed(content, encoding)


def _compressed(content: bytes, encoding: bytes) -> bytes:
    return zlib.compress(content, _FASTEST, _WINDOWS[encoding])
