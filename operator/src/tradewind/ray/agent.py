"""What runs a program in an image of the user's own: our agent comes along, from our workload image.

An init container of the head pod copies it into a volume. The head alone needs it: the RayJob's driver runs there, and
so does Ray Train's controller, which gets the callback with its code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tradewind.core.security import CONTAINER_SECURITY

FOLDER = "/mnt/agent"
VOLUME: dict[str, Any] = {"name": "agent", "emptyDir": {}}
MOUNT: dict[str, Any] = {"name": "agent", "mountPath": FOLDER, "readOnly": True}

# Constant: KubeRay hands it to Ray, which hands it to a shell. A PYTHONPATH that the image itself sets stays, after
# ours; as a variable of the container ours would take its place.
ENTRYPOINT = f"PYTHONPATH={FOLDER}${{PYTHONPATH:+:$PYTHONPATH}} python -m tradewind_workload"


def init_container(image: str, resources: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Copies the agent, before the pod's own container with these resources starts.

    With as many the pod asks for no more than without it, and a quota finds what it looks for; accelerators are left
    out.
    """
    return {
        "name": "agent",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-m", "tradewind_workload.agent", FOLDER],
        "resources": {
            kind: {name: amount for name, amount in amounts.items() if "/" not in name}
            for kind, amounts in resources.items()
        },
        "securityContext": CONTAINER_SECURITY,
        "volumeMounts": [{"name": "agent", "mountPath": FOLDER}],
    }
