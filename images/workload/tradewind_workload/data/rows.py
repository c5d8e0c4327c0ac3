"""Rows of a data set in Ray's object store: read by Ray Data once, then picked by number in any process of the job."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import ray
import ray.data
from ray.data.datasource import FileBasedDatasource

from tradewind_workload.io.fault import Fault, causes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tradewind.api.data import Data
    from tradewind_workload.data.layout import Layout

INPUTS, LABEL, CONTINUOUS = "inputs", "label", "continuous"  # columns that every block has after reading
SPLIT = "split"  # and where spec.data.split names a column, its values


class NpzDatasource(FileBasedDatasource):
    """Arrays of .npz files, the first axis as rows. Pickled arrays are refused."""

    _FILE_EXTENSIONS: ClassVar[list[str]] = ["npz"]

    def _read_stream(self, f: pa.NativeFile, path: str) -> Iterator[pa.Table]:
        with np.load(io.BytesIO(f.readall()), allow_pickle=False) as arrays:
            yield pa.table({name: _arrow(arrays[name]) for name in arrays.files})


def _arrow(array: np.ndarray) -> pa.Array:
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8")
    if array.ndim == 1:
        return pa.array(array)
    width = int(np.prod(array.shape[1:]))
    return pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(array).reshape(-1)), width)


@dataclass(frozen=True)
class Rows:
    """Rows, in an order: row i is row `offset[i]` of block `block[i]`."""

    blocks: tuple[Any, ...]  # ObjectRefs of arrow tables
    block: np.ndarray  # int64 [n]
    offset: np.ndarray  # int64 [n]
    shape: tuple[int, ...]  # of the inputs of one row, as in the file
    classes: np.ndarray  # int64 [n], the label's index; -1 before the labels are known
    starts: np.ndarray  # int64 [blocks], the number of each block's first row in the data set

    def __len__(self) -> int:
        return len(self.block)

    def take(self, numbers: np.ndarray) -> Rows:
        """The rows of these numbers, in this order."""
        return replace(self, block=self.block[numbers], offset=self.offset[numbers], classes=self.classes[numbers])

    def with_classes(self, classes: np.ndarray) -> Rows:
        """The same rows with their labels' indices, int64 [n]."""
        return replace(self, classes=classes)

    def load(self) -> np.ndarray:
        """The inputs, float32 [n, *shape]. Blocks are fetched one after the other and let go."""
        out = np.empty((len(self), int(np.prod(self.shape))), np.float32)
        for number in self.numbers():
            here = np.flatnonzero(self.block == number)
            out[here] = block_inputs(ray.get(self.blocks[number]))[self.offset[here]]
        return out.reshape(len(self), *self.shape)

    def parts(self) -> Iterator[tuple[Any, np.ndarray]]:
        """Each block that has rows, as a reference, and the offsets of the rows in it."""
        for number in self.numbers():
            yield self.blocks[number], self.offset[self.block == number]

    def numbers(self) -> np.ndarray:
        """The blocks that have rows."""
        return np.unique(self.block)


def block_inputs(block: pa.Table) -> np.ndarray:
    """The inputs of a block, float32 [rows, features]."""
    column = block[INPUTS].combine_chunks()
    width = column.type.list_size
    return column.flatten().to_numpy(zero_copy_only=False).reshape(-1, width)


@dataclass(frozen=True)
class Read:
    """What was read: all rows, and what the driver must know of each."""

    rows: Rows
    labels: list[str | None]  # None where it is missing
    continuous: np.ndarray  # bool [n]: the label is a number that is not whole
    null: dict[int, np.ndarray]  # by the number of a dropNulls step: bool [n]
    key: dict[int, np.ndarray]  # by the number of a dropDuplicates step: a hash of the compared columns, S16 [n]
    split: tuple[pa.Array, ...] = ()  # values of spec.data.split.column, by block


def read_rows(layout: Layout, data: Data) -> Read:
    """Read a data set with Ray Data into the object store, in the order of the files.

    Raises Fault(InvalidData) where a file can't be read.
    """
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.execution_options.preserve_order = True  # the split and the weights depend on the order of the rows
    files = list(layout.files)
    encode = _Encoder(layout.inputs(data), int(np.prod(layout.row_shape(data))), data)
    try:
        if layout.format == "csv":
            # Numbers are floats, also where the first rows look like integers.
            types = pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(layout.inputs(data), pa.float64()))
            dataset = ray.data.read_csv(files, override_num_blocks=len(files), convert_options=types)
        elif layout.format == "parquet":
            dataset = ray.data.read_parquet(files, override_num_blocks=len(files))
        else:
            dataset = ray.data.read_datasource(NpzDatasource(files), override_num_blocks=len(files))
        done = dataset.map_batches(encode, batch_format="pyarrow", batch_size=None, zero_copy_batch=True).materialize()
        blocks = tuple(done.to_arrow_refs())
        narrow = ray.get([_narrow.remote(block) for block in blocks])
    except (ray.exceptions.RayError, pa.ArrowException, ValueError, OSError) as error:
        said = next(
            (
                c
                for c in reversed(list(causes(error)))
                if isinstance(c, (pa.ArrowException, ValueError, OSError, zip_error()))
            ),
            None,
        )
        if said is None:
            raise  # not the data's fault: a lost worker, for example
        words = _csv_mistake(layout, data) or " ".join(str(said).split())[:300]
        raise Fault(
            "InvalidData", f"{layout.uri} can't be read as {layout.format}: {words}. Correct the file."
        ) from None
    counts = [part.num_rows for part in narrow]
    split = tuple(part[SPLIT].combine_chunks() for part in narrow if part.num_rows and SPLIT in part.column_names)
    narrow = [part.drop_columns([SPLIT]) if SPLIT in part.column_names else part for part in narrow]
    table = pa.concat_tables([part for part in narrow if part.num_rows] or narrow[:1])
    rows = Rows(
        blocks,
        np.repeat(np.arange(len(blocks)), counts),
        np.concatenate([np.arange(count) for count in counts]),
        layout.row_shape(data),
        np.full(sum(counts), -1),
        np.cumsum([0, *counts[:-1]]),
    )
    if table.num_columns == 0 or not len(rows):
        raise Fault("InvalidData", f"{layout.uri} has no rows.")
    return Read(
        rows,
        table[LABEL].to_pylist(),
        table[CONTINUOUS].to_numpy(),
        {
            int(name[1:]): table[name].to_numpy()
            for name in table.column_names
            if name.startswith("n") and name[1:].isdigit()
        },
        {
            int(name[1:]): np.array(table[name].to_pylist(), dtype="S32")
            for name in table.column_names
            if name.startswith("k") and name[1:].isdigit()
        },
        split,
    )


def _csv_mistake(layout: Layout, data: Data) -> str | None:
    """Arrow's words for the first mistake in a csv file, which Ray does not pass on; None where there is none."""
    types = pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(layout.inputs(data), pa.float64()))
    for file in layout.files if layout.format == "csv" else ():
        try:
            with pyarrow.csv.open_csv(file, convert_options=types) as reader:
                for _ in reader:
                    pass
        except pa.ArrowException as error:
            return f"{file.rsplit('/', 1)[-1]}: {error}"[:400]
    return None


def zip_error() -> type[Exception]:
    """The error of a damaged npz file."""
    import zipfile

    return zipfile.BadZipFile


@ray.remote(num_cpus=1)
def _narrow(block: pa.Table) -> pa.Table:
    return block.drop_columns([INPUTS]) if INPUTS in block.column_names else block


class _Encoder:
    """Turns a batch of a file's columns into the columns that the rest of the program knows."""

    def __init__(self, inputs: tuple[str, ...], width: int, data: Data) -> None:
        self._inputs = inputs
        self._width = width
        self._label = data.label
        self._split = data.split.column if data.split is not None else None
        self._null = {i: step.drop_nulls.columns for i, step in enumerate(data.prepare) if step.drop_nulls is not None}
        self._key = {
            i: step.drop_duplicates.columns for i, step in enumerate(data.prepare) if step.drop_duplicates is not None
        }

    def __call__(self, table: pa.Table) -> pa.Table:
        columns = {name: table[name].combine_chunks() for name in table.column_names}
        matrix = np.empty((table.num_rows, self._width), np.float32)
        if len(self._inputs) == 1:
            matrix[:] = _floats(columns[self._inputs[0]]).reshape(table.num_rows, self._width)
        else:
            for i, name in enumerate(self._inputs):
                matrix[:, i] = _floats(columns[name])
        labels, continuous = _labels(columns[self._label])
        out = {
            INPUTS: pa.FixedSizeListArray.from_arrays(pa.array(matrix.reshape(-1)), self._width),
            LABEL: labels,
            CONTINUOUS: continuous,
        }
        if self._split in columns:
            out[SPLIT] = columns[self._split]
        for i, names in self._null.items():
            missing = np.zeros(table.num_rows, bool)
            for name in names or columns:
                missing |= _missing(columns[name])
            out[f"n{i}"] = pa.array(missing)
        for i, names in self._key.items():
            out[f"k{i}"] = pa.array(_keys([columns[name] for name in names or columns], table.num_rows))
        return pa.table(out)


def _is_list(column: pa.Array) -> bool:
    return bool(pa.types.is_fixed_size_list(column.type))


def _floats(column: pa.Array) -> np.ndarray:
    """float32, missing values as NaN; a column of lists as one flat array."""
    flat = column.flatten() if _is_list(column) else column
    return flat.cast(pa.float32(), safe=False).to_numpy(zero_copy_only=False)


def _missing(column: pa.Array) -> np.ndarray:
    """bool [rows]: null, empty text, NaN or infinite."""
    if _is_list(column):
        return ~np.isfinite(_floats(column)).reshape(len(column), column.type.list_size).all(axis=1)
    missing = column.is_null().to_numpy(zero_copy_only=False)
    if pa.types.is_floating(column.type):
        return missing | ~np.isfinite(column.to_numpy(zero_copy_only=False))
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return missing | pc.equal(column, "").fill_null(True).to_numpy(zero_copy_only=False)
    return missing


def _labels(column: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Names of the classes (null where missing), and whether the value is a number that is no class."""
    missing = _missing(column)
    continuous = np.zeros(len(column), bool)
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_floating(column.type):
        numbers = column.to_numpy(zero_copy_only=False).astype(np.float64)
        whole = np.isfinite(numbers) & (numbers == np.floor(np.where(np.isfinite(numbers), numbers, 0)))
        continuous = np.isfinite(numbers) & ~whole
        names = [
            None if gone else str(int(n)) if w else repr(float(n))
            for n, w, gone in zip(numbers, whole, missing, strict=True)
        ]
    else:
        names = [None if gone else str(value) for value, gone in zip(column.to_pylist(), missing, strict=True)]
    return pa.array(names, pa.string()), pa.array(continuous)


def _keys(columns: list[pa.Array], rows: int) -> list[str]:
    import hashlib

    digests = [hashlib.blake2b(digest_size=16) for _ in range(rows)]
    for column in columns:
        flat = column.flatten() if _is_list(column) else column
        if not _is_number(flat.type):
            for digest, value in zip(digests, column.to_pylist(), strict=True):
                content = b"" if value is None else str(value).encode()
                digest.update(len(content).to_bytes(8, "little") + content)
            continue
        width = column.type.list_size if _is_list(column) else 1
        # Equal numbers are equal whatever type a file gave them: as 64-bit floats, and what those lose of large
        # integers. -0 is 0, and every NaN is the same one.
        values = flat.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False) + 0.0
        values = np.where(np.isnan(values), np.nan, values)
        lost = np.zeros(len(values), np.int64)
        if pa.types.is_integer(flat.type):
            whole = flat.fill_null(0).cast(pa.int64(), safe=False).to_numpy(zero_copy_only=False)
            lost = whole - np.where(np.isnan(values), 0, values).clip(-(2.0**62), 2.0**62).astype(np.int64)
        for digest, value, rest in zip(digests, values.reshape(rows, width), lost.reshape(rows, width), strict=True):
            digest.update(value.tobytes() + rest.tobytes())
    return [digest.hexdigest() for digest in digests]


def _is_number(kind: pa.DataType) -> bool:
    tests = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_null)
    return any(test(kind) for test in tests)
