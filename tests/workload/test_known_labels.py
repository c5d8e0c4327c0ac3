"""Data for a finished model is read by the labels that the model knows, whichever of them its parts have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tradewind.api.data import Data
from tradewind_workload.data.headers import read_headers
from tradewind_workload.data.labels import Known
from tradewind_workload.data.preparation import Room, prepare
from tradewind_workload.data.streamed import tally_of
from tradewind_workload.io.fault import Fault

if TYPE_CHECKING:
    from pathlib import Path

    from tradewind_workload.data.preparation import Prepared

TABLE = "tabular-classification"
SEVERAL = "tabular-multilabel-classification"
KNOWN = Known(("red", "green", "10", "blue"))  # in an order that no data has

# By the form of the labels: the columns, the task, and the cells of some labels.
FORMS: dict[str, tuple[dict[str, Any], str]] = {
    "class": ({"label": "kind"}, TABLE),
    "cells": ({"label": "kind", "labelSeparator": ";"}, SEVERAL),
    "columns": ({"labelColumns": ["blue", "green"]}, SEVERAL),
}


def write(path: Path, form: str, labels: list[str]) -> dict[str, Any]:
    """A table with a row for each of these labels."""
    header, lines = "kind", labels
    if form == "columns":
        header, lines = "blue,green", [f"{int(label == 'blue')},{int(label == 'green')}" for label in labels]
    path.parent.mkdir(exist_ok=True)
    rows = [f"{len(labels) + number},{number},{line}" for number, line in enumerate(lines)]
    path.write_text("\n".join([f"a,day,{header}", *rows]) + "\n")
    return {"storageUri": f"pvc://claim/{path.name}"}


def read(volumes: Path, form: str, known: Known | None, *, streamed: bool, **parts: Any) -> Prepared:
    fields, task = FORMS[form]
    data = Data.model_validate({**parts, **fields, "columns": [{"name": "day", "type": "ignore"}]})
    room = Room(0, volumes / "rows", "a test") if streamed else None
    return prepare(data, read_headers(data, task), 3, None, room, known)


@pytest.mark.parametrize("streamed", [False, True], ids=["held", "streamed"])
@pytest.mark.parametrize("form", FORMS)
def test_training_rows_may_lack_labels_that_others_have(form: str, streamed: bool, volumes: Path) -> None:
    """Even all but one of them."""
    claim = volumes / "claim"
    parts = {
        "train": write(claim / "train.csv", form, ["blue"] * 6),
        "validation": write(claim / "validation.csv", form, ["green", "blue"]),
    }
    prepared = read(volumes, form, KNOWN, streamed=streamed, **parts)
    assert prepared.labels == KNOWN.names
    judged = np.array([1, 3]) if form == "class" else np.eye(4, dtype=np.int8)[[1, 3]]
    np.testing.assert_array_equal(prepared.validation.targets, judged)
    assert tally_of(prepared.train, 4).classes.tolist() == [0, 0, 0, 6]
    with pytest.raises(Fault, match=r"training data does not have|has only one|no row with the label|never has ';'"):
        read(volumes, form, None, streamed=streamed, **parts)


@pytest.mark.parametrize("streamed", [False, True], ids=["held", "streamed"])
@pytest.mark.parametrize("form", FORMS)
def test_a_label_that_the_model_does_not_know_is_refused_in_each_part(form: str, streamed: bool, volumes: Path) -> None:
    known = Known(("blue", "red"), by_number=True)
    for train, validation, part in (("blue", "green", "validation"), ("green", "blue", "train")):
        parts = {
            "train": write(volumes / "claim/train.csv", form, [train] * 6),
            "validation": write(volumes / "claim/validation.csv", form, [validation] * 2),
        }
        # A column is that of a label, whatever its rows have.
        where = "train" if form == "columns" else part
        told = (
            rf"the {where} data .* does not know \(green\), which knows its classes by their numbers, 0 to 1: correct"
        )
        with pytest.raises(Fault, match=told):
            read(volumes, form, known, streamed=streamed, **parts)


@pytest.mark.parametrize("streamed", [False, True], ids=["held", "streamed"])
def test_a_split_may_leave_a_label_without_a_training_row(streamed: bool, volumes: Path) -> None:
    """The newest rows judge, and have a label of their own."""
    parts = {
        "train": write(volumes / "claim/train.csv", "class", ["blue"] * 4 + ["red"] * 4 + ["green"] * 3),
        "validationFraction": "0.25",
        "split": {"by": "Time", "column": "day"},
    }
    prepared = read(volumes, "class", KNOWN, streamed=streamed, **parts)
    assert prepared.validation.targets.tolist() == [1, 1, 1]
    with pytest.raises(Fault, match=r"leaves 1 classes or labels of .* without a training row"):
        read(volumes, "class", None, streamed=streamed, **parts)


@pytest.mark.parametrize("streamed", [False, True], ids=["held", "streamed"])
def test_the_same_rows_are_split_alike(streamed: bool, volumes: Path) -> None:
    """A model is compressed by the rows that it was trained on; the one row of a class stays with the training."""
    parts = {
        "train": write(volumes / "claim/train.csv", "class", ["blue", "red"] * 20 + ["green"]),
        "validationFraction": "0.5",
    }
    trained, compressed = (read(volumes, "class", known, streamed=streamed, **parts) for known in (None, KNOWN))
    assert trained.split_digest == compressed.split_digest
    assert tally_of(compressed.train, 4).classes[1] == 1


def test_whole_numbers_are_one_class_however_they_are_written(volumes: Path) -> None:
    known = Known(("1", "2", "3"))
    parts = {
        "train": write(volumes / "claim/train.csv", "class", ["1.0"] * 3),
        "validation": write(volumes / "claim/validation.csv", "class", ["2.0", "3"]),
    }
    assert read(volumes, "class", known, streamed=False, **parts).validation.targets.tolist() == [1, 2]
