"""What the files of a data set hold, read from their headers alone: columns, their kinds, the shape of a row."""

from __future__ import annotations

import time
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from tradewind_workload.io.fault import Fault
from tradewind_workload.io.places import local_path

if TYPE_CHECKING:
    from pathlib import Path

    from tradewind.api.data import Data, Dataset

Kind = Literal["number", "text", "other"]

PATIENCE = 60.0  # seconds until data that is not there counts as missing


@dataclass(frozen=True)
class Column:
    """A column, or an array of an npz file; `shape` is that of one row, () for a scalar."""

    kind: Kind
    shape: tuple[int, ...] = ()
    described: str = ""  # its type in the file's own words


@dataclass(frozen=True)
class Layout:
    """The files of a data set, all with the same columns."""

    field: str  # spec.data.train, spec.data.validation or spec.data.test, for messages
    uri: str
    format: str
    files: tuple[str, ...]
    columns: dict[str, Column]

    @property
    def part(self) -> str:
        """What the data set is for: train, validation or test."""
        return self.field.rsplit(".", 1)[-1]

    def inputs(self, data: Data) -> tuple[str, ...]:
        """Names of the columns that the model sees. Raises Fault(InvalidData) where they can't be inputs."""
        if data.label not in self.columns:
            raise Fault(
                "InvalidData",
                f"{self.uri} has no {self._noun} {data.label!r} for the label; it has {_listed(self.columns)}. "
                "Set spec.data.label to one of them.",
            )
        if self.columns[data.label].shape:
            raise Fault(
                "InvalidData",
                f"{self.uri}: the label {data.label!r} has more than one value a row; give one class a row.",
            )
        besides = {data.label, data.split.column if data.split is not None else None}
        chosen = data.inputs or tuple(name for name in self.columns if name not in besides)
        for name in chosen:
            if name not in self.columns:
                raise Fault(
                    "InvalidData",
                    f"{self.uri} has no {self._noun} {name!r}, which spec.data.inputs names; it has "
                    f"{_listed(self.columns)}.",
                )
            if name == data.label:
                raise Fault(
                    "InvalidData",
                    f"spec.data.inputs names the label {name!r}: the model would see the answer. Remove it.",
                )
            if self.columns[name].kind != "number":
                raise Fault(
                    "InvalidData",
                    f"{self.uri}: the {self._noun} {name!r} is {self.columns[name].described}, not a number. "
                    "Write it as numbers, or name only the numeric ones in spec.data.inputs.",
                )
        if not chosen:
            raise Fault("InvalidData", f"{self.uri} has no {self._noun} besides the label {data.label!r}.")
        if len(chosen) > 1 and any(self.columns[name].shape for name in chosen):
            raise Fault(
                "InvalidData",
                f"{self.uri} has several arrays besides the label ({_listed(chosen)}): name the one array of inputs "
                "in spec.data.inputs.",
            )
        return chosen

    def row_shape(self, data: Data) -> tuple[int, ...]:
        """Shape of one row of the inputs, as it stands in the file."""
        chosen = self.inputs(data)
        return self.columns[chosen[0]].shape or (len(chosen),)

    def require(self, columns: tuple[str, ...], step: str) -> None:
        """Raises Fault(InvalidData) where a preparation step names a column that is not there."""
        for name in columns:
            if name not in self.columns:
                raise Fault(
                    "InvalidData",
                    f"{self.uri} has no {self._noun} {name!r}, which {step} names; it has {_listed(self.columns)}.",
                )

    @property
    def _noun(self) -> str:
        return "array" if self.format == "npz" else "column"


def _listed(names: object) -> str:
    found = [str(name) for name in names]  # type: ignore[attr-defined]
    return ", ".join(found[:12]) + (f" and {len(found) - 12} more" if len(found) > 12 else "")


def read_layout(dataset: Dataset, field: str) -> Layout:
    """Look at the header of every file. Raises Fault(InvalidData) where one is missing or unlike the rest."""
    files = _files(dataset, field)
    first: dict[str, Column] | None = None
    for file in files:
        columns = _columns(file, dataset.format, field)
        if first is None:
            first = columns
        elif _shapes(columns) != _shapes(first):
            raise Fault(
                "InvalidData",
                f"{file.name} of {dataset.storage_uri} has other columns than {files[0].name}: {_listed(columns)} "
                f"and not {_listed(first)}. "
                "All files of a folder need the same columns.",
            )
    assert first is not None
    return Layout(field, dataset.storage_uri, dataset.format, tuple(str(file) for file in files), first)


def _shapes(columns: dict[str, Column]) -> dict[str, tuple[int, ...]]:
    return {name: column.shape for name, column in columns.items()}


def _wait_for(path: Path, uri: str) -> None:
    """Give what is applied together with the job, and brings its data, the time to do so."""
    end = time.monotonic() + PATIENCE
    if not path.exists() and PATIENCE:
        print(f"{uri} is not there yet: waiting up to {PATIENCE:.0f} s for it", flush=True)
    while not path.exists() and time.monotonic() < end:
        time.sleep(1)


def _files(dataset: Dataset, field: str) -> list[Path]:
    path = local_path(dataset.storage_uri)
    _wait_for(path, dataset.storage_uri)
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise Fault(
            "InvalidData",
            f"{dataset.storage_uri} does not exist on the volume: put the data there, or correct {field}.storageUri.",
        )
    files = sorted(
        found for found in path.iterdir() if found.suffix == f".{dataset.format}" and not found.name.startswith(".")
    )
    if not files:
        raise Fault(
            "InvalidData",
            f"the folder {dataset.storage_uri} has no .{dataset.format} file: put one there, or correct "
            f"{field}.format.",
        )
    return files


def _columns(file: Path, format_: str, field: str) -> dict[str, Column]:
    try:
        columns = {"csv": _csv, "parquet": _parquet, "npz": _npz}[format_](file)
    except Fault:
        raise
    except Exception as error:  # noqa: BLE001 -- each reader has errors of its own for a file of another format
        said = " ".join(str(error).split())[:300]
        raise Fault(
            "InvalidData", f"{file.name} can't be read as {format_} ({said}): correct the file or {field}.format."
        ) from None
    if not columns:
        raise Fault("InvalidData", f"{file.name} is empty: put data there, or correct {field}.storageUri.")
    return columns


def _csv(file: Path) -> dict[str, Column]:
    import pyarrow.csv

    with pyarrow.csv.open_csv(file) as reader:
        return _arrow(reader.schema, file)


def _parquet(file: Path) -> dict[str, Column]:
    import pyarrow.parquet

    return _arrow(pyarrow.parquet.read_schema(file), file)


def _arrow(schema: object, file: Path) -> dict[str, Column]:
    from pyarrow import types

    columns: dict[str, Column] = {}
    for field in schema:  # type: ignore[attr-defined]
        if field.name in columns:
            raise Fault("InvalidData", f"{file.name} has the column {field.name!r} twice: give each a name of its own.")
        if (
            types.is_integer(field.type)
            or types.is_floating(field.type)
            or types.is_boolean(field.type)
            or types.is_null(field.type)
        ):
            columns[field.name] = Column("number", (), str(field.type))
        elif types.is_string(field.type) or types.is_large_string(field.type) or types.is_dictionary(field.type):
            columns[field.name] = Column("text", (), "text")
        else:
            columns[field.name] = Column("other", (), f"of type {field.type}")
    return columns


def _npz(file: Path) -> dict[str, Column]:
    columns: dict[str, Column] = {}
    rows: dict[str, int] = {}
    with zipfile.ZipFile(file) as archive:
        for member in archive.namelist():
            if not member.endswith(".npy"):
                continue
            name = member.removesuffix(".npy")
            with archive.open(member) as stream:
                version = np.lib.format.read_magic(stream)
                read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                shape, _, dtype = read(stream)
            if dtype.hasobject:
                raise Fault(
                    "InvalidData",
                    f"{file.name}: the array {name!r} has Python objects (a pickle), which are never read. Save "
                    "numbers or fixed-length text.",
                )
            if not shape:
                raise Fault(
                    "InvalidData", f"{file.name}: the array {name!r} has no rows: its first axis must be the rows."
                )
            rows[name] = shape[0]
            kind: Kind = "number" if dtype.kind in "biuf" else "text" if dtype.kind in "SU" else "other"
            columns[name] = Column(kind, shape[1:], f"of type {dtype}")
    if len(set(rows.values())) > 1:
        told = ", ".join(f"{name} {count}" for name, count in rows.items())
        raise Fault(
            "InvalidData",
            f"{file.name}: the arrays differ in their number of rows ({told}): give each row an input and a label.",
        )
    return columns
