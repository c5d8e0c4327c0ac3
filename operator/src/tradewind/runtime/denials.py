"""Rights that we lack: for a moment, because the API server has just started and knows no roles yet, or for good."""

from __future__ import annotations

from collections.abc import Callable, Hashable

LASTING = 30.0  # seconds from which on the user is told
FORGOTTEN = 1200.0  # seconds without a denial after which the next one is a new one; a refused child is tried oftener


class Denials:
    """Since when something is denied."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._known: dict[Hashable, tuple[float, float]] = {}  # the first denial and the last

    def lasting(self, what: Hashable) -> bool:
        """Note a denial; whether there have been some for so long that it is no moment any more."""
        now = self._monotonic()
        first, last = self._known.get(what, (now, now))
        if now - last > FORGOTTEN:
            first = now
        self._known[what] = (first, now)
        return now - first >= LASTING

    def over(self, what: Hashable) -> None:
        """It was allowed."""
        self._known.pop(what, None)
