"""The rights that the manifests grant to the operator, and those that it used."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from e2e.audit import Request, requests

Right = tuple[str, str]  # resource and verb


def granted(documents: Iterable[dict[str, Any]]) -> set[Right]:
    """What its Role and its ClusterRole among these manifests say."""
    return {
        (resource, verb)
        for document in documents
        if document["kind"] in ("Role", "ClusterRole") and document["metadata"]["name"] == "tradewind-operator"
        for rule in document["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def used(log: Path) -> tuple[set[Right], list[Request]]:
    """What it asked for by an audit log, and what of it was refused; a watch is written there once it has ended."""
    rights: set[Right] = set()
    refused = []
    for request in requests(log):
        if not request.resource:
            continue  # discovery, which everyone may
        if request.code == 403:
            refused.append(request)
        rights.add((request.resource, request.verb))
        if request.verb == "patch" and request.code == 201:
            # An apply of what was not there: both rights were asked for.
            rights.add((request.resource, "create"))
    return rights, refused
