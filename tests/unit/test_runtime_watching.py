"""What kopf is kept from."""

from __future__ import annotations

from tradewind.runtime.watching import NoMemories


async def test_kopf_keeps_nothing_of_the_objects_that_it_saw() -> None:
    memories = NoMemories()
    memory = await memories.recall({"metadata": {"uid": "a"}}, noticed_by_listing=False, memobase=())
    assert memory.remaining_patch is None
    assert list(memories.iter_all_memories()) == []
