"""A look at all objects leaves everybody else a turn: counted in passes, for a clock would measure the machine."""

from __future__ import annotations

import asyncio
import itertools
import time
from dataclasses import replace
from itertools import pairwise
from typing import Any

from tests.objects import training_job
from tests.world import surroundings
from tradewind.core.plan import Plan
from tradewind.kube.kinds import Kinds
from tradewind.runtime.app import WORKERS
from tradewind.runtime.children import Children
from tradewind.runtime.metrics import Metrics
from tradewind.runtime.queue import Queue
from tradewind.runtime.reconciler import Reconciler, World, run_workers
from tradewind.runtime.reports import Reports
from tradewind.runtime.shared import Shared
from tradewind.runtime.store import Key, Store
from tradewind.training.controller import CONTROLLER as TRAINING

OBJECTS = 1000
STATUS = {"phase": "Complete"}


def _settled(number: int) -> dict[str, Any]:
    body = training_job()
    named = {"name": f"job-{number}", "uid": f"uid-{number}", "resourceVersion": str(number + 1)}
    return body | {"metadata": body["metadata"] | named, "status": STATUS}


async def test_a_look_at_all_objects_leaves_others_a_turn_after_every_pass() -> None:
    passes = itertools.count()
    done, through = 0, asyncio.Event()

    def plan(*_: Any) -> Plan:
        nonlocal done
        done = next(passes) + 1
        if done == OBJECTS:
            through.set()
        return Plan(status=STATUS)

    store = Store([replace(TRAINING, plan=plan)])
    for number in range(OBJECTS):
        store.observe(TRAINING.resource, _settled(number))
    queue: Queue[Key] = Queue()
    client: Any = None  # nothing is to be asked or written
    kinds = Kinds(store.resources, lambda _: None)
    children = Children(store, client, kinds, time.monotonic)
    world = World(
        store=store,
        client=client,
        queue=queue,
        reports=Reports(queue.add),
        children=children,
        shared=Shared(store, client, kinds, children, time.monotonic),
        metrics=Metrics(),
        surroundings=surroundings,
        missing=frozenset,
        instance="test",
    )
    seen = []  # passes that were done, at each turn of someone else

    async def other() -> None:
        while True:
            seen.append(done)
            await asyncio.sleep(0)

    tasks = [asyncio.create_task(run_workers(Reconciler(world), WORKERS)), asyncio.create_task(other())]
    await queue.add_all(store)
    await asyncio.wait_for(through.wait(), 60)
    for task in tasks:
        task.cancel()
    assert max(later - earlier for earlier, later in pairwise(seen)) == 1
