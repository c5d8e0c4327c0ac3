"""What the columns of a data set are: kinds that training, serving and reports agree on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# number: float64; boolean: bool; datetime: timestamp[us]; category and text: string; image: large_binary, the bytes
# of a picture's file. A missing value is null.
Kind = Literal["number", "boolean", "category", "datetime", "text", "image"]


@dataclass(frozen=True)
class ColumnSchema:
    """A column, and what was seen of it in the training data."""

    name: str
    kind: Kind
    why: str  # how the kind was decided, in words for people
    rows: int
    missing: int
    distinct: int | None = None  # None: too many to count
    prose: bool = False  # whether most values are texts of several words
    size: int = 0  # bytes of the values in memory
    format: str | None = None  # that the texts of a datetime are read by; see tradewind_processors.times
    unclear: bool = False  # whether most of its texts are times that can be read in several ways, so that none is


@dataclass(frozen=True)
class Schema:
    """The inputs (in the order of spec.data.inputs, else of the first file), the label, and what splits the rows."""

    inputs: tuple[ColumnSchema, ...]
    label: ColumnSchema  # or the first of spec.data.labelColumns
    split: ColumnSchema | None = None
    more_labels: tuple[ColumnSchema, ...] = ()  # the others of spec.data.labelColumns

    @property
    def labels(self) -> tuple[ColumnSchema, ...]:
        """All columns with labels."""
        return (self.label, *self.more_labels)

    @property
    def size(self) -> int:
        """Bytes of all values in memory."""
        return sum(column.size for column in (*self.inputs, *self.labels))
