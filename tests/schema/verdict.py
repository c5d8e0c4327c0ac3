"""The API server's verdict on an object."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kubernetes.client.exceptions import ApiException

from tests.apiserver.cluster import Cluster
from tradewind.api import API_VERSION

Manifest = dict[str, Any]

STRICT = ("fieldValidation", "Strict")
DRY_RUN = ("dryRun", "All")


@dataclass(frozen=True)
class Refused:
    """What it said, as a whole and sentence by sentence."""

    message: str
    sentences: tuple[str, ...]


def manifest(kind: str, name: str, spec: Manifest) -> Manifest:
    """An object as a user writes it, with an output of its own."""
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": apart(spec, name)}


def apart(spec: Manifest, name: str) -> Manifest:
    """The spec with an output that no other object of the namespace writes to."""
    output = spec.get("output")
    uri = output.get("storageUri") if isinstance(output, dict) else None
    if not isinstance(uri, str) or not uri.startswith("pvc://"):
        return spec
    return spec | {"output": output | {"storageUri": f"{uri}/{name}"}}


def created(cluster: Cluster, made: Manifest, namespace: str = "default", dry_run: bool = False) -> Manifest | Refused:
    """The object as it is stored, or would be; or why not."""
    resource = cluster.resource(made["kind"])
    return _answer(lambda: cluster.api.create(resource, made, namespace=namespace, query_params=_query(dry_run)))


def changed(
    cluster: Cluster, kind: str, name: str, namespace: str, spec: Manifest, dry_run: bool = False
) -> Manifest | Refused:
    """The object as it is stored with that spec, or would be; or why not."""
    patch = [{"op": "replace", "path": "/spec", "value": apart(spec, name)}]
    about: Manifest = {"name": name, "namespace": namespace, "content_type": "application/json-patch+json"}
    resource = cluster.resource(kind)
    return _answer(lambda: cluster.api.patch(resource, patch, query_params=_query(dry_run), **about))


def _query(dry_run: bool) -> list[tuple[str, str]]:
    return [STRICT, DRY_RUN] if dry_run else [STRICT]


def _answer(ask: Callable[[], Any]) -> Manifest | Refused:
    try:
        stored: Manifest = ask().to_dict()
    except ApiException as error:
        assert error.status in (400, 422), error
        status = json.loads(error.body)
        causes = status.get("details", {}).get("causes", [])
        return Refused(status["message"], tuple(cause["message"] for cause in causes))
    return stored
