"""Processes killed while they write checkpoints: how many torn ones are loaded, how many are lost, what a write takes.

Each writer writes one checkpoint after the other and says when each is finished; it is killed at a random moment. Ours
writes as a job does, in the background, while the tensors become those of the next step. What is then restored must be,
byte for byte, a checkpoint of the step that it claims, and no older than the last one that the writer called finished.
Beside our checkpoints stands a file that is overwritten in place, to see that the judge can find fault.

python -m e2e.bench.training.checkpoints                # 1,000 kills, and 100 of the other, some minutes
python -m e2e.bench.training.checkpoints --kills 100
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from e2e.bench.training import environment

if TYPE_CHECKING:
    import torch

ROOT = Path(__file__).resolve().parents[3]
KEEP = 2  # checkpoints, as the API's default is
TIMED = 20  # writes without a kill


class Method(Protocol):
    """A way to write and restore checkpoints."""

    name: str

    def write(self, folder: Path, steps: Iterable[int], finished: Callable[[int], None]) -> None:
        """Write the checkpoint of each step, and call `finished` with it afterwards."""

    def restore(self, folder: Path) -> tuple[int, dict[str, torch.Tensor]] | None:
        """What a training would continue from."""


@dataclass
class Outcome:
    """What became of one method's checkpoints."""

    name: str
    kills: int = 0
    in_a_write: int = 0  # kills that left a file under its partial name, which one in place has not
    torn: int = 0  # restored, and not what was written
    lost: int = 0  # finished, and not restored
    write_ms: list[float] = field(default_factory=list)


def tensors_of(step: int, mebibytes: int) -> dict[str, torch.Tensor]:
    """The state at a step: anything else than the bytes of this very step is told from it."""
    import torch

    values = torch.arange(mebibytes * 2**18, dtype=torch.float32) * 0.5 + step
    return {f"layer{i}": part.contiguous() for i, part in enumerate(values.chunk(4))}


class Ours:
    """Recipes' checkpoints."""

    name = "Tradewind"

    def __init__(self, mebibytes: int) -> None:
        self.mebibytes = mebibytes

    def write(self, folder: Path, steps: Iterable[int], finished: Callable[[int], None]) -> None:
        """See Method."""
        from tradewind_workload.train.checkpoint import State
        from tradewind_workload.train.writer import Writer

        trained = tensors_of(0, self.mebibytes)
        with Writer(folder, "mark", KEEP) as writer:
            for step in steps:
                for name, tensor in tensors_of(step, self.mebibytes).items():
                    trained[name].copy_(tensor)
                writer.write(State(step, step, trained), finished)

    def restore(self, folder: Path) -> tuple[int, dict[str, torch.Tensor]] | None:
        """See Method."""
        from tradewind_workload.train import checkpoint

        state = checkpoint.restore(folder, "mark")
        return None if state is None else (state.step, state.tensors)


class InPlace:
    """One file, overwritten."""

    name = "overwritten in place"

    def __init__(self, mebibytes: int) -> None:
        self.mebibytes = mebibytes

    def write(self, folder: Path, steps: Iterable[int], finished: Callable[[int], None]) -> None:
        """See Method."""
        import torch
        from safetensors.torch import save

        folder.mkdir(parents=True, exist_ok=True)
        for step in steps:
            content = save(tensors_of(step, self.mebibytes) | {"step": torch.tensor([step])})
            with (folder / "last.safetensors").open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            finished(step)

    def restore(self, folder: Path) -> tuple[int, dict[str, torch.Tensor]] | None:
        """See Method."""
        from safetensors import SafetensorError
        from safetensors.torch import load

        try:
            tensors = load((folder / "last.safetensors").read_bytes())
        except (OSError, SafetensorError):
            return None
        return int(tensors.pop("step")[0]), tensors


def killed(method: Method, folder: Path, first: int, seconds: float) -> int | None:
    """Kill a writer that many seconds after it has begun. Returns the last step that it called finished."""
    reading, writing = os.pipe()

    def say(step: int) -> None:
        os.write(writing, f"{step}\n".encode())

    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            os.write(writing, b"begun\n")
            method.write(folder, itertools.count(first), say)
        finally:
            os._exit(1)  # it failed, and is not to go on as its parent does
    os.close(writing)
    with os.fdopen(reading) as said:
        said.readline()
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        finished = [int(line) for line in said]
    return finished[-1] if finished else None


def same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> bool:
    """Whether both are the same tensors, bit for bit."""
    import torch

    return found.keys() == expected.keys() and all(torch.equal(found[name], expected[name]) for name in expected)


def sweep(folder: Path) -> bool:
    """Remove what a killed writer left, which would fill the disk here; whether it left anything."""
    left = list(folder.glob(".*.partial"))
    for path in left:
        path.unlink()
    return bool(left)


def timed(method: Method, folder: Path) -> Iterator[float]:
    """Milliseconds of each of some writes without a kill."""
    for step in range(TIMED):
        started = time.perf_counter()
        method.write(folder, [step], lambda _: None)
        yield (time.perf_counter() - started) * 1e3


def measure(method: Method, folder: Path, kills: int, mebibytes: int, rng: random.Random) -> Outcome:
    """Time writes, then kill so many writers, each at another moment of its first three writes."""
    outcome = Outcome(method.name, write_ms=list(timed(method, folder / "timed")))
    longest = 3 * statistics.median(outcome.write_ms) / 1e3
    finished, checkpoints = None, folder / "killed"
    for number in range(kills):
        if number and number % 100 == 0:
            print(f"{method.name}: {number} kills, {outcome.in_a_write} in a write", end=", ", flush=True)
            print(f"{outcome.torn} torn loaded, {outcome.lost} finished lost", flush=True)
        told = killed(method, checkpoints, (finished or 0) + 1, rng.uniform(0, longest))
        finished = told if told is not None else finished
        outcome.kills += 1
        outcome.in_a_write += sweep(checkpoints)
        restored = method.restore(checkpoints)
        if restored is None or (finished is not None and restored[0] < finished):
            outcome.lost += finished is not None
            continue
        outcome.torn += not same(restored[1], tensors_of(restored[0], mebibytes))
    return outcome


def table(outcomes: list[Outcome]) -> str:
    """The outcomes in Markdown."""
    lines = [
        "| checkpoints | kills | in a write | torn loaded | finished lost | write, ms |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {outcome.name} | {outcome.kills} | {outcome.in_a_write} | {outcome.torn} | {outcome.lost} "
        f"| {statistics.median(outcome.write_ms):.1f} |"
        for outcome in outcomes
    ]
    return "\n".join(lines)


def main() -> int:
    """Measure, print and write the JSON; 1 if a torn checkpoint of ours was loaded or a finished one lost."""
    from e2e.bench.serving import cpu_name

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=1000, help="of our writers")
    parser.add_argument("--control", type=int, default=100, help="kills of those that overwrite in place")
    parser.add_argument("--mebibytes", type=int, default=4, help="of a checkpoint")
    parser.add_argument("--folder", type=Path, help="on the volume to try; a temporary one when left out")
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "bench" / "checkpoints.json")
    args = parser.parse_args()
    import torch

    torch.set_num_threads(1)  # a forked writer has none of the others
    rng = random.Random(1)
    with tempfile.TemporaryDirectory(dir=args.folder) as root:
        methods: tuple[Method, ...] = (Ours(args.mebibytes), InPlace(args.mebibytes))
        outcomes = [
            measure(method, Path(root, str(number)), kills, args.mebibytes, rng)
            for number, (method, kills) in enumerate(zip(methods, (args.kills, args.control), strict=True))
        ]
    print(table(outcomes))
    document = {
        "machine": {"cpu": cpu_name(), "cpus": len(os.sched_getaffinity(0)), "load": os.getloadavg()},
        "settings": {"kills": args.kills, "control": args.control, "mebibytes": args.mebibytes},
        "outcomes": [asdict(outcome) for outcome in outcomes],
    }
    args.json.parent.mkdir(parents=True, exist_ok=True)
    args.json.write_text(json.dumps(document, indent=1))
    ours = outcomes[0]
    return 1 if ours.torn or ours.lost else 0


if __name__ == "__main__":
    sys.exit(environment.run("checkpoints", main))
