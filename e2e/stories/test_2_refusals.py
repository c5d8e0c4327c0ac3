"""Bad input: refused at apply where the schema can know, a Failed condition with the remedy where only the run can."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from e2e.installation import Kubernetes, condition
from e2e.stories.jobs import training
from e2e.stories.waiting import Item, until_condition

Change = Callable[[dict[str, Any]], Any]

REFUSALS: dict[str, tuple[Change, list[str]]] = {
    "no recipe and no program": (lambda spec: spec.pop("recipe"), ["recipe", "entrypoint"]),
    "a cnn on a table": (
        lambda spec: spec["recipe"].update(task="tabular-classification", model={"architecture": "cnn"}),
        ["cnn", "mlp"],
    ),
    "a table's model on texts": (
        lambda spec: spec["recipe"].update(task="text-classification", model={"architecture": "mlp"}),
        ["text", "bag, cnn or transformer"],
    ),
    "a transformer without weights": (
        lambda spec: spec["recipe"].update(task="text-classification", model={"architecture": "transformer"}),
        ["storageUri", "tokenizer.json"],
    ),
    "a vocabulary for images": (
        lambda spec: spec["recipe"]["model"].update(vocabularySize=8000),
        ["vocabularySize", "text-classification"],
    ),
    "a store that is not supported": (
        lambda spec: spec["output"].update(storageUri="s3://bucket/model"),
        ["output.storageUri", "pvc://"],
    ),
    "a path that climbs out of the volume": (
        lambda spec: spec["output"].update(storageUri="pvc://digits/../other"),
        ["output.storageUri"],
    ),
    "no validation data": (lambda spec: spec["data"].pop("validation"), ["validation", "validationFraction"]),
    "a learning rate of zero": (lambda spec: spec["recipe"].update(optimizer={"lr": "0"}), ["lr", "0.001"]),
    "an unknown field": (lambda spec: spec["recipe"].update(epoch=3), ["epoch"]),
    "no workers": (lambda spec: spec.update(workers=0), ["workers"]),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refused_at_apply_with_the_remedy(kubernetes: Kubernetes, case: str) -> None:
    change, words = REFUSALS[case]
    manifest = copy.deepcopy(training("default", "refused"))
    change(manifest["spec"])
    done = kubernetes.run(
        "create", "--validate=strict", "--dry-run=server", "-f", "-", stdin=yaml.safe_dump(manifest), check=False
    )
    assert done.returncode != 0
    for word in words:
        assert word in done.stderr


DATA_MISTAKES: dict[str, tuple[Change, str]] = {
    "missing file": (
        lambda spec: spec["data"]["train"].update(storageUri="pvc://digits/data/no-such.npz"),
        "no-such.npz",
    ),
    "wrong column": (lambda spec: spec["data"].update(label="digits"), "digits"),
}


@pytest.mark.parametrize("mistake", DATA_MISTAKES)
def test_what_only_the_run_can_know_fails_once_with_the_remedy(kubernetes: Kubernetes, data: str, mistake: str) -> None:
    change, word = DATA_MISTAKES[mistake]
    name = mistake.replace(" ", "-")
    manifest = training(data, name)
    change(manifest["spec"])
    kubernetes.apply(yaml.safe_dump(manifest))
    failed: Item = condition(until_condition(kubernetes, "trainingjob", data, name, "Failed", timeout=300), "Failed")
    assert failed["reason"] == "InvalidData"
    assert word in failed["message"]
    jobs = kubernetes.get("rayjobs", "-n", data, "-l", f"tradewind.dev/name={name}")["items"]
    assert len(jobs) <= 1, "bad data must not be tried again"
    kubernetes.run("-n", data, "delete", "trainingjob", name)
