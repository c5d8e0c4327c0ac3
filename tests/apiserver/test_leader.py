"""One replica writes: what happens when it is killed, stopped in its tracks, or told to end."""

from __future__ import annotations

import http.client
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle

import pytest

from e2e.audit import requests
from tests.apiserver.cluster import Cluster
from tests.apiserver.leases import LONGEST_GAP, looks
from tests.apiserver.process import PATIENCE, OperatorProcess, until
from tests.apiserver.program import first_attempt
from tests.objects import model
from tradewind.api.report import report_path

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
        code, why = standby.get("activez", standby.health_port)
        assert (code, "lease" in why) == (503, True)
        assert standby.get("readyz", standby.health_port)[0] == 200, "a replica that stands by is ready"
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


def _progress(cluster: Cluster, namespace: str) -> int:
    job = cluster.get("TrainingJob", "digits", namespace) or {}
    return int(((job.get("status") or {}).get("trainerStatus") or {}).get("progressPercentage") or 0)


def test_reports_that_reach_a_standby_are_in_the_status_and_a_takeover_loses_none(
    cluster: Cluster, start: Callable[..., OperatorProcess], namespace: str
) -> None:
    leases = cluster.namespace()
    leader = start("killed", leases, name="leader").wait_ready()
    standby = start("heir", leases, name="standby")
    until(lambda: standby.get("readyz", standby.health_port)[0] == 200, "the standby is not ready")
    program = first_attempt(cluster, leader, namespace)
    assert program.post({"trainerStatus": {"progressPercentage": 1}}, port=standby.report_port)[0] == 200
    assert _progress(cluster, namespace) == 1
    for code, changes in (
        (401, {"token": "not-a-token"}),
        (403, {"path": report_path(namespace, "trainingjobs", "other")}),
    ):
        assert program.post({}, port=standby.report_port, **changes)[0] == code, "as the active replica answers"

    ports = cycle((leader.report_port, standby.report_port))  # as a Service's endpoints have their turns
    answers: list[int] = []  # other than 200

    def report(body: object) -> None:
        end = time.monotonic() + PATIENCE
        while True:
            try:
                code, message = program.post(body, port=next(ports))
            except (OSError, http.client.HTTPException):  # refused, or cut off by the kill in mid-answer
                code, message = 0, "nobody answered"
            if code == 200:
                return
            assert code in (0, 429, 503), (code, message)  # a program comes again after each of these
            assert time.monotonic() < end, message
            if code != 429:
                answers.append(code)
            time.sleep(0.1)

    def work() -> None:
        for percent in range(2, 40):
            report({"trainerStatus": {"progressPercentage": percent}})
            assert _progress(cluster, namespace) == percent, "what was answered with 200 is not in the status"
        report({"run": "attempt-1", "model": model()})

    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(work)
        until(lambda: _progress(cluster, namespace) >= 10 or working.done(), "there is no progress")
        leader.send(signal.SIGKILL)
        working.result()
    assert answers, "the leader was killed too late: nothing is shown by that"
    assert cluster.phase("TrainingJob", "digits", namespace) == "Complete"
    assert standby.ready()


def test_a_report_is_refused_for_a_moment_while_the_active_replica_is_frozen(
    cluster: Cluster, start: Callable[..., OperatorProcess], namespace: str
) -> None:
    leases = cluster.namespace()
    frozen = start("frozen", leases, name="leader").wait_ready()
    standby = start("second", leases, name="standby")
    until(lambda: standby.get("readyz", standby.health_port)[0] == 200, "the standby is not ready")
    program = first_attempt(cluster, frozen, namespace)
    frozen.send(signal.SIGSTOP)
    codes: list[int] = []

    def answered() -> bool:
        codes.append(program.post({"trainerStatus": {"progressPercentage": 7}}, port=standby.report_port)[0])
        return codes[-1] == 200

    until(answered, "the standby does not take over")
    assert set(codes) <= {200, 503}
    assert _progress(cluster, namespace) == 7
    frozen.send(signal.SIGCONT)
    assert frozen.wait() == 1
