"""Rows of a table that is larger than memory, on their way to the network or the trees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tradewind_workload.data.dealing import deal, pile
from tradewind_workload.data.streamed import Streamed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import torch

    from tradewind_workload.data.dealing import Dealt, Pile
    from tradewind_workload.data.preparation import Prepared
    from tradewind_workload.train.training import Held, Source


@dataclass(frozen=True)
class Stream:
    """What the workers read in each epoch."""

    dealt: Dealt  # the training rows
    validation: Pile
    folder: Path  # for more of that kind


def stream_of(prepared: Prepared, workers: int, seed: int, folder: Path) -> Stream | None:
    """The rows written as the workers read them; None where they are held in memory."""
    if not isinstance(prepared.train, Streamed):
        return None
    dealt = deal(prepared.train, workers, seed, folder / "dealt")
    return Stream(dealt, pile(prepared.validation, folder / "dealt" / "validation"), folder / "dealt")


def rows_of(
    config: dict[str, Any], seed: int, learnt: Callable[[np.ndarray], np.ndarray], rank: int, world: int
) -> tuple[Source, Held]:
    """A worker's training rows, and those of the validation rows that it asks, of what the driver gave it.

    `learnt` is what the loss compares the outputs with, of targets.
    """
    from tradewind_workload.train.training import Share, shares

    prepared, stream = config["prepared"], config["stream"]
    if stream is not None:
        chunks = Chunks(stream.dealt.workers[rank], stream.dealt.sizes, rank, learnt)
        return chunks, Strided(stream.validation, rank, world)
    dealt = shares(len(prepared.train), world, seed)
    mine = prepared.train.take(dealt[rank])
    judged = prepared.validation.take(np.arange(rank, len(prepared.validation), world))
    return Share(mine.load(), learnt(mine.targets), tuple(len(numbers) for numbers in dealt), rank), judged.load()


@dataclass(frozen=True)
class Chunks:
    """The rows of one process, a chunk in memory at a time; see training.Source."""

    chunks: tuple[Pile, ...]
    sizes: tuple[int, ...]
    rank: int
    learnt: Callable[[np.ndarray], np.ndarray]  # what the loss compares with, of targets

    def batches(self, seed: list[int], steps: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """See training.Share; the order is that of chunks, and of the rows in each."""
        import torch

        from tradewind_workload.train.training import part_of

        random, rows = np.random.default_rng(seed), self.sizes[self.rank]
        coming = self._in_order(random)
        inputs, targets = next(coming)
        for i in range(steps):
            part = part_of(rows, steps, i)
            wanted = part.stop - part.start
            while len(targets) < wanted:
                more, theirs = next(coming)
                inputs, targets = np.concatenate([inputs, more]), np.concatenate([targets, theirs])
            yield torch.from_numpy(inputs[:wanted]), torch.from_numpy(targets[:wanted])
            inputs, targets = inputs[wanted:], targets[wanted:]

    def _in_order(self, random: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for number in random.permutation(len(self.chunks)):
            records = self.chunks[number].load()
            order = random.permutation(len(records))
            yield records["inputs"][order], self.learnt(records["target"][order])


@dataclass(frozen=True)
class Strided:
    """Every so many rows of a pile, from that of number `rank` on; see training.Held."""

    pile: Pile
    rank: int
    world: int

    def __len__(self) -> int:
        return len(range(self.rank, len(self.pile), self.world))

    def __getitem__(self, numbers: slice) -> np.ndarray:
        start, stop, _ = numbers.indices(len(self))
        return self.pile[self.rank + start * self.world : self.rank + stop * self.world][:: self.world]
