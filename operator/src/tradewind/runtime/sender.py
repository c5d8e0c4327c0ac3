"""Whether a pod that reports is one of the run: not by its labels alone, but because KubeRay made it for the RayJob."""

from __future__ import annotations

import re


def is_of_run(cluster: str, ray_job: str, ray_jobs_cluster: str | None) -> bool:
    """Whether the pods of a RayCluster are the run's: `cluster` controls the sender, `ray_job` is the run's.

    The RayJob says which its RayCluster is (`ray_jobs_cluster`). Where the watch does not show it yet, or the RayJob is
    gone before its pods have ended, the name says it: KubeRay adds random characters to the RayJob's.
    """
    if not cluster:
        return False
    if ray_jobs_cluster:
        return cluster == ray_jobs_cluster
    return re.fullmatch(re.escape(ray_job) + "-[a-z0-9]+", cluster) is not None
