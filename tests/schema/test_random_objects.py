"""Any object is refused with a reason, or ends in a condition; the operator lives on and logs no error of its own."""

from __future__ import annotations

import random
import re
import time
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings

from tests.apiserver.cluster import Cluster
from tests.apiserver.process import OperatorProcess
from tests.schema.leaves import SPECS
from tests.schema.strategies import Manifest, objects
from tests.schema.verdict import Refused, changed, created

NUMBER = 300
PATIENCE = 120.0  # seconds without any progress
GOOD_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?")
# What the log of an operator that meets nothing but users' mistakes does not have. A child is never refused: what makes
# it a bad one is to be refused in the object.
ERRORS_OF_OURS = ("Traceback", "an error of ours", "was refused", "keeps another status", "does not keep")


def _made() -> list[Manifest]:
    """Objects, each under a name of its own where its name is a good one."""
    found: list[Manifest] = []

    @settings(
        max_examples=NUMBER,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(made=objects())
    def collect(made: Manifest) -> None:
        name = made["metadata"]["name"]
        if GOOD_NAME.fullmatch(name):
            mark = f"-{len(found)}"
            made["metadata"]["name"] = f"{name[: 40 - len(mark)]}{mark}"
        found.append(made)

    collect()
    return found


def _untold(cluster: Cluster, namespace: str) -> list[Manifest]:
    """The objects whose conditions do not speak of their present spec."""
    return [
        item
        for kind in SPECS
        for item in cluster.list(kind, namespace)
        for status in [item.get("status", {})]
        if status.get("observedGeneration") != item["metadata"]["generation"] or not _words(status)
    ]


def _wait(cluster: Cluster, namespace: str) -> None:
    """Wait until all are told, or nothing has changed for a while."""
    before, since = None, time.monotonic()
    while (untold := _untold(cluster, namespace)) and time.monotonic() < since + PATIENCE:
        if untold != before:
            before, since = untold, time.monotonic()
        time.sleep(0.2)
    assert not untold, f"{len(untold)} objects have no condition of their present spec, as {untold[0]}"


def _words(status: Manifest) -> Any:
    return [condition for condition in status.get("conditions", ()) if condition["reason"]]


def test_an_object_is_refused_or_ends_in_a_condition(
    cluster: Cluster, operator: OperatorProcess, workplace: str
) -> None:
    pid, start = operator.pid, len(operator.log.read_text())
    stored = []
    for made in _made():
        answer = created(cluster, made, workplace)
        if isinstance(answer, Refused):
            assert answer.message
        else:
            stored.append(answer)
    assert len(stored) > NUMBER / 10, "hardly any object was good"
    _wait(cluster, workplace)
    # The same again, with each the spec of another.
    for item in stored:
        other = random.choice([entry for entry in stored if entry["kind"] == item["kind"]])
        if cluster.get(item["kind"], item["metadata"]["name"], workplace) is None:
            continue  # its spec asked to be deleted after its end
        answer = changed(cluster, item["kind"], item["metadata"]["name"], workplace, other["spec"])
        assert not isinstance(answer, Refused) or "is fixed since the first attempt started" in answer.message
    _wait(cluster, workplace)
    assert operator.pid == pid and operator.process is not None and operator.process.poll() is None
    assert operator.get("healthz", operator.health_port)[0] == 200
    log = operator.log.read_text()[start:]
    assert not [line for line in log.splitlines() if any(words in line for words in ERRORS_OF_OURS)]
