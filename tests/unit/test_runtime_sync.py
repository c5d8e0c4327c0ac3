"""When the operator knows all there is, and sees at once what changes."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

from tests.objects import training_job
from tradewind.runtime.controllers import CONTROLLERS
from tradewind.runtime.store import Store
from tradewind.runtime.sync import AT_ONCE, Sync, list_path

EMPTY = {"items": [], "metadata": {"resourceVersion": "1"}}


async def test_it_is_complete_with_the_last_list_and_watching_with_the_last_watch() -> None:
    store = Store(CONTROLLERS)
    sync = Sync(store, lambda _keys: None, lambda: None)
    first, *others = sorted(store.resources)
    sync.serve(store.resources)
    for resource in others:
        await sync.page(list_path(resource), True, EMPTY.items())
        sync.opened(resource.plural)
    assert not sync.complete
    await sync.page(list_path(first), True, EMPTY.items())
    assert sync.complete
    assert not sync.watching
    sync.opened(first.plural)
    assert sync.watching


async def test_a_kind_that_is_not_served_is_not_waited_for() -> None:
    store = Store(CONTROLLERS)
    sync = Sync(store, lambda _keys: None, lambda: None)
    missing, *others = sorted(store.resources)
    sync.serve(store.resources - {missing})
    for resource in others:
        await sync.page(list_path(resource), True, EMPTY.items())
        sync.opened(resource.plural)
    assert sync.watching


async def test_others_have_their_turn_while_a_list_is_taken_in() -> None:
    store = Store(CONTROLLERS)
    sync = Sync(store, lambda _keys: None, lambda: None)
    kind = next(c.resource for c in CONTROLLERS if c.resource.kind == "TrainingJob")

    def job(number: int) -> dict[str, Any]:
        body = training_job()
        named = {"name": f"job-{number}", "uid": f"uid-{number}", "resourceVersion": "1"}
        return body | {"metadata": body["metadata"] | named}

    members = [*(("items", job(number)) for number in range(200)), ("metadata", {"resourceVersion": "1"})]
    listing = asyncio.create_task(sync.page(list_path(kind), True, members))
    seen = [0]
    while not listing.done():
        await asyncio.sleep(0)
        seen.append(len(list(store)))
    assert seen[-1] == 200
    assert max(later - earlier for earlier, later in pairwise(seen)) <= AT_ONCE
