"""The family of models on tables of mixed columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ray

from tradewind_workload.data.rows import block_columns
from tradewind_workload.tasks.tabular import statistics
from tradewind_workload.tasks.tabular.encoding import finish

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    import torch

    from tradewind.api.trainingjob import Architecture
    from tradewind_workload.data.preparation import Prepared
    from tradewind_workload.data.schema import Schema
    from tradewind_workload.heads.answer import Answer
    from tradewind_workload.tasks.tabular.encoding import Encoding
    from tradewind_workload.tasks.tabular.model import TabularModel
    from tradewind_workload.tasks.tabular.statistics import Statistics


@dataclass(frozen=True)
class Tabular:
    """What was fitted: the encoding of each column."""

    encoding: Encoding

    @property
    def notes(self) -> tuple[str, ...]:
        """Which columns were left out, and why."""
        return self.encoding.notes

    @property
    def shape(self) -> tuple[int, ...]:
        """Numbers, then codes."""
        return (self.encoding.width + len(self.encoding.codes),)

    @property
    def scaled(self) -> bool:
        """The encoding puts all numbers on one scale."""
        return True

    def written(self) -> str:
        """The encoding."""
        return self.encoding.written()

    def rows(self, table: pa.Table) -> np.ndarray:
        """Numbers, then codes, float32 [n, width + columns of codes]."""
        return self.encoding.rows(table)

    def network(self, architecture: Architecture, outputs: int, seed: int) -> torch.nn.Module:
        """Linear, or a perceptron that learns a vector for each category."""
        from tradewind_workload.tasks.tabular import network

        layers = network.LINEAR
        if architecture.architecture == "mlp":
            dropout = network.DEFAULT_DROPOUT if architecture.dropout is None else float(architecture.dropout)
            layers = network.Layers(architecture.hidden_units or network.DEFAULT_HIDDEN, dropout)
        return network.build(self.encoding, outputs, layers, seed)

    def augment(self) -> None:
        """A table's rows stay as they are."""

    def model(self, network: Any, answer: Answer) -> TabularModel:
        """With an input for each column."""
        from tradewind_workload.tasks.tabular.model import from_network

        return from_network(self.encoding, network, answer)


@ray.remote(num_cpus=1)
def _statistics(block: Any, offsets: np.ndarray, schema: Schema) -> Statistics:
    return statistics.fit(block_columns(block).take(offsets), schema)


def fit(prepared: Prepared, *, trees: bool) -> Tabular:
    """The encoding, for networks or for trees. Raises Fault(InvalidData) where nothing can be learnt."""
    assert prepared.schema is not None
    parts = [_statistics.remote(block, offsets, prepared.schema) for block, offsets in prepared.train.parts()]
    encoding = finish(statistics.merge(ray.get(parts)), prepared.schema)
    return Tabular(encoding.raw() if trees else encoding)
