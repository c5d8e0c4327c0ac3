"""What runs in the cluster's own pods: DNS, volumes, KubeRay and KServe, from images of static binaries."""

from __future__ import annotations

import base64
import json
import re
import shutil
import time
from pathlib import Path

from e2e.cluster import node
from e2e.cluster.binaries import binary, module_folder
from e2e.cluster.controlplane import ControlPlane
from e2e.cluster.foreign import Kubectl, install
from e2e.cluster.load_image import load_layout
from e2e.cluster.oci import Scratch
from e2e.cluster.packages import program
from e2e.cluster.pki import Authority
from e2e.cluster.places import MANIFESTS, STATE
from e2e.cluster.progress import Failed, run

_WEBHOOK_SERVICE = "kserve-webhook-server-service"
_INFERENCE_SERVICE = {
    "apiVersion": "serving.kserve.io/v1beta1",
    "kind": "InferenceService",
    "metadata": {"name": "probe", "namespace": "default"},
    "spec": {"predictor": {"containers": [{"name": "kserve-container", "image": "none"}]}},
}
DEPLOYMENTS = {
    "coredns": "kube-system",
    "volumes": "kube-system",
    "kuberay-operator": "kuberay-system",
    "kserve-controller-manager": "kserve",
}


def images() -> list[Scratch]:
    """The images of the cluster's own pods. Their binaries are built if needed."""
    one = {
        name: Scratch(f"tradewind.local/{name}:1", {name: binary(name)}, (f"/{name}",))
        for name in ("coredns", "volumes")
    }
    # The manifests of both call it /manager.
    managers = [
        Scratch(f"tradewind.local/{name}:1", {"manager": binary(name)}, ("/manager",)) for name in ("kuberay", "kserve")
    ]
    busybox = program("busybox-static") or Path("/bin/busybox")
    pause = Scratch(node.PAUSE, {"bin/busybox": busybox}, ("/bin/busybox", "sleep", "2147483647"))
    # For quick looks: a shell. Its wget would crash, being static and in need of the C library's resolver.
    applets = {
        f"bin/{name}": "busybox" for name in ("sh", "cat", "ls", "sleep", "nslookup", "id", "touch", "env", "nc")
    }
    shell = Scratch("tradewind.local/busybox:1", {"bin/busybox": busybox}, ("/bin/sh",), links=applets)
    return [pause, one["coredns"], one["volumes"], *managers, shell]


def load_images() -> None:
    """Bring the images into containerd, those that it lacks."""
    for image in images():
        load_layout(image.name, image.layout())


def apply(kubectl: Kubectl, plane: ControlPlane) -> None:
    """Install everything; it need not be ready yet."""
    kubectl("apply", "--server-side", "--filename", str(MANIFESTS / "system"))
    install(kubectl, "kuberay", "kserve")
    kubectl("apply", "--server-side", "--filename", "-", stdin=_render("kuberay"))
    kubectl("apply", "--server-side", "--filename", "-", stdin=_kserve(plane))


def _render(name: str) -> str:
    """The manifest of a project: its own configuration, and our changes to it."""
    folder = STATE / "addons" / name
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(MANIFESTS / name, folder)
    # kustomize reads nothing outside of its folder. What the cache of modules holds is read-only; the copy must not be.
    shutil.copytree(module_folder(name) / "config", folder / "config", copy_function=shutil.copyfile)
    for path in (folder, *folder.rglob("*")):
        if path.is_dir():
            path.chmod(0o755)
    return run(binary("kubectl"), "kustomize", folder)


def _kserve(plane: ControlPlane) -> str:
    """KServe's manifest, and in the place of cert-manager's a certificate for its webhooks."""
    host = f"{_WEBHOOK_SERVICE}.kserve.svc"
    certificate = Authority.load(plane.pki, "ca").issue(
        "kserve-webhook", host, hosts=(f"DNS:{host}", f"DNS:{host}.cluster.local")
    )
    encoded = {
        file: base64.b64encode(file.read_bytes()).decode() for file in (plane.ca, certificate.crt, certificate.key)
    }
    text = _render("kserve").replace("$(webhookServiceName)", _WEBHOOK_SERVICE).replace("$(kserveNamespace)", "kserve")
    text = re.sub(
        r"^([ -]+)clientConfig:$",
        lambda found: f"{found[0]}\n{' ' * len(found[1])}  caBundle: {encoded[plane.ca]}",
        text,
        flags=re.MULTILINE,
    )
    secret = (
        "apiVersion: v1\nkind: Secret\ntype: kubernetes.io/tls\n"
        "metadata: {name: kserve-webhook-server-cert, namespace: kserve}\n"
        f"data: {{tls.crt: {encoded[certificate.crt]}, tls.key: {encoded[certificate.key]}}}\n"
    )
    return f"{text}\n---\n{secret}"


def wait(kubectl: Kubectl, seconds: int = 120) -> None:
    """Wait until all of it is ready."""
    for name, namespace in DEPLOYMENTS.items():
        kubectl("rollout", "status", f"deployment/{name}", "--namespace", namespace, f"--timeout={seconds}s")
    # A ready pod is not yet reached through its Service, and the first InferenceService would be refused.
    end = time.monotonic() + 30
    while True:
        try:
            kubectl("create", "--dry-run=server", "--filename", "-", stdin=json.dumps(_INFERENCE_SERVICE))
            return
        except Failed:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)
