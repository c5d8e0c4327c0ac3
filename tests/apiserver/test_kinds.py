"""Kinds that come and go, what the API server refuses, and Events."""

from __future__ import annotations

import json
import time
from typing import Any

from kubernetes.client.exceptions import ApiException

from tests.apiserver.cluster import Cluster
from tests.apiserver.process import OperatorProcess, until
from tests.objects import model_deployment, training_job
from tradewind.core.labels import ROLE, RUN, labels
from tradewind.ray.job import RAY_VERSION

POLICY = """
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: no-rayjobs}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules:
      - {apiGroups: [ray.io], apiVersions: [v1], operations: [CREATE], resources: [rayjobs]}
  validations:
    - {expression: "false", message: "RayJobs are closed for the holidays"}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: no-rayjobs}
spec:
  policyName: no-rayjobs
  validationActions: [Deny]
  matchResources:
    namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: NAMESPACE}}
"""


def test_a_refusal_is_told_in_the_servers_words_and_healed(
    cluster: Cluster, operator: OperatorProcess, namespace: str
) -> None:
    cluster.server.apply(POLICY.replace("NAMESPACE", namespace))
    probe = {
        "apiVersion": "ray.io/v1",
        "kind": "RayJob",
        "metadata": {"name": "probe"},
        "spec": {"entrypoint": "true", "rayClusterSpec": {"headGroupSpec": {"template": {"spec": {"containers": []}}}}},
    }

    def enforced() -> bool:
        try:
            cluster.create(probe, namespace)
        except ApiException as error:
            return "holidays" in str(error)
        cluster.delete("RayJob", "probe", namespace)
        return False

    until(enforced, "the policy is not enforced")
    cluster.create(training_job(), namespace)
    until(
        lambda: "holidays" in str((cluster.get("TrainingJob", "digits", namespace) or {}).get("status")),
        "the refusal is in no condition",
    )
    cluster.quiet()
    since = time.time()
    for number in range(5):  # each brings a pass over the object
        note = {"metadata": {"annotations": {"note": str(number)}}}
        cluster.merge("TrainingJob", "digits", namespace, note)
        cluster.caught_up()
    asked = [request.resource for request in cluster.asked(since) if request.namespace == namespace]
    assert set(asked) <= {"rayjobs"}
    assert cluster.tried_after_a_while(namespace, "rayjobs"), "what was refused is tried at every pass"
    cluster.server.kubectl("delete", "validatingadmissionpolicybinding", "no-rayjobs")
    until(lambda: cluster.list("RayJob", namespace), "the RayJob is not made though nothing forbids it any more")
    until(lambda: cluster.phase("TrainingJob", "digits", namespace) == "Starting", "the refusal is still told")


def test_what_kuberay_can_do_and_where_it_runs_is_found_out(
    cluster: Cluster, operator: OperatorProcess, namespace: str
) -> None:
    about = {"name": "kuberay-operator", "labels": {"app.kubernetes.io/component": "kuberay-operator"}}
    kuberay = {"apiVersion": "v1", "kind": "Pod", "metadata": about}
    cluster.create(kuberay | {"spec": {"containers": [{"name": "kuberay", "image": "any"}]}}, namespace)
    definition = json.loads(cluster.server.kubectl("get", "crd", "rayjobs.ray.io", "--output=json"))
    index = [version["name"] for version in definition["spec"]["versions"]].index("v1")
    path = f"/spec/versions/{index}/schema/openAPIV3Schema/properties/spec/properties/rayClusterSpec/properties"
    fields = definition["spec"]["versions"][index]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    shipped = fields["rayClusterSpec"]["properties"].get("authOptions")
    known = shipped or {"type": "object", "properties": {"mode": {"type": "string"}}}

    def serve(options: Any) -> None:
        change = {"op": "add", "value": options} if options else {"op": "remove"}
        patch = json.dumps([{**change, "path": f"{path}/authOptions"}])
        cluster.server.kubectl("patch", "crd", "rayjobs.ray.io", "--type=json", f"--patch={patch}")

    def made(name: str) -> Any:
        rayjob = cluster.get("RayJob", f"{name}-train-1", namespace)
        return rayjob and rayjob["spec"]["rayClusterSpec"]

    def is_made_with(name: str, options: Any) -> None:
        # The operator hears of the definition a moment later, and makes again what it made until then.
        cluster.create(training_job(name), namespace)

        def is_so() -> bool:
            found = made(name)
            return found is not None and found.get("authOptions") == options

        until(is_so, f"{name} is not made with {options}")

    serve(known if shipped is None else None)
    try:
        with_tokens = {"mode": "token"}
        is_made_with("first", with_tokens if shipped is None else None)
        assert (made("first").get("rayVersion") == RAY_VERSION) == (shipped is None)
    finally:
        serve(shipped)
    is_made_with("second", with_tokens if shipped else None)
    cluster.quiet()  # one that was made for the definition before may look the same
    # Its pods are ready, and KubeRay can't submit the program.
    for number, role in enumerate(("head", "worker", "worker")):
        marks = labels("TrainingJob", "second") | {RUN: "attempt-1", ROLE: role}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"second-{number}", "labels": marks}}
        cluster.create(pod | {"spec": {"containers": [{"name": "ray", "image": "any"}]}}, namespace)
        long_ready = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-24T12:00:00Z"}
        status = {"phase": "Running", "conditions": [long_ready]}
        cluster.merge("Pod", f"second-{number}", namespace, {"status": status}, subresource="status")
    cluster.merge("RayJob", "second-train-1", namespace, {"status": {"jobDeploymentStatus": "Running"}}, "status")
    words = f"KubeRay runs in namespace {namespace}, and the NetworkPolicy lets in namespace kuberay-system"
    until(
        lambda: words in str((cluster.get("TrainingJob", "second", namespace) or {}).get("status")),
        "nobody says that KubeRay is in another namespace",
    )
    cluster.delete("Pod", "kuberay-operator", namespace)


def test_a_kind_that_is_not_served_is_told_and_used_once_it_is(
    cluster: Cluster, operator: OperatorProcess, namespace: str
) -> None:
    cluster.server.kubectl("delete", "crd", "prometheusrules.monitoring.coreos.com", "--wait=true")
    alerts = [{"name": "slow", "latency": {"milliseconds": "50"}}]
    deployment = model_deployment(model={"storageUri": "pvc://models/own/model.onnx"}, alerts=alerts)
    cluster.create(deployment, namespace)
    until(lambda: cluster.list("InferenceService", namespace), "there is no InferenceService")

    def told() -> bool:
        return "PrometheusRule" in str((cluster.get("ModelDeployment", "digits", namespace) or {}).get("status"))

    until(told, "no condition tells of the missing kind")
    cluster.quiet()
    since = time.time()
    time.sleep(2)
    assert [request for request in cluster.asked(since) if request.namespace == namespace] == []
    cluster.server.install("prometheus")
    until(lambda: cluster.list("PrometheusRule", namespace), "the rules are not made")
    assert operator.process is not None and operator.process.poll() is None


def test_events_are_sent_once(cluster: Cluster, operator: OperatorProcess, namespace: str) -> None:
    cluster.create(training_job(runPolicy={"suspend": True}), namespace)
    until(lambda: cluster.list("Event", namespace), "there is no Event")
    cluster.quiet()
    events = cluster.list("Event", namespace)
    assert len(events) <= 3
    assert all(event["regarding"]["kind"] == "TrainingJob" for event in events)
    assert len({(event["reason"], event["note"]) for event in events}) == len(events)
