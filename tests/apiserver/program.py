"""A program that reports, as it runs in a pod."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from typing import Any

from e2e.faults.stage import ray_cluster
from tests.apiserver.cluster import Cluster
from tests.apiserver.process import PATIENCE, OperatorProcess, until
from tests.objects import training_job
from tradewind.api.report import report_path
from tradewind.core.labels import RUN, labels


def pod_with_token(
    cluster: Cluster, namespace: str, name: str, marks: dict[str, str], ray_job: str = "digits-train-1"
) -> str:
    """A pod with these labels, which KubeRay made for that RayJob; a token of it."""
    container = {"name": "ray", "image": "tradewind/workload:dev"}
    metadata: dict[str, Any] = {"name": name, "labels": marks}
    if ray_job:
        metadata["ownerReferences"] = [ray_cluster(ray_job)]
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata}
    cluster.create(body | {"spec": {"containers": [container], "automountServiceAccountToken": False}}, namespace)
    return token_of(cluster, namespace, name)


def token_of(cluster: Cluster, namespace: str, pod: str, audience: str = "tradewind") -> str:
    """A token of the namespace's account, bound to a pod if one is named."""
    options = ["--namespace", namespace, f"--audience={audience}"]
    if pod:
        options += ["--bound-object-kind=Pod", f"--bound-object-name={pod}"]
    return cluster.server.kubectl("create", "token", "default", *options).strip()


def first_attempt(cluster: Cluster, operator: OperatorProcess, namespace: str) -> Program:
    """A program of the first attempt of the TrainingJob digits."""
    cluster.create(training_job(), namespace)
    until(lambda: cluster.phase("TrainingJob", "digits", namespace) == "Starting", "the job does not start")
    token = pod_with_token(cluster, namespace, "digits-head", labels("TrainingJob", "digits") | {RUN: "attempt-1"})
    return Program(cluster, operator, namespace, token, "digits")


class Program:
    """What runs in a pod."""

    def __init__(self, cluster: Cluster, operator: OperatorProcess, namespace: str, token: str, name: str) -> None:
        self._port, self._token = operator.report_port, token
        self._path = report_path(namespace, "trainingjobs", name)
        self._tls = ssl.create_default_context(cafile=str(cluster.tls / "ca.crt"))

    def post(self, body: Any, **changes: Any) -> tuple[int, str]:
        """Send a report; code and message."""
        token = changes.get("token", self._token)
        headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        url = f"https://localhost:{changes.get('port', self._port)}{changes.get('path', self._path)}"
        request = urllib.request.Request(url, content, headers)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE, context=self._tls) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
