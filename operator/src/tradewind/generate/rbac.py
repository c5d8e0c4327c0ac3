"""The operator's rights: what its controllers declare that they own, and what the runtime asks for. Nothing else.

A test compares the rights with what an operator did on a real API server, so neither can grow alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tradewind.api import GROUP
from tradewind.core.controller import Controller
from tradewind.runtime.controllers import CONTROLLERS

Rule = dict[str, list[str]]

WATCH = ["list", "watch"]
# Server-side apply of what does not exist yet needs create beside patch.
OWN = ["create", "delete", "list", "patch", "watch"]

LEASE = "tradewind-operator"
TLS_SECRET = "tradewind-report-tls"  # noqa: S105 -- the name of a Secret


def operator_rules(controllers: Iterable[Controller] = CONTROLLERS) -> list[Rule]:
    """Rules of the operator's ClusterRole."""
    controllers = tuple(controllers)
    kinds = sorted(controller.resource.plural for controller in controllers)
    children = sorted({(child.resource.group, child.resource.plural) for one in controllers for child in one.children})
    seen = sorted({(kind.resource.group, kind.resource.plural) for one in controllers for kind in one.witnesses})
    rules = [
        _rule(GROUP, kinds, WATCH),
        _rule(GROUP, [f"{kind}/status" for kind in kinds], ["patch"]),
        # runPolicy.ttlSecondsAfterFinished deletes the job itself.
        _rule(GROUP, sorted(one.resource.plural for one in controllers if one.expires), ["delete"]),
        *(_rule(group, [plural], OWN) for group, plural in children),
        *(_rule(group, [plural], WATCH) for group, plural in seen if (group, plural) not in children),
    ]
    if any(controller.pods for controller in controllers):
        rules.append(_rule("", ["pods"], WATCH))
    return [
        *rules,
        _rule("events.k8s.io", ["events"], ["create"]),
        # Which kinds of others (KubeRay's, KServe's) are served, as they come and go.
        _rule("apiextensions.k8s.io", ["customresourcedefinitions"], WATCH),
        # Who it is that reports.
        _rule("authentication.k8s.io", ["tokenreviews"], ["create"]),
    ]


def lease_rules() -> list[Rule]:
    """Rules of the operator's Role in its own namespace: the lease. A creation has no name yet to be limited to."""
    return [
        _rule("coordination.k8s.io", ["leases"], ["create"]),
        _rule("coordination.k8s.io", ["leases"], ["get", "update"], [LEASE]),
    ]


def certificate_rules() -> list[Rule]:
    """Rules of the one-shot Job that makes the report endpoint's certificate: it never reads or changes a Secret."""
    return [_rule("", ["secrets"], ["create"])]


def user_rules(verbs: list[str]) -> list[Rule]:
    """Rules on our kinds for people."""
    return [_rule(GROUP, sorted(controller.resource.plural for controller in CONTROLLERS), verbs)]


def _rule(group: str, resources: list[str], verbs: list[str], names: list[str] | None = None) -> Rule:
    rule: dict[str, Any] = {"apiGroups": [group], "resources": resources, "verbs": verbs}
    return rule | ({"resourceNames": names} if names else {})
