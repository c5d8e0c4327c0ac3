"""Where a life is played: what users, KubeRay, KServe and the programs in pods do, each waiting for the operator."""

from __future__ import annotations

import asyncio
import itertools
import ssl
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime

import aiohttp

from e2e.endpoints import ENDPOINT_SLICES, endpoint_slice
from e2e.faults.history import APPLY, MERGE, RESOURCES, Admin, Manifest

STEP_SECONDS = 75.0  # for one step of the operator's, whatever happens to its requests
REPORT_SECONDS = 20.0  # for the answer to a report: as long as our programs wait
NAME = "digits"
LABEL, REVISION = "tradewind.dev/name", "tradewind.dev/revision"


Gap = Callable[[str], AbstractAsyncContextManager[None]]


def nothing_held(_resource: str) -> AbstractAsyncContextManager[None]:
    """No gap: the operator's watches see what is done."""
    return nullcontext()


def ray_cluster(ray_job: str) -> Manifest:
    """The owner reference that KubeRay gives to pods: of the RayCluster that it made for the RayJob."""
    owner = {"apiVersion": "ray.io/v1", "kind": "RayCluster", "name": f"{ray_job}-x7k2p", "controller": True}
    return owner | {"uid": f"uid-of-{ray_job}-x7k2p"}


@dataclass
class Stage:
    """Where a life is played: a namespace of its own."""

    admin: Admin
    namespace: str
    plural: str
    report_urls: Callable[[], list[str]]  # of the operators that take part; the active one answers
    report_tls: ssl.SSLContext
    gap: Gap = nothing_held  # what is done in it is not seen by the operator's watch of that resource
    patience: float = STEP_SECONDS

    async def create(self, plural: str, kind: str, spec: Manifest) -> None:
        """Create an object as a user would."""
        api = RESOURCES[plural]
        body = {"apiVersion": api.removeprefix("/apis/"), "kind": kind, "metadata": {"name": NAME}, "spec": spec}
        await self.admin.send("POST", f"{api}/namespaces/{self.namespace}/{plural}", body)

    async def change(self, spec: Manifest) -> None:
        """Change the object's spec as a user would; what is not named stays."""
        path = f"{RESOURCES[self.plural]}/namespaces/{self.namespace}/{self.plural}/{NAME}"
        await self.admin.send("PATCH", path, {"spec": spec}, MERGE)

    async def child(self, plural: str, name: str, other_than: str = "") -> Manifest:
        """Wait for a child; for another one than that with a uid."""

        def there() -> Manifest | None:
            found = self.admin.objects[self.namespace].get((plural, name))
            return found if found and found["metadata"]["uid"] != other_than else None

        what = f"there is no {'new ' if other_than else ''}{name} of the {plural}"
        return await self.admin.until(self.namespace, there, what, self.patience)

    async def service(self, other_than: str = "") -> Manifest:
        """Wait for the InferenceService of a revision, whatever it is called; of another one than that."""

        def there() -> Manifest | None:
            found = self.admin.of(self.namespace, "inferenceservices")
            ours = (version.body for version in found if version.body["metadata"]["labels"].get(LABEL) == NAME)
            return next((body for body in ours if body["metadata"]["labels"][REVISION] != other_than), None)

        return await self.admin.until(self.namespace, there, "there is no new InferenceService", self.patience)

    async def gone(self, plural: str, name: str) -> None:
        """Wait until an object is no longer there."""

        def away() -> bool:
            return (plural, name) not in self.admin.objects[self.namespace]

        await self.admin.until(self.namespace, away, f"{name} of the {plural} is still there", self.patience)

    async def told(self, look: Callable[[Manifest], object], what: str) -> None:
        """Wait until the object's status is so."""

        def there() -> bool:
            return bool(look(self.admin.objects[self.namespace].get((self.plural, NAME), {}).get("status") or {}))

        await self.admin.until(self.namespace, there, f"the status does not say that {what}", self.patience)

    async def phase(self, phase: str, attempt: int | None = None) -> None:
        """Wait until the object is in that phase."""

        def there() -> bool:
            status = self.admin.objects[self.namespace].get((self.plural, NAME), {}).get("status") or {}
            return status.get("phase") == phase and (status.get("attempt") or {}).get("number") == attempt

        await self.admin.until(self.namespace, there, f"the object is not {phase}", self.patience)

    async def status(self, plural: str, name: str, status: Manifest) -> None:
        """Write a status as the foreign operator does."""
        path = f"{RESOURCES[plural]}/namespaces/{self.namespace}/{plural}/{name}/status"
        await self.admin.send("PATCH", path, {"status": status}, MERGE)

    async def pod(self, name: str, labels: Manifest, ray_job: str = "") -> Manifest:
        """Make a pod that runs and is ready; of the RayCluster of that RayJob, if one is named."""
        container = {"name": "main", "image": "any", "resources": {"requests": {"cpu": "300m", "memory": "1Gi"}}}
        spec = {"containers": [container], "automountServiceAccountToken": False}
        metadata: Manifest = {"name": name, "labels": labels}
        if ray_job:
            metadata["ownerReferences"] = [ray_cluster(ray_job)]
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
        made = await self.admin.send("POST", f"/api/v1/namespaces/{self.namespace}/pods", body)
        conditions = [
            {"type": kind, "status": "True", "lastTransitionTime": now()} for kind in ("PodScheduled", "Ready")
        ]
        path = f"/api/v1/namespaces/{self.namespace}/pods/{name}/status"
        await self.admin.send("PATCH", path, {"status": {"phase": "Running", "conditions": conditions}}, MERGE)
        return made

    async def reached(self, pod: str) -> None:
        """Have the Service send requests to a pod, as the controller of EndpointSlices does."""
        service = await self.child("services", NAME)
        made = endpoint_slice(service, [pod])
        path = f"{ENDPOINT_SLICES}/namespaces/{self.namespace}/endpointslices/{made['metadata']['name']}"
        await self.admin.send("PATCH", f"{path}?fieldManager=endpoints&force=true", made, APPLY)

    async def deployment(self, name: str, labels: Manifest, replicas: int) -> None:
        """Make a Deployment as KServe does."""
        container = {"name": "main", "image": "any"}
        template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
        spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
        body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "labels": labels}}
        await self.admin.send("POST", f"/apis/apps/v1/namespaces/{self.namespace}/deployments", body | {"spec": spec})

    async def scale(self, name: str, replicas: int) -> None:
        """Set a Deployment's replicas as its autoscaler does."""
        path = f"/apis/apps/v1/namespaces/{self.namespace}/deployments/{name}"
        await self.admin.send("PATCH", path, {"spec": {"replicas": replicas}}, MERGE)

    async def evict_pod(self, name: str) -> None:
        """Say of a pod what a kubelet says that runs out of memory."""
        status = {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."}
        path = f"/api/v1/namespaces/{self.namespace}/pods/{name}/status"
        await self.admin.send("PATCH", path, {"status": status}, MERGE)

    async def remove_pod(self, name: str) -> None:
        """Delete a pod."""
        await self.admin.send("DELETE", f"/api/v1/namespaces/{self.namespace}/pods/{name}")

    async def delete(self, plural: str, name: str) -> None:
        """Delete an object or a child."""
        await self.admin.send("DELETE", f"{RESOURCES[plural]}/namespaces/{self.namespace}/{plural}/{name}")

    async def token(self, pod: Manifest) -> str:
        """The token that a kubelet would project into the pod."""
        bound = {"kind": "Pod", "apiVersion": "v1", "name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]}
        path = f"/api/v1/namespaces/{self.namespace}/serviceaccounts/default/token"
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "spec": {"audiences": ["tradewind"], "expirationSeconds": 3600, "boundObjectRef": bound},
        }
        made = await self.admin.send("POST", path, {"kind": "TokenRequest", **body})
        return str(made["status"]["token"])

    async def report(self, token: str, report: Manifest) -> None:
        """Send a report as our programs do: again until it is answered with 200; a refusal ends the life."""
        path = f"/apis/tradewind.dev/v1alpha1/namespaces/{self.namespace}/{self.plural}/{NAME}/status"
        said, limit = "", aiohttp.ClientTimeout(total=REPORT_SECONDS)
        try:
            async with asyncio.timeout(self.patience), aiohttp.ClientSession(timeout=limit) as session:
                for turn in itertools.count():
                    urls = self.report_urls()
                    try:
                        async with session.post(
                            urls[turn % len(urls)] + path,
                            json=report,
                            headers={"Authorization": f"Bearer {token}"},
                            ssl=self.report_tls,
                        ) as answer:
                            said = f"{answer.status}: {await answer.text()}"
                            if answer.status == 200:
                                return
                            assert answer.status not in (400, 404, 409, 413, 422), f"the report was refused: {said}"
                    except (aiohttp.ClientError, OSError) as error:
                        said = repr(error)
                    await asyncio.sleep(0.5)
        except TimeoutError:
            raise AssertionError(f"the report was not taken in {self.patience:.0f} s: {said}") from None


def now() -> str:
    """The time as Kubernetes writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
