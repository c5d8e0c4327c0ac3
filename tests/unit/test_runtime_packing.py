"""Objects are small in memory, and come out as they went in."""

from __future__ import annotations

import random
from typing import Any

from tests.objects import training_job
from tradewind.runtime.packing import Packer

SETTLED = {"phase": "Complete", "conditions": [{"type": f"Type{n}", "message": f"sentence {n * n}"} for n in range(99)]}


def _job(name: str, **more: Any) -> dict[str, Any]:
    return training_job(name) | more


def test_an_object_comes_out_without_what_its_managers_wrote() -> None:
    packer = Packer()
    body = _job("digits", status=SETTLED)
    managed = body | {"metadata": body["metadata"] | {"managedFields": [{"manager": "kubectl"}]}}
    assert packer.pack("TrainingJob", managed).body() == body


def test_who_came_first_has_no_status_yet_and_those_that_have_ended_are_small_all_the_same() -> None:
    packer = Packer()
    first = packer.pack("TrainingJob", _job("first"))
    packer.pack("TrainingJob", _job("second", status=SETTLED))
    third = packer.pack("TrainingJob", _job("third", status=SETTLED))
    assert len(third) < 100
    assert first.body() == _job("first")
    assert third.body() == _job("third", status=SETTLED)


def test_an_object_of_any_length_comes_out() -> None:
    packer, chance = Packer(), random.Random(1)
    for length in (10, 100_000, 200_000, 20):
        body = _job("digits", status={"text": chance.randbytes(length).hex()})
        assert packer.pack("TrainingJob", body).body() == body
