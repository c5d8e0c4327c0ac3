"""When the operator knows all there is, and sees at once what changes."""

from __future__ import annotations

from tradewind.runtime.controllers import CONTROLLERS
from tradewind.runtime.store import Store
from tradewind.runtime.sync import Sync, list_path

EMPTY = {"items": [], "metadata": {"resourceVersion": "1"}}


def test_it_is_complete_with_the_last_list_and_watching_with_the_last_watch() -> None:
    store = Store(CONTROLLERS)
    sync = Sync(store, lambda _keys: None)
    first, *others = sorted(store.resources)
    sync.serve(store.resources)
    for resource in others:
        sync.page(list_path(resource), True, EMPTY.items())
        sync.opened(resource.plural)
    assert not sync.complete
    sync.page(list_path(first), True, EMPTY.items())
    assert sync.complete
    assert not sync.watching
    sync.opened(first.plural)
    assert sync.watching


def test_a_kind_that_is_not_served_is_not_waited_for() -> None:
    store = Store(CONTROLLERS)
    sync = Sync(store, lambda _keys: None)
    missing, *others = sorted(store.resources)
    sync.serve(store.resources - {missing})
    for resource in others:
        sync.page(list_path(resource), True, EMPTY.items())
        sync.opened(resource.plural)
    assert sync.watching
