"""A program in an image of the user's own, which has Ray and nothing of ours."""

from __future__ import annotations

import yaml

from e2e.cluster.buildah import image_id, release
from e2e.cluster.oci import reference
from e2e.installation import ROOT, Kubernetes, cluster
from e2e.stories.test_6_entrypoint import job
from e2e.stories.waiting import until_condition

IMAGE = "example/own:dev"


def test_a_program_runs_and_is_heard_in_an_image_without_our_package(local: Kubernetes, data: str) -> None:
    workload = image_id(reference("tradewind/workload:dev"))
    release()
    dockerfile = ROOT / "e2e" / "stories" / "images" / "foreign.Dockerfile"
    cluster("build-image", IMAGE, "--dockerfile", str(dockerfile), "--build-arg", f"WORKLOAD={workload}", "--load")
    config_map, training = yaml.safe_load_all(job(data, "own-image", "train"))
    training["spec"]["entrypoint"]["image"] = IMAGE
    training["spec"]["workers"] = 2
    local.apply(yaml.safe_dump_all([config_map, training]))
    done = until_condition(local, "trainingjob", data, "own-image", "Complete", timeout=400)
    told = done["status"]["trainerStatus"]
    metrics = {metric["name"]: float(metric["value"]) for metric in told["metrics"]}
    assert metrics["loss"] < 0.1 and told["progressPercentage"] == 100
    assert done["status"]["lastCheckpoint"]
    local.run("-n", data, "delete", "trainingjob", "own-image")
