"""The training of a network: what each worker of it runs, from its rows to the stored model."""

from __future__ import annotations

import hashlib
import json
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from tradewind.api.base import Model
from tradewind.api.report import JobDocument
from tradewind_workload.heads.answer import Labels, Value
from tradewind_workload.heads.multilabel import MultiLabel
from tradewind_workload.heads.regression import Regression
from tradewind_workload.io.document import training_spec
from tradewind_workload.io.fault import Fault
from tradewind_workload.io.places import checkpoint_folder, local_path
from tradewind_workload.train import cluster
from tradewind_workload.train.history import History, curve
from tradewind_workload.train.judging import answer_of, head_of, judging_part
from tradewind_workload.train.streaming import rows_of
from tradewind_workload.train.voice import Voice

if TYPE_CHECKING:
    from tradewind.api.trainingjob import Recipe, TrainingJobSpec
    from tradewind_workload.data.preparation import Prepared
    from tradewind_workload.heads.answer import Answer
    from tradewind_workload.heads.head import Head
    from tradewind_workload.train.training import Loss


def learn(config: dict[str, Any]) -> None:
    """What each worker runs for a network."""
    if "alone" in config:  # with a person at a terminal, who would see nothing for seconds
        print("loading PyTorch", flush=True)
    from tradewind_workload.train import allocator, checkpoint, determinism, process_group
    from tradewind_workload.train.beginning import beginning, epochs_of, length, patience_of
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
    patience = patience_of(recipe, len(prepared.train))
    choice = Choice(metric, patience, best, history.laps)
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
            if patience is not None and training.agree(over=choice.over(epoch)):
                if voice is not None:
                    print(f"ending after epoch {epoch}: the last {patience.epochs} brought nothing better", flush=True)
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
