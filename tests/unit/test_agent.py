"""The agent that runs a program in an image of the user's own."""

from __future__ import annotations

import os
import subprocess
from typing import Any

import pytest

from tradewind.ray import agent

RESOURCES: dict[str, dict[str, Any]] = {
    "requests": {"cpu": "500m", "memory": "4Gi", "nvidia.com/gpu": "1"},
    "limits": {"memory": "4Gi", "cpu": "1", "nvidia.com/gpu": "1"},
}


def test_init_container_is_admitted_by_pod_security_restricted_and_by_a_quota() -> None:
    made = agent.init_container("tradewind/workload:dev", RESOURCES)
    assert made["image"] == "tradewind/workload:dev"
    assert made["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert made["resources"] == {"requests": {"cpu": "500m", "memory": "4Gi"}, "limits": {"memory": "4Gi", "cpu": "1"}}


def test_what_it_writes_is_what_the_program_finds() -> None:
    made = agent.init_container("image", RESOURCES)
    (mount,) = made["volumeMounts"]
    assert made["command"][-1] == mount["mountPath"] == agent.MOUNT["mountPath"] == agent.FOLDER
    assert mount["name"] == agent.MOUNT["name"] == agent.VOLUME["name"]
    assert "readOnly" not in mount
    assert agent.MOUNT["readOnly"] is True


@pytest.mark.parametrize(("own", "found"), [(None, agent.FOLDER), ("/app:/lib", f"{agent.FOLDER}:/app:/lib")])
def test_a_pythonpath_of_the_image_stays(own: str | None, found: str) -> None:
    """As Ray runs an entrypoint: by a shell."""
    environment = {"PATH": os.environ["PATH"]} | ({"PYTHONPATH": own} if own is not None else {})
    shown = agent.ENTRYPOINT.replace("python -m tradewind_workload", "printenv PYTHONPATH")
    assert shown != agent.ENTRYPOINT
    done = subprocess.run(["/bin/sh", "-c", shown], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == found
