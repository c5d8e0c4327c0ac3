"""What a finished model gives: one of some classes with the probability of each, any number of labels, or a number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tradewind.api.artefact import Tensor

if TYPE_CHECKING:
    from collections.abc import Mapping

# Outputs of the graph.
LABEL, LABELS, PROBABILITIES, PREDICTION = "label", "labels", "probabilities", "prediction"
THRESHOLD = 0.5  # a label is answered where its probability is at least that


@dataclass(frozen=True)
class Classes:
    """The answer is one of these labels: `label`, its index, and `probabilities`."""

    labels: tuple[str, ...]

    @property
    def width(self) -> int:
        """Numbers that a network gives for a row: a logit for each class."""
        return len(self.labels)

    def decoded(self, outputs: np.ndarray) -> np.ndarray:
        """Probabilities, float32 [n, classes], of logits."""
        shifted = np.exp(outputs - outputs.max(axis=1, keepdims=True))
        return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))

    def among(self, answers: Mapping[str, np.ndarray]) -> np.ndarray:
        """The probabilities among the outputs of the graph."""
        return answers[PROBABILITIES]

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """Outputs of the graph."""
        return (
            Tensor(name=LABEL, datatype="INT64", shape=(-1,)),
            Tensor(name=PROBABILITIES, datatype="FP32", shape=(-1, len(self.labels))),
        )


@dataclass(frozen=True)
class Labels:
    """The answer is any number of these labels: `labels`, whether it is so of each, and `probabilities`."""

    labels: tuple[str, ...]

    @property
    def width(self) -> int:
        """Numbers that a network gives for a row: a logit for each label."""
        return len(self.labels)

    def decoded(self, outputs: np.ndarray) -> np.ndarray:
        """Probabilities, float32 [n, labels], of logits, each for itself."""
        return np.asarray((1 + np.tanh(outputs / 2)) / 2, np.float32)

    def among(self, answers: Mapping[str, np.ndarray]) -> np.ndarray:
        """The probabilities among the outputs of the graph."""
        return answers[PROBABILITIES]

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """Outputs of the graph."""
        shape = (-1, len(self.labels))
        return (
            Tensor(name=LABELS, datatype="BOOL", shape=shape),
            Tensor(name=PROBABILITIES, datatype="FP32", shape=shape),
        )


@dataclass(frozen=True)
class Value:
    """The answer is a number, `prediction`; a network learns (value - mean) / deviation."""

    mean: float = 0.0
    deviation: float = 1.0

    @classmethod
    def of(cls, values: np.ndarray) -> Value:
        """That of training labels, float64 [n]."""
        return cls(float(values.mean()), float(values.std()) or 1.0)

    @property
    def labels(self) -> tuple[str, ...]:
        """A number has none."""
        return ()

    @property
    def width(self) -> int:
        """Numbers that a network gives for a row."""
        return 1

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """Outputs of the graph."""
        return (Tensor(name=PREDICTION, datatype="FP32", shape=(-1,)),)

    def standardised(self, values: np.ndarray) -> np.ndarray:
        """What a network learns, float32 [n]."""
        return ((values - self.mean) / self.deviation).astype(np.float32)

    def among(self, answers: Mapping[str, np.ndarray]) -> np.ndarray:
        """The values among the outputs of the graph."""
        return answers[PREDICTION]

    def decoded(self, outputs: np.ndarray) -> np.ndarray:
        """The values, float32 [n], that outputs of a network stand for, float32 [n, 1]."""
        return (outputs[:, 0].astype(np.float64) * self.deviation + self.mean).astype(np.float32)


Answer = Classes | Labels | Value


def undecided(served: Mapping[str, np.ndarray]) -> str | None:
    """How the outputs of a graph name something else than their probabilities do; None where they agree.

    Of equally probable classes any may be named.
    """
    probabilities = served.get(PROBABILITIES)
    if probabilities is None:
        return None
    if LABEL in served and served[LABEL].dtype.kind == "i":
        named = served[LABEL].reshape(-1, 1) == np.arange(probabilities.shape[1])
        if not np.array_equal(probabilities.max(1, where=named, initial=-1), probabilities.max(1)):
            return f"names a class in {LABEL} that is not its most probable one"
    if LABELS in served and not np.array_equal(served[LABELS], probabilities >= np.float32(THRESHOLD)):
        return f"names other labels in {LABELS} than those whose probability is at least {THRESHOLD}"
    return None
