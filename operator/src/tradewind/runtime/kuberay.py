"""Where KubeRay's operator runs: what can't be reached from there never starts, and its RayJobs don't say why."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

from tradewind.core.plan import PODS
from tradewind.kube.client import Client
from tradewind.kube.errors import KubeError

logger = logging.getLogger(__name__)

# On the pods of KubeRay's own manifests and of its chart. Someone else's installation may lack it.
LABELS = {"app.kubernetes.io/component": "kuberay-operator"}
# It moves seldom, and a list for each job that waits would be many.
SECONDS = 600.0
RETRY_SECONDS = 30.0  # where the API server did not say


class KubeRay:
    """The namespaces of KubeRay's operator, asked for now and then."""

    def __init__(self, client: Client, changed: Callable[[], None]) -> None:
        self._client, self._changed = client, changed
        self._again = asyncio.Event()
        self.namespaces: frozenset[str] = frozenset()

    def look_again(self) -> None:
        """Ask soon: KubeRay may have come."""
        self._again.set()

    async def follow(self) -> None:
        """Ask for ever."""
        while True:
            self._again.clear()
            seconds = SECONDS
            try:
                found, _ = await self._client.list(PODS, "", LABELS)
            except KubeError as error:
                logger.warning("looking for KubeRay: %s", error)
                seconds = RETRY_SECONDS
            else:
                namespaces = frozenset(pod["metadata"]["namespace"] for pod in found)
                if namespaces != self.namespaces:
                    logger.info("KubeRay runs in %s", ", ".join(sorted(namespaces)) or "no namespace")
                    self.namespaces = namespaces
                    self._changed()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._again.wait()
