"""Prediction and reality: the service answers as fast, and as much, as the row of the variant that was chosen said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from e2e.bench import _clients
from e2e.installation import Kubernetes, condition
from e2e.stories.jobs import compression, deployment, digits_training, python_said, start_python
from e2e.stories.waiting import Item, until_condition

WITHIN = 0.15
# Asks as the benchmarks do, which share no code with the job that measured: now and then for the latencies, and at
# random times for the rate that keeps the same SLO.
ASK = """
import json, os, socket, statistics, sys, types, urllib.parse
import numpy as np
os.environ["SERVER_HOST"] = socket.gethostbyname(urllib.parse.urlsplit(os.environ["URL"]).hostname)
clients = types.ModuleType("clients")
exec(os.environ["PROGRAM"], clients.__dict__)
image = np.load("/mnt/pvc/digits/data/held-out.npz")["image"][0]
body = json.dumps({"inputs": [{"name": "inputs", "datatype": "FP32", "shape": [1, *image.shape],
                               "data": image.ravel().tolist()}]})
head = "POST /v2/models/predicted/infer HTTP/1.1\\r\\nHost: x\\r\\nContent-Type: application/json\\r\\n"
with open("/tmp/request", "w") as file:
    file.write(f"{head}Content-Length: {len(body)}\\r\\n\\r\\n{body}")
from pathlib import Path
slo = float(os.environ["PERCENTILE"]), float(os.environ["WITHIN"])
found = [clients.bears(80, Path("/tmp/request"), *slo, 2) for _ in range(5)]


def of(percentile):
    return [1e3 * float(np.percentile(one["latencies"], percentile)) for one in found]


# The middle one of the rounds: in one or another the machine does something else.
seen = {"p50": of(50), "p95": of(95), "rate": [one["rate"] for one in found]}
print(json.dumps({**{name: statistics.median(values) for name, values in seen.items()}, "rounds": seen,
                  "capacities": [one["capacity"] for one in found],
                  "requests": sum(len(one["latencies"]) for one in found),
                  "errors": [error for one in found for error in one["errors"]]}))
"""


@pytest.fixture(scope="module")
def chosen(kubernetes: Kubernetes, data: str) -> tuple[Item, Item]:
    """The deployment of a model that takes some milliseconds, and the row that it was chosen by.

    With a quick one the node's two CPUs would be full of client, network and replica at the rates that are compared,
    and what would be seen is how they share them.
    """
    job = digits_training(data, "predicted", epochs=1)
    job["spec"]["recipe"]["model"] = {"architecture": "cnn", "channels": [896, 896], "hiddenUnits": [128]}
    # Fewer rows: what it learns does not matter.
    job["spec"]["data"] |= {"train": job["spec"]["data"].pop("validation"), "validationFraction": "0.2"}
    job["spec"]["workers"] = 1
    served = deployment(data, "predicted", {"compressionJobRef": {"name": "predicted-variants"}})
    served["spec"]["scaling"] = {"minReplicas": 1, "maxReplicas": 1}  # the row is of one
    for item in (job, compression(data, "predicted-variants", "predicted"), served):
        kubernetes.apply(yaml.safe_dump(item))
    ready = until_condition(kubernetes, "modeldeployment", data, "predicted", "Ready", timeout=900)
    variants = kubernetes.get("compressionjob", "predicted-variants", "-n", data)["status"]["variants"]
    return ready, next(row for row in variants if row["name"] == ready["status"]["variant"]["name"])


def test_it_was_measured_on_what_serves(chosen: tuple[Item, Item]) -> None:
    ready, row = chosen
    assert condition(ready, "MeasuredElsewhere")["status"] == "False"
    assert condition(ready, "Underprovisioned")["reason"] == "EnoughReplicas"
    for number in ("throughputPerSecond", "throughputInterval"):
        assert ready["status"]["variant"][number] == row[number]


def test_a_client_sees_what_the_row_said(kubernetes: Kubernetes, data: str, chosen: tuple[Item, Item]) -> None:
    ready, row = chosen
    within = row["replica"]["within"]
    said = {f"p{one['percentile']}": float(one["milliseconds"]) for one in row["latencies"]}
    said["rate"] = float(row["throughputPerSecond"])
    task = {"PERCENTILE": str(within["percentile"]), "WITHIN": str(float(within["milliseconds"]) / 1e3)}
    program = Path(_clients.__file__).read_text()
    # A client that waits for a CPU would see its own delays as the service's.
    start_python(kubernetes, data, "predicted-ask", ASK, "1", URL=ready["status"]["url"], PROGRAM=program, **task)
    seen = json.loads(python_said(kubernetes, data, "predicted-ask", timeout=400).splitlines()[-1])
    ratios = {number: seen[number] / said[number] for number in ("p50", "p95", "rate")}
    told = {
        "said": said,
        "interval of the rate": row["throughputInterval"],
        "seen": seen,
        "seen/said": ratios,
        "within": within,
    }
    print(words := json.dumps(told))
    assert not seen["errors"], words
    assert all(abs(ratio - 1) <= WITHIN for ratio in ratios.values()), words
