"""A CompressionJob from its source model to its report. Variants that an earlier attempt finished are taken over."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tradewind.api.compressionjob import CompressionResult
from tradewind.api.job import CheckpointRecord, TrainerStatus
from tradewind.api.report import Report
from tradewind_workload.compress.candidates import Workshop
from tradewind_workload.compress.comparing import Comparing
from tradewind_workload.compress.judged import Parts
from tradewind_workload.compress.measuring import Measuring, gpus
from tradewind_workload.compress.model import Context
from tradewind_workload.compress.rows import BASELINE, judge_all
from tradewind_workload.compress.source import open_source
from tradewind_workload.compress.storing import Storage, Stored
from tradewind_workload.io.document import compression_spec
from tradewind_workload.io.fault import Fault
from tradewind_workload.io.files import ONNX, remove
from tradewind_workload.io.places import local_path, stream_folder
from tradewind_workload.io.reporter import rfc3339
from tradewind_workload.measure.figures import Replica
from tradewind_workload.measure.page import Bounded, Part, write_report
from tradewind_workload.measure.processor import processor
from tradewind_workload.measure.verdict import measured_metric, most_lost
from tradewind_workload.train.judging import metric_of

if TYPE_CHECKING:
    import numpy as np

    from tradewind.api.compressionjob import CompressionJobSpec
    from tradewind.api.report import JobDocument
    from tradewind_workload.compress.judged import Judged
    from tradewind_workload.compress.source import Source
    from tradewind_workload.train.place import Place, Told


def run(job: JobDocument, reporter: Told, place: Place) -> None:
    """Make, measure and judge the variants, write the report, and tell the operator."""
    spec = compression_spec(job)
    try:
        reporter.final(Report(compression=_made(job, spec, reporter, place)).written())
    finally:
        remove(stream_folder(local_path(spec.output.storage_uri), job.uid))


def _made(job: JobDocument, spec: CompressionJobSpec, reporter: Told, place: Place) -> CompressionResult:
    source = open_source(job, spec, place)
    cpu = processor()
    hardware = "; ".join(filter(None, (gpus(spec), str(cpu))))[:256]
    print(f"measuring on {hardware}", flush=True)
    parts = Parts.of(source)
    judged, shown = parts.judged, parts.shown
    progress = _Progress(reporter, 2 * len(spec.candidates) + 2)
    storage = Storage(job, spec, Workshop(Context(source, cpu, spec.measure.threads)), parts)

    before = storage.answers(source.folder / ONNX)
    # Before hours of work: what is bounded must be measured at all.
    of_shown = _known(source, before.shown, shown)
    known = tuple(name for name in _known(source, before.judged, judged) if name in of_shown)
    metric = source.head.metric(measured_metric(spec.goals, known))
    stored = [Stored(BASELINE, (), source.folder, source.uri, source.digest, answers=before)]
    value = metric_of(metric.measure(before.judged, judged.targets))
    print(f"baseline: {metric.name} {value} on {judged}, which judge", flush=True)
    if shown is not judged:
        value = metric_of(metric.measure(before.shown, shown.targets))
        print(f"baseline: {metric.name} {value} on {shown}, by which nothing is chosen", flush=True)
    progress.step(0)
    for number, candidate in enumerate(spec.candidates, 1):
        stored.append(storage.store(candidate))
        progress.step(number)

    comparing = Comparing(source, parts, metric, before)
    stored, measured = Measuring(spec, source.manifest, judged, comparing).measure(stored, progress.step)
    variants = judge_all(stored, measured, spec, metric, job.price_per_hour)
    for variant in variants:
        print(f"{variant.name}: {variant.verdict}: {variant.reason}", flush=True)
    result = CompressionResult(variants=variants, report_uri=spec.output.storage_uri, processor=hardware)
    quality = measured[BASELINE].judged
    said = Bounded(
        Part(judged.part, len(judged)),
        Part(shown.part, len(shown)),
        metric.higher_is_better,
        float(most_lost(spec.goals, quality.baseline, metric).most),
        quality.least,
    )
    curves = {name: found.figures.sweep for name, found in measured.items() if isinstance(found.figures, Replica)}
    write_report(local_path(spec.output.storage_uri), job, spec, result, source.digest, said, curves)
    return result


def _known(source: Source, answers: np.ndarray, part: Judged) -> tuple[str, ...]:
    """The metrics that a part has, the model's own first. Raises Fault(InvalidData) where it lacks that."""
    known = tuple(source.head.measured(answers, part.targets, source.primary))
    if source.primary not in known:
        lack = "none of them has a label" if source.prepared.several else "they all have the same label"
        raise Fault(
            "InvalidData",
            f"the model is judged by {source.primary}, and the {part} have none, as {lack}: add rows with other "
            "labels to spec.data.",
        )
    return known


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
