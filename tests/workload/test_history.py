"""The curve of a report: what was measured after each epoch, also where an attempt goes on from a checkpoint."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING

import numpy as np
import torch
from tables import KINDS, mixed, schema_of, table_of

from tradewind.api.data import Step
from tradewind_workload.report.columns import described
from tradewind_workload.report.record import POINTS
from tradewind_workload.tasks.tabular.encoder import finish
from tradewind_workload.tasks.tabular.statistics import fit
from tradewind_workload.tasks.tabular.steps import fit as fit_steps
from tradewind_workload.tasks.tabular.telling import told
from tradewind_workload.train import checkpoint
from tradewind_workload.train.history import History, Lap, curve

if TYPE_CHECKING:
    from pathlib import Path


def test_an_attempt_that_goes_on_has_the_whole_curve(tmp_path: Path) -> None:
    history = History()
    history.ended(1, 0.9, validation_loss=0.8, value=0.5)
    history.ended(2, 0.7, validation_loss=0.75, value=0.6)
    checkpoint.write(tmp_path, checkpoint.State(2, 20, {"a": torch.zeros(1)}, None, history.laps), "mark", keep=1)
    state = checkpoint.restore(tmp_path, "mark")
    assert state is not None and state.laps == history.laps
    further = History(state.laps)
    further.ended(3, 0.6, validation_loss=0.77, value=0.65)
    found = curve(further.laps, unit="epoch", loss="log_loss", metric="accuracy", best=2)
    assert found is not None
    assert [(point.number, point.validation_loss) for point in found.points] == [(1, 0.8), (2, 0.75), (3, 0.77)]
    assert (found.best, found.done) == (2, 3)
    assert further.seconds >= history.seconds


def test_checkpoints_without_a_curve_are_gone_on_from(tmp_path: Path) -> None:
    """An earlier version wrote those."""
    checkpoint.write(tmp_path, checkpoint.State(2, 20, {"a": torch.zeros(1)}), "mark", keep=1)
    (path,) = tmp_path.iterdir()
    content = path.read_bytes()
    (length,) = struct.unpack("<I", content[:4])
    head = json.loads(content[4 : 4 + length])
    del head["laps"]
    shorter = json.dumps(head).encode()
    path.write_bytes(struct.pack("<I", len(shorter)) + shorter + content[4 + length :])
    state = checkpoint.restore(tmp_path, "mark")
    assert state is not None and (state.epoch, state.laps) == (2, ())
    assert curve(state.laps, unit="epoch", loss="log_loss") is None


def test_a_long_training_has_some_points_and_the_best_one() -> None:
    laps = tuple(Lap(i, 1 / i, float("nan"), None, 0.1) for i in range(1, 8001))
    found = curve(laps, unit="round", loss="log_loss", best=4321)
    assert found is not None
    numbers = [point.number for point in found.points]
    assert len(numbers) <= POINTS and numbers == sorted(numbers) and {1, 4321, 8000} <= set(numbers)
    assert found.points[0].validation_loss is None and found.done == 8000


def test_a_report_says_what_became_of_each_column() -> None:
    schema = schema_of(dict(KINDS) | {"leer": "number"})
    table = mixed(400, 3)
    table = table.append_column("leer", table["Größe in m²"].filter(table["Größe in m²"].is_null()).take([0] * 400))
    names = tuple(column.name for column in schema.inputs)
    encoding = finish(fit(table, schema), schema)
    found = told(encoding, names)
    assert set(found) == set(names)
    assert found["leer"] == "nothing: no training row has a value in it"
    assert found["Größe in m²"].startswith("the number, standardised; for a missing one the median, 7")
    assert found["Größe in m²"].endswith("and that it is")
    assert "its long tail shortened by a logarithm" in found["a.b/c d"]
    assert found["Zeit 時刻"].startswith("seconds, and month, weekday, hour (UTC), standardised")
    assert found["Stadt"] == "one of 6 values, a rare or new one, or missing"
    of_trees = told(encoding.raw(), names)
    assert of_trees["_axis"] == "the number"
    assert of_trees["Größe in m²"] == "the number; a missing one goes its own way at each split"
    columns, count = described(schema, found)
    assert count == len(columns) == len(names) + 1
    assert (columns[0].role, columns[0].became) == ("label", None)
    assert {column.name: column.became for column in columns[1:]} == found


def test_a_report_says_what_the_steps_make_of_a_column() -> None:
    schema = schema_of({"Einkommen": "number", "Ausgaben": "number", "Stadt": "category"})
    random = np.random.default_rng(2)
    columns: dict[str, list[object]] = {
        "Einkommen": [None, *random.lognormal(8, 1, 99).tolist()],
        "Ausgaben": random.normal(900, 50, 100).tolist(),
        "Stadt": [None, *random.choice(["Köln", "Bonn"], 99).tolist()],
    }
    table = table_of({"Einkommen": "number", "Ausgaben": "number", "Stadt": "category"}, columns)
    steps = [
        Step.model_validate({"impute": {"strategy": "median", "columns": ["Einkommen"]}}),
        Step.model_validate(
            {"combine": {"name": "Quote", "left": "Ausgaben", "right": "Einkommen", "operation": "Ratio"}}
        ),
    ]
    encoding = fit_steps(steps, schema, lambda so_far, seen: fit(so_far.derived(table), seen))
    found = told(encoding, ("Einkommen", "Ausgaben", "Stadt"))
    assert found["Einkommen"].startswith("where it is missing, ")
    assert "; a part of 'Quote'; the number, standardised" in found["Einkommen"]
    assert found["Ausgaben"].startswith("a part of 'Quote'; the number")
    assert found["Stadt"] == "one of 2 values, a rare or new one, or missing"
