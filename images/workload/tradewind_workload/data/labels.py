"""The labels of the training rows: classes by name, or numbers; and what labels of other rows come to by them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tradewind_workload.data.names import fractions, in_order, is_plain_number, renaming
from tradewind_workload.io.fault import Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from tradewind.api.data import Data
    from tradewind_workload.data.dataset import Label
    from tradewind_workload.data.layout import Layout
    from tradewind_workload.data.rows import Read

MAX_CLASSES = 10_000
LARGEST, SMALLEST = 1e30, 1e-30  # of numbers that are predicted: answers and their squares are 32-bit floats at places
STEPS = 8  # of 32-bit floats, that the deviation of the labels has at least


@dataclass(frozen=True)
class Classes:
    """The classes of the training rows, in order, and how a value's name becomes one."""

    names: tuple[str, ...]
    rename: Callable[[str], str]

    def targets(self, found: list[str], layout: Layout) -> np.ndarray:
        """Indices of the classes, int64 [n]. Raises Fault(InvalidData) for one that the training rows lack."""
        index = {name: i for i, name in enumerate(self.names)}
        renamed = [self.rename(name) for name in found]
        if unknown := sorted(set(renamed) - index.keys()):
            shown = ", ".join(repr(name) for name in unknown[:5])
            raise Fault(
                "InvalidData",
                f"the {layout.part} data {layout.uri} has labels that the training data does not have ({shown}): the "
                "model can't learn them. Correct one of the two.",
            )
        return np.array([index[name] for name in renamed], np.int64)


@dataclass(frozen=True)
class Numbers:
    """Labels that are numbers."""

    names: tuple[str, ...] = ()

    def targets(self, found: list[str], layout: Layout) -> np.ndarray:
        """The numbers, float64 [n]."""
        try:
            numbers = np.array([float(name) for name in found])
        except ValueError:
            wrong = next(name for name in found if not is_plain_number(name))
            raise Fault(
                "InvalidData",
                f"the {layout.part} data {layout.uri} has the label {wrong!r}, which is no number, and a regression "
                "predicts one: correct the data or spec.data.label, or set spec.recipe.task to a classification.",
            ) from None
        beyond = np.flatnonzero(np.abs(numbers) > LARGEST)
        if len(beyond):
            raise Fault(
                "InvalidData",
                f"the {layout.part} data {layout.uri} has the label {numbers[beyond[0]]:g}, and a model can't predict "
                f"numbers beyond {LARGEST:g}: correct it, or write the label in a larger unit.",
            )
        return numbers


Labels = Classes | Numbers


def read_labels(read: Read, kept: np.ndarray, layout: Layout, data: Data, label: Label) -> Labels:
    """The labels of the rows of the numbers `kept`. Raises Fault(InvalidData) where they are no such labels."""
    where = f"the label {data.label!r} of {layout.uri}"
    require_labels(read, kept, where)
    if label == "category":
        return _classes(read, kept, where, data)
    if len({read.labels[row] for row in kept}) == 1:
        raise Fault("InvalidData", f"{where} is {read.labels[kept[0]]} in every row: there is nothing to predict.")
    return Numbers()


def require_spread(numbers: np.ndarray, where: str) -> None:
    """Raises Fault(InvalidData) where labels that are numbers lie too close together for an answer of 32 bits."""
    deviation, step = float(numbers.std()), float(np.spacing(np.float32(np.abs(numbers).max())))
    if 0 < deviation < SMALLEST:
        raise Fault(
            "InvalidData",
            f"{where} has a deviation of {deviation:.3g}, which is too little for an answer of 32 bits: write it in a "
            "smaller unit.",
        )
    if 0 < deviation < STEPS * step:
        raise Fault(
            "InvalidData",
            f"{where} has values about {numbers.mean():.10g} with a deviation of {deviation:.3g}: an answer has 32 "
            f"bits, and goes in steps of {step:.3g} there. Subtract the same number from all of them, for example "
            f"{numbers.min():.10g}, and add it to the answers.",
        )


def _classes(read: Read, kept: np.ndarray, where: str, data: Data) -> Classes:
    found = {name for i in kept if (name := read.labels[i]) is not None}
    as_they_stand = any(choice.name == data.label for choice in data.columns)
    if not as_they_stand and (quantities := fractions(found)):
        row = next(i for i in kept if read.labels[i] in quantities)
        raise Fault(
            "InvalidData",
            f"{where} is not a class: {read.rows.place(row)} has {read.labels[row]}. A classification needs whole "
            "numbers or names; correct spec.data.label, set spec.recipe.task to a regression, or set the label's type "
            "to category in spec.data.columns.",
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
    return Classes(in_order(names), rename)


def require_labels(read: Read, kept: np.ndarray, where: str) -> None:
    """Raises Fault(InvalidData) where one of these rows has no label."""
    missing = [int(i) for i in kept if read.labels[i] is None]
    if missing:
        raise Fault(
            "InvalidData",
            f"{where} is missing in {len(missing)} rows (the first is {read.rows.place(missing[0])}): add dropNulls to "
            "spec.data.prepare, or fill it in.",
        )
