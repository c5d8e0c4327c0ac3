"""The labels of the training rows: classes by name, numbers, or sets of labels; and what others are by them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np
import pyarrow as pa

from tradewind_workload.data.names import alike, fractions, in_order, is_plain_number, renaming
from tradewind_workload.io.fault import Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from tradewind.api.data import Data
    from tradewind_workload.data.dataset import Label
    from tradewind_workload.data.layout import Layout

MAX_CLASSES = 10_000
MAX_LABELS = 1_000  # that a row may have any number of
MOST_NAMES = 3 * MAX_CLASSES  # of labels, or cells of several, that are told apart where not all are held
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


@dataclass(frozen=True)
class Sets:
    """Any number of labels a row: the names of those of the training rows, in order."""

    names: tuple[str, ...]
    separator: str | None  # None: the label's text has a 0 or 1 for each name

    def targets(self, found: list[str], layout: Layout) -> np.ndarray:
        """Whether a row has each label, int8 [n, labels]. Raises Fault(InvalidData) for one that training rows lack."""
        if self.separator is None:
            digits = np.frombuffer("".join(found).encode(), np.int8).reshape(len(found), len(self.names))
            return digits - ord("0")
        index = {name: i for i, name in enumerate(self.names)}
        out = np.zeros((len(found), len(self.names)), np.int8)
        for row, text in enumerate(found):
            for name in parted(text, self.separator):
                if name not in index:
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


def _said(text: str, separator: str | None) -> set[str | int]:
    """What a cell tells of the labels: numbers of columns, or names, and what makes it no such cell (see _parted)."""
    if separator is None:
        return {i for i, digit in enumerate(text) if digit == "1"}
    said: set[str | int] = {*parted(text, separator)}
    if separator in text.strip():
        said.add(0)
    if _is_list(text):
        said.add(1)
    return said


def _is_list(text: str) -> bool:
    return text.startswith("[") and text.endswith("]")


Labels = Classes | Numbers | Sets


@dataclass(frozen=True)
class Found:
    """The names that labels of some rows have."""

    rows: int
    missing: int
    first_missing: int  # number of the first row without one; -1 where all have one
    firsts: dict[str, int]  # by name the number of the first row that has it; some of them where there are very many

    @classmethod
    def of(cls, names: pa.Array, numbers: np.ndarray, most: int | None = None) -> Self:
        """Of the rows of these numbers; so many names at most are told."""
        absent = names.is_null().to_numpy(zero_copy_only=False)
        present = np.flatnonzero(~absent)
        encoded = names.take(pa.array(present)).dictionary_encode()
        _, firsts = np.unique(encoded.indices.to_numpy(zero_copy_only=False), return_index=True)
        told = encoded.dictionary[:most].to_pylist()
        return cls(
            len(names),
            int(absent.sum()),
            int(numbers[absent.argmax()]) if absent.any() else -1,
            dict(zip(told, numbers[present[firsts[: len(told)]]].tolist(), strict=True)),
        )

    def merged(self, other: Found, most: int) -> Found:
        """With rows that come after these."""
        firsts = other.firsts | self.firsts
        return Found(
            self.rows + other.rows,
            self.missing + other.missing,
            self.first_missing if self.missing else other.first_missing,
            firsts if len(firsts) <= most else {name: firsts[name] for name in sorted(firsts)[:most]},
        )

    def telling(self, separator: str | None) -> Found:
        """Of rows with any number of labels: as few cells as say the same to `labels_of`, those of the first rows.

        There may be as many different cells as rows, while labels are few. `separator` is as of Sets.
        """
        said: set[str | int] = set()
        left: dict[str, int] = {}
        for text, number in sorted(self.firsts.items(), key=lambda item: item[1]):
            here = _said(text, separator)
            if not left or (len(left) < MOST_NAMES and not here <= said):
                left[text] = number
                said |= here
        return replace(self, firsts=left)


def labels_of(found: Found, place: Callable[[int], str], layout: Layout, data: Data, label: Label) -> Labels:
    """The labels of the training rows; `place` says where the row of a number stands.

    Raises Fault(InvalidData) where they are no such labels.
    """
    where = f"the label {data.labels()[0]!r} of {layout.uri}"
    if data.label_columns:
        where = f"one of the labels {', '.join(map(repr, data.label_columns[:5]))} of {layout.uri}"
    require_labels(found, place, where)
    if label == "category":
        return _classes(found, place, where, data)
    if label == "labels":
        return _columns(found, layout, data) if data.label_columns else _parted(found, where, data)
    if len(found.firsts) == 1:
        raise Fault("InvalidData", f"{where} is {next(iter(found.firsts))} in every row: there is nothing to predict.")
    return Numbers()


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


def _classes(found: Found, place: Callable[[int], str], where: str, data: Data) -> Classes:
    as_they_stand = any(choice.name == data.label for choice in data.columns)
    if not as_they_stand and (quantities := fractions(set(found.firsts))):
        name = min(quantities, key=lambda name: found.firsts[name])
        raise Fault(
            "InvalidData",
            f"{where} is not a class: {place(found.firsts[name])} has {name}. A classification needs whole "
            "numbers or names; correct spec.data.label, set spec.recipe.task to a regression, or set the label's type "
            "to category in spec.data.columns.",
        )
    rename = str if as_they_stand else renaming(set(found.firsts))
    names = {rename(name) for name in found.firsts}
    if len(names) < 2:
        raise Fault(
            "InvalidData", f"{where} has only one class, {next(iter(names))!r}: there is nothing to tell apart."
        )
    if len(names) > MAX_CLASSES or (len(names) > 50 and len(names) > found.rows / 2):
        more = "more than " if len(found.firsts) == MOST_NAMES else ""
        raise Fault(
            "InvalidData",
            f"{where} has {more}{len(names)} different values in {found.rows} rows: these are not classes. Correct "
            "spec.data.label.",
        )
    _require_told_apart(names, where)
    return Classes(in_order(names), rename)


def _require_told_apart(names: set[str], where: str) -> None:
    """Raises Fault(InvalidData) where two labels look the same: what is one label to people must not become two."""
    if (two := alike(names)) is not None:
        raise Fault(
            "InvalidData",
            f"{where} has {' and '.join(map(ascii, two))}, which look the same (they differ in spaces, invisible "
            "characters or Unicode's forms): correct the data.",
        )


def _columns(found: Found, layout: Layout, data: Data) -> Sets:
    """Labels that have a column each."""
    assert data.label_columns is not None
    sets = Sets(data.label_columns, None)
    counts = sets.targets(list(found.firsts), layout).sum(0, dtype=np.int64)
    if lacking := [name for name, count in zip(sets.names, counts, strict=True) if not count]:
        raise Fault(
            "InvalidData",
            f"{layout.uri} has no row with the label {', '.join(map(repr, lacking[:5]))}"
            f"{f' and {len(lacking) - 5} more' if lacking[5:] else ''}: a model can't learn it. Give rows whose column "
            "has 1, or remove it from spec.data.labelColumns and set its type to ignore in spec.data.columns.",
        )
    return sets


def _parted(found: Found, where: str, data: Data) -> Sets:
    """Labels that stand in one cell."""
    separator = data.label_separator
    assert separator is not None
    texts = found.firsts
    if listed := next(filter(_is_list, texts), None):
        raise Fault(
            "InvalidData",
            f"{where} has {listed[:80]!r}, which is a list: write its labels as a text, with {separator!r} between "
            "them.",
        )
    names = {name for text in texts for name in parted(text, separator)}
    if not any(separator in text.strip() for text in texts):
        some = next((text for text in texts if text.strip()), "")
        raise Fault(
            "InvalidData",
            f"{where} never has {separator!r}, which spec.data.labelSeparator says is between labels"
            f"{f' (a cell is {some[:80]!r})' if some else ''}: correct the separator, or set spec.recipe.task to one "
            "that gives a row one class.",
        )
    _require_told_apart(names, where)
    if len(names) < 2:
        raise Fault(
            "InvalidData",
            f"{where} has only one label, {next(iter(names), '')!r}: set spec.recipe.task to one of classes.",
        )
    more = "more than " if len(texts) == MOST_NAMES else ""
    if len(names) > MAX_LABELS or (len(names) > 50 and len(names) > found.rows / 2):
        raise Fault(
            "InvalidData",
            f"{where} has {more}{len(names)} different labels in {found.rows} rows: a model learns {MAX_LABELS} at "
            "most, and only what occurs again. Correct spec.data.label or spec.data.labelSeparator.",
        )
    return Sets(in_order(names), separator)


def require_labels(found: Found, place: Callable[[int], str], where: str) -> None:
    """Raises Fault(InvalidData) where one of the rows has no label."""
    if found.missing:
        raise Fault(
            "InvalidData",
            f"{where} is missing in {found.missing} rows (the first is {place(found.first_missing)}): add dropNulls to "
            "spec.data.prepare, or fill it in.",
        )
