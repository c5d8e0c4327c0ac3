"""Who trains when: groups of processes that take turns, told over a socket of the file system."""

from __future__ import annotations

import json
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PATIENCE = 600  # seconds for a turn, and for a group to come


@dataclass(frozen=True)
class Turn:
    """What a process is told to do."""

    steps: int
    checkpoint: bool = False  # of the state before them, on the disk when they are done


class Gate:
    """The end of a process that trains."""

    def __init__(self, path: str, system: str, rank: int) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(path)
        self._file = self._socket.makefile("rw")
        self._cpu = 0.0
        self._say({"system": system, "rank": rank})

    def next(self) -> Turn | None:
        """Wait for the next turn; None at the end."""
        line = self._file.readline()
        self._cpu = time.process_time()
        return Turn(**json.loads(line)) if line else None

    def done(self) -> None:
        """The turn is over."""
        self._say({"cpu": time.process_time() - self._cpu})

    def _say(self, what: dict[str, Any]) -> None:
        self._file.write(json.dumps(what) + "\n")
        self._file.flush()


@dataclass(frozen=True)
class Took:
    """A turn, until the last process of its group was done."""

    seconds: float
    cpu: float  # seconds of all processes of the group


class Gates:
    """The other ends, of all groups."""

    def __init__(self, path: Path) -> None:
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(path))
        self._server.listen()
        self._server.settimeout(PATIENCE)
        self._groups: dict[str, list[tuple[socket.socket, Any]]] = {}

    def admit(self, processes: int) -> None:
        """Wait until so many processes have come."""
        for _ in range(processes):
            came, _ = self._server.accept()
            came.settimeout(PATIENCE)
            file = came.makefile("rw")
            self._groups.setdefault(json.loads(file.readline())["system"], []).append((came, file))

    def take(self, system: str, turn: Turn) -> Took:
        """Let a group take a turn."""
        group = self._groups[system]
        started = time.perf_counter()
        for _, file in group:
            file.write(json.dumps({"steps": turn.steps, "checkpoint": turn.checkpoint}) + "\n")
            file.flush()
        cpu = sum(json.loads(file.readline())["cpu"] for _, file in group)
        return Took(time.perf_counter() - started, cpu)

    def close(self) -> None:
        """No further turn."""
        for group in self._groups.values():
            for came, _ in group:
                came.shutdown(socket.SHUT_RDWR)
        self._server.close()
