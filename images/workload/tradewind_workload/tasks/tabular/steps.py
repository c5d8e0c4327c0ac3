"""The steps of spec.data.prepare that are about single columns, fitted one after the other on the training rows."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cached_property
from itertools import repeat
from typing import TYPE_CHECKING

import numpy as np

from tradewind_workload.data.listing import listed, meant
from tradewind_workload.data.names import is_plain_number
from tradewind_workload.io.fault import Fault
from tradewind_workload.tasks.tabular.derivation import (
    BinNumber,
    ClipNumber,
    CombineNumbers,
    FillNumber,
    FillText,
    LogNumber,
)
from tradewind_workload.tasks.tabular.encoder import encoded, is_precise, together
from tradewind_workload.tasks.tabular.encoding import Encoding, Source
from tradewind_workload.tasks.tabular.statistics import groups

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tradewind.api.data import Impute, Step
    from tradewind_workload.data.schema import ColumnSchema, Kind, Schema
    from tradewind_workload.tasks.tabular.derivation import Derivation
    from tradewind_workload.tasks.tabular.statistics import Distribution, Frequencies, Statistics

    Count = Callable[[Encoding, Schema], Statistics]


def fit(prepare: Sequence[Step], schema: Schema, count: Count) -> Encoding:
    """The encoding of a table, for networks, with the steps before it.

    `count` gives the statistics of the training rows as the steps of an encoding leave them, of the columns of a
    schema. Raises Fault(InvalidData) where a step can't be fitted, or nothing is left to learn from.
    """
    fitting = _Fitting(schema, count)
    for i, step in enumerate(prepare):
        fitting.add(step, f"spec.data.prepare[{i}]")
    return fitting.finished()


class _Fitting:
    def __init__(self, schema: Schema, count: Count) -> None:
        self._schema = schema
        self._raw = {column.name: column for column in schema.inputs}
        self._kinds: dict[str, Kind] = {column.name: column.kind for column in schema.inputs}
        self._count = count
        self._steps: list[Derivation] = []
        self._sources: dict[str, Source] = {}
        # Statistics of the columns as they stand, where these are few enough to be held.
        self._plain = count(self._so_far(), schema) if len(list(groups(schema))) < 2 else None

    def add(self, step: Step, where: str) -> None:
        """Fit a step, after those before it."""
        if step.impute is not None:
            self._impute(step.impute, where)
        elif step.clip is not None:
            tail = float(step.clip.quantile)
            for name, found in self._distributions(step.clip.columns, f"{where}.clip"):
                self._take(ClipNumber(name, found.quantile(tail), found.quantile(1 - tail)))
        elif step.log is not None:
            for name in self._numbers(step.log.columns, f"{where}.log"):
                self._take(LogNumber(name))
        elif step.bin is not None:
            for name, found in self._distributions(step.bin.columns, f"{where}.bin"):
                shares = np.arange(1, step.bin.bins) / step.bin.bins
                edges = sorted({found.quantile(float(share)) for share in shares} - {float(found.values[0])})
                self._take(BinNumber(name, tuple(edges)), "category")
        elif step.combine is not None:
            self._combine(step, where)

    def _combine(self, step: Step, where: str) -> None:
        asked = step.combine
        assert asked is not None
        if asked.name in self._kinds or asked.name in {label.name for label in self._schema.labels}:
            raise Fault(
                "InvalidData",
                f"{where}.combine makes the column {asked.name!r}, which there is already: choose another name.",
            )
        moments = asked.operation == "Difference" and all(
            self._kinds.get(name) == "datetime" for name in (asked.left, asked.right)
        )
        if not moments:
            list(self._numbers((asked.left, asked.right), f"{where}.combine"))
        self._take(CombineNumbers(asked.name, asked.operation, asked.left, asked.right))

    def _impute(self, asked: Impute, where: str) -> None:
        suited = [name for name, kind in self._kinds.items() if kind in _SUITED[asked.strategy]]
        names = asked.columns or suited
        for name in names:
            if name not in self._kinds:
                raise _unknown(name, f"{where}.impute", self._kinds)
            if name not in suited:
                raise Fault(
                    "InvalidData",
                    f"{where}.impute: the column {name!r} is a {self._kinds[name]}, which the strategy "
                    f"{asked.strategy} is not for: remove it from columns, or choose mostFrequent or constant.",
                )
        for name, found in self._statistics(names) if asked.strategy != "constant" else zip(names, repeat(None)):
            if self._kinds[name] in ("category", "text"):
                self._take(FillText(name, self._text(name, found, asked, where)), self._kinds[name])
            else:
                self._take(FillNumber(name, self._number(name, found, asked, where)))

    def _text(self, name: str, counted: Statistics | None, asked: Impute, where: str) -> str:
        if counted is None:
            if not asked.value:
                raise Fault(
                    "InvalidData",
                    f"{where}.impute fills the column {name!r} with an empty text, which is a missing value again: "
                    "give another value, for example 'unknown'.",
                )
            return asked.value
        found: Frequencies = counted.categories[name]
        if not found.counts:
            raise self._empty(name, f"{where}.impute")
        return min(found.counts, key=lambda value: (-found.counts[value], value))

    def _number(self, name: str, counted: Statistics | None, asked: Impute, where: str) -> float:
        if counted is None:
            if self._kinds[name] == "boolean" and asked.value in ("true", "false"):
                return float(asked.value == "true")
            if not is_plain_number(asked.value or "") or not math.isfinite(float(asked.value or "")):
                raise Fault(
                    "InvalidData",
                    f"{where}.impute fills the column {name!r} of numbers with {asked.value!r}, which is none: name "
                    "the columns that it is for (columns), or give a finite number, for example '0'.",
                )
            return float(asked.value or "")
        found = self._present(counted, name, f"{where}.impute")
        if asked.strategy == "mean":
            return found.moments(found.values)[0]
        return found.quantile(0.5) if asked.strategy == "median" else float(found.values[found.counts.argmax()])

    def _numbers(self, names: Sequence[str], where: str) -> Iterator[str]:
        for name in names:
            if name not in self._kinds:
                raise _unknown(name, where, self._kinds)
            if self._kinds[name] not in ("number", "boolean"):
                raise Fault(
                    "InvalidData",
                    f"{where}: the column {name!r} is a {self._kinds[name]}, not a number: {self._remedy(name)}.",
                )
            yield name

    def _remedy(self, name: str) -> str:
        """What to do about a column of another kind than a step is for."""
        if name in self._raw and self._raw[name].kind == self._kinds[name]:
            return "remove it, or correct its type in spec.data.columns"
        return "a step bin before this one makes categories of it. Remove it, or move this step before that one"

    def _distributions(self, names: Sequence[str], where: str) -> Iterator[tuple[str, Distribution]]:
        for name, found in self._statistics(tuple(self._numbers(names, where))):
            yield name, self._present(found, name, where)

    def _present(self, counted: Statistics, name: str, where: str) -> Distribution:
        found = counted.numbers[name]
        if not found.present:
            raise self._empty(name, where)
        return found

    def _empty(self, name: str, where: str) -> Fault:
        remedy = (
            "or set its type in spec.data.columns to ignore"
            if name in self._raw
            else "or look at the step combine that makes it, which gives no finite number"
        )
        return Fault(
            "InvalidData",
            f"{where}: no training row has a value in the column {name!r} to fit it on: remove the column from the "
            f"step, {remedy}.",
        )

    def _statistics(self, names: Sequence[str]) -> Iterator[tuple[str, Statistics]]:
        """Of each of these columns as the steps so far leave it."""
        for some, found in self._counted(names):
            for column in some.inputs:
                yield column.name, found

    def _counted(self, names: Sequence[str]) -> Iterator[tuple[Schema, Statistics]]:
        """The same of a few of them at once."""
        schema = replace(self._schema, inputs=tuple(self._column(name) for name in names))
        if self._plain is not None and not any(step.result in names for step in self._steps):
            yield schema, self._plain
            return
        before = self._so_far()
        for some in groups(schema):
            yield some, self._count(before, some)

    @cached_property
    def _precise(self) -> frozenset[str]:
        """The columns of numbers that need double precision, as they stand."""
        plain, all_at_once = Encoding((), (), ()), self._plain
        counted = [all_at_once] if all_at_once else (self._count(plain, some) for some in groups(self._schema))
        return frozenset(
            name
            for found in counted
            for name, distribution in found.numbers.items()
            if distribution.present and is_precise(self._raw[name].kind, distribution)
        )

    def _column(self, name: str) -> ColumnSchema:
        raw = self._raw.get(name, self._schema.inputs[0])
        return replace(raw, name=name, kind=self._kinds[name], distinct=raw.distinct if name in self._raw else None)

    def _take(self, step: Derivation, kind: Kind = "number") -> None:
        for name in step.sources:
            if name not in self._sources and name in self._raw and all(made.result != name for made in self._steps):
                raw = self._raw[name]
                precise = name in self._precise or raw.kind == "datetime"
                self._sources[name] = Source(name, raw.kind, precise, raw.format)
        self._steps.append(step)
        self._kinds[step.result] = kind

    def _so_far(self) -> Encoding:
        return Encoding((), (), (), steps=tuple(self._steps), sources=tuple(self._sources.values()))

    def finished(self) -> Encoding:
        """The encoding, with the steps that lead to a column that is used."""
        derived = frozenset(step.result for step in self._steps)
        made = together(encoded(found, some, derived) for some, found in self._counted(tuple(self._kinds)))
        needed = {number.name for number in made.numbers} | {codes.name for codes in made.codes}
        steps: list[Derivation] = []
        for step in reversed(self._steps):
            if step.result in needed:
                steps.insert(0, step)
                needed |= set(step.sources)
        sources = tuple(source for source in self._sources.values() if source.name in needed)
        names = tuple(column.name for column in self._schema.inputs if column.name in needed)
        return replace(made, names=names, steps=tuple(steps), sources=sources)


_SUITED: dict[str, tuple[str, ...]] = {
    "mean": ("number",),
    "median": ("number",),
    "mostFrequent": ("number", "boolean", "category", "text"),
    "constant": ("number", "boolean", "category", "text"),
}


def _unknown(name: str, where: str, kinds: dict[str, Kind]) -> Fault:
    near = meant(name, kinds)
    return Fault(
        "InvalidData", f"{where} names the column {name!r}, which is no input{near}; the inputs are {listed(kinds)}."
    )
