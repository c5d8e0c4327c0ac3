"""From files to parts in memory: the rows in blocks that the job's processes hold, and an index of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from tradewind_workload.data import splits
from tradewind_workload.data.division import divide, hashes
from tradewind_workload.data.dropping import Dropped, nothing_apart, nothing_left, step_apart
from tradewind_workload.data.labelling import Found, labels_of, require_labels
from tradewind_workload.data.rows import Read, Rows, read_rows

if TYPE_CHECKING:
    from tradewind.api.data import Data
    from tradewind_workload.data.blocks import Form
    from tradewind_workload.data.dataset import Label
    from tradewind_workload.data.labels import Known, Labels
    from tradewind_workload.data.layout import Layout
    from tradewind_workload.data.schema import Schema
    from tradewind_workload.data.work import Work


@dataclass(frozen=True)
class Sets:
    """The data sets, and how their rows are read."""

    train: Layout
    others: tuple[Layout, ...]  # that judge, in the order that they are read
    schemas: tuple[Schema | None, ...]  # of the training data and of the others
    form: Form
    label: Label
    known: Known | None  # labels of a finished model


def parts_in_memory(
    sets: Sets, data: Data, seed: int, work: Work, steps: list[Dropped]
) -> tuple[Labels, dict[str, Rows], str]:
    """The labels, the rows of each part, and the digest of the split; what was dropped is added to `steps`.

    Raises Fault(InvalidData).
    """
    layout = sets.train
    read = read_rows(layout, data, sets.schemas[0], sets.form, work)
    kept = _clean(read, data, layout.uri, steps)
    apart = []  # data sets of their own, cleaned, after the training data has lost what stands in them too
    for found, schema in zip(sets.others, sets.schemas[1:], strict=True):
        held = read_rows(found, data, schema, sets.form, work)
        held_kept = _clean(held, data, found.uri, steps)
        kept = _apart(read, kept, held, held_kept, (layout, found), steps)
        apart.append((found, held, held_kept))
    labels = labels_of(_found(read, kept), read.rows.place, layout, data, sets.label, sets.known)
    parts = divide(
        _with_targets(read, kept, labels, layout), read.split, kept, layout, data, seed, known=labels.known is not None
    )
    for found, held, held_kept in apart:
        parts[found.part] = _with_targets(held, held_kept, labels, found)
    return labels, parts, splits.digest({name: hashes(rows) for name, rows in parts.items()})


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
            raise nothing_left(uri, step, i)
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
            raise nothing_apart(judging)
        steps.append(Dropped(train.uri, step_apart(judging), len(kept), int((~seen).sum())))
        kept = kept[~seen]
    return kept


def _found(read: Read, kept: np.ndarray) -> Found:
    return Found.of(pa.array(read.labels, pa.string()).take(pa.array(kept)), kept)


def _with_targets(read: Read, kept: np.ndarray, labels: Labels, layout: Layout) -> Rows:
    if layout.part != "train":
        require_labels(_found(read, kept), read.rows.place, f"the label of {layout.uri}")
    return read.rows.take(kept).with_targets(labels.targets([read.labels[i] or "" for i in kept], layout))
