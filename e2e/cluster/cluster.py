"""The cluster of this machine: up, down, status. One a machine, whichever checkout started it."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from e2e.cluster import addons, cgroups, network, node, packages
from e2e.cluster.binaries import binary, module_folder, path_of
from e2e.cluster.children import answers, spawn, wait_until
from e2e.cluster.cleanup import clean, remove_tree
from e2e.cluster.controlplane import ControlPlane
from e2e.cluster.foreign import install, run_kubectl
from e2e.cluster.launch import Launch
from e2e.cluster.load_image import ctr
from e2e.cluster.places import RUN, STATE, cache
from e2e.cluster.progress import Failed, say
from e2e.cluster.record import Entry, Record, is_alive, start_time

EXTRAS = ("kwok", "prometheus-crds")
LOGS = STATE / "logs"
PLANE = ControlPlane(
    folder=STATE / "control-plane",
    address=network.NODE_ADDRESS,
    port=6443,
    etcd_port=12379,
    etcd_peer_port=12380,
    service_range=network.SERVICE_RANGE,
    # The cluster starts anew after a crash of the machine anyway.
    volatile=True,
)
COMPONENTS = (
    "etcd",
    "containerd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
)
# What parts of the system create outside of the cluster's folders; ours to remove where it was not there before.
_BYPRODUCTS = ("/var/lib/kubelet", "/var/log/containers", "/var/lib/cni")
_PATIENCE = 90  # seconds that a cluster gets to become well before it is made anew
_record = Record()


def kubeconfig() -> Path:
    """The path of the administrator's kubeconfig; it is there while the cluster is up."""
    return PLANE.admin


def audit_log() -> Path:
    """The API server's audit log: one JSON object a line, an event a request."""
    return PLANE.audit_log


def kubectl(*arguments: str, stdin: str | None = None) -> str:
    """Run kubectl as the administrator of the cluster; raise `Failed` with its words."""
    return run_kubectl(binary("kubectl"), kubeconfig(), *arguments, stdin=stdin)


def up(extras: Iterable[str] = ()) -> Path:
    """Start the cluster, or make sure that it is up; the path of its kubeconfig."""
    wanted = list(extras)
    if os.geteuid() != 0:
        raise Failed("the cluster needs root: it makes network namespaces, mounts and cgroups")
    with _one_at_a_time():
        problems = _problems()
        if not problems:
            say("the cluster is up")
        elif not _heal(problems):
            if _record.entries():
                say(f"removing what is left of a cluster ({problems[0]})")
                clean(_record)
            _start()
        for extra in wanted:
            _add(extra)
    return kubeconfig()


def down(images: bool = False) -> None:
    """Stop the cluster and remove its state; with images also containerd's store."""
    with _one_at_a_time():
        stores = [Path(entry.about["path"]) for entry in _record.entries("image-store")] or [_image_store()]
        if _record.entries():
            say("stopping the cluster")
            clean(_record)
        for store in stores if images else []:
            remove_tree(store)
        say("the cluster is down" + (", its images are removed" if images else ""))


def _heal(problems: list[str]) -> bool:
    """Give a cluster that was complete the chance to become well: start again what ended, and wait. Whether it did."""
    entries = {entry.name: entry for entry in _record.entries("process")}
    if not _record.entries("complete") or not all(name in entries for name in COMPONENTS):
        return False
    for problem in problems:
        say(problem)
    begin = time.monotonic()
    while time.monotonic() < begin + _PATIENCE:
        _start_again()
        if not _problems():
            say(f"the cluster is well again, after {time.monotonic() - begin:.1f} s")
            return True
        time.sleep(1)
    return False


def _start_again() -> None:
    """Start the components that ended, as they were started first; those that need the API server once it is ready."""
    for name in COMPONENTS:
        entry = _record.get("process", name)
        if entry and not is_alive(entry):
            say(f"starting {name} again")
            _spawn(name, entry.about["command"])
        if name == "kube-apiserver" and not _ready():
            return


def _image_store() -> Path:
    return cache() / "containerd"


def _start() -> None:
    begin = time.monotonic()
    build()
    say("starting the control plane and the node")
    for path in (STATE, node.CONTAINERD_STATE, *(Path(path) for path in _BYPRODUCTS if not Path(path).exists())):
        _record.add("folder", path.name, path=str(path))
    _record.add("image-store", "containerd", path=str(_image_store()))
    _record.add("cgroup", cgroups.NAME)
    cgroups.create()
    network.create(_record)
    LOGS.mkdir(parents=True)
    node.write_files(PLANE, _image_store())
    etcd = _spawn("etcd", PLANE.etcd())
    containerd = _spawn("containerd", node.containerd())
    PLANE.prepare(node=node.NAME)
    _wait("etcd", etcd, lambda: answers(f"http://127.0.0.1:{PLANE.etcd_port}/health"), 20)
    apiserver = _spawn("kube-apiserver", PLANE.apiserver())
    _wait("containerd", containerd, _containerd_answers, 30)
    addons.load_images()
    _wait("kube-apiserver", apiserver, _ready, 60)
    _spawn("kube-controller-manager", PLANE.controllers())
    _spawn("kube-scheduler", PLANE.scheduler())
    _spawn("kubelet", node.kubelet(PLANE))
    _spawn("kube-proxy", node.proxy())
    say("installing DNS, volumes, KubeRay and KServe")
    addons.apply(kubectl, PLANE)
    _wait_for_node()
    addons.wait(kubectl)
    _record.add("complete", "cluster")
    say(f"the cluster is up, after {time.monotonic() - begin:.1f} s")


def build() -> None:
    """Install and build what the cluster is made of and this machine lacks; `up` does so first of all."""
    packages.require(*packages.CONTROL_PLANE, *packages.NODE)
    for name in ("kubectl", "containerd", "containerd-shim-runc-v2", "ctr", *COMPONENTS):
        if name != "etcd":
            binary(name)
    addons.images()


def _spawn(name: str, command: list[str]) -> subprocess.Popen[bytes]:
    launch = Launch(
        name, command, str(LOGS / f"{name}.log"), record=str(_record.folder), cgroups=cgroups.host_folders()
    )
    return spawn(launch, node.environment())


def _wait(name: str, process: subprocess.Popen[bytes], ready: Callable[[], bool], seconds: float) -> None:
    wait_until(name, ready, process, LOGS / f"{name}.log", seconds)


def _ready() -> bool:
    admin = PLANE.certificate("admin")
    return answers(f"{PLANE.url}/readyz", PLANE.ca, (admin.crt, admin.key))


def _containerd_answers() -> bool:
    try:
        ctr("version")
    except Failed:
        return False
    return True


def _wait_for_node() -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if kubectl("get", "nodes", node.NAME, "--ignore-not-found", "--output=name").strip():
            kubectl("wait", "--for=condition=Ready", f"node/{node.NAME}", "--timeout=60s")
            return
        time.sleep(0.2)
    raise Failed(f"the kubelet did not register its node; see {LOGS / 'kubelet.log'}")


def _add(extra: str) -> None:
    if extra == "prometheus-crds":
        install(kubectl, "prometheus")
        say("PrometheusRule and PodMonitor are defined")
        return
    entry = _record.get("process", "kwok")
    if entry and is_alive(entry):
        say("kwok runs already")
        return
    command = [str(binary("kwok")), f"--kubeconfig={kubeconfig()}", "--manage-all-nodes=false"]
    # How its nodes and pods live: ready at once, and with a lease that is renewed.
    for stage in ("node/fast", "node/heartbeat-with-lease", "pod/fast"):
        files = (module_folder("kwok") / "kustomize" / "stage" / stage).glob("*.yaml")
        command += [f"--config={path}" for path in sorted(files) if path.name != "kustomization.yaml"]
    command += ["--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake", "--server-address=127.0.0.1:10247"]
    process = _spawn("kwok", command)
    _wait("kwok", process, lambda: answers("http://127.0.0.1:10247/healthz"), 30)
    say("kwok runs: it plays the kubelet of every node annotated kwok.x-k8s.io/node=fake")


def _problems() -> list[str]:
    """Why the cluster can't be called up; empty when it is up and healthy."""
    entries = {entry.name: entry for entry in _record.entries("process")}
    problems = [f"{name} does not run" for name in COMPONENTS if name not in entries or not is_alive(entries[name])]
    if problems:
        return problems
    if not _ready():
        return ["kube-apiserver is not ready"]
    if not _containerd_answers():
        return ["containerd does not answer"]
    try:
        state = json.loads(kubectl("get", "node", node.NAME, "--output=json"))
        if not _true(state, "Ready"):
            problems.append("the node is not ready")
        for name, namespace in addons.DEPLOYMENTS.items():
            if not _true(
                json.loads(kubectl("get", "deployment", name, "--namespace", namespace, "--output=json")), "Available"
            ):
                problems.append(f"deployment {name} in {namespace} is not available")
    except Failed as failure:
        problems.append(str(failure))
    return problems


def _true(item: dict[str, dict[str, list[dict[str, str]]]], kind: str) -> bool:
    conditions = item.get("status", {}).get("conditions", [])
    return any(condition["type"] == kind and condition["status"] == "True" for condition in conditions)


def status() -> tuple[str, bool]:
    """A table of what runs, and whether all of it is well."""
    entries = {entry.name: entry for entry in _record.entries("process")}
    if not entries:
        return "The cluster is down.", False
    lines = [f"{'COMPONENT':<24} {'PID':>8} {'UPTIME':>8}  STATE"]
    for name in dict.fromkeys([*COMPONENTS, *entries]):
        entry = entries.get(name)
        alive = entry is not None and is_alive(entry)
        pid = str(entry.about["pid"]) if entry else "-"
        state = "runs" if alive else f"does not run, see {entry.about['log']}" if entry else "does not run"
        uptime = _uptime(entry) if entry and alive else "-"
        lines.append(f"{name:<24} {pid:>8} {uptime:>8}  {state}")
    problems = _problems()
    if not any("not ready" in problem or "does not run" in problem for problem in problems):
        lines += [
            "",
            kubectl("get", "nodes", "--output=wide").rstrip(),
            "",
            kubectl("get", "pods", "--all-namespaces").rstrip(),
        ]
    lines += [
        "",
        *(f"PROBLEM: {problem}" for problem in problems or []),
        f"kubeconfig: {kubeconfig()}",
        f"logs:       {LOGS}",
    ]
    return "\n".join(line for line in lines), not problems


def _uptime(entry: Entry) -> str:
    ticks = int(start_time(entry.about["pid"]) or 0)
    seconds = float(Path("/proc/uptime").read_text().split()[0]) - ticks / os.sysconf("SC_CLK_TCK")
    return f"{int(seconds // 60)}m{int(seconds % 60):02d}s"


def environment() -> str:
    """Lines for a shell: KUBECONFIG, and a PATH with those of kubectl and helm that are built."""
    folders = [str(path.parent) for path in (path_of("kubectl"), path_of("helm")) if path.exists()]
    return f"export KUBECONFIG={kubeconfig()}\nexport PATH={':'.join([*folders, '$PATH'])}"


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Two runs must not start or stop the cluster at once. The lock falls with the process that holds it."""
    RUN.mkdir(parents=True, exist_ok=True)
    with (RUN / "lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another run starts or stops the cluster; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
