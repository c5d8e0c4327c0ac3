"""ONNX Runtime as the server uses it: sessions, predictions, accuracy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime

from tradewind_workload.io.fault import Fault

if TYPE_CHECKING:
    from collections.abc import Mapping

BATCH = 256


def open_session(model: Path | bytes, threads: int = 1) -> onnxruntime.InferenceSession:
    """A session on the CPU with so many threads. Raises Fault(InvalidModel) where the file is no model."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry(
        "session.intra_op.allow_spinning", "0"
    )  # a spinning thread takes a small pod's only core
    try:
        return onnxruntime.InferenceSession(
            model if isinstance(model, bytes) else str(model), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # noqa: BLE001 -- ONNX Runtime's errors have no common class
        said = " ".join(str(error).split())[:300]
        raise Fault(
            "InvalidModel",
            f"{model if isinstance(model, Path) else 'the model'} can't be loaded by ONNX Runtime: {said}",
        ) from None


@dataclass(frozen=True)
class Predictions:
    """What a classifier says of rows."""

    label: np.ndarray  # int64 [n]
    probabilities: np.ndarray  # float32 [n, classes]

    def accuracy(self, classes: np.ndarray) -> float:
        """Share of the rows, from 0 to 1, whose label is right."""
        return int((self.label == classes).sum()) / len(classes)


def predict(session: onnxruntime.InferenceSession, rows: np.ndarray) -> Predictions:
    """Predictions for raw rows, float32 [n, *row shape], of a model with one input."""
    return predict_by_name(session, {session.get_inputs()[0].name: rows})


def predict_by_name(session: onnxruntime.InferenceSession, feeds: Mapping[str, np.ndarray]) -> Predictions:
    """Predictions for at least one row; the values of all rows by the name of the input."""
    labels: list[Any] = []
    probabilities: list[Any] = []
    for start in range(0, len(next(iter(feeds.values()))), BATCH):
        some = {name: values[start : start + BATCH] for name, values in feeds.items()}
        label, probability = session.run(["label", "probabilities"], some)
        labels.append(label)
        probabilities.append(probability)
    return Predictions(np.concatenate(labels), np.concatenate(probabilities))
