"""Replicas to measure: containers beside the program, in which it starts one server after the other.

They are sidecars (of Kubernetes 1.29 and later): one that was killed for its memory is started anew, and the program
goes on with the next model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tradewind.core.security import CONTAINER_SECURITY

# The baseline is in one of them and a variant in the other.
NAMES = ("replica-a", "replica-b")
FIRST_PORT = 8991
# Where the program finds them; the containers of a pod share their addresses.
ENV = {
    "name": "TRADEWIND_STANDS",
    "value": ",".join(f"http://127.0.0.1:{FIRST_PORT + number}" for number in range(len(NAMES))),
}


@dataclass(frozen=True, slots=True)
class Stands:
    """What each of them is."""

    image: str  # of the server
    cpu: str
    memory: str
    resources: Mapping[str, Any]  # as a replica of a ModelDeployment has them


def containers(stands: Stands, mounts: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The sidecars, which find the models where `mounts` has the pod's claims."""
    return [
        {
            "name": name,
            "image": stands.image,
            "imagePullPolicy": "IfNotPresent",
            "restartPolicy": "Always",
            "command": ["python", "-m", "tradewind_server.stand"],
            "args": [f"--port={FIRST_PORT + number}"],
            "resources": stands.resources,
            "securityContext": CONTAINER_SECURITY,
            "volumeMounts": [
                {"name": f"tmp-{name}", "mountPath": "/tmp"},  # noqa: S108 -- an emptyDir of its own
                *({**mount, "readOnly": True} for mount in mounts),
            ],
        }
        for number, name in enumerate(NAMES)
    ]


def volumes() -> list[dict[str, Any]]:
    """What only they mount."""
    return [{"name": f"tmp-{name}", "emptyDir": {}} for name in NAMES]
