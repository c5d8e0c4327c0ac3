"""What every pod that we cause may do: Pod Security `restricted`, and a root file system that can't be written to."""

from __future__ import annotations

from typing import Any

# The user of all three images; a number, so that the kubelet can see that it isn't root.
USER = 10001

POD_SECURITY: dict[str, Any] = {
    "runAsNonRoot": True,
    "runAsUser": USER,
    "runAsGroup": USER,
    "fsGroup": USER,
    # Without this, a volume with many files is walked through at each start.
    "fsGroupChangePolicy": "OnRootMismatch",
    "seccompProfile": {"type": "RuntimeDefault"},
}
CONTAINER_SECURITY: dict[str, Any] = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
