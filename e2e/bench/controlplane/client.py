"""A cluster administrator's requests: raw HTTP over kept connections, so that asking costs little."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import aiohttp

from e2e.access import Access

Manifest = dict[str, Any]

CONNECTIONS = 16
MERGE = "application/merge-patch+json"
POLL = 0.2  # seconds between looks at how many objects there are


@dataclass(frozen=True)
class Kind:
    """A kind as the API server's paths name it."""

    api: str  # "/apis/ray.io/v1"
    plural: str
    kind: str

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """The path of an object, of a namespace's, or of all."""
        parts = [self.api, f"namespaces/{namespace}" if namespace else "", self.plural, name, subresource]
        return "/".join(filter(None, parts))

    def manifest(self, name: str, **content: Any) -> Manifest:
        """An object of that name."""
        version = self.api.removeprefix("/apis/").removeprefix("/api/")
        return {"apiVersion": version, "kind": self.kind, "metadata": {"name": name}, **content}


def ours(plural: str, kind: str) -> Kind:
    """A kind of our API group."""
    return Kind("/apis/tradewind.dev/v1alpha1", plural, kind)


TRAINING_JOB = ours("trainingjobs", "TrainingJob")
RAY_JOB = Kind("/apis/ray.io/v1", "rayjobs", "RayJob")
RAY_CLUSTER = Kind("/apis/ray.io/v1", "rayclusters", "RayCluster")
TRAIN_JOB = Kind("/apis/trainer.kubeflow.org/v1alpha1", "trainjobs", "TrainJob")
JOB_SET = Kind("/apis/jobset.x-k8s.io/v1alpha2", "jobsets", "JobSet")
NETWORK_POLICY = Kind("/apis/networking.k8s.io/v1", "networkpolicies", "NetworkPolicy")
POD = Kind("/api/v1", "pods", "Pod")
SERVICE = Kind("/api/v1", "services", "Service")
SERVICE_ACCOUNT = Kind("/api/v1", "serviceaccounts", "ServiceAccount")
NODE = Kind("/api/v1", "nodes", "Node")
NAMESPACE = Kind("/api/v1", "namespaces", "Namespace")
EVENT = Kind("/apis/events.k8s.io/v1", "events", "Event")
LEASE = Kind("/apis/coordination.k8s.io/v1", "leases", "Lease")


class Client:
    """Requests, and what waits for their effect."""

    def __init__(self, access: Access) -> None:
        self._access = access

    async def __aenter__(self) -> Client:
        connector = aiohttp.TCPConnector(limit=CONNECTIONS, ssl=self._access.tls)
        self._session = aiohttp.ClientSession(connector=connector, read_bufsize=2**20)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._session.close()

    async def send(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Manifest:
        """A request; its answer. Raises `RuntimeError` with the API server's words."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": content_type}
        async with self._session.request(method, self._access.url + path, data=data, headers=headers) as answer:
            text = await answer.read()
            if answer.status >= 400:
                raise RuntimeError(f"{method} {path}: {answer.status}: {text[:1000].decode(errors='replace')}")
            found: Manifest = json.loads(text)
            return found

    async def create(
        self, kind: Kind, namespace: str, manifests: Iterable[Manifest], rate: float | None = None
    ) -> None:
        """Create objects: so many a second, each at its time whatever became of the others, or as fast as it goes."""
        start, path, tasks = time.monotonic(), kind.path(namespace), []
        for number, manifest in enumerate(manifests):
            if rate is not None:
                await asyncio.sleep(max(0.0, start + number / rate - time.monotonic()))
            tasks.append(asyncio.create_task(self.send("POST", path, manifest)))
        await asyncio.gather(*tasks)

    async def each(self, work: Callable[[str], Any], names: Iterable[str]) -> None:
        """Do something for each name, as many at once as there are connections."""
        waiting = iter(list(names))

        async def worker() -> None:
            for name in waiting:
                await work(name)

        async with asyncio.TaskGroup() as workers:
            for _ in range(CONNECTIONS):
                workers.create_task(worker())

    async def count(self, kind: Kind, namespace: str = "") -> int:
        """How many there are."""
        found = await self.send("GET", f"{kind.path(namespace)}?limit=1")
        return len(found["items"]) + int(found["metadata"].get("remainingItemCount") or 0)

    async def until_count(self, kind: Kind, namespace: str, number: int, seconds: float) -> bool:
        """Wait until there are so many; whether it came to that in so many seconds."""
        end = time.monotonic() + seconds
        while await self.count(kind, namespace) < number:
            if time.monotonic() > end:
                return False
            await asyncio.sleep(POLL)
        return True

    async def names(self, kind: Kind, namespace: str) -> list[str]:
        """The names of all objects in a namespace."""
        found: list[str] = []
        more = ""
        while True:
            page = await self.send("GET", f"{kind.path(namespace)}?limit=500{more}")
            found += [item["metadata"]["name"] for item in page["items"]]
            if not (token := page["metadata"].get("continue")):
                return found
            more = f"&continue={token}"

    async def clear(self, namespace: str, *kinds: Kind) -> None:
        """Remove all objects of these kinds, whatever finalizers they have."""
        for kind in kinds:
            path = kind.path(namespace)
            await self.send("DELETE", f"{path}?gracePeriodSeconds=0&propagationPolicy=Background")
            await self.each(partial(self._release, kind, namespace), await self.names(kind, namespace))

    async def _release(self, kind: Kind, namespace: str, name: str) -> None:
        try:
            await self.send("PATCH", kind.path(namespace, name), {"metadata": {"finalizers": None}}, MERGE)
        except RuntimeError as error:
            if ": 404:" not in str(error):
                raise

    async def namespace(self, name: str) -> None:
        """Make a namespace with the service account that pods need."""
        await self.send("POST", NAMESPACE.path(), NAMESPACE.manifest(name))
        await self.send("POST", SERVICE_ACCOUNT.path(name), SERVICE_ACCOUNT.manifest("default"))
