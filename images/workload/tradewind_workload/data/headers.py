"""What can be said of the data before a row is read: whether the data sets, the task and the steps go together."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tradewind_workload.data.dataset import Label, Takes, has_pictures, look, require_numbers
from tradewind_workload.data.layout import Layout, differences
from tradewind_workload.data.names import is_plain_number
from tradewind_workload.data.opening import read_layout
from tradewind_workload.io.fault import Fault

if TYPE_CHECKING:
    from tradewind.api.data import Data

_CHANNELS = range(2, 5)  # of a picture that is not grey


@dataclass(frozen=True)
class Headers:
    """The layouts, the shape of a row in the files, and of an image (height, width, channels); what a model takes."""

    train: Layout
    validation: Layout | None
    test: Layout | None
    shape: tuple[int, ...]
    image: tuple[int, int, int] | None
    takes: Takes
    label: Label
    pictures: bool = False  # whether an input has files of pictures, and no pixels


def read_headers(data: Data, task: str, takes: Takes = "matrix") -> Headers:
    """Look at all files. Raises Fault(InvalidData) in a sentence that names file, column and remedy."""
    several = task.endswith("-multilabel-classification")
    _require_labels(data, task, several=several)
    empty = data.label if data.label_separator is not None else None
    layout = read_layout(data.train, "spec.data.train", data.missing, empty)
    validation = read_layout(data.validation, "spec.data.validation", data.missing, empty) if data.validation else None
    test = read_layout(data.test, "spec.data.test", data.missing, empty) if data.test else None
    if takes in ("columns", "texts"):
        _require_table(layout, takes)
    shape = layout.row_shape(data)
    for other in filter(None, (validation, test)):
        if not data.inputs and layout.is_table and other.is_table:
            _same_columns(layout, other, data)
        if (its := other.row_shape(data)) != shape:
            raise Fault(
                "InvalidData",
                f"a row of {other.uri} has the shape {list(its)}, and one of {layout.uri} {list(shape)}: "
                "both need the same inputs.",
            )
    if data.split is not None and data.split.column is not None:
        layout.require((data.split.column,), "spec.data.split")
    of_images = task.startswith("image-")
    label: Label = "number" if task.endswith("-regression") else "labels" if several else "category"
    schema = look(layout, data, label, takes) if layout.is_table else None
    pictures = schema is not None and has_pictures(schema)
    if pictures and not of_images:
        raise Fault(
            "InvalidData",
            f"{layout.uri} has pictures, which {task} can't take: set spec.recipe.task to "
            f"image-{task.split('-', 1)[1]}, or the type of their column in spec.data.columns to ignore.",
        )
    if layout.format == "images" and label == "number":
        _require_numbered(layout, task)
    takes = "columns" if pictures else takes
    if schema is not None and takes == "matrix":
        require_numbers(schema, layout.uri)
    image = _image(data, shape, layout.uri) if of_images and not pictures else None
    for found in filter(None, (layout, validation, test)):
        for i, step in enumerate(data.prepare):
            if step.drop_nulls is not None:
                found.require(step.drop_nulls.columns, f"spec.data.prepare[{i}].dropNulls")
            if step.drop_duplicates is not None:
                found.require(step.drop_duplicates.columns, f"spec.data.prepare[{i}].dropDuplicates")
    if not of_images and any(step.augment for step in data.prepare):
        raise Fault(
            "InvalidData",
            "augment shifts and rotates images: remove it from spec.data.prepare, or set spec.recipe.task "
            f"to image-{task.split('-', 1)[1]}.",
        )
    if takes == "texts":
        _require_steps_of_texts(data)
    elif pictures or takes == "matrix" or not layout.is_table:
        _require_no_steps_of_columns(layout, data, takes)
    return Headers(layout, validation, test, shape, image, takes, label, pictures)


def _require_labels(data: Data, task: str, *, several: bool) -> None:
    """As the API server refuses at apply, for what does not come from there."""
    given = data.label_separator is not None or data.label_columns is not None
    if given != several:
        raise Fault(
            "InvalidData",
            f"{task} needs spec.data.labelSeparator or spec.data.labelColumns: set one of them."
            if several
            else "spec.data.labelSeparator and spec.data.labelColumns are for rows with several labels, and "
            f"{task} gives a row one: remove them, or choose a task that ends with -multilabel-classification.",
        )
    columns = data.label_columns or ()
    if twice := next((name for name in columns if columns.count(name) > 1), None):
        raise Fault("InvalidData", f"spec.data.labelColumns names {twice!r} twice: remove it once.")


def _require_table(layout: Layout, takes: Takes) -> None:
    if layout.is_table:
        return
    if takes == "texts":
        why = "an array of inputs, and a model of texts takes a table with a column of texts"
        other = ""
    else:
        why = "an array of inputs, and trees take a table, whose columns have names"
        other = ", or set spec.recipe.model.architecture to mlp or linear"
    raise Fault("InvalidData", f"{layout.uri} has {why}: write it as csv, jsonl or parquet{other}.")


def _require_numbered(layout: Layout, task: str) -> None:
    """The folders of pictures are labels, and a regression needs numbers."""
    found = {file.label for source in layout.sources for file in source.pictures if file.label is not None}
    if names := sorted(name for name in found if not is_plain_number(name)):
        raise Fault(
            "InvalidData",
            f"{layout.uri} has the folder {names[0]!r}, whose name is the label of its pictures, and {task} predicts a "
            f"number: name a table with the paths of the pictures and their numbers in {layout.field}.storageUri, or "
            "set spec.recipe.task to image-classification.",
        )


def _require_no_steps_of_columns(layout: Layout, data: Data, takes: Takes) -> None:
    """Where the model takes no columns one by one, such a step would be passed over, or fill with another value."""
    for i, step in enumerate(data.prepare):
        if step.is_for_columns():
            other = " write the data as csv, jsonl or parquet, or" if takes == "either" else ""
            raise Fault(
                "InvalidData",
                f"{step.chosen()[0]} (spec.data.prepare[{i}]) works on single columns of a table, and the model takes "
                f"{layout.uri} as a whole:{other} remove the step (of impute, only mean and median of all values work "
                "here).",
            )


def _require_steps_of_texts(data: Data) -> None:
    for i, step in enumerate(data.prepare):
        if step.drop_nulls is None and step.drop_duplicates is None:
            raise Fault(
                "InvalidData",
                f"{step.chosen()[0]} (spec.data.prepare[{i}]) does nothing to a text: remove it. A text task has "
                "dropNulls and dropDuplicates; what is a text's own to prepare, its tokenizer does.",
            )


def _same_columns(layout: Layout, other: Layout, data: Data) -> None:
    if told := differences(layout.inputs(data), other.inputs(data)):
        raise Fault(
            "InvalidData",
            f"{other.uri} has other columns than {layout.uri}: it {told}. Name the inputs in spec.data.inputs.",
        )


def _image(data: Data, shape: tuple[int, ...], uri: str) -> tuple[int, int, int]:
    """Height, width and channels of rows that are pixels. Raises Fault(InvalidData) where they can't be that."""
    if data.image_shape is not None:
        height, width, channels = (*data.image_shape, 1)[:3]
        if height * width * channels != math.prod(shape):
            raise Fault(
                "InvalidData",
                f"spec.data.imageShape {list(data.image_shape)} has {height * width * channels} values, and a row of "
                f"{uri} has {math.prod(shape)}.",
            )
        said, found = ([size for size in sizes if size > 1] for sizes in ((height, width, channels), shape))
        if len(found) > 1 and found != said:  # an axis of one changes no order
            raise Fault(
                "InvalidData",
                f"spec.data.imageShape is {list(data.image_shape)} (height, width, channels), and a row of {uri} has "
                f"the shape {list(shape)}: correct imageShape, or the order of the axes in the file (numpy.moveaxis).",
            )
        return height, width, channels
    if len(shape) in (2, 3):
        height, width, channels = (*shape, 1)[:3]
        if height == 1 and channels > max(_CHANNELS):
            return width, channels, 1  # grey, and the one channel first
        if height in _CHANNELS and channels > max(_CHANNELS):
            raise Fault(
                "InvalidData",
                f"a row of {uri} has the shape {list(shape)}, which looks like a picture with its {height} channels "
                "first, and they are read last: save the array with them last (numpy.moveaxis(x, 1, -1)), or set "
                f"spec.data.imageShape to {list(shape)} if these are height, width and channels.",
            )
        return height, width, channels
    side = math.isqrt(math.prod(shape))
    if len(shape) != 1 or side * side != shape[0]:
        raise Fault(
            "InvalidData",
            f"a row of {uri} has {math.prod(shape)} values, which is not a square image: set spec.data.imageShape to "
            "[height, width] or "
            "[height, width, channels].",
        )
    return side, side, 1
