"""The examples of tables, texts and pictures: each file as it stands, served, and asked by name as it was judged."""

from __future__ import annotations

import json

import pytest

from e2e.demo.digits import EXAMPLES
from e2e.installation import Kubernetes, cluster
from e2e.stories.jobs import python_said
from e2e.stories.waiting import until_condition

IMAGE = "tradewind/examples:dev"


@pytest.fixture(scope="module")
def tables(local: Kubernetes) -> Kubernetes:
    """The local cluster with the image that has the data."""
    cluster("build-image", IMAGE, "--dockerfile", "images/examples/Dockerfile")
    cluster("load-image", IMAGE)
    return local


@pytest.mark.parametrize("name", ["credit", "heart", "reviews", "mnist"])
def test_an_example_is_served_as_it_was_judged(tables: Kubernetes, name: str) -> None:
    tables.run("delete", "namespace", name, "--ignore-not-found", "--wait=true")
    tables.apply((EXAMPLES / f"{name}.yaml").read_text())
    served = until_condition(tables, "modeldeployment", name, name, "Ready", timeout=600)
    model = tables.get("trainingjob", name, "-n", name)["status"]["model"]
    assert model["evaluation"]["betterThanGuessing"]
    assert model["reportUri"] == f"{model['storageUri']}/report.html"

    ask = (EXAMPLES / f"{name}-ask.yaml").read_text()
    assert f'"{served["status"]["url"]}"' in ask, "the address in the file is that of the service"
    tables.apply(ask)
    asked = json.loads(python_said(tables, name, f"{name}-ask").splitlines()[-1])
    measured = next(metric["value"] for metric in model["metrics"] if metric["name"] == "accuracy")
    assert asked["rows"] == model["evaluation"]["rows"]
    assert asked["accuracy"] == pytest.approx(float(measured), abs=1e-6)
    tables.run("delete", "namespace", name, "--wait=false")
