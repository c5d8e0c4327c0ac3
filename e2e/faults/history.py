"""Every version of every object of a life, as an administrator's own watches beside the proxy show them."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import aiohttp

from e2e.access import Access
from e2e.cluster.apiserver import ApiServer
from e2e.endpoints import ENDPOINT_SLICES

Manifest = dict[str, Any]
T = TypeVar("T")

RESOURCES = {
    "trainingjobs": "/apis/tradewind.dev/v1alpha1",
    "compressionjobs": "/apis/tradewind.dev/v1alpha1",
    "modeldeployments": "/apis/tradewind.dev/v1alpha1",
    "rayjobs": "/apis/ray.io/v1",
    "services": "/api/v1",
    "inferenceservices": "/apis/serving.kserve.io/v1beta1",
    "networkpolicies": "/apis/networking.k8s.io/v1",
    "prometheusrules": "/apis/monitoring.coreos.com/v1",
    "deployments": "/apis/apps/v1",
    "endpointslices": ENDPOINT_SLICES,
    "events": "/apis/events.k8s.io/v1",
}
OWN = ("trainingjobs", "compressionjobs", "modeldeployments")
CHILDREN = ("rayjobs", "services", "inferenceservices", "networkpolicies", "prometheusrules")
MERGE = "application/merge-patch+json"
APPLY = "application/apply-patch+yaml"
# Of kube-apiserver itself: it tells of a Service whose address it gave out while it looked through all of them.
_ADDRESSES = "ipallocator-repair-controller"
_STARTING = (401, 403, 429, 500, 503, 504)  # what an API server answers that has just come back


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@dataclass(frozen=True)
class Version:
    """An object as it was from a revision of etcd on; revisions count for all objects together."""

    revision: int
    resource: str
    deleted: bool
    body: Manifest
    shown: float = field(default_factory=time.monotonic, compare=False)  # when a watch brought it, in seconds

    @property
    def name(self) -> str:
        """The object's name."""
        return str(self.body["metadata"]["name"])


class Admin:
    """Requests of a cluster administrator, and what its watches have shown."""

    def __init__(self, server: ApiServer, folder: Path) -> None:
        self._access = Access.read(server.kubeconfig, folder)
        self._etcd = server.etcd_url
        self.versions: dict[str, list[Version]] = defaultdict(list)  # by namespace
        # By namespace, for there are thousands in the end, and the proxy shares this loop; then by resource and name.
        self.objects: dict[str, dict[tuple[str, str], Manifest]] = defaultdict(dict)
        self._changed: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.watches: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Watch all kinds that a life is about."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=self._access.tls),
            timeout=aiohttp.ClientTimeout(total=None),
            read_bufsize=2**21,
        )
        for resource in RESOURCES:
            self.watches.append(asyncio.create_task(self._watch(resource, await self.relist(resource))))

    async def stop(self) -> None:
        """End the watches."""
        for task in self.watches:
            task.cancel()
        await self._session.close()

    async def send(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Manifest:
        """A request, again while there is no API server; the answer. Raises with the API server's words."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": content_type}
        again = False
        while True:
            try:
                async with self._session.request(method, self._access.url + path, data=data, headers=headers) as answer:
                    found: Manifest = await answer.json(content_type=None)
            except aiohttp.ClientError:
                again = True
                await asyncio.sleep(0.2)
                continue
            if again and method == "POST" and answer.status == 409:
                return await self.send("GET", f"{path}/{body['metadata']['name']}")  # it was made the first time
            if again and method == "DELETE" and answer.status == 404:
                return found
            if answer.status == 504:  # one that had been frozen for too long: it may be done all the same
                again = True
            if answer.status in (503, 504) or (again and answer.status in _STARTING):
                await asyncio.sleep(0.2)
                continue
            if answer.status >= 400:
                raise AssertionError(f"{method} {path}: {found.get('message')}")
            return found

    async def now(self) -> int:
        """The present revision of etcd."""
        return int((await self.send("GET", "/api/v1/namespaces?limit=1"))["metadata"]["resourceVersion"])

    async def until(self, namespace: str, look: Callable[[], T | None], what: str, seconds: float) -> T:
        """Wait until something in the namespace is so; what `look` gives then."""
        try:
            async with asyncio.timeout(seconds):
                while not (found := look()):
                    self._changed[namespace].clear()
                    await self._changed[namespace].wait()
                return found
        except TimeoutError:
            raise AssertionError(f"after {seconds:.0f} s: {what}") from None

    def of(self, namespace: str, *resources: str) -> list[Version]:
        """The present objects of a namespace."""
        return [
            Version(int(body["metadata"]["resourceVersion"]), resource, False, body)
            for (resource, _), body in sorted(self.objects[namespace].items(), key=lambda item: item[0])
            if resource in resources
        ]

    async def relist(self, resource: str) -> str:
        """Take in what there is, and what is no longer there; the version of the list."""
        found = await self.send("GET", f"{RESOURCES[resource]}/{resource}")
        version = str(found["metadata"]["resourceVersion"])
        there = {(item["metadata"]["namespace"], item["metadata"]["name"]): item for item in found["items"]}
        gone = [
            body
            for namespace, objects in self.objects.items()
            for (kind, name), body in objects.items()
            if kind == resource and (namespace, name) not in there
        ]
        for body in gone:  # the watches of other resources go on meanwhile
            self._note(resource, True, body, await self._deletion(resource, body) or int(version))
        for (namespace, name), item in there.items():
            # In lists of built-in kinds the items do not say what they are.
            item |= {"apiVersion": found["apiVersion"], "kind": found["kind"].removesuffix("List")}
            if (
                self.objects[namespace].get((resource, name), {}).get("metadata", {}).get("resourceVersion")
                != (item["metadata"]["resourceVersion"])
            ):
                self._note(resource, False, item)
        return version

    async def _deletion(self, resource: str, body: Manifest) -> int | None:
        """The revision at which something went that a list lacks, None where etcd was compacted since.

        Lists do not say it, and what was made in the same gap may have come before or after it.
        """
        metadata = body["metadata"]
        inside, end = f"/{resource}/", f"/{metadata['namespace']}/{metadata['name']}"
        wanted: Manifest = {"key": _base64("/registry/"), "range_end": _base64("/registry0"), "filters": ["NOPUT"]}
        wanted["start_revision"] = int(metadata["resourceVersion"]) + 1
        async with self._session.post(f"{self._etcd}/v3/watch", json={"create_request": wanted}) as answer:
            while line := await answer.content.readline():
                found = json.loads(line)["result"]
                if found.get("canceled"):
                    return None
                for event in found.get("events", ()):
                    key = base64.b64decode(event["kv"]["key"]).decode()
                    if inside in key and key.endswith(end):
                        return int(event["kv"]["mod_revision"])
        raise AssertionError(f"etcd ended its watch before it told of the deletion of {resource}{end}")

    async def _watch(self, resource: str, version: str) -> None:
        path = f"{self._access.url}{RESOURCES[resource]}/{resource}"
        while True:
            options = {"watch": "1", "resourceVersion": version, "timeoutSeconds": "3000"}
            with contextlib.suppress(aiohttp.ClientError):
                async with self._session.get(path, params=options) as answer:
                    while answer.status == 200 and (line := await answer.content.readline()):
                        event = json.loads(line)
                        if event.get("type") not in ("ADDED", "MODIFIED", "DELETED"):
                            version = await self.relist(resource)  # a new API server does not know old versions
                            break
                        version = event["object"]["metadata"]["resourceVersion"]
                        self._note(resource, event["type"] == "DELETED", event["object"])
            await asyncio.sleep(0.1)

    def _note(self, resource: str, deleted: bool, body: Manifest, revision: int = 0) -> None:
        namespace, name = body["metadata"]["namespace"], body["metadata"]["name"]
        if resource == "events" and body.get("reportingController") == _ADDRESSES:
            return
        revision = revision or int(body["metadata"]["resourceVersion"])
        self.versions[namespace].append(Version(revision, resource, deleted, body))
        if deleted:
            self.objects[namespace].pop((resource, name), None)
        else:
            self.objects[namespace][resource, name] = body
        self._changed[namespace].set()
