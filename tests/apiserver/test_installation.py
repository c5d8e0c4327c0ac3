"""What an installation does once, and what its administrator changes later."""

from __future__ import annotations

import base64
import json
import os
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509

from tests.apiserver.cluster import Cluster
from tests.apiserver.process import ROOT, OperatorProcess


def _certificates(cluster: Cluster) -> subprocess.CompletedProcess[str]:
    kubeconfig = cluster.server.kubeconfig_for("tradewind-system", "tradewind-certificates")
    command = [sys.executable, "-m", "tradewind", "certificates", "--namespace=tradewind-system", "--log-format=text"]
    environment = os.environ | {"KUBECONFIG": str(kubeconfig), "PYTHONPATH": str(ROOT / "operator" / "src")}
    return subprocess.run(
        [*command, "--service=tradewind-operator", "--secret=made-once"],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_certificate_is_made_once_with_the_rights_of_its_job(cluster: Cluster, tmp_path: Path) -> None:
    for document in (ROOT / "manifests" / "base" / "certificates.yaml").read_text().split("\n---\n"):
        if "kind: Job" not in document:
            cluster.server.apply(document)
    first = _certificates(cluster)
    assert first.returncode == 0, first.stderr
    secret = cluster.server.kubectl("get", "secret", "made-once", "--namespace=tradewind-system", "--output=json")
    files = {name: base64.b64decode(content) for name, content in json.loads(secret)["data"].items()}
    assert sorted(files) == ["ca.crt", "tls.crt", "tls.key"]
    names = x509.load_pem_x509_certificate(files["tls.crt"]).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert "tradewind-operator.tradewind-system.svc" in names.value.get_values_for_type(x509.DNSName)
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    ssl.create_default_context(cafile=str(tmp_path / "ca.crt"))
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tmp_path / "tls.crt", tmp_path / "tls.key")
    second = _certificates(cluster)
    assert second.returncode == 0 and "there already" in second.stderr
    again = cluster.server.kubectl("get", "secret", "made-once", "--namespace=tradewind-system", "--output=json")
    assert json.loads(again)["metadata"]["resourceVersion"] == json.loads(secret)["metadata"]["resourceVersion"]


def test_a_changed_configuration_is_used_and_a_bad_one_is_not(cluster: Cluster, operator: OperatorProcess) -> None:
    before = cluster.config.read_text()
    operator.configure(before + "currency: EUR\n")
    try:
        operator.configure("pools: []", "Refused")
        assert "pools" in operator.log.read_text().rpartition("not used")[2]
        assert operator.ready()
    finally:
        operator.configure(before)


@pytest.mark.parametrize(
    ("content", "words"), [(None, "--config names"), ("pools: [", "is not YAML"), ("pools: []", "pools")]
)
def test_a_bad_configuration_at_the_start_is_told_in_a_line(
    cluster: Cluster, tmp_path: Path, content: str | None, words: str
) -> None:
    config = tmp_path / "config.yaml"
    if content is not None:
        config.write_text(content)
    operator = OperatorProcess(cluster.server.kubeconfig, config, cluster.tls, tmp_path / "log").start()
    assert operator.wait() == 2
    log = operator.log.read_text()
    assert words in log and "Traceback" not in log
