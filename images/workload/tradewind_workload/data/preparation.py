"""From files to training, validation and test rows: cleaned, with class indices and what was fitted on the training.

Rows are dropped first, by the values as they were read; then the labels become classes, the splits are made, and the
stages are fitted in the order of the steps, each on the training rows as the stages before it left them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import ray

from tradewind_workload.data import splits
from tradewind_workload.data.dataset import Takes, by_columns, described, require_numbers
from tradewind_workload.data.division import divide, hashes
from tradewind_workload.data.fitting import Stage, fit
from tradewind_workload.data.names import fractions, in_order, renaming
from tradewind_workload.data.rows import Form, Read, Rows, block_inputs, read_rows, read_schema
from tradewind_workload.io.fault import Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from tradewind.api.data import Augment, Data
    from tradewind_workload.data.headers import Headers
    from tradewind_workload.data.layout import Layout
    from tradewind_workload.data.schema import Schema

MAX_CLASSES = 10_000


@dataclass(frozen=True)
class Prepared:
    """All that training needs."""

    train: Rows
    validation: Rows
    row_shape: tuple[int, ...]  # as in the file
    columns: tuple[str, ...]  # their names, where a row is a table's
    image: tuple[int, int, int] | None  # height, width, channels
    labels: tuple[str, ...]
    stages: tuple[Stage, ...]
    augment: Augment | None
    notes: tuple[str, ...]  # what was dropped, for the log
    test: Rows | None = None  # only the finished model sees them
    split_digest: str = ""
    schema: Schema | None = None  # of a table whose columns are inputs each; its rows are encoded later


def prepare(data: Data, headers: Headers, seed: int) -> Prepared:
    """Read, clean, split, fit; what `read_headers` found of the same data is not looked for again.

    Raises Fault(InvalidData) in a sentence that names file, column and remedy.
    """
    layout, image = headers.train, headers.image
    for found in filter(None, (layout, headers.validation, headers.test)):
        for note in found.notes:
            print(note, flush=True)
    schema = _schema(layout, data, headers.takes)
    notes: list[str] = []
    form: Form = "columns" if schema is not None and by_columns(schema, data, headers.takes) else "matrix"
    if form == "columns" and any(step.impute or step.standardize for step in data.prepare):
        notes.append(
            "impute and standardize change nothing here: the model takes its columns one by one, and what each needs "
            "is fitted for it"
        )
    read = read_rows(layout, data, schema, form)
    kept = _clean(read, data, layout.uri, notes)
    apart = []  # data sets of their own, cleaned, after the training data has lost what stands in them too
    for found in (headers.test, headers.validation):
        if found is None:
            continue
        if form == "columns":
            _require_table(found)
        held = read_rows(found, data, schema if layout.is_table else _schema(found, data, "matrix"), form)
        held_kept = _clean(held, data, found.uri, notes)
        kept = _apart(read, kept, held, held_kept, found, notes)
        apart.append((found, held, held_kept))
    classes = _classes(read, kept, layout, data)
    divided = divide(_with_classes(read, kept, classes, layout), read.split, kept, layout, data, seed)
    parts = {name: (rows, layout) for name, rows in divided.items()}
    for found, held, held_kept in apart:
        parts[found.part] = (_with_classes(held, held_kept, classes, found), found)
    train, validation = parts["train"][0], parts["validation"][0]
    test = parts["test"][0] if "test" in parts else None
    if form == "matrix" and not any(step.impute for step in data.prepare):
        for rows, found in parts.values():
            _no_missing(rows, found, data)
    return Prepared(
        train,
        validation,
        headers.shape,
        _column_names(layout, data) if image is None else (),
        image,
        classes.names,
        fit(train, data, image, layout) if form == "matrix" else (),
        next((step.augment for step in data.prepare if step.augment is not None), None),
        tuple(notes),
        test,
        splits.digest({name: hashes(rows) for name, (rows, _) in parts.items()}),
        schema if form == "columns" else None,
    )


def _column_names(layout: Layout, data: Data) -> tuple[str, ...]:
    chosen = layout.inputs(data)
    return () if any(layout.columns[name].shape for name in chosen) else chosen


def _clean(read: Read, data: Data, uri: str, notes: list[str]) -> np.ndarray:
    """Numbers of the rows that the steps leave, in order."""
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
        if before > len(kept):
            notes.append(f"{uri}: {before - len(kept)} rows dropped by {step.chosen()[0]}")
        if not len(kept):
            raise Fault(
                "InvalidData",
                f"{uri} has no row left after {step.chosen()[0]} (spec.data.prepare[{i}]): correct the data or the "
                "step.",
            )
    return kept


def _apart(
    read: Read, kept: np.ndarray, held: Read, held_kept: np.ndarray, layout: Layout, notes: list[str]
) -> np.ndarray:
    """With the duplicates go training rows that stand in a data set that judges, too: it judges what was not seen."""
    for i in read.key:
        seen = np.isin(read.key[i][kept], held.key[i][held_kept])
        if seen.all():
            raise Fault(
                "InvalidData", f"every training row is also in the {layout.part} data: give two data sets that differ."
            )
        if seen.any():
            notes.append(f"{int(seen.sum())} training rows dropped that are also in the {layout.part} data")
            kept = kept[~seen]
    return kept


@dataclass(frozen=True)
class _Classes:
    """The classes of the training rows, in order, and how a value's name becomes one."""

    names: tuple[str, ...]
    rename: Callable[[str], str]


def _classes(read: Read, kept: np.ndarray, layout: Layout, data: Data) -> _Classes:
    where = f"the label {data.label!r} of {layout.uri}"
    _require_labels(read, kept, where)
    found = {name for i in kept if (name := read.labels[i]) is not None}
    as_they_stand = any(choice.name == data.label for choice in data.columns)
    if not as_they_stand and (quantities := fractions(found)):
        row = next(i for i in kept if read.labels[i] in quantities)
        raise Fault(
            "InvalidData",
            f"{where} is not a class: {read.rows.place(row)} has {read.labels[row]}. A classification needs whole "
            "numbers or names; correct spec.data.label, or set the label's type to category in spec.data.columns.",
        )
    rename = str if as_they_stand else renaming(found)
    names = {rename(name) for name in found}
    if len(names) < 2:
        raise Fault(
            "InvalidData", f"{where} has only one class, {next(iter(names))!r}: there is nothing to tell apart."
        )
    if len(names) > MAX_CLASSES or (len(names) > 50 and len(names) > len(kept) / 2):
        raise Fault(
            "InvalidData",
            f"{where} has {len(names)} different values in {len(kept)} rows: these are not classes. Correct "
            "spec.data.label.",
        )
    if alike := next((name for name in sorted(names) if name != name.strip() and name.strip() in names), None):
        raise Fault(
            "InvalidData",
            f"{where} has the classes {alike!r} and {alike.strip()!r}, which differ in spaces alone: correct the data.",
        )
    return _Classes(in_order(names), rename)


def _require_labels(read: Read, kept: np.ndarray, where: str) -> None:
    missing = [int(i) for i in kept if read.labels[i] is None]
    if missing:
        raise Fault(
            "InvalidData",
            f"{where} is missing in {len(missing)} rows (the first is {read.rows.place(missing[0])}): add dropNulls to "
            "spec.data.prepare, or fill it in.",
        )


def _with_classes(read: Read, kept: np.ndarray, classes: _Classes, layout: Layout) -> Rows:
    index = {name: i for i, name in enumerate(classes.names)}
    if layout.part != "train":
        _require_labels(read, kept, f"the label of {layout.uri}")
    found = [classes.rename(read.labels[i] or "") for i in kept]
    if unknown := sorted(set(found) - index.keys()):
        shown = ", ".join(repr(name) for name in unknown[:5])
        raise Fault(
            "InvalidData",
            f"the {layout.part} data {layout.uri} has labels that the training data does not have ({shown}): the "
            "model can't learn them. "
            "Correct one of the two.",
        )
    return read.rows.take(kept).with_classes(np.array([index[name] for name in found], np.int64))


def _require_table(layout: Layout) -> None:
    if not layout.is_table:
        raise Fault(
            "InvalidData",
            f"{layout.uri} has arrays, and the training data is a table: write both as csv, jsonl or parquet.",
        )


def _schema(layout: Layout, data: Data, takes: Takes) -> Schema | None:
    """What the columns of a table are, told in the log; npz files have arrays instead."""
    if not layout.is_table:
        return None
    schema = read_schema(layout, data)
    for line in described(schema):
        print(line, flush=True)
    if takes == "matrix":
        require_numbers(schema, layout.uri)
    return schema


@ray.remote(num_cpus=1)
def _first_missing(block: Any, offsets: np.ndarray) -> tuple[int, int] | None:
    bad = np.argwhere(~np.isfinite(block_inputs(block)[offsets]))
    return (int(offsets[bad[0][0]]), int(bad[0][1])) if len(bad) else None


def _no_missing(rows: Rows, layout: Layout, data: Data) -> None:
    places = ray.get([_first_missing.remote(block, offsets) for block, offsets in rows.parts()])
    for number, found in zip(rows.numbers(), places, strict=True):
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
