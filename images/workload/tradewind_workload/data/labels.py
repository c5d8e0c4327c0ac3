"""The labels of rows: classes by name, numbers, or sets of labels; and what others are by them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from tradewind_workload.data.names import is_plain_number
from tradewind_workload.io.fault import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tradewind_workload.data.layout import Layout

LARGEST, SMALLEST = 1e30, 1e-30  # of numbers that are predicted: answers and their squares are 32-bit floats at places
STEPS = 8  # of 32-bit floats, that the deviation of the labels has at least


@dataclass(frozen=True)
class Known:
    """The labels of a finished model, by index: no part of its data need have all of them, and none has others."""

    names: tuple[str, ...]
    by_number: bool = False  # as a program's model has them, which names none

    def refusal(self, unknown: Iterable[str], layout: Layout) -> Fault:
        """Of data with labels that are not among them."""
        why = f", which knows its classes by their numbers, 0 to {len(self.names) - 1}" if self.by_number else ""
        return Fault(
            "InvalidData",
            f"the {layout.part} data {layout.uri} has labels that the model does not know "
            f"({', '.join(sorted(unknown)[:5])}){why}: correct spec.data.",
        )


@dataclass(frozen=True)
class Classes:
    """The classes of the training rows or of a finished model, in order, and how a value's name becomes one."""

    names: tuple[str, ...]
    rename: Callable[[str], str]
    known: Known | None = None  # to a finished model

    def targets(self, found: list[str], layout: Layout) -> np.ndarray:
        """Indices of the classes, int64 [n]. Raises Fault(InvalidData) for one that is not among them."""
        index = {name: i for i, name in enumerate(self.names)}
        renamed = [self.rename(name) for name in found]
        if unknown := sorted(set(renamed) - index.keys()):
            if self.known is not None:
                raise self.known.refusal(unknown, layout)
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
    known: Known | None = None

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


@dataclass(frozen=True)
class Sets:
    """Any number of labels a row: the names of those of the training rows or of a finished model, in order."""

    names: tuple[str, ...]
    separator: str | None  # None: the label's text has a 0 or 1 for each of the columns
    columns: tuple[str, ...] = ()
    known: Known | None = None  # to a finished model

    def targets(self, found: list[str], layout: Layout) -> np.ndarray:
        """Whether a row has each label, int8 [n, labels]. Raises Fault(InvalidData) for one that is not among them."""
        index = {name: i for i, name in enumerate(self.names)}
        out = np.zeros((len(found), len(self.names)), np.int8)
        if self.separator is None:
            if self.known is not None and (unknown := set(self.columns) - index.keys()):
                raise self.known.refusal(unknown, layout)
            digits = np.frombuffer("".join(found).encode(), np.int8).reshape(len(found), len(self.columns))
            out[:, [index[name] for name in self.columns]] = digits - ord("0")
            return out
        for row, text in enumerate(found):
            for name in parted(text, self.separator):
                if name not in index:
                    if self.known is not None:
                        raise self.known.refusal([name], layout)
                    raise Fault(
                        "InvalidData",
                        f"the {layout.part} data {layout.uri} has the label {name!r}, which the training data does not "
                        "have: the model can't learn it. Correct one of the two.",
                    )
                out[row, index[name]] = 1
        return out


def parted(text: str, separator: str) -> tuple[str, ...]:
    """The labels of a cell, without the spaces around them."""
    return tuple(name for part in text.split(separator) if (name := part.strip()))


Labels = Classes | Numbers | Sets


@dataclass(frozen=True)
class Spread:
    """How numbers lie."""

    rows: int
    mean: float
    squares: float  # sum of the squared deviations from the mean
    low: float
    high: float

    @classmethod
    def of(cls, numbers: np.ndarray) -> Self:
        """Of float64 [n]; of no row where there is none."""
        if not len(numbers):
            return cls(0, 0.0, 0.0, math.inf, -math.inf)
        mean = float(numbers.mean())
        return cls(len(numbers), mean, float(((numbers - mean) ** 2).sum()), numbers.min(), numbers.max())

    def merged(self, other: Spread) -> Spread:
        """Of both together (Chan et al., 1979)."""
        rows = max(1, self.rows + other.rows)
        apart = other.mean - self.mean
        return Spread(
            self.rows + other.rows,
            self.mean + apart * other.rows / rows,
            self.squares + other.squares + apart**2 * self.rows * other.rows / rows,
            min(self.low, other.low),
            max(self.high, other.high),
        )

    @property
    def deviation(self) -> float:
        """Of the rows themselves, not of what they are a sample of."""
        return math.sqrt(self.squares / max(1, self.rows))


def require_spread(spread: Spread, where: str) -> None:
    """Raises Fault(InvalidData) where labels that are numbers lie too close together for an answer of 32 bits."""
    deviation, step = spread.deviation, float(np.spacing(np.float32(max(-spread.low, spread.high))))
    if 0 < deviation < SMALLEST:
        raise Fault(
            "InvalidData",
            f"{where} has a deviation of {deviation:.3g}, which is too little for an answer of 32 bits: write it in a "
            "smaller unit.",
        )
    if 0 < deviation < STEPS * step:
        raise Fault(
            "InvalidData",
            f"{where} has values about {spread.mean:.10g} with a deviation of {deviation:.3g}: an answer has 32 "
            f"bits, and goes in steps of {step:.3g} there. Subtract the same number from all of them, for example "
            f"{spread.low:.10g}, and add it to the answers.",
        )
