"""An operator with the whole price table, for the tests of what users may write."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import yaml

from tests.apiserver.cluster import Cluster
from tests.apiserver.process import OperatorProcess, until
from tests.schema.worlds import FINISHED
from tests.world import CONFIG


@pytest.fixture(scope="session")
def operator(cluster: Cluster, launch: Callable[..., OperatorProcess]) -> OperatorProcess:
    """An operator that is ready."""
    cluster.config.write_text(yaml.safe_dump(CONFIG))
    return launch(name="schema").wait_ready()


@pytest.fixture
def workplace(cluster: Cluster, operator: OperatorProcess) -> str:
    """A namespace of the test's own with the finished jobs that specs refer to."""
    made = cluster.namespace()
    for job in FINISHED:
        kind, name = job["kind"], job["metadata"]["name"]
        cluster.create({key: value for key, value in job.items() if key != "status"}, made)
        cluster.merge(kind, name, made, {"status": job["status"]}, subresource="status")
        until(
            lambda kind=kind, name=name: (
                cluster.phase(kind, name, made) is None or cluster.condition(kind, name, made, "Complete")
            ),
            f"{kind} {name} does not stay complete",
        )
    return made
