"""Ray Train's list of a run's checkpoints: it is overwritten in place, and torn when a pod dies just then."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tradewind_workload.io.files import write_atomically

if TYPE_CHECKING:
    from pathlib import Path

SNAPSHOT = "checkpoint_manager_snapshot.json"
LAST_GOOD = ".tradewind-snapshot.json"


def keep(folder: Path) -> None:
    """Keep a copy of the list in the folder of a run, if it is whole at this moment."""
    try:
        content = (folder / SNAPSHOT).read_bytes()
        json.loads(content)
        write_atomically(folder / LAST_GOOD, content)
    except Exception:  # noqa: BLE001 -- being written at this moment, or a store that is no folder: the last copy stays
        return


def repair(storage: Path) -> list[str]:
    """Put torn lists of checkpoints right before a run is restored. Returns what was done, for the log."""
    done = []
    for snapshot in storage.glob(f"*/{SNAPSHOT}"):
        if _whole(snapshot):
            continue
        last_good = snapshot.with_name(LAST_GOOD)
        snapshot.replace(snapshot.with_suffix(".torn"))
        if _whole(last_good):
            write_atomically(snapshot, last_good.read_bytes())
            done.append(f"{snapshot}: was torn, the last good list of checkpoints is back")
        else:
            done.append(f"{snapshot}: was torn and is set aside, the run starts over")
    return done


def _whole(snapshot: Path) -> bool:
    """Whether the list can be read, and all that it names is there."""
    try:
        state = json.loads(snapshot.read_bytes())
        names = [result["checkpoint_dir_name"] for result in state["checkpoint_results"]]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return all((snapshot.parent / name).is_dir() for name in names)
