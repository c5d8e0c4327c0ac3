"""What the files of a data set hold, read from their headers alone: columns, their kinds, the shape of a row."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Literal, TypeVar

import pyarrow.parquet
from pyarrow import types

from tradewind.api.data import MISSING
from tradewind_workload.data.arrays import arrays_of
from tradewind_workload.data.dialect import Start, open_bytes, read_start
from tradewind_workload.data.files import find_files
from tradewind_workload.data.listing import listed, meant
from tradewind_workload.data.magic import BYTES, require_text
from tradewind_workload.data.names import written_otherwise
from tradewind_workload.data.pictures import IMAGE, LABEL, grouped
from tradewind_workload.data.table import Source, json_rows
from tradewind_workload.io.fault import Fault
from tradewind_workload.io.retries import patiently

if TYPE_CHECKING:
    from tradewind.api.data import Data, Dataset
    from tradewind_workload.data.file import File, Files

Kind = Literal["cells", "picture", "number", "text", "other"]
T = TypeVar("T")

SAMPLED = 1000  # rows of a file of JSON lines that its fields are seen from
_CELLS = (
    types.is_integer,
    types.is_floating,
    types.is_decimal,
    types.is_boolean,
    types.is_null,
    types.is_string,
    types.is_large_string,
    types.is_binary,
    types.is_large_binary,
    types.is_dictionary,
    types.is_timestamp,
    types.is_date,
)


@dataclass(frozen=True)
class Column:
    """A column, or an array of an npz file; `shape` is that of one row, () for a scalar."""

    kind: Kind  # cells: what they are is seen from the values (inference.py); picture: that of a file
    shape: tuple[int, ...] = ()
    described: str = ""  # its type in the file's own words


CELLS, PICTURE = Column("cells"), Column("picture")


@dataclass(frozen=True)
class Layout:
    """The files of a data set, all with the same columns, in whatever order."""

    field: str  # spec.data.train, spec.data.validation or spec.data.test, for messages
    uri: str
    format: str
    sources: tuple[Source, ...]
    columns: dict[str, Column]  # in the order of the first file
    notes: tuple[str, ...]  # how the files are read, for the log

    @property
    def part(self) -> str:
        """What the data set is for: train, validation or test."""
        return self.field.rsplit(".", 1)[-1]

    def inputs(self, data: Data) -> tuple[str, ...]:
        """Names of the columns that the model sees. Raises Fault(InvalidData) where they can't be inputs."""
        labels, field = data.labels(), "spec.data.labelColumns" if data.label_columns else "spec.data.label"
        for label in labels:
            self._require_label(label, field, data)
        ignored = self._ignored(data)
        besides = ignored | {*labels, data.split.column if data.split is not None else None}
        chosen = data.inputs or tuple(name for name in self.columns if name not in besides)
        for name in chosen:
            if name not in self.columns:
                raise Fault(
                    "InvalidData",
                    f"{self.uri} has no {self._noun} {name!r}, which spec.data.inputs names"
                    f"{meant(name, self.columns)}; it has {listed(self.columns)}"
                    f"{written_otherwise(name, self.columns)}.",
                )
            if name in labels:
                raise Fault(
                    "InvalidData",
                    f"spec.data.inputs names the label {name!r}: the model would see the answer. Remove it.",
                )
            if name in ignored:
                raise Fault(
                    "InvalidData",
                    f"spec.data.inputs names {name!r}, which spec.data.columns ignores: remove it from one of them.",
                )
            if self.columns[name].kind not in ("number", "cells", "picture"):
                raise Fault(
                    "InvalidData",
                    f"{self.uri}: the {self._noun} {name!r} is {self.columns[name].described}, not a number. "
                    "Write it as numbers, set its type in spec.data.columns to ignore, or name only the numeric ones "
                    "in spec.data.inputs.",
                )
        if not chosen:
            raise Fault(
                "InvalidData", f"{self.uri} has no {self._noun} besides the label {', '.join(map(repr, labels[:12]))}."
            )
        if len(chosen) > 1 and any(self.columns[name].shape for name in chosen):
            raise Fault(
                "InvalidData",
                f"{self.uri} has several arrays besides the label ({listed(chosen)}): name the one array of inputs "
                "in spec.data.inputs.",
            )
        return chosen

    def _require_label(self, label: str, field: str, data: Data) -> None:
        """Raises Fault(InvalidData) where a label can't be read of such a column."""
        if label not in self.columns:
            remedy = f"Correct {field}" if data.label_columns else f"Set {field} to one of them"
            raise Fault(
                "InvalidData",
                f"{self.uri} has no {self._noun} {label!r} for the label{meant(label, self.columns)}; it has "
                f"{listed(self.columns)}{written_otherwise(label, self.columns)}. {remedy}.",
            )
        give = "give one class a row"
        if data.label_separator is not None:
            give = f"write the labels of a row as one text, with {data.label_separator!r} between them"
        elif data.label_columns is not None:
            give = "give 0 or 1 a row"
        if self.columns[label].kind == "other":
            raise Fault("InvalidData", f"{self.uri}: the label {label!r} is {self.columns[label].described}; {give}.")
        if self.columns[label].shape:
            raise Fault("InvalidData", f"{self.uri}: the label {label!r} has more than one value a row; {give}.")

    def _ignored(self, data: Data) -> set[str]:
        """Columns that the model is not to see. Raises Fault(InvalidData) for what spec.data.columns can't say."""
        self.require(tuple(choice.name for choice in data.columns), "spec.data.columns")
        for choice in data.columns:
            if self.format == "npz" and choice.type != "ignore":
                raise Fault(
                    "InvalidData",
                    f"spec.data.columns makes {choice.name!r} a {choice.type}, and an array of {self.uri} has a type "
                    "of its own: remove it, or set ignore.",
                )
            if choice.name in data.labels() and choice.type == "ignore":
                raise Fault("InvalidData", f"spec.data.columns ignores the label {choice.name!r}: remove it.")
        return {choice.name for choice in data.columns if choice.type == "ignore"}

    def row_shape(self, data: Data) -> tuple[int, ...]:
        """Shape of one row of the inputs, as it stands in the file."""
        chosen = self.inputs(data)
        return self.columns[chosen[0]].shape or (len(chosen),)

    def require(self, columns: tuple[str, ...], step: str) -> None:
        """Raises Fault(InvalidData) where a field (`step`) names a column that is not there."""
        for name in columns:
            if name not in self.columns:
                raise Fault(
                    "InvalidData",
                    f"{self.uri} has no {self._noun} {name!r}, which {step} names{meant(name, self.columns)}; it has "
                    f"{listed(self.columns)}{written_otherwise(name, self.columns)}.",
                )

    @property
    def is_table(self) -> bool:
        """Whether the rows have cells of columns, and not of arrays."""
        return self.format != "npz"

    @property
    def _noun(self) -> str:
        return "array" if self.format == "npz" else "column"


def read_layout(dataset: Dataset, field: str, missing: tuple[str, ...] = MISSING, empty: str | None = None) -> Layout:
    """Look at the header of every file. Raises Fault(InvalidData) where one is missing or unlike the rest.

    `empty` is a column whose empty cells are not missing.
    """
    found = find_files(dataset, field)
    if dataset.csv is not None and found.format != "csv":
        raise Fault(
            "InvalidData",
            f"{field}.csv says how a csv file is written, and {dataset.storage_uri} is {found.format}: remove it.",
        )
    if found.format == "images":
        return _pictures(found, dataset, field)
    starts = {
        file.name: _reading(file, found.format, field, partial(read_start, file, dataset.csv, field, missing))
        for file in found.files
        if found.format == "csv"
    }
    columns = {
        file.name: dict.fromkeys(starts[file.name].names, CELLS)
        if file.name in starts
        else _reading(file, found.format, field, partial(_COLUMNS[found.format], file))
        for file in found.files
    }
    if found.format == "jsonl":  # where a row may leave out what it has no value for
        every = {name: kind for each in columns.values() for name, kind in each.items()}
        columns = dict.fromkeys(columns, every)
    sources, first = list[Source](), dict[str, Column]()
    for file in found.files:
        own = columns[file.name]
        whole = own | _partition(file, own)
        first = first or whole
        _require_same(whole, first, file, found.files[0], dataset.storage_uri)
        sources.append(Source(file, found.format, field, tuple(own), starts.get(file.name), empty))
    return Layout(
        field,
        dataset.storage_uri,
        found.format,
        tuple(sources),
        first,
        (*_dialects(starts, dataset.storage_uri), *_passed_over(found)),
    )


def _pictures(found: Files, dataset: Dataset, field: str) -> Layout:
    """That of a folder of pictures."""
    first = found.files[0]
    own = {IMAGE: PICTURE} | ({LABEL: CELLS} if first.label is not None else {})
    columns = own | _partition(first, own)
    for file in found.files:
        _require_same(own | _partition(file, own), columns, file, first, dataset.storage_uri)
    sources = tuple(Source(some[0], found.format, field, tuple(own), pictures=some) for some in grouped(found.files))
    classes = sorted({file.label for file in found.files if file.label is not None})
    told = f" in {len(classes)} folders, one for each class: {listed(classes)}" if classes else ""
    notes = (f"{dataset.storage_uri}: {len(found.files)} pictures{told}", *_passed_over(found))
    return Layout(field, dataset.storage_uri, found.format, sources, columns, notes)


def _passed_over(found: Files) -> list[str]:
    return [f"passed over: {name}" for name in found.passed_over]


def _reading(file: File, format_: str, field: str, read: Callable[[], T]) -> T:
    """What `read` gives. Raises Fault(InvalidData) where the file is of another format."""
    try:
        found = patiently(read, file.path)
    except Fault:
        raise
    except Exception as error:  # noqa: BLE001 -- each reader has errors of its own for a file of another format
        said = " ".join(str(error).split())[:300]
        raise Fault(
            "InvalidData", f"{file.name} can't be read as {format_} ({said}): correct the file or {field}.format."
        ) from None
    if not found:
        raise Fault("InvalidData", f"{file.name} is empty: put data there, or correct {field}.storageUri.")
    return found


def _partition(file: File, own: dict[str, Column]) -> dict[str, Column]:
    for key, _ in file.partition:
        if key in own:
            raise Fault(
                "InvalidData",
                f"the folder of {file.name} names the column {key!r}, which the file has too: rename one of them.",
            )
    return dict.fromkeys((key for key, _ in file.partition), CELLS)


def differences(expected: Collection[str], found: Collection[str]) -> str:
    """What names are lacking and what there are besides, in words; empty where they are the same."""
    lacking = [name for name in expected if name not in found]
    further = [name for name in found if name not in expected]
    same = "".join(written_otherwise(name, further) for name in lacking[:1])
    told = [f"lacks {listed(lacking)}{same}"] if lacking else []
    told += [f"has {listed(further)} besides"] if further else []
    return " and it ".join(told)


def _require_same(columns: dict[str, Column], first: dict[str, Column], file: File, other: File, uri: str) -> None:
    if told := differences(first, columns):
        raise Fault(
            "InvalidData",
            f"{file.name} of {uri} has other columns than {other.name}: it {told}. All files of a folder need the same "
            "columns.",
        )
    if _shapes(columns) != _shapes(first):
        raise Fault("InvalidData", f"{file.name} of {uri} has arrays of another shape than {other.name}.")


def _dialects(starts: dict[str, Start], uri: str) -> list[str]:
    """How the csv files are written, a line for those that are alike."""
    alike: dict[str, list[str]] = {}
    for name, start in starts.items():
        alike.setdefault(str(start.dialect), []).append(name)
    if len(alike) == 1 and len(starts) > 1:
        return [f"{len(starts)} files of {uri}: {next(iter(alike))}"]
    return [f"{listed(names)}: {dialect}" for dialect, names in alike.items()]


def _shapes(columns: dict[str, Column]) -> dict[str, tuple[int, ...]]:
    return {name: column.shape for name, column in columns.items()}


def _jsonl(file: File) -> dict[str, Column]:
    with open_bytes(file) as stream:
        require_text(stream.read(BYTES), file, "jsonl")
    columns: dict[str, Column] = {}
    for row in islice(json_rows(file), SAMPLED):
        for name, value in row.items():
            if isinstance(value, list | dict):
                columns[name] = Column("other", (), "a list or an object")
            else:
                columns.setdefault(name, CELLS)
    return columns


def _parquet(file: File) -> dict[str, Column]:
    columns: dict[str, Column] = {}
    for field in pyarrow.parquet.read_schema(file.path):
        if field.name in columns:
            raise Fault("InvalidData", f"{file.name} has the column {field.name!r} twice: give each a name of its own.")
        readable = any(test(field.type) for test in _CELLS)
        columns[field.name] = CELLS if readable else Column("other", (), f"of type {field.type}")
    return columns


def _npz(file: File) -> dict[str, Column]:
    columns: dict[str, Column] = {}
    rows: dict[str, int] = {}
    for array in arrays_of(file.path):
        name, dtype = array.name, array.dtype
        if dtype.hasobject:
            raise Fault(
                "InvalidData",
                f"{file.name}: the array {name!r} has Python objects (a pickle), which are never read. Save "
                "numbers or fixed-length text.",
            )
        if not array.shape:
            raise Fault("InvalidData", f"{file.name}: the array {name!r} has no rows: its first axis must be the rows.")
        rows[name] = array.shape[0]
        kind: Kind = "number" if dtype.kind in "biuf" else "text" if dtype.kind in "SU" else "other"
        columns[name] = Column(kind, array.shape[1:], f"of type {dtype}")
    if len(set(rows.values())) > 1:
        told = ", ".join(f"{name} {count}" for name, count in rows.items())
        raise Fault(
            "InvalidData",
            f"{file.name}: the arrays differ in their number of rows ({told}): give each row an input and a label.",
        )
    return columns


_COLUMNS: dict[str, Callable[[File], dict[str, Column]]] = {"jsonl": _jsonl, "parquet": _parquet, "npz": _npz}
