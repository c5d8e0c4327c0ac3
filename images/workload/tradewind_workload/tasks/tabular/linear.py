"""The linear model that boosted trees start from: they learn only what it leaves.

Trees that start from a constant spend their splits, and so their rows, on copying straight lines as steps; of a few
hundred rows nothing is left for the rest. The model is scikit-learn's logistic or ridge regression with its defaults.

It sees numbers as a network does (standardised, the median where one is missing, which is said apart) and a weight for
each code. Beyond what the training rows have, a number counts as the nearest that they have: as trees do it, and unlike
a line, which goes on for ever.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import TensorProto

from tradewind_workload.tasks.tabular.graph import write_standard

if TYPE_CHECKING:
    from tradewind_workload.tasks.tabular.encoding import Encoding
    from tradewind_workload.tasks.tabular.graph import Graph, Rows
    from tradewind_workload.tasks.tabular.trees import Examples

MOST = 100_000  # rows of a training: more of them tell trees all that a line would, and the time counts
STEPS = 1000  # of the logistic regression's solver, at most


@dataclass(frozen=True)
class Linear:
    """Weights of what the encoded rows become."""

    low: np.ndarray  # float32 [width], the least that the training rows have
    high: np.ndarray  # float32 [width]
    weights: np.ndarray  # float32 [width, outputs]
    bias: np.ndarray  # float32 [outputs]
    codes: tuple[np.ndarray, ...]  # of each column of codes, float32 [codes, outputs]

    def __call__(self, encoding: Encoding, rows: np.ndarray) -> np.ndarray:
        """Logits, or standardised values, float32 [n, outputs], of rows as trees get them.

        Of two classes the first one's logit is 0.
        """
        numbers, codes = _parts(encoding, rows)
        found = np.clip(numbers, self.low, self.high) @ self.weights + self.bias
        for i, weights in enumerate(self.codes):
            found = found + weights[codes[:, i]]
        return np.asarray(found, np.float32)

    def written(self) -> bytes:
        """As JSON."""
        parts = {"low": self.low, "high": self.high, "weights": self.weights, "bias": self.bias}
        content = {name: values.tolist() for name, values in parts.items()}
        return json.dumps(content | {"codes": [weights.tolist() for weights in self.codes]}).encode()


def fit(
    encoding: Encoding,
    training: Examples,
    validation: Examples,
    *,
    classes: int | None,
    class_weights: tuple[float, ...] = (),
) -> Linear | None:
    """The linear model of training rows, `classes` is None for values.

    None where it is no better on the validation rows than one answer for all, a class has no training row, or there
    are more than MOST rows.
    """
    if len(training.rows) > MOST or (classes is not None and len(np.unique(training.labels)) < classes):
        return None
    rows, labels = training.rows, training.labels
    numbers, codes = _parts(encoding, rows)
    weighed = np.array(class_weights)[labels] if class_weights else None
    fitted = _fitted(_design(numbers, codes, encoding.sizes), labels, classes, weighed)
    weights, bias = np.atleast_2d(fitted.coef_).T, np.atleast_1d(fitted.intercept_)
    if classes == 2:
        weights, bias = (np.concatenate([np.zeros_like(part), part], -1) for part in (weights, bias))
    width = numbers.shape[1]
    made = Linear(
        low=numbers.min(0),
        high=numbers.max(0),
        weights=weights[:width].astype(np.float32),
        bias=bias.astype(np.float32),
        codes=tuple(np.split(weights[width:].astype(np.float32), np.cumsum(encoding.sizes)[:-1]))
        if encoding.sizes
        else (),
    )
    return made if _helps(made(encoding, validation.rows), training, validation, classes, class_weights) else None


def _parts(encoding: Encoding, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Standardised numbers, float32 [n, width], and codes, int64 [n, columns], of rows as trees get them."""
    count = len(encoding.numbers)
    numbers = rows[:, :count].astype(np.float64)
    return replace(encoding, scale="standard").standardised(numbers, np.isnan(numbers)), rows[:, count:].astype(
        np.int64
    )


def _design(numbers: np.ndarray, codes: np.ndarray, sizes: tuple[int, ...]) -> Any:
    """Numbers, and a column for each code; sparse, since there may be thousands of those."""
    if not sizes:
        return numbers
    from scipy import sparse

    places = codes + np.concatenate([[0], np.cumsum(sizes)[:-1]])
    ends = np.arange(len(codes) + 1) * codes.shape[1]
    hot = sparse.csr_matrix(
        (np.ones(codes.size, np.float32), places.ravel(), ends), shape=(len(codes), int(np.sum(sizes)))
    )
    return sparse.hstack([sparse.csr_matrix(numbers), hot], format="csr")


def _fitted(design: Any, labels: np.ndarray, classes: int | None, weighed: np.ndarray | None) -> Any:
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression, Ridge

    if classes is None:
        return Ridge(solver="lsqr").fit(design, labels)
    with warnings.catch_warnings():  # trees go on from wherever it came to
        warnings.simplefilter("ignore", ConvergenceWarning)
        return LogisticRegression(max_iter=STEPS).fit(design, labels, sample_weight=weighed)


def _helps(
    answers: np.ndarray,
    training: Examples,
    validation: Examples,
    classes: int | None,
    class_weights: tuple[float, ...],
) -> bool:
    """Whether the loss on the validation rows is below that of the best constant of the training rows."""
    if classes is None:
        constant = np.full_like(answers, training.labels.mean())
        losses = [np.mean((given[:, 0] - validation.labels) ** 2) for given in (answers, constant)]
        return bool(losses[0] < losses[1])
    weights = np.array(class_weights or [1.0] * classes)
    shares = np.bincount(training.labels, minlength=classes) * weights
    constant = np.broadcast_to(np.log(shares / shares.sum()), answers.shape)
    rows = np.arange(len(validation.labels))
    losses = []
    for given in (answers.astype(np.float64), constant):
        held = given - given.max(1, keepdims=True)
        chances = held - np.log(np.exp(held).sum(1, keepdims=True))
        losses.append(np.mean(-chances[rows, validation.labels] * weights[validation.labels]))
    return bool(losses[0] < losses[1])


def write_linear(graph: Graph, rows: Rows, encoding: Encoding, linear: Linear) -> str:
    """Logits, or standardised values, float32 [n, outputs], of what trees get."""
    total = graph.constant("linear_bias", linear.bias)
    if rows.numbers:
        values = graph.node("Cast", [rows.numbers], "linear_numbers", to=TensorProto.DOUBLE)
        missing = graph.node("IsNaN", [values], "linear_missing")
        standard = write_standard(graph, replace(encoding, scale="standard"), values, missing, "linear_standard")
        low, high = (graph.constant(f"linear_{name}", getattr(linear, name)) for name in ("low", "high"))
        held = graph.node("Min", [graph.node("Max", [standard, low], "linear_above"), high], "linear_held")
        total = graph.node("Gemm", [held, graph.constant("linear_weights", linear.weights), total], "linear_sum")
    for i, weights in enumerate(linear.codes):
        assert rows.codes is not None
        place = graph.constant(f"linear_place{i}", np.array(i, np.int64))
        code = graph.node("Gather", [rows.codes, place], f"linear_code{i}", axis=1)
        one = graph.node("Gather", [graph.constant(f"linear_codes{i}", weights), code], f"linear_of{i}", axis=0)
        total = graph.node("Add", [total, one], f"linear{i}")
    return total
