"""A prepared table of typed columns: the encoding fitted on its training rows, a block a task, and its rows with it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import ray

from tradewind_workload.data.rows import block_columns
from tradewind_workload.tasks.tabular import statistics
from tradewind_workload.tasks.tabular.encoding import finish

if TYPE_CHECKING:
    import numpy as np

    from tradewind_workload.data.preparation import Prepared
    from tradewind_workload.data.rows import Rows
    from tradewind_workload.data.schema import Schema
    from tradewind_workload.tasks.tabular.encoding import Encoding
    from tradewind_workload.tasks.tabular.statistics import Statistics


@ray.remote(num_cpus=1)
def _statistics(block: Any, offsets: np.ndarray, schema: Schema) -> Statistics:
    return statistics.fit(block_columns(block).take(offsets), schema)


def fitted(prepared: Prepared) -> Encoding:
    """The encoding for networks (`raw()` is that for trees). Raises Fault(InvalidData) where nothing can be learnt."""
    assert prepared.schema is not None
    parts = [_statistics.remote(block, offsets, prepared.schema) for block, offsets in prepared.train.parts()]
    return finish(statistics.merge(ray.get(parts)), prepared.schema)


def encoded(prepared: Prepared, encoding: Encoding) -> Prepared:
    """The same with rows that load as what a model sees, float32 [n, features]."""
    features = encoding.width + len(encoding.codes)

    def of(rows: Rows) -> Rows:
        return rows.encoded(encoding.rows, features)

    return replace(
        prepared,
        train=of(prepared.train),
        validation=of(prepared.validation),
        test=of(prepared.test) if prepared.test is not None else None,
        row_shape=(features,),
    )
