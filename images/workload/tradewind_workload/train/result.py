"""The finished model of a recipe: exported, compared with torch, judged, and written with its manifest."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tradewind.api.artefact import Lineage, Manifest, SplitRecord, Tensor
from tradewind.api.base import KeyValue
from tradewind_workload.io.artefacts import Draft
from tradewind_workload.io.files import ONNX, SAMPLES, WEIGHTS
from tradewind_workload.io.store import files_of, finish
from tradewind_workload.train.judging import decimal, evaluate, judging_part

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import onnxruntime

    from tradewind.api.data import Data
    from tradewind.api.report import JobDocument
    from tradewind.api.trainingjob import TrainingJobSpec
    from tradewind_workload.data.preparation import Prepared
    from tradewind_workload.export.inference import Predictions
    from tradewind_workload.tasks.tabular.model import TabularModel

TOLERANCE = 1e-4  # largest difference of a probability between what was trained and the exported model


def export(job: JobDocument, spec: TrainingJobSpec, prepared: Prepared, model: Any, folder: Path) -> str:
    """Write the model's folder, load it back, compare it with torch, judge it. Returns the digest."""
    import onnx
    from safetensors.torch import save

    from tradewind_workload.export.onnx_export import to_onnx
    from tradewind_workload.export.samples import golden
    from tradewind_workload.export.signature import signature
    from tradewind_workload.train.training import logits

    assert spec.recipe is not None and spec.data is not None
    model.eval()
    content = to_onnx(model, prepared.row_shape, len(prepared.labels))
    _, judging = judging_part(prepared)
    rows = judging.load()
    inputs, outputs = (map(Tensor.read, of) for of in signature(onnx.load_from_string(content)))
    taken = _as_users_know(next(inputs), spec.data, prepared.columns)
    made = Made(
        content,
        {WEIGHTS: save({k: v.contiguous() for k, v in model.state_dict().items()})},
        (taken,),
        tuple(outputs),
        {taken.name: rows},
        softmax(logits(model, rows)),
        lambda session: golden(session, rows, judging.classes, taken),
    )
    return _store(job, spec, prepared, made, folder)


def export_table(
    job: JobDocument,
    spec: TrainingJobSpec,
    prepared: Prepared,
    model: TabularModel,
    expected: np.ndarray,
    folder: Path,
) -> str:
    """The same of a model that takes columns by name.

    `expected` are the probabilities, float32 [n, classes], that the library which trained it gives for the rows that
    judge it.
    """
    from tradewind_workload.export.samples import golden_by_name

    _, judging = judging_part(prepared)
    table = judging.table()
    feeds = model.feeds(table)
    made = Made(
        model.onnx,
        model.weights,
        tuple(Tensor.read(asdict(column)) for column in model.inputs),
        tuple(Tensor.read(asdict(output)) for output in model.outputs),
        feeds,
        expected,
        lambda session: golden_by_name(session, table, feeds, judging.classes),
    )
    return _store(job, spec, prepared, made, folder)


@dataclass(frozen=True)
class Made:
    """A model that is to be stored, and what it is checked with."""

    onnx: bytes
    weights: dict[str, bytes]  # files beside it
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    feeds: dict[str, np.ndarray]  # the rows that judge it, by input
    expected: np.ndarray  # their probabilities, float32 [n, classes]
    golden: Callable[[onnxruntime.InferenceSession], bytes | None]


def _store(job: JobDocument, spec: TrainingJobSpec, prepared: Prepared, made: Made, folder: Path) -> str:
    from tradewind_workload.export.inference import open_session, predict_by_name

    assert spec.recipe is not None and spec.data is not None
    with Draft.begin(folder) as draft:
        draft.write(ONNX, made.onnx)
        for name, content in made.weights.items():
            draft.write(name, content)
        session = open_session(draft.folder / ONNX)
        served = predict_by_name(session, made.feeds)
        _require_expected(made.expected, served, str(draft.folder / ONNX))
        metrics, evaluation = evaluate(prepared, spec.recipe, served.probabilities)
        print(
            f"{evaluation.part.lower()}: {evaluation.metric} {evaluation.value} (95 % interval {evaluation.low} to "
            f"{evaluation.high}) on {evaluation.rows} rows; {evaluation.guessing} for always answering "
            f"{evaluation.commonest!r}",
            flush=True,
        )
        if samples := made.golden(session):
            draft.write(SAMPLES, samples)
        manifest = Manifest(
            task=spec.recipe.task,
            inputs=made.inputs,
            outputs=made.outputs,
            labels=prepared.labels,
            metrics=tuple(KeyValue(name=name, value=decimal(value)) for name, value in metrics.items()),
            evaluation=evaluation,
            split=SplitRecord(
                digest=prepared.split_digest,
                training_rows=len(prepared.train),
                validation_rows=len(prepared.validation),
                test_rows=0 if prepared.test is None else len(prepared.test),
            ),
            recipe=spec.recipe.written(),
            data=spec.data.written(),
            lineage=Lineage(kind=job.kind, namespace=job.namespace, name=job.name, uid=job.uid),
            files=files_of(draft),
        )
        return finish(draft, manifest).digest


def _as_users_know(tensor: Tensor, data: Data, columns: tuple[str, ...]) -> Tensor:
    """With the names of a table's columns, and whether a value may be missing."""
    known: dict[str, Any] = {"columns": columns} if columns else {}
    if any(step.impute for step in data.prepare):
        known["nullable"] = True
    return tensor.model_copy(update=known)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities of logits, float32 [n, classes]."""
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))


def require_same(expected_logits: np.ndarray, probabilities: np.ndarray, where: str) -> None:
    """Raises RuntimeError where the exported model differs from torch."""
    _require_close(softmax(expected_logits), probabilities, where)


def _require_expected(expected: np.ndarray, served: Predictions, where: str) -> None:
    _require_close(expected, served.probabilities, where)
    if not np.array_equal(served.label, served.probabilities.argmax(1)):
        raise RuntimeError(f"{where} names a class that is not its most probable one: the export is wrong")


def _require_close(expected: np.ndarray, probabilities: np.ndarray, where: str) -> None:
    off = float(np.abs(expected - probabilities).max())
    if not off <= TOLERANCE:
        raise RuntimeError(f"{where} differs from the trained model by {off:.2e} in a probability: the export is wrong")
