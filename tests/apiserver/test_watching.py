"""The watches of a group, in this process, against a real API server."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.apiserver.cluster import Cluster
from tradewind.core.plan import PODS
from tradewind.deployment.service import SERVICE
from tradewind.kube.connection import connect
from tradewind.runtime.controllers import CONTROLLERS
from tradewind.runtime.store import Store
from tradewind.runtime.sync import Sync, list_path
from tradewind.runtime.watching import Watching, watcher_name

FAILURES = 3  # of the group


class Broken(Sync):
    """Fails at each list of pods."""

    async def page(self, path: str, *page: Any) -> dict[str, Any] | None:
        if path == list_path(PODS):
            raise RuntimeError("broken")
        return await super().page(path, *page)


def test_a_watch_that_fails_leaves_none_of_its_group_behind(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(cluster.server.kubeconfig))

    async def watch() -> int:
        """The most watches of Services, which are of the same group, that there are at once."""
        sync = Broken(Store(CONTROLLERS), lambda _keys: None, lambda: None)
        watching = Watching(await connect(), sync, lambda *_: None, (), 3600.0, lambda: None)
        watching.serve(frozenset({SERVICE, PODS}))
        running, most = asyncio.create_task(watching.run()), 0
        async with asyncio.timeout(120):
            while caplog.text.count("the watches of pods, services ended") < FAILURES:
                await asyncio.sleep(0)  # they fail within milliseconds
                most = max(most, sum(task.get_name() == watcher_name(SERVICE) for task in asyncio.all_tasks()))
        running.cancel()
        await asyncio.wait([running])
        assert all(task.get_name() != watcher_name(SERVICE) for task in asyncio.all_tasks())
        return most

    loop = asyncio.new_event_loop()
    try:
        assert loop.run_until_complete(watch()) == 1
    finally:
        loop.close()  # what is left behind can't be ended, so it is not waited for
