"""The RayJob of an attempt: Ray's own authentication, and what KubeRay asks for beside it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.objects import training_job
from tests.world import surroundings
from tradewind.api.trainingjob import TrainingJob
from tradewind.ray.groups import Group
from tradewind.ray.job import RAY_VERSION, ray_job
from tradewind.training.program import program

REQUIREMENTS = Path(__file__).parents[2] / "images" / "workload" / "requirements.txt"


def test_tokens_are_asked_for_only_where_kuberay_knows_them() -> None:
    item, around = TrainingJob.model_validate(training_job()), surroundings()
    groups = (Group("head", 1, around.config.pools[0], "200m", "2Gi"),)
    plain = ray_job("a", program(item, around, 1), groups).body["spec"]["rayClusterSpec"]
    tokens = ray_job("a", program(item, replace(around, tokens=True), 1), groups).body["spec"]["rayClusterSpec"]
    assert tokens == plain | {"authOptions": {"mode": "token"}, "rayVersion": RAY_VERSION}


def test_the_version_is_that_of_the_workload_image() -> None:
    versions = [line.partition("==")[2] for line in REQUIREMENTS.read_text().splitlines() if line.startswith("ray")]
    assert [version.split()[0] for version in versions] == [RAY_VERSION]
