"""The family of models on tables of mixed columns."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tradewind_workload.data.blocks import block_columns
from tradewind_workload.tasks.tabular import outliers, statistics, steps
from tradewind_workload.tasks.tabular.encoding import Encoding
from tradewind_workload.tasks.tabular.telling import told

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa
    import torch

    from tradewind.api.data import Step
    from tradewind.api.trainingjob import Architecture
    from tradewind_workload.data.preparation import Prepared
    from tradewind_workload.data.schema import Schema
    from tradewind_workload.heads.answer import Answer
    from tradewind_workload.tasks.tabular.model import TabularModel
    from tradewind_workload.tasks.tabular.statistics import Statistics


NOTHING = Encoding((), (), ())  # that leaves the columns as they stand


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

    def became(self, columns: tuple[str, ...]) -> dict[str, str]:
        """What the model gets of each column, in words."""
        return told(self.encoding, columns)

    def written(self) -> str:
        """The encoding."""
        return self.encoding.written()

    def rows(self, table: pa.Table) -> np.ndarray:
        """Numbers, then codes, float32 [n, width + columns of codes]."""
        return self.encoding.rows(table)

    def feeds(self, table: pa.Table) -> dict[str, np.ndarray]:
        """Each column by its name."""
        return self.encoding.feeds(table)

    def instances(self, table: pa.Table) -> list[Any]:
        """Objects by the columns' names."""
        from tradewind_workload.tasks.tabular.model import instances

        return instances(self.encoding, table)

    def network(self, architecture: Architecture, outputs: int, seed: int) -> torch.nn.Module:
        """Linear, or a perceptron that learns a vector for each category."""
        from tradewind_workload.tasks.tabular import network

        layers = network.LINEAR
        if architecture.architecture == "mlp":
            dropout = network.DEFAULT_DROPOUT if architecture.dropout is None else float(architecture.dropout)
            layers = network.Layers(architecture.hidden_units or network.DEFAULT_HIDDEN, dropout)
        return network.build(self.encoding, outputs, layers, seed)

    def stored(self, architecture: Architecture, outputs: int, tensors: Mapping[str, torch.Tensor]) -> torch.nn.Module:
        """See Fitted."""
        from tradewind_workload.tasks.stored import filled

        return filled(self.network(architecture, outputs, 0), tensors)

    def augment(self) -> None:
        """A table's rows stay as they are."""

    def model(self, network: Any, answer: Answer) -> TabularModel:
        """With an input for each column."""
        from tradewind_workload.tasks.tabular.model import from_network

        return from_network(self.encoding, network, answer)


def read(encoding: bytes) -> Tabular:
    """Of a finished model, from what its folder has as ENCODING. Raises ValueError, KeyError, TypeError."""
    return Tabular(Encoding.read(encoding.decode()))


def _statistics(block: pa.Table, offsets: np.ndarray, encoding: Encoding, schema: Schema) -> Statistics:
    return statistics.fit(encoding.derived(block_columns(block).take(offsets)), schema)


def fit(prepared: Prepared, prepare: Sequence[Step], *, trees: bool) -> Tabular:
    """The encoding, for networks or for trees. Raises Fault(InvalidData) where nothing can be learnt."""
    assert prepared.schema is not None

    def count(encoding: Encoding, schema: Schema) -> Statistics:
        return statistics.merge(prepared.train.each(_statistics, encoding, schema))

    encoding = steps.fit(prepare, prepared.schema, count)
    return Tabular(encoding.raw() if trees else encoding)


def _near(block: pa.Table, offsets: np.ndarray, fences: outliers.Fences) -> np.ndarray:
    return outliers.near(block_columns(block).take(offsets), fences)


def without_outliers(prepared: Prepared, prepare: Sequence[Step]) -> Prepared:
    """The same without the training rows that dropOutliers leaves out. Raises Fault(InvalidData)."""
    assert prepared.schema is not None
    for i, step in enumerate(prepare):
        if step.drop_outliers is None:
            continue
        outliers.require_as_they_stand(prepare, i)
        where, train = f"spec.data.prepare[{i}].dropOutliers", prepared.train
        schema = outliers.looked_at(prepared.schema, step.drop_outliers.columns, where)
        found: dict[str, tuple[float, float]] = {}
        for some in statistics.groups(schema):
            counted = statistics.merge(train.each(_statistics, NOTHING, some))
            found |= outliers.fences(counted, float(step.drop_outliers.ranges)).of
        fences = outliers.Fences(found)
        left = train.only(_near, fences)
        note = f"{len(train) - len(left)} of {len(train)} training rows dropped by {where}: {fences}"
        prepared = replace(prepared, train=left, notes=(*prepared.notes, note))
        outliers.require_classes(prepared, where)
    return prepared
