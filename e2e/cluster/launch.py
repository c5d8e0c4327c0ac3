"""Becomes a component: writes itself down, joins its cgroup, ties itself to its parent, then turns into the program.

Run as `python3 -m e2e.cluster.launch <JSON of a Launch>`. Since the process writes down its own pid before it is
anything else, there is no moment at which a component runs and nobody knows.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

from e2e.cluster.record import Record, start_time

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Launch:
    """What to become."""

    name: str
    command: list[str]
    log: str
    record: str | None = None  # folder of the record to be written down in
    parent: int | None = None  # pid of the process to die with
    cgroups: list[str] = field(default_factory=list)

    def to_json(self) -> str:
        """What the module's command line takes."""
        return json.dumps(asdict(self))


def become(launch: Launch) -> None:
    """Turn this process into the program; does not return."""
    if launch.parent is not None:
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        # The parent may have died before the kernel was asked to watch it.
        if os.getppid() != launch.parent:
            os._exit(1)
    if launch.record is not None:
        Record(Path(launch.record)).add(
            "process",
            launch.name,
            pid=os.getpid(),
            start=start_time(os.getpid()),
            command=launch.command,
            log=launch.log,
        )
    for cgroup in launch.cgroups:
        (Path(cgroup) / "cgroup.procs").write_text(str(os.getpid()))
    log = os.open(launch.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ.pop("PYTHONPATH", None)
    os.execvp(launch.command[0], launch.command)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    become(Launch(**json.loads(sys.argv[1])))
