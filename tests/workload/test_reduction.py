"""Gradients summed over three processes, which are forks of one that has torch."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import torch

WORLD = 3


def _network() -> torch.nn.Module:
    import torch

    torch.manual_seed(1)
    return torch.nn.Sequential(torch.nn.Linear(4, 16), torch.nn.ReLU(), torch.nn.Linear(16, 16), torch.nn.Linear(16, 3))


def _process(rank: int, folder: str) -> None:
    import torch.distributed as dist

    from tradewind_workload.train import determinism

    determinism.require(threads=1)
    dist.init_process_group("gloo", store=dist.FileStore(f"{folder}/store", WORLD), rank=rank, world_size=WORLD)
    found = {"sums": _sums(rank), "weights": _weights(rank, folder)}
    Path(folder, f"{rank}.json").write_text(json.dumps(found))


def _sums(rank: int) -> dict[str, Any]:
    """Of three steps, the last of which this process has rows for only where it is the first one."""
    import torch
    import torch.distributed as dist

    from tradewind_workload.train.reduction import Reduction

    plain, network = _network(), _network()
    reduction = Reduction(list(network.parameters()), first=16, rest=200)
    same = []
    for step in range(3):
        rows = torch.randn(5, 4, generator=torch.Generator().manual_seed(10 * step + rank))
        plain.zero_grad()
        reduction.begin()
        if step < 2 or rank == 0:
            for model in (plain, network):
                model(rows).square().sum().backward()
        reduction.end()
        for expected, got in zip(plain.parameters(), network.parameters(), strict=True):
            grad = expected.grad if expected.grad is not None else torch.zeros_like(expected)
            dist.all_reduce(grad)
            assert got.grad is not None
            same.append(torch.allclose(grad, got.grad, rtol=1e-5, atol=1e-6))
    return {"buckets": len(reduction._buckets), "same": same}


def _weights(rank: int, folder: str) -> list[str]:
    """Hashes of a training's weights at its end: without a stop, and going on from a checkpoint."""
    import numpy as np

    from tradewind.api.trainingjob import Recipe
    from tradewind_workload.train import checkpoint
    from tradewind_workload.train import training as loop
    from tradewind_workload.train.reduction import Reduction
    from tradewind_workload.train.training import Share, Training, shares

    loop.Reduction = partial(Reduction, first=16, rest=200)  # type: ignore[assignment,misc]
    recipe = Recipe.model_validate(
        {"task": "tabular-classification", "model": {"architecture": "mlp"}, "batchSize": 16}
    )
    random = np.random.default_rng(0)
    rows, classes = random.normal(size=(91, 4)).astype(np.float32), random.integers(0, 3, 91)
    dealt = shares(91, WORLD, 0)

    def training() -> Training:
        mine = dealt[rank]
        return Training(_network(), recipe, Share(rows[mine], classes[mine], tuple(map(len, dealt)), rank), epochs=3)

    def digest(run: Training) -> str:
        tensors = run.model.state_dict().values()
        return hashlib.sha256(b"".join(tensor.numpy().tobytes() for tensor in tensors)).hexdigest()

    whole = training()
    for epoch in range(3):
        whole.epoch(epoch)
    first = training()
    first.epoch(0)
    own = Path(folder, f"checkpoints{rank}")
    checkpoint.write(own, first.state(1), "mark", keep=1)
    state = checkpoint.restore(own, "mark")
    assert state is not None
    second = training()
    second.restore(state)
    for epoch in range(1, 3):
        second.epoch(epoch)
    return [digest(whole), digest(second)]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("group")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", "tradewind_workload.train.training", "tradewind.api.trainingjob"])
    processes = [context.Process(target=_process, args=(rank, str(folder))) for rank in range(WORLD)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(WORLD)]


def test_gradients_are_those_of_all_processes(found: list[dict[str, Any]]) -> None:
    assert [one["sums"]["buckets"] for one in found] == [6] * WORLD
    assert all(all(one["sums"]["same"]) for one in found)


def test_three_processes_that_were_stopped_end_with_the_same_bits(found: list[dict[str, Any]]) -> None:
    assert len({digest for one in found for digest in one["weights"]}) == 1
