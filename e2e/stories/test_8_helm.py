"""A platform team moves an installation from kubectl to Helm: nothing that runs is touched."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import yaml

from e2e import audit
from e2e.demo import digits
from e2e.installation import OPERATOR_NAMESPACE, ROOT, Kubernetes, cluster, condition


def predictors(kubernetes: Kubernetes) -> set[str]:
    """The pods that serve the digits."""
    pods = kubernetes.get("pods", "-n", digits.NAMESPACE, "-l", "tradewind.dev/kind=ModelDeployment")["items"]
    return {pod["metadata"]["uid"] for pod in pods}


def test_helm_takes_over_and_nothing_that_runs_is_touched(local: Kubernetes, audit_log: Path, tmp_path: Path) -> None:
    serving, written = predictors(local), audit.writes(audit_log, digits.NAMESPACE)
    assert serving, "the digits are served since the first story"
    config = yaml.safe_load((ROOT / "e2e/overlay/config.yaml").read_text())["data"]["config.yaml"]
    values = tmp_path / "values.yaml"
    values.write_text(yaml.safe_dump({"config": yaml.safe_load(config)}))
    command = [cluster("which", "helm"), "upgrade", "--install", "tradewind", "helm/tradewind"]
    command += ["--namespace", OPERATOR_NAMESPACE, "--take-ownership", "--force-conflicts", "--values", str(values)]
    done = subprocess.run(
        [*command, "--kubeconfig", str(local.kubeconfig), "--wait", "--timeout", "180s"],
        cwd=ROOT,
        env={"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    local.run("-n", OPERATOR_NAMESPACE, "rollout", "restart", "deployment/tradewind-operator")
    local.run("-n", OPERATOR_NAMESPACE, "rollout", "status", "deployment/tradewind-operator", "--timeout=120s")
    time.sleep(5)  # a write would come within milliseconds of the first lists
    served = local.get("modeldeployments.tradewind.dev", "digits", "-n", digits.NAMESPACE)
    assert condition(served, "Ready")["status"] == "True"
    assert predictors(local) == serving
    assert audit.writes(audit_log, digits.NAMESPACE) == written
