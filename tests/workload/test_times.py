"""Dates in numbers, from a table to a model that is asked with the same texts."""

from __future__ import annotations

import csv
import re
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
import pytest
from jobs import alone, training_job
from test_compressed_families import compress

from tradewind.api.artefact import Samples
from tradewind.api.report import Report
from tradewind_processors.times import moment
from tradewind_workload.io.fault import Fault
from tradewind_workload.io.files import ENCODING, ONNX, REPORT, SAMPLES
from tradewind_workload.io.store import locate, open_model
from tradewind_workload.report.record import Record
from tradewind_workload.tasks.tabular.encoding import Encoding

if TYPE_CHECKING:
    from pathlib import Path

ROWS = 120
AMBIGUOUS = "all 120 values are times of which day and month can't be told apart: name the column in spec.data.columns"
START = date(2024, 1, 1)
INT8 = {"name": "int8", "methods": [{"quantize": {"scheme": "dynamic-int8"}}]}


def write(volumes: Path) -> None:
    """Rows whose class the half of the year says; no day of `paid` is after the 12th of its month."""
    days = [START + timedelta(days=4 * i) for i in range(ROWS)]
    early = [day.replace(day=1 + i % 12) for i, day in enumerate(days)]
    (volumes / "claim").mkdir()
    with (volumes / "claim/orders.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["ordered", "paid", "sent", "label"])
        for day, paid in zip(days, early, strict=True):
            sent = f"{day:%Y-%m-%d}"
            rows.writerow([f"{day:%m/%d/%Y}", f"{paid:%d/%m/%Y}", sent, "early" if day.month < 7 else "late"])


def spec(**data: Any) -> dict[str, Any]:
    return {
        "recipe": {"task": "tabular-classification", "model": {"architecture": "linear"}, "epochs": 3},
        "data": {"train": {"storageUri": "pvc://claim/orders.csv"}, "validationFraction": "0.3"} | data,
        "output": {"storageUri": "pvc://claim/model"},
    }


def test_a_date_that_can_be_read_in_two_ways_is_left_out_and_said_to_be(volumes: Path) -> None:
    write(volumes)
    reports, log = alone(training_job(spec()))
    result = Report.model_validate(reports[-1]).model
    assert result is not None and result.left_out is not None
    assert [column.name for column in result.left_out] == ["paid"]
    assert AMBIGUOUS in result.leaves_out()
    assert "(%d/%m/%Y or %m/%d/%Y)" in result.leaves_out()
    assert f"the column 'paid' is left out: {AMBIGUOUS}" in log
    folder, _ = locate(volumes / "claim/model")
    record = Record.model_validate_json((folder / REPORT).read_bytes())
    became = {column.name: column.became or "" for column in record.columns}
    assert became["paid"].startswith(f"nothing: {AMBIGUOUS}")
    assert became["ordered"].startswith("seconds")


def test_the_model_is_asked_with_dates_as_the_data_has_them(volumes: Path) -> None:
    write(volumes)
    columns = [{"name": "paid", "type": "datetime", "format": "%d/%m/%Y"}]
    alone(training_job(spec(columns=columns)))
    manifest, _ = open_model(volumes / "claim/model")
    asked = {tensor.name: tensor.format for tensor in manifest.inputs}
    assert asked == {"ordered": "%m/%d/%Y", "paid": "%d/%m/%Y", "sent": None}
    folder, _ = locate(volumes / "claim/model")
    samples = Samples.model_validate_json((folder / SAMPLES).read_bytes())
    with (volumes / "claim/orders.csv").open(newline="") as file:
        texts = {(row["ordered"], row["paid"]) for row in csv.DictReader(file)}
    assert {(row["ordered"], row["paid"]) for row in samples.instances} <= texts

    def seconds(name: str) -> np.ndarray:  # as the server does: tests/server asks it
        times = [moment(row[name], asked[name]) for row in samples.instances]
        return np.array([np.datetime64(time, "us").astype(float) / 1e6 for time in times])

    session = onnxruntime.InferenceSession(folder / ONNX)
    (probabilities,) = session.run(["probabilities"], {name: seconds(name) for name in asked})
    np.testing.assert_allclose(probabilities, samples.outputs["probabilities"], rtol=1e-5)


def test_rows_are_not_divided_by_a_date_that_can_be_read_in_two_ways(volumes: Path) -> None:
    write(volumes)
    with pytest.raises(Fault, match=r"the column 'paid', which spec.data.split names, can't be used: all 120 values"):
        alone(training_job(spec(split={"by": "Time", "column": "paid"})))
    said = {"columns": [{"name": "paid", "type": "datetime", "format": "%d/%m/%Y"}]}
    alone(training_job(spec(split={"by": "Time", "column": "paid"}, **said)))
    manifest, _ = open_model(volumes / "claim/model")
    assert [tensor.name for tensor in manifest.inputs] == ["ordered", "sent"]


def test_rows_are_not_divided_by_texts_that_are_no_times(volumes: Path) -> None:
    write(volumes)
    file = volumes / "claim/orders.csv"
    header, *rows = file.read_text().split()
    odd = [f"Q{1 + i % 4} of {2020 + i // 4},{row}" for i, row in enumerate(rows)]
    file.write_text("\n".join([f"quarter,{header}", odd[0].replace("Q1 of 2020", ""), *odd[1:]]))
    said = (
        r"the column 'quarter', which spec.data.split names, can't be used: 'Q2 of 2020' in row 2 of orders.csv is no "
        r"time \(.* different texts in .* rows\). Name the column in spec.data.columns with type datetime and the "
        r"format"
    )
    with pytest.raises(Fault, match=said):
        alone(training_job(spec(split={"by": "Time", "column": "quarter"})))


def test_what_the_user_can_mend_is_named_first(volumes: Path) -> None:
    write(volumes)
    file = volumes / "claim/orders.csv"
    header, *rows = file.read_text().split()
    file.write_text("\n".join([f"same,{header}", *(f"x,{row}" for row in rows)]))
    reports, _ = alone(training_job(spec()))
    result = Report.model_validate(reports[-1]).model
    assert result is not None and result.left_out is not None
    assert [column.name for column in result.left_out] == ["paid", "same"]


def test_an_encoding_without_formats_is_written_as_ever(volumes: Path) -> None:
    write(volumes)
    for inputs, expected in ((["sent"], False), (["sent", "ordered"], True)):
        alone(training_job(spec(inputs=inputs), uid=f"{len(inputs)}" * 8))
        folder, _ = locate(volumes / "claim/model")
        text = (folder / ENCODING).read_text()
        assert ("format" in text) == expected
        assert Encoding.read(text).written() == text


def test_other_data_is_read_in_the_formats_of_the_model(volumes: Path) -> None:
    """Of the first twelve days of months alone, day and month could not be told apart."""
    write(volumes)
    alone(training_job(spec()))
    header, *rows = (volumes / "claim/orders.csv").read_text().split()
    early = [row for row in rows if int(row[3:5]) <= 12]
    (volumes / "claim/early.csv").write_text("\n".join([header, *early]))
    other = spec()["data"] | {"train": {"storageUri": "pvc://claim/early.csv"}}
    found = compress(volumes, open_model(volumes / "claim/model")[1], [INT8], other=other)
    assert "column 'ordered': datetime, as spec.data.columns says" in found.output
    assert found.manifests["baseline"].inputs[0].format == "%m/%d/%Y"


def test_other_data_whose_times_are_none_is_refused(volumes: Path) -> None:
    write(volumes)
    alone(training_job(spec()))
    table = (volumes / "claim/orders.csv").read_text()
    (volumes / "claim/other.csv").write_text(re.sub(r"\d{4}-\d\d-\d\d", "soon", table))
    other = spec()["data"] | {"train": {"storageUri": "pvc://claim/other.csv"}}
    with pytest.raises(Fault, match="the model takes a datetime in 'sent', which is a category in the data"):
        compress(volumes, open_model(volumes / "claim/model")[1], [INT8], other=other)
