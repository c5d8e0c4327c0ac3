"""Where all is measured: an API server with everything installed, nodes of kwok, and the manifests of the objects."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2e.access import Access
from e2e.bench.controlplane.audit import AuditLog
from e2e.bench.controlplane.client import LEASE, NODE, RAY_JOB, TRAINING_JOB, Client, Manifest
from e2e.bench.controlplane.contestants import SYSTEMS, TRADEWIND, Contestant, Installed, System
from e2e.cluster.apiserver import ApiServer
from e2e.cluster.binaries import binary, module_folder
from e2e.cluster.children import answers, free_ports, spawn, wait_until
from e2e.cluster.foreign import wait_served
from e2e.cluster.launch import Launch
from e2e.equipment import equip
from e2e.faults.lives import DATA

ROOT = Path(__file__).resolve().parents[3]
HEIR = "tradewind-heir"  # the account of a second replica of ours: the audit log tells the two apart
NODES = 20
RUNTIME = "torch-distributed"
_RESOURCES: Manifest = {"pool": "local", "cpu": "300m", "memory": "1500Mi"}
_STAGES = ("node/fast", "node/heartbeat-with-lease", "pod/fast")


@dataclass
class Site:
    """The API server, who asks it, and what it answered."""

    server: ApiServer
    client: Client
    audit: AuditLog
    installed: Installed
    rayjob: Manifest | None = None  # the spec that ours makes of a TrainingJob: KubeRay gets the very same

    async def start(self, system: System, name: str = "bench", account: str = "") -> Contestant:
        """Start a program and wait until it is ready."""
        contestant = Contestant(system, self.installed, name, account)
        contestant.start()
        await contestant.until_ready()
        return contestant

    async def stop(self, contestant: Contestant) -> None:
        """End it, and give up for it what it would let expire."""
        await contestant.stop()
        if lease := contestant.system.lease:
            await self.client.send("DELETE", LEASE.path(contestant.system.account[0], lease))

    def manifest(self, system: System, name: str) -> Manifest:
        """An object for a system to work on: the same training in the words of each."""
        if system.parent is TRAINING_JOB:
            return training_job(name)
        if system.parent is RAY_JOB:
            assert self.rayjob is not None
            return RAY_JOB.manifest(name, spec=self.rayjob)
        each = {"requests": {"cpu": "300m", "memory": "1500Mi"}}
        trainer = {"numNodes": 3, "image": "tradewind/workload:dev", "resourcesPerNode": each}
        return system.parent.manifest(name, spec={"runtimeRef": {"name": RUNTIME}, "trainer": trainer})


def training_job(name: str) -> Manifest:
    """A TrainingJob with two workers."""
    recipe = {"task": "image-classification", "model": {"architecture": "cnn"}}
    output = {"storageUri": f"pvc://models/{name}"}
    spec = {"recipe": recipe, "data": DATA, "workers": 2, "resources": _RESOURCES, "output": output}
    return TRAINING_JOB.manifest(name, spec=spec)


def install(server: ApiServer, folder: Path) -> Installed:
    """Install all definitions and rights; lay ready what the programs find."""
    server.apply(ROOT / "crds")
    server.install("kuberay", "kserve", "prometheus")
    trainer = module_folder("trainer") / "manifests" / "base"
    jobset = json.loads(
        subprocess.run(
            ["go", "list", "-m", "-json", "sigs.k8s.io/jobset"],
            cwd=ROOT / "e2e/cluster/tools/trainer",
            capture_output=True,
            check=True,
        ).stdout
    )
    server.apply(trainer / "crds" / "trainer.kubeflow.org_trainjobs.yaml")
    server.apply(trainer / "crds" / "trainer.kubeflow.org_trainingruntimes.yaml")
    server.apply(trainer / "crds" / "trainer.kubeflow.org_clustertrainingruntimes.yaml")
    server.apply(Path(jobset["Dir"]) / "config/components/crd/bases/jobset.x-k8s.io_jobsets.yaml")
    names = [
        f"{plural}.trainer.kubeflow.org" for plural in ("trainjobs", "trainingruntimes", "clustertrainingruntimes")
    ]
    wait_served(server.kubectl, [*names, "jobsets.jobset.x-k8s.io"])
    server.apply(trainer / "runtimes" / "torch_distributed.yaml")
    for name in ("namespace", "rights"):
        server.apply(ROOT / "manifests" / "base" / f"{name}.yaml")
    server.apply(_heirs_rights(server))
    rights = {"kuberay-system": module_folder("kuberay") / "config" / "rbac", "kubeflow-system": trainer / "rbac"}
    for namespace, path in rights.items():
        server.kubectl("create", "namespace", namespace)
        _apply_in(server, folder / namespace, namespace, path)
    equip(folder)
    # A copy: who edits the sources while this runs does not change what is measured.
    shutil.copytree(ROOT / "operator/src", folder / "source", ignore=shutil.ignore_patterns("__pycache__"))
    accounts = {system.account for system in SYSTEMS} | {(TRADEWIND.account[0], HEIR)}
    return Installed(folder, {account: server.kubeconfig_for(*account) for account in accounts})


def _heirs_rights(server: ApiServer) -> str:
    """Our service account and its bindings once more, under the heir's name and for the same roles."""
    namespace, name = TRADEWIND.account
    found = [
        json.loads(server.kubectl("get", kind, name, f"--namespace={namespace}", "--output=json"))
        for kind in ("serviceaccount", "clusterrolebinding", "rolebinding")
    ]
    for item in found:
        item["metadata"] = {"name": HEIR} | ({"namespace": namespace} if "namespace" in item["metadata"] else {})
        for subject in item.get("subjects", ()):
            subject["name"] = HEIR
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": found}, indent=1)


def _apply_in(server: ApiServer, folder: Path, namespace: str, path: Path) -> None:
    """Apply a kustomization for a namespace."""
    folder.mkdir()
    # kustomize takes only relative paths.
    base = os.path.relpath(path.resolve(), folder.resolve())
    (folder / "kustomization.yaml").write_text(json.dumps({"namespace": namespace, "resources": [base]}))
    server.kubectl("apply", "--server-side", "--kustomize", str(folder))


@contextmanager
def nodes(server: ApiServer) -> Iterator[None]:
    """Nodes of kwok, which runs the pods that are put on them."""
    [port] = free_ports(1)
    command = [str(binary("kwok")), f"--kubeconfig={server.kubeconfig}", "--manage-all-nodes=false"]
    for stage in _STAGES:
        files = (module_folder("kwok") / "kustomize" / "stage" / stage).glob("*.yaml")
        command += [f"--config={path}" for path in sorted(files) if path.name != "kustomization.yaml"]
    command += ["--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake", f"--server-address=127.0.0.1:{port}"]
    log = server.folder / "kwok.log"
    process = spawn(Launch("kwok", command, str(log), parent=os.getpid()))
    try:
        wait_until("kwok", lambda: answers(f"http://127.0.0.1:{port}/healthz"), process, log, 30)
        items = [_node(number) for number in range(NODES)]
        server.apply(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}, indent=1))
        names = [item["metadata"]["name"] for item in items]
        server.kubectl("wait", "--for=condition=Ready", "--timeout=30s", "node", *names)
        yield
        server.kubectl("delete", "node", *names)
    finally:
        process.kill()
        process.wait()


def _node(number: int) -> Manifest:
    size = {"cpu": "1k", "memory": "4Ti", "pods": "1000"}
    item: dict[str, Any] = NODE.manifest(f"kwok-{number}", status={"allocatable": size, "capacity": size})
    item["metadata"]["annotations"] = {"kwok.x-k8s.io/node": "fake"}
    return item


async def take_rayjob(site: Site) -> None:
    """Have ours make one RayJob, and keep its spec: KubeRay is measured with the same."""
    await site.client.namespace("sample")
    contestant = await site.start(TRADEWIND)
    await site.client.create(TRAINING_JOB, "sample", [training_job("sample")])
    if not await site.client.until_count(RAY_JOB, "sample", 1, 30):
        raise AssertionError("no RayJob was made of the sample")
    await contestant.stop()
    found = await site.client.send("GET", RAY_JOB.path("sample", "sample-train-1"))
    site.rayjob = found["spec"]
    await site.client.clear("sample", TRAINING_JOB, RAY_JOB)


def access(server: ApiServer, folder: Path) -> Access:
    """What the bench's own client needs."""
    return Access.read(server.kubeconfig, folder)
