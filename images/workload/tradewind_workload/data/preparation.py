"""From files to a training and a validation split: cleaned, with class indices and what was fitted on the training.

Rows are dropped first, by the values as they were read; then the labels become classes, the splits are made, and the
stages are fitted in the order of the steps, each on the training rows as the stages before it left them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import ray

from tradewind_workload.data.dataset import described, require_numbers
from tradewind_workload.data.fitting import Stage, fit
from tradewind_workload.data.headers import Task, read_headers
from tradewind_workload.data.names import fractions, in_order, renaming
from tradewind_workload.data.rows import Read, Rows, block_inputs, read_rows, read_schema
from tradewind_workload.io.fault import Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from tradewind.api.data import Augment, Data
    from tradewind_workload.data.layout import Layout
    from tradewind_workload.data.schema import Schema

MAX_CLASSES = 10_000


@dataclass(frozen=True)
class Prepared:
    """All that training needs."""

    train: Rows
    validation: Rows
    row_shape: tuple[int, ...]  # as in the file
    image: tuple[int, int, int] | None  # height, width, channels
    labels: tuple[str, ...]
    stages: tuple[Stage, ...]
    augment: Augment | None
    notes: tuple[str, ...]  # what was dropped, for the log


def prepare(data: Data, task: Task, seed: int) -> Prepared:
    """Read, clean, split, fit. Raises Fault(InvalidData) in a sentence that names file, column and remedy."""
    headers = read_headers(data, task)
    layout, validation_layout, image = headers.train, headers.validation, headers.image
    for found in filter(None, (layout, validation_layout)):
        for note in found.notes:
            print(note, flush=True)
    schema = _schema(layout, data)

    notes: list[str] = []
    read = read_rows(layout, data, schema)
    kept = _clean(read, data, layout.uri, notes)
    if validation_layout is not None:
        held = read_rows(validation_layout, data, schema if layout.is_table else _schema(validation_layout, data))
        held_kept = _clean(held, data, validation_layout.uri, notes)
        kept = _apart(read, kept, held, held_kept, notes)
        classes = _classes(read, kept, layout, data)
        train = _with_classes(read, kept, classes, layout)
        validation = _with_classes(held, held_kept, classes, validation_layout)
    else:
        classes = _classes(read, kept, layout, data)
        rows = _with_classes(read, kept, classes, layout)
        chosen = _hold_back(rows.classes, float(data.validation_fraction or 0), seed)
        if not chosen.any() or chosen.all():
            raise Fault(
                "InvalidData",
                f"spec.data.validationFraction {data.validation_fraction} of {len(rows)} rows of {layout.uri} leaves "
                f"{'no validation' if not chosen.any() else 'no training'} data: choose another fraction, or give "
                "more rows.",
            )
        train, validation = rows.take(np.flatnonzero(~chosen)), rows.take(np.flatnonzero(chosen))
    if not any(step.impute for step in data.prepare):
        for rows, found in ((train, layout), (validation, validation_layout or layout)):
            _no_missing(rows, found, data)
    return Prepared(
        train,
        validation,
        headers.shape,
        image,
        classes.names,
        fit(train, data, image, layout),
        next((step.augment for step in data.prepare if step.augment is not None), None),
        tuple(notes),
    )


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


def _apart(read: Read, kept: np.ndarray, held: Read, held_kept: np.ndarray, notes: list[str]) -> np.ndarray:
    """With the duplicates go training rows that stand in the validation data too: it judges what was not seen."""
    for i in read.key:
        seen = np.isin(read.key[i][kept], held.key[i][held_kept])
        if seen.all():
            raise Fault(
                "InvalidData", "every training row is also in the validation data: give two data sets that differ."
            )
        if seen.any():
            notes.append(f"{int(seen.sum())} training rows dropped that are also in the validation data")
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
    if layout.field.endswith("validation"):
        _require_labels(read, kept, f"the label of {layout.uri}")
    found = [classes.rename(read.labels[i] or "") for i in kept]
    if unknown := sorted(set(found) - index.keys()):
        shown = ", ".join(repr(name) for name in unknown[:5])
        raise Fault(
            "InvalidData",
            f"the validation data {layout.uri} has labels that the training data does not have ({shown}): the "
            "model can't learn them. "
            "Correct one of the two.",
        )
    return read.rows.take(kept).with_classes(np.array([index[name] for name in found], np.int64))


def _schema(layout: Layout, data: Data) -> Schema | None:
    """What the columns of a table are, told in the log; npz files have arrays instead."""
    if not layout.is_table:
        return None
    schema = read_schema(layout, data)
    for line in described(schema):
        print(line, flush=True)
    require_numbers(schema, layout.uri)
    return schema


def _hold_back(classes: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """bool [n], by the seed: the share of each class that is validation data. Every class keeps a training row."""
    random = np.random.default_rng([seed, 0])
    chosen = np.zeros(len(classes), bool)
    due = 0.0  # what rounding has owed so far, so that the whole share comes out right
    for label in np.unique(classes):
        rows = random.permutation(np.flatnonzero(classes == label))
        due += len(rows) * fraction
        count = min(int(due + 0.5), len(rows) - 1)
        due -= count
        chosen[rows[:count]] = True
    return chosen


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
