"""Our models of the contest: by the very steps of `tradewind run`, of a file as a newcomer writes it."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tradewind_cli import manifests, volumes
from tradewind_cli.chain import Chain

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

    from e2e.bench.quality.tables import Table
    from tradewind.api.trainingjob import TrainingJob

EXAMPLES = Path(__file__).resolve().parents[3] / "manifests" / "examples"


@dataclass(frozen=True)
class Heard:
    """What a training itself says of the rows that judge it, when it stores its model."""

    job: TrainingJob
    prepared: Any  # data.preparation.Prepared
    answers: np.ndarray  # probabilities, float32 [n, classes], or values, float32 [n], by what trained the model

    @property
    def numbers(self) -> np.ndarray:
        """Of the rows that judge, in their file, int64 [n]: a step of the preparation may leave some out."""
        rows = self.prepared.test
        numbers: np.ndarray = rows.starts[rows.block] + rows.offset
        return numbers


def train(table: Table, architecture: str, seed: int, root: Path, log: Path) -> Heard:
    """Train on the files `train` of a folder of claims, judge by `test`."""
    claim = root / _claim(table)
    shutil.rmtree(claim / "model", ignore_errors=True)  # what is finished would not be done again
    (root / "run.yaml").write_text(yaml.safe_dump_all(documents(table, architecture, seed)))
    (item,) = manifests.read(root / "run.yaml").trainings
    return quietly(item, root, log)


def quietly(item: TrainingJob, root: Path, log: Path) -> Heard:
    """Train what the object says, with the claims of a folder; what a user sees goes to the log."""
    volumes.use(root)
    with log.open("a") as output, contextlib.redirect_stdout(output), _stored() as stored:
        done = Chain(root, "put it there").train(item)
    ((prepared, trained),) = stored
    return Heard(done, prepared, trained.expected)


def documents(table: Table, architecture: str, seed: int) -> list[dict[str, Any]]:
    """The TrainingJob: the example's own, or that of docs/local.md; test rows, seed and architecture apart."""
    claim = _claim(table)
    if table.example:
        of_file = yaml.safe_load_all((EXAMPLES / f"{table.name}.yaml").read_text())
        (item,) = (found for found in of_file if found["kind"] == "TrainingJob")
        item["spec"]["recipe"]["seed"] = seed
        if architecture != table.architectures[0]:
            item["spec"]["recipe"]["model"] = {"architecture": architecture}
        ending = "npz" if table.family == "image" else "csv"
        item["spec"]["data"]["test"] = {"storageUri": f"pvc://{claim}/data/test.{ending}"}
        return [item]
    spec = {
        "recipe": {"task": f"tabular-{table.task}", "model": {"architecture": architecture}, "seed": seed},
        "data": {
            "train": {"storageUri": f"pvc://{claim}/data/train.csv"},
            "validationFraction": "0.2",
            "test": {"storageUri": f"pvc://{claim}/data/test.csv"},
            "label": table.label,
        },
        "output": {"storageUri": f"pvc://{claim}/model"},
    }
    return [{"apiVersion": "tradewind.dev/v1alpha1", "kind": "TrainingJob", "metadata": {"name": claim}, "spec": spec}]


def _claim(table: Table) -> str:
    return table.name.replace(" ", "-")


def data_folder(table: Table, root: Path) -> Path:
    """Where the files of a table are expected."""
    return root / _claim(table) / "data"


@contextlib.contextmanager
def _stored() -> Iterator[list[tuple[Any, Any]]]:
    """Keeps what trainings hand over to be stored: no file has the answers to each row."""
    from tradewind_workload.train import result

    kept: list[tuple[Any, Any]] = []
    store = result.store

    def keep(job: Any, spec: Any, prepared: Any, trained: Any, folder: Path) -> str:
        kept.append((prepared, trained))
        return str(store(job, spec, prepared, trained, folder))

    result.store = keep
    try:
        yield kept
    finally:
        result.store = store
