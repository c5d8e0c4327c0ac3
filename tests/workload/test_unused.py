"""What a finished model says of the columns that it takes nothing of, so that whoever sends one is told why."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from jobs import alone, training_job
from PIL import Image

from tradewind.api.report import Report
from tradewind_workload.data.layout import IS_INDEX
from tradewind_workload.io.store import open_model

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("photo", "said", "a", "b", "day", "kind")
CASES: dict[str, tuple[str, dict[str, Any], dict[str, str]]] = {
    "inputs that are named": (
        "tabular-classification",
        {"inputs": ["b", "day"], "split": {"by": "Group", "column": "day"}},
        dict.fromkeys(("photo", "said", "a"), "spec.data.inputs does not name it"),
    ),
    "columns to ignore": (
        "tabular-classification",
        {
            "columns": [{"name": name, "type": "ignore"} for name in ("photo", "said", "b")],
            "split": {"by": "Group", "column": "day"},
        },
        dict.fromkeys(("photo", "said", "b"), "spec.data.columns says to ignore it") | {"day": "it divides the rows"},
    ),
    "texts": (
        "text-classification",
        {"columns": [{"name": "photo", "type": "ignore"}]},
        {
            "photo": "spec.data.columns says to ignore it",
            **dict.fromkeys(("a", "b", "day"), "the model takes texts alone"),
        },
    ),
    "pictures": (
        "image-classification",
        {"columns": [{"name": "photo", "type": "image"}]},
        dict.fromkeys(("said", "a", "b", "day"), "the model takes pictures alone"),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_each_column_that_is_no_input_has_its_reason(case: str, volumes: Path) -> None:
    task, data, expected = CASES[case]
    random, folder = np.random.default_rng(0), volumes / "claim/things"
    folder.mkdir(parents=True)
    lines = []
    for i in range(40):
        Image.fromarray(random.integers(0, 256, (6, 6), np.uint8)).save(folder / f"{i}.png")
        said = f"this is what they said of {i}"
        lines.append(json.dumps(dict(zip(NAMES, (f"{i}.png", said, i % 7, i * 0.3, i // 4, "xy"[i % 2]), strict=True))))
    (folder / "list.jsonl").write_text("\n".join(lines))
    architecture = {"tabular": "linear", "text": "bag", "image": "cnn"}[task.split("-")[0]]
    spec = {
        "recipe": {"task": task, "model": {"architecture": architecture}, "epochs": 1},
        "data": {
            "train": {"storageUri": "pvc://claim/things/list.jsonl"},
            "label": "kind",
            "validationFraction": "0.3",
            **data,
        },
        "output": {"storageUri": "pvc://claim/model"},
    }
    alone(training_job(spec))
    manifest, _ = open_model(volumes / "claim/model")
    assert {column.name: column.why for column in manifest.unused} == expected | {"kind": "it is the label"}


@pytest.mark.parametrize("name", ["__index_level_0__", "Unnamed: 0"])
@pytest.mark.parametrize("said", [False, True])
def test_the_index_of_a_data_frame_is_an_input_only_where_it_is_named(name: str, said: bool, volumes: Path) -> None:
    """Half of the rows that were put together class by class: their numbers tell the class."""
    kept = np.sort(np.random.default_rng(1).choice(200, 100, replace=False))
    values = np.random.default_rng(2).random(100).tolist()
    table = pa.table({"x": values, name: kept, "label": ["first" if i < 100 else "second" for i in kept.tolist()]})
    (volumes / "claim").mkdir()
    pyarrow.parquet.write_table(table, volumes / "claim/t.parquet")
    data = {"train": {"storageUri": "pvc://claim/t.parquet"}, "validationFraction": "0.3"}
    if said:
        data["columns"] = [{"name": name, "type": "number"}]
    spec = {
        "recipe": {"task": "tabular-classification", "model": {"architecture": "trees"}, "epochs": 5},
        "data": data,
        "output": {"storageUri": "pvc://claim/model"},
    }
    reports, log = alone(training_job(spec))
    manifest, _ = open_model(volumes / "claim/model")
    result = Report.model_validate(reports[-1]).model
    assert result is not None
    if said:
        assert [tensor.name for tensor in manifest.inputs] == ["x", name]
        assert result.left_out is None
        return
    assert [tensor.name for tensor in manifest.inputs] == ["x"]
    assert f"column {name!r}: {IS_INDEX}" in log
    assert result.left_out is not None and [column.name for column in result.left_out] == [name]
    assert [(column.name, column.why) for column in manifest.unused if column.name == name] == [(name, IS_INDEX)]
