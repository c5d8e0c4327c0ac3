"""A program of the user's own on Ray Train, from a ConfigMap."""

from __future__ import annotations

import yaml

from e2e.installation import Kubernetes, condition
from e2e.stories.waiting import until_condition

PROGRAM = """
import os, pathlib, sys, tempfile
import ray.train
from ray.train import Checkpoint, RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer, prepare_model

def loop():
    import torch
    torch.manual_seed(0)
    model = prepare_model(torch.nn.Linear(1, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x = torch.linspace(-1, 1, 64).unsqueeze(1)
    for epoch in range(1, 51):
        loss = torch.nn.functional.mse_loss(model(x), 3 * x)
        optimizer.zero_grad(); loss.backward(); optimizer.step()
        with tempfile.TemporaryDirectory() as folder:
            pathlib.Path(folder, "epoch").write_text(str(epoch))
            checkpoint = Checkpoint.from_directory(folder) if epoch % 10 == 0 else None
            ray.train.report({"epoch": epoch, "loss": loss.item(), "progress": epoch / 50}, checkpoint=checkpoint)
    assert loss.item() < 0.1, loss

if sys.argv[1] == "fail":
    sys.exit("this program fails on purpose")
assert os.environ["GREETING"] == sys.argv[2], "the environment and the arguments came to the letter"
workers = ScalingConfig(num_workers=int(os.environ["TRADEWIND_WORKERS"]))
settings = RunConfig(name="run", storage_path=os.environ["TRADEWIND_STORAGE_PATH"])
TorchTrainer(loop, scaling_config=workers, run_config=settings).fit()
"""

# What a shell would read as commands, and Kubernetes as a reference to a variable.
HOSTILE = "a 'quoted' $(HOME) `value`; exit 1 \\"


def job(namespace: str, name: str, mode: str) -> str:
    return yaml.safe_dump_all(
        [
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "program", "namespace": namespace},
                "data": {"train.py": PROGRAM},
            },
            {
                "apiVersion": "tradewind.dev/v1alpha1",
                "kind": "TrainingJob",
                "metadata": {"name": name, "namespace": namespace},
                "spec": {
                    "entrypoint": {
                        "argv": ["python", "train.py", mode, HOSTILE],
                        "workingDir": {"configMap": "program"},
                        "env": [{"name": "GREETING", "value": HOSTILE}],
                    },
                    "resources": {"pool": "local", "cpu": "300m", "memory": "1500Mi"},
                    "output": {"storageUri": f"pvc://digits/{name}"},
                },
            },
        ]
    )


def test_a_program_from_a_config_map_runs_to_its_end(kubernetes: Kubernetes, data: str) -> None:
    kubernetes.apply(job(data, "own-program", "train"))
    done = until_condition(kubernetes, "trainingjob", data, "own-program", "Complete", timeout=300)
    assert done["status"]["attempt"]["number"] == 1
    told = done["status"]["trainerStatus"]
    metrics = {metric["name"]: float(metric["value"]) for metric in told["metrics"]}
    assert metrics["loss"] < 0.1, "what it told Ray Train is in the status"
    assert (set(metrics), metrics["epoch"], told["progressPercentage"]) == ({"epoch", "loss"}, 50, 100)
    assert done["status"]["lastCheckpoint"]
    kubernetes.run("-n", data, "delete", "trainingjob", "own-program")


def test_a_program_that_fails_is_said_to_have_failed(kubernetes: Kubernetes, data: str) -> None:
    kubernetes.apply(job(data, "failing", "fail"))
    failed = until_condition(kubernetes, "trainingjob", data, "failing", "Failed", timeout=300)
    assert "this program fails on purpose" in condition(failed, "Failed")["message"]
    kubernetes.run("-n", data, "delete", "trainingjob", "failing")
