"""A TrainingJob with a recipe: the driver prepares the data and starts the workers, of which the first exports the
model."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tradewind.api.report import JobDocument, Report
from tradewind.api.trainingjob import LEFT_OUT, LeftOut, ModelResult, Recipe, TrainingJobSpec
from tradewind_workload.data.headers import read_headers
from tradewind_workload.data.preparation import prepare
from tradewind_workload.io.artefacts import Stored, address, point, require_writable
from tradewind_workload.io.document import training_spec
from tradewind_workload.io.fault import Fault
from tradewind_workload.io.files import ONNX, REPORT_PAGE, remove
from tradewind_workload.io.places import checkpoint_folder, local_path, stream_folder
from tradewind_workload.io.store import find
from tradewind_workload.train import cluster, families
from tradewind_workload.train.judging import require_measurable
from tradewind_workload.train.learning import learn
from tradewind_workload.train.streaming import stream_of

if TYPE_CHECKING:
    from pathlib import Path

    from tradewind.api.artefact import Manifest
    from tradewind_workload.data.preparation import Prepared
    from tradewind_workload.tasks.family import Fitted
    from tradewind_workload.train.place import Place, Told
    from tradewind_workload.train.streaming import Stream


def run(job: JobDocument, reporter: Told, place: Place) -> None:
    """Train, export, check, and tell the operator."""
    spec = training_spec(job)
    assert spec.recipe is not None and spec.data is not None
    folder = local_path(spec.output.storage_uri)
    began = time.monotonic()
    if (finished := _finished(folder, job)) is None:
        try:
            _make(job, spec, place, began)
        finally:
            remove(stream_folder(folder, job.uid))
        finished = _finished(folder, job)
        if finished is None:
            raise RuntimeError(f"the model that was just written to {folder} is not there")
    stored, manifest = finished
    point(folder, stored)
    uri = address(spec.output.storage_uri, folder, stored.folder)
    reporter.final(Report(model=_result(uri, stored, manifest)).written())
    remove(checkpoint_folder(folder, job.uid))  # the operator has the result: no further attempt needs them


def _make(job: JobDocument, spec: TrainingJobSpec, place: Place, began: float) -> None:
    """Prepare the data, train, and store the model; `began` is when the job began, as time.monotonic has it."""
    assert spec.recipe is not None and spec.data is not None
    _require_supported(spec, spec.recipe)
    # Most mistakes show here, before anything is started.
    headers = read_headers(spec.data, spec.recipe.task, families.takes(spec.recipe))
    families.require_taken(headers, spec.recipe)
    require_writable(local_path(spec.output.storage_uri))
    tables = place.start(spec.workers)
    print(f"preparing {spec.data.train.storage_uri}", flush=True)
    rows = stream_folder(local_path(spec.output.storage_uri), job.uid)
    room = cluster.room(spec.resources.memory, "spec.resources.memory", rows, families.side(spec.recipe))
    prepared = families.trimmed(prepare(spec.data, headers, spec.recipe.seed, tables, room), spec.data)
    for note in (*prepared.notes, *require_measurable(prepared, spec.recipe)):
        print(note, flush=True)
    fitted = families.fit(prepared, spec.recipe, spec.data)
    for note in fitted.notes:
        print(note, flush=True)
    prepared = families.encoded(prepared, fitted)
    named = "labels" if prepared.several else "classes"
    test = f"{len(prepared.test)} test rows, " if prepared.test is not None else ""
    print(
        f"{len(prepared.train)} training rows, {len(prepared.validation)} validation rows, {test}"
        f"{f'{len(prepared.labels)} {named}, ' if prepared.labels else ''}"
        f"shape {list(prepared.row_shape)}",
        flush=True,
    )
    stream = stream_of(prepared, place.processes(spec), spec.recipe.seed, rows)
    _train(job, spec, Ready(prepared, fitted, stream, time.monotonic() - began), place)


def _finished(folder: Path, job: JobDocument) -> tuple[Stored, Manifest] | None:
    """The model of this very object: after its training, or where an earlier attempt only could not tell."""
    return find(folder, lambda manifest: manifest.lineage is not None and manifest.lineage.uid == job.uid)


def _result(uri: str, stored: Stored, manifest: Manifest) -> ModelResult:
    left_out = [column for column in manifest.unused if column.left_out]
    return ModelResult(
        storage_uri=uri,
        digest=stored.digest,
        metrics=manifest.metrics,
        primary_metric=manifest.evaluation.metric if manifest.evaluation is not None else None,
        evaluation=manifest.evaluation,
        size_bytes=manifest.files[ONNX].size_bytes,
        report_uri=f"{uri}/{REPORT_PAGE}" if REPORT_PAGE in manifest.files else None,
        left_out=tuple(LeftOut(name=column.name[:256], why=column.why[:512]) for column in left_out[:LEFT_OUT]) or None,
    )


def _require_supported(spec: TrainingJobSpec, recipe: Recipe) -> None:
    processes = cluster.processes(spec.workers, spec.resources)
    if spec.resources.topology is not None:
        raise Fault(
            "NotSupported", "a recipe trains on CPUs and GPUs: use a pool without TPUs, or an entrypoint with JAX."
        )
    if recipe.batch_size < processes:
        raise Fault(
            "NotSupported",
            f"spec.recipe.batchSize is {recipe.batch_size} for {processes} workers together: give each at least one "
            "row per step.",
        )
    if recipe.precision != "fp32" and not spec.resources.accelerators:
        raise Fault(
            "NotSupported",
            f"{recipe.precision} is for GPUs: set spec.resources.accelerators, or leave spec.recipe.precision out.",
        )
    if recipe.model.architecture == "trees" and (spec.workers > 1 or spec.resources.accelerators):
        raise Fault(
            "NotSupported",
            "trees are grown by one worker on CPUs: set spec.workers to 1, leave out spec.resources.accelerators, and "
            "give it more CPUs (spec.resources.cpu).",
        )


@dataclass(frozen=True)
class Ready:
    """All that the workers start with."""

    prepared: Prepared
    fitted: Fitted
    stream: Stream | None  # what they read, where the training rows are not held in memory
    seconds: float  # that the preparation took


def _train(job: JobDocument, spec: TrainingJobSpec, ready: Ready, place: Place) -> None:
    from tradewind_workload.train.boosting import grow

    assert spec.recipe is not None
    config = {
        "job": job.dump(),
        "prepared": ready.prepared,
        "fitted": ready.fitted,
        "stream": ready.stream,
        "threads": cluster.threads(spec.resources),
        "seconds": {"prepare the data": ready.seconds},
        "asked": time.time(),
    }
    place.train(grow if spec.recipe.model.architecture == "trees" else learn, config, job)
