"""The operator with a clock on its event loop: `python held.py FILE run ...`.

At SIGUSR1 it writes for how long the loop was held at most since the last time: seconds, and seconds of processor time,
which other processes of the machine don't make longer.
"""

from __future__ import annotations

import json
import selectors
import signal
import sys
import time
from pathlib import Path

from tradewind.__main__ import main
from tradewind.runtime import app  # noqa: F401 -- what is imported at the start does not count


class Clock(selectors.EpollSelector):
    """Where the loop waits: what lies between two waits is a turn."""

    def __init__(self) -> None:
        super().__init__()
        self.longest = (0.0, 0.0)  # of processor time, and of all
        self._start: tuple[float, float] | None = None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait."""
        if self._start is not None:
            turn = time.thread_time() - self._start[0], time.monotonic() - self._start[1]
            self.longest = max(self.longest, turn)
        found = super().select(timeout)
        self._start = time.thread_time(), time.monotonic()
        return found

    def write(self, path: Path) -> None:
        """Write what was longest, and begin again."""
        processor, wall = self.longest
        self.longest = (0.0, 0.0)
        made = path.with_suffix(".new")
        made.write_text(json.dumps({"processor": processor, "wall": wall}))
        made.rename(path)


if __name__ == "__main__":
    path, clock = Path(sys.argv[1]), Clock()

    selectors.DefaultSelector = lambda: clock  # type: ignore[assignment,misc,return-value]  # which asyncio's loop takes
    signal.signal(signal.SIGUSR1, lambda *_: clock.write(path))
    sys.exit(main(sys.argv[2:]))
