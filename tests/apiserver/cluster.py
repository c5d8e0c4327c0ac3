"""A real API server with all definitions, and the operator as a process with the rights of an installation."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import urllib3
from kubernetes import config, dynamic
from kubernetes.dynamic.exceptions import NotFoundError

from e2e.audit import WRITES, Request, requests
from e2e.cluster.apiserver import ApiServer
from e2e.cluster.foreign import define
from e2e.equipment import equip
from tests.apiserver.process import ROOT, OperatorProcess, until
from tests.objects import training_job
from tradewind.runtime.children import FIRST_RETRY

KINDS = {
    "TrainingJob": "tradewind.dev/v1alpha1",
    "CompressionJob": "tradewind.dev/v1alpha1",
    "ModelDeployment": "tradewind.dev/v1alpha1",
    "RayJob": "ray.io/v1",
    "NetworkPolicy": "networking.k8s.io/v1",
    "InferenceService": "serving.kserve.io/v1beta1",
    "PrometheusRule": "monitoring.coreos.com/v1",
    "Event": "events.k8s.io/v1",
    "Pod": "v1",
    "Namespace": "v1",
    "Deployment": "apps/v1",
    "Service": "v1",
    "EndpointSlice": "discovery.k8s.io/v1",
    "ServiceAccount": "v1",
    "Lease": "coordination.k8s.io/v1",
}
APART = {"leases", "tokenreviews"}

Manifest = dict[str, Any]
_names = itertools.count(1)


@dataclass
class Cluster:
    """The API server as an administrator uses it."""

    server: ApiServer
    folder: Path
    api: dynamic.DynamicClient
    config: Path
    tls: Path
    _resources: dict[str, Any] = field(default_factory=dict)

    def resource(self, kind: str) -> Any:
        if kind not in self._resources:
            self._resources[kind] = self.api.resources.get(api_version=KINDS[kind], kind=kind)
        return self._resources[kind]

    def namespace(self) -> str:
        """A new namespace with the service account that pods need."""
        name = f"test-{next(_names)}"
        self.api.create(self.resource("Namespace"), {"metadata": {"name": name}})
        self.api.create(self.resource("ServiceAccount"), {"metadata": {"name": "default"}}, namespace=name)
        return name

    def create(self, manifest: Manifest, namespace: str) -> Manifest:
        """Create an object as a user would."""
        metadata = {
            k: v for k, v in manifest["metadata"].items() if k in ("name", "labels", "annotations", "ownerReferences")
        }
        body = manifest | {"metadata": metadata}
        made: Manifest = self.api.create(self.resource(manifest["kind"]), body, namespace=namespace).to_dict()
        return made

    def get(self, kind: str, name: str, namespace: str) -> Manifest | None:
        """The object, or None."""
        try:
            found: Manifest = self.api.get(self.resource(kind), name=name, namespace=namespace).to_dict()
        except NotFoundError:
            return None
        return found

    def list(self, kind: str, namespace: str) -> list[Manifest]:
        found: list[Manifest] = self.api.get(self.resource(kind), namespace=namespace).to_dict()["items"]
        return found

    def merge(self, kind: str, name: str, namespace: str, patch: Manifest, subresource: str = "") -> Manifest:
        """A merge patch, as `kubectl edit` sends it."""
        resource = self.resource(kind)
        target = resource.subresources[subresource] if subresource else resource
        made: Manifest = target.patch(
            body=patch, name=name, namespace=namespace, content_type="application/merge-patch+json",
            field_manager="kubectl-edit",
        ).to_dict()  # fmt: skip
        return made

    def delete(self, kind: str, name: str, namespace: str) -> None:
        self.api.delete(self.resource(kind), name=name, namespace=namespace)

    def condition(self, kind: str, name: str, namespace: str, condition: str) -> Manifest | None:
        """A condition of an object, or None."""
        found = self.get(kind, name, namespace) or {}
        conditions = (found.get("status") or {}).get("conditions") or []
        return next((entry for entry in conditions if entry["type"] == condition), None)

    def phase(self, kind: str, name: str, namespace: str) -> str | None:
        """The phase of an object."""
        found = self.get(kind, name, namespace) or {}
        phase: str | None = (found.get("status") or {}).get("phase")
        return phase

    def asked(self, since: float, user: str = "tradewind-operator") -> list[Request]:
        """What a service account of ours asked since a time (of `time.time`), leases and token reviews apart."""
        start = datetime.fromtimestamp(since, UTC).isoformat()
        account = f"system:serviceaccount:tradewind-system:{user}"
        return [
            request
            for request in requests(self.server.audit_log, user=account)
            if request.resource not in APART and request.time[:26] >= start[:26]
        ]

    def written(
        self, since: float, namespace: str, user: str = "tradewind-operator", *, refused: bool = True
    ) -> list[tuple[str, str, str]]:
        """What it wrote in a namespace, Events apart: verb, resource, name. `refused`: also what it tried in vain."""
        return [
            (request.verb, request.resource, request.name)
            for request in self.asked(since, user)
            if request.verb in WRITES and request.namespace == namespace and request.resource != "events"
            if refused or request.code < 400
        ]

    def tried_after_a_while(self, namespace: str, plural: str, but: str = "") -> bool:
        """Whether it tried to write the one object of that kind in a namespace, and waited before each further try.

        Another one may be named that does not count.
        """
        tries = [
            request.received
            for request in self.asked(0)
            if request.verb in WRITES
            and (request.namespace, request.resource) == (namespace, plural)
            and (not but or request.name != but)
        ]
        return bool(tries) and all(later - earlier > 0.9 * FIRST_RETRY for earlier, later in pairwise(tries))

    def caught_up(self) -> None:
        """Wait until the operator has got to a TrainingJob that is stored now: it gets to them in their order."""
        namespace = self.namespace()
        self.create(training_job("marker", runPolicy={"suspend": True}), namespace)
        until(lambda: self.phase("TrainingJob", "marker", namespace), "the operator does not get to a new object")

    def quiet(self, seconds: float = 1.0, user: str = "tradewind-operator") -> None:
        """Wait until it has caught up, and has written nothing for so long."""
        self.caught_up()

        def still() -> bool:
            return not any(request.verb in WRITES for request in self.asked(time.time() - seconds, user))

        until(still, "the operator continues to write")


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """An API server with our definitions and the others'; one for all tests here."""
    urllib3.disable_warnings()
    folder = tmp_path_factory.mktemp("apiserver")
    equip(folder)
    with ApiServer() as server:
        server.apply(ROOT / "crds")
        define(server.kubectl, "rayjobs", "inferenceservices", "prometheusrules")
        server.apply(ROOT / "manifests" / "base" / "namespace.yaml")
        server.apply(ROOT / "manifests" / "base" / "rights.yaml")
        api = dynamic.DynamicClient(config.new_client_from_config(str(server.kubeconfig)))
        yield Cluster(server, folder, api, folder / "config.yaml", folder / "tls")


@pytest.fixture(scope="session")
def launch(cluster: Cluster) -> Iterator[Callable[..., OperatorProcess]]:
    """Starts operators; ends them after the last test."""
    started: list[OperatorProcess] = []
    kubeconfigs: dict[str, Path] = {}

    def start(user: str = "tradewind-operator", namespace: str = "tradewind-system", name: str = "") -> OperatorProcess:
        if user not in kubeconfigs:
            kubeconfigs[user] = cluster.server.kubeconfig_for("tradewind-system", user)
        log = cluster.folder / f"operator-{len(started)}.log"
        operator = OperatorProcess(kubeconfigs[user], cluster.config, cluster.tls, log, namespace, name)
        started.append(operator)
        return operator.start()

    yield start
    for operator in started:
        operator.stop()


@pytest.fixture
def namespace(cluster: Cluster) -> str:
    """A namespace of the test's own."""
    return cluster.namespace()


def status_of(manifest: Manifest) -> str:
    """A status as one string, to compare."""
    return json.dumps(manifest.get("status"), sort_keys=True)
