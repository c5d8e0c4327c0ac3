"""Labels of everything that we cause; the watches select by them."""

from __future__ import annotations

from tradewind.api import GROUP

MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGER = "tradewind"  # value of managed-by, and our field manager
KIND = f"{GROUP}/kind"  # TrainingJob, CompressionJob or ModelDeployment, on children and pods
NAME = f"{GROUP}/name"  # its name
RUN = f"{GROUP}/run"  # of a job's pods: the name of the run that they belong to
POOL = f"{GROUP}/pool"  # of pods: the row of the price table that they run on
ROLE = f"{GROUP}/role"  # head or worker
REVISION = f"{GROUP}/revision"  # of a service's replicas: the revision that they belong to


def labels(kind: str, name: str) -> dict[str, str]:
    """Labels of a child, and of its pods, of the object of that kind and name."""
    return {MANAGED_BY: MANAGER, KIND: kind, NAME: name}
