"""The finished model of a recipe: exported, compared with torch, judged, and written with its manifest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tradewind.api.artefact import Lineage, Manifest, SplitRecord, Tensor
from tradewind.api.base import KeyValue
from tradewind_workload.io.artefacts import Draft
from tradewind_workload.io.files import ONNX, SAMPLES, WEIGHTS
from tradewind_workload.io.store import files_of, finish
from tradewind_workload.train.judging import decimal, evaluate, judging_part

if TYPE_CHECKING:
    from pathlib import Path

    from tradewind.api.data import Data
    from tradewind.api.report import JobDocument
    from tradewind.api.trainingjob import TrainingJobSpec
    from tradewind_workload.data.preparation import Prepared

TOLERANCE = 1e-4  # largest difference of a probability between torch and the exported model


def export(job: JobDocument, spec: TrainingJobSpec, prepared: Prepared, model: Any, folder: Path) -> str:
    """Write the model's folder, load it back, compare it with torch, judge it. Returns the digest."""
    import onnx
    from safetensors.torch import save

    from tradewind_workload.export.inference import open_session, predict
    from tradewind_workload.export.onnx_export import to_onnx
    from tradewind_workload.export.samples import golden
    from tradewind_workload.export.signature import signature
    from tradewind_workload.train.training import logits

    assert spec.recipe is not None and spec.data is not None
    model.eval()
    content = to_onnx(model, prepared.row_shape, len(prepared.labels))
    part, judging = judging_part(prepared)
    rows = judging.load()
    with Draft.begin(folder) as draft:
        draft.write(ONNX, content)
        draft.write(WEIGHTS, save({k: v.contiguous() for k, v in model.state_dict().items()}))
        session = open_session(draft.folder / ONNX)
        served = predict(session, rows)
        require_same(logits(model, rows), served.probabilities, str(draft.folder / ONNX))
        metrics, evaluation = evaluate(prepared, spec.recipe, served.probabilities)
        print(
            f"{part.lower()}: {evaluation.metric} {evaluation.value} (95 % interval {evaluation.low} to "
            f"{evaluation.high}) on {evaluation.rows} rows; {evaluation.guessing} for always answering "
            f"{evaluation.commonest!r}",
            flush=True,
        )
        inputs, outputs = (map(Tensor.read, of) for of in signature(onnx.load_from_string(content)))
        taken = _as_users_know(next(inputs), spec.data, prepared.columns)
        if samples := golden(session, rows, judging.classes, taken):
            draft.write(SAMPLES, samples)
        manifest = Manifest(
            task=spec.recipe.task,
            inputs=(taken,),
            outputs=tuple(outputs),
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


def require_same(expected_logits: np.ndarray, probabilities: np.ndarray, where: str) -> None:
    """Raises RuntimeError where the exported model differs from torch."""
    shifted = np.exp(expected_logits - expected_logits.max(axis=1, keepdims=True))
    expected = shifted / shifted.sum(axis=1, keepdims=True)
    off = float(np.abs(expected - probabilities).max())
    if not off <= TOLERANCE:
        raise RuntimeError(
            f"{where} differs from the trained network by {off:.2e} in a probability: the export is wrong"
        )
