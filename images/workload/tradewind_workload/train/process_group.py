"""The process group of the workers of a training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
from torch.distributed import TCPStore  # type: ignore[attr-defined] # public, but not marked as exported

if TYPE_CHECKING:
    from tradewind_workload.train.place import Member


def join(member: Member) -> str:
    """Meet the other workers: gloo between CPUs, nccl between GPUs. Returns the device of torch."""
    device = "cuda:0" if member.gpu and torch.cuda.is_available() else "cpu"  # each sees its own GPU alone
    if member.world > 1:
        assert member.meeting is not None
        host, port = member.meeting
        if member.rank == 0:
            store = TCPStore(
                host, port, member.world, is_master=True, wait_for_workers=False, master_listen_fd=member.door
            )
        else:
            store = TCPStore(host, port, member.world)
        dist.init_process_group(
            "nccl" if device != "cpu" else "gloo", store=store, rank=member.rank, world_size=member.world
        )
    return device
