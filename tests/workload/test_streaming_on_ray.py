"""Data larger than memory gives the same on Ray as in a plain loop, which test_streaming.py asks all else of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from test_streaming import CASES, all_rows, both, data_of, many_blocks, write_table

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["many_blocks"]  # a fixture of every test here


def test_the_same_on_ray(ray_cluster: None, volumes: Path) -> None:
    from tradewind_workload.train.onray import OnRay

    write_table(volumes, "table", seed=1)
    held, streamed = both(volumes, data_of(**CASES["rows dropped"]), work=OnRay())
    assert all_rows(held) == all_rows(streamed)
    assert streamed.split_digest == held.split_digest
    assert streamed.answers_digest == held.answers_digest
