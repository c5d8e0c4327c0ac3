"""Small objects for the stories, cut from the digits example."""

from __future__ import annotations

import copy

import yaml

from e2e.installation import Failed, Kubernetes
from e2e.stories.conftest import digits_objects
from e2e.stories.waiting import Item, until

# A node may learn of the address of a service a moment after its EndpointSlice has a pod.
REACH = """
import os, socket, time, urllib.parse
for _ in range(60):
    if not socket.socket().connect_ex((urllib.parse.urlsplit(os.environ["URL"]).hostname, 80)):
        break
    time.sleep(0.5)
"""


def _from_example(kind: str, namespace: str, name: str) -> Item:
    item = copy.deepcopy(next(manifest for manifest in digits_objects() if manifest["kind"] == kind))
    item["metadata"] = {"name": name, "namespace": namespace}
    return item


def digits_training(namespace: str, name: str, epochs: int) -> Item:
    """The example's TrainingJob, of a smaller network."""
    item = _from_example("TrainingJob", namespace, name)
    item["spec"]["recipe"]["model"] = {"architecture": "cnn", "channels": [32, 64], "hiddenUnits": [128]}
    item["spec"]["recipe"]["epochs"] = epochs
    item["spec"]["output"]["storageUri"] = f"pvc://digits/{name}"
    return item


def training(namespace: str, name: str, epochs: int = 2) -> Item:
    """A TrainingJob of a small network on one worker: seconds, not minutes."""
    item = digits_training(namespace, name, epochs)
    item["spec"]["recipe"]["model"] = {"architecture": "mlp", "hiddenUnits": [32]}
    item["spec"]["workers"] = 1
    return item


def compression(namespace: str, name: str, training_job: str) -> Item:
    """A CompressionJob of one quick candidate."""
    item = _from_example("CompressionJob", namespace, name)
    item["spec"]["model"] = {"trainingJobRef": {"name": training_job}}
    item["spec"]["candidates"] = item["spec"]["candidates"][:1]
    item["spec"]["measure"]["repeats"] = 50
    item["spec"]["output"]["storageUri"] = f"pvc://digits/{name}"
    return item


def deployment(namespace: str, name: str, model: Item) -> Item:
    """A ModelDeployment of that model, without selection and alerts."""
    item = _from_example("ModelDeployment", namespace, name)
    item["spec"]["model"] = model
    del item["spec"]["select"], item["spec"]["alerts"]
    return item


def run_python(
    kubernetes: Kubernetes, namespace: str, name: str, program: str, cpu: str | None = None, **env: str
) -> str:
    """Run a program in a pod of the workload image with the data volume mounted; what it printed last."""
    start_python(kubernetes, namespace, name, program, cpu, **env)
    return python_said(kubernetes, namespace, name)


def start_python(
    kubernetes: Kubernetes, namespace: str, name: str, program: str, cpu: str | None = None, **env: str
) -> None:
    """Start such a program, with so much CPU; one that is given a URL starts when this takes connections."""
    item = _from_example("Job", namespace, name)
    container = item["spec"]["template"]["spec"]["containers"][0]
    container["args"] = [REACH + program if "URL" in env else program]
    container["env"] = [{"name": key, "value": value} for key, value in env.items()]
    if cpu is not None:
        container["resources"]["requests"]["cpu"] = cpu
    item["spec"]["backoffLimit"] = 0
    kubernetes.apply(yaml.safe_dump(item))


def python_said(kubernetes: Kubernetes, namespace: str, name: str, timeout: float = 120) -> str:
    """What a program printed last, once it has ended."""

    def ended() -> bool:
        status = kubernetes.get("job", name, "-n", namespace).get("status", {})
        if status.get("failed"):
            raise Failed(f"job {name}: {kubernetes.run('-n', namespace, 'logs', f'job/{name}', check=False).stdout}")
        return bool(status.get("succeeded"))

    until(f"job {name}", ended, timeout)
    return kubernetes.run("-n", namespace, "logs", f"job/{name}").stdout.strip()
