"""Waiting for the cluster to reach a state, with an error that says what stood there instead."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from e2e.installation import Failed, Kubernetes, condition

Item = dict[str, Any]


def until(what: str, look: Callable[[], Any], timeout: float = 60, every: float = 0.5) -> Any:
    """What `look` returns as soon as it is true; `Failed` with its last value after timeout seconds."""
    end = time.monotonic() + timeout
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() > end:
            raise Failed(f"waited {timeout:.0f} s for {what}")
        time.sleep(every)


def until_condition(
    kubernetes: Kubernetes,
    resource: str,
    namespace: str,
    name: str,
    kind: str,
    status: str = "True",
    timeout: float = 60,
) -> Item:
    """The object once its condition has that status; fails early when it is Failed."""
    last: Item = {}

    def look() -> Item | None:
        nonlocal last
        last = kubernetes.find(resource, name, "-n", namespace) or {}
        failed = condition(last, "Failed")
        if failed.get("status") == "True" and kind != "Failed":
            raise Failed(f"{resource} {namespace}/{name} failed: {failed.get('message')}")
        return last if condition(last, kind).get("status") == status else None

    try:
        item: Item = until(f"{kind}={status} on {resource} {namespace}/{name}", look, timeout)
    except Failed as failure:
        if "waited" not in str(failure):
            raise
        raise Failed(f"{failure}; its status is {json.dumps(last.get('status'), indent=1)}") from None
    return item
