"""What `larger` runs in its memory groups: a recipe, or a loop as a newcomer writes it; and how its table is made."""

from __future__ import annotations

import argparse
import gzip
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

PIECE = 1 << 15  # rows that are made at once
EPOCHS, BATCH = 2, 1024
HIDDEN = 128  # units of both networks
ROUNDS = 20  # of trees


def make(folder: Path, rows: int, columns: int, form: str, files: int) -> tuple[int, int]:
    """Write a table of that many rows in so many files. Returns the bytes of its values, and of its files."""
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    folder.mkdir(parents=True)
    random, weights = np.random.default_rng(0), np.random.default_rng(1).normal(size=columns)
    names = [*(f"f{i}" for i in range(columns)), "label"]
    schema = pa.schema([(name, pa.float32()) for name in names[:-1]] + [(names[-1], pa.string())])
    for number in range(files):
        path = folder / f"part-{number}.{form}"
        of = rows * (number + 1) // files - rows * number // files
        pieces = _pieces(random, weights, of, schema)
        if form == "parquet":
            with pyarrow.parquet.ParquetWriter(path, schema) as writer:
                for piece in pieces:
                    writer.write_table(piece)
            continue
        with (
            gzip.open(path, "wb", 1) if form.endswith("gz") else path.open("wb") as file,
            pyarrow.csv.CSVWriter(file, schema) as writer,
        ):
            for piece in pieces:
                writer.write_table(piece)
    return 4 * rows * columns, sum(file.stat().st_size for file in folder.iterdir())


def _pieces(random: np.random.Generator, weights: np.ndarray, rows: int, schema: pa.Schema) -> Any:
    import pyarrow as pa

    for start in range(0, rows, PIECE):
        some = min(PIECE, rows - start)
        values = random.normal(size=(some, len(weights))).astype(np.float32).round(4)
        positive = values @ weights + random.normal(size=some) > 0
        columns = [*map(pa.array, np.ascontiguousarray(values.T)), pa.array(np.where(positive, "yes", "no"))]
        yield pa.Table.from_arrays(columns, schema=schema)


class _Silent:
    def progress(self, report: dict[str, Any]) -> None:
        """Nobody hears it."""

    def final(self, report: dict[str, Any]) -> None:
        """Nobody hears it."""

    def close(self) -> None:
        """Nothing is left."""


def recipe(volumes: Path, memory: str, architecture: str, workers: int) -> None:
    """Prepare and train: in this process, or on the Ray cluster around it where there are workers."""
    from tradewind.api.report import JobDocument
    from tradewind_workload.train import recipe as recipe_job
    from tradewind_workload.train.cluster import Cluster
    from tradewind_workload.train.place import Alone

    os.environ["TRADEWIND_PVC_ROOT"] = str(volumes)
    network = {"epochs": EPOCHS, "batchSize": BATCH, "optimizer": {"lr": "0.001"}}
    model: dict[str, Any] = {"architecture": architecture}
    model |= {"trees": {"rounds": ROUNDS}} if architecture == "trees" else {"hiddenUnits": [HIDDEN]}
    if architecture == "linear":
        del model["hiddenUnits"]
    document = {
        "kind": "TrainingJob",
        "namespace": "bench",
        "name": "larger",
        "uid": "11111111-1111-1111-1111-111111111111",
        "attempt": 1,
        "run": "attempt-1",
        "reportUrl": "",
        "spec": {
            "workers": max(1, workers),
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
    told = _Silent()
    recipe_job.run(JobDocument.read(document), told, Cluster() if workers else Alone(told))


def plain(volumes: Path) -> None:
    """An epoch as a newcomer writes it."""
    import pyarrow.parquet
    import torch

    torch.set_num_threads(1)
    paths = sorted((volumes / "claim" / "data").iterdir())
    columns = pyarrow.parquet.read_schema(paths[0]).names[:-1]
    network = torch.nn.Sequential(torch.nn.Linear(len(columns), HIDDEN), torch.nn.ReLU(), torch.nn.Linear(HIDDEN, 2))
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.001)
    began, rows = time.monotonic(), 0
    for path in paths:
        # With pyarrow's defaults, the whole file ends up in memory.
        for batch in pyarrow.parquet.ParquetFile(path, pre_buffer=False).iter_batches(64 * BATCH):
            inputs = torch.from_numpy(np.stack([batch.column(name).to_numpy() for name in columns], axis=1))
            labels = batch.column("label").to_numpy(zero_copy_only=False)
            targets = torch.from_numpy((labels == "yes").astype(np.int64))
            order = torch.randperm(len(targets))
            for start in range(0, len(order), BATCH):
                chosen = order[start : start + BATCH]
                optimizer.zero_grad()
                torch.nn.functional.cross_entropy(network(inputs[chosen]), targets[chosen]).backward()
                optimizer.step()
            rows += len(targets)
    print(f"RATE {rows / (time.monotonic() - began)}", flush=True)


PROGRAMS = ("recipe", "plain")


def main() -> None:
    """Run one of them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("program", choices=PROGRAMS)
    parser.add_argument("--volumes", type=Path)
    parser.add_argument("--memory")
    parser.add_argument("--architecture")
    parser.add_argument("--workers", type=int, default=0)
    args = parser.parse_args()
    if args.program == "recipe":
        recipe(args.volumes, args.memory, args.architecture, args.workers)
    else:
        plain(args.volumes)


if __name__ == "__main__":
    main()
