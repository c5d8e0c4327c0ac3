"""Says what is being done, and keeps a shared machine still while something is measured."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from pathlib import Path

HOLD_SECONDS = 300.0  # after which others that measure get their turn
YIELD_SECONDS = 8.0  # in which they can take it
POLL = 1.0


class Progress:
    """Lines on stderr with the seconds since the start.

    `still`: a file that is there while somebody measures. It is waited for, and it is ours while we do.
    """

    def __init__(self, still: Path | None) -> None:
        self._start, self._still = time.monotonic(), still
        self._since: float | None = None  # when the file became ours

    async def measures(self, what: str) -> None:
        """What is measured from now on."""
        if self._since is not None and time.monotonic() - self._since > HOLD_SECONDS:
            self.release()
            await asyncio.sleep(YIELD_SECONDS)
        while self._still is not None and self._since is None:
            try:
                os.close(os.open(self._still, os.O_CREAT | os.O_EXCL))
                self._since = time.monotonic()
            except FileExistsError:
                await asyncio.sleep(POLL)
        self._say("measuring", what)

    async def prepares(self, what: str) -> None:
        """What is done from now on that is not measured, once nobody else measures."""
        self.release()
        while self._still is not None and self._still.exists():  # noqa: ASYNC110 - another process removes it
            await asyncio.sleep(POLL)
        self._say("preparing", what)

    def release(self) -> None:
        """Let others go on."""
        if self._still is not None and self._since is not None:
            with contextlib.suppress(FileNotFoundError):
                self._still.unlink()
            self._since = None

    def _say(self, verb: str, what: str) -> None:
        print(f"[{time.monotonic() - self._start:6.1f} s] {verb}: {what}", file=sys.stderr, flush=True)
