"""The layout of a data set, read from the headers of its files alone, each of which has the same columns."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

import pyarrow.parquet
from pyarrow import types

from tradewind.api.data import MISSING
from tradewind_workload.data.arrays import arrays_of
from tradewind_workload.data.dialect import Start, open_bytes, read_start
from tradewind_workload.data.files import find_files
from tradewind_workload.data.layout import CELLS, IS_INDEX, PICTURE, Column, Kind, Layout, differences, is_index
from tradewind_workload.data.listing import listed
from tradewind_workload.data.magic import BYTES, require_text
from tradewind_workload.data.pictures import IMAGE, LABEL, grouped
from tradewind_workload.data.table import Source, json_rows
from tradewind_workload.io.fault import Fault
from tradewind_workload.io.retries import patiently

if TYPE_CHECKING:
    from tradewind.api.data import Dataset
    from tradewind_workload.data.file import File, Files

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
        (
            *_dialects(starts, dataset.storage_uri),
            *_passed_over(found),
            *(f"column {name!r}: {IS_INDEX}" for name in filter(is_index, first)),
        ),
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
        columns[name] = Column(kind, array.row_shape, f"of type {dtype}")
    if len(set(rows.values())) > 1:
        told = ", ".join(f"{name} {count}" for name, count in rows.items())
        raise Fault(
            "InvalidData",
            f"{file.name}: the arrays differ in their number of rows ({told}): give each row an input and a label.",
        )
    return columns


_COLUMNS: dict[str, Callable[[File], dict[str, Column]]] = {"jsonl": _jsonl, "parquet": _parquet, "npz": _npz}
