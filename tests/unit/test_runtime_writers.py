"""Two jobs that write to one place in the store: the younger one is told, and waits for nothing else."""

from __future__ import annotations

from typing import Any

from tests import objects
from tests.world import START, World
from tradewind.compression.controller import CONTROLLER as COMPRESSION
from tradewind.core.plan import Observed
from tradewind.core.timestamps import stamp
from tradewind.runtime.store import Key, Store
from tradewind.training.controller import CONTROLLER as TRAINING


def _stored(manifest: dict[str, Any], created: str, version: int) -> dict[str, Any]:
    metadata = manifest["metadata"] | {"creationTimestamp": created, "resourceVersion": str(version)}
    return manifest | {"metadata": metadata}


EARLY, LATE = "2026-11-24T11:00:00Z", stamp(START)


def _store(*bodies: dict[str, Any]) -> Store:
    store = Store([TRAINING, COMPRESSION])
    for body in bodies:
        kind = TRAINING if body["kind"] == "TrainingJob" else COMPRESSION
        store.observe(kind.resource, body)
    return store


def test_the_younger_one_hears_of_the_older_and_not_the_other_way_round() -> None:
    shared = {"storageUri": "pvc://models/shared"}
    old = _stored(objects.training_job("old", output=shared), EARLY, 1)
    young = _stored(objects.training_job("young", output=shared), LATE, 2)
    store = _store(young, old)
    first, second = (store.get(Key("TrainingJob", "digits", name)) for name in ("old", "young"))
    assert first is not None and second is not None
    assert store.writers(first) == {}
    assert store.writers(second) == {"pvc://models/shared": first.key}
    touched = store.observe(TRAINING.resource, old, deleted=True)
    assert second.key in touched and store.writers(second) == {}


def test_the_folder_of_a_variant_counts_and_one_beside_it_does_not() -> None:
    training = _stored(objects.training_job("a", output={"storageUri": "pvc://m/v/int8"}), EARLY, 1)
    beside = _stored(objects.training_job("b", output={"storageUri": "pvc://m/v/other"}), EARLY, 2)
    compression = _stored(objects.compression_job("c", output={"storageUri": "pvc://m/v"}), LATE, 3)
    store = _store(training, beside, compression)
    held = store.get(Key("CompressionJob", "digits", "c"))
    assert held is not None
    assert store.writers(held) == {"pvc://m/v/int8": Key("TrainingJob", "digits", "a")}


def test_who_would_overwrite_the_files_of_another_does_not_start() -> None:
    world = World(TRAINING, objects.training_job())
    plan = TRAINING.plan(world.item, Observed(writers={"pvc://models/digits": "TrainingJob old"}), world.around, START)
    assert not plan.children
    (accepted,) = (c for c in plan.status["conditions"] if c["type"] == "Accepted")
    assert (accepted["status"], accepted["reason"]) == ("False", "OutputTaken")
    assert "TrainingJob old" in accepted["message"] and "spec.output.storageUri" in accepted["message"]


def test_a_pass_over_an_object_whose_output_changed_meanwhile_is_no_error() -> None:
    before = _stored(objects.training_job("a", output={"storageUri": "pvc://m/one"}), EARLY, 1)
    store = _store(before)
    held = store.get(Key("TrainingJob", "digits", "a"))
    assert held is not None
    after = _stored(objects.training_job("a", output={"storageUri": "pvc://m/two"}), EARLY, 2)
    after["metadata"]["generation"] = 2
    store.observe(TRAINING.resource, after)
    assert store.writers(held) == {}
