"""The family of models that take one matrix of numbers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from tradewind.api.artefact import Tensor
from tradewind_workload.data.blocks import INPUTS, block_inputs
from tradewind_workload.export.samples import instance
from tradewind_workload.io.files import WEIGHTS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pyarrow as pa
    import torch

    from tradewind.api.data import Augment
    from tradewind.api.trainingjob import Architecture
    from tradewind_workload.data.fitting import Stage
    from tradewind_workload.data.preparation import Prepared
    from tradewind_workload.heads.answer import Answer


@dataclass(frozen=True)
class Matrix:
    """What was fitted: the stages of the preparation, which become a part of the network."""

    shape: tuple[int, ...]  # of a row, as in the file
    columns: tuple[str, ...]  # their names, where a row is a table's
    image: tuple[int, int, int] | None  # height, width, channels
    stages: tuple[Stage, ...]
    variation: Augment | None
    notes: tuple[str, ...] = ()
    said: Tensor | None = None  # the input, where a finished model says what it is

    @property
    def scaled(self) -> bool:
        """Whether the data was standardised."""
        return any(stage.kind == "standardize" for stage in self.stages)

    def became(self, columns: tuple[str, ...]) -> dict[str, str]:
        """What the network gets of each column of a table, in words."""
        return {name: self._became(i) for i, name in enumerate(self.columns)}

    def _became(self, column: int) -> str:
        words = ["the number"]
        for stage in self.stages:
            if stage.scale is None:
                words.append(f"for a missing one {stage.values.reshape(-1)[column]:g}")
            else:
                words.append(
                    f"less {stage.values.reshape(-1)[column]:g}, divided by {stage.scale.reshape(-1)[column]:g}"
                )
        return ", ".join(words)

    def written(self) -> str:
        """Nothing: the stages follow from the spec and the rows."""
        return ""

    def rows(self, table: pa.Table) -> np.ndarray:
        """The matrix, float32 [n, *shape]."""
        return block_inputs(table).reshape(-1, *self.shape)

    @property
    def taken(self) -> Tensor:
        """The one input."""
        return self.said or Tensor(
            name=INPUTS,
            datatype="FP32",
            shape=(-1, *self.shape),
            columns=self.columns,
            nullable=any(stage.kind == "impute" for stage in self.stages),
        )

    def feeds(self, table: pa.Table) -> dict[str, np.ndarray]:
        """The matrix by its name."""
        return {self.taken.name: self.rows(table)}

    def instances(self, table: pa.Table) -> list[Any]:
        """Lists of numbers, or objects by the columns' names."""
        return [instance(row, self.taken) for row in self.rows(table)]

    def network(self, architecture: Architecture, outputs: int, seed: int) -> torch.nn.Module:
        """Raw rows in."""
        from tradewind_workload.tasks.matrix.network import build

        return build(architecture, self, outputs, seed)

    def stored(self, architecture: Architecture, outputs: int, tensors: Mapping[str, torch.Tensor]) -> torch.nn.Module:
        """With the stages of the preparation that the tensors have. Raises ValueError."""
        from tradewind_workload.tasks.matrix.network import stages_of
        from tradewind_workload.tasks.stored import filled

        return filled(replace(self, stages=stages_of(tensors)).network(architecture, outputs, 0), tensors)

    def augment(self) -> Callable[[torch.Tensor], torch.Tensor] | None:
        """Turns and shifts images."""
        if self.variation is None or self.image is None:
            return None
        from tradewind_workload.tasks.augmentation import vary

        return partial(vary, image=self.image, augment=self.variation)

    def model(self, network: torch.nn.Module, answer: Answer) -> MatrixModel:
        """With one input, INPUTS."""
        from safetensors.torch import save

        from tradewind_workload.tasks.matrix.graph import to_onnx
        from tradewind_workload.tasks.matrix.network import Classifier

        assert isinstance(network, Classifier)
        network.eval()
        weights = save({name: tensor.contiguous() for name, tensor in network.state_dict().items()})
        return MatrixModel(to_onnx(network, self.shape, answer), {WEIGHTS: weights}, self, answer)


@dataclass(frozen=True)
class MatrixModel:
    """What is stored and served."""

    onnx: bytes
    weights: dict[str, bytes]
    fitted: Matrix
    answer: Answer

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The matrix."""
        return (self.fitted.taken,)

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """Those of the answer."""
        return self.answer.tensors

    def feeds(self, table: pa.Table) -> dict[str, np.ndarray]:
        """The matrix by its name."""
        return self.fitted.feeds(table)

    def instances(self, table: pa.Table) -> list[Any]:
        """Lists of numbers, or objects by the columns' names."""
        return self.fitted.instances(table)


def fit(prepared: Prepared) -> Matrix:
    """What the preparation fitted already."""
    return Matrix(prepared.row_shape, prepared.columns, prepared.image, prepared.stages, prepared.augment)


def read(taken: Tensor, prepared: Prepared) -> Matrix:
    """Of a finished model with that input."""
    return Matrix(prepared.row_shape, prepared.columns, prepared.image, prepared.stages, prepared.augment, said=taken)
