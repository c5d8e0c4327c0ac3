"""A table of texts, times and missing values: boosted trees learn it as it stands, and are asked by its columns."""

from __future__ import annotations

import json

import yaml

from e2e.installation import Kubernetes
from e2e.stories.jobs import deployment, run_python, training
from e2e.stories.waiting import until_condition

# Loans as a company might have them: who does not pay back is said by town, income, customer and date, some missing.
MAKE_LOANS = """
import csv, os
import numpy as np
random = np.random.default_rng(7)
rows = []
for number in range(2400):
    town = str(random.choice(["Köln", "Zürich", "São Paulo", "東京"]))
    income, known = random.lognormal(8, 0.5), bool(random.random() < 0.6)
    month, day = int(random.integers(1, 13)), int(random.integers(1, 29))
    risk = 1.5 * (town == "Köln") - 1.5 * (town == "Zürich") - np.log(income / 3000) - known + 0.8 * (month == 12)
    late = random.random() < 1 / (1 + np.exp(-2 * risk))
    cells = [f"{income:.2f}", town, str(known).lower(), f"2026-{month:02}-{day:02}"]
    rows.append(["" if random.random() < 0.08 else cell for cell in cells] + ["001" if late else "000"])
os.makedirs("/mnt/pvc/digits/loans", exist_ok=True)
for name, some in (("train", rows[:2000]), ("test", rows[2000:])):
    with open(f"/mnt/pvc/digits/loans/{name}.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["Einkommen", "Stadt", "Stammkunde", "seit", "Ausfall"], *some])
"""

# The test rows by name, in protocol v1: what is empty in the table is null. What the job stored must be answered too.
ASK = """
import csv, json, os, urllib.request
with open("/mnt/pvc/digits/loans/test.csv", newline="", encoding="utf-8") as file:
    rows = list(csv.DictReader(file))
labels = [row.pop("Ausfall") for row in rows]
as_json = {"Einkommen": float, "Stadt": str, "Stammkunde": "true".__eq__, "seit": str}
instances = [{name: as_json[name](cell) if cell else None for name, cell in row.items()} for row in rows]
with open("/mnt/pvc/digits/loans-model/current.json") as file:
    folder = "/mnt/pvc/digits/loans-model/" + json.load(file)["folder"]
with open(folder + "/samples.json") as file:
    samples = json.load(file)
with open(folder + "/model.json") as file:
    names = json.load(file)["labels"]
def ask(rows):
    url = os.environ["URL"] + "/v1/models/loans:predict"
    request = urllib.request.Request(url, json.dumps({"instances": rows}).encode())
    return json.load(urllib.request.urlopen(request, timeout=30))["predictions"]
answers = [answer for start in range(0, len(instances), 50) for answer in ask(instances[start : start + 50])]
(stranger,) = ask([{"Einkommen": None, "Stadt": "Überlingen", "Stammkunde": None, "seit": None}])
print(json.dumps({
    "answers": answers, "labels": labels, "stranger": stranger,
    "samples": ask(samples["instances"]), "stored": [names[label] for label in samples["outputs"]["label"]],
}))
"""


def test_a_mixed_table_is_learnt_and_asked_as_it_stands(kubernetes: Kubernetes, data: str) -> None:
    run_python(kubernetes, data, "make-loans", MAKE_LOANS)
    item = training(data, "loans")
    item["spec"]["recipe"] = {
        "task": "tabular-classification",
        "model": {"architecture": "trees", "trees": {"rounds": 300, "learningRate": "0.1"}},
        "primaryMetric": "accuracy",
    }
    item["spec"]["data"] = {
        "train": {"storageUri": "pvc://digits/loans/train.csv", "format": "csv"},
        "validationFraction": "0.2",
        "test": {"storageUri": "pvc://digits/loans/test.csv", "format": "csv"},
        "label": "Ausfall",
    }
    item["spec"]["output"]["storageUri"] = "pvc://digits/loans-model"
    kubernetes.apply(yaml.safe_dump(item))
    kubernetes.apply(yaml.safe_dump(deployment(data, "loans", {"trainingJobRef": {"name": "loans"}})))
    served = until_condition(kubernetes, "modeldeployment", data, "loans", "Ready", timeout=300)
    model = kubernetes.get("trainingjob", "loans", "-n", data)["status"]["model"]
    assert model["evaluation"]["betterThanGuessing"]
    accuracy = next(float(metric["value"]) for metric in model["metrics"] if metric["name"] == "accuracy")

    asked = json.loads(run_python(kubernetes, data, "ask-loans", ASK, URL=served["status"]["url"]).splitlines()[-1])
    right = sum(answer == label for answer, label in zip(asked["answers"], asked["labels"], strict=True))
    assert abs(right / len(asked["labels"]) - accuracy) < 0.001, "served as measured"
    assert asked["samples"] == asked["stored"]
    assert asked["stranger"] in ("000", "001")
    kubernetes.run("-n", data, "delete", "modeldeployment/loans", "trainingjob/loans")
