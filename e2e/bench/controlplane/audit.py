"""What the API server answered, to whom, and when: its audit log, read from a mark on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from e2e.audit import APART, WRITES


@dataclass(frozen=True)
class Entry:
    """One request; times in seconds since 1970, by the API server's clock."""

    user: str
    verb: str
    resource: str  # with the subresource: trainingjobs/status
    namespace: str
    name: str
    code: int
    received: float
    answered: float

    @property
    def writes(self) -> bool:
        """Whether it changed something; leases and what is about the asker itself apart."""
        return self.verb in WRITES and self.resource.partition("/")[0] not in APART - {"events"} and self.code < 400


class AuditLog:
    """The log; a mark is a position in it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def mark(self) -> int:
        """The present end."""
        return self._path.stat().st_size

    def since(self, mark: int, user: str = "") -> Iterator[Entry]:
        """What was answered since a mark, of a user if one is named."""
        with self._path.open() as lines:
            lines.seek(mark)
            for line in lines:
                if user not in line or not line.endswith("\n"):
                    continue
                entry = json.loads(line)
                name = entry["user"]["username"]
                if user and name != user:
                    continue
                about = entry.get("objectRef", {})
                yield Entry(
                    name,
                    entry["verb"],
                    "/".join(filter(None, (about.get("resource", ""), about.get("subresource", "")))),
                    about.get("namespace", ""),
                    about.get("name", ""),
                    entry.get("responseStatus", {}).get("code", 0),
                    _seconds(entry["requestReceivedTimestamp"]),
                    _seconds(entry["stageTimestamp"]),
                )


def _seconds(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()
