"""The rights that the manifests grant are those that an operator uses on a real API server: none missing, none left."""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import yaml

from e2e.cluster.apiserver import ApiServer
from e2e.equipment import certify
from e2e.rights import Right, granted, used
from e2e.strays import NAME, stray
from tests.apiserver.process import PATIENCE, OperatorProcess, until
from tests.packaging.conftest import NAMESPACE, ROOT, find, kustomization

USER = "users"
ENTRYPOINT = """
apiVersion: tradewind.dev/v1alpha1
kind: TrainingJob
metadata: {name: digits}
spec:
  entrypoint: {argv: [python, train.py]}
  output: {storageUri: pvc://claim/model}
"""
SERVICE = """
apiVersion: tradewind.dev/v1alpha1
kind: ModelDeployment
metadata: {name: digits}
spec:
  model: {storageUri: pvc://claim/model.onnx}
  alerts: [{name: missing, replicasMissing: {}}]
"""


EXPIRING = """
apiVersion: tradewind.dev/v1alpha1
kind: TrainingJob
metadata: {name: short}
spec:
  entrypoint: {argv: [python]}
  output: {storageUri: pvc://claim/short}
  runPolicy: {activeDeadlineSeconds: 1, ttlSecondsAfterFinished: 0}
---
apiVersion: tradewind.dev/v1alpha1
kind: CompressionJob
metadata: {name: short}
spec:
  model: {storageUri: pvc://claim/model}
  data: {train: {storageUri: pvc://claim/data, format: npz}, validationFraction: "0.2"}
  candidates: [{name: int8, methods: [{quantize: {scheme: dynamic-int8}}]}]
  output: {storageUri: pvc://claim/short-variants}
  runPolicy: {activeDeadlineSeconds: 1, ttlSecondsAfterFinished: 0}
"""


@pytest.fixture
def operator(server: ApiServer, tmp_path: Path) -> Iterator[OperatorProcess]:
    """An operator with the rights and the configuration of manifests/base."""
    server.kubectl("apply", "--server-side", "-k", str(ROOT / "manifests" / "base"))
    certify(tmp_path)
    config = find(kustomization("manifests/base"), "ConfigMap", "tradewind")["data"]["config.yaml"]
    (tmp_path / "config.yaml").write_text(config)
    kubeconfig = server.kubeconfig_for(NAMESPACE, "tradewind-operator")
    process = OperatorProcess(kubeconfig, tmp_path / "config.yaml", tmp_path / "tls", tmp_path / "operator.log")
    yield process.start().wait_ready()
    process.stop()


def _used(log: Path) -> set[Right]:
    rights, refused = used(log)
    assert refused == []
    return rights


def test_the_rights_are_those_that_are_used(server: ApiServer, operator: OperatorProcess, tmp_path: Path) -> None:
    server.kubectl("create", "namespace", USER)
    for manifest, plural in ((ENTRYPOINT, "trainingjobs"), (SERVICE, "modeldeployments")):
        server.kubectl("apply", "-n", USER, "-f", "-", stdin=manifest)
        until(partial(_phase, server, plural), f"{plural} get no status")
        owner = yaml.safe_load(server.kubectl("get", plural, "digits", "-n", USER, "-o", "yaml"))
        kinds = (
            ("RayJob", "NetworkPolicy")
            if plural == "trainingjobs"
            else ("Service", "InferenceService", "PrometheusRule")
        )
        for kind in kinds:
            server.kubectl("create", "-n", USER, "-f", "-", stdin=yaml.safe_dump(stray(kind, owner)))
            until(partial(_gone, server, kind), f"the {kind} that nobody planned is still there")
    edit = '{"spec": {"backoffLimit": 3}}'
    server.kubectl("patch", "rayjob", "digits-train-1", "-n", USER, "--type=merge", f"--patch={edit}")
    until(partial(_mended, server), "the RayJob stays as it was edited")
    compression = (ROOT / "manifests" / "examples" / "digits.yaml").read_text().split("---")
    (example,) = (text for text in compression if "kind: CompressionJob" in text)
    server.kubectl("apply", "-n", USER, "-f", "-", stdin=example.replace("namespace: digits", f"namespace: {USER}"))
    until(partial(_phase, server, "compressionjobs"), "the compression gets no status")
    server.kubectl("apply", "-n", USER, "-f", "-", stdin=EXPIRING)
    for plural in ("trainingjobs", "compressionjobs"):
        until(
            lambda plural=plural: not server.kubectl("get", plural, "short", "-n", USER, "--ignore-not-found"),  # type: ignore[misc]
            f"{plural} that are to expire are still there",
        )
    _report(operator.report_port, tmp_path / "tls" / "ca.crt")
    operator.stop()  # a watch is written down at its end
    until(lambda: ("trainingjobs", "watch") in _used(server.audit_log), "the audit log lacks the watches")
    assert _used(server.audit_log) == granted(kustomization("manifests/base"))


def _phase(server: ApiServer, plural: str) -> str:
    return server.kubectl("get", plural, "digits", "-n", USER, "-o", "jsonpath={.status.phase}")


def _gone(server: ApiServer, kind: str) -> bool:
    return not server.kubectl("get", kind, NAME, "-n", USER, "--ignore-not-found")


def _mended(server: ApiServer) -> bool:
    limit = server.kubectl("get", "rayjob", "digits-train-1", "-n", USER, "-o", "jsonpath={.spec.backoffLimit}")
    return limit == "0"


def _report(port: int, ca: Path) -> None:
    """A report with a token of nobody's, which the operator asks the API server about."""
    url = f"https://localhost:{port}/apis/tradewind.dev/v1alpha1/namespaces/{USER}/trainingjobs/digits/status"
    # Three parts, as a token has.
    headers = {"Authorization": "Bearer " + ".".join(["e30"] * 3), "Content-Type": "application/json"}
    call = urllib.request.Request(url, data=b"{}", headers=headers, method="POST")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(call, timeout=PATIENCE, context=ssl.create_default_context(cafile=ca))
    assert refused.value.code == 401
