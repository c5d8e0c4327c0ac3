"""Which labels and annotations an object may set on its pods: what the operator's configuration lets it."""

from __future__ import annotations

from tradewind.api.config import Config
from tradewind.api.placement import PodMetadata
from tradewind.core.conditions import Reason
from tradewind.core.plan import Refusal

# What belongs to Kubernetes, to the operators that we use and to us: whoever sets it could pass for another's pod.
_OURS = ("kubernetes.io", "k8s.io", "ray.io", "kserve.io", "tradewind.dev")


def not_allowed(asked: PodMetadata, config: Config) -> Refusal | None:
    """Why the labels and annotations can't be set, or None."""
    allowed = config.pod_metadata.allow
    for field, names in (("labels", asked.labels), ("annotations", asked.annotations)):
        for name in sorted(names):
            if _taken(name) or not any(_covers(pattern, name) for pattern in allowed):
                words = f"spec.podMetadata.{field}: {name} may not be set on pods"
                if _taken(name):
                    words += ": names of Kubernetes, KubeRay, KServe and Tradewind belong to them. Remove it."
                else:
                    known = f"Allowed are {', '.join(allowed)}" if allowed else "None is allowed"
                    words += f". {known}: remove it, or add it to podMetadata.allow of the operator's configuration."
                return Refusal(Reason.POD_METADATA_NOT_ALLOWED, words)
    return None


def _taken(name: str) -> bool:
    prefix = name.rpartition("/")[0]
    return any(prefix == domain or prefix.endswith(f".{domain}") for domain in _OURS)


def _covers(pattern: str, name: str) -> bool:
    return name.startswith(pattern[:-1]) if pattern.endswith("/*") else name == pattern
