"""The sum of all processes' gradients, which goes over the network while the rest of them is still computed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist

if TYPE_CHECKING:
    from collections.abc import Sequence

# As DistributedDataParallel has them: the first one is small, so that the network has something to do early.
FIRST_BYTES = 1 << 20
BYTES = 25 << 20


@dataclass
class _Bucket:
    flat: torch.Tensor  # gradients of some parameters, one after the other
    parts: list[tuple[torch.nn.Parameter, torch.Tensor]]  # each with its place, in the parameter's shape
    missing: set[int]  # of these, what backward has not come to in this step


class Reduction:
    """The gradients of some parameters, summed over all processes of the group.

    They lie in buckets, from the last parameter to the first, as backward comes to them, and a bucket that is whole is
    sent at once. What is in which bucket depends on the parameters alone. DistributedDataParallel divides them anew
    after its first step, and with three processes or more the order of a sum's additions depends on its place in a
    bucket: a training that goes on from a checkpoint would then end with other bits than one that was never stopped.
    """

    def __init__(self, parameters: Sequence[torch.nn.Parameter], first: int = FIRST_BYTES, rest: int = BYTES) -> None:
        self._buckets: list[_Bucket] = []
        self._running: list[Any] = []
        for number, group in enumerate(_groups(parameters, first, rest)):
            flat = torch.zeros(sum(map(torch.numel, group)), dtype=group[0].dtype, device=group[0].device)
            places = flat.split([parameter.numel() for parameter in group])
            parts = [(parameter, place.view_as(parameter)) for parameter, place in zip(group, places, strict=True)]
            for index, parameter in enumerate(group):
                parameter.register_post_accumulate_grad_hook(
                    lambda _, number=number, index=index: self._came(number, index)
                )
            self._buckets.append(_Bucket(flat, parts, set()))

    def begin(self) -> None:
        """Before a step's backward: there is no gradient."""
        for bucket in self._buckets:
            bucket.missing = set(range(len(bucket.parts)))
            for parameter, _ in bucket.parts:
                # Backward then gives each a tensor of its own, which is copied once. Into a place that is zero it
                # would add, and the place would have to be cleared for it: a third of the memory's traffic more.
                parameter.grad = None

    def end(self) -> None:
        """After it, or in place of it where this process has no rows: all gradients are those of all processes."""
        for bucket in self._buckets:
            for index in bucket.missing:
                parameter, place = bucket.parts[index]
                parameter.grad = place.zero_()
            bucket.missing = set()
        self._send()
        for work in self._running:
            work.wait()
        self._running = []

    def _came(self, number: int, index: int) -> None:
        bucket = self._buckets[number]
        parameter, place = bucket.parts[index]
        assert parameter.grad is not None
        parameter.grad = place.copy_(parameter.grad)
        bucket.missing.remove(index)
        self._send()

    def _send(self) -> None:
        """Send what is whole, in one order in all processes, whatever each has first."""
        for bucket in self._buckets[len(self._running) :]:
            if bucket.missing:
                return
            self._running.append(dist.all_reduce(bucket.flat, async_op=True))


def _groups(parameters: Sequence[torch.nn.Parameter], first: int, rest: int) -> list[list[torch.nn.Parameter]]:
    groups: list[list[torch.nn.Parameter]] = []
    room = 0
    for parameter in reversed(parameters):
        size = parameter.numel() * parameter.element_size()
        if not groups or size > room or parameter.dtype != groups[-1][0].dtype:
            room = rest if groups else first
            groups.append([])
        groups[-1].append(parameter)
        room -= size
    return groups
