"""A later attempt takes over what an earlier one finished, where it is still the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from jobs import Heard, alone, blobs, small_compression, training_job, write_csv

from tradewind.api.compressionjob import CompressionJobSpec
from tradewind.api.report import JobDocument, Report
from tradewind.api.trainingjob import TrainingJobSpec
from tradewind_workload.compress.candidates import Workshop
from tradewind_workload.compress.judged import Parts
from tradewind_workload.compress.model import Context
from tradewind_workload.compress.source import open_source
from tradewind_workload.compress.storing import Storage
from tradewind_workload.data.headers import read_headers
from tradewind_workload.data.preparation import prepare
from tradewind_workload.io.store import open_model
from tradewind_workload.measure.processor import processor
from tradewind_workload.train.judging import split_of
from tradewind_workload.train.place import Alone

if TYPE_CHECKING:
    from pathlib import Path

    from tradewind.api.artefact import Manifest, SplitRecord
    from tradewind_workload.compress.storing import Stored
    from tradewind_workload.data.preparation import Prepared

TAKEN_OVER = "finished by an earlier attempt"
SETS = ("train", "validation", "test")
SPEC: dict[str, Any] = {
    "recipe": {"task": "tabular-classification", "model": {"architecture": "mlp"}, "epochs": 2, "batchSize": 32},
    "data": {name: {"storageUri": f"pvc://claim/{name}.csv", "format": "csv"} for name in SETS},
    "workers": 1,
    "output": {"storageUri": "pvc://claim/model"},
}


def made(digest: str) -> tuple[Stored, Manifest]:
    """The one variant of a job in a new attempt, and its manifest."""
    job = JobDocument.read(small_compression(digest))
    spec = CompressionJobSpec.read(job.spec)
    source = open_source(job, spec, Alone(Heard()))
    storage = Storage(job, spec, Workshop(Context(source, processor(), 1)), Parts.of(source))
    stored = storage.store(spec.candidates[0])
    assert stored.folder is not None
    return stored, open_model(stored.folder)[0]


def write(volumes: Path, name: str, *, corrected: bool = False) -> None:
    """The rows of a data set, of which half get other labels where they are corrected."""
    inputs, classes = blobs(120, seed=SETS.index(name))
    other = (np.arange(len(classes)) < len(classes) // 2) & corrected
    write_csv(volumes / "claim" / f"{name}.csv", inputs, np.where(other, (classes + 1) % 3, classes))


def read() -> Prepared:
    """The rows as a job reads them."""
    spec = TrainingJobSpec.read(SPEC)
    assert spec.data is not None and spec.recipe is not None
    return prepare(spec.data, read_headers(spec.data, spec.recipe.task), spec.recipe.seed)


def record() -> SplitRecord:
    """What a manifest would say of the rows."""
    return split_of(read())


@pytest.mark.parametrize("changed", SETS)
def test_corrected_labels_of_each_part_are_told_apart(changed: str, volumes: Path) -> None:
    """They change neither the rows nor their parts, and still what a model learns or is worth."""
    for name in SETS:
        write(volumes, name)
    before = record()
    assert record() == before
    write(volumes, changed, corrected=True)
    assert record().digest == before.digest
    assert record() != before


def test_a_variant_is_taken_over_where_its_rows_are_the_same_alone(
    volumes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in SETS:
        write(volumes, name)
    reports, _ = alone(training_job(SPEC))
    model = Report.read(reports[-1]).model
    assert model is not None
    first, _ = made(model.digest)
    assert TAKEN_OVER not in capsys.readouterr().out
    again, _ = made(model.digest)
    assert TAKEN_OVER in capsys.readouterr().out
    assert again.digest == first.digest

    write(volumes, "test", corrected=True)
    other, manifest = made(model.digest)
    assert TAKEN_OVER not in capsys.readouterr().out
    assert other.digest != first.digest
    assert manifest.split == record()
    assert other.answers is not None
    test = read().test
    assert test is not None
    right = float((other.answers.shown.argmax(1) == test.targets).mean())
    assert {found.name: float(found.value) for found in manifest.metrics}["accuracy"] == pytest.approx(right, abs=1e-6)
