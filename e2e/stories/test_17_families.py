"""Texts, files of pictures and numbers to predict: each learnt from files as they stand, and asked as it was judged."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from e2e.installation import Kubernetes
from e2e.stories.jobs import deployment, run_python, training
from e2e.stories.waiting import until_condition

# Complaints and praise, whose words overlap; a product's picture, whose colour and place of the mark say its kind; and
# flats, whose rent is a matter of size, town and year.
MAKE = """
import csv, io, os
import numpy as np
from PIL import Image
random = np.random.default_rng(5)
root = "/mnt/pvc/digits"
def write(name, header, rows):
    os.makedirs(f"{root}/{name}", exist_ok=True)
    for part, some in (("train", rows[300:]), ("test", rows[:300])):
        with open(f"{root}/{name}/{part}.csv", "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([header, *some])
shared = [f"wort{i}" for i in range(150)]
good, bad = [f"schön{i}" for i in range(40)], [f"kaputt{i}" for i in range(40)]
texts = []
for _ in range(1500):
    kind = bool(random.random() < 0.6)
    own, other = (good, bad) if kind else (bad, good)
    words = [*random.choice(shared, 12), *random.choice(own, 2), *random.choice(other, 1)]
    texts.append([" ".join(words), "praise" if kind else "complaint"])
write("mails", ["mail", "kind"], texts)
flats = []
for _ in range(1500):
    size, year = random.lognormal(4.2, 0.4), int(random.integers(1900, 2026))
    town = str(random.choice(["Bern", "Genf", "Zug"]))
    rent = 18 * size ** 0.9 + 400 * (town == "Zug") + 2 * (year - 1960) + random.normal(0, 60)
    flats.append([f"{size:.1f}" if random.random() > 0.05 else "", town, year, f"{rent:.2f}"])
write("flats", ["size", "town", "year", "rent"], flats)
for part, count in (("train", 60), ("test", 20)):
    for kind in range(3):
        folder = f"{root}/marks/{part}/kind{kind}"
        os.makedirs(folder, exist_ok=True)
        for number in range(count):
            pixels = random.normal(128, 30, (40, 48, 3))
            x, y = random.integers(0, 30, 2)
            pixels[y : y + 10, x : x + 10, kind] += 90
            picture = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
            picture.save(f"{folder}/{number}.{('jpg', 'png')[number % 2]}")
"""

# The whole test part, as a client has it.
ASK = """
import base64, csv, json, os, urllib.request
from pathlib import Path
name, root = os.environ["NAME"], Path("/mnt/pvc/digits")
if name == "marks":
    files = sorted((root / "marks/test").glob("*/*"))
    rows = [{"image": {"b64": base64.b64encode(path.read_bytes()).decode()}} for path in files]
    truths = [path.parent.name for path in files]
else:
    with open(root / name / "test.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    truths = [row.pop("kind" if name == "mails" else "rent") for row in rows]
if name == "flats":
    for row in rows:
        row |= {"size": float(row["size"]) if row["size"] else None, "year": float(row["year"])}
def ask(some):
    url = f"{os.environ['URL']}/v1/models/{name}:predict"
    request = urllib.request.Request(url, json.dumps({"instances": some}).encode())
    return json.load(urllib.request.urlopen(request, timeout=30))["predictions"]
answers = [answer for start in range(0, len(rows), 25) for answer in ask(rows[start : start + 25])]
print(json.dumps({"answers": answers, "truths": truths}))
"""

SPLIT: dict[str, Any] = {"validationFraction": "0.2"}
CASES: dict[str, dict[str, Any]] = {
    "mails": {
        "recipe": {
            "task": "text-classification",
            "model": {"architecture": "bag"},
            "epochs": 30,
            "optimizer": {"lr": "0.005"},
        },
        "data": {"label": "kind"},
    },
    "marks": {
        "recipe": {"task": "image-classification", "model": {"architecture": "cnn"}, "epochs": 12, "batchSize": 16},
        "data": {},
    },
    "flats": {
        "recipe": {"task": "tabular-regression", "model": {"architecture": "trees", "trees": {"rounds": 400}}},
        "data": {
            "label": "rent",
            "prepare": [
                {"dropOutliers": {"columns": ["size"], "ranges": "5"}},
                {"impute": {"strategy": "median", "columns": ["size"]}},
                {"log": {"columns": ["size"]}},
                {"combine": {"name": "modern", "operation": "Product", "left": "size", "right": "year"}},
            ],
        },
    },
}


@pytest.fixture(scope="module")
def made(kubernetes: Kubernetes, data: str) -> str:
    """The namespace, with the data on its volume."""
    run_python(kubernetes, data, "make-families", MAKE)
    return data


@pytest.mark.parametrize("name", CASES)
def test_a_family_is_served_as_it_was_judged(kubernetes: Kubernetes, made: str, name: str) -> None:
    suffix = "" if name == "marks" else ".csv"
    sets = {part: {"storageUri": f"pvc://digits/{name}/{part}{suffix}"} for part in ("train", "test")}
    item = training(made, name)
    item["spec"]["recipe"] = CASES[name]["recipe"]
    item["spec"]["data"] = {**sets, **SPLIT, **CASES[name]["data"]}
    item["spec"]["output"]["storageUri"] = f"pvc://digits/{name}-model"
    kubernetes.apply(yaml.safe_dump(item))
    kubernetes.apply(yaml.safe_dump(deployment(made, name, {"trainingJobRef": {"name": name}})))
    served = until_condition(kubernetes, "modeldeployment", made, name, "Ready", timeout=400)
    model = kubernetes.get("trainingjob", name, "-n", made)["status"]["model"]
    assert model["evaluation"]["betterThanGuessing"]
    measured = {metric["name"]: float(metric["value"]) for metric in model["metrics"]}

    said = run_python(kubernetes, made, f"ask-{name}", ASK, URL=served["status"]["url"], NAME=name)
    asked = json.loads(said.splitlines()[-1])
    pairs = list(zip(asked["answers"], asked["truths"], strict=True))
    assert len(pairs) == model["evaluation"]["rows"]
    if name == "flats":
        rmse = (sum((answer - float(truth)) ** 2 for answer, truth in pairs) / len(pairs)) ** 0.5
        assert rmse == pytest.approx(measured["rmse"], rel=1e-4)
    else:
        right = sum(answer == truth for answer, truth in pairs) / len(pairs)
        assert right == pytest.approx(measured["accuracy"], abs=1e-6)
    kubernetes.run("-n", made, "delete", f"modeldeployment/{name}", f"trainingjob/{name}")
