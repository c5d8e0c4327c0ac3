"""Which labels there are: those that the training rows have, or those that a finished model knows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np
import pyarrow as pa

from tradewind_workload.data.labels import Classes, Numbers, Sets, parted
from tradewind_workload.data.names import alike, fractions, in_order, renaming
from tradewind_workload.io.fault import Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from tradewind.api.data import Data
    from tradewind_workload.data.dataset import Label
    from tradewind_workload.data.labels import Known, Labels
    from tradewind_workload.data.layout import Layout

MAX_CLASSES = 10_000
MAX_LABELS = 1_000  # that a row may have any number of
MOST_NAMES = 3 * MAX_CLASSES  # of labels, or cells of several, that are told apart where not all are held


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


def labels_of(
    found: Found, place: Callable[[int], str], layout: Layout, data: Data, label: Label, known: Known | None = None
) -> Labels:
    """The labels of the training rows, or those that are known; `place` says where the row of a number stands.

    Raises Fault(InvalidData) where they are no such labels.
    """
    where = f"the label {data.labels()[0]!r} of {layout.uri}"
    if data.label_columns:
        where = f"one of the labels {', '.join(map(repr, data.label_columns[:5]))} of {layout.uri}"
    require_labels(found, place, where)
    if label == "category":
        return _classes(found, place, where, data, known)
    if label == "labels":
        return _columns(found, layout, data, known) if data.label_columns else _parted(found, where, data, known)
    if len(found.firsts) == 1:
        raise Fault("InvalidData", f"{where} is {next(iter(found.firsts))} in every row: there is nothing to predict.")
    return Numbers()


def _classes(found: Found, place: Callable[[int], str], where: str, data: Data, known: Known | None) -> Classes:
    as_they_stand = any(choice.name == data.label for choice in data.columns)
    if known is not None:
        return Classes(known.names, str if as_they_stand else renaming({*known.names, *found.firsts}), known)
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


def _columns(found: Found, layout: Layout, data: Data, known: Known | None) -> Sets:
    """Labels that have a column each."""
    assert data.label_columns is not None
    if known is not None:
        return Sets(known.names, None, data.label_columns, known)
    sets = Sets(data.label_columns, None, data.label_columns)
    counts = sets.targets(list(found.firsts), layout).sum(0, dtype=np.int64)
    if lacking := [name for name, count in zip(sets.names, counts, strict=True) if not count]:
        raise Fault(
            "InvalidData",
            f"{layout.uri} has no row with the label {', '.join(map(repr, lacking[:5]))}"
            f"{f' and {len(lacking) - 5} more' if lacking[5:] else ''}: a model can't learn it. Give rows whose column "
            "has 1, or remove it from spec.data.labelColumns and set its type to ignore in spec.data.columns.",
        )
    return sets


def _parted(found: Found, where: str, data: Data, known: Known | None) -> Sets:
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
    if known is not None:
        return Sets(known.names, separator, known=known)
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
