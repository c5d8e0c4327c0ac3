"""What holds for every plan of every planner."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from tests.world import World
from tradewind.core.labels import labels
from tradewind.core.plan import Plan


def at_rest(world: World) -> None:
    """Now, and until the planner asked to look again, the same plan comes out, and executing it writes nothing."""
    plan = world.plan()
    written = len(world.writes)
    world._do(plan)
    assert len(world.writes) == written, f"not at rest: {world.writes[written:]}"
    assert plan.requeue_after is None or plan.requeue_after > 0, "it asks to look again at once"
    until = plan.requeue_after if plan.requeue_after is not None else 10.0**6
    later = world.plan(world.now + timedelta(seconds=max(0.0, until - 1)))
    assert later.status == plan.status
    assert later.children == plan.children
    assert not later.events


def labelled(world: World, plan: Plan) -> None:
    """Every child and every pod template carries the labels that the watches select by."""
    metadata = world.manifest["metadata"]
    wanted = labels(world.controller.model.kind, metadata["name"])
    for child in plan.children:
        assert wanted.items() <= child.body["metadata"]["labels"].items(), child.name
        for template in pod_templates(child.body):
            assert wanted.items() <= template["metadata"]["labels"].items(), child.name


def pod_templates(body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The pod templates of a RayJob and of an InferenceService, in one form."""
    spec = body["spec"]
    if cluster := spec.get("rayClusterSpec"):
        yield cluster["headGroupSpec"]["template"]
        for group in cluster.get("workerGroupSpecs", ()):
            yield group["template"]
    if predictor := spec.get("predictor"):
        yield {"metadata": {"labels": predictor["labels"]}, "spec": predictor | {"containers": [predictor["model"]]}}


def every_pod_is_restricted(plan: Plan) -> None:
    """Pod Security `restricted`, a read-only root, no token for the Kubernetes API, and requests for all."""
    for child in plan.children:
        for template in pod_templates(child.body):
            spec = template["spec"]
            assert spec["automountServiceAccountToken"] is False
            assert spec["securityContext"]["runAsNonRoot"] is True
            assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
            assert not {"hostNetwork", "hostPID", "hostIPC", "serviceAccountName"} & spec.keys()
            allowed = {"projected", "emptyDir", "persistentVolumeClaim", "configMap"}
            assert all(volume.keys() - {"name"} <= allowed for volume in spec["volumes"])
            for container in spec["containers"]:
                security = container["securityContext"]
                assert security["allowPrivilegeEscalation"] is False
                assert security["readOnlyRootFilesystem"] is True
                assert security["capabilities"] == {"drop": ["ALL"]}
                assert {"cpu", "memory"} <= container["resources"]["requests"].keys()


def times_follow_statuses(before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """A condition's transition time moves when its status changes, and only then."""
    old = {condition["type"]: condition for condition in before.get("conditions", ())}
    for condition in after.get("conditions", ()):
        if condition["type"] in old:
            same = old[condition["type"]]["status"] == condition["status"]
            kept = old[condition["type"]]["lastTransitionTime"] == condition["lastTransitionTime"]
            assert kept or not same, f"the time of {condition['type']} moved without its status"
