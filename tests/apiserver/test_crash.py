"""The operator killed in the middle of its work: the end is the same, and nothing is there twice."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable

from tests.apiserver.cluster import Cluster
from tests.apiserver.process import OperatorProcess, until
from tests.objects import training_job
from tradewind.ray.networkpolicy import CLOSED

JOBS = 12
KILLS = 4


def test_kills_at_any_moment_leave_one_of_each_child(
    cluster: Cluster, launch: Callable[..., OperatorProcess], operator: OperatorProcess, namespace: str
) -> None:
    moments = random.Random(7)
    names = [f"job-{number}" for number in range(JOBS)]
    operator.stop()
    running = launch(name="shared").wait_ready()
    for number, name in enumerate(names):
        cluster.create(training_job(name), namespace)
        if number % (JOBS // KILLS) == 1:
            time.sleep(moments.uniform(0, 0.15))
            running.send(signal.SIGKILL)
            running.wait()
            running = launch(name="shared")
    running.wait_ready()
    until(
        lambda: all(cluster.phase("TrainingJob", name, namespace) == "Starting" for name in names),
        "not all jobs start",
    )
    cluster.quiet()
    rayjobs = sorted(rayjob["metadata"]["name"] for rayjob in cluster.list("RayJob", namespace))
    policies = sorted(policy["metadata"]["name"] for policy in cluster.list("NetworkPolicy", namespace))
    assert rayjobs == sorted(f"{name}-train-1" for name in names)
    assert policies == sorted([*(f"{name}-train" for name in names), CLOSED.name])
    said = [(e["regarding"]["name"], e["reason"], e["note"]) for e in cluster.list("Event", namespace)]
    assert len(said) == len(set(said))
    running.stop()
