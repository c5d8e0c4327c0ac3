"""The events of a watch, taken off the stream as they come: whoever reads the stream sees only how far it has come."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import aiohttp

EVENTS = frozenset({"ADDED", "MODIFIED", "DELETED"})
AT_ONCE = 10  # events that are taken before others have their turn: a few milliseconds

# Is given each event of a watch: the path of the watch, the event's type, the object.
Take = Callable[[str, str, dict[str, Any]], None]


class Events:
    """The content of the answer to a watch, without the objects.

    Each event goes to `take`. The reader finds a bookmark in the place of events that came together, and everything
    else (bookmarks, errors, what can't be read) as it was.
    """

    def __init__(self, content: aiohttp.StreamReader, path: str, take: Take) -> None:
        self._content, self._path, self._take = content, path, take

    def __getattr__(self, name: str) -> Any:
        """What aiohttp asks of a content."""
        return getattr(self._content, name)

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        """The lines that are left, each as a chunk."""
        text = b""
        async for data in self._content.iter_chunked(size):
            text += data
            version, taken, start = "", 0, 0
            while (end := text.find(b"\n", start)) >= 0:
                line, start = text[start : end + 1], end + 1
                event = _event(line)
                if event is None:
                    for bookmark in _bookmark(version):
                        yield bookmark
                    version = ""
                    yield line
                    continue
                kind, body = event
                self._take(self._path, kind, body)
                version = body["metadata"]["resourceVersion"]
                taken += 1
                if taken % AT_ONCE == 0:
                    await asyncio.sleep(0)
            text = text[start:]
            for bookmark in _bookmark(version):
                yield bookmark
        if text:
            yield text


def _event(line: bytes) -> tuple[str, dict[str, Any]] | None:
    """Type and object of a line that tells of an object; None for any other."""
    try:
        event = json.loads(line)
        kind, body = event["type"], event["object"]
        return (kind, body) if kind in EVENTS and body["metadata"]["resourceVersion"] else None
    except (ValueError, TypeError, KeyError):
        return None


def _bookmark(version: str) -> Iterator[bytes]:
    """A line that says up to which version a watch has come; none where there is nothing to say."""
    if version:
        bookmark = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": version}}}
        yield json.dumps(bookmark).encode() + b"\n"
