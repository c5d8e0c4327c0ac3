"""What a training knows of a family of models: what was fitted on its rows, and the finished model.

A family is a folder beside this file whose `fit` gives a Fitted. Nothing else of the payload knows what its rows are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    import pyarrow as pa
    import torch

    from tradewind.api.artefact import Tensor
    from tradewind.api.trainingjob import Architecture
    from tradewind_workload.heads.answer import Answer


class Model(Protocol):
    """A finished model: raw rows in, answers out, all in one ONNX graph."""

    @property
    def onnx(self) -> bytes:
        """The graph, with the outputs `label` or `labels` and `probabilities`, or `prediction`."""
        ...

    @property
    def weights(self) -> dict[str, bytes]:
        """Files beside the graph, by name: what the network can be built from again, and what a processor needs."""
        ...

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """What a user sends, as model.json says it."""
        ...

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """What a user gets."""
        ...

    def feeds(self, table: pa.Table) -> dict[str, np.ndarray]:
        """Rows of the data as the inputs of the graph."""
        ...

    def instances(self, table: pa.Table) -> list[Any]:
        """The same as a user sends them in protocol v1; None for a row that JSON can't say."""
        ...


class Fitted(Protocol):
    """What a family fitted on the training rows. It goes to every worker, so it can be pickled."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What was fitted and left out, for the log."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a row as the network takes it."""
        ...

    @property
    def scaled(self) -> bool:
        """Whether the network sees all its inputs on one scale."""
        ...

    def written(self) -> str:
        """What a checkpoint depends on besides the spec and the rows; empty where there is nothing."""
        ...

    def rows(self, table: pa.Table) -> np.ndarray:
        """Rows of the data as the network takes them, float32, int32 or uint8 [n, *shape]."""
        ...

    def feeds(self, table: pa.Table) -> dict[str, np.ndarray]:
        """Rows of the data as the inputs of the graph."""
        ...

    def instances(self, table: pa.Table) -> list[Any]:
        """The same as a user sends them in protocol v1; None for a row that JSON can't say."""
        ...

    def network(self, architecture: Architecture, outputs: int, seed: int) -> torch.nn.Module:
        """An untrained network: rows to logits or standardised values, float32 [n, outputs]. A seed, the same weights.

        Raises Fault where the rows do not suit the architecture.
        """
        ...

    def stored(self, architecture: Architecture, outputs: int, tensors: Mapping[str, torch.Tensor]) -> torch.nn.Module:
        """The network of a finished model, from its tensors; layers are as wide as these are.

        Raises ValueError where they are of another network.
        """
        ...

    def augment(self) -> Callable[[torch.Tensor], torch.Tensor] | None:
        """Varies a batch of rows at random, in the training alone; None where nothing is to vary."""
        ...

    def model(self, network: torch.nn.Module, answer: Answer) -> Model:
        """The model of a trained network, on the CPU."""
        ...


@runtime_checkable
class Telling(Protocol):
    """A Fitted that says what became of each column."""

    def became(self, columns: tuple[str, ...]) -> dict[str, str]:
        """What the model gets of a column, in words, by the column's name; for the report."""
        ...
