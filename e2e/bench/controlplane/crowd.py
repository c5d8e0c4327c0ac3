"""KubeRay, kubelets and programs for thousands of TrainingJobs: what the operator reacts to, at little cost."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import aiohttp

from e2e.bench.controlplane.client import (
    CONNECTIONS,
    JOB_SET,
    MERGE,
    NETWORK_POLICY,
    POD,
    RAY_JOB,
    SERVICE_ACCOUNT,
    TRAIN_JOB,
    TRAINING_JOB,
    Kind,
    Manifest,
)
from e2e.bench.controlplane.contestants import Contestant
from e2e.bench.controlplane.site import NODES, Site
from e2e.faults.lives import PROGRESS, TRAINED
from e2e.faults.stage import ray_cluster

SECONDS = 120.0  # for the operator to be through with a crowd


@dataclass
class Crowd:
    """TrainingJobs of one namespace, whose RayJobs are there."""

    site: Site
    operator: Contestant
    namespace: str
    names: Sequence[str]

    async def run(self) -> None:
        """Have heads and workers run on kwok's nodes and the programs report: until all TrainingJobs are Running."""
        labels = await self._labels()
        async with self._session() as session:

            async def one(name: str) -> None:
                for role, suffix in (("worker", "worker-0"), ("worker", "worker-1"), ("head", "head")):
                    node = f"kwok-{zlib.crc32(f'{name}-{suffix}'.encode()) % NODES}"
                    pod = await self._pod(name, role, suffix, labels, node)
                status: Manifest = {"jobDeploymentStatus": "Running", "jobStatus": "RUNNING", "startTime": _now()}
                await self._status(RAY_JOB, f"{name}-train-1", status)
                await self._report(session, name, await self._token(pod), PROGRESS)

            await self.site.client.each(one, self.names)
        await self._phase("Running")

    async def finish(self, runs: bool) -> None:
        """Have each program report its model, and end the RayJobs: until all TrainingJobs are Complete.

        `runs`: whether `run` made their pods; else there is a head only, and it stays pending.
        """
        labels = await self._labels()
        async with self._session() as session:

            async def one(name: str) -> None:
                if runs:
                    pod = await self.site.client.send("GET", POD.path(self.namespace, f"{name}-head"))
                else:
                    pod = await self._pod(name, "head", "head", labels)
                await self._report(session, name, await self._token(pod), TRAINED)
                ended = {"jobDeploymentStatus": "Complete", "jobStatus": "SUCCEEDED", "endTime": _now()}
                await self._status(RAY_JOB, f"{name}-train-1", ended)

            await self.site.client.each(one, self.names)
        await self._phase("Complete")
        await self.site.client.clear(self.namespace, POD)

    def _session(self) -> aiohttp.ClientSession:
        tls = ssl.create_default_context(cafile=str(self.site.installed.folder / "tls" / "ca.crt"))
        return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONNECTIONS, ssl=tls))

    async def _labels(self) -> dict[str, Manifest]:
        """The labels of the first RayJob's pods by role; those of others differ in the job's name."""
        first = await self.site.client.send("GET", RAY_JOB.path(self.namespace, f"{self.names[0]}-train-1"))
        cluster = first["spec"]["rayClusterSpec"]
        groups = {"head": cluster["headGroupSpec"], "worker": cluster["workerGroupSpecs"][0]}
        return {role: group["template"]["metadata"]["labels"] for role, group in groups.items()}

    async def _pod(self, name: str, role: str, suffix: str, labels: dict[str, Manifest], node: str = "") -> Manifest:
        mine = {key: name if value == self.names[0] else value for key, value in labels[role].items()}
        container = {"name": "main", "image": "any", "resources": {"requests": {"cpu": "300m", "memory": "1Gi"}}}
        spec: Manifest = {"containers": [container], "automountServiceAccountToken": False}
        if node:
            spec["nodeName"] = node
        body = POD.manifest(f"{name}-{suffix}", spec=spec)
        body["metadata"] |= {"labels": mine, "ownerReferences": [ray_cluster(f"{name}-train-1")]}
        return await self.site.client.send("POST", POD.path(self.namespace), body)

    async def _token(self, pod: Manifest) -> str:
        bound = {"kind": "Pod", "apiVersion": "v1", "name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]}
        request = {"audiences": ["tradewind"], "expirationSeconds": 3600, "boundObjectRef": bound}
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": request}
        made = await self.site.client.send("POST", SERVICE_ACCOUNT.path(self.namespace, "default", "token"), body)
        return str(made["status"]["token"])

    async def _report(self, session: aiohttp.ClientSession, name: str, token: str, report: Manifest) -> None:
        url = f"https://localhost:{self.operator.report_port}" + TRAINING_JOB.path(self.namespace, name, "status")
        headers = {"Authorization": f"Bearer {token}"}
        for _ in range(30):
            async with session.post(url, json={"run": "attempt-1", **report}, headers=headers) as answer:
                if answer.status == 200:
                    return
                said = f"{answer.status}: {await answer.text()}"
        raise RuntimeError(f"the report of {name} was not taken: {said}")

    async def _status(self, kind: Kind, name: str, status: Manifest) -> None:
        await self.site.client.send("PATCH", kind.path(self.namespace, name, "status"), {"status": status}, MERGE)

    async def _phase(self, phase: str) -> None:
        await until_all(
            self.site, TRAINING_JOB, self.namespace, lambda status: status.get("phase") == phase, f"are {phase}"
        )


async def copy(site: Site, namespace: str, name: str, into: str, names: Sequence[str]) -> None:
    """Copies of a settled TrainingJob and its children in another namespace, as an administrator restores a backup.

    Whether the operator takes them for settled is seen when it starts again: it must write nothing.
    """
    job, rayjob, policy = [
        json.dumps(await site.client.send("GET", path))
        for path in (
            TRAINING_JOB.path(namespace, name),
            RAY_JOB.path(namespace, f"{name}-train-1"),
            NETWORK_POLICY.path(namespace, f"{name}-train"),
        )
    ]

    def copied(text: str, to: str, owner: Manifest | None) -> Manifest:
        body: Manifest = json.loads(text.replace(f"{name}", to).replace(namespace, into))
        kept = {key: value for key, value in body["metadata"].items() if key in ("name", "labels", "annotations")}
        if owner:
            [reference] = body["metadata"]["ownerReferences"]
            kept["ownerReferences"] = [reference | {"uid": owner["metadata"]["uid"]}]
        return body | {"metadata": kept}

    async def one(to: str) -> None:
        made = copied(job, to, None)
        owner = await site.client.send("POST", TRAINING_JOB.path(into), made)
        child = copied(rayjob, to, owner)
        await site.client.send("POST", RAY_JOB.path(into), child)
        for kind, body in ((RAY_JOB, child), (TRAINING_JOB, made)):
            path = kind.path(into, body["metadata"]["name"], "status")
            await site.client.send("PATCH", path, {"status": body["status"]}, MERGE)
        await site.client.send("POST", NETWORK_POLICY.path(into), copied(policy, to, owner))

    await site.client.each(one, names)


async def finish_train_jobs(site: Site, namespace: str, names: Sequence[str]) -> None:
    """Say of Trainer's JobSets that they are complete, until its TrainJobs are."""
    completed = {"type": "Completed", "status": "True", "reason": "AllJobsCompleted", "message": "jobset completed"}
    status = {"conditions": [completed | {"lastTransitionTime": _now()}], "terminalState": "Completed"}

    async def one(name: str) -> None:
        await site.client.send("PATCH", JOB_SET.path(namespace, name, "status"), {"status": status}, MERGE)

    await site.client.each(one, names)

    def complete(status: Manifest) -> bool:
        return any(c["type"] == "Complete" and c["status"] == "True" for c in status.get("conditions", ()))

    await until_all(site, TRAIN_JOB, namespace, complete, "are complete")


async def until_all(site: Site, kind: Kind, namespace: str, good: Any, what: str) -> None:
    """Wait until the status of all objects of a namespace is good."""
    end = time.monotonic() + SECONDS
    while True:
        found = (await site.client.send("GET", kind.path(namespace)))["items"]
        bad = [item for item in found if not good(item.get("status") or {})]
        if not bad:
            return
        if time.monotonic() > end:
            name, status = bad[0]["metadata"]["name"], bad[0].get("status")
            raise TimeoutError(f"{len(bad)} of {len(found)} {kind.plural} not yet {what}, as {name}: {status}")
        await asyncio.sleep(0.5)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
