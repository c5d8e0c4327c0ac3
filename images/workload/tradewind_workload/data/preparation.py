"""From files to training, validation and test rows: cleaned, with class indices and what was fitted on the training.

Rows are dropped first, by the values as they were read; then the labels become classes, the splits are made, and the
stages are fitted in the order of the steps, each on the training rows as the stages before it left them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from tradewind_workload.data import splits
from tradewind_workload.data.dataset import by_columns, described, pictures_alone, require_numbers
from tradewind_workload.data.division import divide, hashes
from tradewind_workload.data.fitting import Stage, fit
from tradewind_workload.data.labels import Labels, read_labels, require_labels, require_spread
from tradewind_workload.data.rows import Form, Read, Rows, block_inputs, read_rows, read_schema
from tradewind_workload.data.texts import only_texts
from tradewind_workload.data.work import Here
from tradewind_workload.io.fault import Fault

if TYPE_CHECKING:
    import pyarrow as pa

    from tradewind.api.data import Augment, Data
    from tradewind_workload.data.headers import Headers
    from tradewind_workload.data.layout import Layout
    from tradewind_workload.data.schema import Schema
    from tradewind_workload.data.work import Work


@dataclass(frozen=True)
class Dropped:
    """What a step left of the rows of a data set."""

    where: str  # its address
    step: str
    before: int  # rows
    after: int

    @property
    def note(self) -> str:
        """In a sentence, for the log."""
        return f"{self.where}: {self.before - self.after} rows dropped by {self.step}"


@dataclass(frozen=True)
class Prepared:
    """All that training needs."""

    train: Rows
    validation: Rows
    row_shape: tuple[int, ...]  # as in the file
    columns: tuple[str, ...]  # their names, where a row is a table's
    image: tuple[int, int, int] | None  # height, width, channels
    labels: tuple[str, ...]  # names of classes, or of the labels that a row has any number of; none of numbers
    stages: tuple[Stage, ...]
    augment: Augment | None
    notes: tuple[str, ...]  # what was dropped, for the log
    test: Rows | None = None  # only the finished model sees them
    split_digest: str = ""
    schema: Schema | None = None  # of a table whose columns are inputs each; its rows are encoded later
    seen: Schema | None = None  # of any table
    steps: tuple[Dropped, ...] = ()  # those that drop rows, in the order that they were done in

    @property
    def several(self) -> bool:
        """Whether a row has any number of labels."""
        return self.train.targets.ndim == 2


def prepare(data: Data, headers: Headers, seed: int, work: Work | None = None) -> Prepared:
    """Read, clean, split, fit; what `read_headers` found of the same data is not looked for again.

    The rows stay where `work` has them, in this process if it is left out.

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
    read = read_rows(layout, data, schema, form, work)
    steps: list[Dropped] = []
    kept = _clean(read, data, layout.uri, steps)
    apart = []  # data sets of their own, cleaned, after the training data has lost what stands in them too
    for found in (headers.test, headers.validation):
        if found is None:
            continue
        if form == "columns":
            _require_table(found)
        of = schema if layout.is_table else _schema(found, data, replace(headers, takes="matrix"), work)
        held = read_rows(found, data, of, form, work)
        held_kept = _clean(held, data, found.uri, steps)
        kept = _apart(read, kept, held, held_kept, (layout, found), steps)
        apart.append((found, held, held_kept))
    labels = read_labels(read, kept, layout, data, headers.label)
    divided = divide(_with_targets(read, kept, labels, layout), read.split, kept, layout, data, seed)
    parts = {name: (rows, layout) for name, rows in divided.items()}
    for found, held, held_kept in apart:
        parts[found.part] = (_with_targets(held, held_kept, labels, found), found)
    train, validation = parts["train"][0], parts["validation"][0]
    test = parts["test"][0] if "test" in parts else None
    if not labels.names:
        require_spread(train.targets, f"the label {data.label!r} of {layout.uri}")
    if form == "matrix" and not any(step.impute for step in data.prepare):
        for rows, found in parts.values():
            _no_missing(rows, found, data)
    return Prepared(
        train,
        validation,
        headers.shape,
        _column_names(layout, data) if image is None else (),
        image,
        labels.names,
        fit(train, data, image, layout) if form == "matrix" else (),
        next((step.augment for step in data.prepare if step.augment is not None), None),
        (*notes, *(step.note for step in steps if step.after < step.before)),
        test,
        splits.digest({name: hashes(rows) for name, (rows, _) in parts.items()}),
        schema if form == "columns" else None,
        schema,
        tuple(steps),
    )


def _column_names(layout: Layout, data: Data) -> tuple[str, ...]:
    chosen = layout.inputs(data)
    return () if any(layout.columns[name].shape for name in chosen) else chosen


def _clean(read: Read, data: Data, uri: str, steps: list[Dropped]) -> np.ndarray:
    """Numbers of the rows that the steps leave, in order; what each left is added to `steps`."""
    kept = np.arange(len(read.rows))
    imputed = False
    for i, step in enumerate(data.prepare):
        before = len(kept)
        imputed = imputed or step.impute is not None
        if step.drop_nulls is not None and not imputed:
            kept = kept[~read.null[i][kept]]
        elif step.drop_duplicates is not None:
            _, first = np.unique(read.key[i][kept], return_index=True)
            kept = kept[np.sort(first)]
        else:
            continue
        steps.append(Dropped(uri, step.chosen()[0], before, len(kept)))
        if not len(kept):
            raise Fault(
                "InvalidData",
                f"{uri} has no row left after {step.chosen()[0]} (spec.data.prepare[{i}]): correct the data or the "
                "step.",
            )
    return kept


def _apart(
    read: Read,
    kept: np.ndarray,
    held: Read,
    held_kept: np.ndarray,
    layouts: tuple[Layout, Layout],
    steps: list[Dropped],
) -> np.ndarray:
    """With the duplicates go training rows that stand in a data set that judges, too: it judges what was not seen.

    `layouts` are those of the training data and of that data set.
    """
    train, judging = layouts
    for i in read.key:
        seen = np.isin(read.key[i][kept], held.key[i][held_kept])
        if seen.all():
            raise Fault(
                "InvalidData", f"every training row is also in the {judging.part} data: give two data sets that differ."
            )
        step = f"dropDuplicates, since they are also in the {judging.part} data"
        steps.append(Dropped(train.uri, step, len(kept), int((~seen).sum())))
        kept = kept[~seen]
    return kept


def _with_targets(read: Read, kept: np.ndarray, labels: Labels, layout: Layout) -> Rows:
    if layout.part != "train":
        require_labels(read, kept, f"the label of {layout.uri}")
    return read.rows.take(kept).with_targets(labels.targets([read.labels[i] or "" for i in kept], layout))


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


def _no_missing(rows: Rows, layout: Layout, data: Data) -> None:
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
