"""A node takes a training with it: another attempt goes on from the last checkpoint and ends with the same model."""

from __future__ import annotations

import yaml

from e2e.installation import Kubernetes
from e2e.stories.jobs import digits_training, run_python
from e2e.stories.waiting import Item, until, until_condition

DIGESTS = """
import hashlib, json, pathlib
for name in ("whole", "killed"):
    output = pathlib.Path("/mnt/pvc/digits", name)
    model = output / json.loads((output / "current.json").read_text())["folder"]
    files = (model / name for name in ("model.onnx", "model.safetensors"))
    print(*(hashlib.sha256(file.read_bytes()).hexdigest() for file in files))
"""


def percent(item: Item) -> int:
    """Progress as the status has it."""
    done: int = item["status"].get("trainerStatus", {}).get("progressPercentage", 0)
    return done


def test_a_lost_head_costs_no_finished_epoch_and_changes_no_byte(kubernetes: Kubernetes, data: str) -> None:
    kubernetes.apply(yaml.safe_dump(digits_training(data, "killed", epochs=100)))

    def midway() -> Item | None:
        item = kubernetes.get("trainingjob", "killed", "-n", data)
        checkpoint = item.get("status", {}).get("lastCheckpoint")
        return item if checkpoint and 0 < percent(item) < 90 else None

    before = until("a checkpoint on the way", midway, 180, every=0.1)
    head = "tradewind.dev/name=killed,ray.io/node-type=head"
    kubernetes.run("-n", data, "delete", "pod", "-l", head, "--grace-period=0", "--force")

    def resumed() -> Item | None:
        item: Item = kubernetes.get("trainingjob", "killed", "-n", data)
        assert percent(item) >= percent(before), "it began anew"
        return item if item["status"]["attempt"]["number"] == 2 and percent(item) > percent(before) else None

    until("the second attempt's progress", resumed, 240, every=0.2)
    done = until_condition(kubernetes, "trainingjob", data, "killed", "Complete", timeout=240)
    assert (done["status"]["attempt"]["number"], done["status"]["interruptions"]) == (2, 1)
    assert done["status"]["lastCheckpoint"]["step"] > before["status"]["lastCheckpoint"]["step"]

    kubernetes.apply(yaml.safe_dump(digits_training(data, "whole", epochs=100)))
    until_condition(kubernetes, "trainingjob", data, "whole", "Complete", timeout=300)
    whole, killed = run_python(kubernetes, data, "digests", DIGESTS).splitlines()[-2:]
    assert whole == killed
    kubernetes.run("-n", data, "delete", "trainingjob/killed", "trainingjob/whole")
