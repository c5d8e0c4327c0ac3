"""The finished model of a recipe: exported, compared with torch, judged, and written with its manifest."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from tradewind.api.artefact import Lineage, Manifest, Unused
from tradewind_workload.data.layout import IS_INDEX, is_index
from tradewind_workload.heads.answer import Answer, Value, undecided
from tradewind_workload.io.artefacts import Draft
from tradewind_workload.io.fault import Fault
from tradewind_workload.io.files import ONNX, SAMPLES
from tradewind_workload.io.store import files_of, finish
from tradewind_workload.report.columns import IS_LABEL, IS_SPLIT
from tradewind_workload.train import cluster
from tradewind_workload.train.judging import answer_of, evaluate, judging_part, split_of, written
from tradewind_workload.train.reporting import report_files

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import Literal

    import onnxruntime

    from tradewind.api.report import JobDocument
    from tradewind.api.trainingjob import TrainingJobSpec
    from tradewind_workload.data.preparation import Prepared
    from tradewind_workload.data.rows import Rows
    from tradewind_workload.tasks.family import Model
    from tradewind_workload.train.reporting import Course

# Largest difference, of a probability or as a part of a value, between what was trained and the exported model.
TOLERANCE = 1e-4
UNUSED = 1000  # columns that a manifest names at most


@dataclass(frozen=True)
class Trained:
    """A model that is to be stored."""

    model: Model
    # Probabilities, float32 [n, classes or labels], or values, float32 [n], that the library which trained it gives for
    # the rows that judge it.
    expected: np.ndarray
    course: Course


def store(job: JobDocument, spec: TrainingJobSpec, prepared: Prepared, trained: Trained, folder: Path) -> str:
    """Write the model's folder, load it back, compare it with what was trained, judge it. Returns the digest."""
    from tradewind_workload.export.inference import open_session
    from tradewind_workload.export.samples import Asked, candidates, golden_of

    assert spec.recipe is not None and spec.data is not None
    part, judging = judging_part(prepared)
    _require_finite(trained.expected, part, judging)
    model, answer = trained.model, answer_of(prepared)
    with Draft.begin(folder) as draft:
        draft.write(ONNX, model.onnx)
        for name, content in model.weights.items():
            draft.write(name, content)
        session = open_session(draft.folder / ONNX, cluster.threads(spec.resources))
        served = _asked(session, model, judging)
        answers = answer.among(served)
        require_same(answer, trained.expected, answers, str(draft.folder / ONNX))
        if (wrong := undecided(served)) is not None:
            raise RuntimeError(f"{draft.folder / ONNX} {wrong}: the export is wrong")
        metrics, evaluation = evaluate(prepared, spec.recipe, answers)
        print(
            f"{evaluation.part.lower()}: {evaluation.metric} {evaluation.value} "
            f"({evaluation.certainty()}) on {evaluation.rows} rows; {evaluation.guessing} for {evaluation.guess()}",
            flush=True,
        )
        some = judging.take(candidates(judging.targets))
        table = some.table()
        asked = Asked(model.feeds(table), lambda chosen: model.instances(table.take(chosen)))
        if samples := golden_of(session, asked, some.targets):
            draft.write(SAMPLES, samples)
        asked_of: dict[Literal["validation", "test"], np.ndarray] = {
            "validation" if prepared.test is None else "test": answers
        }
        if prepared.test is not None:
            asked_of["validation"] = answer.among(_asked(session, model, prepared.validation))
        for name, content in report_files(job, spec, prepared, trained.course, evaluation, asked_of).items():
            draft.write(name, content)
        manifest = Manifest(
            task=spec.recipe.task,
            inputs=model.inputs,
            outputs=model.outputs,
            unused=_unused(prepared, spec, trained.course.became),
            labels=prepared.labels,
            metrics=written(metrics),
            evaluation=evaluation,
            split=split_of(prepared),
            recipe=spec.recipe.written(),
            data=spec.data.written(),
            lineage=Lineage(kind=job.kind, namespace=job.namespace, name=job.name, uid=job.uid),
            files=files_of(draft),
        )
        return finish(draft, manifest).digest


def _unused(prepared: Prepared, spec: TrainingJobSpec, became: Mapping[str, str]) -> tuple[Unused, ...]:
    """Columns of the training data that the model takes nothing of, and why; `became` is that of a Course."""
    schema = prepared.seen
    if schema is None:
        return ()
    left_out = set[str]()
    inputs = {column.name for column in schema.inputs}  # what divides the rows may be one
    found = {label.name: IS_LABEL for label in schema.labels}
    if schema.split is not None and schema.split.name not in inputs:
        found[schema.split.name] = IS_SPLIT
    unclear = {column.name for column in schema.inputs if column.unclear}
    for name, words in sorted(became.items(), key=lambda column: column[0] not in unclear):  # what can be mended first
        _, nothing, why = words.rpartition("nothing: ")
        if nothing:
            found[name] = why
            left_out.add(name)
    found |= _unread([name for name in prepared.header if name not in inputs and name not in found], spec)
    left_out |= {name for name, why in found.items() if why == IS_INDEX}
    return tuple(Unused(name=name, why=why, left_out=name in left_out) for name, why in islice(found.items(), UNUSED))


def _unread(names: Sequence[str], spec: TrainingJobSpec) -> dict[str, str]:
    """Why columns are none of those that the model was to learn from."""
    assert spec.recipe is not None and spec.data is not None
    ignored = {choice.name for choice in spec.data.columns if choice.type == "ignore"}
    texts = spec.recipe.task.startswith("text-")
    other = f"the model takes {'texts' if texts else 'pictures'} alone"
    if spec.data.inputs:
        other = "spec.data.inputs does not name it"
    found = dict.fromkeys(names, other)
    found |= {name: IS_INDEX for name in names if is_index(name) and not spec.data.inputs}
    return found | {name: "spec.data.columns says to ignore it" for name in names if name in ignored}


def _require_finite(expected: np.ndarray, part: str, judging: Rows) -> None:
    """Raises Fault(InvalidData) for rows to which the model gives no number: as a class, NaN would be the first one."""
    bad = np.flatnonzero(~np.isfinite(expected).reshape(len(expected), -1).all(1))
    if len(bad):
        raise Fault(
            "InvalidData",
            f"the model gives no finite number for {len(bad)} {part.lower()} rows (the first is "
            f"{judging.take(bad[:1]).places()[0]}): they have values far larger than those of the training rows. "
            "Correct or remove them.",
        )


def _asked(session: onnxruntime.InferenceSession, model: Model, rows: Rows) -> dict[str, np.ndarray]:
    """All outputs by name, for the rows, of which those of a block are in memory at a time."""
    from tradewind_workload.export.inference import ask_by_length, joined

    return joined(ask_by_length(session, model.feeds(some.table())) for some in rows.by_block())


def require_same(answer: Answer, expected: np.ndarray, served: np.ndarray, where: str) -> None:
    """Raises RuntimeError where the exported model's answers differ from those of what was trained."""
    if not isinstance(answer, Value):
        off, what = np.abs(expected - served).max(), "in a probability"
    else:  # a value as a part of itself, or of the spread of the labels where that is more
        off, what = (np.abs(expected - served) / (np.abs(expected) + answer.deviation)).max(), "of a value"
    if not off <= TOLERANCE:
        raise RuntimeError(f"{where} differs from the trained model by {off:.2e} {what}: the export is wrong")
