"""Another model under constant requests: they move when it answers, and stay where it does not; none fails."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from e2e.installation import Kubernetes, condition
from e2e.stories.jobs import deployment, python_said, run_python, start_python
from e2e.stories.waiting import Item, until, until_condition

# Three files: one that answers 6, one that answers 60, and one that is no model.
MAKE_MODELS = """
import os
import numpy as np, onnx
from onnx import TensorProto, helper, numpy_helper
os.makedirs("/mnt/pvc/digits/moved", exist_ok=True)
for name, factor in (("good", 1), ("worse", 10)):
    weights = numpy_helper.from_array(factor * np.array([[1.0], [2.0], [3.0]], dtype="float32"), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])], "own",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 1])], [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, f"/mnt/pvc/digits/moved/{name}.onnx")
with open("/mnt/pvc/digits/moved/broken.onnx", "wb") as file:
    file.write(b"this is no model")
"""

# At a steady rate from clients that keep their connection for a while, as real ones do; nothing is tried again.
CLIENT = """
import asyncio, collections, json, os
import aiohttp
BODY = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [1, 1, 1]}]}
COUNT, RATE, CLIENTS, KEPT = int(os.environ["COUNT"]), float(os.environ["RATE"]), 8, int(os.environ["KEPT"])
answers, failures, numbers = collections.Counter(), [], iter(range(COUNT))

async def client(url, start):
    loop = asyncio.get_running_loop()
    while True:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
            for _ in range(KEPT):
                number = next(numbers, None)
                if number is None:
                    return
                await asyncio.sleep(max(0.0, start + number / RATE - loop.time()))
                try:
                    async with session.post(url, json=BODY) as answer:
                        text = await answer.text()
                        assert answer.status == 200, f"{answer.status}: {text[:200]}"
                        answers[str(float(json.loads(text)["outputs"][0]["data"][0]))] += 1
                except Exception as error:
                    failures.append(f"request {number}: {error!r}")
                if number == 0:
                    print("asking", flush=True)

async def main():
    url, start = os.environ["URL"] + "/v2/models/moved/infer", asyncio.get_running_loop().time()
    await asyncio.gather(*(client(url, start) for _ in range(CLIENTS)))
    print(json.dumps({"answers": answers, "failed": len(failures), "failures": failures[:10]}))

asyncio.run(main())
"""
COUNT = 2000  # requests of a client
MANY = 100_000  # of one that asks while all sorts of things change


@pytest.fixture(scope="module")
def served(kubernetes: Kubernetes, data: str) -> Iterator[Item]:
    """A deployment of the good model that is ready."""
    run_python(kubernetes, data, "make-models", MAKE_MODELS)
    serve(kubernetes, data, "good")
    yield until_condition(kubernetes, "modeldeployment", data, "moved", "Ready", timeout=180)
    kubernetes.run("-n", data, "delete", "modeldeployment", "moved")


def serve(kubernetes: Kubernetes, namespace: str, model: str) -> None:
    """Apply the deployment with that model."""
    uri = f"pvc://digits/moved/{model}.onnx"
    kubernetes.apply(yaml.safe_dump(deployment(namespace, "moved", {"storageUri": uri})))


def asking(
    kubernetes: Kubernetes, namespace: str, name: str, url: str, count: int = COUNT, rate: int = 20, kept: int = 50
) -> None:
    """Start a client, and wait until it asks: so many requests, a second, and over one connection."""
    task = {"COUNT": str(count), "RATE": str(rate), "KEPT": str(kept)}
    start_python(kubernetes, namespace, name, CLIENT, URL=url, **task)

    def asks() -> bool:
        return "asking" in kubernetes.run("-n", namespace, "logs", f"job/{name}", check=False).stdout

    until("the client's first answer", asks, 60)


def said(kubernetes: Kubernetes, namespace: str, name: str, count: int = COUNT) -> dict[str, int]:
    """How often each answer came; none may have failed."""
    told: dict[str, Any] = json.loads(python_said(kubernetes, namespace, name, 600).splitlines()[-1])
    assert told["failed"] == 0, told
    answers: dict[str, int] = told["answers"]
    assert sum(answers.values()) == count
    return answers


def rolled_out(kubernetes: Kubernetes, namespace: str, variant_of: str) -> None:
    """Wait until the model with that file is what serves, and nothing else runs any more."""

    def alone() -> bool:
        item = kubernetes.get("modeldeployment", "moved", "-n", namespace)
        rows = item["status"].get("revisions", [])
        services = kubernetes.get("inferenceservices", "-n", namespace, "-l", "tradewind.dev/name=moved")["items"]
        uris = [service["spec"]["predictor"]["model"]["storageUri"] for service in services]
        return len(rows) == 1 and len(uris) == 1 and uris[0].endswith(f"/{variant_of}.onnx")

    until(f"{variant_of} to be what serves", alone, 180)


def test_requests_move_to_another_model_and_none_fails(kubernetes: Kubernetes, data: str, served: Item) -> None:
    asking(kubernetes, data, "ask-worse", served["status"]["url"])
    serve(kubernetes, data, "worse")
    answers = said(kubernetes, data, "ask-worse")
    assert set(answers) == {"6.0", "60.0"}, "some were answered by each"
    rolled_out(kubernetes, data, "worse")
    after = kubernetes.get("modeldeployment", "moved", "-n", data)
    assert after["status"]["url"] == served["status"]["url"]


def test_a_model_that_does_not_start_gets_no_request(kubernetes: Kubernetes, data: str, served: Item) -> None:
    serve(kubernetes, data, "good")
    rolled_out(kubernetes, data, "good")
    asking(kubernetes, data, "ask-broken", served["status"]["url"])
    serve(kubernetes, data, "broken")

    def not_ready() -> Item | None:
        item = kubernetes.get("modeldeployment", "moved", "-n", data)
        progressing = condition(item, "Progressing")
        return item if progressing.get("reason") == "RevisionNotReady" else None

    item = until("the broken revision to be reported", not_ready, 150)
    assert condition(item, "Ready")["status"] == "True"
    assert "continues to serve" in condition(item, "Progressing")["message"]
    assert set(said(kubernetes, data, "ask-broken")) == {"6.0"}
    serve(kubernetes, data, "good")  # taken back
    rolled_out(kubernetes, data, "good")


def test_a_hundred_thousand_requests_while_revisions_move_and_replicas_are_replaced(
    kubernetes: Kubernetes, data: str, served: Item
) -> None:
    serve(kubernetes, data, "good")
    rolled_out(kubernetes, data, "good")
    asking(kubernetes, data, "ask-many", served["status"]["url"], MANY, 600, 500)
    for model in ("worse", "good"):
        serve(kubernetes, data, model)
        rolled_out(kubernetes, data, model)
        (name,) = kubernetes.run(
            *("-n", data, "get", "deployments", "-l", "tradewind.dev/name=moved", "--output=name")
        ).stdout.split()
        kubernetes.run("-n", data, "rollout", "restart", name)
        kubernetes.run("-n", data, "rollout", "status", name, "--timeout=120s")
    assert "failed" not in kubernetes.get("job", "ask-many", "-n", data).get("status", {})
    answers = said(kubernetes, data, "ask-many", MANY)
    print(json.dumps(answers))
    assert set(answers) == {"6.0", "60.0"}, "some were answered by each"
