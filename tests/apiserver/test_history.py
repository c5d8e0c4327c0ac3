"""What the judge of the fault matrix sees of a life whose watches were broken off."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from e2e.faults.history import RESOURCES, Admin, Manifest
from tests.apiserver.cluster import Cluster


@pytest.fixture
async def admin(cluster: Cluster, tmp_path: Path) -> AsyncIterator[Admin]:
    """An administrator whose watches are not needed here."""
    made = Admin(cluster.server, tmp_path)
    await made.start()
    yield made
    await made.stop()


async def test_a_deletion_that_only_a_list_shows_comes_before_what_was_made_after_it(
    admin: Admin, namespace: str
) -> None:
    for task in admin.watches:
        task.cancel()
    path = f"{RESOURCES['networkpolicies']}/namespaces/{namespace}/networkpolicies"
    await admin.send("POST", path, _policy("first"))
    await admin.relist("networkpolicies")
    await admin.send("DELETE", f"{path}/first")
    for name in ("second", "third"):
        await admin.send("POST", path, _policy(name))

    await admin.relist("networkpolicies")

    versions = sorted(admin.versions[namespace], key=lambda version: version.revision)
    assert [(version.name, version.deleted) for version in versions] == [
        ("first", False),
        ("first", True),
        ("second", False),
        ("third", False),
    ]


async def test_other_watches_may_see_a_new_namespace_while_a_deletion_is_looked_up(
    admin: Admin, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for task in admin.watches:
        task.cancel()
    path = f"{RESOURCES['networkpolicies']}/namespaces/{namespace}/networkpolicies"
    await admin.send("POST", path, _policy("first"))
    await admin.relist("networkpolicies")
    await admin.send("DELETE", f"{path}/first")
    looked_up = admin._deletion

    async def beside(resource: str, body: Manifest) -> int | None:
        assert not admin.objects["a-new-namespace"]
        return await looked_up(resource, body)

    monkeypatch.setattr(admin, "_deletion", beside)

    await admin.relist("networkpolicies")

    assert not admin.of(namespace, "networkpolicies")


def _policy(name: str) -> Manifest:
    return {"metadata": {"name": name}, "spec": {"podSelector": {}}}
