"""A table several times larger than the memory of the pods that train on it: what they need, and how fast it goes.

A recipe prepares and trains in a memory group of the kernel with the limit of its pod: more, and it is killed. Beside
it stands the plain loop that a newcomer writes over the same Parquet files, in a group of the same limit: the same
network, the same batches, rows in the order of the files, nothing fitted or judged.

python -m e2e.bench.training.larger                               # 512Mi, a Parquet table of 1.6 GB, an mlp
python -m e2e.bench.training.larger --format csv.gz --files 4
python -m e2e.bench.training.larger --architecture trees
python -m e2e.bench.training.larger --workers 2 --memory 1Gi      # a Ray node in a group for the head and each worker

Without --workers there is one process and no Ray. It needs root, for the groups (cgroup v1 at /sys/fs/cgroup/memory).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from e2e import venv
from e2e.bench.training.larger_programs import make
from e2e.memory import NOTHING, Held, Watch

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[3]
GROUPS = Path("/sys/fs/cgroup/memory")
SOURCES = ("operator/src", "images/processors", "images/workload", ".")
HEAD_MEMORY = 2 << 30  # as the operator gives it
PORT = 26379  # of Ray's head
MIB = 1 << 20


@dataclass(frozen=True)
class Run:
    """What a program needed."""

    name: str
    limits: dict[str, int]  # bytes, by group
    peaks: dict[str, Held]
    killed: int  # processes, for too much memory
    seconds: float
    prepared: float  # seconds of these before the first epoch
    rows_a_second: float  # in an epoch; 0 where it failed


class Group:
    """A memory group of the kernel."""

    def __init__(self, name: str, limit: int) -> None:
        self.folder, self.limit = GROUPS / f"tradewind-{name}-{os.getpid()}", limit

    def __enter__(self) -> Group:
        self.folder.mkdir()
        (self.folder / "memory.limit_in_bytes").write_text(str(self.limit))
        return self

    def __exit__(self, *_: object) -> None:
        while pids := (self.folder / "cgroup.procs").read_text().split():
            for pid in map(int, pids):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.1)
        self.folder.rmdir()

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Python with these arguments, in the group."""
        enter = ["sh", "-c", 'echo $$ > "$0" && exec "$@"', str(self.folder / "cgroup.procs")]
        return subprocess.Popen(
            [*enter, str(venv.python("workload")), *arguments],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(str(ROOT / part) for part in SOURCES)} | environment,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )


@contextmanager
def nodes(head: Group, workers: list[Group], folder: Path) -> Iterator[str]:
    """A Ray node in each group, with the slots that the operator gives them; the address of the head.

    Their own files are in the folder: in Ray's usual one, other programs would find this cluster and join it.
    """
    started = []
    common = ("-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats")
    try:
        address = f"127.0.0.1:{PORT}"
        of = [(head, ["--head", f"--port={PORT}", "--num-cpus=0", f"--temp-dir={folder}"])]
        of += [(group, [f"--address={address}", "--num-cpus=2"]) for group in workers]
        for number, (group, options) in enumerate(of):
            # One after the other: they look for free names and ports of this machine.
            for _try in range(3):  # Ray gives itself 30 s, which a busy machine may not have
                started.append(group.start(*common, *options, f"--dashboard-agent-listen-port={PORT + 1 + number}"))
                output = started[-1].stdout
                assert output is not None
                if any("Ray runtime started" in line for line in output):
                    break
            else:
                raise RuntimeError("Ray does not start")
        yield address
    finally:
        for process in reversed(started):
            process.terminate()
        for process in started:
            process.wait()


def measured(name: str, groups: dict[str, Group], program: str, given: list[str], volumes: Path) -> Run:
    """Run a program of larger_programs in the first of the groups; the others are workers."""
    with ExitStack() as stack:
        for group in groups.values():
            stack.enter_context(group)
        watch = stack.enter_context(Watch(lambda: {of: group.folder for of, group in groups.items()}))
        first, *workers = groups.values()
        environment = {}
        if workers:
            environment["RAY_ADDRESS"] = stack.enter_context(nodes(first, workers, volumes / "ray"))
        began = time.monotonic()
        process = first.start("-m", "e2e.bench.training.larger_programs", program, *given, **environment)
        output, _ = process.communicate()
        seconds = time.monotonic() - began
    print(output)
    prepared, rate = 0.0, 0.0
    if not process.returncode:
        prepared, rate = _of_report(volumes) if program == "recipe" else (0.0, float(output.split()[-1]))
    limits = {of: group.limit for of, group in groups.items()}
    return Run(name, limits, watch.peaks, sum(watch.killed.values()), seconds, prepared, rate)


def _of_report(volumes: Path) -> tuple[float, float]:
    """Seconds of the preparation, and rows a second of an epoch or a round."""
    (path,) = volumes.glob("claim/model/models/*/report.json")
    report = json.loads(path.read_bytes())
    phases = {phase["name"]: phase["seconds"] for phase in report["spent"]["phases"]}
    rows = next(part["rows"] for part in report["split"]["parts"] if part["name"] == "train")
    fewer = re.search(r"the trees grow from (\d+) of", " ".join(report["notes"]))
    rows = int(fewer[1]) if fewer else rows
    return phases["prepare the data"], rows * report["curve"]["done"] / phases["train"]


def table(runs: list[Run]) -> str:
    """The runs in Markdown, with a row for each group."""
    columns = ("program", "limit", "peak", "page cache", "killed", "whole run", "before the first epoch")
    lines = [f"| {' | '.join((*columns, 'rows a second in an epoch'))} |", f"|{' --- |' * (len(columns) + 1)}"]
    for run in runs:
        for of, limit in run.limits.items():
            peak = run.peaks.get(of, NOTHING)
            name = f"{run.name}, {of}" if len(run.limits) > 1 else run.name
            lines.append(
                f"| {name} | {limit / MIB:.0f} MiB | {peak.own / MIB:.0f} MiB | {peak.cache / MIB:.0f} MiB "
                f"| {run.killed} | {run.seconds:.0f} s | {run.prepared:.0f} s | {run.rows_a_second:,.0f} |"
            )
    return "\n".join(lines)


def main() -> int:
    """Measure, print and write the JSON; 1 if ours was killed or failed."""
    from tradewind_workload.train.cluster import amount

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--memory", default="512Mi", help="of a worker's pod")
    parser.add_argument("--times", type=float, default=3.0, help="the values of the table, in memories of all pods")
    parser.add_argument("--columns", type=int, default=63)
    parser.add_argument("--format", choices=("parquet", "csv", "csv.gz"), default="parquet")
    parser.add_argument("--files", type=int, default=1, help="that the table is in")
    parser.add_argument("--architecture", choices=("linear", "mlp", "trees"), default="mlp")
    parser.add_argument("--workers", type=int, default=0, help="on a Ray cluster; 0: one process without Ray")
    parser.add_argument("--folder", type=Path, help="for the table; a temporary one when left out")
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "bench" / "larger.json")
    args = parser.parse_args()
    limit = int(amount(args.memory))
    groups = {"one process": Group("recipe", limit)}
    if args.workers:
        groups = {"head": Group("head", HEAD_MEMORY)}
        groups |= {f"worker {i}": Group(f"worker{i}", limit) for i in range(1, args.workers + 1)}
    rows = int(args.times * sum(group.limit for group in groups.values()) / (4 * args.columns))
    with tempfile.TemporaryDirectory(dir=args.folder) as root:
        volumes = Path(root)
        size, on_disk = make(volumes / "claim" / "data", rows, args.columns, args.format, args.files)
        print(
            f"{rows:,} rows of {args.columns} numbers: {size / MIB:.0f} MiB, {on_disk / MIB:.0f} MiB of {args.format}",
            flush=True,
        )
        given = ["--volumes", str(volumes), "--memory", args.memory, "--architecture", args.architecture]
        runs = [measured("Tradewind", groups, "recipe", [*given, "--workers", str(args.workers)], volumes)]
        if args.format == "parquet" and args.architecture != "trees":
            runs.append(measured("plain loop", {"one process": Group("plain", limit)}, "plain", given, volumes))
    print(table(runs))
    args.json.parent.mkdir(parents=True, exist_ok=True)
    args.json.write_text(json.dumps({"arguments": vars(args), "runs": [asdict(run) for run in runs]}, default=str))
    return int(not runs[0].rows_a_second or runs[0].killed > 0)


if __name__ == "__main__":
    sys.exit(main())
