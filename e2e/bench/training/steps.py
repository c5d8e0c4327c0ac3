"""The time of a training step with two processes, and what a checkpoint adds, in turns on one machine.

Three groups of two processes train the same network on the same rows with the same optimiser: a script of PyTorch with
DistributedDataParallel under torchrun, the recipes' own loop under torchrun, and the same loop in the workers of a job
on Ray. In each round each group takes a turn of 20 steps, in another order, and Tradewind's workers a second one with
a checkpoint: it is begun before these steps, and on the disk before the turn is over. What is compared are the turns of
a round: medians of the ratios, with bootstrap intervals. Two processes with the same program differ by more than their
turns do, so all groups are started anew several times, and the intervals are also over these starts.

python -m e2e.bench.training.steps                               # some minutes on two idle CPUs
python -m e2e.bench.training.steps --starts 1 --cases cnn        # a look
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from e2e.bench.serving import cpu_name
from e2e.bench.training import environment
from e2e.bench.training.gate import Gates, Took, Turn
from e2e.bench.training.loops import CASES, LOOP, OURS, SCRIPT, WORLD

ROOT = Path(__file__).resolve().parents[3]
STEPS = 20  # in a turn, and from one checkpoint to the next
WITH = f"{OURS}, with a checkpoint"
MUST, MUST_CHECKPOINT = 1.025, 1.05


@contextmanager
def contestants(case: str, folder: Path) -> Iterator[Gates]:
    """All groups, with their networks made, waiting for a turn."""
    import ray

    from e2e.bench.training.loops import on_worker
    from tradewind_workload.train import workers

    path = folder / "gate"
    gates = Gates(path)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={WORLD}", "-m"]
    processes = [
        subprocess.Popen(
            [*torchrun, "e2e.bench.training.loops", case, system, str(path)],
            cwd=ROOT,
            env=os.environ | {"OMP_NUM_THREADS": "1"},  # as torchrun sets it itself, with a warning
        )
        for system in (SCRIPT, LOOP)
    ]
    config = {"socket": str(path), "case": case, "checkpoints": str(folder / "checkpoints")}
    training = threading.Thread(
        target=workers.train, args=(on_worker, config), kwargs={"world": WORLD, "each": {"CPU": 1.0}}
    )
    training.start()
    try:
        gates.admit(3 * WORLD)
        yield gates
    finally:
        gates.close()
        training.join()
        for process in processes:
            process.wait()
        assert ray.is_initialized()


def measure(case: str, rounds: int, folder: Path, rng: random.Random) -> list[dict[str, Took]]:
    """One start: the turns of each round, by group; the first round is for warming up and not among them."""
    found = []
    with contestants(case, folder) as gates:
        for number in range(rounds + 1):
            order = [SCRIPT, LOOP, OURS, WITH]
            rng.shuffle(order)
            took = {
                name: gates.take(OURS if name == WITH else name, Turn(STEPS, checkpoint=name == WITH)) for name in order
            }
            if number:
                found.append(took)
    return found


def compared(starts: list[list[dict[str, Took]]], of: Callable[[dict[str, Took]], float]) -> tuple[float, float, float]:
    """The median over the starts of the median over their rounds, and its 95 % bootstrap interval: both are drawn."""
    values = [[of(turns) for turns in rounds] for rounds in starts]
    rng = random.Random(1)

    def middle(found: list[list[float]]) -> float:
        return statistics.median(map(statistics.median, found))

    draws = sorted(
        middle([rng.choices(one, k=len(one)) for one in rng.choices(values, k=len(values))]) for _ in range(2000)
    )
    return middle(values), draws[50], draws[1949]


def row(case: str, what: str, starts: list[list[dict[str, Took]]], one: str, other: str, must: float) -> dict[str, Any]:
    """How one group compares with another, in time and in processor time."""
    seconds = compared(starts, lambda turns: turns[one].seconds / turns[other].seconds)
    return {
        "case": case,
        "what": what,
        "reference_ms": compared(starts, lambda turns: turns[other].seconds / STEPS * 1e3)[0],
        "ratio": seconds,
        "cpu_ratio": compared(starts, lambda turns: turns[one].cpu / turns[other].cpu),
        "must": must,
        "met": seconds[1] <= must,  # what the interval does not rule out
    }


def rows(case: str, starts: list[list[dict[str, Took]]]) -> list[dict[str, Any]]:
    """The rows of a case."""
    return [
        row(case, "a job's step / the same loop under torchrun", starts, OURS, LOOP, MUST),
        row(case, "a job's step / a DDP script under torchrun", starts, OURS, SCRIPT, MUST),
        row(case, f"{STEPS} steps and a checkpoint / without", starts, WITH, OURS, MUST_CHECKPOINT),
    ]


def table(found: list[dict[str, Any]]) -> str:
    """The rows in Markdown."""
    lines = [
        "| network | compared | reference, ms a step | time, ratio | processor time, ratio | must |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for entry in found:
        (time, low, high), (cpu, least, most) = entry["ratio"], entry["cpu_ratio"]
        lines.append(
            f"| {CASES[entry['case']].what} | {entry['what']} | {entry['reference_ms']:.1f} "
            f"| {time:.3f} ({low:.3f} to {high:.3f}) | {cpu:.3f} ({least:.3f} to {most:.3f}) | <= {entry['must']} |"
        )
    return "\n".join(lines)


def main() -> int:
    """Measure, print, write the JSON; 1 where an interval lies above what must be reached."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--starts", type=int, default=5, help="of the processes")
    parser.add_argument("--rounds", type=int, default=10, help="after each start")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument(
        "--folder", type=Path, help="for checkpoints, on the volume to try; a temporary one if left out"
    )
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "bench" / "steps.json")
    args = parser.parse_args()
    os.environ["RAY_AUTH_MODE"] = "disabled"
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 - Ray's own name; its workers run at 15 otherwise
    import ray

    ray.init(num_cpus=WORLD, include_dashboard=False, object_store_memory=100 * 1024**2, logging_level="ERROR")
    found, raw, rng = [], {}, random.Random(1)
    for case in args.cases:
        starts = []
        for _ in range(args.starts):
            with tempfile.TemporaryDirectory(dir=args.folder) as folder:
                starts.append(measure(case, args.rounds, Path(folder), rng))
        found += rows(case, starts)
        raw[case] = [
            [{name: [took.seconds, took.cpu] for name, took in turns.items()} for turns in rounds] for rounds in starts
        ]
    ray.shutdown()
    print(table(found))
    document = {
        "machine": {"cpu": cpu_name(), "cpus": len(os.sched_getaffinity(0)), "load": os.getloadavg()},
        "settings": {"starts": args.starts, "rounds": args.rounds, "steps": STEPS},
        "rows": found,
        "turns": raw,
    }
    args.json.parent.mkdir(parents=True, exist_ok=True)
    args.json.write_text(json.dumps(document, indent=1))
    return 0 if all(entry["met"] for entry in found) else 1


if __name__ == "__main__":
    sys.exit(environment.run("steps", main))
