"""A typo is corrected in place: the same manifest applied again runs, and a job that has started says what it fixes."""

from __future__ import annotations

import yaml

from e2e.installation import Kubernetes, condition
from e2e.stories.jobs import training
from e2e.stories.waiting import until, until_condition


def test_a_typo_in_the_pool_is_corrected_by_applying_again(kubernetes: Kubernetes, data: str) -> None:
    item = training(data, "typo")
    item["spec"]["resources"]["pool"] = "locla"
    kubernetes.apply(yaml.safe_dump(item))
    refused = condition(until_condition(kubernetes, "trainingjob", data, "typo", "Accepted", "False"), "Accepted")
    assert "locla" in refused["message"] and "local" in refused["message"].replace("locla", "")
    assert kubernetes.find("rayjob", "typo-train-1", "-n", data) is None

    item["spec"]["resources"]["pool"] = "local"
    kubernetes.apply(yaml.safe_dump(item))
    until_condition(kubernetes, "trainingjob", data, "typo", "Accepted")
    until("its RayJob", lambda: kubernetes.find("rayjob", "typo-train-1", "-n", data), 30)

    def begun() -> bool:
        return bool(kubernetes.get("trainingjob", "typo", "-n", data)["status"].get("attempt"))

    until("its first attempt", begun, 30)
    item["spec"]["resources"]["memory"] = "1600Mi"
    done = kubernetes.run("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump(item), check=False)
    assert done.returncode != 0
    assert "fixed since the first attempt started" in done.stderr and "create it again" in done.stderr
    kubernetes.run("-n", data, "delete", "trainingjob", "typo")
