"""A table several times larger than the memory of the pod that trains on it: what it needs, and how fast it goes.

A recipe prepares and trains in one process without a cluster, in a memory group of the kernel with the limit of the
pod: more, and it is killed. Beside it stands the plain loop that a newcomer writes over the same Parquet files, in a
group of the same limit: the same network, the same batches, rows in the order of the files, nothing fitted or judged.

python -m e2e.bench.training.larger                               # 512Mi, a Parquet table of 1.6 GB, an mlp
python -m e2e.bench.training.larger --format csv
python -m e2e.bench.training.larger --architecture trees
python -m e2e.bench.training.larger --memory 1Gi --times 10

It needs root, for the group (cgroup v1 at /sys/fs/cgroup/memory).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from e2e import venv

ROOT = Path(__file__).resolve().parents[3]
GROUPS = Path("/sys/fs/cgroup/memory")
PIECE = 1 << 15  # rows that are made at once
EPOCHS, BATCH = 2, 1024
HIDDEN = 128  # units of both networks


@dataclass(frozen=True)
class Run:
    """What a program needed."""

    name: str
    limit: int  # bytes
    peak: int  # bytes of its own memory, at most; the page cache, which the kernel takes back, is not counted
    killed: int  # processes, for too much memory
    seconds: float
    prepared: float  # seconds of these before the first epoch
    rows_a_second: float  # in an epoch


def make(folder: Path, rows: int, columns: int, form: str) -> int:
    """Write a table of that many rows. Returns the bytes of its values."""
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    folder.mkdir(parents=True)
    random, weights = np.random.default_rng(0), np.random.default_rng(1).normal(size=columns)
    names = [*(f"f{i}" for i in range(columns)), "label"]
    schema = pa.schema([(name, pa.float32()) for name in names[:-1]] + [(names[-1], pa.string())])
    path = folder / f"table.{form}"
    writer: Any = (
        pyarrow.parquet.ParquetWriter(path, schema) if form == "parquet" else pyarrow.csv.CSVWriter(path, schema)
    )
    with writer:
        for start in range(0, rows, PIECE):
            some = min(PIECE, rows - start)
            values = random.normal(size=(some, columns)).astype(np.float32).round(4)
            positive = values @ weights + random.normal(size=some) > 0
            columns_ = [*map(pa.array, np.ascontiguousarray(values.T)), pa.array(np.where(positive, "yes", "no"))]
            writer.write_table(pa.Table.from_arrays(columns_, schema=schema))
    return 4 * rows * columns


def recipe(volumes: Path, memory: str, architecture: str) -> None:
    """Prepare and train in this process."""
    from tradewind.api.report import JobDocument
    from tradewind_workload.train import recipe as recipe_job
    from tradewind_workload.train.place import Alone

    class Silent:
        def progress(self, report: dict[str, Any]) -> None:
            """Nobody hears it."""

        def final(self, report: dict[str, Any]) -> None:
            """Nobody hears it."""

        def close(self) -> None:
            """Nothing is left."""

    os.environ["TRADEWIND_PVC_ROOT"] = str(volumes)
    network = {"epochs": EPOCHS, "batchSize": BATCH, "optimizer": {"lr": "0.001"}}
    model: dict[str, Any] = {"architecture": architecture}
    model |= {"trees": {"rounds": 20}} if architecture == "trees" else {"hiddenUnits": [HIDDEN]}
    document = {
        "kind": "TrainingJob",
        "namespace": "bench",
        "name": "larger",
        "uid": "11111111-1111-1111-1111-111111111111",
        "attempt": 1,
        "run": "attempt-1",
        "reportUrl": "",
        "spec": {
            "workers": 1,
            "resources": {"memory": memory},
            "data": {
                "train": {"storageUri": "pvc://claim/data"},
                "label": "label",
                "validationFraction": "0.1",
                "prepare": [] if architecture == "trees" else [{"standardize": {}}],
            },
            "recipe": {
                "task": "tabular-classification",
                "model": model,
                **({} if architecture == "trees" else network),
            },
            "output": {"storageUri": "pvc://claim/model"},
        },
    }
    recipe_job.run(JobDocument.read(document), Silent(), Alone(Silent()))


def plain(volumes: Path) -> None:
    """An epoch as a newcomer writes it."""
    import pyarrow.parquet
    import torch

    torch.set_num_threads(1)
    # With pyarrow's defaults, the whole file ends up in memory.
    file = pyarrow.parquet.ParquetFile(volumes / "claim" / "data" / "table.parquet", pre_buffer=False)
    columns = file.schema_arrow.names[:-1]
    network = torch.nn.Sequential(torch.nn.Linear(len(columns), HIDDEN), torch.nn.ReLU(), torch.nn.Linear(HIDDEN, 2))
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.001)
    began, rows = time.monotonic(), 0
    for batch in file.iter_batches(64 * BATCH):
        inputs = torch.from_numpy(np.stack([batch.column(name).to_numpy() for name in columns], axis=1))
        targets = torch.from_numpy((batch.column("label").to_numpy(zero_copy_only=False) == "yes").astype(np.int64))
        order = torch.randperm(len(targets))
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(network(inputs[chosen]), targets[chosen]).backward()
            optimizer.step()
        rows += len(targets)
    print(f"RATE {rows / (time.monotonic() - began)}", flush=True)


class Group:
    """A memory group of the kernel."""

    def __init__(self, name: str, limit: int) -> None:
        self.folder, self.limit, self.peak = GROUPS / f"{name}-{os.getpid()}", limit, 0
        self._over = threading.Event()

    def __enter__(self) -> Group:
        self.folder.mkdir()
        (self.folder / "memory.limit_in_bytes").write_text(str(self.limit))
        self._watching = threading.Thread(target=self._watch)
        self._watching.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._watching.join()
        self.folder.rmdir()

    def enter(self) -> None:
        """In a process that is to be in it."""
        (self.folder / "cgroup.procs").write_text(str(os.getpid()))

    def figure(self, file: str, name: str) -> int:
        """A number of a file of the group."""
        lines = (line.split() for line in (self.folder / file).read_text().splitlines())
        return next(int(line[1]) for line in lines if line[0] == name)

    def _watch(self) -> None:
        while not self._over.wait(0.1):
            self.peak = max(self.peak, self.figure("memory.stat", "total_rss"))


def measured(name: str, limit: int, arguments: list[str], volumes: Path) -> Run:
    """Run this module so in a group."""
    sources = os.pathsep.join(
        str(ROOT / part) for part in ("operator/src", "images/processors", "images/workload", ".")
    )
    began = time.monotonic()
    with Group(f"tradewind-{arguments[0]}", limit) as group:
        process = subprocess.run(
            [str(venv.python("workload")), "-m", "e2e.bench.training.larger", "--inside", *arguments],
            env=os.environ | {"PYTHONPATH": sources},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            check=False,
            preexec_fn=group.enter,
        )
        seconds, killed = time.monotonic() - began, group.figure("memory.oom_control", "oom_kill")
    print(process.stdout)
    if process.returncode:
        return Run(name, limit, group.peak, killed, seconds, 0.0, 0.0)
    prepared, rate = _of_report(volumes) if name == "Tradewind" else (0.0, float(process.stdout.split()[-1]))
    return Run(name, limit, group.peak, killed, seconds, prepared, rate)


def _of_report(volumes: Path) -> tuple[float, float]:
    """Seconds of the preparation, and rows a second of an epoch or a round."""
    (path,) = volumes.glob("claim/model/models/*/report.json")
    report = json.loads(path.read_bytes())
    phases = {phase["name"]: phase["seconds"] for phase in report["spent"]["phases"]}
    rows = next(part["rows"] for part in report["split"]["parts"] if part["name"] == "train")
    return phases["prepare the data"], rows * report["curve"]["done"] / phases["train"]


def table(runs: list[Run]) -> str:
    """The runs in Markdown."""
    lines = [
        "| program | limit | peak | killed | whole run | before the first epoch | rows a second in an epoch |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {run.name} | {run.limit / 2**20:.0f} MiB | {run.peak / 2**20:.0f} MiB | {run.killed} "
        f"| {run.seconds:.0f} s | {run.prepared:.0f} s | {run.rows_a_second:,.0f} |"
        for run in runs
    ]
    return "\n".join(lines)


def main() -> int:
    """Measure, print and write the JSON; 1 if ours was killed."""
    from tradewind_workload.train.cluster import amount

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--memory", default="512Mi", help="of the pod")
    parser.add_argument("--times", type=float, default=3.0, help="the values of the table, in memories of the pod")
    parser.add_argument("--columns", type=int, default=63)
    parser.add_argument("--format", choices=("parquet", "csv"), default="parquet")
    parser.add_argument("--architecture", choices=("linear", "mlp", "trees"), default="mlp")
    parser.add_argument("--folder", type=Path, help="for the table; a temporary one when left out")
    parser.add_argument("--inside", choices=("recipe", "plain"), help=argparse.SUPPRESS)
    parser.add_argument("--volumes", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "bench" / "larger.json")
    args = parser.parse_args()
    if args.inside == "recipe":
        recipe(args.volumes, args.memory, args.architecture)
        return 0
    if args.inside == "plain":
        plain(args.volumes)
        return 0
    limit = int(amount(args.memory))
    rows = int(args.times * limit / (4 * args.columns))
    with tempfile.TemporaryDirectory(dir=args.folder) as root:
        volumes = Path(root)
        size = make(volumes / "claim" / "data", rows, args.columns, args.format)
        on_disk = sum(file.stat().st_size for file in (volumes / "claim" / "data").iterdir())
        print(
            f"{rows:,} rows of {args.columns} numbers: {size / 2**20:.0f} MiB, "
            f"{on_disk / 2**20:.0f} MiB of {args.format}"
        )
        given = ["--volumes", str(volumes), "--memory", args.memory, "--architecture", args.architecture]
        runs = [measured("Tradewind", limit, ["recipe", *given], volumes)]
        if args.format == "parquet" and args.architecture != "trees":
            runs.append(measured("plain loop", limit, ["plain", *given], volumes))
    print(table(runs))
    args.json.parent.mkdir(parents=True, exist_ok=True)
    args.json.write_text(json.dumps({"arguments": vars(args), "runs": [asdict(run) for run in runs]}, default=str))
    return int(not runs[0].rows_a_second or runs[0].killed > 0)


if __name__ == "__main__":
    sys.exit(main())
