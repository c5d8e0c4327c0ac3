"""Text arrives in the pods as the user wrote it, whatever it is written in."""

from __future__ import annotations

import json

from tests.apiserver.cluster import Cluster
from tests.apiserver.process import OperatorProcess, until
from tests.objects import program_job

# Among them what YAML, as which the API server reads an apply, does not take as it is or not as JSON escapes it.
CHARACTERS = [
    *map(chr, range(0x20)),
    *map(chr, range(0x7F, 0xA1)),
    *"\"'\\/{}$\u2028\u2029\ufeff\ufffe\uffff",
    *"ü→語😀",
]


def test_every_character_arrives(cluster: Cluster, operator: OperatorProcess, namespace: str) -> None:
    argv = ["python", "".join(CHARACTERS)]
    cluster.create(program_job(argv=argv, env=[{"name": "ALL", "value": "".join(CHARACTERS)}]), namespace)
    until(lambda: cluster.phase("TrainingJob", "own", namespace) is not None, "the job is told nothing")
    running = cluster.condition("TrainingJob", "own", namespace, "Running")
    assert running is not None and running["reason"] == "Starting", running
    [rayjob] = cluster.list("RayJob", namespace)
    template = rayjob["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]
    assert json.loads(template["metadata"]["annotations"]["tradewind.dev/job"])["spec"]["entrypoint"]["argv"] == argv
    [value] = [variable["value"] for variable in template["spec"]["containers"][0]["env"] if variable["name"] == "ALL"]
    assert value.replace("$$", "$") == "".join(CHARACTERS)
