"""`make faults`: lives of each kind with faults of every sort; a line for each life and fault, with its counts.

Exits with 1 if any run came to another end than the faultless one, or showed on the way what must never be.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from e2e.cluster.apiserver import ApiServer
from e2e.faults.bench import ROOT, Bench, prepare
from e2e.faults.compaction import compactions
from e2e.faults.lives import LIVES, Life
from e2e.faults.matrix import Matrix
from e2e.faults.outage import outage
from e2e.faults.rights import expired, rights, unplanned
from e2e.faults.starts import starts
from e2e.faults.stillness import stillness
from e2e.faults.takeover import Takeovers
from e2e.faults.tally import Tally
from e2e.faults.throttling import throttling

PARTS = ("requests", "kills", "starts", "compaction", "throttling", "watches", "outage", "takeover")
WATCH_RESYNC = 10.0  # seconds; a lost event is found when everything is listed afresh, by default each hour
OUTAGE_SECONDS, FROZEN_SECONDS, STILL_SECONDS = 300.0, 45.0, 120.0
SHORT_OUTAGE_SECONDS, SHORT_STILL_SECONDS = 20.0, 20.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all or a part of it; the exit code."""
    parser = argparse.ArgumentParser(prog="e2e.faults", description=__doc__)
    parser.add_argument("--selection", choices=("all", "ci", *PARTS), default="all", help="ci: something of each part")
    parser.add_argument("--source", type=Path, default=ROOT / "operator" / "src", help="sources of the operator")
    parser.add_argument("--logs", type=Path, help="a folder to keep the operators' logs and the audit log in")
    parser.add_argument("--pause-while", type=Path, help="begin no life while this file exists: somebody measures")
    parser.add_argument("--kinds", nargs="*", help="lives to try; without it all, for ci the quick ones")
    chosen = parser.parse_args(arguments)
    if chosen.logs:
        chosen.logs.mkdir(parents=True, exist_ok=True)
    kinds = chosen.kinds or [life.name for life in LIVES if chosen.selection != "ci" or not life.slow]
    lives = [life for life in LIVES if life.name in kinds]
    for number in (signal.SIGTERM, signal.SIGHUP):  # so that all is cleaned up
        signal.signal(number, lambda got, _frame: sys.exit(128 + got))
    with tempfile.TemporaryDirectory(prefix="tradewind-faults-") as name, ApiServer() as server:
        folder = Path(name)
        prepare(server, folder, chosen.source)
        return asyncio.run(_faults(Bench(server, folder, chosen.pause_while), lives, chosen.selection, chosen.logs))


async def _faults(bench: Bench, lives: list[Life], selection: str, logs: Path | None) -> int:
    tally = Tally()
    await bench.start()
    try:
        await _play(bench, tally, lives, selection)
        for operator in bench.operators:
            if operator.hung:
                tally.complain(f"{operator.name} did not answer its liveness probe {operator.hung} times")
            for code in operator.exits:
                tally.complain(f"{operator.name} ended by itself with exit code {code}")
        if (tracebacks := bench.tracebacks()) > 0:
            tally.complain(f"the operator logged {tracebacks} tracebacks")
        return tally.total(bench)
    finally:
        await bench.stop()
        if logs:
            for log in (*(operator.log for operator in bench.operators), bench.server.audit_log):
                shutil.copy(log, logs)


async def _play(bench: Bench, tally: Tally, lives: list[Life], selection: str) -> None:
    whole = selection != "ci"
    parts = PARTS if selection in ("all", "ci") else (selection,)
    matrix = Matrix(bench, tally, lives, whole)
    await bench.operate("operator")
    await matrix.record()
    if tally.complaints:
        return
    if "requests" in parts:
        await matrix.requests()
    if "kills" in parts:
        await matrix.kills()
    if "starts" in parts:
        await starts(bench, tally, matrix, whole)
    if "compaction" in parts:
        await compactions(bench, tally, whole)
    if "throttling" in parts:
        await throttling(bench, tally, matrix, whole)
    if "watches" in parts:
        await bench.operate("relisting", resync=WATCH_RESYNC)
        await matrix.watches()
    if "outage" in parts:
        await bench.operate("operator-again")
        await outage(bench, tally, matrix, 0.0)
        await outage(bench, tally, matrix, OUTAGE_SECONDS if whole else SHORT_OUTAGE_SECONDS)
        if whole:
            await outage(bench, tally, matrix, FROZEN_SECONDS, frozen=True)
    if "takeover" in parts:
        await Takeovers(bench, tally, matrix).play(matrix.freezes())
    if selection in ("all", "ci"):
        await unplanned(bench, tally, matrix)
        await expired(bench, tally)
    await stillness(bench, tally, STILL_SECONDS if selection == "all" else SHORT_STILL_SECONDS)
    if selection in ("all", "ci"):
        await rights(bench, tally)


if __name__ == "__main__":
    sys.exit(main())
