"""How a lease went from one replica to another, as the audit log has it."""

from __future__ import annotations

from e2e.audit import Request, requests
from tests.apiserver.cluster import Cluster
from tradewind.kube.lease import DURATION, POLL

# Seconds without a leader where replicas have time to look: the lease is renewed right before the leader is killed.
LONGEST_GAP = DURATION + 2 * POLL


def _asked(cluster: Cluster, user: str, namespace: str) -> list[Request]:
    """What an account asked about the lease of a namespace, in the order of the answers."""
    account = f"system:serviceaccount:tradewind-system:{user}"
    found = [r for r in requests(cluster.server.audit_log, user=account) if r.resource == "leases" and r.code < 400]
    return [request for request in found if request.namespace == namespace]


def looks(cluster: Cluster, namespace: str, old: str, new: str, given_back: bool = False) -> int:
    """How often the new holder looked at the lease before it took it, from when it was allowed to.

    That is at once when the old one gave it back, else when the new one had seen it unchanged for its duration.
    """
    written = [request.answered for request in _asked(cluster, old, namespace) if request.verb == "update"][-1]
    asked = [request for request in _asked(cluster, new, namespace) if request.received > written]
    allowed = written if given_back else asked[0].answered + DURATION
    asked = [request for request in asked if request.answered > allowed]
    assert asked, "the lease was taken too early"
    return [request.verb for request in asked].index("update")
