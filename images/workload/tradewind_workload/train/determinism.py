"""One seed, the same bits: what a process says to PyTorch before it trains."""

from __future__ import annotations

import os

import torch
from torch.utils import deterministic


def require(threads: int) -> None:
    """Use operators that give the same bits each time (what has none fails), and so many threads of the CPU."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    # PyTorch would fill new memory before it writes to it, for programs that read what nobody wrote. Nothing of ours
    # does, and it takes a twentieth of a resnet18's step.
    deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined] # the module gets it at run time
    torch.set_num_threads(threads)
