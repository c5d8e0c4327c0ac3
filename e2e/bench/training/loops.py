"""What is trained in the benchmark of steps, by the recipes' loop and by a script as PyTorch's tutorials write it.

`torchrun --nproc-per-node 2 -m e2e.bench.training.loops CASE SYSTEM SOCKET` starts one of both.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from e2e.bench.training.gate import Gate

if TYPE_CHECKING:
    import numpy as np
    import torch

WORLD = 2
ROWS = 2048
EPOCHS = 1000  # more than the turns need
SCRIPT = "torchrun, DDP script"
LOOP = "torchrun, recipes' loop"
OURS = "Tradewind's workers"


@dataclass(frozen=True)
class Case:
    """A network and the rows of a step, of all processes together."""

    architecture: str
    shape: tuple[int, ...]
    batch: int
    what: str


CASES = {
    "mlp": Case("mlp", (256,), 128, "mlp of 1024 and 1024 units, 128 rows a step"),
    "cnn": Case("cnn", (32, 32, 3), 64, "cnn of pictures of 32 x 32 pixels, 64 a step"),
    "resnet18": Case("resnet18", (32, 32, 3), 16, "resnet18 of pictures of 32 x 32 pixels, 16 a step"),
}
CLASSES = 10


def network_of(case: Case) -> torch.nn.Module:
    """The network, as a recipe makes it, by a seed."""
    import torch

    from tradewind.api.trainingjob import Architecture
    from tradewind_workload.tasks.image.family import IMAGENET_DEVIATION, IMAGENET_MEAN, Pictures
    from tradewind_workload.tasks.matrix.network import Classifier, build_network

    torch.manual_seed(0)
    if case.architecture == "mlp":
        architecture = Architecture.model_validate({"architecture": "mlp", "hiddenUnits": [1024, 1024]})
        return Classifier(torch.nn.Sequential(), build_network(architecture, case.shape[0], None, CLASSES), None)
    height, width, channels = case.shape
    shape = (height, width, channels)
    pictures = Pictures("picture", shape, "Stretch", IMAGENET_MEAN, IMAGENET_DEVIATION, variation=None, notes=())
    return pictures.network(Architecture.model_validate({"architecture": case.architecture}), CLASSES, 0)


def rows_of(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Rows and classes, by a seed: numbers, or pixels from 0 to 255."""
    import numpy as np

    random, size = np.random.default_rng(0), (ROWS, *case.shape)
    pictures = len(case.shape) > 1
    rows = random.integers(0, 256, size, np.uint8) if pictures else random.normal(size=size).astype(np.float32)
    return rows, random.integers(0, CLASSES, ROWS)


class _Ended(Exception):
    pass


def by_recipe(case: Case, gate: Gate, rank: int, checkpoints: str) -> None:
    """The recipes' loop, with a voice as in a job; the processes have met."""
    from tradewind.api.report import JobDocument
    from tradewind.api.trainingjob import Recipe
    from tradewind_workload.train import allocator, determinism
    from tradewind_workload.train.best import Best
    from tradewind_workload.train.training import Share, Training, shares
    from tradewind_workload.train.voice import Voice
    from tradewind_workload.train.writer import Writer

    determinism.require(threads=1)
    allocator.keep(allocator.MOST)
    task = "tabular-classification" if case.architecture == "mlp" else "image-classification"
    recipe = Recipe.model_validate(
        {"task": task, "model": {"architecture": case.architecture}, "batchSize": case.batch, "epochs": EPOCHS}
    )
    dealt = shares(ROWS, WORLD, 0)
    rows, classes = (array[dealt[rank]] for array in rows_of(case))
    share = Share(rows, classes, tuple(map(len, dealt)), rank)
    training = Training(network_of(case), recipe, share, epochs=EPOCHS)
    job = JobDocument.read(_DOCUMENT)
    voice = Voice(job, training, told=_Quiet()) if rank == 0 else None
    # A job's checkpoint has the best epoch's weights beside the present ones.
    best = Best(1, 0.0, 0.0, 1, {name: tensor.clone() for name, tensor in training.model.state_dict().items()})
    writer, left = Writer(Path(checkpoints), "mark", keep=2), 0

    def begin() -> None:
        nonlocal left
        if (turn := gate.next()) is None:
            raise _Ended
        left = turn.steps
        if turn.checkpoint and voice is not None:
            writer.write(training.state(0, best), voice.kept)

    def on_step() -> None:
        nonlocal left
        if voice is not None:
            writer.look()
            voice.speak()
        left -= 1
        if not left:
            writer.finish()
            gate.done()
            begin()

    with suppress(_Ended), writer:
        begin()
        for epoch in range(EPOCHS):
            training.epoch(epoch, on_step)


def by_script(case: Case, gate: Gate, rank: int) -> None:
    """A script of torch alone; the processes have met."""
    import torch
    from torch.nn.parallel import DistributedDataParallel

    torch.set_num_threads(1)
    rows, classes = (torch.from_numpy(array[rank::WORLD]) for array in rows_of(case))
    model = DistributedDataParallel(network_of(case))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.001)
    model.train()
    batches: list[torch.Tensor] = []
    while (turn := gate.next()) is not None:
        for _ in range(turn.steps):
            if not batches:
                batches = list(torch.randperm(len(rows)).split(case.batch // WORLD))
            chosen = batches.pop()
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(rows[chosen]), classes[chosen])
            loss.backward()
            optimizer.step()
        gate.done()


def on_worker(config: dict[str, Any]) -> None:
    """What each of our workers runs on Ray."""
    from tradewind_workload.train import process_group

    member = config["member"]
    process_group.join(member)
    gate = Gate(config["socket"], OURS, member.rank)
    by_recipe(CASES[config["case"]], gate, member.rank, config["checkpoints"])


class _Quiet:
    def progress(self, report: dict[str, Any]) -> None:
        """See Told."""

    final = progress

    def close(self) -> None:
        """See Told."""


_DOCUMENT = {
    "kind": "TrainingJob",
    "namespace": "bench",
    "name": "steps",
    "uid": "11111111-1111-1111-1111-111111111111",
    "attempt": 1,
    "run": "attempt-1",
    "reportUrl": "",
    "spec": {"output": {"storageUri": "pvc://claim/model"}},
}


def main(case: str, system: str, path: str) -> None:
    """A process that torchrun started."""
    import torch.distributed as dist

    dist.init_process_group("gloo")
    rank = int(os.environ["RANK"])
    gate = Gate(path, system, rank)
    if system == SCRIPT:
        by_script(CASES[case], gate, rank)
    else:
        by_recipe(CASES[case], gate, rank, "")


if __name__ == "__main__":
    main(*sys.argv[1:])
