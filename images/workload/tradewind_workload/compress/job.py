"""A CompressionJob from its source model to its report. Variants that an earlier attempt finished are taken over."""

from __future__ import annotations

import time
import traceback
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import onnx

from tradewind.api.artefact import File, Lineage, Manifest, Tensor
from tradewind.api.base import KeyValue
from tradewind.api.bounds import MeasuredLatency, MeasuredQuality
from tradewind.api.compressionjob import (
    Candidate,
    CompressionJobSpec,
    CompressionResult,
    MeasuredOn,
    SpeedUp,
    Variant,
)
from tradewind.api.job import CheckpointRecord, TrainerStatus
from tradewind.api.report import JobDocument, Report
from tradewind_workload.compress.candidates import Made, Workshop, seed_of, told
from tradewind_workload.data.headers import read_headers
from tradewind_workload.data.preparation import Prepared, prepare
from tradewind_workload.export.inference import Predictions, open_session, predict
from tradewind_workload.export.samples import TOLERANCE, TOLERANCE_8_BITS, golden
from tradewind_workload.export.signature import signature
from tradewind_workload.heads.classification import log_loss
from tradewind_workload.io.artefacts import Draft, address, point
from tradewind_workload.io.document import compression_spec
from tradewind_workload.io.fault import Fault
from tradewind_workload.io.files import ONNX, SAMPLES, WEIGHTS
from tradewind_workload.io.places import local_path
from tradewind_workload.io.reporter import rfc3339
from tradewind_workload.io.store import data_of, files_of, find, finish, locate, open_model
from tradewind_workload.measure.measurement import Figures, measure
from tradewind_workload.measure.page import write_report
from tradewind_workload.measure.processor import processor
from tradewind_workload.measure.verdict import METRICS, Measured, frontier, judge, judge_baseline, lost, measured_metric
from tradewind_workload.train.judging import decimal

if TYPE_CHECKING:
    from pathlib import Path

    from tradewind_workload.train.place import Place, Told

BASELINE = "baseline"
PERCENTILES = (50, 95, 99)  # of the latency


@dataclass(frozen=True)
class Stored:
    """A variant in the store, or why there is none."""

    name: str
    methods: tuple[str, ...]
    folder: Path | None
    uri: str
    digest: str | None
    failure: str | None = None
    accuracy: float = 0.0


def run(job: JobDocument, reporter: Told, place: Place) -> None:
    """Make, measure and judge the variants, write the report, and tell the operator."""
    spec = compression_spec(job)
    if job.source is None:
        raise Fault("InvalidModel", "the job names no model: set spec.model.")
    measured_metric(spec.goals)  # before hours of work: what it asks for must be measured at all
    named = local_path(job.source.storage_uri)
    source, expected = locate(named, job.source.digest)
    manifest, digest = open_model(source, expected)
    _require_classifier(manifest, source)
    data = spec.data or data_of(manifest, source)
    if data is None:
        raise Fault("InvalidData", "the model does not say what data it was trained on: set spec.data.")
    task = "image-classification" if manifest.task == "image-classification" else "tabular-classification"
    headers = read_headers(data, task)
    cpu = processor()
    print(f"measuring on {cpu}", flush=True)
    prepared = prepare(data, headers, seed_of(manifest), place.start(1))
    train_classes, classes = _same_labels(manifest, prepared)
    rows = prepared.validation.load()
    progress = _Progress(reporter, 2 * len(spec.candidates) + 2)

    workshop = Workshop(source, manifest, prepared, train_classes, cpu, spec.measure.threads)
    before = predict(open_session(source / ONNX, spec.measure.threads), rows)
    uri = address(job.source.storage_uri, named, source)
    stored = [Stored(BASELINE, (), source, uri, digest, accuracy=before.accuracy(classes))]
    print(f"baseline: accuracy {stored[0].accuracy:.4f} on {len(rows)} validation rows", flush=True)
    progress.step(0)
    for number, candidate in enumerate(spec.candidates, 1):
        stored.append(_store(job, spec, candidate, workshop, manifest, digest, rows, classes))
        progress.step(number)

    whole = [variant for variant in stored if variant.folder is not None]
    figures = measure(
        [found.folder / ONNX for found in whole if found.folder is not None], rows, spec.measure, progress.step
    )
    measured = {
        variant.name: Measured(variant.accuracy, (variant.folder / ONNX).stat().st_size, found)
        for variant, found in zip(whole, figures, strict=True)
        if variant.folder is not None
    }
    variants = judge_all(stored, measured, spec, job.price_per_hour)
    for variant in variants:
        print(f"{variant.name}: {variant.verdict}: {variant.reason}", flush=True)
    result = CompressionResult(variants=variants, report_uri=spec.output.storage_uri, processor=str(cpu)[:256])
    write_report(local_path(spec.output.storage_uri), job, spec, result, digest, len(rows))
    reporter.final(Report(compression=result).written())


def _require_classifier(manifest: Manifest, source: Path) -> None:
    if any(tensor.processor is not None for tensor in manifest.inputs):
        raise Fault(
            "NotSupported",
            f"{source / ONNX} takes texts or pictures as users send them, and only a model with one matrix of numbers "
            "can be compressed. Deploy it as it is (spec.model.storageUri or spec.model.trainingJobRef of a "
            "ModelDeployment).",
        )
    if columns := [tensor.name for tensor in manifest.inputs if tensor.kind is not None]:
        raise Fault(
            "NotSupported",
            f"{source / ONNX} takes its columns one by one ({', '.join(columns[:12])}), and only a model with one "
            "matrix of numbers can be compressed. Deploy it as it is; or train a linear model or an mlp on columns of "
            "numbers alone (spec.data.inputs), with impute or dropNulls in spec.data.prepare where values are missing.",
        )
    names = {tensor.name for tensor in manifest.outputs}
    if not {"label", "probabilities"} <= names or len(manifest.inputs) != 1:
        raise Fault(
            "NotSupported",
            f"{source / ONNX} has the outputs {', '.join(sorted(names))}: a model to compress needs one input and "
            "the outputs label and "
            "probabilities, as a recipe's model has.",
        )


def _same_labels(manifest: Manifest, prepared: Prepared) -> tuple[np.ndarray, np.ndarray]:
    """Classes of the training and the validation rows by the model's own labels."""
    if tuple(manifest.inputs[0].shape[1:]) != prepared.row_shape:
        raise Fault(
            "InvalidData",
            f"a row of the data has the shape {list(prepared.row_shape)}, and the model takes "
            f"{list(manifest.inputs[0].shape[1:])}: "
            "give spec.data the data that the model is for.",
        )
    index = {label: i for i, label in enumerate(manifest.labels)}
    if unknown := [label for label in prepared.labels if label not in index]:
        raise Fault(
            "InvalidData",
            f"the data has labels that the model does not know ({', '.join(unknown[:5])}): correct spec.data.",
        )
    into = np.array([index[label] for label in prepared.labels], np.int64)
    return into[prepared.train.targets], into[prepared.validation.targets]


def _store(
    job: JobDocument,
    spec: CompressionJobSpec,
    candidate: Candidate,
    workshop: Workshop,
    source: Manifest,
    source_digest: str,
    rows: np.ndarray,
    classes: np.ndarray,
) -> Stored:
    """Make a variant, write it, load it back and see that it gives the same outputs; or take over a finished one."""
    uri = f"{spec.output.storage_uri}/{candidate.name}"
    output = local_path(uri)
    words = told(candidate.methods, workshop.processor)
    started = time.monotonic()
    try:
        finished = find(output, lambda made: _is_same(made, job, source_digest, (*source.methods, *words)))
        if finished is not None:
            model, _ = finished
            accuracy = predict(open_session(model.folder / ONNX, spec.measure.threads), rows).accuracy(classes)
            point(output, model)
            print(f"{candidate.name}: finished by an earlier attempt", flush=True)
            where = address(uri, output, model.folder)
            return Stored(candidate.name, words, model.folder, where, model.digest, accuracy=accuracy)
        made = workshop.make(candidate)
        expected = predict(open_session(made.onnx, spec.measure.threads), rows)
        with Draft.begin(output) as draft:
            draft.write(ONNX, made.onnx)
            if made.weights is not None:
                draft.write(WEIGHTS, made.weights)
            session = open_session(draft.folder / ONNX, spec.measure.threads)
            loaded = predict(session, rows)
            if not _equal(expected, loaded):
                raise RuntimeError("the file gives other outputs than the model that was written")
            accuracy = loaded.accuracy(classes)
            tolerance = TOLERANCE_8_BITS if any(method.quantize for method in candidate.methods) else TOLERANCE
            if samples := golden(session, rows, classes, source.inputs[0], tolerance):
                draft.write(SAMPLES, samples)
            files = files_of(draft)
            manifest = _manifest(job, made, source, source_digest, words, loaded, accuracy, classes, files)
            model = finish(draft, manifest)
        point(output, model)
    except Fault as fault:
        if fault.reason == "StorageFailed":
            raise
        return Stored(candidate.name, words, None, uri, None, failure=fault.message)
    except Exception as error:  # noqa: BLE001 -- one candidate that can't be made is a row of the report, not the end of the job
        traceback.print_exc()
        return Stored(
            candidate.name, words, None, uri, None, failure=f"could not be made: {' '.join(str(error).split())[:500]}"
        )
    print(f"{candidate.name}: made in {time.monotonic() - started:.1f} s, accuracy {accuracy:.4f}", flush=True)
    where = address(uri, output, model.folder)
    return Stored(candidate.name, words, model.folder, where, model.digest, accuracy=accuracy)


def _equal(one: Predictions, other: Predictions) -> bool:
    return bool(np.array_equal(one.label, other.label) and np.array_equal(one.probabilities, other.probabilities))


def _is_same(found: Manifest, job: JobDocument, source_digest: str, methods: tuple[str, ...]) -> bool:
    """Whether this object made that variant, from this very model, by these methods."""
    lineage = found.lineage
    return lineage is not None and (lineage.uid, lineage.source_digest, found.methods) == (
        job.uid,
        source_digest,
        methods,
    )


def _manifest(
    job: JobDocument,
    made: Made,
    source: Manifest,
    source_digest: str,
    words: tuple[str, ...],
    predictions: Predictions,
    accuracy: float,
    classes: np.ndarray,
    files: dict[str, File],
) -> Manifest:
    inputs, outputs = (map(Tensor.read, of) for of in signature(onnx.load_from_string(made.onnx)))
    return Manifest(
        task=source.task,
        inputs=tuple(_as_source(tensor, source.inputs) for tensor in inputs),
        outputs=tuple(_as_source(tensor, source.outputs) for tensor in outputs),
        labels=source.labels,
        metrics=(
            KeyValue(name=METRICS[0], value=decimal(accuracy)),
            KeyValue(name="log_loss", value=decimal(log_loss(predictions.probabilities, classes))),
        ),
        methods=(*source.methods, *words),
        recipe=made.recipe,
        data=source.data,
        lineage=Lineage(
            kind=job.kind, namespace=job.namespace, name=job.name, uid=job.uid, source_digest=source_digest
        ),
        files=files,
    )


def _as_source(tensor: Tensor, source: tuple[Tensor, ...]) -> Tensor:
    """As the source's manifest describes it, with what no ONNX file says: columns, units, what may be missing."""
    for known in source:
        if (known.name, known.datatype, known.shape) == (tensor.name, tensor.datatype, tensor.shape):
            return known
    return tensor


def judge_all(
    stored: list[Stored], measured: dict[str, Measured], spec: CompressionJobSpec, price_per_hour: str | None
) -> tuple[Variant, ...]:
    """The rows of the report, the baseline first."""
    baseline, where, metric = measured[BASELINE], spec.measure.resources, measured_metric(spec.goals)
    names = [variant.name for variant in stored if variant.name in measured]
    best = dict(zip(names, frontier([measured[name] for name in names]), strict=True))
    rows = []
    for variant in stored:
        if (found := measured.get(variant.name)) is None:
            rows.append(
                Variant(
                    name=variant.name,
                    methods=_cut(variant.methods),
                    verdict="Failed",
                    reason=(variant.failure or "could not be made")[:1024],
                )
            )
            continue
        verdict, reason = (
            judge_baseline(found, spec.goals) if variant.name == BASELINE else judge(found, baseline, spec.goals)
        )
        rows.append(
            Variant(
                name=variant.name,
                methods=_cut(variant.methods),
                verdict=verdict,
                reason=reason,
                quality=MeasuredQuality(
                    metric=metric,
                    value=decimal(found.accuracy),
                    loss=decimal(float(lost(found, baseline))),
                ),
                latencies=tuple(
                    MeasuredLatency(percentile=percentile, milliseconds=decimal(found.figures.latency(percentile), 4))
                    for percentile in PERCENTILES
                ),
                throughput_per_second=decimal(found.figures.throughput, 1),
                size_bytes=found.size,
                peak_memory_bytes=found.figures.peak_memory,
                cost_per_million=cost_per_million(found.figures, price_per_hour),
                speedup=SpeedUp(
                    value=decimal(found.figures.speedup, 3),
                    low=decimal(found.figures.low, 3),
                    high=decimal(found.figures.high, 3),
                ),
                pareto=best[variant.name],
                storage_uri=variant.uri,
                digest=variant.digest,
                measured_on=MeasuredOn(
                    pool=where.pool, cpu=where.cpu, memory=where.memory, accelerators=where.accelerators
                ),
            )
        )
    return tuple(rows)


def _cut(methods: tuple[str, ...]) -> str:
    return (" + ".join(methods) or "none")[:256]


def cost_per_million(figures: Figures, price_per_hour: str | None) -> str:
    """Price of a million rows at the best throughput, on the pod that measured; Unknown without a price."""
    if price_per_hour is None or price_per_hour == "Unknown":
        return "Unknown"
    return decimal(float(price_per_hour) / 3600 / figures.throughput * 1e6, 9)


class _Progress:
    """Each variant made and each variant measured is a step."""

    def __init__(self, reporter: Told, steps: int) -> None:
        self._reporter = reporter
        self._steps = steps
        self._done = 0
        self._started = time.monotonic()
        self._checkpoint: CheckpointRecord | None = None
        self._speak()

    def step(self, variants: int | None = None) -> None:
        """One more step; `variants` are then in the store."""
        self._done += 1
        if variants:
            self._checkpoint = CheckpointRecord(step=variants, time=rfc3339(datetime.now(UTC)))
        self._speak()

    def _speak(self) -> None:
        left = (
            round((time.monotonic() - self._started) / self._done * (self._steps - self._done)) if self._done else None
        )
        status = TrainerStatus(
            progress_percentage=min(99, 100 * self._done // self._steps),
            estimated_remaining_seconds=left,
            last_updated_time=rfc3339(),
        )
        self._reporter.progress(Report(trainer_status=status, last_checkpoint=self._checkpoint).written())
