"""A TrainingJob with a recipe: the driver prepares the data and starts the workers, of which the first exports the
model."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from tradewind.api.base import Model
from tradewind.api.report import JobDocument, Report
from tradewind.api.trainingjob import ModelResult, Recipe, TrainingJobSpec
from tradewind_workload.data.headers import read_headers
from tradewind_workload.data.preparation import prepare
from tradewind_workload.heads.answer import Labels, Value
from tradewind_workload.heads.multilabel import MultiLabel
from tradewind_workload.heads.regression import Regression
from tradewind_workload.io.artefacts import Stored, address, point
from tradewind_workload.io.document import training_spec
from tradewind_workload.io.fault import Fault
from tradewind_workload.io.files import ONNX, REPORT_PAGE, remove
from tradewind_workload.io.places import checkpoint_folder, local_path, stream_folder
from tradewind_workload.io.store import find
from tradewind_workload.train import cluster, families
from tradewind_workload.train.history import History, curve
from tradewind_workload.train.judging import answer_of, head_of, judging_part, require_measurable
from tradewind_workload.train.streaming import rows_of, stream_of
from tradewind_workload.train.voice import Voice

if TYPE_CHECKING:
    from pathlib import Path

    from tradewind.api.artefact import Manifest
    from tradewind_workload.data.preparation import Prepared
    from tradewind_workload.heads.answer import Answer
    from tradewind_workload.heads.head import Head
    from tradewind_workload.tasks.family import Fitted
    from tradewind_workload.train.place import Place, Told
    from tradewind_workload.train.streaming import Stream
    from tradewind_workload.train.training import Loss


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
    return ModelResult(
        storage_uri=uri,
        digest=stored.digest,
        metrics=manifest.metrics,
        primary_metric=manifest.evaluation.metric if manifest.evaluation is not None else None,
        evaluation=manifest.evaluation,
        size_bytes=manifest.files[ONNX].size_bytes,
        report_uri=f"{uri}/{REPORT_PAGE}" if REPORT_PAGE in manifest.files else None,
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


def _require_device(recipe: Recipe, spec: TrainingJobSpec, device: str) -> None:
    """In a worker: a GPU that was asked for is there, and has the numbers that were asked for."""
    import torch

    if spec.resources.accelerators and device == "cpu":
        raise Fault(
            "NotSupported",
            f"spec.resources.accelerators asks for {spec.resources.accelerators} GPUs, and PyTorch sees none in the "
            "pod of the worker: check the node's driver and its device plugin, or leave accelerators out.",
        )
    if recipe.precision == "bf16" and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise Fault(
            "NotSupported",
            f"the GPU ({torch.cuda.get_device_name()}) has no bf16: set spec.recipe.precision to fp32, or use a pool "
            "with newer GPUs.",
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
    place.train(grow if spec.recipe.model.architecture == "trees" else work, config, job)


def fingerprint(job: JobDocument, spec: TrainingJobSpec, prepared: Prepared, world: int, fitted: str = "") -> str:
    """What a checkpoint must be of to be restored: this object, these settings, this data, this number of workers, and
    what was fitted besides (`Fitted.written`)."""
    assert spec.recipe is not None and spec.data is not None
    content = json.dumps(
        [
            job.uid,
            _settings(spec.recipe),
            _settings(spec.data),
            world,
            len(prepared.train),
            len(prepared.validation),
            prepared.labels,
            prepared.split_digest,
            prepared.answers_digest,
            *([fitted] if fitted else []),
        ],
        sort_keys=True,
    )
    return hashlib.sha256(content.encode()).hexdigest()


def _settings(part: Model) -> dict[str, Any]:
    """What differs from the defaults: a field that a newer version adds leaves the checkpoints of this one good."""
    return part.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)


def work(config: dict[str, Any]) -> None:
    """What each worker runs for a network."""
    if "alone" in config:  # with a person at a terminal, who would see nothing for seconds
        print("loading PyTorch", flush=True)
    from tradewind_workload.train import allocator, checkpoint, determinism, process_group
    from tradewind_workload.train.beginning import beginning, epochs_of, length
    from tradewind_workload.train.best import Choice
    from tradewind_workload.train.reporting import Course, told_of
    from tradewind_workload.train.result import Trained, store
    from tradewind_workload.train.training import Training, outputs_of
    from tradewind_workload.train.writer import Writer

    started = time.time() - config["asked"]
    determinism.require(config["threads"])
    job = JobDocument.read(config["job"])
    spec = training_spec(job)
    allocator.keep(cluster.memory(spec.resources) // cluster.HELD)
    recipe, prepared, fitted = spec.recipe, config["prepared"], config["fitted"]
    assert recipe is not None
    alone = config.get("alone")
    if alone is not None:
        rank, world, device = 0, 1, alone.device
    else:
        member = config["member"]
        rank, world, device = member.rank, member.world, process_group.join(member)
    _require_device(recipe, spec, device)
    head, answer = head_of(prepared), answer_of(prepared)
    targets = learnt(answer, prepared.validation.targets)
    metric = head.primary(recipe.primary_metric)
    epochs = epochs_of(recipe, len(prepared.train))
    share, held = rows_of(config, recipe.seed, partial(learnt, answer), rank, world)
    training = Training(
        fitted.network(recipe.model, answer.width, recipe.seed),
        recipe,
        share,
        epochs=epochs,
        loss=loss_of(head, recipe, device),
        augment=fitted.augment(),
        mixup=float(prepared.augment.mixup) if prepared.augment is not None else 0.0,
        scaled=fitted.scaled,
        device=device,
    )
    folder = local_path(spec.output.storage_uri)
    checkpoints = checkpoint_folder(folder, job.uid)
    mark = fingerprint(job, spec, prepared, world, fitted.written())
    first, best, history = 0, None, History()
    if (state := checkpoint.restore(checkpoints, mark)) is not None:
        training.restore(state)
        first, best, history = state.epoch, state.best, History(state.laps)
    choice = Choice(metric, recipe.early_stopping.patience if recipe.early_stopping is not None else None, best)
    told = alone.told if alone is not None else None
    voice = Voice(job, training, first_step=training.step, told=told) if rank == 0 else None
    if voice is not None:
        print(beginning(recipe, len(prepared.train), first), flush=True)
    writer = Writer(checkpoints, mark, spec.checkpoint.keep)

    def on_step() -> None:
        if voice is not None:
            writer.look()
            voice.speak()

    with writer:
        for epoch in range(first, epochs):
            if recipe.early_stopping is not None and training.agree(over=choice.over(epoch)):
                break
            loss = training.epoch(epoch, on_step)
            outputs = training.outputs(held, len(prepared.validation), answer.width)
            done = epoch + 1
            if voice is not None and outputs is not None:
                value = metric.measure(answer.decoded(outputs), prepared.validation.targets)
                off = training.mean_loss(outputs, targets)
                choice.judge(done, value, off, training.model)
                voice.measured(done, loss, metric.name, value)
                history.ended(done, loss, validation_loss=off, value=value)
                if done % spec.checkpoint.every_epochs == 0 or done == epochs or choice.over(done):
                    writer.write(training.state(done, choice.best, history.laps), voice.kept)
                print(f"epoch {done}/{epochs}: loss {loss:.4f}, {metric.name} {value:.4f}", flush=True)
                voice.speak()
    if voice is not None:
        voice.speak()  # of the last checkpoint, before the export, which takes its time
        if choice.best is not None:
            print(f"the model is that of epoch {choice.best.epoch}", flush=True)
            training.model.load_state_dict(choice.best.tensors)
        network = training.model.cpu()
        _, judging = judging_part(prepared)
        asked = [outputs_of(network, some.load()) for some in judging.by_block()]
        expected = answer.decoded(np.concatenate(asked))
        became, notes = told_of(fitted, prepared)
        course = Course(
            curve(
                history.laps,
                unit="epoch",
                loss=_loss_named(head, recipe),
                metric=metric.name,
                best=choice.best.epoch if choice.best is not None else None,
            ),
            became,
            (*notes, said) if (said := length(recipe, len(prepared.train))) else notes,
            seconds=config["seconds"] | {"start the workers": started, "train": history.seconds},
        )
        store(job, spec, prepared, Trained(fitted.model(network, answer), expected, course), folder)
        voice.close()


def learnt(answer: Answer, targets: np.ndarray) -> np.ndarray:
    """What the loss compares the outputs with: indices of classes, 0 and 1 of labels, or values on one scale."""
    if isinstance(answer, Labels):
        return targets.astype(np.float32)
    return answer.standardised(targets) if isinstance(answer, Value) else targets


def _loss_named(head: Head, recipe: Recipe) -> str:
    if isinstance(head, Regression):
        return "squared error of the standardised values"
    if isinstance(head, MultiLabel) and recipe.class_weights == "Balanced":
        return "log_loss, rows with each label and without it weighed alike"
    return "log_loss, all classes weighed alike" if recipe.class_weights == "Balanced" else "log_loss"


def loss_of(head: Head, recipe: Recipe, device: str) -> Loss:
    """The loss that a head trains by."""
    import torch

    from tradewind_workload.train.training import summed_binary_cross_entropy, summed_cross_entropy, summed_squares

    if isinstance(head, Regression):
        return summed_squares
    loss: Any = summed_binary_cross_entropy if isinstance(head, MultiLabel) else summed_cross_entropy
    if recipe.class_weights != "Balanced":
        return loss  # type: ignore[no-any-return]
    return partial(loss, weights=torch.from_numpy(head.balanced_weights()).to(device))
