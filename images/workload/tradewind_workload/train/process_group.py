"""The process group of the workers that Ray Train started."""

from __future__ import annotations

import torch
import torch.distributed as dist


def join() -> tuple[int, int, str]:
    """Meet the other workers: gloo between CPUs, nccl between GPUs. Returns rank, number of processes, torch device."""
    import ray.train
    from ray.train.collective import broadcast_from_rank_zero
    from ray.util import get_node_ip_address

    context = ray.train.get_context()
    rank, world = context.get_world_rank(), context.get_world_size()
    device = (
        "cuda:0" if ray.get_gpu_ids() and torch.cuda.is_available() else "cpu"
    )  # Ray shows each process only its own GPU
    if world > 1:
        store = None
        if rank == 0:
            store = dist.TCPStore(get_node_ip_address(), 0, world, is_master=True, wait_for_workers=False)
        host, port = broadcast_from_rank_zero((store.host, store.port) if store is not None else None)
        if store is None:
            store = dist.TCPStore(host, port, world, is_master=False)
        dist.init_process_group("nccl" if device != "cpu" else "gloo", store=store, rank=rank, world_size=world)
    return rank, world, device
