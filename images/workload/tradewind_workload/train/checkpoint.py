"""Checkpoints of a recipe's training: one file each, with a hash inside; the newest one that is whole is restored.

Each job has a folder of its own: it neither deletes nor restores another one's.

Ray Train keeps a list of its checkpoints in one JSON file that it overwrites in place; a process killed in that moment
leaves a list that can't be read and a run that can't be restored. Here the names of the files are the list.
"""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import load

from tradewind_workload.io.files import remove, write_atomically
from tradewind_workload.io.retries import entries, read_whole
from tradewind_workload.train.best import Best
from tradewind_workload.train.history import Lap

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_SUFFIX = ".checkpoint"
_TYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
_BEST = "best."  # names of the tensors of the best epoch start with it
_CHOSEN = ("epoch", "value", "loss", "reached")  # what is written of a Best beside them


@dataclass(frozen=True)
class State:
    """What training goes on from."""

    epoch: int  # epochs done
    step: int  # optimiser steps done
    tensors: dict[str, torch.Tensor]  # weights, buffers and the optimiser's state, on the CPU
    best: Best | None = None  # the best epoch so far; None where none was judged
    laps: tuple[Lap, ...] = ()  # what was measured after each epoch


def write(folder: Path, state: State, fingerprint: str, keep: int) -> None:
    """Write a checkpoint, then delete all but the newest `keep`."""
    tensors = state.tensors | {
        f"{_BEST}{name}": tensor for name, tensor in (state.best.tensors if state.best else {}).items()
    }
    body = _body(tensors)
    digest = hashlib.sha256()
    for part in body:
        digest.update(part)
    head = json.dumps(
        {
            "epoch": state.epoch,
            "step": state.step,
            **({"best": {name: getattr(state.best, name) for name in _CHOSEN}} if state.best else {}),
            "laps": [lap.written() for lap in state.laps],
            "fingerprint": fingerprint,
            "sha256": digest.hexdigest(),
        }
    ).encode()
    write_atomically(folder / f"{state.step:012d}{_SUFFIX}", struct.pack("<I", len(head)), head, *body)
    for stale in _newest(_checkpoints(folder))[keep:]:
        remove(stale)


def _body(tensors: dict[str, torch.Tensor]) -> list[bytes | memoryview]:
    """What safetensors' own `save` gives, in parts that are the tensors' memory: it copies all twice, which is half of
    what a checkpoint takes."""
    header, parts, end = {}, [], 0
    for name, tensor in tensors.items():
        held = tensor.detach().cpu().contiguous()
        part = held.flatten().view(torch.uint8).numpy().data
        start, end = end, end + part.nbytes
        header[name] = {"dtype": _TYPES[held.dtype], "shape": list(held.shape), "data_offsets": [start, end]}
        parts.append(part)
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    return [struct.pack("<Q", len(head)), head, *parts]


def restore(folder: Path, fingerprint: str) -> State | None:
    """The newest checkpoint that is whole and of this very training; None to start from the beginning.

    An earlier version had the checkpoints of all jobs in the folder above. Raises StorageUnavailable.
    """
    for path in _newest([*_checkpoints(folder), *_checkpoints(folder.parent)]):
        if (state := _read(path, fingerprint)) is not None:
            return state
    return None


def _checkpoints(folder: Path) -> list[Path]:
    return [path for path in entries(folder) if path.suffix == _SUFFIX and not path.name.startswith(".")]


def _newest(paths: Iterable[Path]) -> list[Path]:
    return sorted(paths, key=lambda path: path.name, reverse=True)


def _read(path: Path, fingerprint: str) -> State | None:
    try:
        content = read_whole(path)
        (length,) = struct.unpack("<I", content[:4])
        head = json.loads(content[4 : 4 + length])
        body = content[4 + length :]
        if head["fingerprint"] != fingerprint or head["sha256"] != hashlib.sha256(body).hexdigest():
            return None
        tensors = load(body)
        best = {name.removeprefix(_BEST): tensors.pop(name) for name in list(tensors) if name.startswith(_BEST)}
        of = head.get("best")
        chosen = Best(**{name: of[name] for name in _CHOSEN}, tensors=best) if of is not None else None
        laps = tuple(Lap.read(lap) for lap in head.get("laps", ()))
        return State(head["epoch"], head["step"], tensors, chosen, laps)
    except (OSError, struct.error, ValueError, KeyError, TypeError, SafetensorError):
        return None
