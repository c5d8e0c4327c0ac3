"""What this machine's cluster has created, written down before it is created, so that any later run can take it away.

One file an entry in `/run/tradewind-cluster/record`. Cleaning goes by these entries, never by the name of a process.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2e.cluster.places import RUN

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class Entry:
    """One thing that exists on this machine because of the cluster."""

    kind: str  # process, cgroup, link, nft, folder, image-store
    name: str
    about: dict[str, Any]


class Record:
    """The entries, each in a file of its own: a crash can leave an entry too many, never half a record."""

    def __init__(self, folder: Path = RUN / "record") -> None:
        self.folder = folder

    def add(self, kind: str, name: str, **about: Any) -> Entry:
        """Write down a thing that is about to be created."""
        self.folder.mkdir(parents=True, exist_ok=True)
        entry = Entry(kind, name, about)
        text = json.dumps({"kind": kind, "name": name, "about": about, "boot": BOOT_ID.read_text().strip()})
        path = self._path(kind, name)
        new = path.with_name(f".{path.name}")
        new.write_text(text)
        new.rename(path)
        return entry

    def remove(self, entry: Entry) -> None:
        """Forget a thing that is gone."""
        self._path(entry.kind, entry.name).unlink(missing_ok=True)

    def entries(self, kind: str | None = None) -> list[Entry]:
        """What was written down since this machine's boot, in order. Files outlive a boot, the rest does not."""
        boot = BOOT_ID.read_text().strip()
        found = []
        for path in sorted(self._paths(), key=lambda path: path.stat().st_mtime_ns):
            data = json.loads(path.read_text())
            outlives = data["kind"] in ("folder", "image-store")
            if (outlives or data["boot"] == boot) and kind in (None, data["kind"]):
                found.append(Entry(data["kind"], data["name"], data["about"]))
        return found

    def get(self, kind: str, name: str) -> Entry | None:
        """One entry by its name."""
        return next((entry for entry in self.entries(kind) if entry.name == name), None)

    def clear(self) -> None:
        """Forget everything, also what was written before the last boot."""
        for path in self._paths():
            path.unlink(missing_ok=True)

    def _paths(self) -> Iterator[Path]:
        yield from self.folder.glob("[!.]*.json")

    def _path(self, kind: str, name: str) -> Path:
        return self.folder / f"{kind}-{name.replace('/', '_')}.json"


def start_time(pid: int) -> str | None:
    """The start time of a process in ticks: with its pid it names it for good. None where it is gone or a zombie."""
    try:
        # The name in parentheses may itself have spaces and parentheses.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in ("Z", "X") else fields[19]


def is_alive(entry: Entry) -> bool:
    """Whether the recorded process itself still runs, not another one with its pid."""
    return bool(entry.about.get("pid")) and start_time(entry.about["pid"]) == entry.about["start"]


def stop(entries: list[Entry], patience: float = 5.0) -> None:
    """Ask recorded processes to end, all at once; kill those that do not within that many seconds."""
    for signum, seconds in ((signal.SIGTERM, patience), (signal.SIGKILL, 5.0)):
        for entry in entries:
            if is_alive(entry):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(entry.about["pid"], signum)
        end = time.monotonic() + seconds
        while any(is_alive(entry) for entry in entries) and time.monotonic() < end:
            time.sleep(0.05)
        if not any(is_alive(entry) for entry in entries):
            return
