"""An installation of Tradewind to show or to test: the local cluster, or with CONTEXT a cluster that the user names."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2e.cluster import places

ROOT = Path(__file__).resolve().parent.parent
OPERATOR_NAMESPACE = "tradewind-system"
IMAGES = {
    "tradewind/operator:dev": "images/operator/Dockerfile",
    "tradewind/workload:dev": "images/workload/Dockerfile",
    "tradewind/server:dev": "images/server/Dockerfile",
}


class Failed(Exception):
    """A step of an installation or a story did not work; the message says what to look at."""


def say(text: str) -> None:
    """Print a line of progress with the time of day."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def cluster(*arguments: str) -> str:
    """Run the local cluster's tool; its progress goes to stderr, what it answers is returned."""
    command = [sys.executable, "-m", "e2e.cluster", *arguments]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise Failed(f"`python3 -m e2e.cluster {' '.join(arguments)}` failed, see above")
    return done.stdout.strip()


@dataclass(frozen=True)
class Kubernetes:
    """A cluster as kubectl sees it."""

    kubectl: str
    kubeconfig: str | None
    context: str | None  # None: the local cluster of e2e.cluster

    def run(self, *arguments: str, stdin: str | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run kubectl; on failure raise `Failed` with its words, unless check is False."""
        options = [f"--context={self.context}"] if self.context else []
        environment = os.environ | ({"KUBECONFIG": self.kubeconfig} if self.kubeconfig else {})
        done = subprocess.run(
            [self.kubectl, *options, *arguments], input=stdin, capture_output=True, text=True, env=environment, cwd=ROOT
        )
        if check and done.returncode:
            raise Failed(f"kubectl {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
        return done

    def get(self, *arguments: str) -> dict[str, Any]:
        """`kubectl get ... -o json`."""
        found: dict[str, Any] = json.loads(self.run("get", *arguments, "-o", "json").stdout)
        return found

    def find(self, *arguments: str) -> dict[str, Any] | None:
        """`kubectl get ... -o json`, or None where there is no such object."""
        done = self.run("get", *arguments, "-o", "json", "--ignore-not-found")
        return json.loads(done.stdout) if done.stdout.strip() else None

    def apply(self, manifest: str) -> None:
        """Server-side apply of a manifest in YAML or JSON."""
        self.run("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=manifest)


def connect() -> Kubernetes:
    """The cluster that CONTEXT names, or the local one, which must be up."""
    if context := os.environ.get("CONTEXT"):
        return Kubernetes(os.environ.get("KUBECTL", "kubectl"), None, context)
    return Kubernetes(cluster("which", "kubectl"), cluster("kubeconfig"), None)


def prepare() -> Kubernetes:
    """Start the local cluster, build and load our images. On a cluster of the user's: only connect to it."""
    if os.environ.get("CONTEXT"):
        kubernetes = connect()
        say(f"using the cluster of context {kubernetes.context}; it must have KubeRay, KServe and our images")
        return kubernetes
    if (short := places.short_of_disk()) is not None:
        say(short)
    say("programs and images")
    with ThreadPoolExecutor(2) as lanes:
        # Go keeps the processors busy; images mostly wait for downloads and the disk.
        programs, images = lanes.submit(cluster, "prepare"), lanes.submit(_build_images)
        programs.result()
        images.result()
    say("the local cluster")
    cluster("up")
    for image in IMAGES:
        cluster("load-image", image)
    return connect()


def _build_images() -> None:
    for image, dockerfile in IMAGES.items():
        cluster("build-image", image, "--dockerfile", dockerfile)


def install(kubernetes: Kubernetes) -> None:
    """Install the operator from manifests/base with the price table of e2e/overlay, and wait until it is ready.

    An installation that is there and not of the demo is used as it is.
    """
    running = kubernetes.find("deployment", "tradewind-operator", "-n", OPERATOR_NAMESPACE)
    if running and not is_ours(running):
        say(f"using the operator in {OPERATOR_NAMESPACE}, which was there before")
        return
    say("the operator: kubectl apply -k e2e/overlay")
    kubernetes.run("apply", "--server-side", "--force-conflicts", "-k", "e2e/overlay")
    if running:  # the tag of its image stays when what it names is built anew
        kubernetes.run("-n", OPERATOR_NAMESPACE, "rollout", "restart", "deployment/tradewind-operator")
    kubernetes.run("-n", OPERATOR_NAMESPACE, "rollout", "status", "deployment/tradewind-operator", "--timeout=180s")


def is_ours(item: dict[str, Any]) -> bool:
    """Whether the demo installed it, by the label of e2e/overlay."""
    return "tradewind.dev/demo" in item["metadata"].get("labels", {})


def condition(item: dict[str, Any] | None, kind: str) -> dict[str, Any]:
    """The condition of that type of an object, empty where there is none."""
    conditions = (item or {}).get("status", {}).get("conditions", [])
    return next((c for c in conditions if c["type"] == kind), {})
