"""What a job is about can't be changed: of every such leaf, the API server says so in its sentence."""

from __future__ import annotations

import itertools
import re

import pytest

from tests.apiserver.cluster import Cluster
from tests.objects import attempt
from tests.schema.leaves import SPECS, Leaf, leaves, placed
from tests.schema.test_leaves import WITHOUT_EFFECT
from tests.schema.verdict import Manifest, Refused, changed, created, manifest
from tests.schema.worlds import specs
from tradewind.core.names import attempt_name

_FIXED = re.compile(r"spec\.(\S+) is fixed since the first attempt started")
JOBS = ["TrainingJob", "CompressionJob"]


def _fixed(leaf: Leaf) -> bool:
    return leaf.path[0] != "runPolicy" and str(leaf) not in WITHOUT_EFFECT


def _two(cluster: Cluster, leaf: Leaf) -> tuple[Manifest, Manifest]:
    """Specs that the API server takes, and keeps as different ones."""
    for spec in specs(leaf.kind):
        made = [placed(spec, leaf, value) for value in leaf.values]
        for one, other in itertools.permutations(made if len(made) > 1 else [*made, spec], 2):
            kept = [created(cluster, manifest(leaf.kind, "a", each), dry_run=True) for each in (one, other)]
            if all(isinstance(each, dict) for each in kept) and kept[0]["spec"] != kept[1]["spec"]:
                return one, other
    raise AssertionError(f"no two good objects that differ in {leaf}: add an example to tests/crds/objects.py")


@pytest.mark.parametrize("kind", JOBS)
def test_a_change_of_what_a_job_is_about_is_refused(cluster: Cluster, kind: str) -> None:
    assert set(JOBS) < set(SPECS)
    namespace = cluster.namespace()
    for number, leaf in enumerate(filter(_fixed, leaves(kind))):
        one, other = _two(cluster, leaf)
        name = f"job-{number}"
        stored = created(cluster, manifest(kind, name, one), namespace)
        assert not isinstance(stored, Refused), stored
        corrected = changed(cluster, kind, name, namespace, other, dry_run=True)
        assert not isinstance(corrected, Refused), f"{leaf}: {corrected}"
        status = {"attempt": attempt(), "rayJobName": attempt_name(kind, name, 1)}
        cluster.merge(kind, name, namespace, {"status": status}, subresource="status")
        answer = changed(cluster, kind, name, namespace, other, dry_run=True)
        at = ".".join(str(part) for part in leaf.path)
        assert isinstance(answer, Refused), f"{leaf}: the change is accepted"
        said = [field for sentence in answer.sentences for field in _FIXED.findall(sentence)]
        assert any(at.startswith(field) for field in said), answer.message
    cluster.server.kubectl("delete", "namespace", namespace, "--wait=false")
    cluster.server.kubectl("delete", kind.lower(), "--all", "--namespace", namespace, "--wait=false")
