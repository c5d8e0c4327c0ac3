"""The same pieces of work in a plain loop and on Ray: the same tables in the same order, and the same refusals."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
from jobs import blobs, write_csv

from tradewind.api.data import Data
from tradewind_workload.data import blocks
from tradewind_workload.data.headers import read_headers
from tradewind_workload.data.preparation import Prepared, prepare
from tradewind_workload.data.work import Here, Work
from tradewind_workload.io.fault import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(params=["here", "on ray"])
def work(request: pytest.FixtureRequest) -> Work:
    if request.param == "here":
        return Here()
    request.getfixturevalue("ray_cluster")
    from tradewind_workload.train.onray import OnRay

    return OnRay()


# Ray's processes don't know this module: what they run is sent to them by its content.
def _functions() -> tuple[object, ...]:
    import pyarrow as pa

    from tradewind_workload.io.fault import Fault

    def tables(number: int, wrong: int | None = None) -> Iterator[pa.Table]:
        for part in range(number):
            if number == wrong:
                raise Fault("InvalidData", f"item {number} is wrong")
            yield pa.table({"n": [10 * number + part]})

    def total(table: pa.Table, more: int) -> int:
        if more == 99:
            raise Fault("InvalidData", "it is too much")
        return sum(table["n"].to_pylist()) + more

    return tables, total


tables, total = _functions()


def test_blocks_are_in_order(work: Work) -> None:
    blocks = work.keep(tables, [2, 0, 1, 3])
    assert [work.fetch(block)["n"].to_pylist() for block in blocks] == [[20], [21], [10], [30], [31], [32]]


def test_a_call_gets_a_block_as_its_table(work: Work) -> None:
    blocks = work.keep(tables, [2])
    assert work.map(total, [(block, 5) for block in blocks]) == [25, 26]


def test_a_fault_is_itself(work: Work) -> None:
    with pytest.raises(Fault, match="item 3 is wrong"):
        work.keep(partial(tables, wrong=3), [1, 3, 2])
    with pytest.raises(Fault, match="it is too much"):
        work.map(total, [(block, 99) for block in work.keep(tables, [1])])


def test_prepared_alike_here_and_on_ray(ray_cluster: None, volumes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several blocks of several files: what is fitted depends on them to the last bit."""
    from tradewind_workload.train.onray import OnRay

    for number in range(3):
        inputs, classes = blobs(3000, seed=number)
        write_csv(volumes / "claim" / "table" / f"{number}.csv", inputs, classes)
    data = Data.model_validate(
        {
            "train": {"storageUri": "pvc://claim/table"},
            "validationFraction": "0.25",
            "label": "label",
            "prepare": [{"dropDuplicates": {}}, {"impute": {"strategy": "median"}}, {"standardize": {}}],
        }
    )
    here, there = (prepare(data, read_headers(data, "tabular-classification"), 3, work) for work in (Here(), OnRay()))
    assert here.split_digest == there.split_digest
    assert contents(here) == contents(there)
    assert len(here.train.blocks) == 3


def contents(prepared: Prepared) -> list[bytes]:
    arrays = [prepared.train.load(), prepared.validation.load(), prepared.train.targets]
    arrays += [stage.values for stage in prepared.stages]
    return [array.tobytes() for array in arrays]


def test_a_large_file_is_several_blocks(volumes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK", 1)
    write_csv(volumes / "claim" / "train.csv", *blobs(90_000))
    data = Data.model_validate(
        {"train": {"storageUri": "pvc://claim/train.csv"}, "validationFraction": "0.25", "label": "label"}
    )
    divided = prepare(data, read_headers(data, "tabular-classification"), 0)
    assert len(divided.train.blocks) > 1
    assert len(divided.train) + len(divided.validation) == 90_000
    assert np.isfinite(divided.train.load()).all()
