"""Checkpoints that are written while training goes on.

A checkpoint of the first worker takes a copy in memory; hash, disk and the removal of older ones are a thread's.
"""

from __future__ import annotations

import os
import sys
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from typing import TYPE_CHECKING, Self

import torch

from tradewind_workload.train import checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

    from tradewind_workload.train.checkpoint import State


class Writer:
    """Writes the checkpoints of one training, one at a time; leaving its context waits for the last of them.

    A checkpoint waits until the one before is written: there is one copy, no checkpoint is left out, and a volume that
    is slower than the training shows as a slow training.
    """

    def __init__(self, folder: Path, fingerprint: str, keep: int) -> None:
        self._folder = folder
        self._fingerprint = fingerprint
        self._keep = keep
        self._thread = ThreadPoolExecutor(1, "tradewind-checkpoint", initializer=_step_back)
        self._running: Future[None] | None = None
        self._copy: dict[str, torch.Tensor] = {}

    def write(self, state: State, told: Callable[[int], None]) -> None:
        """Copy the tensors of the state, which may change from then on, and begin to write them.

        `told` is called with the step when the checkpoint is on the disk, from the thread. Raises what became of the
        checkpoint before: Fault(StorageFailed), StorageUnavailable.
        """
        self.finish()
        self._running = self._thread.submit(self._write, self._copied(state), told)

    def look(self) -> None:
        """Raise at once what the last checkpoint failed by, if it did: a training whose steps can be lost ends."""
        if self._running is not None and self._running.done():
            self.finish()

    def finish(self) -> None:
        """Wait until what was begun is on the disk. Raises Fault(StorageFailed), StorageUnavailable."""
        if self._running is not None:
            wait([self._running])
            running, self._running = self._running, None
            running.result()

    def _copied(self, state: State) -> State:
        """The state with tensors of our own, on the CPU; those of the best epoch are copies already.

        The memory is kept for the next copy: to ask for it anew takes ten times as long as to copy.
        """
        for name, tensor in state.tensors.items():
            if name not in self._copy:  # names and shapes are the same in all of a training
                self._copy[name] = torch.empty(tensor.shape, dtype=tensor.dtype)
            self._copy[name].copy_(tensor.detach())
        return replace(state, tensors={name: self._copy[name] for name in state.tensors})

    def _write(self, state: State, told: Callable[[int], None]) -> None:
        checkpoint.write(self._folder, state, self._fingerprint, self._keep)
        told(state.step)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        try:
            self.finish()
        except Exception as failed:
            if error is None:
                raise
            print(f"the last checkpoint was not written: {failed}", file=sys.stderr, flush=True)
        finally:
            self._thread.shutdown()
            self._copy = {}


def _step_back() -> None:
    """Let the steps go first: what they leave of the processors while they wait for one another is enough."""
    if sys.platform == "linux":  # where each thread has a niceness of its own
        os.nice(10)
