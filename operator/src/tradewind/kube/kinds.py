"""Which of the kinds that we use the API server serves, followed as CustomResourceDefinitions come and go."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterable, Mapping

from tradewind.core.plan import Resource
from tradewind.kube.client import Client
from tradewind.kube.errors import KubeError

logger = logging.getLogger(__name__)

WATCH_SECONDS = 1500
ESTABLISHED_SECONDS = 1.0  # a definition is served a moment after it was accepted


class Kinds:
    """The kinds in use, and which of them are served."""

    def __init__(
        self,
        resources: Iterable[Resource],
        changed: Callable[[frozenset[Resource]], None],
        fields: Mapping[Resource, str] | None = None,
    ) -> None:
        self._resources = frozenset(resources)
        self._changed = changed  # told the kinds that came or went, or whose field did
        self._fields = dict(fields or {})  # of kinds: a field that not all versions have
        self.served: frozenset[Resource] = frozenset()
        self.with_field: frozenset[Resource] = frozenset()  # kinds that are served and have the field

    @property
    def missing(self) -> frozenset[Resource]:
        """Kinds in use that are not served."""
        return self._resources - self.served

    async def discover(self, client: Client, resources: Iterable[Resource] | None = None) -> None:
        """Ask about some kinds, by default all. Raises `KubeError`."""
        asked = frozenset(resources) if resources is not None else self._resources
        found: set[Resource] = set()
        for group, version in sorted({(resource.group, resource.version) for resource in asked}):
            plurals = await client.served(group, version)
            found |= {
                resource
                for resource in asked
                if (resource.group, resource.version) == (group, version) and resource.plural in plurals
            }
        fields = {(kind, field) for kind, field in self._fields.items() if kind in found}
        having = {kind for kind, field in fields if await client.definition_mentions(_definition(kind), field)}
        changed = ((found ^ self.served) | (having ^ self.with_field)) & asked
        self.served = (self.served - asked) | found
        self.with_field = (self.with_field - asked) | having
        if changed:
            self._changed(frozenset(changed))

    async def follow(self, client: Client) -> None:
        """Watch the definitions of the kinds in use, for ever."""
        definitions = {_definition(resource): resource for resource in self._resources}
        failures = 0
        while True:
            try:
                names, version = await client.list_crds()
                stale = {
                    resource
                    for name, resource in definitions.items()
                    if "." in resource.group and (name in names) != (resource in self.served)
                }
                # Built-in kinds have no definition and are always served.
                if stale := {r for r in stale if not r.group.endswith(".k8s.io")}:
                    await self.discover(client, stale)
                failures = 0
                await self._watch(client, definitions, version)
            except KubeError as error:
                failures += 1
                logger.warning("following the CustomResourceDefinitions: %s", error)
                await asyncio.sleep(min(30.0, 2.0**failures) * random.uniform(0.5, 1.0))

    async def _watch(self, client: Client, definitions: dict[str, Resource], version: str) -> None:
        while True:
            async for event in client.watch_crds(version, WATCH_SECONDS):
                if event["type"] == "ERROR":
                    return  # the version is too old: list again
                metadata = event["object"]["metadata"]
                version = metadata["resourceVersion"]
                if event["type"] == "BOOKMARK" or metadata.get("name") not in definitions:
                    continue
                resource = definitions[metadata["name"]]
                await self.discover(client, {resource})
                if (event["type"] == "DELETED") == (resource in self.served):
                    await asyncio.sleep(ESTABLISHED_SECONDS)
                    await self.discover(client, {resource})
            await asyncio.sleep(1.0)


def _definition(resource: Resource) -> str:
    """Name of the CustomResourceDefinition of a kind."""
    return f"{resource.plural}.{resource.group}"
