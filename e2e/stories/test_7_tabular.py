"""A table with the dirt of real tables: cleaned, filled, standardised, trained on, and served with all that inside."""

from __future__ import annotations

import json

import yaml

from e2e.installation import Kubernetes
from e2e.stories.jobs import deployment, run_python, training
from e2e.stories.waiting import until_condition

# The wine set of scikit-learn (178 rows, 13 columns, 3 classes) as a company might have it: rows twice, cells empty.
MAKE_TABLE = """
import os
import numpy as np, pyarrow, pyarrow.csv, pyarrow.parquet
from sklearn.datasets import load_wine
wine = load_wine()
names = [name.replace("/", "_") for name in wine.feature_names]
order = np.random.default_rng(7).permutation(len(wine.data))
def table(rows, holes):
    values = wine.data[rows].copy()
    columns = {name: values[:, i].tolist() for i, name in enumerate(names)}
    for hole in range(holes):
        columns[names[hole % len(names)]][hole] = None
    return pyarrow.table({**columns, "cultivar": [str(wine.target_names[t]) for t in wine.target[rows]]})
os.makedirs("/mnt/pvc/digits/wine", exist_ok=True)
train = order[:130]
pyarrow.csv.write_csv(table(np.concatenate([train, train[:10]]), 12), "/mnt/pvc/digits/wine/train.csv")
pyarrow.parquet.write_table(table(order[130:], 0), "/mnt/pvc/digits/wine/validation.parquet")
"""

# Asked in protocol v1, which answers with the names of the classes.
ASK = """
import json, os, urllib.request
import pyarrow.parquet
rows = pyarrow.parquet.read_table("/mnt/pvc/digits/wine/validation.parquet").to_pydict()
labels = rows.pop("cultivar")
instances = [list(values) for values in zip(*rows.values())]
url = os.environ["URL"] + "/v1/models/wine:predict"
request = urllib.request.Request(url, json.dumps({"instances": instances}).encode())
answers = json.load(urllib.request.urlopen(request, timeout=30))["predictions"]
print(json.dumps({"answers": answers, "labels": labels}))
"""


def test_a_dirty_table_becomes_a_service(kubernetes: Kubernetes, data: str) -> None:
    run_python(kubernetes, data, "make-table", MAKE_TABLE)
    item = training(data, "wine", epochs=40)
    item["spec"]["recipe"] |= {"task": "tabular-classification", "batchSize": 16, "optimizer": {"lr": "0.01"}}
    item["spec"]["data"] = {
        "train": {"storageUri": "pvc://digits/wine/train.csv", "format": "csv"},
        "validation": {"storageUri": "pvc://digits/wine/validation.parquet", "format": "parquet"},
        "label": "cultivar",
        "prepare": [{"dropDuplicates": {}}, {"impute": {"strategy": "median"}}, {"standardize": {}}],
    }
    kubernetes.apply(yaml.safe_dump(item))
    kubernetes.apply(yaml.safe_dump(deployment(data, "wine", {"trainingJobRef": {"name": "wine"}})))
    served = until_condition(kubernetes, "modeldeployment", data, "wine", "Ready", timeout=300)
    trained = kubernetes.get("trainingjob", "wine", "-n", data)["status"]["model"]["metrics"]
    accuracy = next(float(metric["value"]) for metric in trained if metric["name"] == "accuracy")
    assert accuracy >= 0.9

    asked = json.loads(run_python(kubernetes, data, "ask-wine", ASK, URL=served["status"]["url"]).splitlines()[-1])
    right = sum(answer == label for answer, label in zip(asked["answers"], asked["labels"], strict=True))
    assert abs(right / len(asked["labels"]) - accuracy) < 0.001, "served as measured"
    kubernetes.run("-n", data, "delete", "modeldeployment/wine", "trainingjob/wine")
