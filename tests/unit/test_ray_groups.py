"""What pods ask for: CPU limits only where the user wants one, and replicas to measure beside a program."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from tests import objects
from tests.world import CONFIG, World, surroundings
from tradewind.api.placement import ServingResources
from tradewind.api.trainingjob import TrainingJob
from tradewind.compression.controller import CONTROLLER as COMPRESSION
from tradewind.ray.groups import Group
from tradewind.ray.stands import Stands

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


def test_a_model_is_measured_alone_where_there_is_no_server() -> None:
    spec, _ = pod(planned(CONFIG | {"images": {"workload": "any"}}))
    assert "initContainers" not in spec
    assert "TRADEWIND_STANDS" not in {variable["name"] for variable in spec["containers"][0]["env"]}


ON_GPU = {"pool": "gke-l4", "cpu": "1500m", "memory": "768Mi", "accelerators": 1}


def test_replicas_with_accelerators_share_the_one_container_that_can_have_them() -> None:
    world = planned(measure={"resources": ON_GPU}, resources={"cpu": "1", "memory": "2Gi"})
    spec, told = pod(world)
    (program,), (container,) = spec["containers"], spec["initContainers"]
    assert program["resources"] == {"requests": {"cpu": "1", "memory": "2Gi"}, "limits": {"memory": "2Gi"}}
    stands = {variable["name"]: variable["value"] for variable in program["env"]}["TRADEWIND_STANDS"]
    assert stands == "http://127.0.0.1:8991,http://127.0.0.1:8992"
    assert (container["image"], container["restartPolicy"]) == ("tradewind/server-gpu:dev", "Always")
    assert container["args"] == ["--port=8991", "--port=8992"], "both seats"
    # The CPU of a replica, since only one of them is asked at a time; the memory of two.
    assert container["resources"] == {
        "requests": {"cpu": "1500m", "memory": "1536Mi", "nvidia.com/gpu": "1"},
        "limits": {"cpu": "2", "memory": "1536Mi", "nvidia.com/gpu": "1"},
    }
    environment = {variable["name"]: variable["value"] for variable in container["env"]}
    assert environment == {"TRADEWIND_DEVICE": "gpu", "TRADEWIND_MEMORY_BYTES": str(768 * 2**20)}, "of one replica"
    assert {"name": "tmp-replicas", "emptyDir": {}} in spec["volumes"]
    assert spec["nodeSelector"] == {"cloud.google.com/gke-accelerator": "nvidia-l4"}
    assert told["pricePerHour"] == "1.00", "of one replica: a half of the node's GPUs"
    assert told["spec"]["measure"]["resources"] == ON_GPU, "what its rows say that they were measured on"


def test_a_pod_pays_for_the_accelerators_of_its_replicas() -> None:
    pool = surroundings().config.pool("gke-l4")
    assert pool is not None
    replica = ServingResources.model_validate(ON_GPU | {"cpu": "100m"})
    group = Group("head", 1, pool, "100m", "2Gi", replica.accelerators, stands=Stands("any", replica, pool))
    assert (group.share, group.pod_cpu, group.pod_memory) == (Decimal("0.5"), "200m", "3758096384")


def test_replicas_that_share_a_container_are_told_so_where_they_fit_no_node() -> None:
    world = planned(measure={"resources": ON_GPU | {"cpu": "13"}})
    assert world.condition("Accepted")["message"] == (
        "spec.resources.cpu, with spec.measure.resources.cpu for both replicas together, is 26, and a node of pool "
        "gke-l4 has 24. Ask for less, or name a larger pool."
    )
    fits = planned(measure={"resources": ON_GPU | {"cpu": "13"}}, resources={"cpu": "11"})
    assert fits.condition("Accepted")["status"] == "True"


@pytest.mark.parametrize("pool", ["gke-l4", "gke-tpu-v5e"])
def test_accelerators_that_no_server_uses_are_refused(pool: str) -> None:
    config = CONFIG | {"images": {"workload": "any", "server": "any"}}
    count = 4 if pool == "gke-tpu-v5e" else 1
    asked = ON_GPU | {"pool": pool, "accelerators": count}
    condition = planned(config, measure={"resources": asked}).condition("Accepted")
    assert (condition["status"], condition["reason"]) == ("False", "NoServerForAccelerator")
    words = f"spec.measure.resources.accelerators is {count}, and "
    words += (
        "images.serverGpu of the operator's configuration, the server for GPUs, is not set: set it, or leave "
        "spec.measure.resources.accelerators out, and CPUs are used."
        if pool == "gke-l4"
        else "pool gke-tpu-v5e has TPUs (tpu-v5-lite-podslice), which no server uses: leave it and the topology out, "
        "or name a pool with GPUs (nvidia.com/gpu)."
    )
    assert condition["message"] == words
    del asked["accelerators"]
    assert planned(config, measure={"resources": asked}).condition("Accepted")["status"] == "True", "as it advises"


def test_a_pod_that_fits_no_node_with_its_replicas_is_refused() -> None:
    world = planned(measure={"resources": {"pool": "local", "cpu": "0.7", "memory": "1Gi"}})
    assert world.condition("Accepted")["message"] == (
        "spec.resources.cpu, with spec.measure.resources.cpu for each of two replicas, is 2100m, and a node of pool "
        "local has 2. Ask for less, or name a larger pool."
    )
    fits = planned(measure={"resources": {"pool": "local", "cpu": "0.7", "memory": "1Gi"}}, resources={"cpu": "600m"})
    assert fits.condition("Accepted")["status"] == "True"
