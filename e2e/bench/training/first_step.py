"""From a driver's call to the first step in all workers, on a Ray that runs already: our workers beside Ray Train's.

Each way is a driver of its own, in turns; a step is one exchange of a tensor over the process group. Processor time is
that of all processes that Ray started meanwhile, memory what they hold when the step is done.

python -m e2e.bench.training.first_step
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from e2e.bench.serving import cpu_name, interval, ratio
from e2e.bench.training import environment

ROOT = Path(__file__).resolve().parents[3]
WORLD = 2
OURS, PARALLEL, TORCH = "actors of Ray, as a recipe's", "Ray Train's DataParallelTrainer", "Ray Train's TorchTrainer"
TICKS = os.sysconf("SC_CLK_TCK")


def step(folder: str, rank: int) -> None:
    """One exchange, then a file that says so, and waiting until all have been looked at."""
    import torch
    import torch.distributed as dist

    dist.all_reduce(torch.ones(1))
    Path(folder, f"{rank}.done").touch()
    while not Path(folder, "seen").exists():
        time.sleep(0.05)


def of_recipe(config: dict[str, Any]) -> None:
    """A worker of ours."""
    from tradewind_workload.train import process_group

    process_group.join(config["member"])
    step(config["folder"], config["member"].rank)


def of_ray_train(config: dict[str, Any]) -> None:
    """A worker of Ray Train's, whose group is made by Ray Train or by itself."""
    import ray.train
    import torch.distributed as dist
    from ray.train.collective import broadcast_from_rank_zero

    context = ray.train.get_context()
    rank, world = context.get_world_rank(), context.get_world_size()
    if not dist.is_initialized():
        store = dist.TCPStore("127.0.0.1", 0, world, is_master=True, wait_for_workers=False) if rank == 0 else None
        port = broadcast_from_rank_zero(store.port if store is not None else None)
        store = store or dist.TCPStore("127.0.0.1", port, world, is_master=False)
        dist.init_process_group("gloo", store=store, rank=rank, world_size=world)
    step(config["folder"], rank)


def drive(way: str, folder: str) -> None:
    """The driver: joins Ray, trains."""
    import ray

    ray.init(address="auto", logging_level="ERROR", log_to_driver=False)
    Path(folder, "begun").touch()
    if way == OURS:
        from tradewind_workload.train import workers

        workers.train(of_recipe, {"folder": folder}, world=WORLD, each={"CPU": 1.0})
        return
    from ray.train import RunConfig, ScalingConfig

    settings: dict[str, Any] = {
        "train_loop_config": {"folder": folder},
        "scaling_config": ScalingConfig(num_workers=WORLD),
        "run_config": RunConfig(name="run", storage_path=f"{folder}/runs"),
    }
    if way == TORCH:
        from ray.train.torch import TorchTrainer

        TorchTrainer(of_ray_train, **settings).fit()
    else:
        from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

        DataParallelTrainer(of_ray_train, **settings).fit()


def processes() -> dict[int, tuple[float, float]]:
    """Processor time in seconds and memory in MB of each process below this one, by pid: drivers, and all of Ray's."""
    parents, found = {}, {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            memory = (entry / "smaps_rollup").read_text().partition("Pss:")[2].split()
        except OSError:
            continue
        parents[int(entry.name)] = int(fields[1])
        if memory:
            found[int(entry.name)] = ((int(fields[11]) + int(fields[12])) / TICKS, int(memory[0]) / 1024)

    def below(pid: int) -> bool:
        while pid in parents:
            if (pid := parents[pid]) == os.getpid():
                return True
        return False

    return {pid: took for pid, took in found.items() if below(pid)}


def one(way: str, folder: Path) -> dict[str, float]:
    """Start a driver, and look at it when all its workers have made their step."""
    before = processes()
    driver = subprocess.Popen([sys.executable, "-m", "e2e.bench.training.first_step", "--drive", way, str(folder)])
    while not (folder / "begun").exists():
        time.sleep(0.01)
    began = time.monotonic()
    while len(list(folder.glob("*.done"))) < WORLD:
        if driver.poll() is not None:
            sys.exit(f"the driver of {way} ended with exit code {driver.returncode}")
        time.sleep(0.01)
    seconds = time.monotonic() - began
    after = {pid: took for pid, took in processes().items() if pid not in before}
    (folder / "seen").touch()
    if driver.wait() != 0:
        sys.exit(f"the driver of {way} ended with exit code {driver.returncode}")
    return {
        "seconds": seconds,
        "cpu": sum(cpu for cpu, _ in after.values()),
        "memory_mb": sum(memory for _, memory in after.values()),
        "processes": float(len(after)),
    }


def table(rounds: list[dict[str, dict[str, float]]]) -> str:
    """The rounds in Markdown."""
    lines = [
        "| started by | to the first step, s | beside ours | processor time, s | memory, MB | processes |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for way in (OURS, PARALLEL, TORCH):
        middle = {
            name: interval([(turn[way][name],) for turn in rounds], lambda value: value)[0]
            for name in ("seconds", "cpu", "memory_mb", "processes")
        }
        value, low, high = interval([(turn[OURS]["seconds"], turn[way]["seconds"]) for turn in rounds], ratio)
        beside = "" if way == OURS else f"{value:.2f}x ({low:.2f} to {high:.2f})"
        lines.append(
            f"| {way} | {middle['seconds']:.1f} | {beside} | {middle['cpu']:.1f} | {middle['memory_mb']:.0f} "
            f"| {middle['processes']:.0f} |"
        )
    return "\n".join(lines)


def main() -> int:
    """Measure, print, write the JSON; 1 where ours is slower than one of Ray Train's."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--warm-up", type=int, default=1, help="rounds before, which read all files from the disk")
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "bench" / "first-step.json")
    parser.add_argument("--drive", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.drive is not None:
        drive(*args.drive)
        return 0
    os.environ |= {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
    # As our own driver sets it for a program's.
    os.environ |= {"RAY_TRAIN_V2_ENABLED": "1", "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0"}
    import ray

    ray.init(num_cpus=WORLD, include_dashboard=False, object_store_memory=100 * 1024**2, logging_level="ERROR")
    os.environ["RAY_ADDRESS"] = ray.get_runtime_context().gcs_address
    rng, rounds = random.Random(1), []
    for _ in range(args.warm_up + args.rounds):
        ways = [OURS, PARALLEL, TORCH]
        rng.shuffle(ways)
        turns = {}
        for way in ways:
            with tempfile.TemporaryDirectory() as folder:
                turns[way] = one(way, Path(folder))
            print(f"{way}: {turns[way]}", flush=True)
        rounds.append(turns)
    rounds = rounds[args.warm_up :]
    ray.shutdown()
    print(table(rounds))
    machine = {"cpu": cpu_name(), "cpus": len(os.sched_getaffinity(0)), "load": os.getloadavg()}
    args.json.parent.mkdir(parents=True, exist_ok=True)
    args.json.write_text(json.dumps({"machine": machine, "rounds": rounds}, indent=1))
    slower = [way for way in (PARALLEL, TORCH) if _ratio(rounds, way) < 1]
    return 1 if slower else 0


def _ratio(rounds: list[dict[str, dict[str, float]]], way: str) -> float:
    return interval([(turn[OURS]["seconds"], turn[way]["seconds"]) for turn in rounds], ratio)[2]


if __name__ == "__main__":
    sys.exit(environment.run("first_step", main))
