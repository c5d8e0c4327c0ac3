"""How a list's page is read: its objects one by one, and what it says besides."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tradewind.kube.connection import members

ITEMS: list[Any] = [{"metadata": {"uid": "a"}, "text": 'a "quoted", ] } one'}, {"items": [1, 2]}]
METADATA = {"resourceVersion": "7", "continue": "here"}
# Objects of definitions are listed with the items before the metadata, others the other way round.
PAGES: list[dict[str, Any]] = [
    {"apiVersion": "ray.io/v1", "items": ITEMS, "kind": "RayJobList", "metadata": METADATA},
    {"kind": "PodList", "apiVersion": "v1", "metadata": METADATA, "items": ITEMS[:1]},
    {"metadata": METADATA, "items": []},
]


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("page", PAGES)
def test_items_come_one_by_one_and_the_rest_as_it_is(page: dict[str, Any], indent: int | None) -> None:
    found = list(members(json.dumps(page, indent=indent)))
    assert [value for name, value in found if name == "items"] == page["items"]
    assert dict(found) | {"items": page["items"]} == page


def test_what_is_no_array_is_one_member() -> None:
    assert list(members('{"items":null,"kind":"PodList"}')) == [("items", None), ("kind", "PodList")]


@pytest.mark.parametrize("text", ['{"items":[{"a":1}', '{"items":[{"a":', "[]", ""])
def test_what_was_cut_off_is_an_error(text: str) -> None:
    with pytest.raises((ValueError, IndexError)):
        list(members(text))
