"""What a model gets of each column of a table, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tradewind_workload.tasks.tabular.derivation import BinNumber, ClipNumber, FillNumber, FillText, LogNumber

if TYPE_CHECKING:
    from tradewind_workload.tasks.tabular.derivation import Derivation
    from tradewind_workload.tasks.tabular.encoding import Codes, Encoding, Number


def told(encoding: Encoding, columns: tuple[str, ...]) -> dict[str, str]:
    """By the name of the column, for all `columns`, also those that are left out."""
    trees = encoding.scale == "raw"
    parts: dict[str, list[str]] = {column.name: [] for column in encoding.codes if column.part is not None}
    for column in encoding.codes:
        if column.part is not None:
            parts[column.name].append(column.part)
    found = {column.name: _category(column) for column in encoding.codes if column.part is None}
    found |= {column.name: _number(column, parts.get(column.name, []), trees=trees) for column in encoding.numbers}
    for name in columns:
        start = f"the column {name!r} is left out: "
        for note in encoding.notes:
            if note.startswith(start):
                found[name] = f"nothing: {note.removeprefix(start).rstrip('.')}"
        steps = [words for step in encoding.steps if (words := _step(step, name)) is not None]
        found[name] = "; ".join([*steps, *([found[name]] if name in found else [])])
    return found


def _step(step: Derivation, column: str) -> str | None:
    """What a step does with a column; None for a step that is about others."""
    if column not in step.sources:
        return None
    match step:
        case FillNumber(value=value):
            return f"where it is missing, {value:g}"
        case FillText(value=text):
            return f"where it is missing, {text!r}"
        case ClipNumber(low=low, high=high):
            return f"held between {low:g} and {high:g}"
        case LogNumber():
            return "its logarithm"
        case BinNumber(edges=edges):
            return f"which of {len(edges) + 1} bins it is in"
        case _:
            return f"a part of {step.result!r}"


def _category(column: Codes) -> str:
    values = f"one of {len(column.values)} values" if len(column.values) > 1 else "one value"
    return f"{values}, a rare or new one, or missing"


def _number(column: Number, parts: list[str], *, trees: bool) -> str:
    what = {"boolean": "0 or 1", "datetime": "seconds"}.get(column.kind, "the number")
    if parts:
        what = f"{what}, and {', '.join(parts)} (UTC)"
    if trees:
        return f"{what}; a missing one goes its own way at each split" if column.missing else what
    tail = ", its long tail shortened by a logarithm" if column.tail is not None else ""
    return (
        f"{what}, standardised{tail}; for a missing one {_fill(column)}{', and that it is' if column.missing else ''}"
    )


def _fill(column: Number) -> str:
    value = column.fill + column.origin
    if column.kind == "datetime":
        return f"the median, {np.datetime64(int(value), 's')}"
    return f"the median, {value:g}"
