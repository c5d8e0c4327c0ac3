"""The API server of the tests: real, and gone with the process that started it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from e2e.cluster.apiserver import ApiServer
from e2e.cluster.binaries import binary
from e2e.cluster.foreign import run_kubectl
from e2e.cluster.progress import Failed
from e2e.cluster.record import start_time
from tests.apiserver.cluster import Cluster
from tests.apiserver.process import PATIENCE

ROOT = Path(__file__).resolve().parents[2]
ACCOUNT = """\
apiVersion: v1
kind: Namespace
metadata: {name: team, labels: {pod-security.kubernetes.io/enforce: restricted}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: robot, namespace: team}
"""
ROOT_POD = """\
apiVersion: v1
kind: Pod
metadata: {name: root, namespace: team}
spec: {serviceAccountName: robot, containers: [{name: c, image: i}]}
"""


@pytest.fixture(scope="module")
def server(cluster: Cluster) -> ApiServer:
    """The one that all tests here share, with an account of this module's."""
    cluster.server.apply(ACCOUNT)
    return cluster.server


def test_it_serves_definitions_of_others(server: ApiServer) -> None:
    server.install("kuberay")
    assert "rayjobs" in server.kubectl("api-resources", "--api-group=ray.io")


def test_a_service_account_has_only_its_rights(server: ApiServer) -> None:
    config = server.kubeconfig_for("team", "robot")
    assert "system:serviceaccount:team:robot" in run_kubectl(binary("kubectl"), config, "auth", "whoami")
    with pytest.raises(Failed, match="forbidden"):
        run_kubectl(binary("kubectl"), config, "get", "secrets", "--namespace", "team")


def test_pod_security_is_enforced(server: ApiServer) -> None:
    with pytest.raises(Failed, match="violates PodSecurity"):
        server.apply(ROOT_POD)


def test_every_request_is_in_the_audit_log_once(server: ApiServer) -> None:
    server.kubectl("get", "configmaps", "--namespace", "team")
    events = [json.loads(line) for line in server.audit_log.read_text().splitlines()]
    assert {event["stage"] for event in events} == {"ResponseComplete"}
    assert any(event["objectRef"].get("namespace") == "team" for event in events if "objectRef" in event)
    assert all(event.get("userAgent") for event in events)


def test_two_may_run_and_end_without_a_trace(server: ApiServer) -> None:
    with ApiServer() as other:
        assert other.url != server.url
        folder, pids = other.folder, other.pids
    assert not folder.exists()
    assert not any(start_time(pid) for pid in pids.values())


def test_the_components_die_with_their_parent() -> None:
    program = "import json, time; from e2e.cluster.apiserver import ApiServer\n"
    program += "with ApiServer() as s: print(json.dumps(s.pids), flush=True); time.sleep(3600)"
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        pids: dict[str, int] = json.loads(parent.stdout.readline())
        assert set(pids) == {"etcd", "kube-apiserver"} and all(start_time(pid) for pid in pids.values())
        os.kill(parent.pid, signal.SIGKILL)
    end = time.monotonic() + PATIENCE
    while any(start_time(pid) for pid in pids.values()) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(start_time(pid) for pid in pids.values())
