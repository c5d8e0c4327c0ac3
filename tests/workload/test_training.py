"""Optimisation alone, without Ray: what a seed fixes, and what a checkpoint brings back."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from jobs import blobs

from tradewind.api.data import Augment
from tradewind.api.trainingjob import Recipe
from tradewind_workload.data.fitting import Stage
from tradewind_workload.io.fault import Fault
from tradewind_workload.io.places import checkpoint_folder
from tradewind_workload.tasks.augmentation import vary
from tradewind_workload.tasks.matrix.network import Classifier, build_network, build_preparation
from tradewind_workload.train import checkpoint, determinism
from tradewind_workload.train.beginning import beginning, epochs_of
from tradewind_workload.train.training import Share, Training, shares

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _deterministic() -> None:
    determinism.require(threads=1)


def recipe(**fields: object) -> Recipe:
    settings = {
        "task": "image-classification",
        "model": {"architecture": "cnn", "channels": [4, 4], "hiddenUnits": [8], "dropout": "0.2"},
        "optimizer": {"name": "adamw", "lr": "0.01"},
        "epochs": 4,
        "batchSize": 16,
    }
    return Recipe.model_validate(settings | fields)


def training(settings: Recipe, augment: Augment | None = None, *, scaled: bool = True) -> Training:
    inputs, classes = blobs(90, features=36)
    torch.manual_seed(settings.seed)
    network = build_network(settings.model, 36, (6, 6, 1) if settings.model.architecture == "cnn" else None, 3)
    stages = [Stage("standardize", np.array([0.5], np.float32), np.array([2.0], np.float32))]
    model = Classifier(build_preparation(stages), network, (6, 6, 1) if settings.model.architecture == "cnn" else None)
    rows = inputs.reshape(-1, 6, 6) if settings.model.architecture == "cnn" else inputs
    varied = partial(vary, image=(6, 6, 1), augment=augment) if augment is not None else None
    share = Share(rows, classes, (90,))
    return Training(model, settings, share, epochs=settings.epochs or 4, augment=varied, scaled=scaled)


def weights(run: Training) -> dict[str, bytes]:
    return {name: tensor.numpy().tobytes() for name, tensor in run.model.state_dict().items()}


def test_a_training_of_few_steps_is_told_how_many_epochs_it_needs() -> None:
    """Networks with weights from elsewhere need few; what goes on was told before."""
    rows = 7 * 16  # seven steps an epoch
    said = beginning(recipe(epochs=10), rows, done=0)
    assert said.startswith("starting; 70 steps in all (7 in each of 10 epochs)")
    assert "set spec.recipe.epochs to 29 or more" in said
    assert beginning(recipe(epochs=29), rows, done=0) == "starting"
    assert beginning(recipe(epochs=10), rows, done=3) == "continuing after epoch 3"
    brought = {"architecture": "transformer", "storageUri": "pvc://claim/minilm"}
    assert beginning(recipe(task="text-classification", model=brought), rows, done=0) == "starting"


@pytest.mark.parametrize(
    ("model", "rows", "epochs"),
    [
        ({"architecture": "mlp"}, 110, 143),  # 7 steps an epoch
        ({"architecture": "mlp"}, 16 * 100, 10),
        ({"architecture": "mlp"}, 16 * 99, 11),
        ({"architecture": "resnet18"}, 110, 10),
        ({"architecture": "resnet18", "storageUri": "pvc://claim/resnet18"}, 110, 10),
    ],
)
def test_a_network_from_random_weights_trains_the_longer_the_fewer_rows_there_are(
    model: dict[str, object], rows: int, epochs: int
) -> None:
    assert epochs_of(recipe(model=model, epochs=None), rows) == epochs
    assert epochs_of(recipe(model=model, epochs=3), rows) == 3


def test_the_log_says_how_many_epochs_were_chosen() -> None:
    assert beginning(recipe(epochs=None), rows=110, done=0) == (
        "starting; 143 epochs of 7 steps, as spec.recipe.epochs names no other number; fewer where 36 of them bring "
        "neither a better metric nor a lower validation loss"
    )
    random = recipe(model={"architecture": "resnet18"}, epochs=None)
    assert "70 steps in all (7 in each of 10 epochs) are few" in beginning(random, rows=110, done=0)


def test_tensors_of_every_kind_come_back_as_they_were(tmp_path: Path) -> None:
    odd = {
        "transposed": torch.arange(6, dtype=torch.float32).reshape(2, 3).T,
        "scalar": torch.tensor(7),
        "empty": torch.empty(0, 3),
        "flags": torch.tensor([True, False, True]),
        "bf16": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
        "large": torch.tensor([2**62], dtype=torch.int64),
        "learnt": torch.nn.Parameter(torch.ones(2, dtype=torch.float64)),
        "bytes": torch.tensor([255, 0, 1], dtype=torch.uint8),
    }
    checkpoint.write(tmp_path, checkpoint.State(1, 1, odd), "mark", keep=1)
    state = checkpoint.restore(tmp_path, "mark")
    assert state is not None and state.tensors.keys() == odd.keys()
    for name, tensor in odd.items():
        assert state.tensors[name].dtype == tensor.dtype and torch.equal(state.tensors[name], tensor), name


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd"])
def test_resumed_from_a_checkpoint_equals_uninterrupted(tmp_path: Path, name: str) -> None:
    settings = recipe(optimizer={"name": name, "lr": "0.01"})
    augment = Augment(shift_pixels=1, rotate_degrees=10)
    whole = training(settings, augment)
    for epoch in range(4):
        whole.epoch(epoch)

    first = training(settings, augment)
    for epoch in range(2):
        first.epoch(epoch)
    checkpoint.write(tmp_path, first.state(2), "mark", keep=2)
    torch.rand(17)  # another process has another history
    second = training(settings, augment)
    state = checkpoint.restore(tmp_path, "mark")
    assert state is not None
    second.restore(state)
    for epoch in range(state.epoch, 4):
        second.epoch(epoch)
    assert weights(second) == weights(whole)
    assert weights(whole) != weights(first)


def test_another_seed_gives_other_weights() -> None:
    one, other = training(recipe(seed=1)), training(recipe(seed=2))
    assert weights(one) != weights(other)


def test_augmentation_varies_training_batches_only() -> None:
    plain, varied = training(recipe()), training(recipe(), Augment(shift_pixels=2, rotate_degrees=30))
    inputs, _ = blobs(30, features=36)
    rows = inputs.reshape(-1, 6, 6)
    np.testing.assert_array_equal(plain.outputs(rows, 30, 3), varied.outputs(rows, 30, 3))
    plain.epoch(0)
    varied.epoch(0)
    assert weights(plain) != weights(varied)


def test_loss_that_is_not_finite_ends_with_a_sentence() -> None:
    settings = recipe(
        model={"architecture": "mlp"}, optimizer={"name": "sgd", "lr": "100000000"}, task="tabular-classification"
    )
    words = r"the loss is not finite in epoch \d: lower spec.recipe.optimizer.lr \(it is 100000000\)"
    with pytest.raises(Fault, match=rf"{words}\.$"):
        training(settings).epoch(0)
    with pytest.raises(Fault, match=rf"{words}, or add standardize to spec.data.prepare\.$"):
        training(settings, scaled=False).epoch(0)


def test_every_row_is_dealt_to_one_worker() -> None:
    dealt = shares(101, 3, seed=5)
    assert sorted(np.concatenate(dealt)) == list(range(101))
    assert [len(numbers) for numbers in dealt] == [34, 34, 33]


def test_batch_that_is_too_small_for_a_cnn() -> None:
    with pytest.raises(Fault, match="raise batchSize or lower"):
        training(recipe(batchSize=1))


def test_torn_checkpoints_are_never_loaded(tmp_path: Path) -> None:
    run = training(recipe())
    run.epoch(0)
    checkpoint.write(tmp_path, run.state(1), "mark", keep=5)
    before = run.step
    run.epoch(1)
    checkpoint.write(tmp_path, run.state(2), "mark", keep=5)
    newest = max(tmp_path.iterdir())
    whole = newest.read_bytes()
    random = np.random.default_rng(0)
    # Cut anywhere, and a byte turned over anywhere: in the length, the head, the tensors' names and the tensors.
    for cut in [0, 1, 3, 4, 5, 60, *random.integers(0, len(whole), 60)]:
        newest.write_bytes(whole[:cut])
        state = checkpoint.restore(tmp_path, "mark")
        assert state is not None
        assert (state.epoch, state.step) == (1, before)
    for place in [0, 3, 4, 20, *random.integers(0, len(whole), 60)]:
        newest.write_bytes(whole[:place] + bytes([whole[place] ^ 0x41]) + whole[place + 1 :])
        state = checkpoint.restore(tmp_path, "mark")
        assert state is None or state.epoch == 1 or state.tensors.keys() == run.state(2).tensors.keys()
        assert state is None or state.epoch in (1, 2)
    newest.write_bytes(whole)
    state = checkpoint.restore(tmp_path, "mark")
    assert state is not None
    assert state.epoch == 2


def test_checkpoints_of_another_training_are_not_gone_on_from(tmp_path: Path) -> None:
    run = training(recipe())
    checkpoint.write(tmp_path, run.state(1), "mark of one object", keep=2)
    assert checkpoint.restore(tmp_path, "mark of another object") is None


def test_checkpoints_of_another_job_are_neither_deleted_nor_gone_on_from(tmp_path: Path) -> None:
    run = training(recipe())
    for uid in ("first", "second"):
        for epoch in (1, 2):
            checkpoint.write(checkpoint_folder(tmp_path, uid), run.state(epoch), f"mark of {uid}", keep=1)
    for uid in ("first", "second"):
        assert checkpoint.restore(checkpoint_folder(tmp_path, uid), f"mark of {uid}") is not None
    assert checkpoint.restore(checkpoint_folder(tmp_path, "third"), "mark of third") is None


def test_checkpoints_of_an_earlier_version_are_gone_on_from(tmp_path: Path) -> None:
    """It had those of all jobs in one folder; an attempt after an upgrade looks there too, and deletes nothing."""
    run = training(recipe())
    folder = checkpoint_folder(tmp_path, "mine")
    run.epoch(0)
    checkpoint.write(folder.parent, run.state(1), "mark", keep=2)
    state = checkpoint.restore(folder, "mark")
    assert state is not None
    assert state.epoch == 1
    run.epoch(1)
    checkpoint.write(folder, run.state(2), "mark", keep=1)
    state = checkpoint.restore(folder, "mark")
    assert state is not None
    assert state.epoch == 2
    assert len([path for path in folder.parent.iterdir() if path.is_file()]) == 1


def test_only_the_newest_checkpoints_stay(tmp_path: Path) -> None:
    run = training(recipe())
    for epoch in range(4):
        run.epoch(epoch)
        checkpoint.write(tmp_path, run.state(epoch + 1), "mark", keep=2)
    assert len(list(tmp_path.iterdir())) == 2
    state = checkpoint.restore(tmp_path, "mark")
    assert state is not None
    assert state.epoch == 4
