"""What the fault matrix found, kept: lives with the very faults that once came to another end."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from e2e.faults.bench import Bench
from e2e.faults.calls import Moment
from e2e.faults.deletions import DELETIONS
from e2e.faults.fault import Fault, WatchFault
from e2e.faults.lives import LIVES, Life
from tests.apiserver.cluster import Cluster
from tests.apiserver.process import ROOT, OperatorProcess

TRAINING, HEAD_LOST = (
    next(life for life in LIVES if life.name == name) for name in ("TrainingJob", "TrainingJob, head lost")
)


@pytest.fixture
async def bench(cluster: Cluster, _kept: list[OperatorProcess], tmp_path: Path) -> AsyncIterator[Bench]:
    """An operator behind a proxy that spoils requests."""
    for operator in _kept:
        operator.stop()  # there is one lease
    shutil.copytree(cluster.tls, tmp_path / "tls")
    shutil.copy(cluster.config, tmp_path)
    (tmp_path / "source").symlink_to(ROOT / "operator" / "src")
    made = Bench(cluster.server, tmp_path)
    await made.start()
    await made.operate("behind-a-proxy")
    yield made
    await made.stop()


async def _play(bench: Bench, life: Life, *faults: tuple[Moment, Fault | WatchFault]) -> list[str]:
    """What is wrong with a life with these faults."""
    first, usual = await bench.faultless(life)
    (moment, fault), *further = faults
    run = await bench.spoiled(life, usual, moment, fault, *further)
    assert run.reached, "the moment did not come"
    return first.problems + run.problems


async def test_the_event_of_a_status_whose_answer_was_lost_is_sent_though_the_watch_is_late(bench: Bench) -> None:
    written = Moment("patch", "trainingjobs/status", "digits", 2)
    seen = Moment("event", "trainingjobs", "digits", 3)  # the object itself, its first status, and this one
    assert await _play(bench, TRAINING, (written, Fault.LOST), (seen, WatchFault.DELAYED)) == []


async def test_a_deletion_that_was_refused_for_a_conflict_is_tried_again(bench: Bench) -> None:
    assert await _play(bench, HEAD_LOST, (Moment("delete", "rayjobs", "digits-train-1"), Fault.CONFLICT)) == []


async def test_a_deleted_ray_job_is_no_interruption_though_its_pod_is_missed_first(bench: Bench) -> None:
    deleted = Moment("event", "rayjobs", "digits-train-1", 3)  # after its creation and KubeRay's status
    assert await _play(bench, DELETIONS["rayjobs"], (deleted, WatchFault.DELAYED)) == []


async def test_a_right_that_lacks_for_a_moment_is_nobodys_fault(bench: Bench) -> None:
    policy, event = Moment("patch", "networkpolicies", "digits-train"), Moment("create", "events", "Running")
    assert await _play(bench, TRAINING, (policy, Fault.DENIED), (event, Fault.DENIED)) == []
