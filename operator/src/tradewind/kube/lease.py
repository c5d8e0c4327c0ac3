"""The lease that makes one replica the active one.

Of our own, because `kubernetes.aio.leaderelection` (37.0) lets a connection error end the process, does not release the
lease, compares wall clocks, asks twice for each renewal and never says locally until when the lease is good.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tradewind.kube.client import Client
from tradewind.kube.errors import AlreadyExists, Conflict, KubeError, NotFound, NotLeader, Unavailable

logger = logging.getLogger(__name__)

API, PLURAL = "coordination.k8s.io/v1", "leases"
ADDRESS = "tradewind.dev/reports"  # annotation: host and port where the holder takes reports
DURATION = 13.0  # seconds without a renewal after which another replica takes over
RENEW = 7.0  # seconds between renewals: one request each, the largest part of what an idle operator asks
POLL = 1.0  # seconds between a standby's looks
RETRY = 0.4  # seconds until a failed renewal is tried again: a dozen times, and a seat is free for moments only
MARGIN = 1.5  # seconds before the end from which nothing is written any more: requests on their way need some


def _clock() -> float:
    """Seconds; goes on while the machine sleeps, and nobody sets it."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lease, and where it takes reports."""

    name: str
    address: str


class Lease:
    """A lease as one candidate sees it. `address` is where this candidate takes reports: the others read it there.

    Times are compared on this machine's own clock only: a candidate takes the lease when it has seen it unchanged for
    DURATION, and a holder counts its time from before it sent the renewal.
    """

    def __init__(self, namespace: str, name: str, identity: str, address: str) -> None:
        self.namespace, self.name, self.identity, self.address = namespace, name, identity, address
        self.looked = False  # at what the API server has, at least once
        self.holder: Holder | None = None  # another candidate, as it was when we looked last
        self._until = 0.0  # on _clock: until when the lease is surely ours
        self._held: dict[str, Any] | None = None  # as we last wrote it
        self._told: type[KubeError] | None = None  # what the log says already while we wait

    @property
    def path(self) -> str:
        """Path of the Lease; writes to it are allowed without holding it."""
        return f"/apis/{API}/namespaces/{self.namespace}/{PLURAL}"

    @property
    def valid(self) -> bool:
        """Whether no other candidate can hold the lease now."""
        return _clock() < self._until

    def may_write(self, path: str) -> None:
        """Raise `NotLeader` unless we may send a write to that path now."""
        if not self.valid and not path.startswith(self.path):
            raise NotLeader(f"the lease {self.namespace}/{self.name} is not ours: nothing is written")

    async def acquire(self, client: Client) -> None:
        """Wait until the lease is ours."""
        seen: tuple[str, float] | None = None  # version of the lease, and since when we see it
        told = False
        while not await self._try(client, seen):
            lease = self._observed
            if lease is not None and (seen is None or seen[0] != lease["metadata"]["resourceVersion"]):
                seen = (lease["metadata"]["resourceVersion"], _clock())
            if lease is not None and not told:
                holder = (lease.get("spec") or {}).get("holderIdentity")
                logger.info("standing by: the lease %s/%s is held by %s", self.namespace, self.name, holder)
                told = True
            await asyncio.sleep(POLL)
        logger.info("this replica is active: it holds the lease %s/%s", self.namespace, self.name)

    async def _try(self, client: Client, seen: tuple[str, float] | None) -> bool:
        self._observed: dict[str, Any] | None = None
        start = _clock()
        try:
            try:
                lease = await client.read(API, PLURAL, self.namespace, self.name)
            except NotFound:
                await client.create(API, PLURAL, self.namespace, self._manifest({}, transitions=0))
                return False  # the next round reads it as held by us: one path to become active
            self._observed = lease
            self.looked, self.holder = True, self._other(lease)
            spec = lease.get("spec") or {}
            holder = spec.get("holderIdentity")
            free = not holder or holder == self.identity
            stale = (
                seen is not None
                and seen[0] == lease["metadata"]["resourceVersion"]
                and start - seen[1] >= float(spec.get("leaseDurationSeconds") or DURATION)
            )
            if not (free or stale):
                return False
            transitions = int(spec.get("leaseTransitions") or 0) + (holder != self.identity)
            await self._write(client, self._manifest(lease["metadata"], transitions), start)
        except (Conflict, AlreadyExists):
            return False  # another candidate was faster
        except KubeError as error:
            if type(error) is not self._told:
                logger.warning("waiting for the lease %s/%s: %s", self.namespace, self.name, error)
            self._told = type(error)
            return False
        return True

    def _other(self, lease: dict[str, Any]) -> Holder | None:
        name = (lease.get("spec") or {}).get("holderIdentity")
        address = (lease["metadata"].get("annotations") or {}).get(ADDRESS)
        return Holder(name, address) if name and address and name != self.identity else None

    async def hold(self, client: Client) -> None:
        """Renew until the lease is lost; then return. Nothing may be written afterwards."""
        while True:
            await asyncio.sleep(RENEW)
            while not await self._renew(client):
                if not self.valid:
                    self._until = 0.0
                    return
                await asyncio.sleep(RETRY)

    async def _renew(self, client: Client) -> bool:
        assert self._held is not None
        start = _clock()
        try:
            body = self._manifest(self._held["metadata"], int(self._held["spec"].get("leaseTransitions") or 0))
            await self._write(client, body, start)
        except (Conflict, NotFound):
            return await self._look(client)
        except KubeError as error:
            logger.warning("renewing the lease %s/%s: %s", self.namespace, self.name, error)
            return False
        return True

    async def _look(self, client: Client) -> bool:
        """After a conflict: our own renewal whose answer was lost, or another holder."""
        try:
            lease = await client.read(API, PLURAL, self.namespace, self.name)
        except NotFound:
            lease = {}
        except KubeError as error:
            logger.warning("reading the lease %s/%s: %s", self.namespace, self.name, error)
            return False
        if (lease.get("spec") or {}).get("holderIdentity") != self.identity:
            self._until = 0.0
            return False
        self._held = lease
        return False  # the next try renews it under its present version

    async def release(self, client: Client) -> None:
        """Give the lease up, so that a standby need not wait for its end."""
        self._until = 0.0
        if self._held is None:
            return
        held, self._held = self._held, None
        try:
            try:
                await self._give_up(client, held)
            except Conflict:
                # A renewal that was broken off may have been done: it counts as ours only if the lease says so.
                lease = await client.read(API, PLURAL, self.namespace, self.name)
                if lease["spec"].get("holderIdentity") == self.identity:
                    await self._give_up(client, lease)
        except KubeError as error:
            logger.warning("releasing the lease %s/%s: %s", self.namespace, self.name, error)

    async def _give_up(self, client: Client, lease: dict[str, Any]) -> None:
        body = self._manifest(lease["metadata"], int(lease["spec"].get("leaseTransitions") or 0))
        body["spec"] |= {"holderIdentity": "", "leaseDurationSeconds": 1}
        await client.update(API, PLURAL, self.namespace, body, seconds=2.0)

    async def _write(self, client: Client, body: dict[str, Any], start: float) -> None:
        limit = DURATION - RENEW - MARGIN - RETRY
        self._held = await client.update(API, PLURAL, self.namespace, body, seconds=limit)
        if _clock() > start + DURATION:
            raise Unavailable("the answer came after the lease's end")
        self._until = start + DURATION - MARGIN
        self.holder = None

    def _manifest(self, metadata: dict[str, Any], transitions: int) -> dict[str, Any]:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        acquired = ((self._held or {}).get("spec") or {}).get("acquireTime") or now
        kept = {key: metadata[key] for key in ("uid", "resourceVersion") if key in metadata}
        return {
            "apiVersion": API,
            "kind": "Lease",
            "metadata": {
                "name": self.name,
                "namespace": self.namespace,
                "annotations": {ADDRESS: self.address},
                **kept,
            },
            "spec": {
                "holderIdentity": self.identity,
                "leaseDurationSeconds": int(DURATION),
                "acquireTime": acquired,
                "renewTime": now,
                "leaseTransitions": transitions,
            },
        }
