"""What pods ask for: CPU limits only where the user wants one, and replicas to measure beside a program."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests import objects
from tests.world import CONFIG, World, surroundings
from tradewind.api.trainingjob import TrainingJob
from tradewind.compression.controller import CONTROLLER as COMPRESSION
from tradewind.ray.groups import Group

POOL = surroundings().config.pools[0]


@pytest.mark.parametrize(("asked", "limits"), [(None, {}), ("1500m", {"cpu": "1500m"}), ("0.5", {"cpu": "500m"})])
def test_a_cpu_limit_is_set_where_it_is_asked_for(asked: str | None, limits: dict[str, str]) -> None:
    resources = Group("worker", 2, POOL, "100m", "2Gi", cpu_limit=asked).resources()
    assert resources["limits"] == {"memory": "2Gi"} | limits
    assert resources["requests"]["cpu"] == "100m"


def planned(config: dict[str, Any] = CONFIG, **spec: Any) -> World:
    world = World(COMPRESSION, objects.compression_job(**spec), around=surroundings(config))
    world.reference = TrainingJob.read_object(objects.complete(objects.training_job(), model=objects.model()))
    world.settle()
    return world


def pod(world: World) -> tuple[dict[str, Any], dict[str, Any]]:
    """The spec of the job's one pod, and what its program is told."""
    body = world.bodies["RayJob", "digits-compress-1"]
    template = body["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]
    return template["spec"], json.loads(template["metadata"]["annotations"]["tradewind.dev/job"])


def test_a_compression_has_two_replicas_beside_the_program() -> None:
    replica = {"pool": "local", "cpu": "200m", "memory": "512Mi"}
    spec, told = pod(planned(measure={"resources": replica}, resources={"cpu": "0.3"}))
    (program,) = spec["containers"]
    assert program["resources"] == {"requests": {"cpu": "300m", "memory": "2Gi"}, "limits": {"memory": "2Gi"}}
    stands = {variable["name"]: variable["value"] for variable in program["env"]}["TRADEWIND_STANDS"]
    assert stands == "http://127.0.0.1:8991,http://127.0.0.1:8992"
    for name, port, container in zip(("replica-a", "replica-b"), (8991, 8992), spec["initContainers"], strict=True):
        assert (container["name"], container["args"]) == (name, [f"--port={port}"])
        assert container["restartPolicy"] == "Always", "a sidecar, which is started anew"
        assert container["image"] == "tradewind/server:dev"
        # As a replica of a ModelDeployment with these resources has them.
        assert container["resources"] == {
            "requests": {"cpu": "200m", "memory": "512Mi"},
            "limits": {"cpu": "1", "memory": "512Mi"},
        }
        mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
        assert mounts["/mnt/pvc/models"]["readOnly"], "a server reads"
        assert mounts["/tmp"]["name"] == f"tmp-{name}"  # noqa: S108 -- in a pod
        assert {"name": f"tmp-{name}", "emptyDir": {}} in spec["volumes"]
    assert told["spec"]["resources"] == {"cpu": "0.3", "memory": "2Gi"}
    assert told["pricePerHour"] == "0.12", "of one replica: a tenth of the node's CPUs"


def test_the_program_has_what_a_replica_has_where_nothing_is_said() -> None:
    replica = {"pool": "local", "cpu": "500m", "memory": "3Gi", "cpuLimit": "1"}
    spec, _ = pod(planned(measure={"resources": replica}))
    assert spec["containers"][0]["resources"] == {
        "requests": {"cpu": "500m", "memory": "3Gi"},
        "limits": {"cpu": "1", "memory": "3Gi"},
    }


@pytest.mark.parametrize(
    "config", [CONFIG | {"images": {"workload": "any"}}, CONFIG], ids=["no server's image", "accelerators"]
)
def test_a_model_is_measured_alone_where_replicas_are_not_possible(config: dict[str, Any]) -> None:
    accelerated = {"pool": "gke-l4", "cpu": "1", "memory": "2Gi", "accelerators": 1}
    spec, _ = pod(planned(config, **({"measure": {"resources": accelerated}} if config is CONFIG else {})))
    assert "initContainers" not in spec
    assert "TRADEWIND_STANDS" not in {variable["name"] for variable in spec["containers"][0]["env"]}


def test_a_pod_that_fits_no_node_with_its_replicas_is_refused() -> None:
    world = planned(measure={"resources": {"pool": "local", "cpu": "0.7", "memory": "1Gi"}})
    assert world.condition("Accepted")["message"] == (
        "spec.resources.cpu, with spec.measure.resources.cpu for each of two replicas, is 2100m, and a node of pool "
        "local has 2. Ask for less, or name a larger pool."
    )
    fits = planned(measure={"resources": {"pool": "local", "cpu": "0.7", "memory": "1Gi"}}, resources={"cpu": "600m"})
    assert fits.condition("Accepted")["status"] == "True"
