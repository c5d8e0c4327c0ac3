"""One replica writes: what happens when it is killed, stopped in its tracks, or told to end."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator

import pytest

from e2e.audit import requests
from tests.apiserver.cluster import Cluster
from tests.apiserver.leases import LONGEST_GAP, looks
from tests.apiserver.process import OperatorProcess, until

RIGHTS = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: NAME, namespace: tradewind-system}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: NAME}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{kind: ServiceAccount, name: NAME, namespace: tradewind-system}]
"""


@pytest.fixture(scope="module", autouse=True)
def _accounts(cluster: Cluster, _kept: list[OperatorProcess]) -> None:
    cluster.server.apply("---".join(RIGHTS.replace("NAME", name) for name in ("killed", "heir", "frozen", "second")))
    for operator in _kept:
        operator.stop()  # the tests here have operators of their own


@pytest.fixture
def start(launch: Callable[..., OperatorProcess]) -> Iterator[Callable[..., OperatorProcess]]:
    """Starts operators that end with the test."""
    started: list[OperatorProcess] = []

    def run(*arguments: str, **options: str) -> OperatorProcess:
        started.append(launch(*arguments, **options))
        return started[-1]

    yield run
    for operator in started:
        operator.stop()


def _writes(cluster: Cluster, user: str, since: float) -> list[object]:
    account = f"system:serviceaccount:tradewind-system:{user}"
    found = [r for r in requests(cluster.server.audit_log, account) if r.verb not in ("get", "list", "watch")]
    return [request for request in found if request.time > time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(since + 1))]


def test_a_standby_takes_over_from_a_killed_and_from_a_frozen_leader_in_15_s_and_from_an_ended_one_in_2_s(
    cluster: Cluster, start: Callable[..., OperatorProcess]
) -> None:
    first, other = cluster.namespace(), cluster.namespace()
    killed = start("killed", first).wait_ready()
    frozen = start("frozen", other).wait_ready()
    heir, second = start("heir", first), start("second", other)
    for standby in (heir, second):
        until(lambda standby=standby: "standing by" in standby.log.read_text(), "it does not stand by")
        code, why = standby.get("readyz", standby.health_port)
        assert (code, "lease" in why) == (503, True)
        assert standby.get("healthz", standby.health_port)[0] == 200
        assert "tradewind_active 0.0" in standby.get("metrics", standby.metrics_port)[1]

    # A standby takes the lease at the first look at which it may. How long that takes in all is measured by
    # e2e/bench/controlplane/takeover.py.
    assert LONGEST_GAP <= 15
    killed.send(signal.SIGKILL)
    frozen.send(signal.SIGSTOP)
    until(lambda: "tradewind_active 1.0" in heir.get("metrics", heir.metrics_port)[1], "nobody takes over")
    until(lambda: "tradewind_active 1.0" in second.get("metrics", second.metrics_port)[1], "nobody takes over")
    assert 1 <= looks(cluster, first, "killed", "heir") <= 3
    assert 1 <= looks(cluster, other, "frozen", "second") <= 3
    heir.wait_ready()
    second.wait_ready()

    thawed = time.time()
    frozen.send(signal.SIGCONT)
    assert frozen.wait() == 1
    assert "lease was lost" in frozen.log.read_text()
    assert [w for w in _writes(cluster, "frozen", thawed) if "leases" not in str(w)] == []

    third = start("killed", first)
    until(lambda: "standing by" in third.log.read_text(), "it does not stand by")
    heir.send(signal.SIGTERM)
    until(lambda: "tradewind_active 1.0" in third.get("metrics", third.metrics_port)[1], "nobody takes over")
    assert heir.wait() == 0
    assert looks(cluster, first, "heir", "killed", given_back=True) <= 2, "the lease was not given back"
    third.wait_ready()


def test_a_restarted_container_has_its_lease_again_at_once(
    cluster: Cluster, start: Callable[..., OperatorProcess]
) -> None:
    namespace = cluster.namespace()
    before = start("second", namespace, name="pod-1").wait_ready()
    until(lambda: "tradewind_active 1.0" in before.get("metrics", before.metrics_port)[1], "it does not lead")
    before.send(signal.SIGKILL)
    before.wait()
    again = start("second", namespace, name="pod-1").wait_ready()
    until(lambda: "tradewind_active 1.0" in again.get("metrics", again.metrics_port)[1], "it does not lead")
    assert "standing by" not in again.log.read_text()
