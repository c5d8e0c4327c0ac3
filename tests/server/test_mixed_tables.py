"""A recipe's model of a mixed table, asked by the names of its columns: values missing, and towns that it never saw."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import graphs
import pytest
from loaded import Loaded

from tradewind_server.folder import Unservable

INPUTS = [
    {"name": "town", "datatype": "BYTES", "shape": [-1], "kind": "category", "nullable": True},
    {"name": "income", "datatype": "FP32", "shape": [-1], "kind": "number", "nullable": True},
    {"name": "member", "datatype": "BYTES", "shape": [-1], "kind": "boolean", "nullable": True},
    {"name": "since", "datatype": "FP64", "shape": [-1], "kind": "datetime", "nullable": True},
]
OUTPUTS = [
    {"name": "label", "datatype": "INT64", "shape": [-1]},
    {"name": "probabilities", "datatype": "FP32", "shape": [-1, 4]},
]
NOTHING = dict.fromkeys(("town", "income", "member", "since"))
# Rows, and the index of the label that each has.
ROWS: list[tuple[dict[str, Any], int]] = [
    (NOTHING | {"town": "Köln", "income": 4}, 0),
    (NOTHING | {"town": "Überlingen", "income": 0.5}, 0),
    (NOTHING | {"town": "Überlingen", "income": 1.5}, 1),
    (NOTHING | {"income": 1, "member": True}, 2),
    (NOTHING | {"income": 1, "member": False}, 1),
    (NOTHING | {"town": "Köln", "since": "1970-01-08T12:00:00"}, 3),
    ({"town": "Köln"}, 0),
]


def stored(folder: Path, labels: list[int]) -> Loaded:
    graphs.save(graphs.mixed(), folder / "model.onnx")
    document = {"instances": [row for row, _ in ROWS], "outputs": {"label": labels}}
    (folder / "samples.json").write_text(json.dumps(document))
    files = graphs.listed(folder, "model.onnx", "samples.json")
    names = ["001", "002", "010", "1"]
    graphs.manifest(folder, task="tabular-classification", labels=names, inputs=INPUTS, outputs=OUTPUTS, files=files)
    return Loaded(folder)


def test_rows_by_name_with_what_is_missing_and_unknown(tmp_path: Path) -> None:
    mixed = stored(tmp_path, [label for _, label in ROWS])
    assert mixed.instances(*(row for row, _ in ROWS)) == [["001", "002", "010", "1"][label] for _, label in ROWS]
    columns = {name: [row.get(name) for row, _ in ROWS] for name in NOTHING}
    assert mixed.v1(inputs=columns)["predictions"] == mixed.instances(*(row for row, _ in ROWS))
    assert "unknown input 'twon'" in mixed.instances({"twon": "Köln"})


def test_other_answers_than_its_samples_are_told(tmp_path: Path) -> None:
    with pytest.raises(Unservable, match=r"row 1 of samples.json gives 'label' 0, and gave 3 then"):
        stored(tmp_path, [0, 3, *(label for _, label in ROWS[2:])])
