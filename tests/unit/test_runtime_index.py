"""What belongs to what."""

from __future__ import annotations

from tradewind.runtime.index import Index


def test_each_uid_is_there_once_until_it_is_discarded() -> None:
    index: Index[str] = Index()
    for uid in ("a", "b", "a"):
        index.add("owner", uid)
    assert index.get("owner") == ("a", "b")
    for uid in ("a", "unknown"):
        index.discard("owner", uid)
    assert index.get("owner") == ("b",)
    index.discard("owner", "b")
    index.discard("nobody", "b")
    assert index.get("owner") == ()
