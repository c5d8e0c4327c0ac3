"""Runs the benchmark of the control plane, prints the tables, writes JSON and a plot; 1 if a must is missed.

python -m e2e.bench.controlplane                  # all of it, about 20 minutes on 2 cores
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
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from e2e import venv
from e2e.bench.controlplane.audit import AuditLog
from e2e.bench.controlplane.client import Client
from e2e.bench.controlplane.contestants import ROOT
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
PARTS = ("lives", "takeover", "rate", "burst", "settled")


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="e2e.bench.controlplane", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--objects", type=int, default=FULL, help="live at once; ten times as many settled")
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=PARTS, help="some of the parts")
    parser.add_argument("--still", type=Path, help="a file that is there while anybody on the machine measures")
    parser.add_argument(
        "--json", type=Path, default=ROOT / "build" / "bench" / "controlplane.json", help="where to write"
    )
    return parser.parse_args()


def main() -> int:
    """Measure, print and write; 1 if a must of the targets is missed."""
    args = arguments()
    build("kwok", "kuberay", "trainer")
    with tempfile.TemporaryDirectory(prefix="tradewind-bench-") as name, ApiServer() as server:
        folder = Path(name)
        progress = Progress(args.still)
        progress.prepares("an API server with everything installed")
        installed = install(server, folder)
        with nodes(server):
            try:
                measured = asyncio.run(_measure(server, folder, installed, progress, args))
            finally:
                progress.release()
    found = rows(measured)
    print(f"\n{turns_table(measured)}\n\n{table(found)}")
    print("* with client limits raised to 1,000 requests a second and 2,000 at once; without: as it comes")
    document = {
        "machine": {"cpu": cpu_name(), "cpus": len(os.sched_getaffinity(0)), "load": os.getloadavg()},
        "settings": {"objects": args.objects, "settled": 10 * args.objects, "parts": list(args.parts)},
        "rows": [row.dump() for row in found],
        "measured": measured,
    }
    args.json.parent.mkdir(parents=True, exist_ok=True)
    args.json.write_text(json.dumps(document, indent=1))
    if "settled" in measured:
        _draw(args.json)
    return 0 if all(row.met for row in found) else 1


async def _measure(
    server: ApiServer, folder: Path, installed: Any, progress: Progress, args: argparse.Namespace
) -> dict[str, Any]:
    small = args.objects < FULL
    async with Client(access(server, folder)) as client:
        site = Site(server, client, AuditLog(server.audit_log), installed)
        await take_rayjob(site)
        rounds, bursts = (1, 1) if small else (3, 2)
        at_a_rate = 40 if small else 150
        settled = Settled(site, progress, 10 * args.objects, args.objects, 8 if small else 40, 2 if small else 4)
        kills = {"SIGTERM": 1, "SIGKILL": 1} if small else {"SIGTERM": 5, "SIGKILL": 3, "SIGSTOP": 1}
        parts: dict[str, Callable[[], Awaitable[Any]]] = {
            "lives": lambda: lives(site, folder),
            "takeover": lambda: Takeover(site).run(kills),
            "rate": lambda: turns(site, progress, "10 a second", at_a_rate, 10, rounds),
            "burst": lambda: turns(site, progress, f"{args.objects:,} at once", args.objects, None, bursts),
            "settled": settled.run,
        }
        measured = {}
        for part in PARTS:
            if part in args.parts:
                await progress.measures(part)
                measured[part] = await parts[part]()
        return measured


def _draw(path: Path) -> None:
    """The plot beside the JSON; matplotlib is in the workload's environment."""
    command = [str(venv.python("workload")), "-m", "e2e.bench.controlplane.plot", str(path)]
    subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True)
    print(f"{path} and {path.with_suffix('.png').name}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
