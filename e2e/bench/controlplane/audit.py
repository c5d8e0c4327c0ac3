"""The API server's audit log, read from a mark on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from e2e.audit import Request, read


class AuditLog:
    """The log; a mark is a position in it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def mark(self) -> int:
        """The present end."""
        return self._path.stat().st_size

    def since(self, mark: int, user: str = "") -> Iterator[Request]:
        """What was answered since a mark, of a user if one is named."""
        with self._path.open() as lines:
            lines.seek(mark)
            yield from read(lines, user)
