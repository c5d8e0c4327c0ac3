"""The blocks that the rows of a data set lie in: how files become them, and the columns that each has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tradewind_workload.data.cells import is_text
from tradewind_workload.data.comparison import absent, is_list, keys
from tradewind_workload.data.names import names
from tradewind_workload.data.schema import ColumnSchema, Schema
from tradewind_workload.data.table import batches
from tradewind_workload.data.typed import typed, typed_column
from tradewind_workload.io.fault import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tradewind.api.data import Data
    from tradewind_workload.data.layout import Layout
    from tradewind_workload.data.table import Batch

INPUTS, LABEL, FILE = "inputs", "label", "file"  # columns that every block has after reading
SPLIT = "split"  # and where spec.data.split names a column, its values

BLOCK = 1 << 26  # bytes of rows that make a block, if the file has as many

Form = Literal["matrix", "columns"]  # of INPUTS: lists of numbers, or structs of typed values


def block_inputs(block: pa.Table) -> np.ndarray:
    """The matrix of a block, float32 [rows, features]."""
    column = block[INPUTS].combine_chunks()
    width = column.type.list_size
    return np.asarray(column.flatten().to_numpy(zero_copy_only=False)).reshape(-1, width)


def has_columns(block: pa.Table) -> bool:
    """Whether a block has typed columns in place of one matrix."""
    return bool(pa.types.is_struct(block[INPUTS].type))


def block_columns(block: pa.Table) -> pa.Table:
    """The typed columns of a block."""
    return pa.Table.from_struct_array(block[INPUTS].combine_chunks())


def block_table(block: pa.Table) -> pa.Table:
    """The typed columns of a block, or the one column INPUTS of its matrix."""
    return block_columns(block) if has_columns(block) else block.select([INPUTS])


class Encoder:
    """Turns the file of a number into blocks with the columns that the rest of the program knows."""

    def __init__(self, layout: Layout, data: Data, schema: Schema | None, form: Form, block: int | None = None) -> None:
        self._block = block or BLOCK
        self._form = form
        self._sources = layout.sources
        self._firsts = np.cumsum([0, *(len(source.files) for source in layout.sources)])  # numbers of the first files
        self._schema = schema
        self._inputs = tuple(column.name for column in schema.inputs) if schema is not None else layout.inputs(data)
        self._width = int(np.prod(layout.row_shape(data)))
        self._labels, self._several = data.labels(), data.label_columns is not None
        self._split = data.split
        self._missing = data.missing
        self._null = {i: step.drop_nulls.columns for i, step in enumerate(data.prepare) if step.drop_nulls is not None}
        self._key = {
            i: step.drop_duplicates.columns for i, step in enumerate(data.prepare) if step.drop_duplicates is not None
        }

    def __call__(self, number: int) -> Iterator[pa.Table]:
        """The blocks, with INPUTS, LABEL and FILE, and with what the steps and the split ask for."""
        waiting: list[pa.Table] = []
        for batch in batches(self._sources[number], self._missing):
            waiting.append(self._encoded(batch, number))
            if sum(table.nbytes for table in waiting) >= self._block:
                yield pa.concat_tables(waiting)
                waiting = []
        if waiting:
            yield pa.concat_tables(waiting)

    def path(self, number: int) -> str:
        """Where the file of a number is."""
        return self._sources[number].file.path

    def _encoded(self, batch: Batch, file: int) -> pa.Table:
        cells = batch.cells
        columns = {name: cells.column(i) for i, name in enumerate(cells.schema.names)}
        if self._schema is not None:
            rows = typed(batch, self._schema)
            columns |= {name: rows.column(i) for i, name in enumerate(rows.schema.names)}
        out = {
            INPUTS: self._matrix(columns, cells.num_rows)
            if self._form == "matrix"
            else pa.StructArray.from_arrays([columns[name] for name in self._inputs], self._inputs),
            LABEL: self._label_of(columns, batch),
            FILE: pa.array(self._files(file, batch)),
        }
        if self._split is not None and self._split.column in columns:
            out[SPLIT] = self._by(columns[self._split.column], batch)
        for i, chosen in self._null.items():
            missing = np.zeros(cells.num_rows, bool)
            for name in chosen or columns:
                missing |= absent(columns[name])
            out[f"n{i}"] = pa.array(missing)
        for i, chosen in self._key.items():
            out[f"k{i}"] = pa.array(keys([columns[name] for name in sorted(chosen or columns)], cells.num_rows))
        return pa.table(out)

    def _label_of(self, columns: dict[str, pa.Array], batch: Batch) -> pa.Array:
        """The name of each row's label; where each label has a column, a 0 or 1 for each of them."""
        if not self._several:
            return names(columns[self._labels[0]])
        if self._schema is None:
            found = [ColumnSchema(name, "boolean", "it is one of the labels", 0, 0) for name in self._labels]
            columns = {column.name: typed_column(batch, column, label=True) for column in found}
        digits = [pc.if_else(columns[name], "1", "0") for name in self._labels]
        return pc.binary_join_element_wise(*digits, "")  # null where one of them is

    def _files(self, source: int, batch: Batch) -> np.ndarray:
        """The number of the file that each row is from, int32 [rows]."""
        first = self._firsts[source]
        if self._sources[source].pictures:
            return np.arange(first + batch.first_row - 1, first + batch.first_row - 1 + batch.cells.num_rows).astype(
                "i4"
            )
        return np.full(batch.cells.num_rows, first, np.int32)

    def _matrix(self, columns: dict[str, pa.Array], rows: int) -> pa.Array:
        matrix = np.empty((rows, self._width), np.float32)
        if len(self._inputs) == 1:
            matrix[:] = _floats(columns[self._inputs[0]]).reshape(rows, self._width)
        else:
            for i, name in enumerate(self._inputs):
                matrix[:, i] = _floats(columns[name])
        return pa.FixedSizeListArray.from_arrays(pa.array(matrix.reshape(-1)), self._width)

    def _by(self, column: pa.Array, batch: Batch) -> pa.Array:
        """The values of the column that spec.data.split names; texts that are times by what the whole column is."""
        assert self._split is not None
        if self._schema is None or self._schema.split is None or not is_text(column.type) or self._split.by != "Time":
            return column
        if self._schema.split.unclear:
            raise Fault(
                "InvalidData",
                f"the column {self._split.column!r}, which spec.data.split names, can't be used: "
                f"{self._schema.split.why}.",
            )
        if self._schema.split.kind not in ("number", "datetime") and column.null_count < len(column):
            first = pc.is_valid(column).index(True).as_py()
            raise Fault(
                "InvalidData",
                f"the column {self._split.column!r}, which spec.data.split names, can't be used: "
                f"{str(column[first])[:80]!r} in row {batch.first_row + first} of {batch.file} is no time "
                f"({self._schema.split.why}). Name the column in spec.data.columns with type datetime and the format "
                "that it is written in, or choose another one.",
            )
        return typed(batch, Schema((self._schema.split,), self._schema.label)).column(0)


def _floats(column: pa.Array) -> np.ndarray:
    """float32, missing values as NaN; a column of lists as one flat array."""
    flat = column.flatten() if is_list(column) else column
    if pa.types.is_boolean(flat.type):
        flat = flat.cast(pa.int8())
    return np.asarray(flat.cast(pa.float32(), safe=False).to_numpy(zero_copy_only=False))
