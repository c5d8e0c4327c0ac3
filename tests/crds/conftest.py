"""A real API server with our definitions, and its verdict on an object."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException

from e2e.cluster.apiserver import ApiServer
from e2e.cluster.foreign import wait_served
from tests.apiserver.cluster import Cluster
from tradewind.api import GROUP, VERSION
from tradewind.generate.crd import KINDS

NAMESPACE = "default"
PLURALS = {kind.kind: kind.plural for kind in KINDS}

Manifest = dict[str, Any]


@dataclass(frozen=True)
class Refusal:
    """What the API server said: fields and sentences."""

    causes: tuple[tuple[str, str], ...]
    message: str


class Api:
    """The API server, asked as kubectl asks: unknown fields are refused."""

    def __init__(self, server: ApiServer) -> None:
        self.server = server
        self.objects = client.CustomObjectsApi(config.new_client_from_config(str(server.kubeconfig)))

    def verdict(self, manifest: Manifest) -> Manifest | Refusal:
        """The object as it would be stored, or why not. Nothing is stored."""
        return self._answer("create", manifest, dry_run="All")

    def create(self, manifest: Manifest) -> Manifest:
        """Store the object."""
        made = self._answer("create", manifest)
        assert not isinstance(made, Refusal), made
        return made

    def update(self, manifest: Manifest) -> Manifest | Refusal:
        """The stored object as it would be with that spec, or why not."""
        return self._answer("replace", manifest, name=manifest["metadata"]["name"], dry_run="All")

    def store(self, manifest: Manifest) -> Manifest | Refusal:
        """Store the object with that spec."""
        return self._answer("replace", manifest, name=manifest["metadata"]["name"])

    def delete(self, manifest: Manifest) -> None:
        """Delete the object."""
        place = {"group": GROUP, "version": VERSION, "namespace": NAMESPACE, "plural": PLURALS[manifest["kind"]]}
        self.objects.delete_namespaced_custom_object(**place, name=manifest["metadata"]["name"])

    def write_status(self, manifest: Manifest) -> Manifest | Refusal:
        """Store the status."""
        return self._answer("replace", manifest, suffix="_status", name=manifest["metadata"]["name"])

    def _answer(self, verb: str, manifest: Manifest, suffix: str = "", **options: Any) -> Manifest | Refusal:
        call = getattr(self.objects, f"{verb}_namespaced_custom_object{suffix}")
        try:
            found: Manifest = call(
                group=GROUP,
                version=VERSION,
                namespace=NAMESPACE,
                plural=PLURALS[manifest["kind"]],
                body=copy.deepcopy(manifest),
                field_validation="Strict",
                **options,
            )
        except ApiException as error:
            assert error.status in (400, 422), error
            status = json.loads(error.body)
            causes = status.get("details", {}).get("causes", [])
            return Refusal(tuple((cause.get("field", ""), cause["message"]) for cause in causes), status["message"])
        return found


@pytest.fixture(scope="package")
def api(cluster: Cluster) -> Iterator[Api]:
    """The API server that all folders share; the objects that the tests here stored are no work for later operators."""
    wait_served(cluster.server.kubectl, [f"{plural}.{GROUP}" for plural in PLURALS.values()])
    yield Api(cluster.server)
    cluster.server.kubectl("delete", ",".join(PLURALS.values()), "--all", "--namespace", NAMESPACE, "--wait=false")
