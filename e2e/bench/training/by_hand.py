"""From `kubectl apply` to the first step of two workers: a TrainingJob beside the equal RayJob, written by hand.

Both run the same program of a user's own on the same pods; they take turns on the local cluster. The RayJob by hand is
the one that the operator makes, without what ties it to the operator.

python3 -m e2e.bench.training.by_hand
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from e2e.bench.serving import cpu_name, interval
from e2e.installation import Kubernetes, cluster, install, prepare, say
from e2e.stories.jobs import run_python
from e2e.stories.waiting import until
from tradewind.api import GROUP

ROOT = Path(__file__).resolve().parents[3]
NAMESPACE = "by-hand"
VOLUME, FOLDER = "digits", "/mnt/pvc/digits/first-steps"
OURS, BY_HAND = "a TrainingJob", "a RayJob by hand"
MUST, AIM = 0.3, 0.1  # seconds that ours may take longer
WORKERS = 2
PATIENCE = 300.0  # seconds for a turn

PROGRAM = f"""
import pathlib, sys, time
import ray

@ray.remote(num_cpus=1)
class Worker:
    def open(self):
        import torch.distributed as dist
        self.store = dist.TCPStore("0.0.0.0", 0, {WORKERS}, is_master=True, wait_for_workers=False)
        return ray.util.get_node_ip_address(), self.store.port

    def step(self, rank, address, port):
        import torch
        import torch.distributed as dist
        store = getattr(self, "store", None) or dist.TCPStore(address, port, {WORKERS}, is_master=False)
        dist.init_process_group("gloo", store=store, rank=rank, world_size={WORKERS})
        dist.all_reduce(torch.ones(1))
        return time.time()

# The files of the program at all workers: the operator's driver sees to that itself.
ray.init(runtime_env={{"working_dir": sys.argv[2]}} if len(sys.argv) > 2 else None)
workers = [Worker.options(scheduling_strategy="SPREAD").remote() for _ in range({WORKERS})]
address, port = ray.get(workers[0].open.remote())
stepped = max(ray.get([worker.step.remote(rank, address, port) for rank, worker in enumerate(workers)]))
folder = pathlib.Path({FOLDER!r})
folder.mkdir(exist_ok=True)
(folder / sys.argv[1]).write_text(str(stepped))
"""


def namespace(kubernetes: Kubernetes) -> None:
    """A namespace with a volume and the program."""
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": VOLUME, "namespace": NAMESPACE},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    program = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "program", "namespace": NAMESPACE},
        "data": {"first_step.py": PROGRAM},
    }
    kubernetes.run("delete", "namespace", NAMESPACE, "--ignore-not-found")
    kubernetes.run("create", "namespace", NAMESPACE)
    kubernetes.apply(yaml.safe_dump_all([claim, program]))


def training_job(name: str) -> dict[str, Any]:
    """The program as a TrainingJob."""
    return {
        "apiVersion": f"{GROUP}/v1alpha1",
        "kind": "TrainingJob",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "entrypoint": {"argv": ["python", "first_step.py", name], "workingDir": {"configMap": "program"}},
            "workers": WORKERS,
            "resources": {"pool": "local", "cpu": "300m", "memory": "1500Mi"},
            "output": {"storageUri": f"pvc://{VOLUME}/{name}"},
        },
    }


def by_hand(name: str, made: dict[str, Any]) -> dict[str, Any]:
    """The program as a RayJob, from one that the operator made."""
    spec = copy.deepcopy(made["spec"])
    spec = {key: value for key, value in spec.items() if key not in ("jobId", "rayClusterSelector")}
    spec["entrypoint"] = f"python /program/first_step.py {name} /program"
    groups = spec["rayClusterSpec"]
    for template in (groups["headGroupSpec"]["template"], *(one["template"] for one in groups["workerGroupSpecs"])):
        template["metadata"] = {}
        pod = template["spec"]
        pod["volumes"] = [one for one in pod["volumes"] if "projected" not in one and "configMap" not in one]
        pod["volumes"].append({"name": "program", "configMap": {"name": "program"}})
        names = {one["name"] for one in pod["volumes"]}
        for container in pod["containers"]:
            container["env"] = [
                one for one in container["env"] if not one["name"].startswith(("KUBEFLOW_", "TRADEWIND_"))
            ]
            container["volumeMounts"] = [one for one in container["volumeMounts"] if one["name"] in names]
            container["volumeMounts"].append({"name": "program", "mountPath": "/program", "readOnly": True})
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayJob",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": spec,
    }


def turn(kubernetes: Kubernetes, manifest: dict[str, Any]) -> float:
    """Apply an object and wait until its program has ended; when it was applied, in seconds since 1970."""
    kind, name = manifest["kind"].lower(), manifest["metadata"]["name"]
    applied = time.time()
    kubernetes.apply(yaml.safe_dump(manifest))

    def ended() -> bool:
        status = kubernetes.get(kind, name, "-n", NAMESPACE).get("status", {})
        phase = status.get("phase") if kind == "trainingjob" else status.get("jobStatus")
        if phase in ("Failed", "FAILED"):
            sys.exit(f"{kind} {name} failed: {json.dumps(status, indent=1)}")
        return phase in ("Complete", "SUCCEEDED")

    until(f"the end of {kind} {name}", ended, PATIENCE)
    return applied


def clear(kubernetes: Kubernetes, manifest: dict[str, Any]) -> None:
    """Delete it, and wait until its pods are gone: they would share the processors with the next one's."""
    kubernetes.run("-n", NAMESPACE, "delete", manifest["kind"].lower(), manifest["metadata"]["name"])
    until("the pods' end", lambda: not kubernetes.get("pods", "-n", NAMESPACE)["items"], PATIENCE)


def first_steps(kubernetes: Kubernetes) -> dict[str, float]:
    """When each job's workers made their first step, in seconds since 1970."""
    program = (
        f"import json, pathlib; there = pathlib.Path({FOLDER!r}).iterdir(); "
        "print(json.dumps({one.name: float(one.read_text()) for one in there}))"
    )
    return dict(json.loads(run_python(kubernetes, NAMESPACE, "read", program)))


def table(rounds: list[dict[str, float]]) -> str:
    """The rounds in Markdown."""
    lines = ["| applied | to the first step, s | longer than by hand, s | must be |", "| --- | --- | --- | --- |"]
    for way in (OURS, BY_HAND):
        middle = interval([(turns[way],) for turns in rounds], lambda value: value)[0]
        value, low, high = longer(rounds)
        beside = f"{value:+.2f} ({low:+.2f} to {high:+.2f}) | <= {MUST}" if way == OURS else "|"
        lines.append(f"| {way} | {middle:.2f} | {beside} |")
    return "\n".join(lines)


def longer(rounds: list[dict[str, float]]) -> tuple[float, float, float]:
    """By how much ours takes longer, in seconds: the median of the rounds and its 95 % interval."""
    return interval([(turns[BY_HAND], turns[OURS]) for turns in rounds], lambda theirs, ours: ours - theirs)


def main() -> int:
    """Measure, print, write the JSON; 1 where ours takes longer than it may."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "bench" / "by-hand.json")
    args = parser.parse_args()
    ours = not os.environ.get("CONTEXT")
    if ours:
        cluster("down")
    try:
        kubernetes = prepare()
        install(kubernetes)
        namespace(kubernetes)
        # The first one reads all files from the disk, and shows what the operator makes.
        first = training_job("first")
        turn(kubernetes, first)
        made = kubernetes.get("rayjob", "first-train-1", "-n", NAMESPACE)
        clear(kubernetes, first)
        applied: dict[str, tuple[int, str, float]] = {}
        for number in range(args.rounds):
            ways = [(OURS, training_job(f"ours-{number}")), (BY_HAND, by_hand(f"theirs-{number}", made))]
            for way, manifest in ways if number % 2 == 0 else ways[::-1]:
                applied[manifest["metadata"]["name"]] = (number, way, turn(kubernetes, manifest))
                clear(kubernetes, manifest)
                say(f"round {number + 1} of {args.rounds}: {way} has run")
        stepped = first_steps(kubernetes)
    finally:
        if ours and not os.environ.get("KEEP"):
            cluster("down")
    rounds: list[dict[str, float]] = [{} for _ in range(args.rounds)]
    for name, (number, way, began) in applied.items():
        rounds[number][way] = stepped[name] - began
    print(table(rounds))
    machine = {"cpu": cpu_name(), "cpus": len(os.sched_getaffinity(0)), "load": os.getloadavg()}
    args.json.parent.mkdir(parents=True, exist_ok=True)
    args.json.write_text(json.dumps({"machine": machine, "rounds": rounds}, indent=1))
    return 0 if longer(rounds)[0] <= MUST else 1


if __name__ == "__main__":
    sys.exit(main())
