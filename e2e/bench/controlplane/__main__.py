"""Runs the benchmark of the control plane, prints the tables, writes JSON and a plot; 1 if a must is missed.

python -m e2e.bench.controlplane                  # all of it, about 45 minutes on 2 cores
python -m e2e.bench.controlplane --objects 100    # about 2 minutes, to see that it runs: its numbers say little
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from e2e import venv
from e2e.bench.controlplane.audit import AuditLog
from e2e.bench.controlplane.client import Client
from e2e.bench.controlplane.contestants import ROOT, Installed
from e2e.bench.controlplane.lives import lives
from e2e.bench.controlplane.progress import Progress
from e2e.bench.controlplane.settled import Settled
from e2e.bench.controlplane.site import Site, access, install, nodes, take_rayjob
from e2e.bench.controlplane.takeover import Takeover
from e2e.bench.controlplane.targets import rows, table, turns_table
from e2e.bench.controlplane.turns import turns
from e2e.bench.serving import cpu_name
from e2e.cluster.apiserver import ApiServer
from e2e.cluster.binaries import build

FULL = 1000
# Each group has an API server of its own: what the first leave in it would slow the second down.
GROUPS = (("lives", "takeover", "rate", "burst"), ("settled",))
PARTS = tuple(part for group in GROUPS for part in group)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="e2e.bench.controlplane", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--objects", type=int, default=FULL, help="live at once; ten times as many settled")
    parser.add_argument("--parts", nargs="+", choices=PARTS, help="only these; the others' numbers stay as they are")
    parser.add_argument("--still", type=Path, help="a file that is there while anybody on the machine measures")
    parser.add_argument(
        "--json", type=Path, default=ROOT / "build" / "bench" / "controlplane.json", help="where to write"
    )
    return parser.parse_args()


def main() -> int:
    """Measure, print and write; 1 if a must of the targets is missed."""
    args = arguments()
    build("kwok", "kuberay", "trainer")
    progress = Progress(args.still)
    measured: dict[str, Any] = {}
    if args.parts and args.json.exists():
        before = json.loads(args.json.read_text())
        measured = before["measured"] if before["settings"]["objects"] == args.objects else {}
    chosen = args.parts or PARTS
    try:
        for group in GROUPS:
            if parts := [part for part in group if part in chosen]:
                asyncio.run(_group(parts, progress, args, measured))
    finally:
        progress.release()
    found = rows(measured)
    print(f"\n{turns_table(measured)}\n\n{table(found)}")
    print("* with client limits raised to 1,000 requests a second and 2,000 at once; without: as it comes")
    if "settled" in measured:
        _draw(args.json)
    return 0 if all(row.met for row in found) else 1


def _write(path: Path, objects: int, measured: dict[str, Any]) -> None:
    document = {
        "machine": {"cpu": cpu_name(), "cpus": len(os.sched_getaffinity(0)), "load": os.getloadavg()},
        "settings": {"objects": objects, "settled": 10 * objects},
        "rows": [row.dump() for row in rows(measured)],
        "measured": measured,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1))


async def _group(parts: list[str], progress: Progress, args: argparse.Namespace, measured: dict[str, Any]) -> None:
    await progress.prepares("an API server with everything installed")
    with tempfile.TemporaryDirectory(prefix="tradewind-bench-") as name, ApiServer() as server:
        installed = install(server, Path(name))
        with nodes(server):
            async for part, found in _measure(server, installed, parts, progress, args.objects):
                measured[part] = found
                _write(args.json, args.objects, measured)


async def _measure(
    server: ApiServer, installed: Installed, parts: list[str], progress: Progress, objects: int
) -> AsyncIterator[tuple[str, Any]]:
    small = objects < FULL
    async with Client(access(server, installed.folder)) as client:
        site = Site(server, client, AuditLog(server.audit_log), installed)
        await take_rayjob(site)
        rounds, bursts = (1, 1) if small else (3, 2)
        at_a_rate = 40 if small else 120
        # The operator opens silent watches anew after 240 s: that counts as idle requests.
        idle_seconds = 8 if small else 250
        settled = Settled(site, progress, 10 * objects, objects, idle_seconds, 2 if small else 4)
        kills = {"SIGTERM": 1, "SIGKILL": 1} if small else {"SIGTERM": 4, "SIGKILL": 3, "SIGSTOP": 1}
        makers: dict[str, Callable[[], Awaitable[Any]]] = {
            "lives": lambda: lives(site),
            "takeover": lambda: Takeover(site).run(kills),
            "rate": lambda: turns(site, progress, "10 a second", at_a_rate, 10, rounds),
            "burst": lambda: turns(site, progress, f"{objects:,} at once", objects, None, bursts),
            "settled": settled.run,
        }
        for part in parts:
            await progress.measures(part)
            yield part, await makers[part]()


def _draw(path: Path) -> None:
    """The plot beside the JSON; matplotlib is in the workload's environment."""
    command = [str(venv.python("workload")), "-m", "e2e.bench.controlplane.plot", str(path)]
    subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True)
    print(f"{path} and {path.with_suffix('.png').name}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
