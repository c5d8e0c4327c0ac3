"""What the files of a data set hold: their columns, the kind and the shape of each, and which of them a model sees."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tradewind_workload.data.listing import listed, meant
from tradewind_workload.data.names import written_otherwise
from tradewind_workload.io.fault import Fault

if TYPE_CHECKING:
    from collections.abc import Collection

    from tradewind.api.data import Data
    from tradewind_workload.data.table import Source

Kind = Literal["cells", "picture", "number", "text", "other"]


@dataclass(frozen=True)
class Column:
    """A column, or an array of an npz file; `shape` is that of one row, () for a scalar."""

    kind: Kind  # cells: what they are is seen from the values (inference.py); picture: that of a file
    shape: tuple[int, ...] = ()
    described: str = ""  # its type in the file's own words


CELLS, PICTURE = Column("cells"), Column("picture")
# What pandas calls the numbers of a data frame's rows when it writes Parquet, and when it reads a csv file that has
# them. Rows that were sorted or put together by their labels can be told apart by these numbers alone.
_ROW_NUMBERS = re.compile(r"__index_level_\d+__|Unnamed: 0(\.\d+)?")
IS_INDEX = (
    "it is the index of a pandas data frame, which numbers the rows: no input unless spec.data.inputs or "
    "spec.data.columns names it"
)


def is_index(name: str) -> bool:
    """Whether a column has the numbers of the rows, by its name."""
    return _ROW_NUMBERS.fullmatch(name) is not None


@dataclass(frozen=True)
class Layout:
    """The files of a data set, all with the same columns, in whatever order."""

    field: str  # spec.data.train, spec.data.validation or spec.data.test, for messages
    uri: str
    format: str
    sources: tuple[Source, ...]
    columns: dict[str, Column]  # in the order of the first file
    notes: tuple[str, ...]  # how the files are read, for the log

    @property
    def part(self) -> str:
        """What the data set is for: train, validation or test."""
        return self.field.rsplit(".", 1)[-1]

    def inputs(self, data: Data) -> tuple[str, ...]:
        """Names of the columns that the model sees. Raises Fault(InvalidData) where they can't be inputs."""
        labels, field = data.labels(), "spec.data.labelColumns" if data.label_columns else "spec.data.label"
        for label in labels:
            self._require_label(label, field, data)
        ignored = self._ignored(data)
        besides = ignored | {*labels, data.split.column if data.split is not None else None}
        told = {choice.name for choice in data.columns}
        besides |= {name for name in self.columns if is_index(name) and name not in told}
        chosen = data.inputs or tuple(name for name in self.columns if name not in besides)
        for name in chosen:
            if name not in self.columns:
                raise Fault(
                    "InvalidData",
                    f"{self.uri} has no {self._noun} {name!r}, which spec.data.inputs names"
                    f"{meant(name, self.columns)}; it has {listed(self.columns)}"
                    f"{written_otherwise(name, self.columns)}.",
                )
            if name in labels:
                raise Fault(
                    "InvalidData",
                    f"spec.data.inputs names the label {name!r}: the model would see the answer. Remove it.",
                )
            if name in ignored:
                raise Fault(
                    "InvalidData",
                    f"spec.data.inputs names {name!r}, which spec.data.columns ignores: remove it from one of them.",
                )
            if self.columns[name].kind not in ("number", "cells", "picture"):
                raise Fault(
                    "InvalidData",
                    f"{self.uri}: the {self._noun} {name!r} is {self.columns[name].described}, not a number. "
                    "Write it as numbers, set its type in spec.data.columns to ignore, or name only the numeric ones "
                    "in spec.data.inputs.",
                )
        if not chosen:
            raise Fault(
                "InvalidData", f"{self.uri} has no {self._noun} besides the label {', '.join(map(repr, labels[:12]))}."
            )
        if len(chosen) > 1 and any(self.columns[name].shape for name in chosen):
            raise Fault(
                "InvalidData",
                f"{self.uri} has several arrays besides the label ({listed(chosen)}): name the one array of inputs "
                "in spec.data.inputs.",
            )
        return chosen

    def _require_label(self, label: str, field: str, data: Data) -> None:
        """Raises Fault(InvalidData) where a label can't be read of such a column."""
        if label not in self.columns:
            remedy = f"Correct {field}" if data.label_columns else f"Set {field} to one of them"
            raise Fault(
                "InvalidData",
                f"{self.uri} has no {self._noun} {label!r} for the label{meant(label, self.columns)}; it has "
                f"{listed(self.columns)}{written_otherwise(label, self.columns)}. {remedy}.",
            )
        give = "give one class a row"
        if data.label_separator is not None:
            give = f"write the labels of a row as one text, with {data.label_separator!r} between them"
        elif data.label_columns is not None:
            give = "give 0 or 1 a row"
        if self.columns[label].kind == "other":
            raise Fault("InvalidData", f"{self.uri}: the label {label!r} is {self.columns[label].described}; {give}.")
        if self.columns[label].shape:
            raise Fault("InvalidData", f"{self.uri}: the label {label!r} has more than one value a row; {give}.")

    def _ignored(self, data: Data) -> set[str]:
        """Columns that the model is not to see. Raises Fault(InvalidData) for what spec.data.columns can't say."""
        self.require(tuple(choice.name for choice in data.columns), "spec.data.columns")
        for choice in data.columns:
            if self.format == "npz" and choice.type != "ignore":
                raise Fault(
                    "InvalidData",
                    f"spec.data.columns makes {choice.name!r} a {choice.type}, and an array of {self.uri} has a type "
                    "of its own: remove it, or set ignore.",
                )
            if choice.name in data.labels() and choice.type == "ignore":
                raise Fault("InvalidData", f"spec.data.columns ignores the label {choice.name!r}: remove it.")
        return {choice.name for choice in data.columns if choice.type == "ignore"}

    def row_shape(self, data: Data) -> tuple[int, ...]:
        """Shape of one row of the inputs, as it stands in the file."""
        chosen = self.inputs(data)
        return self.columns[chosen[0]].shape or (len(chosen),)

    def require(self, columns: tuple[str, ...], step: str) -> None:
        """Raises Fault(InvalidData) where a field (`step`) names a column that is not there."""
        for name in columns:
            if name not in self.columns:
                raise Fault(
                    "InvalidData",
                    f"{self.uri} has no {self._noun} {name!r}, which {step} names{meant(name, self.columns)}; it has "
                    f"{listed(self.columns)}{written_otherwise(name, self.columns)}.",
                )

    @property
    def is_table(self) -> bool:
        """Whether the rows have cells of columns, and not of arrays."""
        return self.format != "npz"

    @property
    def _noun(self) -> str:
        return "array" if self.format == "npz" else "column"


def differences(expected: Collection[str], found: Collection[str]) -> str:
    """What names are lacking and what there are besides, in words; empty where they are the same."""
    lacking = [name for name in expected if name not in found]
    further = [name for name in found if name not in expected]
    same = "".join(written_otherwise(name, further) for name in lacking[:1])
    told = [f"lacks {listed(lacking)}{same}"] if lacking else []
    told += [f"has {listed(further)} besides"] if further else []
    return " and it ".join(told)
