"""From files to training, validation and test rows: cleaned, with class indices and what was fitted on the training.

Rows are dropped first, by the values as they were read; then the labels become classes, the splits are made, and the
stages are fitted in the order of the steps, each on the training rows as the stages before it left them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tradewind_workload.data.arrays import arrays_of
from tradewind_workload.data.blocks import Form, block_inputs
from tradewind_workload.data.dataset import by_columns, described, first_pictures, pictures_alone, require_numbers
from tradewind_workload.data.fitting import Stage, fit
from tradewind_workload.data.holding import Sets, parts_in_memory
from tradewind_workload.data.labels import Spread, require_spread
from tradewind_workload.data.pictures import COLOURS, pixels_of
from tradewind_workload.data.rows import Rows, read_schema
from tradewind_workload.data.streamed import Streamed, answers_digest
from tradewind_workload.data.streaming import parts_in_files
from tradewind_workload.data.texts import only_texts
from tradewind_workload.data.work import Here
from tradewind_workload.io.fault import Fault

if TYPE_CHECKING:
    import pyarrow as pa

    from tradewind.api.data import Augment, Data
    from tradewind_workload.data.dropping import Dropped
    from tradewind_workload.data.headers import Headers
    from tradewind_workload.data.labels import Known
    from tradewind_workload.data.layout import Layout
    from tradewind_workload.data.schema import Schema
    from tradewind_workload.data.work import Work


@dataclass(frozen=True)
class Prepared:
    """All that training needs."""

    train: Rows | Streamed
    validation: Rows
    row_shape: tuple[int, ...]  # as in the file
    columns: tuple[str, ...]  # their names, where a row is a table's
    image: tuple[int, int, int] | None  # height, width, channels
    labels: tuple[str, ...]  # names of classes, or of the labels that a row has any number of; none of numbers
    several: bool  # whether a row has any number of labels
    stages: tuple[Stage, ...]
    augment: Augment | None
    notes: tuple[str, ...]  # what was dropped, for the log
    test: Rows | None = None  # only the finished model sees them
    split_digest: str = ""
    answers_digest: str = ""  # SHA-256 of the labels of all rows
    schema: Schema | None = None  # of a table whose columns are inputs each; its rows are encoded later
    seen: Schema | None = None  # of any table
    header: tuple[str, ...] = ()  # all columns of such a table
    steps: tuple[Dropped, ...] = ()  # those that drop rows, in the order that they were done in
    judged_by: int | None = None  # the positive class of a finished model: see heads.classification


@dataclass(frozen=True)
class Room:
    """What a job has for its tables."""

    held: int  # bytes of values that are held in memory
    folder: Path  # for the blocks of a data set that has more
    why: str  # where the limit is from, for the log
    field: str = "spec.resources.memory"  # what to raise where that does not help
    side: int = 64  # pixels of the longer side of a picture, where spec.data.imageShape is left out


def prepare(
    data: Data,
    headers: Headers,
    seed: int,
    work: Work | None = None,
    room: Room | None = None,
    known: Known | None = None,
) -> Prepared:
    """Read, clean, split, fit; what `read_headers` found of the same data is not looked for again.

    The rows stay where `work` has them, in this process if it is left out. A table that is too large for the `room`
    lies in files: `train` is then Streamed, and of more rows than JUDGED those that judge are a sample. The labels are
    those of the training rows, or of a finished model, which are `known`.

    Raises Fault(InvalidData) in a sentence that names file, column and remedy.
    """
    work = work or Here()
    layout, image = headers.train, headers.image
    for found in filter(None, (layout, headers.validation, headers.test)):
        for note in found.notes:
            print(note, flush=True)
    schema = _schema(layout, data, headers, work)
    notes: list[str] = []
    if headers.pictures and schema is not None:
        every, schema = schema, pictures_alone(schema, layout.uri)
        unused = [column.name for column in every.inputs if column not in schema.inputs]
        if unused:
            notes.append(f"{layout.uri}: the model takes pictures alone; not used: {', '.join(unused)}")
    form: Form = "columns" if schema is not None and by_columns(schema, data, headers.takes) else "matrix"
    if headers.pictures and any(step.impute or step.standardize for step in data.prepare):
        notes.append("impute and standardize change nothing here: pictures are scaled for the network anyway")
    elif form == "columns" and any(step.standardize for step in data.prepare):
        notes.append(
            "standardize changes nothing here: the model takes its columns one by one, and networks see each on one "
            "scale anyway"
        )
    others = tuple(filter(None, (headers.test, headers.validation)))
    if form == "columns":
        for found in others:
            _require_table(found)
    schemas = (
        schema,
        *(
            schema if layout.is_table else _schema(found, data, replace(headers, takes="matrix"), work)
            for found in others
        ),
    )
    sets = Sets(layout, others, schemas, form, headers.label, known)
    steps: list[Dropped] = []
    train: Rows | Streamed
    needed = 0
    if room is not None:
        needed = _needs(sets, schema, data, room, pictures=headers.pictures)
    if room is not None and needed > room.held:
        _require_rows(sets, room)
        print(f"{_much(layout, needed, room)}: its rows are streamed from files below the output folder", flush=True)
        labels, train, judging, digest = parts_in_files(sets, data, seed, work, room.folder, steps)
    else:
        labels, parts, digest = parts_in_memory(sets, data, seed, work, steps)
        train, judging = parts.pop("train"), parts
    if not labels.names:
        spread = train.tally.spread if isinstance(train, Streamed) else Spread.of(train.targets)
        require_spread(spread, f"the label {data.label!r} of {layout.uri}")
    if form == "matrix" and not any(step.impute for step in data.prepare):
        _no_missing(train, layout, data)
        apart = {found.part: found for found in others}
        for name, rows in judging.items():
            _no_missing(rows, apart.get(name, layout), data)
    return Prepared(
        train,
        judging["validation"],
        headers.shape,
        _column_names(layout, data) if image is None else (),
        image,
        labels.names,
        sets.label == "labels",
        fit(train, data, image, layout) if form == "matrix" else (),
        next((step.augment for step in data.prepare if step.augment is not None), None),
        (*notes, *(step.note for step in steps if step.after < step.before)),
        judging.get("test"),
        digest,
        answers_digest((train, judging["validation"], *([judging["test"]] if "test" in judging else []))),
        schema if form == "columns" else None,
        schema,
        tuple(layout.columns) if schema is not None else (),
        tuple(steps),
    )


def _column_names(layout: Layout, data: Data) -> tuple[str, ...]:
    chosen = layout.inputs(data)
    return () if any(layout.columns[name].shape for name in chosen) else chosen


def _needs(sets: Sets, schema: Schema | None, data: Data, room: Room, *, pictures: bool) -> int:
    """Bytes of the values of all data sets in memory; of the others by the size of their files."""
    sizes = [
        sum(Path(file.path).stat().st_size for source in found.sources for file in source.files)
        for found in (sets.train, *sets.others)
    ]
    if schema is None:
        rows = (arrays_of(source.file.path)[0].shape[0] for source in sets.train.sources)
        values = float(4 * math.prod(sets.train.row_shape(data)) * sum(rows))
    elif pictures:
        values = schema.label.rows * _of_a_picture(sets, schema, data, room)
    else:
        values = 4 * len(schema.inputs) * schema.label.rows if sets.form == "matrix" else schema.size
    return int(values * sum(sizes) / max(1, sizes[0]))


def _require_rows(sets: Sets, room: Room) -> None:
    """Raises Fault(InvalidData) for arrays of npz files whose rows can't be read a few at a time, and are too many."""
    for found in (sets.train, *sets.others):
        for source in () if found.is_table else found.sources:
            for array in arrays_of(source.file.path):
                if array.is_held and array.size > room.held:
                    raise Fault(
                        "InvalidData",
                        f"{source.file.name}: the array {array.name!r} has {array.size / 1e6:.0f} MB of values, more "
                        f"than {room.held / 1e6:.0f} MB ({room.why}), and is compressed column by column (Fortran "
                        "order), so that no row can be read without all others: save it in C order (numpy."
                        f"ascontiguousarray), save it uncompressed (numpy.savez), or raise {room.field}.",
                    )


def _of_a_picture(sets: Sets, schema: Schema, data: Data, room: Room) -> float:
    """Bytes of a picture in memory by the first ones: those of its file, or its pixels where these are more."""
    some = first_pictures(sets.train, schema, data)
    pixels = (
        [math.prod((*data.image_shape, COLOURS)[:3])]
        if data.image_shape is not None
        else [found for content in some if (found := pixels_of(content, room.side))]
    )
    return max(sum(map(len, some)) / max(1, len(some)), sum(pixels) / max(1, len(pixels)))


def _much(layout: Layout, needed: int, room: Room) -> str:
    return f"{layout.uri} has {needed / 1e6:.0f} MB of values, more than {room.held / 1e6:.0f} MB ({room.why})"


def _require_table(layout: Layout) -> None:
    if not layout.is_table:
        raise Fault(
            "InvalidData",
            f"{layout.uri} has arrays, and the training data is a table: write both as csv, jsonl or parquet.",
        )


def _schema(layout: Layout, data: Data, headers: Headers, work: Work) -> Schema | None:
    """What the columns of a table are, told in the log; npz files have arrays instead."""
    if not layout.is_table:
        return None
    schema = read_schema(layout, data, headers.label, work)
    for line in described(schema):
        print(line, flush=True)
    if headers.takes == "matrix":
        require_numbers(schema, layout.uri)
    if headers.takes == "texts":
        schema, notes = only_texts(schema, data, layout.uri)
        for note in notes:
            print(note, flush=True)
    return schema


def _first_missing(block: pa.Table, offsets: np.ndarray) -> tuple[int, int] | None:
    bad = np.argwhere(~np.isfinite(block_inputs(block)[offsets]))
    return (int(offsets[bad[0][0]]), int(bad[0][1])) if len(bad) else None


def _no_missing(rows: Rows | Streamed, layout: Layout, data: Data) -> None:
    for number, found in zip(rows.numbers(), rows.each(_first_missing), strict=True):
        if found is None:
            continue
        chosen = layout.inputs(data)
        name = chosen[found[1]] if len(chosen) > 1 else chosen[0]
        raise Fault(
            "InvalidData",
            f"{layout.uri} has a missing or not finite value in {name!r} "
            f"({rows.place(int(rows.starts[number]) + found[0])}): "
            "add dropNulls or impute to spec.data.prepare.",
        )
