"""A restart beside settled objects alone, in a few minutes: `python -m e2e.bench.controlplane.restart [--objects N]`.

The objects are copies of one TrainingJob that lived, with its children. Prints a row a restart: seconds and processor
time until ready, memory, and for how long the event loop was held at most, until ready, until the first look at all
objects was over, and by a changed configuration, after which all are looked at again. KubeRay is not asked.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from e2e.bench.controlplane.audit import AuditLog
from e2e.bench.controlplane.client import RAY_JOB, TRAINING_JOB, Client
from e2e.bench.controlplane.contestants import ROOT, TRADEWIND, Installed
from e2e.bench.controlplane.crowd import Crowd, copy
from e2e.bench.controlplane.site import Site, access, training_job
from e2e.bench.controlplane.timed import Timed
from e2e.cluster.apiserver import ApiServer
from e2e.cluster.foreign import define
from e2e.equipment import equip

FIRST = "settled"
BATCH = 1000


async def main(objects: int, rounds: int) -> None:
    """Make the objects, restart, print."""
    with tempfile.TemporaryDirectory(prefix="tradewind-bench-") as name, ApiServer() as server:
        folder = Path(name)
        server.apply(ROOT / "crds")
        define(server.kubectl, "rayjobs", "inferenceservices", "prometheusrules")
        for part in ("namespace", "rights"):
            server.apply(ROOT / "manifests" / "base" / f"{part}.yaml")
        equip(folder)
        shutil.copytree(ROOT / "operator/src", folder / "source", ignore=shutil.ignore_patterns("__pycache__"))
        installed = Installed(folder, {TRADEWIND.account: server.kubeconfig_for(*TRADEWIND.account)})
        async with Client(access(server, folder)) as client:
            site = Site(server, client, AuditLog(server.audit_log), installed)
            await _settle(site, objects)
            for number in range(rounds):
                print(json.dumps({"round": number} | await _restart(site)), flush=True)


async def _settle(site: Site, objects: int) -> None:
    operator = await site.start(TRADEWIND)
    await site.client.namespace(FIRST)
    await site.client.create(TRAINING_JOB, FIRST, [training_job("job-0")])
    await site.client.until_count(RAY_JOB, FIRST, 1, 30)
    await Crowd(site, operator, FIRST, ["job-0"]).finish(runs=False)
    await operator.stop()
    for start in range(0, objects, BATCH):
        namespace = f"settled-{start}"
        await site.client.namespace(namespace)
        await copy(site, FIRST, "job-0", namespace, [f"job-{number}" for number in range(min(BATCH, objects - start))])
        print(f"{start + BATCH:,} copies", file=sys.stderr, flush=True)


async def _restart(site: Site) -> dict[str, Any]:
    mark = site.audit.mark()
    operator = Timed(site.installed)
    operator.start()
    row: dict[str, Any] = {"ready": await operator.until_ready(), "cpu": operator.cpu}
    row["until ready"] = await operator.held()
    await operator.calm()
    row["first look"], row["memory"] = await operator.held(), operator.memory
    row["cpu of all"] = operator.cpu
    await operator.change_configuration()
    row["changed configuration"] = await operator.held()
    row["writes"] = len([event for event in site.audit.since(mark, TRADEWIND.user) if event.writes])
    row["leases"] = len([event for event in site.audit.since(mark, TRADEWIND.user) if event.resource == "leases"])
    await operator.stop()
    return row


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--objects", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    asyncio.run(main(given.objects, given.rounds))
