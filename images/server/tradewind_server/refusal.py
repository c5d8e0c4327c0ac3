"""Answers other than 200: a sentence for the client, and its HTTP code."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from difflib import get_close_matches
from itertools import islice

log = logging.getLogger(__name__)


class Refusal(Exception):
    """The request can't be answered; `code` is an HTTP status, the text is what the client reads."""

    code = 400
    headers: tuple[tuple[bytes, bytes], ...] = ()

    @property
    def sentence(self) -> str:
        """The text as it can be sent: what a client gave may hold halves of surrogate pairs."""
        return str(self).encode(errors="replace").decode()


class BadRequest(Refusal):
    """The client's mistake: the same request will never be answered."""


class NotFound(Refusal):
    """No such path or model."""

    code = 404


class MethodNotAllowed(Refusal):
    """The path is there, but not for this method."""

    code = 405

    def __init__(self, allowed: str) -> None:
        super().__init__(f"use {allowed}")
        self.headers = ((b"allow", allowed.encode()),)


class TooSlow(Refusal):
    """The body did not come in time. What would still come of it is not read: the connection ends."""

    code = 408
    headers = ((b"connection", b"close"),)


class TooLarge(Refusal):
    """The body is above the limit."""

    code = 413


class Encoded(Refusal):
    """The body is compressed in a way that is not known here."""

    code = 415
    headers = ((b"accept-encoding", b"gzip, deflate"),)


class Busy(Refusal):
    """It would wait too long. `retry_after` is in seconds."""

    code = 429

    def __init__(self, reason: str, retry_after: int) -> None:
        super().__init__(reason)
        self.headers = ((b"retry-after", str(retry_after).encode()),)


class Failed(Refusal):
    """The model failed, and not because of what was asked."""

    code = 500


class Unimplemented(Refusal):
    """A method of the protocol that this server does not have."""

    code = 501


class Unavailable(Refusal):
    """Not now: not ready yet, leaving, or overloaded. `retry_after` is in seconds."""

    code = 503

    def __init__(self, reason: str, retry_after: int = 1) -> None:
        super().__init__(reason)
        self.headers = ((b"retry-after", str(retry_after).encode()),)


def told(error: Exception, size: int) -> Refusal:
    """What a client is told of an error in a request of so many bytes. One that is not its own is in the log."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, MemoryError):
        log.error("out of memory for a request of %d bytes", size)
        return Failed("the server ran out of memory: send fewer rows")
    log.error("a request failed", exc_info=error)
    return Failed("the server failed: see its log")


def shown(value: object) -> str:
    """What a client sent, short and in quotes, so that an error never carries a whole body back."""
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def listed(names: Iterable[str]) -> str:
    """Names in quotes, the first ones where there are many."""
    found = [shown(name) for name in names]
    return ", ".join(found[:12]) + (f" and {len(found) - 12} more" if len(found) > 12 else "")


def nearest(name: object, names: Iterable[str]) -> str:
    """A hint at the name that may have been meant, or nothing."""
    some = islice((one for one in names if len(one) <= 100), 500)  # comparing takes time
    found = get_close_matches(name, some, 3) if isinstance(name, str) and len(name) <= 100 else []
    return f"; did you mean {' or '.join(map(shown, found))}?" if found else ""


def raise_limit(field: str) -> str:
    """Where a limit is set, for the end of a sentence."""
    return f", or raise spec.limits.{field} of the ModelDeployment"
