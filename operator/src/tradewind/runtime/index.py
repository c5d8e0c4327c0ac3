"""Which things belong to one: its children, its pods. For few a one; a tuple takes a quarter of a set's memory."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Index(Generic[K]):
    """Uids by what they belong to."""

    def __init__(self) -> None:
        self._uids: dict[K, tuple[str, ...]] = {}

    def get(self, key: K) -> tuple[str, ...]:
        """What belongs to it."""
        return self._uids.get(key, ())

    def add(self, key: K, uid: str) -> None:
        """Note that it belongs there; again changes nothing."""
        uids = self.get(key)
        if uid not in uids:
            self._uids[key] = (*uids, uid)

    def discard(self, key: K, uid: str) -> None:
        """Note that it does not, if it did."""
        uids = tuple(other for other in self.get(key) if other != uid)
        if uids:
            self._uids[key] = uids
        else:
            self._uids.pop(key, None)
