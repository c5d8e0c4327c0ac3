"""The live table of a demo: where the three objects stand, redrawn on a terminal, a line a change elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any

HEADER = f"{'SECONDS':>7}  {'OBJECT':<24} {'PHASE':<13} {'DONE':>5} {'ETA':>6}  {'COST':>9}  DETAIL"


def row(item: dict[str, Any]) -> str:
    """One object as a row of the table."""
    status = item.get("status", {})
    trainer = status.get("trainerStatus", {})
    percent = trainer.get("progressPercentage")
    eta = trainer.get("estimatedRemainingSeconds")
    cost = status.get("cost", {}).get("accrued", "")
    metrics = " ".join(f"{metric['name']}={metric['value']}" for metric in trainer.get("metrics", [])[:4])
    detail = metrics or status.get("url") or _waiting(status)
    name = f"{item['kind']}/{item['metadata']['name']}"
    return (
        f"{name:<24} {status.get('phase', '-'):<13} {'' if percent is None else f'{percent}%':>5} "
        f"{'' if eta is None else f'{eta}s':>6}  {cost[:9]:>9}  {detail[:100]}"
    )


def _waiting(status: dict[str, Any]) -> str:
    """The message of the condition that says why nothing goes on."""
    conditions = status.get("conditions", [])
    return next((c["message"] for c in conditions if c["status"] != "True" and c.get("message")), "")


class Table:
    """Shows rows as they change."""

    def __init__(self) -> None:
        self.start = time.monotonic()
        self.shown: dict[str, str] = {}
        self.drawn = 0

    def show(self, items: list[dict[str, Any]]) -> None:
        """Draw the rows again on a terminal; elsewhere print those that changed."""
        rows = {item["kind"]: row(item) for item in items}
        seconds = int(time.monotonic() - self.start)
        if sys.stdout.isatty():
            if self.drawn:
                print(f"\x1b[{self.drawn}A", end="")
            for line in (HEADER, *(f"{seconds:>7}  {line}" for line in rows.values())):
                print(f"\x1b[2K{line}")
            self.drawn = len(rows) + 1
            return
        if not self.shown:
            print(HEADER, flush=True)
        for kind, line in rows.items():
            if self.shown.get(kind) != line:
                print(f"{seconds:>7}  {line}", flush=True)
        self.shown = rows
