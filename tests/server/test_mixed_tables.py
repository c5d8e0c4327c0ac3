"""A recipe's model of a mixed table, asked by the names of its columns: values missing, and towns that it never saw."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import graphs
import pytest
from loaded import Loaded
from processed import strings

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
    unused = [{"name": "id", "why": "it numbers the rows"}, {"name": "class", "why": "it is the label"}]
    graphs.manifest(
        folder,
        task="tabular-classification",
        labels=names,
        inputs=INPUTS,
        outputs=OUTPUTS,
        files=files,
        unused=unused,
    )
    return Loaded(folder)


def test_rows_by_name_with_what_is_missing_and_unknown(tmp_path: Path) -> None:
    mixed = stored(tmp_path, [label for _, label in ROWS])
    assert mixed.instances(*(row for row, _ in ROWS)) == [["001", "002", "010", "1"][label] for _, label in ROWS]
    columns = {name: [row.get(name) for row, _ in ROWS] for name in NOTHING}
    assert mixed.v1(inputs=columns)["predictions"] == mixed.instances(*(row for row, _ in ROWS))
    assert "row 0 is empty: name at least one of 'town'" in mixed.instances({})
    assert mixed.v1(instances=[NOTHING]).keys() == {"predictions", "probabilities", "labels"}
    assert "unknown input 'twon'" in mixed.instances({"twon": "Köln"})


def test_a_column_that_the_training_left_out_is_refused_with_the_reason(tmp_path: Path) -> None:
    mixed = stored(tmp_path, [label for _, label in ROWS])
    of = "is no input of the model:"
    assert f"row 1: 'id' {of} it numbers the rows. Send the rows without it" in mixed.instances(
        {"town": "Köln"}, {"town": "Köln", "id": 7}
    )
    assert mixed.v1(inputs={"class": [1]})["error"].startswith(f"'class' {of} it is the label")
    tensor = {"name": "id", "datatype": "FP32", "shape": [1], "data": [7]}
    assert mixed.v2(tensor)["error"].startswith(f"'id' {of}")


@pytest.mark.parametrize("binary", [False, True])
def test_tensors_by_name_with_what_is_missing(tmp_path: Path, binary: bool) -> None:
    """A truth value too; behind the JSON, where texts have no null, an empty one is it."""
    mixed = stored(tmp_path, [label for _, label in ROWS])
    truths = [{True: "true", False: "false"}.get(row.get("member")) for row, _ in ROWS]
    data = strings(*((truth or "").encode() for truth in truths)) if binary else truths
    inputs = [
        {"name": name, "datatype": datatype, "shape": [len(ROWS)], "data": [row.get(name) for row, _ in ROWS]}
        for name, datatype in (("town", "BYTES"), ("income", "FP32"), ("since", "BYTES"))
    ]
    member = {"name": "member", "datatype": "BYTES", "shape": [len(ROWS)], "data": data}
    assert mixed.v2(*inputs, member)["label"] == [label for _, label in ROWS]
    strange = strings(*[b"yes"] * len(ROWS)) if binary else ["yes"] * len(ROWS)
    assert "'member' in row 0 is true or false, got 'yes'" in mixed.v2(*inputs, member | {"data": strange})["error"]


def test_other_answers_than_its_samples_are_told(tmp_path: Path) -> None:
    with pytest.raises(Unservable, match=r"row 1 of samples.json gives 'label' 0, and gave 3 then"):
        stored(tmp_path, [0, 3, *(label for _, label in ROWS[2:])])
