"""Every leaf of a spec, changed there and back, leaves the children as they were; and every leaf does something."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from tests.schema.leaves import SPECS, Leaf, leaves, placed
from tests.schema.worlds import SITUATIONS, accepted, change, children, rest, specs, world

LEAVES = [leaf for kind in SPECS for leaf in leaves(kind)]

# What changes neither a child nor the status, and why it is there all the same.
WITHOUT_EFFECT = {
    "CompressionJob.candidates[0].methods[0].prune.structure": "it has one value so far, which is the default",
}


def _pairs(leaf: Leaf) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Specs that differ in the leaf alone; where it has one value only, with it and without it."""
    for spec in specs(leaf.kind):
        made = [placed(spec, leaf, value) for value in leaf.values]
        yield from itertools.pairwise([*made, made[0]] if len(made) > 1 else [*made, spec])


@pytest.mark.parametrize("leaf", LEAVES, ids=str)
def test_there_and_back_the_children_are_the_same(leaf: Leaf) -> None:
    compared = 0
    for one, other in _pairs(leaf):
        this = world(leaf.kind, one)
        rest(this)
        possible, before = accepted(this), children(this)
        change(this, other)
        between = children(this)
        change(this, one)
        if possible:
            assert children(this) == before, f"{one} and {other}"
            compared += 1
        else:
            # What runs may go on as it is when the spec asks for what can't be.
            assert children(this).items() <= between.items(), f"{one} and {other}"
    assert compared, "no example with this leaf can be carried out"


@pytest.mark.parametrize("leaf", LEAVES, ids=str)
def test_a_field_does_something(leaf: Leaf) -> None:
    if str(leaf) in WITHOUT_EFFECT:
        assert not _has_effect(leaf), "it does something by now: take it from the list"
    else:
        assert _has_effect(leaf), "a user would set it in vain"


def _has_effect(leaf: Leaf) -> bool:
    return any(
        _outcome(leaf.kind, one, number) != _outcome(leaf.kind, other, number)
        for one, other in _pairs(leaf)
        for number in range(len(SITUATIONS[leaf.kind]))
    )


def _outcome(kind: str, spec: dict[str, Any], number: int) -> tuple[dict[str, str], dict[str, Any], bool]:
    this = world(kind, spec)
    SITUATIONS[kind][number](this)
    return children(this), this.status, this.expired
