"""Serving: the user's own ONNX file, a TrainingJob's model, autoscaling, alerts."""

from __future__ import annotations

import yaml

from e2e.installation import Kubernetes, cluster, condition
from e2e.stories.jobs import deployment, run_python, training
from e2e.stories.waiting import until_condition

# A one-layer ONNX model written by the onnx package from a pod, as a user's export would be.
MAKE_ONNX = """
import os
import numpy as np, onnx
from onnx import TensorProto, helper, numpy_helper
weights = numpy_helper.from_array(np.array([[1.0], [2.0], [3.0]], dtype="float32"), "w")
graph = helper.make_graph(
    [helper.make_node("MatMul", ["x", "w"], ["y"])], "own",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 3])],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 1])], [weights])
os.makedirs("/mnt/pvc/digits/own", exist_ok=True)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
onnx.save(model, "/mnt/pvc/digits/own/mine.onnx")
"""

ASK = """
import json, os, urllib.request
body = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [2, 3], "data": [1, 1, 1, 1, 2, 3]}]}).encode()
request = urllib.request.Request(os.environ["URL"] + "/v2/models/own/infer", body, {"Content-Type": "application/json"})
print(urllib.request.urlopen(request, timeout=30).read().decode())
"""

# ModelReady of the model `own`, as bytes: the image has gRPC, but not KServe's messages.
ASK_BY_GRPC = r"""
import os, grpc, urllib.parse
with grpc.insecure_channel(urllib.parse.urlsplit(os.environ["URL"]).hostname + ":8081") as channel:
    ask = channel.unary_unary("/inference.GRPCInferenceService/ModelReady")
    print(ask(b"\x0a\x03own", timeout=30, wait_for_ready=True).hex())
"""


def test_an_onnx_file_of_the_users_own_is_served(kubernetes: Kubernetes, data: str) -> None:
    run_python(kubernetes, data, "make-onnx", MAKE_ONNX)
    kubernetes.apply(yaml.safe_dump(deployment(data, "own", {"storageUri": "pvc://digits/own/mine.onnx"})))
    url = until_condition(kubernetes, "modeldeployment", data, "own", "Ready", timeout=180)["status"]["url"]
    assert url == f"http://own.{data}.svc", "the address does not depend on what is served"
    answer = yaml.safe_load(run_python(kubernetes, data, "ask-own", ASK, URL=url))
    assert answer["outputs"][0]["data"] == [6.0, 14.0]
    assert run_python(kubernetes, data, "ask-own-by-grpc", ASK_BY_GRPC, URL=url) == "0801", "ready is true"
    kubernetes.run("-n", data, "delete", "modeldeployment", "own")


def test_a_model_that_is_not_there_is_said(kubernetes: Kubernetes, data: str) -> None:
    kubernetes.apply(yaml.safe_dump(deployment(data, "absent", {"storageUri": "pvc://digits/own/absent.onnx"})))
    item = until_condition(kubernetes, "modeldeployment", data, "absent", "Ready", "False", timeout=60)
    assert condition(item, "Ready")["message"]
    kubernetes.run("-n", data, "delete", "modeldeployment", "absent")


def test_a_training_jobs_model_scales_by_cpu_and_says_what_alerts_lack(kubernetes: Kubernetes, data: str) -> None:
    kubernetes.apply(yaml.safe_dump(training(data, "plain")))
    item = deployment(data, "plain", {"trainingJobRef": {"name": "plain"}})
    item["spec"]["scaling"] = {"minReplicas": 1, "maxReplicas": 3, "metric": "cpu", "target": 60}
    item["spec"]["alerts"] = [{"name": "errors", "errorRate": {"max": "0.01"}}]
    kubernetes.apply(yaml.safe_dump(item))
    ready = until_condition(kubernetes, "modeldeployment", data, "plain", "Ready", timeout=400)
    trained = kubernetes.get("trainingjob", "plain", "-n", data)
    assert ready["status"]["variant"]["digest"] == trained["status"]["model"]["digest"]
    scalers = kubernetes.get("hpa", "-n", data)["items"]
    scaler = [item for item in scalers if item["metadata"]["name"].startswith("plain-")]
    assert [(s["spec"]["minReplicas"], s["spec"]["maxReplicas"]) for s in scaler] == [(1, 3)]
    metric = scaler[0]["spec"]["metrics"][0]["resource"]
    assert (metric["name"], metric["target"]["averageUtilization"]) == ("cpu", 60)

    missing = condition(ready, "AlertsConfigured")
    if kubernetes.find("crd", "prometheusrules.monitoring.coreos.com") is None:
        assert missing["status"] == "False"
        assert "Prometheus operator" in missing["message"]
        cluster("up", "--with", "prometheus-crds")
    until_condition(kubernetes, "modeldeployment", data, "plain", "AlertsConfigured", timeout=120)
    rules = kubernetes.get("prometheusrule", "plain", "-n", data)["spec"]["groups"][0]["rules"]
    assert [rule["labels"]["severity"] for rule in rules] == ["warning"]
    kubernetes.run("-n", data, "delete", "modeldeployment/plain", "trainingjob/plain")
